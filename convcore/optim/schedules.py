"""The learning rate at each iteration, as pure functions: a resumed run computes the same rates, nothing is stored.

Iterations and epochs are counted from 1, as in the history. A new schedule is one function here and one entry in
`learn_rate_function`.
"""

import math
import numbers

SCHEDULES = ("none", "piecewise", "cosine")


def none(iteration, epoch, initial_learn_rate):
    """Return `initial_learn_rate`, whatever the iteration.

    Examples
    --------
    >>> none(iteration=700, epoch=7, initial_learn_rate=0.01)
    0.01
    """
    return initial_learn_rate


def piecewise(iteration, epoch, initial_learn_rate, drop_factor, drop_period):
    """Return the rate that is multiplied by `drop_factor` after every `drop_period` epochs.

    rate = initial_learn_rate · drop_factor ^ floor((epoch − 1) / drop_period)

    Examples
    --------
    >>> [piecewise(1, epoch, 0.5, drop_factor=0.5, drop_period=2) for epoch in (1, 2, 3, 4, 5)]
    [0.5, 0.5, 0.25, 0.25, 0.125]
    """
    return initial_learn_rate * drop_factor ** ((epoch - 1) // drop_period)


def cosine(iteration, epoch, initial_learn_rate, num_iterations):
    """Return the rate that falls along half a cosine, from `initial_learn_rate` to almost 0 at the last iteration.

    rate = initial_learn_rate · ½ · (1 + cos(π · (iteration − 1) / num_iterations))

    `num_iterations` is that of the whole run: epochs × iterations per epoch. The rate would reach 0 one iteration
    after the last; after that it stays 0.

    References
    ----------
    I. Loshchilov and F. Hutter, "SGDR: Stochastic Gradient Descent with Warm Restarts", arXiv:1608.03983,
    equation 5, without the restarts.

    Examples
    --------
    >>> [round(cosine(iteration, 1, 1.0, num_iterations=4), 3) for iteration in (1, 2, 3, 4, 5)]
    [1.0, 0.854, 0.5, 0.146, 0.0]
    """
    return initial_learn_rate * 0.5 * (1 + math.cos(math.pi * min(1.0, (iteration - 1) / num_iterations)))


def learn_rate_function(schedule, *, initial_learn_rate, drop_factor, drop_period, num_iterations):
    """Return the function of (iteration, epoch) that gives the learning rate.

    Parameters
    ----------
    schedule : {"none", "piecewise", "cosine"} or function
        A function of (iteration, epoch), both from 1, which returns the learning rate itself, not a factor.
    initial_learn_rate, drop_factor : float
    drop_period : int, epochs
    num_iterations : int
        Of the whole run.

    Returns
    -------
    function of (iteration, epoch)
        Of a user's function the result is checked: TypeError if it is no number, ValueError if it is negative or
        not finite.

    Raises
    ------
    ValueError
        An unknown name.

    Examples
    --------
    >>> rate = learn_rate_function(lambda iteration, epoch: 1 / iteration, initial_learn_rate=0.01, drop_factor=0.1,
    ...                            drop_period=10, num_iterations=100)
    >>> rate(4, 1)
    0.25
    """
    if callable(schedule):
        return lambda iteration, epoch: _checked(schedule(iteration, epoch), iteration)
    if schedule == "none":
        return lambda iteration, epoch: none(iteration, epoch, initial_learn_rate)
    if schedule == "piecewise":
        return lambda iteration, epoch: piecewise(iteration, epoch, initial_learn_rate, drop_factor, drop_period)
    if schedule == "cosine":
        return lambda iteration, epoch: cosine(iteration, epoch, initial_learn_rate, num_iterations)
    raise ValueError(f"learn_rate_schedule must be one of {', '.join(SCHEDULES)} or a function, got {schedule!r}")


def _checked(rate, iteration):
    """Return a user's rate as a float, or raise."""
    what = "learn_rate_schedule: the function must return a finite number of at least 0"
    if isinstance(rate, bool) or not isinstance(rate, numbers.Real):
        raise TypeError(f"{what}, got {rate!r} at iteration {iteration}")
    if not 0 <= rate < math.inf:
        raise ValueError(f"{what}, got {rate} at iteration {iteration}")
    return float(rate)
