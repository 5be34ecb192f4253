"""Max-pooling: one plane per task, one output row at a time, one cell of the window at a time.

The innermost loop runs along the output row without a branch, so the compiler can turn it into vector instructions.
"""

from cython.parallel cimport prange

from convcore.kernels.common cimport end_inside, first_inside, floating
from convcore.kernels.pool_sizes cimport PoolSizes, pool_sizes

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


def forward(geometry,
            const floating[:, :, :, ::1] x not None,    # IN  (N, C, IH, IW)
            floating[:, :, :, ::1] y not None,          # OUT (N, C, OH, OW)
            int[:, :, :, ::1] index not None,           # OUT where in its plane each maximum stood; -1: only padding
            int n_threads):
    """Write the maxima and where they stood. The first of equals wins; NaN wins over everything."""
    cdef PoolSizes s = pool_sizes(geometry)
    cdef Py_ssize_t plane, C = x.shape[1]
    for plane in prange(s.planes, nogil=True, schedule="static", num_threads=n_threads):
        forward_plane(&s, &x[plane // C, plane % C, 0, 0], &y[plane // C, plane % C, 0, 0],
                      &index[plane // C, plane % C, 0, 0])


cdef void forward_plane(PoolSizes* s, const floating* x, floating* y, int* index) noexcept nogil:
    cdef Py_ssize_t oh, ow, kh, kw, ih, column, first, end
    if s.KH == s.KW == s.SH == s.SW == 2 and s.DH == s.DW == 1 and s.top == s.left == s.bottom == s.right == 0:
        for oh in range(s.OH):
            forward_quads(x + 2 * oh * s.IW, s.IW, <int> (2 * oh * s.IW), y + oh * s.OW, index + oh * s.OW, s.OW)
        return
    for oh in range(s.OH):
        for ow in range(s.OW):
            y[oh * s.OW + ow] = -INFINITY
            index[oh * s.OW + ow] = -1
        for kh in range(s.KH):
            ih = oh * s.SH + kh * s.DH - s.top
            if not 0 <= ih < s.IH:
                continue
            for kw in range(s.KW):
                column = kw * s.DW - s.left
                first = first_inside(column, s.SW)
                end = end_inside(column, s.SW, s.IW, s.OW)
                if first < end:
                    raise_row(y + oh * s.OW + first, index + oh * s.OW + first, x + ih * s.IW + first * s.SW + column,
                              s.SW, <int> (ih * s.IW + first * s.SW + column), end - first)


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


cdef inline void forward_quads(const floating* x, Py_ssize_t IW, int place, floating* y, int* index,
                               Py_ssize_t count) noexcept nogil:
    """A row of the usual pooling, 2×2 windows side by side: the same comparisons, kept in registers."""
    cdef const floating* below = x + IW
    cdef Py_ssize_t j
    cdef floating best, right, left_below, right_below
    cdef int best_place, width = <int> IW
    for j in range(count):
        best, right, left_below, right_below = x[2 * j], x[2 * j + 1], below[2 * j], below[2 * j + 1]
        best_place = 0
        contest(best, best_place, right, 1)
        contest(best, best_place, left_below, width)
        contest(best, best_place, right_below, width + 1)
        y[j] = best
        index[j] = place + 2 * <int> j + best_place


def backward_input(geometry,
                   const floating[:, :, :, ::1] grad_y not None,    # IN  (N, C, OH, OW)
                   const int[:, :, :, ::1] index not None,          # IN  (N, C, OH, OW), from forward
                   floating[:, :, :, ::1] grad_x not None,          # OUT (N, C, IH, IW)
                   int n_threads):
    """Write grad_x: each output's gradient goes to the cell that won."""
    cdef PoolSizes s = pool_sizes(geometry)
    cdef Py_ssize_t plane, C = grad_x.shape[1]
    for plane in prange(s.planes, nogil=True, schedule="static", num_threads=n_threads):
        backward_plane(&s, &grad_y[plane // C, plane % C, 0, 0], &index[plane // C, plane % C, 0, 0],
                       &grad_x[plane // C, plane % C, 0, 0])


cdef void backward_plane(PoolSizes* s, const floating* grad_y, const int* index, floating* grad_x) noexcept nogil:
    cdef Py_ssize_t j
    for j in range(s.IH * s.IW):
        grad_x[j] = 0
    for j in range(s.OH * s.OW):
        if 0 <= index[j] < s.IH * s.IW:         # -1: only padding; and no index, however wrong, may write elsewhere
            grad_x[index[j]] += grad_y[j]
