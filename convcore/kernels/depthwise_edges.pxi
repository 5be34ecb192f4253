# What the frame around a channel hands on to the cells that it repeats: its rows and columns are few, and each is computed
# from the rows or columns of grad_y that reach it; the channel itself is computed as if zeros were around it.

cdef struct Run:                # of cells of a line that have the same place in a step of the stride, between two others
    Py_ssize_t first, end               # those inside the image
    Py_ssize_t length, cell             # with those outside; the first one's in the image's line, which may lie before it


cdef struct Lines:              # all rows of the frame, or all columns
    const Py_ssize_t* along             # per padded cell of a line: the cell that it repeats
    Py_ssize_t outputs, stride          # along a line
    Py_ssize_t g_step, x_step           # from one number of a line to the next in grad_y, and in the image
    Py_ssize_t pitch                    # numbers for a run of cells
    Py_ssize_t lead                     # zeros before a laid out line of grad_y
    Py_ssize_t count, sources           # of lines; of the lines of grad_y that they meet
    Py_ssize_t* targets                 # where in the image the lines begin that they repeat
    Py_ssize_t* places                  # of the sources, in grad_y
    Tap* taps                           # of all lines and runs: where they read what is laid out; weights
    Py_ssize_t* starts                  # of the taps of each run of each line
    Run* runs


cdef bint can_add_edges(ConvSizes* s) noexcept:
    """Whether planes are flat, and what channels with several filters do without a stride is not the faster way."""
    cdef Axis height = height_axis(s), width = width_axis(s)
    return (s.mode != CONSTANT and s.KD * s.ID * s.OD * s.SD == 1 and s.front == 0
            and (s.FG == 1 or s.SH * s.SW > 1)
            and most_numbers(s, &width, s.OW, &height, s.OH) + most_numbers(s, &height, s.OH, &width, s.OW)
            <= TALL_NUMBERS)


cdef Py_ssize_t most_numbers(ConvSizes* s, Axis* along, Py_ssize_t outputs, Axis* across, Py_ssize_t lines) noexcept:
    """What the frame's lines along an axis and the lines of grad_y that they meet may take."""
    cdef Py_ssize_t length = round_up(outputs + (along.K - 1) * along.D // along.S + 1, vf_LANES) + vf_LANES
    cdef Py_ssize_t outside = (lines - 1) * across.S + (across.K - 1) * across.D + 1
    return 2 * s.FG * lines * length + outside * along.S * length


cdef class Edges:
    """The frame's rows and columns, and what they meet."""

    cdef FrameAxis[3] frame
    cdef Py_ssize_t[:, ::1] cells               # the frame's memory
    cdef Lines rows, columns
    cdef list memory                            # of both

    def __init__(self, geometry):
        cdef ConvSizes s = conv_sizes(geometry)
        cdef Axis height = height_axis(&s), width = width_axis(&s)
        self.cells = find_frame(&s, self.frame)
        self.memory = []
        self.rows = lines_of(&s, &width, s.OW, 1, &height, s.OH, s.OW, s.KW, s.IW, self.frame + 2, self.frame + 1,
                             self.memory)
        self.columns = lines_of(&s, &height, s.OH, s.KW, &width, s.OW, 1, 1, 1, self.frame + 1, self.frame + 2,
                                self.memory)
        self.rows.g_step, self.rows.x_step = 1, 1
        self.columns.g_step, self.columns.x_step = s.OW, s.IW


cdef Lines lines_of(ConvSizes* s, Axis* along, Py_ssize_t outputs, Py_ssize_t w_along, Axis* across, Py_ssize_t lines,
                    Py_ssize_t g_across, Py_ssize_t w_across, Py_ssize_t x_across, const FrameAxis* inside,
                    const FrameAxis* outside, list memory):
    """What lies outside the image on one axis; numbers of grad_y, weights and cells lie so far apart across the lines."""
    cdef Lines l
    cdef Py_ssize_t i, k, f, j, place, length
    l.along, l.outputs, l.stride = inside.cells, outputs, along.S
    l.pitch = round_up(blocks(inside.padded, along.S), vf_LANES)
    l.lead = round_up((along.K - 1) * along.D // along.S, vf_LANES)
    targets, places, taps, starts, runs = [], {}, [], [0], []
    for i in range(outside.padded):
        if outside.before <= i < outside.before + outside.size or outside.cells[i] < 0:
            continue
        met = []                                # laid out lines of grad_y, and where the taps begin that meet them
        for k in range(across.K):
            if (i - k * across.D) % across.S == 0 and 0 <= (i - k * across.D) // across.S < lines:
                for f in range(s.FG):
                    j = places.setdefault(f * s.OH * s.OW + (i - k * across.D) // across.S * g_across, len(places))
                    met.append((j * (l.lead + l.pitch) + l.lead, f * s.KH * s.KW + k * w_across))
        if not met:
            continue
        targets.append(outside.cells[i] * x_across)
        for place in range(along.S):
            for line, weight in met:
                taps += [(line - k * along.D // along.S, weight + k * w_along)
                         for k in range(along.K) if k * along.D % along.S == place]
            starts.append(len(taps))
    for place in range(along.S):
        length = blocks(max(<Py_ssize_t> 0, inside.padded - place), along.S)
        i = min(length, blocks(max(<Py_ssize_t> 0, inside.before - place), along.S))
        j = min(length, blocks(max(<Py_ssize_t> 0, inside.before + inside.size - place), along.S))
        runs.append((i, max(i, j), length, place - inside.before))
    l.count, l.sources = len(targets), len(places)
    l.targets = table_of(targets, memory)
    l.places = table_of(list(places), memory)
    l.taps = <Tap*> table_of(taps, memory)
    l.starts = table_of(starts, memory)
    l.runs = <Run*> table_of(runs, memory)
    return l


cdef Py_ssize_t* table_of(list numbers, list memory):
    """Write numbers down; `memory` keeps them."""
    table = np.array(numbers or [0], INDEX)
    cdef const Py_ssize_t[::1] flat = table.reshape(-1)
    memory.append(table)
    return <Py_ssize_t*> &flat[0]


cdef Py_ssize_t numbers_of_lines(const Lines* l) noexcept nogil:
    """What they and the lines that they meet take."""
    return l.sources * (l.lead + l.pitch) + l.count * l.stride * l.pitch


cdef void add_edges(ConvSizes* s, const Lines* rows, const Lines* columns, const float* grad_y, const float* weight,
                    float* grad_x, Py_ssize_t first, Py_ssize_t channels, float* work) noexcept nogil:
    """Add what the frame hands on to some channels, counted through the batch; `work` begins with zeros."""
    cdef Py_ssize_t n
    cdef const float* g
    cdef const float* w
    cdef float* image
    cdef float* beside = work + numbers_of_lines(rows)
    for n in range(first, min(first + channels, s.N * s.IC)):
        g, w, image = grad_y + n * s.FG * s.OH * s.OW, weight + n % s.IC * s.FG * s.KH * s.KW, grad_x + n * s.IH * s.IW
        # All are laid out, then all are added up: loads wait for what was just stored.
        lay_out_sources(rows, g, work)
        lay_out_sources(columns, g, beside)
        sum_lines(rows, w, work)
        sum_lines(columns, w, beside)
        hand_on(rows, True, work, image)
        hand_on(columns, False, beside, image)


cdef inline void lay_out_sources(const Lines* l, const float* grad_y, float* work) noexcept nogil:
    """Copy the lines of grad_y that the frame meets to between zeros."""
    cdef Py_ssize_t i, j
    cdef const float* source
    work += l.lead
    for i in range(l.sources):
        source = grad_y + l.places[i]
        if l.g_step == 1:
            copy_cells(source, work, l.outputs)
        else:
            for j in range(l.outputs):
                work[j] = source[j * l.g_step]
        work += l.lead + l.pitch


cdef inline void sum_lines(const Lines* l, const float* weight, float* work) noexcept nogil:
    """The frame's lines, run by run."""
    cdef Py_ssize_t i, v, t
    cdef float* sums = work + l.sources * (l.lead + l.pitch)
    cdef const float* gradients
    cdef vf total
    for i in range(l.count * l.stride):
        for v in range(l.pitch // vf_LANES):
            gradients = work + v * vf_LANES
            total = splat_vf(0)
            for t in range(l.starts[i], l.starts[i + 1]):
                total = total + splat_vf(weight[l.taps[t].weight]) * load_vf(gradients + l.taps[t].cell)
            store_vf(sums, total)
            sums += vf_LANES


cdef inline void hand_on(const Lines* l, bint corners, const float* work, float* image) noexcept nogil:
    """Add the lines to those that they repeat; the frame's corners belong to its rows."""
    cdef Py_ssize_t i, place, j, step = l.stride * l.x_step
    cdef const float* sums = work + l.sources * (l.lead + l.pitch)
    cdef const Run* run
    cdef float* target
    for i in range(l.count):
        for place in range(l.stride):
            run = l.runs + place
            target = image + l.targets[i] + run.cell * l.x_step
            if step == 1:
                add_cells(sums + run.first, target + run.first, run.end - run.first)
            else:
                for j in range(run.first, run.end):
                    target[j * step] += sums[j]
            if corners:
                add_corners(l, place, sums, 0, run.first, image + l.targets[i])
                add_corners(l, place, sums, run.end, run.length, image + l.targets[i])
            sums += l.pitch


cdef inline void add_corners(const Lines* l, Py_ssize_t place, const float* sums, Py_ssize_t first, Py_ssize_t end,
                             float* row) noexcept nogil:
    cdef Py_ssize_t j
    for j in range(first, end):
        if l.along[j * l.stride + place] >= 0:
            row[l.along[j * l.stride + place]] += sums[j]
