"""Dropout, element by element, from numbers that were drawn before; blocks of a fixed size, shared out evenly."""

from cython.parallel cimport prange

from convcore.kernels.common cimport floating

cdef enum:
    BLOCK = 16384


def forward(geometry, const floating[::1] x not None, const floating[::1] draws not None, floating[::1] y not None,
            int n_threads):
    """Write y = 0 where draws < probability, x / (1 − probability) elsewhere."""
    cdef floating probability = geometry.parameter, scale = <floating> (1 / (1 - <double> geometry.parameter))
    cdef Py_ssize_t block, size = x.shape[0]
    for block in prange((size + BLOCK - 1) // BLOCK, nogil=True, schedule="static", num_threads=n_threads):
        drop(probability, scale, &x[block * BLOCK], &draws[block * BLOCK], &y[block * BLOCK],
             min(<Py_ssize_t> BLOCK, size - block * BLOCK))


def backward_input(geometry, const floating[::1] grad_y not None, const floating[::1] draws not None,
                   floating[::1] grad_x not None, int n_threads):
    """Write grad_x: what was dropped gets nothing, the rest is scaled as it was."""
    forward(geometry, grad_y, draws, grad_x, n_threads)


cdef void drop(floating probability, floating scale, const floating* x, const floating* draws, floating* y,
               Py_ssize_t count) noexcept nogil:
    cdef Py_ssize_t j
    for j in range(count):
        y[j] = 0 if draws[j] < probability else x[j] * scale
