"""Matrix product, blocked for registers and cache; see gemm_product.pxi for the loops."""

include "gemm_product.pxi"


def forward(geometry,
            const floating[:, ::1] a not None,      # IN  (M, K), or (K, M) if transposed
            const floating[:, ::1] b not None,      # IN  (K, N), or (N, K) if transposed
            floating[:, ::1] c not None,            # OUT (M, N)
            int n_threads):
    """Write c."""
    cdef bint transpose_a = geometry.transpose_a, transpose_b = geometry.transpose_b
    product(a, transpose_a, b, transpose_b, c, NULL, False, False, n_threads)
