"""Average-pooling in 1-D to 3-D: one plane per task, window by window."""

from cython.parallel cimport prange

from convcore.kernels.common cimport end_inside, first_inside, floating
from convcore.kernels.pool_sizes cimport PoolSizes, pool_sizes


cdef struct Span:
    Py_ssize_t start        # the input's coordinate under the window's cell 0, perhaps in the padding
    Py_ssize_t first, end   # the window's cells that lie on the input; none: first >= end
    Py_ssize_t inside       # how many these are
    Py_ssize_t counted      # how many the sum is divided by


cdef inline Span span_of(Py_ssize_t o, Py_ssize_t S, Py_ssize_t D, Py_ssize_t K, Py_ssize_t size, Py_ssize_t before,
                         Py_ssize_t after, bint mean) noexcept nogil:
    """One dimension of the window of output o. Cells beyond the padding, which ceil mode may bring, never count."""
    cdef Span w
    w.start = o * S - before
    w.first = first_inside(w.start, D)
    w.end = end_inside(w.start, D, size, K)
    w.inside = max(w.end - w.first, 0)
    w.counted = w.inside if mean else end_inside(w.start, D, size + after, K)
    return w


cdef inline double count_of(Span* d, Span* h, Span* w) noexcept nogil:
    return <double> d.counted * <double> h.counted * <double> w.counted     # three of 2³¹ would overflow an integer


def forward(geometry, x, y, n_threads):
    """Write the averages; a window that sees only padding, with padding_value "mean", gives 0.

    x (N, C, *in) IN; y (N, C, *out) OUT.
    """
    forward_planes(geometry, x.reshape(-1), y.reshape(-1), n_threads)


def forward_planes(geometry,
                   const floating[::1] x not None,      # IN  N·C planes of IH·IW cells, in 3-D volumes
                   floating[::1] y not None,            # OUT N·C planes of OH·OW cells
                   int n_threads):
    """The planes of forward, one after the other in memory, whatever the number of dimensions."""
    cdef PoolSizes s = pool_sizes(geometry)
    cdef bint mean = geometry.padding_value == "mean"
    cdef double padding = 0 if mean else geometry.padding_value
    cdef Py_ssize_t plane
    for plane in prange(s.planes, nogil=True, schedule="static", num_threads=n_threads):
        forward_plane(&s, &x[plane * s.in_cells], &y[plane * s.out_cells], mean, <floating> padding)


cdef void forward_plane(PoolSizes* s, const floating* x, floating* y, bint mean, floating padding) noexcept nogil:
    cdef Py_ssize_t od, oh, ow
    cdef double counted, padded
    cdef Span d, h, w
    cdef floating total
    for od in range(s.OD):
        d = span_of(od, s.SD, s.DD, s.KD, s.ID, s.front, s.back, mean)
        for oh in range(s.OH):
            h = span_of(oh, s.SH, s.DH, s.KH, s.IH, s.top, s.bottom, mean)
            for ow in range(s.OW):
                w = span_of(ow, s.SW, s.DW, s.KW, s.IW, s.left, s.right, mean)
                counted = count_of(&d, &h, &w)
                padded = counted - d.inside * h.inside * w.inside
                total = sum_of(s, x, &d, &h, &w)
                if padded > 0:
                    total += padding * <floating> padded
                y[(od * s.OH + oh) * s.OW + ow] = total / <floating> counted if counted > 0 else 0


cdef inline floating sum_of(PoolSizes* s, const floating* x, Span* d, Span* h, Span* w) noexcept nogil:
    cdef const floating* row
    cdef Py_ssize_t kd, kh, kw
    cdef floating total = 0
    for kd in range(d.first, d.end):
        for kh in range(h.first, h.end):
            row = x + ((d.start + kd * s.DD) * s.IH + h.start + kh * s.DH) * s.IW + w.start
            for kw in range(w.first, w.end):
                total += row[kw * s.DW]
    return total


def backward_input(geometry, grad_y, grad_x, n_threads):
    """Write grad_x: each output's gradient is shared out evenly over its window.

    grad_y (N, C, *out) IN; grad_x (N, C, *in) OUT.
    """
    backward_planes(geometry, grad_y.reshape(-1), grad_x.reshape(-1), n_threads)


def backward_planes(geometry,
                    const floating[::1] grad_y not None,    # IN  N·C planes of OH·OW cells, in 3-D volumes
                    floating[::1] grad_x not None,          # OUT N·C planes of IH·IW cells
                    int n_threads):
    """The planes of backward_input, one after the other in memory, whatever the number of dimensions."""
    cdef PoolSizes s = pool_sizes(geometry)
    cdef bint mean = geometry.padding_value == "mean"
    cdef Py_ssize_t plane
    for plane in prange(s.planes, nogil=True, schedule="static", num_threads=n_threads):
        backward_plane(&s, &grad_y[plane * s.out_cells], &grad_x[plane * s.in_cells], mean)


cdef void backward_plane(PoolSizes* s, const floating* grad_y, floating* grad_x, bint mean) noexcept nogil:
    cdef Py_ssize_t j, od, oh, ow
    cdef double counted
    cdef Span d, h, w
    for j in range(s.in_cells):
        grad_x[j] = 0
    for od in range(s.OD):
        d = span_of(od, s.SD, s.DD, s.KD, s.ID, s.front, s.back, mean)
        for oh in range(s.OH):
            h = span_of(oh, s.SH, s.DH, s.KH, s.IH, s.top, s.bottom, mean)
            for ow in range(s.OW):
                w = span_of(ow, s.SW, s.DW, s.KW, s.IW, s.left, s.right, mean)
                counted = count_of(&d, &h, &w)
                if counted > 0:
                    add_to(s, grad_x, &d, &h, &w, grad_y[(od * s.OH + oh) * s.OW + ow] / <floating> counted)


cdef inline void add_to(PoolSizes* s, floating* grad_x, Span* d, Span* h, Span* w, floating share) noexcept nogil:
    """Add to each of the window's cells. All limits are copied first: the compiler must think that a store may change
    what a pointer leads to, and would read them again for each cell."""
    cdef Py_ssize_t kd, kh, kw, KD = d.end - d.first, KH = h.end - h.first, KW = w.end - w.first
    cdef Py_ssize_t deeper = s.DD * s.IH * s.IW, lower = s.DH * s.IW, right = s.DW      # from one cell to the next
    cdef floating* layer = grad_x + (((d.start + d.first * s.DD) * s.IH + h.start + h.first * s.DH) * s.IW
                                     + w.start + w.first * s.DW)
    cdef floating* row
    for kd in range(KD):
        row = layer
        for kh in range(KH):
            for kw in range(KW):
                row[kw * right] += share
            row = row + lower
        layer = layer + deeper
