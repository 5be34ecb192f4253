"""Sums of two arrays, as NumPy says it."""

import numpy as np


def forward(geometry, x, other, y, n_threads):
    """Write y = x + other."""
    np.add(x, other, out=y)
