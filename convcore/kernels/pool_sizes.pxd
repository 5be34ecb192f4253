"""The numbers of a pooling, for the kernels that slide a window over each plane (in 3-D a volume).

There are always three dimensions, those that a problem lacks being of size 1: one loop nest serves 1-D to 3-D.
"""

from convcore.kernels.common cimport end_inside, first_inside


cdef struct PoolSizes:
    Py_ssize_t planes                               # images × channels
    Py_ssize_t ID, IH, IW, OD, OH, OW               # depth, height, width; input and output
    Py_ssize_t KD, KH, KW, SD, SH, SW, DD, DH, DW   # window, stride, dilation
    Py_ssize_t front, back, top, bottom, left, right
    Py_ssize_t in_cells, out_cells                  # of one plane


cdef inline bint in_quads(PoolSizes* s) noexcept nogil:
    """Whether the windows are 2×2 or 1×2, side by side, and all inside a plane: the most frequent ones."""
    return (s.KD == s.ID == s.OD == 1 and s.KH == s.SH <= 2 and s.KW == s.SW == 2 and s.DH == s.DW == 1
            and s.front == s.top == s.left == 0 and s.KH * s.OH <= s.IH and 2 * s.OW <= s.IW)


cdef enum:
    FEW_COLUMNS = 32        # of a window, whose limits are worked out once for all rows of a plane


cdef struct Limits:
    Py_ssize_t[FEW_COLUMNS] firsts, ends                # of each column of the windows: outputs for which it is inside


cdef inline void find_limits(PoolSizes* s, Limits* limits) noexcept nogil:
    cdef Py_ssize_t kw, column
    for kw in range(s.KW if s.KW < FEW_COLUMNS else FEW_COLUMNS):
        column = kw * s.DW - s.left
        limits.firsts[kw], limits.ends[kw] = first_inside(column, s.SW), end_inside(column, s.SW, s.IW, s.OW)


cdef inline Py_ssize_t first_of(PoolSizes* s, Limits* limits, Py_ssize_t kw) noexcept nogil:
    """The first output for which column kw of its window lies in the image."""
    return limits.firsts[kw] if kw < FEW_COLUMNS else first_inside(kw * s.DW - s.left, s.SW)


cdef inline Py_ssize_t end_of(PoolSizes* s, Limits* limits, Py_ssize_t kw) noexcept nogil:
    """One past the last."""
    return limits.ends[kw] if kw < FEW_COLUMNS else end_inside(kw * s.DW - s.left, s.SW, s.IW, s.OW)


cdef inline PoolSizes pool_sizes(object geometry):
    """The numbers of a PoolGeometry, for loops that hold no Python object."""
    cdef PoolSizes s
    s.planes = geometry.batch * geometry.channels
    ((s.ID, s.IH, s.IW), (s.OD, s.OH, s.OW), (s.KD, s.KH, s.KW), (s.SD, s.SH, s.SW), (s.DD, s.DH, s.DW),
     ((s.front, s.back), (s.top, s.bottom), (s.left, s.right))) = geometry.in_3d
    s.in_cells, s.out_cells = s.ID * s.IH * s.IW, s.OD * s.OH * s.OW
    return s
