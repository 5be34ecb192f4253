"""Max-pooling in 1-D to 3-D: some planes per task, one output row at a time, one cell of the window at a time.

The innermost loop runs along the output row without a branch, so the compiler can turn it into vector instructions.
The usual windows, 2×2 side by side, have blocks of vectors of their own (max_pool_blocks.pxi.tp). A block may be wider
than its row: everything is written in the order of memory, so that what it wrote behind the row is written again.
"""

from cython.parallel cimport prange
from libc.string cimport memcpy

from convcore.kernels.common cimport end_inside, first_inside, floating
from convcore.kernels.pool_sizes cimport PoolSizes, pool_sizes

include "max_pool_blocks.pxi"

cdef enum:
    MOST_LANES = 16             # of any vector
    TASK_CELLS = 16384          # of the input

cdef extern from *:
    """
    #include <math.h>
    /* One more cell against the best so far. A sequence of conditional moves in C's own spelling: in this form GCC
       turns the loops below into vector code, with branches or bit masks it does not. The cell wins if it is larger,
       or NaN, or the first; a best that is NaN stays. */
    #define contest(best, best_place, value, place) do { \\
        int winner = (value) > (best) ? (place) : (best_place); \\
        winner = (value) != (value) ? (place) : winner; \\
        winner = (best_place) < 0 ? (place) : winner; \\
        best_place = (best) != (best) ? (best_place) : winner; \\
        best = (value) > (best) ? (value) : (best); \\
        best = (value) != (value) ? (value) : (best); \\
    } while (0)
    """
    float INFINITY
    void contest(double best, int best_place, double value, int place) nogil    # a macro: changes best and best_place


def forward(geometry, x, y, index, n_threads):
    """Write the maxima y and where in its plane each stood. The first of equals wins; NaN wins over everything.

    x (N, C, *in) IN; y, index (N, C, *out) OUT; index -1: the window sees only padding, y is -inf.
    """
    forward_planes(geometry, x.reshape(-1), y.reshape(-1), index.reshape(-1), False, n_threads)


def forward_relu(geometry, x, y, index, n_threads):
    """Write the maxima of ReLU(x), which are ReLU of the maxima: x is read once, and four times less is compared to 0.

    As forward, but index is -1 wherever y is 0: no gradient goes anywhere from there.
    """
    forward_planes(geometry, x.reshape(-1), y.reshape(-1), index.reshape(-1), True, n_threads)


def forward_planes(geometry,
                   const floating[::1] x not None,      # IN  N·C planes of IH·IW cells, in 3-D volumes
                   floating[::1] y not None,            # OUT N·C planes of OH·OW cells
                   int[::1] index not None,             # OUT the same
                   bint relu,
                   int n_threads):
    """The planes of forward, one after the other in memory, whatever the number of dimensions."""
    cdef PoolSizes s = pool_sizes(geometry)
    cdef Py_ssize_t task, planes = planes_of_task(&s)
    for task in prange(blocks(s.planes, planes), nogil=True, schedule="static", num_threads=n_threads):
        forward_task(&s, &x[0], task * planes, min(task * planes + planes, s.planes), relu, &y[0], &index[0])


cdef Py_ssize_t planes_of_task(PoolSizes* s) noexcept nogil:
    return max(<Py_ssize_t> 1, TASK_CELLS // s.in_cells)


cdef void forward_task(PoolSizes* s, const floating* x, Py_ssize_t first, Py_ssize_t end, bint relu, floating* y,
                       int* index) noexcept nogil:
    """The planes from `first` on and before `end`."""
    cdef Py_ssize_t plane
    for plane in range(first, end):
        forward_plane(s, x + plane * s.in_cells, (s.planes - plane) * s.in_cells, relu, y + plane * s.out_cells,
                      index + plane * s.out_cells, (end - plane) * s.out_cells)


cdef bint in_quads(PoolSizes* s) noexcept nogil:
    """Whether the windows are 2×2, side by side, and all inside."""
    return (s.ID == s.OD == 1 and s.front == 0 and s.KH == s.KW == s.SH == s.SW == 2 and s.DH == s.DW == 1
            and s.top == s.left == 0 and 2 * s.OH <= s.IH and 2 * s.OW <= s.IW)


cdef void forward_plane(PoolSizes* s, const floating* x, Py_ssize_t x_room, bint relu, floating* y,
                        int* index, Py_ssize_t y_room) noexcept nogil:
    """One plane; x_room cells may be read from its beginning on, y_room written."""
    cdef Py_ssize_t od, oh, j
    if in_quads(s):
        forward_quads(s, x, x_room, relu, y, index, y_room)
        return
    for od in range(s.OD):
        for oh in range(s.OH):
            forward_row(s, x, od * s.SD - s.front, oh * s.SH - s.top, y + (od * s.OH + oh) * s.OW,
                        index + (od * s.OH + oh) * s.OW)
    if relu:
        for j in range(s.out_cells):
            if y[j] <= 0 and index[j] >= 0:         # a window that sees only padding keeps its -inf
                y[j], index[j] = 0, -1


cdef void forward_quads(PoolSizes* s, const floating* x, Py_ssize_t x_room, bint relu, floating* y,
                        int* index, Py_ssize_t y_room) noexcept nogil:
    """A plane of 2×2 windows side by side. A block for which there is no room goes through copies."""
    cdef floating cells[4 * MOST_LANES]             # of both rows
    cdef floating maxima[MOST_LANES]
    cdef int places[MOST_LANES]
    cdef Py_ssize_t oh, ow, block, start, count, step = lanes(y)
    cdef const floating* top
    cdef const floating* below
    for oh in range(s.OH):
        for block in range(blocks(s.OW, step)):
            ow = block * step
            start, count = 2 * oh * s.IW + 2 * ow, min(step, s.OW - ow)
            top, below = x + start, x + start + s.IW
            if start + s.IW + 2 * step > x_room:
                memcpy(cells, top, 2 * count * sizeof(floating))
                memcpy(cells + 2 * step, below, 2 * count * sizeof(floating))
                top, below = cells, cells + 2 * step
            if oh * s.OW + ow + step <= y_room:
                pool_block(top, below, <int> start, <int> s.IW, relu, y + oh * s.OW + ow, index + oh * s.OW + ow)
            else:
                pool_block(top, below, <int> start, <int> s.IW, relu, maxima, places)
                memcpy(y + oh * s.OW + ow, maxima, count * sizeof(floating))
                memcpy(index + oh * s.OW + ow, places, count * sizeof(int))


cdef inline void forward_row(PoolSizes* s, const floating* x, Py_ssize_t front, Py_ssize_t top, floating* y,
                             int* index) noexcept nogil:
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
                first = first_inside(column, s.SW)
                end = end_inside(column, s.SW, s.IW, s.OW)
                if first < end:
                    start = (id * s.IH + ih) * s.IW + first * s.SW + column
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


def backward_input(geometry, grad_y, index, grad_x, n_threads):
    """Write grad_x: each output's gradient goes to the cell that won.

    grad_y, index (N, C, *out) IN; grad_x (N, C, *in) OUT.
    """
    backward_planes(geometry, grad_y.reshape(-1), index.reshape(-1), grad_x.reshape(-1), n_threads)


def backward_planes(geometry,
                    const floating[::1] grad_y not None,    # IN  N·C planes of OH·OW cells, in 3-D volumes
                    const int[::1] index not None,          # IN  the same, from forward
                    floating[::1] grad_x not None,          # OUT N·C planes of IH·IW cells
                    int n_threads):
    """The planes of backward_input, one after the other in memory, whatever the number of dimensions."""
    cdef PoolSizes s = pool_sizes(geometry)
    cdef Py_ssize_t task, planes = planes_of_task(&s)
    for task in prange(blocks(s.planes, planes), nogil=True, schedule="static", num_threads=n_threads):
        backward_task(&s, &grad_y[0], &index[0], task * planes, min(task * planes + planes, s.planes), &grad_x[0])


cdef void backward_task(PoolSizes* s, const floating* grad_y, const int* index, Py_ssize_t first, Py_ssize_t end,
                        floating* grad_x) noexcept nogil:
    """The planes from `first` on and before `end`."""
    cdef Py_ssize_t plane
    for plane in range(first, end):
        backward_plane(s, grad_y + plane * s.out_cells, index + plane * s.out_cells, (s.planes - plane) * s.out_cells,
                       grad_x + plane * s.in_cells, (end - plane) * s.in_cells)


cdef void backward_plane(PoolSizes* s, const floating* grad_y, const int* index, Py_ssize_t y_room, floating* grad_x,
                         Py_ssize_t x_room) noexcept nogil:
    """One plane; y_room cells may be read from its beginning on, x_room written."""
    cdef Py_ssize_t j
    if in_quads(s):
        backward_quads(s, grad_y, index, y_room, grad_x, x_room)
        return
    for j in range(s.in_cells):
        grad_x[j] = 0
    for j in range(s.out_cells):
        if 0 <= index[j] < s.in_cells:          # -1: only padding; and no index, however wrong, may write elsewhere
            grad_x[index[j]] += grad_y[j]


cdef void backward_quads(PoolSizes* s, const floating* grad_y, const int* index, Py_ssize_t y_room, floating* grad_x,
                         Py_ssize_t x_room) noexcept nogil:
    """A plane of 2×2 windows side by side, row by row of grad_x."""
    cdef floating cells[2 * MOST_LANES]
    cdef floating gradients[MOST_LANES]
    cdef int places[MOST_LANES]
    cdef Py_ssize_t ih, ow, block, start, count, output, step = lanes(grad_x)
    cdef const floating* grads
    cdef const int* winners
    for ih in range(2 * s.OH):
        for block in range(blocks(s.OW, step)):
            ow = block * step
            start, count, output = ih * s.IW + 2 * ow, min(step, s.OW - ow), ih // 2 * s.OW + ow
            grads, winners = grad_y + output, index + output
            if output + step > y_room:
                memcpy(gradients, grads, count * sizeof(floating))
                memcpy(places, winners, count * sizeof(int))
                grads, winners = gradients, places
            if start + 2 * step <= x_room:
                spread_block(grads, winners, <int> start, grad_x + start)
            else:
                spread_block(grads, winners, <int> start, cells)
                memcpy(grad_x + start, cells, 2 * count * sizeof(floating))
        for start in range(ih * s.IW + 2 * s.OW, (ih + 1) * s.IW):      # columns that fill no window
            grad_x[start] = 0
    for start in range(2 * s.OH * s.IW, s.in_cells):                # a row
        grad_x[start] = 0
