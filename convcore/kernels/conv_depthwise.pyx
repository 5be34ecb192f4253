"""Depthwise convolution: each channel by itself, a few output rows at a time in registers; no matrix product.

A band of rows of one channel is laid out with what stands around it, so that each tap reads whole vectors and no loop
asks where the image ends; with a stride, the columns that one tap reads stand side by side. The input gradient is laid
out likewise from grad_y, and falls into as many convolutions without a stride as a step of the stride has places.
Channels with several filters go other ways where they have no stride: see depthwise_sums and depthwise_pixels.
"""

import numpy as np

from cython.parallel cimport prange, threadid
from libc.string cimport memcpy, memset

from convcore.kernels.buffers import aligned, own_pages
from convcore.kernels.common cimport (
    CONSTANT, ConvSizes, conv_sizes, end_inside, first_inside, floating, folds, not_pooled, source_cell,
)
from convcore.kernels.kept import Kept
from convcore.kernels.pool_sizes cimport Limits, PoolSizes, end_of, find_limits, first_of, in_quads
from convcore.kernels.relu cimport apply_relu, pass_back_relu

include "depthwise_rows.pxi"
include "depthwise_layout.pxi"
include "frame.pxi"
include "depthwise_sums.pxi"
include "depthwise_pixels.pxi"
include "depthwise_taps.pxi"
include "depthwise_edges.pxi"
include "depthwise_prepared.pxi"
include "pool_rows.pxi"
include "forward_directions.pxi"
include "plane_sums.pxi"
include "depthwise_weights.pxi"

VOLUMETRIC = True
DTYPE = np.float32              # the only one

cdef enum:
    BAND_NUMBERS = 6144         # in what a band reads, so that it stays in a first-level cache of 32 KiB
    TALL_NUMBERS = 262144       # where bands so low would lay out most rows twice
    SCRATCH_NUMBERS = 2000000   # that a thread works with, at most: 8 MB
    FILTERS = 6                 # of a channel, at most, for the input gradient, where the choice is free
    PLACES = 1024               # in a step of the stride, at most, for the input gradient
    SUM_PIXELS = 4096           # of grad_y in one running sum, about
    IMAGES = 4                  # gone through at once for the weight gradient, at most
    MOST_MADE = 8               # planes of grad_y that are made at a time, at most
    SUM_NUMBERS = 65536         # in the running sums of a task, if it has more than one channel
    TASKS = 16                  # blocks to cut a problem into where it is large enough, whatever the number of threads

NUMBER, INDEX = np.dtype(DTYPE), np.dtype(np.intp)


def supports(direction, geometry, dtype, level):
    """Refuse what is not depthwise, and what would need too much working memory."""
    if dtype != DTYPE:
        return "computes in float32 only"
    if not_pooled(direction, geometry):
        return not_pooled(direction, geometry)
    if geometry.groups != geometry.in_channels:
        return f"each group must be one channel, not {geometry.in_channels // geometry.groups}"
    cdef ConvSizes s = sizes_of(direction, geometry)
    if folds(direction, geometry) and not can_add_edges(&s) and not can_sum(&s):
        return folds(direction, geometry)
    cdef Layout l = gradient_layout(&s) if direction == "backward_input" else input_layout(&s)
    cdef Copies c = copies_of(&s)
    cdef Py_ssize_t band = c.band if worth_copies(&s, FEW) else l.band
    if direction == "forward_pool" and band < s.OH and band % 2:
        return f"computes {band} rows at a time, which no whole windows fill"
    cdef bint makes = direction.startswith("backward_weight_bias_")
    if makes and s.OD * (c.bands if worth_copies(&s, FEW_PAIRED) else l.bands) > 1:
        return f"would make the gradients of planes of {s.OH} × {s.OW} once for each band of rows"
    if direction == "backward_input" and s.SD * s.SH * s.SW > PLACES:
        return f"a step of the stride has {s.SD * s.SH * s.SW} places, more than {PLACES}"
    cdef Py_ssize_t numbers = l.numbers + sum_numbers(&s, 1) * direction.startswith("backward_weight")
    if makes:
        numbers += made_numbers(&s, MOST_MADE)
    if numbers > SCRATCH_NUMBERS:
        return f"the least part of it works with {numbers} numbers, more than {SCRATCH_NUMBERS}"
    return None


def suits(direction, geometry, dtype, level):
    """Leave one channel to others where they fill more lanes, and many filters where these share what they load."""
    filters = geometry.out_channels // geometry.in_channels
    if geometry.in_channels == 1 and max(geometry.stride) > 1:
        return "there is one channel only, and a stride"
    cdef ConvSizes s = sizes_of(direction, geometry)
    if geometry.in_channels == 1 and 2 * s.OW <= vf_LANES and direction != "backward_input":
        return f"there is one channel only, and rows of {s.OW} pixels leave half of vectors of {vf_LANES} empty"
    if direction == "backward_input" and filters > FILTERS and not can_sum(&s):
        return f"{filters} filters of a channel make a matrix product"
    return None


cdef ConvSizes sizes_of(direction, geometry):
    """Those of the problem that is computed: where a pattern's gradient is folded, that of images padded already."""
    cdef ConvSizes s = conv_sizes(geometry.volumetric)
    if direction != "backward_input" or s.mode == CONSTANT or can_add_edges(&s):
        return s
    return padded_sizes(&s)


# forward: for each tap, a few rows of y += weight · rows of cells

def convolve_images(geometry,
                    const float[:, :, :, :, ::1] x not None,       # IN  (N, IC, ID, IH, IW)
                    const float[:, :, :, :, ::1] weight not None,  # IN  (OC, 1, KD, KH, KW)
                    const float[::1] bias,                         # IN  (OC,) or None
                    float[:, :, :, :, ::1] y not None,             # OUT (N, OC, OD, OH, OW), or (N, OC, 1, OH/2, OW/2)
                    int[:, :, :, :, ::1] index,                    # OUT (N, OC, 1, OH/2, OW/2) or None
                    bint relu,
                    int n_threads):
    """Write y; one task per few channels of an image, or per band of rows.

    ReLU and pooling follow plane by plane, or band by band.
    """
    cdef Prepared ready = prepared(geometry)
    cdef ConvSizes* s = &ready.sizes
    cdef Layout* l = &ready.layout
    cdef Rows* rows = &ready.rows
    cdef const float* b = &bias[0] if bias is not None else NULL
    cdef int* places = &index[0, 0, 0, 0, 0] if index is not None else NULL
    if worth_copies(s, FEW):
        return forward_by_pixels(ready, &x[0, 0, 0, 0, 0], &weight[0, 0, 0, 0, 0], b, &y[0, 0, 0, 0, 0], places, relu,
                                 n_threads)
    cdef float[:, ::1] scratch = own_pages(n_threads, l.numbers + pooled_numbers(l.band * s.OW, places), NUMBER)
    cdef Py_ssize_t task, thread
    for thread in range(n_threads):
        put_frame(l, &scratch[thread, 0])
    for task in prange(blocks(s.N * s.IC, l.channels), nogil=True, schedule="static", num_threads=n_threads):
        forward_channels(s, l, rows, &x[0, 0, 0, 0, 0], &weight[0, 0, 0, 0, 0], b, &y[0, 0, 0, 0, 0], places,
                         relu, task * l.channels, &scratch[threadid(), 0])


cdef void forward_channels(ConvSizes* s, Layout* l, Rows* rows, const float* x, const float* weight, const float* bias,
                           float* y, int* index, bint relu, Py_ssize_t first, float* tiles) noexcept nogil:
    """Channels are counted through the batch, from `first`."""
    cdef Py_ssize_t channels = min(l.channels, s.N * s.IC - first), taps = s.KD * s.KH * s.KW
    cdef Py_ssize_t i, f, k, od, oh, block, count, planes
    # Where rows are narrower than a vector, what is written beside one is overwritten with the next, if that comes.
    cdef bint overwritten = l.bands == 1 and s.OD == 1 and rows.spread == 1
    cdef float* out = tiles + l.tiles
    cdef float* target
    x += first * s.ID * s.IH * s.IW
    for od in range(s.OD):
        for block in range(l.bands):
            oh = block * l.band
            count = min(l.band, s.OH - oh)
            lay_out_input(s, l, x, od, oh, count, channels, tiles)
            k = first % s.IC * s.FG
            for i in range(channels):
                for f in range(s.FG):
                    planes = (channels - i) * s.FG - f          # of the task, from this one on
                    target = y + ((((first + i) * s.FG + f) * s.OD + od) * s.OH + oh) * s.OW
                    if index != NULL:
                        target = tiles + l.numbers
                    if s.OW >= nf_LANES or (overwritten and (planes - 1) * s.OH * s.OW >= nf_LANES and index == NULL):
                        convolve(rows, tiles + i * l.tile, weight + k * taps, bias[k] if bias != NULL else 0, target,
                                 s.OW, count, s.OW)
                    else:
                        convolve(rows, tiles + i * l.tile, weight + k * taps, bias[k] if bias != NULL else 0, out,
                                 l.out_pitch, count, s.OW)
                        join(out, l, 1, count, target, s.OW, s.OW)
                    if index != NULL:
                        pool_rows(s, target, pooled_numbers(count * s.OW, index), oh, count, (first + i) * s.FG + f,
                                  planes if l.bands == 1 else 1, y, index)
                    elif relu:
                        apply_relu(target, count * s.OW)
                    k = k + 1 if k + 1 < s.OC else 0


cdef inline Py_ssize_t pooled_numbers(Py_ssize_t numbers, const int* index) noexcept nogil:
    """Room for so many outputs that are pooled, and for what vectors read and ask for behind them."""
    return round_up(numbers, vf_LANES) + 3 * vf_LANES + AHEAD if index != NULL else 0


# backward_input: as forward, with the filter turned over, once for each place in a step of the stride

def backward_input(geometry,
                   const float[:, :, :, :, ::1] grad_y not None,        # IN  (N, OC, OD, OH, OW)
                   const float[:, :, :, :, ::1] weight not None,        # IN  (OC, 1, KD, KH, KW)
                   float[:, :, :, :, ::1] grad_x not None,              # OUT (N, IC, ID, IH, IW)
                   int n_threads):
    """Write grad_x; one task per few channels of an image, or per band of rows."""
    cdef ConvSizes whole = conv_sizes(geometry), sizes = sizes_of("backward_input", geometry)
    if can_sum(&sizes):
        return backward_input_by_sums(&whole, &sizes, &grad_y[0, 0, 0, 0, 0], &weight[0, 0, 0, 0, 0],
                                      &grad_x[0, 0, 0, 0, 0], n_threads)
    cdef PreparedGradient ready = prepared_gradient(geometry)
    cdef ConvSizes* s = &ready.sizes
    cdef Layout* l = &ready.layout
    cdef Rows* rows = &ready.rows
    cdef const Py_ssize_t* starts = &ready.starts[0, 0]
    cdef const Lines* edge_rows = NULL
    cdef const Lines* edge_columns = NULL
    cdef Py_ssize_t edge_numbers = 0
    if ready.edges is not None:
        edge_rows, edge_columns = &ready.edges.rows, &ready.edges.columns
        edge_numbers = numbers_of_lines(edge_rows) + numbers_of_lines(edge_columns)
    cdef float[:, ::1] scratch = own_pages(n_threads, l.numbers + edge_numbers, NUMBER)
    cdef bint finite = all_finite(&weight[0, 0, 0, 0, 0], s.OC * s.KD * s.KH * s.KW)
    cdef Py_ssize_t task, thread
    for thread in range(n_threads):
        put_frame(l, &scratch[thread, 0])
        fill(&scratch[thread, 0] + l.numbers, edge_numbers, 0)
    for task in prange(blocks(s.N * s.IC, l.channels), nogil=True, schedule="static", num_threads=n_threads):
        if finite:
            backward_input_channels(s, l, rows, starts, &grad_y[0, 0, 0, 0, 0], &weight[0, 0, 0, 0, 0],
                                    &grad_x[0, 0, 0, 0, 0], task * l.channels, &scratch[threadid(), 0])
            if edge_rows != NULL:
                add_edges(s, edge_rows, edge_columns, &grad_y[0, 0, 0, 0, 0], &weight[0, 0, 0, 0, 0],
                          &grad_x[0, 0, 0, 0, 0], task * l.channels, l.channels, &scratch[threadid(), 0] + l.numbers)
        else:
            send_back_channels(s, l, &grad_y[0, 0, 0, 0, 0], &weight[0, 0, 0, 0, 0], &grad_x[0, 0, 0, 0, 0],
                               task * l.channels)


cdef void backward_input_channels(ConvSizes* s, Layout* l, Rows* rows, const Py_ssize_t* starts, const float* grad_y,
                                  const float* weight, float* grad_x, Py_ssize_t first, float* tiles) noexcept nogil:
    """Channels are counted through the batch, from `first`."""
    cdef Py_ssize_t channels = min(l.channels, s.N * s.IC - first), cells = s.ID * s.IH * s.IW
    cdef Py_ssize_t d, h, block, row, count
    cdef Axis depth = depth_axis(s), height = height_axis(s)
    grad_y += first * s.FG * s.OD * s.OH * s.OW
    grad_x += first * cells
    for d in range(depth.size):
        for block in range(l.bands):
            row = block * l.band
            lay_out_gradients(s, l, &depth, grad_y, d, row, channels, tiles)
            for h in range(min(s.SH, height.size)):
                count = min(l.band, blocks(height.size - h, s.SH) - row)
                if count > 0:
                    backward_input_rows(s, l, rows, starts + (d % s.SD * s.SH + h) * s.SW, tiles, weight, d,
                                        h + s.SH * row, count, grad_x, first % s.IC, channels)


cdef void backward_input_rows(ConvSizes* s, Layout* l, Rows* rows, const Py_ssize_t* starts, float* tiles,
                              const float* weight, Py_ssize_t d, Py_ssize_t h, Py_ssize_t count, float* grad_x,
                              Py_ssize_t c, Py_ssize_t channels) noexcept nogil:
    """Write rows h, h + SH, ... of plane d of the gradient, in some channels from c."""
    cdef Py_ssize_t width = width_axis(s).size, length = blocks(width, s.SW), cells = s.ID * s.IH * s.IW
    cdef Py_ssize_t longer = width - (length - 1) * s.SW                    # places that have so many columns
    cdef bint direct = s.SW == 1
    # Where rows are narrower than a vector, what is written beside one is overwritten with the next, if that comes.
    cdef bint overwritten = l.bands == 1 and s.ID == 1 and s.SH == 1 and rows.spread == 1
    cdef float* out = tiles + l.tiles
    cdef float* target = grad_x + (d * s.IH + h) * s.IW
    cdef Py_ssize_t i, w
    cdef Rows part = rows[0]
    for i in range(channels):
        for w in range(min(s.SW, width)):
            part.taps = rows.taps + starts[w]
            part.count = starts[w + 1] - starts[w]
            if direct and (width >= nf_LANES or (overwritten and (channels - i - 1) * cells >= nf_LANES)):
                convolve(&part, tiles + i * l.tile, weight + c * s.FG * s.KD * s.KH * s.KW, 0, target, s.SH * s.IW,
                         count, width)
            else:
                convolve(&part, tiles + i * l.tile, weight + c * s.FG * s.KD * s.KH * s.KW, 0,
                         out + w * l.band * l.out_pitch, l.out_pitch, count, length if w < longer else length - 1)
        if not direct or (width < nf_LANES and not (overwritten and (channels - i - 1) * cells >= nf_LANES)):
            join(out, l, s.SW, count, target, s.SH * s.IW, width)
        target += cells
        c = c + 1 if c + 1 < s.IC else 0


cdef bint all_finite(const float* x, Py_ssize_t count) noexcept nogil:
    cdef bint found = False
    cdef Py_ssize_t j
    for j in range(count):
        found |= x[j] - x[j] != 0
    return not found


cdef void send_back_channels(ConvSizes* s, Layout* l, const float* grad_y, const float* weight, float* grad_x,
                             Py_ssize_t first) noexcept nogil:
    cdef Py_ssize_t i
    for i in range(first, min(first + l.channels, s.N * s.IC)):
        send_back(s, grad_y + i * s.FG * s.OD * s.OH * s.OW, weight + i % s.IC * s.FG * s.KD * s.KH * s.KW,
                  grad_x + i * s.ID * s.IH * s.IW)


cdef void send_back(ConvSizes* s, const float* grad_y, const float* weight, float* grad_x) noexcept nogil:
    """The input gradient by its definition, for weights of which zeros around grad_y would make NaN."""
    cdef Py_ssize_t f, od, oh, ow, kd, kh, kw, id, ih, iw
    memset(grad_x, 0, s.ID * s.IH * s.IW * sizeof(float))
    for f in range(s.FG):
        for od in range(s.OD):
            for oh in range(s.OH):
                for ow in range(s.OW):
                    for kd in range(s.KD):
                        id = source_cell(od * s.SD + kd * s.DD - s.front, s.ID, s.mode)
                        for kh in range(s.KH):
                            ih = source_cell(oh * s.SH + kh * s.DH - s.top, s.IH, s.mode)
                            for kw in range(s.KW):
                                iw = source_cell(ow * s.SW + kw * s.DW - s.left, s.IW, s.mode)
                                if id >= 0 and ih >= 0 and iw >= 0:
                                    grad_x[(id * s.IH + ih) * s.IW + iw] += (
                                        grad_y[((f * s.OD + od) * s.OH + oh) * s.OW + ow]
                                        * weight[((f * s.KD + kd) * s.KH + kh) * s.KW + kw])


# what forward and backward_input share

cdef void convolve(Rows* rows, const float* tile, const float* weight, float bias, float* y, Py_ssize_t pitch,
                   Py_ssize_t count, Py_ssize_t width) noexcept nogil:
    """Write `count` rows of y; where they are narrower than a vector, they are written as wide as a vector."""
    cdef Py_ssize_t first, every, r, at_once
    if count == 1 and width > nf_LANES and rows.kind == 0:        # a single row: its vectors side by side
        r = 0
        while r < width // nf_LANES:
            at_once = rows_at_once(width // nf_LANES - r)
            rows_kernels[0][at_once](rows.count, rows.taps, weight, 0, bias, tile + r * nf_LANES, nf_LANES,
                                     y + r * nf_LANES, nf_LANES, nf_LANES)
            r += at_once
        if width % nf_LANES:
            r = width - nf_LANES
            rows_kernels[0][1](rows.count, rows.taps, weight, 0, bias, tile + r, nf_LANES, y + r, nf_LANES, nf_LANES)
        return
    for first in range(min(rows.spread, count)):
        every = blocks(count - first, rows.spread) if rows.spread > 1 else count
        r = 0
        while r < every:
            at_once = rows_at_once(every - r)
            rows_kernels[rows.kind][at_once](
                rows.count, rows.taps, weight, rows.weight_step, bias,
                tile + (first + r * rows.spread) * rows.step, rows.x_step,
                y + (first + r * rows.spread) * pitch, rows.spread * pitch, width)
            r += at_once


cdef void join(const float* out, Layout* l, Py_ssize_t step, Py_ssize_t count, float* target, Py_ssize_t target_step,
               Py_ssize_t width) noexcept nogil:
    """Copy rows that were computed apart, one per place in a step of the stride, to where they belong."""
    cdef Py_ssize_t i, w, j, apart = l.band * l.out_pitch
    if step == 1:
        copy_out_rows(out, l.out_pitch, target, target_step, count, width)
    elif step == 2:
        zip_rows(out, out + apart, l.out_pitch, target, target_step, count, width // 2)
        if width % 2:
            for i in range(count):
                target[i * target_step + width - 1] = out[i * l.out_pitch + width // 2]
    else:
        for i in range(count):
            for w in range(min(step, width)):
                for j in range(blocks(width - w, step)):
                    target[w + j * step] = out[w * apart + j]
            out += l.out_pitch
            target += target_step
