"""Sum, mean and maximum over axes."""

import math

import numpy as np

from convcore.autograd.tape import record
from convcore.autograd.tensor import as_tensor
from convcore.ops.shape import normalize_axes


def sum(x, axis=None, keepdims=False):
    """Sum over axes.

    Parameters
    ----------
    x : Tensor or array_like
    axis : int or tuple of int, optional
        Axes to sum over, negative ones from the end; None is all.
    keepdims : bool
        Whether the summed axes stay, with size 1.

    Returns
    -------
    Tensor

    Raises
    ------
    ValueError
        An axis that does not exist or comes twice.
    TypeError
        An axis that is no int.

    Examples
    --------
    >>> sum([[1, 2], [3, 4]], axis=1).numpy()
    array([3., 7.])
    """
    x = as_tensor(x, "sum: x")
    axes = normalize_axes("sum", axis, x.shape)
    y = np.sum(x.data, axis=axes, keepdims=keepdims)
    return record("sum", y, inputs=(x,), attributes={"axis": axes, "keepdims": keepdims}, backward=sum_backward)


def sum_backward(record, grad_y, needs):
    """Each element gets the gradient of the sum it went into."""
    return (_spread(record, grad_y),)


def mean(x, axis=None, keepdims=False):
    """Average over axes: the sum divided by the number of elements summed. Parameters as in `sum`.

    Raises
    ------
    ValueError
        As in `sum`; a mean of no elements.

    Examples
    --------
    >>> mean([[1, 2], [3, 4]], axis=1).numpy()
    array([1.5, 3.5])
    """
    x = as_tensor(x, "mean: x")
    axes = normalize_axes("mean", axis, x.shape)
    count = _count("mean", axes, x)
    y = np.mean(x.data, axis=axes, keepdims=keepdims)
    attributes = {"axis": axes, "keepdims": keepdims, "count": count}
    return record("mean", y, inputs=(x,), attributes=attributes, backward=mean_backward)


def mean_backward(record, grad_y, needs):
    """Each element gets its share, 1 / count, of the gradient of the mean it went into."""
    count = record.output.dtype.type(record.attributes["count"])
    return (_spread(record, grad_y / count),)


def max(x, axis=None, keepdims=False):
    """Take the maximum over axes. Parameters as in `sum`.

    Raises
    ------
    ValueError
        As in `sum`; a maximum of no elements.

    Notes
    -----
    Among equal elements the first in row order gets the gradient. A NaN is larger than anything.

    Examples
    --------
    >>> max([[1, 5], [7, 4]], axis=1).numpy()
    array([5., 7.])
    """
    x = as_tensor(x, "max: x")
    axes = normalize_axes("max", axis, x.shape)
    count = _count("max", axes, x)
    kept = [axis for axis in range(x.ndim) if axis not in axes]
    order = kept + sorted(axes)
    rows = x.data.transpose(order).reshape([x.shape[axis] for axis in kept] + [count])  # (*kept, reduced)
    index = rows.argmax(axis=-1)[..., None]  # the first of equals; NaN counts as the largest
    y = np.take_along_axis(rows, index, axis=-1)
    y = y.reshape(_kept_shape(axes, x) if keepdims else rows.shape[:-1])
    attributes = {"axis": axes, "keepdims": keepdims, "order": order, "count": count}
    return record("max", y, inputs=(x,), saved={"index": index}, attributes=attributes, backward=max_backward)


def max_backward(record, grad_y, needs):
    """The element that was the maximum gets the gradient, the others 0."""
    (x,), order, index = record.inputs, record.attributes["order"], record.saved["index"]
    rows = np.zeros((*index.shape[:-1], record.attributes["count"]), grad_y.dtype)  # (*kept, reduced)
    np.put_along_axis(rows, index, grad_y.reshape(index.shape), axis=-1)
    moved = rows.reshape([x.shape[axis] for axis in order])  # (*kept, *reduced)
    return (moved.transpose(np.argsort(order)),)


def _count(op, axes, x):
    """Return how many elements go into one result; none is an error."""
    count = math.prod([x.shape[axis] for axis in axes])
    if count == 0:
        raise ValueError(f"{op}: axes {axes} have 0 elements, at least 1 is needed (x {x.shape})")
    return count


def _spread(record, grad_y):
    """Return grad_y repeated along the reduced axes, as a view of x's shape."""
    (x,) = record.inputs
    return np.broadcast_to(grad_y.reshape(_kept_shape(record.attributes["axis"], x)), x.shape)


def _kept_shape(axes, x):
    """Return x's shape with size 1 on the reduced axes."""
    return [1 if axis in axes else size for axis, size in enumerate(x.shape)]
