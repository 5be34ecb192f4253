"""Batch normalization: one channel per task, its values image after image.

A channel of a mini-batch fits into the cache, so what is read for the mean is still there for the variance and for
the result. Sums run in double precision, in LANES of them side by side, which vectorise; their order is fixed.
"""

from cython.parallel cimport prange
from libc.math cimport sqrt

from convcore.kernels.common cimport floating

cdef enum:
    LANES = 32


cdef struct Channel:
    Py_ssize_t N, S, step               # images, values in each, and from one image to the next


def forward(geometry,
            const floating[:, :, ::1] x not None,       # IN  (N, C, S)
            const floating[::1] scale not None,         # IN  (C,)
            const floating[::1] offset not None,        # IN  (C,)
            const double[::1] mean not None,            # IN  (C,)
            const double[::1] variance not None,        # IN  (C,)
            floating[:, :, ::1] y not None,             # OUT (N, C, S)
            int n_threads, double epsilon):
    """Write y = scale · (x − mean) / sqrt(variance + epsilon) + offset, the statistics being given."""
    cdef Channel channel = Channel(x.shape[0], x.shape[2], x.shape[1] * x.shape[2])
    cdef Py_ssize_t c
    for c in prange(x.shape[1], nogil=True, schedule="static", num_threads=n_threads):
        normalize(channel, &x[0, c, 0], scale[c], offset[c], mean[c], 1 / sqrt(variance[c] + epsilon), &y[0, c, 0])


def forward_training(geometry,
                     const floating[:, :, ::1] x not None,      # IN  (N, C, S)
                     const floating[::1] scale not None,        # IN  (C,)
                     const floating[::1] offset not None,       # IN  (C,)
                     floating[:, :, ::1] y not None,            # OUT (N, C, S)
                     double[::1] mean not None,                 # OUT (C,) of the batch
                     double[::1] variance not None,             # OUT (C,) of the batch, biased
                     int n_threads, double epsilon):
    """Write y as `forward` does, with the statistics of this batch, and the statistics."""
    cdef Channel channel = Channel(x.shape[0], x.shape[2], x.shape[1] * x.shape[2])
    cdef Py_ssize_t c
    for c in prange(x.shape[1], nogil=True, schedule="static", num_threads=n_threads):
        statistics(channel, &x[0, c, 0], &mean[c], &variance[c])
        normalize(channel, &x[0, c, 0], scale[c], offset[c], mean[c], 1 / sqrt(variance[c] + epsilon), &y[0, c, 0])


def backward(geometry,
             const floating[:, :, ::1] grad_y not None,     # IN  (N, C, S)
             const floating[:, :, ::1] x not None,          # IN  (N, C, S)
             const floating[::1] scale not None,            # IN  (C,)
             const double[::1] mean not None,               # IN  (C,)
             const double[::1] variance not None,           # IN  (C,)
             floating[:, :, ::1] grad_x not None,           # OUT (N, C, S)
             floating[::1] grad_scale not None,             # OUT (C,)
             floating[::1] grad_offset not None,            # OUT (C,)
             int n_threads, double epsilon, bint training):
    """Write the gradients; in training also through mean and variance, which were the batch's own."""
    cdef Channel channel = Channel(x.shape[0], x.shape[2], x.shape[1] * x.shape[2])
    cdef Py_ssize_t c
    for c in prange(x.shape[1], nogil=True, schedule="static", num_threads=n_threads):
        backward_channel(channel, &grad_y[0, c, 0], &x[0, c, 0], scale[c], mean[c],
                         1 / sqrt(variance[c] + epsilon), training, &grad_x[0, c, 0], &grad_scale[c], &grad_offset[c])


cdef void statistics(Channel channel, const floating* x, double* mean, double* variance) noexcept nogil:
    """Mean and variance in two passes; the second also corrects the rounding of the first."""
    cdef double first[LANES]
    cdef double second[LANES]
    cdef const floating* row
    cdef double center, d, shift, count = <double> channel.N * channel.S
    cdef Py_ssize_t n, block, j, l
    for l in range(LANES):
        first[l] = 0
    for n in range(channel.N):
        row = x + n * channel.step
        for block in range(channel.S // LANES):
            for l in range(LANES):
                first[l] += row[block * LANES + l]
        for j in range(channel.S - channel.S % LANES, channel.S):
            first[j % LANES] += row[j]
    center = total(first) / count
    for l in range(LANES):
        first[l] = second[l] = 0
    for n in range(channel.N):
        row = x + n * channel.step
        for block in range(channel.S // LANES):
            for l in range(LANES):
                d = row[block * LANES + l] - center
                first[l] += d
                second[l] += d * d
        for j in range(channel.S - channel.S % LANES, channel.S):
            d = row[j] - center
            first[j % LANES] += d
            second[j % LANES] += d * d
    shift = total(first) / count
    mean[0] = center + shift
    variance[0] = total(second) / count - shift * shift
    if variance[0] < 0:                 # rounding; NaN stays NaN
        variance[0] = 0


cdef void normalize(Channel channel, const floating* x, double scale, double offset, double mean, double inverse,
                    floating* y) noexcept nogil:
    """y = (x − center) · factor + shift: the center is the mean rounded, what that leaves is in the shift."""
    cdef floating center = <floating> mean
    cdef floating factor = <floating> (scale * inverse)
    cdef floating shift = <floating> (offset - (mean - center) * scale * inverse)
    cdef const floating* row
    cdef floating* out
    cdef Py_ssize_t n, j
    for n in range(channel.N):
        row, out = x + n * channel.step, y + n * channel.step
        for j in range(channel.S):
            out[j] = (row[j] - center) * factor + shift


cdef void backward_channel(Channel channel, const floating* grad_y, const floating* x, double scale, double mean,
                           double inverse, bint training, floating* grad_x, floating* grad_scale,
                           floating* grad_offset) noexcept nogil:
    """With z = (x − mean) · inverse: grad_x = scale · inverse · (g − mean of g − z · mean of g · z)."""
    cdef double plain[LANES]            # Σ g
    cdef double weighted[LANES]         # Σ g · (x − mean)
    cdef const floating* g
    cdef const floating* row
    cdef floating* out
    cdef double sum_plain, sum_weighted, slope, count = <double> channel.N * channel.S
    cdef floating center, mean_g, tilt, rest, factor = <floating> (scale * inverse)
    cdef Py_ssize_t n, block, j, l
    for l in range(LANES):
        plain[l] = weighted[l] = 0
    for n in range(channel.N):
        g, row = grad_y + n * channel.step, x + n * channel.step
        for block in range(channel.S // LANES):
            for l in range(LANES):
                plain[l] += g[block * LANES + l]
                weighted[l] += g[block * LANES + l] * (row[block * LANES + l] - mean)
        for j in range(channel.S - channel.S % LANES, channel.S):
            plain[j % LANES] += g[j]
            weighted[j % LANES] += g[j] * (row[j] - mean)
    sum_plain, sum_weighted = total(plain), total(weighted)
    grad_scale[0] = <floating> (sum_weighted * inverse)
    grad_offset[0] = <floating> sum_plain
    if not training:
        for n in range(channel.N):
            g, out = grad_y + n * channel.step, grad_x + n * channel.step
            for j in range(channel.S):
                out[j] = factor * g[j]
        return
    slope = sum_weighted * inverse * inverse / count
    center, mean_g, tilt = <floating> mean, <floating> (sum_plain / count), <floating> slope
    rest = <floating> ((mean - center) * slope)
    for n in range(channel.N):
        g, row, out = grad_y + n * channel.step, x + n * channel.step, grad_x + n * channel.step
        for j in range(channel.S):
            out[j] = factor * ((g[j] - mean_g) - ((row[j] - center) * tilt - rest))


cdef inline double total(const double* lanes) noexcept nogil:
    """The sum of the lanes, first to last."""
    cdef double s = 0
    cdef Py_ssize_t l
    for l in range(LANES):
        s += lanes[l]
    return s
