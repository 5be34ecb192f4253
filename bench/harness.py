"""How things are timed: in turn, several rounds, medians of per-pair ratios; a shared machine allows nothing else."""

import statistics
import time

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
    """Time named functions one after the other, round after round; return {name: [seconds per round]}."""
    for function in functions.values():
        function()  # first calls make buffers and load code
    times = {name: [] for name in functions}
    for _ in range(rounds):
        for name, function in functions.items():
            time.sleep(PAUSE)
            times[name].append(seconds_per_call(function, seconds))
    return times


def ratio(peer, ours):
    """Return the median over the rounds of peer's time over ours: above 1 we are faster."""
    return statistics.median(p / o for p, o in zip(peer, ours, strict=True))
