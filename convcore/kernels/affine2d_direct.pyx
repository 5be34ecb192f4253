"""Affine maps of images: one image per task, one output pixel after the other.

Where a pixel is read does not depend on the channel; the channels are the inner loop, so that it is found out once.
"""

from cython.parallel cimport prange
from libc.math cimport floor

from convcore.kernels.common cimport floating


def forward(geometry,
            const floating[:, :, :, ::1] x not None,            # IN  (N, C, H, W)
            const floating[:, :, ::1] transform not None,       # IN  (N, 2, 3)
            floating[:, :, :, ::1] y not None,                  # OUT (N, C, H, W)
            int n_threads, double fill):
    """Write y[n, :, i, j] = x[n, :] at the place that transform[n] · (i, j, 1) names; `fill` outside the image."""
    cdef Py_ssize_t n, N = x.shape[0], C = x.shape[1], H = x.shape[2], W = x.shape[3]
    for n in prange(N, nogil=True, schedule="static", num_threads=n_threads):
        map_image(&x[n, 0, 0, 0], &transform[n, 0, 0], &y[n, 0, 0, 0], C, H, W, <floating> fill)


cdef void map_image(const floating* x, const floating* t, floating* y, Py_ssize_t C, Py_ssize_t H, Py_ssize_t W,
                    floating fill) noexcept nogil:
    cdef Py_ssize_t i, j, c, p, q
    cdef floating row, column, down, right, upper, lower
    cdef const floating* plane
    for i in range(H):
        for j in range(W):
            row = (t[0] * i + t[1] * j) + t[2]
            column = (t[3] * i + t[4] * j) + t[5]
            if not (row > -1 and row < H and column > -1 and column < W):
                for c in range(C):
                    y[(c * H + i) * W + j] = fill
                continue
            p, q = <Py_ssize_t> floor(row), <Py_ssize_t> floor(column)
            down, right = row - p, column - q
            for c in range(C):
                plane = x + c * H * W
                upper = ((1 - right) * at(plane, p, q, H, W, fill) + right * at(plane, p, q + 1, H, W, fill))
                lower = ((1 - right) * at(plane, p + 1, q, H, W, fill) + right * at(plane, p + 1, q + 1, H, W, fill))
                y[(c * H + i) * W + j] = (1 - down) * upper + down * lower


cdef inline floating at(const floating* plane, Py_ssize_t i, Py_ssize_t j, Py_ssize_t H, Py_ssize_t W,
                        floating fill) noexcept nogil:
    """The pixel, or the filling where there is none."""
    return plane[i * W + j] if 0 <= i < H and 0 <= j < W else fill
