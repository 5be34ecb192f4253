"""RMSProp as it is defined."""

import numpy as np


def update(geometry, weights, squared_gradient_average, gradient, n_threads, moving, factors, rate, l2,
           squared_decay, epsilon):  # fmt: skip
    """Change weights and the average in place."""
    kind = weights.dtype.type
    for number, part in geometry.parts(moving):
        w, s = weights[part], squared_gradient_average[part]
        g = gradient[part] + kind(l2 * factors[number, 1]) * w
        s[...] = kind(squared_decay) * s + kind(1 - squared_decay) * g * g
        w -= kind(rate * factors[number, 0]) * (g / (np.sqrt(s) + kind(epsilon)))
