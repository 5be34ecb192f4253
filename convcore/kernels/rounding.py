"""How much rounding the automatic choice may take in return for speed.

Every variant rounds; those that add up the products of the definition, in whatever order, stay within one bound. A
variant that takes a short cut through larger numbers says by how much its bound is larger: its ROUNDING_FACTOR.
"""

import contextlib
import contextvars
import os

PRECISIONS = ("fast", "strict")

_override = contextvars.ContextVar("convcore_precision", default=None)
_process_default = None


def set_precision(kind):
    """Set for the whole process whether variants may be chosen that round more than direct summation.

    Parameters
    ----------
    kind : str
        "fast", the default: the fastest variant; "strict": only among those that round no more than direct summation.
        What a variant's rounding amounts to is measured in docs/accuracy.md.

    Raises
    ------
    TypeError, ValueError
        Anything else.

    Examples
    --------
    >>> before = get_precision()
    >>> set_precision("strict"); get_precision()
    'strict'
    >>> set_precision(before)
    """
    global _process_default
    _process_default = check(kind, "set_precision: kind")


def get_precision():
    """Return "fast" or "strict": what `precision`, `set_precision` or CONVCORE_PRECISION asks for, in this order."""
    if _override.get() is not None:
        return _override.get()
    if _process_default is not None:
        return _process_default
    return check(os.environ.get("CONVCORE_PRECISION") or "fast", "CONVCORE_PRECISION")


@contextlib.contextmanager
def precision(kind):
    """Choose among all variants ("fast") or among those that round little ("strict"), in this Python thread only.

    It holds for the automatic choice; a variant that is asked for by name is used all the same.

    Parameters
    ----------
    kind : str
        "fast" or "strict", as in `set_precision`.

    Raises
    ------
    TypeError, ValueError
        Anything else.

    Examples
    --------
    >>> with precision("strict"):
    ...     get_precision()
    'strict'
    """
    token = _override.set(check(kind, "precision: kind"))
    try:
        yield
    finally:
        _override.reset(token)


def check(kind, source):
    """Return `kind` if it is a precision, else raise a TypeError or ValueError that names `source`."""
    if not isinstance(kind, str):
        raise TypeError(f"{source} must be one of {', '.join(PRECISIONS)}, got {type(kind).__name__}")
    if kind not in PRECISIONS:
        raise ValueError(f"{source} must be one of {', '.join(PRECISIONS)}, got {kind!r}")
    return kind
