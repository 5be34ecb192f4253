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


cdef bint trivial(Extent* e) noexcept nogil:
    return e.I == 1 and e.O == 1 and e.K == 1 and e.P == 0


cdef void extents(ConvSizes* s, Extent* e) noexcept nogil:
    """The axes, the slow one first: axes of size 1 hold no more rows and may stand anywhere in the order."""
    cdef Extent none = Extent(1, 1, 1, 1, 1, 0)
    e[0] = Extent(s.ID, s.OD, s.KD, s.SD, s.DD, s.front)
    e[1] = Extent(s.IH, s.OH, s.KH, s.SH, s.DH, s.top)
    e[2] = Extent(s.IW, s.OW, s.KW, s.SW, s.DW, s.left)
    if s.KD * s.KH * s.KW == 1 and s.ID * s.IH * s.IW == s.OD * s.OH * s.OW and s.front + s.top + s.left == 0:
        e[0] = Extent(s.ID * s.IH * s.IW, s.OD * s.OH * s.OW, 1, 1, 1, 0)       # one row of pixels
        e[1] = e[2] = none
    elif trivial(&e[0]):
        if trivial(&e[1]):
            e[0], e[1], e[2] = e[2], none, none
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


cdef inline void lay_line(const float* source, Py_ssize_t start, Py_ssize_t step, Py_ssize_t size, Py_ssize_t count,
                          int mode, float value, float* target) noexcept nogil:
    """target[i] = the cell start + i · step of an axis, cells beyond it as the padding says."""
    cdef Py_ssize_t first = min(count, first_inside(start, step)), end = max(first, end_inside(start, step, size, count))
    cdef Py_ssize_t i
    cdef const float* inside = source + start
    for i in range(first):
        target[i] = value if mode == CONSTANT else source[source_cell(start + i * step, size, mode)]
    if step == 1:
        copy_run(inside + first, target + first, end - first)
    elif step == 2:
        for i in range(first, end):
            target[i] = inside[2 * i]
    else:
        for i in range(first, end):
            target[i] = inside[i * step]
    for i in range(end, count):
        target[i] = value if mode == CONSTANT else source[source_cell(start + i * step, size, mode)]


cdef void lay_out(const float* source, Axis* A, Axis* B, Axis* C, Py_ssize_t row, Py_ssize_t rows, Py_ssize_t pitch,
                  int mode, float value, float* target) noexcept nogil:
    """Lay out `rows` rows of one channel from `row` of the grid on, all copies: [copy][phase][pitch rows][B · C]."""
    cdef Py_ssize_t inner = B.count * C.count, b, c, phase, r, i, j, cell, line
    cdef float* to
    for b in range(B.copies):
        for c in range(C.copies):
            for phase in range(A.copies):
                to = target
                target += pitch * inner
                if B.size * C.size == 1 and inner == 1 and B.starts[b] == 0 and C.starts[c] == 0:     # one line in all
                    lay_line(source, A.starts[phase] + row * A.step, A.step, A.size, rows, mode, value, to)
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
