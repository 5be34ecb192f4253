"""A window that slides over padded cells: its sizes as users give them, and how often it fits.

What `ConvGeometry` and `PoolGeometry` share, and what layers check at construction, before there is an input.
"""

import functools
import numbers
import re

import numpy as np

from convcore.checks import number

AXES = {1: ("w",), 2: ("h", "w"), 3: ("d", "h", "w")}
# What the cells around an image hold: a number, or a pattern of the image's own cells. With what numpy.pad calls it.
PADDING_MODES = {
    "constant": "constant",
    "symmetric-include-edge": "symmetric",
    "symmetric-exclude-edge": "reflect",
    "replicate": "edge",
    "circular": "wrap",
}
LARGEST_PADDING = 2**24
AXIS_WORDS = {"d": "depth", "h": "height", "w": "width"}


def per_axis(value, rank, what, minimum):
    """Return `value`, an int or one int per spatial dimension, as a tuple of `rank` ints.

    Raises
    ------
    TypeError, ValueError
        No whole number; the wrong count; smaller than `minimum`.

    Examples
    --------
    >>> per_axis(2, 2, "conv2d: stride", 1)
    (2, 2)
    """
    values = (value,) * rank if isinstance(value, numbers.Integral) else value
    if not holds_ints(values):
        raise TypeError(f"{what} must be {one_each(rank)}, got {value!r}")
    if len(values) != rank:
        raise ValueError(f"{what} must be {one_each(rank)}, got {len(values)}")
    if min(values) < minimum:
        raise ValueError(f"{what} must be at least {minimum}, got {value!r}")
    if max(values) > 2**31:
        raise ValueError(f"{what} must be at most 2**31, got {value!r}")
    return tuple(int(v) for v in values)


def one_each(rank):
    """Return how an error asks for one number per dimension: "an int" in 1-D, else "an int or 2 ints"."""
    return "an int" if rank == 1 else f"an int or {rank} ints"


def one_each_end(rank):
    """Return how an error asks for one number per dimension or end: "an int or 2 ints", "an int, 2 ints or 4 ints"."""
    return "an int or 2 ints" if rank == 1 else f"an int, {rank} ints or {2 * rank} ints"


def is_sequence(value):
    """Whether `value` is a tuple, a list or an array with axes."""
    return isinstance(value, (tuple, list)) or (isinstance(value, np.ndarray) and value.ndim > 0)


def holds_ints(value):
    """Whether `value` is a tuple, a list or an array of whole numbers; truth values are none."""
    return is_sequence(value) and all(isinstance(v, numbers.Integral) and not isinstance(v, bool) for v in value)


def check_shape(shape, what):
    """Raise a TypeError if `shape` is not a tuple of ints."""
    if not isinstance(shape, tuple) or not holds_ints(shape):
        raise TypeError(f"{what} must be a tuple of ints, got {shape!r}")


def remembered(function):
    """Remember what a validation returned, because a training step asks the same again and again.

    Lists count as tuples. Only plain ints, floats and words are looked up: True and 1.0 equal 1 and must not find the
    answer that belongs to it, and what cannot be looked up must get its error from the validation itself.
    """
    cached = functools.lru_cache(maxsize=1024, typed=True)(function)

    @functools.wraps(function)
    def remembering(*arguments):
        for argument in arguments:  # plain loops: half the time of all() and any()
            kind = type(argument)
            if kind is tuple:
                for number in argument:
                    if type(number) is not int:
                        return function(*arguments)
            elif kind is list:
                return remembering(*[tuple(a) if type(a) is list else a for a in arguments])
            elif kind not in _PLAIN:
                return function(*arguments)
        return cached(*arguments)

    return remembering


_PLAIN = {int, float, str, type(None)}


def padding_pairs(padding, in_size, filter_size, stride, dilation, what):
    """Return `padding` as one (before, after) pair per spatial dimension.

    `padding` is an int, one int per dimension, both ends of each dimension in a row, or "same", "valid", "full".
    "same" depends on the input's size when the stride is above 1; an odd surplus goes to the bottom and the right, with
    "same-lower" (ONNX's SAME_LOWER) to the top and the left. In one dimension "causal" pads the left alone, so that no
    output looks ahead.

    Examples
    --------
    >>> padding_pairs("same", (28, 28), (4, 4), (1, 1), (1, 1), "conv2d: padding")
    ((1, 2), (1, 2))
    """
    rank = len(in_size)
    if isinstance(padding, str):
        reach = [(f - 1) * d for f, d in zip(filter_size, dilation, strict=True)]
        if padding == "valid":
            return ((0, 0),) * rank
        if padding == "full":
            return tuple((r, r) for r in reach)
        if padding in ("same", "same-lower"):
            totals = [max(0, (-(-i // s) - 1) * s + r + 1 - i) for i, s, r in zip(in_size, stride, reach, strict=True)]
            pairs = [(total // 2, total - total // 2) for total in totals]
            return tuple(pairs if padding == "same" else [pair[::-1] for pair in pairs])
        if padding == "causal" and rank == 1:
            return ((reach[0], 0),)
        words = '"same", "valid", "full"' + (', "causal"' if rank == 1 else "")
        raise ValueError(f"{what} must be {words} or numbers, got {padding!r}")
    count = len(padding) if is_sequence(padding) else rank
    if count not in (rank, 2 * rank):
        raise ValueError(f"{what} must be {one_each_end(rank)}, got {count}")
    values = per_axis(padding, count, what, 0)
    if max(values) > LARGEST_PADDING:
        raise ValueError(f"{what} must be at most 2**24, got {padding!r}")
    return tuple((p, p) for p in values) if count == rank else tuple(zip(values[::2], values[1::2], strict=True))


def padding_value_of(value, what):
    """Return a padding value, a number or a word of PADDING_MODES, checked.

    Examples
    --------
    >>> padding_value_of(1, "conv2d: padding_value"), padding_value_of("replicate", "conv2d: padding_value")
    (1.0, 'replicate')
    """
    words = [mode for mode in PADDING_MODES if mode != "constant"]
    kinds = f"a number or one of {', '.join(words)}"
    if isinstance(value, str):
        if value not in words:
            raise ValueError(f"{what} must be {kinds}, got {value!r}")
        return value
    return number(value, what, kinds)


def out_size(in_size, padding, extent, stride, what, ceil_mode=False):
    """Return how many steps of `stride` a window of `extent` cells takes over each padded dimension.

    In ceil mode the last window may reach beyond the padded input, if it begins in the input or before it.

    Raises
    ------
    ValueError
        A dimension in which the window does not fit once.
    """
    size = []
    for axis, i, (before, after), e, s in zip(AXES[len(in_size)], in_size, padding, extent, stride, strict=True):
        steps, rest = divmod(i + before + after - e, s)
        if ceil_mode and rest and (steps + 1) * s < i + before:
            steps += 1
        if steps < 0:
            word = AXIS_WORDS[axis]
            raise ValueError(f"{what} covers {e} cells in {word}, the padded input has {i + before + after}")
        size.append(steps + 1)
    return tuple(size)


def spatial_text(letter, values, default):
    """Return the text form of one value per dimension: nothing for the default, one value where all are alike."""
    axes = AXES[len(values)]
    if all(v == default for v in values):
        return ""
    if len(set(values)) == 1 and len(values) > 1:
        return f"{letter[0]}{'h' if len(values) == 2 else 'd'}{letter[1:]}{values[0]}"
    return "".join(f"{letter[0]}{axis}{letter[1:]}{v}" for axis, v in zip(axes, values, strict=True))


def read_fields(text, pattern):
    """Return the fields of a problem's text form as a dict of key to value, both str.

    Parameters
    ----------
    text : str
    pattern : str
        A regular expression for one field, with a pair of groups, key and value, per kind of field.

    Raises
    ------
    TypeError, ValueError
        No str; text that is no field, or one that comes twice.

    Examples
    --------
    >>> read_fields("ih28kh2", r"([ik]h)(\\d+)")
    {'ih': '28', 'kh': '2'}
    """
    if not isinstance(text, str):
        raise TypeError(f"geometry: the text form must be a str, got {type(text).__name__}")
    fields, end = {}, 0
    for match in re.finditer(pattern, text):
        key, value = (part for part in match.groups() if part is not None)
        if match.start() != end or key in fields:
            break
        fields[key], end = value, match.end()
    if end != len(text) or not text:
        raise ValueError(f"geometry: cannot read {text[end:]!r} in {text!r}")
    return fields
