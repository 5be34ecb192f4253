# A number around the images: what it adds to an output, and to a weight.
#
# Outputs from which the same taps reach outside form a class; what they receive from outside is the same in all images,
# and sums begin with it, as they begin with the bias. A weight receives the number times the gradients of the outputs
# from which its tap reaches outside, as from a channel that holds nothing else.

cdef Py_ssize_t class_numbers(Plan* p) noexcept:
    """Room for the class of each cell, and for a cell of each class."""
    cdef Py_ssize_t numbers = 0
    cdef int i
    for i in range(3):
        numbers += 2 * p.axes[i].target
    return numbers


cdef void find_classes(Plan* p, Py_ssize_t* table) noexcept:
    """Sort the target cells of each axis: one class where the number is 0, or adds to nothing."""
    cdef Axis* axis
    cdef Py_ssize_t cell
    cdef int i
    for i in range(3):
        axis = &p.axes[i]
        axis.classes, axis.examples = table, table + axis.target
        axis.class_count = 1
        axis.examples[0] = axis.classes[0] = 0
        for cell in range(1, axis.target):
            if p.value != 0 and (first_tap(axis, cell) != first_tap(axis, cell - 1)
                                 or end_tap(axis, cell) != end_tap(axis, cell - 1)):
                axis.examples[axis.class_count] = cell
                axis.class_count += 1
            axis.classes[cell] = axis.class_count - 1
        table += 2 * axis.target


cdef inline Py_ssize_t first_tap(Axis* axis, Py_ssize_t output) noexcept nogil:
    """The first tap that does not reach in front of the image from an output."""
    return min(axis.K, first_inside(output * axis.S - axis.before, axis.D))


cdef inline Py_ssize_t end_tap(Axis* axis, Py_ssize_t output) noexcept nogil:
    """One past the last tap that does not reach behind the image."""
    return end_inside(output * axis.S - axis.before, axis.D, axis.source, axis.K)


cdef inline Py_ssize_t class_of(Plan* p, Py_ssize_t depth, Py_ssize_t row, Py_ssize_t column) noexcept nogil:
    return (p.axes[0].classes[depth] * p.axes[1].class_count + p.axes[1].classes[row]) * p.axes[2].class_count + \
        p.axes[2].classes[column]


cdef inline Py_ssize_t number_of_classes(Plan* p) noexcept nogil:
    return p.axes[0].class_count * p.axes[1].class_count * p.axes[2].class_count


cdef find_starts(Plan* p, const float* weight, const float* bias, float* start):
    """start[class, filter] = its bias, and the number times its weights that meet it."""
    cdef Py_ssize_t filters = p.G * p.target_channels, f, c, tap, d, h, w, place = 0
    cdef double outside
    cdef double[:, ::1] memory
    cdef double* sums = NULL                    # of each tap over the channels, times the number
    if p.value != 0:
        memory = aligned(1, filters * p.taps, np.dtype(np.float64))
        sums = &memory[0, 0]
        for f in range(filters):
            for tap in range(p.taps):
                sums[f * p.taps + tap] = 0
                for c in range(p.source_channels):
                    sums[f * p.taps + tap] += p.value * weight[(f * p.source_channels + c) * p.taps + tap]
    for d in range(p.axes[0].class_count):
        for h in range(p.axes[1].class_count):
            for w in range(p.axes[2].class_count):
                for f in range(filters):
                    outside = 0
                    if p.value != 0:
                        outside = sum_outside(p, p.axes[0].examples[d], p.axes[1].examples[h], p.axes[2].examples[w],
                                              sums + f * p.taps)
                    start[place] = <float> (outside + (bias[f] if bias != NULL else 0))
                    place += 1


cdef double sum_outside(Plan* p, Py_ssize_t depth, Py_ssize_t row, Py_ssize_t column, const double* sums) noexcept:
    """The sum over the taps that reach outside from an output."""
    cdef Axis* d = &p.axes[0]
    cdef Axis* h = &p.axes[1]
    cdef Axis* w = &p.axes[2]
    cdef Py_ssize_t kd, kh, kw
    cdef double total = 0
    for kd in range(d.K):
        for kh in range(h.K):
            for kw in range(w.K):
                if not (first_tap(d, depth) <= kd < end_tap(d, depth) and first_tap(h, row) <= kh < end_tap(h, row)
                        and first_tap(w, column) <= kw < end_tap(w, column)):
                    total += sums[(kd * h.K + kh) * w.K + kw]
    return total


cdef Py_ssize_t outside_runs(Plan* p) noexcept:
    """Room for the runs of a tap: two in each row of outputs."""
    return 2 * (p.target_cells // p.axes[2].target) if p.value != 0 else 0


cdef Py_ssize_t list_outside(Plan* p, Py_ssize_t tap, Py_ssize_t unit, Py_ssize_t units, Run* runs) noexcept nogil:
    """List the outputs of some units from which a tap reaches outside, counted from the first of them."""
    cdef Axis* d = &p.axes[0]
    cdef Axis* h = &p.axes[1]
    cdef Axis* w = &p.axes[2]
    cdef Py_ssize_t kd = tap // (h.K * w.K), kh = tap // w.K % h.K, kw = tap % w.K, depth, row, count = 0, place = 0
    cdef Py_ssize_t from_unit = unit if p.outer == 2 else 0, columns = units if p.outer == 2 else w.target
    cdef Py_ssize_t first = first_output(w, kw) - from_unit, end = end_output(w, kw) - from_unit
    first, end = max(<Py_ssize_t> 0, min(first, columns)), max(<Py_ssize_t> 0, min(end, columns))
    for depth in range(unit if p.outer == 0 else 0, unit + units if p.outer == 0 else d.target):
        for row in range(unit if p.outer == 1 else 0, unit + units if p.outer == 1 else h.target):
            if (first_output(d, kd) <= depth < end_output(d, kd) and first_output(h, kh) <= row < end_output(h, kh)
                    and first < end):
                runs[count] = Run(0, place, first)
                runs[count + 1] = Run(0, place + end, columns - end)
                count += 2
            else:
                runs[count] = Run(0, place, columns)
                count += 1
            place += columns
    return count


cdef inline Py_ssize_t first_output(Axis* axis, Py_ssize_t tap) noexcept nogil:
    """The first output from which a tap does not reach in front of the image."""
    return first_inside(tap * axis.D - axis.before, axis.S)


cdef inline Py_ssize_t end_output(Axis* axis, Py_ssize_t tap) noexcept nogil:
    """One past the last output from which it does not reach behind it."""
    return end_inside(tap * axis.D - axis.before, axis.S, axis.source, axis.target)


cdef void add_to_all_channels(const float* sums, Py_ssize_t F, Py_ssize_t C, Py_ssize_t taps, Py_ssize_t filter_step,
                              float* weights) noexcept nogil:
    """weights[f, c, tap] += sums[tap, f]"""
    cdef Py_ssize_t f, c, tap
    for f in range(F):
        for c in range(C):
            for tap in range(taps):
                weights[f * filter_step + c * taps + tap] += sums[tap * F + f]
