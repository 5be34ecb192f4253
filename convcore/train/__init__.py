"""Training: options, the loop, its history, checkpoints, and how good the result is."""

from convcore.train.checkpoint import Checkpoint, load_checkpoint
from convcore.train.history import History
from convcore.train.metrics import accuracy, confusion_matrix, evaluate, rmse, top_k_accuracy
from convcore.train.options import TrainingOptions
from convcore.train.trainer import Iteration, TrainingError, train

__all__ = [
    "Checkpoint",
    "History",
    "Iteration",
    "TrainingError",
    "TrainingOptions",
    "accuracy",
    "confusion_matrix",
    "evaluate",
    "load_checkpoint",
    "rmse",
    "top_k_accuracy",
    "train",
]
