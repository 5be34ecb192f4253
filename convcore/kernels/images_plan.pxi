# How conv_images cuts a problem, which cells of x and y belong together, and what it all costs.

cdef enum:
    TILE_NUMBERS = 98304        # in a tile of the source or of the target: both take less than a 1 MiB cache
    FEW_CHANNELS = 4            # whose tile should fit, before a task takes fewer rows: neighbours lay out some twice
    MORE_CHANNELS = 16          # the same for the weight gradient, which loads its sums again for each few
    AT_HAND = 8192              # numbers in what micro-kernels read again and again: a first cache of 32 KiB holds them
    TASKS = 8                   # tasks to cut a problem into where it is large enough, whatever the number of threads
    TOTAL_NUMBERS = 262144      # sums in lanes of a task of the weight gradient, about
    PARTIAL_NUMBERS = 524288    # numbers in the weight gradients of all shares of the images, at most
    SCRATCH = 8388608           # bytes for a thread
    HALVED = 8                  # channels of the target that are worth sharing
    FEW_WEIGHTS = 16384         # that each thread packs for itself
    LARGEST_IMAGE = 1048576     # cells

    # For the choice of a variant, fitted to what the bench measures: operations of a whole vector ...
    CALL = 40                   # of a micro-kernel, besides the sums
    LANES_ADDED = 8             # of a sum
    SMALL_CALL = 25000          # of another kernel, besides what grows with the problem
    LARGE_CALL = 125000         # of one that adds shares up, or puts phases together
    # ... and of one lane
    TRANSPOSED = 10             # a number
    ROW_LAID_OUT = 190          # a row laid out, for the kernel with filters in its lanes
    SUM_TURNED = 20             # a result, for the kernel with filters in its lanes
    OUTSIDE = 20                # a weight that meets the number around the images, once for each class of outputs

cdef double RATE = 0.88                 # of what the units can do, here and with filters in the lanes
cdef double PATTERNED = 1.15            # how much longer these take with a pattern around the image
cdef double ROWS_APART = 1.08           # how much longer a weight gradient takes with a stride, whose taps share fewer cells
cdef double CELLS_APART = 1.15          # how much longer blocks of several cells take than of several vectors of images
cdef double FEW = 1.7                   # how much longer products take in a block of one channel, which waits for loads

cdef struct PixelCost:                  # of kernels with pixels in their lanes, in operations of one lane
    double product, few                 # of a product, and how much more if there is one channel of the target only
    double row                          # a row of the source laid out for a tap
    double target                       # a number of the target

cdef PixelCost PIXELS = PixelCost(product=0.9, few=2, row=300, target=3)
cdef PixelCost PIXELS_OF_PHASES = PixelCost(product=1.04, few=4, row=150, target=20)   # input gradients with a stride
cdef PixelCost PIXELS_SUMMED = PixelCost(product=0.9, few=4, row=300, target=3)        # weight gradients

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
    Py_ssize_t* classes         # of the target cells, by the taps that reach outside from them
    Py_ssize_t* examples        # a cell of each class
    Py_ssize_t class_count

cdef struct Plan:
    Direction direction
    Py_ssize_t N, G
    Py_ssize_t source_channels, target_channels     # of a group
    Py_ssize_t source_cells, target_cells, taps
    Axis[3] axes                # depth, height, width
    int outer                   # the first axis with more than one cell: tasks take units of it
    Py_ssize_t source_inner, target_inner           # cells in a unit
    int mode                    # of the padding
    double value                # around the image, where it adds to what is computed
    Py_ssize_t vectors, lanes   # of images laid out at a time
    Py_ssize_t columns          # cells of a row that a micro-kernel takes at once, at most
    Py_ssize_t period, shift    # how far such cells are apart in a row of the target, and of the source
    Py_ssize_t source_block, target_block           # channels in a micro-kernel
    Py_ssize_t SB, TB           # source channels and target channels laid out at a time
    Py_ssize_t units, source_units                  # of the outer axis: of the target at a time, and what they reach
    Py_ssize_t step             # units are a multiple of: pairs of rows, of which windows are made


# how a problem is cut

cdef Plan plan_of(ConvSizes* s, Direction direction) noexcept:
    cdef Plan p
    cdef Axis* outer
    cdef Py_ssize_t tasks, least, wanted = MORE_CHANNELS if direction == BACKWARD_WEIGHT else FEW_CHANNELS
    cdef int i
    p.direction, p.N, p.G, p.taps, p.mode = direction, s.N, s.G, s.KD * s.KH * s.KW, s.mode
    p.axes[0] = axis_of(s.ID, s.OD, s.KD, s.SD, s.DD, s.front, direction)
    p.axes[1] = axis_of(s.IH, s.OH, s.KH, s.SH, s.DH, s.top, direction)
    p.axes[2] = axis_of(s.IW, s.OW, s.KW, s.SW, s.DW, s.left, direction)
    p.source_channels, p.target_channels = (s.FG, s.CG) if direction == BACKWARD_INPUT else (s.CG, s.FG)
    p.value = s.padding_value if direction != BACKWARD_INPUT else 0
    p.outer = 0
    while p.outer < 2 and max(p.axes[p.outer].source, p.axes[p.outer].target) == 1:
        p.outer += 1
    p.source_inner = p.target_inner = 1
    for i in range(p.outer + 1, 3):
        p.source_inner *= p.axes[i].source
        p.target_inner *= p.axes[i].target
    outer = &p.axes[p.outer]
    p.source_cells, p.target_cells = outer.source * p.source_inner, outer.target * p.target_inner
    p.vectors = p.columns = 1
    p.period, p.shift = 1, p.axes[2].S
    if direction == BACKWARD_INPUT:
        p.period, p.shift = p.shift, p.period
    if direction != BACKWARD_WEIGHT:
        choose_block(&p)
    p.lanes = p.vectors * vf_LANES
    p.step = 2 if direction == FORWARD and p.outer == 1 else 1
    choose_channels(&p, p.target_channels)
    # An odd number of vectors of images is made an even one of tasks, for two threads and four, by sharing the target's
    # channels: that the source is laid out twice costs less than a thread that has nothing to do.
    tasks = blocks(p.N, p.lanes) * p.G
    cdef bint halves = tasks % 2 == 1 and tasks < TASKS and p.target_channels >= (
        2 if direction == BACKWARD_WEIGHT else HALVED)
    tasks = TASKS if direction == BACKWARD_WEIGHT or halves else tasks
    # Where tasks are wanted, they take as many rows as a filter at least: neighbours lay out some rows twice.
    least = max(<Py_ssize_t> 2, ((outer.K - 1) * outer.D + outer.S) // outer.S)
    p.units = outer.target
    while p.units > p.step and (
        reach(&p, p.units) * p.source_inner * p.lanes * min(p.source_channels, wanted) > TILE_NUMBERS
        or p.units * p.target_inner * p.lanes * min(p.target_channels, wanted) > TILE_NUMBERS
        or (blocks(p.units, 2) >= least and tasks * blocks(outer.target, p.units) < TASKS)
    ):
        p.units = round_up(blocks(p.units, 2), p.step)
    p.source_units = reach(&p, p.units)
    p.SB = channels_laid_out(p.source_channels, p.source_block,
                             TILE_NUMBERS // (p.source_units * p.source_inner * p.lanes))
    if p.columns > 1 and p.SB % 8 == 0:
        p.SB = p.SB // 2 + 1        # the cells of a block would lie a power of two apart: in the same sets of the cache
    p.TB = channels_laid_out(p.target_channels, p.target_block, TILE_NUMBERS // (p.units * p.target_inner * p.lanes))
    while total_numbers(&p) > TOTAL_NUMBERS and (p.SB > p.source_block or p.TB > p.target_block):
        if p.TB > p.target_block and p.TB >= p.SB:
            p.TB = channels_laid_out(p.target_channels, p.target_block, p.TB // 2)
        else:
            p.SB = channels_laid_out(p.source_channels, p.source_block, p.SB // 2)
    if halves and p.TB >= p.target_channels and (direction != BACKWARD_WEIGHT or p.SB >= p.source_channels):
        choose_channels(&p, blocks(p.target_channels, 2))
        p.TB = round_up(blocks(p.target_channels, 2), p.target_block)
    return p


cdef Axis axis_of(Py_ssize_t I, Py_ssize_t O, Py_ssize_t K, Py_ssize_t S, Py_ssize_t D, Py_ssize_t before,
                  Direction direction) noexcept:
    cdef Axis axis
    axis.source, axis.target = (O, I) if direction == BACKWARD_INPUT else (I, O)
    axis.K, axis.S, axis.D, axis.before = K, S, D, before
    axis.keys = K if direction == BACKWARD_WEIGHT else axis.target
    axis.ends, axis.runs, axis.classes, axis.examples, axis.class_count = NULL, NULL, NULL, NULL, 0
    return axis


cdef void choose_block(Plan* p) noexcept:
    """Several vectors of images, or several cells of a row: what takes the least time."""
    cdef Py_ssize_t v = 1, vectors = 1, columns = 1
    cdef double time, least = image_vectors(p, 1) * time_of_blocks(p, 1, 1)
    while v < MOST_VECTORS:
        v *= 2
        time = image_vectors(p, v) * time_of_blocks(p, v, 1)
        if 2 * v <= MOST_VECTORS and time < least:
            vectors, columns, least = v, 1, time
        time = image_vectors(p, 1) * time_of_blocks(p, 1, v) * CELLS_APART
        if time < least:
            vectors, columns, least = 1, v, time
    p.vectors, p.columns = vectors, columns


cdef void choose_channels(Plan* p, Py_ssize_t targets) noexcept:
    """The channels of a micro-kernel, for so many of the target. In the weight gradient: what loads the least."""
    cdef Py_ssize_t m, n, loads, least = 0
    p.source_block = 1
    if p.direction != BACKWARD_WEIGHT:
        p.target_block = even_block(targets, MOST_CHANNELS[p.vectors * p.columns])
        return
    for m in range(1, PAIR_SIDE + 1):
        n = MOST_PARTNERS[m]
        loads = targets * blocks(p.source_channels, n) + p.source_channels * blocks(targets, m)
        if least == 0 or loads < least:
            least = loads
            p.target_block, p.source_block = even_block(targets, m), even_block(p.source_channels, n)


cdef inline Py_ssize_t image_vectors(Plan* p, Py_ssize_t vectors) noexcept:
    """The vectors that all images take, laid out so many vectors at a time."""
    return round_up(p.N, vectors * vf_LANES) // vf_LANES


cdef double time_of_blocks(Plan* p, Py_ssize_t vectors, Py_ssize_t columns) noexcept:
    """How long a multiply-add takes in a row of such blocks, on average; 1 at best."""
    cdef Py_ssize_t m = even_block(p.target_channels, MOST_CHANNELS[vectors * columns])
    cdef Py_ssize_t whole = whole_columns(p), rest = blocks(whole, p.period), v = columns
    cdef double border = 0.5 * (p.axes[2].target - whole), time = border * slowness(m, vectors)
    cdef double part = <double> whole / max(<Py_ssize_t> 1, rest)
    while rest > 0:
        while v > rest:
            v //= 2
        time += part * v * slowness(m, vectors * v)
        rest -= v
    return time / (border + whole)


cdef double calls_of_a_row(Plan* p) noexcept:
    """The micro-kernels that a row of the target takes."""
    cdef Py_ssize_t whole = whole_columns(p), rest = blocks(whole, p.period), v = p.columns, calls = 0
    while rest > 0:
        while v > rest:
            v //= 2
        calls += 1
        rest -= v
    return p.axes[2].target - whole + calls * min(p.period, max(<Py_ssize_t> 1, whole))


cdef inline double slowness(Py_ssize_t m, Py_ssize_t v) noexcept:
    """How long a multiply-add of m · v at a time takes: it waits for those before it, and for what is loaded."""
    return max(<double> BUSY / (m * v), 1 + FEW / (m * m))


cdef Py_ssize_t whole_columns(Plan* p) noexcept:
    """The target cells of a row that all taps reach."""
    cdef Axis* w = &p.axes[2]
    cdef Py_ssize_t extent = (w.K - 1) * w.D, first, end
    if p.direction == BACKWARD_INPUT:
        first, end = extent - w.before, (w.source - 1) * w.S - w.before + 1
    else:
        first, end = first_inside(-w.before, w.S), end_inside(extent - w.before, w.S, w.source, w.target)
    return max(<Py_ssize_t> 0, min(end, w.target) - max(<Py_ssize_t> 0, first))


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
    cdef Py_ssize_t channels = p.SB + 1 if p.value != 0 else p.SB
    return round_up(channels * p.TB * p.taps, vf_LANES) * vf_LANES if p.direction == BACKWARD_WEIGHT else 0


# which cells belong together: output o and input cell i through tap k where o·S + k·D − before is i

cdef Py_ssize_t table_numbers(Plan* p, Axis* axis) noexcept:
    """Room for the ends, and for a run of three numbers for each output and tap."""
    return axis.keys + 2 + 3 * axis.K * (axis.source if p.direction == BACKWARD_INPUT else axis.target)


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


cdef void find_chains(Plan* p, Py_ssize_t* chains) noexcept nogil:
    """chains[c] = how many cells of a row, c and those `period` apart, belong to source cells `shift` apart."""
    cdef Axis* w = &p.axes[2]
    cdef Py_ssize_t i, c
    for i in range(w.target):
        c = w.target - 1 - i
        chains[c] = 1 + chains[c + p.period] if c + p.period < w.target and alike(w, c, c + p.period, p.shift) else 1


cdef bint alike(Axis* w, Py_ssize_t a, Py_ssize_t b, Py_ssize_t shift) noexcept nogil:
    """Whether two cells of a row belong to source cells `shift` apart, through the same taps."""
    cdef Py_ssize_t count = w.ends[a + 1] - w.ends[a], r
    cdef Run* first = w.runs + w.ends[a]
    cdef Run* second = w.runs + w.ends[b]
    if w.ends[b + 1] - w.ends[b] != count:
        return False
    for r in range(count):
        if (second[r].cell - first[r].cell != shift or second[r].other != first[r].other
                or second[r].length != first[r].length):
            return False
    return True


cdef inline Py_ssize_t columns_at_once(Plan* p, Py_ssize_t alike) noexcept nogil:
    """Of so many cells that are alike, those that one micro-kernel takes."""
    cdef Py_ssize_t v = p.columns
    while v > alike:
        v //= 2
    return v


cdef Py_ssize_t most_runs(Axis* axis) noexcept:
    """The runs of the key that has the most, and one at least."""
    cdef Py_ssize_t key, most = 1
    for key in range(axis.keys):
        most = max(most, axis.ends[key + 1] - axis.ends[key])
    return most


cdef double scratch_bytes(Plan* p) noexcept:
    """The memory of a thread, without the weights: what `find_runs` may find is bounded before it is found."""
    cdef double tables = 0, runs = p.taps if p.direction == BACKWARD_WEIGHT else 1, rows = 1, most
    cdef Axis* axis
    cdef int i
    for i in range(3):
        tables += table_numbers(p, &p.axes[i])
        axis = &p.axes[i]
        if p.direction == BACKWARD_WEIGHT:                  # outputs of a tap; in a row they lie side by side
            most = 1 if i == 2 and p.mode == CONSTANT else axis.target
        elif p.direction == FORWARD or p.mode == CONSTANT:
            most = axis.K
        else:                                               # a pattern may repeat a cell any number of times
            most = axis.K * axis.source
        runs *= most
        rows *= most if i < 2 else 1
    if p.direction == BACKWARD_WEIGHT:
        runs += outside_runs(p)
    return (source_numbers(p) + target_numbers(p) + total_numbers(p)) * sizeof(float) + \
        (tables + (runs + rows) * 3) * sizeof(Py_ssize_t)


cdef void find_reach(Plan* p, Py_ssize_t unit, Py_ssize_t units, Py_ssize_t* begin, Py_ssize_t* end) noexcept nogil:
    """Which source cells belong to units of the target: those from `begin` to `end`."""
    cdef Axis* outer = &p.axes[p.outer]
    cdef Py_ssize_t r, first_run = 0, end_run = outer.ends[outer.keys], step = outer.S, low = outer.source, high = 0
    cdef Run run
    if p.direction != BACKWARD_WEIGHT:
        first_run, end_run, step = outer.ends[unit], outer.ends[unit + units], 1
    for r in range(first_run, end_run):
        run = outer.runs[r]
        if p.direction == BACKWARD_WEIGHT:
            run = within(outer, run, unit, units)
        if run.length > 0:
            low = min(low, run.cell)
            high = max(high, run.cell + (run.length - 1) * step + 1)
    begin[0] = min(low, high) * p.source_inner
    end[0] = high * p.source_inner


cdef inline Run within(Axis* axis, Run run, Py_ssize_t unit, Py_ssize_t units) noexcept nogil:
    """The part of a run of the weight gradient whose outputs lie in units of the axis, empty if its length is < 1."""
    cdef Py_ssize_t first = max(run.other, unit)
    run.length = min(run.other + run.length, unit + units) - first
    run.cell += (first - run.other) * axis.S
    run.other = first
    return run


cdef Py_ssize_t share_groups(Plan* p) noexcept:
    """How many vectors of images make a share of the weight gradient, which is summed by itself."""
    cdef Py_ssize_t groups = blocks(p.N, p.lanes), weights = p.G * p.source_channels * p.target_channels * p.taps
    cdef Py_ssize_t parts = p.G * blocks(p.target_channels, p.TB) * blocks(p.source_channels, p.SB)
    return max(<Py_ssize_t> 1, blocks(groups, max(<Py_ssize_t> 1, min(groups, TASKS // parts, PARTIAL_NUMBERS // weights))))


# what it costs, in multiply-adds of one lane that the units could have made in the same time

cdef double own_cost(Plan* p) noexcept:
    cdef double images = round_up(p.N, p.lanes), vectors = images / vf_LANES * p.G, calls, busy, slow, products = 1
    cdef Py_ssize_t chunks = blocks(p.axes[p.outer].target, p.units)
    cdef Py_ssize_t target_blocks = blocks(p.target_channels, p.target_block)
    cdef Py_ssize_t source_tasks = blocks(p.source_channels, p.SB), target_tasks = blocks(p.target_channels, p.TB)
    cdef double source_laid = <double> chunks * p.source_units * p.source_inner * target_tasks * p.source_channels
    cdef double target_laid = <double> p.target_cells * p.target_channels
    cdef double cost, tasks
    cdef int i
    for i in range(3):
        products *= pairs(p, &p.axes[i])
    products *= images * p.G * p.source_channels * p.target_channels
    if p.direction == BACKWARD_WEIGHT:
        target_laid *= source_tasks
    cost = images * p.G * (source_laid + target_laid) * TRANSPOSED
    if p.direction == BACKWARD_WEIGHT:
        busy = p.source_block * p.target_block
        slow = max(BUSY / busy, 1 + FEW / (busy * min(p.source_block, p.target_block)))
        if p.axes[1].S * p.axes[2].S > 1:
            slow *= ROWS_APART
        calls = vectors * chunks * p.taps * blocks(p.source_channels, p.source_block) * target_blocks
        calls *= CALL + 2 * busy                            # sums are loaded and stored again
        calls += vectors / share_groups(p) * p.taps * p.source_channels * p.target_channels * LANES_ADDED
    else:
        cost += outside_cost(p)
        slow = time_of_blocks(p, p.vectors, p.columns)
        calls = vectors * p.target_cells * target_blocks * source_tasks
        calls *= CALL * calls_of_a_row(p) / (p.axes[2].target * p.vectors) + p.target_block
        slow /= RATE
        return cost + products * slow + calls * vf_LANES
    # A few large tasks do not share out evenly among threads, however many these are.
    tasks = max(<Py_ssize_t> 1, blocks(blocks(p.N, p.lanes), share_groups(p))) * p.G * source_tasks * target_tasks
    return (cost + products * slow + calls * vf_LANES) * (1 + 0.3 / (tasks * tasks))


cdef double outside_cost(Plan* p) noexcept:
    """What `find_starts` takes, about, where there is a number around the images."""
    cdef double classes = 1
    cdef int i
    if p.value == 0:
        return 0
    for i in range(3):
        classes *= min(p.axes[i].target, 2 * min(p.axes[i].K, p.axes[i].before) + 1)
    return classes * p.taps * p.G * p.target_channels * OUTSIDE


cdef double cost_of_others(Plan* p) noexcept:
    """For kernels with pixels or filters in their lanes, which multiply padding and lay out rows, if need be per tap.

    Patterns cost them more: they are laid out number by number, or images are padded for them.
    """
    return cost_of_zeros(p) * (1 if p.mode == CONSTANT else PATTERNED)


cdef double cost_of_zeros(Plan* p) noexcept:
    cdef double rows = <double> p.source_channels * (p.source_cells // p.axes[2].source)
    cdef double targets = <double> p.target_channels * p.target_cells
    cdef double products = <double> p.source_channels * p.target_channels, images = p.N * p.G, pixels, filters, sums
    cdef double lanes_filled = <double> p.target_channels / round_up(p.target_channels, vf_LANES)
    cdef PixelCost* cost = &PIXELS
    cdef Axis* axis
    cdef int i
    for i in range(3):
        axis = &p.axes[i]
        products *= axis.target * axis.K
        if p.direction == BACKWARD_INPUT:
            products /= min(axis.S, axis.target * axis.K)
    if p.direction == BACKWARD_WEIGHT:
        products *= <double> round_up(p.target_cells, vf_LANES) / p.target_cells
        cost = &PIXELS_SUMMED
    elif p.direction == BACKWARD_INPUT and p.axes[1].S * p.axes[2].S > 1:
        cost = &PIXELS_OF_PHASES
    pixels = products * (cost.product + cost.few / p.target_channels)
    pixels += rows * p.axes[2].K * cost.row + targets * cost.target
    if cost != &PIXELS:
        return images * pixels + LARGE_CALL * vf_LANES
    sums = products / (p.source_channels * p.taps)
    filters = (products + SUM_TURNED * sums) / (RATE * lanes_filled) + rows * ROW_LAID_OUT + targets * cost.target
    return images * min(pixels, filters) + SMALL_CALL * vf_LANES


cdef Py_ssize_t pairs(Plan* p, Axis* axis) noexcept:
    """How many cells of an axis meet an output through a tap."""
    cdef Py_ssize_t I = axis.source, O = axis.target, o, k, count = 0
    if p.direction == BACKWARD_INPUT:
        I, O = O, I
    for o in range(O):
        for k in range(axis.K):
            count += source_cell(o * axis.S + k * axis.D - axis.before, I, p.mode) >= 0
    return count
