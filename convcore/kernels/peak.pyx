"""What this processor can do at most: multiply-adds from registers, and arrays larger than its caches through it.

No variant of an op: the roofline that the bench holds kernels against is measured with these loops.
"""

from cython.parallel cimport prange

from convcore.kernels.common cimport floating

include "vectors.pxi"

cdef enum:
    CHAINS = 12                 # independent sums, in registers: enough to hide the latency of an FMA, twice per cycle
    BLOCK = 16384


def multiply_adds(float[::1] sums not None,                 # OUT (n_threads,): what is written must be computed
                  Py_ssize_t rounds, int n_threads):
    """Run chains of multiply-adds on every thread; return the floating-point operations, two per multiply-add."""
    cdef float starts[CHAINS]
    cdef Py_ssize_t thread, chain
    for chain in range(CHAINS):
        starts[chain] = chain               # all different: equal chains would be computed once
    for thread in prange(n_threads, nogil=True, schedule="static", chunksize=1, num_threads=n_threads):
        sums[thread] = chains(starts, rounds)
    return 2 * n_threads * rounds * CHAINS * vf_LANES


cdef float chains(const float* starts, Py_ssize_t rounds) noexcept nogil:
    """The sum of twelve numbers on their way to 2, by c = c / 2 + 1: never denormal, never infinite."""
    cdef vf half = splat_vf(0.5), one = splat_vf(1)
    cdef vf c0 = splat_vf(starts[0]), c1 = splat_vf(starts[1]), c2 = splat_vf(starts[2]), c3 = splat_vf(starts[3])
    cdef vf c4 = splat_vf(starts[4]), c5 = splat_vf(starts[5]), c6 = splat_vf(starts[6]), c7 = splat_vf(starts[7])
    cdef vf c8 = splat_vf(starts[8]), c9 = splat_vf(starts[9]), c10 = splat_vf(starts[10]), c11 = splat_vf(starts[11])
    cdef Py_ssize_t r
    for r in range(rounds):
        c0 = c0 * half + one
        c1 = c1 * half + one
        c2 = c2 * half + one
        c3 = c3 * half + one
        c4 = c4 * half + one
        c5 = c5 * half + one
        c6 = c6 * half + one
        c7 = c7 * half + one
        c8 = c8 * half + one
        c9 = c9 * half + one
        c10 = c10 * half + one
        c11 = c11 * half + one
    return sum_vf(c0 + c1 + c2 + c3 + c4 + c5 + c6 + c7 + c8 + c9 + c10 + c11)


def scale(const float[::1] x not None, float[::1] y not None, float factor, int n_threads):
    """Write y = factor · x, with ordinary stores, as kernels do; a plain copy would become a call of the C library."""
    cdef Py_ssize_t block, size = x.shape[0]
    for block in prange((size + BLOCK - 1) // BLOCK, nogil=True, schedule="static", num_threads=n_threads):
        scale_block(&x[block * BLOCK], &y[block * BLOCK], min(<Py_ssize_t> BLOCK, size - block * BLOCK), factor)


cdef void scale_block(const float* x, float* y, Py_ssize_t count, float factor) noexcept nogil:
    cdef Py_ssize_t j
    for j in range(count):
        y[j] = factor * x[j]
