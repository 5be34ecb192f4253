"""3-D convolution."""

from convcore.ops.conv import convolve


def conv3d(x, weight, bias=None, *, stride=1, padding=0, padding_value=0, dilation=1, groups=1, variant=None):
    """Convolve a batch of volumes with a bank of filters (cross-correlation: the filters are not flipped).

    y[n, k, h, i, j] = bias[k] + Σ_c Σ_t Σ_u Σ_v weight[k, c, t, u, v] ·
    x[n, c, h·stride_d + t·dilation_d − front, i·stride_h + u·dilation_h − top, j·stride_w + v·dilation_w − left]

    Parameters
    ----------
    x : Tensor or array, shape (N, C, D, H, W), float32 or float64
    weight : Tensor or array, shape (K, C // groups, T, R, S), dtype of x
    bias : Tensor or array, shape (K,), dtype of x, optional
    stride, dilation : int or (int, int, int), cells; depth, height, width
    padding : int, 3 ints, (front, back, top, bottom, left, right), "same", "valid" or "full", cells
        "same" gives an output of ceil(H / stride); an odd surplus goes to the back, the bottom and the right.
    padding_value : float or str
        What the cells around the volume hold: a number, or cells of the volume itself: "symmetric-include-edge" and
        "symmetric-exclude-edge" mirror it, "replicate" repeats its edge, "circular" begins again at the other end.
        Their gradient goes to the cells that they repeat; a number takes none.
    groups : int
        Filters of a group see only the channels of that group.
    variant : str, optional
        A kernel of `convcore.kernels.variants("conv3d")`; None chooses.

    Returns
    -------
    Tensor, shape (N, K, D_out, H_out, W_out); H_out = (H + top + bottom − ((R − 1)·dilation_h + 1)) // stride_h + 1

    Raises
    ------
    ValueError
        Channels that do not match; a filter larger than the padded volume; sizes below 1; an unknown variant.
    TypeError
        Arrays of different dtypes; options that are no whole numbers.

    Notes
    -----
    2·N·K·D_out·H_out·W_out·(C // groups)·T·R·S floating-point operations. The bits do not depend on the
    number of threads.

    References
    ----------
    "2-D convolutional layer", "Convolutional layer" (specification); Dumoulin and Visin, arXiv:1603.07285, section 2.

    Examples
    --------
    >>> import numpy as np
    >>> conv3d(np.ones((1, 1, 2, 3, 3)), np.ones((1, 1, 2, 2, 2))).numpy()[0, 0]
    array([[[8., 8.],
            [8., 8.]]])
    """
    return convolve("conv3d", x, weight, bias, stride, padding, padding_value, dilation, groups, variant)
