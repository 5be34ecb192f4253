import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.testing import assert_array_equal

import convcore as cc

shapes = hnp.array_shapes(min_dims=1, max_dims=4, min_side=1, max_side=4)
NAN, INF = np.nan, np.inf
ROWS = [cc.softmax, cc.log_softmax]


def gradient(f, x, g):
    return cc.gradient(lambda x: cc.sum(cc.multiply(f(x), g)))(x)


# ------------------------------------------------------------------------------------------------------------ relu


@pytest.mark.parametrize("dtype", ["f4", "f8"])
def test_relu_by_hand(dtype):
    x = np.array([-2, -0.0, 0.0, 3, -INF, INF, NAN, 1e-30, -1e-30], dtype)
    y = cc.relu(x).numpy()
    assert y.dtype == dtype
    assert_array_equal(y, np.array([0, 0, 0, 3, 0, INF, NAN, 1e-30, 0], dtype))
    g = np.arange(1, 10).astype(dtype)
    assert_array_equal(gradient(cc.relu, x, g), [0, 0, 0, 4, 0, 6, 7, 8, 0])  # 0 at 0


@given(shape=hnp.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=5), seed=st.integers(0, 999))
@settings(max_examples=40, deadline=None)
def test_relu_gradients(shape, seed):
    x = np.random.default_rng(seed).uniform(0.1, 1, shape) * np.random.default_rng(seed).choice([-1, 1], shape)
    assert cc.relu(x).shape == shape
    assert_array_equal(cc.relu(x).numpy(), np.maximum(x, 0))
    assert cc.gradcheck(cc.relu, (x,), directions=1)


def test_relu_takes_any_memory_order():
    x = np.random.default_rng(0).standard_normal((4, 5, 6)).transpose(2, 0, 1)[::2]
    x.flags.writeable = False
    g = np.broadcast_to(np.arange(1.0, 6), x.shape)
    assert_array_equal(cc.relu(x).numpy(), np.maximum(x, 0))
    assert_array_equal(gradient(cc.relu, x, g), g * (x > 0))


# ---------------------------------------------------------------------------------------- softmax and its logarithm


@pytest.mark.parametrize(
    ("x", "axis", "expected"),
    [
        ([[0, 0]], 1, [[0.5, 0.5]]),
        ([[0, 0, 0, 0]], -1, [[0.25] * 4]),
        ([[0], [0]], 0, [[0.5], [0.5]]),
        ([[np.log(1), np.log(3)], [np.log(4), np.log(1)]], 1, [[0.25, 0.75], [0.8, 0.2]]),
        ([[np.log(1), np.log(3)], [np.log(4), np.log(1)]], 0, [[0.2, 0.75], [0.8, 0.25]]),
        ([[1e4, 1e4 - np.log(3)]], 1, [[0.75, 0.25]]),  # no exponential overflows
        ([[-1e308, 1e308]], 1, [[0, 1]]),
        ([[-INF, 0, 0]], 1, [[0, 0.5, 0.5]]),
        ([7], 0, [1]),
    ],
)
def test_softmax_by_hand(x, axis, expected):
    with np.errstate(over="ignore"):
        np.testing.assert_allclose(cc.softmax(x, axis).numpy(), expected, rtol=1e-12)
        with np.errstate(divide="ignore"):
            np.testing.assert_allclose(cc.log_softmax(x, axis).numpy()[np.array(expected) > 0],
                                       np.log(expected)[np.array(expected) > 0], rtol=1e-11, atol=1e-12)  # fmt: skip


def test_log_softmax_does_not_round_to_log_0():
    assert_array_equal(cc.log_softmax([[0, 1000]]).numpy(), [[-1000, 0]])
    assert cc.log_softmax([[0, 50]]).numpy()[0, 1] == pytest.approx(-np.exp(-50))


@pytest.mark.parametrize("f", ROWS)
@given(shape=shapes, seed=st.integers(0, 999), data=st.data())
@settings(max_examples=40, deadline=None)
def test_softmax_gradients_on_every_axis(f, shape, seed, data):
    x = np.random.default_rng(seed).standard_normal(shape)
    axis = data.draw(st.integers(-len(shape), len(shape) - 1))
    assert cc.gradcheck(lambda x: f(x, axis), (x,), directions=1)
    y = f(x, axis).numpy()
    np.testing.assert_allclose((y if f is cc.softmax else np.exp(y)).sum(axis), 1, rtol=1e-14)
    np.testing.assert_allclose(f(x + 100, axis).numpy(), y, rtol=1e-10, atol=1e-10)  # a shift changes nothing
    np.testing.assert_allclose(f(x.astype("f4"), axis).numpy(), y, rtol=1e-5, atol=1e-6)
    assert f(x.astype("f4"), axis).dtype == np.float32


@pytest.mark.parametrize("f", ROWS)
def test_softmax_default_axis_is_the_channels(f):
    x = np.random.default_rng(0).standard_normal((2, 3, 4, 5))
    assert_array_equal(f(x).numpy(), f(x, axis=1).numpy())
    assert_array_equal(f(x).numpy(), f(x, axis=-3).numpy())


@pytest.mark.parametrize("f", ROWS)
def test_softmax_takes_any_memory_order(f):
    x = np.asfortranarray(np.random.default_rng(0).standard_normal((3, 4)))
    x.flags.writeable = False
    np.testing.assert_allclose(f(x).numpy(), f(x.copy(order="C")).numpy(), rtol=1e-15)


@pytest.mark.parametrize("f", [cc.relu, *ROWS])
def test_no_observations(f):
    x = np.zeros((0, 3))
    assert f(x).shape == (0, 3)
    assert gradient(f, x, x).shape == (0, 3)


# ------------------------------------------------------------------------------------------------------- all of them

ARRAY = "x must be float32, float64, integers or booleans, got"
X = np.ones((2, 3))


@pytest.mark.parametrize("f", [cc.relu, *ROWS])
@pytest.mark.parametrize("convert", [np.ndarray.tolist, lambda a: a.astype(np.int8), lambda a: a.astype(bool)],
                         ids=["list", "int8", "bool"])  # fmt: skip
def test_dtypes(f, convert):
    y = f(convert(X))
    assert y.dtype == np.float64
    assert_array_equal(y.numpy(), f(X).numpy())


@pytest.mark.parametrize("f", [cc.relu, *ROWS])
@pytest.mark.parametrize(
    ("x", "text"),
    [
        ("a", f"{ARRAY} dtype <U1"),
        (None, f"{ARRAY} NoneType"),
        (X * 1j, f"{ARRAY} dtype complex128"),
        (X.astype(np.float16), f"{ARRAY} dtype float16"),
        (X.astype(object), f"{ARRAY} ndarray"),
        ([[1], [1, 2]], "x must be an array of numbers, got a ragged list"),
    ],
)
def test_no_arrays_of_numbers(f, x, text):
    with pytest.raises(TypeError) as caught:
        f(x)
    assert str(caught.value) == f"{f.__name__}: {text}"


@pytest.mark.parametrize("f", ROWS)
@pytest.mark.parametrize(
    ("arguments", "error", "text"),
    [
        ((X, 2), ValueError, "axis 2 does not exist, x has 2 axes (x (2, 3))"),
        ((X, -3), ValueError, "axis -3 does not exist, x has 2 axes (x (2, 3))"),
        ((X[0],), ValueError, "axis 1 does not exist, x has 1 axes (x (3,))"),
        ((1.0, 0), ValueError, "axis 0 does not exist, x has 0 axes (x ())"),
        ((X[:, :0],), ValueError, "axis 1 has 0 elements, at least 1 is needed (x (2, 0))"),
        ((X, None), TypeError, "axis must be an int, got None"),
        ((X, 1.0), TypeError, "axis must be an int, got 1.0"),
        ((X, True), TypeError, "axis must be an int, got True"),
        ((X, (0, 1)), TypeError, "axis must be an int, got (0, 1)"),
    ],
)
def test_bad_axes(f, arguments, error, text):
    with pytest.raises(error) as caught:
        f(*arguments)
    assert str(caught.value) == f"{f.__name__}: {text}"
