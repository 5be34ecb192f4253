"""Cross-channel normalization as it is defined, in double precision."""

import numpy as np


def forward(geometry, x, y, n_threads, alpha, beta, k):
    """Write y = x · base^(−beta), base = k + alpha / window · (sum of the squares in the window)."""
    y[...] = x * _base(geometry, x, alpha, k) ** -beta


def backward_input(geometry, grad_y, x, grad_x, n_threads, alpha, beta, k):
    """Write grad_x: directly through x, and through the base of every window that x lies in."""
    base = _base(geometry, x, alpha, k)
    through = grad_y * x * base ** (-beta - 1)
    gathered = np.stack([
        through[:, max(0, c - geometry.after) : c + geometry.before + 1].sum(axis=1) for c in range(geometry.C)
    ], axis=1)  # fmt: skip
    grad_x[...] = grad_y * base**-beta - 2 * alpha * beta / geometry.window * x * gathered


def _base(geometry, x, alpha, k):
    squares = np.square(x.astype(np.float64))
    sums = [squares[:, max(0, c - geometry.before) : c + geometry.after + 1].sum(axis=1) for c in range(geometry.C)]
    return k + alpha / geometry.window * np.stack(sums, axis=1)
