"""Batch normalization, with what may follow it: ReLU, or ReLU and max-pooling.

Of a mini-batch a channel is a task, its values image after image: they fit into the cache, so what is read for the
statistics is still there for the result. The order of sums is fixed (batch_norm_planes.pxi.tp has the loops). Where the
statistics are given, planes are taken as they lie in memory.

What follows treats a plane while it is at hand: nothing lies between the layers but the place of a plane per thread.
"""

from cython.parallel cimport prange, threadid
from libc.math cimport sqrt

from convcore.kernels.buffers import own_pages
from convcore.kernels.common cimport floating
from convcore.kernels.pool_sizes cimport Limits, PoolSizes, end_of, find_limits, first_of, in_quads, pool_sizes

import numpy as np

include "vectors.pxi"
include "max_pool_plane.pxi"
include "batch_norm_planes.pxi"

cdef enum:
    FEW_VALUES = 32                     # of a plane
    BEYOND = 64                         # numbers behind a plane that vectors may touch


cdef enum Behind:                       # what follows
    NOTHING, RELU, POOLING


cdef struct Channel:
    Py_ssize_t N, S, step               # images, values in each, and from one image to the next


cdef struct Following:
    Behind what
    PoolSizes pool                      # of POOLING
    Py_ssize_t cells                    # of a plane of results


cdef Following following(object geometry, Behind what):
    cdef Following f
    f.what = what
    f.cells = geometry.S
    if what == POOLING:
        f.pool = pool_sizes(geometry.pooling)
        f.cells = f.pool.out_cells
    return f


cdef object planes(int n_threads, Py_ssize_t S, bint wanted, object dtype):
    """The place of a plane for each thread, or of nothing."""
    return own_pages(n_threads, S + BEYOND if wanted else 1, np.dtype(dtype))


# ---------------------------------------------------------------- forward, by statistics that are given


def forward(geometry,
            const floating[:, :, ::1] x not None,           # IN  (N, C, S)
            const floating[::1] scale not None,             # IN  (C,)
            const floating[::1] offset not None,            # IN  (C,)
            const floating[::1] trained_mean not None,      # IN  (C,)
            const floating[::1] trained_variance not None,  # IN  (C,)
            floating[:, :, ::1] y not None,                 # OUT (N, C, S)
            int n_threads, double epsilon):
    """Write y = scale · (x − mean) / sqrt(variance + epsilon) + offset, the statistics being given."""
    cdef Following f = following(geometry, NOTHING)
    normalize_planes(&f, x, scale, offset, trained_mean, trained_variance, &y[0, 0, 0], NULL, n_threads, epsilon)


def forward_relu(geometry,
                 const floating[:, :, ::1] x not None,           # IN  (N, C, S)
                 const floating[::1] scale not None,             # IN  (C,)
                 const floating[::1] offset not None,            # IN  (C,)
                 const floating[::1] trained_mean not None,      # IN  (C,)
                 const floating[::1] trained_variance not None,  # IN  (C,)
                 floating[:, :, ::1] y not None,                 # OUT (N, C, S)
                 int n_threads, double epsilon):
    """Write ReLU of what `forward` does."""
    cdef Following f = following(geometry, RELU)
    normalize_planes(&f, x, scale, offset, trained_mean, trained_variance, &y[0, 0, 0], NULL, n_threads, epsilon)


def forward_pool(geometry,
                 const floating[:, :, ::1] x not None,           # IN  (N, C, S)
                 const floating[::1] scale not None,             # IN  (C,)
                 const floating[::1] offset not None,            # IN  (C,)
                 const floating[::1] trained_mean not None,      # IN  (C,)
                 const floating[::1] trained_variance not None,  # IN  (C,)
                 floating[:, :, ::1] pooled not None,            # OUT (N, C, cells)
                 int[:, :, ::1] index not None,                  # OUT the same
                 int n_threads, double epsilon):
    """Write the maxima of ReLU in each window, and where in its plane each stood; -1 where it is 0."""
    cdef Following f = following(geometry, POOLING)
    normalize_planes(&f, x, scale, offset, trained_mean, trained_variance, &pooled[0, 0, 0], &index[0, 0, 0],
                     n_threads, epsilon)


cdef normalize_planes(Following* f, const floating[:, :, ::1] x, const floating[::1] scale,
                      const floating[::1] offset, const floating[::1] mean, const floating[::1] variance, floating* y,
                      int* index, int n_threads, double epsilon):
    """All planes in the order of memory; channel by channel where a plane takes less time than a root."""
    cdef Channel channel = Channel(x.shape[0], x.shape[2], x.shape[1] * x.shape[2])
    cdef Py_ssize_t plane, c, C = x.shape[1]
    cdef floating[:, ::1] place = planes(n_threads, channel.S, f.what == POOLING, x.base.dtype)
    if channel.S < FEW_VALUES:
        for c in prange(C, nogil=True, schedule="static", num_threads=n_threads):
            normalize_channel(f, channel, c, C, &x[0, c, 0],
                              affine_of(scale[c], offset[c], mean[c], variance[c], epsilon),
                              &place[threadid(), 0], y, index)
        return
    for plane in prange(channel.N * C, nogil=True, schedule="static", num_threads=n_threads):
        c = plane % C
        normalize(f, &x[0, 0, 0] + plane * channel.S, channel.S,
                  affine_of(scale[c], offset[c], mean[c], variance[c], epsilon),
                  &place[threadid(), 0], y + plane * f.cells, index + plane * f.cells)


# ---------------------------------------------------------------- forward, by the statistics of the batch


def forward_training(geometry,
                     const floating[:, :, ::1] x not None,   # IN  (N, C, S)
                     const floating[::1] scale not None,     # IN  (C,)
                     const floating[::1] offset not None,    # IN  (C,)
                     floating[:, :, ::1] y not None,         # OUT (N, C, S)
                     double[::1] mean not None,              # OUT (C,) of the batch
                     double[::1] variance not None,          # OUT (C,) of the batch, biased
                     int n_threads, double epsilon):
    """Write y as `forward` does, with the statistics of this batch, and the statistics."""
    cdef Following f = following(geometry, NOTHING)
    normalize_channels(&f, x, scale, offset, &y[0, 0, 0], NULL, mean, variance, n_threads, epsilon)


def forward_training_relu(geometry,
                          const floating[:, :, ::1] x not None,   # IN  (N, C, S)
                          const floating[::1] scale not None,     # IN  (C,)
                          const floating[::1] offset not None,    # IN  (C,)
                          floating[:, :, ::1] y not None,         # OUT (N, C, S)
                          double[::1] mean not None,              # OUT (C,) of the batch
                          double[::1] variance not None,          # OUT (C,) of the batch, biased
                          int n_threads, double epsilon):
    """The same with ReLU of y."""
    cdef Following f = following(geometry, RELU)
    normalize_channels(&f, x, scale, offset, &y[0, 0, 0], NULL, mean, variance, n_threads, epsilon)


def forward_training_pool(geometry,
                          const floating[:, :, ::1] x not None,   # IN  (N, C, S)
                          const floating[::1] scale not None,     # IN  (C,)
                          const floating[::1] offset not None,    # IN  (C,)
                          floating[:, :, ::1] pooled not None,    # OUT (N, C, cells)
                          int[:, :, ::1] index not None,          # OUT the same
                          double[::1] mean not None,              # OUT (C,) of the batch
                          double[::1] variance not None,          # OUT (C,) of the batch, biased
                          int n_threads, double epsilon):
    """The same with the maxima of ReLU, and their places."""
    cdef Following f = following(geometry, POOLING)
    normalize_channels(&f, x, scale, offset, &pooled[0, 0, 0], &index[0, 0, 0], mean, variance, n_threads, epsilon)


cdef normalize_channels(Following* f, const floating[:, :, ::1] x, const floating[::1] scale,
                        const floating[::1] offset, floating* y, int* index, double[::1] mean, double[::1] variance,
                        int n_threads, double epsilon):
    cdef Channel channel = Channel(x.shape[0], x.shape[2], x.shape[1] * x.shape[2])
    cdef floating[:, ::1] place = planes(n_threads, x.shape[2], f.what == POOLING, x.base.dtype)
    cdef Py_ssize_t c
    for c in prange(x.shape[1], nogil=True, schedule="static", num_threads=n_threads):
        statistics(channel, &x[0, c, 0], &mean[c], &variance[c])
        normalize_channel(f, channel, c, x.shape[1], &x[0, c, 0],
                          affine_of(scale[c], offset[c], mean[c], variance[c], epsilon),
                          &place[threadid(), 0], y, index)


cdef void normalize_channel(Following* f, Channel channel, Py_ssize_t c, Py_ssize_t C, const floating* x, Affine a,
                            floating* place, floating* y, int* index) noexcept nogil:
    cdef Py_ssize_t n
    for n in range(channel.N):
        normalize(f, x + n * channel.step, channel.S, a, place, y + (n * C + c) * f.cells, index + (n * C + c) * f.cells)


cdef void statistics(Channel channel, const floating* x, double* mean, double* variance) noexcept nogil:
    """Mean and variance in one pass, of the distances from the mean of the first plane.

    Squares do not lose their digits by that: being the Nth part of all values, the plane has its mean at most √N standard
    deviations away from that of all.
    """
    cdef double[2] sums
    cdef double center, shift, count = <double> channel.N * channel.S
    sums[0] = sums[1] = 0
    add_planes(x, 1, channel, 0, sums)
    center = sums[0] / channel.S
    sums[0] = sums[1] = 0
    add_planes(x, channel.N, channel, center, sums)
    shift = sums[0] / count
    mean[0] = center + shift
    variance[0] = sums[1] / count - shift * shift
    if variance[0] < 0:                 # rounding; NaN stays NaN
        variance[0] = 0


cdef void add_planes(const floating* x, Py_ssize_t planes, Channel channel, double center, double* sums) noexcept nogil:
    """Add the distances from a center, and their squares, of some planes of a channel."""
    cdef Py_ssize_t n
    for n in range(planes):
        if floating is float:
            add_sums_float(x + n * channel.step, channel.S, center, sums)
        else:
            add_sums_double(x + n * channel.step, channel.S, center, sums)


cdef struct Affine:                     # y = (x − center) · factor + shift, all rounded to the dtype of x
    double scale, offset, mean, inverse


cdef inline Affine affine_of(double scale, double offset, double mean, double variance, double epsilon) noexcept nogil:
    return Affine(scale, offset, mean, 1 / sqrt(variance + epsilon))


cdef void normalize(Following* f, const floating* x, Py_ssize_t S, Affine a, floating* place, floating* y,
                    int* index) noexcept nogil:
    """A plane of y = (x − center) · factor + shift: the center is the mean rounded, what that leaves is in the shift."""
    cdef floating center = <floating> a.mean
    cdef floating factor = <floating> (a.scale * a.inverse)
    cdef floating shift = <floating> (a.offset - (a.mean - center) * a.scale * a.inverse)
    cdef floating* to = place if f.what == POOLING else y
    if floating is float:
        normalize_plane_float(x, S, center, factor, shift, f.what == RELU, to)
    else:
        normalize_plane_double(x, S, center, factor, shift, f.what == RELU, to)
    if f.what == POOLING:
        pool_plane(&f.pool, place, S + BEYOND, True, y, index, f.cells)


# ---------------------------------------------------------------- backward


def backward(geometry,
             const floating[:, :, ::1] grad_y not None,      # IN  (N, C, S)
             const floating[:, :, ::1] x not None,           # IN  (N, C, S)
             const floating[::1] scale not None,             # IN  (C,)
             const double[::1] mean not None,                # IN  (C,)
             const double[::1] variance not None,            # IN  (C,)
             floating[:, :, ::1] grad_x not None,            # OUT (N, C, S)
             floating[::1] grad_scale not None,              # OUT (C,)
             floating[::1] grad_offset not None,             # OUT (C,)
             int n_threads, double epsilon, bint training):
    """Write the gradients; in training also through mean and variance, which were the batch's own."""
    cdef Following f = following(geometry, NOTHING)
    backward_channels(&f, &grad_y[0, 0, 0], NULL, NULL, x, scale, mean, variance, grad_x, grad_scale, grad_offset,
                      n_threads, epsilon, training)


def backward_relu(geometry,
                  const floating[:, :, ::1] grad_y not None,      # IN  (N, C, S)
                  const floating[:, :, ::1] y not None,           # IN  (N, C, S), from forward_training_relu
                  const floating[:, :, ::1] x not None,           # IN  (N, C, S)
                  const floating[::1] scale not None,             # IN  (C,)
                  const double[::1] mean not None,                # IN  (C,)
                  const double[::1] variance not None,            # IN  (C,)
                  floating[:, :, ::1] grad_x not None,            # OUT (N, C, S)
                  floating[::1] grad_scale not None,              # OUT (C,)
                  floating[::1] grad_offset not None,             # OUT (C,)
                  int n_threads, double epsilon, bint training):
    """The same for the gradient of ReLU's output y, which tells where its input was positive."""
    cdef Following f = following(geometry, RELU)
    backward_channels(&f, &grad_y[0, 0, 0], &y[0, 0, 0], NULL, x, scale, mean, variance, grad_x, grad_scale,
                      grad_offset, n_threads, epsilon, training)


def backward_pool(geometry,
                  const floating[:, :, ::1] grad_pooled not None, # IN  (N, C, cells)
                  const int[:, :, ::1] index not None,            # IN  the same, from forward_training_pool
                  const floating[:, :, ::1] x not None,           # IN  (N, C, S)
                  const floating[::1] scale not None,             # IN  (C,)
                  const double[::1] mean not None,                # IN  (C,)
                  const double[::1] variance not None,            # IN  (C,)
                  floating[:, :, ::1] grad_x not None,            # OUT (N, C, S)
                  floating[::1] grad_scale not None,              # OUT (C,)
                  floating[::1] grad_offset not None,             # OUT (C,)
                  int n_threads, double epsilon, bint training):
    """The same for the gradient of the maxima."""
    cdef Following f = following(geometry, POOLING)
    backward_channels(&f, &grad_pooled[0, 0, 0], NULL, &index[0, 0, 0], x, scale, mean, variance, grad_x, grad_scale,
                      grad_offset, n_threads, epsilon, training)


cdef backward_channels(Following* f, const floating* grad_y, const floating* y, const int* index,
                       const floating[:, :, ::1] x, const floating[::1] scale, const double[::1] mean,
                       const double[::1] variance, floating[:, :, ::1] grad_x, floating[::1] grad_scale,
                       floating[::1] grad_offset, int n_threads, double epsilon, bint training):
    cdef floating[:, ::1] place = planes(n_threads, x.shape[2], f.what == POOLING, x.base.dtype)
    cdef Py_ssize_t c
    for c in prange(x.shape[1], nogil=True, schedule="static", num_threads=n_threads):
        backward_channel(f, Channel(x.shape[0], x.shape[2], x.shape[1] * x.shape[2]), c, x.shape[1], grad_y, y, index,
                         &place[threadid(), 0], &x[0, c, 0], scale[c], mean[c], 1 / sqrt(variance[c] + epsilon),
                         training, &grad_x[0, c, 0], &grad_scale[c], &grad_offset[c])


cdef inline const floating* gradient(Following* f, Py_ssize_t plane, Py_ssize_t all_planes, Py_ssize_t S,
                                     const floating* grad_y, const int* index, floating* place) noexcept nogil:
    """The gradient of a plane of what followed, ReLU apart: it is spread from the maxima first."""
    grad_y += plane * f.cells
    if f.what != POOLING:
        return grad_y
    spread_plane(&f.pool, grad_y, index + plane * f.cells, (all_planes - plane) * f.cells, place, S + BEYOND)
    return place


cdef void backward_channel(Following* f, Channel channel, Py_ssize_t c, Py_ssize_t C, const floating* grad_y,
                           const floating* y, const int* index, floating* place, const floating* x, double scale,
                           double mean, double inverse, bint training, floating* grad_x, floating* grad_scale,
                           floating* grad_offset) noexcept nogil:
    """With z = (x − mean) · inverse: grad_x = scale · inverse · (g − mean of g − z · mean of g · z)."""
    cdef double[2] sums                 # Σ g, Σ g · (x − center)
    cdef const floating* g
    cdef const floating* above          # what tells where g passes: ReLU's output
    cdef const floating* seen           # what the statistics were made of
    cdef double weighted, slope, count = <double> channel.N * channel.S
    cdef floating center = <floating> mean, mean_g = 0, tilt = 0, rest = 0, factor = <floating> (scale * inverse)
    cdef Py_ssize_t n, plane
    sums[0] = sums[1] = 0
    for n in range(channel.N):
        plane = n * C + c
        g = gradient(f, plane, channel.N * C, channel.S, grad_y, index, place)
        above = y + plane * f.cells if f.what == RELU else NULL
        if floating is float:
            add_products_float(g, above, x + n * channel.step, channel.S, center, sums)
        else:
            add_products_double(g, above, x + n * channel.step, channel.S, center, sums)
    weighted = sums[1] - (mean - center) * sums[0]
    grad_scale[0] = <floating> (weighted * inverse)
    grad_offset[0] = <floating> sums[0]
    if training:
        slope = weighted * inverse * inverse / count
        mean_g, tilt, rest = <floating> (sums[0] / count), <floating> slope, <floating> ((mean - center) * slope)
    for n in range(channel.N):
        plane = n * C + c
        g = gradient(f, plane, channel.N * C, channel.S, grad_y, index, place)
        above = y + plane * f.cells if f.what == RELU else NULL
        seen = x + n * channel.step if training else NULL
        if floating is float:
            gradient_plane_float(g, above, seen, channel.S, factor, mean_g, center, tilt, rest, grad_x + n * channel.step)
        else:
            gradient_plane_double(g, above, seen, channel.S, factor, mean_g, center, tilt, rest, grad_x + n * channel.step)
