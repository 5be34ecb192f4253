"""Convolution whose lanes are filters: a run of pixels of a line in registers, each number of the image broadcast.

A task lays out a band of one image's rows once (conv_patch.pxi; columns apart by their remainder of the stride), so that
neighbouring pixels read neighbouring numbers. Loops: passes of taps, blocks of filters, lines, runs of pixels, and in the
micro-kernels (filters_tile.pxi.tp) taps. Results come with the filters side by side and are transposed by whole vectors.
"""

from cython.parallel cimport prange, threadid
from libc.string cimport memcpy, memset

from cython cimport floating
from convcore.kernels.common cimport CONSTANT, ConvSizes, conv_sizes, end_inside, first_inside, folds, not_pooled, source_cell
from convcore.kernels.relu cimport apply_relu
from convcore.kernels.buffers import aligned, own_pages

import numpy as np

include "filters_tile.pxi"
include "conv_patch.pxi"
include "conv_plan.pxi"
include "pool_lanes.pxi"
include "forward_directions.pxi"

VOLUMETRIC = True
DTYPE = np.float32              # the only one: problems in float64 are computed by variants that are there to be read

cdef enum:
    PASS = 256                  # taps summed between two visits of an output: measured, 128 to 512 differ by 2 %
    BAND_PIXELS = 128           # pixels of a band, at least
    SHORT = 64                  # products of a sum, below which its way out costs more than it ...
    VERY_SHORT = 27             # ... and with more filters
    FEW_FILTERS = 48
    FEW_PHASED = 64             # channels of an input gradient with a stride, whose phases are put together


cdef Py_ssize_t lanes_of(Plan* f) noexcept nogil:
    """The filters of a group, rounded up to whole vectors."""
    return round_up(f.FG, vf_LANES)


cdef void pack(Plan* f, const float* weight, Py_ssize_t filter_step, Py_ssize_t taps, const Py_ssize_t* where,
               Py_ssize_t panel, float* packed) noexcept nogil:
    """Weights of a panel of filters for `taps` taps in the order in which `correlate` reads them: [pass][panel][tap].

    The weight of filter k and tap q is weight[k · filter_step + where[q]]; behind the last filter stand zeros.
    """
    cdef Py_ssize_t vectors = blocks(f.FG, vf_LANES), k0 = part(vectors, f.panels, panel) * vf_LANES
    cdef Py_ssize_t width = share_of(vectors, f.panels, panel) * vf_LANES, filters = min(width, f.FG - k0)
    cdef Py_ssize_t passes = blocks(taps, PASS), i, q0, count, q, k
    cdef const float* source
    cdef float* to
    weight += k0 * filter_step
    for i in range(passes):
        q0 = part(taps, passes, i)
        count = part(taps, passes, i + 1) - q0
        to = packed + q0 * lanes_of(f) + k0 * count
        for q in range(count):
            source = weight + where[q0 + q]
            for k in range(filters):
                to[k] = source[k * filter_step]
            for k in range(filters, width):
                to[k] = 0
            to += width


cdef void correlate(Plan* f, Py_ssize_t taps, const Py_ssize_t* offsets, const float* patch, const float* packed,
                    const float* bias, bint accumulate, Py_ssize_t rows, float* y) noexcept nogil:
    """y[pixel, filter] = y or bias + sum over taps, for the pixels of some rows."""
    cdef Py_ssize_t vectors = blocks(f.FG, vf_LANES), width = lanes_of(f), count_of_lines = rows * f.B.count
    cdef Py_ssize_t passes = max(<Py_ssize_t> 1, blocks(taps, PASS)), parts, smaller, larger
    cdef Py_ssize_t q = 0, count, k, v, p, m, i, panel, line, j
    for i in range(passes):
        count = share_of(taps, passes, i)
        k = 0
        for panel in range(f.panels):
            v = share_of(vectors, f.panels, panel)
            parts = blocks(f.run, line_pixels_of[v])
            smaller, larger = f.run // parts, f.run % parts
            for line in range(count_of_lines):
                p = 0
                for j in range(parts):
                    m = smaller + (j < larger)
                    lines[v][m](count, offsets + q, patch + line * f.C.count + p, packed + q * width + k * count,
                                bias + k, y + (line * f.run + p) * width + k, width, accumulate or i > 0)
                    p += m
            k += v * vf_LANES
        q += count


cdef void turn(const float* y, Py_ssize_t width, Py_ssize_t pixels, Py_ssize_t filters, float* target,
               Py_ssize_t step) noexcept nogil:
    """target[filter, pixel] = y[pixel, filter]; squares of whole vectors at once, the last of a row overlaps."""
    cdef Py_ssize_t k = 0, p, i, j
    while k + vf_LANES <= filters and pixels >= vf_LANES:
        for i in range(blocks(pixels, vf_LANES)):
            p = min(i * vf_LANES, pixels - vf_LANES)
            transpose_vf(y + p * width + k, width, target + k * step + p, step)
        k += vf_LANES
    for j in range(k, filters):
        for p in range(pixels):
            target[j * step + p] = y[p * width + j]


cdef void set_bias(Plan* f, const float* bias, float* padded) noexcept nogil:
    """The bias of each group behind zeros up to whole vectors; zeros where there is none."""
    cdef Py_ssize_t g
    memset(padded, 0, f.G * lanes_of(f) * sizeof(float))
    if bias != NULL:
        for g in range(f.G):
            memcpy(padded + g * lanes_of(f), bias + g * f.FG, f.FG * sizeof(float))


def convolve_images(geometry,
                    const float[:, :, :, :, ::1] x not None,       # IN  (N, IC, ID, IH, IW)
                    const float[:, :, :, :, ::1] weight not None,  # IN  (OC, IC/G, KD, KH, KW)
                    const float[::1] bias,                          # IN  (OC,) or None
                    float[:, :, :, :, ::1] y not None,             # OUT (N, OC, OD, OH, OW), or (N, OC, 1, OH/2, OW/2)
                    int[:, :, :, :, ::1] index,                    # OUT (N, OC, 1, OH/2, OW/2) or None
                    bint relu,
                    int n_threads):
    """Write y; one task per band of an image and group. ReLU and pooling come before filters become rows of pixels."""
    cdef ConvSizes s = conv_sizes(geometry)
    cdef Extent[3] e
    cdef Plan f
    cut_forward(&f, &s, e)
    f.panels = blocks(lanes_of(&f), LINE_VECTORS * vf_LANES)
    cdef Py_ssize_t[:, ::1] table = aligned(1, f.A.copies + f.B.copies + f.C.copies + f.T + 2 * f.CB * f.T, INDEX)
    cdef Py_ssize_t* within = &table[0, f.A.copies + f.B.copies + f.C.copies]
    cdef Py_ssize_t* offsets = within + f.T
    cdef Py_ssize_t* where = offsets + f.CB * f.T
    cdef Py_ssize_t task, i, tasks = f.N * f.bands * f.G
    lay_taps(&f, e, True, &table[0, 0], within)
    fill_offsets(&f, f.T, within, offsets)
    for i in range(f.CB * f.T):
        where[i] = i                                        # weights of a filter stand in the order of the taps
    cdef float[:, ::1] packed = aligned(1, f.G * lanes_of(&f) * f.CG * f.T, NUMBER)
    cdef float[:, ::1] padded = aligned(1, f.G * lanes_of(&f), NUMBER)
    cdef float[:, ::1] patches = own_pages(n_threads, patch_numbers(&f), NUMBER)
    cdef Py_ssize_t band_numbers = f.rows * f.pixels * lanes_of(&f)
    cdef float[:, ::1] results = own_pages(n_threads, band_numbers + (band_numbers // 4 if index is not None else 0), NUMBER)
    cdef const float* w = &weight[0, 0, 0, 0, 0]
    cdef int* places = &index[0, 0, 0, 0, 0] if index is not None else NULL
    set_bias(&f, &bias[0] if bias is not None else NULL, &padded[0, 0])
    for task in prange(f.G * f.channel_blocks * f.panels, nogil=True,
                       num_threads=n_threads if s.OC * f.CG * f.T > MANY_WEIGHTS else 1):
        pack_forward(&f, w, where, task // f.panels // f.channel_blocks, task // f.panels % f.channel_blocks,
                     task % f.panels, &packed[0, 0])
    for task in prange(tasks, nogil=True, schedule="static", num_threads=n_threads):
        forward_band(&f, offsets, &x[0, 0, 0, 0, 0], &packed[0, 0], &padded[0, 0], &y[0, 0, 0, 0, 0],
                     places, relu, task // (f.bands * f.G), task // f.G % f.bands, task % f.G, &patches[threadid(), 0],
                     &results[threadid(), 0])


cdef void cut_forward(Plan* f, ConvSizes* s, Extent* e) noexcept nogil:
    plan_forward(f, s, e, True)
    cut(f, TAPS // f.T, BAND_PIXELS, lanes_of(f) * f.pixels, False)


cdef void pack_forward(Plan* f, const float* weight, const Py_ssize_t* where, Py_ssize_t g, Py_ssize_t block,
                       Py_ssize_t panel, float* packed) noexcept nogil:
    cdef Py_ssize_t q0 = block * f.CB * f.T, all_taps = f.CG * f.T
    pack(f, weight + g * f.FG * all_taps + q0, all_taps, min(f.CB * f.T, all_taps - q0), where, panel,
         packed + (g * all_taps + q0) * lanes_of(f))


cdef void forward_band(Plan* f, const Py_ssize_t* offsets, const float* x, const float* packed, const float* bias,
                       float* y, int* index, bint relu, Py_ssize_t n, Py_ssize_t band, Py_ssize_t g, float* patch,
                       float* results) noexcept nogil:
    cdef Py_ssize_t P = f.A.count * f.pixels, rows = min(f.rows, f.A.count - band * f.rows), block, c0, channels
    cdef Py_ssize_t plane = (n * f.G + g) * f.FG, first = band * f.rows
    cdef float* places = results + f.rows * f.pixels * lanes_of(f)
    for block in range(f.channel_blocks):
        c0 = block * f.CB
        channels = min(f.CB, f.CG - c0)
        lay_patch(f, x, n, band, g, c0, channels, patch)
        correlate(f, channels * f.T, offsets, patch, packed + (g * f.CG + c0) * f.T * lanes_of(f), bias + g * lanes_of(f),
                  block > 0, rows, results)
    if index != NULL:
        pool_band(f, first, rows, results, <int*> places)
        P, first, rows = f.A.count // 2 * (f.run // 2), first // 2 * (f.run // 2), rows // 2 * (f.run // 2)
        turn(results, lanes_of(f), rows, f.FG, y + plane * P + first, P)
        turn(places, lanes_of(f), rows, f.FG, <float*> index + plane * P + first, P)
        return
    if relu:
        apply_relu(results, rows * f.pixels * lanes_of(f))
    turn(results, lanes_of(f), rows * f.pixels, f.FG, y + plane * P + first * f.pixels, P)


cdef void pool_band(Plan* f, Py_ssize_t first, Py_ssize_t rows, float* results, int* index) noexcept nogil:
    """Put the maxima of ReLU in windows of 2×2 to the front of rows of a plane, their places in the plane apart."""
    cdef Py_ssize_t i, j, v, lanes = lanes_of(f)
    cdef float* pooled = results
    for i in range(rows // 2):
        for j in range(f.run // 2):
            for v in range(lanes // vf_LANES):
                pool_lanes(results + (2 * i * f.run + 2 * j) * lanes + v * vf_LANES, lanes, f.run * lanes,
                           <int> ((first + 2 * i) * f.run + 2 * j), <int> f.run, pooled, index)
                pooled += vf_LANES
                index += vf_LANES


def backward_input(geometry,
                   const float[:, :, :, :, ::1] grad_y not None,   # IN  (N, OC, OD, OH, OW)
                   const float[:, :, :, :, ::1] weight not None,   # IN  (OC, IC/G, KD, KH, KW)
                   float[:, :, :, :, ::1] grad_x not None,         # OUT (N, IC, ID, IH, IW)
                   int n_threads):
    """Write grad_x; one task per band of an image and group.

    The phases of a stride are computed side by side and then put together.
    """
    cdef ConvSizes s = conv_sizes(geometry)
    cdef Extent[3] e
    cdef Plan f
    plan_backward_input(&f, &s, e, True)
    cdef bint apart = e[0].S * e[1].S * e[2].S > 1
    cdef Py_ssize_t phases = phase_count(e), band_pixels
    cut(&f, TAPS // f.T, BAND_PIXELS, phases * lanes_of(&f) * f.pixels, False)
    f.panels = blocks(lanes_of(&f), LINE_VECTORS * vf_LANES)
    band_pixels = f.rows * f.pixels
    cdef Py_ssize_t[:, ::1] table = aligned(1, 1 + f.B.copies + f.C.copies + 2 * f.T + 2 * f.CB * f.T, INDEX)
    cdef Py_ssize_t* within = &table[0, 1 + f.B.copies + f.C.copies]
    cdef Py_ssize_t* index = within + f.T
    cdef Py_ssize_t* offsets = index + f.T
    cdef Py_ssize_t* where = offsets + f.CB * f.T
    cdef char[::1] phase_memory = np.empty(phases * sizeof(Phase), np.int8)
    cdef Phase* phase = <Phase*> &phase_memory[0]
    lay_gradient_taps(&f, e, True, &table[0, 0], phase, within, index)
    cdef Py_ssize_t i, task, tasks = f.N * f.bands * f.G
    for i in range(phases):
        fill_offsets(&f, phase[i].taps, within + phase[i].first, offsets + f.CB * phase[i].first)
        fill_where(&f, &phase[i], index, where + f.CB * phase[i].first)
    cdef float[:, ::1] packed = aligned(1, f.G * lanes_of(&f) * f.CG * f.T, NUMBER)
    cdef float[:, ::1] zeros = aligned(1, lanes_of(&f), NUMBER)
    cdef float[:, ::1] patches = own_pages(n_threads, patch_numbers(&f), NUMBER)
    cdef float[:, ::1] results = own_pages(n_threads, phases * band_pixels * lanes_of(&f), NUMBER)
    cdef float[:, ::1] turned = own_pages(n_threads if apart else 0, phases * vf_LANES * band_pixels, NUMBER)
    cdef const float* w = &weight[0, 0, 0, 0, 0]
    zeros[0, :] = 0
    for task in prange(phases * f.G * f.channel_blocks * f.panels, nogil=True,
                       num_threads=n_threads if s.OC * f.FG * f.T > MANY_WEIGHTS else 1):
        pack_backward(&f, w, &phase[task // f.panels // f.channel_blocks // f.G], where,
                      task // f.panels // f.channel_blocks % f.G, task // f.panels % f.channel_blocks,
                      task % f.panels, &packed[0, 0])
    for task in prange(tasks, nogil=True, schedule="static", num_threads=n_threads):
        backward_input_band(&f, e, phases, phase, offsets, &grad_y[0, 0, 0, 0, 0], &packed[0, 0],
                            &zeros[0, 0], &grad_x[0, 0, 0, 0, 0], task // (f.bands * f.G), task // f.G % f.bands,
                            task % f.G, &patches[threadid(), 0], &results[threadid(), 0],
                            &turned[threadid(), 0] if apart else NULL)


cdef void pack_backward(Plan* f, const float* weight, const Phase* phase, const Py_ssize_t* where, Py_ssize_t g,
                        Py_ssize_t block, Py_ssize_t panel, float* packed) noexcept nogil:
    cdef Py_ssize_t c0 = block * f.CB, channels = min(f.CB, f.CG - c0)
    pack(f, weight + (g * f.CG + c0) * f.FG * f.T, f.T, channels * phase.taps, where + f.CB * phase.first, panel,
         packed + lanes_of(f) * (f.CG * (g * f.T + phase.first) + c0 * phase.taps))


cdef void backward_input_band(Plan* f, Extent* e, Py_ssize_t phases, const Phase* phase,
                              const Py_ssize_t* offsets, const float* grad_y, const float* packed, const float* zeros,
                              float* grad_x, Py_ssize_t n, Py_ssize_t band, Py_ssize_t g, float* patch, float* results,
                              float* turned) noexcept nogil:
    cdef Py_ssize_t cells = e[0].I * e[1].I * e[2].I, rows = min(f.rows, f.A.count - band * f.rows)
    cdef Py_ssize_t pixels = rows * f.pixels, band_numbers = f.rows * f.pixels * lanes_of(f), block, c0, channels, i, k, m, c
    grad_x += (n * f.G + g) * f.FG * cells
    for block in range(f.channel_blocks):
        c0 = block * f.CB
        channels = min(f.CB, f.CG - c0)
        lay_patch(f, grad_y, n, band, g, c0, channels, patch)
        for i in range(phases):
            if block == 0 or phase[i].taps > 0:
                correlate(f, channels * phase[i].taps, offsets + f.CB * phase[i].first, patch,
                          packed + lanes_of(f) * (f.CG * (g * f.T + phase[i].first) + c0 * phase[i].taps), zeros,
                          block > 0, rows, results + i * band_numbers)
    if turned == NULL:
        turn(results, lanes_of(f), pixels, f.FG, grad_x + band * f.rows * f.pixels, cells)
        return
    for c0 in range(blocks(f.FG, vf_LANES)):                # a vector of channels at a time
        k = c0 * vf_LANES
        m = min(<Py_ssize_t> vf_LANES, f.FG - k)
        for i in range(phases):
            turn(results + i * band_numbers + k, lanes_of(f), pixels, m, turned + i * vf_LANES * pixels, pixels)
        for i in range(phases):
            if phase[i].remainder[2] == 0:
                for c in range(m):
                    put_together(f, e, &phase[i], band * f.rows, rows,
                                 turned + (i * vf_LANES + c) * pixels, vf_LANES * pixels, grad_x + (k + c) * cells)


def supports(direction, geometry, dtype, level):
    """Tell why a problem is refused: working memory stays below 8 MB per thread."""
    if dtype != DTYPE:
        return "computes in float32 only"
    cdef ConvSizes s = conv_sizes(geometry.volumetric)
    cdef Extent[3] e
    cdef Plan f
    reason = not_pooled(direction, geometry) or folds(direction, geometry) or too_large(direction, geometry, True)
    if reason is None and direction == "forward_pool":
        cut_forward(&f, &s, e)
        reason = odd_bands(&f, e, &s)
    return reason


def suits(direction, geometry, dtype, level):
    """Tell where many lanes would stay empty, and where sums are too short to be worth the transposition of results."""
    filters, channels = geometry.out_channels // geometry.groups, geometry.in_channels // geometry.groups
    if direction == "backward_input":
        filters, channels = channels, filters
    if share_in_lanes(filters) < 0.75:
        return f"{filters} filters leave more than a quarter of vectors of {vf_LANES} empty"
    cdef ConvSizes s = conv_sizes(geometry.volumetric)
    if direction == "backward_input" and max(geometry.stride) > 1 and filters < FEW_PHASED:
        return f"{filters} channels are few for putting together what a stride takes apart"
    products = channels * s.KD * s.KH * s.KW
    if products < (SHORT if filters <= FEW_FILTERS else VERY_SHORT):
        return f"sums of {products} products take less time than to turn vectors of filters into rows of pixels"
    if direction == "forward" and share_in_lanes(filters) < 0.9 * share_in_lanes(s.OW):
        return f"{filters} filters leave more of the vectors of {vf_LANES} empty than rows of {s.OW} pixels"
    return None


cdef double share_in_lanes(Py_ssize_t count) noexcept:
    """The part of the lanes of whole vectors that so many numbers fill."""
    return <double> count / round_up(count, vf_LANES)
