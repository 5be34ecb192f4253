"""Problems as text lines: the lists beside this file, one convolution a line, and the kinds that they are of.

A line is the text form of a geometry (``mb64ic1ih28oc6oh28kh5ph2``, see `ConvGeometry.parse`); what follows a # is a
comment.
"""

import pathlib

from convcore.kernels import ConvGeometry

FOLDER = pathlib.Path(__file__).parent


def names():
    """Return the names of the lists that come with the package.

    Examples
    --------
    >>> "lenet" in names()
    True
    """
    return sorted(path.stem for path in FOLDER.glob("*.txt"))


def read(text):
    """Return the problems that a text stands for, each once, in order.

    Parameters
    ----------
    text : str
        Names of lists, files, and problems in their text form, with commas between them.

    Returns
    -------
    tuple of ConvGeometry

    Examples
    --------
    >>> [str(problem) for problem in read("ic3ih32oc8kh5ph2,ic3ih32oc8kh5ph2")]
    ['mb1ic3ih32oc8oh32kh5ph2']

    Raises
    ------
    ValueError, OSError
        None of the three; a line that is no problem; a list without any.
    """
    return tuple(dict.fromkeys(problem for part in text.split(",") for problem in _read_one(part.strip())))


def _read_one(text):
    """Return the problems of one list, given by name or as a file, or one problem."""
    path = FOLDER / f"{text}.txt" if text in names() else pathlib.Path(text)
    if path.is_file():
        return _read_file(path)
    try:
        return [ConvGeometry.parse(text)]
    except ValueError as error:
        lists = ", ".join(names())
        raise ValueError(f"problems: {text!r} is no list ({lists}), no file and no problem ({error})") from None


def _read_file(path):
    """Return the problems in a file."""
    problems = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        text = line.split("#")[0].strip()
        try:
            problems += [ConvGeometry.parse(text)] if text else []
        except ValueError as error:
            raise ValueError(f"problems: line {number} of {path}: {error}") from None
    if not problems:
        raise ValueError(f"problems: {path} holds none")
    return problems


KINDS = (
    "1 to 3 channels",
    "5×5, few channels",
    "3×3, 16 to 64 channels",
    "3×3, 64 to 512 channels",
    "1×1",
    "depthwise",
    "first layers, strided",
    "strided, grouped, dilated",
    "1-D",
    "3-D",
    "other",
)


def kind_of(geometry):
    """Return which of KINDS a problem is of: kernels that are good at one may be poor at another.

    Examples
    --------
    >>> kind_of(ConvGeometry.parse("mb64ic1ih28oc6kh5ph2")), kind_of(ConvGeometry.parse("g8mb1ic8ih28oc8kh3sh2"))
    ('1 to 3 channels', 'depthwise')
    """
    g, taps = geometry, geometry.filter_size
    if len(taps) != 2:
        return f"{len(taps)}-D"
    if g.groups > 1 and g.groups == g.in_channels:
        return "depthwise"
    if g.groups > 1 or max(g.dilation) > 1:
        return "strided, grouped, dilated"
    if max(taps) == 1:
        return "1×1"
    if max(g.stride) > 1:
        return "first layers, strided" if g.in_channels <= 4 and min(taps) >= 7 else "strided, grouped, dilated"
    if g.in_channels <= 3:
        return "1 to 3 channels"
    if max(taps) > 3:
        return "5×5, few channels" if taps == (5, 5) and g.in_channels < 16 else "other"
    least = min(g.in_channels, g.out_channels)
    if least < 16 or min(taps) < 3:
        return "other"
    small = least < 64 or (max(g.in_channels, g.out_channels) == 64 and max(g.in_size) <= 32)
    return "3×3, 16 to 64 channels" if small else "3×3, 64 to 512 channels"
