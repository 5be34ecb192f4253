"""The conv3d op: by hand, its gradients, its dtypes, every wrong argument. Its kernels are tested in tests/kernels."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_array_equal
from strategies import NUMBER_OR_PATTERN, PATTERNS, arrays_of, conv_geometries, gradients, integers, options_of, takes

import convcore as cc
from convcore.kernels import ConvGeometry

TWELVE = np.arange(12.0).reshape(1, 1, 3, 2, 2)  # planes 0 1 / 2 3, 4 5 / 6 7, 8 9 / 10 11
EIGHT = np.arange(1.0, 9.0).reshape(1, 1, 2, 2, 2)
DEEP, HIGH, WIDE = (np.array([1.0, 10.0]).reshape(1, 1, *shape) for shape in ((2, 1, 1), (1, 2, 1), (1, 1, 2)))


@pytest.mark.parametrize(
    ("weight", "options", "expected"),
    [
        # 0·1 + 1·2 + ... + 7·8, then 4 more for each of the 36 in the filter: it is not flipped
        (EIGHT, {}, [[[168]], [[168 + 4 * 36]]]),
        (EIGHT, {"bias": [1000]}, [[[1168]], [[1312]]]),
        (EIGHT, {"dilation": (2, 1, 1)}, [[[1 * 2 + 2 * 3 + 3 * 4 + 8 * 5 + 9 * 6 + 10 * 7 + 11 * 8]]]),
        (DEEP, {}, [[[40, 51], [62, 73]], [[84, 95], [106, 117]]]),
        (DEEP, {"stride": (2, 1, 1)}, [[[40, 51], [62, 73]]]),  # what does not fill a whole step is ignored
        (DEEP, {"stride": (1, 2, 1)}, [[[40, 51]], [[84, 95]]]),
        (DEEP, {"stride": (1, 1, 2)}, [[[40], [62]], [[84], [106]]]),
        (DEEP, {"stride": 2}, [[[40]]]),
        (DEEP, {"dilation": (2, 1, 1)}, [[[80, 91], [102, 113]]]),
        (DEEP, {"dilation": (1, 9, 9)}, [[[40, 51], [62, 73]], [[84, 95], [106, 117]]]),
        (HIGH, {}, [[[20, 31]], [[64, 75]], [[108, 119]]]),
        (WIDE, {}, [[[10], [32]], [[54], [76]], [[98], [120]]]),
        (DEEP, {"padding": (1, 0, 0, 0, 0, 0)},
         [[[0, 10], [20, 30]], [[40, 51], [62, 73]], [[84, 95], [106, 117]]]),
        (DEEP, {"padding": (0, 1, 0, 0, 0, 0)},
         [[[40, 51], [62, 73]], [[84, 95], [106, 117]], [[8, 9], [10, 11]]]),
        (HIGH, {"padding": (0, 0, 1, 0, 0, 0)}, [[[0, 10], [20, 31]], [[40, 50], [64, 75]], [[80, 90], [108, 119]]]),
        (HIGH, {"padding": (0, 0, 0, 1, 0, 0)}, [[[20, 31], [2, 3]], [[64, 75], [6, 7]], [[108, 119], [10, 11]]]),
        (WIDE, {"padding": (0, 0, 0, 0, 1, 0)}, [[[0, 10], [20, 32]], [[40, 54], [60, 76]], [[80, 98], [100, 120]]]),
        (WIDE, {"padding": (0, 0, 0, 0, 0, 1)}, [[[10, 1], [32, 3]], [[54, 5], [76, 7]], [[98, 9], [120, 11]]]),
        (WIDE, {"padding": (0, 0, 0, 0, 0, 1), "padding_value": 5},
         [[[10, 51], [32, 53]], [[54, 55], [76, 57]], [[98, 59], [120, 61]]]),
        (DEEP, {"padding": (1, 0, 0), "stride": (2, 1, 1)}, [[[0, 10], [20, 30]], [[84, 95], [106, 117]]]),
        (DEEP, {"padding": "same"}, [[[40, 51], [62, 73]], [[84, 95], [106, 117]], [[8, 9], [10, 11]]]),  # at the back
        (HIGH, {"padding": "same"}, [[[20, 31], [2, 3]], [[64, 75], [6, 7]], [[108, 119], [10, 11]]]),
        (WIDE, {"padding": "same"}, [[[10, 1], [32, 3]], [[54, 5], [76, 7]], [[98, 9], [120, 11]]]),
        (DEEP, {"padding": "valid"}, [[[40, 51], [62, 73]], [[84, 95], [106, 117]]]),
        (DEEP, {"padding": "full"},
         [[[0, 10], [20, 30]], [[40, 51], [62, 73]], [[84, 95], [106, 117]], [[8, 9], [10, 11]]]),
        # planes 4.. 0.. | 0.. 4.. 8.. and so on, under the cell at the top left
        (DEEP, {"padding": (2, 0, 0, 0, 0, 0), "stride": (1, 2, 2), "padding_value": "symmetric-include-edge"},
         [[[4]], [[0]], [[40]], [[84]]]),
        (DEEP, {"padding": (2, 0, 0, 0, 0, 0), "stride": (1, 2, 2), "padding_value": "symmetric-exclude-edge"},
         [[[48]], [[4]], [[40]], [[84]]]),
        (DEEP, {"padding": (0, 2, 0, 0, 0, 0), "stride": (1, 2, 2), "padding_value": "replicate"},
         [[[40]], [[84]], [[88]], [[88]]]),
        (DEEP, {"padding": (0, 5, 0, 0, 0, 0), "stride": (1, 2, 2), "padding_value": "circular"},
         [[[40]], [[84]], [[8]], [[40]], [[84]], [[8]], [[40]]]),
    ],
)  # fmt: skip
def test_by_hand(weight, options, expected):
    assert_array_equal(cc.conv3d(TWELVE, weight, **options).numpy()[0, 0], expected)


def test_channels_filters_and_groups_by_hand():
    x = np.arange(1.0, 5.0).reshape(1, 4, 1, 1, 1)
    pairs = np.array([[1.0, 10], [2, 20], [3, 30], [4, 40]])[:, :, None, None, None]
    assert_array_equal(cc.conv3d(x, pairs, groups=2).numpy().ravel(), [21, 42, 3 * 3 + 4 * 30, 3 * 4 + 4 * 40])
    dense = np.array([1.0, 10, 100, 1000]).reshape(1, 4, 1, 1, 1)
    assert_array_equal(cc.conv3d(x, dense).numpy().ravel(), [4321])
    assert_array_equal(cc.conv3d(x, dense.reshape(4, 1, 1, 1, 1), groups=4).numpy().ravel(), [1, 20, 300, 4000])


@given(geometry=conv_geometries(ranks=(3,), padding_values=(0, *PATTERNS)), seed=st.integers(0, 999))
@settings(max_examples=60)
def test_a_product_of_filters_is_one_convolution_after_the_other(geometry, seed):
    """Each dimension's options belong to that dimension: what conv1d does along each is what conv3d does along all."""
    options, rng = options_of(geometry), np.random.default_rng(seed)
    taps = [rng.integers(-3, 4, size).astype(float) for size in geometry.filter_size]
    x = rng.integers(-3, 4, (2, 1, *geometry.in_size)).astype(float)
    options.pop("groups")
    whole = cc.conv3d(x, np.einsum("t,u,v->tuv", *taps)[None, None], **options).numpy()
    for axis, tap in enumerate(taps):
        x = np.moveaxis(x, axis + 2, -1)
        one = {name: options[name][axis] for name in ("stride", "dilation")}
        one.update(padding=options["padding"][2 * axis : 2 * axis + 2], padding_value=options["padding_value"])
        y = cc.conv1d(x.reshape(-1, 1, x.shape[-1]), tap[None, None], **one).numpy()
        x = np.moveaxis(y.reshape(*x.shape[:-1], -1), -1, axis + 2)
    assert_array_equal(whole, x)


@given(geometry=conv_geometries(ranks=(3,)), with_bias=st.booleans(), seed=st.integers(0, 999))
@settings(max_examples=60)
def test_gradients(geometry, with_bias, seed):
    rng = np.random.default_rng(seed)
    arrays = [rng.standard_normal(geometry.shapes[name]) for name in ("x", "weight", "bias")[: 2 + with_bias]]
    assert cc.gradcheck(lambda *a: cc.conv3d(*a, **options_of(geometry)), arrays, directions=1)


@pytest.mark.parametrize("value", [0, 2.5, *PATTERNS])
def test_gradients_with_every_padding_value(value):
    shapes = [(2, 2, 2, 3, 2), (4, 1, 2, 1, 2), (4,)]
    arrays = [np.random.default_rng(i).standard_normal(shape) for i, shape in enumerate(shapes)]
    options = dict(stride=(1, 2, 1), padding=(3, 1, 0, 4, 2, 0), padding_value=value, dilation=(2, 1, 1), groups=2)
    assert cc.gradcheck(lambda *a: cc.conv3d(*a, **options), arrays)


@given(geometry=conv_geometries(ranks=(3,), padding_values=(0, *PATTERNS)), seed=st.integers(0, 999))
@settings(max_examples=60)
def test_adjoints_are_exact_on_integers(geometry, seed):
    x, weight, bias, g = arrays_of(geometry, seed)
    f = lambda *a: cc.conv3d(*a, **options_of(geometry))  # noqa: E731
    y = f(x, weight).numpy()
    grad_x, grad_weight, grad_bias = gradients(f, [x, weight, bias], g)
    assert (y * g).sum() == (grad_x * x).sum() == (grad_weight * weight).sum()
    assert_array_equal(grad_bias, g.sum(axis=(0, 2, 3, 4)))


@pytest.mark.parametrize("dtype", ["f4", "f8"])
@pytest.mark.parametrize("value", [1.5, "symmetric-exclude-edge"])
@pytest.mark.parametrize("variant", cc.kernels.variants("conv3d"))
def test_dtypes_stay_in_every_variant(variant, value, dtype):
    shapes = [(2, 2, 2, 3, 4), (3, 2, 2, 3, 1), (3,), (2, 3, 5, 5, 8)]
    x, weight, bias, g = (integers(shape, dtype, i) for i, shape in enumerate(shapes))
    if not takes(variant, ConvGeometry.of(x.shape, weight.shape, padding=2, padding_value=value), dtype):
        pytest.skip(f"{variant} refuses it")
    f = lambda *a: cc.conv3d(*a, padding=2, padding_value=value, variant=variant)  # noqa: E731
    found = [f(x, weight, bias).numpy(), *gradients(f, [x, weight, bias], g)]
    assert [a.dtype for a in found] == [dtype] * 4
    wide = [a.astype("f8") for a in (x, weight, bias)]
    f = lambda *a: cc.conv3d(*a, padding=2, padding_value=value, variant="reference")  # noqa: E731
    for a, b in zip(found, [f(*wide).numpy(), *gradients(f, wide, g.astype("f8"))], strict=True):
        assert_array_equal(a, b)


@pytest.mark.parametrize("convert", [np.ndarray.tolist, lambda a: a.astype(np.uint8), lambda a: a.astype(bool)],
                         ids=["list", "uint8", "bool"])  # fmt: skip
def test_other_numbers_become_float64(convert):
    y = cc.conv3d(*[convert(np.ones(shape)) for shape in ((1, 1, 2, 2, 2), (1, 1, 2, 2, 2), (1,))])
    assert y.dtype == np.float64
    assert_array_equal(y.numpy(), [[[[[9]]]]])


@pytest.mark.parametrize("value", [0, 3, *PATTERNS])
def test_no_volumes_give_an_empty_result_and_zero_gradients(value):
    x, weight, bias = np.ones((0, 2, 2, 3, 4)), np.ones((3, 2, 1, 2, 3)), np.ones(3)
    f = lambda *a: cc.conv3d(*a, padding=1, padding_value=value)  # noqa: E731
    assert f(x, weight, bias).shape == (0, 3, 4, 4, 4)
    grad_x, grad_weight, grad_bias = gradients(f, [x, weight, bias], np.ones((0, 3, 4, 4, 4)))
    assert grad_x.shape == x.shape
    assert_array_equal(grad_weight, np.zeros_like(weight))
    assert_array_equal(grad_bias, np.zeros(3))


def test_the_record_says_what_was_done():
    x, weight = cc.Tensor(np.ones((2, 1, 4, 4, 4)), requires_grad=True), cc.Tensor(np.ones((3, 1, 3, 3, 3)))
    with cc.Tape() as tape:
        cc.conv3d(x, weight, padding=1, variant="im2col")
    (record,) = tape.records
    assert (record.op, str(record.geometry), record.variant) == ("conv3d", "mb2ic1id4oc3od4kd3pd1", "im2col")
    assert record.needs == (True, False, False)


X, W, B = np.ones((2, 3, 4, 5, 6)), np.ones((4, 3, 2, 3, 3)), np.ones(4)
ARRAY = "must be float32, float64, integers or booleans, got"
SHAPES = "(x (2, 3, 4, 5, 6), weight (4, 3, 2, 3, 3))"
SIZE = "must be an int or 3 ints, got"
WORDS = 'padding must be "same", "valid", "full" or numbers, got'
VARIANTS = ", ".join(cc.kernels.variants("conv3d"))
TEXT = "mb2ic3id4ih5iw6oc4od3oh3ow4kd2kh3kw3"


@pytest.mark.parametrize(
    ("arguments", "error", "text"),
    [
        ({"x": None}, TypeError, f"x {ARRAY} NoneType"),
        ({"x": X.astype(np.float16)}, TypeError, f"x {ARRAY} dtype float16"),
        ({"weight": W * 1j}, TypeError, f"weight {ARRAY} dtype complex128"),
        ({"bias": "a"}, TypeError, f"bias {ARRAY} dtype <U1"),
        ({"weight": W.astype(np.float32)}, TypeError,
         "arrays must share one dtype: x is float64, weight is float32, bias is float64"),
        ({"x": X.astype(np.float32), "weight": W.tolist(), "bias": None}, TypeError,
         "arrays must share one dtype: x is float32, weight is float64"),
        ({"x": X[0]}, ValueError, "x must have 5 axes, got 4 (x (3, 4, 5, 6), weight (4, 3, 2, 3, 3))"),
        ({"x": X[0], "weight": W[0]}, ValueError, "x must have 5 axes, got 4 (x (3, 4, 5, 6), weight (3, 2, 3, 3))"),
        ({"weight": W[None]}, ValueError,
         "weight must have 5 axes, got 6 (x (2, 3, 4, 5, 6), weight (1, 4, 3, 2, 3, 3))"),
        ({"x": X[:, :, :0]}, ValueError, "x has an axis of size 0 (x (2, 3, 0, 5, 6), weight (4, 3, 2, 3, 3))"),
        ({"weight": W[:, :, :0]}, ValueError,
         "weight has an axis of size 0 (x (2, 3, 4, 5, 6), weight (4, 3, 0, 3, 3))"),
        ({"x": X[:, :1]}, ValueError,
         "weight expects 3 input channels, x has 1 (x (2, 1, 4, 5, 6), weight (4, 3, 2, 3, 3))"),
        ({"x": X[:, :, :1]}, ValueError, "the filter covers 2 cells in depth, the padded input has 1"),
        ({"dilation": (1, 3, 1)}, ValueError, "the filter covers 7 cells in height, the padded input has 5"),
        ({"dilation": (1, 1, 4), "padding": (0, 0, 0, 0, 1, 1)}, ValueError,
         "the filter covers 9 cells in width, the padded input has 8"),
        ({"bias": B[:3]}, ValueError, f"bias must have shape (4,), got (3,) ({TEXT})"),
        ({"bias": B[:, None]}, ValueError, f"bias must have shape (4,), got (4, 1) ({TEXT})"),
        *[({name: value}, error, f"{name} {text}") for name in ("stride", "dilation") for value, error, text in [
            (0, ValueError, "must be at least 1, got 0"),
            ((1, 1, -1), ValueError, "must be at least 1, got (1, 1, -1)"),
            ((1, 2), ValueError, f"{SIZE} 2"),
            (1.5, TypeError, f"{SIZE} 1.5"),
            (True, TypeError, f"{SIZE} True"),
            ("222", TypeError, f"{SIZE} '222'"),
            (None, TypeError, f"{SIZE} None"),
            (2**40, ValueError, "must be at most 2**31, got 1099511627776"),
        ]],
        ({"padding": -1}, ValueError, "padding must be at least 0, got -1"),
        ({"padding": (1, 2)}, ValueError, "padding must be an int, 3 ints or 6 ints, got 2"),
        ({"padding": (1, 2, 3, 4)}, ValueError, "padding must be an int, 3 ints or 6 ints, got 4"),
        ({"padding": (0, 0, 0, 0, 0, -1)}, ValueError, "padding must be at least 0, got (0, 0, 0, 0, 0, -1)"),
        ({"padding": (0, 2**24 + 1, 0)}, ValueError, "padding must be at most 2**24, got (0, 16777217, 0)"),
        ({"padding": "Same"}, ValueError, f"{WORDS} 'Same'"),
        ({"padding": "causal"}, ValueError, f"{WORDS} 'causal'"),
        ({"padding": 1.0}, TypeError, f"padding {SIZE} 1.0"),
        ({"padding": True}, TypeError, f"padding {SIZE} True"),
        ({"padding": None}, TypeError, f"padding {SIZE} None"),
        ({"padding_value": None}, TypeError, f"padding_value {NUMBER_OR_PATTERN}, got None"),
        ({"padding_value": True}, TypeError, f"padding_value {NUMBER_OR_PATTERN}, got True"),
        ({"padding_value": "mirror"}, ValueError, f"padding_value {NUMBER_OR_PATTERN}, got 'mirror'"),
        ({"groups": 0}, ValueError, "groups must be at least 1, got 0"),
        ({"groups": 1.0}, TypeError, "groups must be an int, got 1.0"),
        ({"groups": 2}, ValueError, f"weight expects 6 input channels in 2 groups, x has 3 {SHAPES}"),
        ({"groups": 3, "weight": W[:, :1]}, ValueError,
         "4 filters cannot be split into 3 groups (x (2, 3, 4, 5, 6), weight (4, 1, 2, 3, 3))"),
        ({"variant": "fast"}, ValueError, f"variant must be one of {VARIANTS}, got 'fast'"),
    ],
)  # fmt: skip
def test_bad_input(arguments, error, text):
    cc.conv3d(X, W, B)  # what is remembered for good arguments must not answer for bad ones that equal them
    with pytest.raises(error) as caught:
        cc.conv3d(**{"x": X, "weight": W, "bias": B, **arguments})
    assert str(caught.value) == f"conv3d: {text}"
