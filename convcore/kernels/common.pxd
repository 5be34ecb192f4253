"""What every kernel needs: the two float types and the numbers of a convolution.

Loops that share out tasks have a static schedule: a thread gets the same images, or about the same, in all kernels of a
step, and finds in its own cache what it has written there. Handing out tasks one by one made steps 5 to 10 % slower,
except where all tasks read weights that no cache of a single processor holds: `pointwise` with many channels.
"""

from cython cimport floating


cdef enum:                              # what stands in the cells around the image: windows.PADDING_MODES, counted
    CONSTANT = 0
    SYMMETRIC_INCLUDE_EDGE = 1
    SYMMETRIC_EXCLUDE_EDGE = 2
    REPLICATE = 3
    CIRCULAR = 4


cdef struct ConvSizes:
    Py_ssize_t N, G                     # images, groups
    Py_ssize_t IC, ID, IH, IW           # input: channels, depth, height, width
    Py_ssize_t OC, OD, OH, OW           # output: filters, depth, height, width
    Py_ssize_t KD, KH, KW               # filter
    Py_ssize_t SD, SH, SW               # stride
    Py_ssize_t DD, DH, DW               # dilation
    Py_ssize_t front, top, left         # padding
    Py_ssize_t CG, FG                   # channels and filters per group
    int mode                            # of the padding
    double padding_value                # where the mode is CONSTANT


cdef inline ConvSizes conv_sizes(object geometry):
    """The numbers of a volumetric ConvGeometry, for loops that hold no Python object."""
    cdef ConvSizes s
    s.N, s.G, s.IC, s.OC = geometry.batch, geometry.groups, geometry.in_channels, geometry.out_channels
    s.ID, s.IH, s.IW = geometry.in_size
    s.OD, s.OH, s.OW = geometry.out_size
    s.KD, s.KH, s.KW = geometry.filter_size
    s.SD, s.SH, s.SW = geometry.stride
    s.DD, s.DH, s.DW = geometry.dilation
    (s.front, _), (s.top, _), (s.left, _) = geometry.padding
    s.CG, s.FG = s.IC // s.G, s.OC // s.G
    s.mode = geometry.padding_mode
    s.padding_value = geometry.padding_value if s.mode == CONSTANT else 0
    return s


cdef inline folds(direction, geometry):
    """Why a kernel leaves the input gradient of a pattern to `conv_padded`, or None where there is nothing to fold."""
    if direction == "backward_input" and geometry.padding_mode != CONSTANT:
        return f"padding is {geometry.padding_value}: its gradient goes back to the cells it repeats"
    return None


cdef inline not_pooled(direction, geometry):
    """Why outputs are not pooled in windows of 2×2, or None where they are, or need not be."""
    if direction.endswith("_pool") and (len(geometry.in_size) != 2 or min(geometry.out_size) < 2):
        return "pools images in two dimensions, of 2×2 outputs and more"
    return None


cdef inline check_index(op, const long long[::1] index, Py_ssize_t count):
    """Raise a ValueError unless all numbers name one of so many rows."""
    cdef Py_ssize_t n
    for n in range(index.shape[0]):
        if not 0 <= index[n] < count:
            raise ValueError(f"{op}: index must hold numbers from 0 to {count - 1:,}, got {index[n]:,}")


cdef inline Py_ssize_t source_cell(Py_ssize_t p, Py_ssize_t size, int mode) noexcept nogil:
    """The cell of an axis that holds what a padded axis holds at p, counted from the image's first cell; -1: none.

    Padding wider than the image repeats the pattern.
    """
    cdef Py_ssize_t period
    if 0 <= p < size:
        return p
    if mode == CONSTANT:
        return -1
    if mode == REPLICATE or size == 1:
        return 0 if p < 0 else size - 1
    if mode == CIRCULAR:
        p = p % size
        return p + size if p < 0 else p
    period = 2 * size if mode == SYMMETRIC_INCLUDE_EDGE else 2 * size - 2       # there and back
    p = p % period
    if p < 0:
        p += period
    if p < size:
        return p
    return period - 1 - p if mode == SYMMETRIC_INCLUDE_EDGE else period - p


cdef inline Py_ssize_t first_inside(Py_ssize_t offset, Py_ssize_t stride) noexcept nogil:
    """The first output o >= 0 whose input cell o·stride + offset is not before the image."""
    if offset >= 0:
        return 0
    return -offset if stride == 1 else (-offset + stride - 1) // stride


cdef inline Py_ssize_t end_inside(Py_ssize_t offset, Py_ssize_t stride, Py_ssize_t size, Py_ssize_t outputs) noexcept nogil:
    """One past the last output o < outputs whose input cell o·stride + offset lies before the end of the image."""
    cdef Py_ssize_t end
    if offset >= size:
        return 0
    end = size - offset if stride == 1 else (size - offset + stride - 1) // stride
    return end if end < outputs else outputs
