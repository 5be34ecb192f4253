"""The conv2d op: by hand, its gradients, its dtypes, every wrong argument. Its kernels are tested in tests/kernels."""

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from numpy.testing import assert_array_equal
from strategies import NUMBER_OR_PATTERN, takes

import convcore as cc

NINE = np.arange(9.0).reshape(1, 1, 3, 3)  # rows 0 1 2, 3 4 5, 6 7 8
FOUR = np.array([[[[1.0, 2.0], [3.0, 4.0]]]])


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, [[27, 37], [57, 67]]),  # 0·1 + 1·2 + 3·3 + 4·4: the filter is not flipped
        ({"bias": [100]}, [[127, 137], [157, 167]]),
        ({"stride": 2}, [[27]]),  # what does not fill a whole step is ignored
        ({"stride": (1, 2)}, [[27], [57]]),
        ({"dilation": 2}, [[0 * 1 + 2 * 2 + 6 * 3 + 8 * 4]]),
        ({"dilation": (1, 2)}, [[0 + 4 + 9 + 20], [3 + 10 + 18 + 32]]),
        ({"padding": (1, 0, 0, 0)}, [[0 * 3 + 1 * 4, 1 * 3 + 2 * 4], [27, 37], [57, 67]]),
        ({"padding": (0, 1, 0, 0)}, [[27, 37], [57, 67], [6 * 1 + 7 * 2, 7 * 1 + 8 * 2]]),
        ({"padding": (0, 0, 1, 0)}, [[0 * 2 + 3 * 4, 27, 37], [3 * 2 + 6 * 4, 57, 67]]),
        ({"padding": (0, 0, 0, 1)}, [[27, 37, 2 * 1 + 5 * 3], [57, 67, 5 * 1 + 8 * 3]]),
        ({"padding": (0, 0, 0, 1), "padding_value": 10}, [[27, 37, 17 + 60], [57, 67, 29 + 60]]),
        ({"padding": (1, 0)}, [[4, 11], [27, 37], [57, 67], [20, 23]]),
        ({"padding": 1, "stride": 3}, [[0 * 4, 2 * 3], [6 * 2, 8 * 1]]),
        ({"padding": "same"}, [[27, 37, 17], [57, 67, 29], [20, 23, 8]]),  # the odd surplus at the bottom and the right
        ({"padding": "valid"}, [[27, 37], [57, 67]]),
        ({"padding": "full"}, [[0, 4, 11, 6], [12, 27, 37, 17], [30, 57, 67, 29], [12, 20, 23, 8]]),
    ],
)
def test_by_hand(options, expected):
    assert_array_equal(cc.conv2d(NINE, FOUR, **options).numpy()[0, 0], expected)


def test_channels_filters_and_groups_by_hand():
    x = np.array([[[[1.0]], [[2.0]], [[3.0]], [[4.0]]]])  # 4 channels of one pixel
    weight = np.array([[1.0, 10], [2, 20], [3, 30], [4, 40]])[:, :, None, None]
    assert_array_equal(cc.conv2d(x, weight, groups=2).numpy().ravel(), [21, 42, 3 * 3 + 4 * 30, 3 * 4 + 4 * 40])
    dense = np.array([[1.0, 10, 100, 1000]])[:, :, None, None]
    assert_array_equal(cc.conv2d(x, dense).numpy().ravel(), [1 + 20 + 300 + 4000])
    each = np.array([5.0, 6, 7, 8])[:, None, None, None]
    assert_array_equal(cc.conv2d(x, each, groups=4).numpy().ravel(), [5, 12, 21, 32])


@st.composite
def problems(draw):
    """Shapes and options: filter as large as the image, steps longer than the filter, uneven borders, no images."""
    small, ends = st.integers(1, 3), st.integers(0, 2)
    filter_size, stride, dilation = (tuple(draw(small) for _ in "hw") for _ in range(3))
    padding = tuple(draw(ends) for _ in range(4))
    extent = [(f - 1) * d + 1 for f, d in zip(filter_size, dilation, strict=True)]
    least = [max(1, e - a - b) for e, a, b in zip(extent, padding[::2], padding[1::2], strict=True)]
    size = tuple(n + draw(st.integers(0, 3)) for n in least)
    groups, channels, filters = draw(small), draw(st.integers(1, 2)), draw(st.integers(1, 2))
    x = (draw(st.integers(0, 2)), channels * groups, *size)
    options = {"stride": stride, "dilation": dilation, "padding": padding, "groups": groups}
    return x, (filters * groups, channels, *filter_size), draw(st.booleans()), options


def integers(seed, *shapes):
    rng = np.random.default_rng(seed)
    return [rng.integers(-4, 5, shape).astype(float) for shape in shapes]


def gradients(x, weight, bias, g, **options):
    """The gradients of Σ conv2d · g."""
    arrays = (x, weight) if bias is None else (x, weight, bias)
    f = lambda *a: cc.sum(cc.multiply(cc.conv2d(*a, **options), g))  # noqa: E731
    return cc.gradient(f, tuple(range(len(arrays))))(*arrays)


@given(problem=problems(), value=st.sampled_from([0, 0, 1.5]), seed=st.integers(0, 999))
@example(((1, 1, 1, 1), (1, 1, 1, 1), True, {}), 0, 0)
@settings(max_examples=80, deadline=None)
def test_gradients(problem, value, seed):
    x, weight, with_bias, options = problem
    shapes = [x, weight] + [(weight[0],)] * with_bias
    arrays = [np.random.default_rng(seed + i).standard_normal(shape) for i, shape in enumerate(shapes)]
    assert cc.gradcheck(lambda *a: cc.conv2d(*a, padding_value=value, **options), arrays, directions=1)


@given(problem=problems(), seed=st.integers(0, 999))
@settings(max_examples=100, deadline=None)
def test_adjoints_are_exact_on_integers(problem, seed):
    x_shape, weight_shape, _, options = problem
    x, weight, bias = integers(seed, x_shape, weight_shape, weight_shape[:1])
    y = cc.conv2d(x, weight, **options).numpy()
    (g,) = integers(seed + 1, y.shape)
    grad_x, grad_weight, grad_bias = gradients(x, weight, bias, g, **options)
    assert (y * g).sum() == (grad_x * x).sum() == (grad_weight * weight).sum()
    assert_array_equal(grad_bias, g.sum(axis=(0, 2, 3)))


@given(problem=problems(), seed=st.integers(0, 999))
@settings(max_examples=30, deadline=None)
def test_float32_and_every_variant_agree_exactly_on_integers(problem, seed):
    x_shape, weight_shape, _, options = problem
    x, weight, bias = integers(seed, x_shape, weight_shape, weight_shape[:1])
    y = cc.conv2d(x, weight, bias, **options).numpy()
    (g,) = integers(seed + 1, y.shape)
    expected = (y, *gradients(x, weight, bias, g, **options))
    singles = [a.astype(np.float32) for a in (x, weight, bias, g)]
    geometry = cc.kernels.ConvGeometry.of(x_shape, weight_shape, **options)
    for variant in cc.kernels.variants("conv2d"):
        for arrays, dtype in (((x, weight, bias, g), np.float64), (singles, np.float32)):
            if not takes(variant, geometry, dtype):
                continue
            found = (cc.conv2d(*arrays[:3], variant=variant, **options).numpy(),
                     *gradients(*arrays, variant=variant, **options))  # fmt: skip
            for a, b in zip(found, expected, strict=True):
                assert a.dtype == dtype
                assert_array_equal(a, b)


def test_the_record_says_what_was_done():
    x, weight = cc.Tensor(np.ones((2, 1, 4, 4)), requires_grad=True), cc.Tensor(np.ones((3, 1, 3, 3)))
    with cc.Tape() as tape:
        y = cc.conv2d(x, weight, padding=1, variant="direct")
    (record,) = tape.records
    assert (record.op, str(record.geometry), record.variant) == ("conv2d", "mb2ic1ih4oc3oh4kh3ph1", "direct")
    assert record.saved["x"] is x.data  # views, no copies
    assert record.saved["weight"] is weight.data
    assert record.needs == (True, False, False)
    assert record.inputs == (x, weight, None)
    assert y.requires_grad


@pytest.mark.parametrize(
    ("convert", "dtype"),
    [
        (np.ndarray.tolist, "f8"), (lambda a: a.astype(int), "f8"), (lambda a: a.astype(np.uint8), "f8"),
        (lambda a: a.astype(bool), "f8"), (lambda a: a.astype("f4"), "f4"), (cc.Tensor, "f8"),
        (lambda a: a.astype(">f8"), "f8"),
    ],
    ids=["list", "int", "uint8", "bool", "float32", "Tensor", "big-endian"],
)  # fmt: skip
def test_dtypes(convert, dtype):
    ones = [np.ones(shape) for shape in ((1, 1, 3, 3), (1, 1, 2, 2), (1,))]
    y = cc.conv2d(*[convert(a) for a in ones])
    assert y.dtype == dtype
    assert_array_equal(y.numpy(), np.full((1, 1, 2, 2), 5))


def test_uint8_is_not_scaled():
    assert cc.conv2d(np.full((1, 1, 1, 1), 255, np.uint8), [[[[1.0]]]]).numpy().item() == 255


def test_noncontiguous_and_read_only_arrays():
    x, weight, g = integers(0, (2, 3, 6, 5), (4, 3, 3, 2), (2, 4, 4, 4))
    expected = cc.conv2d(x, weight).numpy(), gradients(x, weight, None, g)
    views = [np.asfortranarray(a) for a in (x, weight, g)]
    views[0] = np.repeat(x, 2, axis=3)[:, :, :, ::2]
    for view in views:
        view.flags.writeable = False
        assert not view.flags.c_contiguous
    assert_array_equal(cc.conv2d(*views[:2]).numpy(), expected[0])
    for a, b in zip(gradients(views[0], views[1], None, views[2]), expected[1], strict=True):
        assert_array_equal(a, b)


def test_no_images_give_an_empty_result_and_zero_gradients():
    x, weight, bias, g = integers(0, (0, 2, 5, 5), (3, 2, 3, 3), (3,), (0, 3, 3, 3))
    assert cc.conv2d(x, weight, bias).shape == (0, 3, 3, 3)
    grad_x, grad_weight, grad_bias = gradients(x, weight, bias, g)
    assert grad_x.shape == x.shape
    assert_array_equal(grad_weight, np.zeros_like(weight))
    assert_array_equal(grad_bias, np.zeros(3))


def test_arguments_are_not_changed():
    arrays = integers(0, (2, 2, 5, 5), (3, 2, 3, 3), (3,), (2, 3, 5, 5))
    copies = [a.copy() for a in arrays]
    gradients(*arrays, padding=1)
    for a, b in zip(arrays, copies, strict=True):
        assert_array_equal(a, b)


X, W, B = np.ones((2, 3, 5, 5)), np.ones((4, 3, 3, 3)), np.ones(4)
ARRAY = "must be float32, float64, integers or booleans, got"
SHAPES = "(x (2, 3, 5, 5), weight (4, 3, 3, 3))"
SIZE = "must be an int or 2 ints, got"


@pytest.mark.parametrize(
    ("arguments", "error", "text"),
    [
        ({"x": "a"}, TypeError, f"x {ARRAY} dtype <U1"),
        ({"x": None}, TypeError, f"x {ARRAY} NoneType"),
        ({"x": X * 1j}, TypeError, f"x {ARRAY} dtype complex128"),
        ({"x": X.astype(np.float16)}, TypeError, f"x {ARRAY} dtype float16"),
        ({"x": X.astype(object)}, TypeError, f"x {ARRAY} ndarray"),
        ({"x": [[1], [1, 2]]}, TypeError, "x must be an array of numbers, got a ragged list"),
        ({"weight": None}, TypeError, f"weight {ARRAY} NoneType"),
        ({"weight": W.astype(np.float16)}, TypeError, f"weight {ARRAY} dtype float16"),
        ({"bias": "a"}, TypeError, f"bias {ARRAY} dtype <U1"),
        ({"bias": B * 1j}, TypeError, f"bias {ARRAY} dtype complex128"),
        ({"x": X.astype(np.float32)}, TypeError,
         "arrays must share one dtype: x is float32, weight is float64, bias is float64"),
        ({"weight": W.astype(np.float32)}, TypeError,
         "arrays must share one dtype: x is float64, weight is float32, bias is float64"),
        ({"bias": B.astype(np.float32)}, TypeError,
         "arrays must share one dtype: x is float64, weight is float64, bias is float32"),
        ({"x": X.astype(np.float32), "weight": W.tolist(), "bias": None}, TypeError,
         "arrays must share one dtype: x is float32, weight is float64"),
        ({"x": 1.0}, ValueError, "x must have 4 axes, got 0 (x (), weight (4, 3, 3, 3))"),
        ({"x": X[0]}, ValueError, "x must have 4 axes, got 3 (x (3, 5, 5), weight (4, 3, 3, 3))"),
        ({"x": X[0], "weight": W[0]}, ValueError, "x must have 4 axes, got 3 (x (3, 5, 5), weight (3, 3, 3))"),
        ({"x": X[None], "weight": W[None]}, ValueError,
         "x must have 4 axes, got 5 (x (1, 2, 3, 5, 5), weight (1, 4, 3, 3, 3))"),
        ({"weight": W[0]}, ValueError, "weight must have 4 axes, got 3 (x (2, 3, 5, 5), weight (3, 3, 3))"),
        ({"x": X[:, :, :0]}, ValueError, "x has an axis of size 0 (x (2, 3, 0, 5), weight (4, 3, 3, 3))"),
        ({"x": X[:, :0]}, ValueError, "x has an axis of size 0 (x (2, 0, 5, 5), weight (4, 3, 3, 3))"),
        ({"weight": W[:0]}, ValueError, "weight has an axis of size 0 (x (2, 3, 5, 5), weight (0, 3, 3, 3))"),
        ({"weight": W[:, :, :, :0]}, ValueError, "weight has an axis of size 0 (x (2, 3, 5, 5), weight (4, 3, 3, 0))"),
        ({"x": X[:, :1]}, ValueError,
         "weight expects 3 input channels, x has 1 (x (2, 1, 5, 5), weight (4, 3, 3, 3))"),
        ({"weight": np.ones((4, 3, 6, 3))}, ValueError, "the filter covers 6 cells in height, the padded input has 5"),
        ({"dilation": (1, 4)}, ValueError, "the filter covers 9 cells in width, the padded input has 5"),
        ({"bias": B[:3]}, ValueError, "bias must have shape (4,), got (3,) (mb2ic3ih5oc4oh3kh3)"),
        ({"bias": B[None]}, ValueError, "bias must have shape (4,), got (1, 4) (mb2ic3ih5oc4oh3kh3)"),
        ({"bias": 1.0}, ValueError, "bias must have shape (4,), got () (mb2ic3ih5oc4oh3kh3)"),
        *[({name: value}, error, f"{name} {text}") for name in ("stride", "dilation") for value, error, text in [
            (0, ValueError, "must be at least 1, got 0"),
            ((1, -1), ValueError, "must be at least 1, got (1, -1)"),
            ((1, 2, 3), ValueError, f"{SIZE} 3"),
            (1.5, TypeError, f"{SIZE} 1.5"),
            (1.0, TypeError, f"{SIZE} 1.0"),
            ((1.0, 2), TypeError, f"{SIZE} (1.0, 2)"),
            (True, TypeError, f"{SIZE} True"),
            ("2", TypeError, f"{SIZE} '2'"),
            (None, TypeError, f"{SIZE} None"),
            ({1, 2}, TypeError, f"{SIZE} {{1, 2}}"),
            (np.array(2), TypeError, f"{SIZE} array(2)"),
            (2**40, ValueError, "must be at most 2**31, got 1099511627776"),
        ]],
        ({"padding": -1}, ValueError, "padding must be at least 0, got -1"),
        ({"padding": (1, 2, 3, -4)}, ValueError, "padding must be at least 0, got (1, 2, 3, -4)"),
        ({"padding": (1, 2, 3)}, ValueError, "padding must be an int, 2 ints or 4 ints, got 3"),
        ({"padding": "sam"}, ValueError, 'padding must be "same", "valid", "full" or numbers, got \'sam\''),
        ({"padding": "causal"}, ValueError, 'padding must be "same", "valid", "full" or numbers, got \'causal\''),
        ({"padding": 1.0}, TypeError, f"padding {SIZE} 1.0"),
        ({"padding": True}, TypeError, f"padding {SIZE} True"),
        ({"padding": None}, TypeError, f"padding {SIZE} None"),
        ({"padding": ((1, 1), (1, 1))}, TypeError, f"padding {SIZE} ((1, 1), (1, 1))"),
        ({"padding_value": None}, TypeError, f"padding_value {NUMBER_OR_PATTERN}, got None"),
        ({"padding_value": True}, TypeError, f"padding_value {NUMBER_OR_PATTERN}, got True"),
        ({"padding_value": 1j}, TypeError, f"padding_value {NUMBER_OR_PATTERN}, got 1j"),
        ({"padding_value": "reflect"}, ValueError, f"padding_value {NUMBER_OR_PATTERN}, got 'reflect'"),
        ({"groups": 0}, ValueError, "groups must be at least 1, got 0"),
        ({"groups": 1.0}, TypeError, "groups must be an int, got 1.0"),
        ({"groups": True}, TypeError, "groups must be an int, got True"),
        ({"groups": "1"}, TypeError, "groups must be an int, got '1'"),
        ({"groups": 2}, ValueError, f"weight expects 6 input channels in 2 groups, x has 3 {SHAPES}"),
        ({"groups": 3, "weight": W[:, :1]}, ValueError,
         "4 filters cannot be split into 3 groups (x (2, 3, 5, 5), weight (4, 1, 3, 3))"),
        ({"variant": "fast"}, ValueError,
         f"variant must be one of {', '.join(cc.kernels.variants('conv2d'))}, got 'fast'"),
        ({"variant": 3}, ValueError, f"variant must be one of {', '.join(cc.kernels.variants('conv2d'))}, got 3"),
    ],
)  # fmt: skip
def test_bad_input(arguments, error, text):
    cc.conv2d(X, W, B)  # what is remembered for good arguments must not answer for bad ones that equal them
    with pytest.raises(error) as caught:
        cc.conv2d(**{"x": X, "weight": W, "bias": B, **arguments})
    assert str(caught.value) == f"conv2d: {text}"
