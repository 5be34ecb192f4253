"""One scale and one shift per channel, plane by plane: how images are normalized on their way into a network."""

from cython.parallel cimport prange

from convcore.kernels.common cimport floating


def forward(geometry,
            const floating[:, :, ::1] x not None,       # IN  (N, C, S)
            const floating[::1] scale not None,         # IN  (C,)
            const floating[::1] shift not None,         # IN  (C,)
            floating[:, :, ::1] y not None,             # OUT (N, C, S)
            int n_threads):
    """Write y = x · scale[c] + shift[c]."""
    cdef Py_ssize_t task, C = x.shape[1]
    for task in prange(x.shape[0] * C, nogil=True, schedule="static", num_threads=n_threads):
        forward_plane(&x[task // C, task % C, 0], scale[task % C], shift[task % C], &y[task // C, task % C, 0],
                      x.shape[2])


cdef void forward_plane(const floating* x, floating scale, floating shift, floating* y, Py_ssize_t count) noexcept nogil:
    cdef Py_ssize_t j
    for j in range(count):
        y[j] = x[j] * scale + shift
