"""Affine maps of images, which may be bytes: one image per task, a piece of a row at a time.

Where pixels are read does not depend on the channel, and is found once, in vectors; so are the four neighbours of each
blended. Only fetching those goes pixel by pixel.
"""

from cython.parallel cimport prange
from libc.math cimport floor, floorf

from convcore.kernels.common cimport check_index, floating

ctypedef fused value:
    unsigned char
    float
    double

cdef enum:
    PIECE = 64              # pixels of a row
    NOWHERE = -2            # row and column of what is read outside the image: no neighbour of it lies inside

cdef struct Piece:
    int[PIECE] row, column                  # upper left neighbour
    int[4 * PIECE] place                    # where the four neighbours stand in the plane, one after the other
    int H, W


def forward(geometry,
            x,                                                  # IN  (N, C, H, W), bytes or of the others' dtype
            const floating[:, :, ::1] transform not None,       # IN  (N, 2, 3)
            floating[:, :, :, ::1] y not None,                  # OUT (N, C, H, W)
            int n_threads, double fill):
    """Write y[n, :, i, j] = x[n, :] at the place that transform[n] · (i, j, 1) names; `fill` outside the image."""
    images_of_any(geometry, x, NULL, transform, NULL, NULL, y, n_threads, fill)


def gather(geometry,
           x,                                                   # IN  (M, C, H, W), bytes or of the others' dtype
           const long long[::1] index not None,                 # IN  (N,), 0 <= index < M
           const floating[:, :, ::1] transform not None,        # IN  (N, 2, 3)
           const floating[::1] scale not None,                  # IN  (C,)
           const floating[::1] shift not None,                  # IN  (C,)
           floating[:, :, :, ::1] y not None,                   # OUT (N, C, H, W)
           int n_threads, double fill):
    """Write y[n] = what forward makes of x[index[n]], times scale[c], plus shift[c]."""
    check_index("affine2d", index, geometry.M)
    images_of_any(geometry, x, &index[0], transform, &scale[0], &shift[0], y, n_threads, fill)


cdef images_of_any(geometry, x, const long long* index, const floating[:, :, ::1] transform, const floating* scale,
                   const floating* shift, floating[:, :, :, ::1] y, int n_threads, double fill):
    cdef const unsigned char[:, :, :, ::1] of_bytes
    cdef const floating[:, :, :, ::1] of_floats
    if geometry.of_bytes:
        of_bytes = x
        images(&of_bytes[0, 0, 0, 0], index, transform, scale, shift, y, n_threads, <floating> fill)
    else:
        of_floats = x
        images(&of_floats[0, 0, 0, 0], index, transform, scale, shift, y, n_threads, <floating> fill)


cdef images(const value* x, const long long* index, const floating[:, :, ::1] transform, const floating* scale,
            const floating* shift, floating[:, :, :, ::1] y, int n_threads, floating fill):
    cdef Py_ssize_t n, C = y.shape[1], H = y.shape[2], W = y.shape[3]
    for n in prange(y.shape[0], nogil=True, schedule="static", num_threads=n_threads):
        map_image(x + (n if index == NULL else index[n]) * C * H * W, &transform[n, 0, 0], scale, shift,
                  &y[n, 0, 0, 0], C, H, W, fill)


def supports(direction, geometry, dtype, level):
    """Images whose pixels 32 bits count."""
    pixels = (geometry.H + 1) * (geometry.W + 1)
    return None if pixels < 2**31 else f"images have {pixels:,} pixels, 32 bits do not count them"


cdef void map_image(const value* x, const floating* t, const floating* scale, const floating* shift, floating* y,
                    Py_ssize_t C, Py_ssize_t H, Py_ssize_t W, floating fill) noexcept nogil:
    cdef Py_ssize_t i, piece, start, c
    cdef int count
    cdef Piece p
    cdef floating[PIECE] down, right                            # how far from the upper left neighbour
    cdef floating[4 * PIECE] corners                            # the four neighbours, one after the other
    cdef floating factor = 1, summand = 0
    for i in range(H):
        for piece in range((W + PIECE - 1) // PIECE):
            start = piece * PIECE
            count = <int> min(<Py_ssize_t> PIECE, W - start)
            find(&p, t, i, start, count, <int> H, <int> W, down, right)
            for c in range(C):
                fetch(x + c * H * W, &p, count, corners)
                fill_outside(&p, count, fill, corners)
                if scale != NULL:
                    factor, summand = scale[c], shift[c]
                blend(corners, down, right, count, factor, summand, y + (c * H + i) * W + start)


cdef void find(Piece* p, const floating* t, Py_ssize_t i, Py_ssize_t start, int count, int H, int W, floating* down,
               floating* right) noexcept nogil:
    """Find where a piece of row i is read."""
    cdef int j, row, column, upper, lower, left, right_
    cdef floating y, x, first_row = t[0] * i, first_column = t[3] * i, height = H, width = W
    cdef bint outside
    for j in range(count):
        y = (first_row + t[1] * (j + <int> start)) + t[2]
        x = (first_column + t[4] * (j + <int> start)) + t[5]
        outside = not ((y > -1) & (y < height) & (x > -1) & (x < width))
        y, x = NOWHERE if outside else y, NOWHERE if outside else x
        row, column = <int> floor_of(y), <int> floor_of(x)
        down[j], right[j] = y - row, x - column
        p.row[j], p.column[j] = row, column
        upper, lower = within(row, H) * W, within(row + 1, H) * W
        left, right_ = within(column, W), within(column + 1, W)
        p.place[j], p.place[PIECE + j] = upper + left, upper + right_
        p.place[2 * PIECE + j], p.place[3 * PIECE + j] = lower + left, lower + right_
    p.H, p.W = H, W


cdef inline int within(int cell, int size) noexcept nogil:
    cell = cell if cell > 0 else 0
    return cell if cell < size else size - 1


cdef inline floating floor_of(floating a) noexcept nogil:
    return floorf(a) if floating is float else floor(a)


cdef void fetch(const value* plane, const Piece* p, int count, floating* corners) noexcept nogil:
    """Fetch the four neighbours of each pixel; where there is none, another pixel."""
    cdef int j
    for j in range(count):
        corners[j] = <floating> plane[p.place[j]]
        corners[PIECE + j] = <floating> plane[p.place[PIECE + j]]
        corners[2 * PIECE + j] = <floating> plane[p.place[2 * PIECE + j]]
        corners[3 * PIECE + j] = <floating> plane[p.place[3 * PIECE + j]]


cdef void fill_outside(const Piece* p, int count, floating fill, floating* corners) noexcept nogil:
    """Put the filling where there is no neighbour."""
    cdef int j
    cdef bint upper, lower, left, right
    for j in range(count):
        upper, lower = (p.row[j] >= 0) & (p.row[j] < p.H), (p.row[j] >= -1) & (p.row[j] < p.H - 1)
        left, right = (p.column[j] >= 0) & (p.column[j] < p.W), (p.column[j] >= -1) & (p.column[j] < p.W - 1)
        corners[j] = corners[j] if upper & left else fill
        corners[PIECE + j] = corners[PIECE + j] if upper & right else fill
        corners[2 * PIECE + j] = corners[2 * PIECE + j] if lower & left else fill
        corners[3 * PIECE + j] = corners[3 * PIECE + j] if lower & right else fill


cdef void blend(const floating* corners, const floating* down, const floating* right, int count,
                floating factor, floating summand, floating* y) noexcept nogil:
    cdef int j
    cdef floating upper, lower, one = 1                         # of the type of the others: sums are not in double
    for j in range(count):
        upper = (one - right[j]) * corners[j] + right[j] * corners[PIECE + j]
        lower = (one - right[j]) * corners[2 * PIECE + j] + right[j] * corners[3 * PIECE + j]
        y[j] = ((one - down[j]) * upper + down[j] * lower) * factor + summand
