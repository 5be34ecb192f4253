"""Activations: functions of one tensor that keep its shape."""

import numpy as np

from convcore.autograd import as_tensor, record
from convcore.checks import finite_number
from convcore.kernels import SoftmaxGeometry, run
from convcore.ops.elementwise import flat


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
    return _by_kernel("relu", as_tensor(x, "relu: x"), relu_backward, "y")


def relu_backward(record, grad_y, needs):
    """The gradient passes where the output is positive."""
    return (relu_gradient(grad_y, record.saved["y"]),)


def relu_gradient(grad_y, y):
    """Return the gradient of ReLU's input from that of its output and the output, arrays of one shape."""
    return run("relu", "backward_input", flat("relu", y.size), grad_y.reshape(-1), y.reshape(-1)).reshape(y.shape)


def leaky_relu(x, scale=0.01):
    """Return x where it is positive and a small part of it elsewhere; NaN stays NaN.

    y = x where x ≥ 0, scale · x elsewhere

    Parameters
    ----------
    x : Tensor or array of any shape, float32 or float64
    scale : float
        The slope below 0.

    Returns
    -------
    Tensor of the shape of x

    Raises
    ------
    TypeError, ValueError
        A scale that is no finite number.

    Notes
    -----
    The gradient at 0 is scale.

    References
    ----------
    "Layers of a ConvNet", leaky ReLU layer (specification); Maas, Hannun and Ng, ICML 2013.

    Examples
    --------
    >>> leaky_relu([-1.0, 0.0, 2.0], 0.5).numpy()
    array([-0.5,  0. ,  2. ])
    """
    x = as_tensor(x, "leaky_relu: x")
    scale = finite_number(scale, "leaky_relu: scale")
    return _by_kernel("leaky_relu", x, leaky_relu_backward, "x", scale, {"scale": scale})


def leaky_relu_backward(record, grad_y, needs):
    """The gradient passes where x is positive, a part of it elsewhere."""
    return _gradient(record, grad_y)


def clipped_relu(x, ceiling):
    """Return x where it lies between 0 and a ceiling, else the nearer of the two; NaN stays NaN.

    y = min(max(x, 0), ceiling)

    Parameters
    ----------
    x : Tensor or array of any shape, float32 or float64
    ceiling : float, greater than 0

    Returns
    -------
    Tensor of the shape of x

    Raises
    ------
    TypeError, ValueError
        A ceiling that is no finite number greater than 0.

    Notes
    -----
    The gradient at 0 and at the ceiling is 0.

    References
    ----------
    "Layers of a ConvNet", clipped ReLU layer (specification); Hannun et al., "Deep Speech", arXiv 1412.5567 (2014).

    Examples
    --------
    >>> clipped_relu([-1.0, 2.0, 9.0], 6).numpy()
    array([0., 2., 6.])
    """
    x = as_tensor(x, "clipped_relu: x")
    ceiling = check_ceiling(ceiling, "clipped_relu")
    return _by_kernel("clipped_relu", x, clipped_relu_backward, "x", ceiling, {"ceiling": ceiling})


def clipped_relu_backward(record, grad_y, needs):
    """The gradient passes where x lies strictly between 0 and the ceiling."""
    return _gradient(record, grad_y)


def elu(x, alpha=1.0):
    """Return x where it is positive and an exponential that levels off at −alpha elsewhere.

    y = x where x > 0, alpha · (exp(x) − 1) elsewhere

    Parameters
    ----------
    x : Tensor or array of any shape, float32 or float64
    alpha : float

    Returns
    -------
    Tensor of the shape of x

    Raises
    ------
    TypeError, ValueError
        An alpha that is no finite number.

    Notes
    -----
    No exponential overflows, and values near 0 keep all their digits. The gradient at 0 is alpha.

    References
    ----------
    Clevert, Unterthiner and Hochreiter, "Fast and accurate deep network learning by exponential linear units (ELUs)",
    ICLR 2016.

    Examples
    --------
    >>> elu([-1000.0, 0.0, 2.0]).numpy()
    array([-1.,  0.,  2.])
    """
    x = as_tensor(x, "elu: x")
    alpha = finite_number(alpha, "elu: alpha")
    return _by_kernel("elu", x, elu_backward, "x", alpha, {"alpha": alpha})


def elu_backward(record, grad_y, needs):
    """∂y/∂x = 1 where x is positive, alpha · exp(x) elsewhere."""
    return _gradient(record, grad_y)


def gelu(x):
    """Return x times the part of a standard normal distribution that lies below x.

    y = x · Φ(x), Φ(x) = (1 + erf(x / √2)) / 2

    Parameters
    ----------
    x : Tensor or array of any shape, float32 or float64

    Returns
    -------
    Tensor of the shape of x

    Notes
    -----
    Computed in double precision from erfc, which keeps the digits of the small values far below 0. −inf gives 0.

    References
    ----------
    D. Hendrycks and K. Gimpel, "Gaussian error linear units (GELUs)", arXiv 1606.08415 (2016).

    Examples
    --------
    >>> gelu([-1000.0, 0.0, 1.0]).numpy()
    array([0.        , 0.        , 0.84134475])
    """
    x = as_tensor(x, "gelu: x")
    return _by_kernel("gelu", x, gelu_backward, "x")


def gelu_backward(record, grad_y, needs):
    """∂y/∂x = Φ(x) + x · φ(x), φ the density of the normal distribution."""
    return _gradient(record, grad_y)


def swish(x):
    """Return x times its sigmoid.

    y = x / (1 + exp(−x))

    Parameters
    ----------
    x : Tensor or array of any shape, float32 or float64

    Returns
    -------
    Tensor of the shape of x

    Notes
    -----
    No exponential overflows. −inf gives 0.

    References
    ----------
    P. Ramachandran, B. Zoph and Q. V. Le, "Searching for activation functions", arXiv 1710.05941 (2017).

    Examples
    --------
    >>> swish([-1000.0, 0.0, 1.0]).numpy()
    array([0.        , 0.        , 0.73105858])
    """
    x = as_tensor(x, "swish: x")
    return _by_kernel("swish", x, swish_backward, "x")


def swish_backward(record, grad_y, needs):
    """With s the sigmoid: ∂y/∂x = s · (1 + x · (1 − s))."""
    return _gradient(record, grad_y)


def tanh(x):
    """Take the hyperbolic tangent: y = (e^x − e^−x) / (e^x + e^−x).

    Examples
    --------
    >>> tanh([0, 100]).numpy()
    array([0., 1.])
    """
    return _by_kernel("tanh", as_tensor(x, "tanh: x"), tanh_backward, "y")


def tanh_backward(record, grad_y, needs):
    """∂y/∂x = 1 − y²."""
    return _gradient(record, grad_y)


def sigmoid(x):
    """Squash into 0..1: y = 1 / (1 + e^−x).

    Notes
    -----
    Nothing overflows, and the small values far below 0 keep all their digits.

    Examples
    --------
    >>> sigmoid([0, -1000]).numpy()
    array([0.5, 0. ])
    """
    return _by_kernel("sigmoid", as_tensor(x, "sigmoid: x"), sigmoid_backward, "y")


def sigmoid_backward(record, grad_y, needs):
    """∂y/∂x = y · (1 − y)."""
    return _gradient(record, grad_y)


def _by_kernel(op, x, backward, seen, parameter=0.0, attributes=None):
    """Return f(x), computed by a kernel, which may have a number of its own; the way back needs to see x, or y."""
    geometry = flat(op, x.size, parameter)
    y = run(op, "forward", geometry, x.data.reshape(-1)).reshape(x.shape)
    return record(op, y, inputs=(x,), backward=backward, saved={seen: x.data if seen == "x" else y},
                  attributes=attributes, geometry=geometry)  # fmt: skip


def _gradient(record, grad_y):
    """Return the gradient of x, by the same kernel."""
    (seen,) = record.saved.values()
    grad_x = run(record.op, "backward_input", record.geometry, grad_y.reshape(-1), seen.reshape(-1))
    return (grad_x.reshape(seen.shape),)


def check_ceiling(value, what):
    """Return a ceiling as a float if it is finite and greater than 0, else raise an error that names `what`."""
    ceiling = finite_number(value, f"{what}: ceiling")
    if ceiling <= 0:
        raise ValueError(f"{what}: ceiling must be greater than 0, got {value}")
    return ceiling


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
    rows = np.moveaxis(x.data, axis, -1)
    geometry = SoftmaxGeometry(rows.size // x.shape[axis], x.shape[axis])
    y = run("softmax", "forward", geometry, rows.reshape(geometry.shapes["x"]))
    return record("softmax", np.moveaxis(y.reshape(rows.shape), -1, axis), inputs=(x,), backward=softmax_backward,
                  saved={"y": y}, geometry=geometry, attributes={"axis": axis})  # fmt: skip


def softmax_backward(record, grad_y, needs):
    """grad_x = y · (grad_y − Σ grad_y · y)"""
    y, axis, geometry = record.saved["y"], record.attributes["axis"], record.geometry
    rows = np.moveaxis(grad_y, axis, -1)
    grad = run("softmax", "backward_input", geometry, rows.reshape(geometry.shapes["grad_y"]), y)
    return (np.moveaxis(grad.reshape(rows.shape), -1, axis),)


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
