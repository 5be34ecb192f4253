"""Max-pooling as it is defined: one window at a time."""

import numpy as np


def cells(geometry, i, j):
    """Return rows and columns of the input under output pixel (i, j), padding left out."""
    axes = zip((i, j), geometry.in_size, geometry.pool_size, geometry.stride, geometry.padding, geometry.dilation,
               strict=True)  # fmt: skip
    return tuple(
        [o * stride + k * dilation - before for k in range(window) if 0 <= o * stride + k * dilation - before < size]
        for o, size, window, stride, (before, _), dilation in axes
    )


def forward(geometry, x, y, index, n_threads):
    """Write maxima y and their flat positions index (N, C, OH, OW); -inf and -1 where a window sees only padding."""
    IW = geometry.in_size[1]
    for i, j in np.ndindex(*geometry.out_size):
        rows, columns = cells(geometry, i, j)
        if not rows or not columns:
            y[:, :, i, j], index[:, :, i, j] = -np.inf, -1
            continue
        window = x[:, :, rows][..., columns].reshape(*x.shape[:2], -1)  # (N, C, cells)
        best = window.argmax(axis=2)  # the first of equals, the first NaN if there is one
        y[:, :, i, j] = np.take_along_axis(window, best[..., None], axis=2)[..., 0]
        index[:, :, i, j] = np.array([r * IW + c for r in rows for c in columns])[best]


def backward_input(geometry, grad_y, index, grad_x, n_threads):
    """Write grad_x."""
    grad_x.fill(0)
    for n, c, i, j in np.ndindex(*grad_y.shape):
        if index[n, c, i, j] >= 0:
            grad_x[n, c].flat[index[n, c, i, j]] += grad_y[n, c, i, j]
