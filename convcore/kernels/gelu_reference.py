"""GELU as it is defined: x times the part of a normal distribution below x."""

import math

import numpy as np

_erfc = np.vectorize(math.erfc, otypes=[np.float64])


def forward(geometry, x, y, n_threads):
    """Write y = x · Φ(x)."""
    part = _part_below(x)
    y[...] = np.where(part == 0, 0, x) * part


def backward_input(geometry, grad_y, x, grad_x, n_threads):
    """Write grad_x = grad_y · (Φ(x) + x · φ(x))."""
    part = _part_below(x)
    with np.errstate(over="ignore"):
        density = np.exp(-np.square(x.astype(np.float64)) / 2) / math.sqrt(2 * math.pi)
    grad_x[...] = grad_y * (part + np.where(density == 0, 0, x) * density)


def _part_below(x):
    return _erfc(-x.astype(np.float64) / math.sqrt(2)) / 2
