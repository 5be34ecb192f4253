"""Convolution as it is defined: one output pixel at a time, in NumPy. Every other variant must agree with it.

Each output pixel looks at a window of the padded image; the three directions are the three ways to read
``y[n, k, i, j] = Σ window[n, c, u, v] · weight[k, c, u, v]``.
"""

import numpy as np


def windows(geometry):
    """Yield (i, j, where): the slices of the padded image under each output pixel, over all images and channels."""
    (SH, SW), (DH, DW), (KH, KW) = geometry.stride, geometry.dilation, geometry.filter_size
    OH, OW = geometry.out_size
    for i in range(OH):
        for j in range(OW):
            rows = slice(i * SH, i * SH + (KH - 1) * DH + 1, DH)
            columns = slice(j * SW, j * SW + (KW - 1) * DW + 1, DW)
            yield i, j, (slice(None), slice(None), rows, columns)


def groups(geometry):
    """Yield (channels, filters) of each group as slices."""
    CG, FG = geometry.in_channels // geometry.groups, geometry.out_channels // geometry.groups
    for g in range(geometry.groups):
        yield slice(g * CG, (g + 1) * CG), slice(g * FG, (g + 1) * FG)


def padded(x, geometry):
    """Return x with its borders added."""
    return np.pad(x, ((0, 0), (0, 0), *geometry.padding), constant_values=geometry.padding_value)


def forward(geometry, x, weight, bias, y, n_threads):
    """Write y: (N, IC, IH, IW), (OC, IC/G, KH, KW), (OC,) or None -> (N, OC, OH, OW)."""
    image = padded(x, geometry)
    for i, j, where in windows(geometry):
        window = image[where]
        for channels, filters in groups(geometry):
            y[:, filters, i, j] = np.einsum("ncuv,kcuv->nk", window[:, channels], weight[filters])
    if bias is not None:
        y += bias[:, None, None]


def backward_input(geometry, grad_y, weight, grad_x, n_threads):
    """Write grad_x: what each output pixel read, it sends its gradient back to; borders are cut off again."""
    N, (top, bottom), (left, right) = geometry.batch, *geometry.padding
    IH, IW = geometry.in_size
    image = np.zeros((N, geometry.in_channels, top + IH + bottom, left + IW + right), grad_x.dtype)
    for i, j, where in windows(geometry):
        window = image[where]
        for channels, filters in groups(geometry):
            window[:, channels] += np.einsum("nk,kcuv->ncuv", grad_y[:, filters, i, j], weight[filters])
    grad_x[...] = image[:, :, top : top + IH, left : left + IW]


def backward_weight(geometry, grad_y, x, grad_weight, n_threads):
    """Write grad_weight: each weight's gradient is grad_y times what that weight was multiplied with."""
    image = padded(x, geometry)
    grad_weight.fill(0)
    for i, j, where in windows(geometry):
        window = image[where]
        for channels, filters in groups(geometry):
            grad_weight[filters] += np.einsum("nk,ncuv->kcuv", grad_y[:, filters, i, j], window[:, channels])


def backward_bias(geometry, grad_y, grad_bias, n_threads):
    """Write grad_bias: a filter's bias is added to every pixel of its outputs."""
    grad_bias[...] = np.einsum("nkhw->k", grad_y)
