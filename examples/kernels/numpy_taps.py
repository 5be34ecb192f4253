"""A convolution kernel in NumPy: one product of matrices per tap of the filter, all images and pixels at once.

Shows: a file that is a variant, all three directions, and a reason for each problem that is left to others.
"""

import numpy as np


def supports(direction, geometry, dtype, level):
    """Return None, or the reason why not; `convcore explain` prints it."""
    if geometry.groups > 1:
        return f"{geometry.groups} groups, wants 1"
    return None if geometry.padding_value == 0 else f"{geometry.padding_value} around the image, wants 0"


def forward(geometry, x, weight, bias, y, n_threads):
    """Write y (N, K, OH, OW) from x (N, C, H, W), weight (K, C, R, S), and bias (K,) or None."""
    padded = np.pad(x, ((0, 0), (0, 0), *geometry.padding))
    y[...] = 0 if bias is None else bias[:, None, None]
    for u, v, cells in taps(geometry):
        y += np.einsum("nchw,kc->nkhw", padded[cells], weight[:, :, u, v], optimize=True)


def backward_input(geometry, grad_y, weight, grad_x, n_threads):
    """Write grad_x (N, C, H, W): what each output read through a tap, it sends its gradient back to."""
    (top, bottom), (left, right) = geometry.padding
    N, C, H, W = grad_x.shape
    padded = np.zeros((N, C, top + H + bottom, left + W + right), grad_x.dtype)
    for u, v, cells in taps(geometry):
        padded[cells] += np.einsum("nkhw,kc->nchw", grad_y, weight[:, :, u, v], optimize=True)
    grad_x[...] = padded[:, :, top : top + H, left : left + W]


def backward_weight(geometry, grad_y, x, grad_weight, n_threads):
    """Write grad_weight (K, C, R, S): each tap's gradient is grad_y times what the tap saw."""
    padded = np.pad(x, ((0, 0), (0, 0), *geometry.padding))
    for u, v, cells in taps(geometry):
        grad_weight[:, :, u, v] = np.einsum("nkhw,nchw->kc", grad_y, padded[cells], optimize=True)


def taps(geometry):
    """Yield (u, v, index of the padded image's cells that this tap of the filter meets, one per output)."""
    (R, S), (SH, SW), (DH, DW), (OH, OW) = geometry.filter_size, geometry.stride, geometry.dilation, geometry.out_size
    for u in range(R):
        for v in range(S):
            rows = slice(u * DH, u * DH + (OH - 1) * SH + 1, SH)
            columns = slice(v * DW, v * DW + (OW - 1) * SW + 1, SW)
            yield u, v, (slice(None), slice(None), rows, columns)
