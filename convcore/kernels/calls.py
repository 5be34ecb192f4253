"""One call of a kernel, checked and ready to be made; and those who watch calls being made."""

import contextlib
import contextvars
import functools
import time
import typing

from convcore import threads
from convcore._compiled.cpu import DenormalsAsZeros
from convcore.kernels import epilogues, registry

_observer = contextvars.ContextVar("convcore_observer", default=None)


class Call(typing.NamedTuple):
    """What computes a problem, and how it is called."""

    variant: str
    level: str
    function: object
    geometry: object  # as the function wants it
    lifted: tuple  # shapes of the arrays as the function wants them, None: as they are
    relu_follows: bool
    bias: int  # which of the inputs is one, None: none is
    empty: bool  # an input has no numbers: there is nothing to compute from
    work: int  # in operations: what the number of threads depends on
    n_threads: int  # where none are asked for


class Made(typing.NamedTuple):
    """One call of a kernel: the problem, what computes it, the checked arrays; and if observed, when and how long."""

    op: str
    direction: str
    geometry: object
    call: Call
    arrays: list
    outputs: tuple
    n_threads: int
    parameters: dict
    began: float = 0.0  # by time.perf_counter
    seconds: float = 0.0

    def compute(self):
        """Compute, and tell whoever watches."""
        watcher = _observer.get()
        if watcher is not None:
            self._watched(watcher)
        elif self.call.empty:
            self._nothing()
        else:
            self.make()

    def arguments(self):
        """Return what the function takes besides the parameters."""
        call = self.call
        if call.lifted is None:
            return (call.geometry, *self.arrays, *self.outputs, self.n_threads)
        arrays = zip((*self.arrays, *self.outputs), call.lifted)  # noqa: B905  as many shapes; saying so takes time
        return (call.geometry, *[a if a is None else a.reshape(shape) for a, shape in arrays], self.n_threads)

    def make(self):
        """Compute, and tell nobody."""
        call, arguments = self.call, self.arguments()
        with Computing(self.n_threads):
            call.function(*arguments, **self.parameters)
            if call.relu_follows:
                epilogues.relu(self.outputs, call.level, self.n_threads)

    def ready(self):
        """Return a function without arguments that computes, to be called inside a `Computing` block."""
        function = functools.partial(self.call.function, *self.arguments(), **self.parameters)
        if not self.call.relu_follows:
            return function
        return lambda: (function(), epilogues.relu(self.outputs, self.call.level, self.n_threads))

    def _nothing(self):
        """Write what there is without observations, or without inputs: nothing is added up."""
        for output in self.outputs:
            output.fill(0)
        bias = None if self.call.bias is None else self.arrays[self.call.bias]
        if bias is not None:
            self.outputs[0][...] = bias.reshape(-1, *[1] * (self.outputs[0].ndim - 2))  # along axis 1
        if self.direction in registry.EPILOGUES:
            epilogues.relu(self.outputs, self.call.level, self.n_threads)

    def _watched(self, watcher):
        with unobserved():
            start = time.perf_counter()
            self._nothing() if self.call.empty else self.make()
            end = time.perf_counter()
        watcher(self.timed(start, end))

    def timed(self, start, end):
        """Return the same call with the time that it took. (`_replace` takes five times as long.)"""
        return tuple.__new__(Made, (*self[:-2], start, end - start))

    def given(self, parameters):
        """Return the same call with other parameters, not made yet."""
        return tuple.__new__(Made, (*self[:-3], parameters, 0.0, 0.0))


class Repeated:
    """A call that is made again and again on the same arrays, with other numbers besides: nothing is checked again."""

    __slots__ = ("_function", "_made")

    def __init__(self, made):
        self._made, self._function = made, made.ready()

    def __call__(self, **parameters):
        """Compute from what the arrays hold now."""
        made = self._made
        if made.call.empty:
            return made.given(parameters).compute()
        watcher = _observer.get()
        with Computing(made.n_threads):
            if watcher is None:
                return self._function(**parameters)
            token = _observer.set(None)  # as `unobserved` does, in less time
            try:
                start = time.perf_counter()
                self._function(**parameters)
                end = time.perf_counter()
            finally:
                _observer.reset(token)
        tell(watcher, [made.given(parameters)], [start, end])


class Computing(DenormalsAsZeros):
    """The ``with`` block in which kernels run: denormal numbers are zeros, threads have processors of their own."""

    def __enter__(self):
        DenormalsAsZeros.__enter__(self)  # first: threads that begin while one looks where they are begin in this mode
        threads.keep_apart(self.n_threads)


# ---------------------------------------------------------------- watching


def observer():
    """Return the function that is told of every call in this Python thread at present, or None."""
    return _observer.get()


@contextlib.contextmanager
def observing(watcher):
    """Tell a function of every call that is made inside the ``with`` block, in this Python thread, once it is made.

    Inside the block of another watcher both are told. One that has a method ``several(calls, times)`` is told of the
    calls of a program all at once: each ran between two of the times.

    Examples
    --------
    >>> import numpy as np
    >>> from convcore.kernels import FlatGeometry, run
    >>> found = []
    >>> with observing(found.append):
    ...     y = run("relu", "forward", FlatGeometry("relu", 2), np.array([-1.0, 1.0]))
    >>> found[0].op, found[0].call.variant, found[0].seconds > 0
    ('relu', 'direct', True)
    """
    outer = _observer.get()

    def both(made):
        outer(made)
        watcher(made)

    token = _observer.set(watcher if outer is None else both)
    try:
        yield
    finally:
        _observer.reset(token)


def tell(watcher, calls, times):
    """Tell a watcher of calls that were made one after the other, each between two of the times."""
    several = getattr(watcher, "several", None)
    if several is not None:
        several(calls, times)
    else:
        for made, start, end in zip(calls, times, times[1:], strict=False):
            watcher(made.timed(start, end))


@contextlib.contextmanager
def unobserved():
    """Tell nobody of what is called inside the ``with`` block: what a kernel calls itself is a part of its own call."""
    token = _observer.set(None)
    try:
        yield
    finally:
        _observer.reset(token)
