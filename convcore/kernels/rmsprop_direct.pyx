"""RMSProp, one pass over weights, average and gradient of many parameters."""

from cython.parallel cimport prange
from libc.math cimport sqrt, sqrtf

from convcore.kernels.common cimport floating

include "parts.pxi"


def update(geometry, floating[::1] weights not None, floating[::1] squared_gradient_average not None,
           const floating[::1] gradient not None, int n_threads, const unsigned char[::1] moving not None,
           const double[:, ::1] factors not None, double rate, double l2, double squared_decay, double epsilon):
    """Change weights w and average s in place, with g = gradient + l2 · weights; rate and l2 times a part's factors.

    s = β·s + (1 − β)·g²; w = w − rate · g / (√s + ε).
    """
    cdef Py_ssize_t part, thread
    cdef Share share
    cdef const Py_ssize_t[:, ::1] parts = parts_of(geometry, moving, factors)
    for thread in prange(n_threads, nogil=True, schedule="static", num_threads=n_threads):
        for part in range(parts.shape[0]):
            share = share_of(&parts[part, 0], moving[part], thread, n_threads)
            if share.size == 0:
                continue
            update_part(&weights[share.start], &squared_gradient_average[share.start], &gradient[share.start],
                        share.size, <floating> (rate * factors[part, 0]), <floating> (l2 * factors[part, 1]),
                        <floating> squared_decay, <floating> (1 - squared_decay), <floating> epsilon)


cdef void update_part(floating* w, floating* s, const floating* g, Py_ssize_t count, floating rate, floating l2,
                      floating b, floating c, floating epsilon) noexcept nogil:
    cdef Py_ssize_t j
    cdef floating gradient, root
    for j in range(count):
        gradient = g[j] + l2 * w[j]
        s[j] = b * s[j] + c * gradient * gradient
        root = sqrtf(s[j]) if floating is float else sqrt(s[j])
        w[j] = w[j] - rate * (gradient / (root + epsilon))
