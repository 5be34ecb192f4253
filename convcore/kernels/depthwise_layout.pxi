# How conv_depthwise lays out the rows that a band of outputs reads, and which of them belong to a place of the stride.

# An axis of the input gradient. Cell i of the image has place i % S in a step of the stride; tap k serves the cells of
# one place, and at cell place + j·S reads output j + shift.

cdef struct Axis:
    Py_ssize_t size, before                 # cells; padding before the first
    Py_ssize_t K, S, D


cdef inline Axis depth_axis(ConvSizes* s) noexcept nogil:
    return Axis(s.ID, s.front, s.KD, s.SD, s.DD)


cdef inline Axis height_axis(ConvSizes* s) noexcept nogil:
    return Axis(s.IH, s.top, s.KH, s.SH, s.DH)


cdef inline Axis width_axis(ConvSizes* s) noexcept nogil:
    return Axis(s.IW, s.left, s.KW, s.SW, s.DW)


cdef inline Py_ssize_t place_of(Axis* axis, Py_ssize_t k) noexcept nogil:
    cdef Py_ssize_t place = (k * axis.D - axis.before) % axis.S
    return place + axis.S if place < 0 else place


cdef inline Py_ssize_t shift_of(Axis* axis, Py_ssize_t k) noexcept nogil:
    return (place_of(axis, k) + axis.before - k * axis.D) // axis.S


cdef Span shifts_of(Axis* axis) noexcept:
    """The least shift of a tap, and the largest."""
    cdef Span span
    cdef Py_ssize_t k
    span.first = span.end = shift_of(axis, 0)
    for k in range(1, axis.K):
        span.first = min(span.first, shift_of(axis, k))
        span.end = max(span.end, shift_of(axis, k))
    return span


cdef Py_ssize_t most_taps_of_a_place(Axis* axis) noexcept:
    cdef Py_ssize_t k, j, count, most = 0
    for k in range(axis.K):
        count = 0
        for j in range(axis.K):
            count += place_of(axis, j) == place_of(axis, k)
        most = max(most, count)
    return most


# Layout: the planes of cells that a band of outputs reads, rows with what stands around them. Cells `apart` columns
# from each other, which one tap reads, stand side by side: column c of a row is found at [c % apart, c // apart].

cdef struct Span:
    Py_ssize_t first, end


cdef struct Border:             # a number of a laid out row that repeats one of the plane's row, -1: none
    Py_ssize_t at, cell


cdef struct Layout:
    Py_ssize_t height, width                # of a plane
    Py_ssize_t row, column                  # of the plane, where the first output's cells begin; may lie outside
    Py_ssize_t row_step                     # from the cells of one output row to the next
    Py_ssize_t apart, phases, length        # c % apart that there are, and c // apart
    Py_ssize_t reach                        # rows that one output row reads
    Py_ssize_t planes, slots                # in a tile; those of one filter
    int mode
    float padding
    Span* spans                             # of each phase, the cells that lie inside the plane
    Border* borders                         # columns outside the plane, unless it is framed
    Py_ssize_t border_count
    Py_ssize_t pairs                        # where apart is 2: columns of both phases that lie inside the plane,
    Py_ssize_t even, odd                    # and where in a row the left ones and the right ones of them begin
    Py_ssize_t band, bands                  # output rows in a band, at most, and how many bands there are
    Py_ssize_t rows, pitch, tile            # in a plane of a tile, numbers in a row, numbers in a tile
    Py_ssize_t channels, tiles              # laid out one after the other, lest loads wait for what was just stored
    Py_ssize_t out_pitch, numbers           # of rows that are computed apart; numbers in all
    bint framed                             # columns outside the plane hold a constant: they are put there once;
    bint still                              # so do the rows outside it, in the same places of all tiles


cdef Layout input_layout(ConvSizes* s) noexcept:
    """Of x, for the outputs' rows."""
    cdef Layout l
    l.height, l.width = s.IH, s.IW
    l.row, l.column = -s.top, -s.left
    l.row_step, l.reach = s.SH, (s.KH - 1) * s.DH + 1
    l.apart, l.phases = s.SW, min(s.SW, (s.KW - 1) * s.DW + 1)
    l.length = s.OW + (s.KW - 1) * s.DW // s.SW
    l.planes = l.slots = s.KD
    l.mode, l.padding = s.mode, <float> s.padding_value
    l.framed = s.mode == CONSTANT
    l.still = l.framed and s.KD == 1 and s.front == 0 and (s.OD - 1) * s.SD < s.ID
    cut(&l, s.OH, 1, s.OW)
    return l


cdef Layout gradient_layout(ConvSizes* s) noexcept:
    """Of grad_y, for rows of the input gradient that have the same place in a step of the stride."""
    cdef Axis depth = depth_axis(s), height = height_axis(s), width = width_axis(s)
    cdef Span rows = shifts_of(&height), columns = shifts_of(&width)
    cdef Layout l
    l.height, l.width = s.OH, s.OW
    l.row, l.column = rows.first, columns.first
    l.row_step, l.reach = 1, rows.end - rows.first + 1
    l.apart = l.phases = 1
    l.length = blocks(width.size, s.SW) + columns.end - columns.first
    l.slots = most_taps_of_a_place(&depth)
    l.planes = s.FG * l.slots
    l.mode, l.padding = CONSTANT, 0
    l.framed = True
    l.still = s.KD == 1
    cut(&l, blocks(height.size, s.SH), s.SW, blocks(width.size, s.SW))
    return l


cdef void cut(Layout* l, Py_ssize_t outputs, Py_ssize_t out_rows, Py_ssize_t out_width) noexcept nogil:
    """Cut the output rows into bands, each of which is made of `out_rows` rows that are computed apart."""
    cdef Py_ssize_t twice = max(<Py_ssize_t> 0, l.reach - l.row_step)       # rows that two bands lay out
    cdef Py_ssize_t row, fixed, most, rows
    l.pitch = round_up(l.phases * l.length, nf_LANES)
    l.out_pitch = round_up(out_width, nf_LANES)
    row = l.planes * l.row_step * l.pitch + out_rows * l.out_pitch          # numbers per output row
    fixed = l.planes * (l.reach - l.row_step) * l.pitch
    most = (TALL_NUMBERS - fixed) // row
    rows = max((BAND_NUMBERS - fixed) // row, min(most, 4 * twice // l.row_step))
    rows = max(<Py_ssize_t> 1, min(rows, outputs))
    l.band = min(outputs, round_up(blocks(outputs, blocks(outputs, rows)), MOST_ROWS))
    l.bands = blocks(outputs, l.band)
    l.still = l.still and l.bands == 1
    l.rows = (l.band - 1) * l.row_step + l.reach
    l.tile = l.planes * l.rows * l.pitch + nf_LANES                         # vectors may begin at the last number
    l.channels = max(<Py_ssize_t> 1, BAND_NUMBERS // l.tile) if l.still else 1
    l.tiles = l.channels * l.tile
    # Behind it, room for what `expect` asks for, lest a thread ask for the memory of the next.
    l.numbers = l.tiles + l.band * out_rows * l.out_pitch + nf_LANES + AHEAD


cdef Py_ssize_t[:, ::1] find_spans(Layout* l):
    """Return the memory of what is found: it is to be kept as long as the layout."""
    cdef Py_ssize_t[:, ::1] table = aligned(1, 2 * l.phases * (1 if l.framed else 1 + l.length), INDEX)
    cdef Span* spans = <Span*> &table[0, 0]
    cdef Py_ssize_t phase, j
    l.spans, l.borders, l.border_count = spans, <Border*> (spans + l.phases), 0
    for phase in range(l.phases):
        spans[phase].first = min(first_inside(l.column + phase, l.apart), l.length)
        spans[phase].end = max(spans[phase].first, end_inside(l.column + phase, l.apart, l.width, l.length))
        for j in range(0 if l.framed else l.length):
            if not spans[phase].first <= j < spans[phase].end:
                l.borders[l.border_count] = Border(phase * l.length + j,
                                                   source_cell(l.column + phase + j * l.apart, l.width, l.mode))
                l.border_count += 1
    l.pairs = 0
    if l.apart == 2 and l.phases == 2:
        l.pairs = min(spans[0].end - spans[0].first, spans[1].end - spans[1].first)
        l.even, l.odd = spans[0].first, l.length + spans[1].first
        if spans[1].first < spans[0].first:
            l.even, l.odd = l.odd, l.even
    return table


cdef void put_frame(Layout* l, float* tiles) noexcept nogil:
    if l.framed:
        fill(tiles, l.tiles, l.padding)


cdef void lay_out_input(ConvSizes* s, Layout* l, const float* x, Py_ssize_t od, Py_ssize_t oh, Py_ssize_t count,
                        Py_ssize_t channels, float* tiles) noexcept nogil:
    """Lay out what output rows oh to oh + count of plane od read in some channels."""
    cdef Py_ssize_t kd, id
    for kd in range(s.KD):
        id = source_cell(od * s.SD + kd * s.DD - s.front, s.ID, s.mode)
        lay_out(l, x + id * s.IH * s.IW if id >= 0 else NULL, s.ID * s.IH * s.IW, l.row + oh * s.SH,
                (count - 1) * s.SH + l.reach, channels, tiles + kd * l.rows * l.pitch)


cdef void lay_out_gradients(ConvSizes* s, Layout* l, Axis* depth, const float* grad_y, Py_ssize_t d, Py_ssize_t row,
                            Py_ssize_t channels, float* tiles) noexcept nogil:
    """Lay out what a band of plane d of the input gradient reads in some channels, from step `row` of the stride."""
    cdef Py_ssize_t f, kd, od, slot = 0, pixels = s.OD * s.OH * s.OW
    for kd in range(s.KD):
        if place_of(depth, kd) == d % s.SD:
            od = d // s.SD + shift_of(depth, kd)
            for f in range(s.FG):
                lay_out(l, grad_y + f * pixels + od * s.OH * s.OW if 0 <= od < s.OD else NULL, s.FG * pixels,
                        l.row + row, l.rows, channels, tiles + (f * l.slots + slot) * l.rows * l.pitch)
            slot += 1


cdef void lay_out(Layout* l, const float* plane, Py_ssize_t plane_step, Py_ssize_t row, Py_ssize_t count,
                  Py_ssize_t channels, float* tile) noexcept nogil:
    """Lay out `count` rows of a plane of each channel; NULL: a plane of padding."""
    cdef Py_ssize_t i, c
    cdef Py_ssize_t first = min(max(<Py_ssize_t> 0, -row), count), end = max(first, min(count, l.height - row))
    for c in range(channels):
        if plane == NULL:
            fill(tile, count * l.pitch, l.padding)
        else:
            lay_out_inside(l, plane + (row + first) * l.width, tile + first * l.pitch, end - first)
            if not l.framed:
                lay_out_around(l, plane + (row + first) * l.width, tile + first * l.pitch, end - first)
            if not l.still:
                lay_out_outside(l, plane, row, 0, first, tile)
                lay_out_outside(l, plane, row, end, count, tile)
            plane += plane_step
        tile += l.tile


cdef inline void lay_out_outside(Layout* l, const float* plane, Py_ssize_t row, Py_ssize_t first, Py_ssize_t end,
                                 float* tile) noexcept nogil:
    """Lay out rows `first` to `end` of those from `row` on, which lie outside the plane."""
    cdef Py_ssize_t i, source
    for i in range(first, end):
        source = source_cell(row + i, l.height, l.mode)
        if source < 0:
            fill(tile + i * l.pitch, l.pitch, l.padding)
        else:
            lay_out_inside(l, plane + source * l.width, tile + i * l.pitch, 1)
            lay_out_around(l, plane + source * l.width, tile + i * l.pitch, 1)


cdef inline void lay_out_inside(Layout* l, const float* source, float* tile, Py_ssize_t rows) noexcept nogil:
    """Lay out the columns that lie inside the plane, of rows that do."""
    cdef Py_ssize_t r, phase, j
    if l.apart == 1:
        copy_in_rows(source + l.column + l.spans[0].first, l.width, tile + l.spans[0].first, l.pitch, rows,
                     l.spans[0].end - l.spans[0].first)
        return
    if l.pairs > 0:
        unzip_rows(source + min(l.column + 2 * l.spans[0].first, l.column + 1 + 2 * l.spans[1].first), l.width,
                   tile + l.even, tile + l.odd, l.pitch, rows, l.pairs)
    for phase in range(l.phases):
        for j in range(l.spans[phase].first + l.pairs, l.spans[phase].end):
            for r in range(rows):
                tile[r * l.pitch + phase * l.length + j] = source[r * l.width + l.column + phase + j * l.apart]


cdef void lay_out_around(Layout* l, const float* source, float* tile, Py_ssize_t rows) noexcept nogil:
    """Lay out the columns that lie outside the plane, of rows that do not."""
    cdef Py_ssize_t b, r
    for b in range(l.border_count):
        if l.borders[b].cell < 0:
            for r in range(rows):
                tile[r * l.pitch + l.borders[b].at] = l.padding
        else:
            for r in range(rows):
                tile[r * l.pitch + l.borders[b].at] = source[r * l.width + l.borders[b].cell]


cdef void fill(float* target, Py_ssize_t count, float value) noexcept nogil:
    cdef Py_ssize_t j
    for j in range(count):
        target[j] = value
