"""The numbers of a pooling, for the kernels that slide a window over each plane."""


cdef struct PoolSizes:
    Py_ssize_t planes                   # images × channels
    Py_ssize_t IH, IW, OH, OW           # height, width; input and output
    Py_ssize_t KH, KW, SH, SW, DH, DW   # window, stride, dilation
    Py_ssize_t top, left, bottom, right


cdef inline PoolSizes pool_sizes(object geometry):
    """The numbers of a PoolGeometry, for loops that hold no Python object."""
    cdef PoolSizes s
    s.planes = geometry.batch * geometry.channels
    s.IH, s.IW = geometry.in_size
    s.OH, s.OW = geometry.out_size
    s.KH, s.KW = geometry.pool_size
    s.SH, s.SW = geometry.stride
    s.DH, s.DW = geometry.dilation
    (s.top, s.bottom), (s.left, s.right) = geometry.padding
    return s
