"""Losses of regression as they are defined, in float64."""

import numpy as np


def forward(geometry, y, target, loss, difference, n_threads):
    """Write difference = y − target and loss = factor · Σ error(difference)."""
    difference[...] = y - target
    loss[0] = geometry.factor * ERRORS[geometry.op](difference.astype(np.float64)).sum()


def backward_input(geometry, difference, grad_loss, grad_y, n_threads):
    """Write grad_y = grad_loss · factor · error'(difference)."""
    grad_y[...] = grad_loss[0] * geometry.factor * SLOPES[geometry.op](difference.astype(np.float64))


ERRORS = {
    "squared_error": np.square,
    "absolute_error": np.abs,
    "huber": lambda d: np.where(np.abs(d) <= 1, d * d / 2, np.abs(d) - 0.5),
}
SLOPES = {"squared_error": lambda d: 2 * d, "absolute_error": np.sign, "huber": lambda d: np.clip(d, -1, 1)}
