"""ReLU of what a task has just written, while it is at hand; and its way back."""

from cython cimport floating


cdef inline void apply_relu(floating* y, Py_ssize_t count) noexcept nogil:
    """0 where y is not above it; NaN stays NaN."""
    cdef Py_ssize_t j
    for j in range(count):
        y[j] = 0 if y[j] <= 0 else y[j]


cdef inline void pass_back_relu(const floating* grad_y, const floating* y, floating* grad_x, Py_ssize_t count) noexcept nogil:
    """grad_x = grad_y where y is above 0, or NaN, else 0."""
    cdef Py_ssize_t j
    for j in range(count):
        grad_x[j] = 0 if y[j] <= 0 else grad_y[j]
