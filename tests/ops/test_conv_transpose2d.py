"""The conv_transpose2d op: by hand, and every wrong argument. What it shares with 1-D and 3-D: test_conv_transpose."""

import numpy as np
import pytest
from numpy.testing import assert_array_equal

import convcore as cc

FOUR = np.array([[[[1.0, 2.0], [3.0, 4.0]]]])
TENS = np.array([[[[1.0, 10.0], [100.0, 1000.0]]]])
WHOLE = [[1, 12, 20], [103, 1234, 2040], [300, 3400, 4000]]
BLOCKS = [[1, 10, 2, 20], [100, 1000, 200, 2000], [3, 30, 4, 40], [300, 3000, 400, 4000]]


def cut(rows, top=0, bottom=0, left=0, right=0):
    return [row[left : len(row) - right] for row in rows[top : len(rows) - bottom]]


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, WHOLE),  # in the middle 1·1000 + 2·100 + 3·10 + 4·1: all four cells reach it
        ({"bias": [5]}, np.add(WHOLE, 5)),
        ({"stride": 2}, BLOCKS),
        ({"stride": (1, 2)}, [[1, 10, 2, 20], [103, 1030, 204, 2040], [300, 3000, 400, 4000]]),
        ({"stride": (2, 1)}, [[1, 12, 20], [100, 1200, 2000], [3, 34, 40], [300, 3400, 4000]]),
        ({"stride": 3}, [[1, 10, 0, 2, 20], [100, 1000, 0, 200, 2000], [0] * 5,
                         [3, 30, 0, 4, 40], [300, 3000, 0, 400, 4000]]),
        ({"dilation": 2}, [[1, 2, 10, 20], [3, 4, 30, 40], [100, 200, 1000, 2000], [300, 400, 3000, 4000]]),
        ({"dilation": (1, 2)}, [[1, 2, 10, 20], [103, 204, 1030, 2040], [300, 400, 3000, 4000]]),
        ({"stride": 2, "output_padding": (1, 0)}, [*BLOCKS, [0] * 4]),  # at the bottom
        ({"stride": 2, "output_padding": (0, 1)}, [[*row, 0] for row in BLOCKS]),  # at the right
        ({"stride": (1, 2), "output_padding": (0, 1), "bias": [5]},
         [[6, 15, 7, 25, 5], [108, 1035, 209, 2045, 5], [305, 3005, 405, 4005, 5]]),
        ({"cropping": 1}, [[1234]]),
        ({"cropping": (1, 0)}, [[103, 1234, 2040]]),
        ({"cropping": (0, 1)}, [[12], [1234], [3400]]),
        ({"cropping": (1, 0, 0, 0)}, cut(WHOLE, top=1)),
        ({"cropping": (0, 1, 0, 0)}, cut(WHOLE, bottom=1)),
        ({"cropping": (0, 0, 1, 0)}, cut(WHOLE, left=1)),
        ({"cropping": (0, 0, 0, 1)}, cut(WHOLE, right=1)),
        ({"cropping": (0, 1, 2, 0)}, [[20], [2040]]),
        ({"stride": 2, "cropping": (1, 2, 0, 3)}, [[100]]),
        ({"stride": 2, "cropping": (0, 3, 2, 0), "output_padding": 1}, [[2, 20, 0], [200, 2000, 0]]),
        ({"cropping": "same"}, [[1, 12], [103, 1234]]),  # the odd surplus is cut at the bottom and the right
        ({"cropping": "same", "stride": 2}, BLOCKS),
        ({"cropping": "same", "stride": (1, 2)}, [[1, 10, 2, 20], [103, 1030, 204, 2040]]),
        # the filter is shorter than the step: the last cells are reached by nothing
        ({"cropping": "same", "stride": 3}, [[1, 10, 0, 2, 20, 0], [100, 1000, 0, 200, 2000, 0], [0] * 6,
                                             [3, 30, 0, 4, 40, 0], [300, 3000, 0, 400, 4000, 0], [0] * 6]),
        ({"cropping": "same", "dilation": (2, 1)}, [[3, 34], [100, 1200]]),
    ],
)  # fmt: skip
def test_by_hand(options, expected):
    assert_array_equal(cc.conv_transpose2d(FOUR, TENS, **options).numpy()[0, 0], expected)


def test_channels_filters_and_groups_by_hand():
    x = np.arange(1.0, 5).reshape(1, 4, 1, 1)
    weight = np.array([[1.0, 10], [2, 20], [3, 30], [4, 40]])[:, :, None, None]
    assert_array_equal(cc.conv_transpose2d(x, weight).numpy().ravel(), [1 + 4 + 9 + 16, 10 + 40 + 90 + 160])
    assert_array_equal(cc.conv_transpose2d(x, weight, groups=2).numpy().ravel(), [5, 50, 25, 250])
    assert_array_equal(cc.conv_transpose2d(x, weight, groups=4).numpy().ravel(), [1, 10, 4, 40, 9, 90, 16, 160])


def test_gradients_by_hand():
    g = np.arange(1.0, 10).reshape(1, 1, 3, 3)
    f = lambda *a: cc.sum(cc.conv_transpose2d(*a) * g)  # noqa: E731
    x, weight, bias = cc.gradient(f, (0, 1, 2))(FOUR, TENS, np.zeros(1))
    assert_array_equal(x, cc.conv2d(g, TENS).numpy())
    assert_array_equal(x, [[[[1 + 20 + 400 + 5000, 2 + 30 + 500 + 6000],
                             [4 + 50 + 700 + 8000, 5 + 60 + 800 + 9000]]]])  # fmt: skip
    assert_array_equal(weight, [[[[1 + 4 + 12 + 20, 2 + 6 + 15 + 24], [4 + 10 + 21 + 32, 5 + 12 + 24 + 36]]]])
    assert_array_equal(bias, [45])


X, W, B = np.ones((2, 3, 5, 6)), np.ones((3, 4, 3, 2)), np.ones(4)
ARRAY = "must be float32, float64, integers or booleans, got"
SHAPES = "(x (2, 3, 5, 6), weight (3, 4, 3, 2))"
SIZE = "must be an int or 2 ints, got"
VARIANTS = ", ".join(cc.kernels.variants("conv2d"))


@pytest.mark.parametrize(
    ("arguments", "error", "text"),
    [
        ({"x": "a"}, TypeError, f"x {ARRAY} dtype <U1"),
        ({"x": [[1], [1, 2]]}, TypeError, "x must be an array of numbers, got a ragged list"),
        ({"weight": None}, TypeError, f"weight {ARRAY} NoneType"),
        ({"bias": B * 1j}, TypeError, f"bias {ARRAY} dtype complex128"),
        ({"weight": W.astype(np.float32)}, TypeError,
         "arrays must share one dtype: x is float64, weight is float32, bias is float64"),
        ({"x": X[0]}, ValueError, "x must have 4 axes, got 3 (x (3, 5, 6), weight (3, 4, 3, 2))"),
        ({"x": X[None], "weight": W[None]}, ValueError,
         "x must have 4 axes, got 5 (x (1, 2, 3, 5, 6), weight (1, 3, 4, 3, 2))"),
        ({"weight": W[0]}, ValueError, "weight must have 4 axes, got 3 (x (2, 3, 5, 6), weight (4, 3, 2))"),
        ({"x": X[:, :, :, :0]}, ValueError, "x has an axis of size 0 (x (2, 3, 5, 0), weight (3, 4, 3, 2))"),
        ({"weight": W[:0]}, ValueError, "weight has an axis of size 0 (x (2, 3, 5, 6), weight (0, 4, 3, 2))"),
        ({"weight": W[:2]}, ValueError,
         "weight expects 2 input channels, x has 3 (x (2, 3, 5, 6), weight (2, 4, 3, 2))"),
        ({"bias": B[:3]}, ValueError, "bias must have shape (4,), got (3,) (weight (3, 4, 3, 2))"),
        ({"bias": B[None]}, ValueError, "bias must have shape (4,), got (1, 4) (weight (3, 4, 3, 2))"),
        *[({name: value}, error, f"{name} {text}") for name in ("stride", "dilation") for value, error, text in [
            (0, ValueError, "must be at least 1, got 0"),
            ((1, -1), ValueError, "must be at least 1, got (1, -1)"),
            ((1, 2, 3), ValueError, f"{SIZE} 3"),
            (1.5, TypeError, f"{SIZE} 1.5"),
            (True, TypeError, f"{SIZE} True"),
            ("2", TypeError, f"{SIZE} '2'"),
            (None, TypeError, f"{SIZE} None"),
            (2**40, ValueError, "must be at most 2**31, got 1099511627776"),
        ]],
        ({"cropping": (1, 2, 3, -4)}, ValueError, "cropping must be at least 0, got (1, 2, 3, -4)"),
        ({"cropping": (1, 2, 3)}, ValueError, "cropping must be an int, 2 ints or 4 ints, got 3"),
        ({"cropping": 1.0}, TypeError, f"cropping {SIZE} 1.0"),
        ({"cropping": None}, TypeError, f"cropping {SIZE} None"),
        ({"cropping": ((1, 1), (1, 1))}, TypeError, f"cropping {SIZE} ((1, 1), (1, 1))"),
        *[({"cropping": word}, ValueError, f'cropping must be "same" or numbers, got {word!r}')
          for word in ("SAME", "valid", "full", "")],
        ({"cropping": (7, 0, 0, 0)}, ValueError, f"the output has 7 cells in height, cropping takes 7 {SHAPES}"),
        ({"cropping": (0, 4)}, ValueError, f"the output has 7 cells in width, cropping takes 8 {SHAPES}"),
        ({"output_padding": (0, -1)}, ValueError, "output_padding must be at least 0, got (0, -1)"),
        ({"output_padding": (0, 1), "stride": (2, 1)}, ValueError,
         "output_padding must be smaller than stride (2, 1), got (0, 1)"),
        ({"output_padding": 2, "stride": 2, "dilation": 3}, ValueError,
         "output_padding must be smaller than stride (2, 2), got 2"),
        ({"output_padding": (0, 0, 0, 0)}, ValueError, f"output_padding {SIZE} 4"),
        ({"output_padding": True, "stride": 2}, TypeError, f"output_padding {SIZE} True"),
        ({"output_padding": None}, TypeError, f"output_padding {SIZE} None"),
        ({"groups": 0}, ValueError, "groups must be at least 1, got 0"),
        ({"groups": "1"}, TypeError, "groups must be an int, got '1'"),
        ({"groups": True}, TypeError, "groups must be an int, got True"),
        ({"groups": 2}, ValueError, f"3 channels cannot be split into 2 groups {SHAPES}"),
        ({"groups": 3}, ValueError, "bias must have shape (12,), got (4,) (weight (3, 4, 3, 2))"),
    ],
)  # fmt: skip
def test_bad_input(arguments, error, text):
    cc.conv_transpose2d(X, W, B)  # what is remembered for good arguments must not answer for bad ones that equal them
    with pytest.raises(error) as caught:
        cc.conv_transpose2d(**{"x": X, "weight": W, "bias": B, **arguments})
    assert str(caught.value) == f"conv_transpose2d: {text}"


@pytest.mark.parametrize("variant", ["fast", 3])
def test_a_variant_is_one_of_the_convolution(variant):
    with pytest.raises(ValueError) as caught:
        cc.conv_transpose2d(X, W, variant=variant)
    assert str(caught.value) == f"conv2d: variant must be one of {VARIANTS}, got {variant!r}"
