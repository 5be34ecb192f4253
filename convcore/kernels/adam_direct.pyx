"""Adam, one pass over weights, both averages and gradient of many parameters."""

from cython.parallel cimport prange
from libc.math cimport pow, sqrt, sqrtf

from convcore.kernels.common cimport floating

include "parts.pxi"


def update(geometry, floating[::1] weights not None, floating[::1] gradient_average not None,
           floating[::1] squared_gradient_average not None, const floating[::1] gradient not None, int n_threads,
           const unsigned char[::1] moving not None, const double[:, ::1] factors not None, double rate, double l2,
           const double[:, ::1] corrections not None, double gradient_decay, double squared_decay, double epsilon):
    """Change weights w and averages m, s in place, with g = gradient + l2 · weights.

    m = β₁·m + (1 − β₁)·g; s = β₂·s + (1 − β₂)·g²; w = w − rate · m/correction₁ / (√(s/correction₂) + ε). Rate and l2
    are taken times the factors of a part. Its corrections are drawn in front of the loop: one into the rate, the root
    of the other in front of the root.
    """
    cdef Py_ssize_t part, thread
    cdef Share share
    cdef const Py_ssize_t[:, ::1] parts = parts_of(geometry, moving, factors)
    if corrections.shape[0] != parts.shape[0] or corrections.shape[1] != 2:
        raise ValueError(f"adam: corrections must have shape {(parts.shape[0], 2)}, "
                         f"got {(corrections.shape[0], corrections.shape[1])}")
    cdef floating b1 = <floating> gradient_decay, c1 = <floating> (1 - gradient_decay)
    cdef floating b2 = <floating> squared_decay, c2 = <floating> (1 - squared_decay)
    for thread in prange(n_threads, nogil=True, schedule="static", num_threads=n_threads):
        for part in range(parts.shape[0]):
            share = share_of(&parts[part, 0], moving[part], thread, n_threads)
            if share.size == 0:
                continue
            update_part(&weights[share.start], &gradient_average[share.start], &squared_gradient_average[share.start],
                        &gradient[share.start], share.size,
                        <floating> (rate * factors[part, 0] / corrections[part, 0]),
                        <floating> (l2 * factors[part, 1]), b1, c1, b2, c2,
                        <floating> pow(corrections[part, 1], -0.5), <floating> epsilon)


cdef void update_part(floating* w, floating* m, floating* s, const floating* g, Py_ssize_t count, floating rate,
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
