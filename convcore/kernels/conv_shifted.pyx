"""Convolution by shifted copies: every filter tap reads contiguous numbers, whatever the stride, dilation and padding.

A task lays out a band of one image's rows, one copy per column of the filter (conv_patch.pxi), so that the pixels of
the band are one long row in which images narrower than a vector fill it, too. The loops are over blocks of such pixels,
panels of filters, and in the micro-kernels (shifted_tile.pxi.tp) over the taps. The input gradient is the same for the
filter turned round, one such convolution for each remainder of the stride; nothing is multiplied with inserted zeros.
"""

from cython.parallel cimport prange, threadid
from libc.string cimport memcpy, memset

from cython cimport floating
from convcore.kernels.common cimport CONSTANT, ConvSizes, conv_sizes, end_inside, first_inside, folds, not_pooled, source_cell
from convcore.kernels.pool_sizes cimport Limits, PoolSizes, end_of, find_limits, first_of, in_quads
from convcore.kernels.relu cimport apply_relu
from convcore.kernels.buffers import aligned, own_pages

import numpy as np

include "shifted_tile.pxi"
include "conv_patch.pxi"
include "conv_plan.pxi"
include "pool_rows.pxi"
include "forward_directions.pxi"

VOLUMETRIC = True
DTYPE = np.float32              # the only one: problems in float64 are computed by variants that are there to be read
MASK = np.dtype(np.intc)

cdef enum:
    PARTIAL_NUMBERS = 1310720   # numbers in the weight gradients of all shares of the batch, at most
    TOTAL_NUMBERS = 131072      # running sums of a weight gradient in a task, at most
    PASS = 128                  # taps summed between two visits of an output: their pixels fit the nearest cache
    CHUNK = 128                 # pixels whose gradients are transposed at a time
    POOL_SLACK = 64             # numbers behind rows that pooling may read
    WEIGHT_FILTERS = 256        # filters whose weight gradients a task computes, at most: whole vectors


# masks: where a shifted line still is that line (conv_patch.pxi, lay_shifted)

cdef bint same_lines(Axis* A, Axis* B, Axis* C, int mode, float value) noexcept nogil:
    """Whether copies are the image as it lies in memory, shifted by less than a line, with zeros around it."""
    return (mode == CONSTANT and value == 0 and A.step == 1 and A.copies == 1 and B.size * B.count * B.copies == 1
            and C.step == 1 and C.count == C.size)


cdef Py_ssize_t mask_numbers(Plan* f) noexcept nogil:
    """How long the masks of `fill_masks` are, 0 where none are needed."""
    return f.C.copies * (f.C.size + vf_LANES) if same_lines(&f.A, &f.B, &f.C, f.mode, f.value) else 0


cdef void fill_masks(Axis* C) noexcept nogil:
    cdef Py_ssize_t c, i, pitch = C.size + vf_LANES
    for c in range(C.copies):
        for i in range(pitch):
            C.masks[c * pitch + i] = -1 if 0 <= i % C.size + C.starts[c] < C.size else 0


# the product of a patch and the weights

cdef void pack(Plan* f, const float* weight, Py_ssize_t filter_step, Py_ssize_t taps, const Py_ssize_t* where,
               Py_ssize_t panel, float* packed) noexcept nogil:
    """Weights of a panel of filters for `taps` taps in the order in which `correlate` reads them: [pass][panel][tap].

    The weight of filter k and tap q is weight[k · filter_step + where[q]].
    """
    cdef Py_ssize_t k0 = part(f.FG, f.panels, panel), filters = part(f.FG, f.panels, panel + 1) - k0
    cdef Py_ssize_t passes = blocks(taps, PASS), i, q0, count, q, k
    cdef const float* source
    cdef float* to
    weight += k0 * filter_step
    for i in range(passes):
        q0 = part(taps, passes, i)
        count = part(taps, passes, i + 1) - q0
        to = packed + q0 * f.FG + k0 * count
        for q in range(count):
            source = weight + where[q0 + q]
            for k in range(filters):
                to[q * filters + k] = source[k * filter_step]


cdef void correlate(Plan* f, Py_ssize_t taps, const Py_ssize_t* offsets, const float* patch, const float* packed,
                    const float* bias, bint accumulate, Py_ssize_t pixels, Py_ssize_t image_pixels,
                    Py_ssize_t image_step, float* y, Py_ssize_t y_step) noexcept nogil:
    """y[filter, pixel] = y or bias + sum over taps; pixels of several images stand `image_step` apart in y.

    A block of pixels, and of those a pass of the taps, stays in the nearest cache while the panels of filters go by.
    """
    cdef float[EDGE] edge
    cdef Py_ssize_t vectors = blocks(pixels, vf_LANES), parts = blocks(vectors, tile_vectors_of[blocks(f.FG, f.panels)])
    cdef Py_ssize_t passes = max(<Py_ssize_t> 1, blocks(taps, PASS)), p = 0, q, k, v, count, m, block, i, panel
    cdef Py_ssize_t smaller = f.FG // f.panels, larger = f.FG % f.panels    # some panels have one filter more
    for block in range(parts):
        v = share_of(vectors, parts, block)
        q = 0
        for i in range(passes):
            count = share_of(taps, passes, i)
            k = 0
            for panel in range(f.panels):
                m = smaller + (panel < larger)
                if p + v * vf_LANES <= image_pixels:
                    tiles[m][v](count, offsets + q, patch + p, packed + q * f.FG + k * count, bias + k,
                                y + k * y_step + p, y_step, accumulate or i > 0)
                else:
                    if accumulate or i > 0:
                        take(edge, m, v * vf_LANES, p, pixels, image_pixels, image_step, y + k * y_step, y_step)
                    tiles[m][v](count, offsets + q, patch + p, packed + q * f.FG + k * count, bias + k,
                                edge, v * vf_LANES, accumulate or i > 0)
                    put(edge, m, v * vf_LANES, p, pixels, image_pixels, image_step, y + k * y_step, y_step)
                k += m
            q += count
        p += v * vf_LANES


cdef void take(float* tile, Py_ssize_t filters, Py_ssize_t width, Py_ssize_t p0, Py_ssize_t pixels,
               Py_ssize_t image_pixels, Py_ssize_t image_step, const float* y, Py_ssize_t y_step) noexcept nogil:
    """Read the pixels from p0 on into a tile, which belong to the end of an image or to several."""
    cdef Py_ssize_t k, p, run, end = min(p0 + width, pixels)
    for k in range(filters):
        p = p0
        while p < end:
            run = min(end, (p // image_pixels + 1) * image_pixels) - p
            copy_run(y + p // image_pixels * image_step + k * y_step + p % image_pixels, tile + k * width + p - p0, run)
            p += run


cdef void put(const float* tile, Py_ssize_t filters, Py_ssize_t width, Py_ssize_t p0, Py_ssize_t pixels,
              Py_ssize_t image_pixels, Py_ssize_t image_step, float* y, Py_ssize_t y_step) noexcept nogil:
    """Write them."""
    cdef Py_ssize_t k, p, run, end = min(p0 + width, pixels)
    for k in range(filters):
        p = p0
        while p < end:
            run = min(end, (p // image_pixels + 1) * image_pixels) - p
            copy_run(tile + k * width + p - p0, y + p // image_pixels * image_step + k * y_step + p % image_pixels, run)
            p += run


def convolve_images(geometry,
                    const float[:, :, :, :, ::1] x not None,       # IN  (N, IC, ID, IH, IW)
                    const float[:, :, :, :, ::1] weight not None,  # IN  (OC, IC/G, KD, KH, KW)
                    const float[::1] bias,                          # IN  (OC,) or None
                    float[:, :, :, :, ::1] y not None,             # OUT (N, OC, OD, OH, OW), or (N, OC, 1, OH/2, OW/2)
                    int[:, :, :, :, ::1] index,                    # OUT (N, OC, 1, OH/2, OW/2) or None
                    bint relu,
                    int n_threads):
    """Write y; one task per band of an image (or few small images) and group. ReLU and pooling follow band by band."""
    cdef ConvSizes s = conv_sizes(geometry)
    cdef Extent[3] e
    cdef Plan f
    cut_forward(&f, &s, e, index is not None)
    f.panels = blocks(f.FG, TILE_FILTERS)
    cdef int* places = &index[0, 0, 0, 0, 0] if index is not None else NULL
    cdef float[:, ::1] results = own_pages(n_threads if index is not None else 0,
                                           f.images * f.FG * f.rows * f.pixels + POOL_SLACK, NUMBER)
    cdef Py_ssize_t[:, ::1] table = aligned(1, f.A.copies + f.B.copies + f.C.copies + f.T + 2 * f.CB * f.T, INDEX)
    cdef int[:, ::1] masks = aligned(1, mask_numbers(&f), MASK)
    cdef Py_ssize_t* within = &table[0, f.A.copies + f.B.copies + f.C.copies]
    cdef Py_ssize_t* offsets = within + f.T
    cdef Py_ssize_t* where = offsets + f.CB * f.T
    cdef Py_ssize_t task, i, tasks = f.image_blocks * f.bands * f.G
    lay_taps(&f, e, False, &table[0, 0], within)
    if masks.shape[1] > 0 and f.B.starts[0] == 0:
        f.C.masks = &masks[0, 0]
        fill_masks(&f.C)
    fill_offsets(&f, f.T, within, offsets)
    for i in range(f.CB * f.T):
        where[i] = i                                        # weights of a filter stand in the order of the taps
    cdef float[:, ::1] packed = aligned(1, s.OC * f.CG * f.T, NUMBER)
    cdef float[:, ::1] patches = own_pages(n_threads, patch_numbers(&f), NUMBER)
    cdef float[:, ::1] zeros = aligned(1, f.FG, NUMBER)
    zeros[0, :] = 0
    cdef const float* w = &weight[0, 0, 0, 0, 0]
    for task in prange(f.G * f.channel_blocks * f.panels, nogil=True, num_threads=n_threads if s.OC * f.CG * f.T > MANY_WEIGHTS else 1):
        pack_forward(&f, w, where, task // f.panels // f.channel_blocks, task // f.panels % f.channel_blocks,
                     task % f.panels, &packed[0, 0])
    for task in prange(tasks, nogil=True, schedule="static", num_threads=n_threads):
        forward_band(&f, &s, offsets, &x[0, 0, 0, 0, 0], &packed[0, 0], &bias[0] if bias is not None else NULL,
                     &zeros[0, 0], &y[0, 0, 0, 0, 0], places, relu, task // (f.bands * f.G) * f.images,
                     task // f.G % f.bands, task % f.G, &patches[threadid(), 0],
                     &results[threadid(), 0] if places != NULL else NULL)


cdef void cut_forward(Plan* f, ConvSizes* s, Extent* e, bint pools) noexcept nogil:
    """The plan of forward: what is pooled is computed apart."""
    plan_forward(f, s, e, False)
    cut(f, TAPS // f.T, 4 * LARGEST_TILE, f.FG * f.pixels if pools else 0, f.span == 0)


cdef void pack_forward(Plan* f, const float* weight, const Py_ssize_t* where, Py_ssize_t g, Py_ssize_t block,
                       Py_ssize_t panel, float* packed) noexcept nogil:
    cdef Py_ssize_t q0 = block * f.CB * f.T, all_taps = f.CG * f.T
    pack(f, weight + g * f.FG * all_taps + q0, all_taps, min(f.CB * f.T, all_taps - q0), where, panel,
         packed + (g * all_taps + q0) * f.FG)


cdef void forward_band(Plan* f, ConvSizes* s, const Py_ssize_t* offsets, const float* x, const float* packed,
                       const float* bias, const float* zeros, float* y, int* index, bint relu, Py_ssize_t n,
                       Py_ssize_t band, Py_ssize_t g, float* patch, float* results) noexcept nogil:
    cdef Py_ssize_t P = f.A.count * f.pixels, rows = min(f.rows, f.A.count - band * f.rows), block, c0, channels, i, k
    cdef Py_ssize_t image_pixels = rows * f.pixels, images = min(f.images, f.N - n), plane = (n * f.G + g) * f.FG
    cdef Py_ssize_t image_step = f.G * f.FG * P, filter_step = P
    cdef float* target = y + plane * P + band * f.rows * f.pixels
    if index != NULL:
        target, image_step, filter_step = results, f.FG * image_pixels, image_pixels
    packed += g * f.FG * f.CG * f.T
    for block in range(f.channel_blocks):
        c0 = block * f.CB
        channels = min(f.CB, f.CG - c0)
        lay_patch(f, x, n, band, g, c0, channels, patch)
        correlate(f, channels * f.T, offsets, patch, packed + c0 * f.T * f.FG,
                  bias + g * f.FG if bias != NULL else zeros, block > 0, images * image_pixels, image_pixels, image_step,
                  target, filter_step)
    for i in range(images):
        for k in range(f.FG):
            if index != NULL:
                pool_rows(s, target + i * image_step + k * filter_step, image_pixels + POOL_SLACK, band * f.rows, rows,
                          plane + i * f.G * f.FG + k, 1, y, index)
            elif relu:
                apply_relu(target + i * image_step + k * filter_step, image_pixels)


def backward_input(geometry,
                   const float[:, :, :, :, ::1] grad_y not None,   # IN  (N, OC, OD, OH, OW)
                   const float[:, :, :, :, ::1] weight not None,   # IN  (OC, IC/G, KD, KH, KW)
                   float[:, :, :, :, ::1] grad_x not None,         # OUT (N, IC, ID, IH, IW)
                   int n_threads):
    """Write grad_x; one task per band of an image (or few small images) and group.

    Without a stride it is written in place; else computed phase by phase beside it, and then put together.
    """
    cdef ConvSizes s = conv_sizes(geometry)
    cdef Extent[3] e
    cdef Plan f
    plan_backward_input(&f, &s, e, False)
    cdef bint apart = e[0].S * e[1].S * e[2].S > 1
    cdef Py_ssize_t phases = phase_count(e), band_pixels
    cut(&f, TAPS // f.T, 4 * LARGEST_TILE, phases * f.FG * f.pixels if apart else 0, not apart and f.span == 0)
    f.panels = blocks(f.FG, TILE_FILTERS)
    band_pixels = round_up(f.rows * f.pixels, vf_LANES)
    cdef Py_ssize_t[:, ::1] table = aligned(1, 1 + f.B.copies + f.C.copies + 2 * f.T + 2 * f.CB * f.T, INDEX)
    cdef int[:, ::1] masks = aligned(1, mask_numbers(&f), MASK)
    cdef Py_ssize_t* within = &table[0, 1 + f.B.copies + f.C.copies]
    cdef Py_ssize_t* index = within + f.T
    cdef Py_ssize_t* offsets = index + f.T
    cdef Py_ssize_t* where = offsets + f.CB * f.T
    cdef char[::1] phase_memory = np.empty(phases * sizeof(Phase), np.int8)
    cdef Phase* phase = <Phase*> &phase_memory[0]
    lay_gradient_taps(&f, e, False, &table[0, 0], phase, within, index)
    if masks.shape[1] > 0 and f.B.starts[0] == 0:
        f.C.masks = &masks[0, 0]
        fill_masks(&f.C)
    cdef Py_ssize_t i, task, tasks = f.image_blocks * f.bands * f.G
    for i in range(phases):
        fill_offsets(&f, phase[i].taps, within + phase[i].first, offsets + f.CB * phase[i].first)
        fill_where(&f, &phase[i], index, where + f.CB * phase[i].first)
    cdef float[:, ::1] packed = aligned(1, s.OC * f.FG * f.T, NUMBER)
    cdef float[:, ::1] patches = own_pages(n_threads, patch_numbers(&f), NUMBER)
    cdef float[:, ::1] results = own_pages(n_threads if apart else 0, phases * f.FG * band_pixels, NUMBER)
    cdef const float* w = &weight[0, 0, 0, 0, 0]
    cdef float[:, ::1] zeros = aligned(1, f.FG, NUMBER)
    zeros[0, :] = 0
    for task in prange(phases * f.G * f.channel_blocks * f.panels, nogil=True,
                       num_threads=n_threads if s.OC * f.FG * f.T > MANY_WEIGHTS else 1):
        pack_backward(&f, w, &phase[task // f.panels // f.channel_blocks // f.G], where,
                      task // f.panels // f.channel_blocks % f.G, task // f.panels % f.channel_blocks,
                      task % f.panels, &packed[0, 0])
    for task in prange(tasks, nogil=True, schedule="static", num_threads=n_threads):
        backward_input_band(&f, e, phases, phase, offsets, &grad_y[0, 0, 0, 0, 0], &packed[0, 0],
                            &zeros[0, 0], &grad_x[0, 0, 0, 0, 0], task // (f.bands * f.G) * f.images, task // f.G % f.bands,
                            task % f.G, &patches[threadid(), 0], &results[threadid(), 0] if apart else NULL,
                            band_pixels)


cdef void pack_backward(Plan* f, const float* weight, const Phase* phase, const Py_ssize_t* where, Py_ssize_t g,
                        Py_ssize_t block, Py_ssize_t panel, float* packed) noexcept nogil:
    cdef Py_ssize_t c0 = block * f.CB, channels = min(f.CB, f.CG - c0)
    pack(f, weight + (g * f.CG + c0) * f.FG * f.T, f.T, channels * phase.taps, where + f.CB * phase.first, panel,
         packed + f.FG * (f.CG * (g * f.T + phase.first) + c0 * phase.taps))


cdef void backward_input_band(Plan* f, Extent* e, Py_ssize_t phases, const Phase* phase,
                              const Py_ssize_t* offsets, const float* grad_y, const float* packed,
                              const float* zeros, float* grad_x, Py_ssize_t n, Py_ssize_t band, Py_ssize_t g, float* patch, float* results,
                              Py_ssize_t band_pixels) noexcept nogil:
    cdef Py_ssize_t cells = e[0].I * e[1].I * e[2].I, rows = min(f.rows, f.A.count - band * f.rows)
    cdef Py_ssize_t pixels = rows * f.pixels, block, c0, channels, i
    packed += g * f.CG * f.FG * f.T
    grad_x += (n * f.G + g) * f.FG * cells
    for block in range(f.channel_blocks):
        c0 = block * f.CB
        channels = min(f.CB, f.CG - c0)
        lay_patch(f, grad_y, n, band, g, c0, channels, patch)
        for i in range(phases):
            if results == NULL:
                correlate(f, channels * phase[i].taps, offsets, patch, packed + f.FG * c0 * f.T, zeros, block > 0,
                          min(f.images, f.N - n) * pixels, pixels, f.G * f.FG * cells,
                          grad_x + band * f.rows * f.pixels, cells)
            elif block == 0 or phase[i].taps > 0:
                correlate(f, channels * phase[i].taps, offsets + f.CB * phase[i].first, patch,
                          packed + f.FG * (f.CG * phase[i].first + c0 * phase[i].taps), zeros, block > 0,
                          band_pixels, band_pixels, 0, results + i * f.FG * band_pixels, band_pixels)
    if results != NULL:
        for c0 in range(f.FG):
            for i in range(phases):
                if phase[i].remainder[2] == 0:
                    put_together(f, e, &phase[i], band * f.rows, rows, results + (i * f.FG + c0) * band_pixels,
                                 f.FG * band_pixels, grad_x + c0 * cells)


# weight gradient

def backward_weight(geometry,
                    const float[:, :, :, :, ::1] grad_y not None,      # IN  (N, OC, OD, OH, OW)
                    const float[:, :, :, :, ::1] x not None,           # IN  (N, IC, ID, IH, IW)
                    float[:, :, :, :, ::1] grad_weight not None,       # OUT (OC, IC/G, KD, KH, KW)
                    int n_threads):
    """Write grad_weight; one task per share of the bands, group and block of channels; shares are added up in order.

    Lanes are filters, of gradients transposed beforehand; where too few filters would fill them, lanes are pixels.
    """
    cdef ConvSizes s = conv_sizes(geometry)
    cdef Extent[3] e
    cdef Plan f
    plan_forward(&f, &s, e, False)
    cdef bint lanes_are_pixels = few_filters(f.FG)
    cdef Py_ssize_t FB = f.FG                               # filters of a task: blocks as equal as whole vectors allow
    if not lanes_are_pixels:
        FB = min(f.FG, round_up(blocks(f.FG, blocks(f.FG, WEIGHT_FILTERS)), vf_LANES))
    cdef Py_ssize_t filter_blocks = blocks(f.FG, FB)
    cdef Py_ssize_t width = FB * vf_LANES if lanes_are_pixels else round_up(FB, vf_LANES)       # sums per tap
    cut(&f, min(<Py_ssize_t> TAPS, TOTAL_NUMBERS // width) // f.T, 4 * LARGEST_TILE, 0, lanes_are_pixels)
    cdef Py_ssize_t[:, ::1] table = aligned(1, f.A.copies + f.B.copies + f.C.copies + f.T + f.CB * f.T, INDEX)
    cdef int[:, ::1] masks = aligned(1, mask_numbers(&f), MASK)
    cdef Py_ssize_t* within = &table[0, f.A.copies + f.B.copies + f.C.copies]
    cdef Py_ssize_t* offsets = within + f.T
    lay_taps(&f, e, False, &table[0, 0], within)
    if masks.shape[1] > 0 and f.B.starts[0] == 0:
        f.C.masks = &masks[0, 0]
        fill_masks(&f.C)
    fill_offsets(&f, f.T, within, offsets)
    cdef Py_ssize_t weights = s.OC * f.CG * f.T, items = f.image_blocks * f.bands
    cdef Py_ssize_t others = f.G * f.channel_blocks * filter_blocks, task, share, j
    cdef Py_ssize_t shares = max(<Py_ssize_t> 1, min(items, blocks(TASKS, others), PARTIAL_NUMBERS // weights))
    cdef float[:, ::1] patches = own_pages(n_threads, patch_numbers(&f), NUMBER)
    cdef float[:, ::1] gradients = own_pages(n_threads, max(CHUNK * SUM_VECTORS, f.images * FB) * vf_LANES, NUMBER)
    cdef float[:, ::1] sums_of = own_pages(n_threads, f.CB * f.T * width + vf_LANES * vf_LANES, NUMBER)
    cdef float[:, ::1] partial = aligned(shares - 1, weights, NUMBER)                  # the first share needs none
    cdef float* total = &grad_weight[0, 0, 0, 0, 0]
    for task in prange(shares * others, nogil=True, schedule="static", num_threads=n_threads):
        share = task // others
        backward_weight_share(&f, offsets, &grad_y[0, 0, 0, 0, 0], &x[0, 0, 0, 0, 0],
                              part(items, shares, share), part(items, shares, share + 1),
                              task // filter_blocks // f.channel_blocks % f.G,
                              task // filter_blocks % f.channel_blocks * f.CB, task % filter_blocks * FB, FB,
                              lanes_are_pixels, width,
                              &patches[threadid(), 0], &gradients[threadid(), 0], &sums_of[threadid(), 0],
                              total if share == 0 else &partial[share - 1, 0])
    for share in range(shares - 1):
        for j in range(weights):
            total[j] += partial[share, j]


cdef inline bint few_filters(Py_ssize_t filters) noexcept nogil:
    """Whether filters would leave more than a third of the lanes empty."""
    return 3 * filters < 2 * round_up(filters, vf_LANES)


cdef void backward_weight_share(Plan* f, const Py_ssize_t* offsets, const float* grad_y, const float* x,
                                Py_ssize_t first, Py_ssize_t end, Py_ssize_t g, Py_ssize_t c0, Py_ssize_t k0,
                                Py_ssize_t FB, bint lanes_are_pixels, Py_ssize_t width, float* patch, float* gradients,
                                float* sums_of, float* target) noexcept nogil:
    """The weights of some channels and filters of a group, from the items (bands, or blocks of images) of a share."""
    cdef Py_ssize_t P = f.A.count * f.pixels, channels = min(f.CB, f.CG - c0), filters = min(FB, f.FG - k0)
    cdef Py_ssize_t Q = channels * f.T, item, n, band, pixels
    cdef const float* given
    memset(sums_of, 0, Q * width * sizeof(float))
    for item in range(first, end):
        n, band = item // f.bands * f.images, item % f.bands
        pixels = min(f.rows, f.A.count - band * f.rows) * f.pixels
        lay_patch(f, x, n, band, g, c0, channels, patch)
        given = grad_y + ((n * f.G + g) * f.FG + k0) * P + band * f.rows * f.pixels
        if lanes_are_pixels:
            add_dots(f, filters, Q, offsets, patch, given, P, min(f.images, f.N - n), pixels, gradients, sums_of)
        else:
            add_sums(f, filters, Q, offsets, patch, given, P, pixels, gradients, sums_of, width)
    target += ((g * f.FG + k0) * f.CG + c0) * f.T
    if lanes_are_pixels:
        collect_dots(filters, Q, sums_of, target, f.CG * f.T)
    else:
        collect_sums(filters, Q, sums_of, width, target, f.CG * f.T)


cdef void add_dots(Plan* f, Py_ssize_t filters, Py_ssize_t Q, const Py_ssize_t* offsets, const float* patch,
                   const float* grad_y, Py_ssize_t P, Py_ssize_t images, Py_ssize_t pixels, float* tails,
                   float* sums_of) noexcept nogil:
    """sums_of[filter, tap], a vector each, += the products of pixels."""
    cdef Py_ssize_t image_step = f.G * f.FG * P, whole = pixels // vf_LANES * vf_LANES, image, i, j, k, q, m, n
    cdef Py_ssize_t rows = blocks(filters, DOT_FILTERS), columns = blocks(Q, DOT_TAPS)
    if whole < pixels:
        for image in range(images):
            for k in range(filters):
                j = (image * filters + k) * vf_LANES
                memset(tails + j, 0, vf_LANES * sizeof(float))
                memcpy(tails + j, grad_y + image * image_step + k * P + whole, (pixels - whole) * sizeof(float))
    q = 0
    for i in range(columns):
        n = share_of(Q, columns, i)
        k = 0
        for j in range(rows):
            m = share_of(filters, rows, j)
            dots[m][n](images, (f.rows + f.span) * f.inner, image_step, filters * vf_LANES, pixels, offsets + q, patch,
                       grad_y + k * P, P, tails + k * vf_LANES, sums_of + (k * Q + q) * vf_LANES, Q * vf_LANES)
            k += m
        q += n


cdef void collect_dots(Py_ssize_t filters, Py_ssize_t Q, const float* sums_of, float* target,
                       Py_ssize_t step) noexcept nogil:
    """target[filter, tap] = the sum of a vector's lanes, as many vectors at a time as a vector has lanes."""
    cdef float[vf_LANES * vf_LANES] square
    cdef Py_ssize_t k, q, i
    cdef vf total
    for k in range(filters):
        q = 0
        while q < Q:                                        # past the last tap other numbers are read, and not used
            transpose_vf(sums_of + (k * Q + q) * vf_LANES, vf_LANES, square, vf_LANES)
            total = load_vf(square)
            for i in range(1, vf_LANES):
                total = total + load_vf(square + i * vf_LANES)
            store_vf(square, total)
            copy_run(square, target + k * step + q, min(<Py_ssize_t> vf_LANES, Q - q))
            q += vf_LANES


cdef void add_sums(Plan* f, Py_ssize_t filters, Py_ssize_t Q, const Py_ssize_t* offsets, const float* patch,
                   const float* grad_y, Py_ssize_t P, Py_ssize_t pixels, float* gradients, float* sums_of,
                   Py_ssize_t width) noexcept nogil:
    """sums_of[tap, filter] += the products of pixels, a chunk of pixels and some vectors of filters at a time."""
    cdef Py_ssize_t vectors = blocks(filters, vf_LANES), parts = blocks(vectors, SUM_VECTORS), groups = blocks(Q, SUM_TAPS)
    cdef Py_ssize_t chunk, p, count, i, v, k, group, q, m
    for chunk in range(blocks(pixels, CHUNK)):
        p = chunk * CHUNK
        count = min(<Py_ssize_t> CHUNK, pixels - p)
        k = 0
        for i in range(parts):
            v = share_of(vectors, parts, i)
            transpose_gradients(grad_y + k * P + p, P, min(v * vf_LANES, filters - k), count, v * vf_LANES, gradients)
            q = 0
            for group in range(groups):
                m = share_of(Q, groups, group)
                sums[m][v](count, offsets + q, patch + p, gradients, v * vf_LANES, sums_of + q * width + k, width)
                q += m
            k += v * vf_LANES


cdef void transpose_gradients(const float* grad_y, Py_ssize_t P, Py_ssize_t filters, Py_ssize_t pixels,
                              Py_ssize_t pitch, float* target) noexcept nogil:
    """target[pixel, filter] = grad_y[filter, pixel], zeros behind the last filter."""
    cdef float[vf_LANES * vf_LANES] square
    cdef Py_ssize_t k = 0, p, i, j
    while k + vf_LANES <= filters and pixels >= vf_LANES:
        for i in range(blocks(pixels, vf_LANES)):
            p = min(i * vf_LANES, pixels - vf_LANES)        # the last square overlaps the one before
            for j in range(vf_LANES):
                prefetch_second_level(grad_y + (k + j) * P + p + CHUNK)
            transpose_vf(grad_y + k * P + p, P, target + p * pitch + k, pitch)
        k += vf_LANES
    if k == filters:
        return
    if pixels < vf_LANES:
        for p in range(pixels):
            for j in range(k, filters):
                target[p * pitch + j] = grad_y[j * P + p]
            for j in range(filters, pitch):
                target[p * pitch + j] = 0
        return
    memset(square, 0, sizeof(square))                           # filters do not fill it
    for i in range(blocks(pixels, vf_LANES)):
        p = min(i * vf_LANES, pixels - vf_LANES)
        for j in range(filters - k):
            store_vf(square + j * vf_LANES, load_vf(grad_y + (k + j) * P + p))
            prefetch_second_level(grad_y + (k + j) * P + p + CHUNK)
        transpose_vf(square, vf_LANES, target + p * pitch + k, pitch)


cdef void collect_sums(Py_ssize_t filters, Py_ssize_t Q, const float* sums_of, Py_ssize_t width, float* target,
                       Py_ssize_t step) noexcept nogil:
    """target[filter, tap] = sums_of[tap, filter]; squares of whole vectors are transposed at once."""
    cdef Py_ssize_t k, q, i, j, rest
    for i in range(blocks(filters, vf_LANES)):
        k = i * vf_LANES
        q = 0
        if k + vf_LANES <= filters:
            while q + vf_LANES <= Q:
                transpose_vf(sums_of + q * width + k, width, target + k * step + q, step)
                q += vf_LANES
        for j in range(k, min(k + vf_LANES, filters)):
            for rest in range(q, Q):
                target[j * step + rest] = sums_of[rest * width + j]


def supports(direction, geometry, dtype, level):
    """Tell why a problem is refused: working memory stays below 8 MB per thread."""
    if dtype != DTYPE:
        return "computes in float32 only"
    cdef ConvSizes s = conv_sizes(geometry.volumetric)
    cdef Extent[3] e
    cdef Plan f
    reason = not_pooled(direction, geometry) or folds(direction, geometry) or too_large(direction, geometry, False)
    if reason is None and direction == "forward_pool":
        cut_forward(&f, &s, e, True)
        reason = odd_bands(&f, e, &s)
    return reason
