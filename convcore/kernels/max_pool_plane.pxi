# The maxima of a plane and their places, and the way back, for max-pooling and for what is pooled while it is at hand.
#
# Vectors of outputs where they fit. Else one output row at a time, one cell of the window at a time; the innermost loop
# runs along the output row without a branch, so the compiler can turn it into vector instructions.

include "max_pool_vectors.pxi"
include "max_pool_windows.pxi"
include "contest.pxi"

cdef void pool_plane(PoolSizes* s, const floating* x, Py_ssize_t x_room, bint relu, floating* y,
                     int* index, Py_ssize_t y_room) noexcept nogil:
    """One plane; x_room cells may be read from its beginning on, y_room written."""
    cdef Py_ssize_t row = pool_quads(s, x, x_room, relu, y, index, y_room) if in_quads(s) else 0
    if row < s.OD * s.OH:
        pool_windows(s, x, x_room, row, relu, y, index, y_room)


cdef void pool_windows(PoolSizes* s, const floating* x, Py_ssize_t x_room, Py_ssize_t first, bint relu, floating* y,
                       int* index, Py_ssize_t y_room) noexcept nogil:
    """The rows of outputs from `first` on, of which each depth has s.OH."""
    cdef floating[LAID_NUMBERS] laid
    cdef Limits limits
    cdef Windows w
    cdef bint fits = fit_windows(s, pool_lanes(s.OW, x), &w)
    cdef Py_ssize_t j, row, out, front, top
    find_limits(s, &limits)
    for j in range(w.depths * w.heights * w.length if fits else 0):
        laid[j] = -INFINITY
    for row in range(first, s.OD * s.OH):
        out, front, top = row * s.OW, row // s.OH * s.SD - s.front, row % s.OH * s.SH - s.top
        if fits and pool_laid_row(s, &w, laid, x, x_room, front, top, relu, y + out, index + out,
                                  y_room - out):
            continue
        pool_row(s, x, front, top, &limits, y + out, index + out)
        for j in range(out, out + s.OW if relu else out):
            if y[j] <= 0 and index[j] >= 0:         # a window that sees only padding keeps its -inf
                y[j], index[j] = 0, -1


cdef inline void pool_row(PoolSizes* s, const floating* x, Py_ssize_t front, Py_ssize_t top, Limits* limits,
                          floating* y, int* index) noexcept nogil:
    """One row of outputs, whose windows begin at depth `front` and height `top`."""
    cdef Py_ssize_t ow, kd, kh, kw, id, ih, column, first, end, start
    for ow in range(s.OW):
        y[ow] = -INFINITY
        index[ow] = -1
    for kd in range(s.KD):
        id = front + kd * s.DD
        if not 0 <= id < s.ID:
            continue
        for kh in range(s.KH):
            ih = top + kh * s.DH
            if not 0 <= ih < s.IH:
                continue
            for kw in range(s.KW):
                column = kw * s.DW - s.left
                first, end = first_of(s, limits, kw), end_of(s, limits, kw)
                if first < end:
                    start = (id * s.IH + ih) * s.IW + first * s.SW + column
                    if s.SW == 1:               # steps that the compiler knows: it takes whole vectors
                        raise_row(y + first, index + first, x + start, 1, <int> start, end - first)
                    elif s.SW == 2:
                        raise_row(y + first, index + first, x + start, 2, <int> start, end - first)
                    else:
                        raise_row(y + first, index + first, x + start, s.SW, <int> start, end - first)


cdef inline void raise_row(floating* y, int* index, const floating* x, Py_ssize_t step, int place,
                           Py_ssize_t count) noexcept nogil:
    """y[j] = max(y[j], x[j·step]), with the place of whichever won."""
    cdef Py_ssize_t j
    cdef floating best, value
    cdef int best_place
    for j in range(count):
        best, best_place, value = y[j], index[j], x[j * step]
        contest(best, best_place, value, place + <int> (j * step))
        y[j], index[j] = best, best_place


cdef void spread_plane(PoolSizes* s, const floating* grad_y, const int* index, Py_ssize_t y_room, floating* grad_x,
                       Py_ssize_t x_room) noexcept nogil:
    """The way back: each gradient goes to the cell that won. From the beginning on y_room cells may be read, x_room
    written."""
    cdef Py_ssize_t j, row = spread_quads(s, grad_y, index, y_room, grad_x, x_room) if in_quads(s) else 0
    for j in range(s.KH * row * s.IW, s.in_cells):
        grad_x[j] = 0
    for j in range(row * s.OW, s.out_cells):
        if 0 <= index[j] < s.in_cells:          # -1: no gradient; and no index, however wrong, may write elsewhere
            grad_x[index[j]] += grad_y[j]
