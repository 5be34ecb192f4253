"""A sequence of kernel calls that is made again and again, in memory that was laid out once.

`observing` shows every call that `run` makes. Two observations of the same work tell which arrays come in from outside
and which stay where they are; a `Program` made of them makes the same calls with the same arguments, without asking
again what fits what. Results that are no longer needed leave their memory to later ones.
"""

import time

import numpy as np

from convcore.kernels.calls import Computing, observer, observing, tell, unobserved
from convcore.kernels.dispatch import conditions
from convcore.kernels.places import NotRepeatable, Places, address, uses

__all__ = ["NotRepeatable", "Planned", "Program", "conditions", "observing"]

OBSERVED, COMPARED = (2, 3), 4  # which times work is observed, and which time it is done both ways
LARGEST = 2**26  # bytes: see Planned

# What calls that several threads share must be worth on average: more than a single one (threads.py), because the lines
# that one processor has written for the next call are fetched by the other.
OPERATIONS_PER_CALL = 1_000_000


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
        Those of `wanted`, of one dtype, that shall lie one after the other in memory, each on cache lines of its own;
        each an array that a kernel wrote, not a part of one.

    Attributes
    ----------
    results : list of ndarray
        What `wanted` names, written anew by each run.
    bytes : int
        Of memory, for all results of all calls.
    n_threads : int
        At most so many compute a call: one, where calls are small.

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
        self._places = Places(results, uses(second, results, wanted), together)
        self.bytes = self._places.bytes
        self.n_threads = _threads_worth_having(second)
        brought_in = {address(array): mine for array, mine in zip(inputs[1], self.inputs, strict=True)}
        for before, made in zip(first, second, strict=True):
            arrays = [
                self._array(old, new, brought_in, made) for old, new in zip(before.arrays, made.arrays, strict=True)
            ]
            outputs, n_threads = tuple(map(self._places.of, made.outputs)), min(made.n_threads, self.n_threads)
            self.calls.append(made._replace(arrays=arrays, outputs=outputs, n_threads=n_threads))
        self.results = [self._places.of(array) for array in wanted]
        if any(array is None for array in self.results):
            raise NotRepeatable("a result is not made by a kernel")
        self._steps = [made.ready() for made in self.calls]

    def _array(self, old, new, brought_in, made):
        """Return the array that stands for one that a call took."""
        if new is None:
            return None
        array = self._places.of(new)
        if array is None:
            array = brought_in.get(address(new))
            array = None if array is None else array.reshape(new.shape)
        if array is None and address(old) == address(new):
            array = new  # it was there before, and has stayed
        if array is None:
            raise NotRepeatable(f"{made.direction} of {made.op} takes an array that no kernel made")
        return array

    def run(self, inputs):
        """Make all calls, for these inputs."""
        self._bring_in(inputs)
        watcher = observer()
        with Computing(self.n_threads):
            if watcher is not None:
                with unobserved():
                    return self._watched(watcher)
            for step in self._steps:
                step()
        return None

    def _bring_in(self, inputs):
        for mine, array in zip(self.inputs, inputs, strict=True):
            if array is not mine:  # written in place already
                np.copyto(mine, array)

    def _watched(self, watcher):
        """Make all calls, and then tell a watcher of each: between them there is nothing but a look at the clock."""
        now = time.perf_counter
        times = [now()]
        for step in self._steps:
            step()
            times.append(now())
        tell(watcher, self.calls, times)

    def check(self, observed, inputs, wanted):
        """Make all calls, and raise NotRepeatable unless they are those of an observation, with the same bits."""
        _check_alike(self.calls, observed)
        self._bring_in(inputs)
        for made, other in zip(self.calls, observed, strict=True):
            made.make()
            if not all(map(_same_bits, made.outputs, other.outputs)):
                raise NotRepeatable(f"{made.direction} of {made.op} gives other bits")
        if not all(map(_same_bits, self.results, wanted)):
            raise NotRepeatable("what is wanted is not what a kernel wrote")


def _threads_worth_having(calls):
    """Return the most threads of a call, or one if those that would be shared are small."""
    shared = [made.call.work for made in calls if made.n_threads > 1]
    if sum(shared) < OPERATIONS_PER_CALL * len(shared):
        return 1
    return max((made.n_threads for made in calls), default=1)


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


def _same_bits(a, b):
    return a.shape == b.shape and a.tobytes() == b.tobytes()


class Planned:
    """Work of one kind that is done again and again: first as it is written, then by a `Program` of the calls it makes.

    The first time it goes its own way; things may be made then that last. So it does the second and the third time,
    and each call of a kernel is noted: where both made the same calls, and kernels alone have computed, the calls
    become a program. The fourth time the work is done both ways. If all results of all kernels agree bit by bit, the
    program is `ready` to do it from then on. Whatever does anything else besides goes its own way for ever.

    Parameters
    ----------
    largest : int, optional
        Bytes of results that are kept of each of the two observations. Beyond, what a program saves is nothing beside
        what kernels take.

    Attributes
    ----------
    program : Program or None

    Examples
    --------
    >>> from convcore.kernels import FlatGeometry, run
    >>> plan = Planned()
    >>> for i in range(4):
    ...     x = np.array([i, -i], np.float32)
    ...     y = plan.watch([x], lambda: run("relu", "forward", FlatGeometry("relu", 2), x), lambda y, calls: ([y], []))
    >>> plan.ready
    True
    >>> plan.program.run([np.array([7, -7], np.float32)])
    >>> plan.program.results
    [array([7., 0.], dtype=float32)]
    """

    def __init__(self, largest=None):
        self._largest = LARGEST if largest is None else largest
        self.begin()

    def begin(self):
        """Forget what was seen."""
        self._times, self._seen, self.program, self._hopeless = 0, [], None, False

    @property
    def ready(self):
        """Whether the program does the work from now on."""
        return self._times >= COMPARED and self.program is not None

    def watch(self, inputs, work, wanted):
        """Do the work as it is written, and learn from it.

        Parameters
        ----------
        inputs : sequence of ndarray
            What comes in from outside.
        work : function without arguments
        wanted : function
            Takes what `work` returned and the calls that it made, and returns the `wanted` and the `together` of
            `Program`; raises NotRepeatable where these cannot be told.

        Returns
        -------
        What `work` returned.
        """
        self._times += 1
        if self._hopeless or self._times < OBSERVED[0]:
            return work()
        calls = _Calls(self._largest)
        try:
            with observing(calls.add):
                result = work()
        except BaseException:  # an interrupt, too: what was seen has a gap
            self.begin()
            raise
        try:
            self._learn(calls, inputs, *wanted(result, calls.made))
        except NotRepeatable:
            self._hopeless, self.program, self._seen = True, None, []
        return result

    def _learn(self, calls, inputs, wanted, together):
        if calls.too_large:
            raise NotRepeatable("the results are too large to be kept")
        if self._times == COMPARED:
            return self.program.check(calls.made, inputs, wanted)
        self._seen.append((calls.made, inputs))
        if self._times == OBSERVED[-1]:
            (first, earlier), (second, _) = self._seen
            self.program, self._seen = Program(first, second, (earlier, inputs), wanted, together), []


class _Calls:
    """The calls of kernels in some work, as long as their results are not too large to be kept."""

    def __init__(self, largest):
        self.made, self.left, self.too_large = [], largest, False

    def add(self, made):
        """Note a call."""
        self.left -= sum(array.nbytes for array in made.outputs)
        self.too_large = self.left < 0
        self.made = [] if self.too_large else [*self.made, made]
