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


# --------------------------------------------------------------------- leaky_relu, clipped_relu, elu, gelu, swish

CURVES = {
    "leaky_relu": (lambda x: cc.leaky_relu(x, 0.125), lambda x, torch: torch.nn.functional.leaky_relu(x, 0.125)),
    "clipped_relu": (lambda x: cc.clipped_relu(x, 2), lambda x, torch: torch.nn.functional.hardtanh(x, 0, 2)),
    "elu": (lambda x: cc.elu(x, 0.75), lambda x, torch: torch.nn.functional.elu(x, 0.75)),
    "gelu": (cc.gelu, lambda x, torch: torch.nn.functional.gelu(x)),
    "swish": (cc.swish, lambda x, torch: torch.nn.functional.silu(x)),
}
curves = pytest.mark.parametrize("curve", CURVES)
DEFAULTS = [cc.leaky_relu, lambda x: cc.clipped_relu(x, 6), cc.elu, cc.gelu, cc.swish]


def with_slopes(f, x):
    """f(x) and f'(x), whatever is in x."""
    x = cc.Tensor(x, requires_grad=True)
    with cc.Tape() as tape:
        y = f(x)
    tape.backward(y, np.ones_like(x.data))
    return y.data, x.grad


@curves
@pytest.mark.parametrize(("dtype", "tolerance"), [("f8", 1e-12), ("f4", 1e-6)])
def test_activations_equal_torch(curve, dtype, tolerance):
    torch = pytest.importorskip("torch")
    ours, theirs = CURVES[curve]
    x = (4 * np.random.default_rng(0).standard_normal((3, 4, 5))).astype(dtype)
    x.flat[0] = 0 if curve in ("leaky_relu", "elu", "gelu", "swish") else x.flat[0]
    t = torch.tensor(x, requires_grad=True)
    expected = theirs(t, torch)
    expected.sum().backward()
    y, slopes = with_slopes(ours, x)
    assert y.dtype == slopes.dtype == dtype
    np.testing.assert_allclose(y, expected.detach().numpy(), rtol=tolerance, atol=tolerance)
    np.testing.assert_allclose(slopes, t.grad.numpy(), rtol=tolerance, atol=tolerance)


@curves
@given(shape=hnp.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=4), seed=st.integers(0, 999))
@settings(max_examples=25)
def test_activations_have_the_gradients_of_their_values(curve, shape, seed):
    f, _ = CURVES[curve]
    rng = np.random.default_rng(seed)
    x = rng.uniform(0.1, 1.8, shape) * rng.choice([-1, 1], shape)  # away from the kinks at 0 and 2
    assert f(x).shape == shape
    assert cc.gradcheck(f, (x,), directions=1)


@pytest.mark.parametrize(("curve", "kink"), [("leaky_relu", 0), ("clipped_relu", 0), ("clipped_relu", 2), ("elu", 0)])
def test_kinks_are_found(curve, kink):
    with pytest.raises(cc.GradientError) as caught:
        cc.gradcheck(CURVES[curve][0], (np.array([1.0, kink, -1.0]),))
    assert f"{curve} has a kink in input 0 at index (1,)" in str(caught.value)


@curves
def test_activations_take_any_memory_order(curve):
    f, _ = CURVES[curve]
    x = np.random.default_rng(0).standard_normal((4, 5, 6)).transpose(2, 0, 1)[::2]
    x.flags.writeable = False
    g = np.broadcast_to(np.arange(1.0, 6), x.shape)
    y, slopes = with_slopes(f, x.copy(order="C"))
    assert_array_equal(f(x).numpy(), y)
    np.testing.assert_allclose(gradient(f, x, g), g * slopes, rtol=1e-14, atol=1e-15)


@pytest.mark.parametrize("dtype", ["f4", "f8"])
@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(
    ("f", "y", "slopes"),
    [
        (DEFAULTS[0], lambda m: [-INF, -0.01 * m, -10, 0, 1000, m, INF, NAN], [0.01, 0.01, 0.01, 0.01, 1, 1, 1, 1]),
        (DEFAULTS[1], lambda m: [0, 0, 0, 0, 6, 6, 6, NAN], [0, 0, 0, 0, 0, 0, 0, 1]),
        (DEFAULTS[2], lambda m: [-1, -1, -1, 0, 1000, m, INF, NAN], [0, 0, 0, 1, 1, 1, 1, NAN]),
        (DEFAULTS[3], lambda m: [0, 0, 0, 0, 1000, m, INF, NAN], [0, 0, 0, 0.5, 1, 1, 1, NAN]),
        (DEFAULTS[4], lambda m: [0, 0, 0, 0, 1000, m, INF, NAN], [0, 0, 0, 0.5, 1, 1, 1, NAN]),
    ],
    ids=["leaky_relu", "clipped_relu", "elu", "gelu", "swish"],
)
def test_activations_far_out(f, y, slopes, dtype):
    """Nothing overflows, no infinity times 0 becomes NaN, and NaN is handed on."""
    largest = np.finfo(dtype).max
    x = np.array([-INF, -largest, -1000, 0, 1000, largest, INF, NAN], dtype)
    got, got_slopes = with_slopes(f, x)
    np.testing.assert_allclose(got, np.array(y(largest), dtype), rtol=1e-6)
    np.testing.assert_allclose(got_slopes, np.array(slopes, dtype), rtol=1e-6, atol=1e-300)


@pytest.mark.parametrize(
    ("f", "x", "expected"),
    [
        (lambda x: cc.leaky_relu(x, 0.25), [-4, -1, 0, 3], [-1, -0.25, 0, 3]),
        (lambda x: cc.leaky_relu(x, -2), [-4, 3], [8, 3]),
        (lambda x: cc.clipped_relu(x, 2.5), [-1, 0, 1, 2.5, 3], [0, 0, 1, 2.5, 2.5]),
        (cc.elu, [-np.log(2), 0, 3], [-0.5, 0, 3]),
        (lambda x: cc.elu(x, 4), [-np.log(2), -1e-20], [-2, -4e-20]),  # expm1: no digits lost near 0
        (cc.swish, [np.log(3), -np.log(3)], [0.75 * np.log(3), -0.25 * np.log(3)]),
        (cc.gelu, [1, -1], [0.84134474606854293, -0.15865525393145705]),
    ],
)
def test_activations_by_hand(f, x, expected):
    np.testing.assert_allclose(f(x).numpy(), expected, rtol=1e-15)


def test_swish_keeps_the_digits_of_small_values():
    x = np.array([-30.0, -500.0])
    y, slopes = with_slopes(cc.swish, x)
    np.testing.assert_allclose(y, x * np.exp(x), rtol=1e-12)
    np.testing.assert_allclose(slopes, (1 + x) * np.exp(x), rtol=1e-12)


# ------------------------------------------------------------------------------------------------------- all of them

ALL = [cc.relu, cc.leaky_relu, cc.elu, cc.gelu, cc.swish, *ROWS]
ARRAY = "x must be float32, float64, integers or booleans, got"
X = np.ones((2, 3))


@pytest.mark.parametrize("f", ALL)
@pytest.mark.parametrize("convert", [np.ndarray.tolist, lambda a: a.astype(np.int8), lambda a: a.astype(bool)],
                         ids=["list", "int8", "bool"])  # fmt: skip
def test_dtypes(f, convert):
    y = f(convert(X))
    assert y.dtype == np.float64
    assert_array_equal(y.numpy(), f(X).numpy())


@pytest.mark.parametrize("f", ALL)
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


@pytest.mark.parametrize(
    ("f", "error", "text"),
    [
        (lambda: cc.leaky_relu(X, "a"), TypeError, "leaky_relu: scale must be a number, got 'a'"),
        (lambda: cc.leaky_relu(X, None), TypeError, "leaky_relu: scale must be a number, got None"),
        (lambda: cc.leaky_relu(X, True), TypeError, "leaky_relu: scale must be a number, got True"),
        (lambda: cc.leaky_relu(X, NAN), ValueError, "leaky_relu: scale must be finite, got nan"),
        (lambda: cc.clipped_relu(X, "a"), TypeError, "clipped_relu: ceiling must be a number, got 'a'"),
        (lambda: cc.clipped_relu(X, INF), ValueError, "clipped_relu: ceiling must be finite, got inf"),
        (lambda: cc.clipped_relu(X, 0), ValueError, "clipped_relu: ceiling must be greater than 0, got 0"),
        (lambda: cc.clipped_relu(X, -1.5), ValueError, "clipped_relu: ceiling must be greater than 0, got -1.5"),
        (lambda: cc.elu(X, [1]), TypeError, "elu: alpha must be a number, got [1]"),
        (lambda: cc.elu(X, -INF), ValueError, "elu: alpha must be finite, got -inf"),
    ],
)
def test_bad_numbers(f, error, text):
    with pytest.raises(error) as caught:
        f()
    assert str(caught.value) == text
