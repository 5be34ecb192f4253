"""What every kernel needs: the two float types and the numbers of a convolution."""

from cython cimport floating


cdef struct ConvSizes:
    Py_ssize_t N, G                     # images, groups
    Py_ssize_t IC, IH, IW, OC, OH, OW   # channels (filters), height, width; input and output
    Py_ssize_t KH, KW, SH, SW, DH, DW   # filter, stride, dilation
    Py_ssize_t top, left
    Py_ssize_t CG, FG                   # channels and filters per group
    double padding_value


cdef inline ConvSizes conv_sizes(object geometry):
    """The numbers of a ConvGeometry, for loops that hold no Python object."""
    cdef ConvSizes s
    s.N, s.G, s.IC, s.OC = geometry.batch, geometry.groups, geometry.in_channels, geometry.out_channels
    s.IH, s.IW = geometry.in_size
    s.OH, s.OW = geometry.out_size
    s.KH, s.KW = geometry.filter_size
    s.SH, s.SW = geometry.stride
    s.DH, s.DW = geometry.dilation
    (s.top, _), (s.left, _) = geometry.padding
    s.CG, s.FG = s.IC // s.G, s.OC // s.G
    s.padding_value = geometry.padding_value
    return s


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
