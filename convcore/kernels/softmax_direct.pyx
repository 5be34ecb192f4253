"""Softmax of rows, one after the other; a share of the rows for each thread."""

from cython.parallel cimport prange

from convcore.kernels.common cimport floating
from convcore.kernels.softmax_row cimport softmax_row

cdef enum:
    ROWS = 16               # of a task


def forward(geometry,
            const floating[:, ::1] x not None,          # IN  (N, K)
            floating[:, ::1] y not None,                # OUT (N, K)
            int n_threads):
    """Write y[n] = exp(x[n] − max) / Σ exp(x[n] − max)."""
    cdef Py_ssize_t task, N = x.shape[0]
    for task in prange((N + ROWS - 1) // ROWS, nogil=True, schedule="static", num_threads=n_threads):
        forward_rows(&x[task * ROWS, 0], &y[task * ROWS, 0], min(<Py_ssize_t> ROWS, N - task * ROWS), x.shape[1])


cdef void forward_rows(const floating* x, floating* y, Py_ssize_t rows, Py_ssize_t K) noexcept nogil:
    cdef floating largest
    cdef Py_ssize_t n
    for n in range(rows):
        softmax_row(x + n * K, y + n * K, K, &largest)


def backward_input(geometry,
                   const floating[:, ::1] grad_y not None,      # IN  (N, K)
                   const floating[:, ::1] y not None,           # IN  (N, K)
                   floating[:, ::1] grad_x not None,            # OUT (N, K)
                   int n_threads):
    """Write grad_x = y · (grad_y − Σ grad_y · y)."""
    cdef Py_ssize_t task, N = y.shape[0]
    for task in prange((N + ROWS - 1) // ROWS, nogil=True, schedule="static", num_threads=n_threads):
        backward_rows(&grad_y[task * ROWS, 0], &y[task * ROWS, 0], &grad_x[task * ROWS, 0],
                      min(<Py_ssize_t> ROWS, N - task * ROWS), y.shape[1])


cdef void backward_rows(const floating* grad_y, const floating* y, floating* grad_x, Py_ssize_t rows,
                        Py_ssize_t K) noexcept nogil:
    cdef Py_ssize_t n, k
    cdef floating product
    for n in range(rows):
        product = 0
        for k in range(K):
            product += grad_y[k] * y[k]
        for k in range(K):
            grad_x[k] = y[k] * (grad_y[k] - product)
        grad_y, y, grad_x = grad_y + K, y + K, grad_x + K
