"""Stochastic gradient descent with momentum, one pass over weights, velocity and gradient."""

from cython.parallel cimport prange

from convcore.kernels.common cimport floating

cdef enum:
    BLOCK = 16384


def update(geometry, floating[::1] weights not None, floating[::1] velocity not None,
           const floating[::1] gradient not None, int n_threads, double rate, double momentum, double l2,
           bint velocity_form):
    """Change weights and velocity in place, with g = gradient + l2 · weights.

    Velocity form: v = momentum · v − rate · g; w = w + v. Gradient form: v = momentum · v + g; w = w − rate · v.
    """
    cdef Py_ssize_t block, size = weights.shape[0]
    cdef floating r = <floating> rate, m = <floating> momentum, l = <floating> l2
    for block in prange((size + BLOCK - 1) // BLOCK, nogil=True, schedule="static", num_threads=n_threads):
        update_block(&weights[block * BLOCK], &velocity[block * BLOCK], &gradient[block * BLOCK],
                     min(<Py_ssize_t> BLOCK, size - block * BLOCK), r, m, l, velocity_form)


cdef void update_block(floating* w, floating* v, const floating* g, Py_ssize_t count, floating rate, floating momentum,
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
