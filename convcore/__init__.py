"""convcore: a CPU convolution engine.

Cython kernels, a tape autograd, the layers of a convolutional network, and an SGD trainer with per-layer factors.
``import convcore as cc`` and everything is reachable from `cc`.
"""

import sys

from convcore import data, functional, kernels, models, ops
from convcore.autograd import GradientError, Tape, Tensor, gradcheck, gradient
from convcore.kernels import get_precision, precision, set_precision, use_variant
from convcore.layers import *  # noqa: F403  Conv2D, ReLU, ...: what layers lists in __all__
from convcore.models import lenet5
from convcore.network import Network, fusion, get_fusion, load, set_fusion
from convcore.ops import *  # noqa: F403  conv2d, relu, cross_entropy, ...: what ops lists in __all__
from convcore.optim import SGD, Adam, RMSProp
from convcore.threads import get_num_threads, num_threads, set_num_threads
from convcore.train import (
    History,
    TrainingError,
    TrainingOptions,
    confusion_matrix,
    evaluate,
    load_checkpoint,
    train,
)

ops.attach(Tensor, Tape)


def __getattr__(name):
    """Return ``__version__``, which is looked up only when somebody asks for it."""
    if name == "__version__":
        from importlib.metadata import version

        return version("convcore")
    raise AttributeError(f"module 'convcore' has no attribute {name!r}", name=name, obj=sys.modules[__name__])
