# Rows that a convolution has just computed, pooled in windows of 2×2 side by side while they are at hand.

include "max_pool_plane.pxi"

cdef PoolSizes quads_of(Py_ssize_t rows, Py_ssize_t columns) noexcept nogil:
    """Windows of 2×2, side by side, in a plane."""
    cdef PoolSizes p
    p.planes, p.ID, p.IH, p.IW, p.OD, p.OH, p.OW = 1, 1, rows, columns, 1, rows // 2, columns // 2
    p.KD, p.KH, p.KW, p.SD, p.SH, p.SW, p.DD, p.DH, p.DW = 1, 2, 2, 1, 2, 2, 1, 1, 1
    p.front, p.back, p.top, p.bottom, p.left, p.right = 0, 0, 0, 0, 0, 0
    p.in_cells, p.out_cells = rows * columns, p.OH * p.OW
    return p


cdef void pool_rows(ConvSizes* s, const float* rows, Py_ssize_t room, Py_ssize_t oh, Py_ssize_t count, Py_ssize_t plane,
                    Py_ssize_t planes, float* y, int* index) noexcept nogil:
    """Pool some rows of a plane, from an even one on, of which `room` numbers may be read.

    What is behind the maxima in so many planes may be overwritten. Planes are counted through the batch.
    """
    cdef PoolSizes p = quads_of(count, s.OW)
    cdef Py_ssize_t OH = s.OH // 2, OW = s.OW // 2, j, first = (plane * OH + oh // 2) * OW
    pool_plane(&p, rows, room, True, y + first, index + first, (planes - 1) * OH * OW + p.out_cells)
    if oh > 0:
        for j in range(first, first + p.out_cells):
            if index[j] >= 0:
                index[j] += <int> (oh * s.OW)
