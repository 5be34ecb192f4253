"""Convolution of small images, as many at a time as vectors have lanes: each lane holds another image.

All lanes belong to the same cell, so whatever a filter does not reach is left out for all of them: no operation is
spent on padding, on outputs that do not exist, or on the gaps of a stride. Images are transposed on their way in, to
[cell][channel][image], and on their way out. Between stands one micro-kernel: a few channels of one target cell, summed
over the source cells that belong to it; forward and input gradient differ only in which cells those are. The weight
gradient is summed per lane, and over the lanes at the end.
"""

from cython.parallel cimport prange, threadid
from libc.string cimport memcpy, memset

import numpy as np

from cython cimport floating
from convcore.kernels.common cimport CONSTANT, ConvSizes, conv_sizes, source_cell
from convcore.kernels.buffers import aligned

include "conv_images.pxi"

VOLUMETRIC = True
DTYPE = np.float32              # the only one

cdef enum:
    TILE_NUMBERS = 98304        # numbers of a tile that a task reads or writes: less than half of a 1 MiB cache for both
    CHANNELS = 16               # whose tile should fit, before a task takes fewer rows
    UNITS = 4                   # rows of a task, at least, where tasks are wanted: neighbours lay out some rows twice
    TASKS = 8                   # tasks to cut a problem into where it is large enough, whatever the number of threads
    TOTAL_NUMBERS = 262144      # sums in lanes of a task of the weight gradient, about
    PARTIAL_NUMBERS = 524288    # numbers in the weight gradients of all shares of the images, at most
    SCRATCH_NUMBERS = 2097152   # 8 MiB for a thread

NUMBER, INDEX = np.dtype(DTYPE), np.dtype(np.intp)

cdef enum Direction:
    FORWARD
    BACKWARD_INPUT
    BACKWARD_WEIGHT

# The source is x and the target y, in the input gradient the other way round.
cdef struct Axis:
    Py_ssize_t source, target   # cells
    Py_ssize_t K, S, D, before  # taps, stride, dilation, padding in front
    Py_ssize_t keys             # by which runs are listed: target cells, in the weight gradient taps
    Py_ssize_t* ends            # the first run of each key, and one past the last
    Run* runs

cdef struct Plan:
    Direction direction
    Py_ssize_t N, G
    Py_ssize_t source_channels, target_channels     # of a group
    Py_ssize_t source_cells, target_cells, taps
    Axis[3] axes                # depth, height, width
    int outer                   # the first axis with more than one cell: tasks take units of it
    Py_ssize_t source_inner, target_inner           # cells in a unit
    int mode                    # of the padding
    Py_ssize_t vectors, lanes   # of images laid out at a time
    Py_ssize_t source_block, target_block           # channels in a micro-kernel
    Py_ssize_t SB, TB           # source channels and target channels laid out at a time
    Py_ssize_t units, source_units                  # of the outer axis: of the target at a time, and what they reach


def forward(geometry,
            const float[:, :, :, :, ::1] x not None,        # IN  (N, IC, ID, IH, IW)
            const float[:, :, :, :, ::1] weight not None,   # IN  (OC, IC/G, KD, KH, KW)
            const float[::1] bias,                          # IN  (OC,) or None
            float[:, :, :, :, ::1] y not None,              # OUT (N, OC, OD, OH, OW)
            int n_threads):
    """Write y; one task per few images, group, block of filters and few rows of y."""
    cdef Plan p = plan_of(geometry, FORWARD)
    convolve(&p, &x[0, 0, 0, 0, 0], &weight[0, 0, 0, 0, 0], &bias[0] if bias is not None else NULL,
             &y[0, 0, 0, 0, 0], n_threads)


def backward_input(geometry,
                   const float[:, :, :, :, ::1] grad_y not None,    # IN  (N, OC, OD, OH, OW)
                   const float[:, :, :, :, ::1] weight not None,    # IN  (OC, IC/G, KD, KH, KW)
                   float[:, :, :, :, ::1] grad_x not None,          # OUT (N, IC, ID, IH, IW)
                   int n_threads):
    """Write grad_x; one task per few images, group, block of channels and few rows of grad_x."""
    cdef Plan p = plan_of(geometry, BACKWARD_INPUT)
    convolve(&p, &grad_y[0, 0, 0, 0, 0], &weight[0, 0, 0, 0, 0], NULL, &grad_x[0, 0, 0, 0, 0], n_threads)


def backward_weight(geometry,
                    const float[:, :, :, :, ::1] grad_y not None,       # IN  (N, OC, OD, OH, OW)
                    const float[:, :, :, :, ::1] x not None,            # IN  (N, IC, ID, IH, IW)
                    float[:, :, :, :, ::1] grad_weight not None,        # OUT (OC, IC/G, KD, KH, KW)
                    int n_threads):
    """Write grad_weight; one task per share of the images, group and block of weights; shares are added up in order."""
    cdef Plan p = plan_of(geometry, BACKWARD_WEIGHT)
    correlate(&p, &grad_y[0, 0, 0, 0, 0], &x[0, 0, 0, 0, 0], &grad_weight[0, 0, 0, 0, 0], n_threads)


def supports(direction, geometry, dtype, level):
    """Refuse other numbers than float32, a constant around the image that is not 0, and images that fill the scratch."""
    if dtype != DTYPE:
        return "computes in float32 only"
    if direction != "backward_input" and geometry.padding_mode == CONSTANT and geometry.padding_value != 0:
        return f"pads with zeros or a pattern, not with {geometry.padding_value}"
    cdef Plan p = plan_of(geometry.volumetric, direction_of(direction))
    cdef Py_ssize_t numbers = source_numbers(&p) + target_numbers(&p) + total_numbers(&p)
    return f"a task needs {numbers} numbers of scratch, more than {SCRATCH_NUMBERS}" if numbers > SCRATCH_NUMBERS else None


cdef Direction direction_of(str name):
    return FORWARD if name == "forward" else BACKWARD_INPUT if name == "backward_input" else BACKWARD_WEIGHT


# how a problem is cut

cdef Plan plan_of(geometry, Direction direction):
    cdef ConvSizes s = conv_sizes(geometry)
    cdef Plan p
    cdef Axis* outer
    cdef Py_ssize_t tasks
    cdef int i
    p.direction, p.N, p.G, p.taps, p.mode = direction, s.N, s.G, s.KD * s.KH * s.KW, s.mode
    p.axes[0] = axis_of(s.ID, s.OD, s.KD, s.SD, s.DD, s.front, direction)
    p.axes[1] = axis_of(s.IH, s.OH, s.KH, s.SH, s.DH, s.top, direction)
    p.axes[2] = axis_of(s.IW, s.OW, s.KW, s.SW, s.DW, s.left, direction)
    p.source_channels, p.target_channels = (s.FG, s.CG) if direction == BACKWARD_INPUT else (s.CG, s.FG)
    p.outer = 0
    while p.outer < 2 and max(p.axes[p.outer].source, p.axes[p.outer].target) == 1:
        p.outer += 1
    p.source_inner = p.target_inner = 1
    for i in range(p.outer + 1, 3):
        p.source_inner *= p.axes[i].source
        p.target_inner *= p.axes[i].target
    outer = &p.axes[p.outer]
    p.source_cells, p.target_cells = outer.source * p.source_inner, outer.target * p.target_inner
    p.vectors = 1 if direction == BACKWARD_WEIGHT else best_vectors(&p)
    p.lanes = p.vectors * vf_LANES
    if direction == BACKWARD_WEIGHT:
        p.source_block = even_block(p.source_channels, PAIR_CHANNELS)
        p.target_block = even_block(p.target_channels, PAIR_FILTERS)
    else:
        p.source_block = 1
        p.target_block = even_block(p.target_channels, MOST_CHANNELS[p.vectors])
    tasks = TASKS if direction == BACKWARD_WEIGHT else blocks(p.N, p.lanes) * p.G
    p.units = outer.target
    while p.units > 1 and (
        reach(&p, p.units) * p.source_inner * p.lanes * min(p.source_channels, <Py_ssize_t> CHANNELS) > TILE_NUMBERS
        or p.units * p.target_inner * p.lanes * min(p.target_channels, <Py_ssize_t> CHANNELS) > TILE_NUMBERS
        or (p.units > UNITS and tasks * blocks(outer.target, p.units) < TASKS)
    ):
        p.units = blocks(p.units, 2)
    p.source_units = reach(&p, p.units)
    p.SB = channels_laid_out(p.source_channels, p.source_block, TILE_NUMBERS // (p.source_units * p.source_inner * p.lanes))
    p.TB = channels_laid_out(p.target_channels, p.target_block, TILE_NUMBERS // (p.units * p.target_inner * p.lanes))
    while total_numbers(&p) > TOTAL_NUMBERS and (p.SB > p.source_block or p.TB > p.target_block):
        if p.TB > p.target_block and p.TB >= p.SB:
            p.TB = channels_laid_out(p.target_channels, p.target_block, p.TB // 2)
        else:
            p.SB = channels_laid_out(p.source_channels, p.source_block, p.SB // 2)
    return p


cdef Axis axis_of(Py_ssize_t I, Py_ssize_t O, Py_ssize_t K, Py_ssize_t S, Py_ssize_t D, Py_ssize_t before,
                  Direction direction):
    cdef Axis axis
    axis.source, axis.target = (O, I) if direction == BACKWARD_INPUT else (I, O)
    axis.K, axis.S, axis.D, axis.before = K, S, D, before
    axis.keys = K if direction == BACKWARD_WEIGHT else axis.target
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


cdef Py_ssize_t channels_laid_out(Py_ssize_t channels, Py_ssize_t block, Py_ssize_t most) noexcept:
    """A share of the channels, about equal to the others, of at most `most` and of whole blocks; one block at least."""
    return min(channels, round_up(even_block(channels, max(block, most // block * block)), block))


cdef Py_ssize_t reach(Plan* p, Py_ssize_t units) noexcept:
    """How many units of the source belong to so many units of the target, at most."""
    cdef Axis* axis = &p.axes[p.outer]
    cdef Py_ssize_t extent = (axis.K - 1) * axis.D
    if p.mode != CONSTANT:
        return axis.source
    if p.direction == BACKWARD_INPUT:
        return min(axis.source, (units - 1 + extent) // axis.S + 1)
    return min(axis.source, (units - 1) * axis.S + extent + 1)


cdef Py_ssize_t source_numbers(Plan* p) noexcept:
    return p.SB * p.source_units * p.source_inner * p.lanes


cdef Py_ssize_t target_numbers(Plan* p) noexcept:
    return p.TB * p.units * p.target_inner * p.lanes


cdef Py_ssize_t total_numbers(Plan* p) noexcept:
    """The sums in lanes of a task of the weight gradient, squares that are summed at once."""
    return round_up(p.SB * p.TB * p.taps, vf_LANES) * vf_LANES if p.direction == BACKWARD_WEIGHT else 0


# which cells belong together: output o and input cell i through tap k where o·S + k·D − before is i

cdef Py_ssize_t[:, ::1] find_all_runs(Plan* p):
    """List the runs of all axes, in a table that is to be kept as long as they are read."""
    cdef Py_ssize_t[3] room
    cdef Py_ssize_t[:, ::1] table
    cdef Axis* axis
    cdef int i
    for i in range(3):
        axis = &p.axes[i]
        room[i] = axis.keys + 2 + 3 * axis.K * (axis.source if p.direction == BACKWARD_INPUT else axis.target)
    table = aligned(1, room[0] + room[1] + room[2], INDEX)
    find_runs(p, &p.axes[0], False, &table[0, 0])
    find_runs(p, &p.axes[1], False, &table[0, room[0]])
    find_runs(p, &p.axes[2], True, &table[0, room[0] + room[1]])
    return table


cdef void find_runs(Plan* p, Axis* axis, bint joined, Py_ssize_t* table) noexcept:
    """List the cells of an axis that belong to each key, having counted them; join those that lie side by side."""
    cdef Py_ssize_t I = axis.source, O = axis.target, o, k, i, key
    cdef Run* run
    if p.direction == BACKWARD_INPUT:
        I, O = O, I
    axis.ends = table
    axis.runs = <Run*> (table + axis.keys + 2)
    memset(table, 0, (axis.keys + 2) * sizeof(Py_ssize_t))
    for o in range(O):
        for k in range(axis.K):
            i = source_cell(o * axis.S + k * axis.D - axis.before, I, p.mode)
            if i >= 0:
                axis.ends[(o if p.direction == FORWARD else i if p.direction == BACKWARD_INPUT else k) + 2] += 1
    for key in range(axis.keys):
        axis.ends[key + 2] += axis.ends[key + 1]
    for o in range(O):
        for k in range(axis.K):
            i = source_cell(o * axis.S + k * axis.D - axis.before, I, p.mode)
            if i >= 0:
                key = o if p.direction == FORWARD else i if p.direction == BACKWARD_INPUT else k
                run = axis.runs + axis.ends[key + 1]
                axis.ends[key + 1] += 1
                run.cell = o if p.direction == BACKWARD_INPUT else i
                run.other = o if p.direction == BACKWARD_WEIGHT else place_of(p, axis, k) if joined else k
                run.length = 1
    if joined:
        join_runs(axis, axis.S if p.direction == BACKWARD_WEIGHT else 1)


cdef void join_runs(Axis* axis, Py_ssize_t step) noexcept:
    cdef Py_ssize_t key, r, first, last = -1, begin = 0, end
    cdef Run* runs = axis.runs
    for key in range(axis.keys):
        first, end = last + 1, axis.ends[key + 1]
        for r in range(begin, end):
            if last >= first and runs[r].cell == runs[last].cell + step * runs[last].length and \
                    runs[r].other == runs[last].other + runs[last].length:
                runs[last].length += 1
            else:
                last += 1
                runs[last] = runs[r]
        begin = end
        axis.ends[key + 1] = last + 1


cdef Py_ssize_t place_of(Plan* p, Axis* axis, Py_ssize_t k) noexcept nogil:
    """Where a tap of a row stands among the packed weights, so that those that one cell needs stand side by side.

    The input gradient of a cell takes every S / gcd(S, D)-th tap, and of later outputs earlier ones.
    """
    cdef Py_ssize_t a = axis.S, b = axis.D, phase, place = 0, step
    if p.direction == FORWARD:
        return k
    while b > 0:
        a, b = b, a % b
    step = axis.S // a
    for phase in range(k % step):
        place += blocks(axis.K - phase, step)
    return place + (axis.K - 1 - k) // step


cdef Py_ssize_t most_runs(Plan* p, int axis) noexcept:
    """The runs of the key that has the most, and one at least."""
    cdef Py_ssize_t key, most = 1
    for key in range(p.axes[axis].keys):
        most = max(most, p.axes[axis].ends[key + 1] - p.axes[axis].ends[key])
    return most


cdef void find_reach(Plan* p, Py_ssize_t unit, Py_ssize_t units, Py_ssize_t* begin, Py_ssize_t* end) noexcept nogil:
    """Which source cells belong to units of the target: those from `begin` to `end`."""
    cdef Axis* outer = &p.axes[p.outer]
    cdef Py_ssize_t key, r, o, first, last, low = outer.source, high = 0
    cdef Run* run
    for key in range(outer.keys):
        if p.direction != BACKWARD_WEIGHT and not unit <= key < unit + units:
            continue
        for r in range(outer.ends[key], outer.ends[key + 1]):
            run = outer.runs + r
            first, last = run.cell, run.cell + run.length - 1
            if p.direction == BACKWARD_WEIGHT:
                if run.other >= unit + units or run.other + run.length <= unit:
                    continue
                last = run.cell + (min(run.other + run.length, unit + units) - 1 - run.other) * outer.S
                first = run.cell + (max(run.other, unit) - run.other) * outer.S
            low = min(low, first)
            high = max(high, last + 1)
    begin[0] = min(low, high) * p.source_inner
    end[0] = high * p.source_inner


# forward and backward_input: target channels of a cell = sum over its source cells and their channels

cdef convolve(Plan* p, const float* source, const float* weight, const float* bias, float* target, int n_threads):
    """Write y or grad_x."""
    cdef Py_ssize_t unit_tasks = blocks(p.axes[p.outer].target, p.units), channel_tasks = blocks(p.target_channels, p.TB)
    cdef Py_ssize_t weights = p.source_channels * p.target_channels * p.taps, task, g, t
    cdef Py_ssize_t[:, ::1] table = find_all_runs(p)
    cdef Py_ssize_t most_rows = most_runs(p, 0) * most_runs(p, 1)
    cdef Py_ssize_t[:, ::1] lists = aligned(n_threads, 3 * most_rows * (1 + most_runs(p, 2)), INDEX)
    cdef float[:, ::1] fixed = aligned(1, p.G * (weights + p.target_channels), NUMBER)
    cdef Py_ssize_t after_source = source_numbers(p)
    cdef float[:, ::1] tiles = aligned(n_threads, after_source + target_numbers(p), NUMBER)
    cdef float* packed = &fixed[0, 0]
    cdef float* start = packed + p.G * weights
    for g in range(p.G):
        pack_group(p, weight + g * weights, packed + g * weights)
    for t in range(p.G * p.target_channels):
        start[t] = bias[t] if bias != NULL else 0
    for task in prange(blocks(p.N, p.lanes) * p.G * channel_tasks * unit_tasks, nogil=True, schedule="dynamic",
                       num_threads=n_threads):
        convolve_tile(p, source, packed, start, target,
                      task // (p.G * channel_tasks * unit_tasks) * p.lanes, task // (channel_tasks * unit_tasks) % p.G,
                      task // unit_tasks % channel_tasks * p.TB, task % unit_tasks * p.units,
                      &tiles[threadid(), 0], &tiles[threadid(), after_source], <Run*> &lists[threadid(), 0],
                      <Run*> &lists[threadid(), 3 * most_rows])


cdef void convolve_tile(Plan* p, const float* source, const float* packed, const float* start, float* target,
                        Py_ssize_t n, Py_ssize_t g, Py_ssize_t t0, Py_ssize_t unit, float* source_tile,
                        float* target_tile, Run* rows, Run* runs) noexcept nogil:
    """The target channels from t0 and units from `unit`, of the images of a task, for all source channels."""
    cdef Axis* h = &p.axes[1]
    cdef Axis* w = &p.axes[2]
    cdef Py_ssize_t channels = min(p.TB, p.target_channels - t0)
    cdef Py_ssize_t units = min(p.units, p.axes[p.outer].target - unit), cells = units * p.target_inner
    cdef Py_ssize_t columns = units if p.outer == 2 else w.target, first_column = unit if p.outer == 2 else 0
    cdef Py_ssize_t first_row = 0 if p.outer == 2 else unit * p.target_inner // w.target
    cdef Py_ssize_t begin, end, b, c, k, K, t, M, row, column, rows_listed, count
    cdef float* cell
    find_reach(p, unit, units, &begin, &end)
    packed += g * p.source_channels * p.target_channels * p.taps
    start += g * p.target_channels + t0
    for b in range(blocks(p.source_channels, p.SB)):
        k = b * p.SB
        K = min(p.SB, p.source_channels - k)
        lay_out(p, source, n, p.G * p.source_channels, p.source_cells, g * p.source_channels + k, K, begin, end,
                source_tile)
        cell = target_tile
        for row in range(first_row, first_row + cells // columns):
            rows_listed = list_rows(p, row // h.target, row % h.target, begin, rows)
            for column in range(first_column, first_column + columns):
                count = list_runs(w, column, rows, rows_listed, runs)
                for c in range(blocks(channels, p.target_block)):
                    t = c * p.target_block
                    M = min(p.target_block, channels - t)
                    cell_kernels[M][p.vectors](
                        runs, count, K, source_tile, packed + (k * p.target_channels + (t0 + t) * K) * p.taps,
                        start + t if k == 0 else NULL, cell + t * cells * p.lanes, cells * p.lanes)
                cell += p.lanes
    put_back(p, target_tile, n, g * p.target_channels + t0, channels, unit * p.target_inner, cells, target)


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


cdef inline void pack_tap(const float* weight, Py_ssize_t source_step, Py_ssize_t target_step, Py_ssize_t K, Py_ssize_t M,
                          float* packed) noexcept nogil:
    cdef Py_ssize_t k, i
    for k in range(K):
        for i in range(M):
            packed[k * M + i] = weight[i * target_step + k * source_step]


# backward_weight: a tap of a filter = sum over outputs and images of grad_y · x, channel by channel

cdef correlate(Plan* p, const float* grad_y, const float* x, float* grad_weight, int n_threads):
    cdef Py_ssize_t filter_blocks = blocks(p.target_channels, p.TB), channel_blocks = blocks(p.source_channels, p.SB)
    cdef Py_ssize_t weights = p.G * p.source_channels * p.target_channels * p.taps, groups = blocks(p.N, p.lanes)
    cdef Py_ssize_t shares = min(groups, TASKS // (p.G * filter_blocks * channel_blocks), PARTIAL_NUMBERS // weights)
    cdef Py_ssize_t share_groups = blocks(groups, max(<Py_ssize_t> 1, shares)), task, share, j
    cdef Py_ssize_t[:, ::1] table = find_all_runs(p)
    cdef Py_ssize_t[:, ::1] lists = aligned(n_threads, p.taps + 1 + 3 * p.taps * most_runs(p, 0) * most_runs(p, 1) * most_runs(p, 2), INDEX)
    cdef Py_ssize_t after_source = source_numbers(p), after_target = after_source + target_numbers(p)
    cdef float[:, ::1] tiles = aligned(n_threads, after_target + total_numbers(p), NUMBER)
    cdef float[:, ::1] partial
    shares = blocks(groups, share_groups)
    partial = aligned(shares - 1, weights, NUMBER)          # the first share needs none
    for task in prange(shares * p.G * filter_blocks * channel_blocks, nogil=True, schedule="dynamic",
                       num_threads=n_threads):
        share = task // (p.G * filter_blocks * channel_blocks)
        correlate_share(p, grad_y, x, grad_weight if share == 0 else &partial[share - 1, 0],
                        share * share_groups * p.lanes, min(p.N, (share + 1) * share_groups * p.lanes),
                        task // (filter_blocks * channel_blocks) % p.G, task // channel_blocks % filter_blocks * p.TB,
                        task % channel_blocks * p.SB, &tiles[threadid(), after_source], &tiles[threadid(), 0],
                        &tiles[threadid(), after_target], <Run*> &lists[threadid(), p.taps + 1], &lists[threadid(), 0])
    for share in range(shares - 1):
        for j in range(weights):
            grad_weight[j] += partial[share, j]


cdef void correlate_share(Plan* p, const float* grad_y, const float* x, float* grad_weight, Py_ssize_t n_begin,
                          Py_ssize_t n_end, Py_ssize_t g, Py_ssize_t f0, Py_ssize_t c0, float* target_tile,
                          float* source_tile, float* totals, Run* runs, Py_ssize_t* ends) noexcept nogil:
    """The weights of the filters from f0 and channels from c0, of some images."""
    cdef Py_ssize_t filters = min(p.TB, p.target_channels - f0), channels = min(p.SB, p.source_channels - c0)
    cdef Py_ssize_t filter_blocks = blocks(filters, p.target_block), channel_blocks = blocks(channels, p.source_block)
    cdef Py_ssize_t n, unit, units, begin, end, y_begin, y_end, tap, f, c, F, C, i, b, j, k
    cdef Axis* outer = &p.axes[p.outer]
    cdef float* total
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
                    for tap in range(p.taps):
                        pair_kernels[F][C](runs + ends[tap], ends[tap + 1] - ends[tap],
                                           target_tile + f * (y_end - y_begin) * p.lanes, F * p.lanes,
                                           source_tile + c * (end - begin) * p.lanes, C * p.lanes, p.axes[2].S, total,
                                           i > 0 or b > 0)
                        total += F * C * p.lanes
    add_lanes(totals, filters * channels * p.taps)
    total = totals
    for j in range(filter_blocks):
        f = j * p.target_block
        F = min(p.target_block, filters - f)
        for k in range(channel_blocks):
            c = k * p.source_block
            C = min(p.source_block, channels - c)
            spread(total, F, C, p.taps, grad_weight + ((g * p.target_channels + f0 + f) * p.source_channels + c0 + c) * p.taps,
                   p.source_channels * p.taps)
            total += F * C * p.taps


cdef Py_ssize_t list_pairs(Plan* p, Py_ssize_t tap, Py_ssize_t unit, Py_ssize_t units, Py_ssize_t source_begin,
                           Run* runs) noexcept nogil:
    """List the cells of x, counted from `source_begin`, and of grad_y, counted from `unit`, that a tap multiplies."""
    cdef Axis* d = &p.axes[0]
    cdef Axis* h = &p.axes[1]
    cdef Axis* w = &p.axes[2]
    cdef Py_ssize_t kd = tap // (h.K * w.K), kh = tap // w.K % h.K, kw = tap % w.K, a, b, c, count = 0
    cdef Run depth, row, columns
    for a in range(d.ends[kd], d.ends[kd + 1]):
        depth = within(p, 0, d.runs[a], unit, units)
        for b in range(h.ends[kh], h.ends[kh + 1]):
            row = within(p, 1, h.runs[b], unit, units)
            for c in range(w.ends[kw], w.ends[kw + 1]):
                columns = within(p, 2, w.runs[c], unit, units)
                if depth.length > 0 and row.length > 0 and columns.length > 0:
                    runs[count].cell = (depth.cell * h.source + row.cell) * w.source + columns.cell - source_begin
                    runs[count].other = (depth.other * h.target + row.other) * w.target + columns.other
                    runs[count].other -= unit * p.target_inner
                    runs[count].length = columns.length
                    count += 1
    return count


cdef inline Run within(Plan* p, int axis, Run run, Py_ssize_t unit, Py_ssize_t units) noexcept nogil:
    """The part of a run of the weight gradient whose outputs lie in units of the target."""
    cdef Py_ssize_t first = max(run.other, unit), end = min(run.other + run.length, unit + units)
    if axis == p.outer:
        run.cell += (first - run.other) * p.axes[axis].S
        run.other = first
        run.length = end - first
    return run


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


cdef inline void spread(const float* sums, Py_ssize_t F, Py_ssize_t C, Py_ssize_t taps, float* weights,
                        Py_ssize_t filter_step) noexcept nogil:
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
    cdef Py_ssize_t length = K * cells if cells == all_cells else cells, channels = K * cells // max(length, <Py_ssize_t> 1)
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
                   Py_ssize_t cells, float* target) noexcept nogil:
    """Write tile[k, cell - begin, image] to K channels of the images that there are."""
    cdef float[vf_LANES * vf_LANES] square
    cdef Py_ssize_t image_step = p.G * p.target_channels * p.target_cells
    cdef Py_ssize_t length = K * cells if cells == p.target_cells else cells, channels = K * cells // length
    cdef Py_ssize_t v, k, b, i, present, numbers
    cdef const float* t
    cdef float* y
    for v in range(p.vectors):
        present = min(<Py_ssize_t> vf_LANES, p.N - n0 - v * vf_LANES)
        for k in range(channels):
            t = tile + k * cells * p.lanes + v * vf_LANES
            y = target + (n0 + v * vf_LANES) * image_step + (channel + k) * p.target_cells + begin
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
