"""Where the largest of some numbers stands."""

from cython cimport floating


cdef inline Py_ssize_t first_largest(const floating* x, Py_ssize_t count) noexcept nogil:
    """The place of the largest number: of equals the first counts, and the first NaN before all."""
    cdef Py_ssize_t j, best = 0
    for j in range(count):
        if x[j] != x[j]:
            return j
        if x[j] > x[best]:
            best = j
    return best
