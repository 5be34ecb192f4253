"""1-D max-pooling."""

from convcore.ops import max_pool


def max_pool1d(x, pool_size, *, stride=None, padding=0, dilation=1, ceil_mode=False, return_indices=False):
    """Return the largest value under a window that slides over each channel of a sequence.

    y[n, c, i] = max over u of x[n, c, i·stride_w + u·dilation_w − left]

    Parameters
    ----------
    x : Tensor or array, shape (N, C, W), float32 or float64
    pool_size : int, cells
    stride : int, cells
        None is the pool size: windows that do not overlap.
    padding : int, (left, right), "same", "same-lower", "valid" or "full", cells
        Padded cells never win; a window that sees nothing else gives -inf.
    dilation : int, cells
    ceil_mode : bool
        Whether to round the output's size up, for a last window that begins in the input, or in the padding before it,
        and reaches beyond the padding.
    return_indices : bool
        Whether to return where each maximum stood, too.

    Returns
    -------
    Tensor, shape (N, C, W_out)
        W_out = (W + left + right − ((pool_w − 1)·dilation_w + 1)) // stride_w + 1
    ndarray of int32, shape (N, C, W_out)
        With `return_indices` only: the flat position of each maximum in its row; -1 where only padding was seen.

    Raises
    ------
    TypeError, ValueError
        Options that are no whole numbers, sizes below 1, a window larger than the padded sequence.

    Notes
    -----
    Among equals the first in order gets the gradient. NaN wins over everything, so it is not lost.

    References
    ----------
    "Layers of a ConvNet", max-pooling layer (specification).

    Examples
    --------
    >>> import numpy as np
    >>> max_pool1d(np.array([[[3.0, 1, 4, 1, 5, 9]]]), 2).numpy()[0, 0]
    array([3., 4., 9.])
    """
    return max_pool.forward("max_pool1d", x, pool_size, stride, padding, dilation, ceil_mode, return_indices)
