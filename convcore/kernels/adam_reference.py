"""Adam as it is defined."""

import numpy as np


def update(geometry, weights, gradient_average, squared_gradient_average, gradient, n_threads, moving, rate, l2,
           gradient_correction, squared_correction, gradient_decay, squared_decay, epsilon):  # fmt: skip
    """Change weights and averages in place."""
    kind = weights.dtype.type
    for number, part in geometry.parts(moving):
        w, m, s = weights[part], gradient_average[part], squared_gradient_average[part]
        g = gradient[part] + kind(l2[number]) * w
        m[...] = kind(gradient_decay) * m + kind(1 - gradient_decay) * g
        s[...] = kind(squared_decay) * s + kind(1 - squared_decay) * g * g
        root = np.sqrt(s) * kind(squared_correction[number] ** -0.5)
        w -= kind(rate[number] / gradient_correction[number]) * (m / (root + kind(epsilon)))
