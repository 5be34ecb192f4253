"""RMSProp as it is defined."""

import numpy as np


def update(geometry, weights, squared_gradient_average, gradient, n_threads, rate, l2, squared_decay, epsilon):
    """Change weights and the average in place."""
    kind = weights.dtype.type
    gradient = gradient + kind(l2) * weights
    squared_gradient_average[...] = (
        kind(squared_decay) * squared_gradient_average + kind(1 - squared_decay) * gradient * gradient
    )
    weights -= kind(rate) * (gradient / (np.sqrt(squared_gradient_average) + kind(epsilon)))
