# The input gradient by overlap-add: the transpose of the convolution, step by step, with the filters as they are.
#
# A tile of m × m cells of grad_y sends something to (m + r - 1)² cells of the padded image's gradient, which
# overlap those of its neighbours. All steps are linear: what columns beside the image receive goes to those that they
# repeat before the second transform, what rows receive after it.
#
# A block holds all tiles of an image, or of images that are larger some rows of tiles. Then the last rows that a block
# sends something to are carried on to the next one. The others that are not its own are held back until the image is
# finished: rows around it that repeat one of another block, and of images in several parts what a part sends to the next.

cdef bint should_add(Problem* p) noexcept nogil:
    """Whether whole images fit a block and have fewer tiles so, or a pattern leaves no other way; p is overlap-save."""
    cdef Py_ssize_t m = best_side(p.r, p.IH, p.IW), other = best_side(p.r, p.OH, p.OW)
    cdef Py_ssize_t width = blocks(p.IW, m), tiles = blocks(p.IH, m) * width, products = multiplications(m, p.r, p.IH, p.IW)
    if p.frame_mode != CONSTANT:
        return (m + p.r - 1) * (m + p.r - 1) * width * odd_vectors(p.C) <= TILE_NUMBERS
    if width > STRIP or tiles > IMAGE_TILES or products * odd_vectors(p.C) > TILE_NUMBERS:
        return False
    return products < multiplications(other, p.r, p.OH, p.OW)


cdef float[:, ::1] rows_held_back(Problem* p, int n_threads):
    """Room for them, per vector of filters: [which are there, whether something is not finite][row][column][lane].

    A row is carried on, sent by a part to the next, or around the image. By parts of images where these are several;
    else by threads, or where they share the tiles for all of them.
    """
    cdef Py_ssize_t owners = p.N * p.parts * p.G if p.parts > 1 else 1 if p.tiles_first else n_threads, i, j
    cdef float[:, ::1] held = own_pages(owners if p.parts > 0 else 0, p.held_numbers * blocks(p.K, vf_LANES),
                                        np.dtype(DTYPE))
    for i in range(held.shape[0]):
        for j in range(blocks(p.K, vf_LANES)):
            memset(&held[i, j * p.held_numbers], 0, (p.held_rows + 1) * sizeof(float))
    return held


cdef void add_pixels(Problem* p, Py_ssize_t band, Py_ssize_t end, Py_ssize_t group, Py_ssize_t panel, float* rest,
                     float* held) noexcept nogil:
    """The images' pixels = the sum of B sums Bᵀ over the tiles, for the images of a block and a panel of filters."""
    cdef Py_ssize_t step = p.points * PANEL * vf_LANES, row = p.OW * vf_LANES
    cdef Py_ssize_t tile = 0, index, vector, n, first, rows, i
    cdef float* pixels = rest + p.sum_numbers
    cdef float* lines = pixels + p.pixel_numbers
    cdef float* carried = NULL
    cdef bint begins, ends
    cdef vf total
    while band < end:
        n, first = band // p.TH, band % p.TH
        rows = min(p.TH - first, end - band)
        begins, ends = is_edge(p, first), is_edge(p, first + rows)
        for vector in range(panel_vectors(p, panel)):
            index = panel * PANEL + vector
            if p.parts > 0:
                carried = held_cells(p, held + index * p.held_numbers, 1 - p.r)
            if begins:
                memset(pixels, 0, (p.r - 1) * row * sizeof(float))
            else:
                memcpy(pixels, carried, (p.r - 1) * row * sizeof(float))
            total = splat_vf(0)
            for i in range(rows):
                add_columns(p, rest + (tile + i * p.TW) * step + vector * vf_LANES, lines)
                total = total + add_rows(p, lines + p.frame_left * vf_LANES, pixels + i * p.m * row)
            if not ends:
                memcpy(carried, pixels + rows * p.m * row, (p.r - 1) * row * sizeof(float))
            write_rows(p, n, group, index, first * p.m, rows * p.m, ends, sum_vf(total - total) == 0, pixels,
                       held + index * p.held_numbers, lines)
            if p.parts == 1 and first + rows == p.TH:
                hand_on_rows(p, n, group, index, held, 0, lines)
        tile += rows * p.TW
        band += rows


cdef inline bint is_edge(Problem* p, Py_ssize_t row) noexcept nogil:
    """Whether a part of an image begins, or the last one ends, at a row of tiles."""
    cdef Py_ssize_t i
    for i in range(max(<Py_ssize_t> 1, p.parts) + 1):
        if row == i * p.TH // max(<Py_ssize_t> 1, p.parts):
            return True
    return False


cdef void write_rows(Problem* p, Py_ssize_t n, Py_ssize_t group, Py_ssize_t index, Py_ssize_t first, Py_ssize_t rows,
                     bint ends, bint finite, float* pixels, float* held, float* planes) noexcept nogil:
    """Write rows from `first` on of the padded image's gradient, all but those that are carried on or held back."""
    cdef Py_ssize_t f = first_of(index, p.K), filters = min(p.K, vf_LANES), row = p.OW * vf_LANES, plane = p.OH * p.OW
    cdef Py_ssize_t known = rows + (p.r - 1 if ends else 0), own = known if first + rows == p.TH * p.m else rows
    cdef Py_ssize_t begin = max(<Py_ssize_t> 0, p.frame_top - first), i, cell, slot
    cdef Py_ssize_t end = max(begin, min(own, p.frame_top + p.OH - first))
    cdef float* target = p.target + ((n * p.G + group) * p.K + f) * plane
    if not finite:
        if p.parts == 0:
            add_by_definition(p, n, group, f, 0, filters, target)
        else:
            held[p.held_rows] = 1
        return
    for i in range(min(known, p.IH + p.r - 1 - first)):
        cell = source_cell(first + i - p.frame_top, p.OH, p.frame_mode)
        if begin <= i < end or cell < 0:
            continue
        if begin <= cell + p.frame_top - first < end:
            add_numbers(pixels + i * row, row, pixels + (cell + p.frame_top - first) * row)
        else:
            slot = i - rows if i >= own else held_around(p, first + i)
            held[slot] = 1
            memcpy(held_cells(p, held, slot), pixels + i * row, row * sizeof(float))
    pixels += begin * row
    target += (first + begin - p.frame_top) * p.OW
    if p.parts == 0 or f == index * vf_LANES:
        planes_of(pixels, filters, (end - begin) * p.OW, target, plane)
        return
    for i in range(end - begin):        # filters shared with the vector before are its own: it adds what was held back
        planes_of(pixels + i * row, filters, p.OW, planes, p.OW)
        for cell in range(index * vf_LANES - f, filters):
            memcpy(target + cell * plane + i * p.OW, planes + cell * p.OW, p.OW * sizeof(float))


cdef inline Py_ssize_t held_around(Problem* p, Py_ssize_t padded) noexcept nogil:
    """Where a row around the image is held back: behind those that a part sends to the next."""
    return p.r - 1 + (padded if padded < p.frame_top else padded - p.OH)


cdef inline float* held_cells(Problem* p, float* held, Py_ssize_t slot) noexcept nogil:
    return held + round_up(p.held_rows + 1, vf_LANES) + (p.r - 1 + slot) * p.OW * vf_LANES


cdef void hand_on_rows(Problem* p, Py_ssize_t n, Py_ssize_t group, Py_ssize_t index, float* held, Py_ssize_t step,
                       float* planes) noexcept nogil:
    """Add what was held back to a finished image, for a vector of filters; hold nothing back any more.

    step: from the numbers of one owner to those of the next, by images, parts and groups; 0: there is one.
    """
    cdef Py_ssize_t f = first_of(index, p.K), filters = min(p.K, vf_LANES), plane = p.OH * p.OW, part, slot, lane, cell
    cdef Py_ssize_t shared = index * vf_LANES - f           # with the vector before
    cdef float* target = p.target + ((n * p.G + group) * p.K + f) * plane
    cdef float* own
    cdef bint finite = True
    for part in range(p.parts):
        own = held + ((n * p.parts + part) * p.G + group) * step + index * p.held_numbers
        finite = finite and own[p.held_rows] == 0
    if not finite:
        add_by_definition(p, n, group, f, shared, filters, target)
    for part in range(p.parts):
        own = held + ((n * p.parts + part) * p.G + group) * step + index * p.held_numbers
        for slot in range(p.held_rows if finite else 0):
            if own[slot] == 0:
                continue
            cell = slot - (p.r - 1)
            if cell < 0:
                cell += (part + 1) * p.TH // p.parts * p.m + p.r - 1
            elif cell >= p.frame_top:
                cell += p.OH
            cell = source_cell(cell - p.frame_top, p.OH, p.frame_mode)
            planes_of(held_cells(p, own, slot), filters, p.OW, planes, p.OW)
            for lane in range(shared, filters):
                add_numbers(planes + lane * p.OW, p.OW, target + lane * plane + cell * p.OW)
        memset(own, 0, (p.held_rows + 1) * sizeof(float))


cdef inline void add_numbers(const float* source, Py_ssize_t count, float* target) noexcept nogil:
    cdef Py_ssize_t i
    for i in range(count):
        target[i] += source[i]


cdef inline void add_columns(Problem* p, const float* sums, float* lines) noexcept nogil:
    """lines[row of points][column][lane] = B sums along a row of tiles; columns beside the image go into it."""
    cdef Py_ssize_t i, j, q, cell, pitch = (p.TW * p.m + p.r - 1) * vf_LANES
    for i in range(p.side):
        memset(lines, 0, (p.r - 1) * vf_LANES * sizeof(float))
        for q in range(p.TW):
            collect_line(p.m, p.r, sums + (q * p.points + i * p.side) * PANEL * vf_LANES, PANEL * vf_LANES,
                         lines + q * p.m * vf_LANES, vf_LANES)
        for j in range(p.IW + p.r - 1):
            if not p.frame_left <= j < p.frame_left + p.OW:
                cell = source_cell(j - p.frame_left, p.OW, p.frame_mode)
                if cell >= 0:
                    add_numbers(lines + j * vf_LANES, vf_LANES, lines + (p.frame_left + cell) * vf_LANES)
        lines += pitch


cdef inline vf add_rows(Problem* p, const float* lines, float* pixels) noexcept nogil:
    """Add B lines to the image's pixels from a row of tiles on; return a sum that is finite if all of them are."""
    cdef Py_ssize_t j, pitch = (p.TW * p.m + p.r - 1) * vf_LANES
    cdef vf total = splat_vf(0)
    for j in range(p.OW):
        total = total + collect_line(p.m, p.r, lines + j * vf_LANES, pitch, pixels + j * vf_LANES, p.OW * vf_LANES)
    return total


cdef void add_by_definition(Problem* p, Py_ssize_t n, Py_ssize_t group, Py_ssize_t f, Py_ssize_t first,
                            Py_ssize_t filters, float* target) noexcept nogil:
    """An image in which something is not finite, the plain way: a transform would spread it over whole tiles.

    target: the image's planes of the filters from f on, of which those from `first` on are written.
    """
    cdef Py_ssize_t lane, i, j, c, u, v, h, w
    cdef const float* source = p.source + (n * p.G + group) * p.C * p.IH * p.IW
    cdef const float* weight
    cdef float total
    for lane in range(first, filters):
        weight = p.weight + group * p.taps * p.C * p.K + (f + lane) * p.filter_step
        memset(target + lane * p.OH * p.OW, 0, p.OH * p.OW * sizeof(float))
        for i in range(p.IH + p.r - 1):
            h = source_cell(i - p.frame_top, p.OH, p.frame_mode)
            for j in range(p.IW + p.r - 1):
                w = source_cell(j - p.frame_left, p.OW, p.frame_mode)
                if h < 0 or w < 0:
                    continue
                total = 0
                for c in range(p.C):
                    for u in range(max(i - p.IH + 1, 0), min(i + 1, p.r)):
                        for v in range(max(j - p.IW + 1, 0), min(j + 1, p.r)):
                            total += (weight[c * p.channel_step + p.r * u + v]
                                      * source[(c * p.IH + i - u) * p.IW + j - v])
                target[(lane * p.OH + h) * p.OW + w] += total
