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

VOLUMETRIC = True
DTYPE = np.float32              # the only one: problems in float64 are computed by variants that are there to be read

cdef enum:
    FEW_PIXELS = 256            # pixels of all images for which weights are not worth packing, at most
    PASS = 256                  # channels per pass over a panel, at most: what a pass reads stays in the caches
    BLOCK = 96                  # filters whose weights stay in the second cache while some panels go by, at most
    CHUNK = 256                 # pixels that a weight gradient adds up at a time, at most
    SUMS = 1024                 # the same with lanes that are pixels
    FEW_CHANNELS = 16           # channels or filters that are not worth a transposition
    MOST_LANES = 256            # channels or filters that a task transposes, at most
    LAID_NUMBERS = 1 << 20      # numbers of the channels and filters of such a chunk, at most
    PARTIAL_NUMBERS = 1 << 20   # numbers in the weight gradients of all shares of the batch, at most
    MOST_CHANNELS = 8192        # channels or filters of a group, at most: what is laid out of them

NUMBER = np.dtype(DTYPE)


cdef struct Plan:
    Grid grid
    Py_ssize_t G, M, K                      # groups; channels per group: of the target, and of the source, summed over
    Py_ssize_t row_step, k_step             # the weight of target i and source k is weight[i · row_step + k · k_step]
    bint in_place                           # the source is read where it stands
    Py_ssize_t row_blocks, passes
    Py_ssize_t groups                       # of pixels
    Py_ssize_t image_groups                 # those of an image, where none goes on with the next
    Py_ssize_t row_tasks, group_tasks


def forward(geometry,
            const float[:, :, :, :, ::1] x not None,       # IN  (N, IC, ID, IH, IW)
            const float[:, :, :, :, ::1] weight not None,  # IN  (OC, IC/G, 1, 1, 1)
            const float[::1] bias,                          # IN  (OC,) or None
            float[:, :, :, :, ::1] y not None,             # OUT (N, OC, OD, OH, OW)
            int n_threads):
    """Write y; one task per some groups of pixels, block of filters, and group."""
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
                       y.base.reshape(s.N, s.OC), &start[0, 0] if bias is not None else NULL, False, False, n_threads)
    elif one_matrix(&s, &grid):
        source_is_x(&grid)
        matrix = matrix_of(&grid, x, s.IC)
        result = y.base.reshape(s.OC, grid.P) if s.N == 1 else aligned(s.OC, matrix.shape[1], NUMBER)
        product[float](weight.base.reshape(s.OC, s.IC), False, matrix, False, result,
                       &start[0, 0] if bias is not None else NULL, True, False, n_threads)
        if s.N > 1:
            put(&grid, &result[0, 0], result.shape[1], s.OC, Range(0, s.OC), 0, s.N * grid.P, &y[0, 0, 0, 0, 0])
    else:
        convolve(&s, True, &x[0, 0, 0, 0, 0], &weight[0, 0, 0, 0, 0], &start[0, 0], &y[0, 0, 0, 0, 0], n_threads)


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
                 n_threads)


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
              float* target, int n_threads):
    """Write y, whose sums start from the bias, or grad_x, whose start from zeros."""
    cdef Plan p = plan_of(s, is_forward)
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


# backward_weight: grad_weight (filters × channels) = grad_y (filters × pixels) · x (channels × pixels)ᵀ

cdef struct Sum:
    Grid of_x, of_y
    Py_ssize_t G, CG, FG
    bint lanes_are_filters                  # grad_y is transposed, else x
    bint dots                               # nothing is: lanes are pixels
    bint laid_x, laid_y                     # an operand is laid out, else read in place
    Py_ssize_t chunks, image_chunks         # of pixels; those of an image, where none goes on with the next
    Py_ssize_t rows, lanes                  # filters or channels per group
    Py_ssize_t width                        # lanes, rounded up to whole vectors
    Py_ssize_t lane_tasks, shares           # tasks: parts of the lanes, shares of the chunks
    Py_ssize_t most_pixels, pitch           # of a chunk, and what is laid out of it
    bint in_step                            # tasks go through the chunks together


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
        for task in prange(p.shares * p.G * p.lane_tasks, nogil=True, schedule="dynamic", num_threads=n_threads):
            sum_share(&p, &grad_y[0, 0, 0, 0, 0], &x[0, 0, 0, 0, 0], &zeros[0, 0],
                      &partial[task // (p.G * p.lane_tasks), 0], task // (p.G * p.lane_tasks),
                      task // p.lane_tasks % p.G, task % p.lane_tasks, &tiles[threadid(), 0], &tiles[threadid(), laid],
                      &tiles[threadid(), transposed])
    for task in prange(p.G * p.lane_tasks, nogil=True, num_threads=n_threads):
        add_shares(&p, &partial[0, 0], partial.shape[1], task // p.lane_tasks, task % p.lane_tasks,
                   &grad_weight[0, 0, 0, 0, 0])


cdef Sum sum_of(ConvSizes* s) noexcept:
    cdef Sum p
    cdef Py_ssize_t most, tasks
    p.of_x = p.of_y = grid_of(s)
    source_is_x(&p.of_x)
    source_is_y(&p.of_y)
    p.G, p.CG, p.FG = s.G, s.CG, s.FG
    p.dots = min(s.CG, s.FG) < FEW_CHANNELS
    p.lanes_are_filters = s.FG < s.CG
    p.lanes, p.rows = (s.FG, s.CG) if p.lanes_are_filters else (s.CG, s.FG)
    p.width = round_up(p.lanes, vf_LANES)
    most = min(<Py_ssize_t> (SUMS if p.dots else CHUNK), LAID_NUMBERS // (s.CG + s.FG))
    # Large images are cut into chunks that are read in place, where neighbouring pixels are neighbours in memory.
    p.laid_y = p.of_y.P < most // 2
    p.laid_x = p.laid_y or p.of_x.gathers
    if p.laid_y:
        p.chunks = blocks(s.N * p.of_x.P, most)
        p.most_pixels = min(most, s.N * p.of_x.P)
    else:
        p.image_chunks = blocks(p.of_x.P, most)
        p.chunks = s.N * p.image_chunks
        p.most_pixels = blocks(p.of_x.P, p.image_chunks)
    p.pitch = round_up(p.most_pixels, vf_LANES)
    if p.pitch * <Py_ssize_t> sizeof(float) % 512 == 0:
        p.pitch += vf_LANES                                 # rows a power of two apart would share places in the caches
    p.lane_tasks = blocks(p.lanes, MOST_LANES)
    tasks = max(<Py_ssize_t> 1, min(<Py_ssize_t> TASKS, s.N * p.of_x.P * p.G * p.CG * p.FG // TASK_PRODUCTS))
    p.shares = max(<Py_ssize_t> 1, min(blocks(tasks, p.G * p.lane_tasks), p.chunks, PARTIAL_NUMBERS // (s.OC * s.CG)))
    while p.shares * p.G * p.lane_tasks < tasks and p.lanes >= 2 * p.lane_tasks * PANEL_VECTORS * vf_LANES:
        p.lane_tasks *= 2
    p.in_step = p.shares == p.G == 1 and p.lane_tasks > 1 and p.laid_y and p.laid_x and not p.dots
    if p.in_step and p.pitch < p.most_pixels + vf_LANES:
        p.pitch += vf_LANES                                 # `lay` writes whole vectors: not into rows of other threads
    return p


cdef inline Range lanes_of(Sum* p, Py_ssize_t part) noexcept nogil:
    """Whole vectors, all parts together."""
    cdef Range r = share(blocks(p.lanes, vf_LANES), p.lane_tasks, part)
    r.start, r.size = r.start * vf_LANES, min(r.size * vf_LANES, p.lanes - r.start * vf_LANES)
    return r


cdef inline Range chunk_of(Sum* p, Py_ssize_t chunk) noexcept nogil:
    cdef Range pixels
    if p.laid_y:
        return share(p.of_x.N * p.of_x.P, p.chunks, chunk)
    pixels = share(p.of_x.P, p.image_chunks, chunk % p.image_chunks)
    pixels.start += chunk // p.image_chunks * p.of_x.P
    return pixels


cdef struct Operand:                        # of a task: some channels of one of the two arrays
    const float* numbers                    # the first of them in the first image
    Grid* grid
    Py_ssize_t all_channels, channels
    bint laid


cdef const float* bring(Operand* o, Range pixels, float* to, Py_ssize_t* pitch) noexcept nogil:
    """The channels of an operand as rows of the pixels of a chunk, `pitch` apart."""
    cdef Py_ssize_t n = pixels.start // o.grid.P
    if not o.laid:
        pitch[0] = o.grid.source_cells
        return o.numbers + n * o.all_channels * o.grid.source_cells + pixels.start - n * o.grid.P
    lay(o.grid, o.numbers, o.all_channels, o.channels, pixels.start, pixels.size, round_up(pixels.size, vf_LANES), to,
        pitch[0])
    return to


cdef inline void expect(Operand* o, Range pixels, Ahead* ahead) noexcept nogil:
    look_ahead(ahead, o.grid, o.numbers, o.all_channels, o.channels, pixels.start, pixels.size)


cdef void sum_share(Sum* p, const float* grad_y, const float* x, const float* zeros, float* partial, Py_ssize_t part,
                    Py_ssize_t g, Py_ssize_t lane_part, float* laid_a, float* laid_b, float* panels) noexcept nogil:
    """Add up a share of the chunks: some lanes of a group's gradient, rows × lanes."""
    cdef Range chunks = share(p.chunks, p.shares, part), pixels
    cdef Operand rows = operand(p, grad_y, x, g, not p.lanes_are_filters, Range(0, p.rows))
    cdef const float* a
    cdef Py_ssize_t chunk, lda
    for chunk in range(chunks.start, chunks.start + chunks.size):
        pixels = chunk_of(p, chunk)
        lda = p.pitch
        a = bring(&rows, pixels, laid_a, &lda)
        add_chunk(p, grad_y, x, zeros, partial, chunks, chunk, g, lane_part, a, lda, laid_b, panels, True)


cdef sum_in_step(Sum* p, const float* grad_y, const float* x, const float* zeros, float* partial, float[:, ::1] tiles,
                 Py_ssize_t transposed, int n_threads):
    """The same for all chunks and lanes: of each chunk the rows are laid out by all threads, then each adds its lanes."""
    cdef float[:, ::1] laid = aligned(1, p.rows * p.pitch + vf_LANES, NUMBER)
    cdef Py_ssize_t chunk, i, task
    with nogil, parallel(num_threads=n_threads):
        for chunk in range(p.chunks):
            for i in prange(p.lane_tasks, schedule="static"):
                lay_rows(p, grad_y, x, chunk, i, p.lane_tasks, &laid[0, 0])
            for task in prange(p.lane_tasks, schedule="static"):
                add_chunk(p, grad_y, x, zeros, partial, Range(0, p.chunks), chunk, 0, task, &laid[0, 0], p.pitch,
                          &tiles[threadid(), 0], &tiles[threadid(), transposed], False)


cdef Operand operand(Sum* p, const float* grad_y, const float* x, Py_ssize_t g, bint filters, Range some) noexcept nogil:
    """Some filters of a group of grad_y, or channels of x."""
    if filters:
        return Operand(grad_y + (g * p.FG + some.start) * p.of_y.source_cells, &p.of_y, p.G * p.FG, some.size, p.laid_y)
    return Operand(x + (g * p.CG + some.start) * p.of_x.source_cells, &p.of_x, p.G * p.CG, some.size, p.laid_x)


cdef void add_chunk(Sum* p, const float* grad_y, const float* x, const float* zeros, float* partial, Range chunks,
                    Py_ssize_t chunk, Py_ssize_t g, Py_ssize_t lane_part, const float* a, Py_ssize_t lda, float* laid_b,
                    float* panels, bint rows_follow) noexcept nogil:
    """Add one of some chunks to some lanes; the rows are at hand, and those of the next are fetched, if they follow."""
    cdef Range lanes = lanes_of(p, lane_part), pixels = chunk_of(p, chunk), following, vectors
    cdef Operand rows = operand(p, grad_y, x, g, not p.lanes_are_filters, Range(0, p.rows))
    cdef Operand columns = operand(p, grad_y, x, g, p.lanes_are_filters, lanes)
    cdef const float* b
    cdef Py_ssize_t ldb = p.pitch, j, i, q, V = blocks(lanes.size, vf_LANES), parts = blocks(V, PANEL_VECTORS)
    cdef Ahead[2] ahead
    partial += g * p.rows * p.width + lanes.start
    b = bring(&columns, pixels, laid_b, &ldb)
    if p.dots:
        if chunk == chunks.start:
            for i in range(p.rows):
                memset(partial + i * p.width, 0, lanes.size * sizeof(float))
        add_dots(p.rows, lanes.size, round_up(pixels.size, vf_LANES) if p.laid_y else pixels.size, a, lda, b, ldb,
                 partial, p.width)
        return
    rest(&ahead[0], panels)
    rest(&ahead[1], panels)
    if chunk + 1 < chunks.start + chunks.size:
        following = chunk_of(p, chunk + 1)
        expect(&columns, following, &ahead[0])
        if rows_follow:
            expect(&rows, following, &ahead[1])
    for j in range(parts):
        vectors = share(V, parts, j)
        for q in range(vectors.size):
            i = min((vectors.start + q) * vf_LANES, lanes.size - vf_LANES)
            transpose(b + i * ldb, ldb, vf_LANES, pixels.size,
                      panels + vectors.start * vf_LANES * pixels.size + q * vf_LANES, vectors.size * vf_LANES)
    for j in range(parts):
        vectors = share(V, parts, j)
        sweep(p.rows, vectors.size, pixels.size, a, lda, 1, panels + vectors.start * vf_LANES * pixels.size,
              vectors.size * vf_LANES, (vectors.size - 1) * vf_LANES, zeros, partial + vectors.start * vf_LANES,
              p.width, (vectors.size - 1) * vf_LANES, chunk > chunks.start, ahead)


cdef void lay_rows(Sum* p, const float* grad_y, const float* x, Py_ssize_t chunk, Py_ssize_t part, Py_ssize_t parts,
                   float* laid) noexcept nogil:
    """Lay out a part of the rows of a chunk."""
    cdef Range some = share(p.rows, parts, part)
    cdef Operand rows = operand(p, grad_y, x, 0, not p.lanes_are_filters, some)
    cdef Py_ssize_t pitch = p.pitch
    bring(&rows, chunk_of(p, chunk), laid + some.start * p.pitch, &pitch)


cdef void add_shares(Sum* p, float* partial, Py_ssize_t step, Py_ssize_t g, Py_ssize_t lane_part,
                     float* grad_weight) noexcept nogil:
    """Bring the sum of all shares to where it belongs; the last vector of lanes overlaps the one before."""
    cdef Range lanes = lanes_of(p, lane_part)
    cdef Py_ssize_t i, j, n, q, lane, padded = round_up(lanes.size, vf_LANES)
    cdef Py_ssize_t W = min(<Py_ssize_t> vf_LANES, lanes.size)
    cdef float* row
    partial += g * p.rows * p.width + lanes.start
    grad_weight += g * p.CG * p.FG
    for i in range(p.rows):
        row = partial + i * p.width
        for n in range(1, p.shares):
            for j in range(padded):
                row[j] += row[n * step + j]
    for q in range(blocks(lanes.size, vf_LANES)):
        lane = min(q * vf_LANES, lanes.size - W)
        row = partial + (lane if p.dots else q * vf_LANES)
        lane += lanes.start
        if p.lanes_are_filters:
            transpose(row, p.width, p.rows, W, grad_weight + lane * p.CG, p.CG)
        else:
            for i in range(p.rows):
                memcpy(grad_weight + i * p.lanes + lane, row + i * p.width, W * sizeof(float))


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
