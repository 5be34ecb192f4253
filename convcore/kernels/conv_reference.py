"""Convolution as it is defined: one output pixel at a time, in NumPy. Every other variant must agree with it.

Each output pixel looks at a window of the padded image; the three directions are the three ways to read, here in two
dimensions, ``y[n, k, i, j] = Σ window[n, c, u, v] · weight[k, c, u, v]``.
"""

import numpy as np

from convcore.kernels import max_pool_reference
from convcore.kernels.pool_geometry import PoolGeometry
from convcore.kernels.windows import PADDING_MODES

EVERY = slice(None)
TAPS = {1: "u", 2: "uv", 3: "tuv"}  # einsum's letters for the dimensions of a filter


def windows(geometry):
    """Yield (pixel, where): each output pixel, and the slices of the padded image under it, over all channels."""
    for pixel in np.ndindex(*geometry.out_size):
        axes = zip(pixel, geometry.stride, geometry.dilation, geometry.filter_size, strict=True)
        yield pixel, tuple(slice(o * s, o * s + (k - 1) * d + 1, d) for o, s, d, k in axes)


def groups(geometry):
    """Yield (channels, filters) of each group as slices."""
    CG, FG = geometry.in_channels // geometry.groups, geometry.out_channels // geometry.groups
    for g in range(geometry.groups):
        yield slice(g * CG, (g + 1) * CG), slice(g * FG, (g + 1) * FG)


def padded(x, geometry):
    """Return x with its borders added."""
    pairs, value = ((0, 0), (0, 0), *geometry.padding), geometry.padding_value
    if isinstance(value, str):
        return np.pad(x, pairs, mode=PADDING_MODES[value])
    return np.pad(x, pairs, constant_values=value)


def folded(image, geometry):
    """Return the gradient of x from that of the padded image: each cell of a border belongs to the cell it repeats."""
    if isinstance(geometry.padding_value, str):
        mode = {"mode": PADDING_MODES[geometry.padding_value]}
    else:
        mode = {"constant_values": -1}  # a constant comes from no cell
    for axis, (size, pair) in enumerate(zip(geometry.in_size, geometry.padding, strict=True), 2):
        cells = np.pad(np.arange(size), pair, **mode)
        image, whole = np.zeros((*image.shape[:axis], size, *image.shape[axis + 1 :]), image.dtype), image
        np.add.at(image, (EVERY,) * axis + (cells[cells >= 0],), np.compress(cells >= 0, whole, axis))
    return image


def forward(geometry, x, weight, bias, y, n_threads):
    """Write y: (N, IC, ...), (OC, IC/G, ...), (OC,) or None -> (N, OC, ...)."""
    image, taps = padded(x, geometry), TAPS[len(geometry.in_size)]
    for pixel, where in windows(geometry):
        for channels, filters in groups(geometry):
            window = image[(EVERY, channels, *where)]
            y[(EVERY, filters, *pixel)] = np.einsum(f"nc{taps},kc{taps}->nk", window, weight[filters])
    if bias is not None:
        y += bias.reshape(-1, *(1,) * len(geometry.in_size))


def forward_pool(geometry, x, weight, bias, pooled, index, n_threads):
    """Write the maxima of ReLU(y) in windows of 2×2, and their places in a plane of y, -1 where they are 0."""
    y = np.empty(geometry.shapes["y"], x.dtype)
    forward(geometry, x, weight, bias, y, n_threads)
    pool = PoolGeometry.of("max_pool2d", y.shape, 2)
    max_pool_reference.forward_relu(pool, y, pooled, index, n_threads)


def backward_input(geometry, grad_y, weight, grad_x, n_threads):
    """Write grad_x: what each output pixel read, it sends its gradient back to."""
    sizes = [before + size + after for size, (before, after) in zip(geometry.in_size, geometry.padding, strict=True)]
    image, taps = np.zeros((geometry.batch, geometry.in_channels, *sizes), grad_x.dtype), TAPS[len(sizes)]
    for pixel, where in windows(geometry):
        for channels, filters in groups(geometry):
            gradient = grad_y[(EVERY, filters, *pixel)]
            image[(EVERY, channels, *where)] += np.einsum(f"nk,kc{taps}->nc{taps}", gradient, weight[filters])
    grad_x[...] = folded(image, geometry)


def backward_weight(geometry, grad_y, x, grad_weight, n_threads):
    """Write grad_weight: each weight's gradient is grad_y times what that weight was multiplied with."""
    image, taps = padded(x, geometry), TAPS[len(geometry.in_size)]
    grad_weight.fill(0)
    for pixel, where in windows(geometry):
        for channels, filters in groups(geometry):
            gradient, window = grad_y[(EVERY, filters, *pixel)], image[(EVERY, channels, *where)]
            grad_weight[filters] += np.einsum(f"nk,nc{taps}->kc{taps}", gradient, window)


def backward_bias(geometry, grad_y, grad_bias, n_threads):
    """Write grad_bias: a filter's bias is added to every pixel of its outputs."""
    grad_bias[...] = grad_y.sum(axis=(0, *range(2, grad_y.ndim)))


def backward_weight_bias(geometry, grad_y, x, grad_weight, grad_bias, n_threads):
    """Write both of these gradients."""
    backward_weight(geometry, grad_y, x, grad_weight, n_threads)
    backward_bias(geometry, grad_y, grad_bias, n_threads)


def backward_weight_bias_pool(geometry, grad_pooled, index, x, grad_weight, grad_bias, n_threads):
    """Write both from the gradient of what `forward_pool` pooled: of each window it goes to the cell that won."""
    grad_y = np.empty(geometry.shapes["y"], x.dtype)
    pool = PoolGeometry.of("max_pool2d", grad_y.shape, 2)
    max_pool_reference.backward_input(pool, grad_pooled, index, grad_y, n_threads)
    backward_weight_bias(geometry, grad_y, x, grad_weight, grad_bias, n_threads)


def backward_weight_bias_relu(geometry, grad_y, y, x, grad_weight, grad_bias, n_threads):
    """Write both from the gradient of ReLU's outputs y: it passes where they are above 0, or NaN."""
    backward_weight_bias(geometry, np.where(y <= 0, 0, grad_y), x, grad_weight, grad_bias, n_threads)
