"""Average-pooling as it is defined: one window at a time."""

import numpy as np

from convcore.kernels.max_pool2d_reference import cells


def windows(geometry):
    """Yield (i, j, where, divisor, padded): the cells under each output, what to divide by, how many are padding."""
    area = geometry.pool_size[0] * geometry.pool_size[1]
    for i, j in np.ndindex(*geometry.out_size):
        rows, columns = cells(geometry, i, j)
        inside = len(rows) * len(columns)
        divisor = inside if geometry.padding_value == "mean" else area
        where = (slice(None), slice(None), *np.ix_(rows, columns)) if inside else None
        yield i, j, where, divisor, divisor - inside


def forward(geometry, x, y, n_threads):
    """Write the averages y (N, C, OH, OW)."""
    padding = 0 if geometry.padding_value == "mean" else geometry.padding_value
    for i, j, where, divisor, padded in windows(geometry):
        total = x[where].sum(axis=(2, 3)) if where else np.zeros(x.shape[:2], x.dtype)
        if padded:
            total += padding * padded
        y[:, :, i, j] = total / divisor if divisor else 0


def backward_input(geometry, grad_y, grad_x, n_threads):
    """Write grad_x (N, C, IH, IW)."""
    grad_x.fill(0)
    for i, j, where, divisor, _ in windows(geometry):
        if where:
            grad_x[where] += (grad_y[:, :, i, j] / grad_y.dtype.type(divisor))[:, :, None, None]
