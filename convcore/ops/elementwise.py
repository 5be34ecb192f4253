"""Arithmetic and functions of one element, with NumPy's broadcasting."""

import functools

import numpy as np

from convcore.arrays import is_scalar, same_dtype
from convcore.autograd.tape import record
from convcore.autograd.tensor import as_tensor, wrap
from convcore.kernels import FlatGeometry, run

flat = functools.lru_cache(maxsize=1024)(FlatGeometry)  # to make one takes a microsecond


def operands(op, a, b):
    """Return both sides as Tensors of one dtype; a Python number takes the dtype of the other side."""
    if is_scalar(b) and not is_scalar(a):
        a = as_tensor(a, f"{op}: a")
        return a, wrap(np.asarray(b, a.dtype))
    b = as_tensor(b, f"{op}: b")
    a = wrap(np.asarray(a, b.dtype)) if is_scalar(a) else as_tensor(a, f"{op}: a")
    if a.data.dtype != b.data.dtype:
        same_dtype(op, a=a.data, b=b.data)  # raises
    return a, b


def broadcast(op, function, a, b, inner=0):
    """Return function(a, b) of two Tensors' arrays; if they do not broadcast, the error names the axis.

    `inner` counts the last axes, which the function does not broadcast.
    """
    try:
        return function(a.data, b.data)
    except ValueError:
        outer = zip(a.shape[::-1][inner:], b.shape[::-1][inner:], strict=False)
        for axis, (m, n) in enumerate(outer, start=1 + inner):
            if m != n and 1 not in (m, n):
                text = f"{op}: axis -{axis} has {m} and {n} elements, which do not broadcast"
                raise ValueError(f"{text} (a {a.shape}, b {b.shape})") from None
        raise


def unbroadcast(grad, shape):
    """Return `grad` summed over the axes along which an array of `shape` was repeated to get grad's shape.

    Examples
    --------
    >>> unbroadcast(np.ones((2, 3)), (3,))
    array([2., 2., 2.])
    """
    if grad.shape == shape:
        return grad
    added = grad.ndim - len(shape)
    repeated = tuple(added + axis for axis, size in enumerate(shape) if size == 1)
    return grad.sum(axis=tuple(range(added)) + repeated).reshape(shape)


def add(a, b):
    """Add with broadcasting: y = a + b.

    Parameters
    ----------
    a, b : Tensor or array_like, shapes that broadcast, one dtype; a Python number takes the other side's dtype

    Returns
    -------
    Tensor, the broadcast shape

    Raises
    ------
    ValueError
        Shapes that do not broadcast.
    TypeError
        float32 and float64 together.

    Examples
    --------
    >>> add([[1, 2], [3, 4]], [10, 20]).numpy()
    array([[11., 22.],
           [13., 24.]])
    """
    a, b = operands("add", a, b)
    y = added(a.data, b.data) if a.shape == b.shape else broadcast("add", np.add, a, b)
    return record("add", y, inputs=(a, b), backward=add_backward)


def added(a, b):
    """Return the sum of two arrays of one shape and dtype, a new array: by a kernel, on several threads."""
    return run("add", "forward", flat("add", a.size), a.reshape(-1), b.reshape(-1)).reshape(a.shape)


def add_backward(record, grad_y, needs):
    """Both sides get grad_y, summed where they were repeated."""
    a, b = record.inputs
    return (unbroadcast(grad_y, a.shape) if needs[0] else None, unbroadcast(grad_y, b.shape) if needs[1] else None)


def subtract(a, b):
    """Subtract with broadcasting: y = a − b. Parameters and errors as in `add`.

    Examples
    --------
    >>> subtract([3, 4], 1).numpy()
    array([2., 3.])
    """
    a, b = operands("subtract", a, b)
    return record("subtract", broadcast("subtract", np.subtract, a, b), inputs=(a, b), backward=subtract_backward)


def subtract_backward(record, grad_y, needs):
    """The left side gets grad_y, the right side −grad_y."""
    a, b = record.inputs
    return (unbroadcast(grad_y, a.shape) if needs[0] else None, -unbroadcast(grad_y, b.shape) if needs[1] else None)


def multiply(a, b):
    """Multiply element by element with broadcasting: y = a · b. Parameters and errors as in `add`.

    Examples
    --------
    >>> multiply([3, 4], 2).numpy()
    array([6., 8.])
    """
    a, b = operands("multiply", a, b)
    y = broadcast("multiply", np.multiply, a, b)
    return record("multiply", y, inputs=(a, b), saved={"a": a.data, "b": b.data}, backward=multiply_backward)


def multiply_backward(record, grad_y, needs):
    """∂y/∂a = b and ∂y/∂b = a."""
    a, b = record.saved["a"], record.saved["b"]
    return (
        unbroadcast(grad_y * b, a.shape) if needs[0] else None,
        unbroadcast(grad_y * a, b.shape) if needs[1] else None,
    )


def divide(a, b):
    """Divide element by element with broadcasting: y = a / b. Parameters and errors as in `add`.

    Notes
    -----
    Dividing by zero gives infinity or NaN and NumPy's RuntimeWarning.

    Examples
    --------
    >>> divide([3, 4], 2).numpy()
    array([1.5, 2. ])
    """
    a, b = operands("divide", a, b)
    y = broadcast("divide", np.divide, a, b)
    return record("divide", y, inputs=(a, b), saved={"a": a.data, "b": b.data}, backward=divide_backward)


def divide_backward(record, grad_y, needs):
    """∂y/∂a = 1 / b and ∂y/∂b = −a / b²."""
    a, b = record.saved["a"], record.saved["b"]
    grad_a = grad_y / b
    return (
        unbroadcast(grad_a, a.shape) if needs[0] else None,
        unbroadcast(-grad_a * a / b, b.shape) if needs[1] else None,
    )


def power(a, b):
    """Raise to a power with broadcasting: y = a ^ b. Parameters and errors as in `add`.

    Notes
    -----
    A negative base with a fractional exponent is NaN. The gradient of the exponent is 0 where the base is 0 and the
    exponent is not negative, and NaN where the base is negative.

    Examples
    --------
    >>> power([3, 4], 2).numpy()
    array([ 9., 16.])
    """
    a, b = operands("power", a, b)
    y = broadcast("power", np.power, a, b)
    return record("power", y, inputs=(a, b), saved={"a": a.data, "b": b.data, "y": y}, backward=power_backward)


def power_backward(record, grad_y, needs):
    """∂y/∂a = b · a^(b − 1), which is 0 for b = 0 also at a = 0, and ∂y/∂b = y · log a."""
    a, b, y = record.saved["a"], record.saved["b"], record.saved["y"]
    grad_a = grad_b = None
    if needs[0]:
        exponent = np.where(b == 0, b, b - b.dtype.type(1))  # for b = 0: 0 · a^0, as 0 · a^−1 is NaN at a = 0
        grad_a = unbroadcast(grad_y * (b * a**exponent), a.shape)
    if needs[1]:
        base = np.where((a == 0) & (b >= 0), np.ones_like(a), a)  # 0^b is flat in b
        grad_b = unbroadcast(grad_y * (y * np.log(base)), b.shape)
    return grad_a, grad_b


def negative(x):
    """Change the sign: y = −x.

    Examples
    --------
    >>> negative([1, -2]).numpy()
    array([-1.,  2.])
    """
    x = as_tensor(x, "negative: x")
    return record("negative", -x.data, inputs=(x,), backward=negative_backward)


def negative_backward(record, grad_y, needs):
    """∂y/∂x = −1."""
    return (-grad_y,)


def exp(x):
    """Exponentiate element by element: y = e^x.

    Examples
    --------
    >>> exp([0, 1]).numpy()
    array([1.        , 2.71828183])
    """
    x = as_tensor(x, "exp: x")
    y = np.exp(x.data)
    return record("exp", y, inputs=(x,), saved={"y": y}, backward=exp_backward)


def exp_backward(record, grad_y, needs):
    """∂y/∂x = y."""
    return (grad_y * record.saved["y"],)


def log(x):
    """Take the natural logarithm: y = log x. At 0 it is −∞, below NaN, both with NumPy's RuntimeWarning.

    Examples
    --------
    >>> log([1, 10]).numpy()
    array([0.        , 2.30258509])
    """
    x = as_tensor(x, "log: x")
    return record("log", np.log(x.data), inputs=(x,), saved={"x": x.data}, backward=log_backward)


def log_backward(record, grad_y, needs):
    """∂y/∂x = 1 / x."""
    return (grad_y / record.saved["x"],)
