"""What an argument may be; most of it is tested where the arguments are."""

import math

import numpy as np
import pytest

from convcore import checks


def test_plain_types():
    for value in (2, 2.0, np.float32(2), np.int8(2)):
        for found in (checks.number(value, "x"), checks.finite_number(value, "x"), checks.number_from(value, "x", 0)):
            assert (type(found), found) == (float, 2.0)
    assert type(checks.integer(np.uint8(3), "x", 0)) is int
    assert checks.flag(np.True_, "x") is True
    assert checks.number(math.inf, "x") == math.inf


@pytest.mark.parametrize(
    ("call", "error", "text"),
    [
        (lambda: checks.number(True, "x"), TypeError, "x must be a number, got True"),
        (lambda: checks.number("1", "x", 'a number or "mean"'), TypeError, "x must be a number or \"mean\", got '1'"),
        (lambda: checks.number(1j, "x"), TypeError, "x must be a number, got 1j"),
        (lambda: checks.number(10**400, "x"), ValueError, "x must be a number, got one that no float can hold"),
        (lambda: checks.finite_number(math.inf, "x"), ValueError, "x must be finite, got inf"),
        (lambda: checks.finite_number(math.nan, "x"), ValueError, "x must be finite, got nan"),
        (lambda: checks.finite_number(None, "x"), TypeError, "x must be a number, got None"),
        (lambda: checks.number_from(math.nan, "x", 0), ValueError, "x must be finite and at least 0, got nan"),
        (lambda: checks.number_within(2, "x", 0, 1), ValueError, "x must lie in [0, 1], got 2"),
        (lambda: checks.positive_number(0, "x"), ValueError, "x must be finite and greater than 0, got 0"),
        (lambda: checks.integer(1.0, "x", 0), TypeError, "x must be an integer, got 1.0"),
        (lambda: checks.flag(1, "x"), TypeError, "x must be True or False, got 1"),
        (lambda: checks.one_of("c", "x", ("a", "b")), ValueError, "x must be one of a, b, got 'c'"),
    ],
)
def test_errors(call, error, text):
    with pytest.raises(error) as caught:
        call()
    assert str(caught.value) == text
