"""One ONNX node computed by convcore's public functions: attributes become arguments, or arithmetic around a call.

What no function stands for raises `Unsupported` with the reason.
"""

import math

import numpy as np
import onnx

import convcore as cc


class Unsupported(Exception):
    """The node asks for something that the contract does not have."""


def run(node, inputs):
    """Return the outputs of a node as a list of arrays.

    `inputs` are those that are present: where the node's own list has an empty name, the operator gets None.
    """
    attributes = {a.name: onnx.helper.get_attribute_value(a) for a in node.attribute}
    attributes = {name: value.decode() if isinstance(value, bytes) else value for name, value in attributes.items()}
    present = iter(inputs)
    given = [next(present) if name else None for name in node.input]
    outputs = OPERATORS[node.op_type](Node(attributes, len(node.output)), *given)
    outputs = outputs if isinstance(outputs, (tuple, list)) else (outputs,)
    return [np.asarray(y.numpy() if isinstance(y, cc.Tensor) else y) for y in outputs]


class Node:
    """The attributes of a node by name, and how many outputs it has."""

    def __init__(self, attributes, n_outputs):
        self.attributes = attributes
        self.n_outputs = n_outputs

    def get(self, name, default=None):
        """Return an attribute; lists become tuples."""
        value = self.attributes.get(name, default)
        return tuple(value) if isinstance(value, list) else value

    @property
    def padding(self):
        """ONNX lists all beginnings, then all ends; convcore both ends of each dimension in a row."""
        auto = self.get("auto_pad", "NOTSET")
        if auto != "NOTSET":
            return {"VALID": "valid", "SAME_UPPER": "same", "SAME_LOWER": "same-lower"}[auto]
        pads = self.get("pads")
        if pads is None:
            return 0
        half = len(pads) // 2
        return sum(zip(pads[:half], pads[half:], strict=True), ())


# Convolution


def conv(node, x, weight, bias=None):
    """Conv; the shape of the filter is that of the weight."""
    return getattr(cc, f"conv{x.ndim - 2}d")(
        x, weight, bias, stride=node.get("strides", 1), padding=node.padding, dilation=node.get("dilations", 1),
        groups=node.get("group", 1),
    )  # fmt: skip


def conv_transpose(node, x, weight, bias=None):
    """ConvTranspose; a size of the output that is asked for becomes a cropping."""
    rank = x.ndim - 2
    auto, wanted, cropping = node.get("auto_pad", "NOTSET"), node.get("output_shape"), node.padding
    options = {"stride": node.get("strides", (1,) * rank), "dilation": node.get("dilations", (1,) * rank),
               "output_padding": node.get("output_padding", (0,) * rank)}  # fmt: skip
    if cropping == "same-lower" and not wanted:
        wanted = [i * s for i, s in zip(x.shape[2:], options["stride"], strict=True)]
    if wanted:
        cropping, options["output_padding"] = cropped_to(wanted[-rank:], x, weight, auto == "SAME_UPPER", **options)
    return getattr(cc, f"conv_transpose{rank}d")(
        x, weight, bias, cropping=0 if cropping == "valid" else cropping, groups=node.get("group", 1), **options
    )


def cropped_to(size, x, weight, upper, stride, dilation, output_padding):
    """Return the cropping and the output padding that give a size: an odd cell is cut at the end if `upper`."""
    cropping, extra = [], []
    axes = zip(size, x.shape[2:], weight.shape[2:], stride, dilation, output_padding, strict=True)
    for wanted, i, f, s, d, e in axes:
        surplus = (i - 1) * s + (f - 1) * d + 1 + e - wanted
        ends = sorted((surplus // 2, surplus - surplus // 2), reverse=not upper)
        cropping += ends if surplus > 0 else (0, 0)
        extra.append(e - min(surplus, 0))  # cells that nothing reaches
    return cropping, extra


def causal_conv_with_state(node, x, weight, bias=None, past=None):
    """CausalConvWithState: one filter per channel; the state is what an earlier piece of the sequence left."""
    size, groups = weight.shape[2], x.shape[1]
    if past is None:
        y = cc.conv1d(x, weight, bias, padding="causal", groups=groups)
        before = cc.pad(x, ((0, 0), (0, 0), (size - 1, 0)))
    else:
        before = cc.concatenate([past, x], axis=2)
        y = cc.conv1d(before, weight, bias, groups=groups)
    if node.get("activation", "none") in ("silu", "swish"):
        y = cc.swish(y)
    return y, before[:, :, before.shape[2] - (size - 1) :]


# Pooling


def pool_options(node):
    """What both poolings take; ONNX's stride is 1 where none is given."""
    size = node.get("kernel_shape")
    return size, {"stride": node.get("strides", (1,) * len(size)), "padding": node.padding,
                  "dilation": node.get("dilations", 1), "ceil_mode": bool(node.get("ceil_mode", 0))}  # fmt: skip


def max_pool(node, x):
    """MaxPool; its indices count through the whole tensor, row by row or (storage_order 1) column by column."""
    size, options = pool_options(node)
    pool = getattr(cc, f"max_pool{len(size)}d")
    if node.n_outputs == 1:
        return pool(x, size, **options)
    y, index = pool(x, size, return_indices=True, **options)
    cells = np.unravel_index(index, x.shape[2:])
    plane = np.ravel_multi_index(cells, x.shape[2:], order="F" if node.get("storage_order", 0) else "C")
    first = np.arange(math.prod(x.shape[:2])).reshape(*x.shape[:2], *(1,) * len(size)) * math.prod(x.shape[2:])
    return y, first + plane


def avg_pool(node, x):
    """AveragePool."""
    size, options = pool_options(node)
    value = 0 if node.get("count_include_pad", 0) else "mean"
    return getattr(cc, f"avg_pool{len(size)}d")(x, size, padding_value=value, **options)


# Normalization


def batch_normalization(node, x, scale, offset, mean, variance):
    """BatchNormalization; ONNX's momentum is the share of the old values."""
    mean, variance, training = mean.copy(), variance.copy(), bool(node.get("training_mode", 0))
    y = cc.batch_norm(x, scale, offset, mean, variance, training=training, momentum=1 - node.get("momentum", 0.9),
                      epsilon=node.get("epsilon", 1e-5))  # fmt: skip
    return (y, mean, variance)[: node.n_outputs]


def lrn(node, x):
    """LRN."""
    return cc.cross_channel_norm(x, node.get("size"), alpha=node.get("alpha", 1e-4), beta=node.get("beta", 0.75),
                                 k=node.get("bias", 1.0))  # fmt: skip


# Activations


def clip(node, x, low=None, high=None):
    """Clip: what clipped_relu does from 0 to a ceiling, moved to another place."""
    low, high = (None if bound is None else bound.item() for bound in (low, high))
    x = cc.Tensor(x)
    if low is not None and high is not None:
        if low >= high:
            raise Unsupported("clipped_relu has a ceiling above 0")
        return cc.clipped_relu(x - low, high - low) + low
    if low is not None:
        return cc.relu(x - low) + low
    return x if high is None else high - cc.relu(high - x)


def gelu(node, x):
    """Gelu."""
    if node.get("approximate", "none") != "none":
        raise Unsupported("gelu is the exact function, there is no approximation by tanh")
    return cc.gelu(x)


def swish(node, x):
    """Swish."""
    if node.get("alpha", 1.0) != 1:
        raise Unsupported("swish has no factor alpha")
    return cc.swish(x)


def dropout(node, x, ratio=None, training=None):
    """Dropout; what is dropped in training depends on the generator."""
    if node.n_outputs > 1:
        raise Unsupported("dropout returns no mask")
    probability = node.get("ratio", 0.5) if ratio is None else ratio.item()
    training = training is not None and bool(training)
    if training and probability:
        raise Unsupported("dropout draws from a generator of its own")
    return cc.dropout(x, probability, training=training, rng=np.random.default_rng(0))


# Losses


def checked_loss(node, weight):
    """Raise what no loss here has."""
    if weight is not None:
        raise Unsupported("losses have no class weights")
    if node.get("ignore_index") is not None:
        raise Unsupported("losses have no class to ignore")


def negative_log_likelihood(node, x, target, weight=None):
    """NegativeLogLikelihoodLoss: minus the entry of the target's class, by indexing."""
    checked_loss(node, weight)
    reduction = {"mean": cc.mean, "sum": cc.sum, "none": cc.Tensor}[node.get("reduction", "mean")]
    where = np.meshgrid(*(np.arange(n) for n in target.shape), indexing="ij")
    picked = cc.Tensor(x)[(where[0], target, *where[1:])]
    return reduction(-picked)


def softmax_cross_entropy(node, x, target, weight=None):
    """SoftmaxCrossEntropyLoss: pixels are observations, too."""
    checked_loss(node, weight)
    log_probabilities = cc.log_softmax(x, axis=1)
    reduction = node.get("reduction", "mean")
    if reduction == "none":
        loss = negative_log_likelihood(node, log_probabilities, target)
    else:
        rows = cc.reshape(cc.transpose(x, 0, *range(2, x.ndim), 1), (target.size, x.shape[1]))
        loss = cc.cross_entropy(rows, target.ravel())
        loss = loss * target.size if reduction == "sum" else loss
    return (loss, log_probabilities)[: node.n_outputs]


# Matrices


def gemm(node, a, b, c=None):
    """Gemm."""
    y = cc.kernels.gemm(a, b, transpose_a=bool(node.get("transA", 0)), transpose_b=bool(node.get("transB", 0)))
    y = cc.multiply(y, node.get("alpha", 1.0))
    return y if c is None else cc.add(y, cc.multiply(c, node.get("beta", 1.0)))


# Shapes


def flatten(node, x):
    """Flatten: two axes, cut before `axis`."""
    axis = node.get("axis", 1)
    if axis % x.ndim == 1:
        return cc.flatten(x)
    axis = axis + x.ndim if axis < 0 else axis
    return cc.reshape(x, (math.prod(x.shape[:axis]), math.prod(x.shape[axis:])))


def reshape(node, x, shape):
    """Reshape: 0 keeps a size unless `allowzero`."""
    keep = not node.get("allowzero", 0)
    return cc.reshape(x, tuple(x.shape[i] if keep and n == 0 else int(n) for i, n in enumerate(shape)))


def transpose(node, x):
    """Transpose."""
    return cc.transpose(x, *node.get("perm", tuple(reversed(range(x.ndim)))))


def pad(node, x, pads, value=None, axes=None):
    """Pad; ONNX lists all beginnings, then all ends."""
    if node.get("mode", "constant") != "constant":
        raise Unsupported("pad puts a constant around an array, patterns are an option of convolutions")
    axes = range(x.ndim) if axes is None else axes
    widths = [(0, 0)] * x.ndim
    for axis, before, after in zip(axes, pads[: len(pads) // 2], pads[len(pads) // 2 :], strict=True):
        widths[axis] = (int(before), int(after))
    return cc.pad(x, widths, 0 if value is None else value.item())


def slice_(node, x, starts, ends, axes=None, steps=None):
    """Slice."""
    axes = range(len(starts)) if axes is None else axes
    steps = [1] * len(starts) if steps is None else steps
    where = [slice(None)] * x.ndim
    for axis, start, end, step in zip(axes, starts, ends, steps, strict=True):
        where[axis] = slice(int(start), int(end), int(step))
    return cc.Tensor(x)[tuple(where)]


def reduction(function):
    """ReduceSum and its like: the axes are an input; no axes are all of them or, with a flag, none."""

    def reduce(node, x, axes=None):
        if axes is None or not len(axes):
            return cc.Tensor(x) if node.get("noop_with_empty_axes", 0) else function(x, keepdims=keepdims(node))
        return function(x, axis=tuple(int(a) for a in axes), keepdims=keepdims(node))

    return reduce


def keepdims(node):
    """Whether reduced axes stay, with size 1."""
    return bool(node.get("keepdims", 1))


def total(node, *arrays):
    """Sum of any number of arrays."""
    y = cc.Tensor(arrays[0])
    for array in arrays[1:]:
        y = y + array
    return y


def plain(function):
    """An operator without attributes."""
    return lambda node, *arrays: function(*arrays)


OPERATORS = {
    "Add": plain(cc.add),
    "AveragePool": avg_pool,
    "BatchNormalization": batch_normalization,
    "CausalConvWithState": causal_conv_with_state,
    "Clip": clip,
    "Concat": lambda node, *arrays: cc.concatenate(arrays, axis=node.get("axis")),
    "Conv": conv,
    "ConvTranspose": conv_transpose,
    "Div": plain(cc.divide),
    "Dropout": dropout,
    "Elu": lambda node, x: cc.elu(x, alpha=node.get("alpha", 1.0)),
    "Exp": plain(cc.exp),
    "Flatten": flatten,
    "Gelu": gelu,
    "Gemm": gemm,
    "GlobalAveragePool": lambda node, x: cc.global_avg_pool(x),
    "GlobalMaxPool": lambda node, x: cc.global_max_pool(x),
    "LRN": lrn,
    "LeakyRelu": lambda node, x: cc.leaky_relu(x, scale=node.get("alpha", 0.01)),
    "Log": plain(cc.log),
    "LogSoftmax": lambda node, x: cc.log_softmax(x, axis=node.get("axis", -1)),
    "MatMul": plain(cc.matmul),
    "MaxPool": max_pool,
    "Mul": plain(cc.multiply),
    "Neg": plain(cc.negative),
    "NegativeLogLikelihoodLoss": negative_log_likelihood,
    "Pad": pad,
    "Pow": lambda node, x, y: cc.power(x, y.astype(x.dtype)),  # the exponent may be of another type
    "ReduceMax": reduction(cc.max),
    "ReduceMean": reduction(cc.mean),
    "ReduceSum": reduction(cc.sum),
    "Relu": plain(cc.relu),
    "Reshape": reshape,
    "Sigmoid": plain(cc.sigmoid),
    "Slice": slice_,
    "Softmax": lambda node, x: cc.softmax(x, axis=node.get("axis", -1)),
    "SoftmaxCrossEntropyLoss": softmax_cross_entropy,
    "Sub": plain(cc.subtract),
    "Sum": total,
    "Swish": swish,
    "Tanh": plain(cc.tanh),
    "Transpose": transpose,
}
