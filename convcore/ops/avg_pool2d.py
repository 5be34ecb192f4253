"""2-D average-pooling."""

from convcore.autograd import as_tensor, record
from convcore.kernels import PoolGeometry, run


def avg_pool2d(x, pool_size, *, stride=None, padding=0, padding_value=0):
    """Return the average under a window that slides over each channel.

    y[n, c, i, j] = 1 / (pool_h·pool_w) · Σ_u Σ_v x[n, c, i·stride_h + u − top, j·stride_w + v − left]

    Parameters
    ----------
    x : Tensor or array, shape (N, C, H, W), float32 or float64
    pool_size : int or (int, int), pixels, height first
    stride : int or (int, int), pixels
        None is the pool size: windows that do not overlap.
    padding : int, (int, int), (top, bottom, left, right), "same", "valid" or "full", pixels
    padding_value : float or "mean"
        What padded cells hold; with "mean" they do not count, and a window that sees nothing else gives 0.

    Returns
    -------
    Tensor, shape (N, C, H_out, W_out); H_out = (H + top + bottom − pool_h) // stride_h + 1

    Raises
    ------
    TypeError, ValueError
        Options that are no whole numbers, sizes below 1, a window larger than the padded image.

    References
    ----------
    "Layers of a ConvNet", average-pooling layer (specification).

    Examples
    --------
    >>> import numpy as np
    >>> avg_pool2d(np.arange(16.0).reshape(1, 1, 4, 4), 2).numpy()[0, 0]
    array([[ 2.5,  4.5],
           [10.5, 12.5]])
    """
    x = as_tensor(x, "avg_pool2d: x")
    if padding_value is None:
        raise TypeError('avg_pool2d: padding_value must be a number or "mean", got None')
    geometry = PoolGeometry.of("avg_pool2d", x.shape, pool_size, stride, padding, 1, padding_value)
    y = run("avg_pool2d", "forward", geometry, x.data)
    return record("avg_pool2d", y, inputs=(x,), backward=backward, geometry=geometry)


def backward(record, grad_y, needs):
    """Each output's gradient is shared out evenly over its window."""
    return (run("avg_pool2d", "backward_input", record.geometry, grad_y),)
