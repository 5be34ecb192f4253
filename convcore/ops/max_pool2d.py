"""2-D max-pooling."""

from convcore.ops import max_pool


def max_pool2d(x, pool_size, *, stride=None, padding=0, dilation=1, ceil_mode=False, return_indices=False):
    """Return the largest value under a window that slides over each channel.

    y[n, c, i, j] = max over u, v of x[n, c, i·stride_h + u·dilation_h − top, j·stride_w + v·dilation_w − left]

    Parameters
    ----------
    x : Tensor or array, shape (N, C, H, W), float32 or float64
    pool_size : int or (int, int), pixels, height first
    stride : int or (int, int), pixels
        None is the pool size: windows that do not overlap.
    padding : int, (int, int), (top, bottom, left, right), "same", "same-lower", "valid" or "full", pixels
        Padded cells never win; a window that sees nothing else gives -inf.
    dilation : int or (int, int), pixels
    ceil_mode : bool
        Whether to round the output's size up, for a last window that begins in the input, or in the padding before it,
        and reaches beyond the padding.
    return_indices : bool
        Whether to return where each maximum stood, too.

    Returns
    -------
    Tensor, shape (N, C, H_out, W_out)
        H_out = (H + top + bottom − ((pool_h − 1)·dilation_h + 1)) // stride_h + 1
    ndarray of int32, shape (N, C, H_out, W_out)
        With `return_indices` only: the flat position of each maximum in its plane; -1 where only padding was seen.

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
    return max_pool.forward("max_pool2d", x, pool_size, stride, padding, dilation, ceil_mode, return_indices)
