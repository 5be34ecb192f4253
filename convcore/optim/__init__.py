"""Optimizers, and the learning rates they are given."""

from convcore.optim.adam import Adam
from convcore.optim.optimizer import Optimizer
from convcore.optim.rmsprop import RMSProp
from convcore.optim.schedules import SCHEDULES, cosine, learn_rate_function, none, piecewise, polynomial, warmup
from convcore.optim.sgd import SGD

SOLVERS = {"sgdm": SGD, "adam": Adam, "rmsprop": RMSProp}

__all__ = [
    "SCHEDULES",
    "SGD",
    "SOLVERS",
    "Adam",
    "Optimizer",
    "RMSProp",
    "cosine",
    "learn_rate_function",
    "none",
    "piecewise",
    "polynomial",
    "warmup",
]
