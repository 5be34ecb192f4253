"""Adam as it is defined."""

import numpy as np


def update(geometry, weights, gradient_average, squared_gradient_average, gradient, n_threads, moving, factors, rate,
           l2, corrections, gradient_decay, squared_decay, epsilon):  # fmt: skip
    """Change weights and averages in place."""
    kind = weights.dtype.type
    for number, part in geometry.parts(moving):
        w, m, s = weights[part], gradient_average[part], squared_gradient_average[part]
        g = gradient[part] + kind(l2 * factors[number, 1]) * w
        m[...] = kind(gradient_decay) * m + kind(1 - gradient_decay) * g
        s[...] = kind(squared_decay) * s + kind(1 - squared_decay) * g * g
        root = np.sqrt(s) * kind(corrections[number, 1] ** -0.5)
        w -= kind(rate * factors[number, 0] / corrections[number, 0]) * (m / (root + kind(epsilon)))
