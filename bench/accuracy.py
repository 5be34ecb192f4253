"""How far each variant's float32 results are from float64: the table of docs/accuracy.md."""

import math

import numpy as np

from bench.layers import DIRECTIONS
from convcore import kernels
from convcore.kernels import registry

EXACT = "im2col"  # computes in float64, too


def bench(problems, variants, n_threads):
    """Print a Markdown table, one row per problem, direction and variant; return its rows.

    Inputs are normally distributed, filters too, the latter with the variance of He's initialisation. Errors are given
    relative to the root mean square of the exact result, and as the part of the documented bound that they reach.
    """
    rows = []
    print("| problem | direction | variant | rms error | largest error | of the bound |")
    print("| --- | --- | --- | --- | --- | --- |")
    for geometry in problems:
        for direction in DIRECTIONS:
            inputs = arrays_of(geometry, direction)
            wide = [a if a is None else a.astype(np.float64) for a in inputs]
            exact = kernels.run(geometry.op, direction, geometry, *wide, variant=EXACT, n_threads=n_threads)
            for variant in variants:
                if kernels.refusal(geometry.op, variant, direction, geometry, np.dtype(np.float32)):
                    continue
                found = kernels.run(geometry.op, direction, geometry, *inputs, variant=variant, n_threads=n_threads)
                rows.append(row_of(geometry, direction, variant, inputs, found, exact))
    return rows


def row_of(geometry, direction, variant, inputs, found, exact):
    error = abs(found - exact)
    size = math.sqrt(np.square(exact).mean())
    rms, largest = math.sqrt(np.square(error).mean()) / size, error.max() / size
    reached = error.max() / bound(geometry, direction, variant, inputs)
    print(f"| `{geometry}` | {direction} | {variant} | {rms:.1e} | {largest:.1e} | {reached:.1e} |", flush=True)
    return {"problem": str(geometry), "direction": direction, "variant": variant, "rms": rms, "largest": largest,
            "of_bound": reached}  # fmt: skip


def arrays_of(geometry, direction):
    """The inputs of a direction; there is no bias, which would round once and no more."""
    rng = np.random.default_rng(0)
    names = geometry.SIGNATURES[direction][0]
    scale = math.sqrt(2 / (geometry.in_channels // geometry.groups * math.prod(geometry.filter_size)))
    drawn = {name: rng.standard_normal(geometry.shapes[name], np.float32) for name in names if name != "bias"}
    if "weight" in drawn:
        drawn["weight"] *= np.float32(scale)
    return [drawn.get(name) for name in names]


def bound(geometry, direction, variant, inputs):
    """The largest error that a variant may make: 4 · eps · products · max · max, times its factor."""
    result = geometry.shapes[geometry.SIGNATURES[direction][1]]
    products = geometry.operations(direction) / 2 / math.prod(result) + 1
    largest = math.prod(abs(a).max() for a in inputs if a is not None and a.ndim > 1)
    factor = registry.rounding_factor(geometry.op, variant)
    return factor * 4 * np.finfo(np.float32).eps * products * largest
