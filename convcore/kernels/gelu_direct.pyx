"""GELU, element by element, in double precision; blocks of a fixed size, so that the threads share the work evenly."""

from cython.parallel cimport prange
from libc.math cimport erfc, exp

from convcore.kernels.common cimport floating

cdef enum:
    BLOCK = 4096

cdef double SQRT_HALF = 0.70710678118654752440          # 1 / sqrt(2)
cdef double DENSITY_AT_0 = 0.39894228040143267794       # 1 / sqrt(2 pi)


def forward(geometry, const floating[::1] x not None, floating[::1] y not None, int n_threads):
    """Write y = x · Φ(x), Φ(x) = erfc(−x / sqrt(2)) / 2: the form that keeps its digits far below 0."""
    cdef Py_ssize_t block, size = x.shape[0]
    for block in prange((size + BLOCK - 1) // BLOCK, nogil=True, schedule="static", num_threads=n_threads):
        forward_block(&x[block * BLOCK], &y[block * BLOCK], min(<Py_ssize_t> BLOCK, size - block * BLOCK))


cdef void forward_block(const floating* x, floating* y, Py_ssize_t count) noexcept nogil:
    cdef double part
    cdef Py_ssize_t j
    for j in range(count):
        part = 0.5 * erfc(-SQRT_HALF * x[j])
        y[j] = <floating> (0 if part == 0 else x[j] * part)         # −inf · 0 would be NaN


def backward_input(geometry, const floating[::1] grad_y not None, const floating[::1] x not None,
                   floating[::1] grad_x not None, int n_threads):
    """Write grad_x = grad_y · (Φ(x) + x · φ(x)), φ the density of the normal distribution."""
    cdef Py_ssize_t block, size = x.shape[0]
    for block in prange((size + BLOCK - 1) // BLOCK, nogil=True, schedule="static", num_threads=n_threads):
        backward_block(&grad_y[block * BLOCK], &x[block * BLOCK], &grad_x[block * BLOCK],
                       min(<Py_ssize_t> BLOCK, size - block * BLOCK))


cdef void backward_block(const floating* grad_y, const floating* x, floating* grad_x, Py_ssize_t count) noexcept nogil:
    cdef double value, density
    cdef Py_ssize_t j
    for j in range(count):
        value = x[j]
        density = DENSITY_AT_0 * exp(-0.5 * value * value)
        value = 0 if density == 0 else value * density              # ±inf · 0 would be NaN
        grad_x[j] = <floating> (grad_y[j] * (0.5 * erfc(-SQRT_HALF * x[j]) + value))
