"""Average-pooling in 1-D to 3-D as it is defined: one window at a time."""

import math

import numpy as np

from convcore.kernels.max_pool_reference import cells


def windows(geometry):
    """Yield (here, where, divisor, padded) for each output cell.

    `here` is its place in y; `where` are the input's cells under it (None: only padding), `divisor` is what to divide
    their sum by, `padded` how many of the cells that count are padding. What lies beyond the padding never counts.
    """
    for position in np.ndindex(*geometry.out_size):
        coordinates = cells(geometry, position)
        inside = math.prod(len(axis) for axis in coordinates)
        divisor = inside if geometry.padding_value == "mean" else _in_padded_input(geometry, position)
        where = (slice(None), slice(None), *np.ix_(*coordinates)) if inside else None
        yield (..., *position), where, divisor, divisor - inside


def _in_padded_input(geometry, position):
    """Return how many cells of a window lie in the padded input; only in ceil mode some may not."""
    axes = zip(position, geometry.in_size, geometry.pool_size, geometry.stride, geometry.padding, geometry.dilation,
               strict=True)  # fmt: skip
    return math.prod(
        sum(o * stride + k * dilation < before + size + after for k in range(window))
        for o, size, window, stride, (before, after), dilation in axes
    )


def forward(geometry, x, y, n_threads):
    """Write the averages y (N, C, *out)."""
    padding = 0 if geometry.padding_value == "mean" else geometry.padding_value
    spatial = tuple(range(2, x.ndim))
    for here, where, divisor, padded in windows(geometry):
        total = x[where].sum(axis=spatial) if where else np.zeros(x.shape[:2], x.dtype)
        if padded:
            total += padding * padded
        y[here] = total / divisor if divisor else 0


def backward_input(geometry, grad_y, grad_x, n_threads):
    """Write grad_x (N, C, *in)."""
    grad_x.fill(0)
    each = (..., *(None,) * (grad_x.ndim - 2))  # (N, C) -> (N, C, 1...): the same share for every cell
    for here, where, divisor, _ in windows(geometry):
        if where:
            grad_x[where] += (grad_y[here] / grad_y.dtype.type(divisor))[each]
