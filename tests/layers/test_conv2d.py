"""Conv2D: every property of the specification's convolution2dLayer, its worked numbers, its printed forms."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_array_equal
from strategies import NUMBER_OR_PATTERN

import convcore as cc

FACTORS = ["weight_learn_rate_factor", "bias_learn_rate_factor", "weight_l2_factor", "bias_l2_factor"]


def made(layer, input_shape=(3, 12, 12), seed=0, dtype="float32"):
    layer.initialize(input_shape, np.random.default_rng(seed), np.dtype(dtype))
    return layer


# ------------------------------------------------------------------------------------------------------- properties


def test_defaults():
    layer = cc.Conv2D(3, 8)
    expected = {
        "filter_size": (3, 3), "num_filters": 8, "stride": (1, 1), "dilation_factor": (1, 1), "padding": (0, 0, 0, 0),
        "padding_mode": "manual", "padding_size": (0, 0, 0, 0), "padding_value": 0, "num_channels": "auto",
        "weights_initializer": "glorot", "bias_initializer": "zeros", "weights": None, "bias": None,
        "weight_learn_rate_factor": 1, "bias_learn_rate_factor": 1, "weight_l2_factor": 1, "bias_l2_factor": 0,
        "name": "", "num_inputs": 1, "input_names": ("in",), "num_outputs": 1, "output_names": ("out",),
    }  # fmt: skip
    assert {name: getattr(layer, name) for name in expected} == expected


@pytest.mark.parametrize("name", ["filter_size", "stride", "dilation_factor"])
@pytest.mark.parametrize(
    ("value", "pair"),
    [(2, (2, 2)), ((2, 3), (2, 3)), ([2, 3], (2, 3)), (np.array([2, 3]), (2, 3)), (np.int64(2), (2, 2))],
)
def test_a_number_stands_for_height_and_width(name, value, pair):
    layer = cc.Conv2D(**{"filter_size": 1, "num_filters": 1, name: value})
    assert getattr(layer, name) == pair
    assert [type(n) for n in getattr(layer, name)] == [int, int]


@pytest.mark.parametrize(
    ("padding", "mode", "size", "output"),
    [
        (0, "manual", (0, 0, 0, 0), (8, 7)),
        (2, "manual", (2, 2, 2, 2), (12, 11)),
        ((1, 0), "manual", (1, 1, 0, 0), (10, 7)),  # [a b]: top and bottom, left and right
        ((0, 1), "manual", (0, 0, 1, 1), (8, 9)),
        ((1, 2, 3, 4), "manual", (1, 2, 3, 4), (11, 14)),  # [t b l r]
        ([1, 2, 3, 4], "manual", (1, 2, 3, 4), (11, 14)),
        (np.array(2), "manual", (2, 2, 2, 2), (12, 11)),
        ("same", "same", (0, 0, 0, 0), (10, 10)),
    ],
)
def test_padding(padding, mode, size, output):
    layer = cc.Conv2D((3, 4), 5, padding=padding)
    assert (layer.padding_mode, layer.padding_size) == (mode, size)
    assert layer.output_shape((3, 10, 10)) == (5, *output)


@pytest.mark.parametrize("stride", [1, 2, 3])
@pytest.mark.parametrize("size", [5, 6, 7, 8, 28])
@pytest.mark.parametrize("filter_size", [1, 2, 3, 4, 5])
@pytest.mark.parametrize("dilation", [1, 2])
def test_same_gives_ceil_of_input_over_stride(stride, size, filter_size, dilation):
    layer = cc.Conv2D(filter_size, 1, stride=stride, padding="same", dilation_factor=dilation)
    assert layer.output_shape((1, size, size)) == (1, -(-size // stride), -(-size // stride))


@pytest.mark.parametrize(
    ("filter_size", "stride", "size", "padding"),
    [((2, 2), 1, 4, (0, 1, 0, 1)), ((4, 3), 1, 4, (1, 2, 1, 1)), ((3, 3), 2, 6, (0, 1, 0, 1)),
     ((3, 3), 2, 5, (1, 1, 1, 1)), ((2, 5), 3, 7, (0, 1, 2, 2)), ((1, 1), 3, 8, (0, 0, 0, 0))],
)  # fmt: skip
def test_same_puts_an_odd_surplus_at_the_bottom_and_the_right(filter_size, stride, size, padding):
    x = np.random.default_rng(0).integers(0, 9, (1, 1, size, size)).astype(float)
    weight = np.random.default_rng(1).integers(0, 9, (1, 1, *filter_size)).astype(float)
    layer = made(cc.Conv2D(filter_size, 1, stride=stride, padding="same", weights=weight), (1, size, size))
    padded = np.pad(x, ((0, 0), (0, 0), padding[:2], padding[2:]))
    assert_array_equal(layer.forward(cc.Tensor(x.astype("f4")), False, None).data,
                       cc.conv2d(padded, weight, stride=stride).data)  # fmt: skip


@pytest.mark.parametrize(
    ("arguments", "input_shape", "output_shape", "parameters"),
    [
        ((5, 8, {"stride": 2, "padding": 2}), (3, 32, 32), (8, 16, 16), 608),  # (75 + 1) · 8, and 2048 neurons
        (((6, 4), 16, {"stride": 4, "padding": (1, 0)}), (1, 28, 28), (16, 7, 7), 16 * 25),  # fully covers the input
        ((3, 1, {"dilation_factor": 2}), (1, 5, 5), (1, 1, 1), 10),  # a 3-by-3 filter covers 5 by 5
        ((11, 96, {"stride": 4}), (3, 227, 227), (96, 55, 55), 34944),
        ((3, 2, {"dilation_factor": (2, 3)}), (1, 5, 7), (2, 1, 1), 20),
    ],
)
def test_worked_numbers(arguments, input_shape, output_shape, parameters):
    filter_size, num_filters, options = arguments
    layer = made(cc.Conv2D(filter_size, num_filters, **options), input_shape)
    assert layer.output_shape(input_shape) == output_shape
    assert layer.weights.size + layer.bias.size == parameters
    x = cc.Tensor(np.zeros((2, *input_shape), "f4"))
    assert layer.forward(x, False, None).shape == (2, *output_shape)
    cells = layer.filter_size[0] * layer.filter_size[1] * input_shape[0]
    assert layer.multiply_adds(input_shape) == np.prod(output_shape) * cells


@given(st.data())
@settings(max_examples=40, deadline=None)
def test_the_layer_hands_every_property_to_the_function(data):
    pair = st.tuples(st.integers(1, 3), st.integers(1, 3))
    options = {
        "stride": data.draw(pair), "dilation": data.draw(pair),
        "padding": data.draw(st.sampled_from([0, 1, (1, 2), (0, 1, 2, 3), "same"])),
        "padding_value": data.draw(st.sampled_from([0, -1.5])),
    }  # fmt: skip
    renamed = {"dilation_factor" if name == "dilation" else name: value for name, value in options.items()}
    layer = cc.Conv2D(data.draw(pair), 2, bias_initializer="ones", **renamed)
    x = np.random.default_rng(0).integers(-4, 5, (2, 3, 9, 8)).astype("f4")
    made(layer, x.shape[1:])
    y = layer.forward(cc.Tensor(x), False, None)
    assert_array_equal(y.data, cc.conv2d(x, layer.weights, layer.bias, **options).data)
    assert y.shape[1:] == layer.output_shape(x.shape[1:])


def test_num_channels():
    assert made(cc.Conv2D(3, 8)).num_channels == 3  # "auto"
    assert made(cc.Conv2D(3, 8, num_channels=3)).weights.shape == (8, 3, 3, 3)
    for layer, who in ((cc.Conv2D(3, 8, num_channels=16), "Conv2D"), (cc.Conv2D(3, 8, num_channels=16, name="c"), "c")):
        for method in (layer.output_shape, layer.multiply_adds, lambda shape, layer=layer: made(layer, shape)):
            with pytest.raises(ValueError) as caught:
                method((3, 12, 12))
            assert str(caught.value) == f"{who}: expects 16 channels, got 3 (inputs (3, 12, 12))"
        assert layer.weights is None


@pytest.mark.parametrize(
    ("input_shape", "text"),
    [
        ((3, 12), "Conv2D: expects images (channels, height, width), got (3, 12)"),
        ((100,), "Conv2D: expects images (channels, height, width), got (100,)"),
        ((3, 4, 12), "conv2d: the filter covers 5 cells in height, the padded input has 4"),
    ],
)
def test_inputs_that_do_not_fit(input_shape, text):
    layer = cc.Conv2D(5, 2)
    for method in (layer.output_shape, layer.multiply_adds, lambda shape: made(layer, shape)):
        with pytest.raises(ValueError) as caught:
            method(input_shape)
        assert str(caught.value) == text
    assert (layer.weights, layer.num_channels) == (None, "auto")


# ------------------------------------------------------------------------------------- weights and bias given directly


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_given_weights_and_bias_are_used_as_they_are(dtype):
    def never(size):
        raise AssertionError

    weights, bias = np.arange(54.0).reshape(2, 3, 3, 3), [1, 2]
    layer = cc.Conv2D(3, 2, weights=weights, bias=bias, weights_initializer=never, bias_initializer=never)
    assert layer.num_channels == 3
    assert_array_equal(layer.weights, weights)
    made(layer, dtype=dtype)
    assert isinstance(layer.weights, cc.Parameter)
    assert layer.weights.dtype == layer.bias.dtype == dtype
    assert_array_equal(layer.weights.data, weights)
    assert_array_equal(layer.bias.data, bias)
    layer.weights.data[:] = 0
    assert weights[1, 2, 2, 2] == 53  # the user's own array stays as it was


def test_weights_alone_leave_the_bias_to_its_initializer():
    layer = made(cc.Conv2D(3, 2, weights=np.ones((2, 3, 3, 3)), bias_initializer="ones"))
    assert_array_equal(layer.bias.data, [1, 1])
    layer = made(cc.Conv2D(3, 2, bias=[5, 6], weights_initializer="ones"))
    assert_array_equal(layer.weights.data, np.ones((2, 3, 3, 3)))
    assert_array_equal(layer.bias.data, [5, 6])


def test_numbers_too_large_for_the_networks_dtype():
    with pytest.raises(ValueError) as caught:
        made(cc.Conv2D(1, 1, bias=[1e300], name="c"))
    assert str(caught.value) == "c: bias must be finite in float32, got 1e+300"
    assert made(cc.Conv2D(1, 1, bias=[1e300]), dtype="float64").bias.data == [1e300]


# -------------------------------------------------------------------------------------------------------- the factors


@pytest.mark.parametrize("name", FACTORS)
def test_factors(name):
    role, attribute = ("weights" if name.startswith("weight") else "bias"), name.split("_", 1)[1]
    layer = cc.Conv2D(3, 8, **{name: 2})
    assert getattr(layer, name) == 2
    setattr(layer, name, 3)
    made(layer)
    parameter = getattr(layer, role)
    others = {other: getattr(layer, other) for other in FACTORS if other != name}
    assert getattr(parameter, attribute) == getattr(layer, name) == 3
    setattr(layer, name, np.float32(0.5))
    assert getattr(parameter, attribute) == getattr(layer, name) == 0.5
    setattr(parameter, attribute, 4)
    assert getattr(layer, name) == 4
    assert layer.config()[name] == 4
    assert others == {other: getattr(layer, other) for other in FACTORS if other != name}
    for value, error, text in ((-1, ValueError, "finite and at least 0, got -1"), ("", TypeError, "a number, got ''")):
        with pytest.raises(error) as caught:
            setattr(layer, name, value)
        assert str(caught.value) == f"Conv2D: {name} must be {text}"
    assert getattr(parameter, attribute) == getattr(layer, name) == 4


# -------------------------------------------------------------------------------------------------- the printed forms

FORM = (
    "Convolution2DLayer with properties: Name: '' Hyperparameters FilterSize: {} NumChannels: {} NumFilters: {} "
    "Stride: {} DilationFactor: [1 1] PaddingMode: 'manual' PaddingSize: {} PaddingValue: 0 "
    "Learnable Parameters Weights: {} Bias: {}"
)  # after it the specification prints "Use properties method to see a list of all properties."
EMPTY = ("[]", "[]")


@pytest.mark.parametrize(
    ("layer", "values"),
    [
        (cc.Conv2D(11, 96, stride=4), ("[11 11]", "'auto'", 96, "[4 4]", "[0 0 0 0]", *EMPTY)),
        (cc.Conv2D(5, 32, weights_initializer="he"), ("[5 5]", "'auto'", 32, "[1 1]", "[0 0 0 0]", *EMPTY)),
        (cc.Conv2D(5, 32, weights_initializer=lambda size: np.random.default_rng(0).random(size) * 0.0001,
                   bias_initializer=lambda size: np.random.default_rng(0).random(size) * 0.0001),
         ("[5 5]", "'auto'", 32, "[1 1]", "[0 0 0 0]", *EMPTY)),
        (cc.Conv2D(5, 32, weights=np.zeros((32, 3, 5, 5)), bias=np.zeros(32)),
         ("[5 5]", 3, 32, "[1 1]", "[0 0 0 0]", "[5x5x3x32 double]", "[1x1x32 double]")),
        (cc.Conv2D((6, 4), 16, stride=4, padding=(1, 0)), ("[6 4]", "'auto'", 16, "[4 4]", "[1 1 0 0]", *EMPTY)),
    ],
    ids=["create", "he", "functions", "given", "fully covers"],
)  # fmt: skip
def test_printed_as_in_the_specification(layer, values):
    assert " ".join(layer.spec_text().split()) == FORM.format(*values)


def test_layout_of_the_printed_form():
    text = """Convolution2DLayer with properties:

              Name: ''

   Hyperparameters
        FilterSize: [11 11]
       NumChannels: 'auto'
        NumFilters: 96
            Stride: [4 4]
    DilationFactor: [1 1]
       PaddingMode: 'manual'
       PaddingSize: [0 0 0 0]
      PaddingValue: 0

   Learnable Parameters
           Weights: []
              Bias: []"""
    assert cc.Conv2D(11, 96, stride=4).spec_text() == text


def test_printed_form_of_other_values():
    layer = made(cc.Conv2D((2, 3), 4, dilation_factor=(1, 2), padding="same", padding_value=0.5, name="conv1"))
    text = " ".join(layer.spec_text().split())
    for part in ("Name: 'conv1'", "NumChannels: 3", "DilationFactor: [1 2]", "PaddingMode: 'same'",
                 "PaddingValue: 0.5", "Weights: [2x3x3x4 single]", "Bias: [1x1x4 single]"):  # fmt: skip
        assert part in text
    assert layer.description() == "4 2x3x3 convolutions with stride [1 1] and padding 'same'"


@pytest.mark.parametrize(
    ("layer", "text"),
    [
        (cc.Conv2D(3, 8), "Conv2D((3, 3), 8)"),
        (cc.Conv2D((3, 5), 8, stride=2, padding=(1, 2), name="c"),
         "Conv2D((3, 5), 8, stride=(2, 2), padding=(1, 1, 2, 2), name='c')"),
        (cc.Conv2D(3, 8, dilation_factor=2, padding="same", padding_value=np.float32(0.5), num_channels=np.int64(3)),
         "Conv2D((3, 3), 8, dilation_factor=(2, 2), padding='same', padding_value=0.5, num_channels=3)"),
        (cc.Conv2D(3, 8, weights_initializer="he", bias_initializer="ones", weight_learn_rate_factor=0,
                   bias_l2_factor=2),
         "Conv2D((3, 3), 8, weights_initializer='he', bias_initializer='ones', weight_learn_rate_factor=0.0, "
         "bias_l2_factor=2.0)"),
    ],
)  # fmt: skip
def test_repr_is_python(layer, text):
    assert repr(layer) == text
    assert eval(text, vars(cc)).config() == layer.config()


# ------------------------------------------------------------------------------- weights in the specification's order


def test_from_hwio():
    weights = np.random.default_rng(0).integers(-4, 5, (5, 4, 3, 2)).astype("f4")
    bias = np.array([[[7, 8]]])
    layer = cc.Conv2D.from_hwio(weights, bias, stride=2, padding="same", name="c")
    assert repr(layer) == "Conv2D((5, 4), 2, stride=(2, 2), padding='same', num_channels=3, name='c')"
    for k in range(2):
        for c in range(3):
            assert_array_equal(layer.weights[k, c], weights[:, :, c, k], strict=True)
    assert_array_equal(layer.bias, [7, 8])
    assert_array_equal(cc.Conv2D.from_hwio(weights, [7, 8]).bias, [7, 8])
    assert cc.Conv2D.from_hwio(weights).bias is None
    assert "Weights: [5x4x3x2 single]" in layer.spec_text()
    weights[:] = 9
    assert layer.weights.max() < 9  # a copy
    made(layer)
    assert layer.weights.data.flags.c_contiguous
    x = np.random.default_rng(1).integers(-4, 5, (2, 3, 9, 9)).astype("f4")
    same = made(cc.Conv2D((5, 4), 2, weights=layer.weights.data, bias=[7, 8], stride=2, padding="same"))
    assert_array_equal(layer.forward(cc.Tensor(x), False, None).data, same.forward(cc.Tensor(x), False, None).data)


def test_from_hwio_makes_the_class_that_it_is_called_on():
    class Mine(cc.Conv2D):
        pass

    assert type(Mine.from_hwio(np.ones((1, 1, 1, 1)))) is Mine
    with pytest.raises(ValueError) as caught:
        Mine.from_hwio(1.0)
    assert str(caught.value).startswith("Mine.from_hwio: weights must have 4 axes")


@pytest.mark.parametrize(
    ("arguments", "options", "error", "text"),
    [
        ((np.ones((5, 4, 3)),), {}, ValueError,
         "Conv2D.from_hwio: weights must have 4 axes (height, width, channels, filters), got 3 (weights (5, 4, 3))"),
        ((None,), {}, TypeError,
         "Conv2D.from_hwio: weights must be float32, float64, integers or booleans, got NoneType"),
        ((np.ones((5, 4, 3, 2)), np.ones(3)), {}, ValueError,
         "Conv2D.from_hwio: bias must have shape (1, 1, 2) or (2,), got (3,)"),
        ((np.ones((5, 4, 3, 2)), np.ones((1, 2))), {}, ValueError,
         "Conv2D.from_hwio: bias must have shape (1, 1, 2) or (2,), got (1, 2)"),
        ((np.ones((5, 4, 3, 2)), "a"), {}, TypeError,
         "Conv2D.from_hwio: bias must be float32, float64, integers or booleans, got dtype <U1"),
        ((np.full((5, 4, 3, 2), np.nan),), {}, ValueError, "Conv2D: weights must be finite, got nan"),
        ((np.ones((0, 4, 3, 2)),), {}, ValueError, "Conv2D: filter_size must be at least 1, got (0, 4)"),
        ((np.ones((5, 4, 0, 2)),), {}, ValueError,
         "Conv2D: weights must have shape (2, channels, 5, 4), got (2, 0, 5, 4)"),
        ((np.ones((5, 4, 3, 0)),), {}, ValueError, "Conv2D: num_filters must be at least 1, got 0"),
        ((np.ones((5, 4, 3, 2)),), {"num_channels": 1}, ValueError,
         "Conv2D: weights are for 3 channels, num_channels is 1"),
        ((np.ones((5, 4, 3, 2)),), {"num_filters": 2}, TypeError,
         "Conv2D.__init__() got multiple values for argument 'num_filters'"),
    ],
)  # fmt: skip
def test_from_hwio_bad_input(arguments, options, error, text):
    with pytest.raises(error) as caught:
        cc.Conv2D.from_hwio(*arguments, **options)
    assert str(caught.value) == text


# -------------------------------------------------------------------------------------------------------- wrong values

SIZE = "must be an int or 2 ints, got"
ARRAY = "must be float32, float64, integers or booleans, got"
NAMES = {"weights_initializer": "glorot, he, narrow-normal, zeros, ones",
         "bias_initializer": "zeros, narrow-normal, ones"}  # fmt: skip


@pytest.mark.parametrize(
    ("arguments", "error", "text"),
    [
        *[({name: value}, error, f"{name} {text}") for name in ("filter_size", "stride", "dilation_factor")
          for value, error, text in [
            (0, ValueError, "must be at least 1, got 0"),
            ((3, -1), ValueError, "must be at least 1, got (3, -1)"),
            ((1, 2, 3), ValueError, f"{SIZE} 3"),
            (1.5, TypeError, f"{SIZE} 1.5"),
            (True, TypeError, f"{SIZE} True"),
            ("3", TypeError, f"{SIZE} '3'"),
            (None, TypeError, f"{SIZE} None"),
            ({1, 2}, TypeError, f"{SIZE} {{1, 2}}"),
        ]],
        *[({name: value}, error, f"{name} {text}") for name in ("num_filters", "num_channels")
          for value, error, text in [
            (0, ValueError, "must be at least 1, got 0"),
            (1.0, TypeError, "must be an int, got 1.0"),
            (True, TypeError, "must be an int, got True"),
            ((1,), TypeError, "must be an int, got (1,)"),
            (None, TypeError, "must be an int, got None"),
            (np.array([1, 2]), TypeError, "must be an int, got array([1, 2])"),
        ]],
        ({"num_filters": "auto"}, TypeError, "num_filters must be an int, got 'auto'"),
        ({"num_channels": "Auto"}, TypeError, "num_channels must be an int, got 'Auto'"),
        ({"padding": "valid"}, ValueError, 'padding must be "same", an int, 2 ints or 4 ints, got \'valid\''),
        ({"padding": -1}, ValueError, "padding must be at least 0, got -1"),
        ({"padding": (1, 2, 3)}, ValueError, "padding must be an int, 2 ints or 4 ints, got 3"),
        ({"padding": 1.5}, TypeError, f"padding {SIZE} 1.5"),
        ({"padding": None}, TypeError, f"padding {SIZE} None"),
        ({"padding_value": "reflect"}, ValueError, f"padding_value {NUMBER_OR_PATTERN}, got 'reflect'"),
        ({"padding_value": None}, TypeError, f"padding_value {NUMBER_OR_PATTERN}, got None"),
        ({"padding_value": True}, TypeError, f"padding_value {NUMBER_OR_PATTERN}, got True"),
        ({"padding_value": np.nan}, ValueError, "padding_value must be finite, got nan"),
        *[({name: "xavier"}, ValueError, f"{name} must be one of {names} or a function, got 'xavier'")
          for name, names in NAMES.items()],
        *[({name: value}, error, f"{name} {text}") for name in ("weights_initializer", "bias_initializer")
          for value, error, text in [
            (None, TypeError, "must be a name or a function, got None"),
            (3, TypeError, "must be a name or a function, got 3"),
        ]],
        *[({name: value}, error, f"{name} {text}") for name in ("weights", "bias") for value, error, text in [
            ("a", TypeError, f"{ARRAY} dtype <U1"),
            (np.ones(8) * 1j, TypeError, f"{ARRAY} dtype complex128"),
            (np.ones(8, np.float16), TypeError, f"{ARRAY} dtype float16"),
            ([[1], [1, 2]], TypeError, "must be an array of numbers, got a ragged list"),
            (np.full((8, 1, 3, 3), np.nan), ValueError, "must be finite, got nan"),
        ]],
        ({"weights": np.ones((7, 1, 3, 3))}, ValueError,
         "weights must have shape (8, channels, 3, 3), got (7, 1, 3, 3)"),
        ({"weights": np.ones((8, 1, 3, 2))}, ValueError,
         "weights must have shape (8, channels, 3, 3), got (8, 1, 3, 2)"),
        ({"weights": np.ones((8, 3, 3))}, ValueError, "weights must have shape (8, channels, 3, 3), got (8, 3, 3)"),
        ({"weights": np.ones((8, 0, 3, 3))}, ValueError,
         "weights must have shape (8, channels, 3, 3), got (8, 0, 3, 3)"),
        ({"weights": 1.0}, ValueError, "weights must have shape (8, channels, 3, 3), got ()"),
        ({"weights": np.ones((8, 2, 3, 3)), "num_channels": 1}, ValueError,
         "weights are for 2 channels, num_channels is 1"),
        ({"bias": np.ones(7)}, ValueError, "bias must have shape (8,), got (7,)"),
        ({"bias": np.ones((1, 1, 8))}, ValueError, "bias must have shape (8,), got (1, 1, 8)"),
        ({"bias": 1.0}, ValueError, "bias must have shape (8,), got ()"),
        *[({name: value}, error, f"{name} must be {text}") for name in FACTORS for value, error, text in [
            (-1, ValueError, "finite and at least 0, got -1"),
            (np.inf, ValueError, "finite and at least 0, got inf"),
            (np.nan, ValueError, "finite and at least 0, got nan"),
            ("a", TypeError, "a number, got 'a'"),
            (None, TypeError, "a number, got None"),
            (True, TypeError, "a number, got True"),
        ]],
        ({"name": None}, TypeError, "name must be a str, got NoneType"),
        ({"name": "a.b"}, ValueError, "name must not hold '.' or '/', got 'a.b'"),
        ({"name": "a/b"}, ValueError, "name must not hold '.' or '/', got 'a/b'"),
    ],
)  # fmt: skip
def test_bad_input(arguments, error, text):
    with pytest.raises(error) as caught:
        cc.Conv2D(**{"filter_size": 3, "num_filters": 8, **arguments})
    assert str(caught.value) == f"Conv2D: {text}"
