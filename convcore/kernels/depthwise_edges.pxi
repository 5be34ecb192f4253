# What the frame around a channel hands on to the cells that it repeats, where there is no stride: the frame's rows and
# columns are few, and each is computed from the rows or columns of grad_y that reach it; the channel itself is computed
# as if zeros were around it.

cdef struct Line:               # of the frame, along one axis of it
    Py_ssize_t padded, step             # cells; how far apart taps are
    float* gradients                    # a line of grad_y between zeros, for whole vectors
    float* sums                         # the line of the frame
    Py_ssize_t numbers                  # in both


cdef inline bint can_add_edges(ConvSizes* s) noexcept nogil:
    return s.mode != CONSTANT and s.FG == 1 and s.KD == 1 and s.ID == 1 and s.OD == 1 and s.SH == 1 and s.SW == 1


cdef inline Line line_of(Py_ssize_t outputs, Py_ssize_t K, Py_ssize_t D, float* work) noexcept nogil:
    cdef Line line
    cdef Py_ssize_t before = round_up((K - 1) * D, vf_LANES)
    line.padded, line.step = outputs + (K - 1) * D, D
    line.gradients, line.sums = work + before, work + before + round_up(line.padded, vf_LANES)
    line.numbers = before + 2 * round_up(line.padded, vf_LANES)
    return line


cdef inline Py_ssize_t edge_numbers(ConvSizes* s) noexcept nogil:
    """Room for a row and a column."""
    return line_of(s.OW, s.KW, s.DW, NULL).numbers + line_of(s.OH, s.KH, s.DH, NULL).numbers


cdef void add_edges(ConvSizes* s, const FrameAxis* frame, const float* grad_y, const float* weight, float* grad_x,
                    Py_ssize_t first, Py_ssize_t channels, float* work) noexcept nogil:
    """Add what the frame hands on to some channels, counted through the batch."""
    cdef Line row = line_of(s.OW, s.KW, s.DW, work), column = line_of(s.OH, s.KH, s.DH, work + row.numbers)
    cdef const FrameAxis* H = frame + 1
    cdef const FrameAxis* W = frame + 2
    cdef Py_ssize_t i, n
    cdef const float* g
    cdef const float* w
    cdef float* image
    memset(work, 0, (row.numbers + column.numbers) * sizeof(float))
    for n in range(first, min(first + channels, s.N * s.IC)):
        g, w, image = grad_y + n * s.OH * s.OW, weight + n % s.IC * s.KH * s.KW, grad_x + n * s.IH * s.IW
        for i in range(H.padded):
            if i < H.before or i >= H.before + H.size:
                sum_row(s, &row, i, g, w)
                add_cells(<const float*> row.sums + W.before, image + H.cells[i] * W.size, W.size)
                add_around(W, <const float*> row.sums, image + H.cells[i] * W.size)
        for i in range(W.padded):
            if i < W.before or i >= W.before + W.size:
                sum_column(s, &column, i, g, w)
                add_to_column(column.sums + H.before, H.size, image + W.cells[i], W.size)


cdef inline void sum_row(ConvSizes* s, Line* row, Py_ssize_t i, const float* grad_y, const float* weight) noexcept nogil:
    """A row above or below the image, with its corners."""
    cdef Py_ssize_t kh, oh
    cdef bint added = False
    for kh in range(s.KH):
        oh = i - kh * s.DH
        if 0 <= oh < s.OH:
            copy_cells(grad_y + oh * s.OW, row.gradients, s.OW)
            sum_line(row, s.KW, weight + kh * s.KW, 1, added)
            added = True


cdef inline void sum_column(ConvSizes* s, Line* column, Py_ssize_t j, const float* grad_y,
                            const float* weight) noexcept nogil:
    """A column beside the image."""
    cdef Py_ssize_t kw, ow, oh
    cdef bint added = False
    for kw in range(s.KW):
        ow = j - kw * s.DW
        if 0 <= ow < s.OW:
            for oh in range(s.OH):
                column.gradients[oh] = grad_y[oh * s.OW + ow]
            sum_line(column, s.KH, weight + kw, s.KW, added)
            added = True


cdef inline void sum_line(Line* line, Py_ssize_t taps, const float* weight, Py_ssize_t weight_step,
                          bint added) noexcept nogil:
    cdef Py_ssize_t v, k
    cdef vf total
    for v in range(blocks(line.padded, vf_LANES)):
        total = load_vf(line.sums + v * vf_LANES) if added else splat_vf(0)
        for k in range(taps):
            total = total + splat_vf(weight[k * weight_step]) * load_vf(line.gradients + v * vf_LANES - k * line.step)
        store_vf(line.sums + v * vf_LANES, total)


cdef inline void add_to_column(const float* sums, Py_ssize_t count, float* column, Py_ssize_t step) noexcept nogil:
    cdef Py_ssize_t i
    for i in range(count):
        column[i * step] += sums[i]
