# The pixels of a batch in one row, image after image, and where they stand in arrays that hold every cell or every
# few cells of an image; included by conv_pointwise.

cdef enum:
    LINES = 32                              # lines whose places are remembered


cdef struct Grid:
    Py_ssize_t N, P                         # images, pixels of one
    Py_ssize_t[3] size, step, cells         # pixels per axis, the stride between them, cells per axis
    Py_ssize_t source_cells, target_cells   # of a channel
    const float* source_end                 # behind the last number that may be read
    bint dense                              # each cell is a pixel
    bint gathers, spreads                   # the source, or the target, has more cells than pixels


cdef Grid grid_of(ConvSizes* s) noexcept:
    cdef Grid grid
    grid.N, grid.P = s.N, s.OD * s.OH * s.OW
    grid.size = [s.OD, s.OH, s.OW]
    grid.step = [s.SD, s.SH, s.SW]
    grid.cells = [s.ID, s.IH, s.IW]
    grid.dense = s.ID * s.IH * s.IW == grid.P
    return grid


cdef void source_is_x(Grid* grid) noexcept:
    grid.source_cells, grid.target_cells = grid.cells[0] * grid.cells[1] * grid.cells[2], grid.P
    grid.gathers, grid.spreads = not grid.dense, False


cdef void source_is_y(Grid* grid) noexcept:
    grid.source_cells, grid.target_cells = grid.P, grid.cells[0] * grid.cells[1] * grid.cells[2]
    grid.gathers, grid.spreads = False, not grid.dense


cdef inline Py_ssize_t cell_of(Grid* grid, Py_ssize_t p) noexcept nogil:
    """Where a pixel of an image stands among its cells."""
    cdef Py_ssize_t line = p // grid.size[2], plane = line // grid.size[1]
    p -= line * grid.size[2]
    line -= plane * grid.size[1]
    return (plane * grid.step[0] * grid.cells[1] + line * grid.step[1]) * grid.cells[2] + p * grid.step[2]


cdef void lay(Grid* grid, const float* source, Py_ssize_t all_channels, Py_ssize_t channels, Py_ssize_t q,
              Py_ssize_t count, Py_ssize_t width, float* target, Py_ssize_t pitch) noexcept nogil:
    """Rows of `width` numbers, `pitch` apart, one per channel: `count` pixels of the batch from q on, then zeros.

    Whole vectors are copied, beyond the end of what is asked for: what comes next overwrites it. Behind the last row
    there must be memory for a vector.
    """
    cdef Py_ssize_t cells = grid.source_cells, image_step = all_channels * cells, n = q // grid.P, p = q - n * grid.P
    cdef Py_ssize_t c, done, run, i, first
    cdef const float* plane
    if grid.gathers:
        gather(grid, source, image_step, channels, q, count, target, pitch)
    for c in range(channels):
        plane = source + n * image_step + c * cells
        done, first = count if grid.gathers else 0, p
        while done < count:
            run = min(grid.P - first, count - done)
            if plane + first + round_up(run, vf_LANES) <= grid.source_end:
                for i in range(blocks(run, vf_LANES)):
                    store_vf(target + done + i * vf_LANES, load_vf(plane + first + i * vf_LANES))
            else:
                copy(plane + first, target + done, run)
            done += run
            first = 0
            plane += image_step
        for i in range(count, width):
            target[i] = 0
        target += pitch


cdef void gather(Grid* grid, const float* source, Py_ssize_t image_step, Py_ssize_t channels, Py_ssize_t q,
                 Py_ssize_t count, float* target, Py_ssize_t pitch) noexcept nogil:
    """The same where pixels are not neighbours: a few lines of them at a time, whose places are worked out once."""
    cdef Py_ssize_t[LINES] places, ends
    cdef Py_ssize_t step = grid.step[2], done = 0, start, lines, line, i, c, n, p
    cdef const float* cells
    while done < count:
        start, lines = done, 0
        while done < count and lines < LINES:
            n = (q + done) // grid.P
            p = q + done - n * grid.P
            places[lines] = n * image_step + cell_of(grid, p)
            done = min(count, done + grid.size[2] - p % grid.size[2])
            ends[lines] = done
            lines += 1
        for c in range(channels):
            i = start
            for line in range(lines):
                cells = source + c * grid.source_cells + places[line]
                take_line(cells, step, ends[line] - i, target + c * pitch + i)
                i = ends[line]


cdef inline void take_line(const float* cells, Py_ssize_t step, Py_ssize_t count, float* target) noexcept nogil:
    cdef Py_ssize_t i
    if step == 2:                                           # the compiler knows shuffles for this one
        for i in range(count):
            target[i] = cells[2 * i]
    else:
        for i in range(count):
            target[i] = cells[i * step]


cdef inline void copy(const float* source, float* target, Py_ssize_t count) noexcept nogil:
    """Copy a run that nothing beside may be touched of; the last vectors overlap."""
    cdef Py_ssize_t i
    if count < vf_LANES:
        for i in range(count):
            target[i] = source[i]
        return
    for i in range(blocks(count, vf_LANES)):
        store_vf(target + min(i * vf_LANES, count - vf_LANES), load_vf(source + min(i * vf_LANES, count - vf_LANES)))


cdef void put(Grid* grid, const float* results, Py_ssize_t pitch, Py_ssize_t all_channels, Range channels, Py_ssize_t q,
              Py_ssize_t count, float* target) noexcept nogil:
    """Bring rows of pixels, one per channel, to where they belong."""
    cdef Py_ssize_t n = q // grid.P, p = q - n * grid.P, done = 0, run, c
    while done < count:
        run = min(grid.P - p, count - done)
        for c in range(channels.size):
            if grid.spreads:
                spread(grid, results + c * pitch + done, p, run,
                       target + (n * all_channels + channels.start + c) * grid.target_cells)
            else:
                copy(results + c * pitch + done,
                     target + (n * all_channels + channels.start + c) * grid.target_cells + p, run)
        done += run
        n, p = n + 1, 0


cdef void spread(Grid* grid, const float* source, Py_ssize_t p, Py_ssize_t count, float* plane) noexcept nogil:
    """Bring pixels to their cells, and zeros to the cells behind each, up to the next pixel along every axis."""
    cdef Py_ssize_t step = grid.step[2], line, run, d, h, w, d_end, h_end, w_end, i, j
    cdef float* cells
    while count > 0:
        line = p // grid.size[2]
        w = p - line * grid.size[2]
        d = line // grid.size[1]
        h = line - d * grid.size[1]
        run = min(grid.size[2] - w, count)
        w_end = grid.cells[2] if w + run == grid.size[2] else (w + run) * step
        h_end = grid.cells[1] if h + 1 == grid.size[1] else (h + 1) * grid.step[1]
        d_end = grid.cells[0] if d + 1 == grid.size[0] else (d + 1) * grid.step[0]
        for i in range(d * grid.step[0], d_end):
            for j in range(h * grid.step[1], h_end):
                cells = plane + (i * grid.cells[1] + j) * grid.cells[2] + w * step
                if i > d * grid.step[0] or j > h * grid.step[1]:
                    memset(cells, 0, (w_end - w * step) * sizeof(float))
                else:
                    spread_line(source, run, step, cells, w_end - w * step)
        p, count = p + run, count - run
        source += run


cdef inline void spread_line(const float* source, Py_ssize_t count, Py_ssize_t step, float* cells,
                             Py_ssize_t width) noexcept nogil:
    cdef Py_ssize_t i
    if step == 2:
        for i in range(count - 1):
            cells[2 * i] = source[i]
            cells[2 * i + 1] = 0
        i = count - 1
    else:
        memset(cells, 0, (count - 1) * step * sizeof(float))
        for i in range(count - 1):
            cells[i * step] = source[i]
        i = count - 1
    cells[i * step] = source[i]
    for i in range(i * step + 1, width):
        cells[i] = 0


cdef void look_ahead(Ahead* a, Grid* grid, const float* source, Py_ssize_t all_channels, Py_ssize_t channels,
                     Py_ssize_t q, Py_ssize_t count) noexcept nogil:
    """Fetch pixels of all channels, as far as they belong to one image."""
    cdef Py_ssize_t n = q // grid.P, p = q - n * grid.P, first = p, size = min(count, grid.P - p)
    if grid.gathers:
        first = cell_of(grid, p)
        size = cell_of(grid, p + size - 1) + 1 - first
    a.next = source + n * all_channels * grid.source_cells + first
    a.step = grid.source_cells
    a.end = a.next + channels * a.step
    a.back = CACHE_LINE // <Py_ssize_t> sizeof(float) - channels * a.step
    a.stop = a.end + size


cdef inline void rest(Ahead* a, const float* here) noexcept nogil:
    """Fetch nothing but the line that one stands on."""
    a.next, a.end, a.stop = here, NULL, NULL
    a.step = a.back = 0


cdef inline void hurry(Ahead* a) noexcept nogil:
    """Fetch what is left at once."""
    while a.end < a.stop:
        prefetch_read(a.next)
        a.next += a.step
        if a.next == a.end:
            a.next += a.back
            a.end += CACHE_LINE // <Py_ssize_t> sizeof(float)
