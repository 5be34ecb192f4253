"""Conv1D: the properties of the specification's convolution1dLayer, its printed forms, sequences and 1-D images."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_array_equal
from strategies import PATTERNS

import convcore as cc


def made(layer, input_shape=(3, 12), seed=0, dtype="float64"):
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
    layer = cc.Conv1D(11, 96)
    expected = {
        "filter_size": 11, "num_filters": 96, "stride": 1, "dilation_factor": 1, "padding": (0, 0),
        "padding_mode": "manual", "padding_size": (0, 0), "padding_value": 0, "num_channels": "auto",
        "weights_initializer": "glorot", "bias_initializer": "zeros", "weights": None, "bias": None,
        "weight_learn_rate_factor": 1, "bias_learn_rate_factor": 1, "weight_l2_factor": 1, "bias_l2_factor": 0,
        "name": "", "num_inputs": 1, "input_names": ("in",), "num_outputs": 1, "output_names": ("out",),
    }  # fmt: skip
    assert {name: getattr(layer, name) for name in expected} == expected


@pytest.mark.parametrize("name", ["filter_size", "stride", "dilation_factor"])
@pytest.mark.parametrize("value", [2, (2,), [2], np.array([2]), np.int64(2)])
def test_sizes_are_plain_ints(name, value):
    layer = cc.Conv1D(**{"filter_size": 1, "num_filters": 1, name: value})
    assert getattr(layer, name) == 2
    assert type(getattr(layer, name)) is int


@pytest.mark.parametrize(
    ("padding", "kept", "mode", "size", "output"),
    [
        (0, (0, 0), "manual", (0, 0), 3),
        (2, (2, 2), "manual", (2, 2), 5),
        ((2,), (2, 2), "manual", (2, 2), 5),
        ((2, 1), (2, 1), "manual", (2, 1), 5),  # [l r]
        ([2, 1], (2, 1), "manual", (2, 1), 5),
        (np.array([2, 1]), (2, 1), "manual", (2, 1), 5),
        (np.array(2), (2, 2), "manual", (2, 2), 5),
        ("same", "same", "same", (0, 0), 5),
        ("causal", "causal", "causal", (4, 0), 5),  # (FilterSize − 1) · DilationFactor; it does not need the input
    ],
)
def test_padding(padding, kept, mode, size, output):
    layer = cc.Conv1D(3, 4, stride=2, dilation_factor=2, padding=padding)
    assert (layer.padding, layer.padding_mode, layer.padding_size) == (kept, mode, size)
    assert layer.output_shape((1, 10)) == (4, output)


@pytest.mark.parametrize("stride", [1, 2, 3])
@pytest.mark.parametrize("width", [5, 6, 7, 28])
@pytest.mark.parametrize("filter_size", [1, 2, 5])
@pytest.mark.parametrize("dilation", [1, 2])
@pytest.mark.parametrize("padding", ["same", "causal"])
def test_words_give_ceil_of_input_over_stride(stride, width, filter_size, dilation, padding):
    layer = cc.Conv1D(filter_size, 1, stride=stride, padding=padding, dilation_factor=dilation)
    assert layer.output_shape((1, width)) == (1, -(-width // stride))


@pytest.mark.parametrize("dilation", [1, 3])
def test_causal_looks_at_no_later_step(dilation):
    layer = made(cc.Conv1D(3, 2, padding="causal", dilation_factor=dilation, weights_initializer="ones"), (1, 10))
    for step in range(10):
        x = np.zeros((1, 1, 10))
        x[0, 0, step] = 1
        reached = layer.forward(cc.Tensor(x), False, None).data[0, 0].nonzero()[0]
        assert list(reached) == [n for n in (step, step + dilation, step + 2 * dilation) if n < 10]


def test_one_filter_over_all_channels_by_hand():
    layer = cc.Conv1D(2, 1, weights=[[[1, 2], [10, 20]]], bias=[100])
    y = made(layer, (2, 3)).forward(cc.Tensor([[[1.0, 2, 3], [4, 5, 6]]]), False, None)
    assert_array_equal(y.data, [[[100 + 1 + 4 + 40 + 100, 100 + 2 + 6 + 50 + 120]]])


@given(st.data())
@settings(max_examples=60, deadline=None)
def test_the_layer_hands_every_property_to_the_function(data):
    small = st.integers(1, 3)
    options = {
        "stride": data.draw(small), "dilation": data.draw(small),
        "padding": data.draw(st.sampled_from([0, 1, (2, 0), (0, 3), "same", "causal"])),
        "padding_value": data.draw(st.sampled_from([0, -1.5, *PATTERNS])),
    }  # fmt: skip
    renamed = {"dilation_factor" if name == "dilation" else name: value for name, value in options.items()}
    layer = made(cc.Conv1D(data.draw(small), 2, bias_initializer="ones", **renamed))
    x = integers((2, 3, 12))
    y = layer.forward(cc.Tensor(x), False, None)
    assert_array_equal(y.data, cc.conv1d(x, layer.weights, layer.bias, **options).data)
    assert y.shape[1:] == layer.output_shape((3, 12))
    assert layer.multiply_adds((3, 12)) == np.prod(y.shape[1:]) * 3 * layer.filter_size


def test_initializers_scale_by_the_connections():
    for name, variance in (("glorot", 2 / (5 * 40 + 5 * 200)), ("he", 2 / (5 * 40))):  # numIn + numOut; numIn
        weights = made(cc.Conv1D(5, 200, weights_initializer=name), (40, 9)).weights.data
        assert weights.shape == (200, 40, 5)
        assert abs(weights.var() / variance - 1) < 5 * np.sqrt(2 / weights.size)
    bound = np.sqrt(6 / (5 * 40 + 5 * 200))
    weights = made(cc.Conv1D(5, 200), (40, 9)).weights.data
    assert 0.999 * bound < abs(weights).max() <= bound


# ------------------------------------------------------------------------------------------------------------- formats


def test_over_time_behind_a_sequence_input():
    net = cc.Network([cc.SequenceInput(12, min_length=11), cc.Conv1D(11, 96), cc.ReLU(), cc.GlobalMaxPool(),
                      cc.FullyConnected(10), cc.Softmax(), cc.ClassificationOutput()], seed=0)  # fmt: skip
    assert net(np.zeros((2, 12, 40), "f4")).shape == (2, 10)
    # as the specification prints its example
    lines = ("7x1 Layer array with layers: 1 '' Sequence Input Sequence input with 12 dimensions "
             "2 '' Convolution 96 11x12 convolutions with stride 1 and padding [0 0] 3 '' ReLU ReLU "
             "4 '' 1D Global Max Pooling 1D global max pooling 5 '' Fully Connected 10 fully connected layer "
             "6 '' Softmax softmax 7 '' Classification Output crossentropyex")  # fmt: skip
    assert " ".join(net.spec_text().split()) == lines
    assert cc.Conv1D(11, 96).description() == "96 11 convolutions with stride 1 and padding [0 0]"


def in_format(layer, x, format, wanted):
    """The layer's output for x (in `format`) given in the order `wanted`, put back."""
    letters = [f"{letter}{format[:i].count(letter)}" for i, letter in enumerate(format)]
    order = [letters.index(f"{letter}{wanted[:i].count(letter)}") for i, letter in enumerate(wanted)]
    y = layer.apply(cc.Tensor(x.transpose(order), format=wanted), False, None)
    assert y.format == wanted
    return y.data.transpose(np.argsort(order))


@pytest.mark.parametrize("wanted", ["BCT", "CBT", "TCB"])
def test_time_is_convolved_over_where_there_is_no_space(wanted):
    layer, x = made(cc.Conv1D(3, 2, stride=2, padding="causal")), integers((4, 3, 12))
    assert_array_equal(in_format(layer, x, "BCT", wanted), layer.forward(cc.Tensor(x), False, None).data)


@pytest.mark.parametrize("wanted", ["BCS", "SCB"])
def test_images(wanted):
    layer, x = made(cc.Conv1D(3, 2, stride=2, padding=(1, 0))), integers((4, 3, 12))
    assert_array_equal(in_format(layer, x, "BCS", wanted), layer.forward(cc.Tensor(x), False, None).data)


@pytest.mark.parametrize("wanted", ["BCST", "SCBT", "BTCS", "TSCB"])
def test_sequences_of_images_are_convolved_over_space(wanted):
    layer, x = made(cc.Conv1D(3, 2, stride=2, padding="same")), integers((4, 3, 12, 5))
    expected = [layer.forward(cc.Tensor(x[..., t].copy()), False, None).data for t in range(5)]
    assert_array_equal(in_format(layer, x, "BCST", wanted), np.stack(expected, -1))


def test_formats_that_it_cannot_take():
    text = 'Conv1D: Conv1D takes formats with B, C and one S or T, such as "BCS" or "BCT", got "BCSS"'
    layer = made(cc.Conv1D(3, 2))
    assert message(ValueError, layer.apply, cc.Tensor(np.ones((1, 3, 9, 9)), format="BCSS"), False, None) == text


# ------------------------------------------------------------------------------------------------------- printed forms


def test_printed_as_in_the_specification():
    text = (
        "Convolution1DLayer with properties: Name: '' Hyperparameters FilterSize: 11 NumChannels: 'auto' "
        "NumFilters: 96 Stride: 1 DilationFactor: 1 PaddingMode: 'manual' PaddingSize: [0 0] PaddingValue: 0 "
        "Learnable Parameters Weights: [] Bias: []"
    )  # after it the specification prints "Show all properties"
    assert " ".join(cc.Conv1D(11, 96).spec_text().split()) == text


def test_layout_of_the_printed_form():
    layer = made(cc.Conv1D(11, 96, stride=2, padding="causal", padding_value="replicate", name="c"), (12, 100))
    assert layer.spec_text() == """Convolution1DLayer with properties:

              Name: 'c'

   Hyperparameters
        FilterSize: 11
       NumChannels: 12
        NumFilters: 96
            Stride: 2
    DilationFactor: 1
       PaddingMode: 'causal'
       PaddingSize: [10 0]
      PaddingValue: 'replicate'

   Learnable Parameters
           Weights: [11x12x96 double]
              Bias: [1x96 double]"""  # fmt: skip
    assert layer.description() == "96 11x12 convolutions with stride 2 and padding 'causal'"


@pytest.mark.parametrize(
    ("layer", "text"),
    [
        (cc.Conv1D(11, 96), "Conv1D(11, 96)"),
        (cc.Conv1D(3, 8, stride=2, padding=(2, 1), name="c"), "Conv1D(3, 8, stride=2, padding=(2, 1), name='c')"),
        (cc.Conv1D(3, 8, padding="causal", dilation_factor=4, padding_value=1, num_channels=2),
         "Conv1D(3, 8, dilation_factor=4, padding='causal', padding_value=1.0, num_channels=2)"),
    ],
)  # fmt: skip
def test_repr_is_python(layer, text):
    assert repr(layer) == text
    assert eval(text, vars(cc)).config() == layer.config()


# ------------------------------------------------------------------------------- weights in the specification's order


def test_from_wio():
    weights, bias = integers((5, 3, 4)), integers((1, 4), 1)
    layer = cc.Conv1D.from_wio(weights, bias, stride=2, padding="causal", name="c")
    assert (layer.filter_size, layer.num_filters, layer.num_channels, layer.name) == (5, 4, 3, "c")
    assert repr(layer) == "Conv1D(5, 4, stride=2, padding='causal', num_channels=3, name='c')"
    for k in range(4):
        for c in range(3):
            assert_array_equal(layer.weights[k, c], weights[:, c, k])
    assert_array_equal(layer.bias, bias[0])
    assert_array_equal(cc.Conv1D.from_wio(weights, bias[0]).bias, bias[0])
    assert cc.Conv1D.from_wio(weights).bias is None
    assert made(layer).weights.data.flags.c_contiguous
    assert "Weights: [5x3x4 double]" in layer.spec_text()
    assert "Bias: [1x4 double]" in layer.spec_text()


@pytest.mark.parametrize(
    ("arguments", "error", "text"),
    [
        ((np.ones((5, 3)),), ValueError,
         "Conv1D.from_wio: weights must have 3 axes (width, channels, filters), got 2 (weights (5, 3))"),
        (("a",), TypeError,
         "Conv1D.from_wio: weights must be float32, float64, integers or booleans, got dtype <U1"),
        ((np.ones((5, 3, 4)), np.ones(3)), ValueError,
         "Conv1D.from_wio: bias must have shape (1, 4) or (4,), got (3,)"),
        ((np.ones((5, 3, 4)), np.ones((4, 1))), ValueError,
         "Conv1D.from_wio: bias must have shape (1, 4) or (4,), got (4, 1)"),
        ((np.ones((0, 3, 4)),), ValueError, "Conv1D: filter_size must be at least 1, got 0"),
        ((np.ones((5, 0, 4)),), ValueError, "Conv1D: weights must have shape (4, channels, 5), got (4, 0, 5)"),
        ((np.ones((5, 3, 0)),), ValueError, "Conv1D: num_filters must be at least 1, got 0"),
    ],
)  # fmt: skip
def test_from_wio_bad_input(arguments, error, text):
    assert message(error, cc.Conv1D.from_wio, *arguments) == text


# -------------------------------------------------------------------------------------------------------- wrong values


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({"weights": np.ones((7, 1, 3))}, "weights must have shape (8, channels, 3), got (7, 1, 3)"),
        ({"weights": np.ones((8, 1, 2))}, "weights must have shape (8, channels, 3), got (8, 1, 2)"),
        ({"weights": np.ones((8, 3))}, "weights must have shape (8, channels, 3), got (8, 3)"),
        ({"weights": np.ones((8, 2, 3)), "num_channels": 1}, "weights are for 2 channels, num_channels is 1"),
        ({"bias": np.ones(7)}, "bias must have shape (8,), got (7,)"),
        ({"bias": np.ones((1, 8))}, "bias must have shape (8,), got (1, 8)"),
    ],
)
def test_arrays_of_wrong_shapes(arguments, text):
    assert message(ValueError, cc.Conv1D, 3, 8, **arguments) == f"Conv1D: {text}"


def test_a_filter_larger_than_the_input():
    text = "conv1d: the filter covers 11 cells in width, the padded input has 10"
    assert message(ValueError, cc.Conv1D(11, 2).output_shape, (3, 10)) == text
