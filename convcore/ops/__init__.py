"""Differentiable functions: in each file a forward and, right under it, its backward."""

from convcore.ops.activation import (
    clipped_relu,
    elu,
    gelu,
    leaky_relu,
    log_softmax,
    relu,
    sigmoid,
    softmax,
    swish,
    tanh,
)
from convcore.ops.avg_pool1d import avg_pool1d
from convcore.ops.avg_pool2d import avg_pool2d
from convcore.ops.avg_pool3d import avg_pool3d
from convcore.ops.batch_norm import batch_norm
from convcore.ops.conv1d import conv1d
from convcore.ops.conv2d import conv2d
from convcore.ops.conv3d import conv3d
from convcore.ops.conv_transpose1d import conv_transpose1d
from convcore.ops.conv_transpose2d import conv_transpose2d
from convcore.ops.conv_transpose3d import conv_transpose3d
from convcore.ops.cross_channel_norm import cross_channel_norm
from convcore.ops.dropout import dropout
from convcore.ops.elementwise import add, divide, exp, log, multiply, negative, power, subtract
from convcore.ops.fully_connected import fully_connected
from convcore.ops.global_pool import global_avg_pool, global_max_pool
from convcore.ops.loss import cross_entropy, half_mse, huber, mae, mse
from convcore.ops.matmul import matmul
from convcore.ops.max_pool1d import max_pool1d
from convcore.ops.max_pool2d import max_pool2d
from convcore.ops.max_pool3d import max_pool3d
from convcore.ops.operators import attach
from convcore.ops.reduce import max, mean, sum
from convcore.ops.shape import concatenate, flatten, getitem, pad, reshape, stack, transpose

__all__ = [
    "add", "attach", "avg_pool1d", "avg_pool2d", "avg_pool3d", "batch_norm", "clipped_relu", "concatenate", "conv1d",
    "conv2d", "conv3d", "conv_transpose1d", "conv_transpose2d", "conv_transpose3d", "cross_channel_norm",
    "cross_entropy", "divide", "dropout", "elu", "exp", "flatten", "fully_connected", "gelu", "getitem",
    "global_avg_pool", "global_max_pool", "half_mse", "huber", "leaky_relu", "log", "log_softmax", "mae", "matmul",
    "max", "max_pool1d", "max_pool2d", "max_pool3d", "mean", "mse", "multiply", "negative", "pad", "power", "relu",
    "reshape", "sigmoid", "softmax", "stack", "subtract", "sum", "swish", "tanh", "transpose",
]  # fmt: skip
