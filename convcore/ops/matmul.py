"""Matrix product, by numpy.matmul's rules."""

import numpy as np

from convcore.arrays import same_dtype
from convcore.autograd.tape import record
from convcore.autograd.tensor import as_tensor
from convcore.ops.elementwise import broadcast, unbroadcast


def matmul(a, b):
    """Multiply matrices: y[..., i, j] = Σ_k a[..., i, k] · b[..., k, j].

    Parameters
    ----------
    a : Tensor or array_like, shape (..., M, K) or (K,)
    b : Tensor or array_like, shape (..., K, N) or (K,), dtype of a
        The axes before the last two broadcast. A vector is a row on the left and a column on the right, and its
        axis of size 1 is dropped from the result.

    Returns
    -------
    Tensor, shape (..., M, N)

    Raises
    ------
    ValueError
        Sizes that do not match; a side without axes.
    TypeError
        float32 and float64 together.

    Notes
    -----
    2·M·K·N floating-point operations per pair of matrices, done by NumPy's BLAS: whether the bits depend on its
    number of threads is up to that library.

    Examples
    --------
    >>> matmul([[1, 2], [3, 4]], [1, 1]).numpy()
    array([3., 7.])
    """
    a, b = as_tensor(a, "matmul: a"), as_tensor(b, "matmul: b")
    same_dtype("matmul", a=a.data, b=b.data)
    if a.ndim == 0 or b.ndim == 0:
        raise ValueError(f"matmul: both sides need at least 1 axis, use * for numbers (a {a.shape}, b {b.shape})")
    columns, rows = a.shape[-1], b.shape[-2 if b.ndim > 1 else 0]
    if columns != rows:
        raise ValueError(f"matmul: a has {columns} columns, b has {rows} rows (a {a.shape}, b {b.shape})")
    y = broadcast("matmul", np.matmul, a, b, inner=2)
    return record("matmul", y, inputs=(a, b), saved={"a": a.data, "b": b.data}, backward=matmul_backward)


def matmul_backward(record, grad_y, needs):
    """grad_a = grad_y · bᵀ and grad_b = aᵀ · grad_y, summed over the axes that were broadcast."""
    a, b = record.saved["a"], record.saved["b"]
    if b.ndim == 1:
        grad_y = grad_y[..., None]  # (..., M, 1)
    if a.ndim == 1:
        grad_y = grad_y[..., None, :]  # (..., 1, N)
    rows = a if a.ndim > 1 else a[None, :]  # (..., M, K)
    columns = b if b.ndim > 1 else b[:, None]  # (..., K, N)
    grad_a = grad_b = None
    if needs[0]:
        grad_a = unbroadcast(grad_y @ columns.swapaxes(-1, -2), rows.shape).reshape(a.shape)
    if needs[1]:
        grad_b = unbroadcast(rows.swapaxes(-1, -2) @ grad_y, columns.shape).reshape(b.shape)
    return grad_a, grad_b
