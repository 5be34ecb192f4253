"""The largest number of each plane, a plane per task."""

from cython.parallel cimport prange
from libc.string cimport memset

from convcore.kernels.common cimport check_index, floating
from convcore.kernels.largest cimport first_largest


def forward(geometry, const floating[:, ::1] x not None, floating[::1] y not None, long long[::1] index not None,
            int n_threads):
    """Write y[p], the largest of x[p, :], and its place: of equals the first counts, and the first NaN before all."""
    cdef Py_ssize_t plane
    for plane in prange(x.shape[0], nogil=True, schedule="static", num_threads=n_threads):
        index[plane] = first_largest(&x[plane, 0], x.shape[1])
        y[plane] = x[plane, index[plane]]


def backward_input(geometry, const floating[::1] grad_y not None, const long long[::1] index not None,
                   floating[:, ::1] grad_x not None, int n_threads):
    """Write grad_x[p, :]: the cell that won gets the plane's gradient."""
    cdef Py_ssize_t plane, cells = grad_x.shape[1]
    check_index("global_max_pool", index, cells)
    for plane in prange(grad_x.shape[0], nogil=True, schedule="static", num_threads=n_threads):
        memset(&grad_x[plane, 0], 0, cells * sizeof(floating))
        grad_x[plane, index[plane]] = grad_y[plane]
