"""Pooling over all spatial dimensions at once."""

import functools
import math

from convcore.autograd import as_tensor, record
from convcore.kernels import GlobalPoolGeometry, run


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
    geometry = _geometry("global_avg_pool", x.shape)
    y = run("global_avg_pool", "forward", geometry, x.data.reshape(geometry.shapes["x"])).reshape(_kept(x))
    return record("global_avg_pool", y, inputs=(x,), geometry=geometry, backward=avg_backward)


def avg_backward(record, grad_y, needs):
    """Each cell gets an equal share of its channel's gradient."""
    (x,) = record.inputs
    return (run("global_avg_pool", "backward_input", record.geometry, grad_y.reshape(-1)).reshape(x.shape),)


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
    geometry = _geometry("global_max_pool", x.shape)
    y, index = run("global_max_pool", "forward", geometry, x.data.reshape(geometry.shapes["x"]))
    return record("global_max_pool", y.reshape(_kept(x)), inputs=(x,), saved={"index": index}, geometry=geometry,
                  backward=max_backward)  # fmt: skip


def max_backward(record, grad_y, needs):
    """Each channel's gradient goes to the cell that won."""
    (x,), index = record.inputs, record.saved["index"]
    grad_x = run("global_max_pool", "backward_input", record.geometry, grad_y.reshape(-1), index)
    return (grad_x.reshape(x.shape),)


def _checked(op, x):
    x = as_tensor(x, f"{op}: x")
    if x.ndim < 3:
        raise ValueError(f"{op}: x must have a spatial dimension, (N, C, ...), got shape {x.shape}")
    if min(x.shape[1:]) < 1:
        raise ValueError(f"{op}: x has an axis of size 0 (x {x.shape})")
    return x


@functools.lru_cache(maxsize=1024)
def _geometry(op, shape):
    return GlobalPoolGeometry(op, math.prod(shape[:2]), math.prod(shape[2:]))


def _kept(x):
    """Return the output's shape, (N, C, 1, ...)."""
    return (*x.shape[:2], *(1,) * (x.ndim - 2))
