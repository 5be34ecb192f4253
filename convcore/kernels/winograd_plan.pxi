# How conv2d_winograd cuts a problem: tiles, blocks of them, panels of filters, and what a task works with.

cdef enum:
    STRIP = 64              # tiles side by side in a strip, at most, as long as their transforms stay in a core's cache:
    STRIP_NUMBERS = 262144  # so many numbers; more for short strips,
    SHORT_STRIP = 16        # of so many tiles, as each reads what is beside it again
    TILES = 28              # tiles in a block, about,
    IMAGE_TILES = 64        # and of whole images whose tiles are added up in it, at most
    TILE_NUMBERS = 1572864  # numbers in the transformed tiles of a block, at most
    HELD_NUMBERS = 1048576  # that parts of images hold back for each other, at most
    SOME_WEIGHTS = 524288   # numbers in the transformed filters: more than stay in a core's cache,
    MANY_WEIGHTS = 4194304  # and more than stay in a cache that is shared
    CHANNELS = 16           # channels whose filters a task transforms
    TASKS = 8               # blocks of tiles that are enough to share out, whatever the number of threads
    SMALL_CALL = 60000      # what a call costs besides what grows with the problem, in multiply-adds of vectors


cdef struct Problem:
    Py_ssize_t N, G, C, K               # images, groups, channels and filters of a group
    Py_ssize_t IH, IW, OH, OW           # what is read, what is written
    bint adds                           # what tiles write overlaps and is added up; else what they read overlaps
    Py_ssize_t overlap                  # rows or columns that tiles share in what they read: r - 1 or 0
    Py_ssize_t top, left                # cells before what is read; below 0 where reading begins inside it;
    int mode                            # what they hold
    Py_ssize_t frame_top, frame_left    # where tiles are added up: cells before what is written;
    int frame_mode                      # what they repeat
    float padding
    const float* source
    const float* weight
    const float* bias                   # NULL: none
    float* target
    int* index                          # where maxima stood, if they are what is written; else NULL
    Py_ssize_t channel_step, filter_step    # in the weight
    bint flipped                        # the last tap comes first
    bint relu                           # follows
    Py_ssize_t m, r, side, points       # outputs of a tile, taps, and cells of a tile along an axis; all its cells
    Py_ssize_t taps                     # of a filter, all of them
    Py_ssize_t TH, TW                   # tiles in a column and in a row of an image
    Py_ssize_t strips, TC               # an image is cut into strips, at most TC tiles wide
    Py_ssize_t bands, R                 # rows of tiles: in all strips of all images, in a block
    Py_ssize_t parts                    # of an image, whose blocks one task goes through; 0: blocks are tasks
    Py_ssize_t panels                   # panels of filters
    bint tiles_first                    # a task has one panel, and the tiles are shared, not the filters
    Py_ssize_t pitch, tile_step         # from tile to tile and from point to point of a block's transformed tiles
    Py_ssize_t weight_step              # from point to point of the transformed filters
    Py_ssize_t sum_numbers, pixel_numbers, half_numbers         # of a task's working memory, behind the tiles
    Py_ssize_t index_numbers            # behind them
    Py_ssize_t held_rows, held_numbers  # per vector of filters: what is held back between blocks (winograd_overlap_add)


cdef struct Run:                        # rows of tiles that lie below each other in one strip of one image
    Py_ssize_t n, th, tw                # the image, the row and the column of the first tile
    Py_ssize_t rows, columns            # tiles
    Py_ssize_t left, width              # pixels of a row that are read: the first, how many
    Py_ssize_t out_width                # pixels of a row that are written


cdef Problem problem_of(object geometry, bint backward):
    """What is to be convolved, and how it is cut; not yet where it is."""
    cdef ConvSizes s = conv_sizes(geometry.volumetric)
    cdef Problem p
    p.N, p.G, p.adds, p.flipped, p.r, p.taps, p.overlap = s.N, s.G, False, backward, s.KH, s.KH * s.KH, s.KH - 1
    p.relu, p.index, p.index_numbers = False, NULL, 0
    if backward:
        p.C, p.K, p.channel_step, p.filter_step = s.FG, s.CG, p.taps * s.CG, p.taps
        p.IH, p.IW, p.OH, p.OW, p.top, p.left = s.OH, s.OW, s.IH, s.IW, p.r - 1 - s.top, p.r - 1 - s.left
        p.mode, p.padding = CONSTANT, 0
        p.frame_top, p.frame_left, p.frame_mode = s.top, s.left, s.mode
        if should_add(&p):
            p.adds, p.overlap, p.top, p.left, p.flipped = True, 0, 0, 0, False
    else:
        p.C, p.K, p.channel_step, p.filter_step = s.CG, s.FG, p.taps, p.taps * s.CG
        p.IH, p.IW, p.OH, p.OW, p.top, p.left = s.IH, s.IW, s.OH, s.OW, s.top, s.left
        p.mode, p.padding = s.mode, s.padding_value
    cut(&p)
    return p


cdef void cut(Problem* p) noexcept nogil:
    """Choose the tile, and how many of them make a block; the cut looks at the problem alone."""
    cdef Py_ssize_t most, width, weights, tasks
    p.m = best_side(p.r, p.IH, p.IW) if p.adds else best_side(p.r, p.OH, p.OW)
    p.side = p.m + p.r - 1
    p.points = p.side * p.side
    # An odd number of vectors between what is read or written together: powers of two would meet in a few cache sets.
    p.pitch = odd_vectors(p.C)
    p.panels = blocks(p.K, PANEL * vf_LANES)
    most = max(<Py_ssize_t> 1, TILE_NUMBERS // (p.points * p.pitch))
    p.TH = blocks(p.IH if p.adds else p.OH, p.m)
    p.TW = blocks(p.IW if p.adds else p.OW, p.m)
    p.TC = p.TW if p.adds else blocks(p.TW, blocks(p.TW, min(most, min(<Py_ssize_t> STRIP, max(
        <Py_ssize_t> SHORT_STRIP, STRIP_NUMBERS // (p.points * p.pitch))))))
    p.strips = blocks(p.TW, p.TC)
    p.bands = p.N * p.strips * p.TH
    # Filters are best transformed once, for blocks of tiles that stay in the cache. But where few blocks would come of
    # it, or where the filters would not stay in the cache, each task transforms its own filters.
    weights = p.points * p.C * p.K
    cdef bint whole = p.adds and p.TH * p.TW <= min(<Py_ssize_t> IMAGE_TILES, most)     # images in a block
    p.R = bands_of(p, max(p.TH * p.TW, <Py_ssize_t> TILES) if whole else min(<Py_ssize_t> TILES, most))
    p.tiles_first = p.G == 1 and (weights > MANY_WEIGHTS or p.bands * p.TC <= most and (
        weights > SOME_WEIGHTS or blocks(p.bands, p.R) < min(<Py_ssize_t> TASKS, p.panels)))
    if p.tiles_first:
        p.R = bands_of(p, most)
    p.parts = p.held_rows = p.held_numbers = 0
    if p.adds and p.R < p.TH:
        p.held_rows = p.r - 1 + p.IH + p.r - 1 - p.OH           # of a part, and around the image
        p.held_numbers = round_up(p.held_rows + 1, vf_LANES) + (p.r - 1 + p.held_rows) * p.OW * vf_LANES
        p.parts = 1
        tasks = max(<Py_ssize_t> 1, p.N * p.G)
        if not p.tiles_first and tasks < TASKS:
            p.parts = max(<Py_ssize_t> 1, min(blocks(<Py_ssize_t> TASKS, tasks), min(
                p.TH // p.R, HELD_NUMBERS // (tasks * p.held_numbers * blocks(p.K, vf_LANES)))))
    p.tile_step = odd_vectors(p.R * p.TC * p.pitch)
    p.weight_step = odd_vectors((PANEL if p.tiles_first else blocks(p.K, vf_LANES)) * vf_LANES * p.C)
    width = p.TC * p.m + p.r - 1
    p.sum_numbers = p.R * p.TC * p.points * PANEL * vf_LANES
    p.pixel_numbers = (min(p.R, p.TH) * p.m + p.r - 1) * vf_LANES * max(
        width, p.IW if p.strips == 1 or p.mode != CONSTANT else 0, p.OW if p.adds else 0)
    p.half_numbers = p.side * width * vf_LANES


cdef inline Py_ssize_t best_side(Py_ssize_t r, Py_ssize_t height, Py_ssize_t width) noexcept nogil:
    """The outputs of a tile along an axis, 2 or 4, that cover so many cells with fewer multiplications; 2 for 5×5."""
    return 2 if r == 5 or multiplications(2, r, height, width) <= multiplications(4, r, height, width) else 4


cdef inline Py_ssize_t multiplications(Py_ssize_t m, Py_ssize_t r, Py_ssize_t height, Py_ssize_t width) noexcept nogil:
    return (m + r - 1) * (m + r - 1) * blocks(height, m) * blocks(width, m)


cdef inline Py_ssize_t bands_of(Problem* p, Py_ssize_t tiles) noexcept nogil:
    """How many rows of tiles make a block of about so many tiles: whole strips, where it holds one."""
    cdef Py_ssize_t bands = max(<Py_ssize_t> 1, min(p.bands, tiles // p.TC))
    return bands - bands % p.TH if bands > p.TH else bands


cdef inline Py_ssize_t tasks_of(Problem* p) noexcept nogil:
    """How many runs of bands there are, each a task: blocks, or parts of images."""
    return p.N * p.parts if p.parts > 0 else blocks(p.bands, p.R)


cdef inline Py_ssize_t first_band(Problem* p, Py_ssize_t task) noexcept nogil:
    """Where such a run begins, and the one before it ends."""
    if p.parts > 0:
        return task // p.parts * p.TH + task % p.parts * p.TH // p.parts
    return min(task * p.R, p.bands)


cdef inline Py_ssize_t odd_vectors(Py_ssize_t numbers) noexcept nogil:
    """At least so many numbers, and an odd number of vectors."""
    return (blocks(numbers, vf_LANES) | 1) * vf_LANES


cdef inline Py_ssize_t first_of(Py_ssize_t vector, Py_ssize_t count) noexcept nogil:
    """The first channel or filter of a vector; the last vector is as full as the others and overlaps the one before."""
    return max(<Py_ssize_t> 0, min(vector * vf_LANES, count - vf_LANES))


cdef Run run_of(Problem* p, Py_ssize_t band, Py_ssize_t end) noexcept nogil:
    """The tiles from a row of them on that lie in the same strip, up to another row."""
    cdef Run run
    cdef Py_ssize_t right
    run.n = band // (p.strips * p.TH)
    run.th = band % p.TH
    run.tw = band // p.TH % p.strips * p.TC
    run.rows = min(p.TH - run.th, end - band)
    run.columns = min(p.TC, p.TW - run.tw)
    run.left, right = 0, p.IW
    if p.strips > 1 and p.mode == CONSTANT:         # else a pattern may read anywhere
        run.left = min(max(run.tw * p.m - p.left, 0), p.IW)
        right = max(run.left, min((run.tw + run.columns) * p.m + p.overlap - p.left, p.IW))
    run.width = right - run.left
    run.out_width = p.OW if p.adds else min(run.columns * p.m, p.OW - run.tw * p.m)
    return run
