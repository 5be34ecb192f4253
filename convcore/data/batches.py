"""The order of the images in an epoch, and the mini-batches cut from it.

Everything here is a pure function of seed and epoch: a run that is resumed in the middle of an epoch draws the same
order again and goes on at its batch number, with no generator state to store.
"""

import numpy as np

from convcore.checks import integer

SHUFFLES = ("once", "every-epoch", "never")
SHUFFLE_STREAM = 0x6F726472  # "ordr": keeps these draws apart from whatever else is drawn from the same seed


def epoch_order(count, shuffle, seed, epoch):
    """Return the order in which an epoch visits the images.

    Parameters
    ----------
    count : int
        Number of images.
    shuffle : {"once", "every-epoch", "never"}
        One order drawn from the seed for all epochs; a new one for each; or 0, 1, 2, ...
    seed, epoch : int, from 0

    Returns
    -------
    ndarray, shape (count,), int64, a permutation of 0 to count - 1

    Raises
    ------
    TypeError
        A count, seed or epoch that is no integer.
    ValueError
        A negative one; an unknown `shuffle`.

    Notes
    -----
    Sorts the raw output of PCG64: NumPy promises the bits of a bit generator for all versions and machines, of
    ``Generator.permutation`` it does not.

    Examples
    --------
    >>> epoch_order(6, "once", seed=0, epoch=1)
    array([3, 5, 1, 4, 2, 0])
    >>> epoch_order(6, "never", seed=0, epoch=1)
    array([0, 1, 2, 3, 4, 5])
    """
    count = integer(count, "epoch_order: count", 0)
    seed = integer(seed, "epoch_order: seed", 0)
    epoch = integer(epoch, "epoch_order: epoch", 0)
    if shuffle not in SHUFFLES:
        raise ValueError(f"epoch_order: shuffle must be one of {', '.join(SHUFFLES)}, got {shuffle!r}")
    if shuffle == "never":
        return np.arange(count, dtype=np.int64)
    stream = (SHUFFLE_STREAM,) if shuffle == "once" else (SHUFFLE_STREAM, epoch)
    keys = np.random.PCG64(np.random.SeedSequence(seed, spawn_key=stream)).random_raw(count)  # (count,) uint64
    return keys.argsort(kind="stable").astype(np.int64, copy=False)


def num_batches(count, batch_size, drop_last=False):
    """Return the number of mini-batches in an epoch of `count` images; a last, smaller one counts unless dropped.

    Raises
    ------
    TypeError, ValueError
        A count that is not an integer from 0, a batch size that is not an integer from 1.

    Examples
    --------
    >>> num_batches(1442, 128), num_batches(1442, 128, drop_last=True)
    (12, 11)
    """
    count = integer(count, "num_batches: count", 0)
    batch_size = integer(batch_size, "num_batches: batch_size", 1)
    return count // batch_size if drop_last else -(-count // batch_size)


def batches(x, y, order, batch_size, drop_last=False, start=0):
    """Iterate over the mini-batches of an epoch.

    Parameters
    ----------
    x, y : ndarray, shape (N, ...), or tuple of such arrays
        Images and targets, of any dtype; each batch keeps it (uint8 stays uint8). Of a tuple (several inputs), each
        batch is a tuple, too.
    order : ndarray, shape (M,), integers from 0 to N - 1
        As from `epoch_order`; a part of the images will do.
    batch_size : int, images
    drop_last : bool
        Leave out the last batch if it is smaller.
    start : int
        Number of the first batch to give, from 0: where a resumed epoch goes on.

    Returns
    -------
    iterator of (x[i], y[i]); one batch at a time is copied, nothing else

    Raises
    ------
    TypeError
        An `order` of other than integers, a size that is none.
    ValueError
        x and y of different length, an `order` that is not one-dimensional or reaches outside x, a batch size
        below 1, a `start` outside 0 to the number of batches.

    Examples
    --------
    >>> x, y = np.arange(5) * 10, np.arange(5)
    >>> for batch in batches(x, y, order=np.array([4, 3, 2, 1, 0]), batch_size=2, start=1):
    ...     print(*batch)
    [20 10] [2 1]
    [0] [0]
    """
    x, y = (value if isinstance(value, tuple) else np.asarray(value) for value in (x, y))
    order = np.asarray(order)
    check_lengths(x, y, "batches", "images")
    if order.ndim != 1:
        raise ValueError(f"batches: order must have 1 dimension, got {order.ndim} {order.shape}")
    if order.size and order.dtype.kind not in "iu":
        raise TypeError(f"batches: order must hold integers, got {order.dtype}")
    for index in (order.min(), order.max()) if order.size else ():
        if not 0 <= index < count_of(x):
            raise ValueError(f"batches: order must hold indices from 0 to {count_of(x) - 1:,}, got {index:,}")
    batch_size = integer(batch_size, "batches: batch_size", 1)
    stop = num_batches(len(order), batch_size, drop_last)
    start = integer(start, "batches: start", 0)
    if start > stop:
        raise ValueError(f"batches: start must lie in [0, {stop:,}], got {start:,}")
    parts = (order[number * batch_size : (number + 1) * batch_size] for number in range(start, stop))
    return ((take(x, part), take(y, part)) for part in parts)


def take(values, part):
    """Return ``values[part]`` of an array, or of each array in a tuple.

    Examples
    --------
    >>> take((np.array([1, 2, 3]), np.array([4, 5, 6])), slice(2))
    (array([1, 2]), array([4, 5]))
    """
    if isinstance(values, tuple):
        return tuple(take(array, part) for array in values)
    gathered = isinstance(part, np.ndarray) and part.dtype.kind in "iu"
    return values.take(part, axis=0) if gathered else values[part]  # what an index array gives, in half the time


def count_of(values):
    """Return the number of observations in an array, or in a tuple of arrays of one length."""
    return len(values[0]) if isinstance(values, tuple) else len(values)


def check_lengths(x, y, what, noun):
    """Raise a ValueError unless all arrays have a batch axis of one length; return their shapes as a text.

    Parameters
    ----------
    x, y : ndarray or tuple of ndarray
    what, noun : str
        The argument's name in errors, and what x holds.
    """
    arrays = [value if isinstance(value, tuple) else (value,) for value in (x, y)]
    texts = [f"{name} {' and '.join(str(a.shape) for a in group)}" for name, group in zip("xy", arrays, strict=True)]
    shapes = f"({', '.join(texts)})"
    if any(array.ndim == 0 for group in arrays for array in group):
        raise ValueError(f"{what}: x and y need a batch axis {shapes}")
    if len({len(array) for group in arrays for array in group}) > 1:
        raise ValueError(f"{what}: x holds {count_of(x):,} {noun}, y {count_of(y):,} targets {shapes}")
    return shapes
