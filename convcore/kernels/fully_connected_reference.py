"""The fully connected layer as it is defined: y[n, j] = Σ_i x[n, i] · weight[j, i] + bias[j]."""

import numpy as np


def forward(geometry, x, weight, bias, y, n_threads):
    """Write y: (N, inputs), (outputs, inputs), (outputs,) or None -> (N, outputs)."""
    y[...] = np.einsum("ni,ji->nj", x, weight)
    if bias is not None:
        y += bias


def backward_input(geometry, grad_y, weight, grad_x, n_threads):
    """Write grad_x."""
    grad_x[...] = np.einsum("nj,ji->ni", grad_y, weight)


def backward_weight(geometry, grad_y, x, grad_weight, n_threads):
    """Write grad_weight."""
    grad_weight[...] = np.einsum("nj,ni->ji", grad_y, x)


def backward_bias(geometry, grad_y, grad_bias, n_threads):
    """Write grad_bias."""
    grad_bias[...] = np.einsum("nj->j", grad_y)


def backward_weight_bias(geometry, grad_y, x, grad_weight, grad_bias, n_threads):
    """Write both of these gradients."""
    backward_weight(geometry, grad_y, x, grad_weight, n_threads)
    backward_bias(geometry, grad_y, grad_bias, n_threads)
