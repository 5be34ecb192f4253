"""1-D average-pooling."""

from convcore.ops import avg_pool


def avg_pool1d(x, pool_size, *, stride=None, padding=0, padding_value=0, dilation=1, ceil_mode=False):
    """Return the average under a window that slides over each channel of a sequence.

    y[n, c, i] = 1 / pool_w · Σ_u x[n, c, i·stride_w + u·dilation_w − left]

    Parameters
    ----------
    x : Tensor or array, shape (N, C, W), float32 or float64
    pool_size : int, cells
    stride : int, cells
        None is the pool size: windows that do not overlap.
    padding : int, (left, right), "same", "same-lower", "valid" or "full", cells
    padding_value : float or "mean"
        What padded cells hold; with "mean" they do not count, and a window that sees nothing else gives 0.
    dilation : int, cells
    ceil_mode : bool
        Whether to round the output's size up, for a last window that begins in the input, or in the padding before it,
        and reaches beyond the padding; its cells there do not count.

    Returns
    -------
    Tensor, shape (N, C, W_out)
        W_out = (W + left + right − ((pool_w − 1)·dilation_w + 1)) // stride_w + 1

    Raises
    ------
    TypeError, ValueError
        Options that are no whole numbers, sizes below 1, a window larger than the padded sequence.

    References
    ----------
    "Layers of a ConvNet", average-pooling layer (specification).

    Examples
    --------
    >>> import numpy as np
    >>> avg_pool1d(np.array([[[3.0, 1, 4, 1, 5, 9]]]), 2).numpy()[0, 0]
    array([2. , 2.5, 7. ])
    """
    return avg_pool.forward("avg_pool1d", x, pool_size, stride, padding, padding_value, dilation, ceil_mode)
