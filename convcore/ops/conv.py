"""What the convolutions in one, two and three dimensions share: everything but their documentation."""

from convcore.arrays import same_dtype
from convcore.autograd import as_tensor, record
from convcore.kernels import ConvGeometry, run
from convcore.kernels.dispatch import weight_and_bias

RANKS = {f"{family}{rank}d": rank for family in ("conv", "conv_transpose") for rank in (1, 2, 3)}


def tensors(op, x, weight, bias):
    """Return the arguments as Tensors of one dtype and of the op's number of axes; a bias of None stays None."""
    x, weight = as_tensor(x, f"{op}: x"), as_tensor(weight, f"{op}: weight")
    bias = None if bias is None else as_tensor(bias, f"{op}: bias")
    dtype, axes = x.data.dtype, RANKS[op] + 2
    if weight.data.dtype != dtype or (bias is not None and bias.data.dtype != dtype):
        same_dtype(op, x=x, weight=weight, bias=bias)
    if x.data.ndim != axes or weight.data.ndim != axes:
        name, tensor = ("x", x) if x.ndim != axes else ("weight", weight)
        shapes = f"(x {x.shape}, weight {weight.shape})"
        raise ValueError(f"{op}: {name} must have {axes} axes, got {tensor.ndim} {shapes}")
    return x, weight, bias


def convolve(op, x, weight, bias, stride, padding, padding_value, dilation, groups, variant):
    """Return the convolution of x with weight, plus bias; see conv2d."""
    x, weight, bias = tensors(op, x, weight, bias)
    geometry = ConvGeometry.of(x.shape, weight.shape, stride, padding, padding_value, dilation, groups)
    y = run(op, "forward", geometry, x.data, weight.data, None if bias is None else bias.data, variant=variant)
    return record(op, y, inputs=(x, weight, bias), backward=backward,
                  saved={"x": x.data, "weight": weight.data}, geometry=geometry, variant=variant)  # fmt: skip


def backward(record, grad_y, needs):
    """grad_x spreads each output's gradient over the cells it was read from; grad_weight correlates grad_y with x."""
    return gradients(record.op, record, grad_y, needs)


def gradients(op, record, grad_y, needs):
    """Return the gradients of x, weight and bias from that of the convolution's output; None where none is needed."""
    g, x, weight = record.geometry, record.saved["x"], record.saved["weight"]
    needs_x, needs_weight, needs_bias = needs
    grad_x = run(op, "backward_input", g, grad_y, weight, variant=record.variant) if needs_x else None
    if needs_weight and needs_bias and record.variant is None:
        both = weight_and_bias(op, g, grad_y.dtype)
        if both is not None:
            return grad_x, *run(op, "backward_weight_bias", g, grad_y, x, variant=both)
    grad_weight = run(op, "backward_weight", g, grad_y, x, variant=record.variant) if needs_weight else None
    grad_bias = run(op, "backward_bias", g, grad_y) if needs_bias else None
    return grad_x, grad_weight, grad_bias
