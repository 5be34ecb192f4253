"""The average of each plane: a plane is a task, LANES sums in double precision run side by side."""

from cython.parallel cimport prange

from convcore.kernels.common cimport floating

cdef enum:
    LANES = 16


def forward(geometry, const floating[:, ::1] x not None, floating[::1] y not None, int n_threads):
    """Write y[p], the average of x[p, :]."""
    cdef Py_ssize_t plane
    for plane in prange(x.shape[0], nogil=True, schedule="static", num_threads=n_threads):
        y[plane] = <floating> (sum_of(&x[plane, 0], x.shape[1]) / x.shape[1])


cdef double sum_of(const floating* x, Py_ssize_t count) noexcept nogil:
    cdef double[LANES] sums
    cdef double total = 0
    cdef Py_ssize_t j, l
    for l in range(LANES):
        sums[l] = 0
    for j in range(count // LANES):
        for l in range(LANES):
            sums[l] += x[j * LANES + l]
    for j in range(count - count % LANES, count):
        total += x[j]
    for l in range(LANES):
        total += sums[l]
    return total


def backward_input(geometry, const floating[::1] grad_y not None, floating[:, ::1] grad_x not None, int n_threads):
    """Write grad_x[p, :]: each cell gets an equal share of the plane's gradient."""
    cdef floating cells = grad_x.shape[1]
    cdef Py_ssize_t plane
    for plane in prange(grad_x.shape[0], nogil=True, schedule="static", num_threads=n_threads):
        fill(&grad_x[plane, 0], grad_x.shape[1], grad_y[plane] / cells)


cdef void fill(floating* x, Py_ssize_t count, floating value) noexcept nogil:
    cdef Py_ssize_t j
    for j in range(count):
        x[j] = value
