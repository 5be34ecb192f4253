"""First values of weights and biases, by name or by a function of the size."""

import inspect
import math

import numpy as np

from convcore.arrays import as_float_array


def glorot(size, num_in, num_out, rng):
    """Uniform with mean 0 and variance 2 / (num_in + num_out) (Glorot and Bengio, AISTATS 2010)."""
    bound = math.sqrt(6 / (num_in + num_out))
    return rng.uniform(-bound, bound, size)


def he(size, num_in, num_out, rng):
    """Normal with mean 0 and variance 2 / num_in (He et al., ICCV 2015)."""
    return rng.normal(0, math.sqrt(2 / num_in), size)


def narrow_normal(size, num_in, num_out, rng):
    """Normal with mean 0 and standard deviation 0.01."""
    return rng.normal(0, 0.01, size)


def zeros(size, num_in, num_out, rng):
    """All 0."""
    return np.zeros(size)


def ones(size, num_in, num_out, rng):
    """All 1."""
    return np.ones(size)


NAMED = {"glorot": glorot, "he": he, "narrow-normal": narrow_normal, "zeros": zeros, "ones": ones}
OF_BIASES = {name: NAMED[name] for name in ("zeros", "narrow-normal", "ones")}  # no connections to scale by


def check(initializer, what, names=NAMED):
    """Return `initializer` if it is one of the names or a function.

    Raises
    ------
    TypeError, ValueError
        Anything else; the text lists the names.
    """
    if isinstance(initializer, str):
        if initializer not in names:
            raise ValueError(f"{what} must be one of {', '.join(names)} or a function, got {initializer!r}")
    elif not callable(initializer):
        raise TypeError(f"{what} must be a name or a function, got {initializer!r}")
    return initializer


def draw(initializer, size, num_in, num_out, rng, dtype, what):
    """Return the first values of an array.

    Parameters
    ----------
    initializer : str or function
        A name of `NAMED`, or a function of the size, which may also take ``rng``.
    size : tuple of int
    num_in, num_out : int
        Filter cells × channels, filter cells × filters (per group).
    rng : numpy.random.Generator
    dtype : float32 or float64
    what : str
        Names the array in errors.

    Raises
    ------
    TypeError, ValueError
        A function that returns no array of numbers, another shape, or numbers that are not finite.

    Examples
    --------
    >>> draw("ones", (2,), 1, 1, np.random.default_rng(0), np.dtype("f4"), "demo: bias")
    array([1., 1.], dtype=float32)
    """
    if isinstance(initializer, str):
        return NAMED[initializer](size, num_in, num_out, rng).astype(dtype)
    what = f"{what}: what the initializer returns"
    values = as_float_array(initializer(size, rng=rng) if _takes_rng(initializer) else initializer(size), what)
    if values.shape != tuple(size):
        raise ValueError(f"{what} must have shape {tuple(size)}, got {values.shape}")
    return cast(values, dtype, what)


def cast(values, dtype, what):
    """Return an array of floats in another dtype.

    Raises
    ------
    ValueError
        Numbers that are not finite in it; `what` names the array.
    """
    with np.errstate(over="ignore"):
        array = values.astype(dtype)
    if not np.isfinite(array).all():
        raise ValueError(f"{what} must be finite in {dtype}, got {values[~np.isfinite(array)][0]}")
    return array


def _takes_rng(function):
    try:
        return "rng" in inspect.signature(function).parameters
    except ValueError:  # built-in functions may have no signature
        return False
