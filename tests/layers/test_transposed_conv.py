"""TransposedConv1D to 3D: properties, sizes, printed forms; that they are the transposes of the convolutions."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_array_equal

import convcore as cc

LAYERS = {1: cc.TransposedConv1D, 2: cc.TransposedConv2D, 3: cc.TransposedConv3D}
OPS = {1: cc.conv_transpose1d, 2: cc.conv_transpose2d, 3: cc.conv_transpose3d}
SHAPES = {1: (4, 7), 2: (4, 5, 6), 3: (4, 2, 3, 4)}
each = pytest.mark.parametrize("rank", [1, 2, 3])


def made(layer, input_shape=SHAPES[2], seed=0, dtype="float64"):
    layer.initialize(input_shape, np.random.default_rng(seed), np.dtype(dtype))
    return layer


def integers(shape, seed=0):
    return np.random.default_rng(seed).integers(-4, 5, shape).astype(float)


def message(error, function, *arguments, **options):
    with pytest.raises(error) as caught:
        function(*arguments, **options)
    return str(caught.value)


@each
def test_defaults(rank):
    layer = LAYERS[rank](3, 8)
    one, zero, three = ((n if rank == 1 else (n,) * rank) for n in (1, 0, 3))
    expected = {
        "filter_size": three, "num_filters": 8, "stride": one, "dilation_factor": one, "cropping": (0, 0) * rank,
        "cropping_mode": "manual", "cropping_size": (0, 0) * rank, "output_padding": zero, "num_groups": 1,
        "num_channels": "auto", "weights_initializer": "glorot", "bias_initializer": "zeros", "weights": None,
        "bias": None, "weight_learn_rate_factor": 1, "bias_learn_rate_factor": 1, "weight_l2_factor": 1,
        "bias_l2_factor": 0, "name": "",
    }  # fmt: skip
    assert {name: getattr(layer, name) for name in expected} == expected


@pytest.mark.parametrize(
    ("rank", "cropping", "kept", "mode", "size"),
    [
        (1, 1, (1, 1), "manual", (1, 1)),
        (1, (2, 1), (2, 1), "manual", (2, 1)),
        (1, "same", "same", "same", (0, 0)),
        (2, (1, 0), (1, 1, 0, 0), "manual", (1, 1, 0, 0)),
        (2, (1, 2, 3, 4), (1, 2, 3, 4), "manual", (1, 2, 3, 4)),
        (2, np.array(2), (2, 2, 2, 2), "manual", (2, 2, 2, 2)),
        (2, "same", "same", "same", (0, 0, 0, 0)),
        (3, (0, 1, 2), (0, 0, 1, 1, 2, 2), "manual", (0, 0, 1, 1, 2, 2)),
        (3, "same", "same", "same", (0,) * 6),
    ],
)
def test_cropping(rank, cropping, kept, mode, size):
    layer = LAYERS[rank](3, 8, cropping=cropping)
    assert (layer.cropping, layer.cropping_mode, layer.cropping_size) == (kept, mode, size)


@each
@pytest.mark.parametrize("name", ["filter_size", "stride", "dilation_factor", "output_padding"])
def test_sizes_are_plain_ints_in_one_dimension(rank, name):
    value = tuple(range(2, 2 + rank))
    layer = LAYERS[rank](**{"filter_size": 1, "num_filters": 1, "stride": 9, name: value})
    assert getattr(layer, name) == (2 if rank == 1 else value)
    layer = LAYERS[rank](**{"filter_size": 1, "num_filters": 1, "stride": 9, name: np.int64(2)})
    assert getattr(layer, name) == (2 if rank == 1 else (2,) * rank)


@each
@given(st.data())
@settings(max_examples=40, deadline=None)
def test_the_layer_hands_every_property_to_the_function(rank, data):
    some = st.tuples(*[st.integers(1, 3)] * rank)
    stride = data.draw(some)
    options = {
        "stride": stride, "dilation": data.draw(some),
        "cropping": data.draw(st.sampled_from(["same", 0, *([1] if rank < 3 else [])])),
        "output_padding": tuple(s - 1 for s in stride) if data.draw(st.booleans()) else 0,
        "groups": data.draw(st.sampled_from([1, 2])),
    }  # fmt: skip
    renamed = {{"dilation": "dilation_factor", "groups": "num_groups"}.get(name, name): value
               for name, value in options.items()}  # fmt: skip
    layer = LAYERS[rank](data.draw(some), 6, bias_initializer="ones", **renamed)
    x = integers((2, *SHAPES[rank]))
    made(layer, SHAPES[rank])
    y = layer.forward(cc.Tensor(x), False, None)
    assert_array_equal(y.data, OPS[rank](x, layer.weights, layer.bias, **options).data)
    assert y.shape[1:] == layer.output_shape(SHAPES[rank])
    assert layer.weights.shape == (4, 6 // options["groups"], *np.atleast_1d(layer.filter_size))
    if options["cropping"] == "same":
        assert y.shape[2:] == tuple(n * s for n, s in zip(SHAPES[rank][1:], stride, strict=True))


@each
@pytest.mark.parametrize("cropping", [0, 1])
def test_the_transpose_of_the_convolution_with_the_same_weights(rank, cropping):
    weights, size = integers((4, 5, *(3,) * rank)), SHAPES[rank][1:]
    up = made(LAYERS[rank](3, 5, stride=2, cropping=cropping, weights=weights), SHAPES[rank])
    down = getattr(cc, f"Conv{rank}D")(3, 4, stride=2, padding=cropping, weights=weights)
    y_shape = up.output_shape(SHAPES[rank])
    assert made(down, y_shape).output_shape(y_shape) == (4, *size)
    x, y = integers((2, *SHAPES[rank])), integers((2, *y_shape), 1)
    forward, back = (layer.forward(cc.Tensor(z), False, None).data for layer, z in ((up, x), (down, y)))
    assert (forward * y).sum() == (x * back).sum()


def test_one_cell_becomes_the_filter():
    weights = np.arange(1.0, 7).reshape(1, 1, 2, 3)
    layer = made(cc.TransposedConv2D((2, 3), 1, weights=weights, bias=[100]), (1, 1, 1))
    assert_array_equal(layer.forward(cc.Tensor([[[[10.0]]]]), False, None).data[0, 0], 100 + 10 * weights[0, 0])


@each
def test_multiply_adds(rank):
    layer = LAYERS[rank](3, 6, stride=2, num_groups=2)
    # each cell of the input is multiplied by the filter, for each filter of its group
    assert layer.multiply_adds(SHAPES[rank]) == np.prod(SHAPES[rank]) * 3**rank * 3


def test_initializers_scale_by_the_connections_of_one_group():
    num_in, num_out = 3 * 5 * 20, 3 * 5 * 90
    for name, variance in (("glorot", 2 / (num_in + num_out)), ("he", 2 / num_in)):
        layer = made(cc.TransposedConv2D((3, 5), 180, num_groups=2, weights_initializer=name), (40, 5, 5))
        assert layer.weights.shape == (40, 90, 3, 5)
        assert abs(layer.weights.data.var() / variance - 1) < 5 * np.sqrt(2 / layer.weights.size)


FORMATS = [
    (1, "BCT", (0, 1, 2)), (1, "CBT", (1, 0, 2)), (1, "SCB", (2, 1, 0)),
    (2, "SSCB", (2, 3, 1, 0)), (2, "BSSC", (0, 2, 3, 1)), (2, "CBST", (1, 0, 2, 3)),
    (3, "SSSCB", (2, 3, 4, 1, 0)), (3, "BCSST", (0, 1, 2, 3, 4)),
]  # fmt: skip


@pytest.mark.parametrize(("rank", "format", "order"), FORMATS)
def test_inputs_in_every_order(rank, format, order):
    layer, x = made(LAYERS[rank](3, 6, stride=2), SHAPES[rank]), integers((2, *SHAPES[rank]))
    expected = layer.forward(cc.Tensor(x), False, None).data
    y = layer.apply(cc.Tensor(x.transpose(order), format=format), False, None)
    assert y.format == format
    assert_array_equal(y.data, expected.transpose(order))


def test_sequences_of_images():
    layer, x = made(cc.TransposedConv2D(3, 6, stride=2)), integers((2, 3, *SHAPES[2]))
    steps = [layer.forward(cc.Tensor(x[:, t].copy()), False, None).data for t in range(3)]
    assert_array_equal(layer.apply(cc.Tensor(x, format="BTCSS"), False, None).data, np.stack(steps, 1))


# ------------------------------------------------------------------------------------------------------- printed forms


def test_layout_of_the_printed_form():
    layer = made(cc.TransposedConv2D((4, 3), 8, stride=2, cropping=(1, 0), name="up"))
    assert layer.spec_text() == """TransposedConvolution2DLayer with properties:

            Name: 'up'

   Hyperparameters
      FilterSize: [4 3]
     NumChannels: 4
      NumFilters: 8
          Stride: [2 2]
    CroppingMode: 'manual'
    CroppingSize: [1 1 0 0]

   Learnable Parameters
         Weights: [4x3x8x4 double]
            Bias: [1x1x8 double]"""  # fmt: skip
    text = " ".join(cc.TransposedConv1D(4, 8, cropping="same").spec_text().split())
    assert text == (
        "TransposedConvolution1DLayer with properties: Name: '' Hyperparameters FilterSize: 4 NumChannels: 'auto' "
        "NumFilters: 8 Stride: 1 CroppingMode: 'same' CroppingSize: [0 0] Learnable Parameters Weights: [] Bias: []"
    )


def test_in_lists_of_layers():
    assert [LAYERS[rank].kind for rank in LAYERS] == [f"{rank}D Transposed Convolution" for rank in LAYERS]
    layer = cc.TransposedConv2D(4, 8, stride=2, cropping="same")
    assert layer.description() == "8 4x4 transposed convolutions with stride [2 2] and cropping 'same'"
    assert made(layer).description() == "8 4x4x4 transposed convolutions with stride [2 2] and cropping 'same'"
    layer = cc.TransposedConv1D(4, 8, stride=2, cropping=1)
    assert layer.description() == "8 4 transposed convolutions with stride 2 and cropping [1 1]"


@pytest.mark.parametrize(
    ("layer", "text"),
    [
        (cc.TransposedConv1D(4, 8, stride=2, output_padding=1), "TransposedConv1D(4, 8, stride=2, output_padding=1)"),
        (cc.TransposedConv2D((4, 3), 8, cropping=1, dilation_factor=2, num_groups=2, name="up"),
         "TransposedConv2D((4, 3), 8, cropping=(1, 1, 1, 1), dilation_factor=(2, 2), num_groups=2, name='up')"),
        (cc.TransposedConv3D(4, 8, cropping="same", num_channels=3),
         "TransposedConv3D((4, 4, 4), 8, cropping='same', num_channels=3)"),
    ],
)  # fmt: skip
def test_repr_is_python(layer, text):
    assert repr(layer) == text
    assert eval(text, vars(cc)).config() == layer.config()


# -------------------------------------------------------------------------------------------------------- wrong values

WANTED = "weights must have shape (channels, 4, 3, 3), got"


@pytest.mark.parametrize(
    ("arguments", "error", "text"),
    [
        ({"weights": np.ones((6, 8, 3, 3))}, ValueError, f"{WANTED} (6, 8, 3, 3)"),
        ({"weights": np.ones((6, 4, 3, 2))}, ValueError, f"{WANTED} (6, 4, 3, 2)"),
        ({"weights": np.ones((6, 4, 3))}, ValueError, f"{WANTED} (6, 4, 3)"),
        ({"weights": np.ones((0, 4, 3, 3))}, ValueError, f"{WANTED} (0, 4, 3, 3)"),
        ({"weights": np.ones((6, 4, 3, 3)), "num_channels": 2}, ValueError,
         "weights are for 6 channels, num_channels is 2"),
        ({"weights": np.ones((5, 4, 3, 3))}, ValueError, "5 channels cannot be split into 2 groups"),
        ({"num_channels": 5}, ValueError, "5 channels cannot be split into 2 groups"),
        ({"num_groups": 3}, ValueError, "8 filters cannot be split into 3 groups"),
        ({"num_groups": "channelwise"}, TypeError, "num_groups must be an int, got 'channelwise'"),
        ({"bias": np.ones(4)}, ValueError, "bias must have shape (8,), got (4,)"),
        ({"output_padding": -1}, ValueError, "output_padding must be at least 0, got -1"),
        ({"output_padding": (1, 1, 1)}, ValueError, "output_padding must be an int or 2 ints, got 3"),
        ({"output_padding": "same"}, TypeError, "output_padding must be an int or 2 ints, got 'same'"),
    ],
)  # fmt: skip
def test_bad_input(arguments, error, text):
    arguments = {"filter_size": 3, "num_filters": 8, "num_groups": 2, **arguments}
    assert message(error, cc.TransposedConv2D, **arguments) == f"TransposedConv2D: {text}"


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"num_groups": 3, "num_filters": 6}, "4 channels cannot be split into 3 groups "
         "(x (1, 4, 5, 6), weight (4, 2, 3, 3))"),
        ({"output_padding": 2, "stride": (3, 2)}, "output_padding must be smaller than stride (3, 2), got (2, 2)"),
        ({"cropping": 4}, "the output has 7 cells in height, cropping takes 8 (x (1, 4, 5, 6), weight (4, 8, 3, 3))"),
    ],
)  # fmt: skip
def test_inputs_that_do_not_fit(options, text):
    layer = cc.TransposedConv2D(**{"filter_size": 3, "num_filters": 8, **options})
    for method in (layer.output_shape, layer.multiply_adds, lambda shape: made(layer, shape)):
        assert message(ValueError, method, SHAPES[2]) == f"conv_transpose2d: {text}"
    assert (layer.initialized, layer.num_channels) == (False, "auto")
