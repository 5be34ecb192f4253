"""One scale and one shift per channel, plane by plane: how images, which may be bytes, are normalized on their way in."""

from cython.parallel cimport prange

from convcore.kernels.common cimport floating

ctypedef fused value:
    unsigned char
    float
    double


def forward(geometry,
            x,                                          # IN  (N, C, S), bytes or of the others' dtype
            const floating[::1] scale not None,         # IN  (C,)
            const floating[::1] shift not None,         # IN  (C,)
            floating[:, :, ::1] y not None,             # OUT (N, C, S)
            int n_threads):
    """Write y = x · scale[c] + shift[c]."""
    cdef const unsigned char[:, :, ::1] of_bytes
    cdef const floating[:, :, ::1] of_floats
    if geometry.of_bytes:
        of_bytes = x
        forward_planes(&of_bytes[0, 0, 0], scale, shift, y, n_threads)
    else:
        of_floats = x
        forward_planes(&of_floats[0, 0, 0], scale, shift, y, n_threads)


cdef forward_planes(const value* x, const floating[::1] scale, const floating[::1] shift, floating[:, :, ::1] y,
                    int n_threads):
    cdef Py_ssize_t task, C = y.shape[1], S = y.shape[2]
    for task in prange(y.shape[0] * C, nogil=True, schedule="static", num_threads=n_threads):
        forward_plane(x + task * S, scale[task % C], shift[task % C], &y[task // C, task % C, 0], S)


cdef void forward_plane(const value* x, floating scale, floating shift, floating* y, Py_ssize_t count) noexcept nogil:
    cdef Py_ssize_t j
    for j in range(count):
        y[j] = <floating> x[j] * scale + shift
