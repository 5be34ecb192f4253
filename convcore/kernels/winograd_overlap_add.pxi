# The input gradient by overlap-add: the transpose of the convolution, step by step, with the filters as they are.
#
# A tile of m × m cells of grad_y sends something to (m + r - 1)² cells of the padded image's gradient, which
# overlap those of its neighbours; a block holds all tiles of an image. All steps are linear: what columns beside the
# image receive goes to those that they repeat before the second transform, what rows receive after it.

cdef bint should_add(Problem* p) noexcept nogil:
    """Whether an image's tiles fit a block and are fewer so, or a pattern leaves no other way; p is overlap-save."""
    cdef Py_ssize_t m = best_side(p.r, p.IH, p.IW), other = best_side(p.r, p.OH, p.OW)
    cdef Py_ssize_t tiles = blocks(p.IH, m) * blocks(p.IW, m), products = multiplications(m, p.r, p.IH, p.IW)
    if blocks(p.IW, m) > STRIP or tiles > IMAGE_TILES or products * odd_vectors(p.C) > TILE_NUMBERS:
        return False
    return p.frame_mode != CONSTANT or products < multiplications(other, p.r, p.OH, p.OW)


cdef void add_pixels(Problem* p, Py_ssize_t band, Py_ssize_t group, Py_ssize_t panel, float* rest) noexcept nogil:
    """The images' pixels = the sum of B sums Bᵀ over the tiles, for the images of a block and a panel of filters."""
    cdef Py_ssize_t end = min(band + p.R, p.bands), step = p.points * PANEL * vf_LANES, row = p.OW * vf_LANES
    cdef Py_ssize_t filters = min(p.K, vf_LANES), tile = 0, vector, f, i
    cdef float* pixels = rest + p.sum_numbers
    cdef float* lines = pixels + p.pixel_numbers
    cdef vf total
    while band < end:
        for vector in range(panel_vectors(p, panel)):
            f = first_of(panel * PANEL + vector, p.K)
            memset(pixels, 0, (p.r - 1) * row * sizeof(float))
            total = splat_vf(0)
            for i in range(p.TH):
                add_columns(p, rest + (tile + i * p.TW) * step + vector * vf_LANES, lines)
                total = total + add_rows(p, lines + p.frame_left * vf_LANES, pixels + i * p.m * row)
            if sum_vf(total - total) != 0:
                add_by_definition(p, band // p.TH, group, f, filters, pixels)
            else:
                fold_cells(pixels, p.IH + p.r - 1, p.frame_top, p.OH, p.frame_mode, row)
            planes_of(pixels + p.frame_top * row, filters, p.OH * p.OW,
                      p.target + ((band // p.TH * p.G + group) * p.K + f) * p.OH * p.OW, p.OH * p.OW)
        tile += p.TH * p.TW
        band += p.TH


cdef inline void add_columns(Problem* p, const float* sums, float* lines) noexcept nogil:
    """lines[row of points][column][lane] = B sums along a row of tiles; columns beside the image go into it."""
    cdef Py_ssize_t i, q, pitch = (p.TW * p.m + p.r - 1) * vf_LANES
    for i in range(p.side):
        memset(lines, 0, (p.r - 1) * vf_LANES * sizeof(float))
        for q in range(p.TW):
            collect_line(p.m, p.r, sums + (q * p.points + i * p.side) * PANEL * vf_LANES, PANEL * vf_LANES,
                         lines + q * p.m * vf_LANES, vf_LANES)
        fold_cells(lines, p.IW + p.r - 1, p.frame_left, p.OW, p.frame_mode, vf_LANES)
        lines += pitch


cdef inline vf add_rows(Problem* p, const float* lines, float* pixels) noexcept nogil:
    """Add B lines to the image's pixels from a row of tiles on; return a sum that is finite if all of them are."""
    cdef Py_ssize_t j, pitch = (p.TW * p.m + p.r - 1) * vf_LANES
    cdef vf total = splat_vf(0)
    for j in range(p.OW):
        total = total + collect_line(p.m, p.r, lines + j * vf_LANES, pitch, pixels + j * vf_LANES, p.OW * vf_LANES)
    return total


cdef inline void fold_cells(float* cells, Py_ssize_t padded, Py_ssize_t before, Py_ssize_t size, int mode,
                            Py_ssize_t step) noexcept nogil:
    """Add what lies around an axis of the image to the cells that it repeats; a cell holds `step` numbers."""
    cdef Py_ssize_t i, j, cell
    for i in range(padded):
        if not before <= i < before + size:
            cell = source_cell(i - before, size, mode)
            if cell >= 0:
                for j in range(step):
                    cells[(before + cell) * step + j] += cells[i * step + j]


cdef void add_by_definition(Problem* p, Py_ssize_t n, Py_ssize_t group, Py_ssize_t f, Py_ssize_t filters,
                            float* pixels) noexcept nogil:
    """An image in which something is not finite, the plain way: a transform would spread it over whole tiles."""
    cdef Py_ssize_t lane, i, j, c, u, v, h, w
    cdef const float* plane = p.source + (n * p.G + group) * p.C * p.IH * p.IW
    cdef const float* weight
    cdef float total
    pixels += p.frame_top * p.OW * vf_LANES
    memset(pixels, 0, p.OH * p.OW * vf_LANES * sizeof(float))
    for i in range(p.IH + p.r - 1):
        h = source_cell(i - p.frame_top, p.OH, p.frame_mode)
        for j in range(p.IW + p.r - 1):
            w = source_cell(j - p.frame_left, p.OW, p.frame_mode)
            if h < 0 or w < 0:
                continue
            for lane in range(filters):
                weight = p.weight + group * p.taps * p.C * p.K + (f + lane) * p.filter_step
                total = 0
                for c in range(p.C):
                    for u in range(max(i - p.IH + 1, 0), min(i + 1, p.r)):
                        for v in range(max(j - p.IW + 1, 0), min(j + 1, p.r)):
                            total += (weight[c * p.channel_step + p.r * u + v]
                                      * plane[(c * p.IH + i - u) * p.IW + j - v])
                pixels[(h * p.OW + w) * vf_LANES + lane] += total
