"""Affine maps of images as they are defined: bilinear interpolation, one gather per neighbour."""

import numpy as np


def forward(geometry, x, transform, y, n_threads, fill):
    """Write y[n, :, i, j] = x[n, :] at the place that transform[n] · (i, j, 1) names; `fill` outside the image."""
    N, C, H, W = x.shape
    kind = x.dtype.type
    rows = np.arange(H, dtype=x.dtype)[:, None]
    columns = np.arange(W, dtype=x.dtype)
    (a, b, top), (c, d, left) = (transform[:, k].T[:, :, None, None] for k in (0, 1))
    row = (a * rows + b * columns) + top  # (N, H, W): where each output pixel is read
    column = (c * rows + d * columns) + left
    # One cell of filling around the image; whatever lies farther out reads that, too. (NaN cannot occur.)
    framed = np.full((N, C, H + 2, W + 2), kind(fill))
    framed[:, :, 1:-1, 1:-1] = x
    row, column = np.clip(row, -1, H), np.clip(column, -1, W)
    i = np.minimum(np.floor(row), kind(H - 1))
    j = np.minimum(np.floor(column), kind(W - 1))
    down, right = (row - i)[:, None], (column - j)[:, None]  # (N, 1, H, W): how far beyond the upper left neighbour
    n, i, j = np.arange(N)[:, None, None], i.astype(np.intp) + 1, j.astype(np.intp) + 1

    def at(i, j):
        return framed.transpose(0, 2, 3, 1)[n, i, j].transpose(0, 3, 1, 2)  # (N, C, H, W)

    upper = (1 - right) * at(i, j) + right * at(i, j + 1)
    lower = (1 - right) * at(i + 1, j) + right * at(i + 1, j + 1)
    y[...] = (1 - down) * upper + down * lower
