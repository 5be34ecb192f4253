"""Functions that are several, one after the other: a network calls them where layers follow each other.

The bits are those of the functions one by one. What lies between them is neither written where it need not be, nor kept
for the way back: ReLU tells by its output where its input was positive, and of the maxima of a window those above 0 are
the only ones that a gradient flows through, whether ReLU stands before the window or behind it.
"""

from convcore.autograd import as_tensor, record
from convcore.kernels import ConvGeometry, PoolGeometry, registry, run
from convcore.kernels.dispatch import doing_more, pooling, weight_and_bias_behind
from convcore.ops import conv
from convcore.ops.activation import relu_gradient
from convcore.ops.batch_norm import Problem as Normalization
from convcore.ops.batch_norm import gradients as normalization_gradients
from convcore.ops.fully_connected import arguments as fully_connected_arguments
from convcore.ops.fully_connected import backward as fully_connected_backward


def available():
    """Return whether ReLU is the built-in one: a kernel of the user's own, or one that is asked for, wants to run."""
    return registry.is_left_alone("relu")


def conv_relu(op, x, weight, bias=None, *, stride=1, padding=0, padding_value=0, dilation=1, groups=1):
    """Return relu(op(x, weight, bias)), `op` being "conv1d" to "conv3d"; the arguments are those of that function."""
    x, weight, bias = conv.tensors(op, x, weight, bias)
    geometry = ConvGeometry.of(x.shape, weight.shape, stride, padding, padding_value, dilation, groups)
    y = run(op, "forward_relu", geometry, x.data, weight.data, None if bias is None else bias.data)
    return record(f"{op}_relu", y, inputs=(x, weight, bias), backward=conv_relu_backward,
                  saved={"x": x.data, "weight": weight.data, "y": y}, geometry=geometry,
                  attributes={"convolution": op})  # fmt: skip


def conv_relu_backward(record, grad_y, needs):
    """The gradient passes where the output is positive, and on to the convolution's input, weight and bias."""
    op, y = record.attributes["convolution"], record.saved["y"]
    found = _weight_and_bias("relu", "backward_weight_bias_relu", record, (grad_y, y), needs)
    return found or conv.gradients(op, record, relu_gradient(grad_y, y), needs)


def conv_relu_max_pool(op, x, weight, bias=None, *, window, stride=1, padding=0, padding_value=0, dilation=1, groups=1):
    """Return the maxima of relu(op(x, weight, bias)) under a window: (pool_size, stride, padding) of the pooling."""
    x, weight, bias = conv.tensors(op, x, weight, bias)
    geometry = ConvGeometry.of(x.shape, weight.shape, stride, padding, padding_value, dilation, groups)
    pool = _pooling(conv.RANKS[op], geometry.shapes["y"], window)
    arrays = x.data, weight.data, None if bias is None else bias.data
    variant = pooling(op, geometry, x.data.dtype) if _in_quads(pool) else None
    if variant:
        maxima, index = run(op, "forward_pool", geometry, *arrays, variant=variant)
    else:
        maxima, index = run(pool.op, "forward_relu", pool, run(op, "forward", geometry, *arrays))
    return record(f"{op}_relu_{pool.op}", maxima, inputs=(x, weight, bias), backward=conv_relu_max_pool_backward,
                  saved={"x": x.data, "weight": weight.data, "index": index}, geometry=geometry,
                  attributes={"convolution": op, "pooling": pool})  # fmt: skip


def conv_relu_max_pool_backward(record, grad_y, needs):
    """Each gradient goes to the cell that won, if any, and on to the convolution's input, weight and bias."""
    op, pool, index = record.attributes["convolution"], record.attributes["pooling"], record.saved["index"]
    found = None
    if _in_quads(pool):
        found = _weight_and_bias(pool.op, "backward_weight_bias_pool", record, (grad_y, index), needs)
    return found or conv.gradients(op, record, run(pool.op, "backward_input", pool, grad_y, index), needs)


def _weight_and_bias(other, direction, record, gradient, needs):
    """Return the gradients of a convolution whose input needs none, from that of what follows it; None: not in one."""
    op, geometry = record.attributes["convolution"], record.geometry
    if needs != (False, True, True):
        return None
    variant = weight_and_bias_behind(other, direction, op, geometry, gradient[0].dtype)
    return variant and (None, *run(op, direction, geometry, *gradient, record.saved["x"], variant=variant))


def relu_max_pool(x, rank, window):
    """Return the maxima of relu(x) under a window in `rank` dimensions: (pool_size, stride, padding)."""
    x = as_tensor(x, "relu: x")
    pool = _pooling(rank, x.shape, window)
    maxima, index = run(pool.op, "forward_relu", pool, x.data)
    return record(f"relu_{pool.op}", maxima, inputs=(x,), backward=relu_max_pool_backward, saved={"index": index},
                  geometry=pool)  # fmt: skip


def relu_max_pool_backward(record, grad_y, needs):
    """Each gradient goes to the cell that won, if any."""
    pool = record.geometry
    return (run(pool.op, "backward_input", pool, grad_y, record.saved["index"]),)


def batch_norm_relu(x, scale, offset, statistics, epsilon):
    """Return relu of what `batch_norm.normalize` does with these arguments, and the statistics, as it does."""
    problem = Normalization(x, scale, offset, statistics, epsilon)
    y, *found = problem.run("_relu")
    saved = {"y": y}
    return problem.record("batch_norm_relu", y, batch_norm_relu_backward, saved, *found), *problem.learned(*found)


def batch_norm_relu_backward(record, grad_y, needs):
    """The gradient passes where the output is positive, and on through the normalization."""
    geometry, y = record.geometry, record.saved["y"]
    grad_y = grad_y.reshape(y.shape)
    variant = doing_more("batch_norm", "backward", "backward_relu", "relu", geometry, y.dtype)
    if variant is None:
        return normalization_gradients(record, "backward", [relu_gradient(grad_y, y)], needs)
    return normalization_gradients(record, "backward_relu", [grad_y, y], needs, variant)


def batch_norm_relu_max_pool(x, scale, offset, statistics, epsilon, *, rank, window):
    """Return the maxima of `batch_norm_relu` under a window in `rank` dimensions, and the statistics."""
    problem = Normalization(x, scale, offset, statistics, epsilon, lambda shape: _pooling(rank, shape, window))
    pool, direction = problem.pooling, problem.direction
    variant = doing_more(
        "batch_norm", direction, f"{direction}_pool", pool.op, problem.geometry, problem.values.dtype
    )  # fmt: skip
    if variant:
        maxima, index, *found = problem.run("_pool", variant)
    else:
        y, *found = problem.run("")
        maxima, index = run(pool.op, "forward_relu", pool, y.reshape(pool.shapes["x"]))
    op, saved = f"batch_norm_relu_{pool.op}", {"index": index}
    return problem.record(op, maxima, batch_norm_relu_max_pool_backward, saved, *found), *problem.learned(*found)


def batch_norm_relu_max_pool_backward(record, grad_y, needs):
    """Each gradient goes to the cell that won, if any, and on through the normalization."""
    geometry, index = record.geometry, record.saved["index"]
    pool = geometry.pooling
    variant = doing_more("batch_norm", "backward", "backward_pool", pool.op, geometry, grad_y.dtype)
    if variant is None:
        grad = run(pool.op, "backward_input", pool, grad_y, index.reshape(pool.shapes["index"]))
        return normalization_gradients(record, "backward", [grad.reshape(geometry.shapes["grad_y"])], needs)
    arrays = [array.reshape(geometry.shapes["index"]) for array in (grad_y, index)]
    return normalization_gradients(record, "backward_pool", arrays, needs, variant)


def fully_connected_relu(x, weight, bias=None):
    """Return relu(fully_connected(x, weight, bias))."""
    x, weight, bias, geometry = fully_connected_arguments(x, weight, bias)
    rows = x.data.reshape(geometry.M, geometry.K)  # (N, I)
    y = run("fully_connected", "forward_relu", geometry, rows, weight.data, None if bias is None else bias.data)
    return record("fully_connected_relu", y, inputs=(x, weight, bias), backward=fully_connected_relu_backward,
                  saved={"x": rows, "weight": weight.data, "y": y}, geometry=geometry)  # fmt: skip


def fully_connected_relu_backward(record, grad_y, needs):
    """The gradient passes where the output is positive, and on through the matrix."""
    return fully_connected_backward(record, relu_gradient(grad_y, record.saved["y"]), needs)


def _in_quads(pool):
    """Whether the windows of a pooling are those that convolutions may pool themselves."""
    sides = pool.pool_size, pool.stride, pool.dilation, pool.padding
    return pool.op == "max_pool2d" and sides == ((2, 2), (2, 2), (1, 1), ((0, 0), (0, 0))) and not pool.ceil_mode


def _pooling(rank, shape, window):
    """Return the geometry of the pooling behind."""
    pool_size, stride, padding = window
    return PoolGeometry.of(f"max_pool{rank}d", shape, pool_size, stride, padding)
