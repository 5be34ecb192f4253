"""Working memory for kernels: aligned to cache lines, so that no vector load straddles two of them."""

import numpy as np

CACHE_LINE = 64


def aligned(rows, columns, dtype):
    """Return an uninitialised (rows, columns) array whose rows all start on a cache line; columns are rounded up.

    Examples
    --------
    >>> aligned(2, 3, np.dtype(np.float32)).shape
    (2, 16)
    """
    columns = -(-columns * dtype.itemsize // CACHE_LINE) * CACHE_LINE // dtype.itemsize
    count = rows * columns
    raw = np.empty(count + CACHE_LINE // dtype.itemsize, dtype)
    start = -raw.ctypes.data % CACHE_LINE // dtype.itemsize
    return raw[start : start + count].reshape(rows, columns)
