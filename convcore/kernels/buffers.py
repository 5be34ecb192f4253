"""Result arrays, made from memory that earlier results have left behind.

A fresh array of a megabyte is a promise: the system hands over its pages one by one, at the first touch, and takes
them back when the array dies; a training step would spend a third of its time on that. So memory of results stays in
a small store, and is used again once nobody holds the array that was made from it.
"""

import math
import sys
import threading

import numpy as np

CACHE_LINE = 64  # bytes
SMALLEST = 2**15  # bytes: below, the C library keeps memory in hand by itself
LARGEST = 2**26  # bytes: above, one array would fill the store
STORE = 2**28  # bytes kept in all, per thread

_thread = threading.local()  # each thread has a store of its own: no locks


def empty(shape, dtype):
    """Return an uninitialised C-contiguous array, as numpy.empty does, on a cache line where it is large.

    Examples
    --------
    >>> a = empty((64, 6, 28, 28), np.dtype(np.float32))
    >>> address = a.ctypes.data
    >>> del a
    >>> empty((64, 6, 28, 28), np.dtype(np.float32)).ctypes.data == address
    True
    """
    size = math.prod(shape) * dtype.itemsize
    if not SMALLEST <= size <= LARGEST:
        return np.empty(shape, dtype)
    memory, offset = _unused(size)
    return np.ndarray(shape, dtype, memory, offset)


def aligned(rows, columns, dtype):
    """Return an uninitialised (rows, columns) array whose rows all start on a cache line; columns are rounded up.

    No vector load from such a row straddles two cache lines. For the working memory of kernels.

    Examples
    --------
    >>> aligned(2, 3, np.dtype(np.float32)).shape
    (2, 16)
    """
    columns = -(-columns * dtype.itemsize // CACHE_LINE) * CACHE_LINE // dtype.itemsize
    memory, offset = _unused(rows * columns * dtype.itemsize)
    return np.ndarray((rows, columns), dtype, memory, offset)


def release():
    """Give the memory that no array uses back to the system, for this thread."""
    _thread.store = {}


def _unused(size):
    """Return memory for `size` bytes that only the store refers to, and where in it the first cache line starts."""
    store = getattr(_thread, "store", None)
    if store is None:
        store = _thread.store = {}
    pieces = store.setdefault(size, [])
    for memory, offset in pieces:
        if sys.getrefcount(memory) == _FREE:
            return memory, offset
    memory = np.empty(size + CACHE_LINE, np.uint8)
    offset = -memory.ctypes.data % CACHE_LINE
    if sum(kept * len(list_) for kept, list_ in store.items()) + size > STORE:
        store.clear()  # arrays that live go on living; the store begins anew with what is needed now
        pieces = store.setdefault(size, [])
    if size <= LARGEST:
        pieces.append((memory, offset))
    return memory, offset


def _references_of_free():
    """Return what getrefcount says, in a loop like that of `_unused`, of memory that only a list refers to."""
    for memory, _ in [(np.empty(1, np.uint8), 0)]:
        return sys.getrefcount(memory)


_FREE = _references_of_free()
