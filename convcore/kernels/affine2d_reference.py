"""Affine maps of images as they are defined: bilinear interpolation, one gather per neighbour."""

import numpy as np

from convcore.kernels.arguments import rows_named


def forward(geometry, x, transform, y, n_threads, fill):
    """Write y[n, :, i, j] = x[n, :] at the place that transform[n] · (i, j, 1) names; `fill` outside the image."""
    N, C, H, W = x.shape
    kind = y.dtype.type
    rows = np.arange(H, dtype=y.dtype)[:, None]
    columns = np.arange(W, dtype=y.dtype)
    (a, b, top), (c, d, left) = (transform[:, k].T[:, :, None, None] for k in (0, 1))
    row = (a * rows + b * columns) + top  # (N, H, W): where each output pixel is read
    column = (c * rows + d * columns) + left
    outside = ~((row > -1) & (row < H) & (column > -1) & (column < W))
    row, column = np.where(outside, 0, row), np.where(outside, 0, column)
    framed = np.full((N, C, H + 2, W + 2), kind(fill))  # one cell of filling around the image
    framed[:, :, 1:-1, 1:-1] = x
    i, j = np.floor(row), np.floor(column)
    down, right = (row - i)[:, None], (column - j)[:, None]  # (N, 1, H, W): how far beyond the upper left neighbour
    n, i, j = np.arange(N)[:, None, None], i.astype(np.intp) + 1, j.astype(np.intp) + 1

    def at(i, j):
        return framed.transpose(0, 2, 3, 1)[n, i, j].transpose(0, 3, 1, 2)  # (N, C, H, W)

    upper = (1 - right) * at(i, j) + right * at(i, j + 1)
    lower = (1 - right) * at(i + 1, j) + right * at(i + 1, j + 1)
    y[...] = np.where(outside[:, None], kind(fill), (1 - down) * upper + down * lower)


def gather(geometry, x, index, transform, scale, shift, y, n_threads, fill):
    """Write y[n] = what forward makes of x[index[n]], times scale[c], plus shift[c]."""
    forward(geometry, rows_named("affine2d", x, index), transform, y, n_threads, fill)
    y[...] = y * scale[:, None, None] + shift[:, None, None]
