"""Average-pooling in 1-D to 3-D: one plane per task, a row of windows at a time.

The rows that a row of windows sees are added up first, column by column; then their columns.
"""

from cython.parallel cimport prange, threadid
from libc.string cimport memset

from convcore.kernels.common cimport end_inside, first_inside, floating
from convcore.kernels.pool_sizes cimport Limits, PoolSizes, end_of, find_limits, first_of, in_quads, pool_sizes
from convcore.kernels.buffers import aligned, own_pages


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
    cdef floating[:, ::1] columns = aligned(2, s.OW, y.base.dtype)
    cdef floating[:, ::1] lines = own_pages(n_threads, s.IW, y.base.dtype)
    count_columns(&s, mean, &columns[0, 0], &columns[1, 0])
    for plane in prange(s.planes, nogil=True, schedule="static", num_threads=n_threads):
        forward_plane(&s, &x[plane * s.in_cells], &y[plane * s.out_cells], mean, <floating> padding, &columns[0, 0],
                      &columns[1, 0], &lines[threadid(), 0])


cdef void count_columns(PoolSizes* s, bint mean, floating* counted, floating* inside) noexcept nogil:
    """How many columns of each window count, and how many of them lie in the image."""
    cdef Py_ssize_t ow
    cdef Span w
    for ow in range(s.OW):
        w = span_of(ow, s.SW, s.DW, s.KW, s.IW, s.left, s.right, mean)
        counted[ow], inside[ow] = <floating> w.counted, <floating> w.inside


cdef void forward_plane(PoolSizes* s, const floating* x, floating* y, bint mean, floating padding,
                        const floating* counted, const floating* inside, floating* line) noexcept nogil:
    cdef Py_ssize_t od, oh
    cdef Span d, h
    cdef Limits limits
    if in_quads(s):
        for oh in range(s.OH):
            if s.KH == 1:
                average_pairs(x + oh * s.IW, y + oh * s.OW, s.OW)
            else:
                average_quads(x + 2 * oh * s.IW, x + (2 * oh + 1) * s.IW, y + oh * s.OW, s.OW)
        return
    find_limits(s, &limits)
    for od in range(s.OD):
        d = span_of(od, s.SD, s.DD, s.KD, s.ID, s.front, s.back, mean)
        for oh in range(s.OH):
            h = span_of(oh, s.SH, s.DH, s.KH, s.IH, s.top, s.bottom, mean)
            add_columns(s, &limits, sum_of_rows(s, x, &d, &h, line), y)
            average(s.OW, <floating> (<double> d.counted * h.counted), <floating> (<double> d.inside * h.inside),
                    padding, counted, inside, y)
            y += s.OW


cdef void average_pairs(const floating* row, floating* y, Py_ssize_t count) noexcept nogil:
    cdef Py_ssize_t j
    cdef floating half = 0.5                    # a plain number is a double, and all that meets it
    for j in range(count):
        y[j] = (row[2 * j] + row[2 * j + 1]) * half


cdef void average_quads(const floating* upper, const floating* lower, floating* y, Py_ssize_t count) noexcept nogil:
    cdef Py_ssize_t j
    cdef floating quarter = 0.25
    for j in range(count):
        y[j] = ((upper[2 * j] + lower[2 * j]) + (upper[2 * j + 1] + lower[2 * j + 1])) * quarter


cdef void share_quads(const floating* grad_y, Py_ssize_t count, floating part, floating* upper,
                      floating* lower) noexcept nogil:
    cdef Py_ssize_t j
    for j in range(count):
        upper[2 * j] = upper[2 * j + 1] = lower[2 * j] = lower[2 * j + 1] = grad_y[j] * part


cdef const floating* sum_of_rows(PoolSizes* s, const floating* x, Span* d, Span* h, floating* line) noexcept nogil:
    """The sums over the rows that a row of windows sees, column by column; of a single one that row itself."""
    cdef const floating* row
    cdef Py_ssize_t kd, kh, j
    if s.KD * s.KH > 1 or d.inside * h.inside < 1:
        memset(line, 0, s.IW * sizeof(floating))
    for kd in range(d.first, d.end):
        for kh in range(h.first, h.end):
            row = x + ((d.start + kd * s.DD) * s.IH + h.start + kh * s.DH) * s.IW
            if s.KD * s.KH == 1:
                return row
            for j in range(s.IW):
                line[j] += row[j]
    return line


cdef void add_columns(PoolSizes* s, Limits* limits, const floating* line, floating* y) noexcept nogil:
    """The sums of those over the columns of each window."""
    cdef Py_ssize_t kw, column, first, end
    memset(y, 0, s.OW * sizeof(floating))
    for kw in range(s.KW):
        column = kw * s.DW - s.left
        first, end = first_of(s, limits, kw), end_of(s, limits, kw)
        if s.SW == 1:                   # steps that the compiler knows: it takes whole vectors
            add_column(line + first + column, 1, y + first, end - first)
        elif s.SW == 2:
            add_column(line + 2 * first + column, 2, y + first, end - first)
        else:
            add_column(line + s.SW * first + column, s.SW, y + first, end - first)


cdef inline void add_column(const floating* line, Py_ssize_t step, floating* y, Py_ssize_t count) noexcept nogil:
    cdef Py_ssize_t j
    for j in range(count):
        y[j] += line[j * step]


cdef void average(Py_ssize_t count, floating rows_counted, floating rows_inside, floating padding,
                  const floating* counted, const floating* inside, floating* y) noexcept nogil:
    """Make averages of the sums of a row of windows."""
    cdef Py_ssize_t j
    cdef floating cells, padded
    for j in range(count):
        cells = rows_counted * counted[j]
        padded = cells - rows_inside * inside[j]
        y[j] = (y[j] + (padding * padded if padded > 0 else 0)) / cells if cells > 0 else 0


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
    cdef floating[:, ::1] columns = aligned(2, s.OW, grad_x.base.dtype)
    cdef floating[:, ::1] lines = own_pages(n_threads, s.IW + s.OW, grad_x.base.dtype)
    count_columns(&s, mean, &columns[0, 0], &columns[1, 0])
    for plane in prange(s.planes, nogil=True, schedule="static", num_threads=n_threads):
        backward_plane(&s, &grad_y[plane * s.out_cells], &grad_x[plane * s.in_cells], mean, &columns[0, 0],
                       &lines[threadid(), 0], &lines[threadid(), 0] + s.IW)


cdef void backward_plane(PoolSizes* s, const floating* grad_y, floating* grad_x, bint mean, const floating* counted,
                         floating* line, floating* shares) noexcept nogil:
    cdef Py_ssize_t od, oh
    cdef Span d, h
    cdef Limits limits
    memset(grad_x, 0, s.in_cells * sizeof(floating))
    if in_quads(s):
        for oh in range(s.OH):
            share_quads(grad_y + oh * s.OW, s.OW, <floating> 0.5 / s.KH, grad_x + s.KH * oh * s.IW,
                        grad_x + (s.KH * (oh + 1) - 1) * s.IW)
        return
    find_limits(s, &limits)
    for od in range(s.OD):
        d = span_of(od, s.SD, s.DD, s.KD, s.ID, s.front, s.back, mean)
        for oh in range(s.OH):
            h = span_of(oh, s.SH, s.DH, s.KH, s.IH, s.top, s.bottom, mean)
            share(s.OW, <floating> (<double> d.counted * h.counted), counted, grad_y, shares)
            spread_columns(s, &limits, shares, line)
            spread_rows(s, line, &d, &h, grad_x)
            grad_y += s.OW


cdef void share(Py_ssize_t count, floating rows_counted, const floating* counted, const floating* grad_y,
                floating* shares) noexcept nogil:
    """What each cell gets of a row of windows."""
    cdef Py_ssize_t j
    cdef floating cells
    for j in range(count):
        cells = rows_counted * counted[j]
        shares[j] = grad_y[j] / cells if cells > 0 else 0


cdef void spread_columns(PoolSizes* s, Limits* limits, const floating* shares, floating* line) noexcept nogil:
    """What each column of the image gets of a row of windows."""
    cdef Py_ssize_t kw, column, first, end, j
    memset(line, 0, s.IW * sizeof(floating))
    for kw in range(s.KW):
        column = kw * s.DW - s.left
        first, end = first_of(s, limits, kw), end_of(s, limits, kw)
        for j in range(first, end):
            line[j * s.SW + column] += shares[j]


cdef void spread_rows(PoolSizes* s, const floating* line, Span* d, Span* h, floating* grad_x) noexcept nogil:
    """Add to each row that a row of windows sees."""
    cdef floating* row
    cdef Py_ssize_t kd, kh, j
    for kd in range(d.first, d.end):
        for kh in range(h.first, h.end):
            row = grad_x + ((d.start + kd * s.DD) * s.IH + h.start + kh * s.DH) * s.IW
            for j in range(s.IW):
                row[j] += line[j]
