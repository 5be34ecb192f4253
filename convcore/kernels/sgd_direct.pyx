"""Stochastic gradient descent with momentum, one pass over weights, velocity and gradient of many parameters."""

from cython.parallel cimport prange

from convcore.kernels.common cimport floating

include "parts.pxi"


def update(geometry, floating[::1] weights not None, floating[::1] velocity not None,
           const floating[::1] gradient not None, int n_threads, const unsigned char[::1] moving not None,
           const double[:, ::1] factors not None, double rate, double l2, double momentum, bint velocity_form):
    """Change weights and velocity in place, with g = gradient + l2 · weights; rate and l2 times the factors of a part.

    Velocity form: v = momentum · v − rate · g; w = w + v. Gradient form: v = momentum · v + g; w = w − rate · v.
    """
    cdef Py_ssize_t part, thread
    cdef Share share
    cdef const Py_ssize_t[:, ::1] parts = parts_of(geometry, moving, factors)
    for thread in prange(n_threads, nogil=True, schedule="static", num_threads=n_threads):
        for part in range(parts.shape[0]):
            share = share_of(&parts[part, 0], moving[part], thread, n_threads)
            if share.size == 0:
                continue
            update_part(&weights[share.start], &velocity[share.start], &gradient[share.start], share.size,
                        <floating> (rate * factors[part, 0]), <floating> momentum, <floating> (l2 * factors[part, 1]),
                        velocity_form)


cdef void update_part(floating* w, floating* v, const floating* g, Py_ssize_t count, floating rate, floating momentum,
                      floating l2, bint velocity_form) noexcept nogil:
    cdef Py_ssize_t j
    if velocity_form:
        for j in range(count):
            v[j] = momentum * v[j] - rate * (g[j] + l2 * w[j])
            w[j] = w[j] + v[j]
    else:
        for j in range(count):
            v[j] = momentum * v[j] + (g[j] + l2 * w[j])
            w[j] = w[j] - rate * v[j]
