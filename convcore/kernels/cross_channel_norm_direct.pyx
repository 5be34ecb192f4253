"""Cross-channel normalization: a block of pixels of one image per task, one channel after the other.

The innermost loops run along the pixels. A window's sum is formed anew for each channel: it is short, and a running
sum would lose digits wherever a large square leaves it.
"""

from cython.parallel cimport prange, threadid
from libc.math cimport pow, sqrt

import numpy as np

from convcore.kernels.buffers import own_pages
from convcore.kernels.common cimport floating

cdef enum:
    BLOCK = 256                         # pixels


cdef struct Window:
    Py_ssize_t C, S, before, after      # channels, values in each, reach of the window
    double share, beta, k               # share: alpha / window size


cdef Window window_of(object geometry, double alpha, double beta, double k):
    return Window(geometry.C, geometry.S, geometry.before, geometry.after, alpha / geometry.window, beta, k)


def forward(geometry,
            const floating[:, :, ::1] x not None,       # IN  (N, C, S)
            floating[:, :, ::1] y not None,             # OUT (N, C, S)
            int n_threads, double alpha, double beta, double k):
    """Write y = x · base^(−beta), base = k + alpha / window · (sum of the squares in the window)."""
    cdef Window w = window_of(geometry, alpha, beta, k)
    cdef Py_ssize_t task, blocks = (w.S + BLOCK - 1) // BLOCK
    for task in prange(x.shape[0] * blocks, nogil=True, schedule="static", num_threads=n_threads):
        forward_block(&w, &x[task // blocks, 0, task % blocks * BLOCK], &y[task // blocks, 0, task % blocks * BLOCK],
                      min(<Py_ssize_t> BLOCK, w.S - task % blocks * BLOCK))


cdef void forward_block(const Window* w, const floating* x, floating* y, Py_ssize_t count) noexcept nogil:
    cdef floating base[BLOCK]
    cdef floating power[BLOCK]
    cdef Py_ssize_t c, j
    for c in range(w.C):
        base_of(w, x, c, base, count)
        power_of(w, base, power, count)
        for j in range(count):
            y[c * w.S + j] = x[c * w.S + j] * power[j]


def backward_input(geometry,
                   const floating[:, :, ::1] grad_y not None,   # IN  (N, C, S)
                   const floating[:, :, ::1] x not None,        # IN  (N, C, S)
                   floating[:, :, ::1] grad_x not None,         # OUT (N, C, S)
                   int n_threads, double alpha, double beta, double k):
    """Write grad_x: directly through x, and through the base of every window that x lies in."""
    cdef Window w = window_of(geometry, alpha, beta, k)
    cdef Py_ssize_t task, blocks = (w.S + BLOCK - 1) // BLOCK
    cdef floating[:, ::1] scratch = own_pages(n_threads, w.C * BLOCK, np.asarray(x).dtype)
    for task in prange(x.shape[0] * blocks, nogil=True, schedule="static", num_threads=n_threads):
        backward_block(&w, &grad_y[task // blocks, 0, task % blocks * BLOCK],
                       &x[task // blocks, 0, task % blocks * BLOCK], &grad_x[task // blocks, 0, task % blocks * BLOCK],
                       &scratch[threadid(), 0], min(<Py_ssize_t> BLOCK, w.S - task % blocks * BLOCK))


cdef void backward_block(const Window* w, const floating* grad_y, const floating* x, floating* grad_x,
                         floating* through, Py_ssize_t count) noexcept nogil:
    """`through` keeps grad_y · x · base^(−beta − 1) of each channel, which goes to all channels of its window."""
    cdef floating base[BLOCK]
    cdef floating power[BLOCK]
    cdef floating factor = <floating> (2 * w.beta * w.share)
    cdef Py_ssize_t c, j, other
    for c in range(w.C):
        base_of(w, x, c, base, count)
        power_of(w, base, power, count)
        for j in range(count):
            grad_x[c * w.S + j] = grad_y[c * w.S + j] * power[j]
            through[c * BLOCK + j] = grad_x[c * w.S + j] * x[c * w.S + j] / base[j]
    for c in range(w.C):
        for j in range(count):
            power[j] = 0
        for other in range(max(c - w.after, <Py_ssize_t> 0), min(c + w.before + 1, w.C)):  # those whose window has c
            for j in range(count):
                power[j] += through[other * BLOCK + j]
        for j in range(count):
            grad_x[c * w.S + j] -= factor * x[c * w.S + j] * power[j]


cdef inline void base_of(const Window* w, const floating* x, Py_ssize_t c, floating* base,
                         Py_ssize_t count) noexcept nogil:
    """base = k + share · Σ x² over the window of channel c."""
    cdef floating share = <floating> w.share, k = <floating> w.k
    cdef Py_ssize_t j, other
    for j in range(count):
        base[j] = 0
    for other in range(max(c - w.before, <Py_ssize_t> 0), min(c + w.after + 1, w.C)):
        for j in range(count):
            base[j] += x[other * w.S + j] * x[other * w.S + j]
    for j in range(count):
        base[j] = k + share * base[j]


cdef inline void power_of(const Window* w, const floating* base, floating* power, Py_ssize_t count) noexcept nogil:
    """power = base^(−beta); the usual beta of 3/4 takes two square roots, which vectorise, and no logarithm."""
    cdef floating root
    cdef Py_ssize_t j
    if w.beta == 0.75:
        for j in range(count):
            root = <floating> sqrt(base[j])
            power[j] = 1 / (root * <floating> sqrt(root))
    else:
        for j in range(count):
            power[j] = <floating> pow(base[j], -w.beta)
