"""Optimizers, and the learning rates they are given."""

from convcore.optim.schedules import SCHEDULES, cosine, learn_rate_function, none, piecewise
from convcore.optim.sgd import SGD

__all__ = ["SCHEDULES", "SGD", "cosine", "learn_rate_function", "none", "piecewise"]
