"""Max-pooling in 1-D to 3-D as it is defined: one window at a time."""

import numpy as np


def cells(geometry, position):
    """Return per dimension the input's coordinates under the output cell at `position`, padding left out."""
    axes = zip(position, geometry.in_size, geometry.pool_size, geometry.stride, geometry.padding, geometry.dilation,
               strict=True)  # fmt: skip
    return tuple(
        [o * stride + k * dilation - before for k in range(window) if 0 <= o * stride + k * dilation - before < size]
        for o, size, window, stride, (before, _), dilation in axes
    )


def forward(geometry, x, y, index, n_threads):
    """Write maxima y and their flat positions index (N, C, *out); -inf and -1 where a window sees only padding."""
    for position in np.ndindex(*geometry.out_size):
        here = (..., *position)
        coordinates = cells(geometry, position)
        if not all(coordinates):
            y[here], index[here] = -np.inf, -1
            continue
        where = np.ix_(*coordinates)
        window = x[(slice(None), slice(None), *where)].reshape(*x.shape[:2], -1)  # (N, C, cells)
        best = window.argmax(axis=2)  # the first of equals, the first NaN if there is one
        y[here] = np.take_along_axis(window, best[..., None], axis=2)[..., 0]
        index[here] = np.ravel_multi_index(where, geometry.in_size).ravel()[best]


def forward_relu(geometry, x, y, index, n_threads):
    """Write the maxima of ReLU(x); index is -1 where they are 0, from where no gradient goes anywhere."""
    forward(geometry, np.where(x <= 0, 0, x), y, index, n_threads)
    index[y == 0] = -1


def backward_input(geometry, grad_y, index, grad_x, n_threads):
    """Write grad_x (N, C, *in)."""
    grad_x.fill(0)
    for here in np.ndindex(*grad_y.shape):
        if index[here] >= 0:
            grad_x[here[:2]].flat[index[here]] += grad_y[here]
