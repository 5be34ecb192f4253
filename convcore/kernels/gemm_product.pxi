# The blocked matrix product, included by the kernels that are one: C (M × N) (+)= op(A) (M × K) · op(B) (K × N).
#
# tile_product takes A a number at a time and B a vector at a time, lanes are columns of C. Both are read in place as
# long as that goes well; else B is packed into panels and A is turned so that its rows are contiguous, all of it before
# the products begin. As Cᵀ = op(B)ᵀ · op(A)ᵀ the operands may change their parts: lanes are rows of C then, and blocks
# of it are transposed on their way out. Where both are short, lanes are the summed index (dot_product) and nothing is
# rearranged. Which of the three is taken is a question of cost, of the problem alone: see `method`.

from cython.parallel cimport parallel, prange, threadid
from libc.string cimport memcpy, memset

from convcore.kernels.common cimport floating
from convcore.kernels.buffers import aligned

include "gemm_tile.pxi"

cdef enum:
    DEPTH = 512             # summed indices per pass over a block, at most: what it reads stays in the second cache
    ROWS = 96               # rows of C in a task, at most
    COLUMNS = 256           # columns of C in a task, at most
    TASKS = 16              # tasks to cut a product into where it is large enough, whatever the number of threads
    TASK_PRODUCTS = 1 << 17 # multiplications that make a task worth its while
    STORE_NUMBERS = 1 << 20 # numbers of A or B in working memory at a time: 4 MB in float32
    STORE_WIDTH = 2048      # rows of A or columns of B in it, at most
    CACHE_LINE = 64         # bytes
    CACHE_NUMBERS = 1 << 18 # numbers in a B that is read from memory again and again, at least: 1 MB in float32
    DOT_DEPTH = 4096        # summed indices per pass of the dot kernel
    DOT_ROWS_OF_TASK = 24
    DOT_COLUMNS_OF_TASK = 64

    COLUMN_LANES = 0        # methods
    ROW_LANES = 1
    DOT_LANES = 2


cdef struct Product:
    Py_ssize_t M, N, K
    Py_ssize_t row_step, k_step         # element (i, k) of A is a[i·row_step + k·k_step]
    Py_ssize_t ldb, ldc
    bint b_transposed                   # element (k, j) of B is b[j·ldb + k], else b[k·ldb + j]
    bint c_transposed                   # element (i, j) of C is c[j·ldc + i], else c[i·ldc + j]
    bint packed                         # B is read from panels
    bint turned                         # A is read from rows
    Py_ssize_t row_tasks, column_tasks, depths


cdef product(const floating[:, ::1] a, bint transpose_a, const floating[:, ::1] b, bint transpose_b,
             floating[:, ::1] c, bint accumulate, int n_threads):
    """c (+)= op(a) · op(b)."""
    cdef Product p
    cdef Py_ssize_t M = c.shape[0], N = c.shape[1], K = a.shape[0] if transpose_a else a.shape[1]
    cdef int how = method(M, N, K, transpose_a, transpose_b, lanes(&c[0, 0]))
    p.K, p.ldc = K, N
    if how == DOT_LANES:
        dot_product(a, b, c, accumulate, n_threads)
    elif how == ROW_LANES:
        p.M, p.N, p.ldb = N, M, a.shape[1]
        p.row_step, p.k_step = K if transpose_b else 1, 1 if transpose_b else N
        p.b_transposed, p.c_transposed = not transpose_a, True
        tile_product(&p, &b[0, 0], &a[0, 0], &c[0, 0], accumulate, n_threads, c.base.dtype)
    else:
        p.M, p.N, p.ldb = M, N, b.shape[1]
        p.row_step, p.k_step = 1 if transpose_a else K, M if transpose_a else 1
        p.b_transposed, p.c_transposed = transpose_b, False
        tile_product(&p, &a[0, 0], &b[0, 0], &c[0, 0], accumulate, n_threads, c.base.dtype)


cdef int method(Py_ssize_t M, Py_ssize_t N, Py_ssize_t K, bint transpose_a, bint transpose_b, Py_ssize_t W) noexcept:
    """The cheapest of the three ways, in multiplications of whole vectors; the weights were measured."""
    cdef Py_ssize_t columns = M * blocks(N, W) * K + N * K * (8 if transpose_b else 2) // W
    cdef Py_ssize_t rows = N * blocks(M, W) * K + M * K * (2 if transpose_a else 8) // W + M * N * 8 // W
    cdef Py_ssize_t dots = M * N * (blocks(K, W) + 12) + (M * K + N * K if K % W else 0)
    if transpose_b and not transpose_a and dots < min(columns, rows):
        return DOT_LANES
    return ROW_LANES if rows < columns else COLUMN_LANES


cdef tile_product(Product* p, const floating* a, const floating* b, floating* c, bint accumulate, int n_threads, dtype):
    """C (+)= A · B, a number of A at a time and a vector of B."""
    cdef Py_ssize_t W = lanes(c), size = sizeof(floating), M = p.M, N = p.N, K = p.K
    cdef Py_ssize_t i, j, k, block_i, block_j, block_k, height = M, width = N, depth = K
    cdef floating[:, ::1] store_a, store_b, blocks_c
    cdef Product part = p[0]
    # Rows of B a power of two apart share few places in the caches, and most vectors of an odd B straddle two lines of
    # them; vectors as long as a line suffer least.
    part.packed = (p.b_transposed or N < W or (M >= 256 and N * K > CACHE_NUMBERS)
                   or (W * size < CACHE_LINE and (M >= 128 or (M >= 32 and p.ldb * size % 1024 == 0))))
    # Columns of A far apart are turned; narrow tiles, which pass over A more often, suffer sooner.
    part.turned = p.k_step > 1 and N >= 16 * W and p.k_step * size >= W * size * W * size
    if part.packed:
        width = min(N, <Py_ssize_t> STORE_WIDTH)
    if part.turned:
        height = min(M, <Py_ssize_t> STORE_WIDTH)
    if part.packed or part.turned:
        depth = max(width if part.packed else 0, height if part.turned else 0)
        depth = min(K, STORE_NUMBERS // round_up(depth, W) // DEPTH * DEPTH)
    cdef floating* panels = NULL
    cdef floating* turned = NULL
    cdef floating* own = NULL
    if part.packed:
        store_b = aligned(1, round_up(width, W) * depth, dtype)
        panels = &store_b[0, 0]
    if part.turned:
        store_a = aligned(height, depth + W, dtype)
        turned = &store_a[0, 0]
        part.row_step, part.k_step = store_a.shape[1], 1
    if part.c_transposed:
        blocks_c = aligned(n_threads, ROWS * COLUMNS, dtype)
        own = &blocks_c[0, 0]
    for block_i in range(blocks(M, height)):
        for block_j in range(blocks(N, width)):
            for block_k in range(blocks(K, depth)):
                i, j, k = block_i * height, block_j * width, block_k * depth
                part.M, part.N, part.K = min(height, M - i), min(width, N - j), min(depth, K - k)
                cut(&part, W)
                tile_pass(&part, a + i * p.row_step + k * p.k_step, p.k_step,
                          b + (j * p.ldb + k if p.b_transposed else k * p.ldb + j),
                          c + (j * p.ldc + i if p.c_transposed else i * p.ldc + j), accumulate or k > 0,
                          turned, panels, own, n_threads)


cdef void cut(Product* p, Py_ssize_t W) noexcept:
    """Cut C into tasks, more than the caches ask for where there are too few."""
    cdef Py_ssize_t V = blocks(p.N, W), wanted = min(<Py_ssize_t> TASKS, p.M * p.N * p.K // TASK_PRODUCTS)
    p.depths = blocks(p.K, DEPTH)
    p.row_tasks, p.column_tasks = blocks(p.M, ROWS), blocks(p.N, COLUMNS)
    while p.row_tasks * p.column_tasks < wanted:
        if V >= 2 * TILE_VECTORS * p.column_tasks:
            p.column_tasks *= 2
        elif p.M >= 2 * TILE_ROWS[TILE_VECTORS] * p.row_tasks:
            p.row_tasks *= 2
        else:
            break


cdef struct Range:
    Py_ssize_t start, size


cdef inline Range share(Py_ssize_t whole, Py_ssize_t parts, Py_ssize_t part) noexcept nogil:
    """One of the parts that something is cut into, as equal as whole numbers allow."""
    cdef Range r
    r.start = whole // parts * part + min(part, whole % parts)
    r.size = whole // parts + (part < whole % parts)
    return r


cdef inline Range columns_of_task(Product* p, Py_ssize_t task, Py_ssize_t W) noexcept nogil:
    """Whole vectors, all tasks together; at least two each, if there are two."""
    cdef Range r = share(blocks(p.N, W), p.column_tasks, task)
    r.start, r.size = r.start * W, min(r.size * W, p.N - r.start * W)
    return r


cdef void tile_pass(Product* p, const floating* a, Py_ssize_t a_step, const floating* b, floating* c, bint accumulate,
                    floating* turned, floating* panels, floating* own, int n_threads) noexcept nogil:
    """As much of the product as the working memory holds: rearrange what must be, then multiply."""
    cdef Py_ssize_t task
    with parallel(num_threads=n_threads):
        if p.turned:
            for task in prange(p.row_tasks * p.depths, schedule="dynamic"):
                turn_task(p, a, a_step, turned, task // p.depths, task % p.depths)
        if p.packed:
            for task in prange(p.column_tasks * p.depths, schedule="dynamic"):
                pack_task(p, b, panels, task // p.depths, task % p.depths)
        for task in prange(p.column_tasks * p.row_tasks, schedule="dynamic"):
            tile_task(p, turned if p.turned else a, panels if p.packed else b, c, accumulate,
                      own + threadid() * ROWS * COLUMNS if p.c_transposed else NULL,
                      task // p.row_tasks, task % p.row_tasks)


cdef void turn_task(Product* p, const floating* a, Py_ssize_t a_step, floating* turned, Py_ssize_t row_task,
                    Py_ssize_t depth_task) noexcept nogil:
    cdef Range rows = share(p.M, p.row_tasks, row_task), k = share(p.K, p.depths, depth_task)
    transpose(a + k.start * a_step + rows.start, a_step, k.size, rows.size,
              turned + rows.start * p.row_step + k.start, p.row_step)


cdef void pack_task(Product* p, const floating* b, floating* panels, Py_ssize_t column_task,
                    Py_ssize_t depth_task) noexcept nogil:
    cdef Py_ssize_t W = lanes(panels)
    cdef Range columns = columns_of_task(p, column_task, W), k = share(p.K, p.depths, depth_task)
    panels += k.start * round_up(p.N, W) + columns.start * k.size
    if p.b_transposed:
        pack_columns(b + columns.start * p.ldb + k.start, p.ldb, columns.size, k.size, panels)
    else:
        pack_rows(b + k.start * p.ldb + columns.start, p.ldb, columns.size, k.size, panels)


cdef void tile_task(Product* p, const floating* a, const floating* b, floating* c, bint accumulate, floating* own,
                    Py_ssize_t column_task, Py_ssize_t row_task) noexcept nogil:
    cdef Py_ssize_t W = lanes(c), ldc = p.ldc, block_k
    cdef Range columns = columns_of_task(p, column_task, W), rows = share(p.M, p.row_tasks, row_task), k
    cdef floating* target = c + rows.start * p.ldc + columns.start
    if p.c_transposed:
        c += columns.start * p.ldc + rows.start
        target, ldc = own, columns.size
        if accumulate:
            transpose(c, p.ldc, columns.size, rows.size, target, ldc)
    for block_k in range(p.depths):
        k = share(p.K, p.depths, block_k)
        multiply(rows.size, columns.size, k.size, a + rows.start * p.row_step + k.start * p.k_step, p.row_step, p.k_step,
                 b + (k.start * round_up(p.N, W) + columns.start * k.size if p.packed
                      else k.start * p.ldb + columns.start),
                 W if p.packed else p.ldb, p.packed, target, ldc, accumulate or block_k > 0)
    if p.c_transposed:
        transpose(target, ldc, rows.size, columns.size, c, p.ldc)


cdef void pack_rows(const floating* b, Py_ssize_t ldb, Py_ssize_t N, Py_ssize_t K, floating* panel) noexcept nogil:
    """Copy B (K × N) into panels as wide as the tiles of `multiply`, one after the other, each [K][vectors]."""
    cdef Py_ssize_t W = lanes(panel), V = blocks(N, W), tiles = blocks(V, TILE_VECTORS), t, q, k
    cdef Range v
    for t in range(tiles):
        v = share(V, tiles, t)
        for k in range(K):
            if N < W:
                memcpy(panel, b + k * ldb, N * sizeof(floating))
                memset(panel + N, 0, (W - N) * sizeof(floating))
            else:
                for q in range(v.size):
                    copy_vector(b + k * ldb + min((v.start + q) * W, N - W), panel + q * W)
            panel += v.size * W


cdef void pack_columns(const floating* b, Py_ssize_t ldb, Py_ssize_t N, Py_ssize_t K, floating* panel) noexcept nogil:
    """The same for a B that is stored transposed (N × K)."""
    cdef Py_ssize_t W = lanes(panel), V = blocks(N, W), tiles = blocks(V, TILE_VECTORS), t, q, k
    cdef Range v
    for t in range(tiles):
        v = share(V, tiles, t)
        for q in range(v.size):
            transpose(b + max(<Py_ssize_t> 0, min((v.start + q) * W, N - W)) * ldb, ldb, min(N, W), K, panel + q * W,
                      v.size * W)
        if N < W:
            for k in range(K):
                memset(panel + k * W + N, 0, (W - N) * sizeof(floating))
        panel += K * v.size * W


cdef void transpose(const floating* source, Py_ssize_t source_step, Py_ssize_t M, Py_ssize_t N, floating* target,
                    Py_ssize_t target_step) noexcept nogil:
    """target[j, i] = source[i, j] for a source of M × N, by squares; those at the ends overlap the ones before."""
    cdef Py_ssize_t W = lanes(target), block_i, block_j, i, j
    if M < W or N < W:
        for i in range(M):
            for j in range(N):
                target[j * target_step + i] = source[i * source_step + j]
        return
    for block_j in range(blocks(N, W)):
        j = min(block_j * W, N - W)
        for block_i in range(blocks(M, W)):
            i = min(block_i * W, M - W)
            if floating is float:
                transpose_vf(source + i * source_step + j, source_step, target + j * target_step + i, target_step)
            else:
                transpose_vd(source + i * source_step + j, source_step, target + j * target_step + i, target_step)


cdef inline void copy_vector(const floating* source, floating* target) noexcept nogil:
    if floating is float:
        store_vf(target, load_vf(source))
    else:
        store_vd(target, load_vd(source))


cdef dot_product(const floating[:, ::1] a, const floating[:, ::1] b, floating[:, ::1] c, bint accumulate, int n_threads):
    """C (+)= A · Bᵀ, lanes are the summed index. Rows that end within a vector are copied to padded ones."""
    cdef Py_ssize_t M = c.shape[0], N = c.shape[1], K = a.shape[1], W = lanes(&c[0, 0])
    cdef Py_ssize_t row_tasks = blocks(M, DOT_ROWS_OF_TASK), column_tasks = blocks(N, DOT_COLUMNS_OF_TASK), task
    cdef const floating[:, ::1] left = a, right = b
    if K % W:
        left, right = padded(a, W), padded(b, W)
    if not accumulate:
        memset(&c[0, 0], 0, M * N * sizeof(floating))
    for task in prange(row_tasks * column_tasks, nogil=True, schedule="dynamic", num_threads=n_threads):
        dot_task(&left[0, 0], &right[0, 0], &c[0, 0], M, N, left.shape[1], round_up(K, W),
                 task // column_tasks * DOT_ROWS_OF_TASK, task % column_tasks * DOT_COLUMNS_OF_TASK)


cdef void dot_task(const floating* a, const floating* b, floating* c, Py_ssize_t M, Py_ssize_t N, Py_ssize_t pitch,
                   Py_ssize_t K, Py_ssize_t i, Py_ssize_t j) noexcept nogil:
    cdef Py_ssize_t rows = min(<Py_ssize_t> DOT_ROWS_OF_TASK, M - i), block, k
    cdef Py_ssize_t columns = min(<Py_ssize_t> DOT_COLUMNS_OF_TASK, N - j)
    for block in range(blocks(K, DOT_DEPTH)):
        k = block * DOT_DEPTH
        add_dots(rows, columns, min(<Py_ssize_t> DOT_DEPTH, K - k), a + i * pitch + k, pitch, b + j * pitch + k, pitch,
                 c + i * N + j, N)


cdef padded(const floating[:, ::1] a, Py_ssize_t W):
    """A copy whose rows end with zeros up to a whole vector."""
    cdef floating[:, ::1] copy = aligned(a.shape[0], round_up(a.shape[1], W), a.base.dtype)
    cdef Py_ssize_t i
    for i in range(a.shape[0]):
        memcpy(&copy[i, 0], &a[i, 0], a.shape[1] * sizeof(floating))
        memset(&copy[i, a.shape[1]], 0, (copy.shape[1] - a.shape[1]) * sizeof(floating))
    return copy.base
