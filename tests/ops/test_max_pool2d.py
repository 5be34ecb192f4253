import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_array_equal

import convcore as cc

INF, NAN = np.inf, np.nan
IMAGE = np.array([[[[1.0, 9, 2, 5], [3, 4, 8, 6], [7, -1, 0, -2]]]])


@pytest.mark.parametrize(
    ("pool_size", "options", "expected"),
    [
        (2, {}, [[9, 8]]),  # the stride is the pool size; what does not fill a window is ignored
        (2, {"stride": 1}, [[9, 9, 8], [7, 8, 8]]),
        ((1, 2), {}, [[9, 5], [4, 8], [7, 0]]),
        ((2, 1), {"stride": (1, 3)}, [[3, 6], [7, 6]]),
        (2, {"dilation": (2, 1)}, [[9, 5]]),
        (2, {"dilation": (2, 3), "stride": 1}, [[7]]),
        (2, {"padding": 1, "stride": 2}, [[1, 9, 5], [7, 8, 6]]),
        (2, {"padding": (1, 0, 0, 0)}, [[9, 5], [7, 8]]),
        (2, {"padding": (0, 1, 0, 0)}, [[9, 8], [7, 0]]),
        (2, {"padding": (0, 0, 1, 0)}, [[3, 9]]),
        (2, {"padding": (0, 0, 0, 1), "stride": 1}, [[9, 9, 8, 6], [7, 8, 8, 6]]),
        (2, {"padding": "same"}, [[9, 8], [7, 0]]),
        (1, {"padding": (1, 0, 0, 0), "stride": 2}, [[-INF, -INF], [3, 8]]),  # a window that sees nothing but padding
        (2, {"padding": "full", "stride": 3}, [[1, 5], [7, 0]]),
        (1, {}, IMAGE[0, 0]),
    ],
)
def test_by_hand(pool_size, options, expected):
    y = cc.max_pool2d(IMAGE, pool_size, **options).numpy()[0, 0]
    assert_array_equal(y, expected)
    assert_array_equal(cc.max_pool2d(IMAGE.astype("f4"), pool_size, **options).numpy()[0, 0], y.astype("f4"))


def test_channels_and_images_do_not_mix():
    x = np.random.default_rng(0).permutation(2.0 * np.arange(72)).reshape(2, 3, 3, 4)
    y = cc.max_pool2d(x, 2).numpy()
    for n, c in np.ndindex(2, 3):
        assert_array_equal(y[n, c], cc.max_pool2d(x[n : n + 1, c : c + 1], 2).numpy()[0, 0])


def gradient(x, g, pool_size, **options):
    return cc.gradient(lambda x: cc.sum(cc.multiply(cc.max_pool2d(x, pool_size, **options), g)))(x)


@pytest.mark.parametrize(
    ("x", "expected"),
    [
        ([[2, 2], [2, 2]], [[1, 0], [0, 0]]),  # of equals the first in row order
        ([[1, 2], [2, 2]], [[0, 1], [0, 0]]),
        ([[1, 1], [2, 2]], [[0, 0], [1, 0]]),
        ([[-0.0, 0.0], [0, 0]], [[1, 0], [0, 0]]),
        ([[-INF, -INF], [-INF, -INF]], [[1, 0], [0, 0]]),
        ([[1, NAN], [5, NAN]], [[0, 1], [0, 0]]),  # NaN wins, the first of several
        ([[INF, 1], [NAN, INF]], [[0, 0], [1, 0]]),
    ],
)
def test_ties_and_nan(x, expected):
    for dtype in ("f4", "f8"):
        x = np.array(x, dtype).reshape(1, 1, 2, 2)
        y = cc.max_pool2d(x, 2).numpy()
        assert_array_equal(y, x.max(keepdims=True))
        assert_array_equal(gradient(x, np.ones((1, 1, 1, 1), dtype), 2)[0, 0], expected)


def test_where_windows_overlap_gradients_add_up():
    x = np.array([[[[0.0, 0, 0], [0, 5, 0], [0, 0, 0]]]])
    g = np.array([[[[1.0, 10], [100, 1000]]]])
    assert_array_equal(gradient(x, g, 2, stride=1)[0, 0], [[0, 0, 0], [0, 1111, 0], [0, 0, 0]])


def test_padding_takes_no_gradient():
    grad = gradient(IMAGE, np.ones((1, 1, 3, 3)), 1, padding=1, stride=2)
    assert_array_equal(grad, np.array([[[[0, 0, 0, 0], [0, 1, 0, 1], [0, 0, 0, 0]]]]))


@st.composite
def problems(draw):
    pair = st.tuples(st.integers(1, 3), st.integers(1, 3))
    pool_size, stride, dilation = draw(pair), draw(st.none() | pair), draw(st.tuples(*[st.integers(1, 2)] * 2))
    padding = tuple(draw(st.integers(0, size - 1)) for size in pool_size for _ in range(2))
    extent = [(p - 1) * d + 1 for p, d in zip(pool_size, dilation, strict=True)]
    size = tuple(max(e, p) + draw(st.integers(0, 3)) for e, p in zip(extent, pool_size, strict=True))
    shape = (draw(st.integers(0, 2)), draw(st.integers(1, 2)), *size)
    return shape, pool_size, {"stride": stride, "padding": padding, "dilation": dilation}


@given(problem=problems(), seed=st.integers(0, 999))
@settings(max_examples=60, deadline=None)
def test_gradients(problem, seed):
    shape, pool_size, options = problem
    x = np.random.default_rng(seed).permutation(np.arange(np.prod(shape))).reshape(shape) / 8  # no ties: no kinks
    assert cc.gradcheck(lambda x: cc.max_pool2d(x, pool_size, **options), (x,), directions=1)


@given(problem=problems(), seed=st.integers(0, 999))
@settings(max_examples=60, deadline=None)
def test_each_output_is_one_input(problem, seed):
    """Σ y·g = Σ x·grad_x, exactly; and float32 does the same as float64."""
    shape, pool_size, options = problem
    rng = np.random.default_rng(seed)
    x = rng.integers(-4, 5, shape).astype(float)
    y = cc.max_pool2d(x, pool_size, **options).numpy()
    g = rng.integers(-4, 5, y.shape).astype(float)
    grad = gradient(x, g, pool_size, **options)
    seen = np.isfinite(y)
    assert (y[seen] * g[seen]).sum() == (x * grad).sum()
    single = gradient(x.astype("f4"), g.astype("f4"), pool_size, **options)
    assert single.dtype == np.float32
    assert_array_equal(single, grad)


@pytest.mark.parametrize("convert", [np.ndarray.tolist, lambda a: a.astype(int)], ids=["list", "int"])
def test_dtypes(convert):
    y = cc.max_pool2d(convert(IMAGE), 2)
    assert y.dtype == np.float64
    assert_array_equal(y.numpy(), [[[[9, 8]]]])


def test_noncontiguous_and_read_only_arrays():
    x = np.random.default_rng(0).permutation(np.arange(2.0 * 3 * 6 * 5)).reshape(2, 3, 6, 5)
    view = np.asfortranarray(x)
    view.flags.writeable = False
    y = cc.max_pool2d(x, 2).numpy()
    assert_array_equal(cc.max_pool2d(view, 2).numpy(), y)
    assert_array_equal(gradient(view, np.asfortranarray(y), 2), gradient(x, y, 2))


def test_no_images():
    x = np.zeros((0, 2, 4, 4))
    assert cc.max_pool2d(x, 2).shape == (0, 2, 2, 2)
    assert gradient(x, np.zeros((0, 2, 2, 2)), 2).shape == x.shape


X = np.ones((2, 3, 5, 5))
ARRAY = "must be float32, float64, integers or booleans, got"
SIZE = "must be an int or 2 ints, got"


@pytest.mark.parametrize(
    ("arguments", "error", "text"),
    [
        ({"x": "a"}, TypeError, f"x {ARRAY} dtype <U1"),
        ({"x": None}, TypeError, f"x {ARRAY} NoneType"),
        ({"x": X.astype(np.float16)}, TypeError, f"x {ARRAY} dtype float16"),
        ({"x": X * 1j}, TypeError, f"x {ARRAY} dtype complex128"),
        ({"x": [[1], [1, 2]]}, TypeError, "x must be an array of numbers, got a ragged list"),
        ({"x": X[0]}, ValueError, "x must have 4 axes, got 3 (x (3, 5, 5))"),
        ({"x": X[:, :, :0]}, ValueError, "x has an axis of size 0 (x (2, 3, 0, 5))"),
        ({"x": X[:, :0]}, ValueError, "x has an axis of size 0 (x (2, 0, 5, 5))"),
        *[({name: value}, error, f"{name} {text}") for name in ("pool_size", "stride", "dilation")
          for value, error, text in [
            (0, ValueError, "must be at least 1, got 0"),
            ((1, -1), ValueError, "must be at least 1, got (1, -1)"),
            ((1, 2, 3), ValueError, f"{SIZE} 3"),
            (1.0, TypeError, f"{SIZE} 1.0"),
            (True, TypeError, f"{SIZE} True"),
            ("2", TypeError, f"{SIZE} '2'"),
            ({2, 3}, TypeError, f"{SIZE} {{2, 3}}"),
            (np.array(2), TypeError, f"{SIZE} array(2)"),
        ]],
        ({"pool_size": None}, TypeError, f"pool_size {SIZE} None"),
        ({"dilation": None}, TypeError, f"dilation {SIZE} None"),
        ({"pool_size": (6, 1)}, ValueError, "the window covers 6 cells in height, the padded input has 5"),
        ({"dilation": (1, 5)}, ValueError, "the window covers 6 cells in width, the padded input has 5"),
        ({"padding": -1}, ValueError, "padding must be at least 0, got -1"),
        ({"padding": (1, 2, 3)}, ValueError, "padding must be an int, 2 ints or 4 ints, got 3"),
        ({"padding": "sam"}, ValueError, 'padding must be "same", "valid", "full" or numbers, got \'sam\''),
        ({"padding": 1.0}, TypeError, f"padding {SIZE} 1.0"),
        ({"padding": None}, TypeError, f"padding {SIZE} None"),
        ({"padding": ((1, 1), (1, 1))}, TypeError, f"padding {SIZE} ((1, 1), (1, 1))"),
    ],
)  # fmt: skip
def test_bad_input(arguments, error, text):
    cc.max_pool2d(X, 1)  # what is remembered for good arguments must not answer for bad ones that equal them
    with pytest.raises(error) as caught:
        cc.max_pool2d(**{"x": X, "pool_size": 2, **arguments})
    assert str(caught.value) == f"max_pool2d: {text}"


@pytest.mark.parametrize("pair", [[2, 1], np.array([2, 1]), (np.int64(2), np.uint8(1))], ids=["list", "array", "NumPy"])
def test_pairs_may_be_lists_and_arrays(pair):
    assert cc.max_pool2d(X, pair, stride=pair, padding=pair, dilation=pair).shape == (2, 3, 4, 7)
