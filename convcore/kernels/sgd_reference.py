"""Stochastic gradient descent with momentum as it is defined."""


def update(geometry, weights, velocity, gradient, n_threads, rate, momentum, l2, velocity_form):
    """Change weights and velocity in place."""
    kind = weights.dtype.type
    gradient = gradient + kind(l2) * weights
    if velocity_form:
        velocity[...] = kind(momentum) * velocity - kind(rate) * gradient
        weights += velocity
    else:
        velocity[...] = kind(momentum) * velocity + gradient
        weights -= kind(rate) * velocity
