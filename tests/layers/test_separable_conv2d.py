"""SeparableConv2D: a depthwise and a pointwise convolution in one layer."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_array_equal
from strategies import PATTERNS

import convcore as cc


def made(layer, input_shape=(3, 9, 8), seed=0, dtype="float64"):
    layer.initialize(input_shape, np.random.default_rng(seed), np.dtype(dtype))
    return layer


def integers(shape, seed=0):
    return np.random.default_rng(seed).integers(-4, 5, shape).astype(float)


def test_defaults():
    layer = cc.SeparableConv2D(3, 16)
    factors = {f"{array}_{factor}": 1 for array in ("depthwise_weight", "pointwise_weight", "bias")
               for factor in ("learn_rate_factor", "l2_factor")}  # fmt: skip
    expected = {
        "filter_size": (3, 3), "num_filters": 16, "depth_multiplier": 1, "stride": (1, 1), "dilation_factor": (1, 1),
        "padding": (0, 0, 0, 0), "padding_mode": "manual", "padding_size": (0, 0, 0, 0), "padding_value": 0,
        "num_channels": "auto", "depthwise_weights_initializer": "glorot", "pointwise_weights_initializer": "glorot",
        "bias_initializer": "zeros", "depthwise_weights": None, "pointwise_weights": None, "bias": None,
        **factors, "bias_l2_factor": 0, "name": "",
    }  # fmt: skip
    assert {name: getattr(layer, name) for name in expected} == expected


@given(st.data())
@settings(max_examples=60, deadline=None)
def test_equals_a_channelwise_and_a_pointwise_layer(data):
    pair = st.tuples(st.integers(1, 3), st.integers(1, 3))
    options = {
        "stride": data.draw(pair), "dilation_factor": data.draw(pair),
        "padding": data.draw(st.sampled_from([0, 1, (1, 2), (0, 1, 2, 3), "same"])),
        "padding_value": data.draw(st.sampled_from([0, -1.5, *PATTERNS])),
    }  # fmt: skip
    size, multiplier = data.draw(pair), data.draw(st.integers(1, 3))
    layer = made(cc.SeparableConv2D(size, 5, depth_multiplier=multiplier, bias_initializer="ones", **options))
    depthwise = cc.GroupedConv2D(size, multiplier, "channelwise", weights=layer.depthwise_weights.data, **options)
    pointwise = cc.Conv2D(1, 5, weights=layer.pointwise_weights.data, bias=layer.bias.data)
    net = cc.Network([depthwise, pointwise], dtype="float64")
    x = integers((2, 3, 9, 8))
    y = layer.forward(cc.Tensor(x), False, None)
    assert_array_equal(y.data, net(x).data)
    assert y.shape[1:] == layer.output_shape((3, 9, 8))
    assert layer.multiply_adds((3, 9, 8)) == net.summary().totals["multiply_adds"]


def test_sizes():
    layer = made(cc.SeparableConv2D((3, 5), 7, depth_multiplier=2))
    shapes = {"depthwise_weights": (6, 1, 3, 5), "pointwise_weights": (7, 6, 1, 1), "bias": (7,)}
    assert {role: p.shape for role, p in layer.learnables.items()} == shapes == layer.array_shapes((3, 9, 8))
    assert layer.num_channels == 3


def test_initializers_scale_by_the_connections():
    for name, of_depthwise, of_pointwise in (
        ("glorot", 2 / (15 + 15 * 2), 2 / (400 + 300)),  # one group: 1 channel, 2 filters; 200·2 channels, 300 filters
        ("he", 2 / 15, 2 / 400),
    ):
        names = {f"{kind}wise_weights_initializer": name for kind in ("depth", "point")}
        layer = made(cc.SeparableConv2D((3, 5), 300, depth_multiplier=2, **names), (200, 9, 8))
        for role, variance in (("depthwise_weights", of_depthwise), ("pointwise_weights", of_pointwise)):
            weights = getattr(layer, role).data
            assert abs(weights.var() / variance - 1) < 5 * np.sqrt(2 / weights.size)


def test_each_array_has_its_own_factors_and_initializer():
    layer = made(cc.SeparableConv2D(3, 4, depthwise_weights_initializer="ones", pointwise_weights_initializer="zeros",
                                    depthwise_weight_learn_rate_factor=2, pointwise_weight_l2_factor=3,
                                    bias_learn_rate_factor=4))  # fmt: skip
    assert (layer.depthwise_weights.data == 1).all()
    assert (layer.pointwise_weights.data == 0).all()
    factors = {role: (p.learn_rate_factor, p.l2_factor) for role, p in layer.learnables.items()}
    assert factors == {"depthwise_weights": (2, 1), "pointwise_weights": (1, 3), "bias": (4, 0)}


@pytest.mark.parametrize(
    ("role", "values"),
    [("depthwise_weights", np.ones((6, 1, 3, 5))), ("pointwise_weights", np.ones((7, 6, 1, 1)))],
)
def test_weights_tell_the_number_of_channels(role, values):
    assert cc.SeparableConv2D((3, 5), 7, depth_multiplier=2, **{role: values}).num_channels == 3


@pytest.mark.parametrize("format", ["SSCB", "BSSC"])
def test_images_in_every_order(format):
    order = {"SSCB": (2, 3, 1, 0), "BSSC": (0, 2, 3, 1)}[format]
    layer, x = made(cc.SeparableConv2D(3, 4, stride=2, padding="same")), integers((2, 3, 9, 8))
    expected = layer.forward(cc.Tensor(x), False, None).data
    y = layer.apply(cc.Tensor(x.transpose(order), format=format), False, None)
    assert y.format == format
    assert_array_equal(y.data, expected.transpose(order))


def test_printed_forms():
    layer = cc.SeparableConv2D((3, 5), 7, depth_multiplier=2, stride=2, padding="same", name="s")
    assert repr(layer) == "SeparableConv2D((3, 5), 7, depth_multiplier=2, stride=(2, 2), padding='same', name='s')"
    text = "convolutions with stride [2 2] and padding 'same'"
    assert (layer.kind, layer.description()) == ("2D Separable Convolution", f"7 separable 3x5 {text}")
    assert made(layer).description() == f"7 separable 3x5x3 {text}"
    assert layer.spec_text() == """SeparableConvolution2DLayer with properties:

                Name: 's'

   Hyperparameters
          FilterSize: [3 5]
         NumChannels: 3
          NumFilters: 7
     DepthMultiplier: 2
              Stride: [2 2]
      DilationFactor: [1 1]
         PaddingMode: 'same'
         PaddingSize: [0 0 0 0]
        PaddingValue: 0

   Learnable Parameters
    DepthwiseWeights: [3x5x1x6 double]
    PointwiseWeights: [1x1x6x7 double]
                Bias: [1x1x7 double]"""  # fmt: skip


DEPTHWISE = "depthwise_weights must have shape (channels · 2, 1, 3, 5), got"
POINTWISE = "pointwise_weights must have shape (7, channels · 2, 1, 1), got"


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({"depthwise_weights": np.ones((5, 1, 3, 5))}, f"{DEPTHWISE} (5, 1, 3, 5)"),
        ({"depthwise_weights": np.ones((6, 2, 3, 5))}, f"{DEPTHWISE} (6, 2, 3, 5)"),
        ({"depthwise_weights": np.ones((6, 3, 5))}, f"{DEPTHWISE} (6, 3, 5)"),
        ({"depthwise_weights": np.ones((0, 1, 3, 5))}, f"{DEPTHWISE} (0, 1, 3, 5)"),
        ({"pointwise_weights": np.ones((6, 6, 1, 1))}, f"{POINTWISE} (6, 6, 1, 1)"),
        ({"pointwise_weights": np.ones((7, 5, 1, 1))}, f"{POINTWISE} (7, 5, 1, 1)"),
        ({"pointwise_weights": np.ones((7, 6))}, f"{POINTWISE} (7, 6)"),
        ({"depthwise_weights": np.ones((6, 1, 3, 5)), "num_channels": 4},
         "depthwise_weights are for 3 channels, others are for 4"),
        ({"depthwise_weights": np.ones((6, 1, 3, 5)), "pointwise_weights": np.ones((7, 4, 1, 1))},
         "pointwise_weights are for 2 channels, others are for 3"),
        ({"bias": np.ones(6)}, "bias must have shape (7,), got (6,)"),
        ({"padding": "causal"}, 'padding must be "same", an int, 2 ints or 4 ints, got \'causal\''),
    ],
)  # fmt: skip
def test_bad_input(arguments, text):
    with pytest.raises(ValueError) as caught:
        cc.SeparableConv2D((3, 5), 7, depth_multiplier=2, **arguments)
    assert str(caught.value) == f"SeparableConv2D: {text}"
