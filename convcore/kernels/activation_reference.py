"""Activations as they are defined, in float64."""

import math

import numpy as np


def forward(geometry, x, y, n_threads):
    """Write y = f(x)."""
    y[...] = FORWARD[geometry.op](x.astype(np.float64), geometry.parameter)


def backward_input(geometry, grad_y, seen, grad_x, n_threads):
    """Write grad_x = grad_y · f'(x), from x or from y = f(x), as the geometry's SIGNATURES say."""
    slope = SLOPES[geometry.op](seen.astype(np.float64), geometry.parameter)
    grad_x[...] = grad_y * slope


def _logistic(x):
    """1 / (1 + e^−x), from e^−|x|: nothing overflows."""
    small = np.exp(-np.abs(x))
    return np.where(x >= 0, 1, small) / (1 + small)


def _swish_slope(x, parameter):
    part, rest = _logistic(x), _logistic(-x)
    return part + np.where(part * rest == 0, 0, x) * part * rest


_erfc = np.vectorize(math.erfc, otypes=[np.float64])


def _part_below(x):
    """Of a normal distribution, from the function that keeps its digits far below 0."""
    return _erfc(-x / math.sqrt(2)) / 2


def _gelu_slope(x, parameter):
    with np.errstate(over="ignore"):
        density = np.exp(-np.square(x) / 2) / math.sqrt(2 * math.pi)
    return _part_below(x) + np.where(density == 0, 0, x) * density


FORWARD = {
    "leaky_relu": lambda x, scale: np.where(x < 0, x * scale, x),
    "clipped_relu": lambda x, ceiling: np.clip(x, 0, ceiling),
    "elu": lambda x, alpha: np.where(x > 0, x, alpha * np.expm1(np.minimum(x, 0))),
    "swish": lambda x, _: np.where(_logistic(x) == 0, 0, x) * _logistic(x),
    "gelu": lambda x, _: np.where(_part_below(x) == 0, 0, x) * _part_below(x),
    "tanh": lambda x, _: np.tanh(x),
    "sigmoid": lambda x, _: _logistic(x),
}
SLOPES = {
    "leaky_relu": lambda x, scale: np.where(x <= 0, scale, 1),
    "clipped_relu": lambda x, ceiling: np.where((x <= 0) | (x >= ceiling), 0, 1),
    "elu": lambda x, alpha: np.where(x > 0, 1, alpha * np.exp(np.minimum(x, 0))),
    "swish": _swish_slope,
    "gelu": _gelu_slope,
    "tanh": lambda y, _: 1 - y * y,
    "sigmoid": lambda y, _: y * (1 - y),
}
