"""Dropout as it is defined, from numbers that were drawn before."""

import numpy as np


def forward(geometry, x, draws, y, n_threads):
    """Write y = 0 where draws < probability, x / (1 − probability) elsewhere."""
    probability = x.dtype.type(geometry.parameter)
    y[...] = np.where(draws < probability, 0, x * x.dtype.type(1 / (1 - geometry.parameter)))


def backward_input(geometry, grad_y, draws, grad_x, n_threads):
    """Write grad_x: what was dropped gets nothing, the rest is scaled as it was."""
    forward(geometry, grad_y, draws, grad_x, n_threads)
