"""How much rounding the automatic choice may take in return for speed.

Every variant rounds; those that add up the products of the definition, in whatever order, stay within one bound. A
variant that takes a short cut through larger numbers says by how much its bound is larger: its ROUNDING_FACTOR.
"""

from convcore.settings import Setting

PRECISION = Setting("precision", ("fast", "strict"))


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
    PRECISION.set(kind)


def get_precision():
    """Return "fast" or "strict": what `precision`, `set_precision` or CONVCORE_PRECISION asks for, in this order."""
    return PRECISION.get()


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
    return PRECISION.inside(kind)
