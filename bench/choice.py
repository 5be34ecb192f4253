"""How good the choice of a variant is: random layers, each by every fast variant that can compute it.

Layers of the kinds that small networks have, drawn by a seed; float32, two dimensions.
"""

import random
import statistics

import numpy as np

from convcore import isa
from convcore.kernels import ConvGeometry, registry
from convcore.kernels.calls import Computing
from convcore.kernels.dispatch import prepared, selected
from convcore.profile.accuracy import arrays_of
from convcore.profile.bench import DIRECTIONS
from convcore.profile.timing import in_turn

SLOW = ("reference", "direct", "im2col", "padded", "phases")  # left out unless chosen: for reading, or made of others
CHANNELS = (1, 2, 3, 4, 6, 8, 12, 16, 20, 24, 32, 48, 64, 96, 128)
SIZES = (4, 6, 7, 8, 10, 12, 14, 16, 20, 24, 28, 32, 40, 56)
OPERATIONS = (2e5, 6e8)  # in between
NOTED = 1.12  # a choice that takes so many times as long as the best


def bench(seed, count, n_threads, rounds, seconds):
    """Time `count` random layers; print where the choice is slower than another variant, and return the rows."""
    rows = []
    for geometry in drawn(seed, count):
        for direction in DIRECTIONS:
            row = bench_one(geometry, direction, n_threads, rounds, seconds)
            rows.append(row)
            if row["ratio"] >= NOTED:
                times = ", ".join(f"{name} {time:.0f}" for name, time in row["microseconds"].items())
                print(
                    f"{geometry!s:36} {direction:16} {row['ratio']:.2f}: {row['chosen']} is chosen; {times} µs",
                    flush=True,
                )
    for direction in DIRECTIONS:
        ratios = [row["ratio"] for row in rows if row["direction"] == direction]
        noted = f"{sum(ratio >= NOTED for ratio in ratios)} of {len(ratios)} {NOTED} or more"
        print(
            f"{direction}: the choice takes {statistics.geometric_mean(ratios):.3f} times as long as the best; {noted}"
        )
    return rows


def drawn(seed, count):
    """Iterate over `count` random layers."""
    rng = random.Random(seed)
    while count:
        kernel = rng.choice((1, 1, 2, 3, 3, 3, 3, 4, 5, 5, 5, 7))
        stride, padding = rng.choice((1, 1, 1, 2)), rng.choice((0, kernel // 2, kernel // 2))
        batch, size = rng.choice((16, 32, 64, 64, 128)), rng.choice(SIZES)
        if size + 2 * padding < kernel:
            continue
        weight = (rng.choice(CHANNELS), rng.choice(CHANNELS), kernel, kernel)
        geometry = ConvGeometry.of((batch, weight[1], size, size), weight, stride=stride, padding=padding)
        if OPERATIONS[0] < geometry.operations("forward") < OPERATIONS[1]:
            count -= 1
            yield geometry


def bench_one(geometry, direction, n_threads, rounds, seconds):
    arrays, dtype = arrays_of(geometry), np.dtype(np.float32)
    inputs = [arrays[name] for name in geometry.SIGNATURES[direction][0]]
    chosen = selected(geometry.op, direction, geometry, dtype)[0]
    names = [
        name for name in registry.variants(geometry.op)
        if (name == chosen or name not in SLOW)
        and registry.refusal(geometry.op, name, direction, geometry, dtype, isa.DEFAULT) is None
    ]  # fmt: skip
    functions = {
        name: prepared(geometry.op, direction, geometry, inputs, variant=name, n_threads=n_threads).ready()
        for name in names
    }
    with Computing(n_threads):
        times = {name: statistics.median(found) * 1e6 for name, found in in_turn(functions, rounds, seconds).items()}
    times = dict(sorted(times.items(), key=lambda item: item[1]))
    return {"problem": str(geometry), "direction": direction, "chosen": chosen, "microseconds": times,
            "ratio": times[chosen] / min(times.values())}  # fmt: skip
