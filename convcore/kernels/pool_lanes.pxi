# Max-pooling in windows of 2×2 where neighbours in a vector are not neighbours in the image: images, or filters.

include "contest.pxi"

cdef inline void pool_lanes(const float* cells, Py_ssize_t right, Py_ssize_t below, int place, int width, float* y,
                            int* index) noexcept nogil:
    """The largest of four cells in each lane, or 0: `right` and `below` lead to the neighbours."""
    cdef Py_ssize_t lane
    cdef float best
    cdef int best_place
    cdef float[vf_LANES] maxima             # y may be where the first cells are
    cdef int[vf_LANES] places
    for lane in range(vf_LANES):
        best, best_place = cells[lane], place
        contest(best, best_place, cells[right + lane], place + 1)
        contest(best, best_place, cells[below + lane], place + width)
        contest(best, best_place, cells[below + right + lane], place + width + 1)
        places[lane] = -1 if best <= 0 else best_place
        maxima[lane] = 0 if best <= 0 else best
    memcpy(y, maxima, sizeof(maxima))
    memcpy(index, places, sizeof(places))
