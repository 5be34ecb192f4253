# All that a problem of conv_depthwise leads to before its numbers are looked at: the same at every call, so it is kept.

_kept = Kept()


cdef class Prepared:
    """What forward and backward_weight lay out, and by which taps they read it."""

    cdef ConvSizes sizes
    cdef Layout layout
    cdef Rows rows
    cdef Copies copies                          # complete where they are worth it
    cdef Py_ssize_t[:, ::1] spans, taps, copy_taps      # the memory of layouts and taps

    def __init__(self, geometry):
        self.sizes = conv_sizes(geometry)
        self.layout = input_layout(&self.sizes)
        self.spans = find_spans(&self.layout)
        self.taps = aligned(1, self.sizes.KD * self.sizes.KH * self.sizes.KW * 2, INDEX)
        self.rows = input_rows(&self.sizes, &self.layout, <Tap*> &self.taps[0, 0])
        self.copies = copies_of(&self.sizes)
        if worth_copies(&self.sizes, FEW):
            self.copies.layout = layout_of_copies(&self.copies, &self.layout)
            self.copy_taps = taps_of_copies(&self.sizes, &self.copies)
            self.copies.table = <const Tap*> &self.copy_taps[0, 0]

    cdef Py_ssize_t numbers(self):
        """How many there are in all tables."""
        return self.spans.shape[1] + self.taps.shape[1] + (self.copy_taps.shape[1] if self.copies.table != NULL else 0)


cdef Prepared prepared(geometry):
    """Prepare a problem, or find it prepared."""
    cdef Prepared found = _kept.get(geometry)
    if found is None:
        found = Prepared(geometry)
        _kept.keep(geometry, found, found.numbers())
    return found


cdef class PreparedGradient:
    """The same for backward_input, where taps are ordered by the places of a stride that they serve; and the frame."""

    cdef ConvSizes sizes
    cdef Layout layout
    cdef Rows rows
    cdef Edges edges                            # None: nothing is handed on
    cdef Py_ssize_t[:, ::1] spans, taps         # the memory of layout and rows
    cdef Py_ssize_t[:, ::1] starts              # of each place's taps

    def __init__(self, geometry):
        self.sizes = sizes_of("backward_input", geometry)
        cdef ConvSizes* s = &self.sizes
        self.layout = gradient_layout(s)
        self.spans = find_spans(&self.layout)
        self.taps = aligned(1, s.FG * s.KD * s.KH * s.KW * 2, INDEX)
        self.starts = aligned(1, s.SD * s.SH * s.SW + 1, INDEX)
        self.rows = gradient_rows(s, &self.layout, <Tap*> &self.taps[0, 0], &self.starts[0, 0])
        self.edges = Edges(geometry) if can_add_edges(s) else None

    cdef Py_ssize_t numbers(self):
        """How many there are in all tables."""
        cdef Py_ssize_t of_edges = sum(table.size for table in self.edges.memory) if self.edges is not None else 0
        return self.spans.shape[1] + self.taps.shape[1] + self.starts.shape[1] + of_edges


cdef PreparedGradient prepared_gradient(geometry):
    """Prepare a gradient, or find it prepared."""
    cdef PreparedGradient found = _kept.get(("gradient", geometry))
    if found is None:
        found = PreparedGradient(geometry)
        _kept.keep(("gradient", geometry), found, found.numbers())
    return found
