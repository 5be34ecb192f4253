"""Stochastic gradient descent with momentum as it is defined."""


def update(geometry, weights, velocity, gradient, n_threads, moving, factors, rate, l2, momentum, velocity_form):
    """Change weights and velocity in place."""
    kind = weights.dtype.type
    for number, part in geometry.parts(moving):
        w, v, r = weights[part], velocity[part], kind(rate * factors[number, 0])
        g = gradient[part] + kind(l2 * factors[number, 1]) * w
        if velocity_form:
            v[...] = kind(momentum) * v - r * g
            w += v
        else:
            v[...] = kind(momentum) * v + g
            w -= r * v
