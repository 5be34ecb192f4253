"""RMSProp as it is defined."""

import numpy as np


def update(geometry, weights, squared_gradient_average, gradient, n_threads, moving, rate, l2, squared_decay, epsilon):
    """Change weights and the average in place."""
    kind = weights.dtype.type
    for number, part in geometry.parts(moving):
        w, s = weights[part], squared_gradient_average[part]
        g = gradient[part] + kind(l2[number]) * w
        s[...] = kind(squared_decay) * s + kind(1 - squared_decay) * g * g
        w -= kind(rate[number]) * (g / (np.sqrt(s) + kind(epsilon)))
