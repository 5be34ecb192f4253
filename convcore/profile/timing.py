"""How things are timed: in turn, several rounds, medians of per-pair ratios; a shared machine allows nothing else."""

import statistics
import time

import numpy as np

PAUSE = 0.02  # seconds; two OpenMP runtimes that both still spin would slow each other down


def seconds_per_call(function, seconds):
    """Return the median time of a call, from calls repeated for about `seconds` (at least three)."""
    times = []
    end = time.perf_counter() + seconds
    while len(times) < 3 or time.perf_counter() < end:
        start = time.perf_counter()
        function()
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def in_turn(functions, rounds, seconds):
    """Time functions one after the other, round after round, every other round backwards.

    Parameters
    ----------
    functions : dict of callable
    rounds : int
    seconds : float
        For each function in each round.

    Returns
    -------
    dict of list of float
        Under the functions' names, seconds per call in each round.
    """
    for function in functions.values():
        function()  # first calls make buffers and load code
    times = {name: [] for name in functions}
    for number in range(rounds):
        for name, function in list(functions.items())[:: -1 if number % 2 else 1]:
            time.sleep(PAUSE)
            times[name].append(seconds_per_call(function, seconds))
    return times


def ratios(peer, ours):
    """Return, round by round, the peer's time over ours: above 1 we are faster."""
    return [p / o for p, o in zip(peer, ours, strict=True)]


def ratio(peer, ours):
    """Return the median of `ratios`.

    Examples
    --------
    >>> ratio([2.0, 4.0, 9.0], [1.0, 2.0, 3.0])
    2.0
    """
    return statistics.median(ratios(peer, ours))


def spread(values):
    """Return how far apart the middle half of the values lies, as a fraction of their median.

    Examples
    --------
    >>> round(spread([0.9, 1.0, 1.0, 1.1, 7.0]), 3)
    0.1
    """
    low, middle, high = np.quantile(values, (0.25, 0.5, 0.75))
    return float((high - low) / middle)
