"""One scale and one shift per channel, plane by plane: how images, which may be bytes, are normalized on their way in."""

from cython.parallel cimport prange

from convcore.kernels.common cimport check_index, floating

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
    planes_of_any(geometry, x, NULL, scale, shift, y, n_threads)


def gather(geometry,
           x,                                           # IN  (M, C, S), bytes or of the others' dtype
           const long long[::1] index not None,         # IN  (N,), 0 <= index < M
           const floating[::1] scale not None,          # IN  (C,)
           const floating[::1] shift not None,          # IN  (C,)
           floating[:, :, ::1] y not None,              # OUT (N, C, S)
           int n_threads):
    """Write y[n] = x[index[n]] · scale[c] + shift[c]."""
    check_index("channel_scale", index, geometry.M)
    planes_of_any(geometry, x, &index[0], scale, shift, y, n_threads)


cdef planes_of_any(geometry, x, const long long* index, const floating[::1] scale, const floating[::1] shift,
                   floating[:, :, ::1] y, int n_threads):
    cdef const unsigned char[:, :, ::1] of_bytes
    cdef const floating[:, :, ::1] of_floats
    if geometry.of_bytes:
        of_bytes = x
        planes(&of_bytes[0, 0, 0], index, scale, shift, y, n_threads)
    else:
        of_floats = x
        planes(&of_floats[0, 0, 0], index, scale, shift, y, n_threads)


cdef planes(const value* x, const long long* index, const floating[::1] scale, const floating[::1] shift,
            floating[:, :, ::1] y, int n_threads):
    cdef Py_ssize_t task, n, c, C = y.shape[1], S = y.shape[2]
    for task in prange(y.shape[0] * C, nogil=True, schedule="static", num_threads=n_threads):
        n, c = task // C, task % C
        plane(x + ((n if index == NULL else index[n]) * C + c) * S, scale[c], shift[c], &y[n, c, 0], S)


cdef void plane(const value* x, floating scale, floating shift, floating* y, Py_ssize_t count) noexcept nogil:
    cdef Py_ssize_t j
    for j in range(count):
        y[j] = <floating> x[j] * scale + shift
