"""2-D convolution."""

from convcore.ops.conv import convolve


def conv2d(x, weight, bias=None, *, stride=1, padding=0, padding_value=0, dilation=1, groups=1, variant=None):
    """Convolve a batch of images with a bank of filters (cross-correlation: the filters are not flipped).

    y[n, k, i, j] = bias[k] + Σ_c Σ_u Σ_v
    x[n, c, i·stride_h + u·dilation_h − top, j·stride_w + v·dilation_w − left] · weight[k, c, u, v]

    Parameters
    ----------
    x : Tensor or array, shape (N, C, H, W), float32 or float64
    weight : Tensor or array, shape (K, C // groups, R, S), dtype of x
    bias : Tensor or array, shape (K,), dtype of x, optional
    stride, dilation : int or (int, int), pixels, height first
    padding : int, (int, int), (top, bottom, left, right), "same", "valid" or "full", pixels
        "same" gives an output of ceil(H / stride); an odd surplus goes to the bottom and the right.
    padding_value : float or str
        What the cells around the image hold: a number, or cells of the image itself: "symmetric-include-edge" and
        "symmetric-exclude-edge" mirror it, "replicate" repeats its edge, "circular" begins again at the other end.
        Their gradient goes to the cells that they repeat; a number takes none.
    groups : int
        Filters of a group see only the channels of that group.
    variant : str, optional
        A kernel of `convcore.kernels.variants("conv2d")`; None chooses.

    Returns
    -------
    Tensor, shape (N, K, H_out, W_out); H_out = (H + top + bottom − ((R − 1)·dilation_h + 1)) // stride_h + 1

    Raises
    ------
    ValueError
        Channels that do not match; a filter larger than the padded image; sizes below 1; an unknown variant.
    TypeError
        Arrays of different dtypes; options that are no whole numbers.

    Notes
    -----
    2·N·K·H_out·W_out·(C // groups)·R·S floating-point operations. The bits do not depend on the number of threads.

    References
    ----------
    "2-D convolutional layer" (specification); Dumoulin and Visin, arXiv:1603.07285, section 2.

    Examples
    --------
    >>> import numpy as np
    >>> conv2d(np.ones((1, 1, 3, 3)), np.ones((1, 1, 2, 2))).numpy()[0, 0]
    array([[4., 4.],
           [4., 4.]])
    """
    return convolve("conv2d", x, weight, bias, stride, padding, padding_value, dilation, groups, variant)
