"""RMSProp, one pass over weights, average and gradient."""

from cython.parallel cimport prange
from libc.math cimport sqrt, sqrtf

from convcore.kernels.common cimport floating

cdef enum:
    BLOCK = 16384


def update(geometry, floating[::1] weights not None, floating[::1] squared_gradient_average not None,
           const floating[::1] gradient not None, int n_threads, double rate, double l2, double squared_decay,
           double epsilon):
    """Change weights w and average s in place, with g = gradient + l2 · weights.

    s = β·s + (1 − β)·g²; w = w − rate · g / (√s + ε).
    """
    cdef Py_ssize_t block, size = weights.shape[0]
    cdef floating r = <floating> rate, l = <floating> l2, e = <floating> epsilon
    cdef floating b = <floating> squared_decay, c = <floating> (1 - squared_decay)
    for block in prange((size + BLOCK - 1) // BLOCK, nogil=True, schedule="static", num_threads=n_threads):
        update_block(&weights[block * BLOCK], &squared_gradient_average[block * BLOCK], &gradient[block * BLOCK],
                     min(<Py_ssize_t> BLOCK, size - block * BLOCK), r, l, b, c, e)


cdef void update_block(floating* w, floating* s, const floating* g, Py_ssize_t count, floating rate, floating l2,
                       floating b, floating c, floating epsilon) noexcept nogil:
    cdef Py_ssize_t j
    cdef floating gradient, root
    for j in range(count):
        gradient = g[j] + l2 * w[j]
        s[j] = b * s[j] + c * gradient * gradient
        root = sqrtf(s[j]) if floating is float else sqrt(s[j])
        w[j] = w[j] - rate * (gradient / (root + epsilon))
