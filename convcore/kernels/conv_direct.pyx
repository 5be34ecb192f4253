"""Direct convolution: one row at a time, one filter tap after the other.

The inner loops add a scaled row to another row, so the compiler turns them into vector instructions. They hold no
test and no stride: each input row is laid out once with what stands around it, for all its taps and a few filters.
"""

from cython.parallel cimport prange, threadid

from convcore.kernels.buffers import aligned
from convcore.kernels.common cimport CONSTANT, ConvSizes, conv_sizes, end_inside, first_inside, floating, source_cell

include "vectors.pxi"
include "plane_sums.pxi"

VOLUMETRIC = True

cdef enum:
    FILTERS = 4             # that share a row once it is laid out
    TASK_PLANES = 32        # that a task of the bias gradient sums up


# A padded row. With a stride, neighbouring outputs read cells that lie apart; those that one tap reads, a phase, are
# kept side by side: column p of the padded row stands at [p % SW, p // SW].

cdef struct Row:
    Py_ssize_t phases, length, pitch        # phases that are read, cells in each, distance between two


cdef inline Row padded_row(ConvSizes* s) noexcept nogil:
    cdef Row row
    row.phases = min(s.SW, (s.KW - 1) * s.DW + 1)
    row.length = s.OW + (s.KW - 1) * s.DW // s.SW
    row.pitch = row.length
    return row


cdef const floating* lay_out(ConvSizes* s, Row* shape, const floating* plane, Py_ssize_t id, Py_ssize_t ih,
                             floating* row) noexcept nogil:
    """Return row (id, ih) of a channel, padded: `row`, or the channel itself where nothing is to do; NULL: zeros."""
    cdef Py_ssize_t phase, j, column, first, end, cell
    cdef floating padding = <floating> s.padding_value
    cdef const floating* source = plane + (id * s.IH + ih) * s.IW
    if id < 0 or ih < 0:
        if padding == 0:
            return NULL
        fill(row, shape.phases * shape.pitch, padding)
        return row
    if s.SW == 1 and s.left == 0 and shape.length <= s.IW:
        return source
    for phase in range(shape.phases):
        column = phase - s.left                                     # of the input, where the phase begins
        first = min(first_inside(column, s.SW), shape.length)
        end = max(first, end_inside(column, s.SW, s.IW, shape.length))
        for j in range(first):
            cell = source_cell(column + j * s.SW, s.IW, s.mode)
            row[phase * shape.pitch + j] = padding if cell < 0 else source[cell]
        copy_apart(row + phase * shape.pitch + first, source + column + first * s.SW, s.SW, end - first)
        for j in range(end, shape.length):
            cell = source_cell(column + j * s.SW, s.IW, s.mode)
            row[phase * shape.pitch + j] = padding if cell < 0 else source[cell]
    return row


# forward: for each tap, y row += weight · x row

def forward(geometry,
            const floating[:, :, :, :, ::1] x not None,         # IN  (N, IC, ID, IH, IW)
            const floating[:, :, :, :, ::1] weight not None,    # IN  (OC, IC/G, KD, KH, KW)
            const floating[::1] bias,                           # IN  (OC,) or None
            floating[:, :, :, :, ::1] y not None,               # OUT (N, OC, OD, OH, OW)
            int n_threads):
    """Write y; one task per image and few filters of a group."""
    cdef ConvSizes s = conv_sizes(geometry)
    cdef Row shape = padded_row(&s)
    cdef Py_ssize_t task, blocks = (s.FG + FILTERS - 1) // FILTERS
    cdef floating[:, ::1] rows = aligned(n_threads * shape.phases, shape.length, y.base.dtype)
    cdef const floating* b = &bias[0] if bias is not None else NULL
    shape.pitch = rows.shape[1]
    for task in prange(s.N * s.G * blocks, nogil=True, schedule="static", num_threads=n_threads):
        forward_filters(&s, &shape, x, weight, b, y, &rows[threadid() * shape.phases, 0], task // (s.G * blocks),
                        task // blocks % s.G, task % blocks * FILTERS)


cdef void forward_filters(ConvSizes* s, Row* shape, const floating[:, :, :, :, ::1] x,
                          const floating[:, :, :, :, ::1] weight, const floating* bias,
                          floating[:, :, :, :, ::1] y, floating* row, Py_ssize_t n, Py_ssize_t g,
                          Py_ssize_t f0) noexcept nogil:
    cdef Py_ssize_t filters = min(<Py_ssize_t> FILTERS, s.FG - f0), k0 = g * s.FG + f0
    cdef Py_ssize_t pixels = s.OD * s.OH * s.OW, taps = s.CG * s.KD * s.KH * s.KW
    cdef Py_ssize_t c, f, kd, kh, kw, od, oh, phase, place
    cdef const floating* w
    cdef const floating* source
    cdef floating* target
    for f in range(filters):
        fill(&y[n, k0 + f, 0, 0, 0], pixels, bias[k0 + f] if bias != NULL else 0)
    for c in range(s.CG):
        for kd in range(s.KD):
            for kh in range(s.KH):
                w = &weight[k0, c, kd, kh, 0]
                target = &y[n, k0, 0, 0, 0]
                for od in range(s.OD):
                    for oh in range(s.OH):
                        source = lay_out(s, shape, &x[n, g * s.CG + c, 0, 0, 0],
                                         source_cell(od * s.SD + kd * s.DD - s.front, s.ID, s.mode),
                                         source_cell(oh * s.SH + kh * s.DH - s.top, s.IH, s.mode), row)
                        if source != NULL:
                            phase = place = 0
                            for kw in range(s.KW):
                                for f in range(filters):
                                    add_row(target + f * pixels, source + phase * shape.pitch + place,
                                            w[f * taps + kw], s.OW)
                                next_tap(s, &phase, &place)
                        target += s.OW


cdef inline void next_tap(ConvSizes* s, Py_ssize_t* phase, Py_ssize_t* place) noexcept nogil:
    """Go on by DW columns of a padded row."""
    phase[0] += s.DW
    while phase[0] >= s.SW:
        phase[0] -= s.SW
        place[0] += 1


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
                    add_row(sums + kw * pitch, g_row, w[kw], s.OW)
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
    """Write grad_weight; one task per channel and few filters of its group."""
    cdef ConvSizes s = conv_sizes(geometry)
    cdef Row shape = padded_row(&s)
    cdef Py_ssize_t task, blocks = (s.FG + FILTERS - 1) // FILTERS
    cdef floating[:, ::1] rows = aligned(n_threads * shape.phases, shape.length, grad_weight.base.dtype)
    cdef floating[:, ::1] sums = aligned(n_threads * FILTERS * s.KW, s.OW, grad_weight.base.dtype)
    shape.pitch = rows.shape[1]
    for task in prange(s.IC * blocks, nogil=True, schedule="static", num_threads=n_threads):
        backward_weight_filters(&s, &shape, grad_y, x, grad_weight, &rows[threadid() * shape.phases, 0],
                                &sums[threadid() * FILTERS * s.KW, 0], sums.shape[1], task // blocks,
                                task % blocks * FILTERS)


cdef void backward_weight_filters(ConvSizes* s, Row* shape, const floating[:, :, :, :, ::1] grad_y,
                                  const floating[:, :, :, :, ::1] x, floating[:, :, :, :, ::1] grad_weight,
                                  floating* row, floating* sums, Py_ssize_t sums_pitch, Py_ssize_t channel,
                                  Py_ssize_t f0) noexcept nogil:
    cdef Py_ssize_t filters = min(<Py_ssize_t> FILTERS, s.FG - f0), k0 = channel // s.CG * s.FG + f0
    cdef Py_ssize_t pixels = s.OD * s.OH * s.OW
    cdef Py_ssize_t n, f, kd, kh, kw, od, oh, phase, place
    cdef const floating* gradients
    cdef const floating* source
    for kd in range(s.KD):
        for kh in range(s.KH):
            fill(sums, FILTERS * s.KW * sums_pitch, <floating> 0)
            for n in range(s.N):
                gradients = &grad_y[n, k0, 0, 0, 0]
                for od in range(s.OD):
                    for oh in range(s.OH):
                        source = lay_out(s, shape, &x[n, channel, 0, 0, 0],
                                         source_cell(od * s.SD + kd * s.DD - s.front, s.ID, s.mode),
                                         source_cell(oh * s.SH + kh * s.DH - s.top, s.IH, s.mode), row)
                        if source != NULL:
                            phase = place = 0
                            for kw in range(s.KW):
                                for f in range(filters):
                                    add_products(sums + (f * s.KW + kw) * sums_pitch, gradients + f * pixels,
                                                 source + phase * shape.pitch + place, s.OW)
                                next_tap(s, &phase, &place)
                        gradients += s.OW
            for f in range(filters):
                for kw in range(s.KW):
                    grad_weight[k0 + f, channel % s.CG, kd, kh, kw] = total(sums + (f * s.KW + kw) * sums_pitch, s.OW)


# backward_bias: a filter's bias reaches every pixel of its planes

def backward_bias(geometry,
                  const floating[:, :, :, :, ::1] grad_y not None,      # IN  (N, OC, OD, OH, OW)
                  floating[::1] grad_bias not None,                     # OUT (OC,)
                  int n_threads):
    """Write grad_bias; one task per few planes, those of neighbouring images by the same thread."""
    cdef Py_ssize_t N = grad_y.shape[0], K = grad_y.shape[1], task
    cdef Py_ssize_t cells = grad_y.shape[2] * grad_y.shape[3] * grad_y.shape[4]
    cdef floating[:, ::1] sums = aligned(1, N * K, grad_bias.base.dtype)
    for task in prange((N * K + TASK_PLANES - 1) // TASK_PLANES, nogil=True, schedule="static", num_threads=n_threads):
        sum_planes(&grad_y[0, 0, 0, 0, 0] + task * TASK_PLANES * cells, cells,
                   min(<Py_ssize_t> TASK_PLANES, N * K - task * TASK_PLANES), &sums[0, 0] + task * TASK_PLANES)
    add_images(&sums[0, 0], N, K, &grad_bias[0])


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


cdef void add_row(floating* y, const floating* x, floating scale, Py_ssize_t count) noexcept nogil:
    """y[j] += scale · x[j]"""
    cdef Py_ssize_t j
    for j in range(count):
        y[j] += scale * x[j]


cdef void add_products(floating* sums, const floating* a, const floating* b, Py_ssize_t count) noexcept nogil:
    """sums[j] += a[j] · b[j]"""
    cdef Py_ssize_t j
    for j in range(count):
        sums[j] += a[j] * b[j]


cdef void copy_apart(floating* y, const floating* x, Py_ssize_t x_step, Py_ssize_t count) noexcept nogil:
    """y[j] = x[j·x_step]; the case without a step is written out so that it becomes vector code."""
    cdef Py_ssize_t j
    if x_step == 1:
        for j in range(count):
            y[j] = x[j]
    else:
        for j in range(count):
            y[j] = x[j * x_step]


cdef void add_apart(floating* y, Py_ssize_t y_step, const floating* x, Py_ssize_t count) noexcept nogil:
    """y[j·y_step] += x[j]"""
    cdef Py_ssize_t j
    if y_step == 1:
        for j in range(count):
            y[j] += x[j]
    else:
        for j in range(count):
            y[j * y_step] += x[j]
