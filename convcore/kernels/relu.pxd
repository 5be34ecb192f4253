"""ReLU of what a task has just written, while it is at hand."""

from cython cimport floating


cdef inline void apply_relu(floating* y, Py_ssize_t count) noexcept nogil:
    """0 where y is not above it; NaN stays NaN."""
    cdef Py_ssize_t j
    for j in range(count):
        y[j] = 0 if y[j] <= 0 else y[j]
