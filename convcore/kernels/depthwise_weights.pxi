# The weight gradient of conv_depthwise: for each tap, one running sum per lane of grad_y · cells; lanes and images are
# added up in order. Where grad_y is still to be made of the gradients behind ReLU or max-pooling, a few planes are made at
# a time, and are read from the nearest cache.

def backward_weight(geometry,
                    const float[:, :, :, :, ::1] grad_y not None,       # IN  (N, OC, OD, OH, OW)
                    const float[:, :, :, :, ::1] x not None,            # IN  (N, IC, ID, IH, IW)
                    float[:, :, :, :, ::1] grad_weight not None,        # OUT (OC, 1, KD, KH, KW)
                    int n_threads):
    """Write grad_weight; one task per few channels and share of the images; shares are added up in order."""
    cdef Gradients given = Gradients(&grad_y[0, 0, 0, 0, 0], NULL, NULL)
    correlate(prepared(geometry), &given, &x[0, 0, 0, 0, 0], &grad_weight[0, 0, 0, 0, 0], NULL, n_threads)


def backward_weight_bias(geometry,
                         const float[:, :, :, :, ::1] grad_y not None,      # IN  (N, OC, OD, OH, OW)
                         const float[:, :, :, :, ::1] x not None,           # IN  (N, IC, ID, IH, IW)
                         float[:, :, :, :, ::1] grad_weight not None,       # OUT (OC, 1, KD, KH, KW)
                         float[::1] grad_bias not None,                     # OUT (OC,)
                         int n_threads):
    """Write grad_weight and grad_bias, while grad_y is at hand."""
    cdef Gradients given = Gradients(&grad_y[0, 0, 0, 0, 0], NULL, NULL)
    correlate_with_bias(geometry, &given, x, grad_weight, grad_bias, n_threads)


def backward_weight_bias_pool(geometry,
                              const float[:, :, :, :, ::1] grad_pooled not None,    # IN  (N, OC, 1, OH/2, OW/2)
                              const int[:, :, :, :, ::1] index not None,            # IN  the same
                              const float[:, :, :, :, ::1] x not None,              # IN  (N, IC, 1, IH, IW)
                              float[:, :, :, :, ::1] grad_weight not None,          # OUT (OC, 1, 1, KH, KW)
                              float[::1] grad_bias not None,                        # OUT (OC,)
                              int n_threads):
    """Write both from the gradients of maxima, which are spread over few planes of grad_y at a time."""
    cdef Gradients given = Gradients(&grad_pooled[0, 0, 0, 0, 0], &index[0, 0, 0, 0, 0], NULL)
    correlate_with_bias(geometry, &given, x, grad_weight, grad_bias, n_threads)


def backward_weight_bias_relu(geometry,
                              const float[:, :, :, :, ::1] grad_y not None,         # IN  (N, OC, OD, OH, OW)
                              const float[:, :, :, :, ::1] y not None,              # IN  the same
                              const float[:, :, :, :, ::1] x not None,              # IN  (N, IC, ID, IH, IW)
                              float[:, :, :, :, ::1] grad_weight not None,          # OUT (OC, 1, KD, KH, KW)
                              float[::1] grad_bias not None,                        # OUT (OC,)
                              int n_threads):
    """Write both from the gradient of ReLU's outputs y, which goes back through it a few planes at a time."""
    cdef Gradients given = Gradients(&grad_y[0, 0, 0, 0, 0], NULL, &y[0, 0, 0, 0, 0])
    correlate_with_bias(geometry, &given, x, grad_weight, grad_bias, n_threads)


cdef struct Gradients:                  # of the outputs,
    const float* values
    const int* index                    # or of maxima in windows of 2×2, and where these stood,
    const float* y                      # or of ReLU's outputs, and these; else NULL


cdef inline bint are_made(const Gradients* g) noexcept nogil:
    """Whether those of the outputs are still to be made of what there is."""
    return g.index != NULL or g.y != NULL


cdef correlate_with_bias(geometry, const Gradients* g, const float[:, :, :, :, ::1] x,
                         float[:, :, :, :, ::1] grad_weight, float[::1] grad_bias, int n_threads):
    """The weights' gradient, and the sums of all planes, image by image."""
    cdef Py_ssize_t images = x.shape[0], filters = grad_bias.shape[0]
    cdef float[:, ::1] sums = aligned(1, images * filters, NUMBER)
    correlate(prepared(geometry), g, &x[0, 0, 0, 0, 0], &grad_weight[0, 0, 0, 0, 0], &sums[0, 0], n_threads)
    add_images(&sums[0, 0], images, filters, &grad_bias[0])


cdef correlate(Prepared ready, const Gradients* g, const float* x, float* total, float* plane_sums, int n_threads):
    """Write the weights' gradient, and the sum of each plane of grad_y unless that is NULL."""
    cdef ConvSizes* s = &ready.sizes
    cdef Py_ssize_t images = images_of(s), shares = blocks(s.N, images), share, j
    cdef float[:, ::1] partial = aligned(shares, s.OC * s.KD * s.KH * s.KW, NUMBER)
    if worth_copies(s, FEW_PAIRED):
        backward_weight_by_pixels(ready, g, x, partial, images, plane_sums, n_threads)
    else:
        backward_weight_by_rows(ready, g, x, partial, images, plane_sums, n_threads)
    for j in range(s.OC * s.KD * s.KH * s.KW):
        total[j] = partial[0, j]
    for share in range(1, shares):
        for j in range(s.OC * s.KD * s.KH * s.KW):
            total[j] += partial[share, j]


cdef backward_weight_by_rows(Prepared ready, const Gradients* g, const float* x, float[:, ::1] partial,
                             Py_ssize_t images, float* plane_sums, int n_threads):
    """Write a set of weights per share of the images; one task per share and few channels."""
    cdef ConvSizes* s = &ready.sizes
    cdef Layout* l = &ready.layout
    cdef Rows* rows = &ready.rows
    cdef Py_ssize_t channels = channels_of(s, l, partial.shape[0]), channel_blocks = blocks(s.IC, channels)
    cdef Py_ssize_t made = made_numbers(s, IMAGES) if are_made(g) else 0
    cdef float[:, ::1] scratch = own_pages(n_threads, l.numbers + sum_numbers(s, channels) + made, NUMBER)
    cdef Py_ssize_t task, thread
    for thread in range(n_threads):
        put_frame(l, &scratch[thread, 0])
    for task in prange(partial.shape[0] * channel_blocks, nogil=True, schedule="static", num_threads=n_threads):
        backward_weight_share(s, l, rows, g, x, &partial[task // channel_blocks, 0],
                              task // channel_blocks * images, images, task % channel_blocks * channels, channels,
                              &scratch[threadid(), 0], plane_sums)
        if plane_sums != NULL and not are_made(g):
            sum_share(s, g.values, task // channel_blocks * images, images, task % channel_blocks * channels, channels,
                      plane_sums)


cdef void sum_share(ConvSizes* s, const float* grad_y, Py_ssize_t n, Py_ssize_t images, Py_ssize_t c, Py_ssize_t channels,
                    float* plane_sums) noexcept nogil:
    """The sums of the planes of some channels' filters, of some images."""
    cdef Py_ssize_t i, plane, cells = s.OD * s.OH * s.OW
    for i in range(n, min(n + images, s.N)):
        plane = i * s.OC + c * s.FG
        sum_planes(grad_y + plane * cells, cells, min(channels, s.IC - c) * s.FG, plane_sums + plane)


cdef inline Py_ssize_t made_numbers(ConvSizes* s, Py_ssize_t planes) noexcept nogil:
    """Room for planes of grad_y that are made, and for what `expect` asks for behind them."""
    return planes * s.OD * s.OH * s.OW + vf_LANES + AHEAD


cdef void make_planes(ConvSizes* s, const Gradients* g, Py_ssize_t plane, Py_ssize_t count, Py_ssize_t step,
                      float* planes, float* plane_sums) noexcept nogil:
    """Make `count` planes of grad_y, every `step`-th from `plane` on, and sum each."""
    cdef PoolSizes p = quads_of(s.OH, s.OW)
    cdef Py_ssize_t i, first, cells = s.OD * s.OH * s.OW
    cdef float[MOST_MADE] sums
    for i in range(count):
        if g.index != NULL:
            first = (plane + i * step) * p.out_cells
            spread_plane(&p, g.values + first, g.index + first, s.N * s.OC * p.out_cells - first, planes + i * cells,
                         (count - i) * cells)
        else:
            first = (plane + i * step) * cells
            pass_back_relu(g.values + first, g.y + first, planes + i * cells, cells)
    sum_planes(<const float*> planes, cells, count, sums)
    for i in range(count):
        plane_sums[plane + i * step] = sums[i]


cdef inline Py_ssize_t sum_numbers(ConvSizes* s, Py_ssize_t channels) noexcept nogil:
    """One vector of sums for whole vectors of columns, and one for the columns that remain, per tap."""
    return channels * s.FG * s.KD * s.KH * s.KW * 2 * nf_LANES


cdef inline Py_ssize_t images_of(ConvSizes* s) noexcept nogil:
    """The images of a task: enough that adding up lanes does not count; two, four, ... tasks, for as many threads."""
    cdef Py_ssize_t wanted = blocks(s.N, max(blocks(s.N, TASKS), min(s.N, blocks(SUM_PIXELS, s.OD * s.OH * s.OW))))
    cdef Py_ssize_t tasks = 1
    while tasks < wanted:
        tasks *= 2
    return blocks(s.N, tasks)


cdef inline Py_ssize_t channels_of(ConvSizes* s, Layout* l, Py_ssize_t shares) noexcept nogil:
    """The channels of a task: as many as there can be, because those of an image lie side by side."""
    cdef Py_ssize_t most = min(SCRATCH_NUMBERS - l.numbers, SUM_NUMBERS) // sum_numbers(s, 1)
    return max(<Py_ssize_t> 1, min(most, blocks(s.IC, blocks(TASKS, shares))))


cdef void backward_weight_share(ConvSizes* s, Layout* l, Rows* rows, const Gradients* g, const float* x, float* partial,
                                Py_ssize_t n0, Py_ssize_t images, Py_ssize_t c0, Py_ssize_t channels, float* tiles,
                                float* plane_sums) noexcept nogil:
    cdef Py_ssize_t n, c, block, taps = s.KD * s.KH * s.KW, one = sum_numbers(s, 1), added = 0
    # Of small planes, several images of a channel are gone through at once.
    cdef Py_ssize_t at_once = min(min(l.channels, IMAGES), images), channels_at_once = l.channels // at_once
    cdef float* sums = tiles + l.numbers
    cdef float* made = sums + sum_numbers(s, channels)
    images = min(images, s.N - n0)
    channels = min(channels, s.IC - c0)
    memset(partial + c0 * s.FG * taps, 0, channels * s.FG * taps * sizeof(float))
    memset(sums, 0, channels * one * sizeof(float))
    for n in range(blocks(images, at_once)):
        for block in range(blocks(channels, channels_at_once)):
            c = block * channels_at_once
            add_channels(s, l, rows, g, x, n0 + n * at_once, min(at_once, images - n * at_once), c0 + c,
                         min(channels_at_once, channels - c), sums + c * one, tiles, made, plane_sums)
        added += at_once * s.OD * s.OH * s.OW
        if added >= SUM_PIXELS or n == blocks(images, at_once) - 1:
            added = 0
            for c in range(channels):
                add_lanes(s, rows, sums + c * one, partial + (c0 + c) * s.FG * taps)


cdef void add_channels(ConvSizes* s, Layout* l, Rows* rows, const Gradients* g, const float* x, Py_ssize_t n,
                       Py_ssize_t images, Py_ssize_t c, Py_ssize_t channels, float* sums, float* tiles, float* made,
                       float* plane_sums) noexcept nogil:
    """Add the products of some channels of some images to the channels' sums."""
    cdef Py_ssize_t i, f, od, oh, block, count, plane, first, within, one = sum_numbers(s, 1) // s.FG
    cdef Py_ssize_t pixels = s.OD * s.OH * s.OW, x_image = channels * l.tile, apart = s.OC * pixels
    cdef const float* planes
    cdef float* edge = tiles + l.tiles
    cdef float* tile
    for od in range(s.OD):
        for block in range(l.bands):
            oh = block * l.band
            count = min(l.band, s.OH - oh)
            for i in range(images):
                lay_out_input(s, l, x + ((n + i) * s.IC + c) * s.ID * s.IH * s.IW, od, oh, count, channels,
                              tiles + i * x_image)
            for i in range(channels):
                for f in range(s.FG):
                    tile = tiles + i * l.tile
                    plane = n * s.OC + (c + i) * s.FG + f
                    first = plane * pixels + (od * s.OH + oh) * s.OW
                    planes = g.values + first
                    within = images                     # images in which vectors beside the rows stay in the array
                    while s.OW < nf_LANES and within > 0 and not are_made(g) and (
                            first + (within - 1) * apart + count * s.OW + nf_LANES > s.N * apart):
                        within -= 1
                    if are_made(g):
                        make_planes(s, g, plane, images, s.OC, made, plane_sums)
                        planes, apart = made, pixels
                    multiply_rows(rows, within, tile, x_image, planes, apart, s.OW, count, sums + (i * s.FG + f) * one)
                    for within in range(within, images):
                        copy_in_rows(planes + within * apart, 0, edge, 0, 1, count * s.OW)
                        multiply_rows(rows, 1, tile + within * x_image, 0, edge, 0, s.OW, count,
                                      sums + (i * s.FG + f) * one)


cdef void multiply_rows(Rows* rows, Py_ssize_t images, const float* tile, Py_ssize_t x_image, const float* grad_y,
                        Py_ssize_t g_image, Py_ssize_t width, Py_ssize_t count, float* sums) noexcept nogil:
    """Add grad_y · cells to the sums of each tap: first sets for whole vectors, then sets for the last columns."""
    cdef Py_ssize_t sums_of_tap = rows.height * nf_LANES, rest = max(<Py_ssize_t> 0, width - nf_LANES)
    cdef Py_ssize_t t = 0, at_once, first, every
    cdef dots_kernel dots
    while t < rows.count:
        at_once = taps_at_once(rows.kind, rows.count - t)
        dots = dots_kernels[rows.kind][at_once]
        for first in range(min(rows.spread, count)):
            every = blocks(count - first, rows.spread) if rows.spread > 1 else count
            if width >= nf_LANES:
                dots(rows.taps + t, images, every, width // nf_LANES, tile + first * rows.step, x_image, rows.x_step,
                     grad_y + first * width, g_image, rows.spread * width, sums + t * sums_of_tap)
            if width % nf_LANES:
                dots(rows.taps + t, images, every, 1, tile + first * rows.step + rest, x_image, rows.x_step,
                     grad_y + first * width + rest, g_image, rows.spread * width,
                     sums + (rows.count + t) * sums_of_tap)
        t += at_once


cdef void add_lanes(ConvSizes* s, Rows* rows, float* sums, float* total) noexcept nogil:
    """Add the lanes of all sums to the weights that they belong to, and begin anew."""
    cdef Py_ssize_t f, t, u, lane, sets = rows.count * rows.height
    cdef Py_ssize_t first = nf_LANES - s.OW % nf_LANES if s.OW > nf_LANES else 0    # lane of the columns that remain
    cdef float* whole
    cdef float* rest
    cdef float found
    for f in range(s.FG):
        for t in range(rows.count):
            for u in range(rows.height):
                whole = sums + (f * 2 * sets + t * rows.height + u) * nf_LANES
                rest = whole + sets * nf_LANES
                found = sum_nf(load_nf(whole))
                for lane in range(first, first + s.OW % nf_LANES):
                    found += rest[lane]
                total[f * s.KD * s.KH * s.KW + rows.taps[t].weight + u * rows.weight_step] += found
    memset(sums, 0, 2 * s.FG * sets * nf_LANES * sizeof(float))
