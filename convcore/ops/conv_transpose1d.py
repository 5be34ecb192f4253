"""1-D transposed convolution."""

from convcore.ops.conv_transpose import convolve_transposed


def conv_transpose1d(
    x, weight, bias=None, *, stride=1, cropping=0, output_padding=0, dilation=1, groups=1, variant=None
):
    """Spread each cell of a batch of sequences over the cells of a larger output: the transpose of a convolution.

    y[n, k, j·stride + v·dilation − left] += Σ_c x[n, c, j] · weight[c, k, v]

    and + bias[k] everywhere; what falls outside the output is dropped.

    Parameters
    ----------
    x : Tensor or array, shape (N, C, W), float32 or float64
    weight : Tensor or array, shape (C, K // groups, S), dtype of x
    bias : Tensor or array, shape (K,), dtype of x, optional
    stride, dilation : int, cells
    cropping : int, (left, right) or "same", cells
        What is cut off the output. "same" gives input size · stride; an odd surplus is cut at the right.
    output_padding : int, cells
        What is added at the right, smaller than the stride: it chooses among
        the input sizes that a convolution with this stride maps to the same output size.
    groups : int
        Channels of a group reach only the filters of that group.
    variant : str, optional
        A kernel of `convcore.kernels.variants("conv1d")`, whose input gradient this is; None chooses.

    Returns
    -------
    Tensor, shape (N, K, W_out); W_out = (W − 1)·stride + (S − 1)·dilation + 1 + output_padding − left − right

    Raises
    ------
    ValueError
        Channels that do not match; an output that cropping leaves empty; sizes below 1; an unknown variant.
    TypeError
        Arrays of different dtypes; options that are no whole numbers.

    Notes
    -----
    2·N·C·W·(K // groups)·S floating-point operations: each output cell gathers what reaches it, no zeros are
    multiplied. The bits do not depend on the number of threads.

    References
    ----------
    "Convolutional layer", transposed (specification); Dumoulin and Visin, arXiv:1603.07285, section 4.

    Examples
    --------
    >>> conv_transpose1d([[[1.0, 2.0]]], [[[1.0, 10.0, 100.0]]], stride=2).numpy()[0, 0]
    array([  1.,  10., 102.,  20., 200.])
    """
    return convolve_transposed(
        "conv_transpose1d", x, weight, bias, stride, cropping, output_padding, dilation, groups, variant
    )
