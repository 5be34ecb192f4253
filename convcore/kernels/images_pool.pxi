# Max-pooling of a tile, in windows of 2×2 side by side, while lanes are images.

include "pool_lanes.pxi"

cdef inline Py_ssize_t pooled_cells(Plan* p) noexcept nogil:
    return (p.axes[1].target // 2) * (p.axes[2].target // 2)


cdef void pool_tile(Plan* p, Py_ssize_t channels, Py_ssize_t first_row, Py_ssize_t rows, float* tile,
                    int* index) noexcept nogil:
    """Put the maxima of ReLU in windows of 2×2 to the front of a tile of some rows, their places in the plane apart."""
    cdef Py_ssize_t width = p.axes[2].target, t, row, column, v
    cdef float* pooled = tile
    cdef const float* cells
    for t in range(channels):
        for row in range(rows // 2):
            for column in range(width // 2):
                cells = tile + ((t * rows + 2 * row) * width + 2 * column) * p.lanes
                for v in range(p.vectors):
                    pool_lanes(cells + v * vf_LANES, p.lanes, width * p.lanes,
                               <int> ((first_row + 2 * row) * width + 2 * column), <int> width, pooled, index)
                    pooled += vf_LANES
                    index += vf_LANES
