"""Losses of regression: what a sum over the differences between outputs and targets makes of them.

Blocks of a fixed size are added up by themselves, in LANES sums side by side in double precision, and then one after the
other: the order does not depend on the number of threads.
"""

from cython.parallel cimport prange

from convcore.kernels.buffers import own_pages
from convcore.kernels.common cimport floating

import numpy as np

cdef enum:
    LANES = 32
    BLOCK = 8192                                # a multiple of LANES

cdef enum Error:
    SQUARED
    ABSOLUTE
    HUBER

ERRORS = {"squared_error": SQUARED, "absolute_error": ABSOLUTE, "huber": HUBER}


def forward(geometry,
            const floating[::1] y not None,             # IN  (size,)
            const floating[::1] target not None,        # IN  (size,)
            floating[::1] loss not None,                # OUT (1,)
            floating[::1] difference not None,          # OUT (size,)
            int n_threads):
    """Write difference = y − target and loss = factor · Σ error(difference)."""
    cdef Error error = ERRORS[geometry.op]
    cdef Py_ssize_t block, size = y.shape[0], count = (size + BLOCK - 1) // BLOCK
    cdef double total = 0
    cdef double[:, ::1] sums = own_pages(1, count, np.dtype(np.float64))
    for block in prange(count, nogil=True, schedule="static", num_threads=n_threads):
        sums[0, block] = sum_of_block(error, &y[block * BLOCK], &target[block * BLOCK], &difference[block * BLOCK],
                                      min(<Py_ssize_t> BLOCK, size - block * BLOCK))
    for block in range(count):
        total += sums[0, block]
    loss[0] = <floating> (total * <double> geometry.factor)


cdef double sum_of_block(Error error, const floating* y, const floating* target, floating* difference,
                         Py_ssize_t count) noexcept nogil:
    cdef double[LANES] sums
    cdef double total = 0
    cdef Py_ssize_t j, l
    for j in range(count):
        difference[j] = y[j] - target[j]
    for l in range(LANES):
        sums[l] = 0
    for j in range(count // LANES):
        for l in range(LANES):
            sums[l] += error_of(error, difference[j * LANES + l])
    for j in range(count - count % LANES, count):
        sums[j % LANES] += error_of(error, difference[j])
    for l in range(LANES):
        total += sums[l]
    return total


def backward_input(geometry,
                   const floating[::1] difference not None,     # IN  (size,)
                   const floating[:] grad_loss not None,        # IN  (1,)
                   floating[::1] grad_y not None,               # OUT (size,)
                   int n_threads):
    """Write grad_y = grad_loss · factor · error'(difference)."""
    cdef Error error = ERRORS[geometry.op]
    cdef floating scale = <floating> (grad_loss[0] * <double> geometry.factor * (2 if error == SQUARED else 1))
    cdef Py_ssize_t block, size = difference.shape[0]
    for block in prange((size + BLOCK - 1) // BLOCK, nogil=True, schedule="static", num_threads=n_threads):
        slopes(error, scale, &difference[block * BLOCK], &grad_y[block * BLOCK],
               min(<Py_ssize_t> BLOCK, size - block * BLOCK))


cdef void slopes(Error error, floating scale, const floating* difference, floating* grad_y,
                 Py_ssize_t count) noexcept nogil:
    cdef Py_ssize_t j
    if error == SQUARED:
        for j in range(count):
            grad_y[j] = scale * difference[j]
    elif error == HUBER:
        for j in range(count):
            grad_y[j] = scale * clipped(difference[j])
    else:
        for j in range(count):
            grad_y[j] = scale * sign_of(difference[j])


cdef inline floating clipped(floating d) noexcept nogil:
    """d between −1 and 1; NaN stays NaN."""
    d = 1 if d > 1 else d
    return -1 if d < -1 else d


cdef inline floating sign_of(floating d) noexcept nogil:
    """1, −1 or 0; NaN stays NaN."""
    d = 1 if d > 0 else d
    return -1 if d < 0 else d


cdef inline double error_of(Error error, double d) noexcept nogil:
    """That of huber is d²/2 where |d| ≤ 1, |d| − 1/2 elsewhere: with the slope s, s · (d − s/2)."""
    cdef double slope = clipped(d)
    if error == SQUARED:
        return d * d
    if error == HUBER:
        return slope * (d - slope / 2)
    return -d if d < 0 else d
