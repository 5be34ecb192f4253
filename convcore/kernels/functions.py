"""The kernels as functions of arrays and options, for those who want no autograd.

All take ``variant=None, level=None, n_threads=None, out=None`` besides what is listed, as `run` does, and raise the
errors of `ConvGeometry.of` and `run`.
"""

import functools

import numpy as np  # noqa: F401  for the examples

from convcore.arrays import as_float_array, same_dtype
from convcore.kernels.arguments import float_arrays as _floats
from convcore.kernels.arguments import shape_of as _shape
from convcore.kernels.dispatch import run
from convcore.kernels.geometry import ConvGeometry
from convcore.kernels.matrix_geometry import MatrixGeometry

_matrices = functools.lru_cache(maxsize=1024)(MatrixGeometry)  # to make one takes a microsecond


def _geometry(op, x_shape, weight_shape, options):
    """Return the geometry; the options are those of conv2d."""
    unknown = set(options) - {"stride", "padding", "padding_value", "dilation", "groups"}
    if unknown:
        raise TypeError(f"{op}: unknown option {sorted(unknown)[0]!r}")
    axes = RANKS[op] + 2
    if len(x_shape) != axes or len(weight_shape) != axes:
        got = f"got {len(x_shape)} and {len(weight_shape)} (x {x_shape}, weight {weight_shape})"
        raise ValueError(f"{op}: x and weight must have {axes} axes, {got}")
    return ConvGeometry.of(x_shape, weight_shape, **options)


def _forward(op, x, weight, bias, geometry, how):
    x, weight, bias = _floats(op, x=x, weight=weight, bias=bias)
    return run(op, "forward", _geometry(op, x.shape, weight.shape, geometry), x, weight, bias, **how)


def _backward_input(op, grad_y, weight, input_shape, geometry, how):
    grad_y, weight = _floats(op, grad_y=grad_y, weight=weight)
    shape = _shape(op, "input_shape", input_shape, RANKS[op] + 2)
    return run(op, "backward_input", _geometry(op, shape, weight.shape, geometry), grad_y, weight, **how)


def _backward_weight(op, grad_y, x, weight_shape, geometry, how):
    grad_y, x = _floats(op, grad_y=grad_y, x=x)
    shape = _shape(op, "weight_shape", weight_shape, RANKS[op] + 2)
    return run(op, "backward_weight", _geometry(op, x.shape, shape, geometry), grad_y, x, **how)


def _backward_bias(op, grad_y, how):
    (grad_y,) = _floats(op, grad_y=grad_y)
    N, K, *size = _shape(op, "grad_y's shape", grad_y.shape, RANKS[op] + 2)
    # Any geometry with such an output: the sum does not ask.
    g = ConvGeometry.of((N, 1, *size), (K, 1, *(1,) * len(size)))
    return run(op, "backward_bias", g, grad_y, **how)


RANKS = {"conv1d": 1, "conv2d": 2, "conv3d": 3}


def conv1d_forward(x, weight, bias=None, *, variant=None, level=None, n_threads=None, out=None, **geometry):
    """Return conv1d of x (N, C, W) with weight (K, C // groups, S) and bias (K,): (N, K, W_out).

    Examples
    --------
    >>> conv1d_forward(np.ones((1, 1, 4)), np.ones((1, 1, 3)), padding=1)[0, 0]
    array([2., 3., 3., 2.])
    """
    how = dict(variant=variant, level=level, n_threads=n_threads, out=out)
    return _forward("conv1d", x, weight, bias, geometry, how)


def conv1d_backward_input(grad_y, weight, input_shape, *, variant=None, level=None, n_threads=None, out=None,
                          **geometry):  # fmt: skip
    """Return the gradient of conv1d's x, of shape `input_shape`, from that of y and the weight.

    Examples
    --------
    >>> conv1d_backward_input(np.ones((1, 1, 1)), np.ones((1, 1, 2)), (1, 1, 2))[0, 0]
    array([1., 1.])
    """
    how = dict(variant=variant, level=level, n_threads=n_threads, out=out)
    return _backward_input("conv1d", grad_y, weight, input_shape, geometry, how)


def conv1d_backward_weight(grad_y, x, weight_shape, *, variant=None, level=None, n_threads=None, out=None, **geometry):
    """Return the gradient of conv1d's weight, of shape `weight_shape`, from that of y and the input.

    Examples
    --------
    >>> conv1d_backward_weight(np.ones((1, 1, 2)), np.ones((1, 1, 3)), (1, 1, 2))[0, 0]
    array([2., 2.])
    """
    how = dict(variant=variant, level=level, n_threads=n_threads, out=out)
    return _backward_weight("conv1d", grad_y, x, weight_shape, geometry, how)


def conv1d_backward_bias(grad_y, *, variant=None, level=None, n_threads=None, out=None):
    """Return the gradient of conv1d's bias (K,): grad_y (N, K, W) summed over all but K.

    Examples
    --------
    >>> conv1d_backward_bias(np.ones((2, 1, 3)))
    array([6.])
    """
    return _backward_bias("conv1d", grad_y, dict(variant=variant, level=level, n_threads=n_threads, out=out))


def conv2d_forward(x, weight, bias=None, *, variant=None, level=None, n_threads=None, out=None, **geometry):
    """Return conv2d of x (N, C, H, W) with weight (K, C // groups, R, S) and bias (K,): (N, K, H_out, W_out).

    Examples
    --------
    >>> conv2d_forward(np.ones((1, 1, 3, 3)), np.ones((1, 1, 3, 3)), padding=1)[0, 0]
    array([[4., 6., 4.],
           [6., 9., 6.],
           [4., 6., 4.]])
    """
    how = dict(variant=variant, level=level, n_threads=n_threads, out=out)
    return _forward("conv2d", x, weight, bias, geometry, how)


def conv2d_backward_input(grad_y, weight, input_shape, *, variant=None, level=None, n_threads=None, out=None,
                          **geometry):  # fmt: skip
    """Return the gradient of conv2d's x, of shape `input_shape`, from that of y and the weight.

    Examples
    --------
    >>> conv2d_backward_input(np.ones((1, 1, 1, 1)), np.ones((1, 1, 2, 2)), (1, 1, 2, 2))[0, 0]
    array([[1., 1.],
           [1., 1.]])
    """
    how = dict(variant=variant, level=level, n_threads=n_threads, out=out)
    return _backward_input("conv2d", grad_y, weight, input_shape, geometry, how)


def conv2d_backward_weight(grad_y, x, weight_shape, *, variant=None, level=None, n_threads=None, out=None, **geometry):
    """Return the gradient of conv2d's weight, of shape `weight_shape`, from that of y and the input.

    Examples
    --------
    >>> conv2d_backward_weight(np.ones((1, 1, 2, 2)), np.ones((1, 1, 3, 3)), (1, 1, 2, 2))[0, 0]
    array([[4., 4.],
           [4., 4.]])
    """
    how = dict(variant=variant, level=level, n_threads=n_threads, out=out)
    return _backward_weight("conv2d", grad_y, x, weight_shape, geometry, how)


def conv2d_backward_bias(grad_y, *, variant=None, level=None, n_threads=None, out=None):
    """Return the gradient of conv2d's bias (K,): grad_y (N, K, H, W) summed over all but K.

    Examples
    --------
    >>> conv2d_backward_bias(np.ones((2, 1, 3, 3)))
    array([18.])
    """
    return _backward_bias("conv2d", grad_y, dict(variant=variant, level=level, n_threads=n_threads, out=out))


def conv3d_forward(x, weight, bias=None, *, variant=None, level=None, n_threads=None, out=None, **geometry):
    """Return conv3d of x (N, C, D, H, W) with weight (K, C // groups, T, R, S) and bias (K,): (N, K, ...out).

    Examples
    --------
    >>> conv3d_forward(np.ones((1, 1, 2, 2, 2)), np.ones((1, 1, 2, 2, 2))).item()
    8.0
    """
    how = dict(variant=variant, level=level, n_threads=n_threads, out=out)
    return _forward("conv3d", x, weight, bias, geometry, how)


def conv3d_backward_input(grad_y, weight, input_shape, *, variant=None, level=None, n_threads=None, out=None,
                          **geometry):  # fmt: skip
    """Return the gradient of conv3d's x, of shape `input_shape`, from that of y and the weight.

    Examples
    --------
    >>> conv3d_backward_input(np.ones((1, 1, 1, 1, 1)), np.ones((1, 1, 1, 1, 2)), (1, 1, 1, 1, 2)).ravel()
    array([1., 1.])
    """
    how = dict(variant=variant, level=level, n_threads=n_threads, out=out)
    return _backward_input("conv3d", grad_y, weight, input_shape, geometry, how)


def conv3d_backward_weight(grad_y, x, weight_shape, *, variant=None, level=None, n_threads=None, out=None, **geometry):
    """Return the gradient of conv3d's weight, of shape `weight_shape`, from that of y and the input.

    Examples
    --------
    >>> conv3d_backward_weight(np.ones((1, 1, 2, 2, 2)), np.ones((1, 1, 3, 3, 3)), (1, 1, 2, 2, 2)).ravel()[:2]
    array([8., 8.])
    """
    how = dict(variant=variant, level=level, n_threads=n_threads, out=out)
    return _backward_weight("conv3d", grad_y, x, weight_shape, geometry, how)


def conv3d_backward_bias(grad_y, *, variant=None, level=None, n_threads=None, out=None):
    """Return the gradient of conv3d's bias (K,): grad_y (N, K, D, H, W) summed over all but K.

    Examples
    --------
    >>> conv3d_backward_bias(np.ones((2, 1, 3, 3, 3)))
    array([54.])
    """
    return _backward_bias("conv3d", grad_y, dict(variant=variant, level=level, n_threads=n_threads, out=out))


def gemm(a, b, *, transpose_a=False, transpose_b=False, variant=None, level=None, n_threads=None, out=None):
    """Return the product of two matrices, (M, K) · (K, N) -> (M, N), either given transposed.

    A transposed view, `gemm(a, b.T)`, is taken as it lies in memory: it costs no copy.

    Examples
    --------
    >>> gemm([[1.0, 2.0]], [[3.0], [4.0]])
    array([[11.]])
    """
    a, b = as_float_array(a, "gemm: a"), as_float_array(b, "gemm: b")
    same_dtype("gemm", a=a, b=b)
    if a.ndim != 2 or b.ndim != 2:
        raise ValueError(f"gemm: a and b must have 2 axes, got {a.ndim} and {b.ndim} (a {a.shape}, b {b.shape})")
    M, K = a.shape[::-1] if transpose_a else a.shape
    inner, N = b.shape[::-1] if transpose_b else b.shape
    if K != inner:
        raise ValueError(f"gemm: a has {K} columns, b has {inner} rows (a {a.shape}, b {b.shape})")
    if not a.flags.c_contiguous and a.flags.f_contiguous:
        a, transpose_a = a.T, not transpose_a
    if not b.flags.c_contiguous and b.flags.f_contiguous:
        b, transpose_b = b.T, not transpose_b
    g = _matrices("gemm", M, N, K, bool(transpose_a), bool(transpose_b))
    return run("gemm", "forward", g, a, b, variant=variant, level=level, n_threads=n_threads, out=out)
