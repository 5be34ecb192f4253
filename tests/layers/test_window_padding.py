import numpy as np
import pytest

from convcore.layers.window_padding import window_padding


@pytest.mark.parametrize(
    ("padding", "rank", "expected"),
    [
        (0, 1, (0, 0)),
        (2, 1, (2, 2)),
        ((2,), 1, (2, 2)),
        ((2, 1), 1, (2, 1)),
        (1, 2, (1, 1, 1, 1)),
        ([1, 0], 2, (1, 1, 0, 0)),
        (np.array([0, 1, 2, 3]), 2, (0, 1, 2, 3)),
        (np.int64(3), 2, (3, 3, 3, 3)),
        ((1, 2, 3), 3, (1, 1, 2, 2, 3, 3)),
        ((0, 1, 2, 3, 4, 5), 3, (0, 1, 2, 3, 4, 5)),
        ("same", 3, "same"),
    ],
)
def test_all_forms(padding, rank, expected):
    got = window_padding(padding, rank, "demo: padding")
    assert got == expected
    assert isinstance(got, str) or all(type(end) is int for end in got)


def test_words_are_those_of_the_layer():
    assert window_padding("causal", 1, "demo: padding", words=("same", "causal")) == "causal"
    with pytest.raises(ValueError) as caught:
        window_padding("full", 1, "demo: padding", words=("same", "causal"))
    assert str(caught.value) == 'demo: padding must be "same", "causal", an int or 2 ints, got \'full\''


@pytest.mark.parametrize(
    ("padding", "rank", "error", "text"),
    [
        ("causal", 2, ValueError, "must be \"same\", an int, 2 ints or 4 ints, got 'causal'"),
        (-1, 1, ValueError, "must be at least 0, got -1"),
        ((1, 2, 3), 1, ValueError, "must be an int or 2 ints, got 3"),
        ((1, 2), 3, ValueError, "must be an int, 3 ints or 6 ints, got 2"),
        (None, 1, TypeError, "must be an int, got None"),
        (1.0, 3, TypeError, "must be an int or 3 ints, got 1.0"),
        ((1, True), 2, TypeError, "must be an int or 2 ints, got (1, True)"),
    ],
)
def test_bad_input(padding, rank, error, text):
    with pytest.raises(error) as caught:
        window_padding(padding, rank, "demo: padding")
    assert str(caught.value) == f"demo: padding {text}"
