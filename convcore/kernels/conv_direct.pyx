"""Direct convolution: one plane per task, one row at a time, one filter tap after the other.

The inner loops add a scaled row to another row, so the compiler turns them into vector instructions. They hold no
test: cells outside the image are a few at both ends of a row, and read by index.
"""

from cython.parallel cimport prange, threadid

from convcore.kernels.buffers import aligned
from convcore.kernels.common cimport CONSTANT, ConvSizes, conv_sizes, end_inside, first_inside, floating, source_cell

VOLUMETRIC = True


# forward: for each output plane, for each tap, y row += weight · x row

def forward(geometry,
            const floating[:, :, :, :, ::1] x not None,         # IN  (N, IC, ID, IH, IW)
            const floating[:, :, :, :, ::1] weight not None,    # IN  (OC, IC/G, KD, KH, KW)
            const floating[::1] bias,                           # IN  (OC,) or None
            floating[:, :, :, :, ::1] y not None,               # OUT (N, OC, OD, OH, OW)
            int n_threads):
    """Write y; one task per output plane."""
    cdef ConvSizes s = conv_sizes(geometry)
    cdef Py_ssize_t task
    cdef bint has_bias = bias is not None
    for task in prange(s.N * s.OC, nogil=True, schedule="static", num_threads=n_threads):
        fill(&y[task // s.OC, task % s.OC, 0, 0, 0], s.OD * s.OH * s.OW, bias[task % s.OC] if has_bias else 0)
        forward_plane(&s, x, weight, y, task // s.OC, task % s.OC)


cdef void forward_plane(ConvSizes* s, const floating[:, :, :, :, ::1] x, const floating[:, :, :, :, ::1] weight,
                        floating[:, :, :, :, ::1] y, Py_ssize_t n, Py_ssize_t k) noexcept nogil:
    cdef Py_ssize_t c, kd, kh, kw, od, oh, id, ih, column, first, end
    cdef Py_ssize_t c0 = (k // s.FG) * s.CG
    cdef floating w, padding = <floating> s.padding_value
    cdef bint borders = s.mode != CONSTANT or padding != 0      # whether the cells around the image change anything
    cdef const floating* x_row
    cdef const floating* channel
    cdef floating* y_row
    for c in range(s.CG):
        channel = &x[n, c0 + c, 0, 0, 0]
        for kd in range(s.KD):
            for kh in range(s.KH):
                for kw in range(s.KW):
                    w = weight[k, c, kd, kh, kw]
                    column = kw * s.DW - s.left                 # the input column that output column 0 reads
                    first = first_inside(column, s.SW)
                    end = max(first, end_inside(column, s.SW, s.IW, s.OW))
                    y_row = &y[n, k, 0, 0, 0]
                    for od in range(s.OD):
                        id = source_cell(od * s.SD + kd * s.DD - s.front, s.ID, s.mode)
                        for oh in range(s.OH):
                            ih = source_cell(oh * s.SH + kh * s.DH - s.top, s.IH, s.mode)
                            if id >= 0 and ih >= 0:
                                x_row = channel + (id * s.IH + ih) * s.IW
                                add_row(y_row + first, x_row + first * s.SW + column, s.SW, w, end - first)
                                if borders:
                                    add_border(s, y_row, x_row, column, w, padding, 0, min(first, s.OW))
                                    add_border(s, y_row, x_row, column, w, padding, end, s.OW)
                            elif borders:
                                add_constant(y_row, w * padding, s.OW)
                            y_row += s.OW


cdef inline void add_border(ConvSizes* s, floating* y, const floating* x, Py_ssize_t column, floating scale,
                            floating padding, Py_ssize_t first, Py_ssize_t end) noexcept nogil:
    """y[j] += scale · x[the cell that column + j·SW repeats], for outputs j that read outside the image."""
    cdef Py_ssize_t j, cell
    for j in range(first, end):
        cell = source_cell(column + j * s.SW, s.IW, s.mode)
        y[j] += scale * (padding if cell < 0 else x[cell])


# backward_input: each row of the padded image gathers what the outputs that read it send back

def backward_input(geometry,
                   const floating[:, :, :, :, ::1] grad_y not None,     # IN  (N, OC, OD, OH, OW)
                   const floating[:, :, :, :, ::1] weight not None,     # IN  (OC, IC/G, KD, KH, KW)
                   floating[:, :, :, :, ::1] grad_x not None,           # OUT (N, IC, ID, IH, IW)
                   int n_threads):
    """Write grad_x; one task per input plane."""
    cdef ConvSizes s = conv_sizes(geometry)
    cdef Py_ssize_t task
    cdef floating[:, ::1] sums = aligned(n_threads * s.KW, s.OW, grad_x.base.dtype)
    for task in prange(s.N * s.IC, nogil=True, schedule="static", num_threads=n_threads):
        fill(&grad_x[task // s.IC, task % s.IC, 0, 0, 0], s.ID * s.IH * s.IW, <floating> 0)
        backward_input_plane(&s, grad_y, weight, grad_x, &sums[threadid() * s.KW, 0], sums.shape[1],
                             task // s.IC, task % s.IC)


cdef void backward_input_plane(ConvSizes* s, const floating[:, :, :, :, ::1] grad_y,
                               const floating[:, :, :, :, ::1] weight, floating[:, :, :, :, ::1] grad_x,
                               floating* sums, Py_ssize_t pitch, Py_ssize_t n, Py_ssize_t c) noexcept nogil:
    cdef Py_ssize_t pd, ph, id, ih
    for pd in range((s.OD - 1) * s.SD + (s.KD - 1) * s.DD + 1):         # over the padded image, as far as it is read
        id = source_cell(pd - s.front, s.ID, s.mode)
        for ph in range((s.OH - 1) * s.SH + (s.KH - 1) * s.DH + 1):
            ih = source_cell(ph - s.top, s.IH, s.mode)
            if id >= 0 and ih >= 0 and gather_row(s, grad_y, weight, sums, pitch, n, c, pd, ph):
                spread_row(s, sums, pitch, &grad_x[n, c, id, ih, 0])


cdef bint gather_row(ConvSizes* s, const floating[:, :, :, :, ::1] grad_y, const floating[:, :, :, :, ::1] weight,
                     floating* sums, Py_ssize_t pitch, Py_ssize_t n, Py_ssize_t c, Py_ssize_t pd,
                     Py_ssize_t ph) noexcept nogil:
    """sums[kw, ow] = what output column ow sends to row (pd, ph) through tap column kw; whether there is anything.

    One row of sums per tap column: added to one row of the image, shifted by one cell from tap to tap, each vector
    would have to wait for the two that were stored just before it.
    """
    cdef Py_ssize_t g = c // s.CG, k, kd, kh, kw, od, oh
    cdef const floating* g_row
    cdef const floating* w
    cdef bint found = False
    for kd in range(s.KD):
        od = pd - kd * s.DD
        if od < 0 or od % s.SD != 0 or od // s.SD >= s.OD:
            continue
        for kh in range(s.KH):
            oh = ph - kh * s.DH
            if oh < 0 or oh % s.SH != 0 or oh // s.SH >= s.OH:
                continue
            if not found:
                fill(sums, s.KW * pitch, <floating> 0)
                found = True
            g_row = &grad_y[n, g * s.FG, od // s.SD, oh // s.SH, 0]
            w = &weight[g * s.FG, c - g * s.CG, kd, kh, 0]
            for k in range(s.FG):
                for kw in range(s.KW):
                    add_row(sums + kw * pitch, g_row, 1, w[kw], s.OW)
                g_row += s.OD * s.OH * s.OW
                w += s.CG * s.KD * s.KH * s.KW
    return found


cdef void spread_row(ConvSizes* s, const floating* sums, Py_ssize_t pitch, floating* grad_x) noexcept nogil:
    """Add sums[kw, ow] to the cell of a row of grad_x that tap column kw reads for output column ow."""
    cdef Py_ssize_t kw, j, first, end, column
    for kw in range(s.KW):
        column = kw * s.DW - s.left
        first = first_inside(column, s.SW)
        end = max(first, end_inside(column, s.SW, s.IW, s.OW))
        add_apart(grad_x + first * s.SW + column, s.SW, sums + kw * pitch + first, end - first)
        if s.mode != CONSTANT:
            for j in range(min(first, s.OW)):
                grad_x[source_cell(column + j * s.SW, s.IW, s.mode)] += sums[kw * pitch + j]
            for j in range(end, s.OW):
                grad_x[source_cell(column + j * s.SW, s.IW, s.mode)] += sums[kw * pitch + j]


# backward_weight: for each tap, the products of grad_y rows and x rows, one running sum per output column

def backward_weight(geometry,
                    const floating[:, :, :, :, ::1] grad_y not None,        # IN  (N, OC, OD, OH, OW)
                    const floating[:, :, :, :, ::1] x not None,             # IN  (N, IC, ID, IH, IW)
                    floating[:, :, :, :, ::1] grad_weight not None,         # OUT (OC, IC/G, KD, KH, KW)
                    int n_threads):
    """Write grad_weight; one task per filter and channel."""
    cdef ConvSizes s = conv_sizes(geometry)
    cdef Py_ssize_t task
    cdef floating[:, ::1] sums = aligned(n_threads, s.OW, grad_weight.base.dtype)
    for task in prange(s.OC * s.CG, nogil=True, schedule="static", num_threads=n_threads):
        backward_weight_plane(&s, grad_y, x, grad_weight, &sums[threadid(), 0], task // s.CG, task % s.CG)


cdef void backward_weight_plane(ConvSizes* s, const floating[:, :, :, :, ::1] grad_y,
                                const floating[:, :, :, :, ::1] x, floating[:, :, :, :, ::1] grad_weight,
                                floating* sums, Py_ssize_t k, Py_ssize_t c) noexcept nogil:
    cdef Py_ssize_t n, kd, kh, kw, od, oh, id, ih, column, first, end
    cdef Py_ssize_t c0 = (k // s.FG) * s.CG
    cdef floating padding = <floating> s.padding_value
    cdef bint borders = s.mode != CONSTANT or padding != 0
    cdef const floating* x_row
    cdef const floating* g_row
    cdef const floating* channel
    for kd in range(s.KD):
        for kh in range(s.KH):
            for kw in range(s.KW):
                column = kw * s.DW - s.left
                first = first_inside(column, s.SW)
                end = max(first, end_inside(column, s.SW, s.IW, s.OW))
                fill(sums, s.OW, <floating> 0)
                for n in range(s.N):
                    g_row = &grad_y[n, k, 0, 0, 0]
                    channel = &x[n, c0 + c, 0, 0, 0]
                    for od in range(s.OD):
                        id = source_cell(od * s.SD + kd * s.DD - s.front, s.ID, s.mode)
                        for oh in range(s.OH):
                            ih = source_cell(oh * s.SH + kh * s.DH - s.top, s.IH, s.mode)
                            if id >= 0 and ih >= 0:
                                x_row = channel + (id * s.IH + ih) * s.IW
                                add_products(sums + first, g_row + first, x_row + first * s.SW + column, s.SW,
                                             end - first)
                                if borders:
                                    add_border_products(s, sums, g_row, x_row, column, padding, 0, min(first, s.OW))
                                    add_border_products(s, sums, g_row, x_row, column, padding, end, s.OW)
                            elif borders:
                                add_row(sums, g_row, 1, padding, s.OW)
                            g_row += s.OW
                grad_weight[k, c, kd, kh, kw] = total(sums, s.OW)


cdef inline void add_border_products(ConvSizes* s, floating* sums, const floating* grad_y, const floating* x,
                                     Py_ssize_t column, floating padding, Py_ssize_t first,
                                     Py_ssize_t end) noexcept nogil:
    """sums[j] += grad_y[j] · x[the cell that column + j·SW repeats], for outputs j that read outside the image."""
    cdef Py_ssize_t j, cell
    for j in range(first, end):
        cell = source_cell(column + j * s.SW, s.IW, s.mode)
        sums[j] += grad_y[j] * (padding if cell < 0 else x[cell])


# backward_bias: a filter's bias reaches every pixel of its planes

def backward_bias(geometry,
                  const floating[:, :, :, :, ::1] grad_y not None,      # IN  (N, OC, OD, OH, OW)
                  floating[::1] grad_bias not None,                     # OUT (OC,)
                  int n_threads):
    """Write grad_bias; one task per filter."""
    cdef ConvSizes s = conv_sizes(geometry)
    cdef Py_ssize_t k
    for k in prange(s.OC, nogil=True, schedule="static", num_threads=n_threads):
        grad_bias[k] = sum_of_planes(grad_y, k)


cdef floating sum_of_planes(const floating[:, :, :, :, ::1] grad_y, Py_ssize_t k) noexcept nogil:
    """Sixteen running sums, so that the loop is not one long chain of additions waiting for each other."""
    cdef floating[16] sums
    cdef Py_ssize_t n, p, lane, pixels = grad_y.shape[2] * grad_y.shape[3] * grad_y.shape[4]
    cdef const floating* plane
    fill(sums, 16, <floating> 0)
    for n in range(grad_y.shape[0]):
        plane = &grad_y[n, k, 0, 0, 0]
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


cdef void add_apart(floating* y, Py_ssize_t y_step, const floating* x, Py_ssize_t count) noexcept nogil:
    """y[j·y_step] += x[j]"""
    cdef Py_ssize_t j
    if y_step == 1:
        for j in range(count):
            y[j] += x[j]
    else:
        for j in range(count):
            y[j * y_step] += x[j]


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
