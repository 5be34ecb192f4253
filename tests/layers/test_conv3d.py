"""Conv3D: the specification's convolutional layer in one dimension more."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_array_equal
from strategies import PATTERNS

import convcore as cc


def made(layer, input_shape=(2, 5, 6, 7), seed=0, dtype="float64"):
    layer.initialize(input_shape, np.random.default_rng(seed), np.dtype(dtype))
    return layer


def integers(shape, seed=0):
    return np.random.default_rng(seed).integers(-4, 5, shape).astype(float)


def test_defaults():
    layer = cc.Conv3D(3, 8)
    expected = {
        "filter_size": (3, 3, 3), "num_filters": 8, "stride": (1, 1, 1), "dilation_factor": (1, 1, 1),
        "padding": (0,) * 6, "padding_mode": "manual", "padding_size": (0,) * 6, "padding_value": 0,
        "num_channels": "auto", "weights_initializer": "glorot", "bias_initializer": "zeros", "weights": None,
        "bias": None, "weight_learn_rate_factor": 1, "bias_learn_rate_factor": 1, "weight_l2_factor": 1,
        "bias_l2_factor": 0, "name": "",
    }  # fmt: skip
    assert {name: getattr(layer, name) for name in expected} == expected


@pytest.mark.parametrize("name", ["filter_size", "stride", "dilation_factor"])
@pytest.mark.parametrize(
    ("value", "triple"),
    [(2, (2, 2, 2)), ((2, 3, 4), (2, 3, 4)), ([2, 3, 4], (2, 3, 4)), (np.array([2, 3, 4]), (2, 3, 4))],
)
def test_a_number_stands_for_all_three(name, value, triple):
    layer = cc.Conv3D(**{"filter_size": 1, "num_filters": 1, name: value})
    assert getattr(layer, name) == triple
    assert [type(n) for n in getattr(layer, name)] == [int] * 3


@pytest.mark.parametrize(
    ("padding", "size", "output"),
    [
        (1, (1,) * 6, (11, 10, 9)),
        ((0, 1, 2), (0, 0, 1, 1, 2, 2), (9, 10, 11)),  # depth, height, width
        ((0, 1, 2, 3, 4, 5), (0, 1, 2, 3, 4, 5), (10, 13, 16)),  # front, back, top, bottom, left, right
        ("same", (0,) * 6, (10, 10, 10)),
    ],
)
def test_padding(padding, size, output):
    layer = cc.Conv3D((2, 3, 4), 5, padding=padding)
    assert layer.padding_mode == ("same" if padding == "same" else "manual")
    assert layer.padding_size == size
    assert layer.output_shape((1, 10, 10, 10)) == (5, *output)


def test_one_filter_by_hand():
    weights = np.array([1.0, 10, 100, 1000, 1e4, 1e5, 1e6, 1e7]).reshape(1, 1, 2, 2, 2)
    layer = made(cc.Conv3D(2, 1, weights=weights, bias=[0.5]), (1, 2, 2, 2))
    x = np.arange(1.0, 9).reshape(1, 1, 2, 2, 2)  # depth, then height, then width
    assert layer.forward(cc.Tensor(x), False, None).data.ravel() == [87654321.5]


@given(st.data())
@settings(max_examples=40, deadline=None)
def test_the_layer_hands_every_property_to_the_function(data):
    triple = st.tuples(*[st.integers(1, 2)] * 3)
    options = {
        "stride": data.draw(triple), "dilation": data.draw(triple),
        "padding": data.draw(st.sampled_from([0, 1, (0, 1, 2), (0, 1, 2, 0, 1, 2), "same"])),
        "padding_value": data.draw(st.sampled_from([0, -1.5, *PATTERNS])),
    }  # fmt: skip
    renamed = {"dilation_factor" if name == "dilation" else name: value for name, value in options.items()}
    layer = made(cc.Conv3D(data.draw(triple), 2, bias_initializer="ones", **renamed))
    x = integers((2, 2, 5, 6, 7))
    y = layer.forward(cc.Tensor(x), False, None)
    assert_array_equal(y.data, cc.conv3d(x, layer.weights, layer.bias, **options).data)
    assert y.shape[1:] == layer.output_shape(x.shape[1:])
    assert layer.multiply_adds(x.shape[1:]) == np.prod(y.shape[1:]) * 2 * np.prod(layer.filter_size)


def test_initializers_scale_by_the_connections():
    num_in, num_out = 2 * 3 * 4 * 10, 2 * 3 * 4 * 70
    for name, variance in (("glorot", 2 / (num_in + num_out)), ("he", 2 / num_in)):
        weights = made(cc.Conv3D((2, 3, 4), 70, weights_initializer=name), (10, 4, 4, 4)).weights.data
        assert weights.shape == (70, 10, 2, 3, 4)
        assert abs(weights.var() / variance - 1) < 5 * np.sqrt(2 / weights.size)


@pytest.mark.parametrize(
    ("format", "order"), [("SSSCB", (2, 3, 4, 1, 0)), ("BSSSC", (0, 2, 3, 4, 1)), ("CSBSS", (1, 2, 0, 3, 4))]
)
def test_volumes_in_every_order(format, order):
    layer, x = made(cc.Conv3D((1, 2, 3), 4, stride=(1, 2, 1), padding="same")), integers((3, 2, 5, 6, 7))
    expected = layer.forward(cc.Tensor(x), False, None).data
    y = layer.apply(cc.Tensor(x.transpose(order), format=format), False, None)
    assert y.format == format
    assert_array_equal(y.data, expected.transpose(order))


def test_sequences():
    layer, x = made(cc.Conv3D((1, 2, 3), 4)), integers((3, 2, 5, 6, 7))
    expected = layer.forward(cc.Tensor(x), False, None).data
    y = layer.apply(cc.Tensor(x, format="BCSST"), False, None)  # two S: over S, S and T
    assert_array_equal(y.data, expected)
    z = integers((3, 2, 5, 6, 7, 2))  # three S: each time step by itself
    steps = [layer.forward(cc.Tensor(z[..., t].copy()), False, None).data for t in range(2)]
    assert_array_equal(layer.apply(cc.Tensor(z, format="BCSSST"), False, None).data, np.stack(steps, -1))


def test_printed_forms():
    layer = made(cc.Conv3D((2, 3, 4), 8, padding=(0, 1, 2), padding_value=0.25, name="c"))
    assert layer.spec_text() == """Convolution3DLayer with properties:

              Name: 'c'

   Hyperparameters
        FilterSize: [2 3 4]
       NumChannels: 2
        NumFilters: 8
            Stride: [1 1 1]
    DilationFactor: [1 1 1]
       PaddingMode: 'manual'
       PaddingSize: [0 0 1 1 2 2]
      PaddingValue: 0.2500

   Learnable Parameters
           Weights: [2x3x4x2x8 double]
              Bias: [1x1x1x8 double]"""  # fmt: skip
    assert (layer.kind, layer.description()) == (
        "3D Convolution", "8 2x3x4x2 convolutions with stride [1 1 1] and padding [0 0 1 1 2 2]"
    )  # fmt: skip
    assert repr(layer) == \
        "Conv3D((2, 3, 4), 8, padding=(0, 0, 1, 1, 2, 2), padding_value=0.25, num_channels=2, name='c')"  # fmt: skip


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({"weights": np.ones((8, 1, 3, 3))}, "weights must have shape (8, channels, 3, 3, 3), got (8, 1, 3, 3)"),
        ({"weights": np.ones((8, 1, 3, 3, 2))}, "weights must have shape (8, channels, 3, 3, 3), got (8, 1, 3, 3, 2)"),
        ({"bias": np.ones(7)}, "bias must have shape (8,), got (7,)"),
        ({"padding": (1, 2)}, "padding must be an int, 3 ints or 6 ints, got 2"),
        ({"padding": "causal"}, "padding must be \"same\", an int, 3 ints or 6 ints, got 'causal'"),
        ({"stride": (1, 2)}, "stride must be an int or 3 ints, got 2"),
    ],
)
def test_bad_input(arguments, text):
    with pytest.raises(ValueError) as caught:
        cc.Conv3D(3, 8, **arguments)
    assert str(caught.value) == f"Conv3D: {text}"


def test_a_filter_larger_than_the_input():
    for axis, word in enumerate(("depth", "height", "width"), 1):
        shape = [1, 5, 5, 5]
        shape[axis] = 2
        with pytest.raises(ValueError) as caught:
            cc.Conv3D(3, 1).output_shape(tuple(shape))
        assert str(caught.value) == f"conv3d: the filter covers 3 cells in {word}, the padded input has 2"
