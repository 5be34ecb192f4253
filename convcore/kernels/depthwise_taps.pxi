# Which cells and weights the outputs of a band are made of, and how its output rows share what they load.

cdef struct Rows:
    Tap* taps
    Py_ssize_t count                # of taps
    int kind                        # of the micro-kernels: 0 takes each tap on its own,
    Py_ssize_t height               # the others columns of so many
    Py_ssize_t weight_step          # between the weights of a column
    Py_ssize_t x_step               # between the rows of cells that a micro-kernel goes through
    Py_ssize_t step                 # between the cells of two output rows
    Py_ssize_t spread               # how far apart output rows lie that see the same rows of cells


cdef Rows rows_of(Layout* l, Tap* taps, Py_ssize_t KH, Py_ssize_t SH, Py_ssize_t DH, Py_ssize_t weight_step) noexcept:
    """No taps yet. With a dilation but no stride, output rows that lie DH apart make a convolution without one."""
    cdef Rows rows
    rows.taps, rows.count = taps, 0
    rows.kind = kind_of(KH, SH) if SH == 1 or DH == 1 else 0
    rows.height = KH if rows.kind else 1
    rows.weight_step = weight_step
    rows.step = SH * l.pitch
    rows.spread = DH if rows.kind else 1
    rows.x_step = DH * l.pitch if rows.kind else rows.step
    return rows


cdef Rows input_rows(ConvSizes* s, Layout* l, Tap* taps) noexcept:
    """Of x."""
    cdef Rows rows = rows_of(l, taps, s.KH, s.SH, s.DH, s.KW)
    cdef Py_ssize_t kd, kh, kw, column
    for kd in range(s.KD):
        for kh in range(1 if rows.kind else s.KH):
            for kw in range(s.KW):
                column = kw * s.DW
                taps[rows.count].cell = (kd * l.rows + kh * s.DH) * l.pitch + column % s.SW * l.length + column // s.SW
                taps[rows.count].weight = (kd * s.KH + kh) * s.KW + kw
                rows.count += 1
    return rows


cdef Rows gradient_rows(ConvSizes* s, Layout* l, Tap* taps, Py_ssize_t* starts) noexcept:
    """Of grad_y. Taps are ordered by the places that they serve; those of place p begin at starts[p]."""
    cdef Axis depth = depth_axis(s), height = height_axis(s), width = width_axis(s)
    cdef Rows rows = rows_of(l, taps, s.KH if s.SH == 1 else 0, 1, s.DH, -s.KW)
    cdef Py_ssize_t place = 0, d, h, w, f, slot, kd, kh, kw
    for d in range(s.SD):
        for h in range(s.SH):
            for w in range(s.SW):
                starts[place] = rows.count
                place += 1
                for f in range(s.FG):
                    slot = 0
                    for kd in range(s.KD):
                        if place_of(&depth, kd) != d:
                            continue
                        for kh in range(rows.height - 1, s.KH):
                            for kw in range(s.KW):
                                if place_of(&height, kh) == h and place_of(&width, kw) == w:
                                    taps[rows.count].cell = (
                                        ((f * l.slots + slot) * l.rows + shift_of(&height, kh) - l.row) * l.pitch
                                        + shift_of(&width, kw) - l.column)
                                    taps[rows.count].weight = ((f * s.KD + kd) * s.KH + kh) * s.KW + kw
                                    rows.count += 1
                        slot += 1
    starts[place] = rows.count
    return rows
