"""Convolution as matrix products: a tile of the input becomes columns (one per output pixel, one row per filter tap).

Pixels are counted through the whole batch, so that a tile is full whatever the size of an image; a tile stays in the
second-level cache, whatever the size of the problem. `columns_of` lays a tile out, `add_columns` adds one back onto
the images; between them stands the micro-kernel of gemm_tile.
"""

from cython.parallel cimport prange, threadid
from libc.string cimport memcpy, memset

from convcore.kernels.common cimport CONSTANT, ConvSizes, conv_sizes, end_inside, first_inside, floating, source_cell
from convcore.kernels.buffers import aligned, own_pages

include "gemm_tile.pxi"

VOLUMETRIC = True

cdef enum:
    TAPS = 256              # rows of columns in a tile, at most
    FILTERS = 512           # filters that a tile is multiplied with at a time
    PIXELS = 1024           # columns in a tile, at most
    TILE_NUMBERS = 98304    # numbers in a tile and its product: less than half of a 1 MiB cache in float32
    PATCH_NUMBERS = 262144  # padded cells of a plane that a tile reads, at most, where patterns stand around the image
    PARTIAL_NUMBERS = 524288    # numbers in the weight gradients of all shares of the pixels, at most
    TASKS = 16              # blocks to cut a problem into where it is large enough, whatever the number of threads


cdef Py_ssize_t tile_pixels(ConvSizes* s, Py_ssize_t rows, Py_ssize_t other_tasks) noexcept:
    """How many pixels make a tile: as many as the cache holds, fewer where too few tasks would come of it.

    Whole images if they fit, else whole planes, else whole rows, else whatever does: tiles then begin and end where
    copying is easy.
    """
    cdef Py_ssize_t pixels = s.N * s.OD * s.OH * s.OW, unit = s.OD * s.OH * s.OW
    cdef Py_ssize_t most = min(<Py_ssize_t> PIXELS, <Py_ssize_t> TILE_NUMBERS // rows)
    cdef Py_ssize_t tiles = max(blocks(pixels, most), blocks(TASKS, other_tasks))
    most = max(<Py_ssize_t> 64, blocks(pixels, tiles))
    if unit > most:
        unit = s.OH * s.OW
    if unit > most:
        unit = s.OW
    return max(<Py_ssize_t> 1, most // unit) * unit if unit <= most else most


# forward: y tile (filters × pixels) = weight (filters × taps) · columns (taps × pixels)

def forward(geometry,
            const floating[:, :, :, :, ::1] x not None,        # IN  (N, IC, ID, IH, IW)
            const floating[:, :, :, :, ::1] weight not None,   # IN  (OC, IC/G, KD, KH, KW)
            const floating[::1] bias,                           # IN  (OC,) or None
            floating[:, :, :, :, ::1] y not None,              # OUT (N, OC, OD, OH, OW)
            int n_threads):
    """Write y; one task per tile of pixels, group and block of filters."""
    cdef ConvSizes s = conv_sizes(geometry)
    cdef Py_ssize_t taps = s.CG * s.KD * s.KH * s.KW, pixels = s.N * s.OD * s.OH * s.OW
    cdef Py_ssize_t KC = min(taps, <Py_ssize_t> TAPS), FC = min(s.FG, <Py_ssize_t> FILTERS)
    cdef Py_ssize_t filter_blocks = blocks(s.FG, FC)
    cdef Py_ssize_t PC = tile_pixels(&s, KC + FC, s.G * filter_blocks)
    cdef Py_ssize_t tiles = blocks(pixels, PC)
    dtype = y.base.dtype
    cdef floating[:, ::1] packed = aligned(1, s.OC * taps, dtype)
    cdef floating[:, ::1] columns = aligned(n_threads * KC, PC, dtype)
    cdef floating[:, ::1] product = aligned(n_threads * FC, PC, dtype)
    cdef floating[:, ::1] patches = own_pages(n_threads, wanted_patch(&s, PC), dtype)
    cdef bint patched = patches.shape[1] > 0
    cdef const floating* b = &bias[0] if bias is not None else NULL
    cdef Py_ssize_t task, g, f, r, block_f, block_r
    for g in range(s.G):
        for block_f in range(blocks(s.FG, FC)):
            f = block_f * FC
            for block_r in range(blocks(taps, KC)):
                r = block_r * KC
                pack(&weight[g * s.FG + f, 0, 0, 0, 0] + r, taps, 1, min(FC, s.FG - f), min(KC, taps - r),
                     TILE_ROWS[HIGH_VECTORS], &packed[0, (g * s.FG + f) * taps + r * min(FC, s.FG - f)])
    for task in prange(tiles * s.G * filter_blocks, nogil=True, schedule="dynamic", num_threads=n_threads):
        forward_tile(&s, &x[0, 0, 0, 0, 0], &packed[0, 0], b, &y[0, 0, 0, 0, 0], task // (s.G * filter_blocks) * PC, PC,
                     (task // filter_blocks) % s.G, (task % filter_blocks) * FC, FC, KC,
                     &columns[threadid() * KC, 0], &product[threadid() * FC, 0], columns.shape[1],
                     &patches[threadid(), 0] if patched else NULL)


cdef void forward_tile(ConvSizes* s, const floating* x, const floating* packed, const floating* bias, floating* y,
                       Py_ssize_t q0, Py_ssize_t PC, Py_ssize_t g, Py_ssize_t f0, Py_ssize_t FC, Py_ssize_t KC,
                       floating* columns, floating* product, Py_ssize_t pitch,
                       floating* patch) noexcept nogil:
    cdef Py_ssize_t P = s.OD * s.OH * s.OW, taps = s.CG * s.KD * s.KH * s.KW
    cdef Py_ssize_t count = min(PC, s.N * P - q0), filters = min(FC, s.FG - f0)
    cdef Py_ssize_t r, block_r, q, n, p, run, f, j, k
    cdef floating* target
    cdef floating* source
    packed += (g * s.FG + f0) * taps
    for block_r in range(blocks(taps, KC)):
        r = block_r * KC
        columns_of(s, x, g, r, min(KC, taps - r), q0, count, columns, pitch, patch)
        multiply(filters, count, min(KC, taps - r), packed + r * filters, PANELS, PANELS, columns, pitch, HIGH_VECTORS,
                 product, pitch, r > 0)
    q = q0
    while q < q0 + count:                                   # image by image
        n = q // P
        p = q - n * P
        run = min(P - p, q0 + count - q)
        for f in range(filters):
            k = g * s.FG + f0 + f
            target = y + (n * s.OC + k) * P + p
            source = product + f * pitch + (q - q0)
            if bias != NULL:
                for j in range(run):
                    target[j] = source[j] + bias[k]
            else:
                copy(source, target, run)
        q += run


# backward_input: columns (taps × pixels) = weightᵀ (taps × filters) · grad_y tile (filters × pixels), added to grad_x

def backward_input(geometry,
                   const floating[:, :, :, :, ::1] grad_y not None,    # IN  (N, OC, OD, OH, OW)
                   const floating[:, :, :, :, ::1] weight not None,    # IN  (OC, IC/G, KD, KH, KW)
                   floating[:, :, :, :, ::1] grad_x not None,          # OUT (N, IC, ID, IH, IW)
                   int n_threads):
    """Write grad_x; one task per few images, group and block of channels, so that no two add to the same cell."""
    cdef ConvSizes s = conv_sizes(geometry)
    cdef Py_ssize_t P = s.OD * s.OH * s.OW, cells = s.KD * s.KH * s.KW, taps = s.CG * cells
    cdef Py_ssize_t CB = max(<Py_ssize_t> 1, min(s.CG, TAPS // cells))          # channels of a task
    cdef Py_ssize_t KC = min(CB * cells, <Py_ssize_t> TAPS), FC = min(s.FG, <Py_ssize_t> FILTERS)
    cdef Py_ssize_t channel_blocks = blocks(s.CG, CB)
    cdef Py_ssize_t PC = tile_pixels(&s, KC + FC, s.G * channel_blocks)
    cdef Py_ssize_t images = max(<Py_ssize_t> 1, PC // P)                       # images of a task
    cdef Py_ssize_t image_blocks = blocks(s.N, images)
    dtype = grad_x.base.dtype
    cdef floating[:, ::1] packed = aligned(1, s.OC * taps, dtype)
    cdef floating[:, ::1] columns = aligned(n_threads * KC, PC, dtype)
    cdef floating[:, ::1] gradients = aligned(n_threads * FC, PC, dtype)
    cdef floating[:, ::1] patches = own_pages(n_threads, wanted_patch(&s, PC), dtype)
    cdef bint patched = patches.shape[1] > 0
    cdef Py_ssize_t task, g, c, r, f, end, block_c, block_r, block_f
    for g in range(s.G):
        for block_c in range(blocks(s.CG, CB)):
            c = block_c * CB
            end = min(c + CB, s.CG) * cells
            for block_r in range(blocks(end - c * cells, KC)):
                r = c * cells + block_r * KC
                for block_f in range(blocks(s.FG, FC)):
                    f = block_f * FC
                    pack(&weight[g * s.FG + f, 0, 0, 0, 0] + r, 1, taps, min(KC, end - r), min(FC, s.FG - f),
                         TILE_ROWS[HIGH_VECTORS], &packed[0, g * s.FG * taps + r * s.FG + f * min(KC, end - r)])
    for task in prange(image_blocks * s.G * channel_blocks, nogil=True, schedule="dynamic", num_threads=n_threads):
        backward_input_images(&s, &grad_y[0, 0, 0, 0, 0], &packed[0, 0], &grad_x[0, 0, 0, 0, 0],
                              task // (s.G * channel_blocks) * images, images, (task // channel_blocks) % s.G,
                              (task % channel_blocks) * CB, CB, PC, KC, FC,
                              &columns[threadid() * KC, 0], &gradients[threadid() * FC, 0], columns.shape[1],
                              &patches[threadid(), 0] if patched else NULL)


cdef void backward_input_images(ConvSizes* s, const floating* grad_y, const floating* packed, floating* grad_x,
                                Py_ssize_t n0, Py_ssize_t images, Py_ssize_t g, Py_ssize_t c0, Py_ssize_t CB,
                                Py_ssize_t PC, Py_ssize_t KC, Py_ssize_t FC,
                                floating* columns, floating* gradients, Py_ssize_t pitch,
                                floating* patch) noexcept nogil:
    cdef Py_ssize_t P = s.OD * s.OH * s.OW, cells = s.KD * s.KH * s.KW, taps = s.CG * cells
    cdef Py_ssize_t q0, q1, count, r, f, rows, filters, n, block_q0, block_r, block_f
    cdef Py_ssize_t channels = min(CB, s.CG - c0), r_end = (c0 + channels) * cells
    images = min(images, s.N - n0)
    for n in range(n0, n0 + images):
        memset(grad_x + (n * s.IC + g * s.CG + c0) * s.ID * s.IH * s.IW, 0, channels * s.ID * s.IH * s.IW * sizeof(floating))
    packed += g * s.FG * taps
    q1 = (n0 + images) * P
    for block_q0 in range(blocks(q1 - n0 * P, PC)):
        q0 = n0 * P + block_q0 * PC
        count = min(PC, q1 - q0)
        for block_r in range(blocks(r_end - c0 * cells, KC)):
            r = c0 * cells + block_r * KC
            rows = min(KC, r_end - r)
            for block_f in range(blocks(s.FG, FC)):
                f = block_f * FC
                filters = min(FC, s.FG - f)
                if r == c0 * cells or s.FG > FC:            # else they still lie there
                    gradients_of(s, grad_y, g * s.FG + f, filters, q0, count, gradients, pitch)
                multiply(rows, count, filters, packed + r * s.FG + f * rows, PANELS, PANELS, gradients, pitch, HIGH_VECTORS,
                         columns, pitch, f > 0)
            add_columns(s, columns, pitch, g, r, rows, q0, count, grad_x, patch)


# backward_weight: grad_weight (filters × taps) += grad_y tile (filters × pixels) · columns (taps × pixels)ᵀ

def backward_weight(geometry,
                    const floating[:, :, :, :, ::1] grad_y not None,       # IN  (N, OC, OD, OH, OW)
                    const floating[:, :, :, :, ::1] x not None,            # IN  (N, IC, ID, IH, IW)
                    floating[:, :, :, :, ::1] grad_weight not None,        # OUT (OC, IC/G, KD, KH, KW)
                    int n_threads):
    """Write grad_weight; one task per share of the pixels, group and block of taps; shares are added up in order."""
    cdef ConvSizes s = conv_sizes(geometry)
    cdef Py_ssize_t taps = s.CG * s.KD * s.KH * s.KW, pixels = s.N * s.OD * s.OH * s.OW
    cdef Py_ssize_t KC = min(taps, <Py_ssize_t> TAPS), FC = min(s.FG, <Py_ssize_t> FILTERS)
    cdef Py_ssize_t tap_blocks = blocks(taps, KC)
    cdef Py_ssize_t PC = tile_pixels(&s, KC + FC, s.G * tap_blocks)
    cdef Py_ssize_t tiles = blocks(pixels, PC)
    cdef Py_ssize_t shares = min(tiles, TASKS // (s.G * tap_blocks), PARTIAL_NUMBERS // (s.OC * taps))
    cdef Py_ssize_t share_pixels = blocks(tiles, max(<Py_ssize_t> 1, shares)) * PC
    shares = blocks(pixels, share_pixels)
    dtype = grad_weight.base.dtype
    cdef floating[:, ::1] columns = aligned(n_threads * KC, PC, dtype)
    cdef floating[:, ::1] gradients = aligned(n_threads * FC, PC, dtype)
    cdef floating[:, ::1] patches = own_pages(n_threads, wanted_patch(&s, PC), dtype)
    cdef bint patched = patches.shape[1] > 0
    cdef floating[:, ::1] partial = aligned(shares - 1, s.OC * taps, dtype)        # the first share needs none
    cdef floating* total = &grad_weight[0, 0, 0, 0, 0]
    cdef Py_ssize_t task, share, j
    for task in prange(shares * s.G * tap_blocks, nogil=True, schedule="dynamic", num_threads=n_threads):
        share = task // (s.G * tap_blocks)
        backward_weight_share(&s, &grad_y[0, 0, 0, 0, 0], &x[0, 0, 0, 0, 0],
                              total if share == 0 else &partial[share - 1, 0], share * share_pixels, share_pixels, (task // tap_blocks) % s.G,
                              (task % tap_blocks) * KC, PC, KC, FC,
                              &columns[threadid() * KC, 0], &gradients[threadid() * FC, 0], columns.shape[1],
                              &patches[threadid(), 0] if patched else NULL)
    for share in range(shares - 1):
        for j in range(s.OC * taps):
            total[j] += partial[share, j]


cdef void backward_weight_share(ConvSizes* s, const floating* grad_y, const floating* x, floating* partial,
                                Py_ssize_t q_start, Py_ssize_t share_pixels, Py_ssize_t g, Py_ssize_t r, Py_ssize_t PC,
                                Py_ssize_t KC, Py_ssize_t FC,
                                floating* columns, floating* gradients, Py_ssize_t pitch,
                                floating* patch) noexcept nogil:
    cdef Py_ssize_t taps = s.CG * s.KD * s.KH * s.KW, W = lanes(columns)
    cdef Py_ssize_t q_end = min(q_start + share_pixels, s.N * s.OD * s.OH * s.OW), q, f, count, filters, block_q, block_f
    cdef Py_ssize_t rows = min(KC, taps - r)
    for f in range(s.FG):
        memset(partial + (g * s.FG + f) * taps + r, 0, rows * sizeof(floating))
    for block_q in range(blocks(q_end - q_start, PC)):
        q = q_start + block_q * PC
        count = min(PC, q_end - q)
        columns_of(s, x, g, r, rows, q, count, columns, pitch, patch)
        clear_tail(columns, rows, count, round_up(count, W), pitch)
        for block_f in range(blocks(s.FG, FC)):
            f = block_f * FC
            filters = min(FC, s.FG - f)
            gradients_of(s, grad_y, g * s.FG + f, filters, q, count, gradients, pitch)
            clear_tail(gradients, filters, count, round_up(count, W), pitch)
            add_dots(filters, rows, round_up(count, W), gradients, pitch, columns, pitch,
                     partial + (g * s.FG + f) * taps + r, taps)


cdef void clear_tail(floating* tile, Py_ssize_t rows, Py_ssize_t count, Py_ssize_t end, Py_ssize_t pitch) noexcept nogil:
    """Zeros behind the last pixel of a tile, up to a whole vector."""
    cdef Py_ssize_t i, j
    for i in range(rows):
        for j in range(count, end):
            tile[i * pitch + j] = 0


# laying out tiles

cdef void gradients_of(ConvSizes* s, const floating* grad_y, Py_ssize_t k0, Py_ssize_t filters, Py_ssize_t q0,
                       Py_ssize_t count, floating* tile, Py_ssize_t pitch) noexcept nogil:
    """tile[f, j] = grad_y of filter k0 + f at pixel q0 + j."""
    cdef Py_ssize_t P = s.OD * s.OH * s.OW, q = q0, n, p, run, f
    while q < q0 + count:
        n = q // P
        p = q - n * P
        run = min(P - p, q0 + count - q)
        for f in range(filters):
            copy(grad_y + (n * s.OC + k0 + f) * P + p, tile + f * pitch + (q - q0), run)
        q += run


cdef void columns_of(ConvSizes* s, const floating* x, Py_ssize_t g, Py_ssize_t r0, Py_ssize_t rows, Py_ssize_t q0,
                     Py_ssize_t count, floating* columns, Py_ssize_t pitch, floating* patch) noexcept nogil:
    """columns[r, j] = the cell of the padded input that tap r0 + r reads for pixel q0 + j."""
    cdef Tap[TAPS] taps
    cdef Block block
    cdef Window window
    cdef Patch around
    cdef Py_ssize_t r, q = 0, width, depth
    cdef floating padding = <floating> s.padding_value
    cdef const floating* plane
    cdef floating* target
    for r in range(rows):
        taps[r] = tap_of(s, r0 + r)
    while q < count:
        block = block_of(s, q0 + q, count - q)
        width = block.width
        around = patch_of(s, &block)
        for r in range(rows):
            target = columns + r * pitch + q
            depth = source_cell(block.od * s.SD + taps[r].depth, s.ID, s.mode)
            if depth < 0:
                fill(target, block.height * width, padding)
                continue
            plane = x + plane_of(s, block.n, g, taps[r].channel, depth)
            if patch == NULL:
                window = window_of(&block, &taps[r])
                fill(target, window.top * width, padding)
                copy_rows(plane + origin_of(s, &block, &taps[r]), s.SH * s.IW, s.SW, &window, target, width, padding)
                fill(target + window.bottom * width, (block.height - window.bottom) * width, padding)
            else:
                if r == 0 or another_plane(&taps[r - 1], &taps[r]):
                    read_patch(s, plane, &around, patch)
                window = whole(&block)
                copy_rows(patch + place_of(s, &around, &taps[r]), s.SH * around.pitch, 1, &window, target, width,
                          padding)
        q += block.height * width


cdef inline void copy_rows(const floating* source, Py_ssize_t row_step, Py_ssize_t step, Window* window,
                           floating* target, Py_ssize_t width, floating padding) noexcept nogil:
    """Copy what a tap reads inside the window, with a constant beside it; the block's first output reads the source."""
    cdef Py_ssize_t i
    source += window.top * row_step + window.left * step
    target += window.top * width
    for i in range(window.bottom - window.top):
        fill(target, window.left, padding)
        if step == 1:
            copy(source, target + window.left, window.right - window.left)
        else:
            gather(source, step, target + window.left, window.right - window.left)
        fill(target + window.right, width - window.right, padding)
        source += row_step
        target += width


cdef void add_columns(ConvSizes* s, const floating* columns, Py_ssize_t pitch, Py_ssize_t g, Py_ssize_t r0,
                      Py_ssize_t rows, Py_ssize_t q0, Py_ssize_t count, floating* grad_x, floating* patch) noexcept nogil:
    """Add columns[r, j] to the input cell that tap r0 + r reads for pixel q0 + j: `columns_of` backward."""
    cdef Tap[TAPS] taps
    cdef Block block
    cdef Window window
    cdef Patch around
    cdef Py_ssize_t r, q = 0, depth
    cdef const floating* source
    cdef floating* plane
    for r in range(rows):
        taps[r] = tap_of(s, r0 + r)
    while q < count:
        block = block_of(s, q0 + q, count - q)
        around = patch_of(s, &block)
        for r in range(rows):
            depth = source_cell(block.od * s.SD + taps[r].depth, s.ID, s.mode)
            if depth < 0:
                continue
            source = columns + r * pitch + q
            plane = grad_x + plane_of(s, block.n, g, taps[r].channel, depth)
            if patch == NULL:
                window = window_of(&block, &taps[r])
                add_rows(source, block.width, &window, plane + origin_of(s, &block, &taps[r]), s.SH * s.IW, s.SW)
            else:
                if r == 0 or another_plane(&taps[r - 1], &taps[r]):
                    memset(patch, 0, around.height * around.pitch * sizeof(floating))
                window = whole(&block)
                add_rows(source, block.width, &window, patch + place_of(s, &around, &taps[r]), s.SH * around.pitch, 1)
                if r == rows - 1 or another_plane(&taps[r], &taps[r + 1]):
                    add_patch(s, patch, &around, plane)
        q += block.height * block.width


cdef inline void add_rows(const floating* source, Py_ssize_t width, Window* window, floating* target,
                          Py_ssize_t row_step, Py_ssize_t step) noexcept nogil:
    """Add what was read inside the window to where it was read, which for the block's first output is the target."""
    cdef Py_ssize_t i, j, count = window.right - window.left
    source += window.top * width + window.left
    target += window.top * row_step + window.left * step
    for i in range(window.bottom - window.top):
        if step == 1:
            for j in range(count):
                target[j] += source[j]
        else:
            for j in range(count):
                target[j * step] += source[j]
        source += width
        target += row_step


cdef inline Py_ssize_t origin_of(ConvSizes* s, Block* block, Tap* tap) noexcept nogil:
    """The place in a plane of what a tap reads for the first output of a block; may lie outside."""
    return (block.oh * s.SH + tap.row) * s.IW + block.ow * s.SW + tap.column


# Where patterns stand around the image, or the stride is above 1, cells are read through a patch: the part of one
# padded plane that a block of outputs reads. It is laid out once for all the taps of a plane, so that their rows have
# no borders any more, and no gaps: the cells that one tap reads in a row, SW apart, stand side by side. Column p of a
# row is found at [p % SW, p // SW].

cdef struct Patch:
    Py_ssize_t row, column                  # of the image, where the patch begins; may lie outside
    Py_ssize_t height, phases, length       # rows; in each, how many p % SW and p // SW there are
    Py_ssize_t pitch                        # numbers in a row


cdef inline Patch patch_of(ConvSizes* s, Block* block) noexcept nogil:
    cdef Patch patch
    cdef Py_ssize_t width = (block.width - 1) * s.SW + (s.KW - 1) * s.DW + 1
    patch.row, patch.column = block.oh * s.SH - s.top, block.ow * s.SW - s.left
    patch.height = (block.height - 1) * s.SH + (s.KH - 1) * s.DH + 1
    patch.phases = min(s.SW, width)
    patch.length = (width + s.SW - 1) // s.SW
    patch.pitch = patch.phases * patch.length
    return patch


cdef inline Py_ssize_t place_of(ConvSizes* s, Patch* patch, Tap* tap) noexcept nogil:
    """The place in a patch of what a tap reads for the first output of the block."""
    cdef Py_ssize_t column = tap.column + s.left
    return (tap.row + s.top) * patch.pitch + column % s.SW * patch.length + column // s.SW


cdef Py_ssize_t patch_numbers(ConvSizes* s, Py_ssize_t PC) noexcept:
    """How many numbers the largest patch of a tile of PC pixels holds."""
    cdef Block block
    cdef Patch patch
    block.oh = block.ow = 0
    block.height, block.width = max(<Py_ssize_t> 1, min(s.OH, PC // s.OW)), min(s.OW, PC)
    patch = patch_of(s, &block)
    return patch.height * patch.pitch


cdef Py_ssize_t wanted_patch(ConvSizes* s, Py_ssize_t PC) noexcept:
    """How many numbers a patch needs, 0 where a plane is better read as it is."""
    cdef Py_ssize_t numbers = patch_numbers(s, PC)
    if s.mode == CONSTANT and (s.SW == 1 or s.KH * s.KW == 1 or numbers > PATCH_NUMBERS):
        return 0
    return numbers


def supports(direction, geometry, dtype, level):
    """Refuse a patch that would not stay in the cache, because strides or dilations are large."""
    if geometry.padding_mode == CONSTANT:
        return None
    cdef ConvSizes s = conv_sizes(geometry.volumetric)
    cdef Py_ssize_t numbers = patch_numbers(&s, PIXELS)
    if numbers <= PATCH_NUMBERS:
        return None
    return f"a tile would read {numbers} padded cells of a plane, more than {PATCH_NUMBERS}"


cdef inline bint another_plane(Tap* one, Tap* other) noexcept nogil:
    return one.channel != other.channel or one.depth != other.depth


cdef inline Window whole(Block* block) noexcept nogil:
    """All outputs of a block: a patch has no outside."""
    cdef Window w
    w.top, w.bottom, w.left, w.right = 0, block.height, 0, block.width
    return w


cdef void read_patch(ConvSizes* s, const floating* plane, Patch* around, floating* patch) noexcept nogil:
    cdef Py_ssize_t i, j, row, phase, column, left, right
    cdef floating padding = <floating> s.padding_value
    cdef const floating* source
    for i in range(around.height):
        row = source_cell(around.row + i, s.IH, s.mode)
        if row < 0:
            fill(patch, around.pitch, padding)
            patch += around.pitch
            continue
        source = plane + row * s.IW
        for phase in range(around.phases):
            column = around.column + phase
            left = min(first_inside(column, s.SW), around.length)
            right = max(left, end_inside(column, s.SW, s.IW, around.length))
            if s.mode == CONSTANT:
                fill(patch, left, padding)
                fill(patch + right, around.length - right, padding)
            else:
                for j in range(left):
                    patch[j] = source[source_cell(column + j * s.SW, s.IW, s.mode)]
                for j in range(right, around.length):
                    patch[j] = source[source_cell(column + j * s.SW, s.IW, s.mode)]
            if s.SW == 1:
                copy(source + column + left, patch + left, right - left)
            else:
                gather(source + column + left * s.SW, s.SW, patch + left, right - left)
            patch += around.length


cdef void add_patch(ConvSizes* s, const floating* patch, Patch* around, floating* plane) noexcept nogil:
    """Add a patch to the cells that it repeats: `read_patch` backward."""
    cdef Py_ssize_t i, j, row, phase, column, left, right
    cdef floating* target
    for i in range(around.height):
        row = source_cell(around.row + i, s.IH, s.mode)
        if row < 0:
            patch += around.pitch
            continue
        target = plane + row * s.IW
        for phase in range(around.phases):
            column = around.column + phase
            left = min(first_inside(column, s.SW), around.length)
            right = max(left, end_inside(column, s.SW, s.IW, around.length))
            if s.SW == 1:
                for j in range(left, right):
                    target[column + j] += patch[j]
            else:
                for j in range(left, right):
                    target[column + j * s.SW] += patch[j]
            if s.mode != CONSTANT:
                for j in range(left):
                    target[source_cell(column + j * s.SW, s.IW, s.mode)] += patch[j]
                for j in range(right, around.length):
                    target[source_cell(column + j * s.SW, s.IW, s.mode)] += patch[j]
            patch += around.length


cdef struct Window:
    Py_ssize_t top, bottom, left, right     # outputs that read inside the image; ends not included


cdef struct Tap:
    Py_ssize_t channel                      # of the group
    Py_ssize_t depth, row, column           # the input cell that output (0, 0, 0) reads; may lie outside
    Window inside


cdef inline Tap tap_of(ConvSizes* s, Py_ssize_t r) noexcept nogil:
    """Tap number r of a group: channels, then the filter's depth, rows and columns."""
    cdef Tap tap
    cdef Py_ssize_t cell = r % (s.KD * s.KH * s.KW)
    tap.channel = r // (s.KD * s.KH * s.KW)
    tap.depth = cell // (s.KH * s.KW) * s.DD - s.front
    tap.row = cell // s.KW % s.KH * s.DH - s.top
    tap.column = cell % s.KW * s.DW - s.left
    tap.inside.top = first_inside(tap.row, s.SH)
    tap.inside.bottom = end_inside(tap.row, s.SH, s.IH, s.OH)
    tap.inside.left = first_inside(tap.column, s.SW)
    tap.inside.right = end_inside(tap.column, s.SW, s.IW, s.OW)
    return tap


cdef struct Block:
    Py_ssize_t n, od, oh, ow                # image, first output plane, row and column
    Py_ssize_t height, width                # output rows and columns


cdef inline Block block_of(ConvSizes* s, Py_ssize_t q, Py_ssize_t count) noexcept nogil:
    """The pixels from q, counted through the batch, that lie in one rectangle: rows of a plane, or part of a row."""
    cdef Block block
    block.n = q // (s.OD * s.OH * s.OW)
    block.od = q // (s.OH * s.OW) % s.OD
    block.oh = q // s.OW % s.OH
    block.ow = q % s.OW
    if block.ow > 0 or count < s.OW:
        block.height, block.width = 1, min(s.OW - block.ow, count)
    else:
        block.height, block.width = min(s.OH - block.oh, count // s.OW), s.OW
    return block


cdef inline Window window_of(Block* block, Tap* tap) noexcept nogil:
    """The part of a block for which a tap reads inside the image, counted from the block's first row and column."""
    cdef Window w
    w.top = min(max(tap.inside.top - block.oh, 0), block.height)
    w.bottom = max(w.top, min(tap.inside.bottom - block.oh, block.height))
    w.left = min(max(tap.inside.left - block.ow, 0), block.width)
    w.right = max(w.left, min(tap.inside.right - block.ow, block.width))
    return w


cdef inline Py_ssize_t plane_of(ConvSizes* s, Py_ssize_t n, Py_ssize_t g, Py_ssize_t channel,
                                Py_ssize_t depth) noexcept nogil:
    """The place of an input plane in the whole input."""
    return (((n * s.IC + g * s.CG + channel) * s.ID) + depth) * s.IH * s.IW


cdef inline void fill(floating* target, Py_ssize_t count, floating value) noexcept nogil:
    cdef Py_ssize_t j
    for j in range(count):
        target[j] = value


cdef inline void gather(const floating* source, Py_ssize_t step, floating* target, Py_ssize_t count) noexcept nogil:
    cdef Py_ssize_t j
    for j in range(count):
        target[j] = source[j * step]


cdef inline void copy(const floating* source, floating* target, Py_ssize_t count) noexcept nogil:
    """Copy a short row: whole chunks, then one chunk that ends with the row and overlaps the last.

    Sizes that the compiler knows become single moves; a call of memcpy per row of 28 costs three times as much.
    """
    cdef Py_ssize_t size = count * sizeof(floating), done = 0
    cdef const char* a = <const char*> source
    cdef char* b = <char*> target
    if size >= 64:
        while done + 64 <= size:
            memcpy(b + done, a + done, 64)
            done += 64
        memcpy(b + size - 64, a + size - 64, 64)
    elif size >= 32:
        memcpy(b, a, 32)
        memcpy(b + size - 32, a + size - 32, 32)
    elif size >= 16:
        memcpy(b, a, 16)
        memcpy(b + size - 16, a + size - 16, 16)
    else:
        memcpy(b, a, size)
