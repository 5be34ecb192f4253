# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
# distutils: extra_compile_args = -O3 -march=native -fopenmp
# distutils: extra_link_args = -fopenmp
"""A convolution kernel in Cython: one image and filter per task, one tap of the filter at a time.

Shows: a compiled module that is a variant; loops without Python, in parallel, for float32 and float64.
"""

from cython cimport floating
from cython.parallel cimport prange


def supports(direction, geometry, dtype, level):
    """Return None, or the reason why not."""
    plain = geometry.groups == 1 and geometry.padding_value == 0
    plain = plain and set(geometry.stride) == set(geometry.dilation) == {1}
    return None if plain else "wants one group, zeros around the image, no stride, no dilation"


def forward(geometry,
            const floating[:, :, :, ::1] x not None,        # IN  (N, C, H, W)
            const floating[:, :, :, ::1] weight not None,   # IN  (K, C, R, S)
            const floating[::1] bias,                       # IN  (K,) or None
            floating[:, :, :, ::1] y not None,              # OUT (N, K, OH, OW)
            int n_threads):
    """Write y; a task fills one plane of it, so the bits do not depend on the number of threads."""
    cdef Py_ssize_t task, top, left, N = x.shape[0], K = weight.shape[0]
    cdef bint with_bias = bias is not None
    (top, _), (left, _) = geometry.padding
    for task in prange(N * K, nogil=True, schedule="static", num_threads=n_threads):
        plane(x, weight, bias[task % K] if with_bias else 0, y, task // K, task % K, top, left)


cdef void plane(const floating[:, :, :, ::1] x, const floating[:, :, :, ::1] weight, floating bias,
                floating[:, :, :, ::1] y, Py_ssize_t n, Py_ssize_t k, Py_ssize_t top, Py_ssize_t left) noexcept nogil:
    """One plane of y: the bias, then every tap of every channel, row by row; borders are limits of loops."""
    cdef Py_ssize_t C = x.shape[1], H = x.shape[2], W = x.shape[3], R = weight.shape[2], S = weight.shape[3]
    cdef Py_ssize_t OH = y.shape[2], OW = y.shape[3], c, i, u, v, first, end
    for i in range(OH):
        for v in range(OW):
            y[n, k, i, v] = bias
        for c in range(C):
            for u in range(max(0, top - i), min(R, H + top - i)):               # rows inside the image
                for v in range(S):
                    first, end = max(0, left - v), min(OW, W + left - v)        # columns inside the image
                    if first < end:
                        add(&y[n, k, i, first], &x[n, c, i + u - top, first + v - left], weight[k, c, u, v],
                            end - first)


cdef void add(floating* out, const floating* line, floating factor, Py_ssize_t count) noexcept nogil:
    """The innermost loop: contiguous, without a test, so the compiler makes vector instructions of it."""
    cdef Py_ssize_t j
    for j in range(count):
        out[j] = out[j] + factor * line[j]
