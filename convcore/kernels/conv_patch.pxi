# Patches: how conv_shifted lays out the part of an image that a task reads.
#
# The taps of a filter along the inner axes become copies of the image, each shifted by its tap, with the rows of the
# output: then a filter tap reads, for all the output pixels of a band of rows, one run of contiguous numbers. Along the
# outermost ("slow") axis nothing is copied: another tap there is another row of the same copy. Rows between which the
# output steps over others stand apart by their remainder (phase), so that the rows of a tap follow each other.

cdef struct Extent:             # one axis of a convolution: input, output, filter, stride, dilation, padding before
    Py_ssize_t I, O, K, S, D, P


cdef struct Axis:               # how one axis of the source is laid out
    Py_ssize_t size             # cells of the source
    Py_ssize_t count            # cells of the grid, which are the pixels computed
    Py_ssize_t step             # source cells between two cells of the grid
    Py_ssize_t copies
    Py_ssize_t* starts          # per copy: the source cell at the first cell of the grid
    int* masks                  # per copy, a line and a vector long: where a shifted line still is that line; or NULL


cdef bint trivial(Extent* e) noexcept nogil:
    return e.I == 1 and e.O == 1 and e.K == 1 and e.P == 0


cdef bint pointwise(Extent* e) noexcept nogil:
    return e.K == 1 and e.P == 0 and e.I == e.O and (e.S == 1 or e.I == 1)


cdef void extents(ConvSizes* s, Extent* e, bint whole_lines) noexcept nogil:
    """The axes, the slow one first: axes of size 1 hold no more rows and may stand anywhere in the order.

    whole_lines: the last axis is to have a size, even if it is the only one.
    """
    cdef Extent none = Extent(1, 1, 1, 1, 1, 0)
    e[0] = Extent(s.ID, s.OD, s.KD, s.SD, s.DD, s.front)
    e[1] = Extent(s.IH, s.OH, s.KH, s.SH, s.DH, s.top)
    e[2] = Extent(s.IW, s.OW, s.KW, s.SW, s.DW, s.left)
    if not whole_lines and pointwise(&e[0]) and pointwise(&e[1]) and pointwise(&e[2]):
        e[0] = Extent(s.ID * s.IH * s.IW, s.OD * s.OH * s.OW, 1, 1, 1, 0)       # one row of pixels
        e[1] = e[2] = none
    elif trivial(&e[0]):
        if trivial(&e[1]):
            if not whole_lines:
                e[0], e[2] = e[2], none
            e[1] = none
        else:
            e[0], e[1] = e[1], none


cdef inline void copy_run(const float* source, float* target, Py_ssize_t count) noexcept nogil:
    """Copy a short run without calling anything; the last pieces overlap."""
    cdef Py_ssize_t i = 0
    if count >= vf_LANES:
        while i + vf_LANES <= count:
            store_vf(target + i, load_vf(source + i))
            i += vf_LANES
        if i < count:
            store_vf(target + count - vf_LANES, load_vf(source + count - vf_LANES))
    elif count >= 4:
        while i + 4 <= count:
            memcpy(target + i, source + i, 16)
            i += 4
        if i < count:
            memcpy(target + count - 4, source + count - 4, 16)
    else:
        for i in range(count):
            target[i] = source[i]


cdef inline void copy_steps(const float* source, Py_ssize_t step, float* target, Py_ssize_t count) noexcept nogil:
    """target[i] = source[i · step]"""
    cdef Py_ssize_t i
    if step == 1:
        copy_run(source, target, count)
    else:
        for i in range(count):
            target[i] = source[i * step]


cdef void lay_line(const float* source, Py_ssize_t start, Py_ssize_t step, Py_ssize_t size, Py_ssize_t count,
                   int mode, float value, float* target) noexcept nogil:
    """target[i] = the cell start + i · step of an axis, cells beyond it as the padding says."""
    cdef Py_ssize_t first = min(count, first_inside(start, step)), end = max(first, end_inside(start, step, size, count))
    cdef Py_ssize_t i
    cdef const float* inside = source + start
    for i in range(first):
        target[i] = value if mode == CONSTANT else source[source_cell(start + i * step, size, mode)]
    copy_steps(inside + first * step, step, target + first, end - first)
    for i in range(end, count):
        target[i] = value if mode == CONSTANT else source[source_cell(start + i * step, size, mode)]


cdef void lay_rows(const float* source, Py_ssize_t readable, Axis* A, Axis* C, Py_ssize_t start_a, Py_ssize_t start_c,
                   Py_ssize_t rows, int mode, float value, float* target) noexcept nogil:
    """Rows of a plane, of which along C every cell is taken, every second or every fourth: whole vectors at a time.

    readable: numbers from the plane's first to the end of the array.
    """
    cdef Py_ssize_t count = C.count, step = C.step, first = min(count, first_inside(start_c, step))
    cdef Py_ssize_t run = max(<Py_ssize_t> 0, end_inside(start_c, step, C.size, count) - first), r = 0, cell
    cdef Py_ssize_t inside = min(rows, first_inside(start_a, A.step)), column = start_c + first * step
    cdef Py_ssize_t end = max(inside, end_inside(start_a, A.step, A.size, rows))
    # Vectors that end past a row may be read as long as they do not end past the array.
    cdef Py_ssize_t last = readable - round_up(run, vf_LANES) * step - column
    cdef Py_ssize_t whole = 0 if last < 0 else min(end, end_inside(start_a, A.step, last // C.size + 1, rows))
    while r < rows:
        if inside <= r < whole:
            copy_rows(source + (start_a + r * A.step) * C.size + column, A.step * C.size, step, whole - r, run,
                      target + first, count)
            while r < whole:
                lay_borders(source + (start_a + r * A.step) * C.size, C, start_c, first, run, mode, value, target)
                target += count
                r += 1
            continue
        cell = source_cell(start_a + r * A.step, A.size, mode)
        if cell < 0:
            lay_borders(source, C, start_c, count, 0, mode, value, target)
        else:
            copy_steps(source + cell * C.size + column, step, target + first, run)
            lay_borders(source + cell * C.size, C, start_c, first, run, mode, value, target)
        target += count
        r += 1


cdef inline void copy_rows(const float* source, Py_ssize_t source_step, Py_ssize_t step, Py_ssize_t rows, Py_ssize_t run,
                           float* target, Py_ssize_t target_step) noexcept nogil:
    """Copy runs of `run` numbers in whole vectors, reading and writing past their ends: the first row first."""
    cdef Py_ssize_t r, i
    if run == 0:
        return
    if step == 1 and run <= vf_LANES:
        for r in range(rows):
            store_vf(target, load_vf(source))
            source += source_step
            target += target_step
    elif step == 1 and run <= 2 * vf_LANES:
        for r in range(rows):
            store_vf(target, load_vf(source))
            store_vf(target + vf_LANES, load_vf(source + vf_LANES))
            source += source_step
            target += target_step
    elif step == 1:
        for r in range(rows):
            i = 0
            while i < run:
                store_vf(target + i, load_vf(source + i))
                i += vf_LANES
            source += source_step
            target += target_step
    elif step == 2:
        for r in range(rows):
            i = 0
            while i < run:
                store_vf(target + i, seconds(source + 2 * i))
                i += vf_LANES
            source += source_step
            target += target_step
    else:
        for r in range(rows):
            i = 0
            while i < run:
                store_vf(target + i, evens_vf(seconds(source + 4 * i), seconds(source + 4 * i + 2 * vf_LANES)))
                i += vf_LANES
            source += source_step
            target += target_step


cdef inline vf seconds(const float* source) noexcept nogil:
    """source[0], source[2], source[4], ..."""
    return evens_vf(load_vf(source), load_vf(source + vf_LANES))


cdef inline void lay_borders(const float* row, Axis* C, Py_ssize_t start_c, Py_ssize_t first, Py_ssize_t run, int mode,
                             float value, float* target) noexcept nogil:
    """The cells of a line before `first` and behind the run that begins there."""
    cdef Py_ssize_t i
    for i in range(first):
        target[i] = value if mode == CONSTANT else row[source_cell(start_c + i * C.step, C.size, mode)]
    for i in range(first + run, C.count):
        target[i] = value if mode == CONSTANT else row[source_cell(start_c + i * C.step, C.size, mode)]


cdef void lay_shifted(const float* source, Py_ssize_t before, Py_ssize_t readable, Py_ssize_t size, Py_ssize_t line,
                      Py_ssize_t start, Py_ssize_t shift, const int* mask, Py_ssize_t count,
                      float* target) noexcept nogil:
    """target[i] = source[start + shift + i] within the image and within its line, else 0; whole aligned vectors.

    size: numbers of the image, before and readable: numbers of the array before and from its first.
    """
    cdef Py_ssize_t i = 0, j, column = start % line, first = -start, end = size - start, at
    if column < 0:
        column += line
    while i < count:
        at = start + shift + i
        if i + vf_LANES <= first or i >= end:
            store_vf(target + i, splat_vf(0))
        elif at < -before or at + vf_LANES > readable:
            for j in range(vf_LANES):
                target[i + j] = source[at + j] if first <= i + j < end and mask[column + j] and 0 <= at + j < size else 0
        elif i >= first and i + vf_LANES <= end:
            store_vf(target + i, where_vf(load_vf(source + at), mask + column))
        else:
            store_vf(target + i, keep_vf(where_vf(load_vf(source + at), mask + column), first - i, end - i))
        i += vf_LANES
        column += vf_LANES
        while column >= line:
            column -= line


cdef void lay_out(const float* source, Py_ssize_t before, Py_ssize_t readable, Axis* A, Axis* B, Axis* C,
                  Py_ssize_t row, Py_ssize_t rows, Py_ssize_t pitch, int mode, float value, float* target) noexcept nogil:
    """Lay out `rows` rows of one channel from `row` of the grid on, all copies: [copy][phase][pitch rows][B · C].

    before, readable: numbers of the array before and from the channel's first. Past the last row, up to a vector is
    written.
    """
    cdef Py_ssize_t inner = B.count * C.count, b, c, phase, r, i, j, cell, line
    cdef float* to
    if C.masks != NULL:
        for c in range(C.copies):
            lay_shifted(source, before, readable, A.size * C.size, C.size, (A.starts[0] + row) * C.size, C.starts[c],
                        C.masks + c * (C.size + vf_LANES), rows * C.size, target + c * pitch * inner)
        return
    for b in range(B.copies):
        for c in range(C.copies):
            for phase in range(A.copies):
                to = target
                target += pitch * inner
                if B.size == 1 and B.count == 1 and B.starts[b] == 0:       # a plane
                    if C.size == 1 and inner == 1 and C.starts[c] == 0:     # a line
                        lay_line(source, A.starts[phase] + row * A.step, A.step, A.size, rows, mode, value, to)
                        continue
                    if C.step == 1 or C.step == 2 or C.step == 4:
                        lay_rows(source, readable, A, C, A.starts[phase] + row * A.step, C.starts[c], rows, mode, value, to)
                        continue
                for r in range(rows):
                    cell = source_cell(A.starts[phase] + (row + r) * A.step, A.size, mode)
                    for i in range(B.count):
                        line = source_cell(B.starts[b] + i * B.step, B.size, mode)
                        if cell < 0 or line < 0:
                            for j in range(C.count):
                                to[j] = value
                        else:
                            lay_line(source + (cell * B.size + line) * C.size, C.starts[c], C.step, C.size, C.count,
                                     mode, value, to)
                        to += C.count
