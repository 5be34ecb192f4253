"""2-D transposed convolution."""

from convcore.ops.conv_transpose import convolve_transposed


def conv_transpose2d(
    x, weight, bias=None, *, stride=1, cropping=0, output_padding=0, dilation=1, groups=1, variant=None
):
    """Spread each cell of a batch of images over the cells of a larger output: the transpose of a convolution.

    y[n, k, i·stride_h + u·dilation_h − top, j·stride_w + v·dilation_w − left] += Σ_c x[n, c, i, j] · weight[c, k, u, v]

    and + bias[k] everywhere; what falls outside the output is dropped.

    Parameters
    ----------
    x : Tensor or array, shape (N, C, H, W), float32 or float64
    weight : Tensor or array, shape (C, K // groups, R, S), dtype of x
    bias : Tensor or array, shape (K,), dtype of x, optional
    stride, dilation : int or (int, int), pixels, height first
    cropping : int, (int, int), (top, bottom, left, right) or "same", pixels
        What is cut off the output. "same" gives input size · stride; an odd surplus is cut at the bottom and the right.
    output_padding : int or (int, int), pixels
        What is added at the bottom and the right, smaller than the stride: it chooses among
        the input sizes that a convolution with this stride maps to the same output size.
    groups : int
        Channels of a group reach only the filters of that group.
    variant : str, optional
        A kernel of `convcore.kernels.variants("conv2d")`, whose input gradient this is; None chooses.

    Returns
    -------
    Tensor, shape (N, K, H_out, W_out);
        H_out = (H − 1)·stride_h + (R − 1)·dilation_h + 1 + output_padding_h − top − bottom

    Raises
    ------
    ValueError
        Channels that do not match; an output that cropping leaves empty; sizes below 1; an unknown variant.
    TypeError
        Arrays of different dtypes; options that are no whole numbers.

    Notes
    -----
    2·N·C·H·W·(K // groups)·R·S floating-point operations: each output cell gathers what reaches it, no zeros are
    multiplied. The bits do not depend on the number of threads.

    References
    ----------
    "Convolutional layer", transposed (specification); Dumoulin and Visin, arXiv:1603.07285, section 4.

    Examples
    --------
    >>> import numpy as np
    >>> conv_transpose2d(np.ones((1, 1, 2, 2)), np.ones((1, 1, 2, 2))).numpy()[0, 0]
    array([[1., 2., 1.],
           [2., 4., 2.],
           [1., 2., 1.]])
    """
    return convolve_transposed(
        "conv_transpose2d", x, weight, bias, stride, cropping, output_padding, dilation, groups, variant
    )
