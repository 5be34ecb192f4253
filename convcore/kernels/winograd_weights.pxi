# The weight gradient: ∂g = Gᵀ[Σ (Bᵀ d B) ⊙ (A ∂y Aᵀ)]G, the sum over the tiles of all images.
#
# A block of tiles is transformed, channels and gradients of filters alike; then each of the points is a matrix product
# again, channels × tiles times tiles × filters, which is added to the sums. With few channels and filters, tasks are
# shares of the tiles, and each has sums of its own, which are added up in order. With many, tasks share out the points
# and panels of filters of a block, whose tiles they transformed together before.

cdef enum:
    SHARES = 16                 # of the tiles, at most, whatever the number of threads,
    SHARE_TILES = 128           # of so many tiles, at least: their sums are added up when all are there
    SUM_NUMBERS = 327680        # sums of a group, at most, if each share is to have its own,
    SHARED_NUMBERS = 1310720    # and so many in all
    WEIGHT_TILES = 128          # tiles in a block, at most: sums are loaded and stored once per block,
    OWN_NUMBERS = 262144        # while its transformed tiles stay in a core's cache
    WEIGHT_NUMBERS = 1572864    # or in one that is shared
    READERS = 8                 # parts of a block that are read at the same time, at most
    WRITTEN = 8                 # channels whose sums a task transforms


cdef void cut_for_weights(Problem* p, Problem* gradients) noexcept nogil:
    """From forward's problem the one that reads x, and the one that reads grad_y in tiles of as many outputs."""
    cdef Py_ssize_t numbers, width, most = OWN_NUMBERS if shares_of(p) > 0 else WEIGHT_NUMBERS
    p.pitch = odd_vectors(p.C)
    gradients[0] = p[0]
    gradients.C, gradients.IH, gradients.IW = p.K, p.OH, p.OW
    gradients.adds, gradients.overlap, gradients.top, gradients.left = True, 0, 0, 0
    gradients.mode, gradients.padding = CONSTANT, 0
    gradients.pitch = odd_vectors(p.K)
    numbers = p.points * (p.pitch + gradients.pitch)
    p.TC = blocks(p.TW, blocks(p.TW, max(<Py_ssize_t> 1, min(<Py_ssize_t> STRIP, most // numbers))))
    p.strips = blocks(p.TW, p.TC)
    p.bands = p.N * p.strips * p.TH
    p.R = max(<Py_ssize_t> 1, min(p.bands, min(<Py_ssize_t> WEIGHT_TILES, most // numbers) // p.TC))
    p.tile_step = odd_vectors(p.R * p.TC * p.pitch)
    width = p.TC * p.m + p.r - 1
    p.pixel_numbers = (min(p.R, p.TH) * p.m + p.r - 1) * vf_LANES * max(
        width, max(p.IW, p.OW) if p.strips == 1 or p.mode != CONSTANT else 0)
    p.half_numbers = p.side * width * vf_LANES
    p.sum_numbers = 0
    gradients.TC, gradients.strips, gradients.bands, gradients.R = p.TC, p.strips, p.bands, p.R
    gradients.tile_step = odd_vectors(p.R * p.TC * gradients.pitch)
    gradients.pixel_numbers, gradients.half_numbers, gradients.sum_numbers = p.pixel_numbers, p.half_numbers, 0


cdef Py_ssize_t shares_of(Problem* p) noexcept nogil:
    """Into how many shares a group's tiles are cut, each with sums of its own; 0: the sums are too many for that."""
    cdef Py_ssize_t sums = p.points * sums_of_point(p), most = min(<Py_ssize_t> SHARES, SHARED_NUMBERS // (p.G * sums))
    if sums > SUM_NUMBERS or most == 0:
        return 0
    return max(<Py_ssize_t> 1, min(most, min(p.bands, p.N * p.TH * p.TW // SHARE_TILES)))


cdef inline Py_ssize_t sums_of_point(Problem* p) noexcept nogil:
    """Laid out as transformed filters are: [panel][channel][lane]."""
    return p.C * blocks(p.K, vf_LANES) * vf_LANES


cdef correlate(Problem* p, Problem* gradients, int n_threads):
    """The weight gradient: the sums of each group, and what becomes of them."""
    dtype = np.dtype(DTYPE)
    cdef Py_ssize_t shares = shares_of(p), parts = blocks(p.K, vf_LANES) * blocks(p.C, WRITTEN), task, group
    cdef Py_ssize_t own = p.points * (p.tile_step + gradients.tile_step)
    cdef Py_ssize_t rest = max(p.pixel_numbers + p.half_numbers, (p.taps * WRITTEN + (p.r + 1) * p.side) * vf_LANES)
    cdef float[:, ::1] tiles = own_pages(n_threads if shares > 0 else 1, own, dtype)
    cdef float[:, ::1] sums = aligned(p.G * shares if shares > 0 else 1, p.points * sums_of_point(p), dtype)
    cdef float[:, ::1] memory = own_pages(n_threads, rest, dtype)
    if shares > 0:
        for task in prange(p.G * shares, nogil=True, schedule="static", num_threads=n_threads):
            sum_share(p, gradients, task // shares, task % shares * p.bands // shares,
                      (task % shares + 1) * p.bands // shares, &tiles[threadid(), 0], &sums[task, 0],
                      &memory[threadid(), 0])
        for task in prange(p.G * parts, nogil=True, schedule="static", num_threads=n_threads):
            write_weights(p, gradients, task // parts, task % parts, &sums[task // parts * shares, 0], shares,
                          sums.shape[1], &memory[threadid(), 0])
        return
    for group in range(p.G):
        sum_together(p, gradients, group, &tiles[0, 0], &sums[0, 0], memory, n_threads)
        for task in prange(parts, nogil=True, schedule="static", num_threads=n_threads):
            write_weights(p, gradients, group, task, &sums[0, 0], 1, 0, &memory[threadid(), 0])


cdef void sum_share(Problem* p, Problem* gradients, Py_ssize_t group, Py_ssize_t band, Py_ssize_t end, float* x_tiles,
                    float* sums, float* rest) noexcept nogil:
    """The sums over a share of the rows of tiles, one block after the other."""
    cdef float* y_tiles = x_tiles + p.points * p.tile_step
    cdef Py_ssize_t last, vector, product
    memset(sums, 0, p.points * sums_of_point(p) * sizeof(float))
    while band < end:
        last = min(band + p.R, end)
        for vector in range(blocks(p.C, vf_LANES)):
            read_tiles(p, band, last, group, vector, x_tiles, rest)
        for vector in range(blocks(p.K, vf_LANES)):
            read_tiles(gradients, band, last, group, vector, y_tiles, rest)
        for product in range(p.points * p.panels):
            add_products(p, gradients, tiles_of(p, band, last), product, x_tiles, y_tiles, sums)
        band = last


cdef sum_together(Problem* p, Problem* gradients, Py_ssize_t group, float* x_tiles, float* sums, float[:, ::1] memory,
                  int n_threads):
    """The sums over all tiles: of each block, tasks transform a part of the tiles and then sum up for a few points."""
    cdef float* y_tiles = x_tiles + p.points * p.tile_step
    cdef Py_ssize_t products = p.points * p.panels, numbers = sums_of_point(p)
    cdef Py_ssize_t vectors = blocks(p.C, vf_LANES) + blocks(p.K, vf_LANES), readers = min(p.R, <Py_ssize_t> READERS)
    cdef Py_ssize_t band = 0, end, task
    for task in prange(p.points, nogil=True, schedule="static", num_threads=n_threads):
        memset(sums + task * numbers, 0, numbers * sizeof(float))
    # A thread has the same parts of all blocks, with all their channels, and then the same points: the sums of these stay
    # in its cache, and no lines of the tiles that it writes lie between those of another.
    while band < p.bands:
        end = min(band + p.R, p.bands)
        for task in prange(vectors * readers, nogil=True, schedule="static", num_threads=n_threads):
            read_part(p, gradients, band, end, group, task // vectors, readers, task % vectors, x_tiles, y_tiles,
                      &memory[threadid(), 0])
        for task in prange(products, nogil=True, schedule="static", num_threads=n_threads):
            add_products(p, gradients, tiles_of(p, band, end), task, x_tiles, y_tiles, sums)
        band = end


cdef void read_part(Problem* p, Problem* gradients, Py_ssize_t band, Py_ssize_t end, Py_ssize_t group, Py_ssize_t part,
                    Py_ssize_t parts, Py_ssize_t vector, float* x_tiles, float* y_tiles, float* rest) noexcept nogil:
    """Transform a part of a block's rows of tiles, for a vector of channels or, counted behind them, of filters."""
    cdef Py_ssize_t first = band + part * (end - band) // parts, last = band + (part + 1) * (end - band) // parts
    cdef Py_ssize_t before = tiles_of(p, band, first), channels = blocks(p.C, vf_LANES)
    if vector < channels:
        read_tiles(p, first, last, group, vector, x_tiles + before * p.pitch, rest)
    else:
        read_tiles(gradients, first, last, group, vector - channels, y_tiles + before * gradients.pitch, rest)


cdef void add_products(Problem* p, Problem* gradients, Py_ssize_t count, Py_ssize_t product, const float* x_tiles,
                       const float* y_tiles, float* sums) noexcept nogil:
    """Add a block's products to the sums of a point for a panel of filters and all channels."""
    cdef Py_ssize_t point = product // p.panels, panel = product % p.panels
    cdef Py_ssize_t v = panel_vectors(p, panel), f = first_of(panel * PANEL, p.K), parts = blocks(p.C, ROWS), part, c, rows
    cdef Py_ssize_t apart = first_of(panel * PANEL + v - 1, p.K) - f
    x_tiles += point * p.tile_step
    y_tiles += point * gradients.tile_step + f
    sums += point * sums_of_point(p) + panel * PANEL * vf_LANES * p.C
    for part in range(parts):                       # of even size, as in `multiply`
        c = part * p.C // parts
        rows = (part + 1) * p.C // parts - c
        sums_over_tiles[rows][v](count, x_tiles + c, p.pitch, y_tiles, gradients.pitch, apart,
                                 sums + c * v * vf_LANES)


cdef void write_weights(Problem* p, Problem* gradients, Py_ssize_t group, Py_ssize_t part, const float* sums,
                        Py_ssize_t shares, Py_ssize_t share_step, float* taps) noexcept nogil:
    """The weights' gradients = Gᵀ sums G, for a vector of filters and a few channels; shares are added up before."""
    cdef Py_ssize_t vector = part // blocks(p.C, WRITTEN), first = part % blocks(p.C, WRITTEN) * WRITTEN
    cdef Py_ssize_t channels = min(<Py_ssize_t> WRITTEN, p.C - first)
    cdef Py_ssize_t f = first_of(vector, p.K), filters = min(p.K, vf_LANES), panel = vector // PANEL, c, i, j
    cdef Py_ssize_t step = panel_vectors(p, panel) * vf_LANES
    cdef float* half = taps + p.taps * WRITTEN * vf_LANES
    cdef float* column = half + p.r * p.side * vf_LANES
    cdef float* channel
    cdef vf total
    sums += panel * PANEL * vf_LANES * p.C + vector % PANEL * vf_LANES + first * step
    for c in range(channels):
        channel = taps + p.taps * c * vf_LANES
        total = splat_vf(0)
        for i in range(p.side):
            for j in range(p.side):
                add_shares(sums + (j * p.side + i) * sums_of_point(p), shares, share_step, column + j * vf_LANES)
            weights_line(p.m, p.r, column, vf_LANES, half + i * vf_LANES, p.side * vf_LANES)
        for i in range(p.r):
            weights_line(p.m, p.r, half + i * p.side * vf_LANES, vf_LANES, channel + p.r * i * vf_LANES, vf_LANES)
        for j in range(p.taps):
            total = total + load_vf(channel + j * vf_LANES)
        if sum_vf(keep_vf(total - total, 0, filters)) != 0:             # lanes without a filter hold anything
            weights_by_definition(p, gradients, group, f, filters, first + c, channel)
        sums += step
    planes_of(taps, filters, p.taps * channels, p.target + ((group * p.K + f) * p.C + first) * p.taps, p.taps * p.C)


cdef inline void add_shares(const float* sums, Py_ssize_t shares, Py_ssize_t share_step,
                            float* total) noexcept nogil:
    cdef vf added = load_vf(sums)
    cdef Py_ssize_t share
    for share in range(1, shares):
        added = added + load_vf(sums + share * share_step)
    store_vf(total, added)


cdef void weights_by_definition(Problem* p, Problem* gradients, Py_ssize_t group, Py_ssize_t f, Py_ssize_t filters,
                                Py_ssize_t c, float* taps) noexcept nogil:
    """Taps of a channel in which something is not finite, the plain way: a transform would spread it over all."""
    cdef Py_ssize_t lane, n, u, v, i, j, ih, iw
    cdef const float* x
    cdef const float* g
    cdef float total
    for lane in range(filters):
        for u in range(p.r):
            for v in range(p.r):
                total = 0
                for n in range(p.N):
                    x = p.source + ((n * p.G + group) * p.C + c) * p.IH * p.IW
                    g = gradients.source + ((n * p.G + group) * p.K + f + lane) * p.OH * p.OW
                    for i in range(p.OH):
                        ih = source_cell(i + u - p.top, p.IH, p.mode)
                        for j in range(p.OW):
                            iw = source_cell(j + v - p.left, p.IW, p.mode)
                            total += g[i * p.OW + j] * (p.padding if ih < 0 or iw < 0 else x[ih * p.IW + iw])
                taps[(p.r * u + v) * vf_LANES + lane] = total
