"""Adam as it is defined."""

import numpy as np


def update(geometry, weights, gradient_average, squared_gradient_average, gradient, n_threads, rate, l2, gradient_decay,
           squared_decay, epsilon, gradient_correction, squared_correction):  # fmt: skip
    """Change weights and averages in place."""
    kind = weights.dtype.type
    gradient = gradient + kind(l2) * weights
    gradient_average[...] = kind(gradient_decay) * gradient_average + kind(1 - gradient_decay) * gradient
    squared_gradient_average[...] = (
        kind(squared_decay) * squared_gradient_average + kind(1 - squared_decay) * gradient * gradient
    )
    root = np.sqrt(squared_gradient_average) * kind(squared_correction**-0.5)
    weights -= kind(rate / gradient_correction) * (gradient_average / (root + kind(epsilon)))
