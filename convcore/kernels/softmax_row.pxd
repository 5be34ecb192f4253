"""The softmax of a row, for the kernel of this name and for the cross-entropy."""

from libc.math cimport exp

from convcore.kernels.common cimport floating

cdef extern from "<math.h>" nogil:
    float expf(float)


cdef inline double softmax_row(const floating* x, floating* y, Py_ssize_t K, floating* largest) noexcept nogil:
    """Write y = exp(x − largest) / total; return the total, and the largest, without which an exponential may overflow."""
    cdef double total = 0
    cdef Py_ssize_t k
    largest[0] = x[0]
    for k in range(1, K):
        if x[k] > largest[0]:
            largest[0] = x[k]
    for k in range(K):
        if floating is float:
            y[k] = expf(x[k] - largest[0])
        else:
            y[k] = exp(x[k] - largest[0])
        total += y[k]
    for k in range(K):
        y[k] = <floating> (y[k] / total)
    return total
