"""What the transposed convolutions in one, two and three dimensions share: everything but their documentation."""

from convcore.arrays import lasting_ones
from convcore.autograd import record
from convcore.kernels import (
    ChannelScaleGeometry,
    ConvGeometry,
    channel_sizes,
    conv1d_backward_bias,
    conv2d_backward_bias,
    conv3d_backward_bias,
    run,
)
from convcore.ops.conv import tensors

SUMS_OF_CHANNELS = {"conv1d": conv1d_backward_bias, "conv2d": conv2d_backward_bias, "conv3d": conv3d_backward_bias}


def convolve_transposed(op, x, weight, bias, stride, cropping, output_padding, dilation, groups, variant):
    """Return the transposed convolution of x with weight, plus bias; see conv_transpose2d.

    It is the input gradient of a convolution from the output's size to the input's, and computed by its kernels.
    """
    x, weight, bias = tensors(op, x, weight, bias)
    geometry = ConvGeometry.transposed(x.shape, weight.shape, stride, cropping, output_padding, dilation, groups)
    filters = (geometry.in_channels,)
    if bias is not None and bias.shape != filters:
        raise ValueError(f"{op}: bias must have shape {filters}, got {bias.shape} (weight {weight.shape})")
    y = run(geometry.op, "backward_input", geometry, x.data, weight.data, variant=variant)
    if bias is not None:
        y = _plus_bias(y, bias.data)
    return record(op, y, inputs=(x, weight, bias), backward=backward,
                  saved={"x": x.data, "weight": weight.data}, geometry=geometry, variant=variant)  # fmt: skip


def _plus_bias(y, bias):
    """Return y plus a number per channel, by a kernel: in place, by NumPy, plans of repeated work would not see it."""
    geometry = ChannelScaleGeometry(*channel_sizes(y.shape))
    ones = lasting_ones(bias.shape, bias.dtype)
    return run("channel_scale", "forward", geometry, y.reshape(geometry.shapes["x"]), ones, bias).reshape(y.shape)


def backward(record, grad_y, needs):
    """grad_x is the convolution of grad_y; grad_weight correlates x with grad_y; each pixel's gradient is the bias'."""
    g, x, weight, variant = record.geometry, record.saved["x"], record.saved["weight"], record.variant
    needs_x, needs_weight, needs_bias = needs
    grad_x = run(g.op, "forward", g, grad_y, weight, None, variant=variant) if needs_x else None
    grad_weight = run(g.op, "backward_weight", g, x, grad_y, variant=variant) if needs_weight else None
    return grad_x, grad_weight, SUMS_OF_CHANNELS[g.op](grad_y) if needs_bias else None
