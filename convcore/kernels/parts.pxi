# How the updates of optimizers share many parameters among threads: each takes its share of every parameter, the same
# rows at every step and about those whose gradient it wrote, so that little comes from another processor's cache. Which
# thread updates a number changes nothing in it.

cdef enum:
    LINE = 16               # shares begin at a multiple of so many numbers: few cache lines belong to two of them

cdef struct Share:
    Py_ssize_t start, size


cdef inline Share share_of(const Py_ssize_t* part, bint moves, Py_ssize_t thread, Py_ssize_t n_threads) noexcept nogil:
    """What a thread updates of a parameter, (start, size); nothing, perhaps."""
    cdef Share share
    cdef Py_ssize_t size = part[1] if moves else 0, first = share_start(size, thread, n_threads)
    share.start, share.size = part[0] + first, share_start(size, thread + 1, n_threads) - first
    return share


cdef inline Py_ssize_t share_start(Py_ssize_t size, Py_ssize_t number, Py_ssize_t count) noexcept nogil:
    """Where share `number` of `count` begins in a parameter of so many numbers; one past the last: its end."""
    return size if number == count else size * number // count // LINE * LINE


cdef const Py_ssize_t[:, ::1] parts_of(geometry, const unsigned char[::1] moving, const double[:, ::1] factors):
    """(start, size) of each parameter, after a look whether the others, too, have a row for each."""
    cdef const Py_ssize_t[:, ::1] parts = geometry.table
    cdef Py_ssize_t count = parts.shape[0]
    if moving.shape[0] != count or factors.shape[0] != count or factors.shape[1] != 2:
        raise ValueError(f"{geometry.op}: moving must have shape {(count,)} and factors {(count, 2)}, "
                         f"got {(moving.shape[0],)} and {(factors.shape[0], factors.shape[1])}")
    return parts
