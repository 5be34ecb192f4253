"""Max-pooling: one plane per task, one output row at a time, one cell of the window at a time.

The innermost loop runs along the output row without a branch, so the compiler can turn it into vector instructions.
"""

from cython.parallel cimport prange

from convcore.kernels.common cimport end_inside, first_inside, floating
from convcore.kernels.pool_sizes cimport PoolSizes, pool_sizes

cdef extern from *:
    """
    #include <math.h>
    #include <stdint.h>
    #include <string.h>
    /* c ? a : b without a branch: maxima are as good as random, and a mispredicted branch costs as much as a row. */
    static inline float select_float(int c, float a, float b) {
        int32_t i, j, mask = -(int32_t)c;
        memcpy(&i, &a, 4);
        memcpy(&j, &b, 4);
        i = (i & mask) | (j & ~mask);
        memcpy(&a, &i, 4);
        return a;
    }
    static inline double select_double(int c, double a, double b) {
        int64_t i, j, mask = -(int64_t)c;
        memcpy(&i, &a, 8);
        memcpy(&j, &b, 8);
        i = (i & mask) | (j & ~mask);
        memcpy(&a, &i, 8);
        return a;
    }
    static inline int select_int(int c, int a, int b) { return (a & -c) | (b & ~-c); }
    """
    float INFINITY
    float select_float(int, float, float) nogil
    double select_double(int, double, double) nogil
    int select_int(int, int, int) nogil


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
    cdef int j, stride = <int> step
    for j in range(<int> count):
        contest(&y[j], &index[j], x[j * step], place + j * stride)


cdef inline void forward_quads(const floating* x, Py_ssize_t IW, int place, floating* y, int* index,
                               Py_ssize_t count) noexcept nogil:
    """A row of the usual pooling, 2×2 windows side by side: the same comparisons, kept in registers."""
    cdef int j, i, w = <int> IW
    cdef floating best
    for j in range(<int> count):
        best = x[2 * j]
        i = 2 * j
        contest(&best, &i, x[2 * j + 1], 2 * j + 1)
        contest(&best, &i, x[w + 2 * j], w + 2 * j)
        contest(&best, &i, x[w + 2 * j + 1], w + 2 * j + 1)
        y[j] = best
        index[j] = place + i


cdef inline void contest(floating* best, int* best_place, floating value, int place) noexcept nogil:
    cdef int wins = beats(value, best[0], best_place[0])
    best[0] = select_float(wins, value, best[0]) if floating is float else select_double(wins, value, best[0])
    best_place[0] = select_int(wins, place, best_place[0])


cdef inline int beats(floating value, floating old, int old_place) noexcept nogil:
    """Larger than the old one, or NaN, unless the old one is NaN; or the first. In 0 and 1: `and` would branch."""
    return (not value <= old) & (old == old) | (old_place < 0)


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
        if index[j] >= 0:
            grad_x[index[j]] += grad_y[j]
