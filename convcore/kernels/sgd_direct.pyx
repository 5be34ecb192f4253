"""Stochastic gradient descent with momentum, one pass over weights, velocity and gradient of many parameters."""

from cython.parallel cimport prange

from convcore.kernels.common cimport floating

include "parts.pxi"


def update(geometry, floating[::1] weights not None, floating[::1] velocity not None,
           const floating[::1] gradient not None, int n_threads, moving, rate, l2, double momentum, bint velocity_form):
    """Change weights and velocity in place, with g = gradient + l2 · weights; rate and l2 are those of each part.

    Velocity form: v = momentum · v − rate · g; w = w + v. Gradient form: v = momentum · v + g; w = w − rate · v.
    """
    cdef Py_ssize_t i, count
    cdef Py_ssize_t[:, ::1] table = blocks_of(geometry, moving, &count)
    cdef const Block* blocks = <const Block*> &table[0, 0]
    cdef const Block* block
    cdef double[::1] rates = np.array(rate, np.float64), decays = np.array(l2, np.float64)
    for i in prange(count, nogil=True, schedule="static", num_threads=n_threads):
        block = &blocks[i]
        update_block(&weights[block.start], &velocity[block.start], &gradient[block.start], block.count,
                     <floating> rates[block.part], <floating> momentum, <floating> decays[block.part], velocity_form)


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
