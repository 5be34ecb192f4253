# What a bias gradient is made of, whoever computes it: the sum of each plane of grad_y by itself, then these sums, image
# by image. So its bits are the same in all variants that include this, however they cut their tasks.


cdef void sum_planes(const floating* planes, Py_ssize_t cells, Py_ssize_t count, floating* sums) noexcept nogil:
    """sums[i] = the sum of plane i; planes lie one after the other."""
    cdef Py_ssize_t i, p
    cdef double total
    if floating is float:
        for i in range((count + 3) // 4):
            sum_four(planes + 4 * i * cells, min(<Py_ssize_t> 4, count - 4 * i), cells, sums + 4 * i)
    else:
        for i in range(count):
            total = 0
            for p in range(cells):
                total += planes[i * cells + p]
            sums[i] = total


cdef inline void sum_four(const float* planes, Py_ssize_t count, Py_ssize_t cells, float* sums) noexcept nogil:
    """Four planes at once: no addition waits for the one before it. If there are fewer, the last is summed again."""
    cdef const float* a = planes
    cdef const float* b = planes + min(<Py_ssize_t> 1, count - 1) * cells
    cdef const float* c = planes + min(<Py_ssize_t> 2, count - 1) * cells
    cdef const float* d = planes + (count - 1) * cells
    cdef vf of_a = splat_vf(0), of_b = splat_vf(0), of_c = splat_vf(0), of_d = splat_vf(0)
    cdef Py_ssize_t v, p, rest = cells % vf_LANES
    cdef float[4] total
    for v in range(cells // vf_LANES):
        of_a = of_a + load_vf(a + v * vf_LANES)
        of_b = of_b + load_vf(b + v * vf_LANES)
        of_c = of_c + load_vf(c + v * vf_LANES)
        of_d = of_d + load_vf(d + v * vf_LANES)
    if rest > 0 and cells >= vf_LANES:          # a vector that ends with the plane, without what was added before
        of_a = of_a + keep_vf(load_vf(a + cells - vf_LANES), vf_LANES - rest, vf_LANES)
        of_b = of_b + keep_vf(load_vf(b + cells - vf_LANES), vf_LANES - rest, vf_LANES)
        of_c = of_c + keep_vf(load_vf(c + cells - vf_LANES), vf_LANES - rest, vf_LANES)
        of_d = of_d + keep_vf(load_vf(d + cells - vf_LANES), vf_LANES - rest, vf_LANES)
    total[0], total[1], total[2], total[3] = sum_vf(of_a), sum_vf(of_b), sum_vf(of_c), sum_vf(of_d)
    for p in range(cells if cells < vf_LANES else 0):
        total[0] += a[p]
        total[1] += b[p]
        total[2] += c[p]
        total[3] += d[p]
    for v in range(count):
        sums[v] = total[v]


cdef void add_images(const floating* sums, Py_ssize_t images, Py_ssize_t filters, floating* grad_bias) noexcept nogil:
    """grad_bias[k] = the sums of the planes of filter k, in the order of the images."""
    cdef Py_ssize_t n, k
    for k in range(filters):
        grad_bias[k] = 0
    for n in range(images):
        for k in range(filters):
            grad_bias[k] += sums[n * filters + k]
