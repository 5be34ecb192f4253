# The weight gradient of conv_pointwise: filters × channels = grad_y (filters × pixels) · x (channels × pixels)ᵀ.
#
# Pixels are added up a chunk at a time. One of the two operands is transposed on its way into panels, so that lanes are
# its channels; where it has few, lanes are pixels. The other is read in place, or laid out where images are small.

cdef enum:
    CHUNK = 256                 # pixels that are added up at a time, at most
    SUMS = 1024                 # the same with lanes that are pixels
    FEW_CHANNELS = 16           # channels or filters that are not worth a transposition
    MOST_LANES = 256            # channels or filters that a task transposes, at most
    PARTIAL_NUMBERS = 1 << 20   # numbers in the weight gradients of all shares of the batch, at most


cdef struct Sum:
    Grid of_x, of_y
    Py_ssize_t G, CG, FG
    bint lanes_are_filters                  # grad_y is transposed, else x
    bint dots                               # nothing is: lanes are pixels
    bint laid_x, laid_y                     # an operand is laid out, else read in place
    Py_ssize_t chunks, image_chunks         # of pixels; those of an image, where none goes on with the next
    Py_ssize_t rows, lanes                  # filters or channels per group
    Py_ssize_t width                        # lanes, rounded up to whole vectors
    Py_ssize_t lane_tasks, shares           # tasks: parts of the lanes, shares of the chunks
    Py_ssize_t most_pixels, pitch           # of a chunk, and what is laid out of it
    bint in_step                            # tasks go through the chunks together


cdef Sum sum_of(ConvSizes* s) noexcept:
    cdef Sum p
    cdef Py_ssize_t most, tasks
    p.of_x = p.of_y = grid_of(s)
    source_is_x(&p.of_x)
    source_is_y(&p.of_y)
    p.G, p.CG, p.FG = s.G, s.CG, s.FG
    p.dots = min(s.CG, s.FG) < FEW_CHANNELS
    p.lanes_are_filters = s.FG < s.CG
    p.lanes, p.rows = (s.FG, s.CG) if p.lanes_are_filters else (s.CG, s.FG)
    p.width = round_up(p.lanes, vf_LANES)
    most = min(<Py_ssize_t> (SUMS if p.dots else CHUNK), LAID_NUMBERS // (s.CG + s.FG))
    # Large images are cut into chunks that are read in place, where neighbouring pixels are neighbours in memory.
    p.laid_y = p.of_y.P < most // 2
    p.laid_x = p.laid_y or p.of_x.gathers
    if p.laid_y:
        p.chunks = blocks(s.N * p.of_x.P, most)
        p.most_pixels = min(most, s.N * p.of_x.P)
    else:
        p.image_chunks = blocks(p.of_x.P, most)
        p.chunks = s.N * p.image_chunks
        p.most_pixels = blocks(p.of_x.P, p.image_chunks)
    p.pitch = round_up(p.most_pixels, vf_LANES)
    if p.pitch * <Py_ssize_t> sizeof(float) % 512 == 0:
        p.pitch += vf_LANES                                 # rows a power of two apart would share places in the caches
    p.lane_tasks = blocks(p.lanes, MOST_LANES)
    tasks = max(<Py_ssize_t> 1, min(<Py_ssize_t> TASKS, s.N * p.of_x.P * p.G * p.CG * p.FG // TASK_PRODUCTS))
    p.shares = max(<Py_ssize_t> 1, min(blocks(tasks, p.G * p.lane_tasks), p.chunks, PARTIAL_NUMBERS // (s.OC * s.CG)))
    while p.shares * p.G * p.lane_tasks < tasks and p.lanes >= 2 * p.lane_tasks * PANEL_VECTORS * vf_LANES:
        p.lane_tasks *= 2
    p.in_step = p.shares == p.G == 1 and p.lane_tasks > 1 and p.laid_y and p.laid_x and not p.dots
    if p.in_step and p.pitch < p.most_pixels + vf_LANES:
        p.pitch += vf_LANES                                 # `lay` writes whole vectors: not into rows of other threads
    return p


cdef inline Range lanes_of(Sum* p, Py_ssize_t part) noexcept nogil:
    """Whole vectors, all parts together."""
    cdef Range r = share(blocks(p.lanes, vf_LANES), p.lane_tasks, part)
    r.start, r.size = r.start * vf_LANES, min(r.size * vf_LANES, p.lanes - r.start * vf_LANES)
    return r


cdef inline Range chunk_of(Sum* p, Py_ssize_t chunk) noexcept nogil:
    cdef Range pixels
    if p.laid_y:
        return share(p.of_x.N * p.of_x.P, p.chunks, chunk)
    pixels = share(p.of_x.P, p.image_chunks, chunk % p.image_chunks)
    pixels.start += chunk // p.image_chunks * p.of_x.P
    return pixels


cdef struct Operand:                        # of a task: some channels of one of the two arrays
    const float* numbers                    # the first of them in the first image
    Grid* grid
    Py_ssize_t all_channels, channels
    bint laid


cdef const float* bring(Operand* o, Range pixels, float* to, Py_ssize_t* pitch) noexcept nogil:
    """The channels of an operand as rows of the pixels of a chunk, `pitch` apart."""
    cdef Py_ssize_t n = pixels.start // o.grid.P
    if not o.laid:
        pitch[0] = o.grid.source_cells
        return o.numbers + n * o.all_channels * o.grid.source_cells + pixels.start - n * o.grid.P
    lay(o.grid, o.numbers, o.all_channels, o.channels, pixels.start, pixels.size, round_up(pixels.size, vf_LANES), to,
        pitch[0])
    return to


cdef inline void expect(Operand* o, Range pixels, Ahead* ahead) noexcept nogil:
    look_ahead(ahead, o.grid, o.numbers, o.all_channels, o.channels, pixels.start, pixels.size)


cdef void sum_share(Sum* p, const float* grad_y, const float* x, const float* zeros, float* partial, Py_ssize_t part,
                    Py_ssize_t g, Py_ssize_t lane_part, float* laid_a, float* laid_b, float* panels) noexcept nogil:
    """Add up a share of the chunks: some lanes of a group's gradient, rows × lanes."""
    cdef Range chunks = share(p.chunks, p.shares, part), pixels
    cdef Operand rows = operand(p, grad_y, x, g, not p.lanes_are_filters, Range(0, p.rows))
    cdef const float* a
    cdef Py_ssize_t chunk, lda
    for chunk in range(chunks.start, chunks.start + chunks.size):
        pixels = chunk_of(p, chunk)
        lda = p.pitch
        a = bring(&rows, pixels, laid_a, &lda)
        add_chunk(p, grad_y, x, zeros, partial, chunks, chunk, g, lane_part, a, lda, laid_b, panels, True)


cdef sum_in_step(Sum* p, const float* grad_y, const float* x, const float* zeros, float* partial, float[:, ::1] tiles,
                 Py_ssize_t transposed, int n_threads):
    """The same for all chunks and lanes: of each chunk the rows are laid out by all threads, then each adds its lanes."""
    cdef float[:, ::1] laid = aligned(1, p.rows * p.pitch + vf_LANES, NUMBER)
    cdef Py_ssize_t chunk, i, task
    with nogil, parallel(num_threads=n_threads):
        for chunk in range(p.chunks):
            for i in prange(p.lane_tasks, schedule="static"):
                lay_rows(p, grad_y, x, chunk, i, p.lane_tasks, &laid[0, 0])
            for task in prange(p.lane_tasks, schedule="static"):
                add_chunk(p, grad_y, x, zeros, partial, Range(0, p.chunks), chunk, 0, task, &laid[0, 0], p.pitch,
                          &tiles[threadid(), 0], &tiles[threadid(), transposed], False)


cdef Operand operand(Sum* p, const float* grad_y, const float* x, Py_ssize_t g, bint filters, Range some) noexcept nogil:
    """Some filters of a group of grad_y, or channels of x."""
    if filters:
        return Operand(grad_y + (g * p.FG + some.start) * p.of_y.source_cells, &p.of_y, p.G * p.FG, some.size, p.laid_y)
    return Operand(x + (g * p.CG + some.start) * p.of_x.source_cells, &p.of_x, p.G * p.CG, some.size, p.laid_x)


cdef void add_chunk(Sum* p, const float* grad_y, const float* x, const float* zeros, float* partial, Range chunks,
                    Py_ssize_t chunk, Py_ssize_t g, Py_ssize_t lane_part, const float* a, Py_ssize_t lda, float* laid_b,
                    float* panels, bint rows_follow) noexcept nogil:
    """Add one of some chunks to some lanes; the rows are at hand, and those of the next are fetched, if they follow."""
    cdef Range lanes = lanes_of(p, lane_part), pixels = chunk_of(p, chunk), following, vectors
    cdef Operand rows = operand(p, grad_y, x, g, not p.lanes_are_filters, Range(0, p.rows))
    cdef Operand columns = operand(p, grad_y, x, g, p.lanes_are_filters, lanes)
    cdef const float* b
    cdef Py_ssize_t ldb = p.pitch, j, i, q, V = blocks(lanes.size, vf_LANES), parts = blocks(V, PANEL_VECTORS)
    cdef Ahead[2] ahead
    partial += g * p.rows * p.width + lanes.start
    b = bring(&columns, pixels, laid_b, &ldb)
    if p.dots:
        if chunk == chunks.start:
            for i in range(p.rows):
                memset(partial + i * p.width, 0, lanes.size * sizeof(float))
        add_dots(p.rows, lanes.size, round_up(pixels.size, vf_LANES) if p.laid_y else pixels.size, a, lda, b, ldb,
                 partial, p.width)
        return
    rest(&ahead[0], panels)
    rest(&ahead[1], panels)
    if chunk + 1 < chunks.start + chunks.size:
        following = chunk_of(p, chunk + 1)
        expect(&columns, following, &ahead[0])
        if rows_follow:
            expect(&rows, following, &ahead[1])
    for j in range(parts):
        vectors = share(V, parts, j)
        for q in range(vectors.size):
            i = min((vectors.start + q) * vf_LANES, lanes.size - vf_LANES)
            transpose(b + i * ldb, ldb, vf_LANES, pixels.size,
                      panels + vectors.start * vf_LANES * pixels.size + q * vf_LANES, vectors.size * vf_LANES)
    for j in range(parts):
        vectors = share(V, parts, j)
        sweep(p.rows, vectors.size, pixels.size, a, lda, 1, panels + vectors.start * vf_LANES * pixels.size,
              vectors.size * vf_LANES, (vectors.size - 1) * vf_LANES, zeros, partial + vectors.start * vf_LANES,
              p.width, (vectors.size - 1) * vf_LANES, chunk > chunks.start, ahead)


cdef void lay_rows(Sum* p, const float* grad_y, const float* x, Py_ssize_t chunk, Py_ssize_t part, Py_ssize_t parts,
                   float* laid) noexcept nogil:
    """Lay out a part of the rows of a chunk."""
    cdef Range some = share(p.rows, parts, part)
    cdef Operand rows = operand(p, grad_y, x, 0, not p.lanes_are_filters, some)
    cdef Py_ssize_t pitch = p.pitch
    bring(&rows, chunk_of(p, chunk), laid + some.start * p.pitch, &pitch)


cdef void add_shares(Sum* p, float* partial, Py_ssize_t step, Py_ssize_t g, Py_ssize_t lane_part,
                     float* grad_weight) noexcept nogil:
    """Bring the sum of all shares to where it belongs; the last vector of lanes overlaps the one before."""
    cdef Range lanes = lanes_of(p, lane_part)
    cdef Py_ssize_t i, j, n, q, lane, padded = round_up(lanes.size, vf_LANES)
    cdef Py_ssize_t W = min(<Py_ssize_t> vf_LANES, lanes.size)
    cdef float* row
    partial += g * p.rows * p.width + lanes.start
    grad_weight += g * p.CG * p.FG
    for i in range(p.rows):
        row = partial + i * p.width
        for n in range(1, p.shares):
            for j in range(padded):
                row[j] += row[n * step + j]
    for q in range(blocks(lanes.size, vf_LANES)):
        lane = min(q * vf_LANES, lanes.size - W)
        row = partial + (lane if p.dots else q * vf_LANES)
        lane += lanes.start
        if p.lanes_are_filters:
            transpose(row, p.width, p.rows, W, grad_weight + lane * p.CG, p.CG)
        else:
            for i in range(p.rows):
                memcpy(grad_weight + i * p.lanes + lane, row + i * p.width, W * sizeof(float))
