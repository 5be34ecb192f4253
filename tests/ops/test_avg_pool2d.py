import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_array_equal

import convcore as cc

IMAGE = np.array([[[[4.0, 8, 0, 4], [12, 16, 8, 4], [-4, 0, 20, 8]]]])


@pytest.mark.parametrize(
    ("pool_size", "options", "expected"),
    [
        (2, {}, [[10, 4]]),  # the stride is the pool size; what does not fill a window is ignored
        (2, {"stride": 1}, [[10, 8, 4], [6, 11, 10]]),
        ((1, 2), {}, [[6, 2], [14, 6], [-2, 14]]),
        ((3, 1), {"stride": (1, 3)}, [[4, 16 / 3]]),
        (2, {"padding": 1}, [[1, 2, 1], [2, 11, 3]]),  # zeros that count
        (2, {"padding": 1, "padding_value": 4}, [[4, 4, 4], [4, 11, 5]]),
        (2, {"padding": 1, "padding_value": "mean"}, [[4, 4, 4], [4, 11, 6]]),  # cells that do not count
        (2, {"padding": (1, 0, 0, 0), "padding_value": "mean"}, [[6, 2], [6, 10]]),
        (2, {"padding": (0, 1, 0, 0)}, [[10, 4], [-1, 7]]),
        (2, {"padding": (0, 0, 1, 0), "padding_value": "mean"}, [[8, 8]]),
        (2, {"padding": (0, 0, 0, 1), "stride": (1, 4), "padding_value": "mean"}, [[10], [6]]),
        (3, {"padding": "same", "padding_value": 9}, [[(36 + 27) / 9, (44 + 27) / 9]]),  # a surplus column per side
        (1, {"padding": (1, 0, 0, 0), "stride": 2, "padding_value": "mean"}, [[0, 0], [12, 8]]),  # only padding: 0
        (1, {"padding": (1, 0, 0, 0), "stride": 2, "padding_value": 7}, [[7, 7], [12, 8]]),
        (1, {}, IMAGE[0, 0]),
    ],
)
def test_by_hand(pool_size, options, expected):
    y = cc.avg_pool2d(IMAGE, pool_size, **options).numpy()[0, 0]
    assert_array_equal(y, expected)
    single = cc.avg_pool2d(IMAGE.astype("f4"), pool_size, **options).numpy()[0, 0]
    assert single.dtype == np.float32
    assert_array_equal(single, y.astype("f4"))


def gradient(x, g, pool_size, **options):
    return cc.gradient(lambda x: cc.sum(cc.multiply(cc.avg_pool2d(x, pool_size, **options), g)))(x)


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, [[1, 1, 10, 10], [1, 1, 10, 10], [0, 0, 0, 0]]),
        ({"padding": (1, 0, 0, 0)}, [[1, 1, 10, 10], [100, 100, 1000, 1000], [100, 100, 1000, 1000]]),
        ({"padding": (1, 0, 0, 0), "padding_value": "mean"},
         [[2, 2, 20, 20], [100, 100, 1000, 1000], [100, 100, 1000, 1000]]),
    ],
)  # fmt: skip
def test_gradient_by_hand(options, expected):
    y = cc.avg_pool2d(IMAGE, 2, **options)
    g = 4.0 * 10.0 ** np.arange(y.size).reshape(y.shape)
    assert_array_equal(gradient(IMAGE, g, 2, **options)[0, 0], expected)


@st.composite
def problems(draw):
    pair = st.tuples(st.integers(1, 3), st.integers(1, 3))
    pool_size, stride = draw(pair), draw(st.none() | pair)
    padding = tuple(draw(st.integers(0, 2)) for _ in range(4))
    size = tuple(p + draw(st.integers(0, 3)) for p in pool_size)
    shape = (draw(st.integers(0, 2)), draw(st.integers(1, 2)), *size)
    return shape, pool_size, {"stride": stride, "padding": padding}


@given(problem=problems(), value=st.sampled_from([0, 2.5, "mean"]), seed=st.integers(0, 999))
@settings(max_examples=60, deadline=None)
def test_gradients(problem, value, seed):
    shape, pool_size, options = problem
    x = np.random.default_rng(seed).standard_normal(shape)
    f = lambda x: cc.avg_pool2d(x, pool_size, padding_value=value, **options)  # noqa: E731
    assert cc.gradcheck(f, (x,), directions=1)


@given(problem=problems(), value=st.sampled_from([0, "mean"]), seed=st.integers(0, 999))
@settings(max_examples=60, deadline=None)
def test_adjoint_is_exact_on_multiples_of_the_divisors(problem, value, seed):
    """The average of multiples of 36 over 1 to 4, 6 or 9 cells is an integer, so every sum is exact."""
    shape, pool_size, options = problem
    rng = np.random.default_rng(seed)
    x, options["padding_value"] = 36.0 * rng.integers(-4, 5, shape), value
    y = cc.avg_pool2d(x, pool_size, **options).numpy()
    g = 36.0 * rng.integers(-4, 5, y.shape)
    grad = gradient(x, g, pool_size, **options)
    assert (y * g).sum() == (x * grad).sum()
    single = gradient(x.astype("f4"), g.astype("f4"), pool_size, **options)
    assert single.dtype == np.float32
    assert_array_equal(single, grad)


@pytest.mark.parametrize("convert", [np.ndarray.tolist, lambda a: a.astype(int)], ids=["list", "int"])
def test_dtypes(convert):
    y = cc.avg_pool2d(convert(IMAGE), 2)
    assert y.dtype == np.float64
    assert_array_equal(y.numpy(), [[[[10, 4]]]])


def test_noncontiguous_and_read_only_arrays():
    x = 4.0 * np.random.default_rng(0).integers(-4, 5, (2, 3, 6, 5))
    view = np.asfortranarray(x)
    view.flags.writeable = False
    y = cc.avg_pool2d(x, 2).numpy()
    assert_array_equal(cc.avg_pool2d(view, 2).numpy(), y)
    assert_array_equal(gradient(view, np.asfortranarray(y), 2), gradient(x, y, 2))


def test_no_images():
    x = np.zeros((0, 2, 4, 4))
    assert cc.avg_pool2d(x, 2).shape == (0, 2, 2, 2)
    assert gradient(x, np.zeros((0, 2, 2, 2)), 2).shape == x.shape


def test_nan_stays_where_it_is_and_an_infinite_border_touches_only_what_sees_it():
    x = IMAGE.copy()
    x[0, 0, 0, 0] = np.nan
    assert_array_equal(cc.avg_pool2d(x, 2).numpy()[0, 0], [[np.nan, 4]])
    y = cc.avg_pool2d(IMAGE, 2, padding=(1, 0, 0, 0), padding_value=np.inf).numpy()[0, 0]
    assert_array_equal(y, [[np.inf, np.inf], [6, 10]])


X = np.ones((2, 3, 5, 5))
ARRAY = "must be float32, float64, integers or booleans, got"
SIZE = "must be an int or 2 ints, got"
VALUE = 'padding_value must be a number or "mean", got'


@pytest.mark.parametrize(
    ("arguments", "error", "text"),
    [
        ({"x": "a"}, TypeError, f"x {ARRAY} dtype <U1"),
        ({"x": None}, TypeError, f"x {ARRAY} NoneType"),
        ({"x": X.astype(np.float16)}, TypeError, f"x {ARRAY} dtype float16"),
        ({"x": [[1], [1, 2]]}, TypeError, "x must be an array of numbers, got a ragged list"),
        ({"x": X[0]}, ValueError, "x must have 4 axes, got 3 (x (3, 5, 5))"),
        ({"x": X[:, :, :0]}, ValueError, "x has an axis of size 0 (x (2, 3, 0, 5))"),
        *[({name: value}, error, f"{name} {text}") for name in ("pool_size", "stride") for value, error, text in [
            (0, ValueError, "must be at least 1, got 0"),
            ((1, 2, 3), ValueError, f"{SIZE} 3"),
            (1.0, TypeError, f"{SIZE} 1.0"),
            (True, TypeError, f"{SIZE} True"),
            ("2", TypeError, f"{SIZE} '2'"),
            ({2, 3}, TypeError, f"{SIZE} {{2, 3}}"),
        ]],
        ({"pool_size": None}, TypeError, f"pool_size {SIZE} None"),
        ({"pool_size": (1, 6)}, ValueError, "the window covers 6 cells in width, the padded input has 5"),
        ({"padding": -1}, ValueError, "padding must be at least 0, got -1"),
        ({"padding": (1, 2, 3)}, ValueError, "padding must be an int, 2 ints or 4 ints, got 3"),
        ({"padding": "sam"}, ValueError, 'padding must be "same", "valid", "full" or numbers, got \'sam\''),
        ({"padding": 1.0}, TypeError, f"padding {SIZE} 1.0"),
        ({"padding_value": None}, TypeError, f"{VALUE} None"),
        ({"padding_value": True}, TypeError, f"{VALUE} True"),
        ({"padding_value": 1j}, TypeError, f"{VALUE} 1j"),
        ({"padding_value": {1: 2}}, TypeError, f"{VALUE} {{1: 2}}"),
        ({"padding_value": "median"}, ValueError, f"{VALUE} 'median'"),
    ],
)  # fmt: skip
def test_bad_input(arguments, error, text):
    cc.avg_pool2d(X, 1)  # what is remembered for good arguments must not answer for bad ones that equal them
    with pytest.raises(error) as caught:
        cc.avg_pool2d(**{"x": X, "pool_size": 2, **arguments})
    assert str(caught.value) == f"avg_pool2d: {text}"
