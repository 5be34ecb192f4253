"""2-D max-pooling."""

from convcore.autograd import as_tensor, record
from convcore.kernels import PoolGeometry, run


def max_pool2d(x, pool_size, *, stride=None, padding=0, dilation=1):
    """Return the largest value under a window that slides over each channel.

    y[n, c, i, j] = max over u, v of x[n, c, i·stride_h + u·dilation_h − top, j·stride_w + v·dilation_w − left]

    Parameters
    ----------
    x : Tensor or array, shape (N, C, H, W), float32 or float64
    pool_size : int or (int, int), pixels, height first
    stride : int or (int, int), pixels
        None is the pool size: windows that do not overlap.
    padding : int, (int, int), (top, bottom, left, right), "same", "valid" or "full", pixels
        Padded cells never win; a window that sees nothing else gives -inf.
    dilation : int or (int, int), pixels

    Returns
    -------
    Tensor, shape (N, C, H_out, W_out); H_out = (H + top + bottom − ((pool_h − 1)·dilation_h + 1)) // stride_h + 1

    Raises
    ------
    TypeError, ValueError
        Options that are no whole numbers, sizes below 1, a window larger than the padded image.

    Notes
    -----
    Among equals the first in row order gets the gradient. NaN wins over everything, so it is not lost.

    References
    ----------
    "Layers of a ConvNet", max-pooling layer (specification).

    Examples
    --------
    >>> import numpy as np
    >>> max_pool2d(np.arange(16.0).reshape(1, 1, 4, 4), 2).numpy()[0, 0]
    array([[ 5.,  7.],
           [13., 15.]])
    """
    x = as_tensor(x, "max_pool2d: x")
    geometry = PoolGeometry.of("max_pool2d", x.shape, pool_size, stride, padding, dilation)
    y, index = run("max_pool2d", "forward", geometry, x.data)
    return record("max_pool2d", y, inputs=(x,), backward=backward, saved={"index": index}, geometry=geometry)


def backward(record, grad_y, needs):
    """Each output's gradient goes to the cell that won."""
    return (run("max_pool2d", "backward_input", record.geometry, grad_y, record.saved["index"]),)
