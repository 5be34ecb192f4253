"""The learning rate at each iteration, as pure functions: a resumed run computes the same rates, nothing is stored.

Iterations and epochs are counted from 1, as in the history. A new schedule is one function here and one entry in
`learn_rate_function`. A warm-up may come before any other schedule: then its factor multiplies the other's rate.
"""

import math
import numbers

SCHEDULES = ("none", "piecewise", "warmup", "polynomial", "cosine")


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


def polynomial(iteration, epoch, initial_learn_rate, final_learn_rate, power, num_iterations):
    """Return the rate that falls from `initial_learn_rate` to `final_learn_rate` along a power of what is left.

    rate = final + (initial − final) · (1 − (iteration − 1) / num_iterations) ^ power

    The rate would reach `final_learn_rate` one iteration after the last; after that it stays there. The power 1 is a
    straight line.

    Examples
    --------
    >>> [polynomial(iteration, 1, 1.0, 0.0, power=2, num_iterations=4) for iteration in (1, 2, 3, 4, 5)]
    [1.0, 0.5625, 0.25, 0.0625, 0.0]
    """
    left = max(0.0, 1 - (iteration - 1) / num_iterations)
    return final_learn_rate + (initial_learn_rate - final_learn_rate) * left**power


def warmup(iteration, epoch, initial_factor, warmup_iterations):
    """Return the factor that rises in a straight line, up to 1 at iteration `warmup_iterations`, and then stays 1.

    factor = initial_factor + (1 − initial_factor) · iteration / warmup_iterations

    `initial_factor` is thought to hold before the first iteration: with 0, the first of 4 iterations has 1/4.

    References
    ----------
    P. Goyal et al., "Accurate, Large Minibatch SGD: Training ImageNet in 1 Hour", arXiv:1706.02677, section 2.2.

    Examples
    --------
    >>> [warmup(iteration, 1, initial_factor=0.0, warmup_iterations=4) for iteration in (1, 2, 3, 4, 5)]
    [0.25, 0.5, 0.75, 1.0, 1.0]
    """
    if iteration >= warmup_iterations:
        return 1.0
    return initial_factor + (1 - initial_factor) * iteration / warmup_iterations


def learn_rate_function(schedule, *, initial_learn_rate, drop_factor, drop_period, final_learn_rate, power,
                        warmup_factor, warmup_iterations, num_iterations):  # fmt: skip
    """Return the function of (iteration, epoch) that gives the learning rate.

    Parameters
    ----------
    schedule : name, function, or ("warmup", name or function)
        The names are those of `SCHEDULES`. A function of (iteration, epoch), both from 1, returns the learning rate
        itself, not a factor. "warmup" alone keeps the rate once it is reached; before another schedule its factor
        multiplies the other's rate, which is what it would be without a warm-up.
    initial_learn_rate, drop_factor, final_learn_rate, power, warmup_factor : float
    drop_period : int, epochs
    warmup_iterations, num_iterations : int
        Of the warm-up, of the whole run.

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
    >>> rate = learn_rate_function(("warmup", lambda iteration, epoch: 1 / iteration), initial_learn_rate=0.01,
    ...                            drop_factor=0.1, drop_period=10, final_learn_rate=0, power=1, warmup_factor=0,
    ...                            warmup_iterations=4, num_iterations=100)
    >>> rate(2, 1), rate(4, 1)
    (0.25, 0.25)
    """

    def of(schedule):
        if callable(schedule):
            return lambda iteration, epoch: _checked(schedule(iteration, epoch), iteration)
        functions = {
            "none": lambda iteration, epoch: none(iteration, epoch, initial_learn_rate),
            "piecewise": lambda iteration, epoch: piecewise(
                iteration, epoch, initial_learn_rate, drop_factor, drop_period
            ),
            "polynomial": lambda iteration, epoch: polynomial(
                iteration, epoch, initial_learn_rate, final_learn_rate, power, num_iterations
            ),
            "cosine": lambda iteration, epoch: cosine(iteration, epoch, initial_learn_rate, num_iterations),
        }
        if schedule not in functions:
            raise ValueError(
                f"learn_rate_schedule must be one of {', '.join(SCHEDULES)} or a function, got {schedule!r}"
            )
        return functions[schedule]

    first, other = schedule if isinstance(schedule, tuple) else (schedule, "none")
    if first != "warmup":
        return of(first)
    rate = of(other)
    return lambda iteration, epoch: warmup(iteration, epoch, warmup_factor, warmup_iterations) * rate(iteration, epoch)


def _checked(rate, iteration):
    """Return a user's rate as a float, or raise."""
    what = "learn_rate_schedule: the function must return a finite number of at least 0"
    if isinstance(rate, bool) or not isinstance(rate, numbers.Real):
        raise TypeError(f"{what}, got {rate!r} at iteration {iteration}")
    if not 0 <= rate < math.inf:
        raise ValueError(f"{what}, got {rate} at iteration {iteration}")
    return float(rate)
