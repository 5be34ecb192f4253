"""Batch normalization as it is defined, in double precision."""

import numpy as np


def forward(geometry, x, scale, offset, mean, variance, y, n_threads, epsilon):
    """Write y, the statistics being given."""
    y[...] = _column(scale) * _normalized(x, mean, variance, epsilon) + _column(offset)


def forward_training(geometry, x, scale, offset, y, mean, variance, n_threads, epsilon):
    """Write y, and the mean and the biased variance of this batch."""
    x = x.astype(np.float64)
    mean[...] = x.mean(axis=(0, 2))
    mean += (x - _column(mean)).mean(axis=(0, 2))  # what rounding has left
    variance[...] = np.square(x - _column(mean)).mean(axis=(0, 2))
    forward(geometry, x, scale, offset, mean, variance, y, n_threads, epsilon)


def backward(geometry, grad_y, x, scale, mean, variance, grad_x, grad_scale, grad_offset, n_threads, epsilon, training):
    """Write the gradients; in training also through mean and variance."""
    g, z = grad_y.astype(np.float64), _normalized(x, mean, variance, epsilon)
    grad_offset[...] = g.sum(axis=(0, 2))
    grad_scale[...] = (g * z).sum(axis=(0, 2))
    if training:
        g = g - g.mean(axis=(0, 2), keepdims=True) - z * (g * z).mean(axis=(0, 2), keepdims=True)
    grad_x[...] = _column(scale) / np.sqrt(_column(variance) + epsilon) * g


def backward_relu(geometry, grad_y, y, x, scale, mean, variance, grad_x, grad_scale, grad_offset, n_threads, **given):
    """The same behind ReLU, whose output y tells where its input was positive."""
    g = np.where(y <= 0, 0, grad_y)
    backward(geometry, g, x, scale, mean, variance, grad_x, grad_scale, grad_offset, n_threads, **given)


def _normalized(x, mean, variance, epsilon):
    return (x - _column(mean)) / np.sqrt(_column(variance) + epsilon)


def _column(values):
    """Return one value per channel so that it broadcasts along (N, C, S)."""
    return values.astype(np.float64)[:, None]
