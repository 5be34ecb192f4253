# The forward directions of a convolution that applies ReLU, or pools, while its results are at hand: `convolve_images`
# takes the arguments of all three.

def forward(geometry, x, weight, bias, y, n_threads):
    """Write y (N, OC, ...) from x (N, IC, ...), weight (OC, IC/G, ...) and bias (OC,) or None."""
    convolve_images(geometry, x, weight, bias, y, None, False, n_threads)


def forward_relu(geometry, x, weight, bias, y, n_threads):
    """Write ReLU(y)."""
    convolve_images(geometry, x, weight, bias, y, None, True, n_threads)


def forward_pool(geometry, x, weight, bias, pooled, index, n_threads):
    """Write the maxima of ReLU(y) in windows of 2×2 and their places, both (N, OC, OH/2, OW/2); y is written nowhere."""
    convolve_images(geometry, x, weight, bias, pooled, index, True, n_threads)
