"""What variants share that hand a problem on, in parts: `padded` and `phases` prepare images, others compute them."""

import numpy as np

from convcore.kernels import dispatch, registry


def run(part, direction, *inputs, level, n_threads, out):
    """Compute a direction of a part by the variant that suits it, even where another is forced.

    Parameters
    ----------
    part : ConvGeometry
        The problem of the part.
    direction : str
        ``"forward"``, ``"backward_input"`` or ``"backward_weight"``.
    *inputs : ndarray
        As the direction takes them, in the shapes of the part.
    level : str
        Instruction-set level of the caller.
    n_threads : int
        Threads to run on.
    out : ndarray
        Written: the result of the part.
    """
    variant = dispatch.chosen(part.op, direction, part, out.dtype, level)
    dispatch.run(part.op, direction, part, *inputs, variant=variant, level=level, n_threads=n_threads, out=out)


def added_up(parts, grad_weight):
    """Yield (start, part, sums) per part of the images; what is written to sums is added up in grad_weight, in order.

    Examples
    --------
    >>> total = np.empty(2)
    >>> for start, part, sums in added_up([(0, "first"), (3, "second")], total):
    ...     sums[...] = start + 1
    >>> total
    array([5., 5.])
    """
    sums = grad_weight
    for start, part in parts:
        yield start, part, sums
        if sums is not grad_weight:
            grad_weight += sums
        else:
            sums = np.empty_like(grad_weight)


def rounding_factor(parts, direction, dtype, level):
    """Return the largest rounding factor of the variants that compute the parts: (start, part) each."""
    return max((_factor(part, direction, dtype, level) for part in {part for _, part in parts}), default=1.0)


def _factor(part, direction, dtype, level):
    name = dispatch.chosen(part.op, direction, part, dtype, level)
    return registry.rounding_factor(part.op, name, level, (direction, part, dtype))
