import numpy as np
import pytest
from numpy.testing import assert_array_equal

import convcore as cc


def made(layer, input_shape=(16, 5, 5), dtype="float32"):
    layer.initialize(input_shape, np.random.default_rng(0), np.dtype(dtype))
    return layer


def test_defaults():
    layer = cc.FullyConnected(10)
    expected = {
        "output_size": 10, "weights": None, "bias": None, "weights_initializer": "glorot", "bias_initializer": "zeros",
        "weight_learn_rate_factor": 1, "bias_learn_rate_factor": 1, "weight_l2_factor": 1, "bias_l2_factor": 0,
        "name": "",
    }  # fmt: skip
    assert {name: getattr(layer, name) for name in expected} == expected


@pytest.mark.parametrize("input_shape", [(400,), (16, 5, 5), (4, 100)])
def test_sizes(input_shape):
    layer = made(cc.FullyConnected(10), input_shape)
    assert (layer.weights.shape, layer.bias.shape) == ((10, 400), (10,))
    assert (layer.output_shape(input_shape), layer.multiply_adds(input_shape)) == ((10,), 4000)
    x = np.random.default_rng(1).standard_normal((3, *input_shape)).astype("f4")
    y = layer.forward(cc.Tensor(x), False, None)
    assert_array_equal(y.data, cc.fully_connected(x, layer.weights, layer.bias).data)


def test_given_weights_and_bias():
    layer = cc.FullyConnected(2, weights=[[1, 2, 3], [4, 5, 6]], bias=[7, 8], weights_initializer="zeros")
    assert_array_equal(layer.weights, [[1, 2, 3], [4, 5, 6]])
    made(layer, (3,))
    assert layer.weights.dtype == np.float32
    assert_array_equal(layer.forward(cc.Tensor(np.ones((1, 3), "f4")), False, None).data, [[13, 23]])


def test_inputs_that_do_not_fit():
    for layer, who in ((cc.FullyConnected(2, weights=np.ones((2, 3))), "FullyConnected"),
                       (made(cc.FullyConnected(2, name="fc1"), (3,)), "fc1")):  # fmt: skip
        with pytest.raises(ValueError) as caught:
            layer.output_shape((2, 2))
        assert str(caught.value) == f"{who}: expects 3 inputs, got 4 (inputs (2, 2))"
    with pytest.raises(ValueError) as caught:
        made(cc.FullyConnected(2, weights=np.ones((2, 3))), (2, 2))
    assert str(caught.value) == "FullyConnected: weights must have shape (2, 4) for inputs (2, 2), got (2, 3)"


def test_factors_reach_the_parameters():
    layer = made(cc.FullyConnected(2, weight_learn_rate_factor=2, bias_l2_factor=3))
    assert (layer.weights.learn_rate_factor, layer.bias.l2_factor) == (2, 3)
    layer.bias_learn_rate_factor = 0
    assert layer.bias.learn_rate_factor == 0


@pytest.mark.parametrize(
    ("layer", "text"),
    [
        (cc.FullyConnected(10), "FullyConnected(10)"),
        (cc.FullyConnected(10, weights_initializer="he", weight_l2_factor=0, name="fc"),
         "FullyConnected(10, weights_initializer='he', weight_l2_factor=0.0, name='fc')"),
    ],
)  # fmt: skip
def test_repr_is_python(layer, text):
    assert repr(layer) == text
    assert eval(text, vars(cc)).config() == layer.config()
    assert layer.description() == "10 fully connected layer"


ARRAY = "must be float32, float64, integers or booleans, got"
FACTORS = ["weight_learn_rate_factor", "bias_learn_rate_factor", "weight_l2_factor", "bias_l2_factor"]


@pytest.mark.parametrize(
    ("arguments", "error", "text"),
    [
        ({"output_size": 0}, ValueError, "output_size must be at least 1, got 0"),
        ({"output_size": 1.5}, TypeError, "output_size must be an int, got 1.5"),
        ({"output_size": "4"}, TypeError, "output_size must be an int, got '4'"),
        ({"output_size": True}, TypeError, "output_size must be an int, got True"),
        ({"weights": np.ones(3)}, ValueError, "weights must have shape (4, inputs), got (3,)"),
        ({"weights": np.ones((5, 3))}, ValueError, "weights must have shape (4, inputs), got (5, 3)"),
        ({"weights": np.ones((4, 0))}, ValueError, "weights must have shape (4, inputs), got (4, 0)"),
        ({"weights": "a"}, TypeError, f"weights {ARRAY} dtype <U1"),
        ({"weights": [[np.nan]] * 4}, ValueError, "weights must be finite, got nan"),
        ({"bias": np.ones(3)}, ValueError, "bias must have shape (4,), got (3,)"),
        ({"bias": [1, 2, 3, np.inf]}, ValueError, "bias must be finite, got inf"),
        ({"bias": np.ones(4, np.float16)}, TypeError, f"bias {ARRAY} dtype float16"),
        ({"weights_initializer": 0}, TypeError, "weights_initializer must be a name or a function, got 0"),
        ({"bias_initializer": "x"}, ValueError,
         "bias_initializer must be one of zeros, narrow-normal, ones or a function, got 'x'"),
        *[({name: -1}, ValueError, f"{name} must be finite and at least 0, got -1") for name in FACTORS],
        *[({name: None}, TypeError, f"{name} must be a number, got None") for name in FACTORS],
        ({"name": 1}, TypeError, "name must be a str, got int"),
        ({"name": "a.b"}, ValueError, "name must not hold '.' or '/', got 'a.b'"),
    ],
)  # fmt: skip
def test_bad_input(arguments, error, text):
    with pytest.raises(error) as caught:
        cc.FullyConnected(**{"output_size": 4, **arguments})
    assert str(caught.value) == f"FullyConnected: {text}"
