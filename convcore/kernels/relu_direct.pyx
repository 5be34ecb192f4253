"""ReLU, element by element; blocks of a fixed size, so that the threads share the work evenly."""

from cython.parallel cimport prange

from convcore.kernels.common cimport floating
from convcore.kernels.relu cimport apply_relu, pass_back_relu

cdef enum:
    BLOCK = 16384


def forward(geometry, const floating[::1] x not None, floating[::1] y not None, int n_threads):
    """Write y = x where x > 0, else 0; NaN stays NaN."""
    cdef Py_ssize_t block, size = x.shape[0]
    for block in prange((size + BLOCK - 1) // BLOCK, nogil=True, schedule="static", num_threads=n_threads):
        forward_block(&x[block * BLOCK], &y[block * BLOCK], min(<Py_ssize_t> BLOCK, size - block * BLOCK))


cdef void forward_block(const floating* x, floating* y, Py_ssize_t count) noexcept nogil:
    cdef Py_ssize_t j
    for j in range(count):
        y[j] = 0 if x[j] <= 0 else x[j]         # not `x if x > 0`: that would swallow NaN


def in_place(geometry, floating[::1] y not None, int n_threads):
    """Write 0 where y is not above 0; NaN stays NaN."""
    cdef Py_ssize_t block, size = y.shape[0]
    for block in prange((size + BLOCK - 1) // BLOCK, nogil=True, schedule="static", num_threads=n_threads):
        apply_relu(&y[block * BLOCK], min(<Py_ssize_t> BLOCK, size - block * BLOCK))


def backward_input(geometry, const floating[::1] grad_y not None, const floating[::1] y not None,
                   floating[::1] grad_x not None, int n_threads):
    """Write grad_x = grad_y where y > 0, else 0; the output tells as much as the input would."""
    cdef Py_ssize_t block, size = y.shape[0]
    for block in prange((size + BLOCK - 1) // BLOCK, nogil=True, schedule="static", num_threads=n_threads):
        pass_back_relu(&grad_y[block * BLOCK], &y[block * BLOCK], &grad_x[block * BLOCK],
                       min(<Py_ssize_t> BLOCK, size - block * BLOCK))
