"""The pooling kernels as functions of arrays and options, in 1-D to 3-D, for those who want no autograd.

All take ``variant=None, level=None, n_threads=None, out=None`` besides what is listed, as `run` does, and raise the
errors of `PoolGeometry.of` and `run`. Options and the rule for `ceil_mode` are those of the differentiable functions of
the same name.
"""

import math

import numpy as np

from convcore.kernels.arguments import float_arrays, shape_of
from convcore.kernels.dispatch import run
from convcore.kernels.pool_geometry import PoolGeometry


def _forward(op, x, window, **how):
    """Run a pooling forward; `window` are the arguments of PoolGeometry.of behind the shape."""
    (x,) = float_arrays(op, x=x)
    return run(op, "forward", PoolGeometry.of(op, x.shape, *window), x, **how)


def _max_backward(op, grad_y, index, input_shape, window, **how):
    """Run a max-pooling backward, after a check of the index."""
    (grad_y,) = float_arrays(op, grad_y=grad_y)
    index = np.asarray(index)
    geometry = PoolGeometry.of(op, shape_of(op, "input_shape", input_shape, int(op[-2]) + 2), *window)
    cells = math.prod(geometry.in_size)
    if index.dtype == np.int32 and index.size and not -1 <= index.min() <= index.max() < cells:
        raise ValueError(f"{op}: index must lie in [-1, {cells - 1}], got {index.min()} to {index.max()}")
    return run(op, "backward_input", geometry, grad_y, index, **how)


def _avg_backward(op, grad_y, input_shape, window, **how):
    """Run an average-pooling backward."""
    (grad_y,) = float_arrays(op, grad_y=grad_y)
    geometry = PoolGeometry.of(op, shape_of(op, "input_shape", input_shape, int(op[-2]) + 2), *window)
    return run(op, "backward_input", geometry, grad_y, **how)


def max_pool1d_forward(x, pool_size, *, stride=None, padding=0, dilation=1, ceil_mode=False, variant=None, level=None,
                       n_threads=None, out=None):  # fmt: skip
    """Return (y, index) of x (N, C, W): the maxima (N, C, W_out), and where they stood.

    The index is int32, flat in its row, and -1 where only padding was seen.

    Examples
    --------
    >>> y, index = max_pool1d_forward([[[1.0, 3.0]]], 2)
    >>> y.item(), index.item()
    (3.0, 1)
    """
    return _forward("max_pool1d", x, (pool_size, stride, padding, dilation, None, ceil_mode),
                    variant=variant, level=level, n_threads=n_threads, out=out)  # fmt: skip


def max_pool1d_backward_input(grad_y, index, input_shape, pool_size, *, stride=None, padding=0, dilation=1,
                              ceil_mode=False, variant=None, level=None, n_threads=None, out=None):  # fmt: skip
    """Return the gradient of max_pool1d's x, of shape `input_shape`; `index` is what the forward kernel returned.

    Raises
    ------
    ValueError
        Besides the usual: an index outside its row.

    Examples
    --------
    >>> max_pool1d_backward_input([[[5.0]]], np.full((1, 1, 1), 1, np.int32), (1, 1, 2), 2)[0]
    array([[0., 5.]])
    """
    return _max_backward("max_pool1d", grad_y, index, input_shape,
                         (pool_size, stride, padding, dilation, None, ceil_mode),
                         variant=variant, level=level, n_threads=n_threads, out=out)  # fmt: skip


def max_pool2d_forward(x, pool_size, *, stride=None, padding=0, dilation=1, ceil_mode=False, variant=None, level=None,
                       n_threads=None, out=None):  # fmt: skip
    """Return (y, index) of x (N, C, H, W): the maxima (N, C, H_out, W_out), and where they stood.

    The index is int32, flat in its plane, and -1 where only padding was seen.

    Examples
    --------
    >>> y, index = max_pool2d_forward([[[[1.0, 3.0], [2.0, 0.0]]]], 2)
    >>> y.item(), index.item()
    (3.0, 1)
    """
    return _forward("max_pool2d", x, (pool_size, stride, padding, dilation, None, ceil_mode),
                    variant=variant, level=level, n_threads=n_threads, out=out)  # fmt: skip


def max_pool2d_backward_input(grad_y, index, input_shape, pool_size, *, stride=None, padding=0, dilation=1,
                              ceil_mode=False, variant=None, level=None, n_threads=None, out=None):  # fmt: skip
    """Return the gradient of max_pool2d's x, of shape `input_shape`; `index` is what the forward kernel returned.

    Raises
    ------
    ValueError
        Besides the usual: an index outside its plane.

    Examples
    --------
    >>> max_pool2d_backward_input([[[[5.0]]]], np.full((1, 1, 1, 1), 1, np.int32), (1, 1, 2, 2), 2)[0, 0]
    array([[0., 5.],
           [0., 0.]])
    """
    return _max_backward("max_pool2d", grad_y, index, input_shape,
                         (pool_size, stride, padding, dilation, None, ceil_mode),
                         variant=variant, level=level, n_threads=n_threads, out=out)  # fmt: skip


def max_pool3d_forward(x, pool_size, *, stride=None, padding=0, dilation=1, ceil_mode=False, variant=None, level=None,
                       n_threads=None, out=None):  # fmt: skip
    """Return (y, index) of x (N, C, D, H, W): the maxima (N, C, D_out, H_out, W_out), and where they stood.

    The index is int32, flat in its volume, and -1 where only padding was seen.

    Examples
    --------
    >>> y, index = max_pool3d_forward([[[[[1.0, 3.0]]]]], (1, 1, 2))
    >>> y.item(), index.item()
    (3.0, 1)
    """
    return _forward("max_pool3d", x, (pool_size, stride, padding, dilation, None, ceil_mode),
                    variant=variant, level=level, n_threads=n_threads, out=out)  # fmt: skip


def max_pool3d_backward_input(grad_y, index, input_shape, pool_size, *, stride=None, padding=0, dilation=1,
                              ceil_mode=False, variant=None, level=None, n_threads=None, out=None):  # fmt: skip
    """Return the gradient of max_pool3d's x, of shape `input_shape`; `index` is what the forward kernel returned.

    Raises
    ------
    ValueError
        Besides the usual: an index outside its volume.

    Examples
    --------
    >>> index = np.full((1, 1, 1, 1, 1), 1, np.int32)
    >>> max_pool3d_backward_input([[[[[5.0]]]]], index, (1, 1, 1, 1, 2), (1, 1, 2))[0, 0, 0]
    array([[0., 5.]])
    """
    return _max_backward("max_pool3d", grad_y, index, input_shape,
                         (pool_size, stride, padding, dilation, None, ceil_mode),
                         variant=variant, level=level, n_threads=n_threads, out=out)  # fmt: skip


def avg_pool1d_forward(x, pool_size, *, stride=None, padding=0, padding_value=0, dilation=1, ceil_mode=False,
                       variant=None, level=None, n_threads=None, out=None):  # fmt: skip
    """Return the averages (N, C, W_out) under a window that slides over x (N, C, W).

    Examples
    --------
    >>> avg_pool1d_forward([[[1.0, 3.0]]], 2).item()
    2.0
    """
    return _forward("avg_pool1d", x, (pool_size, stride, padding, dilation, padding_value, ceil_mode),
                    variant=variant, level=level, n_threads=n_threads, out=out)  # fmt: skip


def avg_pool1d_backward_input(grad_y, input_shape, pool_size, *, stride=None, padding=0, padding_value=0, dilation=1,
                              ceil_mode=False, variant=None, level=None, n_threads=None, out=None):  # fmt: skip
    """Return the gradient of avg_pool1d's x, of shape `input_shape`.

    Examples
    --------
    >>> avg_pool1d_backward_input([[[4.0]]], (1, 1, 2), 2)[0]
    array([[2., 2.]])
    """
    return _avg_backward("avg_pool1d", grad_y, input_shape,
                         (pool_size, stride, padding, dilation, padding_value, ceil_mode),
                         variant=variant, level=level, n_threads=n_threads, out=out)  # fmt: skip


def avg_pool2d_forward(x, pool_size, *, stride=None, padding=0, padding_value=0, dilation=1, ceil_mode=False,
                       variant=None, level=None, n_threads=None, out=None):  # fmt: skip
    """Return the averages (N, C, H_out, W_out) under a window that slides over x (N, C, H, W).

    Examples
    --------
    >>> avg_pool2d_forward([[[[1.0, 3.0], [2.0, 0.0]]]], 2).item()
    1.5
    """
    return _forward("avg_pool2d", x, (pool_size, stride, padding, dilation, padding_value, ceil_mode),
                    variant=variant, level=level, n_threads=n_threads, out=out)  # fmt: skip


def avg_pool2d_backward_input(grad_y, input_shape, pool_size, *, stride=None, padding=0, padding_value=0, dilation=1,
                              ceil_mode=False, variant=None, level=None, n_threads=None, out=None):  # fmt: skip
    """Return the gradient of avg_pool2d's x, of shape `input_shape`.

    Examples
    --------
    >>> avg_pool2d_backward_input([[[[4.0]]]], (1, 1, 2, 2), 2)[0, 0]
    array([[1., 1.],
           [1., 1.]])
    """
    return _avg_backward("avg_pool2d", grad_y, input_shape,
                         (pool_size, stride, padding, dilation, padding_value, ceil_mode),
                         variant=variant, level=level, n_threads=n_threads, out=out)  # fmt: skip


def avg_pool3d_forward(x, pool_size, *, stride=None, padding=0, padding_value=0, dilation=1, ceil_mode=False,
                       variant=None, level=None, n_threads=None, out=None):  # fmt: skip
    """Return the averages (N, C, D_out, H_out, W_out) under a window that slides over x (N, C, D, H, W).

    Examples
    --------
    >>> avg_pool3d_forward([[[[[1.0, 3.0]]]]], (1, 1, 2)).item()
    2.0
    """
    return _forward("avg_pool3d", x, (pool_size, stride, padding, dilation, padding_value, ceil_mode),
                    variant=variant, level=level, n_threads=n_threads, out=out)  # fmt: skip


def avg_pool3d_backward_input(grad_y, input_shape, pool_size, *, stride=None, padding=0, padding_value=0, dilation=1,
                              ceil_mode=False, variant=None, level=None, n_threads=None, out=None):  # fmt: skip
    """Return the gradient of avg_pool3d's x, of shape `input_shape`.

    Examples
    --------
    >>> avg_pool3d_backward_input([[[[[4.0]]]]], (1, 1, 1, 1, 2), (1, 1, 2))[0, 0, 0]
    array([[2., 2.]])
    """
    return _avg_backward("avg_pool3d", grad_y, input_shape,
                         (pool_size, stride, padding, dilation, padding_value, ceil_mode),
                         variant=variant, level=level, n_threads=n_threads, out=out)  # fmt: skip
