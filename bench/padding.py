"""What patterns around the image cost: each padding value beside zeros, for the same problem."""

import dataclasses
import statistics

import numpy as np

from convcore import isa, kernels, threads
from convcore.kernels.dispatch import selected
from convcore.kernels.windows import PADDING_MODES
from convcore.profile.accuracy import RightResult, arrays_of
from convcore.profile.bench import DIRECTIONS
from convcore.profile.timing import in_turn, ratio

VALUES = (1.0, *[mode for mode in PADDING_MODES if mode != "constant"])


def bench(problems, variants, n_threads, rounds, seconds):
    """Time every padding value of every problem beside zero padding; return the rows and print them."""
    rows = []
    print(f"{'problem':36} {'direction':16} {'variant':10} " + " ".join(f"{value!s:>22}" for value in VALUES))
    with threads.num_threads(n_threads):
        for geometry in problems:
            for direction in DIRECTIONS:
                for variant in variants:
                    rows.append(bench_one(geometry, direction, variant, n_threads, rounds, seconds))
    for value in VALUES:
        found = [row[value] for row in rows]
        print(f"{value!s:22} median {statistics.median(found):.2f}, largest {max(found):.2f}")
    return rows


def bench_one(geometry, direction, variant, n_threads, rounds, seconds):
    arrays = arrays_of(geometry)
    inputs = [arrays[name] for name in geometry.SIGNATURES[direction][0]]
    functions = {}
    for value in (0.0, *VALUES):
        problem = dataclasses.replace(geometry, padding_value=value)
        name = selected(geometry.op, direction, problem, np.dtype(np.float32))[0] if variant == "auto" else variant
        RightResult(problem, direction, arrays).check(name, isa.DEFAULT)
        out = np.empty(geometry.shapes[geometry.SIGNATURES[direction][1]], np.float32)
        functions[value] = lambda problem=problem, name=name, out=out: kernels.run(
            geometry.op, direction, problem, *inputs, variant=name, n_threads=n_threads, out=out
        )
    times = in_turn(functions, rounds, seconds)
    row = {value: ratio(times[value], times[0.0]) for value in VALUES}
    print(f"{geometry!s:36} {direction:16} {variant:10} " + " ".join(f"{row[v]:22.2f}" for v in VALUES), flush=True)
    return row
