"""The functions of convcore by themselves: differentiable, on tensors and arrays; no layers, no training."""

from convcore.autograd import gradcheck, gradient
from convcore.ops import *  # noqa: F403  everything that ops lists in __all__
from convcore.ops import __all__ as _ops

__all__ = [*[name for name in _ops if name != "attach"], "gradcheck", "gradient"]
