"""Winograd's minimal filtering for r×r filters of stride 1, r = 3 or 5: fewer multiplications, more rounding.

The result is cut into tiles of m × m pixels. Tiles, filters and sums of products are transformed (winograd_tile): a tile
takes (m + r - 1)² multiplications per channel and filter instead of r²m². In between, each of these many points is a
matrix product, tiles × channels times channels × filters. A task does that for a block of tiles, which stays in the
cache, and for one panel of filters after the other, which are transformed before:

    pixels [row][column][lane]      what the tiles read; lanes are channels: NCHW, transposed
    tiles [point][tile][channel]    their transforms
    sums [tile][point][lane]        over the channels; lanes are filters, two vectors of them a panel
    pixels [row][column][lane]      the result; lanes are filters, transposed back

Where filters are many and tiles are few it is the other way round: the tiles are transformed before, and a task takes
one panel, which it transforms.

The input gradient is the same with the filters turned over, their channels and filters exchanged, and padding r − 1 − p:
tiles overlap where they are read (overlap-save). Or it is the transpose of all that, in which what tiles write overlaps
and is added up (overlap-add, winograd_overlap_add.pxi): fewer tiles where the gradient is larger than what is read, and
the only way where a pattern is around the image.

The weight gradient sums the products of both transforms, of what forward reads and of the outputs' gradients, over all
tiles, and transforms the sums (winograd_weights.pxi).

A. Lavin, S. Gray, Fast algorithms for convolutional neural networks, arXiv:1509.09308.
"""

from cython.parallel cimport prange, threadid
from libc.string cimport memcpy, memset

from convcore.kernels.common cimport CONSTANT, ConvSizes, conv_sizes, floating, folds, not_pooled, source_cell
from convcore.kernels.relu cimport apply_relu
from convcore.kernels.buffers import aligned, own_pages

import numpy as np

include "winograd_tile.pxi"
include "winograd_plan.pxi"
include "winograd_filters.pxi"
include "winograd_overlap_add.pxi"
include "winograd_weights.pxi"
include "pool_lanes.pxi"
include "forward_directions.pxi"

DTYPE = np.float32                      # the only one: wider numbers are asked for by those who want little rounding
# How many times larger than that of a plain sum the bound on the rounding error is: what the transforms may multiply
# terms by before they cancel (docs/accuracy.md).
ROUNDING_FACTOR = max(GROWTH.values())

# The three directions

def convolve_images(geometry,
                    const float[:, :, :, ::1] x not None,       # IN  (N, IC, IH, IW)
                    const float[:, :, :, ::1] weight not None,  # IN  (OC, IC/G, r, r)
                    const float[::1] bias,                      # IN  (OC,) or None
                    float[:, :, :, ::1] y not None,             # OUT (N, OC, OH, OW), or (N, OC, OH/2, OW/2)
                    int[:, :, :, ::1] index,                    # OUT (N, OC, OH/2, OW/2) or None
                    bint relu,
                    int n_threads):
    """Write y; one task per block of tiles and group, or per panel of filters.

    ReLU and pooling come before lanes become planes.
    """
    cdef Problem p = problem_of(geometry, False)
    p.relu = relu
    if index is not None:
        p.index, p.index_numbers = &index[0, 0, 0, 0], round_up(p.pixel_numbers // 4, vf_LANES)
    p.source, p.weight, p.target = &x[0, 0, 0, 0], &weight[0, 0, 0, 0], &y[0, 0, 0, 0]
    p.bias = &bias[0] if bias is not None else NULL
    convolve(&p, n_threads)


def backward_input(geometry,
                   const float[:, :, :, ::1] grad_y not None,   # IN  (N, OC, OH, OW)
                   const float[:, :, :, ::1] weight not None,   # IN  (OC, IC/G, r, r)
                   float[:, :, :, ::1] grad_x not None,         # OUT (N, IC, IH, IW)
                   int n_threads):
    """Write grad_x, as `forward` does; what are filters there are channels here, and taps are the other way round."""
    cdef Problem p = problem_of(geometry, True)
    p.source, p.weight, p.target = &grad_y[0, 0, 0, 0], &weight[0, 0, 0, 0], &grad_x[0, 0, 0, 0]
    p.bias = NULL
    convolve(&p, n_threads)


def backward_weight(geometry,
                    const float[:, :, :, ::1] grad_y not None,      # IN  (N, OC, OH, OW)
                    const float[:, :, :, ::1] x not None,           # IN  (N, IC, IH, IW)
                    float[:, :, :, ::1] grad_weight not None,       # OUT (OC, IC/G, r, r)
                    int n_threads):
    """Write grad_weight; tasks are rows of tiles to read, then points and panels of filters to sum up."""
    cdef Problem p = problem_of(geometry, False), gradients
    cut_for_weights(&p, &gradients)
    p.source, gradients.source, p.target = &x[0, 0, 0, 0], &grad_y[0, 0, 0, 0], &grad_weight[0, 0, 0, 0]
    correlate(&p, &gradients, n_threads)


cdef convolve(Problem* p, int n_threads):
    """Transform what all tasks share, the filters or the tiles, then run the tasks."""
    dtype = np.dtype(DTYPE)
    cdef Py_ssize_t filters = p.points * p.weight_step, tiles = p.points * p.tile_step
    cdef Py_ssize_t rest = p.sum_numbers + p.pixel_numbers + p.half_numbers + p.index_numbers
    cdef float[:, ::1] shared = aligned(1, tiles if p.tiles_first else p.G * filters, dtype)
    cdef float[:, ::1] memory = own_pages(n_threads, rest + (filters if p.tiles_first else tiles), dtype)
    cdef float[:, ::1] held_memory = rows_held_back(p, n_threads)
    cdef Py_ssize_t owner_step = held_memory.shape[1] if held_memory.shape[0] > 1 else 0
    cdef float* s = &shared[0, 0]
    cdef float* held = &held_memory[0, 0] if held_memory.shape[0] > 0 else NULL
    cdef Py_ssize_t channel_blocks = blocks(p.C, CHANNELS), filter_tasks = p.panels * channel_blocks
    cdef Py_ssize_t channel_vectors = blocks(p.C, vf_LANES), filter_vectors = blocks(p.K, vf_LANES), band = 0, end, task
    if p.tiles_first:
        while band < p.bands:
            end = min(band + p.R, p.bands)
            for task in prange(channel_vectors, nogil=True, schedule="dynamic", num_threads=n_threads):
                read_tiles(p, band, end, 0, task, s, &memory[threadid(), 0])
            for task in prange(p.panels, nogil=True, schedule="dynamic", num_threads=n_threads):
                convolve_panel(p, band, end, task, s, &memory[threadid(), 0], held)
            band = end
    else:
        for task in prange(p.G * filter_tasks, nogil=True, schedule="static", num_threads=n_threads):
            transform_filters(p, task // filter_tasks, task % p.panels, task % filter_tasks // p.panels * CHANNELS,
                              CHANNELS, panel_of(p, s, task // filter_tasks, task % p.panels))
        for task in prange(tasks_of(p) * p.G, nogil=True, schedule="static", num_threads=n_threads):
            convolve_blocks(p, first_band(p, task // p.G), first_band(p, task // p.G + 1), task % p.G, s,
                            &memory[threadid(), 0], held + (task if p.parts > 1 else threadid()) * owner_step)
        if p.parts > 1:
            for task in prange(p.N * p.G * filter_vectors, nogil=True, schedule="static", num_threads=n_threads):
                hand_on_rows(p, task // filter_vectors // p.G, task // filter_vectors % p.G, task % filter_vectors, held,
                             owner_step, &memory[threadid(), 0])


# A block of tiles

cdef void convolve_blocks(Problem* p, Py_ssize_t band, Py_ssize_t end, Py_ssize_t group, float* weights, float* tiles,
                          float* held) noexcept nogil:
    """Write the pixels of some bands, block by block, for all filters of a group, whose transforms are given."""
    cdef float* rest = tiles + p.points * p.tile_step
    cdef Py_ssize_t vector, panel, next_band
    while band < end:
        next_band = min(band + p.R, end)
        for vector in range(blocks(p.C, vf_LANES)):
            read_tiles(p, band, next_band, group, vector, tiles, rest)
        for panel in range(p.panels):
            multiply(p, band, next_band, panel, tiles, panel_of(p, weights, group, panel), rest)
            write_block(p, band, next_band, group, panel, rest, held)
        band = next_band


cdef void convolve_panel(Problem* p, Py_ssize_t band, Py_ssize_t end, Py_ssize_t panel, float* tiles, float* weights,
                         float* held) noexcept nogil:
    """Write the pixels of a block of tiles, whose transforms are given, for one panel of filters."""
    cdef float* rest = weights + p.points * p.weight_step
    transform_filters(p, 0, panel, 0, p.C, weights)
    multiply(p, band, end, panel, tiles, weights, rest)
    write_block(p, band, end, 0, panel, rest, held)


cdef Py_ssize_t tiles_of(Problem* p, Py_ssize_t band, Py_ssize_t end) noexcept nogil:
    """The tiles from a row of them on, up to another row."""
    cdef Py_ssize_t tiles = 0
    cdef Run run
    while band < end:
        run = run_of(p, band, end)
        tiles += run.rows * run.columns
        band += run.rows
    return tiles


cdef void read_tiles(Problem* p, Py_ssize_t band, Py_ssize_t end, Py_ssize_t group, Py_ssize_t vector, float* tiles,
                     float* rest) noexcept nogil:
    """tiles[point][tile][channel] = Bᵀ d B (or A d Aᵀ) of some rows of tiles, for a vector of channels."""
    cdef Py_ssize_t plane = p.IH * p.IW, c = first_of(vector, p.C), i
    cdef float* pixels = rest + p.sum_numbers
    cdef float* half = pixels + p.pixel_numbers
    cdef Run run
    tiles += c
    while band < end:
        run = run_of(p, band, end)
        read_pixels(p, &run, p.source + ((run.n * p.G + group) * p.C + c) * plane, min(p.C, vf_LANES), pixels)
        for i in range(run.rows):
            transform_tiles(p, &run, pixels + i * p.m * run.width * vf_LANES, half, tiles)
            tiles += run.columns * p.pitch
        band += run.rows


cdef void read_pixels(Problem* p, Run* run, const float* plane, Py_ssize_t channels, float* pixels) noexcept nogil:
    """pixels[row][column][lane] = what a run reads, with padding above and below; rows that lie together in one go."""
    cdef Py_ssize_t first = run.th * p.m - p.top, rows = run.rows * p.m + p.overlap, pitch = run.width * vf_LANES
    cdef Py_ssize_t i = 0, j, row, count
    while i < rows:
        row = source_cell(first + i, p.IH, p.mode)
        count = 1
        if row < 0:
            for j in range(pitch):
                pixels[j] = p.padding
        else:
            while i + count < rows and source_cell(first + i + count, p.IH, p.mode) == row + count:
                count += 1
            if run.width == p.IW:
                lanes_of(plane + row * p.IW, p.IH * p.IW, channels, count * p.IW, pixels)
            else:
                for j in range(count):
                    lanes_of(plane + (row + j) * p.IW + run.left, p.IH * p.IW, channels, run.width, pixels + j * pitch)
        pixels += count * pitch
        i += count


cdef void transform_tiles(Problem* p, Run* run, const float* pixels, float* half, float* tiles) noexcept nogil:
    """A row of tiles: first down the columns of the padded image, which neighbours share, then along the rows."""
    cdef Py_ssize_t width = run.columns * p.m + p.overlap, left = run.tw * p.m - p.left, i, q, column
    cdef float[LANES] padding
    for i in range(vf_LANES):
        padding[i] = p.padding
    for q in range(width):
        column = source_cell(left + q, p.IW, p.mode)
        if column < 0:
            transform_input(p, padding, 0, half + q * vf_LANES, width * vf_LANES)
        else:
            transform_input(p, pixels + (column - run.left) * vf_LANES, run.width * vf_LANES, half + q * vf_LANES,
                            width * vf_LANES)
    for q in range(run.columns):
        for i in range(p.side):
            transform_input(p, half + (i * width + q * p.m) * vf_LANES, vf_LANES,
                            tiles + i * p.side * p.tile_step + q * p.pitch, p.tile_step)


cdef inline void transform_input(Problem* p, const float* d, Py_ssize_t d_step, float* v,
                                 Py_ssize_t v_step) noexcept nogil:
    if p.adds:
        spread_line(p.m, p.r, d, d_step, v, v_step)
    else:
        input_line(p.side, d, d_step, v, v_step)


cdef void multiply(Problem* p, Py_ssize_t band, Py_ssize_t end, Py_ssize_t panel, const float* tiles,
                   const float* weights, float* sums) noexcept nogil:
    """sums[tile][point][lane]: for each point, tiles × channels times channels × filters of a panel."""
    cdef Py_ssize_t count = tiles_of(p, band, end), parts = blocks(count, ROWS), v = panel_vectors(p, panel)
    cdef Py_ssize_t point, part, tile, rows
    for point in range(p.points):
        for part in range(parts):                   # of even size: a part of a few tiles would starve the FMA units
            tile = part * count // parts
            rows = (part + 1) * count // parts - tile
            products[rows][v](p.C, tiles + tile * p.pitch, p.pitch, weights,
                              sums + (tile * p.points + point) * PANEL * vf_LANES, p.points * PANEL * vf_LANES)
        tiles += p.tile_step
        weights += p.weight_step


cdef inline void write_block(Problem* p, Py_ssize_t band, Py_ssize_t end, Py_ssize_t group, Py_ssize_t panel,
                             float* rest, float* held) noexcept nogil:
    if p.adds:
        add_pixels(p, band, end, group, panel, rest, held)
    else:
        write_pixels(p, band, end, group, panel, rest)


cdef void write_pixels(Problem* p, Py_ssize_t band, Py_ssize_t end, Py_ssize_t group, Py_ssize_t panel,
                       float* rest) noexcept nogil:
    """The images' pixels = Aᵀ sums A + bias, for the tiles of a block and a panel of filters."""
    cdef Py_ssize_t step = p.points * PANEL * vf_LANES
    cdef Py_ssize_t filters = min(p.K, vf_LANES), plane = p.OH * p.OW, tile = 0, vector, f, rows, i, q
    cdef float* pixels = rest + p.sum_numbers
    cdef float* half = pixels + p.pixel_numbers
    cdef const float* sums
    cdef float* target
    cdef float[LANES] bias
    cdef vf total
    cdef Run run
    while band < end:
        run = run_of(p, band, end)
        rows = min(run.rows * p.m, p.OH - run.th * p.m)
        for vector in range(panel_vectors(p, panel)):
            f = first_of(panel * PANEL + vector, p.K)
            for i in range(vf_LANES):
                bias[i] = p.bias[group * p.K + f + i] if p.bias != NULL and i < filters else 0
            sums = rest + tile * step + vector * vf_LANES
            for i in range(run.rows):
                target = pixels + i * p.m * run.out_width * vf_LANES
                total = splat_vf(0)
                # Where tiles reach beyond the image, each overwrites what the one to its right left too much.
                for q in range(run.columns - 1, -1, -1):
                    total = total + transform_output(p, sums + (i * run.columns + q) * step, bias,
                                                     target + q * p.m * vf_LANES, run.out_width * vf_LANES, half)
                if sum_vf(total - total) != 0:
                    by_definition(p, &run, i, group, f, filters, bias, target)
            i = (run.n * p.G + group) * p.K + f
            if p.index != NULL:
                pool_pixels(p, &run, rows, pixels, <int*> (half + p.half_numbers))
                write_planes(pixels, filters, rows // 2, run.out_width // 2, run.th * p.m // 2, run.tw * p.m // 2,
                             p.OH // 2, p.OW // 2, i, p.target)
                write_planes(half + p.half_numbers, filters, rows // 2, run.out_width // 2, run.th * p.m // 2,
                             run.tw * p.m // 2, p.OH // 2, p.OW // 2, i, <float*> p.index)
                continue
            if p.relu:
                apply_relu(pixels, rows * run.out_width * vf_LANES)
            write_planes(pixels, filters, rows, run.out_width, run.th * p.m, run.tw * p.m, p.OH, p.OW, i, p.target)
        tile += run.rows * run.columns
        band += run.rows


cdef inline void write_planes(const float* pixels, Py_ssize_t filters, Py_ssize_t rows, Py_ssize_t columns,
                              Py_ssize_t top, Py_ssize_t left, Py_ssize_t height, Py_ssize_t width, Py_ssize_t plane,
                              float* target) noexcept nogil:
    """Write some rows and columns of planes of height × width, counted through the batch, for a vector of filters."""
    cdef Py_ssize_t i
    target += (plane * height + top) * width + left
    if columns == width:
        planes_of(pixels, filters, rows * width, target, height * width)
    else:
        for i in range(rows):
            planes_of(pixels + i * columns * vf_LANES, filters, columns, target + i * width, height * width)


cdef void pool_pixels(Problem* p, Run* run, Py_ssize_t rows, float* pixels, int* index) noexcept nogil:
    """Put the maxima of ReLU in windows of 2×2 to the front of some rows of pixels, their places in the plane apart."""
    cdef Py_ssize_t i, j, width = run.out_width * vf_LANES, place
    cdef float* pooled = pixels
    for i in range(rows // 2):
        place = (run.th * p.m + 2 * i) * p.OW + run.tw * p.m
        for j in range(run.out_width // 2):
            pool_lanes(pixels + 2 * i * width + 2 * j * vf_LANES, vf_LANES, width, <int> (place + 2 * j), <int> p.OW,
                       pooled, index)
            pooled += vf_LANES
            index += vf_LANES


cdef inline vf transform_output(Problem* p, const float* sums, const float* bias, float* pixels, Py_ssize_t pitch,
                                float* half) noexcept nogil:
    """m × m pixels = Aᵀ sums A + bias for a vector of filters; return a sum that is finite if all of them are."""
    cdef Py_ssize_t i
    cdef vf total = splat_vf(0), b = load_vf(bias), nothing = splat_vf(<float> -0.0)
    for i in range(p.side):
        output_line(p.m, p.r, sums + i * PANEL * vf_LANES, p.side * PANEL * vf_LANES, nothing, half + i * vf_LANES,
                    p.side * vf_LANES)
    for i in range(p.m):
        total = total + output_line(p.m, p.r, half + p.side * i * vf_LANES, vf_LANES, b, pixels + i * pitch, vf_LANES)
    return total


cdef void by_definition(Problem* p, Run* run, Py_ssize_t row, Py_ssize_t group, Py_ssize_t f, Py_ssize_t filters,
                        const float* bias, float* pixels) noexcept nogil:
    """A row of tiles in which something is not finite, the plain way: a transform would spread it over whole tiles."""
    cdef Py_ssize_t first = (run.th + row) * p.m, lane, i, j, c, u, v, tap, ih, iw
    cdef const float* plane = p.source + (run.n * p.G + group) * p.C * p.IH * p.IW
    cdef const float* weight
    cdef float total
    for i in range(min(p.m, p.OH - first)):
        for j in range(run.out_width):
            for lane in range(filters):
                weight = p.weight + group * p.taps * p.C * p.K + (f + lane) * p.filter_step
                total = 0
                for c in range(p.C):
                    for u in range(p.r):
                        ih = source_cell(first + i + u - p.top, p.IH, p.mode)
                        for v in range(p.r):
                            iw = source_cell(run.tw * p.m + j + v - p.left, p.IW, p.mode)
                            if p.flipped and (ih < 0 or iw < 0):
                                continue                        # no output is there: not even NaN comes of it
                            tap = p.taps - 1 - p.r * u - v if p.flipped else p.r * u + v
                            total = total + weight[c * p.channel_step + tap] * (
                                p.padding if ih < 0 or iw < 0 else plane[(c * p.IH + ih) * p.IW + iw])
                pixels[(i * run.out_width + j) * vf_LANES + lane] = total + bias[lane]


# Between planes and lanes

cdef void lanes_of(const float* planes, Py_ssize_t step, Py_ssize_t count, Py_ssize_t pixels,
                   float* target) noexcept nogil:
    """target[pixel][lane] = planes[lane][pixel]; the last whole vector overlaps the one before."""
    cdef Py_ssize_t i, j
    if count == vf_LANES and pixels >= vf_LANES:
        for i in range(blocks(pixels, vf_LANES)):
            j = min(i * vf_LANES, pixels - vf_LANES)
            transpose_vf(planes + j, step, target + j * vf_LANES, vf_LANES)
    else:
        for j in range(pixels):
            for i in range(count):
                target[j * vf_LANES + i] = planes[i * step + j]


cdef void planes_of(const float* source, Py_ssize_t count, Py_ssize_t pixels, float* planes,
                    Py_ssize_t step) noexcept nogil:
    """planes[lane][pixel] = source[pixel][lane]: `lanes_of` backward."""
    cdef Py_ssize_t i, j
    if count == vf_LANES and pixels >= vf_LANES:
        for i in range(blocks(pixels, vf_LANES)):
            j = min(i * vf_LANES, pixels - vf_LANES)
            transpose_vf(source + j * vf_LANES, vf_LANES, planes + j, step)
    else:
        for i in range(count):
            for j in range(pixels):
                planes[i * step + j] = source[j * vf_LANES + i]


# What it can compute, and where it should

def supports(direction, geometry, dtype, level):
    """Refuse what has other filters than 3×3 and 5×5, or a stride, or float64; gradients of patterns around wide images."""
    if dtype != DTYPE:
        return "computes in float32 only"
    if not_pooled(direction, geometry):
        return not_pooled(direction, geometry)
    if geometry.filter_size not in ((3, 3), (5, 5)):
        return f"filter is {geometry.filter_size[0]}×{geometry.filter_size[1]}, wants 3×3 or 5×5"
    if geometry.stride != (1, 1):
        return f"stride is {geometry.stride}, wants 1"
    if geometry.dilation != (1, 1):
        return f"dilation is {geometry.dilation}, wants 1"
    cdef Problem p
    if folds(direction, geometry):
        p = problem_of(geometry, True)
        return None if p.adds else f"{folds(direction, geometry)}, and a row of its tiles does not fit a block"
    return None


def rounding_factor(direction, geometry, dtype, level):
    """That of filters of this size, whatever the tiles."""
    return max(factor for (m, r), factor in GROWTH.items() if r == geometry.filter_size[0])


def suits(direction, geometry, dtype, level):
    """Leave problems to others whose transforms cost more than they save; in units of one vector of multiply-adds.

    Measured: for each of its points, a tile's transform costs as much as 12 multiply-adds per vector of channels or of
    filters, a filter's as much as 16; that of a sum of weight gradients as much as 30, and 6 for each share that has
    such sums; a call takes a little by itself. The others are taken to reach 0.85 of what the FMA units can do, 0.93
    where sums are as long as for 5×5, and to leave out what padding is multiplied by; products here reach 0.95.
    """
    cdef Problem p = problem_of(geometry, direction == "backward_input"), gradients
    cdef double per_filter = 16
    if direction == "backward_weight":
        cut_for_weights(&p, &gradients)
        per_filter = 30 + 6 * shares_of(&p)
    cdef Py_ssize_t tiles = max(<Py_ssize_t> 1, p.N) * p.TH * p.TW
    cdef Py_ssize_t channels = blocks(p.C, vf_LANES), filters = blocks(p.K, vf_LANES)
    cdef ConvSizes s = conv_sizes(geometry.volumetric)
    cdef double met = meetings(p.r, s.top, s.IH, s.OH) * meetings(p.r, s.left, s.IW, s.OW)
    cdef double plain = max(<Py_ssize_t> 1, p.N) * met * p.C * p.K / ((0.85 if p.r == 3 else 0.93) * vf_LANES)
    cdef double cost = SMALL_CALL + p.points * (
        tiles * (p.C * filters / 0.95 + 12 * (channels + filters)) + per_filter * p.C * filters)
    if cost < plain:
        return None
    return f"takes about {cost / plain:.1f} times as long as a plain sum: few channels, filters or tiles"


cdef Py_ssize_t meetings(Py_ssize_t r, Py_ssize_t before, Py_ssize_t inputs, Py_ssize_t outputs) noexcept nogil:
    """How often an output meets an input along an axis, over all taps."""
    cdef Py_ssize_t tap, met = 0
    for tap in range(r):
        met += max(<Py_ssize_t> 0, min(outputs, inputs + before - tap) - max(<Py_ssize_t> 0, before - tap))
    return met
