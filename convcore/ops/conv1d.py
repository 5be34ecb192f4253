"""1-D convolution."""

from convcore.ops.conv import convolve


def conv1d(x, weight, bias=None, *, stride=1, padding=0, padding_value=0, dilation=1, groups=1, variant=None):
    """Convolve a batch of sequences with a bank of filters (cross-correlation: the filters are not flipped).

    y[n, k, j] = bias[k] + Σ_c Σ_v x[n, c, j·stride + v·dilation − left] · weight[k, c, v]

    Parameters
    ----------
    x : Tensor or array, shape (N, C, W), float32 or float64
    weight : Tensor or array, shape (K, C // groups, S), dtype of x
    bias : Tensor or array, shape (K,), dtype of x, optional
    stride, dilation : int, cells
    padding : int, (left, right), "same", "causal", "valid" or "full", cells
        "same" gives an output of ceil(W / stride); an odd surplus goes to the right. "causal" pads the left alone, by
        (S − 1)·dilation: no output reads what comes after it.
    padding_value : float or str
        What the cells around the sequence hold: a number, or cells of the sequence itself: "symmetric-include-edge" and
        "symmetric-exclude-edge" mirror it, "replicate" repeats its edge, "circular" begins again at the other end.
        Their gradient goes to the cells that they repeat; a number takes none.
    groups : int
        Filters of a group see only the channels of that group.
    variant : str, optional
        A kernel of `convcore.kernels.variants("conv1d")`; None chooses.

    Returns
    -------
    Tensor, shape (N, K, W_out); W_out = (W + left + right − ((S − 1)·dilation + 1)) // stride + 1

    Raises
    ------
    ValueError
        Channels that do not match; a filter longer than the padded sequence; sizes below 1; an unknown variant.
    TypeError
        Arrays of different dtypes; options that are no whole numbers.

    Notes
    -----
    2·N·K·W_out·(C // groups)·S floating-point operations. The bits do not depend on the number of threads.

    References
    ----------
    "1-D convolutional layer" (specification); Dumoulin and Visin, arXiv:1603.07285, section 2.

    Examples
    --------
    >>> conv1d([[[1.0, 2.0, 3.0]]], [[[1.0, 10.0]]], padding="causal").numpy()[0, 0]
    array([10., 21., 32.])
    """
    return convolve("conv1d", x, weight, bias, stride, padding, padding_value, dilation, groups, variant)
