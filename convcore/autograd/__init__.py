"""Tensors, the tape, and the check of gradients: an engine that knows no op."""

from convcore.autograd.gradcheck import GradientError, gradcheck
from convcore.autograd.tape import (
    Record,
    Step,
    Tape,
    gradient,
    last_recorded,
    paused,
    record,
    recording,
    value_and_gradient,
)
from convcore.autograd.tensor import Tensor, as_tensor

__all__ = [
    "GradientError", "Record", "Step", "Tape", "Tensor", "as_tensor", "gradcheck", "gradient", "last_recorded",
    "paused", "record", "recording", "value_and_gradient",
]  # fmt: skip
