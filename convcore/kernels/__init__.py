"""Kernels: arrays in, arrays out, no autograd. `run` is the one place where every kernel call is made."""

from convcore.kernels.affine_geometry import AffineGeometry
from convcore.kernels.dispatch import explain, run
from convcore.kernels.functions import (
    avg_pool2d_backward_input,
    avg_pool2d_forward,
    conv2d_backward_bias,
    conv2d_backward_input,
    conv2d_backward_weight,
    conv2d_forward,
    gemm,
    max_pool2d_backward_input,
    max_pool2d_forward,
)
from convcore.kernels.geometry import ConvGeometry, PoolGeometry
from convcore.kernels.matrix_geometry import FlatGeometry, MatrixGeometry, RowsGeometry
from convcore.kernels.registry import levels_of, refusal, register, unregister, use_variant, variants

__all__ = [
    "AffineGeometry", "ConvGeometry", "FlatGeometry", "MatrixGeometry", "PoolGeometry", "RowsGeometry",
    "avg_pool2d_backward_input", "avg_pool2d_forward", "conv2d_backward_bias", "conv2d_backward_input",
    "conv2d_backward_weight", "conv2d_forward", "explain", "gemm", "levels_of", "max_pool2d_backward_input",
    "max_pool2d_forward", "refusal", "register", "run", "unregister", "use_variant", "variants",
]  # fmt: skip
