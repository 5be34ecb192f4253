"""The conv_transpose3d op: by hand, and every wrong argument. What it shares with 1-D and 2-D: test_conv_transpose."""

import numpy as np
import pytest
from numpy.testing import assert_array_equal

import convcore as cc

EIGHT = np.arange(1.0, 9).reshape(1, 1, 2, 2, 2)  # planes 1 2 / 3 4 and 5 6 / 7 8
DEEP, HIGH, WIDE = (np.array([1.0, 10, 100]).reshape(1, 1, *shape) for shape in ((3, 1, 1), (1, 3, 1), (1, 1, 3)))
FRONT, BACK = np.arange(1, 5).reshape(2, 2), np.arange(5, 9).reshape(2, 2)
NONE = np.zeros((2, 2))


def rows(text):
    """Planes of rows of numbers: ``1 2 / 3 4 | 5 6 / 7 8``."""
    return [[[float(n) for n in row.split()] for row in plane.split("/")] for plane in text.split("|")]


@pytest.mark.parametrize(
    ("weight", "options", "expected"),
    [
        (DEEP, {}, [FRONT, 10 * FRONT + BACK, 100 * FRONT + 10 * BACK, 100 * BACK]),
        (DEEP, {"bias": [7]}, [FRONT + 7, 10 * FRONT + BACK + 7, 100 * FRONT + 10 * BACK + 7, 100 * BACK + 7]),
        (DEEP, {"stride": (2, 1, 1)}, [FRONT, 10 * FRONT, 100 * FRONT + BACK, 10 * BACK, 100 * BACK]),
        (DEEP, {"dilation": (2, 1, 1)}, [FRONT, BACK, 10 * FRONT, 10 * BACK, 100 * FRONT, 100 * BACK]),
        (DEEP, {"dilation": (1, 5, 5)}, [FRONT, 10 * FRONT + BACK, 100 * FRONT + 10 * BACK, 100 * BACK]),
        (DEEP, {"cropping": (1, 0, 0, 0, 0, 0)}, [10 * FRONT + BACK, 100 * FRONT + 10 * BACK, 100 * BACK]),
        (DEEP, {"cropping": (0, 1, 0, 0, 0, 0)}, [FRONT, 10 * FRONT + BACK, 100 * FRONT + 10 * BACK]),
        (DEEP, {"cropping": (1, 0, 0)}, [10 * FRONT + BACK, 100 * FRONT + 10 * BACK]),
        (DEEP, {"cropping": (0, 3, 1, 0, 0, 1)}, rows("3")),
        (DEEP, {"cropping": "same"}, [10 * FRONT + BACK, 100 * FRONT + 10 * BACK]),
        # the odd surplus is cut at the back
        (DEEP, {"cropping": "same", "stride": (2, 1, 1)}, [FRONT, 10 * FRONT, 100 * FRONT + BACK, 10 * BACK]),
        # the filter is shorter than the step
        (DEEP, {"cropping": "same", "stride": (4, 1, 1)},
         [FRONT, 10 * FRONT, 100 * FRONT, NONE, BACK, 10 * BACK, 100 * BACK, NONE]),
        (DEEP, {"stride": (2, 1, 1), "output_padding": (1, 0, 0)},
         [FRONT, 10 * FRONT, 100 * FRONT + BACK, 10 * BACK, 100 * BACK, NONE]),
        (HIGH, {}, rows("1 2 / 13 24 / 130 240 / 300 400 | 5 6 / 57 68 / 570 680 / 700 800")),
        (HIGH, {"cropping": (0, 0, 2, 1, 0, 0)}, rows("130 240 | 570 680")),
        (HIGH, {"stride": (1, 2, 1), "cropping": "same"},
         rows("1 2 / 10 20 / 103 204 / 30 40 | 5 6 / 50 60 / 507 608 / 70 80")),
        (WIDE, {}, rows("1 12 120 200 / 3 34 340 400 | 5 56 560 600 / 7 78 780 800")),
        (WIDE, {"cropping": (0, 0, 0, 0, 2, 1)}, rows("120 / 340 | 560 / 780")),
        (WIDE, {"stride": (1, 1, 3), "output_padding": (0, 0, 2), "cropping": (0, 1, 1, 0, 0, 0)},
         rows("3 30 300 4 40 400 0 0")),
    ],
)  # fmt: skip
def test_by_hand(weight, options, expected):
    assert_array_equal(cc.conv_transpose3d(EIGHT, weight, **options).numpy()[0, 0], expected)


def test_a_full_filter_by_hand():
    """One cell writes the filter, times its value; two that overlap add up."""
    weight = np.arange(1.0, 9).reshape(1, 1, 2, 2, 2)
    one = cc.conv_transpose3d(np.full((1, 1, 1, 1, 1), 3.0), weight).numpy()
    assert_array_equal(one, 3 * weight)
    two = cc.conv_transpose3d(np.array([1.0, 10]).reshape(1, 1, 2, 1, 1), weight).numpy()
    assert_array_equal(two[0, 0], rows("1 2 / 3 4 | 15 26 / 37 48 | 50 60 / 70 80"))


def test_channels_filters_and_groups_by_hand():
    x = np.arange(1.0, 5).reshape(1, 4, 1, 1, 1)
    weight = np.array([[1.0, 10], [2, 20], [3, 30], [4, 40]])[:, :, None, None, None]
    assert_array_equal(cc.conv_transpose3d(x, weight).numpy().ravel(), [1 + 4 + 9 + 16, 10 + 40 + 90 + 160])
    assert_array_equal(cc.conv_transpose3d(x, weight, groups=2).numpy().ravel(), [5, 50, 25, 250])
    assert_array_equal(cc.conv_transpose3d(x, weight, groups=4).numpy().ravel(), [1, 10, 4, 40, 9, 90, 16, 160])


X, W, B = np.ones((2, 3, 4, 5, 6)), np.ones((3, 4, 2, 3, 1)), np.ones(4)
ARRAY = "must be float32, float64, integers or booleans, got"
SHAPES = "(x (2, 3, 4, 5, 6), weight (3, 4, 2, 3, 1))"
SIZE = "must be an int or 3 ints, got"
VARIANTS = ", ".join(cc.kernels.variants("conv3d"))


@pytest.mark.parametrize(
    ("arguments", "error", "text"),
    [
        ({"x": X.astype(object)}, TypeError, f"x {ARRAY} ndarray"),
        ({"weight": None}, TypeError, f"weight {ARRAY} NoneType"),
        ({"bias": "a"}, TypeError, f"bias {ARRAY} dtype <U1"),
        ({"bias": B.astype(np.float32)}, TypeError,
         "arrays must share one dtype: x is float64, weight is float64, bias is float32"),
        ({"x": X[0]}, ValueError, "x must have 5 axes, got 4 (x (3, 4, 5, 6), weight (3, 4, 2, 3, 1))"),
        ({"weight": W[0]}, ValueError, "weight must have 5 axes, got 4 (x (2, 3, 4, 5, 6), weight (4, 2, 3, 1))"),
        ({"x": X[:, :, :0]}, ValueError, "x has an axis of size 0 (x (2, 3, 0, 5, 6), weight (3, 4, 2, 3, 1))"),
        ({"weight": W[:, :, :0]}, ValueError,
         "weight has an axis of size 0 (x (2, 3, 4, 5, 6), weight (3, 4, 0, 3, 1))"),
        ({"x": X[:, :1]}, ValueError,
         "weight expects 3 input channels, x has 1 (x (2, 1, 4, 5, 6), weight (3, 4, 2, 3, 1))"),
        ({"bias": B[:3]}, ValueError, "bias must have shape (4,), got (3,) (weight (3, 4, 2, 3, 1))"),
        *[({name: value}, error, f"{name} {text}") for name in ("stride", "dilation") for value, error, text in [
            (0, ValueError, "must be at least 1, got 0"),
            ((1, 1, -1), ValueError, "must be at least 1, got (1, 1, -1)"),
            ((1, 2), ValueError, f"{SIZE} 2"),
            (1.5, TypeError, f"{SIZE} 1.5"),
            (True, TypeError, f"{SIZE} True"),
            (None, TypeError, f"{SIZE} None"),
            (2**40, ValueError, "must be at most 2**31, got 1099511627776"),
        ]],
        ({"cropping": -1}, ValueError, "cropping must be at least 0, got -1"),
        ({"cropping": (1, 2)}, ValueError, "cropping must be an int, 3 ints or 6 ints, got 2"),
        ({"cropping": (1, 2, 3, 4)}, ValueError, "cropping must be an int, 3 ints or 6 ints, got 4"),
        ({"cropping": True}, TypeError, f"cropping {SIZE} True"),
        ({"cropping": None}, TypeError, f"cropping {SIZE} None"),
        *[({"cropping": word}, ValueError, f'cropping must be "same" or numbers, got {word!r}')
          for word in ("valid", "full", "causal")],
        ({"cropping": (2, 3, 0, 0, 0, 0)}, ValueError, f"the output has 5 cells in depth, cropping takes 5 {SHAPES}"),
        ({"cropping": (0, 4, 0)}, ValueError, f"the output has 7 cells in height, cropping takes 8 {SHAPES}"),
        ({"cropping": (0, 0, 3)}, ValueError, f"the output has 6 cells in width, cropping takes 6 {SHAPES}"),
        ({"output_padding": -1}, ValueError, "output_padding must be at least 0, got -1"),
        ({"output_padding": (0, 0, 1), "stride": (2, 2, 1)}, ValueError,
         "output_padding must be smaller than stride (2, 2, 1), got (0, 0, 1)"),
        ({"output_padding": (0, 0)}, ValueError, f"output_padding {SIZE} 2"),
        ({"output_padding": 1.0}, TypeError, f"output_padding {SIZE} 1.0"),
        ({"groups": 0}, ValueError, "groups must be at least 1, got 0"),
        ({"groups": 1.5}, TypeError, "groups must be an int, got 1.5"),
        ({"groups": 2}, ValueError, f"3 channels cannot be split into 2 groups {SHAPES}"),
    ],
)  # fmt: skip
def test_bad_input(arguments, error, text):
    cc.conv_transpose3d(X, W, B)  # what is remembered for good arguments must not answer for bad ones that equal them
    with pytest.raises(error) as caught:
        cc.conv_transpose3d(**{"x": X, "weight": W, "bias": B, **arguments})
    assert str(caught.value) == f"conv_transpose3d: {text}"


@pytest.mark.parametrize("variant", ["fast", 3])
def test_a_variant_is_one_of_the_convolution(variant):
    with pytest.raises(ValueError) as caught:
        cc.conv_transpose3d(X, W, variant=variant)
    assert str(caught.value) == f"conv3d: variant must be one of {VARIANTS}, got {variant!r}"
