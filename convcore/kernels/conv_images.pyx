"""Convolution of small images, as many at a time as vectors have lanes: each lane holds another image.

All lanes belong to the same cell, so whatever a filter does not reach is left out for all of them: no operation is
spent on padding, on outputs that do not exist, or on the gaps of a stride. Images are transposed on their way in, to
[cell][channel][image], and on their way out. Between stands one micro-kernel: a few channels of one target cell, summed
over the source cells that belong to it; forward and input gradient differ only in which cells those are. The weight
gradient is summed per lane, and over the lanes at the end. As nothing is multiplied with the zeros of the padding, an
infinite number above them has no effect.
"""

from cython.parallel cimport parallel, prange, threadid
from libc.math cimport isfinite
from libc.string cimport memcpy, memset

from cython cimport floating
from convcore.kernels.common cimport (
    CONSTANT, ConvSizes, conv_sizes, end_inside, first_inside, not_pooled, source_cell,
)
from convcore.kernels.buffers import aligned, own_pages
from convcore.kernels.kept import Kept
from convcore.kernels.relu cimport apply_relu

import numpy as np

include "images_tile.pxi"
include "images_plan.pxi"
include "images_constant.pxi"
include "images_prepared.pxi"
include "images_pool.pxi"
include "forward_directions.pxi"
include "plane_sums.pxi"

VOLUMETRIC = True
DTYPE = np.float32              # the only one

NUMBER, INDEX = np.dtype(DTYPE), np.dtype(np.intp)


def convolve_images(geometry,
                    const float[:, :, :, :, ::1] x not None,        # IN  (N, IC, ID, IH, IW)
                    const float[:, :, :, :, ::1] weight not None,   # IN  (OC, IC/G, KD, KH, KW)
                    const float[::1] bias,                          # IN  (OC,) or None
                    float[:, :, :, :, ::1] y not None,              # OUT (N, OC, OD, OH, OW), or (N, OC, 1, OH/2, OW/2)
                    int[:, :, :, :, ::1] index,                     # OUT (N, OC, 1, OH/2, OW/2) or None
                    bint relu,
                    int n_threads):
    """Write y; one task per few images, group, block of filters and few rows of y.

    ReLU and pooling come before lanes become images again.
    """
    convolve(prepared(geometry, FORWARD), &x[0, 0, 0, 0, 0], &weight[0, 0, 0, 0, 0],
             &bias[0] if bias is not None else NULL, &y[0, 0, 0, 0, 0],
             &index[0, 0, 0, 0, 0] if index is not None else NULL, relu, n_threads)


def backward_input(geometry,
                   const float[:, :, :, :, ::1] grad_y not None,    # IN  (N, OC, OD, OH, OW)
                   const float[:, :, :, :, ::1] weight not None,    # IN  (OC, IC/G, KD, KH, KW)
                   float[:, :, :, :, ::1] grad_x not None,          # OUT (N, IC, ID, IH, IW)
                   int n_threads):
    """Write grad_x; one task per few images, group, block of channels and few rows of grad_x."""
    convolve(prepared(geometry, BACKWARD_INPUT), &grad_y[0, 0, 0, 0, 0], &weight[0, 0, 0, 0, 0], NULL,
             &grad_x[0, 0, 0, 0, 0], NULL, False, n_threads)


def backward_weight(geometry,
                    const float[:, :, :, :, ::1] grad_y not None,       # IN  (N, OC, OD, OH, OW)
                    const float[:, :, :, :, ::1] x not None,            # IN  (N, IC, ID, IH, IW)
                    float[:, :, :, :, ::1] grad_weight not None,        # OUT (OC, IC/G, KD, KH, KW)
                    int n_threads):
    """Write grad_weight; one task per share of the images, group and block of weights; shares are added up in order."""
    correlate(prepared(geometry, BACKWARD_WEIGHT), &grad_y[0, 0, 0, 0, 0], &x[0, 0, 0, 0, 0],
              &grad_weight[0, 0, 0, 0, 0], NULL, n_threads)


def backward_weight_bias(geometry,
                         const float[:, :, :, :, ::1] grad_y not None,      # IN  (N, OC, OD, OH, OW)
                         const float[:, :, :, :, ::1] x not None,           # IN  (N, IC, ID, IH, IW)
                         float[:, :, :, :, ::1] grad_weight not None,       # OUT (OC, IC/G, KD, KH, KW)
                         float[::1] grad_bias not None,                     # OUT (OC,)
                         int n_threads):
    """Write grad_weight and grad_bias, while grad_y is at hand."""
    cdef float[:, ::1] sums = aligned(1, grad_y.shape[0] * grad_y.shape[1], NUMBER)
    correlate(prepared(geometry, BACKWARD_WEIGHT), &grad_y[0, 0, 0, 0, 0], &x[0, 0, 0, 0, 0],
              &grad_weight[0, 0, 0, 0, 0], &sums[0, 0], n_threads)
    add_images(&sums[0, 0], grad_y.shape[0], grad_y.shape[1], &grad_bias[0])


def supports(direction, geometry, dtype, level):
    """Refuse other numbers than float32, images that fill the scratch, and pooling but of planes."""
    if dtype != DTYPE:
        return "computes in float32 only"
    if not_pooled(direction, geometry):
        return not_pooled(direction, geometry)
    if direction.startswith("backward_weight") and geometry.padding_mode == CONSTANT and not isfinite(geometry.padding_value):
        return f"its sums would meet {geometry.padding_value} in lanes without an image"
    cdef ConvSizes s = conv_sizes(geometry.volumetric)
    cdef double cells = max(<double> s.ID * s.IH * s.IW, <double> s.OD * s.OH * s.OW)
    if cells > LARGEST_IMAGE:
        return f"an image has {cells:.0f} cells, more than {LARGEST_IMAGE}"
    cdef Plan p = plan_of(&s, direction_of(direction))
    cdef double size = scratch_bytes(&p)
    return f"needs {size / 2**20:.1f} MiB of scratch, more than {SCRATCH / 2**20:.0f}" if size > SCRATCH else None


def suits(direction, geometry, dtype, level):
    """Prefer a kernel with pixels or filters in its lanes where that is estimated to take less time."""
    cdef ConvSizes s = conv_sizes(geometry.volumetric)
    cdef Plan p = plan_of(&s, direction_of(direction))
    cdef double ratio = own_cost(&p) / cost_of_others(&p)
    return f"takes about {ratio:.2f} times as long as a kernel with pixels or filters in its lanes" if ratio > 1 else None


cdef Direction direction_of(str name):
    return FORWARD if name.startswith("forward") else BACKWARD_INPUT if name == "backward_input" else BACKWARD_WEIGHT


# forward and backward_input: target channels of a cell = sum over its source cells and their channels

cdef convolve(Prepared ready, const float* source, const float* weight, const float* bias, float* target, int* index,
              bint relu, int n_threads):
    """Write y, ReLU(y) or grad_x, or with an index the maxima of ReLU(y)."""
    cdef Plan* p = &ready.plan
    cdef Py_ssize_t unit_tasks = blocks(p.axes[p.outer].target, p.units)
    cdef Py_ssize_t channel_tasks = blocks(p.target_channels, p.TB)
    cdef Py_ssize_t weights = p.source_channels * p.target_channels * p.taps, task, g
    # The memory of a thread: source, target and places of maxima in tiles, and what list_rows and list_runs list.
    cdef Py_ssize_t after_source = source_numbers(p), after_target = after_source + target_numbers(p)
    cdef Py_ssize_t after_index = after_target + (round_up(target_numbers(p) // 4, 2) if index != NULL else 0)
    cdef Py_ssize_t after_rows = after_index + ready.most_rows * RUN_NUMBERS
    cdef Py_ssize_t after_runs = after_rows + ready.most_runs * RUN_NUMBERS
    # Few weights are packed by each thread for itself: that takes less time than to fetch what another has just packed.
    cdef bint few = p.G * weights <= FEW_WEIGHTS
    cdef float[:, ::1] memory = own_pages(n_threads, after_runs + (p.G * weights if few else 0), NUMBER)
    cdef float[:, ::1] packed = aligned(1, 1 if few else p.G * weights, NUMBER)
    cdef float[:, ::1] starts = aligned(1, p.G * number_of_classes(p) * p.target_channels, NUMBER)
    cdef float* own = NULL
    cdef const float* weights_of = NULL
    find_starts(p, weight, bias, &starts[0, 0])
    with nogil, parallel(num_threads=n_threads):
        own = &memory[threadid(), 0]
        weights_of = own + after_runs if few else &packed[0, 0]
        if few:
            pack_groups(p, weight, own + after_runs)
        else:
            for g in prange(p.G, schedule="static"):
                pack_group(p, weight + g * weights, &packed[0, 0] + g * weights)
        for task in prange(blocks(p.N, p.lanes) * p.G * channel_tasks * unit_tasks, schedule="static"):
            convolve_tile(p, source, weights_of, &starts[0, 0], target, index, relu,
                          task // (p.G * channel_tasks * unit_tasks) * p.lanes,
                          task // (channel_tasks * unit_tasks) % p.G, task // unit_tasks % channel_tasks * p.TB,
                          task % unit_tasks * p.units, own, own + after_source, own + after_target,
                          <Run*> (own + after_index), <Run*> (own + after_rows), ready.chains)


cdef void convolve_tile(Plan* p, const float* source, const float* packed, const float* start, float* target,
                        int* index, bint relu, Py_ssize_t n, Py_ssize_t g, Py_ssize_t t0, Py_ssize_t unit, float* source_tile,
                        float* target_tile, float* index_tile, Run* rows, Run* runs,
                        const Py_ssize_t* chains) noexcept nogil:
    """The target channels from t0 and units from `unit`, of the images of a task, for all source channels."""
    cdef Axis* h = &p.axes[1]
    cdef Axis* w = &p.axes[2]
    cdef Py_ssize_t channels = min(p.TB, p.target_channels - t0)
    cdef Py_ssize_t units = min(p.units, p.axes[p.outer].target - unit), cells = units * p.target_inner
    cdef Py_ssize_t columns = units if p.outer == 2 else w.target, first_column = unit if p.outer == 2 else 0
    cdef Py_ssize_t first_row = 0 if p.outer == 2 else unit * p.target_inner // w.target
    cdef Py_ssize_t begin, end, b, c, k, K, t, M, row, phase, column, rows_listed, count, v
    cdef Py_ssize_t first_class
    cdef float* cell
    find_reach(p, unit, units, &begin, &end)
    packed += g * p.source_channels * p.target_channels * p.taps
    start += g * p.target_channels + t0
    for b in range(blocks(p.source_channels, p.SB)):
        k = b * p.SB
        K = min(p.SB, p.source_channels - k)
        lay_out(p, source, n, p.G * p.source_channels, p.source_cells, g * p.source_channels + k, K, begin, end,
                source_tile)
        for c in range(blocks(channels, p.target_block)):
            t = c * p.target_block
            M = min(p.target_block, channels - t)
            cell = target_tile + t * cells * p.lanes
            for row in range(first_row, first_row + cells // columns):
                rows_listed = list_rows(p, row // h.target, row % h.target, begin, rows)
                first_class = class_of(p, row // h.target, row % h.target, 0)
                for phase in range(min(p.period, columns)):
                    column = phase
                    while column < columns:
                        v = columns_at_once(p, min(chains[first_column + column], blocks(columns - column, p.period)))
                        count = list_runs(w, first_column + column, rows, rows_listed, runs)
                        cell_kernels[M][p.vectors * v](
                            runs, count, K, p.lanes, source_tile, vf_LANES if v == 1 else p.shift * K * p.lanes,
                            packed + (k * p.target_channels + (t0 + t) * K) * p.taps,
                            start + (first_class + w.classes[first_column + column]) * p.G * p.target_channels + t
                            if k == 0 else NULL, cell + column * p.lanes, cells * p.lanes,
                            vf_LANES if v == 1 else p.period * p.lanes)
                        column += v * p.period
                cell += columns * p.lanes
    if index != NULL:
        pool_tile(p, channels, first_row, cells // w.target, target_tile, <int*> index_tile)
        cells = cells // w.target // 2 * (w.target // 2)
        begin = first_row // 2 * (w.target // 2)
        put_back(p, index_tile, n, g * p.target_channels + t0, channels, begin, cells, pooled_cells(p), <float*> index)
        put_back(p, target_tile, n, g * p.target_channels + t0, channels, begin, cells, pooled_cells(p), target)
    else:
        if relu:
            apply_relu(target_tile, channels * cells * p.lanes)
        put_back(p, target_tile, n, g * p.target_channels + t0, channels, unit * p.target_inner, cells, p.target_cells,
                 target)


cdef inline Py_ssize_t list_rows(Plan* p, Py_ssize_t depth, Py_ssize_t row, Py_ssize_t begin, Run* rows) noexcept nogil:
    """List where the source rows of a target row begin, counted in cells from `begin`, and their taps."""
    cdef Axis* d = &p.axes[0]
    cdef Axis* h = &p.axes[1]
    cdef Axis* w = &p.axes[2]
    cdef Py_ssize_t a, b, count = 0
    for a in range(d.ends[depth], d.ends[depth + 1]):
        for b in range(h.ends[row], h.ends[row + 1]):
            rows[count].cell = (d.runs[a].cell * h.source + h.runs[b].cell) * w.source - begin
            rows[count].other = (d.runs[a].other * h.K + h.runs[b].other) * w.K
            count += 1
    return count


cdef inline Py_ssize_t list_runs(Axis* w, Py_ssize_t column, const Run* rows, Py_ssize_t rows_listed,
                                 Run* runs) noexcept nogil:
    """List the source cells of one cell of a target row."""
    cdef Py_ssize_t r, c, count = 0
    for r in range(rows_listed):
        for c in range(w.ends[column], w.ends[column + 1]):
            runs[count].cell = rows[r].cell + w.runs[c].cell
            runs[count].other = rows[r].other + w.runs[c].other
            runs[count].length = w.runs[c].length
            count += 1
    return count


cdef void pack_groups(Plan* p, const float* weight, float* packed) noexcept nogil:
    cdef Py_ssize_t weights = p.source_channels * p.target_channels * p.taps, g
    for g in range(p.G):
        pack_group(p, weight + g * weights, packed + g * weights)


cdef void pack_group(Plan* p, const float* weight, float* packed) noexcept nogil:
    """packed[tap, k, t] for each pass over source channels k and block of target channels t: as they are read."""
    cdef Py_ssize_t target_step = p.source_channels * p.taps, source_step = p.taps
    cdef Py_ssize_t KW = p.axes[2].K, b, c, k, K, t, M, kw, row
    if p.direction == BACKWARD_INPUT:
        target_step, source_step = p.taps, p.target_channels * p.taps
    for b in range(blocks(p.source_channels, p.SB)):
        k = b * p.SB
        K = min(p.SB, p.source_channels - k)
        for c in range(blocks(p.target_channels, p.target_block)):
            t = c * p.target_block
            M = min(p.target_block, p.target_channels - t)
            for kw in range(KW):
                for row in range(p.taps // KW):
                    pack_tap(weight + t * target_step + k * source_step + row * KW + kw, source_step, target_step, K, M,
                             packed + (row * KW + place_of(p, &p.axes[2], kw)) * K * M)
            packed += K * M * p.taps


cdef inline void pack_tap(const float* weight, Py_ssize_t source_step, Py_ssize_t target_step, Py_ssize_t K,
                          Py_ssize_t M, float* packed) noexcept nogil:
    cdef Py_ssize_t k, i
    for k in range(K):
        for i in range(M):
            packed[k * M + i] = weight[i * target_step + k * source_step]


# backward_weight: a tap of a filter = sum over outputs and images of grad_y · x, channel by channel

cdef correlate(Prepared ready, const float* grad_y, const float* x, float* grad_weight, float* plane_sums,
               int n_threads):
    """Write grad_weight, and the sum of each plane of grad_y unless that is NULL."""
    cdef Plan* p = &ready.plan
    cdef Py_ssize_t filter_blocks = blocks(p.target_channels, p.TB), channel_blocks = blocks(p.source_channels, p.SB)
    cdef Py_ssize_t weights = p.G * p.source_channels * p.target_channels * p.taps
    cdef Py_ssize_t share_images = share_groups(p) * p.lanes, shares = blocks(p.N, share_images), task, share, j
    # The memory of a thread: source and target in tiles, sums, and what list_pairs lists, with the end of each tap.
    cdef Py_ssize_t after_source = source_numbers(p), after_target = after_source + target_numbers(p)
    cdef Py_ssize_t after_totals = after_target + round_up(total_numbers(p), 2)
    cdef Py_ssize_t after_ends = after_totals + (p.taps + 1) * INDEX_NUMBERS
    cdef Py_ssize_t runs = max(p.taps * ready.most_runs, outside_runs(p))
    cdef float[:, ::1] memory = own_pages(n_threads, after_ends + runs * RUN_NUMBERS, NUMBER)
    cdef float[:, ::1] sums = aligned(1, max(1, (shares - 1) * weights), NUMBER)        # the first share needs none
    cdef float* partial = &sums[0, 0]
    cdef float* tiles = &memory[0, 0]
    cdef Py_ssize_t own = memory.shape[1]
    for task in prange(shares * p.G * filter_blocks * channel_blocks, nogil=True, schedule="static",
                       num_threads=n_threads):
        share = task // (p.G * filter_blocks * channel_blocks)
        correlate_share(p, grad_y, x, grad_weight if share == 0 else partial + (share - 1) * weights,
                        share * share_images, min(p.N, (share + 1) * share_images),
                        task // (filter_blocks * channel_blocks) % p.G, task // channel_blocks % filter_blocks * p.TB,
                        task % channel_blocks * p.SB, tiles + threadid() * own + after_source,
                        tiles + threadid() * own, tiles + threadid() * own + after_target,
                        <Run*> (tiles + threadid() * own + after_ends),
                        <Py_ssize_t*> (tiles + threadid() * own + after_totals))
        if plane_sums != NULL and task % channel_blocks == 0:
            sum_share(p, grad_y, share * share_images, min(p.N, (share + 1) * share_images),
                      task // (filter_blocks * channel_blocks) % p.G, task // channel_blocks % filter_blocks * p.TB,
                      plane_sums)
    for share in range(shares - 1):
        for j in range(weights):
            grad_weight[j] += partial[share * weights + j]


cdef void sum_share(Plan* p, const float* grad_y, Py_ssize_t n_begin, Py_ssize_t n_end, Py_ssize_t g, Py_ssize_t f0,
                    float* plane_sums) noexcept nogil:
    """The sums of the planes of the filters from f0, of some images."""
    cdef Py_ssize_t n, plane
    for n in range(n_begin, n_end):
        plane = (n * p.G + g) * p.target_channels + f0
        sum_planes(grad_y + plane * p.target_cells, p.target_cells, min(p.TB, p.target_channels - f0), plane_sums + plane)


cdef void correlate_share(Plan* p, const float* grad_y, const float* x, float* grad_weight, Py_ssize_t n_begin,
                          Py_ssize_t n_end, Py_ssize_t g, Py_ssize_t f0, Py_ssize_t c0, float* target_tile,
                          float* source_tile, float* totals, Run* runs, Py_ssize_t* ends) noexcept nogil:
    """The weights of the filters from f0 and channels from c0, of some images."""
    cdef Py_ssize_t filters = min(p.TB, p.target_channels - f0), channels = min(p.SB, p.source_channels - c0)
    cdef Py_ssize_t filter_blocks = blocks(filters, p.target_block), channel_blocks = blocks(channels, p.source_block)
    cdef Py_ssize_t n, unit, units, begin, end, y_begin, y_end, tap, f, c, F, C, i, b, j, k
    cdef Py_ssize_t parts, q, first, count
    cdef Py_ssize_t outside
    cdef Axis* outer = &p.axes[p.outer]
    cdef float[vf_LANES] number
    cdef float* total
    for i in range(vf_LANES):
        number[i] = <float> p.value
    for i in range(blocks(n_end - n_begin, p.lanes)):
        n = n_begin + i * p.lanes
        for b in range(blocks(outer.target, p.units)):
            unit = b * p.units
            units = min(p.units, outer.target - unit)
            y_begin, y_end = unit * p.target_inner, (unit + units) * p.target_inner
            find_reach(p, unit, units, &begin, &end)
            for j in range(channel_blocks):
                c = j * p.source_block
                lay_out(p, x, n, p.G * p.source_channels, p.source_cells, g * p.source_channels + c0 + c,
                        min(p.source_block, channels - c), begin, end, source_tile + c * (end - begin) * p.lanes)
            for j in range(filter_blocks):
                f = j * p.target_block
                lay_out(p, grad_y, n, p.G * p.target_channels, p.target_cells, g * p.target_channels + f0 + f,
                        min(p.target_block, filters - f), y_begin, y_end, target_tile + f * (y_end - y_begin) * p.lanes)
            ends[0] = 0
            for tap in range(p.taps):
                ends[tap + 1] = ends[tap] + list_pairs(p, tap, unit, units, begin, runs + ends[tap])
            total = totals
            for j in range(filter_blocks):
                f = j * p.target_block
                F = min(p.target_block, filters - f)
                for k in range(channel_blocks):
                    c = k * p.source_block
                    C = min(p.source_block, channels - c)
                    parts = blocks(<Py_ssize_t> (y_end - y_begin), cells_at_hand(p, F, C))
                    for q in range(parts):          # some rows at a time for all taps: they stay in the first cache
                        for tap in range(p.taps):
                            count = ends[tap + 1] - ends[tap]
                            first = count * q // parts
                            count = count * (q + 1) // parts - first
                            pair_kernels[F][C](runs + ends[tap] + first, count,
                                               target_tile + f * (y_end - y_begin) * p.lanes, F * p.lanes,
                                               source_tile + c * (end - begin) * p.lanes, C * p.lanes, p.axes[2].S,
                                               total + tap * F * C * p.lanes, i > 0 or b > 0 or q > 0)
                    total += p.taps * F * C * p.lanes
            if p.value != 0:                # a channel that holds nothing but the number, where taps reach outside
                for tap in range(p.taps):
                    outside = list_outside(p, tap, unit, units, runs)
                    for j in range(filter_blocks):
                        f = j * p.target_block
                        F = min(p.target_block, filters - f)
                        pair_kernels[F][1](runs, outside, target_tile + f * (y_end - y_begin) * p.lanes, F * p.lanes,
                                           number, 0, 0, total + (f * p.taps + tap * F) * p.lanes, i > 0 or b > 0)
    add_lanes(totals, filters * (channels + (p.value != 0)) * p.taps)
    total = totals
    for j in range(filter_blocks):
        f = j * p.target_block
        F = min(p.target_block, filters - f)
        for k in range(channel_blocks):
            c = k * p.source_block
            C = min(p.source_block, channels - c)
            spread(total, F, C, p.taps, p.source_channels * p.taps,
                   grad_weight + ((g * p.target_channels + f0 + f) * p.source_channels + c0 + c) * p.taps)
            total += F * C * p.taps
    if p.value != 0:
        for j in range(filter_blocks):
            f = j * p.target_block
            F = min(p.target_block, filters - f)
            add_to_all_channels(total, F, channels, p.taps, p.source_channels * p.taps,
                                grad_weight + ((g * p.target_channels + f0 + f) * p.source_channels + c0) * p.taps)
            total += F * p.taps


cdef inline Py_ssize_t cells_at_hand(Plan* p, Py_ssize_t F, Py_ssize_t C) noexcept nogil:
    """The outputs that lie in the first cache together with the cells of x that a tap multiplies them with."""
    cdef Py_ssize_t of_output = (F + p.axes[2].S * C) * p.lanes
    return max(p.axes[2].target, AT_HAND // of_output)


cdef Py_ssize_t list_pairs(Plan* p, Py_ssize_t tap, Py_ssize_t unit, Py_ssize_t units, Py_ssize_t source_begin,
                           Run* runs) noexcept nogil:
    """List the cells of x, counted from `source_begin`, and of grad_y, counted from `unit`, that a tap multiplies."""
    cdef Axis* d = &p.axes[0]
    cdef Axis* h = &p.axes[1]
    cdef Axis* w = &p.axes[2]
    cdef Py_ssize_t kd = tap // (h.K * w.K), kh = tap // w.K % h.K, kw = tap % w.K, a, b, c, count = 0
    cdef Py_ssize_t target_begin = unit * p.target_inner
    cdef Run depth, row, columns
    for a in range(d.ends[kd], d.ends[kd + 1]):
        depth = within(d, d.runs[a], unit, units) if p.outer == 0 else d.runs[a]
        for b in range(h.ends[kh], h.ends[kh + 1]):
            row = within(h, h.runs[b], unit, units) if p.outer == 1 else h.runs[b]
            for c in range(w.ends[kw], w.ends[kw + 1]):
                columns = within(w, w.runs[c], unit, units) if p.outer == 2 else w.runs[c]
                if depth.length > 0 and row.length > 0 and columns.length > 0:
                    runs[count].cell = (depth.cell * h.source + row.cell) * w.source + columns.cell - source_begin
                    runs[count].other = (depth.other * h.target + row.other) * w.target + columns.other - target_begin
                    runs[count].length = columns.length
                    count += 1
    return count


cdef void add_lanes(float* totals, Py_ssize_t count) noexcept nogil:
    """totals[q] = the sum of the lanes of vector q: of as many vectors at a time as they have lanes."""
    cdef float[vf_LANES * vf_LANES] square
    cdef Py_ssize_t b, i
    cdef vf even, odd
    for b in range(blocks(count, vf_LANES)):
        transpose_vf(totals + b * vf_LANES * vf_LANES, vf_LANES, square, vf_LANES)
        even = load_vf(square)
        odd = splat_vf(0)
        for i in range(vf_LANES // 2):
            odd = odd + load_vf(square + (2 * i + 1) * vf_LANES)
            if i > 0:
                even = even + load_vf(square + 2 * i * vf_LANES)
        store_vf(totals + b * vf_LANES, even + odd)


cdef inline void spread(const float* sums, Py_ssize_t F, Py_ssize_t C, Py_ssize_t taps,
                        Py_ssize_t filter_step, float* weights) noexcept nogil:
    """weights[f, c, tap] = sums[tap, f, c]"""
    cdef Py_ssize_t f, c, tap
    for f in range(F):
        for c in range(C):
            for tap in range(taps):
                weights[f * filter_step + c * taps + tap] = sums[(tap * F + f) * C + c]


# the transpositions

cdef void lay_out(Plan* p, const float* images, Py_ssize_t n0, Py_ssize_t all_channels, Py_ssize_t all_cells,
                  Py_ssize_t channel, Py_ssize_t K, Py_ssize_t begin, Py_ssize_t end, float* tile) noexcept nogil:
    """tile[cell - begin, k, image] = cells of K channels of the images from n0; zeros for images that there are not.

    Numbers are taken in the order in which an image holds them, across the end of a channel where all of it is wanted.
    """
    cdef float[vf_LANES * vf_LANES] square, edge
    cdef Py_ssize_t cells = end - begin, image_step = all_channels * all_cells, cell_step = K * p.lanes
    cdef Py_ssize_t length = K * cells if cells == all_cells else cells
    cdef Py_ssize_t channels = K * cells // max(length, <Py_ssize_t> 1)
    cdef Py_ssize_t v, k, b, i, cell, present, numbers
    cdef const float* x
    cdef float* t
    for v in range(p.vectors):
        present = min(<Py_ssize_t> vf_LANES, p.N - n0 - v * vf_LANES)
        for k in range(channels):
            x = images + (n0 + v * vf_LANES) * image_step + (channel + k) * all_cells + begin
            t = tile + k * p.lanes + v * vf_LANES
            cell = 0
            for b in range(blocks(length, vf_LANES)):
                numbers = min(<Py_ssize_t> vf_LANES, length - b * vf_LANES)
                if present == vf_LANES and numbers == vf_LANES and cell + vf_LANES < cells:
                    transpose_vf(x, image_step, t, cell_step)
                    cell += vf_LANES
                    t += vf_LANES * cell_step
                else:
                    if present == vf_LANES and numbers == vf_LANES:
                        transpose_vf(x, image_step, square, vf_LANES)
                    else:
                        memset(edge, 0, sizeof(edge))
                        for i in range(present):
                            memcpy(edge + i * vf_LANES, x + i * image_step, numbers * sizeof(float))
                        transpose_vf(edge, vf_LANES, square, vf_LANES)
                    for i in range(numbers):
                        store_vf(t, load_vf(square + i * vf_LANES))
                        t += cell_step
                        cell += 1
                        if cell == cells:                       # the next channel
                            t += p.lanes - cells * cell_step
                            cell = 0
                x += vf_LANES


cdef void put_back(Plan* p, const float* tile, Py_ssize_t n0, Py_ssize_t channel, Py_ssize_t K, Py_ssize_t begin,
                   Py_ssize_t cells, Py_ssize_t all_cells, float* target) noexcept nogil:
    """Write tile[k, cell - begin, image] to K channels of the images that there are."""
    cdef float[vf_LANES * vf_LANES] square
    cdef Py_ssize_t image_step = p.G * p.target_channels * all_cells
    cdef Py_ssize_t length = K * cells if cells == all_cells else cells, channels = K * cells // max(length, <Py_ssize_t> 1)
    cdef Py_ssize_t v, k, b, i, present, numbers
    cdef const float* t
    cdef float* y
    for v in range(p.vectors):
        present = min(<Py_ssize_t> vf_LANES, p.N - n0 - v * vf_LANES)
        for k in range(channels):
            t = tile + k * cells * p.lanes + v * vf_LANES
            y = target + (n0 + v * vf_LANES) * image_step + (channel + k) * all_cells + begin
            for b in range(blocks(length, vf_LANES)):
                numbers = min(<Py_ssize_t> vf_LANES, length - b * vf_LANES)
                if present == vf_LANES and numbers == vf_LANES:
                    transpose_vf(t, p.lanes, y, image_step)
                else:
                    for i in range(numbers):
                        store_vf(square + i * vf_LANES, load_vf(t + i * p.lanes))
                    transpose_vf(square, vf_LANES, square, vf_LANES)
                    for i in range(present):
                        memcpy(y + i * image_step, square + i * vf_LANES, numbers * sizeof(float))
                t += vf_LANES * p.lanes
                y += vf_LANES
