"""Kernels: arrays in, arrays out, no autograd. `run` is the one place where every kernel call is made."""

from convcore.kernels.affine_geometry import AffineGeometry
from convcore.kernels.channel_geometry import (
    BatchNormGeometry,
    ChannelScaleGeometry,
    CrossChannelNormGeometry,
    channel_sizes,
)
from convcore.kernels.dispatch import explain, run
from convcore.kernels.functions import (
    conv1d_backward_bias,
    conv1d_backward_input,
    conv1d_backward_weight,
    conv1d_forward,
    conv2d_backward_bias,
    conv2d_backward_input,
    conv2d_backward_weight,
    conv2d_forward,
    conv3d_backward_bias,
    conv3d_backward_input,
    conv3d_backward_weight,
    conv3d_forward,
    gemm,
)
from convcore.kernels.geometry import ConvGeometry
from convcore.kernels.joining_geometry import JoiningGeometry
from convcore.kernels.matrix_geometry import (
    FlatGeometry,
    MatrixGeometry,
    PartsGeometry,
    RegressionGeometry,
    RowsGeometry,
    SoftmaxGeometry,
)
from convcore.kernels.pool_functions import (
    avg_pool1d_backward_input,
    avg_pool1d_forward,
    avg_pool2d_backward_input,
    avg_pool2d_forward,
    avg_pool3d_backward_input,
    avg_pool3d_forward,
    max_pool1d_backward_input,
    max_pool1d_forward,
    max_pool2d_backward_input,
    max_pool2d_forward,
    max_pool3d_backward_input,
    max_pool3d_forward,
)
from convcore.kernels.pool_geometry import GlobalPoolGeometry, PoolGeometry
from convcore.kernels.registry import levels_of, refusal, register, unregister, use_variant, variants
from convcore.kernels.rounding import get_precision, precision, set_precision

__all__ = [
    "AffineGeometry", "BatchNormGeometry", "ChannelScaleGeometry", "ConvGeometry", "CrossChannelNormGeometry",
    "FlatGeometry", "GlobalPoolGeometry", "JoiningGeometry", "MatrixGeometry", "PartsGeometry", "PoolGeometry",
    "RegressionGeometry", "RowsGeometry", "SoftmaxGeometry",
    "avg_pool1d_backward_input", "avg_pool1d_forward", "avg_pool2d_backward_input", "avg_pool2d_forward",
    "avg_pool3d_backward_input", "avg_pool3d_forward", "channel_sizes", "conv1d_backward_bias",
    "conv1d_backward_input", "conv1d_backward_weight", "conv1d_forward", "conv2d_backward_bias",
    "conv2d_backward_input", "conv2d_backward_weight", "conv2d_forward", "conv3d_backward_bias",
    "conv3d_backward_input", "conv3d_backward_weight", "conv3d_forward", "explain", "gemm", "get_precision",
    "levels_of", "max_pool1d_backward_input", "max_pool1d_forward", "max_pool2d_backward_input",
    "max_pool2d_forward", "max_pool3d_backward_input", "max_pool3d_forward", "precision", "refusal", "register",
    "run", "set_precision", "unregister", "use_variant", "variants",
]  # fmt: skip
