"""The conv_transpose1d op: by hand, and every wrong argument. What it shares with 2-D and 3-D: test_conv_transpose."""

import numpy as np
import pytest
from numpy.testing import assert_array_equal

import convcore as cc

TWO = np.array([[[1.0, 2.0]]])
HUNDRED = np.array([[[1.0, 10.0, 100.0]]])


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, [1, 2 + 10, 20 + 100, 200]),
        ({"bias": [1000]}, [1001, 1012, 1120, 1200]),
        ({"stride": 2}, [1, 10, 100 + 2, 20, 200]),
        ({"stride": (3,)}, [1, 10, 100, 2, 20, 200]),
        ({"stride": 4}, [1, 10, 100, 0, 2, 20, 200]),  # cells that nothing reaches
        ({"stride": 4, "bias": [7]}, [8, 17, 107, 7, 9, 27, 207]),  # but the bias
        ({"dilation": 2}, [1, 2, 10, 20, 100, 200]),
        ({"dilation": [3]}, [1, 2, 0, 10, 20, 0, 100, 200]),
        ({"dilation": 2, "stride": 2}, [1, 0, 2 + 10, 0, 20 + 100, 0, 200]),
        ({"stride": 2, "output_padding": 1}, [1, 10, 102, 20, 200, 0]),
        ({"stride": 3, "output_padding": (2,), "bias": [1]}, [2, 11, 101, 3, 21, 201, 1, 1]),
        ({"stride": 2, "cropping": 1}, [10, 102, 20]),
        ({"stride": 2, "cropping": (2,)}, [102]),
        ({"stride": 2, "cropping": (1, 0)}, [10, 102, 20, 200]),  # left, right
        ({"stride": 2, "cropping": (0, 2)}, [1, 10, 102]),
        ({"stride": 2, "cropping": (4, 0)}, [200]),
        ({"stride": 2, "cropping": (0, 3), "output_padding": 1}, [1, 10, 102]),  # takes the added cell first
        ({"cropping": "same"}, [12, 120]),
        ({"cropping": "same", "stride": 2}, [1, 10, 102, 20]),  # the odd surplus is cut at the right
        ({"cropping": "same", "stride": 3}, [1, 10, 100, 2, 20, 200]),
        ({"cropping": "same", "stride": 4}, [1, 10, 100, 0, 2, 20, 200, 0]),  # the filter is shorter than the step
        ({"cropping": "same", "stride": 5, "bias": [3]}, [4, 13, 103, 3, 3, 5, 23, 203, 3, 3]),
        ({"cropping": "same", "dilation": 2}, [10, 20]),
        ({"cropping": "same", "stride": 2, "output_padding": 1}, [10, 102, 20, 200]),
        ({"cropping": "same", "stride": 4, "output_padding": 3}, [10, 100, 0, 2, 20, 200, 0, 0]),  # 10 cells, 8 wanted
    ],
)
def test_by_hand(options, expected):
    assert_array_equal(cc.conv_transpose1d(TWO, HUNDRED, **options).numpy(), [[expected]])


def test_channels_filters_and_groups_by_hand():
    x = np.array([[[1.0], [2.0], [3.0], [4.0]]])  # 4 channels of one cell
    weight = np.array([[1.0, 10], [2, 20], [3, 30], [4, 40]])
    column = weight[:, :, None]  # from each of 4 channels to 2 filters of one tap
    assert_array_equal(cc.conv_transpose1d(x, column).numpy().ravel(), [1 + 4 + 9 + 16, 10 + 40 + 90 + 160])
    assert_array_equal(cc.conv_transpose1d(x, column, groups=2).numpy().ravel(), [5, 50, 9 + 16, 90 + 160])
    assert_array_equal(cc.conv_transpose1d(x, column, groups=4).numpy().ravel(), [1, 10, 4, 40, 9, 90, 16, 160])
    row = weight[:, None, :]  # from each of 4 channels to one filter of 2 taps
    assert_array_equal(cc.conv_transpose1d(x, row, groups=2).numpy(), [[[5, 50], [25, 250]]])


def test_gradients_by_hand():
    """Each cell sent its value to three cells of the output: their gradients come back through the same weights."""
    f = lambda *a: cc.sum(cc.conv_transpose1d(*a, stride=2) * np.array([1.0, 2, 3, 4, 5]))  # noqa: E731
    x, weight, bias = cc.gradient(f, (0, 1, 2))(TWO, HUNDRED, np.zeros(1))
    assert_array_equal(x, [[[1 + 20 + 300, 3 + 40 + 500]]])
    assert_array_equal(weight, [[[1 + 2 * 3, 2 + 2 * 4, 3 + 2 * 5]]])
    assert_array_equal(bias, [15])


X, W, B = np.ones((2, 3, 5)), np.ones((3, 4, 3)), np.ones(4)
ARRAY = "must be float32, float64, integers or booleans, got"
SHAPES = "(x (2, 3, 5), weight (3, 4, 3))"
SIZE = "must be an int, got"
VARIANTS = ", ".join(cc.kernels.variants("conv1d"))


@pytest.mark.parametrize(
    ("arguments", "error", "text"),
    [
        ({"x": None}, TypeError, f"x {ARRAY} NoneType"),
        ({"x": X * 1j}, TypeError, f"x {ARRAY} dtype complex128"),
        ({"weight": W.astype(np.float16)}, TypeError, f"weight {ARRAY} dtype float16"),
        ({"bias": "a"}, TypeError, f"bias {ARRAY} dtype <U1"),
        ({"x": X.astype(np.float32)}, TypeError,
         "arrays must share one dtype: x is float32, weight is float64, bias is float64"),
        ({"bias": B.astype(np.float32)}, TypeError,
         "arrays must share one dtype: x is float64, weight is float64, bias is float32"),
        ({"x": X[0]}, ValueError, "x must have 3 axes, got 2 (x (3, 5), weight (3, 4, 3))"),
        ({"x": X[0], "weight": W[0]}, ValueError, "x must have 3 axes, got 2 (x (3, 5), weight (4, 3))"),
        ({"weight": W[None]}, ValueError, "weight must have 3 axes, got 4 (x (2, 3, 5), weight (1, 3, 4, 3))"),
        ({"x": X[:, :, :0]}, ValueError, "x has an axis of size 0 (x (2, 3, 0), weight (3, 4, 3))"),
        ({"x": X[:, :0]}, ValueError, "x has an axis of size 0 (x (2, 0, 5), weight (3, 4, 3))"),
        ({"weight": W[:, :0]}, ValueError, "weight has an axis of size 0 (x (2, 3, 5), weight (3, 0, 3))"),
        ({"x": X[:, :1]}, ValueError, "weight expects 3 input channels, x has 1 (x (2, 1, 5), weight (3, 4, 3))"),
        ({"bias": B[:3]}, ValueError, "bias must have shape (4,), got (3,) (weight (3, 4, 3))"),
        ({"bias": 1.0}, ValueError, "bias must have shape (4,), got () (weight (3, 4, 3))"),
        ({"bias": B, "groups": 3}, ValueError, "bias must have shape (12,), got (4,) (weight (3, 4, 3))"),
        *[({name: value}, error, f"{name} {text}") for name in ("stride", "dilation") for value, error, text in [
            (0, ValueError, "must be at least 1, got 0"),
            ((-1,), ValueError, "must be at least 1, got (-1,)"),
            ((1, 2), ValueError, f"{SIZE} 2"),
            (1.0, TypeError, f"{SIZE} 1.0"),
            (True, TypeError, f"{SIZE} True"),
            (None, TypeError, f"{SIZE} None"),
            (2**40, ValueError, "must be at most 2**31, got 1099511627776"),
        ]],
        ({"cropping": -1}, ValueError, "cropping must be at least 0, got -1"),
        ({"cropping": (1, 2, 3)}, ValueError, "cropping must be an int or 2 ints, got 3"),
        ({"cropping": 1.0}, TypeError, f"cropping {SIZE} 1.0"),
        ({"cropping": True}, TypeError, f"cropping {SIZE} True"),
        ({"cropping": None}, TypeError, f"cropping {SIZE} None"),
        ({"cropping": 2**25}, ValueError, "cropping must be at most 2**24, got 33554432"),
        *[({"cropping": word}, ValueError, f'cropping must be "same" or numbers, got {word!r}')
          for word in ("Same", "valid", "full", "causal")],
        ({"cropping": (3, 4)}, ValueError, f"the output has 7 cells in width, cropping takes 7 {SHAPES}"),
        ({"cropping": 6, "stride": 2}, ValueError, f"the output has 11 cells in width, cropping takes 12 {SHAPES}"),
        ({"output_padding": -1}, ValueError, "output_padding must be at least 0, got -1"),
        ({"output_padding": 1}, ValueError, "output_padding must be smaller than stride (1,), got 1"),
        ({"output_padding": (2,), "stride": 2}, ValueError,
         "output_padding must be smaller than stride (2,), got (2,)"),
        ({"output_padding": (0, 0)}, ValueError, f"output_padding {SIZE} 2"),
        ({"output_padding": 0.5}, TypeError, f"output_padding {SIZE} 0.5"),
        ({"output_padding": "same"}, TypeError, f"output_padding {SIZE} 'same'"),
        ({"groups": 0}, ValueError, "groups must be at least 1, got 0"),
        ({"groups": 1.0}, TypeError, "groups must be an int, got 1.0"),
        ({"groups": True}, TypeError, "groups must be an int, got True"),
        ({"groups": 2}, ValueError, f"3 channels cannot be split into 2 groups {SHAPES}"),
    ],
)  # fmt: skip
def test_bad_input(arguments, error, text):
    cc.conv_transpose1d(X, W, B)  # what is remembered for good arguments must not answer for bad ones that equal them
    with pytest.raises(error) as caught:
        cc.conv_transpose1d(**{"x": X, "weight": W, "bias": B, **arguments})
    assert str(caught.value) == f"conv_transpose1d: {text}"


@pytest.mark.parametrize("variant", ["fast", 3])
def test_a_variant_is_one_of_the_convolution(variant):
    with pytest.raises(ValueError) as caught:
        cc.conv_transpose1d(X, W, variant=variant)
    assert str(caught.value) == f"conv1d: variant must be one of {VARIANTS}, got {variant!r}"
