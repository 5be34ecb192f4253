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


def spec_value(value):
    """Print a property: words in quotes, several numbers in brackets, a truth value as 0 or 1.

    Examples
    --------
    >>> spec_value("auto"), spec_value((5, 5)), spec_value(0.5)
    ("'auto'", '[5 5]', '0.5000')
    """
    if isinstance(value, str):
        return f"'{value}'"
    return spec_list(value) if isinstance(value, tuple) else spec_number(value)


def spec_array(values, sizes=None):
    """Print the size and type of an array, and "[]" for None; `sizes` are its own unless given.

    Examples
    --------
    >>> spec_array(np.zeros((32, 3, 5, 5)), (5, 5, 3, 32)), spec_array(None)
    ('[5x5x3x32 double]', '[]')
    """
    if values is None:
        return "[]"
    sizes = values.shape if sizes is None else sizes
    return f"[{'x'.join(str(n) for n in sizes)} {'single' if values.dtype == np.float32 else 'double'}]"


def spec_channels(values):
    """Print the size and type of an array with one value per channel, and "[]" for None.

    Examples
    --------
    >>> spec_channels(np.zeros(16, np.float32)), spec_channels(None)
    ('[1x1x16 single]', '[]')
    """
    return spec_array(values, None if values is None else (1, 1, values.shape[0]))


def spec_function(function):
    """Print a function as its name.

    Examples
    --------
    >>> spec_function(np.negative)
    '@negative'
    """
    return f"@{getattr(function, '__name__', type(function).__name__)}"


def spec_inputs(layer):
    """Return the rows of a layer with several inputs: how many, and their names.

    Examples
    --------
    >>> from convcore.layers import Addition
    >>> spec_inputs(Addition())
    [('NumInputs', 2), ('InputNames', "{'in1'  'in2'}")]
    """
    names = "  ".join(f"'{name}'" for name in layer.input_names)
    return [("NumInputs", layer.num_inputs), ("InputNames", f"{{{names}}}")]


def spec_list(values):
    """Print numbers as the specification does: ``[5 5]``.

    Examples
    --------
    >>> spec_list((1, 1, 0, 0))
    '[1 1 0 0]'
    """
    return "[" + " ".join(str(v) for v in values) + "]"


def spec_block(title, rows):
    """Return rows of (property, value) and headings, laid out as the specification prints a layer."""
    width = max(len(row[0]) for row in rows if isinstance(row, tuple))
    lines = [f"{title} with properties:", ""]
    for row in rows:
        if isinstance(row, str):
            lines += ["", f"   {row}"]
        else:
            lines.append(f"    {row[0]:>{width}}: {row[1]}")
    return "\n".join(lines)
