"""2-D convolution."""

from convcore.arrays import same_dtype
from convcore.autograd import as_tensor, record
from convcore.kernels import ConvGeometry, run


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
    padding_value : float
        What the cells around the image hold.
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
    x, weight = as_tensor(x, "conv2d: x"), as_tensor(weight, "conv2d: weight")
    bias = None if bias is None else as_tensor(bias, "conv2d: bias")
    same_dtype("conv2d", x=x, weight=weight, bias=bias)
    for name, tensor in (("x", x), ("weight", weight)):
        if tensor.ndim != 4:
            raise ValueError(f"conv2d: {name} must have 4 axes, got {tensor.ndim} (x {x.shape}, weight {weight.shape})")
    geometry = ConvGeometry.of(x.shape, weight.shape, stride, padding, padding_value, dilation, groups)
    y = run("conv2d", "forward", geometry, x.data, weight.data, None if bias is None else bias.data, variant=variant)
    return record("conv2d", y, inputs=(x, weight, bias), backward=backward,
                  saved={"x": x.data, "weight": weight.data}, geometry=geometry, variant=variant)  # fmt: skip


def backward(record, grad_y, needs):
    """grad_x spreads each output's gradient over the cells it was read from; grad_weight correlates grad_y with x."""
    g, x, weight, variant = record.geometry, record.saved["x"], record.saved["weight"], record.variant
    needs_x, needs_weight, needs_bias = needs
    grad_x = run("conv2d", "backward_input", g, grad_y, weight, variant=variant) if needs_x else None
    grad_weight = run("conv2d", "backward_weight", g, grad_y, x, variant=variant) if needs_weight else None
    grad_bias = run("conv2d", "backward_bias", g, grad_y) if needs_bias else None
    return grad_x, grad_weight, grad_bias
