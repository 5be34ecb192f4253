"""The conv1d op: by hand, its gradients, its dtypes, every wrong argument. Its kernels are tested in tests/kernels."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_array_equal
from strategies import NUMBER_OR_PATTERN, PATTERNS, arrays_of, conv_geometries, gradients, integers, options_of, takes

import convcore as cc
from convcore.kernels import ConvGeometry

FOUR = np.array([[[1.0, 2.0, 3.0, 4.0]]])
PAIR = np.array([[[1.0, 10.0]]])  # a cell, and ten times the one after it


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, [21, 32, 43]),  # the filter is not flipped
        ({"bias": [100]}, [121, 132, 143]),
        ({"stride": 2}, [21, 43]),
        ({"stride": (3,)}, [21]),  # what does not fill a whole step is ignored
        ({"dilation": 2}, [31, 42]),
        ({"dilation": [3]}, [41]),
        ({"padding": 1}, [10, 21, 32, 43, 4]),
        ({"padding": (1,)}, [10, 21, 32, 43, 4]),
        ({"padding": (1, 0)}, [10, 21, 32, 43]),  # left, right
        ({"padding": (0, 2)}, [21, 32, 43, 4, 0]),
        ({"padding": (0, 1), "padding_value": 5}, [21, 32, 43, 54]),
        ({"padding": 2, "stride": 3}, [0, 32, 0]),  # of 0 0 1 2 3 4 0 0
        ({"padding": "valid"}, [21, 32, 43]),
        ({"padding": "full"}, [10, 21, 32, 43, 4]),
        ({"padding": "full", "dilation": 2}, [10, 20, 31, 42, 3, 4]),
        ({"padding": "same"}, [21, 32, 43, 4]),  # the odd surplus at the right
        ({"padding": "same", "dilation": 2}, [20, 31, 42, 3]),
        ({"padding": "same", "stride": 3}, [21, 4]),
        ({"padding": "causal"}, [10, 21, 32, 43]),
        ({"padding": "causal", "dilation": 2}, [10, 20, 31, 42]),
        ({"padding": "causal", "stride": 2}, [10, 32]),
        ({"padding": "causal", "padding_value": 7}, [17, 21, 32, 43]),
        ({"padding": "causal", "padding_value": "replicate"}, [11, 21, 32, 43]),
        ({"padding": 2, "padding_value": "symmetric-include-edge"}, [12, 11, 21, 32, 43, 44, 34]),
        ({"padding": 2, "padding_value": "symmetric-exclude-edge"}, [23, 12, 21, 32, 43, 34, 23]),
        ({"padding": 2, "padding_value": "replicate"}, [11, 11, 21, 32, 43, 44, 44]),
        ({"padding": 2, "padding_value": "circular"}, [43, 14, 21, 32, 43, 14, 21]),
        # wider than the sequence: the pattern goes on
        ({"x": [[[1, 2]]], "padding": (0, 5), "padding_value": "symmetric-include-edge"}, [21, 22, 12, 11, 21, 22]),
        ({"x": [[[1, 2, 3]]], "padding": (0, 5), "padding_value": "symmetric-exclude-edge"},
         [21, 32, 23, 12, 21, 32, 23]),
        ({"x": [[[1, 2]]], "padding": (5, 0), "padding_value": "replicate"}, [11, 11, 11, 11, 11, 21]),
        ({"x": [[[1, 2, 3]]], "padding": (4, 1), "padding_value": "circular"}, [13, 21, 32, 13, 21, 32, 13]),
        ({"x": [[[3]]], "padding": (2, 1), "padding_value": "symmetric-exclude-edge"}, [33, 33, 33]),
    ],
)  # fmt: skip
def test_by_hand(options, expected):
    assert_array_equal(cc.conv1d(**{"x": FOUR, "weight": PAIR, **options}).numpy(), [[expected]])


@pytest.mark.parametrize(
    ("value", "read"),
    [
        (0, [1, 1, 1, 1]),
        (9, [1, 1, 1, 1]),
        ("symmetric-include-edge", [2, 2, 2, 2]),  # 2 1 | 1 2 3 4 | 4 3
        ("symmetric-exclude-edge", [1, 3, 3, 1]),  # 3 2 | 1 2 3 4 | 3 2
        ("replicate", [3, 1, 1, 3]),  # 1 1 | 1 2 3 4 | 4 4
        ("circular", [2, 2, 2, 2]),  # 3 4 | 1 2 3 4 | 1 2
    ],
)
def test_the_gradient_of_a_border_goes_to_the_cells_that_it_repeats(value, read):
    f = lambda x, w, b: cc.conv1d(x, w, b, padding=2, padding_value=value)  # noqa: E731
    x, weight, bias = gradients(f, [FOUR, [[[1.0]]], [0.0]], np.ones((1, 1, 8)))
    border = {0: 0, 9: 36, "symmetric-include-edge": 10, "symmetric-exclude-edge": 10, "replicate": 10, "circular": 10}
    assert_array_equal(x, [[read]])
    assert_array_equal(weight, [[[10 + border[value]]]])
    assert_array_equal(bias, [8])


def test_channels_filters_and_groups_by_hand():
    x = np.array([[[1.0], [2.0], [3.0], [4.0]]])  # 4 channels of one cell
    pairs = np.array([[1.0, 10], [2, 20], [3, 30], [4, 40]])[:, :, None]
    assert_array_equal(cc.conv1d(x, pairs, groups=2).numpy().ravel(), [21, 42, 3 * 3 + 4 * 30, 3 * 4 + 4 * 40])
    assert_array_equal(cc.conv1d(x, [[[1.0], [10], [100], [1000]]]).numpy().ravel(), [4321])
    assert_array_equal(cc.conv1d(x, [[[5.0]], [[6]], [[7]], [[8]]], groups=4).numpy().ravel(), [5, 12, 21, 32])


@given(width=st.integers(1, 9), size=st.integers(1, 5), dilation=st.integers(1, 3), stride=st.integers(1, 3))
@settings(max_examples=60)
def test_causal_outputs_do_not_look_ahead(width, size, dilation, stride):
    """A change at cell t changes outputs from t on, and no output before; every output's last tap is its own cell."""
    x, weight = np.zeros((1, 1, width)), np.arange(1.0, size + 1).reshape(1, 1, size)
    options = dict(padding="causal", dilation=dilation, stride=stride)
    assert cc.conv1d(x, weight, **options).shape == (1, 1, -(-width // stride))
    for t in range(width):
        impulse = x.copy()
        impulse[0, 0, t] = 1
        y = cc.conv1d(impulse, weight, **options).numpy()[0, 0]
        for j, found in enumerate(y):
            back = j * stride - t
            tap = size - 1 - back // dilation
            assert found == (weight[0, 0, tap] if back >= 0 and back % dilation == 0 and tap >= 0 else 0)


@given(geometry=conv_geometries(ranks=(1,)), with_bias=st.booleans(), seed=st.integers(0, 999))
@settings(max_examples=80)
def test_gradients(geometry, with_bias, seed):
    rng = np.random.default_rng(seed)
    arrays = [rng.standard_normal(geometry.shapes[name]) for name in ("x", "weight", "bias")[: 2 + with_bias]]
    assert cc.gradcheck(lambda *a: cc.conv1d(*a, **options_of(geometry)), arrays, directions=1)


@pytest.mark.parametrize("value", [0, 2.5, *PATTERNS])
def test_gradients_with_every_padding_value(value):
    arrays = [np.random.default_rng(i).standard_normal(s) for i, s in enumerate([(2, 2, 3), (4, 1, 3), (4,)])]
    options = dict(stride=2, padding=(5, 4), padding_value=value, dilation=2, groups=2)
    assert cc.gradcheck(lambda *a: cc.conv1d(*a, **options), arrays)


@given(geometry=conv_geometries(ranks=(1,), padding_values=(0, *PATTERNS)), seed=st.integers(0, 999))
@settings(max_examples=100)
def test_adjoints_are_exact_on_integers(geometry, seed):
    x, weight, bias, g = arrays_of(geometry, seed)
    f = lambda *a: cc.conv1d(*a, **options_of(geometry))  # noqa: E731
    y = f(x, weight).numpy()
    grad_x, grad_weight, grad_bias = gradients(f, [x, weight, bias], g)
    assert (y * g).sum() == (grad_x * x).sum() == (grad_weight * weight).sum()
    assert_array_equal(grad_bias, g.sum(axis=(0, 2)))


@given(geometry=conv_geometries(ranks=(1,)), seed=st.integers(0, 999))
@settings(max_examples=40)
def test_it_is_conv2d_of_images_of_one_row(geometry, seed):
    x, weight, bias, g = arrays_of(geometry, seed)
    options = options_of(geometry)
    row = {"stride": (1, *options["stride"]), "padding": (0, 0, *options["padding"]),
           "dilation": (1, *options["dilation"]), "padding_value": options["padding_value"],
           "groups": options["groups"]}  # fmt: skip
    one = lambda *a: cc.conv1d(*a, **options)  # noqa: E731
    two = lambda *a: cc.conv2d(*a, **row)  # noqa: E731
    assert_array_equal(one(x, weight, bias).numpy(), two(x[:, :, None], weight[:, :, None], bias).numpy()[:, :, 0])
    expected = gradients(two, [x[:, :, None], weight[:, :, None], bias], g[:, :, None])
    for found, other in zip(gradients(one, [x, weight, bias], g), expected, strict=True):
        assert_array_equal(found, other.reshape(found.shape))


@pytest.mark.parametrize("dtype", ["f4", "f8"])
@pytest.mark.parametrize("value", [1.5, "circular"])
@pytest.mark.parametrize("variant", cc.kernels.variants("conv1d"))
def test_dtypes_stay_in_every_variant(variant, value, dtype):
    x, weight, bias, g = (integers(s, dtype, i) for i, s in enumerate([(2, 2, 5), (3, 2, 3), (3,), (2, 3, 7)]))
    if not takes(variant, ConvGeometry.of(x.shape, weight.shape, padding=2, padding_value=value), dtype):
        pytest.skip(f"{variant} refuses it")
    f = lambda *a: cc.conv1d(*a, padding=2, padding_value=value, variant=variant)  # noqa: E731
    found = [f(x, weight, bias).numpy(), *gradients(f, [x, weight, bias], g)]
    assert [a.dtype for a in found] == [dtype] * 4
    wide = [a.astype("f8") for a in (x, weight, bias)]
    f = lambda *a: cc.conv1d(*a, padding=2, padding_value=value, variant="reference")  # noqa: E731
    for a, b in zip(found, [f(*wide).numpy(), *gradients(f, wide, g.astype("f8"))], strict=True):
        assert_array_equal(a, b)


@pytest.mark.parametrize("convert", [np.ndarray.tolist, lambda a: a.astype(np.uint8), lambda a: a.astype(bool)],
                         ids=["list", "uint8", "bool"])  # fmt: skip
def test_other_numbers_become_float64(convert):
    y = cc.conv1d(*[convert(np.ones(shape)) for shape in ((1, 1, 4), (1, 1, 3), (1,))])
    assert y.dtype == np.float64
    assert_array_equal(y.numpy(), [[[4, 4]]])


@pytest.mark.parametrize("value", [0, 3, *PATTERNS])
def test_no_sequences_give_an_empty_result_and_zero_gradients(value):
    x, weight, bias = np.ones((0, 2, 5)), np.ones((3, 2, 3)), np.ones(3)
    f = lambda *a: cc.conv1d(*a, padding=1, padding_value=value)  # noqa: E731
    assert f(x, weight, bias).shape == (0, 3, 5)
    grad_x, grad_weight, grad_bias = gradients(f, [x, weight, bias], np.ones((0, 3, 5)))
    assert grad_x.shape == x.shape
    assert_array_equal(grad_weight, np.zeros_like(weight))
    assert_array_equal(grad_bias, np.zeros(3))


def test_the_record_says_what_was_done():
    x, weight = cc.Tensor(np.ones((2, 1, 4)), requires_grad=True), cc.Tensor(np.ones((3, 1, 3)))
    with cc.Tape() as tape:
        cc.conv1d(x, weight, padding=1, variant="direct")
    (record,) = tape.records
    assert (record.op, str(record.geometry), record.variant) == ("conv1d", "mb2ic1iw4oc3ow4kw3pw1", "direct")
    assert record.needs == (True, False, False)


X, W, B = np.ones((2, 3, 5)), np.ones((4, 3, 3)), np.ones(4)
ARRAY = "must be float32, float64, integers or booleans, got"
SHAPES = "(x (2, 3, 5), weight (4, 3, 3))"
SIZE = "must be an int, got"
WORDS = 'padding must be "same", "valid", "full", "causal" or numbers, got'
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
        ({"x": X[0]}, ValueError, "x must have 3 axes, got 2 (x (3, 5), weight (4, 3, 3))"),
        ({"x": X[None], "weight": W[None]}, ValueError,
         "x must have 3 axes, got 4 (x (1, 2, 3, 5), weight (1, 4, 3, 3))"),
        ({"weight": W[0]}, ValueError, "weight must have 3 axes, got 2 (x (2, 3, 5), weight (3, 3))"),
        ({"x": X[:, :, :0]}, ValueError, "x has an axis of size 0 (x (2, 3, 0), weight (4, 3, 3))"),
        ({"weight": W[:, :, :0]}, ValueError, "weight has an axis of size 0 (x (2, 3, 5), weight (4, 3, 0))"),
        ({"x": X[:, :1]}, ValueError, "weight expects 3 input channels, x has 1 (x (2, 1, 5), weight (4, 3, 3))"),
        ({"weight": np.ones((4, 3, 6))}, ValueError, "the filter covers 6 cells in width, the padded input has 5"),
        ({"dilation": 4, "padding": (1, 2)}, ValueError, "the filter covers 9 cells in width, the padded input has 8"),
        ({"bias": B[:3]}, ValueError, "bias must have shape (4,), got (3,) (mb2ic3iw5oc4ow3kw3)"),
        ({"bias": 1.0}, ValueError, "bias must have shape (4,), got () (mb2ic3iw5oc4ow3kw3)"),
        *[({name: value}, error, f"{name} {text}") for name in ("stride", "dilation") for value, error, text in [
            (0, ValueError, "must be at least 1, got 0"),
            ((-1,), ValueError, "must be at least 1, got (-1,)"),
            ((1, 2), ValueError, f"{SIZE} 2"),
            (1.5, TypeError, f"{SIZE} 1.5"),
            (True, TypeError, f"{SIZE} True"),
            ("2", TypeError, f"{SIZE} '2'"),
            (None, TypeError, f"{SIZE} None"),
            (2**40, ValueError, "must be at most 2**31, got 1099511627776"),
        ]],
        ({"padding": -1}, ValueError, "padding must be at least 0, got -1"),
        ({"padding": (1, -4)}, ValueError, "padding must be at least 0, got (1, -4)"),
        ({"padding": (1, 2, 3)}, ValueError, "padding must be an int or 2 ints, got 3"),
        ({"padding": 2**24 + 1}, ValueError, "padding must be at most 2**24, got 16777217"),
        ({"padding": "Same"}, ValueError, f"{WORDS} 'Same'"),
        ({"padding": "same-upper"}, ValueError, f"{WORDS} 'same-upper'"),
        ({"padding": 1.0}, TypeError, f"padding {SIZE} 1.0"),
        ({"padding": None}, TypeError, f"padding {SIZE} None"),
        ({"padding": (1, 1.0)}, TypeError, "padding must be an int or 2 ints, got (1, 1.0)"),
        ({"padding_value": None}, TypeError, f"padding_value {NUMBER_OR_PATTERN}, got None"),
        ({"padding_value": True}, TypeError, f"padding_value {NUMBER_OR_PATTERN}, got True"),
        ({"padding_value": "reflect"}, ValueError, f"padding_value {NUMBER_OR_PATTERN}, got 'reflect'"),
        ({"padding_value": "constant"}, ValueError, f"padding_value {NUMBER_OR_PATTERN}, got 'constant'"),
        ({"groups": 0}, ValueError, "groups must be at least 1, got 0"),
        ({"groups": 1.0}, TypeError, "groups must be an int, got 1.0"),
        ({"groups": True}, TypeError, "groups must be an int, got True"),
        ({"groups": 2}, ValueError, f"weight expects 6 input channels in 2 groups, x has 3 {SHAPES}"),
        ({"groups": 3, "weight": W[:, :1]}, ValueError,
         "4 filters cannot be split into 3 groups (x (2, 3, 5), weight (4, 1, 3))"),
        ({"variant": "fast"}, ValueError, f"variant must be one of {VARIANTS}, got 'fast'"),
        ({"variant": 3}, ValueError, f"variant must be one of {VARIANTS}, got 3"),
    ],
)  # fmt: skip
def test_bad_input(arguments, error, text):
    cc.conv1d(X, W, B)  # what is remembered for good arguments must not answer for bad ones that equal them
    with pytest.raises(error) as caught:
        cc.conv1d(**{"x": X, "weight": W, "bias": B, **arguments})
    assert str(caught.value) == f"conv1d: {text}"
