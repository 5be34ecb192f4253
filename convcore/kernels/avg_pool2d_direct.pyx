"""Average-pooling: one plane per task, window by window."""

from cython.parallel cimport prange

from convcore.kernels.common cimport floating
from convcore.kernels.pool_sizes cimport PoolSizes, pool_sizes


cdef struct Window:
    Py_ssize_t top, bottom, left, right     # the cells of the image under it, ends not included
    double cells                            # how many cells the sum is divided by
    double padded                           # how many of them are padding


cdef inline Window window_of(PoolSizes* s, Py_ssize_t oh, Py_ssize_t ow, bint mean) noexcept nogil:
    cdef Window w
    cdef Py_ssize_t top = oh * s.SH - s.top, left = ow * s.SW - s.left, inside
    w.top, w.bottom = max(top, 0), min(top + s.KH, s.IH)
    w.left, w.right = max(left, 0), min(left + s.KW, s.IW)
    inside = max(w.bottom - w.top, 0) * max(w.right - w.left, 0)
    w.cells = inside if mean else s.KH * s.KW
    w.padded = w.cells - inside
    return w


def supports(direction, geometry, dtype, level):
    """Windows without dilation."""
    return None if geometry.dilation == (1, 1) else f"dilation is {geometry.dilation}, wants 1"


def forward(geometry,
            const floating[:, :, :, ::1] x not None,    # IN  (N, C, IH, IW)
            floating[:, :, :, ::1] y not None,          # OUT (N, C, OH, OW)
            int n_threads):
    """Write the averages; a window that sees only padding, with padding_value "mean", gives 0."""
    cdef PoolSizes s = pool_sizes(geometry)
    cdef bint mean = geometry.padding_value == "mean"
    cdef double padding = 0 if mean else geometry.padding_value
    cdef Py_ssize_t plane, C = x.shape[1]
    for plane in prange(s.planes, nogil=True, schedule="static", num_threads=n_threads):
        forward_plane(&s, &x[plane // C, plane % C, 0, 0], &y[plane // C, plane % C, 0, 0], mean, <floating> padding)


cdef void forward_plane(PoolSizes* s, const floating* x, floating* y, bint mean, floating padding) noexcept nogil:
    cdef Py_ssize_t oh, ow, ih, iw
    cdef Window w
    cdef floating total
    for oh in range(s.OH):
        for ow in range(s.OW):
            w = window_of(s, oh, ow, mean)
            total = 0
            for ih in range(w.top, w.bottom):
                for iw in range(w.left, w.right):
                    total += x[ih * s.IW + iw]
            if w.padded > 0:
                total += padding * <floating> w.padded
            y[oh * s.OW + ow] = total / <floating> w.cells if w.cells > 0 else 0


def backward_input(geometry,
                   const floating[:, :, :, ::1] grad_y not None,    # IN  (N, C, OH, OW)
                   floating[:, :, :, ::1] grad_x not None,          # OUT (N, C, IH, IW)
                   int n_threads):
    """Write grad_x: each output's gradient is shared out evenly over its window."""
    cdef PoolSizes s = pool_sizes(geometry)
    cdef bint mean = geometry.padding_value == "mean"
    cdef Py_ssize_t plane, C = grad_x.shape[1]
    for plane in prange(s.planes, nogil=True, schedule="static", num_threads=n_threads):
        backward_plane(&s, &grad_y[plane // C, plane % C, 0, 0], &grad_x[plane // C, plane % C, 0, 0], mean)


cdef void backward_plane(PoolSizes* s, const floating* grad_y, floating* grad_x, bint mean) noexcept nogil:
    cdef Py_ssize_t oh, ow, ih, iw
    cdef Window w
    cdef floating share
    for ih in range(s.IH * s.IW):
        grad_x[ih] = 0
    for oh in range(s.OH):
        for ow in range(s.OW):
            w = window_of(s, oh, ow, mean)
            if w.cells > 0:
                share = grad_y[oh * s.OW + ow] / <floating> w.cells
                for ih in range(w.top, w.bottom):
                    for iw in range(w.left, w.right):
                        grad_x[ih * s.IW + iw] += share
