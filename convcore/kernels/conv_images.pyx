"""Convolution of small images, as many at a time as vectors have lanes: each lane holds another image.

All lanes belong to the same cell, so whatever a filter does not reach is left out for all of them: no operation is
spent on padding, on outputs that do not exist, or on the gaps of a stride. Images are transposed on their way in, to
[cell][channel][image], and on their way out; between stands one micro-kernel: a few channels of one target cell, summed
over the source cells that belong to it. Forward and input gradient differ only in which cells those are.
"""

from cython.parallel cimport prange, threadid
from libc.string cimport memcpy, memset

import numpy as np

from convcore.kernels.common cimport CONSTANT, ConvSizes, conv_sizes, floating, source_cell
from convcore.kernels.buffers import aligned

include "conv_images.pxi"

VOLUMETRIC = True
DTYPE = np.float32              # the only one

cdef enum:
    TILE_NUMBERS = 98304        # numbers of a tile that a task reads or writes: less than half of a 1 MiB cache for both
    CHANNELS = 16               # of the source whose tile should fit, before a task takes fewer rows
    UNITS = 4                   # rows of a task, at least, where tasks are wanted: neighbours lay out some rows twice
    TASKS = 8                   # tasks to cut a problem into where it is large enough, whatever the number of threads
    SCRATCH_NUMBERS = 2097152   # 8 MiB for a thread

cdef struct Axis:
    Py_ssize_t source, target   # cells
    Py_ssize_t K, S, D, before  # taps, stride, dilation, padding in front
    Py_ssize_t* ends            # the first run of each target cell, and one past its last
    Run* runs

# The target is y, the source x; in the input gradient they change places.
cdef struct Plan:
    Py_ssize_t N, G
    Py_ssize_t source_channels, target_channels     # of a group
    Py_ssize_t source_cells, target_cells, taps
    Axis[3] axes                # depth, height, width
    int outer                   # the first axis with more than one cell: tasks cut it into units
    Py_ssize_t source_inner, target_inner           # cells in a unit
    int mode                    # of the padding
    bint backward
    Py_ssize_t vectors, lanes   # of images in a task
    Py_ssize_t block            # target channels in a micro-kernel
    Py_ssize_t SB, TB           # source channels of a pass, target channels of a task
    Py_ssize_t units, source_units                  # of the outer axis: of a task, and what it reads at most


def forward(geometry,
            const float[:, :, :, :, ::1] x not None,        # IN  (N, IC, ID, IH, IW)
            const float[:, :, :, :, ::1] weight not None,   # IN  (OC, IC/G, KD, KH, KW)
            const float[::1] bias,                          # IN  (OC,) or None
            float[:, :, :, :, ::1] y not None,              # OUT (N, OC, OD, OH, OW)
            int n_threads):
    """Write y; one task per few images, group, block of filters and few rows of y."""
    cdef Plan p = plan_of(geometry, False)
    convolve(&p, &x[0, 0, 0, 0, 0], &weight[0, 0, 0, 0, 0], &bias[0] if bias is not None else NULL,
             &y[0, 0, 0, 0, 0], n_threads)


def backward_input(geometry,
                   const float[:, :, :, :, ::1] grad_y not None,    # IN  (N, OC, OD, OH, OW)
                   const float[:, :, :, :, ::1] weight not None,    # IN  (OC, IC/G, KD, KH, KW)
                   float[:, :, :, :, ::1] grad_x not None,          # OUT (N, IC, ID, IH, IW)
                   int n_threads):
    """Write grad_x; one task per few images, group, block of channels and few rows of grad_x."""
    cdef Plan p = plan_of(geometry, True)
    convolve(&p, &grad_y[0, 0, 0, 0, 0], &weight[0, 0, 0, 0, 0], NULL, &grad_x[0, 0, 0, 0, 0], n_threads)


def supports(direction, geometry, dtype, level):
    """Refuse other numbers than float32, a constant around the image that is not 0, and images that fill the scratch."""
    if dtype != DTYPE:
        return "computes in float32 only"
    if direction == "forward" and geometry.padding_mode == CONSTANT and geometry.padding_value != 0:
        return f"pads with zeros or a pattern, not with {geometry.padding_value}"
    cdef Plan p = plan_of(geometry.volumetric, direction == "backward_input")
    cdef Py_ssize_t numbers = source_tile_numbers(&p) + target_tile_numbers(&p)
    return f"a task would need {numbers} numbers of scratch, more than {SCRATCH_NUMBERS}" if numbers > SCRATCH_NUMBERS else None


# how a problem is cut

cdef Plan plan_of(geometry, bint backward):
    cdef ConvSizes s = conv_sizes(geometry)
    cdef Plan p
    cdef Axis* outer
    cdef Py_ssize_t tasks
    cdef int i
    p.N, p.G, p.taps, p.mode, p.backward = s.N, s.G, s.KD * s.KH * s.KW, s.mode, backward
    p.axes[0] = axis_of(s.ID, s.OD, s.KD, s.SD, s.DD, s.front, backward)
    p.axes[1] = axis_of(s.IH, s.OH, s.KH, s.SH, s.DH, s.top, backward)
    p.axes[2] = axis_of(s.IW, s.OW, s.KW, s.SW, s.DW, s.left, backward)
    p.source_channels, p.target_channels = (s.FG, s.CG) if backward else (s.CG, s.FG)
    p.outer = 0
    while p.outer < 2 and max(p.axes[p.outer].source, p.axes[p.outer].target) == 1:
        p.outer += 1
    p.source_inner = p.target_inner = 1
    for i in range(p.outer + 1, 3):
        p.source_inner *= p.axes[i].source
        p.target_inner *= p.axes[i].target
    outer = &p.axes[p.outer]
    p.source_cells, p.target_cells = outer.source * p.source_inner, outer.target * p.target_inner
    p.vectors = best_vectors(&p)
    p.lanes = p.vectors * vf_LANES
    p.block = even_block(p.target_channels, MOST_CHANNELS[p.vectors])
    tasks = blocks(p.N, p.lanes) * p.G
    p.units = outer.target
    while p.units > 1 and (
        reach(&p, p.units) * p.source_inner * p.lanes * min(p.source_channels, <Py_ssize_t> CHANNELS) > TILE_NUMBERS
        or p.units * p.target_inner * p.lanes * p.block > TILE_NUMBERS
        or (p.units > UNITS and tasks * blocks(outer.target, p.units) < TASKS)
    ):
        p.units = blocks(p.units, 2)
    p.source_units = reach(&p, p.units)
    p.SB = even_block(p.source_channels, max(<Py_ssize_t> 1, TILE_NUMBERS // (p.source_units * p.source_inner * p.lanes)))
    p.TB = max(<Py_ssize_t> 1, TILE_NUMBERS // (p.units * p.target_inner * p.lanes * p.block)) * p.block
    p.TB = min(p.TB, p.target_channels)
    return p


cdef Axis axis_of(Py_ssize_t I, Py_ssize_t O, Py_ssize_t K, Py_ssize_t S, Py_ssize_t D, Py_ssize_t before, bint backward):
    cdef Axis axis
    axis.source, axis.target = (O, I) if backward else (I, O)
    axis.K, axis.S, axis.D, axis.before = K, S, D, before
    axis.ends, axis.runs = NULL, NULL
    return axis


cdef Py_ssize_t best_vectors(Plan* p) noexcept:
    """The vectors of images that keep the units busiest: more where channels are few, fewer where lanes stay empty."""
    cdef Py_ssize_t v = 1, best = 1
    cdef double rate, best_rate = 0
    while v <= MOST_VECTORS:
        rate = min(1.0, <double> v * even_block(p.target_channels, MOST_CHANNELS[v]) / BUSY)
        rate *= <double> p.N / round_up(p.N, v * vf_LANES)
        if rate > best_rate:
            best, best_rate = v, rate
        v *= 2
    return best


cdef Py_ssize_t even_block(Py_ssize_t count, Py_ssize_t most) noexcept:
    """The size of the fewest blocks of at most `most`, all about the same."""
    return blocks(count, blocks(count, most))


cdef Py_ssize_t reach(Plan* p, Py_ssize_t units) noexcept:
    """How many units of the source belong to so many units of the target, at most."""
    cdef Axis* axis = &p.axes[p.outer]
    cdef Py_ssize_t extent = units - 1 + (axis.K - 1) * axis.D
    if p.mode != CONSTANT:
        return axis.source
    if p.backward:
        return min(axis.source, extent // axis.S + 1)
    return min(axis.source, (units - 1) * axis.S + (axis.K - 1) * axis.D + 1)


cdef Py_ssize_t source_tile_numbers(Plan* p) noexcept:
    return p.SB * p.source_units * p.source_inner * p.lanes


cdef Py_ssize_t target_tile_numbers(Plan* p) noexcept:
    return p.TB * p.units * p.target_inner * p.lanes


# which cells belong together: output o and input cell i through tap k where o·S + k·D − before is i

cdef Py_ssize_t table_numbers(Axis* axis, bint backward) noexcept:
    """The room that `find_runs` wants: the ends, and three numbers for each output and tap."""
    return axis.target + 2 + 3 * axis.K * (axis.source if backward else axis.target)


cdef void find_runs(Axis* axis, bint backward, int mode, bint joined, Py_ssize_t* table) noexcept:
    """List the source cells of each target cell, by counting them first; join those that lie side by side, if asked."""
    cdef Py_ssize_t I = axis.target if backward else axis.source, O = axis.source if backward else axis.target
    cdef Py_ssize_t o, k, i, t
    cdef Run* run
    axis.ends = table
    axis.runs = <Run*> (table + axis.target + 2)
    memset(table, 0, (axis.target + 2) * sizeof(Py_ssize_t))
    for o in range(O):
        for k in range(axis.K):
            i = source_cell(o * axis.S + k * axis.D - axis.before, I, mode)
            if i >= 0:
                axis.ends[(i if backward else o) + 2] += 1
    for t in range(axis.target):
        axis.ends[t + 2] += axis.ends[t + 1]
    for o in range(O):
        for k in range(axis.K):
            i = source_cell(o * axis.S + k * axis.D - axis.before, I, mode)
            if i >= 0:
                t = i if backward else o
                run = axis.runs + axis.ends[t + 1]
                run.cell = o if backward else i
                run.tap = place_of(axis, k, backward) if joined else k
                run.length = 1
                axis.ends[t + 1] += 1
    if joined:
        join_runs(axis)


cdef void join_runs(Axis* axis) noexcept:
    cdef Py_ssize_t t, r, first, last = -1, begin = 0, end
    cdef Run* runs = axis.runs
    for t in range(axis.target):
        first, end = last + 1, axis.ends[t + 1]
        for r in range(begin, end):
            if last >= first and runs[r].cell == runs[last].cell + runs[last].length and \
                    runs[r].tap == runs[last].tap + runs[last].length:
                runs[last].length += 1
            else:
                last += 1
                runs[last] = runs[r]
        begin = end
        axis.ends[t + 1] = last + 1


cdef Py_ssize_t place_of(Axis* axis, Py_ssize_t k, bint backward) noexcept nogil:
    """Where a tap of a row stands among the packed weights, so that those that one cell needs stand side by side.

    The input gradient of a cell takes every S / gcd(S, D)-th tap, and of later outputs earlier ones.
    """
    cdef Py_ssize_t a = axis.S, b = axis.D, phase, place = 0, step
    if not backward:
        return k
    while b > 0:
        a, b = b, a % b
    step = axis.S // a
    for phase in range(k % step):
        place += blocks(axis.K - phase, step)
    return place + (axis.K - 1 - k) // step


cdef Py_ssize_t most_runs(Plan* p) noexcept:
    """The runs of the target cell that has the most."""
    cdef Py_ssize_t t, most, product = 1
    cdef int i
    for i in range(3):
        most = 0
        for t in range(p.axes[i].target):
            most = max(most, p.axes[i].ends[t + 1] - p.axes[i].ends[t])
        product *= most
    return product


cdef inline Py_ssize_t list_runs(Plan* p, Py_ssize_t cell, Py_ssize_t source_begin, Run* runs) noexcept nogil:
    """List the source cells, counted from `source_begin`, that belong to a target cell; return how many runs they are."""
    cdef Axis* d = &p.axes[0]
    cdef Axis* h = &p.axes[1]
    cdef Axis* w = &p.axes[2]
    cdef Py_ssize_t id = cell // (h.target * w.target), ih = cell // w.target % h.target, iw = cell % w.target
    cdef Py_ssize_t a, b, c, row, taps, count = 0
    for a in range(d.ends[id], d.ends[id + 1]):
        for b in range(h.ends[ih], h.ends[ih + 1]):
            row = (d.runs[a].cell * h.source + h.runs[b].cell) * w.source - source_begin
            taps = (d.runs[a].tap * h.K + h.runs[b].tap) * w.K
            for c in range(w.ends[iw], w.ends[iw + 1]):
                runs[count].cell = row + w.runs[c].cell
                runs[count].tap = taps + w.runs[c].tap
                runs[count].length = w.runs[c].length
                count += 1
    return count


# the sums

cdef convolve(Plan* p, const float* source, const float* weight, const float* bias, float* target, int n_threads):
    """Write y or grad_x."""
    cdef Py_ssize_t groups = blocks(p.N, p.lanes), channel_tasks = blocks(p.target_channels, p.TB)
    cdef Py_ssize_t unit_tasks = blocks(p.axes[p.outer].target, p.units), weights = p.source_channels * p.target_channels * p.taps
    cdef Py_ssize_t task, i, room = 0
    number, index = np.dtype(DTYPE), np.dtype(np.intp)
    cdef Py_ssize_t[:, ::1] tables, lists
    cdef float[:, ::1] packed = aligned(1, p.G * weights, number)
    cdef float[:, ::1] start = aligned(1, p.G * p.target_channels, number)
    cdef float[:, ::1] source_tiles = aligned(n_threads, source_tile_numbers(p), number)
    cdef float[:, ::1] target_tiles = aligned(n_threads, target_tile_numbers(p), number)
    for i in range(3):
        room += table_numbers(&p.axes[i], p.backward)
    tables = aligned(1, room, index)
    room = 0
    for i in range(3):
        find_runs(&p.axes[i], p.backward, p.mode, i == 2, &tables[0, room])
        room += table_numbers(&p.axes[i], p.backward)
    lists = aligned(n_threads, 3 * max(most_runs(p), <Py_ssize_t> 1), index)
    for i in range(p.G):
        pack_group(p, weight + i * weights, &packed[0, i * weights])
    for i in range(p.G * p.target_channels):
        start[0, i] = bias[i] if bias != NULL else 0
    for task in prange(groups * p.G * channel_tasks * unit_tasks, nogil=True, schedule="dynamic", num_threads=n_threads):
        convolve_tile(p, source, &packed[0, 0], &start[0, 0], target, task // (p.G * channel_tasks * unit_tasks) * p.lanes,
                      task // (channel_tasks * unit_tasks) % p.G, task // unit_tasks % channel_tasks * p.TB,
                      task % unit_tasks * p.units, &source_tiles[threadid(), 0], &target_tiles[threadid(), 0],
                      <Run*> &lists[threadid(), 0])


cdef void convolve_tile(Plan* p, const float* source, const float* packed, const float* start, float* target,
                        Py_ssize_t n, Py_ssize_t g, Py_ssize_t t0, Py_ssize_t unit, float* source_tile,
                        float* target_tile, Run* runs) noexcept nogil:
    """The target channels from t0 and units from `unit`, of the images of a task, for all source channels."""
    cdef Axis* outer = &p.axes[p.outer]
    cdef Py_ssize_t channels = min(p.TB, p.target_channels - t0), units = min(p.units, outer.target - unit)
    cdef Py_ssize_t begin = unit * p.target_inner, count = units * p.target_inner
    cdef Py_ssize_t source_begin = outer.source, source_end = 0, r, b, c, k, K, t, M, cell, length
    for r in range(outer.ends[unit], outer.ends[unit + units]):
        source_begin = min(source_begin, outer.runs[r].cell)
        source_end = max(source_end, outer.runs[r].cell + outer.runs[r].length)
    source_begin = min(source_begin, source_end) * p.source_inner
    source_end *= p.source_inner
    packed += g * p.source_channels * p.target_channels * p.taps
    start += g * p.target_channels + t0
    for b in range(blocks(p.source_channels, p.SB)):
        k = b * p.SB
        K = min(p.SB, p.source_channels - k)
        lay_out(p, source, n, g * p.source_channels + k, K, source_begin, source_end, source_tile)
        for cell in range(count):
            length = list_runs(p, begin + cell, source_begin, runs)
            for c in range(blocks(channels, p.block)):
                t = c * p.block
                M = min(p.block, channels - t)
                cell_kernels[M][p.vectors](
                    runs, length, K, source_tile, packed + (k * p.target_channels + (t0 + t) * K) * p.taps,
                    start + t if k == 0 else NULL, target_tile + (t * count + cell) * p.lanes, count * p.lanes)
    put_back(p, target_tile, n, g * p.target_channels + t0, channels, begin, begin + count, target)


cdef void pack_group(Plan* p, const float* weight, float* packed) noexcept nogil:
    """packed[k, t][tap, k in its pass, t in its block]: the order in which the micro-kernel reads."""
    cdef Py_ssize_t target_step = p.taps if p.backward else p.source_channels * p.taps
    cdef Py_ssize_t source_step = p.target_channels * p.taps if p.backward else p.taps
    cdef Py_ssize_t KW = p.axes[2].K, b, c, k, K, t, M, row, kw, j, i
    cdef const float* w
    for b in range(blocks(p.source_channels, p.SB)):
        k = b * p.SB
        K = min(p.SB, p.source_channels - k)
        for c in range(blocks(p.target_channels, p.block)):
            t = c * p.block
            M = min(p.block, p.target_channels - t)
            for kw in range(KW):
                i = place_of(&p.axes[2], kw, p.backward)
                for row in range(p.taps // KW):
                    copy_transposed(weight + t * target_step + k * source_step + row * KW + kw, source_step, target_step,
                                    K, M, packed + (row * KW + i) * K * M)
            packed += K * M * p.taps


cdef inline void copy_transposed(const float* source, Py_ssize_t row_step, Py_ssize_t column_step, Py_ssize_t rows,
                                 Py_ssize_t columns, float* target) noexcept nogil:
    cdef Py_ssize_t i, j
    for i in range(rows):
        for j in range(columns):
            target[i * columns + j] = source[i * row_step + j * column_step]


# the transpositions

cdef void lay_out(Plan* p, const float* source, Py_ssize_t n0, Py_ssize_t channel, Py_ssize_t K, Py_ssize_t begin,
                  Py_ssize_t end, float* tile) noexcept nogil:
    """tile[cell - begin, k, image] = what the images of a task hold in K channels; zeros for images that there are not.

    Numbers are taken in the order in which an image holds them, across the end of a channel where all of it is wanted.
    """
    cdef float[vf_LANES * vf_LANES] square, edge
    cdef Py_ssize_t cells = end - begin, image_step = p.G * p.source_channels * p.source_cells, cell_step = K * p.lanes
    cdef bint whole = cells == p.source_cells
    cdef Py_ssize_t runs = 1 if whole else K, length = K * cells if whole else cells
    cdef Py_ssize_t v, r, b, i, cell, images, numbers
    cdef const float* x
    cdef float* t
    for v in range(p.vectors):
        images = min(<Py_ssize_t> vf_LANES, p.N - n0 - v * vf_LANES)
        for r in range(runs):
            x = source + (n0 + v * vf_LANES) * image_step + (channel + r) * p.source_cells + begin
            t = tile + r * p.lanes + v * vf_LANES
            cell = 0
            for b in range(blocks(length, vf_LANES)):
                numbers = min(<Py_ssize_t> vf_LANES, length - b * vf_LANES)
                if images == vf_LANES and cell + vf_LANES < cells and numbers == vf_LANES:
                    transpose_vf(x, image_step, t, cell_step)
                    cell += vf_LANES
                    t += vf_LANES * cell_step
                else:
                    if images == vf_LANES and numbers == vf_LANES:
                        transpose_vf(x, image_step, square, vf_LANES)
                    else:
                        memset(edge, 0, sizeof(edge))
                        for i in range(images):
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


cdef void put_back(Plan* p, const float* tile, Py_ssize_t n0, Py_ssize_t channel, Py_ssize_t channels, Py_ssize_t begin,
                   Py_ssize_t end, float* target) noexcept nogil:
    """Write tile[channel, cell - begin, image] to the images that there are."""
    cdef float[vf_LANES * vf_LANES] square
    cdef Py_ssize_t cells = end - begin, image_step = p.G * p.target_channels * p.target_cells
    cdef bint whole = cells == p.target_cells
    cdef Py_ssize_t runs = 1 if whole else channels, length = channels * cells if whole else cells
    cdef Py_ssize_t v, r, b, i, images, numbers
    cdef const float* t
    cdef float* y
    for v in range(p.vectors):
        images = min(<Py_ssize_t> vf_LANES, p.N - n0 - v * vf_LANES)
        for r in range(runs):
            t = tile + r * cells * p.lanes + v * vf_LANES
            y = target + (n0 + v * vf_LANES) * image_step + (channel + r) * p.target_cells + begin
            for b in range(blocks(length, vf_LANES)):
                numbers = min(<Py_ssize_t> vf_LANES, length - b * vf_LANES)
                if images == vf_LANES and numbers == vf_LANES:
                    transpose_vf(t, p.lanes, y, image_step)
                else:
                    for i in range(numbers):
                        store_vf(square + i * vf_LANES, load_vf(t + i * p.lanes))
                    transpose_vf(square, vf_LANES, square, vf_LANES)
                    for i in range(images):
                        memcpy(y + i * image_step, square + i * vf_LANES, numbers * sizeof(float))
                t += vf_LANES * p.lanes
                y += vf_LANES
