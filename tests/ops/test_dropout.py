import numpy as np
import pytest
from numpy.testing import assert_array_equal

import convcore as cc

X = np.arange(1.0, 1001).reshape(10, 100)


def rng(seed=0):
    return np.random.default_rng(seed)


@pytest.mark.parametrize("dtype", ["f4", "f8"])
@pytest.mark.parametrize("probability", [0.25, 0.5, 0.9])
def test_what_is_kept_is_scaled(dtype, probability):
    x = X.astype(dtype)
    y = cc.dropout(x, probability, training=True, rng=rng()).numpy()
    assert y.dtype == dtype
    kept = y != 0
    assert_array_equal(y[kept], x[kept] * np.dtype(dtype).type(1 / (1 - probability)))


@pytest.mark.parametrize("dtype", ["f4", "f8"])
def test_zero_where_rand_is_below_the_probability(dtype):
    dropped = rng(3).random(X.shape, np.dtype(dtype)) < 0.3
    y = cc.dropout(X.astype(dtype), 0.3, training=True, rng=rng(3)).numpy()
    assert_array_equal(y == 0, dropped)


@pytest.mark.parametrize("probability", [0.1, 0.5, 0.8])
def test_distribution(probability):
    """The dropped are binomial (within 5 standard deviations), and the mean of the output is that of the input."""
    n = 100_000
    y = cc.dropout(np.ones(n), probability, training=True, rng=rng()).numpy()
    deviation = np.sqrt(n * probability * (1 - probability))
    assert abs((y == 0).sum() - n * probability) < 5 * deviation
    assert abs(y.sum() - n) < 5 * deviation / (1 - probability)


def test_the_same_generator_gives_the_same_bits_and_moves_on():
    one, two = rng(), rng()
    first = cc.dropout(X, 0.5, training=True, rng=one).numpy()
    assert_array_equal(first, cc.dropout(X, 0.5, training=True, rng=two).numpy())
    assert (first != cc.dropout(X, 0.5, training=True, rng=one).numpy()).any()


@pytest.mark.parametrize("options", [{"training": False}, {"training": False, "rng": rng()}, {"training": np.False_}])
def test_prediction_changes_nothing(options):
    x = cc.Tensor(X, requires_grad=True)
    with cc.Tape() as tape:
        assert cc.dropout(x, 0.5, **options) is x
    assert len(tape) == 0


def test_probability_0_changes_nothing_and_needs_no_generator():
    x = cc.Tensor(X)
    assert cc.dropout(x, 0, training=True) is x


def test_the_gradient_has_the_mask_of_the_output():
    g = np.full(X.shape, 3.0)
    f = lambda x: cc.sum(cc.multiply(cc.dropout(x, 0.5, training=True, rng=rng(7)), g))  # noqa: E731
    y = cc.dropout(X, 0.5, training=True, rng=rng(7)).numpy()
    assert_array_equal(cc.gradient(f)(X), g * y / X)
    assert cc.gradcheck(lambda x: cc.dropout(x, 0.4, training=True, rng=rng(7)), (X[:2, :5] / 100,))


def test_any_memory_order_shapes_and_dtypes():
    view = np.asfortranarray(X)
    view.flags.writeable = False
    options = {"training": True, "rng": rng()}
    assert_array_equal(cc.dropout(view, 0.5, training=True, rng=rng(1)).numpy(),
                       cc.dropout(X, 0.5, training=True, rng=rng(1)).numpy())  # fmt: skip
    assert cc.dropout(np.zeros((0, 3)), 0.5, **options).shape == (0, 3)
    assert cc.dropout(1.0, 0.5, **options).shape == ()
    for x in ([1, 2], np.array([True, False]), np.array([1, 2], np.uint8)):
        assert cc.dropout(x, 0.5, **options).dtype == np.float64
    assert cc.dropout(X.astype("f4"), np.float64(0.5), **options).dtype == np.float32


ARRAY = "x must be float32, float64, integers or booleans, got"
RNG = "rng must be a numpy.random.Generator while training, got"


@pytest.mark.parametrize(
    ("arguments", "error", "text"),
    [
        ({"x": "a"}, TypeError, f"{ARRAY} dtype <U1"),
        ({"x": None}, TypeError, f"{ARRAY} NoneType"),
        ({"x": X.astype(np.float16)}, TypeError, f"{ARRAY} dtype float16"),
        ({"x": [[1], [1, 2]]}, TypeError, "x must be an array of numbers, got a ragged list"),
        ({"probability": 1}, ValueError, "probability must lie in [0, 1), got 1"),
        ({"probability": -0.1}, ValueError, "probability must lie in [0, 1), got -0.1"),
        ({"probability": np.nan}, ValueError, "probability must lie in [0, 1), got nan"),
        ({"probability": "a"}, TypeError, "probability must be a number, got 'a'"),
        ({"probability": True}, TypeError, "probability must be a number, got True"),
        ({"probability": None}, TypeError, "probability must be a number, got None"),
        ({"probability": [0.5]}, TypeError, "probability must be a number, got [0.5]"),
        ({"probability": 2, "training": False}, ValueError, "probability must lie in [0, 1), got 2"),
        ({"training": "no"}, TypeError, "training must be True or False, got 'no'"),
        ({"training": None}, TypeError, "training must be True or False, got None"),
        ({"training": 1}, TypeError, "training must be True or False, got 1"),
        ({"rng": None}, TypeError, f"{RNG} NoneType"),
        ({"rng": 3}, TypeError, f"{RNG} int"),
        ({"rng": np.random.RandomState(0)}, TypeError, f"{RNG} RandomState"),
    ],
)
def test_bad_input(arguments, error, text):
    with pytest.raises(error) as caught:
        cc.dropout(**{"x": X, "probability": 0.5, "training": True, "rng": rng(), **arguments})
    assert str(caught.value) == f"dropout: {text}"
