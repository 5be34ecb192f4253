"""GroupedConv2D: the properties of the specification's groupedConvolution2dLayer, its printed forms, its numbers."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_array_equal
from strategies import PATTERNS

import convcore as cc


def made(layer, input_shape=(4, 9, 8), seed=0, dtype="float64"):
    layer.initialize(input_shape, np.random.default_rng(seed), np.dtype(dtype))
    return layer


def integers(shape, seed=0):
    return np.random.default_rng(seed).integers(-4, 5, shape).astype(float)


def message(error, function, *arguments, **options):
    with pytest.raises(error) as caught:
        function(*arguments, **options)
    return str(caught.value)


# ---------------------------------------------------------------------------------------------------------- properties


def test_defaults():
    layer = cc.GroupedConv2D(11, 10, 3)
    expected = {
        "filter_size": (11, 11), "num_filters_per_group": 10, "num_groups": 3, "num_filters": 30, "stride": (1, 1),
        "dilation_factor": (1, 1), "padding": (0, 0, 0, 0), "padding_mode": "manual", "padding_size": (0, 0, 0, 0),
        "padding_value": 0, "num_channels_per_group": "auto", "weights_initializer": "glorot",
        "bias_initializer": "zeros", "weights": None, "bias": None, "weight_learn_rate_factor": 1,
        "bias_learn_rate_factor": 1, "weight_l2_factor": 1, "bias_l2_factor": 0, "name": "",
    }  # fmt: skip
    assert {name: getattr(layer, name) for name in expected} == expected


@pytest.mark.parametrize(
    ("value", "pair"), [(2, (2, 2)), ((2, 3), (2, 3)), ([2, 3], (2, 3)), (np.array([2, 3]), (2, 3))]
)
@pytest.mark.parametrize("name", ["filter_size", "stride", "dilation_factor"])
def test_a_number_stands_for_height_and_width(name, value, pair):
    layer = cc.GroupedConv2D(**{"filter_size": 1, "num_filters_per_group": 1, "num_groups": 1, name: value})
    assert getattr(layer, name) == pair


@pytest.mark.parametrize(
    ("padding", "mode", "size", "output"),
    [(1, "manual", (1, 1, 1, 1), (9, 8)), ((1, 0), "manual", (1, 1, 0, 0), (9, 6)),
     ((1, 2, 3, 4), "manual", (1, 2, 3, 4), (10, 13)), ("same", "same", (0, 0, 0, 0), (9, 8))],
)  # fmt: skip
def test_padding(padding, mode, size, output):
    layer = cc.GroupedConv2D(3, 5, 2, padding=padding)
    assert (layer.padding_mode, layer.padding_size) == (mode, size)
    assert layer.output_shape((4, 9, 8)) == (10, *output)


def test_what_the_first_input_tells():
    layer = cc.GroupedConv2D(3, 5, 2)
    assert (layer.num_groups, layer.num_channels_per_group, layer.num_filters) == (2, "auto", 10)
    made(layer)
    assert (layer.num_groups, layer.num_channels_per_group, layer.num_filters) == (2, 2, 10)
    assert (layer.weights.shape, layer.bias.shape) == ((10, 2, 3, 3), (10,))
    layer = cc.GroupedConv2D(3, 5, "channelwise")
    assert (layer.num_groups, layer.num_channels_per_group, layer.num_filters) == ("channelwise", "auto", "auto")
    assert layer.output_shape((4, 9, 8)) == (20, 7, 6)
    assert layer.num_groups == "channelwise"  # a question changes nothing
    made(layer)
    assert (layer.num_groups, layer.num_channels_per_group, layer.num_filters) == (4, 1, 20)
    assert (layer.weights.shape, layer.bias.shape) == ((20, 1, 3, 3), (20,))


def test_each_group_by_itself():
    x = integers((2, 4, 9, 8))
    layer = made(cc.GroupedConv2D((3, 2), 5, 2, stride=2, bias_initializer="narrow-normal"))
    y = layer.forward(cc.Tensor(x), False, None).data
    for group in range(2):
        filters, channels = slice(5 * group, 5 * group + 5), slice(2 * group, 2 * group + 2)
        weights, bias = layer.weights.data[filters], layer.bias.data[filters]
        expected = cc.conv2d(x[:, channels], weights, bias, stride=2).data
        assert np.abs(y[:, filters] - expected).max() < 1e-13


@given(st.data())
@settings(max_examples=60, deadline=None)
def test_the_layer_hands_every_property_to_the_function(data):
    pair = st.tuples(st.integers(1, 3), st.integers(1, 3))
    options = {
        "stride": data.draw(pair), "dilation": data.draw(pair),
        "padding": data.draw(st.sampled_from([0, 1, (1, 2), (0, 1, 2, 3), "same"])),
        "padding_value": data.draw(st.sampled_from([0, -1.5, *PATTERNS])),
    }  # fmt: skip
    renamed = {"dilation_factor" if name == "dilation" else name: value for name, value in options.items()}
    groups, filters = data.draw(st.sampled_from([1, 2, 4, "channelwise"])), data.draw(st.integers(1, 3))
    layer = cc.GroupedConv2D(data.draw(pair), filters, groups, bias_initializer="ones", **renamed)
    x = integers((2, 4, 9, 8))
    sizes = layer.output_shape(x.shape[1:]), layer.multiply_adds(x.shape[1:])
    made(layer)
    y = layer.forward(cc.Tensor(x), False, None)
    count = 4 if groups == "channelwise" else groups
    assert_array_equal(y.data, cc.conv2d(x, layer.weights, layer.bias, groups=count, **options).data)
    assert sizes == (y.shape[1:], np.prod(y.shape[1:]) * (4 // count) * np.prod(layer.filter_size))
    assert (layer.output_shape(x.shape[1:]), layer.multiply_adds(x.shape[1:])) == sizes


def test_initializers_scale_by_the_connections_of_one_group():
    # numIn = 5·3·NumChannelsPerGroup, numOut = 5·3·NumFiltersPerGroup
    for groups, channels, filters in ((4, 20, 60), ("channelwise", 1, 90)):
        num_in, num_out = 15 * channels, 15 * filters
        count = 4 * channels if groups == 4 else 60
        for name, variance in (("glorot", 2 / (num_in + num_out)), ("he", 2 / num_in), ("narrow-normal", 1e-4)):
            layer = cc.GroupedConv2D((5, 3), filters, groups, weights_initializer=name)
            weights = made(layer, (count, 9, 9)).weights.data
            assert abs(weights.mean()) < 5 * np.sqrt(variance / weights.size)
            assert abs(weights.var() / variance - 1) < 5 * np.sqrt(2 / weights.size)
            if name == "glorot":
                bound = np.sqrt(6 / (num_in + num_out))
                assert 0.999 * bound < abs(weights).max() <= bound


@pytest.mark.parametrize(("format", "order"), [("SSCB", (2, 3, 1, 0)), ("BSSC", (0, 2, 3, 1)), ("CBSS", (1, 0, 2, 3))])
def test_images_in_every_order(format, order):
    layer, x = made(cc.GroupedConv2D(3, 2, "channelwise", stride=(1, 2), padding="same")), integers((3, 4, 9, 8))
    expected = layer.forward(cc.Tensor(x), False, None).data
    y = layer.apply(cc.Tensor(x.transpose(order), format=format), False, None)
    assert y.format == format
    assert_array_equal(y.data, expected.transpose(order))


def test_sequences_of_images():
    layer, x = made(cc.GroupedConv2D(3, 2, 2)), integers((3, 5, 4, 9, 8))
    steps = [layer.forward(cc.Tensor(x[:, t].copy()), False, None).data for t in range(5)]
    for format in (None, "BTCSS"):
        assert_array_equal(layer.apply(cc.Tensor(x, format=format), False, None).data, np.stack(steps, 1))


def test_the_specifications_network_of_separable_convolutions():
    net = cc.Network([
        cc.ImageInput((3, 227, 227)), cc.Conv2D(3, 32, padding="same"), cc.BatchNorm(), cc.ReLU(),
        cc.GroupedConv2D(3, 1, "channelwise", stride=2, padding="same"), cc.BatchNorm(), cc.ReLU(),
        cc.Conv2D(1, 16, padding="same"), cc.BatchNorm(), cc.ReLU(), cc.MaxPool2D(2, stride=2),
        cc.FullyConnected(5), cc.Softmax(),
    ])  # fmt: skip
    rows = net.summary().rows
    assert not net.summary().problems
    assert [rows[i]["activations"] for i in (4, 7, 10)] == [(32, 114, 114), (16, 114, 114), (16, 57, 57)]
    assert (rows[4]["name"], rows[4]["learnables"]) == ("groupedconv", 32 * 9 + 32)
    assert rows[4]["multiply_adds"] == 32 * 114 * 114 * 9


# ------------------------------------------------------------------------------------------------------- printed forms

FORM = (
    "GroupedConvolution2DLayer with properties: Name: '{}' Hyperparameters FilterSize: [11 11] NumGroups: {} "
    "NumChannelsPerGroup: 'auto' NumFiltersPerGroup: 10 Stride: [1 1] DilationFactor: [1 1] PaddingMode: 'manual' "
    "PaddingSize: [0 0 0 0] PaddingValue: 0 Learnable Parameters Weights: [] Bias: []"
)  # after it the specification prints "Use properties method to see a list of all properties."


def test_printed_as_in_the_specification():
    text = cc.GroupedConv2D(11, 10, 3, name="gconv1").spec_text()
    assert " ".join(text.split()) == FORM.format("gconv1", 3)
    text = cc.GroupedConv2D(11, 10, "channelwise", name="cwconv1").spec_text()
    assert " ".join(text.split()) == FORM.format("cwconv1", "'channelwise'")


def test_layout_of_the_printed_form():
    layer = made(cc.GroupedConv2D((3, 5), 10, 2, padding="same", padding_value=-2), dtype="float32")
    assert layer.spec_text() == """GroupedConvolution2DLayer with properties:

                   Name: ''

   Hyperparameters
             FilterSize: [3 5]
              NumGroups: 2
    NumChannelsPerGroup: 2
     NumFiltersPerGroup: 10
                 Stride: [1 1]
         DilationFactor: [1 1]
            PaddingMode: 'same'
            PaddingSize: [0 0 0 0]
           PaddingValue: -2

   Learnable Parameters
                Weights: [3x5x2x10x2 single]
                   Bias: [1x1x10x2 single]"""  # fmt: skip


def test_in_lists_of_layers():
    layer = cc.GroupedConv2D(11, 10, 3)
    text = "11x11 convolutions with stride [1 1] and padding [0 0 0 0]"
    assert (layer.kind, layer.description()) == ("2D Grouped Convolution", f"3 groups of 10 {text}")
    text = text.replace("11x11", "11x11x2")
    assert made(layer, (6, 20, 20)).description() == f"3 groups of 10 {text}"
    layer = cc.GroupedConv2D(3, 1, "channelwise", padding="same")
    text = "convolutions with stride [1 1] and padding 'same'"
    assert layer.description() == f"channelwise groups of 1 3x3 {text}"
    assert made(layer).description() == f"4 groups of 1 3x3x1 {text}"


def test_a_bias_alone_may_wait_for_the_number_of_channels():
    layer = cc.GroupedConv2D(3, 2, "channelwise", bias=np.arange(8))
    assert layer.spec_text().endswith("Bias: [1x1x2x4 double]")
    assert message(ValueError, made, layer, (3, 5, 5)) \
        == "GroupedConv2D: bias must have shape (6,) for inputs (3, 5, 5), got (8,)"  # fmt: skip
    assert (layer.initialized, layer.num_groups) == (False, "channelwise")
    assert_array_equal(made(layer).bias.data, np.arange(8))


@pytest.mark.parametrize(
    ("layer", "text"),
    [
        (cc.GroupedConv2D(11, 10, 3, name="g"), "GroupedConv2D((11, 11), 10, 3, name='g')"),
        (cc.GroupedConv2D((3, 5), 1, "channelwise", stride=2, padding="same", padding_value="replicate"),
         "GroupedConv2D((3, 5), 1, 'channelwise', stride=(2, 2), padding='same', padding_value='replicate')"),
        (made(cc.GroupedConv2D(3, 1, "channelwise")), "GroupedConv2D((3, 3), 1, 4)"),
    ],
)  # fmt: skip
def test_repr_is_python(layer, text):
    assert repr(layer) == text
    assert eval(text, vars(cc)).config() == layer.config()


# ------------------------------------------------------------------------------- weights in the specification's order


def test_from_hwio():
    weights, bias = integers((5, 3, 2, 4, 6)), integers((1, 1, 4, 6), 1)
    layer = cc.GroupedConv2D.from_hwio(weights, bias, padding="same", name="g")
    assert repr(layer) == "GroupedConv2D((5, 3), 4, 6, padding='same', name='g')"
    assert (layer.num_channels_per_group, layer.num_filters) == (2, 24)
    for group in range(6):
        for k in range(4):
            assert layer.bias[4 * group + k] == bias[0, 0, k, group]
            for c in range(2):
                assert_array_equal(layer.weights[4 * group + k, c], weights[:, :, c, k, group])
    flat = cc.GroupedConv2D.from_hwio(weights, np.arange(24))
    assert_array_equal(flat.bias, np.arange(24))
    assert cc.GroupedConv2D.from_hwio(weights).bias is None
    assert "Weights: [5x3x2x4x6 double]" in layer.spec_text()
    assert "Bias: [1x1x4x6 double]" in layer.spec_text()


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ((np.ones((5, 3, 2, 4)),),
         "GroupedConv2D.from_hwio: weights must have 5 axes (height, width, channels of a group, filters of a group, "
         "groups), got 4 (weights (5, 3, 2, 4))"),
        ((np.ones((5, 3, 2, 4, 6)), np.ones((1, 1, 24))),
         "GroupedConv2D.from_hwio: bias must have shape (1, 1, 4, 6) or (24,), got (1, 1, 24)"),
        ((np.ones((5, 3, 2, 4, 0)),), "GroupedConv2D: num_groups must be at least 1, got 0"),
        ((np.ones((5, 3, 0, 4, 6)),),
         "GroupedConv2D: weights must have shape (24, channels of a group, 5, 3), got (24, 0, 5, 3)"),
    ],
)  # fmt: skip
def test_from_hwio_bad_input(arguments, text):
    assert message(ValueError, cc.GroupedConv2D.from_hwio, *arguments) == text


# -------------------------------------------------------------------------------------------------------- wrong values

CHANNELWISE = {"num_groups": "channelwise"}
EACH = "weights must have shape (2 per channel, 1, 3, 3), got"


@pytest.mark.parametrize(
    ("arguments", "error", "text"),
    [
        ({"num_groups": "channels"}, ValueError, "num_groups must be an int or \"channelwise\", got 'channels'"),
        ({"num_groups": 0}, ValueError, "num_groups must be at least 1, got 0"),
        ({"num_filters_per_group": 0}, ValueError, "num_filters_per_group must be at least 1, got 0"),
        ({"num_filters_per_group": "auto"}, TypeError, "num_filters_per_group must be an int, got 'auto'"),
        ({"weights": np.ones((7, 1, 3, 3))}, ValueError,
         "weights must have shape (6, channels of a group, 3, 3), got (7, 1, 3, 3)"),
        ({"weights": np.ones((6, 1, 3))}, ValueError,
         "weights must have shape (6, channels of a group, 3, 3), got (6, 1, 3)"),
        ({"weights": np.ones((6, 0, 3, 3))}, ValueError,
         "weights must have shape (6, channels of a group, 3, 3), got (6, 0, 3, 3)"),
        ({"bias": np.ones(5)}, ValueError, "bias must have shape (6,), got (5,)"),
        ({**CHANNELWISE, "weights": np.ones((7, 1, 3, 3))}, ValueError, f"{EACH} (7, 1, 3, 3)"),
        ({**CHANNELWISE, "weights": np.ones((1, 1, 3, 3))}, ValueError, f"{EACH} (1, 1, 3, 3)"),
        ({**CHANNELWISE, "weights": np.ones((0, 1, 3, 3))}, ValueError, f"{EACH} (0, 1, 3, 3)"),
        ({**CHANNELWISE, "weights": np.ones((6, 2, 3, 3))}, ValueError, f"{EACH} (6, 2, 3, 3)"),
        ({**CHANNELWISE, "bias": np.ones(5)}, ValueError, "bias must have shape (2 per channel,), got (5,)"),
        ({**CHANNELWISE, "bias": np.ones(0)}, ValueError, "bias must have shape (2 per channel,), got (0,)"),
        ({**CHANNELWISE, "bias": np.ones((2, 2))}, ValueError, "bias must have shape (2 per channel,), got (2, 2)"),
        ({**CHANNELWISE, "weights": np.ones((6, 1, 3, 3)), "bias": np.ones(8)}, ValueError,
         "bias must have shape (6,), got (8,)"),
    ],
)  # fmt: skip
def test_bad_input(arguments, error, text):
    sizes = {"filter_size": 3, "num_filters_per_group": 2, "num_groups": 3}
    assert message(error, cc.GroupedConv2D, **{**sizes, **arguments}) == f"GroupedConv2D: {text}"


def test_channels_that_the_groups_do_not_divide():
    for layer, who in ((cc.GroupedConv2D(3, 2, 3), "GroupedConv2D"), (cc.GroupedConv2D(3, 2, 3, name="g"), "g")):
        for method in (layer.output_shape, layer.multiply_adds, lambda shape, layer=layer: made(layer, shape)):
            assert message(ValueError, method, (4, 9, 8)) \
                == f"{who}: 4 channels cannot be split into 3 groups (inputs (4, 9, 8))"  # fmt: skip
        assert layer.num_channels == "auto"


def test_num_channels_is_no_argument():
    assert message(TypeError, cc.GroupedConv2D, 3, 2, 3, num_channels=6) \
        == "GroupedConv2D.__init__() got an unexpected keyword argument 'num_channels'"  # fmt: skip
