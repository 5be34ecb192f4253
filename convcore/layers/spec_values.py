"""Values as the specification prints them in the properties of a layer."""

import numpy as np


def spec_number(value):
    """Print a number: whole ones as they are, the others with four digits behind the point.

    Examples
    --------
    >>> spec_number(2.0), spec_number(0.75), spec_number(1e-5), spec_number(-1234.5)
    ('2', '0.7500', '1.0000e-05', '-1.2345e+03')
    """
    if value == int(value):
        return str(int(value))
    return f"{value:.4f}" if 1e-3 <= abs(value) < 1e3 else f"{value:.4e}"


def spec_channels(values):
    """Print the size and type of an array with one value per channel, and "[]" for None.

    Examples
    --------
    >>> spec_channels(np.zeros(16, np.float32)), spec_channels(None)
    ('[1x1x16 single]', '[]')
    """
    if values is None:
        return "[]"
    return f"[1x1x{values.shape[0]} {'single' if values.dtype == np.float32 else 'double'}]"
