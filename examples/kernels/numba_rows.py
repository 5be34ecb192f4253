"""A convolution kernel in Numba: a loop nest, compiled at the first call, images in parallel.

Shows: a kernel that is registered by hand, for the forward pass alone; the gradients stay with the built-in ones.
"""

import numba

import convcore as cc


@numba.njit(parallel=True)
def convolve(x, weight, bias, y, top, left):
    """Add the taps of every channel, row by row; borders are limits of loops, so the innermost holds no test."""
    N, C, H, W = x.shape
    K, _, R, S = weight.shape
    OH, OW = y.shape[2:]
    for n in numba.prange(N):
        for k in range(K):
            y[n, k] = bias[k]
            for c in range(C):
                for i in range(OH):
                    for u in range(max(0, top - i), min(R, H + top - i)):  # rows inside the image
                        for v in range(S):
                            first, end = max(0, left - v), min(OW, W + left - v)  # columns inside the image
                            if first < end:
                                out = y[n, k, i, first:end]
                                line = x[n, c, i + u - top, first + v - left : end + v - left]
                                for j in range(end - first):
                                    out[j] += weight[k, c, u, v] * line[j]


class NumbaRows:
    """What convcore calls: arrays in, arrays out."""

    def supports(self, direction, geometry, dtype, level):
        """Return None, or the reason why not."""
        plain = geometry.groups == 1 and geometry.padding_value == 0
        plain = plain and set(geometry.stride) == set(geometry.dilation) == {1}
        return None if plain else "wants one group, zeros around the image, no stride, no dilation"

    def forward(self, geometry, x, weight, bias, y, n_threads):
        """Write y; the work is cut by images, so the bits do not depend on the number of threads."""
        numba.set_num_threads(min(n_threads, numba.config.NUMBA_NUM_THREADS))
        zeros = weight[:, 0, 0, 0] * 0 if bias is None else bias
        (top, _), (left, _) = geometry.padding
        convolve(x, weight, zeros, y, top, left)


cc.kernels.register("conv2d", NumbaRows(), name="numba_rows")
