"""A sequence of kernel calls that is made again and again, in memory that was laid out once.

`observing` shows every call that `run` makes. Two observations of the same work tell which arrays come in from outside
and which stay where they are; a `Program` made of them makes the same calls with the same arguments, without asking
again what fits what. Results that are no longer needed leave their memory to later ones.
"""

import time

import numpy as np

from convcore.kernels import buffers
from convcore.kernels.calls import Computing, observer, observing, unobserved
from convcore.kernels.dispatch import conditions

__all__ = ["NotRepeatable", "Program", "conditions", "observing"]


class NotRepeatable(Exception):
    """The work cannot be made into a program; the text says why."""


class Program:
    """The calls of one observation, to be made again with other inputs.

    Parameters
    ----------
    first, second : list of Made
        Two observations of the same work on different data. The arrays of the first must be kept until now: what lies
        at the same place in both has stayed there.
    inputs : pair of list of ndarray
        What came in from outside, in the first and in the second; contiguous, of equal shapes and dtypes.
    wanted : list of ndarray
        Of the second observation: results whose values are read after a run, see `results`.
    together : list of ndarray, optional
        Those of `wanted`, of one dtype, that shall lie one after the other in memory; each an array that a kernel
        wrote, not a part of one.

    Attributes
    ----------
    results : list of ndarray
        What `wanted` names, written anew by each run.
    bytes : int
        Of memory, for all results of all calls.

    Raises
    ------
    NotRepeatable
        The observations differ; a call took an array that no call made, that did not come in and did not stay.
    """

    def __init__(self, first, second, inputs, wanted, together=()):
        self.calls = []
        self.inputs = [np.empty_like(array) for array in inputs[1]]
        _check_alike(first, second)
        results = [array for made in second for array in made.outputs]
        self._places = _Places(results, _uses(second, results, wanted), together)
        self.bytes = self._places.bytes
        brought_in = {_address(array): mine for array, mine in zip(inputs[1], self.inputs, strict=True)}
        for before, made in zip(first, second, strict=True):
            arrays = [
                self._array(old, new, brought_in, made) for old, new in zip(before.arrays, made.arrays, strict=True)
            ]
            self.calls.append(made._replace(arrays=arrays, outputs=tuple(map(self._places.of, made.outputs))))
        self.results = [self._places.of(array) for array in wanted]
        if any(array is None for array in self.results):
            raise NotRepeatable("a result is not made by a kernel")
        self._steps = [made.ready() for made in self.calls]
        self._n_threads = max((made.n_threads for made in self.calls), default=1)

    def _array(self, old, new, brought_in, made):
        """Return the array that stands for one that a call took."""
        if new is None:
            return None
        array = self._places.of(new)
        if array is None:
            array = brought_in.get(_address(new))
            array = None if array is None else array.reshape(new.shape)
        if array is None and _address(old) == _address(new):
            array = new  # it was there before, and has stayed
        if array is None and new.size == 1 and old.item() == new.item() == 1.0:
            array = new  # the gradient that a walk back begins with
        if array is None:
            raise NotRepeatable(f"{made.direction} of {made.op} takes an array that no kernel made")
        return array

    def run(self, inputs):
        """Make all calls, for these inputs."""
        self._bring_in(inputs)
        watcher = observer()
        with Computing(self._n_threads):
            if watcher is not None:
                with unobserved():
                    return self._watched(watcher)
            for step in self._steps:
                step()
        return None

    def _bring_in(self, inputs):
        for mine, array in zip(self.inputs, inputs, strict=True):
            np.copyto(mine, array)

    def _watched(self, watcher):
        """Make all calls, and tell a watcher of each."""
        for made, step in zip(self.calls, self._steps, strict=True):
            start = time.perf_counter()
            step()
            watcher(made.timed(time.perf_counter() - start))

    def differs_from(self, observed, inputs):
        """Make all calls, and return the first of them whose results have not the bits of an observation, or None."""
        self._bring_in(inputs)
        for made, other in zip(self.calls, observed, strict=True):
            made.make()
            pairs = zip(made.outputs, other.outputs, strict=True)
            if any(a.tobytes() != b.tobytes() for a, b in pairs):
                return f"{made.op} {made.direction}"
        return None


def _uses(calls, results, wanted):
    """Return per result [first call, last call] between which it is needed; what is wanted is needed to the end."""
    spans = _spans(results)
    uses = [[place, place] for place, made in enumerate(calls) for _ in made.outputs]
    for place, made in enumerate(calls):
        for array in made.arrays:
            index = None if array is None else _inside(spans, array)
            if index is not None:
                uses[index][1] = place
    for array in wanted:
        index = _inside(spans, array)
        if index is not None:
            uses[index][1] = len(calls)
    return uses


class _Places:
    """Where each result lies in one piece of memory: those that are needed at the same time lie apart.

    Larger ones choose first, and take the lowest place that is free as long as they live ("greedy by size": Pisarchyk
    and Lee, Efficient memory management for deep neural net inference, arXiv:2001.03288).
    """

    def __init__(self, results, uses, together=()):
        placed = []  # (offset, end, first, last)
        self._spans = _spans(results)
        self._offsets = [0] * len(results)
        groups = self._groups(together)
        for group in sorted(groups, key=lambda group: -sum(results[i].nbytes for i in group)):
            first, last = min(uses[i][0] for i in group), max(uses[i][1] for i in group)
            size = sum(results[i].nbytes for i in group)
            size = -(-size // buffers.CACHE_LINE) * buffers.CACHE_LINE
            offset = 0
            for start, end, born, dead in sorted(placed):
                if born <= last and first <= dead:
                    if offset + size <= start:
                        break
                    offset = max(offset, end)
            placed.append((offset, offset + size, first, last))
            for index in group:
                self._offsets[index] = offset
                offset += results[index].nbytes
        self.bytes = max((end for _, end, _, _ in placed), default=0)
        self._memory = buffers.aligned(1, max(1, self.bytes), np.dtype(np.uint8))

    def _groups(self, together):
        """Return the indices of the results in groups that are placed as one."""
        group = [_inside(self._spans, array) for array in together]
        if None in group or any(self._spans[i][1] - self._spans[i][0] != a.nbytes
                                for i, a in zip(group, together, strict=True)):  # fmt: skip
            raise NotRepeatable("what shall lie together is not each an array of its own")
        return [*([group] if group else []), *([i] for i in range(len(self._spans)) if i not in group)]

    def of(self, array):
        """Return the array of this shape at its place, or None if it is no part of a result."""
        index = _inside(self._spans, array)
        if index is None:
            return None
        offset = self._offsets[index] + _address(array) - self._spans[index][0]
        return np.ndarray(array.shape, array.dtype, self._memory, offset)


def _check_alike(first, second):
    """Raise NotRepeatable unless two observations are of the same calls."""
    if len(first) != len(second):
        raise NotRepeatable(f"one run made {len(first)} calls, the next {len(second)}")
    for a, b in zip(first, second, strict=True):
        if getattr(a.geometry, "IN_PLACE", ()) and a.outputs == ():
            raise NotRepeatable(f"{a.op} changes its arrays in place")
        if a[:4] != b[:4] or a.parameters != b.parameters:  # op, direction, geometry, what computes it
            raise NotRepeatable(f"one run made {a.direction} of {a.op}, the next {b.direction} of {b.op}")
        if any(array is not None and array.size == 0 for array in (*b.arrays, *b.outputs)):
            raise NotRepeatable(f"{a.op} takes an empty array")


def _address(array):
    return array.__array_interface__["data"][0]


def _spans(arrays):
    """Return (first address, one past the last) of each array; later ones may have taken the memory of earlier ones."""
    return [(_address(array), _address(array) + array.nbytes) for array in arrays]


def _inside(spans, array):
    """Return the index of the span that an array lies in, or None."""
    start = _address(array)
    for index in range(len(spans) - 1, -1, -1):
        first, end = spans[index]
        if first <= start and start + array.nbytes <= end and array.nbytes:
            return index
    return None
