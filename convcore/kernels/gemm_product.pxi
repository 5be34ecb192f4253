# The blocked matrix product, included by the kernels that are one: C (M × N) (+)= op(A) (M × K) · op(B) (K × N).
#
# Where rows of B are contiguous along N, lanes are columns of C and B is read in place; where B is transposed, lanes
# are the summed index and nothing is rearranged. Either way C is cut into blocks of rows and columns, one task each.

from cython.parallel cimport prange
from libc.string cimport memcpy, memset

from convcore.kernels.common cimport floating
from convcore.kernels.buffers import aligned

include "gemm_tile.pxi"

cdef enum:
    DEPTH = 256         # summed indices per pass: a block of B then stays in the second-level cache
    ROWS = 96           # rows of C in a task, a multiple of the tile's six
    COLUMNS = 256       # columns of C in a task
    LONG = 4096         # summed indices per pass of the dot kernel
    DOT_ROWS_OF_TASK = 24
    DOT_COLUMNS_OF_TASK = 64


cdef product(const floating[:, ::1] a, bint transpose_a, const floating[:, ::1] b, bint transpose_b,
             floating[:, ::1] c, bint accumulate, int n_threads):
    """c (+)= op(a) · op(b)."""
    cdef Py_ssize_t M = c.shape[0], N = c.shape[1], K = a.shape[0] if transpose_a else a.shape[1]
    cdef Py_ssize_t row_step = 1 if transpose_a else K, k_step = M if transpose_a else 1
    if transpose_b and not transpose_a:
        dot_product(a, b, c, accumulate, n_threads)
    elif transpose_b:
        tile_product(a, row_step, k_step, b.T.copy(), c, accumulate, n_threads)
    else:
        tile_product(a, row_step, k_step, b, c, accumulate, n_threads)


cdef tile_product(const floating[:, ::1] a, Py_ssize_t row_step, Py_ssize_t k_step, const floating[:, ::1] b,
                  floating[:, ::1] c, bint accumulate, int n_threads):
    """Lanes are columns. A is packed whole; the last columns of B, less than a vector, are copied to padded rows."""
    cdef Py_ssize_t M = c.shape[0], N = c.shape[1], K = b.shape[0], W = lanes(&c[0, 0])
    cdef Py_ssize_t column_tasks = blocks(N, COLUMNS), row_tasks = blocks(M, ROWS)
    cdef Py_ssize_t whole = N // W * W, block_k, k, task, i
    dtype = c.base.dtype
    cdef floating[:, ::1] packed = aligned(1, M * K, dtype)
    cdef floating[:, ::1] tail = aligned(K, W, dtype)
    if whole < N:
        for k in range(K):
            memcpy(&tail[k, 0], &b[k, whole], (N - whole) * sizeof(floating))
            memset(&tail[k, N - whole], 0, (W - (N - whole)) * sizeof(floating))
    for block_k in range(blocks(K, DEPTH)):
        k = block_k * DEPTH
        for i in range(row_tasks):
            pack(&a[0, 0] + i * ROWS * row_step + k * k_step, row_step, k_step, min(<Py_ssize_t> ROWS, M - i * ROWS),
                 min(<Py_ssize_t> DEPTH, K - k), &packed[0, k * M + i * ROWS * min(<Py_ssize_t> DEPTH, K - k)])
    for task in prange(column_tasks * row_tasks, nogil=True, schedule="dynamic", num_threads=n_threads):
        tile_block(&packed[0, 0], &b[0, 0], &tail[0, 0], tail.shape[1], &c[0, 0], M, N, K,
                   task // column_tasks * ROWS, task % column_tasks * COLUMNS, accumulate)


cdef void tile_block(const floating* packed, const floating* b, const floating* tail, Py_ssize_t tail_pitch,
                     floating* c, Py_ssize_t M, Py_ssize_t N, Py_ssize_t K, Py_ssize_t i, Py_ssize_t j,
                     bint accumulate) noexcept nogil:
    cdef Py_ssize_t W = lanes(c), rows = min(<Py_ssize_t> ROWS, M - i), columns = min(<Py_ssize_t> COLUMNS, N - j)
    cdef Py_ssize_t whole = columns // W * W, block_k, k, depth
    for block_k in range(blocks(K, DEPTH)):
        k = block_k * DEPTH
        depth = min(<Py_ssize_t> DEPTH, K - k)
        if whole > 0:
            multiply(rows, whole, depth, packed + k * M + i * depth, b + k * N + j, N, c + i * N + j, N,
                     accumulate or k > 0)
        if whole < columns:
            multiply(rows, columns - whole, depth, packed + k * M + i * depth, tail + k * tail_pitch, tail_pitch,
                     c + i * N + j + whole, N, accumulate or k > 0)


cdef dot_product(const floating[:, ::1] a, const floating[:, ::1] b, floating[:, ::1] c, bint accumulate, int n_threads):
    """Lanes are the summed index. Rows that do not end with a whole vector are copied to padded ones."""
    cdef Py_ssize_t M = c.shape[0], N = c.shape[1], K = a.shape[1], W = lanes(&c[0, 0])
    cdef Py_ssize_t row_tasks = blocks(M, DOT_ROWS_OF_TASK), column_tasks = blocks(N, DOT_COLUMNS_OF_TASK), task
    cdef const floating[:, ::1] left = a, right = b
    if K % W:
        left, right = padded(a, W), padded(b, W)
    if not accumulate:
        memset(&c[0, 0], 0, M * N * sizeof(floating))
    for task in prange(row_tasks * column_tasks, nogil=True, schedule="dynamic", num_threads=n_threads):
        dot_block(&left[0, 0], &right[0, 0], &c[0, 0], M, N, left.shape[1], round_up(K, W),
                  task // column_tasks * DOT_ROWS_OF_TASK, task % column_tasks * DOT_COLUMNS_OF_TASK)


cdef void dot_block(const floating* a, const floating* b, floating* c, Py_ssize_t M, Py_ssize_t N, Py_ssize_t pitch,
                    Py_ssize_t K, Py_ssize_t i, Py_ssize_t j) noexcept nogil:
    cdef Py_ssize_t rows = min(<Py_ssize_t> DOT_ROWS_OF_TASK, M - i), block, k
    cdef Py_ssize_t columns = min(<Py_ssize_t> DOT_COLUMNS_OF_TASK, N - j)
    for block in range(blocks(K, LONG)):
        k = block * LONG
        add_dots(rows, columns, min(<Py_ssize_t> LONG, K - k), a + i * pitch + k, pitch, b + j * pitch + k, pitch,
                 c + i * N + j, N)


cdef padded(const floating[:, ::1] a, Py_ssize_t W):
    """A copy whose rows end with zeros up to a whole vector."""
    cdef floating[:, ::1] copy = aligned(a.shape[0], round_up(a.shape[1], W), a.base.dtype)
    cdef Py_ssize_t i
    for i in range(a.shape[0]):
        memcpy(&copy[i, 0], &a[i, 0], a.shape[1] * sizeof(floating))
        memset(&copy[i, a.shape[1]], 0, (copy.shape[1] - a.shape[1]) * sizeof(floating))
    return copy.base
