"""Where the results of a sequence of kernel calls lie in one piece of memory."""

import numpy as np

from convcore.kernels import buffers


class NotRepeatable(Exception):
    """The work cannot be made into a program; the text says why."""


def uses(calls, results, wanted):
    """Return per result [first call, last call] between which it is needed; what is wanted is needed to the end."""
    spans = _spans(results)
    found = [[place, place] for place, made in enumerate(calls) for _ in made.outputs]
    for place, made in enumerate(calls):
        for array in made.arrays:
            index = None if array is None else _inside(spans, array)
            if index is not None:
                found[index][1] = place
    for array in wanted:
        index = _inside(spans, array)
        if index is not None:
            found[index][1] = len(calls)
    return found


class Places:
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
            size = sum(_in_lines(results[i].nbytes) for i in group)
            offset = 0
            for start, end, born, dead in sorted(placed):
                if born <= last and first <= dead:
                    if offset + size <= start:
                        break
                    offset = max(offset, end)
            placed.append((offset, offset + size, first, last))
            for index in group:
                self._offsets[index] = offset
                offset += _in_lines(results[index].nbytes)
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
        offset = self._offsets[index] + address(array) - self._spans[index][0]
        return np.ndarray(array.shape, array.dtype, self._memory, offset)


def _in_lines(size):
    """Return the bytes of the cache lines that so many bytes fill: each result begins on one."""
    return -(-size // buffers.CACHE_LINE) * buffers.CACHE_LINE


def address(array):
    """Return where an array begins."""
    return array.__array_interface__["data"][0]


def _spans(arrays):
    """Return (first address, one past the last) of each array; later ones may have taken the memory of earlier ones."""
    return [(address(array), address(array) + array.nbytes) for array in arrays]


def _inside(spans, array):
    """Return the index of the span that an array lies in, or None."""
    start = address(array)
    for index in range(len(spans) - 1, -1, -1):
        first, end = spans[index]
        if first <= start and start + array.nbytes <= end and array.nbytes:
            return index
    return None
