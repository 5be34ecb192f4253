# The filters of conv2d_winograd: panels of them, transformed.

cdef inline float* panel_of(Problem* p, float* weights, Py_ssize_t group, Py_ssize_t panel) noexcept nogil:
    """Where the transformed filters of a panel begin in those of all groups."""
    return weights + group * p.points * p.weight_step + panel * PANEL * vf_LANES * p.C


cdef inline Py_ssize_t panel_vectors(Problem* p, Py_ssize_t panel) noexcept nogil:
    return min(<Py_ssize_t> PANEL, blocks(p.K, vf_LANES) - panel * PANEL)


cdef void transform_filters(Problem* p, Py_ssize_t group, Py_ssize_t panel, Py_ssize_t c, Py_ssize_t count,
                            float* weights) noexcept nogil:
    """weights[point][channel][lane] = G g Gᵀ of a panel of filters, for a few channels."""
    cdef float[MOST_TAPS * LANES] taps
    cdef Py_ssize_t first = (p.taps - 1) * vf_LANES if p.flipped else 0, step = -vf_LANES if p.flipped else vf_LANES
    cdef Py_ssize_t v = panel_vectors(p, panel), end = min(c + count, p.C), i, half
    cdef float* target
    while c < end:
        for i in range(v):
            read_taps(p, group, first_of(panel * PANEL + i, p.K), c, taps)
            for half in range(vf_LANES // vd_LANES):
                target = weights + (c * v + i) * vf_LANES + half * vd_LANES
                filter_tile(p.m, p.r, taps + first + half * vd_LANES, step, target, p.weight_step)
        c += 1


cdef void read_taps(Problem* p, Py_ssize_t group, Py_ssize_t f, Py_ssize_t c, float* taps) noexcept nogil:
    """taps[tap][lane] of one channel for the filters from f on."""
    cdef const float* weight = p.weight + group * p.taps * p.C * p.K + f * p.filter_step + c * p.channel_step
    cdef const float* end = p.weight + p.G * p.taps * p.C * p.K
    cdef Py_ssize_t lane, tap
    if p.K >= vf_LANES and (vf_LANES <= p.taps or weight + (vf_LANES - 1) * p.filter_step + vf_LANES <= end):
        tap = 0
        while tap < p.taps:
            transpose_vf(weight + tap, p.filter_step, taps + tap * vf_LANES, vf_LANES)
            tap = p.taps if tap + vf_LANES >= p.taps else min(tap + vf_LANES, p.taps - vf_LANES)
    else:
        for tap in range(p.taps):
            for lane in range(vf_LANES):
                taps[tap * vf_LANES + lane] = weight[lane * p.filter_step + tap] if lane < p.K else 0
