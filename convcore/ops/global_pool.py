"""Pooling over all spatial dimensions at once."""

import math

import numpy as np

from convcore.autograd import as_tensor, record


def global_avg_pool(x):
    """Return the average of each channel over all of its cells.

    y[n, c, 0, ...] = 1 / cells · Σ_cell x[n, c, cell]

    Parameters
    ----------
    x : Tensor or array, shape (N, C, ...) with one spatial dimension or more, float32 or float64

    Returns
    -------
    Tensor, shape (N, C, 1, ...)
        The spatial dimensions are kept with size 1.

    Raises
    ------
    TypeError, ValueError
        No numbers; no spatial dimension, or one of size 0.

    References
    ----------
    Lin, Chen and Yan, "Network in Network", arXiv:1312.4400, section 3.2.

    Examples
    --------
    >>> import numpy as np
    >>> global_avg_pool(np.arange(8.0).reshape(1, 2, 2, 2)).numpy().ravel()
    array([1.5, 5.5])
    """
    x = _checked("global_avg_pool", x)
    y = _cells(x).mean(axis=2).reshape(_kept(x))
    return record("global_avg_pool", y, inputs=(x,), backward=avg_backward)


def avg_backward(record, grad_y, needs):
    """Each cell gets an equal share of its channel's gradient."""
    (x,) = record.inputs
    return (np.broadcast_to(grad_y / x.dtype.type(math.prod(x.shape[2:])), x.shape),)


def global_max_pool(x):
    """Return the largest value of each channel.

    y[n, c, 0, ...] = max over the cells of x[n, c, cell]

    Parameters
    ----------
    x : Tensor or array, shape (N, C, ...) with one spatial dimension or more, float32 or float64

    Returns
    -------
    Tensor, shape (N, C, 1, ...)
        The spatial dimensions are kept with size 1.

    Raises
    ------
    TypeError, ValueError
        No numbers; no spatial dimension, or one of size 0.

    Notes
    -----
    Among equals the first in row order gets the gradient. NaN wins over everything, so it is not lost.

    References
    ----------
    "convolution1dLayer", example with a global max-pooling layer (specification).

    Examples
    --------
    >>> import numpy as np
    >>> global_max_pool(np.arange(8.0).reshape(1, 2, 2, 2)).numpy().ravel()
    array([3., 7.])
    """
    x = _checked("global_max_pool", x)
    cells = _cells(x)
    index = cells.argmax(axis=2, keepdims=True)  # the first of equals, the first NaN if there is one
    y = np.take_along_axis(cells, index, axis=2).reshape(_kept(x))
    return record("global_max_pool", y, inputs=(x,), saved={"index": index}, backward=max_backward)


def max_backward(record, grad_y, needs):
    """Each channel's gradient goes to the cell that won."""
    (x,), index = record.inputs, record.saved["index"]
    grad_x = np.zeros((*x.shape[:2], math.prod(x.shape[2:])), x.dtype)
    np.put_along_axis(grad_x, index, grad_y.reshape(index.shape), axis=2)
    return (grad_x.reshape(x.shape),)


def _checked(op, x):
    x = as_tensor(x, f"{op}: x")
    if x.ndim < 3:
        raise ValueError(f"{op}: x must have a spatial dimension, (N, C, ...), got shape {x.shape}")
    if min(x.shape[1:]) < 1:
        raise ValueError(f"{op}: x has an axis of size 0 (x {x.shape})")
    return x


def _cells(x):
    """Return the values of x as (N, C, cells)."""
    return x.data.reshape(*x.shape[:2], math.prod(x.shape[2:]))


def _kept(x):
    """Return the output's shape, (N, C, 1, ...)."""
    return (*x.shape[:2], *(1,) * (x.ndim - 2))
