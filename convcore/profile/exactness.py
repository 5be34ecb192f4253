"""What every kernel of a convolution must pass, most of it on whole numbers and to the last bit.

Small integers stored as floats make every order of summation give the same bits, so a kernel is right or wrong, with
no tolerance to hide in. The repository's tests run these checks over all kernels that there are; the bench runs them
over a kernel of the user's before it times it. Each returns False where the variant refuses the problem, and raises
`Inexact` where the variant fails.

A variant that computes by other products than the definition's (Winograd) says in ROUNDING_FACTOR how much more than
the others it rounds, and is held to that many times their bound.
"""

import dataclasses
import functools
import math

import numpy as np

from convcore import kernels
from convcore.kernels import ConvGeometry, registry

THREADS = (1, 2, 3, 8)
DTYPES = (np.dtype(np.float32), np.dtype(np.float64))
AFFORDABLE = 0.25  # seconds that the definition may take where it is run for a check


class Inexact(ValueError):
    """A kernel computes something else than the definition, or not always the same."""


# ---------------------------------------------------------------- arrays


def integers(shape, dtype, seed, bound=3):
    """Return whole numbers from −bound to bound: so small that every order of summation gives the same bits."""
    return np.random.default_rng(seed).integers(-bound, bound + 1, shape).astype(dtype)


def inputs(geometry, direction, dtype, seed, bound=3):
    """Return the arrays that a direction takes, filled with integers."""
    names = geometry.SIGNATURES[direction][0]
    return [integers(geometry.shapes[name], dtype, [seed, i], bound) for i, name in enumerate(names)]


def floats(geometry, direction, dtype, seed):
    """Return the arrays that a direction takes, filled with numbers that round."""
    names = geometry.SIGNATURES[direction][0]
    rng = np.random.default_rng(seed)
    return [rng.uniform(-1, 1, geometry.shapes[name]).astype(dtype) for name in names]


# ---------------------------------------------------------------- rounding


def terms(geometry, direction):
    """Return how many products each number of a convolution's result is the sum of, a bias counted as one."""
    g = geometry
    return {
        "forward": g.in_channels // g.groups * math.prod(g.filter_size) + 1,
        "backward_input": g.out_channels // g.groups * math.prod(g.filter_size),
        "backward_weight": g.batch * math.prod(g.out_size),
        "backward_bias": g.batch * math.prod(g.out_size),
    }[registry.EPILOGUES.get(direction, direction)]


def rounding_bound(geometry, direction, arrays, dtype, factor=1):
    """Return how far rounding may lead from the exact result: 4 · factor · eps · terms · the largest product."""
    largest = math.prod(max(1.0, float(np.abs(array).max(initial=0))) for array in arrays[:2])
    if not geometry.padding_mode:
        largest *= max(1.0, abs(geometry.padding_value))
    return 4 * factor * float(np.finfo(dtype).eps) * terms(geometry, direction) * largest


# ---------------------------------------------------------------- the checks


def equals_definition(op, variant, level, direction, geometry, dtype, n_threads=THREADS, seed=0, bias=True):
    """Compare a direction with the definition, number by number, on whole numbers."""
    if _refused(op, variant, level, direction, geometry, dtype):
        return False
    arrays, expected = definition(geometry, direction, dtype, seed, bias)
    factor = registry.rounding_factor(op, variant, level, (direction, geometry, dtype))
    allowed = rounding_bound(geometry, direction, arrays, dtype, factor) if factor != 1 else 0.0
    for n in n_threads:
        out = np.full(expected.shape, np.nan, dtype)  # what is not written is seen
        got = _result(op, direction, geometry, arrays, variant=variant, level=level, n_threads=n, out=out)
        difference = first_difference(got, expected, allowed)
        if difference:
            run = f"{direction} of {geometry} ({dtype}, {level}, {_plural(n)})"
            raise Inexact(f"{op}: variant {variant} differs from the definition in {run}, first at {difference}")
    return True


def same_bits(op, variant, level, direction, geometry, dtype, n_threads=THREADS, seed=2):
    """Compare the bits that different numbers of threads give, and those of two runs with one thread."""
    if _refused(op, variant, level, direction, geometry, dtype):
        return False
    arrays = floats(geometry, direction, dtype, seed)
    first = None
    for n in (1, *n_threads):
        got = _result(op, direction, geometry, arrays, variant=variant, level=level, n_threads=n)
        first = got if first is None else first
        if got.tobytes() != first.tobytes():
            run = f"{direction} of {geometry} ({dtype}, {level})"
            where = first_difference(got, first, other="with one thread") or "the sign of a zero"
            raise Inexact(f"{op}: variant {variant} gives other bits with {_plural(n)} in {run}, first at {where}")
    return True


def rounds_within_bound(op, variant, level, direction, geometry, dtype, seed=1):
    """Compare a direction with the definition in float64, on numbers that round."""
    if _refused(op, variant, level, direction, geometry, dtype):
        return False
    arrays = floats(geometry, direction, dtype, seed)
    exact = kernels.run(op, direction, geometry, *(a.astype("f8") for a in arrays), variant="reference")
    got = _result(op, direction, geometry, arrays, variant=variant, level=level)
    factor = registry.rounding_factor(op, variant, level, (direction, geometry, dtype))
    bound = rounding_bound(geometry, direction, arrays, dtype, factor)
    difference = first_difference(got, exact, bound)
    if difference:
        run = f"{direction} of {geometry} ({dtype}, {level})"
        raise Inexact(f"{op}: variant {variant} rounds by more than {bound:.3g} in {run}, first at {difference}")
    return True


def adjoint_identity(op, variant, level, geometry, dtype, seed=0):
    """Check that forward, without bias, and both gradients are one and the same bilinear form.

    ``sum(conv(x, w) · g) == sum(x · backward_input(g, w)) == sum(w · backward_weight(g, x))``. A constant other than 0
    around the image is no part of x: then only the weight gradient is adjoint, and the rest is checked with zeros.
    """
    zeros = geometry if geometry.padding_mode else dataclasses.replace(geometry, padding_value=0.0)
    checked = False
    for problem, gradients in ((geometry, ("backward_weight",)), (zeros, ("backward_input", "backward_weight"))):
        for gradient in gradients:
            checked |= _is_adjoint(op, variant, level, gradient, problem, dtype, seed)
    return checked


def _is_adjoint(op, variant, level, gradient, geometry, dtype, seed):
    """Check one identity: of the forward pass and one gradient."""
    if any(_refused(op, variant, level, direction, geometry, dtype) for direction in ("forward", gradient)):
        return False
    x, weight, _ = inputs(geometry, "forward", dtype, seed)
    g = integers(geometry.shapes["y"], dtype, seed + 1)
    how = {"variant": variant, "level": level}
    y = _result(op, "forward", geometry, (x, weight, None), **how)
    fixed, varied = (weight, x) if gradient == "backward_input" else (x, weight)
    back = _result(op, gradient, geometry, (g, fixed), **how)
    there, here = _sum_of_products(y, g), _sum_of_products(varied, back)
    allowed = 0.0
    for direction, taken, other in (("forward", (x, weight), g), (gradient, (g, fixed), varied)):
        factor = registry.rounding_factor(op, variant, level, (direction, geometry, dtype))
        if factor != 1:
            allowed += rounding_bound(geometry, direction, taken, dtype, factor) * np.abs(other).sum()
    if not abs(there - here) <= allowed:
        sums = f"sum(y · grad_y) is {there:g}, sum({'x' if varied is x else 'weight'} · its gradient) {here:g}"
        raise Inexact(f"{op}: variant {variant}: {gradient} is not the adjoint of forward for {geometry} "
                      f"({dtype}, {level}): {sums}")  # fmt: skip
    return True


def _sum_of_products(a, b):
    return float((a.astype("f8") * b).sum())


# ---------------------------------------------------------------- their parts


@functools.lru_cache(maxsize=512)
def definition(geometry, direction, dtype, seed, bias):
    """Return (whole numbers as inputs, read-only; what the definition makes of them)."""
    arrays = inputs(geometry, direction, dtype, seed)
    for array in arrays:
        array.flags.writeable = False
    if direction.startswith("forward") and not bias:
        arrays[2] = None
    return arrays, kernels.run(geometry.op, direction, geometry, *arrays, variant="reference")


def definition_seconds(geometry, direction):
    """Return about how long the definition takes: a call of NumPy per output pixel and group, and the operations."""
    return math.prod(geometry.out_size) * geometry.groups * 2e-5 + geometry.operations(direction) / 5e8


def first_difference(got, expected, allowed=0.0, other="by definition"):
    """Return where and how two arrays first differ by more than `allowed`, in words; None where they do not.

    Examples
    --------
    >>> first_difference(np.array([1.0, 2.0, 4.0]), np.array([1.0, 3.0, 5.0]))
    '[1]: 2.0, by definition 3.0 (2 of 3 numbers differ)'
    """
    equal = np.abs(got - expected) <= allowed if allowed else got == expected
    if equal.all():
        return None
    where = np.argwhere(~equal)
    first = tuple(where[0])
    numbers = f"{got[first]}, {other} {expected[first]} ({len(where):,} of {equal.size:,} numbers differ)"
    return f"[{', '.join(map(str, first))}]: {numbers}"


def _result(op, direction, geometry, arrays, variant, **how):
    """Return what a variant computes; an exception of its own names it."""
    try:
        return kernels.run(op, direction, geometry, *arrays, variant=variant, **how)
    except Exception as error:
        reason = f"{type(error).__name__}: {error}"
        raise Inexact(f"{op}: variant {variant} fails in {direction} of {geometry} with {reason}") from error


def _refused(op, variant, level, direction, geometry, dtype):
    return kernels.refusal(op, variant, direction, geometry, np.dtype(dtype), level) is not None


def _plural(n):
    return f"{n} thread{'s' if n > 1 else ''}"


def verify(op, variant, level, geometries):
    """Run all checks on a variant; return how many it took part in.

    Parameters
    ----------
    op, variant, level : str
    geometries : iterable of ConvGeometry
        Those of other ops are left out.

    Raises
    ------
    Inexact
        At the first failure; or if the variant refuses everything, so that nothing shows that it is right.
    """
    count = 0
    module = registry.load(op, variant, level)
    directions = [direction for direction in ConvGeometry.SIGNATURES if hasattr(module, direction)]
    for geometry in geometries:
        if geometry.op != op:
            continue
        for dtype in DTYPES:
            for direction in directions:
                count += equals_definition(op, variant, level, direction, geometry, dtype)
                count += same_bits(op, variant, level, direction, geometry, dtype)
                count += bool(geometry.batch) and rounds_within_bound(op, variant, level, direction, geometry, dtype)
            count += adjoint_identity(op, variant, level, geometry, dtype)
    if not count:
        raise Inexact(f"{op}: variant {variant} refuses every problem that it could be checked on")
    return count
