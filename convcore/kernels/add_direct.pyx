"""Sums of two arrays, element by element; blocks of a fixed size, so that the threads share the work evenly."""

from cython.parallel cimport prange

from convcore.kernels.common cimport floating

cdef enum:
    BLOCK = 8192


def forward(geometry, const floating[::1] x not None, const floating[::1] other not None, floating[::1] y not None,
            int n_threads):
    """Write y = x + other."""
    cdef Py_ssize_t block, size = x.shape[0]
    for block in prange((size + BLOCK - 1) // BLOCK, nogil=True, schedule="static", num_threads=n_threads):
        add_block(&x[block * BLOCK], &other[block * BLOCK], &y[block * BLOCK],
                  min(<Py_ssize_t> BLOCK, size - block * BLOCK))


cdef void add_block(const floating* x, const floating* other, floating* y, Py_ssize_t count) noexcept nogil:
    cdef Py_ssize_t j
    for j in range(count):
        y[j] = x[j] + other[j]
