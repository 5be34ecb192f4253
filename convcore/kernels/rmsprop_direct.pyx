"""RMSProp, one pass over weights, average and gradient of many parameters."""

from cython.parallel cimport prange
from libc.math cimport sqrt, sqrtf

from convcore.kernels.common cimport floating

include "parts.pxi"


def update(geometry, floating[::1] weights not None, floating[::1] squared_gradient_average not None,
           const floating[::1] gradient not None, int n_threads, moving, rate, l2, double squared_decay,
           double epsilon):
    """Change weights w and average s in place, with g = gradient + l2 · weights; rate and l2 are those of each part.

    s = β·s + (1 − β)·g²; w = w − rate · g / (√s + ε).
    """
    cdef Py_ssize_t i, count
    cdef Py_ssize_t[:, ::1] table = blocks_of(geometry, moving, &count)
    cdef const Block* blocks = <const Block*> &table[0, 0]
    cdef const Block* block
    cdef double[::1] rates = np.array(rate, np.float64), decays = np.array(l2, np.float64)
    for i in prange(count, nogil=True, schedule="static", num_threads=n_threads):
        block = &blocks[i]
        update_block(&weights[block.start], &squared_gradient_average[block.start], &gradient[block.start], block.count,
                     <floating> rates[block.part], <floating> decays[block.part], <floating> squared_decay,
                     <floating> (1 - squared_decay), <floating> epsilon)


cdef void update_block(floating* w, floating* s, const floating* g, Py_ssize_t count, floating rate, floating l2,
                       floating b, floating c, floating epsilon) noexcept nogil:
    cdef Py_ssize_t j
    cdef floating gradient, root
    for j in range(count):
        gradient = g[j] + l2 * w[j]
        s[j] = b * s[j] + c * gradient * gradient
        root = sqrtf(s[j]) if floating is float else sqrt(s[j])
        w[j] = w[j] - rate * (gradient / (root + epsilon))
