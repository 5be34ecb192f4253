# The blocked matrix product, included by the kernels that are one: C (M × N) = op(A) (M × K) · op(B) (K × N).
#
# tile_product takes A a number at a time and B a vector at a time; lanes are columns of C. Both are read in place as
# long as that goes well, else packed into panels, all of it before the products begin. As Cᵀ = op(B)ᵀ · op(A)ᵀ, the two
# may change their parts: lanes are rows of C then, and its blocks are transposed on their way out. Where the sums are
# long and C is small, lanes are the summed index (dot_product), and nothing is rearranged. Which of the three is taken
# is a question of cost, and of the problem alone: see `method`.

from cython.parallel cimport parallel, prange, threadid
from libc.string cimport memcpy, memset

from convcore.kernels.common cimport floating
from convcore.kernels.buffers import aligned, own_pages
from convcore.kernels.relu cimport apply_relu

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
    KEPT_NUMBERS = 1 << 17  # numbers in a B that stays in the second cache: half a megabyte in float32
    NEAR_NUMBERS = 4096     # in a B, or a C, for which a small product takes memory of its own call
    FEW_NUMBERS = 1 << 16   # in a B that each thread packs for itself: that takes less than to fetch what another packed
    REQUEST = 4000          # what asking for working memory costs, in multiplications of vectors
    DOT_DEPTH = 1024        # summed indices per pass of the dot kernel
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
    bint a_packed, b_packed             # read from panels
    bint bias_of_rows                   # of C, else of its columns
    Py_ssize_t row_tasks, column_tasks, depths


cdef product(const floating[:, ::1] a, bint transpose_a, const floating[:, ::1] b, bint transpose_b,
             floating[:, ::1] c, const floating* bias, bint bias_of_rows, bint relu, int n_threads):
    """c = op(a) · op(b), plus a bias for each column, or row, unless that is NULL, and ReLU of that if wanted.

    Each task begins and ends with its part of C: nobody else touches it, on one processor or the other.
    """
    cdef Product p
    cdef Py_ssize_t M = c.shape[0], N = c.shape[1], K = a.shape[0] if transpose_a else a.shape[1]
    cdef int how = method(M, N, K, transpose_a, transpose_b, lanes(&c[0, 0]), CACHE_LINE // sizeof(floating))
    p.K, p.ldc = K, N
    if how == DOT_LANES:
        dot_product(M, N, K, &a[0, 0], &b[0, 0], &c[0, 0], bias, bias_of_rows, relu, n_threads)
    elif how == ROW_LANES:
        p.M, p.N, p.ldb = N, M, a.shape[1]
        p.row_step, p.k_step = K if transpose_b else 1, 1 if transpose_b else N
        p.b_transposed, p.c_transposed, p.bias_of_rows = not transpose_a, True, not bias_of_rows
        tile_product(&p, &b[0, 0], &a[0, 0], &c[0, 0], bias, relu, n_threads, c.base.dtype)
    else:
        p.M, p.N, p.ldb = M, N, b.shape[1]
        p.row_step, p.k_step = 1 if transpose_a else K, M if transpose_a else 1
        p.b_transposed, p.c_transposed, p.bias_of_rows = transpose_b, False, bias_of_rows
        tile_product(&p, &a[0, 0], &b[0, 0], &c[0, 0], bias, relu, n_threads, c.base.dtype)


cdef int method(Py_ssize_t M, Py_ssize_t N, Py_ssize_t K, bint transpose_a, bint transpose_b, Py_ssize_t W,
                Py_ssize_t line) noexcept:
    """The cheapest of the three ways, in multiplications of whole vectors; the weights were measured.

    `line` is how many numbers a line of the cache holds: where rows are made of whole lines, vectors of the summed index
    straddle none.
    """
    cdef Py_ssize_t copy_a = M * K * 2 // W, copy_b = N * K * 2 // W, c = M * N
    cdef Py_ssize_t columns = blocks(N, W) * M * K + (6 * copy_b + REQUEST if transpose_b or N < W else copy_b)
    cdef Py_ssize_t rows = blocks(M, W) * N * K + (copy_a if transpose_a and M >= W else 6 * copy_a + REQUEST)
    cdef Py_ssize_t dots = (blocks(K, W) + 3) * c
    if K % line > 0:
        dots += dots * 3 // 8
    elif M > 64:                                # the others' copies serve more rows
        dots += dots // 8
    elif N * K < CACHE_NUMBERS:                 # B comes by for some rows after the others: from the second cache
        dots -= dots // 8
    rows += c * 12 // W + REQUEST
    if transpose_b and not transpose_a and K >= W and dots < min(columns, rows):
        return DOT_LANES
    return ROW_LANES if rows < columns else COLUMN_LANES


cdef tile_product(Product* p, const floating* a, const floating* b, floating* c, const floating* bias, bint relu,
                  int n_threads, dtype):
    """C = A · B, a number of A at a time and a vector of B."""
    cdef Py_ssize_t W = lanes(c), size = sizeof(floating), M = p.M, N = p.N, K = p.K
    cdef Py_ssize_t i, j, k, block_i, block_j, block_k, height = M, width = N, depth = K, b_step = 0
    cdef bint narrow = W * size < CACHE_LINE
    cdef floating[:, ::1] store_a, store_b, blocks_c
    cdef floating* a_panels = NULL
    cdef floating* b_panels = NULL
    cdef floating* own = NULL
    cdef Product part = p[0]
    # Rows of B a power of two apart share few places in the caches, each row of a large B has pages of its own, and most
    # vectors of an odd B straddle two lines of a cache; vectors as long as a line suffer least.
    part.b_packed = (p.b_transposed or N < W or (M >= 96 and (N * K >= CACHE_NUMBERS or p.ldb * size % 1024 == 0))
                     or (narrow and (M >= 128 or (M >= 32 and p.ldb * size % 1024 == 0))))
    # Tiles of narrow vectors pass over A more often, and over columns of A with a cache line for every few numbers. Lines
    # 2 KiB apart and more share few places in the first cache.
    part.a_packed = N >= 16 * W and p.k_step > 1 and (
        K > 256 if narrow else p.k_step * size >= (2048 if N >= 32 * W else 4096))
    if n_threads == 1 and is_small(&part, W):
        return small_product(&part, a, b, c, bias, relu)
    if part.a_packed:
        height = min(M, <Py_ssize_t> STORE_WIDTH)
    if part.b_packed:
        width = min(N, <Py_ssize_t> STORE_WIDTH)
    if part.a_packed or part.b_packed:
        depth = STORE_NUMBERS // max(height if part.a_packed else 1, round_up(width, W) if part.b_packed else 1)
        depth = blocks(K, blocks(K, depth))
    if part.a_packed:
        store_a = aligned(1, height * depth, dtype)
        a_panels = &store_a[0, 0]
    if part.b_packed:
        store_b = own_pages(n_threads if N * K <= FEW_NUMBERS else 1, round_up(width, W) * depth, dtype)
        b_panels = &store_b[0, 0]
        b_step = store_b.shape[1] if N * K <= FEW_NUMBERS else 0
    if part.c_transposed:
        blocks_c = own_pages(n_threads, ROWS * COLUMNS, dtype)
        own = &blocks_c[0, 0]
    for block_i in range(blocks(M, height)):
        for block_j in range(blocks(N, width)):
            for block_k in range(blocks(K, depth)):
                i, j, k = block_i * height, block_j * width, block_k * depth
                part.M, part.N, part.K = min(height, M - i), min(width, N - j), min(depth, K - k)
                cut(&part, W)
                tile_pass(&part, a + i * p.row_step + k * p.k_step,
                          b + (j * p.ldb + k if p.b_transposed else k * p.ldb + j),
                          c + (j * p.ldc + i if p.c_transposed else i * p.ldc + j),
                          bias + (i if p.bias_of_rows else j) if bias != NULL else NULL, k == 0,
                          relu and k + part.K == K, a_panels, b_panels, b_step, own, n_threads)


cdef bint is_small(Product* p, Py_ssize_t W) noexcept:
    """Whether no task needs more than some of the rows, and what is laid out finds room in NEAR_NUMBERS."""
    return (p.N <= COLUMNS and p.K <= DEPTH and not p.a_packed
            and (not p.b_packed or round_up(p.N, W) * p.K <= NEAR_NUMBERS)
            and (not p.c_transposed or min(p.M, <Py_ssize_t> ROWS) * p.N <= NEAR_NUMBERS))


cdef void small_product(Product* p, const floating* a, const floating* b, floating* c, const floating* bias,
                        bint relu) noexcept nogil:
    """The whole product by one thread: to ask for memory and for threads would take longer than to multiply."""
    cdef floating[NEAR_NUMBERS] panels
    cdef floating[NEAR_NUMBERS] own
    cdef Py_ssize_t task
    p.row_tasks, p.column_tasks, p.depths = blocks(p.M, ROWS), 1, 1
    if p.b_packed:
        pack_all_of_b(p, b, <floating*> panels)
    for task in range(p.row_tasks):
        multiply_block(p, a, NULL, b, <floating*> panels, c, bias, True, relu, <floating*> own, 0, task)


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


cdef inline Range columns_of_task(Product* p, Py_ssize_t task, Py_ssize_t W) noexcept nogil:
    """Whole vectors, all tasks together; at least two each, if there are two."""
    cdef Range r = share(blocks(p.N, W), p.column_tasks, task)
    r.start, r.size = r.start * W, min(r.size * W, p.N - r.start * W)
    return r


cdef void tile_pass(Product* p, const floating* a, const floating* b, floating* c, const floating* bias, bint first,
                    bint relu, floating* a_panels, floating* b_panels, Py_ssize_t b_step, floating* own,
                    int n_threads) noexcept nogil:
    """As much of the product as the working memory holds: pack what must be, then multiply.

    b_step is how far the panels of B of two threads are apart; 0: they share them.
    """
    cdef Py_ssize_t task, tasks = p.column_tasks * p.row_tasks
    cdef bint by_rows = p.N * p.K <= KEPT_NUMBERS
    with parallel(num_threads=n_threads):
        if p.a_packed:
            for task in prange(p.row_tasks * p.depths, schedule="dynamic"):
                pack_rows_of_a(p, a, a_panels, task // p.depths, task % p.depths)
        if p.b_packed and b_step > 0:
            pack_all_of_b(p, b, b_panels + threadid() * b_step)
        elif p.b_packed:
            for task in prange(p.column_tasks * p.depths, schedule="dynamic"):
                pack_columns_of_b(p, b, b_panels, task // p.depths, task % p.depths)
        # The threads' shares of small products are always the same, and rows of C where all of B stays in the second
        # cache: what follows finds in its own what it wrote, the update of weights above all.
        if tasks <= TASKS:
            for task in prange(tasks, schedule="static"):
                multiply_block(p, a, a_panels, b, b_panels + threadid() * b_step, c, bias, first,
                               relu, own + threadid() * ROWS * COLUMNS if p.c_transposed else NULL,
                               task % p.column_tasks if by_rows else task // p.row_tasks,
                               task // p.column_tasks if by_rows else task % p.row_tasks)
        else:
            for task in prange(tasks, schedule="dynamic"):
                multiply_block(p, a, a_panels, b, b_panels + threadid() * b_step, c, bias, first,
                               relu, own + threadid() * ROWS * COLUMNS if p.c_transposed else NULL,
                               task // p.row_tasks, task % p.row_tasks)


cdef void pack_rows_of_a(Product* p, const floating* a, floating* panels, Py_ssize_t row_task,
                         Py_ssize_t depth_task) noexcept nogil:
    cdef Range rows = share(p.M, p.row_tasks, row_task), k = share(p.K, p.depths, depth_task)
    pack(a + rows.start * p.row_step + k.start * p.k_step, p.row_step, p.k_step, rows.size, k.size,
         TILE_ROWS[TILE_VECTORS], panels + k.start * p.M + rows.start * k.size)


cdef void pack_columns_of_b(Product* p, const floating* b, floating* panels, Py_ssize_t column_task,
                            Py_ssize_t depth_task) noexcept nogil:
    cdef Py_ssize_t W = lanes(panels)
    cdef Range columns = columns_of_task(p, column_task, W), k = share(p.K, p.depths, depth_task)
    panels += k.start * round_up(p.N, W) + columns.start * k.size
    if p.b_transposed:
        pack_transposed(b + columns.start * p.ldb + k.start, p.ldb, columns.size, k.size, panels)
    else:
        pack_straight(b + k.start * p.ldb + columns.start, p.ldb, columns.size, k.size, panels)


cdef void pack_all_of_b(Product* p, const floating* b, floating* panels) noexcept nogil:
    cdef Py_ssize_t task
    for task in range(p.column_tasks * p.depths):
        pack_columns_of_b(p, b, panels, task // p.depths, task % p.depths)


cdef void multiply_block(Product* p, const floating* a, const floating* a_panels, const floating* b,
                         const floating* b_panels, floating* c, const floating* bias, bint first, bint relu, floating* own,
                         Py_ssize_t column_task, Py_ssize_t row_task) noexcept nogil:
    cdef Py_ssize_t W = lanes(c), row_step = p.row_step, k_step = p.k_step, ldb = p.ldb, ldc = p.ldc, block_k, i
    cdef Range columns = columns_of_task(p, column_task, W), rows = share(p.M, p.row_tasks, row_task), k
    cdef const floating* left
    cdef const floating* right
    cdef floating* target = c + rows.start * p.ldc + columns.start
    if p.c_transposed:
        c += columns.start * p.ldc + rows.start
        target, ldc = own, columns.size
        if not first:
            transpose(c, p.ldc, columns.size, rows.size, target, ldc)
    if first and bias != NULL:
        put_bias(bias + (rows.start if p.bias_of_rows else columns.start), p.bias_of_rows, rows.size, columns.size,
                 target, ldc)
    if p.a_packed:
        row_step = k_step = PANELS
    if p.b_packed:
        ldb = PANELS
    for block_k in range(p.depths):
        k = share(p.K, p.depths, block_k)
        left = a + rows.start * p.row_step + k.start * p.k_step
        if p.a_packed:
            left = a_panels + k.start * p.M + rows.start * k.size
        right = b + k.start * p.ldb + columns.start
        if p.b_packed:
            right = b_panels + k.start * round_up(p.N, W) + columns.start * k.size
        multiply(rows.size, columns.size, k.size, left, row_step, k_step, right, ldb, TILE_VECTORS, target,
                 ldc, not first or bias != NULL or block_k > 0)
    for i in range(rows.size if relu else 0):
        apply_relu(target + i * ldc, columns.size)
    if p.c_transposed:
        transpose(target, ldc, rows.size, columns.size, c, p.ldc)


cdef void put_bias(const floating* bias, bint of_rows, Py_ssize_t rows, Py_ssize_t columns, floating* c,
                   Py_ssize_t ldc) noexcept nogil:
    cdef Py_ssize_t i, j
    for i in range(rows):
        if of_rows:
            for j in range(columns):
                c[i * ldc + j] = bias[i]
        else:
            memcpy(c + i * ldc, bias, columns * sizeof(floating))


cdef void pack_straight(const floating* b, Py_ssize_t ldb, Py_ssize_t N, Py_ssize_t K, floating* panels) noexcept nogil:
    """Copy B (K × N) into panels as wide as the tiles of `multiply`, one after the other, each [K][vectors]."""
    cdef Py_ssize_t W = lanes(panels), V = blocks(N, W), tiles = blocks(V, TILE_VECTORS), t, v, q, block, k, j
    cdef floating* panel
    for block in range(blocks(K, FEW)):             # see `pack`
        j = 0
        for t in range(tiles):
            v = V // tiles + (t < V % tiles)
            for k in range(block * FEW, min((block + 1) * FEW, K)):
                panel = panels + j * K + k * v * W
                if N < W:
                    memcpy(panel, b + k * ldb, N * sizeof(floating))
                    memset(panel + N, 0, (W - N) * sizeof(floating))
                else:
                    for q in range(v):
                        copy_vector(b + k * ldb + min(j + q * W, N - W), panel + q * W)
            j += v * W


cdef void pack_transposed(const floating* b, Py_ssize_t ldb, Py_ssize_t N, Py_ssize_t K, floating* panels) noexcept nogil:
    """The same for a B that is stored transposed (N × K)."""
    cdef Py_ssize_t W = lanes(panels), V = blocks(N, W), tiles = blocks(V, TILE_VECTORS), t, v, q, k, j = 0
    for t in range(tiles):
        v = V // tiles + (t < V % tiles)
        for q in range(v):
            transpose(b + max(<Py_ssize_t> 0, min(j + q * W, N - W)) * ldb, ldb, min(N, W), K,
                      panels + j * K + q * W, v * W)
        j += v * W
    if N < W:
        for k in range(K):
            memset(panels + k * W + N, 0, (W - N) * sizeof(floating))


cdef inline void copy_vector(const floating* source, floating* target) noexcept nogil:
    if floating is float:
        store_vf(target, load_vf(source))
    else:
        store_vd(target, load_vd(source))


cdef void dot_product(Py_ssize_t M, Py_ssize_t N, Py_ssize_t K, const floating* a, const floating* b, floating* c,
                      const floating* bias, bint bias_of_rows, bint relu, int n_threads) noexcept nogil:
    """C (M × N) = A (M × K) · B (N × K)ᵀ, lanes are the summed index."""
    cdef Py_ssize_t row_tasks = blocks(M, DOT_ROWS_OF_TASK), column_tasks = blocks(N, DOT_COLUMNS_OF_TASK), task
    # Two threads have as much to do, and the same parts of a large B at every step: those whose gradient they write.
    cdef bint by_columns = N * K > KEPT_NUMBERS
    if N >= DOT_COLUMNS_OF_TASK // 2:
        column_tasks = round_up(column_tasks, 2)
    elif row_tasks > 1:
        row_tasks = round_up(row_tasks, 2)
    if n_threads == 1:                          # to begin with a thread of its own takes half a microsecond
        for task in range(row_tasks * column_tasks):
            dot_task(a, b, c, bias, bias_of_rows, relu, M, N, K, task, row_tasks, column_tasks)
    elif row_tasks * column_tasks <= (2 * TASKS if by_columns else TASKS):  # see `tile_pass`
        for task in prange(row_tasks * column_tasks, schedule="static", num_threads=n_threads):
            dot_task(a, b, c, bias, bias_of_rows, relu, M, N, K,
                     task % row_tasks * column_tasks + task // row_tasks if by_columns else task, row_tasks, column_tasks)
    else:
        for task in prange(row_tasks * column_tasks, schedule="dynamic", num_threads=n_threads):
            dot_task(a, b, c, bias, bias_of_rows, relu, M, N, K, task, row_tasks, column_tasks)


cdef void dot_task(const floating* a, const floating* b, floating* c, const floating* bias, bint bias_of_rows,
                   bint relu, Py_ssize_t M, Py_ssize_t N, Py_ssize_t K, Py_ssize_t task, Py_ssize_t row_tasks,
                   Py_ssize_t column_tasks) noexcept nogil:
    cdef Range rows = share(M, row_tasks, task // column_tasks), columns = share(N, column_tasks, task % column_tasks)
    cdef Py_ssize_t i
    c += rows.start * N + columns.start
    if bias != NULL:
        put_bias(bias + (rows.start if bias_of_rows else columns.start), bias_of_rows, rows.size, columns.size, c, N)
    for i in range(rows.size if bias == NULL else 0):
        memset(c + i * N, 0, columns.size * sizeof(floating))
    dot_block(a + rows.start * K, b + columns.start * K, c, N, K, rows.size, columns.size)
    for i in range(rows.size if relu else 0):
        apply_relu(c + i * N, columns.size)


cdef void dot_block(const floating* a, const floating* b, floating* c, Py_ssize_t N, Py_ssize_t K, Py_ssize_t rows,
                    Py_ssize_t columns) noexcept nogil:
    """C += A · Bᵀ, some of the summed index at a time."""
    cdef Py_ssize_t depths = blocks(K, DOT_DEPTH), block_k
    cdef Range k
    for block_k in range(depths):
        k = share(K, depths, block_k)
        add_dots(rows, columns, k.size, a + k.start, K, b + k.start, K, c, N)
