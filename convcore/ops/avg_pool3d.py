"""3-D average-pooling."""

from convcore.ops import avg_pool


def avg_pool3d(x, pool_size, *, stride=None, padding=0, padding_value=0, dilation=1, ceil_mode=False):
    """Return the average under a window that slides over each channel of a volume.

    y[n, c, i, j, k] = 1 / (pool_d·pool_h·pool_w) · Σ_u Σ_v Σ_w x[n, c, z_d, z_h, z_w], where
    z_d = i·stride_d + u·dilation_d − front,  z_h = j·stride_h + v·dilation_h − top,
    z_w = k·stride_w + w·dilation_w − left

    Parameters
    ----------
    x : Tensor or array, shape (N, C, D, H, W), float32 or float64
    pool_size : int or (int, int, int), cells, depth before height before width
    stride : int or (int, int, int), cells
        None is the pool size: windows that do not overlap.
    padding : int, 3 ints, (front, back, top, bottom, left, right), "same", "same-lower", "valid" or "full", cells
    padding_value : float or "mean"
        What padded cells hold; with "mean" they do not count, and a window that sees nothing else gives 0.
    dilation : int or (int, int, int), cells
    ceil_mode : bool
        Whether to round the output's size up, for a last window that begins in the input, or in the padding before it,
        and reaches beyond the padding; its cells there do not count.

    Returns
    -------
    Tensor, shape (N, C, D_out, H_out, W_out)
        D_out = (D + front + back − ((pool_d − 1)·dilation_d + 1)) // stride_d + 1

    Raises
    ------
    TypeError, ValueError
        Options that are no whole numbers, sizes below 1, a window larger than the padded volume.

    References
    ----------
    "Layers of a ConvNet", average-pooling layer (specification).

    Examples
    --------
    >>> import numpy as np
    >>> avg_pool3d(np.arange(16.0).reshape(1, 1, 2, 2, 4), 2).numpy()[0, 0]
    array([[[6.5, 8.5]]])
    """
    return avg_pool.forward("avg_pool3d", x, pool_size, stride, padding, padding_value, dilation, ceil_mode)
