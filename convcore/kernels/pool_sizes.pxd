"""The numbers of a pooling, for the kernels that slide a window over each plane (in 3-D a volume).

There are always three dimensions, those that a problem lacks being of size 1: one loop nest serves 1-D to 3-D.
"""


cdef struct PoolSizes:
    Py_ssize_t planes                               # images × channels
    Py_ssize_t ID, IH, IW, OD, OH, OW               # depth, height, width; input and output
    Py_ssize_t KD, KH, KW, SD, SH, SW, DD, DH, DW   # window, stride, dilation
    Py_ssize_t front, back, top, bottom, left, right
    Py_ssize_t in_cells, out_cells                  # of one plane


cdef inline PoolSizes pool_sizes(object geometry):
    """The numbers of a PoolGeometry, for loops that hold no Python object."""
    cdef PoolSizes s
    s.planes = geometry.batch * geometry.channels
    ((s.ID, s.IH, s.IW), (s.OD, s.OH, s.OW), (s.KD, s.KH, s.KW), (s.SD, s.SH, s.SW), (s.DD, s.DH, s.DW),
     ((s.front, s.back), (s.top, s.bottom), (s.left, s.right))) = geometry.in_3d
    s.in_cells, s.out_cells = s.ID * s.IH * s.IW, s.OD * s.OH * s.OW
    return s
