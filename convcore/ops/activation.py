"""Activations: functions of one tensor that keep its shape."""

import numpy as np

from convcore.autograd import as_tensor, record
from convcore.kernels import FlatGeometry, run


def relu(x):
    """Return x where it is positive and 0 elsewhere; NaN stays NaN.

    y = max(x, 0)

    Parameters
    ----------
    x : Tensor or array of any shape, float32 or float64

    Returns
    -------
    Tensor of the shape of x

    Notes
    -----
    The gradient at 0 is 0.

    References
    ----------
    "Layers of a ConvNet", ReLU layer (specification); Nair and Hinton, ICML 2010.

    Examples
    --------
    >>> relu([-1.0, 0.0, 2.0]).numpy()
    array([0., 0., 2.])
    """
    x = as_tensor(x, "relu: x")
    geometry = FlatGeometry("relu", x.size)
    y = run("relu", "forward", geometry, x.data.reshape(-1)).reshape(x.shape)
    return record("relu", y, inputs=(x,), backward=relu_backward, saved={"y": y}, geometry=geometry)


def relu_backward(record, grad_y, needs):
    """The gradient passes where the output is positive."""
    y = record.saved["y"]
    return (run("relu", "backward_input", record.geometry, grad_y.reshape(-1), y.reshape(-1)).reshape(y.shape),)


def softmax(x, axis=1):
    """Turn numbers into probabilities: positive, with sum 1 along an axis.

    y_r = exp(x_r) / Σ_j exp(x_j)

    Parameters
    ----------
    x : Tensor or array of at least one axis, float32 or float64
    axis : int
        May be negative.

    Returns
    -------
    Tensor of the shape of x

    Raises
    ------
    ValueError
        An axis that x does not have, or that holds no elements.

    Notes
    -----
    The largest number is taken off first, so that no exponential overflows.

    References
    ----------
    "Layers of a ConvNet", softmax layer (specification).

    Examples
    --------
    >>> softmax([[0.0, 0.0]]).numpy()
    array([[0.5, 0.5]])
    """
    x = as_tensor(x, "softmax: x")
    axis = _axis("softmax", axis, x)
    y = np.exp(x.data - x.data.max(axis=axis, keepdims=True))
    y /= y.sum(axis=axis, keepdims=True)
    return record("softmax", y, inputs=(x,), backward=softmax_backward, saved={"y": y}, attributes={"axis": axis})


def softmax_backward(record, grad_y, needs):
    """grad_x = y · (grad_y − Σ grad_y · y)"""
    y, axis = record.saved["y"], record.attributes["axis"]
    return (y * (grad_y - (grad_y * y).sum(axis=axis, keepdims=True)),)


def log_softmax(x, axis=1):
    """Return the logarithm of `softmax`, computed without taking the logarithm of anything small.

    y_r = x_r − log Σ_j exp(x_j)

    Parameters
    ----------
    x : Tensor or array of at least one axis, float32 or float64
    axis : int
        May be negative.

    Returns
    -------
    Tensor of the shape of x

    Raises
    ------
    ValueError
        An axis that x does not have, or that holds no elements.

    References
    ----------
    "Layers of a ConvNet", softmax layer (specification).

    Examples
    --------
    >>> log_softmax([[0.0, 1000.0]]).numpy()
    array([[-1000.,     0.]])
    """
    x = as_tensor(x, "log_softmax: x")
    axis = _axis("log_softmax", axis, x)
    shifted = x.data - x.data.max(axis=axis, keepdims=True)
    y = shifted - np.log(np.exp(shifted).sum(axis=axis, keepdims=True))
    return record(
        "log_softmax", y, inputs=(x,), backward=log_softmax_backward, saved={"y": y}, attributes={"axis": axis}
    )


def log_softmax_backward(record, grad_y, needs):
    """grad_x = grad_y − exp(y) · Σ grad_y"""
    return (grad_y - np.exp(record.saved["y"]) * grad_y.sum(axis=record.attributes["axis"], keepdims=True),)


def _axis(op, axis, x):
    if isinstance(axis, bool) or not isinstance(axis, (int, np.integer)):
        raise TypeError(f"{op}: axis must be an int, got {axis!r}")
    if not -x.ndim <= axis < x.ndim:
        raise ValueError(f"{op}: axis {axis} does not exist, x has {x.ndim} axes (x {x.shape})")
    if x.shape[axis] == 0:
        raise ValueError(f"{op}: axis {axis} has 0 elements, at least 1 is needed (x {x.shape})")
    return int(axis) % x.ndim
