# Windows of any kind, one vector of outputs at a time: the rows that they look at are laid out, with padding of -inf around
# them, and apart by the stride into phases: columns 0, stride, 2·stride, ..., then 1, 1 + stride, ... Then whatever column
# of neighbouring windows lies in neighbouring places. A row stays as long as the windows of the next outputs look at it.

from libc.string cimport memcpy

cdef enum:
    WINDOW_CELLS = 64       # at most
    ROWS_KEPT = 64          # at most
    PHASES = 8              # at most: the largest stride along a row
    LAID_NUMBERS = 4096     # in the rows laid out, at most
    MOST_LANES = 16         # of a vector


cdef struct LaidPhase:
    Py_ssize_t column, place, count     # its first column in the image, where that is laid, and how many columns there are


cdef struct Windows:
    Py_ssize_t lanes, length            # of a vector; numbers in a row laid out
    Py_ssize_t depths, heights          # whose rows are kept
    Py_ssize_t[WINDOW_CELLS] columns    # where each column of the windows begins in a row laid out
    LaidPhase[PHASES] phases
    Py_ssize_t[ROWS_KEPT] kept          # which row of the plane is laid out there; -1: none


cdef bint fit_windows(PoolSizes* s, Py_ssize_t lanes, Windows* w) noexcept nogil:
    """Find out how rows are laid out; whether there is room for them."""
    cdef Py_ssize_t kw, number, read, pitch
    cdef LaidPhase* phase
    if not CONVCORE_POOL_VECTORS or s.SW > PHASES or s.KD * s.KH * s.KW > WINDOW_CELLS:
        return False
    read = (s.KW - 1) * s.DW // s.SW + round_up(s.OW, lanes)
    pitch = read + lanes                # whole vectors are written
    w.lanes, w.length = lanes, s.SW * pitch
    w.depths, w.heights = min((s.KD - 1) * s.DD + 1, s.ID), min((s.KH - 1) * s.DH + 1, s.IH)
    if w.depths > ROWS_KEPT or w.heights > ROWS_KEPT or w.depths * w.heights > min(
            <Py_ssize_t> ROWS_KEPT, LAID_NUMBERS // w.length):
        return False
    for kw in range(s.KW):
        w.columns[kw] = kw * s.DW % s.SW * pitch + kw * s.DW // s.SW
    for number in range(s.SW):
        phase = &w.phases[number]
        phase.column = (number + s.SW - s.left % s.SW) % s.SW
        phase.place = (s.left + phase.column) // s.SW
        phase.count = max(<Py_ssize_t> 0, min(blocks(s.IW - phase.column, s.SW), read - phase.place))
        phase.place += number * pitch
    for number in range(w.depths * w.heights):
        w.kept[number] = -1
    return True


cdef bint pool_laid_row(PoolSizes* s, Windows* w, floating* laid, const floating* x, Py_ssize_t x_room, Py_ssize_t front,
                        Py_ssize_t top, bint relu, floating* y, int* index, Py_ssize_t y_room) noexcept nogil:
    """One row of outputs, whose windows begin at depth `front` and height `top`; whether each has a winner."""
    cdef Py_ssize_t[WINDOW_CELLS] cells
    cdef int[WINDOW_CELLS] places
    cdef floating[MOST_LANES] beyond_y          # for a last vector without room behind the row
    cdef int[MOST_LANES] beyond_index
    cdef Py_ssize_t kd, kh, kw, id, ih, row, slot, ow = 0, count = 0, wanted
    cdef bint all_won = True
    for kd in range(s.KD):
        id = front + kd * s.DD
        if not 0 <= id < s.ID:
            continue
        for kh in range(s.KH):
            ih = top + kh * s.DH
            if not 0 <= ih < s.IH:
                continue
            row, slot = id * s.IH + ih, id % w.depths * w.heights + ih % w.heights
            if w.kept[slot] != row:
                lay_row(w, s.SW, x + row * s.IW, x_room - row * s.IW, laid + slot * w.length)
                w.kept[slot] = row
            for kw in range(s.KW):
                cells[count] = slot * w.length + w.columns[kw]
                places[count] = <int> (row * s.IW + kw * s.DW - s.left)
                count += 1
    while ow < s.OW and all_won:
        wanted = min(w.lanes, s.OW - ow)
        if ow + w.lanes <= y_room:              # what is written behind the row is written again with the next one
            all_won = not pool_cells(w.lanes, laid, cells, places, count, ow, <int> s.SW, relu, wanted, y + ow, index + ow)
        else:
            all_won = not pool_cells(w.lanes, laid, cells, places, count, ow, <int> s.SW, relu, wanted, beyond_y,
                                     beyond_index)
            memcpy(y + ow, beyond_y, wanted * sizeof(floating))
            memcpy(index + ow, beyond_index, wanted * sizeof(int))
        ow += w.lanes
    return all_won


cdef inline void lay_row(Windows* w, Py_ssize_t step, const floating* x, Py_ssize_t x_room, floating* laid) noexcept nogil:
    """The cells of a row of the image, phase by phase, of which x_room may be read; padding around them is there."""
    cdef LaidPhase* first = &w.phases[0]
    cdef LaidPhase* second = &w.phases[1]
    cdef Py_ssize_t number, j, most
    if step == 2 and second.column == 0:
        first, second = second, first
    most = max(first.count, second.count) if step == 2 else first.count
    if step > 2 or step * round_up(most, w.lanes) > x_room:
        for number in range(step):
            first = &w.phases[number]
            for j in range(first.count):
                laid[first.place + j] = x[first.column + j * step]
    elif most > 0:                              # whole vectors, and padding again over what is too much of them
        if step == 1:
            lay(w.lanes, x, most, laid + first.place)
        else:
            lay_apart(w.lanes, x, most, laid + first.place, laid + second.place)
            pad(w.lanes, laid + second.place + second.count)
        pad(w.lanes, laid + first.place + first.count)
