"""What layers with a sliding window take, in any number of dimensions: inputs, sizes and padding."""

import numpy as np

from convcore.kernels.windows import one_each_end, padding_pairs, per_axis

INPUTS = {
    1: "sequences (channels, width)",
    2: "images (channels, height, width)",
    3: "volumes (channels, depth, height, width)",
}


def window_size(value, rank, what, minimum=1):
    """Return an argument with one number per spatial dimension: a plain int in 1-D, else a tuple.

    Raises
    ------
    TypeError, ValueError
        No whole number; the wrong count; below the minimum.

    Examples
    --------
    >>> window_size(3, 2, "demo: stride"), window_size((3,), 1, "demo: stride")
    ((3, 3), 3)
    """
    sizes = per_axis(value, rank, what, minimum)
    return sizes[0] if rank == 1 else sizes


def window_padding(padding, rank, what, words=("same",)):
    """Return a layer's padding as one of `words`, or as (before, after) of each spatial dimension in a row.

    Parameters
    ----------
    padding : str, int or sequence of int
        One of `words`; for all ends; one per dimension; or both ends of each dimension, pixels.
    rank : int
        The number of spatial dimensions.
    what : str
        How an error begins.
    words : tuple of str
        Those that the layer takes: their sizes depend on the input, or on the filter.

    Raises
    ------
    TypeError, ValueError
        No whole number; the wrong count; below 0; another word.

    Examples
    --------
    >>> window_padding((1, 0), 2, "demo: padding")
    (1, 1, 0, 0)
    >>> window_padding("causal", 1, "demo: padding", words=("same", "causal"))
    'causal'
    """
    if isinstance(padding, str):
        if padding not in words:
            known = ", ".join(f'"{word}"' for word in words)
            raise ValueError(f"{what} must be {known}, {one_each_end(rank)}, got {padding!r}")
        return padding
    padding = padding.tolist() if isinstance(padding, np.ndarray) else padding
    ones = (1,) * rank  # sizes do not matter where there are no words
    return tuple(end for pair in padding_pairs(padding, ones, ones, ones, ones, what) for end in pair)
