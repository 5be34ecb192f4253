# What stands around an image, and the gradient of a padded image folded: what a cell of the frame receives goes to the
# cell that it repeats.

cdef struct FrameAxis:
    Py_ssize_t size, padded, before     # cells of the image; with what stands around it, as far as it is read; before it
    Py_ssize_t* cells                   # per padded cell: the cell of the image that it repeats, -1: none


cdef ConvSizes padded_sizes(ConvSizes* s) noexcept nogil:
    """The same problem on images that are padded already, as far as they are read."""
    cdef ConvSizes p = s[0]
    p.ID, p.IH, p.IW = (s.OD - 1) * s.SD + (s.KD - 1) * s.DD + 1, (s.OH - 1) * s.SH + (s.KH - 1) * s.DH + 1, (
        s.OW - 1) * s.SW + (s.KW - 1) * s.DW + 1
    p.front, p.top, p.left, p.mode, p.padding_value = 0, 0, 0, CONSTANT, 0
    return p


cdef Py_ssize_t[:, ::1] find_frame(ConvSizes* s, FrameAxis* axes):
    """Fill in depth, height and width; return their memory."""
    cdef ConvSizes p = padded_sizes(s)
    cdef Py_ssize_t[:, ::1] table = aligned(1, p.ID + p.IH + p.IW, np.dtype(np.intp))
    cdef Py_ssize_t* cells = &table[0, 0]
    cdef Py_ssize_t i, c
    axes[0] = FrameAxis(s.ID, p.ID, s.front, NULL)
    axes[1] = FrameAxis(s.IH, p.IH, s.top, NULL)
    axes[2] = FrameAxis(s.IW, p.IW, s.left, NULL)
    for i in range(3):
        axes[i].cells = cells
        for c in range(axes[i].padded):
            cells[c] = source_cell(c - axes[i].before, axes[i].size, s.mode)
        cells += axes[i].padded
    return table


cdef signed char[:, ::1] rows_unseen(const FrameAxis* axes, int n_threads):
    """Per thread: which rows of a channel have received something; none so far."""
    memory = own_pages(n_threads, max(<Py_ssize_t> 1, image_rows(axes)), np.dtype(np.int8))
    memory[...] = 0
    return memory


cdef inline Py_ssize_t image_rows(const FrameAxis* axes) noexcept nogil:
    return axes[0].size * axes[1].size


cdef inline void fold_rows(const FrameAxis* axes, Py_ssize_t d, Py_ssize_t h, Py_ssize_t step, Py_ssize_t count,
                           const floating* rows, Py_ssize_t pitch, floating* image, signed char* seen) noexcept nogil:
    """Hand rows h, h + step, ... of plane d of the padded gradient on to the image's rows that they repeat, or are."""
    cdef const FrameAxis* W = axes + 2
    cdef Py_ssize_t width = max(<Py_ssize_t> 0, min(W.size, W.padded - W.before)), i, at
    if axes[0].cells[d] < 0:
        return
    for i in range(count):
        at = axes[0].cells[d] * axes[1].size + axes[1].cells[h + i * step]
        if axes[1].cells[h + i * step] < 0:
            continue
        if seen[at]:
            add_cells(rows + i * pitch + W.before, image + at * W.size, width)
        else:
            copy_cells(rows + i * pitch + W.before, image + at * W.size, width)
            fill_cells(0, image + at * W.size + width, W.size - width)          # no output reads so far
            seen[at] = 1
    for i in range(count):                      # apart, lest loads wait for what was just stored
        if axes[1].cells[h + i * step] >= 0:
            at = axes[0].cells[d] * axes[1].size + axes[1].cells[h + i * step]
            add_around(W, rows + i * pitch, image + at * W.size)


cdef inline void add_around(const FrameAxis* W, const floating* row, floating* target) noexcept nogil:
    """Add the cells on both sides of a padded row to those of the image's row that they repeat."""
    cdef Py_ssize_t w
    for w in range(min(W.before, W.padded)):
        if W.cells[w] >= 0:
            target[W.cells[w]] += row[w]
    for w in range(W.before + W.size, W.padded):
        if W.cells[w] >= 0:
            target[W.cells[w]] += row[w]


cdef inline void fold_nothing(const FrameAxis* axes, floating* image, signed char* seen) noexcept nogil:
    """Write zeros into the rows to which nothing was handed on, and forget the others."""
    cdef Py_ssize_t row, width = axes[2].size
    for row in range(image_rows(axes)):
        if not seen[row]:
            fill_cells(0, image + row * width, width)
        seen[row] = 0


cdef inline void fill_cells(int value, floating* target, Py_ssize_t count) noexcept nogil:
    cdef Py_ssize_t i
    for i in range(count):
        target[i] = value


cdef inline void add_cells(const floating* source, floating* target, Py_ssize_t count) noexcept nogil:
    cdef Py_ssize_t i
    for i in range(count):
        target[i] += source[i]


cdef inline void copy_cells(const floating* source, floating* target, Py_ssize_t count) noexcept nogil:
    """Copy a row in pieces of 32 bytes, without calling anything; the last piece overlaps the one before it."""
    cdef Py_ssize_t piece = 32 // sizeof(floating), i
    if count >= piece:
        for i in range(count // piece):
            memcpy(target + i * piece, source + i * piece, 32)
        memcpy(target + count - piece, source + count - piece, 32)
    else:
        for i in range(count):
            target[i] = source[i]
