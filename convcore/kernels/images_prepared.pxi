# All that a problem of conv_images leads to before its numbers are looked at: the same at every call, so it is kept.

cdef Py_ssize_t INDEX_NUMBERS = sizeof(Py_ssize_t) // sizeof(float), RUN_NUMBERS = 3 * INDEX_NUMBERS  # the room they take
_kept = Kept()


cdef class Prepared:
    """How a problem is cut, and which of its cells belong together."""

    cdef Plan plan
    cdef Py_ssize_t most_rows, most_runs        # of one key, in all axes but the last and in all of them
    cdef const Py_ssize_t* chains               # see find_chains
    cdef Py_ssize_t[::1] table                  # the memory of all that is listed

    def __init__(self, geometry, Direction direction):
        cdef ConvSizes s = conv_sizes(geometry)
        cdef Plan* p = &self.plan
        cdef Py_ssize_t* place
        cdef int i
        p[0] = plan_of(&s, direction)
        self.table = np.empty(self.numbers(), INDEX)
        place = &self.table[0]
        for i in range(3):
            find_runs(p, &p.axes[i], i == 2, place)
            place += table_numbers(p, &p.axes[i])
        find_classes(p, place)
        place += class_numbers(p)
        if direction != BACKWARD_WEIGHT:
            find_chains(p, place)
        self.chains = place
        self.most_rows = most_runs(&p.axes[0]) * most_runs(&p.axes[1])
        self.most_runs = self.most_rows * most_runs(&p.axes[2])

    cdef Py_ssize_t numbers(self):
        """How many there are in the table."""
        cdef Plan* p = &self.plan
        return table_numbers(p, &p.axes[0]) + table_numbers(p, &p.axes[1]) + table_numbers(p, &p.axes[2]) + \
            class_numbers(p) + p.axes[2].target


cdef Prepared prepared(geometry, Direction direction):
    """Prepare a problem, or find it prepared."""
    cdef Prepared found = _kept.get((geometry, <int> direction))
    if found is None:
        found = Prepared(geometry, direction)
        _kept.keep((geometry, <int> direction), found, found.numbers())
    return found
