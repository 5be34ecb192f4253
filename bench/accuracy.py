"""How far each variant's float32 results are from float64: the table of docs/accuracy.md."""

import math

import numpy as np

from convcore import kernels
from convcore.kernels import registry
from convcore.profile.bench import DIRECTIONS
from convcore.profile.exactness import rounding_bound

EXACT = "im2col"  # computes in float64, too


def bench(problems, variants, n_threads):
    """Print a Markdown table, a row per problem and direction, a column per variant; return {variant: [errors]}.

    Inputs are normally distributed, filters with the variance of He's initialisation. A cell shows the root mean square
    of the error and its largest value, relative to the root mean square of the exact result.
    """
    found = {variant: [] for variant in variants}
    print(f"| problem | direction | {' | '.join(variants)} |\n| --- | --- |{' --- |' * len(variants)}")
    for geometry in problems:
        for direction in DIRECTIONS:
            inputs = arrays_of(geometry, direction)
            wide = [a if a is None else a.astype(np.float64) for a in inputs]
            exact = kernels.run(geometry.op, direction, geometry, *wide, variant=EXACT, n_threads=n_threads)
            cells = []
            for variant in variants:
                cells.append("—")
                if kernels.refusal(geometry.op, variant, direction, geometry, np.dtype(np.float32)) is None:
                    y = kernels.run(geometry.op, direction, geometry, *inputs, variant=variant, n_threads=n_threads)
                    problem = (direction, geometry, np.dtype(np.float32))
                    factor = registry.rounding_factor(geometry.op, variant, None, problem)
                    errors = errors_of(y, exact, rounding_bound(geometry, direction, inputs, np.float32, factor))
                    found[variant].append(errors)
                    cells[-1] = f"{errors['rms']:.1e}, {errors['largest']:.1e}"
            print(f"| `{geometry}` | {direction} | {' | '.join(cells)} |", flush=True)
    print()
    for variant, errors in found.items():
        factor = registry.rounding_factor("conv2d", variant)
        reached = max((e["of_bound"] for e in errors), default=0)
        print(f"- {variant}: factor {factor:.3g}, errors up to {reached:.1%} of the bound")
    return found


def errors_of(y, exact, bound):
    error, size = abs(y - exact), math.sqrt(np.square(exact).mean())
    rms = math.sqrt(np.square(error).mean())
    return {"rms": rms / size, "largest": error.max() / size, "of_bound": error.max() / bound}


def arrays_of(geometry, direction):
    """The inputs of a direction; there is no bias, which would round once and no more."""
    rng = np.random.default_rng(0)
    names = geometry.SIGNATURES[direction][0]
    scale = math.sqrt(2 / (geometry.in_channels // geometry.groups * math.prod(geometry.filter_size)))
    drawn = {name: rng.standard_normal(geometry.shapes[name], np.float32) for name in names if name != "bias"}
    if "weight" in drawn:
        drawn["weight"] *= np.float32(scale)
    return [drawn.get(name) for name in names]
