"""3-D max-pooling."""

from convcore.ops import max_pool


def max_pool3d(x, pool_size, *, stride=None, padding=0, dilation=1, ceil_mode=False, return_indices=False):
    """Return the largest value under a window that slides over each channel of a volume.

    y[n, c, i, j, k] = max over u, v, w of x[n, c, z_d, z_h, z_w], where
    z_d = i·stride_d + u·dilation_d − front,  z_h = j·stride_h + v·dilation_h − top,
    z_w = k·stride_w + w·dilation_w − left

    Parameters
    ----------
    x : Tensor or array, shape (N, C, D, H, W), float32 or float64
    pool_size : int or (int, int, int), cells, depth before height before width
    stride : int or (int, int, int), cells
        None is the pool size: windows that do not overlap.
    padding : int, 3 ints, (front, back, top, bottom, left, right), "same", "same-lower", "valid" or "full", cells
        Padded cells never win; a window that sees nothing else gives -inf.
    dilation : int or (int, int, int), cells
    ceil_mode : bool
        Whether to round the output's size up, for a last window that begins in the input, or in the padding before it,
        and reaches beyond the padding.
    return_indices : bool
        Whether to return where each maximum stood, too.

    Returns
    -------
    Tensor, shape (N, C, D_out, H_out, W_out)
        D_out = (D + front + back − ((pool_d − 1)·dilation_d + 1)) // stride_d + 1
    ndarray of int32, shape (N, C, D_out, H_out, W_out)
        With `return_indices` only: the flat position of each maximum in its volume; -1 where only padding was seen.

    Raises
    ------
    TypeError, ValueError
        Options that are no whole numbers, sizes below 1, a window larger than the padded volume.

    Notes
    -----
    Among equals the first in row order gets the gradient. NaN wins over everything, so it is not lost.

    References
    ----------
    "Layers of a ConvNet", max-pooling layer (specification).

    Examples
    --------
    >>> import numpy as np
    >>> max_pool3d(np.arange(16.0).reshape(1, 1, 2, 2, 4), 2).numpy()[0, 0]
    array([[[13., 15.]]])
    """
    return max_pool.forward("max_pool3d", x, pool_size, stride, padding, dilation, ceil_mode, return_indices)
