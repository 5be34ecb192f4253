# How a convolution is laid out in patches (conv_patch.pxi) and cut into tasks: forward, and for the input gradient, which
# is a convolution of the output's gradient, one for each remainder of the stride.

cdef enum:
    TAPS = 512                  # taps in a patch, about
    PATCH_NUMBERS = 65536       # numbers in a patch, about: a quarter of a 1 MiB cache
    LARGEST_PATCH = 524288      # numbers in the smallest possible patch, at most
    PATCH_SLACK = 512           # numbers behind a patch that micro-kernels may read
    RESULT_NUMBERS = 262144     # numbers of an output that is computed apart from where it belongs, about
    LARGEST_RESULT = 1048576    # and at most
    TASKS = 16                  # blocks to cut a problem into where it is large enough, whatever the number of threads
    FEW_PIXELS = 1024           # pixels that small images laid out side by side have together, at most
    MANY_WEIGHTS = 32768        # weights that are laid out by several threads

NUMBER, INDEX = np.dtype(np.float32), np.dtype(np.intp)


cdef struct Plan:               # a convolution laid out: what a patch holds, and how the work is cut
    Py_ssize_t N, G             # images, groups
    Py_ssize_t CG, FG           # channels and filters per group, of the source and of the result
    Axis A, B, C
    Py_ssize_t run              # pixels of a line, which is a row's part along the innermost axis
    Py_ssize_t pixels           # pixels of a row of the grid
    Py_ssize_t inner            # numbers laid out for a row: its pixels, and where lines stay whole what taps reach behind
    Py_ssize_t span             # rows that the filter reaches beyond the last row of a band
    Py_ssize_t T                # taps of a channel
    Py_ssize_t CB, channel_blocks       # channels in a patch
    Py_ssize_t rows, bands      # rows in a band
    Py_ssize_t images, image_blocks     # images in a patch
    Py_ssize_t pitch            # rows laid out in a patch
    Py_ssize_t channel_pitch    # numbers of a channel in a patch
    Py_ssize_t panels           # panels of filters that a micro-kernel computes at a time
    int mode
    float value


cdef void cut(Plan* f, Py_ssize_t CB, Py_ssize_t few_pixels, Py_ssize_t result_numbers, bint side_by_side) noexcept nogil:
    """Choose the rows and images of a patch, and the channels (CB at most).

    few_pixels: pixels of a band that micro-kernels need to run well.
    result_numbers: numbers of the result kept per row of the grid beside the patch, 0 where it is written in place.
    side_by_side: whether small images may share a patch.
    """
    cdef Py_ssize_t row = f.B.copies * f.C.copies * f.A.copies * f.inner        # numbers of a channel per row
    cdef Py_ssize_t most_rows, enough
    f.CB = min(f.CG, max(<Py_ssize_t> 1, CB))
    most_rows = max(<Py_ssize_t> 1, PATCH_NUMBERS // (f.CB * row) - f.span)
    if result_numbers:
        most_rows = min(most_rows, max(<Py_ssize_t> 1, RESULT_NUMBERS // result_numbers))
    enough = blocks(f.A.count, blocks(TASKS, max(<Py_ssize_t> 1, f.N * f.G)))       # rows that leave enough tasks
    f.rows = min(f.A.count, most_rows, max(enough, blocks(few_pixels, f.pixels)))
    f.bands = blocks(f.A.count, f.rows)
    f.rows = blocks(f.A.count, f.bands)
    while f.CB > 1 and f.CB * row * (f.rows + f.span) > 2 * PATCH_NUMBERS:
        f.CB = blocks(f.CB, 2)
    f.channel_blocks = blocks(f.CG, f.CB)
    f.CB = blocks(f.CG, f.channel_blocks)
    f.images = 1
    if side_by_side and f.bands == 1:
        f.images = max(<Py_ssize_t> 1, min(f.N * f.G // TASKS, FEW_PIXELS // (f.rows * f.pixels),
                                           PATCH_NUMBERS // (f.CB * row * (f.rows + f.span))))
    f.image_blocks = blocks(f.N, f.images)
    # An image is written up to a vector past its last row: between copies of several, that must meet no image of the next.
    f.pitch = f.images * (f.rows + f.span) + (blocks(vf_LANES, f.inner) if f.images > 1 else 0)
    f.channel_pitch = (round_up(f.pitch * row, vf_LANES) // vf_LANES | 1) * vf_LANES    # odd: channels in all cache sets


cdef Py_ssize_t patch_numbers(Plan* f) noexcept nogil:
    return f.CB * f.channel_pitch + PATCH_SLACK              # what micro-kernels read and rows write past the end


cdef void lay_patch(Plan* f, const float* source, Py_ssize_t n, Py_ssize_t band, Py_ssize_t g, Py_ssize_t c0,
                    Py_ssize_t channels, float* patch) noexcept nogil:
    """Lay out a band of the images from n on, `channels` of group g from c0 on."""
    cdef Py_ssize_t cells = f.A.size * f.B.size * f.C.size, images = min(f.images, f.N - n), i, c
    cdef Py_ssize_t row = band * f.rows, rows = min(f.rows, f.A.count - row) + f.span, first
    for c in range(channels):
        for i in range(images):
            first = (((n + i) * f.G + g) * f.CG + c0 + c) * cells
            lay_out(source + first, first, f.N * f.G * f.CG * cells - first, &f.A, &f.B, &f.C, row, rows, f.pitch, f.mode, f.value,
                    patch + c * f.channel_pitch + i * (f.rows + f.span) * f.inner)


cdef void fill_offsets(Plan* f, Py_ssize_t taps, const Py_ssize_t* within, Py_ssize_t* offsets) noexcept nogil:
    """offsets[c, t] = where tap t of channel c begins in a patch, for all channels of a patch."""
    cdef Py_ssize_t c, t
    for c in range(f.CB):
        for t in range(taps):
            offsets[c * taps + t] = c * f.channel_pitch + within[t]


cdef inline Py_ssize_t part(Py_ssize_t count, Py_ssize_t parts, Py_ssize_t index) noexcept nogil:
    """Where part `index` begins when `count` is cut into parts as equal as can be, the larger ones first."""
    return count // parts * index + min(index, count % parts)


cdef inline Py_ssize_t share_of(Py_ssize_t count, Py_ssize_t parts, Py_ssize_t index) noexcept nogil:
    """How much of `count` is in part `index`."""
    return count // parts + (index < count % parts)


# forward: output o takes tap k from the input cell o · S + k · D - P

cdef void plan_forward(Plan* f, ConvSizes* s, Extent* e, bint whole_lines) noexcept nogil:
    """The numbers of copies; `lay_taps` then fills in where they start.

    whole_lines: taps along the innermost axis read one line at different places, as those along the slow axis do.
    """
    extents(s, e, whole_lines)
    f.N, f.G, f.CG, f.FG, f.mode, f.value = s.N, s.G, s.CG, s.FG, s.mode, s.padding_value
    f.T = s.KD * s.KH * s.KW
    f.run = e[2].O
    f.pixels = e[1].O * e[2].O
    f.A = Axis(e[0].I, e[0].O, e[0].S, phases_used(&e[0], NULL), NULL, NULL)
    f.B = Axis(e[1].I, e[1].O, e[1].S, e[1].K, NULL, NULL)
    if whole_lines:
        f.C = Axis(e[2].I, e[2].O + reach(&e[2]), e[2].S, phases_used(&e[2], NULL), NULL, NULL)
    else:
        f.C = Axis(e[2].I, e[2].O, e[2].S, e[2].K, NULL, NULL)
    f.inner = f.B.count * f.C.count
    f.span = reach(&e[0])


cdef inline Py_ssize_t reach(Extent* e) noexcept nogil:
    """How many steps of the output the filter is long, the first left out."""
    return (e.K - 1) * e.D // e.S


cdef Py_ssize_t phases_used(Extent* e, Py_ssize_t* starts) noexcept nogil:
    """How many remainders of the stride the taps stand at; where they start, if asked."""
    cdef Py_ssize_t k, used = 0
    for k in range(min(e.K, e.S)):                          # taps that are S apart stand at the same one
        if k == 0 or k * e.D % e.S != 0 and first_at(e, k) == k:
            if starts != NULL:
                starts[used] = k * e.D % e.S - e.P
            used += 1
    return used


cdef Py_ssize_t first_at(Extent* e, Py_ssize_t k) noexcept nogil:
    """The first tap that stands at the same remainder of the stride as tap k."""
    cdef Py_ssize_t first = 0
    while first * e.D % e.S != k * e.D % e.S:
        first += 1
    return first


cdef Py_ssize_t phase_of(Axis* axis, Extent* e, Py_ssize_t k) noexcept nogil:
    """Which copy of a phased axis tap k stands in."""
    cdef Py_ssize_t phase = 0
    while axis.starts[phase] != k * e.D % e.S - e.P:
        phase += 1
    return phase


cdef void lay_taps(Plan* f, Extent* e, bint whole_lines, Py_ssize_t* table, Py_ssize_t* within) noexcept nogil:
    """Fill in the starts of all copies, and where each tap begins in a channel of a patch."""
    cdef Py_ssize_t a, b, c, copy, column, t = 0
    f.A.starts, f.B.starts, f.C.starts = table, table + f.A.copies, table + f.A.copies + f.B.copies
    phases_used(&e[0], f.A.starts)
    for b in range(e[1].K):
        f.B.starts[b] = b * e[1].D - e[1].P
    if whole_lines:
        phases_used(&e[2], f.C.starts)
    else:
        for c in range(e[2].K):
            f.C.starts[c] = c * e[2].D - e[2].P
    for a in range(e[0].K):
        for b in range(e[1].K):
            for c in range(e[2].K):
                copy, column = c, 0
                if whole_lines:
                    copy, column = phase_of(&f.C, &e[2], c), c * e[2].D // e[2].S
                within[t] = ((((b * f.C.copies + copy) * f.A.copies + phase_of(&f.A, &e[0], a)) * f.pitch
                              + a * e[0].D // e[0].S) * f.inner + column)
                t += 1


# input gradient: input cell S·j + remainder receives, from the gradients at o = j + (remainder + P - k·D) / S, the taps k
# for which that is a whole number

cdef void plan_backward_input(Plan* f, ConvSizes* s, Extent* e, bint whole_lines) noexcept nogil:
    cdef Py_ssize_t axis
    cdef Axis* grid[3]
    extents(s, e, whole_lines)
    f.N, f.G, f.CG, f.FG, f.mode, f.value = s.N, s.G, s.FG, s.CG, CONSTANT, 0
    f.T = s.KD * s.KH * s.KW
    grid[0], grid[1], grid[2] = &f.A, &f.B, &f.C
    for axis in range(3):
        grid[axis][0] = Axis(e[axis].O, blocks(e[axis].I, e[axis].S), 1, 1, NULL, NULL)
    f.run = f.C.count
    f.pixels = f.B.count * f.C.count
    f.B.copies = shift_count(&e[1])
    if whole_lines:
        f.C.count += largest_shift(&e[2]) - smallest_shift(&e[2])
    else:
        f.C.copies = shift_count(&e[2])
    f.inner = f.B.count * f.C.count
    f.span = largest_shift(&e[0]) - smallest_shift(&e[0])


cdef inline Py_ssize_t shift_of(Extent* e, Py_ssize_t k) noexcept nogil:
    """How far from the grid cell j stands the gradient that tap k takes: (P - k · D) / S, rounded up."""
    cdef Py_ssize_t reach = e.P - k * e.D
    return -((-reach) // e.S) if reach < 0 else (reach + e.S - 1) // e.S


cdef inline Py_ssize_t remainder_of(Extent* e, Py_ssize_t k) noexcept nogil:
    """The remainder of the input cells that tap k reaches."""
    return shift_of(e, k) * e.S - (e.P - k * e.D)


cdef Py_ssize_t smallest_shift(Extent* e) noexcept nogil:
    return shift_of(e, e.K - 1)


cdef Py_ssize_t largest_shift(Extent* e) noexcept nogil:
    return shift_of(e, 0)


cdef Py_ssize_t shift_count(Extent* e) noexcept nogil:
    """How many different shifts the taps of an axis have; later taps never shift further than earlier ones."""
    cdef Py_ssize_t k, count = 1
    for k in range(1, e.K):
        count += shift_of(e, k) != shift_of(e, k - 1)
    return count


cdef struct Phase:              # the input cells of one remainder per axis, and the taps that reach them
    Py_ssize_t[3] remainder
    Py_ssize_t first, taps      # where they stand among all taps


cdef void lay_gradient_taps(Plan* f, Extent* e, bint whole_lines, Py_ssize_t* table, Phase* phases,
                            Py_ssize_t* within, Py_ssize_t* index) noexcept nogil:
    """Fill in the starts of all copies, the phases, and per tap where it begins in a patch and which weight it is."""
    cdef Py_ssize_t a, b, c, phase = 0, t = 0, ra, rb, rc, copy_b, copy_c, column
    f.A.starts, f.B.starts, f.C.starts = table, table + 1, table + 1 + f.B.copies
    f.A.starts[0] = smallest_shift(&e[0])
    fill_starts(&f.B, &e[1])
    if whole_lines:
        f.C.starts[0] = smallest_shift(&e[2])
    else:
        fill_starts(&f.C, &e[2])
    for ra in range(min(e[0].S, e[0].I)):
        for rb in range(min(e[1].S, e[1].I)):
            for rc in range(min(e[2].S, e[2].I)):
                phases[phase].remainder = [ra, rb, rc]
                phases[phase].first = t
                for a in range(e[0].K):
                    if remainder_of(&e[0], a) != ra:
                        continue
                    for b in range(e[1].K):
                        if remainder_of(&e[1], b) != rb:
                            continue
                        for c in range(e[2].K):
                            if remainder_of(&e[2], c) != rc:
                                continue
                            copy_b = copy_of(&f.B, shift_of(&e[1], b))
                            copy_c, column = 0, shift_of(&e[2], c) - f.C.starts[0]
                            if not whole_lines:
                                copy_c, column = copy_of(&f.C, shift_of(&e[2], c)), 0
                            within[t] = (((copy_b * f.C.copies + copy_c) * f.pitch + shift_of(&e[0], a) - f.A.starts[0])
                                         * f.inner + column)
                            index[t] = (a * e[1].K + b) * e[2].K + c
                            t += 1
                phases[phase].taps = t - phases[phase].first
                phase += 1


cdef void fill_starts(Axis* axis, Extent* e) noexcept nogil:
    cdef Py_ssize_t k, copies = 0
    for k in range(e.K):
        if k == 0 or shift_of(e, k) != shift_of(e, k - 1):
            axis.starts[copies] = shift_of(e, k)
            copies += 1


cdef Py_ssize_t copy_of(Axis* axis, Py_ssize_t start) noexcept nogil:
    cdef Py_ssize_t i = 0
    while axis.starts[i] != start:
        i += 1
    return i


cdef void fill_where(Plan* f, const Phase* phase, const Py_ssize_t* index, Py_ssize_t* where) noexcept nogil:
    """where[c, t] = which weight of the first channel tap t of filter c of a patch is."""
    cdef Py_ssize_t c, t
    for c in range(f.CB):
        for t in range(phase.taps):
            where[c * phase.taps + t] = c * f.FG * f.T + index[phase.first + t]


cdef Py_ssize_t phase_count(Extent* e) noexcept nogil:
    return min(e[0].S, e[0].I) * min(e[1].S, e[1].I) * min(e[2].S, e[2].I)


cdef void put_together(Plan* f, Extent* e, const Phase* phase, Py_ssize_t row0, Py_ssize_t rows, const float* source,
                       Py_ssize_t phase_step, float* grad_x) noexcept nogil:
    """Bring the phases that share rows of one channel to those rows."""
    cdef Py_ssize_t a, b, i, r, S = min(e[2].S, e[2].I)
    for r in range(rows):
        a = (row0 + r) * e[0].S + phase.remainder[0]
        if a >= e[0].I:
            break
        for i in range(f.B.count):
            b = i * e[1].S + phase.remainder[1]
            if b >= e[1].I:
                source += f.run                         # the grid ends with a line that this remainder lacks
                continue
            interleave(source, phase_step, S, e[2].I, grad_x + (a * e[1].I + b) * e[2].I)
            source += f.run


cdef inline void interleave(const float* source, Py_ssize_t step, Py_ssize_t S, Py_ssize_t count,
                            float* target) noexcept nogil:
    """target[S · j + r] = source[r · step + j]"""
    cdef Py_ssize_t j, r
    if S == 1:
        copy_run(source, target, count)
    elif S == 2:
        for j in range(count // 2):
            target[2 * j] = source[j]
            target[2 * j + 1] = source[step + j]
        if count % 2:
            target[count - 1] = source[count // 2]
    else:
        for r in range(S):
            for j in range((count - r + S - 1) // S):
                target[S * j + r] = source[r * step + j]


cdef odd_bands(Plan* f, Extent* e, ConvSizes* s):
    """Why bands hold no whole windows of 2×2, or None."""
    if e[0].O != s.OH:
        return "computes pixels as they lie in memory, not rows of the image"
    return f"computes {f.rows} rows at a time, which no whole windows fill" if f.bands > 1 and f.rows % 2 else None


cdef too_large(direction, geometry, bint whole_lines):
    """What would take more than 8 MB of working memory per thread, or None."""
    cdef ConvSizes s = conv_sizes(geometry.volumetric)
    cdef Extent[3] e
    cdef Plan f
    cdef Py_ssize_t filters, laid
    if direction == "backward_input":
        plan_backward_input(&f, &s, e, whole_lines)
        filters = phase_count(e) * round_up(f.FG, vf_LANES)
        if filters * f.pixels > LARGEST_RESULT:
            return f"a row of the gradient takes more than {LARGEST_RESULT} numbers"
    else:
        plan_forward(&f, &s, e, whole_lines)
        if round_up(f.FG, vf_LANES) * (f.T if direction == "backward_weight" else f.pixels) > LARGEST_RESULT:
            return f"a row, or the weights of a channel, takes more than {LARGEST_RESULT} numbers"
    laid = f.A.copies * f.B.copies * f.C.copies * f.inner
    if laid * (f.span + 1) > LARGEST_PATCH:
        return f"what a task reads takes more than {LARGEST_PATCH} numbers"
    return None
