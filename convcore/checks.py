"""What an argument may be: each function returns the value in its plain type, or raises in the argument's name.

`what` is the whole subject of the error, for example ``"TrainingOptions: momentum"``.
"""

import math
import numbers
import operator

import numpy as np

BOOLS = (bool, np.bool_)


def number(value, what, kinds="a number"):
    """Return `value` as a float; `kinds` is all that the argument may be, where that is more than a number.

    Raises
    ------
    TypeError
        No real number; True and False are none either.
    ValueError
        An integer that no float can hold.
    """
    if type(value) is float:
        return value  # what optimizers ask for at every step
    if isinstance(value, BOOLS) or not isinstance(value, numbers.Real):
        raise TypeError(f"{what} must be {kinds}, got {value!r}")
    try:
        return float(value)
    except OverflowError:
        raise ValueError(f"{what} must be {kinds}, got one that no float can hold") from None


def finite_number(value, what):
    """Return `value` as a finite float; TypeError or ValueError otherwise."""
    result = number(value, what)
    if not math.isfinite(result):
        raise ValueError(f"{what} must be finite, got {value}")
    return result


def number_within(value, what, low, high):
    """Return `value` as a float from `low` to `high`, both included.

    Raises
    ------
    TypeError, ValueError

    Examples
    --------
    >>> number_within(1.5, "TrainingOptions: momentum", 0, 1)
    Traceback (most recent call last):
    ValueError: TrainingOptions: momentum must lie in [0, 1], got 1.5
    """
    result = number(value, what)
    if not low <= result <= high:
        raise ValueError(f"{what} must lie in [{low}, {high}], got {value}")
    return result


def number_below(value, what, low, high):
    """Return `value` as a float from `low`, included, to `high`, which it must not reach; TypeError or ValueError.

    Examples
    --------
    >>> number_below(1.0, "Adam: gradient_decay_factor", 0, 1)
    Traceback (most recent call last):
    ValueError: Adam: gradient_decay_factor must lie in [0, 1), got 1.0
    """
    result = number(value, what)
    if not low <= result < high:
        raise ValueError(f"{what} must lie in [{low}, {high}), got {value}")
    return result


def number_from(value, what, low):
    """Return `value` as a finite float of at least `low`; TypeError or ValueError otherwise."""
    result = number(value, what)
    if not low <= result < math.inf:
        raise ValueError(f"{what} must be finite and at least {low}, got {value}")
    return result


def positive_number(value, what, or_inf=False):
    """Return `value` as a float greater than 0, finite unless `or_inf`; TypeError or ValueError otherwise."""
    result = number(value, what)
    if not result > 0 or (result == math.inf and not or_inf):
        raise ValueError(f"{what} must be {'' if or_inf else 'finite and '}greater than 0, got {value}")
    return result


def integer(value, what, low):
    """Return `value` as an int of at least `low`; TypeError or ValueError otherwise."""
    if isinstance(value, BOOLS):
        raise TypeError(f"{what} must be an integer, got {value!r}")
    try:
        result = operator.index(value)
    except TypeError:
        raise TypeError(f"{what} must be an integer, got {value!r}") from None
    if result < low:
        raise ValueError(f"{what} must be at least {low}, got {result}")
    return result


def flag(value, what):
    """Return `value` as a bool; TypeError for anything but True and False."""
    if not isinstance(value, BOOLS):
        raise TypeError(f"{what} must be True or False, got {value!r}")
    return bool(value)


def one_of(value, what, choices):
    """Return `value` if it is one of the names in `choices`; TypeError or ValueError otherwise."""
    if not isinstance(value, str):
        raise TypeError(f"{what} must be a str, got {value!r}")
    if value not in choices:
        raise ValueError(f"{what} must be one of {', '.join(choices)}, got {value!r}")
    return value
