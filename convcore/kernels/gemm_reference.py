"""The matrix product as it is defined."""

import numpy as np


def forward(geometry, a, b, c, n_threads):
    """Write c = op(a) · op(b)."""
    a = a.T if geometry.transpose_a else a
    b = b.T if geometry.transpose_b else b
    c[...] = np.einsum("mk,kn->mn", a, b)
