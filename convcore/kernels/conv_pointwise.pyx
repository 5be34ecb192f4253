"""Convolution with filters of one cell: matrix products over the pixels of all images, with nothing to rearrange.

A few vectors of pixels at a time go by all filters; where images end within them, they go on with the next image. Such
a panel is laid out in the order in which the micro-kernel (pointwise_tile.pxi.tp) reads it, while the next one is
fetched from memory; few filters read it in place. The weight gradient sums over pixels: there one of the two operands is
transposed on its way into panels, or where it has few channels, lanes are pixels. One image, one pixel per image, and
few pixels in all are the plain product of two matrices (gemm_product.pxi).
"""

import numpy as np

from convcore.kernels.common cimport ConvSizes, conv_sizes

include "gemm_product.pxi"
include "pointwise_tile.pxi"
include "pointwise_grid.pxi"
include "pointwise_weights.pxi"

VOLUMETRIC = True
DTYPE = np.float32              # the only one: problems in float64 are computed by variants that are there to be read

cdef enum:
    FEW_PIXELS = 256            # pixels of all images for which weights are not worth packing, at most
    PASS = 256                  # channels per pass over a panel, at most: what a pass reads stays in the caches
    BLOCK = 96                  # filters whose weights stay in the second cache while some panels go by, at most
    LAID_NUMBERS = 1 << 20      # numbers of x and grad_y that are laid out at a time, at most
    MOST_CHANNELS = 8192        # channels or filters of a group, at most: what is laid out of them
    FEW_SOURCES = 6             # channels of a group that others read as fast where they lie
    MANY_TARGETS = 256          # channels of a group whose products take longer than to scatter pixels
    SHORT_SUM = 9               # pixels of an image: in between, few weights are better summed with images in the lanes
    LONG_SUM = 144
    FEW_SUMS = 2048             # weights of a group

NUMBER = np.dtype(DTYPE)


cdef struct Plan:
    Grid grid
    Py_ssize_t G, M, K                      # groups; channels per group: of the target, and of the source, summed over
    Py_ssize_t row_step, k_step             # the weight of target i and source k is weight[i · row_step + k · k_step]
    bint in_place                           # the source is read where it stands
    bint relu                               # follows
    Py_ssize_t row_blocks, passes
    Py_ssize_t groups                       # of pixels
    Py_ssize_t image_groups                 # those of an image, where none goes on with the next
    Py_ssize_t row_tasks, group_tasks


def forward(geometry, x, weight, bias, y, n_threads):
    """Write y; one task per some groups of pixels, block of filters, and group."""
    convolve_images(geometry, x, weight, bias, y, False, n_threads)


def forward_relu(geometry, x, weight, bias, y, n_threads):
    """Write ReLU(y), panel by panel."""
    convolve_images(geometry, x, weight, bias, y, True, n_threads)


def convolve_images(geometry,
                    const float[:, :, :, :, ::1] x not None,       # IN  (N, IC, ID, IH, IW)
                    const float[:, :, :, :, ::1] weight not None,  # IN  (OC, IC/G, 1, 1, 1)
                    const float[::1] bias,                          # IN  (OC,) or None
                    float[:, :, :, :, ::1] y not None,             # OUT (N, OC, OD, OH, OW)
                    bint relu,
                    int n_threads):
    """Forward, with or without ReLU behind it."""
    cdef ConvSizes s = conv_sizes(geometry)
    cdef Grid grid = grid_of(&s)
    cdef float[:, ::1] start = aligned(1, s.OC, NUMBER)
    cdef const float[:, ::1] matrix
    cdef float[:, ::1] result
    start[...] = 0
    if bias is not None:
        start[0, :s.OC] = bias
    if s.G == 1 and grid.dense and grid.P == 1:
        product[float](x.base.reshape(s.N, s.IC), False, weight.base.reshape(s.OC, s.IC), True,
                       y.base.reshape(s.N, s.OC), &start[0, 0] if bias is not None else NULL, False, relu, n_threads)
    elif one_matrix(&s, &grid):
        source_is_x(&grid)
        matrix = matrix_of(&grid, x, s.IC)
        result = y.base.reshape(s.OC, grid.P) if s.N == 1 else aligned(s.OC, matrix.shape[1], NUMBER)
        product[float](weight.base.reshape(s.OC, s.IC), False, matrix, False, result,
                       &start[0, 0] if bias is not None else NULL, True, relu, n_threads)
        if s.N > 1:
            put(&grid, &result[0, 0], result.shape[1], s.OC, Range(0, s.OC), 0, s.N * grid.P, &y[0, 0, 0, 0, 0])
    else:
        convolve(&s, True, &x[0, 0, 0, 0, 0], &weight[0, 0, 0, 0, 0], &start[0, 0], &y[0, 0, 0, 0, 0], relu, n_threads)


def backward_input(geometry,
                   const float[:, :, :, :, ::1] grad_y not None,   # IN  (N, OC, OD, OH, OW)
                   const float[:, :, :, :, ::1] weight not None,   # IN  (OC, IC/G, 1, 1, 1)
                   float[:, :, :, :, ::1] grad_x not None,         # OUT (N, IC, ID, IH, IW)
                   int n_threads):
    """Write grad_x; one task per some groups of pixels, block of channels, and group."""
    cdef ConvSizes s = conv_sizes(geometry)
    cdef Grid grid = grid_of(&s)
    cdef float[:, ::1] start, result
    cdef const float[:, ::1] matrix
    if s.G == 1 and grid.dense and grid.P == 1:
        product[float](grad_y.base.reshape(s.N, s.OC), False, weight.base.reshape(s.OC, s.IC), False,
                       grad_x.base.reshape(s.N, s.IC), NULL, False, False, n_threads)
    elif one_matrix(&s, &grid):
        source_is_y(&grid)
        matrix = matrix_of(&grid, grad_y, s.OC)
        if s.N == 1 and grid.dense:
            result = grad_x.base.reshape(s.IC, grid.P)
        else:
            result = aligned(s.IC, matrix.shape[1], NUMBER)
        product[float](weight.base.reshape(s.OC, s.IC), True, matrix, False, result, NULL, False, False, n_threads)
        if s.N > 1 or not grid.dense:
            put(&grid, &result[0, 0], result.shape[1], s.IC, Range(0, s.IC), 0, s.N * grid.P, &grad_x[0, 0, 0, 0, 0])
    else:
        start = aligned(1, s.IC, NUMBER)
        start[...] = 0
        convolve(&s, False, &grad_y[0, 0, 0, 0, 0], &weight[0, 0, 0, 0, 0], &start[0, 0], &grad_x[0, 0, 0, 0, 0],
                 False, n_threads)


cdef bint one_matrix(ConvSizes* s, Grid* grid) noexcept:
    """Whether an image is a matrix as it stands, or the pixels of all are so few that they are made into one."""
    if s.G > 1 or s.N == 1 and grid.dense:
        return s.G == 1
    return s.N * grid.P <= FEW_PIXELS and s.N * grid.P * (s.IC + s.OC) <= LAID_NUMBERS


cdef const float[:, ::1] matrix_of(Grid* grid, const float[:, :, :, :, ::1] source, Py_ssize_t channels):
    """The pixels of all images as a matrix (channels × pixels); behind those that are copied stand zeros."""
    cdef float[:, ::1] matrix
    if grid.N == 1 and grid.dense:
        return source.base.reshape(channels, grid.P)
    matrix = aligned(channels + 1, grid.N * grid.P, NUMBER)     # one more: see `lay`
    grid.source_end = &source[0, 0, 0, 0, 0] + grid.N * channels * grid.source_cells
    lay(grid, &source[0, 0, 0, 0, 0], channels, channels, 0, grid.N * grid.P, matrix.shape[1], &matrix[0, 0],
        matrix.shape[1])
    return matrix[:channels]


# forward and backward_input: target (M × pixels) = weights (M × K) · source (K × pixels)

cdef convolve(ConvSizes* s, bint is_forward, const float* source, const float* weight, const float* start,
              float* target, bint relu, int n_threads):
    """Write y, whose sums start from the bias, ReLU(y), or grad_x, whose sums start from zeros."""
    cdef Plan p = plan_of(s, is_forward)
    p.relu = relu
    p.grid.source_end = source + s.N * s.G * p.K * p.grid.source_cells
    cdef Py_ssize_t task
    cdef float[:, ::1] packed = aligned(1, p.G * p.M * p.K, NUMBER)
    cdef float[:, ::1] panels = own_pages(n_threads, (0 if p.in_place else p.K * GROUP_PIXELS) + vf_LANES, NUMBER)
    cdef float[:, ::1] results = own_pages(n_threads, blocks(p.M, p.row_blocks) * GROUP_PIXELS, NUMBER)
    for task in prange(p.G * p.row_blocks, nogil=True, num_threads=n_threads):
        pack_weights(&p, weight, task // p.row_blocks, task % p.row_blocks, &packed[0, 0])
    for task in prange(p.group_tasks * p.G * p.row_tasks, nogil=True, schedule="dynamic", num_threads=n_threads):
        convolve_groups(&p, source, &packed[0, 0], start, target, task // (p.G * p.row_tasks),
                        task // p.row_tasks % p.G, task % p.row_tasks, &panels[threadid(), 0], &results[threadid(), 0])


cdef Plan plan_of(ConvSizes* s, bint is_forward) noexcept:
    cdef Plan p
    cdef Py_ssize_t wanted
    p.grid = grid_of(s)
    p.G = s.G
    if is_forward:
        p.M, p.K, p.row_step, p.k_step = s.FG, s.CG, s.CG, 1
        source_is_x(&p.grid)
    else:
        p.M, p.K, p.row_step, p.k_step = s.CG, s.FG, 1, s.CG
        source_is_y(&p.grid)
    p.in_place = (p.M <= FEW_FILTERS or p.M <= MORE_FILTERS and p.K <= FEW_ROWS) and can_be_read_in_place(&p.grid)
    p.image_groups = blocks(p.grid.P, IN_PLACE_PIXELS)
    p.groups = s.N * p.image_groups if p.in_place else blocks(s.N * p.grid.P, GROUP_PIXELS)
    # Tasks enough for a few threads: some groups of pixels each, or where there are few, some of the filters.
    wanted = min(<Py_ssize_t> 2 * TASKS, max(<Py_ssize_t> 1, s.N * p.grid.P * p.G * p.M * p.K // TASK_PRODUCTS))
    p.group_tasks = min(p.groups, wanted)
    p.row_tasks = max(<Py_ssize_t> 1, min(blocks(TASKS, p.group_tasks * p.G), p.M // BLOCK))
    p.row_blocks = max(p.row_tasks, blocks(p.M, BLOCK))
    p.passes = blocks(p.K, PASS)
    return p


cdef bint can_be_read_in_place(Grid* grid) noexcept:
    """Whether images fill vectors, and channels are not a power of two apart, where they share places in the caches."""
    cdef Py_ssize_t P = grid.P
    return grid.dense and P >= vf_LANES and 10 * P >= 9 * round_up(P, vf_LANES) and P * sizeof(float) % 1024 != 0


cdef void pack_weights(Plan* p, const float* weight, Py_ssize_t g, Py_ssize_t block, float* packed) noexcept nogil:
    """Weights of a block of targets in the order in which tiles read them: [block][pass][tile][source][row]."""
    cdef Range rows = share(p.M, p.row_blocks, block), k
    cdef Py_ssize_t i
    weight += g * p.M * p.K + rows.start * p.row_step
    packed += (g * p.M + rows.start) * p.K
    for i in range(p.passes):
        k = share(p.K, p.passes, i)
        pack(weight + k.start * p.k_step, p.row_step, p.k_step, rows.size, k.size, PANEL_ROWS, packed)
        packed += rows.size * k.size


cdef void convolve_groups(Plan* p, const float* source, const float* packed, const float* start, float* target,
                          Py_ssize_t group_task, Py_ssize_t g, Py_ssize_t row_task, float* panels,
                          float* results) noexcept nogil:
    """Some rows of some groups of pixels."""
    cdef Range groups = share(p.groups, p.group_tasks, group_task)
    cdef Range row_blocks = share(p.row_blocks, p.row_tasks, row_task)
    cdef Range pixels, columns, following
    cdef Py_ssize_t group, j, width
    cdef Ahead[2] ahead
    source += g * p.K * p.grid.source_cells
    target += g * p.M * p.grid.target_cells
    packed += g * p.M * p.K
    start += g * p.M
    for group in range(groups.start, groups.start + groups.size):
        pixels = pixels_of(p, group)
        for j in range(0 if p.in_place else panels_in(pixels.size)):
            columns = panel_of(p, pixels.size, j)
            width = round_up(columns.size, vf_LANES)
            lay(&p.grid, source, p.G * p.K, p.K, pixels.start + columns.start, columns.size, width,
                panels + columns.start * p.K, width)
        if group + 1 < p.groups:
            following = pixels_of(p, group + 1)
            look_ahead(&ahead[0], &p.grid, source, p.G * p.K, p.K, following.start, following.size)
        else:
            rest(&ahead[0], packed)
        rest(&ahead[1], packed)
        multiply_group(p, source, packed, start, target, pixels, row_blocks, panels, results, ahead)


cdef inline Range pixels_of(Plan* p, Py_ssize_t group) noexcept nogil:
    cdef Range pixels
    if p.in_place:
        pixels = share(blocks(p.grid.P, vf_LANES), p.image_groups, group % p.image_groups)
        pixels.start *= vf_LANES
        pixels.size = min(pixels.size * vf_LANES, p.grid.P - pixels.start)
        pixels.start += group // p.image_groups * p.grid.P
    else:
        pixels.start = group * GROUP_PIXELS
        pixels.size = min(<Py_ssize_t> GROUP_PIXELS, p.grid.N * p.grid.P - pixels.start)
    return pixels


cdef inline Py_ssize_t panels_in(Py_ssize_t pixels) noexcept nogil:
    return blocks(blocks(pixels, vf_LANES), PANEL_VECTORS)


cdef inline Range panel_of(Plan* p, Py_ssize_t pixels, Py_ssize_t j) noexcept nogil:
    """Panels of equal numbers of vectors; the last may be cut, but is a vector at least where it is read in place."""
    cdef Range panel = share(blocks(pixels, vf_LANES), panels_in(pixels), j)
    panel.start *= vf_LANES
    panel.size = min(panel.size * vf_LANES, pixels - panel.start)
    if p.in_place and panel.size < vf_LANES:
        panel.start, panel.size = panel.start + panel.size - vf_LANES, vf_LANES
    return panel


cdef void multiply_group(Plan* p, const float* source, const float* packed, const float* start, float* target,
                         Range pixels, Range row_blocks, const float* panels, float* results,
                         Ahead* ahead) noexcept nogil:
    """Blocks of rows, panels of pixels, passes over the channels, and in `sweep` tiles of a few rows."""
    cdef Py_ssize_t n, first, block, j, i, v, b_step, b_last, ldc, c_last
    cdef Range rows, columns, k
    cdef const float* b
    cdef float* c
    cdef bint direct
    for block in range(row_blocks.start, row_blocks.start + row_blocks.size):
        rows = share(p.M, p.row_blocks, block)
        for j in range(panels_in(pixels.size)):
            columns = panel_of(p, pixels.size, j)
            v = blocks(columns.size, vf_LANES)
            n = (pixels.start + columns.start) // p.grid.P
            first = pixels.start + columns.start - n * p.grid.P
            direct = p.in_place or (not p.grid.spreads and first + columns.size <= p.grid.P
                                    and columns.size == v * vf_LANES)
            b, b_step, b_last = panels + columns.start * p.K, v * vf_LANES, (v - 1) * vf_LANES
            c, ldc, c_last = results + columns.start, GROUP_PIXELS, (v - 1) * vf_LANES
            if p.in_place:
                b, b_step = source + n * p.G * p.K * p.grid.source_cells + first, p.grid.source_cells
                b_last = c_last = columns.size - vf_LANES
            if direct:
                c, ldc = target + (n * p.G * p.M + rows.start) * p.grid.target_cells + first, p.grid.target_cells
            for i in range(p.passes):
                k = share(p.K, p.passes, i)
                sweep(rows.size, v, k.size, packed + rows.start * p.K + rows.size * k.start, PANELS, PANELS,
                      b + k.start * b_step, b_step, b_last, start + rows.start, c, ldc, c_last, i > 0, ahead)
            for i in range(rows.size if p.relu else 0):
                apply_relu(c + i * ldc, columns.size)
            if not direct and not p.grid.spreads:
                put(&p.grid, c, GROUP_PIXELS, p.G * p.M, rows, pixels.start + columns.start, columns.size, target)
        if p.grid.spreads:
            put(&p.grid, results, GROUP_PIXELS, p.G * p.M, rows, pixels.start, pixels.size, target)
    hurry(ahead)


cdef void sweep(Py_ssize_t M, Py_ssize_t v, Py_ssize_t K, const float* a, Py_ssize_t row_step, Py_ssize_t k_step,
                const float* b, Py_ssize_t b_step, Py_ssize_t b_last, const float* start, float* c, Py_ssize_t ldc,
                Py_ssize_t c_last, bint accumulate, Ahead* ahead) noexcept nogil:
    """C = (C or start) + A · B for a panel B of v vectors; A is read in place, or stands in panels from `pack`.

    What is fetched meanwhile comes from two arrays, one after the other.
    """
    cdef Py_ssize_t tiles = blocks(M, PANEL_ROWS), tile, rows, i = 0
    for tile in range(tiles):
        rows = M // tiles + (tile < M % tiles)
        if ahead.end >= ahead.stop:
            ahead[0] = ahead[1]
            rest(&ahead[1], b)
        if k_step == PANELS:
            fetching_tiles[rows][v](K, a + i * K, 1, rows, b, b_step, b_last, start + i, c + i * ldc, ldc, c_last,
                                    accumulate, ahead)
        else:
            fetching_tiles[rows][v](K, a + i * row_step, row_step, k_step, b, b_step, b_last, start + i, c + i * ldc,
                                    ldc, c_last, accumulate, ahead)
        i += rows


def backward_weight(geometry,
                    const float[:, :, :, :, ::1] grad_y not None,      # IN  (N, OC, OD, OH, OW)
                    const float[:, :, :, :, ::1] x not None,           # IN  (N, IC, ID, IH, IW)
                    float[:, :, :, :, ::1] grad_weight not None,       # OUT (OC, IC/G, 1, 1, 1)
                    int n_threads):
    """Write grad_weight; one task per share of the pixels, part of the lanes, and group; shares are added in order.

    Where the pixels are not shared, all tasks go through them in step, and what all read is laid out once.
    """
    cdef ConvSizes s = conv_sizes(geometry)
    cdef Sum p = sum_of(&s)
    cdef const float[:, ::1] of_y, of_x
    if s.G == 1 and p.of_x.dense and p.of_x.P == 1:
        product[float](grad_y.base.reshape(s.N, s.OC), True, x.base.reshape(s.N, s.IC), False,
                       grad_weight.base.reshape(s.OC, s.IC), NULL, False, False, n_threads)
        return
    if one_matrix(&s, &p.of_x):
        of_y, of_x = matrix_of(&p.of_y, grad_y, s.OC), matrix_of(&p.of_x, x, s.IC)
        product[float](of_y, False, of_x, True, grad_weight.base.reshape(s.OC, s.IC), NULL, False, False, n_threads)
        return
    cdef Py_ssize_t task, laid, transposed
    p.of_x.source_end = &x[0, 0, 0, 0, 0] + s.N * s.IC * p.of_x.source_cells
    p.of_y.source_end = &grad_y[0, 0, 0, 0, 0] + s.N * s.OC * p.of_y.source_cells
    laid = p.rows * p.pitch if not p.in_step and (p.laid_x if p.lanes_are_filters else p.laid_y) else 0
    cdef Py_ssize_t lanes_of_task = blocks(p.width // vf_LANES, p.lane_tasks) * vf_LANES
    transposed = laid + (lanes_of_task * p.pitch + vf_LANES if p.laid_x or p.laid_y else 0)
    cdef Py_ssize_t numbers = transposed + (0 if p.dots else lanes_of_task * p.most_pixels) + vf_LANES
    cdef float[:, ::1] partial = aligned(p.shares, p.G * p.rows * p.width, NUMBER)
    cdef float[:, ::1] zeros = aligned(1, PANEL_ROWS + p.rows, NUMBER)
    zeros[...] = 0
    cdef float[:, ::1] tiles = own_pages(n_threads, numbers, NUMBER)
    if p.in_step:
        sum_in_step(&p, &grad_y[0, 0, 0, 0, 0], &x[0, 0, 0, 0, 0], &zeros[0, 0], &partial[0, 0], tiles, transposed,
                    n_threads)
    else:
        for task in prange(p.shares * p.G * p.lane_tasks, nogil=True, schedule="static", num_threads=n_threads):
            sum_share(&p, &grad_y[0, 0, 0, 0, 0], &x[0, 0, 0, 0, 0], &zeros[0, 0],
                      &partial[task // (p.G * p.lane_tasks), 0], task // (p.G * p.lane_tasks),
                      task // p.lane_tasks % p.G, task % p.lane_tasks, &tiles[threadid(), 0], &tiles[threadid(), laid],
                      &tiles[threadid(), transposed])
    for task in prange(p.G * p.lane_tasks, nogil=True, num_threads=n_threads):
        add_shares(&p, &partial[0, 0], partial.shape[1], task // p.lane_tasks, task % p.lane_tasks,
                   &grad_weight[0, 0, 0, 0, 0])


def supports(direction, geometry, dtype, level):
    """Refuse filters of more than a cell, cells around the image, and more channels than the working memory holds."""
    if dtype != DTYPE:
        return "computes in float32 only"
    if np.prod(geometry.filter_size) > 1:
        return f"filters have {np.prod(geometry.filter_size)} cells, not one"
    if any(before or after for before, after in geometry.padding):
        return "has cells around the image"
    widest = max(geometry.in_channels, geometry.out_channels) // geometry.groups
    return f"a group has {widest} channels or filters, more than {MOST_CHANNELS}" if widest > MOST_CHANNELS else None


def suits(direction, geometry, dtype, level):
    """Leave to others what is mostly laying out, scattered results, and sums too short for the way they are made."""
    cdef ConvSizes s = conv_sizes(geometry.volumetric)
    cdef Grid grid = grid_of(&s)
    if direction.startswith("forward") and s.CG <= FEW_SOURCES and not can_be_read_in_place(&grid):
        return f"lays out the pixels of {s.CG} channels, for few operations"
    if direction == "backward_input" and not grid.dense and s.CG < MANY_TARGETS:
        return f"has to scatter {grid.P} pixels of an image among {s.ID * s.IH * s.IW} cells"
    if direction == "backward_weight" and SHORT_SUM <= grid.P <= LONG_SUM and s.CG * s.FG <= FEW_SUMS:
        return f"{s.CG * s.FG} sums of {grid.P} pixels of an image are few and short"
    return None
