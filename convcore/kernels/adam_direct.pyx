"""Adam, one pass over weights, both averages and gradient."""

from cython.parallel cimport prange
from libc.math cimport sqrt, sqrtf

from convcore.kernels.common cimport floating

cdef enum:
    BLOCK = 16384


def update(geometry, floating[::1] weights not None, floating[::1] gradient_average not None,
           floating[::1] squared_gradient_average not None, const floating[::1] gradient not None, int n_threads,
           double rate, double l2, double gradient_decay, double squared_decay, double epsilon,
           double gradient_correction, double squared_correction):
    """Change weights w and averages m, s in place, with g = gradient + l2 · weights.

    m = β₁·m + (1 − β₁)·g; s = β₂·s + (1 − β₂)·g²; w = w − rate · m/correction₁ / (√(s/correction₂) + ε). The
    corrections are drawn in front of the loop: one into the rate, the root of the other in front of the root.
    """
    cdef Py_ssize_t block, size = weights.shape[0]
    cdef floating r = <floating> (rate / gradient_correction), l = <floating> l2, e = <floating> epsilon
    cdef floating scale = <floating> (squared_correction ** -0.5)
    cdef floating b1 = <floating> gradient_decay, c1 = <floating> (1 - gradient_decay)
    cdef floating b2 = <floating> squared_decay, c2 = <floating> (1 - squared_decay)
    for block in prange((size + BLOCK - 1) // BLOCK, nogil=True, schedule="static", num_threads=n_threads):
        update_block(&weights[block * BLOCK], &gradient_average[block * BLOCK], &squared_gradient_average[block * BLOCK],
                     &gradient[block * BLOCK], min(<Py_ssize_t> BLOCK, size - block * BLOCK),
                     r, l, b1, c1, b2, c2, scale, e)


cdef void update_block(floating* w, floating* m, floating* s, const floating* g, Py_ssize_t count, floating rate,
                       floating l2, floating b1, floating c1, floating b2, floating c2, floating scale,
                       floating epsilon) noexcept nogil:
    cdef Py_ssize_t j
    cdef floating gradient, root
    for j in range(count):
        gradient = g[j] + l2 * w[j]
        m[j] = b1 * m[j] + c1 * gradient
        s[j] = b2 * s[j] + c2 * gradient * gradient
        root = sqrtf(s[j]) if floating is float else sqrt(s[j])
        w[j] = w[j] - rate * (m[j] / (root * scale + epsilon))
