"""What counts as an array of numbers, decided in one place for tensors, kernels and data."""

import contextlib
import functools
import math
import numbers

import numpy as np

FLOATS = (np.dtype(np.float32), np.dtype(np.float64))


def is_scalar(value):
    """Whether `value` is one Python or NumPy number, which takes the dtype of whatever it meets."""
    return isinstance(value, (numbers.Real, np.bool_)) and not isinstance(value, np.ndarray)


def as_float_array(value, what):
    """Return `value` as a NumPy array of float32 or float64.

    Float arrays keep their dtype and are not copied; lists, integers and booleans become float64, values
    as they are. `what` names the value in the error, for example ``"conv2d: x"``.

    Raises
    ------
    TypeError
        Complex numbers, objects, strings, other float widths, ragged lists.

    Examples
    --------
    >>> as_float_array([1, 2], "demo: x")
    array([1., 2.])
    """
    if type(value) is np.ndarray and value.dtype in FLOATS:
        return value
    try:
        array = np.asarray(value)
    except ValueError as error:
        raise TypeError(f"{what} must be an array of numbers, got a ragged {type(value).__name__}") from error
    if array.dtype in FLOATS:
        return array
    if array.dtype.newbyteorder("=") in FLOATS:  # the other byte order
        return array.astype(array.dtype.newbyteorder("="))
    if array.dtype.kind in "biu":
        return array.astype(np.float64)
    if array.size == 0 and isinstance(value, (list, tuple)):
        return array.astype(np.float64)
    got = type(value).__name__ if array.dtype.kind == "O" else f"dtype {array.dtype}"
    raise TypeError(f"{what} must be float32, float64, integers or booleans, got {got}")


@functools.lru_cache(maxsize=128)
def lasting_ones(shape, dtype):
    """Return the same array each time, which nobody can write to: plans of repeated work know it again.

    Examples
    --------
    >>> lasting_ones((2,), np.dtype(np.float32)) is lasting_ones((2,), np.dtype(np.float32))
    True
    """
    ones = np.ones(shape, dtype)
    ones.flags.writeable = False
    return ones


def as_numbers(value, what):
    """Return integers and booleans as an array of their own dtype, to be cast later in one step; the rest as floats.

    Raises
    ------
    TypeError
        As `as_float_array`.

    Examples
    --------
    >>> as_numbers([1, 2], "demo: x").dtype.kind
    'i'
    """
    with contextlib.suppress(ValueError):  # a ragged list: as_float_array says so
        array = np.asarray(value)
        if array.dtype.kind in "biu":
            return array
    return as_float_array(value, what)


def way_to_batch(shape, wanted):
    """Return how arrays of a shape become batches of observations of another, as the end of an error; or nothing.

    Examples
    --------
    >>> way_to_batch((60000, 28, 28, 1), (1, 28, 28))
    '; channels come first: x.transpose(0, 3, 1, 2)'
    >>> way_to_batch((60000, 28, 28), (1, 28, 28))
    '; the axis of channels is missing: x.reshape(-1, 1, 28, 28)'
    >>> way_to_batch((60000, 784), (1, 28, 28))
    '; rows of pixels are no images yet: x.reshape(-1, 1, 28, 28)'
    >>> way_to_batch((60000, 32, 32, 3), (1, 28, 28))
    ''
    """
    observation, rank = tuple(shape[1:]), len(wanted)
    if rank < 2 or not observation:
        return ""
    reshaped = f"x.reshape(-1, {', '.join(map(str, wanted))})"
    if observation != wanted and observation == (*wanted[1:], wanted[0]):
        return f"; channels come first: x.transpose(0, {rank}, {', '.join(map(str, range(1, rank)))})"
    if wanted[0] == 1 and observation == tuple(wanted[1:]):
        return f"; the axis of channels is missing: {reshaped}"
    if observation == (math.prod(wanted),):
        return f"; rows of pixels are no images yet: {reshaped}"
    return ""


def same_dtype(op, **arrays):
    """Return the one dtype that all given arrays share; None entries are passed over.

    Raises
    ------
    TypeError
        float32 and float64 together; the error says which is which.
    """
    dtype, alike = None, True
    for array in arrays.values():
        if array is not None:
            dtype = array.dtype if dtype is None else dtype
            alike = alike and array.dtype == dtype
    if alike and dtype is not None:
        return dtype
    listing = ", ".join(f"{name} is {array.dtype}" for name, array in arrays.items() if array is not None)
    raise TypeError(f"{op}: arrays must share one dtype: {listing}")
