"""What all layers share, and the layers that are too small for a file of their own."""

import numpy as np
import pytest
from numpy.testing import assert_array_equal

import convcore as cc

SMALL = [cc.ReLU(), cc.Flatten(), cc.Dropout(), cc.Softmax(), cc.LeakyReLU(), cc.ClippedReLU(6), cc.ELU(), cc.Tanh(),
         cc.Sigmoid(), cc.GELU(), cc.Swish(), cc.BatchNorm(), cc.CrossChannelNorm(5)]  # fmt: skip
ALL = [cc.ImageInput((3, 6, 6)), cc.Conv2D(3, 4), cc.MaxPool2D(2), cc.AvgPool2D(2), cc.FullyConnected(5), *SMALL]
by_type = pytest.mark.parametrize("layer", ALL, ids=lambda layer: type(layer).__name__)


@by_type
def test_names_and_ports(layer):
    assert isinstance(layer, cc.Layer)
    assert (layer.name, layer.given_name) == ("", "")
    assert (layer.num_inputs, layer.input_names) == (1, ("in",))
    assert (layer.num_outputs, layer.output_names) == (1, ("out",))
    required = [getattr(layer, key) for key in layer.required]
    assert type(layer)(*required, name="mine").name == "mine"
    with pytest.raises(TypeError) as caught:
        type(layer)(*required, name=3)
    assert str(caught.value) == f"{type(layer).__name__}: name must be a str, got int"
    for name in ("a.b", "a/b"):
        with pytest.raises(ValueError) as caught:
            type(layer)(*required, name=name)
        assert str(caught.value) == f"{type(layer).__name__}: name must not hold '.' or '/', got {name!r}"


@by_type
def test_repr_and_config(layer):
    assert eval(repr(layer), vars(cc)).config() == layer.config()
    assert type(layer)(**layer.config()).config() == layer.config()


@by_type
def test_output_shape_is_that_of_the_output(layer):
    layer = type(layer)(**layer.config())
    layer.initialize((3, 6, 6), np.random.default_rng(0), np.dtype("f4"))
    for n in (2, 0):
        y = layer.forward(cc.Tensor(np.ones((n, 3, 6, 6), "f4")), True, np.random.default_rng(0))
        assert y.shape == (n, *layer.output_shape((3, 6, 6)))
        assert y.dtype == np.float32


@pytest.mark.parametrize(
    ("layer", "text", "words"),
    [
        (cc.ReLU(), "ReLU()", "ReLU"),
        (cc.ReLU(name="r"), "ReLU(name='r')", "ReLU"),
        (cc.Flatten(), "Flatten()", "Flatten"),
        (cc.Softmax(), "Softmax()", "softmax"),
        (cc.Dropout(), "Dropout()", "50% dropout"),
        (cc.Dropout(np.float32(0.25)), "Dropout(probability=0.25)", "25% dropout"),
    ],
)
def test_printed_forms(layer, text, words):
    assert (repr(layer), layer.description()) == (text, words)


def test_small_layers_call_their_functions():
    x = cc.Tensor(np.random.default_rng(0).standard_normal((4, 3, 2, 2)))
    assert_array_equal(cc.ReLU().forward(x, False, None).data, cc.relu(x).data)
    assert_array_equal(cc.Softmax().forward(x, False, None).data, cc.softmax(x, axis=1).data)
    assert_array_equal(cc.Flatten().forward(x, False, None).data, x.data.reshape(4, 12))
    assert cc.Dropout(0.5).forward(x, False, None) is x
    y = cc.Dropout(0.5).forward(x, True, np.random.default_rng(1))
    assert_array_equal(y.data, cc.dropout(x, 0.5, training=True, rng=np.random.default_rng(1)).data)


@pytest.mark.parametrize(
    ("probability", "error", "text"),
    [
        (1, ValueError, "lie in [0, 1), got 1"),
        (-0.1, ValueError, "lie in [0, 1), got -0.1"),
        (np.nan, ValueError, "lie in [0, 1), got nan"),
        ("a", TypeError, "be a number, got 'a'"),
        (None, TypeError, "be a number, got None"),
        (True, TypeError, "be a number, got True"),
    ],
)
def test_probabilities_of_dropout(probability, error, text):
    with pytest.raises(error) as caught:
        cc.Dropout(probability)
    assert str(caught.value) == f"Dropout: probability must {text}"


def test_a_layer_of_ones_own():
    class Double(cc.Layer):
        properties = {"times": 2}

        def __init__(self, *, times=2, name=""):
            super().__init__(name)
            self.times = times

        def forward(self, x, training, rng):
            return cc.multiply(x, self.times)

    assert repr(Double()) == "Double()"
    assert repr(Double(times=3)) == "Double(times=3)"
    net = cc.Network([Double(), Double(times=3)])
    assert [layer.name for layer in net.layers] == ["double_1", "double_2"]
    assert_array_equal(net(np.ones((1, 2))).data, [[6, 6]])
    with pytest.raises(TypeError) as caught:
        cc.Layer().forward(None, False, None)
    assert str(caught.value) == "Layer does not define forward"


# -------------------------------------------------------------------------------------------------------- Parameter


def test_a_parameter_is_a_tensor_with_two_factors():
    array = np.ones((2, 3), "f4")
    p = cc.Parameter(array, learn_rate_factor=2, l2_factor=np.float32(0.5), name="w")
    assert isinstance(p, cc.Tensor)
    assert (p.requires_grad, p.dtype, p.name, p.learn_rate_factor, p.l2_factor) == (True, np.float32, "w", 2.0, 0.5)
    array[:] = 7
    assert_array_equal(p.data, np.ones((2, 3)))  # a copy: an optimizer writes into it
    assert cc.Parameter(np.asfortranarray(np.ones((2, 3)))).data.flags.c_contiguous
    assert (cc.Parameter([1, 2]).learn_rate_factor, cc.Parameter([1, 2]).l2_factor) == (1, 1)


@pytest.mark.parametrize("name", ["learn_rate_factor", "l2_factor"])
@pytest.mark.parametrize(
    ("value", "error", "text"),
    [
        (-1, ValueError, "finite and at least 0, got -1"),
        (np.nan, ValueError, "finite and at least 0, got nan"),
        (np.inf, ValueError, "finite and at least 0, got inf"),
        ("1", TypeError, "a number, got '1'"),
        (None, TypeError, "a number, got None"),
        (True, TypeError, "a number, got True"),
    ],
)
def test_factors_of_a_parameter(name, value, error, text):
    p = cc.Parameter([1.0])
    for give in (lambda: cc.Parameter([1.0], **{name: value}), lambda: setattr(p, name, value)):
        with pytest.raises(error) as caught:
            give()
        assert str(caught.value) == f"Parameter: {name} must be {text}"
    assert getattr(p, name) == 1
    with pytest.raises(TypeError) as caught:
        cc.Parameter("a")
    assert str(caught.value) == "Parameter: data must be float32, float64, integers or booleans, got dtype <U1"
