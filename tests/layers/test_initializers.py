"""The distributions of weights and biases, in bounds that a right one leaves in 1 of 2 million runs (5 deviations)."""

import math

import numpy as np
import pytest
from numpy.testing import assert_array_equal

import convcore as cc
from convcore.layers import initializers


def rng(seed=0):
    return np.random.default_rng(seed)


def made(layer, input_shape, seed=0, dtype="float64"):
    layer.initialize(input_shape, rng(seed), np.dtype(dtype))
    return layer


# numIn = filter cells × channels, numOut = filter cells × filters: 7·5·32 and 7·5·128; the fully connected: 400, 300
LAYERS = [
    (lambda **options: made(cc.Conv2D((7, 5), 128, **options), (32, 9, 9)), 1120, 4480),
    (lambda **options: made(cc.FullyConnected(300, **options), (16, 5, 5)), 400, 300),
]


@pytest.mark.parametrize(("make", "num_in", "num_out"), LAYERS, ids=["conv", "fc"])
@pytest.mark.parametrize(
    ("name", "variance", "kurtosis"),
    [
        ("glorot", lambda num_in, num_out: 2 / (num_in + num_out), 9 / 5),  # uniform
        ("he", lambda num_in, num_out: 2 / num_in, 3),  # normal
        ("narrow-normal", lambda num_in, num_out: 0.01**2, 3),  # a standard deviation of 0.01, not a variance
    ],
)
def test_distributions(make, num_in, num_out, name, variance, kurtosis):
    weights = make(weights_initializer=name).weights.data.ravel()
    n, wanted = weights.size, variance(num_in, num_out)
    assert abs(weights.mean()) < 5 * math.sqrt(wanted / n)
    assert abs(weights.var() / wanted - 1) < 5 * math.sqrt((kurtosis - 1) / n)
    fourth = (weights**4).mean() / wanted**2
    assert abs(fourth / kurtosis - 1) < 0.1  # tells the uniform from the normal
    if name == "glorot":
        bound = math.sqrt(6 / (num_in + num_out))
        assert 0.999 * bound < abs(weights).max() <= bound


def test_glorot_is_the_default():
    for make, _, _ in LAYERS:
        assert_array_equal(make().weights.data, make(weights_initializer="glorot").weights.data)


@pytest.mark.parametrize("role", ["weights", "bias"])
@pytest.mark.parametrize(("name", "value"), [("zeros", 0), ("ones", 1)])
@pytest.mark.parametrize(("make", "num_in", "num_out"), LAYERS, ids=["conv", "fc"])
def test_zeros_and_ones(make, num_in, num_out, role, name, value):
    array = getattr(make(**{f"{role}_initializer": name}), role).data
    assert_array_equal(array, np.full(array.shape, value))


def test_biases_are_zero_by_default_and_may_be_narrow_normal():
    bias = made(cc.Conv2D(1, 20_000, bias_initializer="narrow-normal"), (1, 1, 1)).bias.data
    assert abs(bias.std() / 0.01 - 1) < 5 / math.sqrt(2 * bias.size)
    assert not made(cc.Conv2D(1, 3), (1, 1, 1)).bias.data.any()


@pytest.mark.parametrize("name", ["glorot", "he", "narrow-normal"])
def test_same_seed_same_bits_and_float32_is_float64_rounded(name):
    layers = [made(cc.Conv2D(3, 4, weights_initializer=name), (2, 5, 5), seed) for seed in (7, 7, 8)]
    a, b, c = (layer.weights.data for layer in layers)
    assert_array_equal(a, b)
    assert (a != c).all()
    single = made(cc.Conv2D(3, 4, weights_initializer=name), (2, 5, 5), 7, "float32").weights.data
    assert single.dtype == np.float32
    assert_array_equal(single, a.astype("f4"))


def test_functions_get_the_size_and_may_ask_for_the_generator():
    sizes = []

    def plain(size):
        sizes.append(size)
        return np.full(size, 0.5)

    def drawing(size, rng):
        sizes.append(size)
        return rng.random(size) * 0.0001

    layer = made(cc.Conv2D((3, 2), 4, weights_initializer=drawing, bias_initializer=plain), (5, 9, 9))
    assert sizes == [(4, 5, 3, 2), (4,)]
    assert_array_equal(layer.weights.data, rng().random((4, 5, 3, 2)) * 0.0001)
    assert_array_equal(layer.bias.data, np.full(4, 0.5))
    layer = made(cc.FullyConnected(2, weights_initializer=lambda size: [[1, 2, 3], [4, 5, 6]]), (3,), dtype="float32")
    assert layer.weights.dtype == np.float32
    assert_array_equal(layer.weights.data, [[1, 2, 3], [4, 5, 6]])
    layer = made(cc.Conv2D(2, 3, weights_initializer=np.ones), (1, 2, 2))
    assert_array_equal(layer.weights.data, np.ones((3, 1, 2, 2)))


RETURNS = "what the initializer returns must"


@pytest.mark.parametrize("name", ["", "last"])
@pytest.mark.parametrize(
    ("role", "returned", "error", "text"),
    [
        ("weights", np.ones(3), ValueError, f"{RETURNS} have shape (2, 3), got (3,)"),
        ("weights", 1.0, ValueError, f"{RETURNS} have shape (2, 3), got ()"),
        ("bias", np.ones((2, 1)), ValueError, f"{RETURNS} have shape (2,), got (2, 1)"),
        ("weights", np.full((2, 3), np.nan), ValueError, f"{RETURNS} be finite in float32, got nan"),
        ("bias", [1, -np.inf], ValueError, f"{RETURNS} be finite in float32, got -inf"),
        ("bias", [1, 1e300], ValueError, f"{RETURNS} be finite in float32, got 1e+300"),
        ("weights", None, TypeError, f"{RETURNS} be float32, float64, integers or booleans, got NoneType"),
        ("weights", np.ones((2, 3)) * 1j, TypeError,
         f"{RETURNS} be float32, float64, integers or booleans, got dtype complex128"),
        ("bias", [[1], [1, 2]], TypeError, f"{RETURNS} be an array of numbers, got a ragged list"),
    ],
)  # fmt: skip
def test_functions_that_return_nonsense(name, role, returned, error, text):
    layer = cc.FullyConnected(2, name=name, **{f"{role}_initializer": lambda size: returned})
    with pytest.raises(error) as caught:
        made(layer, (3,), dtype="float32")
    assert str(caught.value) == f"{name or 'FullyConnected'}: {role}: {text}"


def test_check():
    assert initializers.check("he", "demo") == "he"
    with pytest.raises(ValueError) as caught:
        initializers.check("xavier", "demo: weights")
    text = "demo: weights must be one of glorot, he, narrow-normal, zeros, ones or a function, got 'xavier'"
    assert str(caught.value) == text
