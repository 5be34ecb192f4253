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
PAGE = 4096  # bytes
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
    kept = _kept(size)
    for memory in kept:
        if sys.getrefcount(memory) == _FREE:
            break
    else:
        memory = _placed((1, size), _BYTE, CACHE_LINE)
        _keep(kept, memory)
    return np.ndarray(shape, dtype, memory)


def aligned(rows, columns, dtype):
    """Return an uninitialised (rows, columns) array whose rows all start on a cache line; columns are rounded up.

    No vector load from such a row straddles two cache lines. For the working memory of kernels.

    Examples
    --------
    >>> aligned(2, 3, np.dtype(np.float32)).shape
    (2, 16)
    """
    return _rows(rows, columns, dtype, CACHE_LINE)


def own_pages(rows, columns, dtype):
    """As `aligned`, for rows in each of which another thread works: each has pages of its own.

    Processors fetch what lies ahead in the page that a thread reads. At the end of its row that would be what another
    thread is about to write, and has to fetch back: two threads were as slow as one.

    Examples
    --------
    >>> own_pages(2, 3, np.dtype(np.float32)).shape
    (2, 1024)
    """
    return _rows(rows, columns, dtype, PAGE)


def _rows(rows, columns, dtype, unit):
    """Return an array whose rows begin at multiples of so many bytes."""
    kept = _kept((rows, columns, dtype, unit))
    for array in kept:
        if sys.getrefcount(array) == _FREE:
            return array
    array = _placed((rows, -(-columns * dtype.itemsize // unit) * unit // dtype.itemsize), dtype, unit)
    _keep(kept, array)
    return array


def lasting(size, dtype):
    """Return an uninitialised array of so many numbers that begins on a cache line, and is nobody else's later on.

    Examples
    --------
    >>> lasting(3, np.dtype(np.float32)).ctypes.data % CACHE_LINE
    0
    """
    return _placed((size,), dtype, CACHE_LINE)


def release():
    """Give the memory that no array uses back to the system, for this thread."""
    _thread.store, _thread.bytes = {}, 0


def _kept(key):
    """Return the list of the arrays that this thread's store holds for a purpose."""
    try:
        return _thread.store[key]
    except AttributeError:  # the thread's first
        release()
    except KeyError:
        pass
    return _thread.store.setdefault(key, [])


def _keep(kept, array):
    """Add an array to a list of the store; where that is full, it begins anew with what is needed now."""
    if array.nbytes > LARGEST:
        return
    if _thread.bytes + array.nbytes > STORE:
        release()  # arrays that live go on living
    else:
        kept.append(array)
        _thread.bytes += array.nbytes


class _Memory(np.ndarray):
    """What owns the memory of an array: NumPy lets a view of a view refer to the owner, if both are of one class."""


def _placed(shape, dtype, unit):
    """Return an array that begins at a multiple of so many bytes, and that every view of it refers to."""
    memory = _Memory(math.prod(shape) * dtype.itemsize + unit, np.uint8)
    return np.ndarray(shape, dtype, memory, -memory.ctypes.data % unit)


_BYTE = np.dtype(np.uint8)


def _references_of_free():
    """Return what getrefcount says, in loops like those above, of an array that only a list refers to."""
    for array in [np.empty(1, np.uint8)]:
        return sys.getrefcount(array)


_FREE = _references_of_free()
