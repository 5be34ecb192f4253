"""The fully connected layer's function."""

import functools
import math

from convcore.arrays import same_dtype
from convcore.autograd import as_tensor, record
from convcore.kernels import MatrixGeometry, run
from convcore.kernels.dispatch import weight_and_bias


def fully_connected(x, weight, bias=None):
    """Multiply each observation, flattened, by a weight matrix, and add a bias.

    y[n, j] = bias[j] + Σ_i x[n, i] · weight[j, i]

    Parameters
    ----------
    x : Tensor or array, shape (N, ...), float32 or float64
        Flattened to (N, I) in C order: channels, then height, then width.
    weight : Tensor or array, shape (J, I), dtype of x
    bias : Tensor or array, shape (J,), dtype of x, optional

    Returns
    -------
    Tensor, shape (N, J)

    Raises
    ------
    ValueError
        A weight that expects another number of inputs; a bias of another length.
    TypeError
        Arrays of different dtypes.

    Notes
    -----
    2·N·I·J floating-point operations. The bits do not depend on the number of threads.

    References
    ----------
    "Layers of a ConvNet", fully connected layer (specification).

    Examples
    --------
    >>> fully_connected([[1.0, 2.0]], [[3.0, 4.0], [5.0, 6.0]], [0.5, 0.5]).numpy()
    array([[11.5, 17.5]])
    """
    x, weight, bias, geometry = arguments(x, weight, bias)
    rows = x.data.reshape(geometry.M, geometry.K)  # (N, I)
    y = run("fully_connected", "forward", geometry, rows, weight.data, None if bias is None else bias.data)
    return record("fully_connected", y, inputs=(x, weight, bias), backward=backward,
                  saved={"x": rows, "weight": weight.data}, geometry=geometry)  # fmt: skip


def backward(record, grad_y, needs):
    """grad_x is grad_y times the matrix, grad_weight the outer products of grad_y and x, summed over the batch."""
    g, x, weight = record.geometry, record.saved["x"], record.saved["weight"]
    needs_x, needs_weight, needs_bias = needs
    grad_x = run("fully_connected", "backward_input", g, grad_y, weight) if needs_x else None
    grad_x = None if grad_x is None else grad_x.reshape(record.inputs[0].shape)
    if needs_weight and needs_bias and weight_and_bias("fully_connected", g, grad_y.dtype):
        return grad_x, *run("fully_connected", "backward_weight_bias", g, grad_y, x)
    grad_weight = run("fully_connected", "backward_weight", g, grad_y, x) if needs_weight else None
    grad_bias = run("fully_connected", "backward_bias", g, grad_y) if needs_bias else None
    return grad_x, grad_weight, grad_bias


def arguments(x, weight, bias):
    """Return the arguments as Tensors of one dtype, a bias of None as it is, and the problem that they make."""
    x, weight = as_tensor(x, "fully_connected: x"), as_tensor(weight, "fully_connected: weight")
    bias = None if bias is None else as_tensor(bias, "fully_connected: bias")
    same_dtype("fully_connected", x=x, weight=weight, bias=bias)
    return x, weight, bias, _geometry(x.shape, weight.shape)


@functools.lru_cache(maxsize=1024)
def _geometry(x_shape, weight_shape):
    shapes = f"(x {x_shape}, weight {weight_shape})"
    if len(x_shape) < 2:
        raise ValueError(f"fully_connected: x must have at least 2 axes, got {len(x_shape)} {shapes}")
    if len(weight_shape) != 2:
        raise ValueError(f"fully_connected: weight must have 2 axes, got {len(weight_shape)} {shapes}")
    inputs = math.prod(x_shape[1:])
    if weight_shape[1] != inputs:
        raise ValueError(f"fully_connected: weight expects {weight_shape[1]} inputs, x has {inputs} {shapes}")
    if 0 in weight_shape:
        raise ValueError(f"fully_connected: weight has an axis of size 0 {shapes}")
    return MatrixGeometry("fully_connected", x_shape[0], weight_shape[0], inputs)
