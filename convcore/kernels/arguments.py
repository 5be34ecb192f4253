"""What kernels make of their arguments."""

import numbers

from convcore.arrays import as_float_array, same_dtype


def float_arrays(op, **arrays):
    """Return the arrays as float arrays of one dtype; a bias of None stays None.

    Raises
    ------
    TypeError
        No array of float32, float64, integers or booleans; float32 and float64 together.
    """
    floats = {
        name: None if a is None and name == "bias" else as_float_array(a, f"{op}: {name}") for name, a in arrays.items()
    }
    same_dtype(op, **floats)
    return floats.values()


def shape_of(op, name, shape, rank):
    """Return a shape given by the user as a tuple of `rank` ints.

    Examples
    --------
    >>> shape_of("conv2d", "input_shape", [1, 3, 28, 28], 4)
    (1, 3, 28, 28)
    """
    if not isinstance(shape, (tuple, list)) or not all(isinstance(n, numbers.Integral) for n in shape):
        raise TypeError(f"{op}: {name} must be a tuple of ints, got {shape!r}")
    if len(shape) != rank:
        raise ValueError(f"{op}: {name} must have {rank} sizes, got {len(shape)}")
    if min(shape) < 0:
        raise ValueError(f"{op}: {name} must not be negative, got {tuple(shape)}")
    return tuple(int(n) for n in shape)


def rows_named(op, x, index):
    """Return ``x[index]``, after a check of the index, in which no number counts from the end.

    Examples
    --------
    >>> import numpy as np
    >>> rows_named("demo", np.array([10, 20]), np.array([0, 2]))
    Traceback (most recent call last):
    ValueError: demo: index must hold numbers from 0 to 1, got 2
    """
    for number in index:
        if not 0 <= number < len(x):
            raise ValueError(f"{op}: index must hold numbers from 0 to {len(x) - 1:,}, got {number:,}")
    return x[index]
