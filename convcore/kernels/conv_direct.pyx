"""Direct convolution: one plane per task, one filter tap at a time.

The inner loop adds a scaled row to another row, so the compiler turns it into vector instructions; borders are loop
limits, so it holds no test.
"""

from cython.parallel cimport prange, threadid

import numpy as np

from convcore.kernels.common cimport ConvSizes, conv_sizes, end_inside, first_inside, floating


# forward: for each output plane, for each tap, y row += weight · x row

def forward(geometry,
            const floating[:, :, :, ::1] x not None,        # IN  (N, IC, IH, IW)
            const floating[:, :, :, ::1] weight not None,   # IN  (OC, IC/G, KH, KW)
            const floating[::1] bias,                       # IN  (OC,) or None
            floating[:, :, :, ::1] y not None,              # OUT (N, OC, OH, OW)
            int n_threads):
    """Write y; one task per output plane."""
    cdef ConvSizes s = conv_sizes(geometry)
    cdef Py_ssize_t task
    cdef bint has_bias = bias is not None
    for task in prange(s.N * s.OC, nogil=True, schedule="static", num_threads=n_threads):
        fill(&y[task // s.OC, task % s.OC, 0, 0], s.OH * s.OW, bias[task % s.OC] if has_bias else 0)
        forward_plane(&s, x, weight, y, task // s.OC, task % s.OC)


cdef void forward_plane(ConvSizes* s, const floating[:, :, :, ::1] x, const floating[:, :, :, ::1] weight,
                        floating[:, :, :, ::1] y, Py_ssize_t n, Py_ssize_t k) noexcept nogil:
    cdef Py_ssize_t c, kh, kw, oh, ih, first, end, column
    cdef Py_ssize_t c0 = (k // s.FG) * s.CG
    cdef floating padding = <floating> s.padding_value
    for c in range(s.CG):
        for kh in range(s.KH):
            for kw in range(s.KW):
                column = kw * s.DW - s.left                     # the input column that output column 0 reads
                first = first_inside(column, s.SW)
                end = end_inside(column, s.SW, s.IW, s.OW)
                for oh in range(s.OH):
                    ih = oh * s.SH + kh * s.DH - s.top
                    if 0 <= ih < s.IH and first < end:
                        add_row(&y[n, k, oh, first], &x[n, c0 + c, ih, first * s.SW + column], s.SW,
                                weight[k, c, kh, kw], end - first)
                        if padding != 0:
                            add_constant(&y[n, k, oh, 0], weight[k, c, kh, kw] * padding, first)
                            add_constant(&y[n, k, oh, 0] + end, weight[k, c, kh, kw] * padding, s.OW - end)
                    elif padding != 0:
                        add_constant(&y[n, k, oh, 0], weight[k, c, kh, kw] * padding, s.OW)


# backward_input: for each input plane, for each tap, grad_x row += weight · grad_y row

def backward_input(geometry,
                   const floating[:, :, :, ::1] grad_y not None,    # IN  (N, OC, OH, OW)
                   const floating[:, :, :, ::1] weight not None,    # IN  (OC, IC/G, KH, KW)
                   floating[:, :, :, ::1] grad_x not None,          # OUT (N, IC, IH, IW)
                   int n_threads):
    """Write grad_x; one task per input plane."""
    cdef ConvSizes s = conv_sizes(geometry)
    cdef Py_ssize_t task
    for task in prange(s.N * s.IC, nogil=True, schedule="static", num_threads=n_threads):
        fill(&grad_x[task // s.IC, task % s.IC, 0, 0], s.IH * s.IW, <floating> 0)
        backward_input_plane(&s, grad_y, weight, grad_x, task // s.IC, task % s.IC)


cdef void backward_input_plane(ConvSizes* s, const floating[:, :, :, ::1] grad_y,
                               const floating[:, :, :, ::1] weight, floating[:, :, :, ::1] grad_x,
                               Py_ssize_t n, Py_ssize_t c) noexcept nogil:
    cdef Py_ssize_t k, kh, kw, oh, ih, first, end, column
    cdef Py_ssize_t g = c // s.CG
    for k in range(g * s.FG, (g + 1) * s.FG):
        for kh in range(s.KH):
            for kw in range(s.KW):
                column = kw * s.DW - s.left
                first = first_inside(column, s.SW)
                end = end_inside(column, s.SW, s.IW, s.OW)
                if first >= end:
                    continue
                for oh in range(s.OH):
                    ih = oh * s.SH + kh * s.DH - s.top
                    if 0 <= ih < s.IH:
                        spread_row(&grad_x[n, c, ih, first * s.SW + column], s.SW, &grad_y[n, k, oh, first],
                                   weight[k, c - g * s.CG, kh, kw], end - first)


# backward_weight: for each tap, the products of grad_y rows and x rows, one running sum per output column

def backward_weight(geometry,
                    const floating[:, :, :, ::1] grad_y not None,       # IN  (N, OC, OH, OW)
                    const floating[:, :, :, ::1] x not None,            # IN  (N, IC, IH, IW)
                    floating[:, :, :, ::1] grad_weight not None,        # OUT (OC, IC/G, KH, KW)
                    int n_threads):
    """Write grad_weight; one task per filter and channel."""
    cdef ConvSizes s = conv_sizes(geometry)
    cdef Py_ssize_t task
    cdef floating[:, ::1] sums = np.empty((n_threads, s.OW), np.asarray(grad_y).dtype)
    for task in prange(s.OC * s.CG, nogil=True, schedule="static", num_threads=n_threads):
        backward_weight_plane(&s, grad_y, x, grad_weight, &sums[threadid(), 0], task // s.CG, task % s.CG)


cdef void backward_weight_plane(ConvSizes* s, const floating[:, :, :, ::1] grad_y, const floating[:, :, :, ::1] x,
                                floating[:, :, :, ::1] grad_weight, floating* sums,
                                Py_ssize_t k, Py_ssize_t c) noexcept nogil:
    cdef Py_ssize_t n, kh, kw, oh, ih, first, end, column
    cdef Py_ssize_t c0 = (k // s.FG) * s.CG
    cdef floating padding = <floating> s.padding_value
    for kh in range(s.KH):
        for kw in range(s.KW):
            column = kw * s.DW - s.left
            first = first_inside(column, s.SW)
            end = end_inside(column, s.SW, s.IW, s.OW)
            fill(sums, s.OW, <floating> 0)
            for n in range(s.N):
                for oh in range(s.OH):
                    ih = oh * s.SH + kh * s.DH - s.top
                    if 0 <= ih < s.IH and first < end:
                        add_products(sums + first, &grad_y[n, k, oh, first],
                                     &x[n, c0 + c, ih, first * s.SW + column], s.SW, end - first)
                        if padding != 0:
                            add_row(sums, &grad_y[n, k, oh, 0], 1, padding, first)
                            add_row(sums + end, &grad_y[n, k, oh, 0] + end, 1, padding, s.OW - end)
                    elif padding != 0:
                        add_row(sums, &grad_y[n, k, oh, 0], 1, padding, s.OW)
            grad_weight[k, c, kh, kw] = total(sums, s.OW)


# backward_bias: a filter's bias reaches every pixel of its planes

def backward_bias(geometry,
                  const floating[:, :, :, ::1] grad_y not None,     # IN  (N, OC, OH, OW)
                  floating[::1] grad_bias not None,                 # OUT (OC,)
                  int n_threads):
    """Write grad_bias; one task per filter."""
    cdef ConvSizes s = conv_sizes(geometry)
    cdef Py_ssize_t k
    for k in prange(s.OC, nogil=True, schedule="static", num_threads=n_threads):
        grad_bias[k] = sum_of_planes(grad_y, k)


cdef floating sum_of_planes(const floating[:, :, :, ::1] grad_y, Py_ssize_t k) noexcept nogil:
    """Sixteen running sums, so that the loop is not one long chain of additions waiting for each other."""
    cdef floating[16] sums
    cdef Py_ssize_t n, p, lane, pixels = grad_y.shape[2] * grad_y.shape[3]
    cdef const floating* plane
    fill(sums, 16, <floating> 0)
    for n in range(grad_y.shape[0]):
        plane = &grad_y[n, k, 0, 0]
        for p in range(0, pixels - 15, 16):
            for lane in range(16):
                sums[lane] += plane[p + lane]
        for p in range(pixels - pixels % 16, pixels):
            sums[p % 16] += plane[p]
    return total(sums, 16)


# the rows

cdef void fill(floating* y, Py_ssize_t count, floating value) noexcept nogil:
    cdef Py_ssize_t j
    for j in range(count):
        y[j] = value


cdef floating total(const floating* x, Py_ssize_t count) noexcept nogil:
    cdef floating result = 0
    cdef Py_ssize_t j
    for j in range(count):
        result += x[j]
    return result


cdef void add_constant(floating* y, floating value, Py_ssize_t count) noexcept nogil:
    cdef Py_ssize_t j
    for j in range(count):
        y[j] += value


cdef void add_row(floating* y, const floating* x, Py_ssize_t x_step, floating scale, Py_ssize_t count) noexcept nogil:
    """y[j] += scale · x[j·x_step]; the case without stride is written out so that it becomes vector code."""
    cdef Py_ssize_t j
    if x_step == 1:
        for j in range(count):
            y[j] += scale * x[j]
    else:
        for j in range(count):
            y[j] += scale * x[j * x_step]


cdef void spread_row(floating* y, Py_ssize_t y_step, const floating* x, floating scale,
                     Py_ssize_t count) noexcept nogil:
    """y[j·y_step] += scale · x[j]"""
    cdef Py_ssize_t j
    if y_step == 1:
        for j in range(count):
            y[j] += scale * x[j]
    else:
        for j in range(count):
            y[j * y_step] += scale * x[j]


cdef void add_products(floating* sums, const floating* a, const floating* b, Py_ssize_t b_step,
                       Py_ssize_t count) noexcept nogil:
    """sums[j] += a[j] · b[j·b_step]"""
    cdef Py_ssize_t j
    if b_step == 1:
        for j in range(count):
            sums[j] += a[j] * b[j]
    else:
        for j in range(count):
            sums[j] += a[j] * b[j * b_step]
