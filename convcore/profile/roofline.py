"""The roofline: what a problem can reach at most, by the multiply-adds and by the memory of this machine.

A kernel that moves each array once between memory and processor, and no number twice, computes
``intensity = operations / bytes``; it cannot be faster than the processor multiplies and adds, nor than memory
delivers: ``limit = min(peak, intensity · bandwidth)``. Both are measured here, with loops of our own. Arrays that lie
in the caches already can come faster than that, so a small problem may exceed its limit where that is the memory's.

References
----------
Williams, Waterman and Patterson, "Roofline: an insightful visual performance model for multicore architectures",
Communications of the ACM 52 (2009). McCalpin's STREAM, whose Scale the measurement of the bandwidth is.
"""

import importlib
import math
import pathlib
import time
from dataclasses import dataclass, replace

import numpy as np

from convcore import isa
from convcore.profile.timing import PAUSE

TOLERANCE = 1.05  # what a measured figure may be above a measured peak
LARGEST_CACHE = 2**25  # bytes, where the system does not tell
LARGEST_ARRAY = 2**28  # bytes
BURSTS, PASSES = 50, 10
PATIENCE = 2.0  # seconds
BURST = 0.0005  # seconds: shorter than the turns that other programs get on a busy machine


@dataclass(frozen=True)
class Roof:
    """What one instruction-set level reaches with some threads.

    Parameters
    ----------
    peak : float
        GFLOP/s of multiply-adds from registers, float32, two operations each.
    bandwidth : float
        GB/s, read and written, of scaling an array.
    array_bytes : int
        The size of that array.
    """

    peak: float
    bandwidth: float
    array_bytes: int

    def limit(self, intensity):
        """Return (GFLOP/s, "compute" or "memory"): the most that a problem can reach, and by what.

        Examples
        --------
        >>> roof = Roof(peak=200.0, bandwidth=40.0, array_bytes=2**27)
        >>> roof.limit(10.0), roof.limit(2.5)
        ((200.0, 'compute'), (100.0, 'memory'))
        """
        memory = intensity * self.bandwidth
        return (memory, "memory") if memory < self.peak else (self.peak, "compute")


class Roofs:
    """The roofs of this machine, each measured when it is first asked for."""

    def __init__(self, measure=None):
        self.measure = measure or measured_roof
        self.known = {}

    def of(self, level, n_threads):
        """Return the Roof of a level with some threads."""
        if (level, n_threads) not in self.known:
            self.known[level, n_threads] = self.measure(level, n_threads)
        return self.known[level, n_threads]

    def exceeded(self, level, n_threads, gflops):
        """Return whether a figure is above the peak, also after a second look: the first may have been disturbed."""
        roof = self.of(level, n_threads)
        if gflops > TOLERANCE * roof.peak:
            again = self.measure(level, n_threads)
            roof = replace(roof, peak=max(roof.peak, again.peak), bandwidth=max(roof.bandwidth, again.bandwidth))
            self.known[level, n_threads] = roof
        return gflops > TOLERANCE * roof.peak


def measured_roof(level, n_threads):
    """Measure a Roof: the best of some short bursts of multiply-adds, and of some passes over memory."""
    loops = importlib.import_module(f"convcore._compiled.peak__{isa.module_suffix(level)}")
    x = np.ones(min(4 * largest_cache(), LARGEST_ARRAY) // 4, np.float32)
    y = np.zeros_like(x)  # the first pass would also wait for pages
    scaling = min(_timed(loops.scale, x, y, 0.5, n_threads)[0] for _ in range(PASSES))
    return Roof(_peak(loops.multiply_adds, n_threads), 2 * x.nbytes / scaling / 1e9, x.nbytes)


def _peak(multiply_adds, n_threads):
    """Return the GFLOP/s of the fastest burst.

    Several threads are given some time to come near as many times what one reaches: on a busy machine it takes luck
    to have all processors at once.
    """
    rounds, seconds = 2**12, 0.0
    while seconds < BURST:
        rounds *= 2
        seconds, operations = _fastest(multiply_adds, rounds, 1)
    best = alone = operations / seconds / 1e9
    deadline = time.perf_counter() + PATIENCE
    while n_threads > 1:
        seconds, operations = _fastest(multiply_adds, rounds, n_threads)
        best = max(best, operations / seconds / 1e9)
        if best > 0.95 * n_threads * alone or time.perf_counter() > deadline:
            break
        time.sleep(PAUSE)
    return best


def _fastest(multiply_adds, rounds, n_threads):
    """Return (seconds, operations) of the fastest of some bursts."""
    sums = np.empty(n_threads, np.float32)
    return min(_timed(multiply_adds, sums, rounds, n_threads) for _ in range(BURSTS))


def _timed(function, *arguments):
    """Return (seconds, result) of a call."""
    start = time.perf_counter()
    result = function(*arguments)
    return time.perf_counter() - start, result


def largest_cache(folder="/sys/devices/system/cpu/cpu0/cache"):
    """Return the bytes of the largest cache of the first processor, as Linux tells them, else LARGEST_CACHE."""
    units = {"K": 2**10, "M": 2**20}
    sizes = [path.read_text().strip() for path in pathlib.Path(folder).glob("index*/size")]
    return max((int(size[:-1]) * units[size[-1]] for size in sizes if size[-1:] in units), default=LARGEST_CACHE)


def bytes_moved(geometry, direction, itemsize=4):
    """Return the bytes that a direction must move: each array that it takes and the one that it returns, once.

    Examples
    --------
    >>> from convcore.kernels import ConvGeometry
    >>> bytes_moved(ConvGeometry.parse("mb2ic1ih6oc2kh3"), "backward_weight")  # grad_y 64, x 72, grad_weight 18
    616
    """
    inputs, output = geometry.SIGNATURES[direction]
    return itemsize * sum(math.prod(geometry.shapes[name]) for name in (*inputs, output))


def fewest_operations(geometry, direction):
    """Return the operations that a direct method cannot do without.

    That is: those of `geometry.operations`, without the products with the zeros around the image.

    Examples
    --------
    >>> from convcore.kernels import ConvGeometry
    >>> geometry = ConvGeometry.parse("ic1ih3oc1kh3ph1")
    >>> geometry.operations("forward"), fewest_operations(geometry, "forward")  # 9 · 9 products; 4+6+4+6+9+6+4+6+4
    (162, 98)
    """
    operations = geometry.operations(direction)
    if geometry.padding_value != 0:
        return operations
    axes = (geometry.in_size, geometry.out_size, geometry.filter_size, geometry.stride, geometry.dilation,
            geometry.padding)  # fmt: skip
    for size, outputs, taps, stride, dilation, (before, _) in zip(*axes, strict=True):
        cells = np.arange(outputs)[:, None] * stride + np.arange(taps) * dilation - before
        inside = int(((cells >= 0) & (cells < size)).sum())
        operations = operations // (outputs * taps) * inside
    return operations
