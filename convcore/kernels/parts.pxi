# How the updates of optimizers share many parameters among threads: each takes its share of every parameter, the same
# rows at every step and about those whose gradient it wrote, so that little comes from another processor's cache. Which
# thread updates a number changes nothing in it.

import numpy as np

cdef enum:
    LINE = 16               # shares begin at a multiple of so many numbers: few cache lines belong to two of them

cdef struct Share:
    Py_ssize_t start, size


cdef inline Share share_of(const Py_ssize_t* part, Py_ssize_t thread, Py_ssize_t n_threads) noexcept nogil:
    """What a thread updates of a parameter, a row of `moving_parts`; nothing, perhaps."""
    cdef Share share
    cdef Py_ssize_t first = share_start(part[1], thread, n_threads)
    share.start, share.size = part[0] + first, share_start(part[1], thread + 1, n_threads) - first
    return share


cdef inline Py_ssize_t share_start(Py_ssize_t size, Py_ssize_t number, Py_ssize_t count) noexcept nogil:
    """Where share `number` of `count` begins in a parameter of so many numbers; one past the last: its end."""
    return size if number == count else size * number // count // LINE * LINE


cdef Py_ssize_t[:, ::1] moving_parts(geometry, moving):
    """(start, size) of each parameter, the size 0 for those that stay as they are."""
    return geometry.table if all(moving) else geometry.table * np.array(moving, np.intp)[:, None]
