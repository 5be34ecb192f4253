"""The kernels as functions of arrays and options, for those who want no autograd.

All take ``variant=None, level=None, n_threads=None, out=None`` besides what is listed, as `run` does, and raise the
errors of `ConvGeometry.of` and `run`.
"""

import numpy as np  # noqa: F401  for the examples

from convcore.kernels.arguments import float_arrays as _floats
from convcore.kernels.arguments import shape_of as _shape
from convcore.kernels.dispatch import run
from convcore.kernels.geometry import ConvGeometry
from convcore.kernels.matrix_geometry import MatrixGeometry


def _geometry(x_shape, weight_shape, options):
    """Return the 2-D geometry; the options are those of conv2d."""
    unknown = set(options) - {"stride", "padding", "padding_value", "dilation", "groups"}
    if unknown:
        raise TypeError(f"conv2d: unknown option {sorted(unknown)[0]!r}")
    if len(x_shape) != 4 or len(weight_shape) != 4:
        shapes = f"(x {x_shape}, weight {weight_shape})"
        raise ValueError(f"conv2d: x and weight must have 4 axes, got {len(x_shape)} and {len(weight_shape)} {shapes}")
    return ConvGeometry.of(x_shape, weight_shape, **options)


def conv2d_forward(x, weight, bias=None, *, variant=None, level=None, n_threads=None, out=None, **geometry):
    """Return conv2d of x (N, C, H, W) with weight (K, C // groups, R, S) and bias (K,): (N, K, H_out, W_out).

    Examples
    --------
    >>> conv2d_forward(np.ones((1, 1, 3, 3)), np.ones((1, 1, 3, 3)), padding=1)[0, 0]
    array([[4., 6., 4.],
           [6., 9., 6.],
           [4., 6., 4.]])
    """
    x, weight, bias = _floats("conv2d", x=x, weight=weight, bias=bias)
    g = _geometry(x.shape, weight.shape, geometry)
    return run("conv2d", "forward", g, x, weight, bias, variant=variant, level=level, n_threads=n_threads, out=out)


def conv2d_backward_input(grad_y, weight, input_shape, *, variant=None, level=None, n_threads=None, out=None,
                          **geometry):  # fmt: skip
    """Return the gradient of conv2d's x, of shape `input_shape`, from that of y and the weight.

    Examples
    --------
    >>> conv2d_backward_input(np.ones((1, 1, 1, 1)), np.ones((1, 1, 2, 2)), (1, 1, 2, 2))[0, 0]
    array([[1., 1.],
           [1., 1.]])
    """
    grad_y, weight = _floats("conv2d", grad_y=grad_y, weight=weight)
    g = _geometry(_shape("conv2d", "input_shape", input_shape, 4), weight.shape, geometry)
    return run(
        "conv2d", "backward_input", g, grad_y, weight, variant=variant, level=level, n_threads=n_threads, out=out
    )


def conv2d_backward_weight(grad_y, x, weight_shape, *, variant=None, level=None, n_threads=None, out=None, **geometry):
    """Return the gradient of conv2d's weight, of shape `weight_shape`, from that of y and the input.

    Examples
    --------
    >>> conv2d_backward_weight(np.ones((1, 1, 2, 2)), np.ones((1, 1, 3, 3)), (1, 1, 2, 2))[0, 0]
    array([[4., 4.],
           [4., 4.]])
    """
    grad_y, x = _floats("conv2d", grad_y=grad_y, x=x)
    g = _geometry(x.shape, _shape("conv2d", "weight_shape", weight_shape, 4), geometry)
    return run("conv2d", "backward_weight", g, grad_y, x, variant=variant, level=level, n_threads=n_threads, out=out)


def conv2d_backward_bias(grad_y, *, variant=None, level=None, n_threads=None, out=None):
    """Return the gradient of conv2d's bias (K,): grad_y (N, K, H, W) summed over images and pixels.

    Examples
    --------
    >>> conv2d_backward_bias(np.ones((2, 1, 3, 3)))
    array([18.])
    """
    (grad_y,) = _floats("conv2d", grad_y=grad_y)
    N, K, H, W = _shape("conv2d", "grad_y's shape", grad_y.shape, 4)
    g = ConvGeometry.of((N, 1, H, W), (K, 1, 1, 1))  # any geometry with such an output: the sum does not ask
    return run("conv2d", "backward_bias", g, grad_y, variant=variant, level=level, n_threads=n_threads, out=out)


def gemm(a, b, *, transpose_a=False, transpose_b=False, variant=None, level=None, n_threads=None, out=None):
    """Return the product of two matrices, (M, K) · (K, N) -> (M, N), either given transposed.

    Examples
    --------
    >>> gemm([[1.0, 2.0]], [[3.0], [4.0]])
    array([[11.]])
    """
    a, b = _floats("gemm", a=a, b=b)
    shapes = f"(a {a.shape}, b {b.shape})"
    if a.ndim != 2 or b.ndim != 2:
        raise ValueError(f"gemm: a and b must have 2 axes, got {a.ndim} and {b.ndim} {shapes}")
    M, K = a.shape[::-1] if transpose_a else a.shape
    inner, N = b.shape[::-1] if transpose_b else b.shape
    if K != inner:
        raise ValueError(f"gemm: a has {K} columns, b has {inner} rows {shapes}")
    g = MatrixGeometry("gemm", M, N, K, bool(transpose_a), bool(transpose_b))
    return run("gemm", "forward", g, a, b, variant=variant, level=level, n_threads=n_threads, out=out)
