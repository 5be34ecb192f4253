"""2-D average-pooling."""

from convcore.ops import avg_pool


def avg_pool2d(x, pool_size, *, stride=None, padding=0, padding_value=0, dilation=1, ceil_mode=False):
    """Return the average under a window that slides over each channel.

    y[n, c, i, j] = 1 / (pool_h·pool_w) · Σ_u Σ_v x[n, c, z_h, z_w], where
    z_h = i·stride_h + u·dilation_h − top,  z_w = j·stride_w + v·dilation_w − left

    Parameters
    ----------
    x : Tensor or array, shape (N, C, H, W), float32 or float64
    pool_size : int or (int, int), pixels, height first
    stride : int or (int, int), pixels
        None is the pool size: windows that do not overlap.
    padding : int, (int, int), (top, bottom, left, right), "same", "same-lower", "valid" or "full", pixels
    padding_value : float or "mean"
        What padded cells hold; with "mean" they do not count, and a window that sees nothing else gives 0.
    dilation : int or (int, int), pixels
    ceil_mode : bool
        Whether to round the output's size up, for a last window that begins in the input, or in the padding before it,
        and reaches beyond the padding; its cells there do not count.

    Returns
    -------
    Tensor, shape (N, C, H_out, W_out)
        H_out = (H + top + bottom − ((pool_h − 1)·dilation_h + 1)) // stride_h + 1

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
    return avg_pool.forward("avg_pool2d", x, pool_size, stride, padding, padding_value, dilation, ceil_mode)
