"""What all convolutional layers share, transposed, grouped and separable ones too; their own is in their own files."""

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from strategies import NUMBER_OR_PATTERN, demands

import convcore as cc
from convcore.layers.config import layer_from_config, layer_to_config

# How a layer is made, and an input for it, (channels, ...)
LAYERS = {
    "Conv1D": (cc.Conv1D, (3, 4), (2, 9)),
    "Conv2D": (cc.Conv2D, ((3, 2), 4), (2, 7, 6)),
    "Conv3D": (cc.Conv3D, ((1, 3, 2), 4), (2, 4, 5, 5)),
    "GroupedConv2D": (cc.GroupedConv2D, ((3, 2), 2, 2), (4, 7, 6)),
    "channelwise": (cc.GroupedConv2D, ((3, 2), 2, "channelwise"), (3, 7, 6)),
    "SeparableConv2D": (cc.SeparableConv2D, ((3, 2), 4), (3, 7, 6)),
    "TransposedConv1D": (cc.TransposedConv1D, (3, 4), (2, 9)),
    "TransposedConv2D": (cc.TransposedConv2D, ((3, 2), 4), (2, 5, 4)),
    "TransposedConv3D": (cc.TransposedConv3D, ((1, 3, 2), 4), (2, 2, 3, 4)),
}
each = pytest.mark.parametrize(("Layer", "sizes", "input_shape"), LAYERS.values(), ids=LAYERS)
padded = pytest.mark.parametrize(
    ("Layer", "sizes", "input_shape"), [LAYERS[key] for key in LAYERS if "Transposed" not in key],
    ids=[key for key in LAYERS if "Transposed" not in key],
)  # fmt: skip
DTYPES = pytest.mark.parametrize("dtype", ["float32", "float64"])


def made(layer, input_shape, seed=0, dtype="float64"):
    layer.initialize(input_shape, np.random.default_rng(seed), np.dtype(dtype))
    return layer


def integers(shape, dtype="float64", seed=0):
    return np.random.default_rng(seed).integers(-4, 5, shape).astype(dtype)


def prefixes(layer):
    """What the names of the factors begin with, by the arrays' names."""
    return type(layer).roles


def message(error, function, *arguments, **options):
    with pytest.raises(error) as caught:
        function(*arguments, **options)
    return str(caught.value)


# ---------------------------------------------------------------------------------------------------------- properties


@each
def test_ports(Layer, sizes, input_shape):
    layer = Layer(*sizes)
    assert (layer.name, layer.num_inputs, layer.input_names) == ("", 1, ("in",))
    assert (layer.num_outputs, layer.output_names) == (1, ("out",))
    assert Layer(*sizes, name="mine").name == "mine"


@each
def test_what_cannot_be_changed(Layer, sizes, input_shape):
    layer = made(Layer(*sizes), input_shape)
    names = ["filter_size", "num_filters", "num_channels"]
    names += ["num_filters_per_group", "num_channels_per_group"] if Layer is cc.GroupedConv2D else []
    names += ["depth_multiplier"] if Layer is cc.SeparableConv2D else []
    if "Transposed" in Layer.__name__:
        names += ["cropping_mode", "cropping_size", "num_groups"]
    else:
        names += ["padding_mode", "padding_size", "padding_value"]
    names += [*layer.roles, *(["num_groups"] if Layer is cc.GroupedConv2D else [])]
    for name in names:
        before = getattr(layer, name)
        with pytest.raises(AttributeError, match=f"'{name}'"):
            setattr(layer, name, before)
        assert getattr(layer, name) is before or getattr(layer, name) == before


@each
def test_what_can_be_changed_is_checked_as_in_the_constructor(Layer, sizes, input_shape):
    layer = made(Layer(*sizes), input_shape)
    edges = "cropping" if "Transposed" in Layer.__name__ else "padding"
    for name, value in {"stride": 2, "dilation_factor": 2, edges: 1}.items():
        setattr(layer, name, value)
        assert getattr(layer, name) == getattr(Layer(*sizes, **{name: value}), name) != getattr(Layer(*sizes), name)
    x = cc.Tensor(integers((2, *input_shape)))
    assert layer.forward(x, False, None).shape[1:] == layer.output_shape(input_shape)
    assert eval(repr(layer), vars(cc)).config() == layer.config()
    before = layer.config()
    for name in ("stride", "dilation_factor", edges):
        text = message(ValueError, setattr, layer, name, -1)
        assert text == f"{Layer.__name__}: {name} must be at least {0 if name == edges else 1}, got -1"
    assert layer.config() == before


@each
def test_factors(Layer, sizes, input_shape):
    for role, prefix in prefixes(Layer(*sizes)).items():
        for attribute, default in (("learn_rate_factor", 1), ("l2_factor", 0 if role == "bias" else 1)):
            name = f"{prefix}_{attribute}"
            assert getattr(Layer(*sizes), name) == default
            layer = Layer(*sizes, **{name: 2})
            assert getattr(layer, name) == 2
            made(layer, input_shape)
            parameter = getattr(layer, role)
            assert getattr(parameter, attribute) == 2
            setattr(layer, name, np.float32(0.5))
            assert getattr(parameter, attribute) == getattr(layer, name) == layer.config()[name] == 0.5
            setattr(parameter, attribute, 4)
            assert getattr(layer, name) == 4
            others = Layer(*sizes).config()
            assert {key for key, value in layer.config().items() if value != others[key]} - {"num_channels"} \
                <= {name, "num_groups"}  # fmt: skip
            assert message(ValueError, setattr, layer, name, -1) \
                == f"{Layer.__name__}: {name} must be finite and at least 0, got -1"  # fmt: skip


# ------------------------------------------------------------------------------------------------------------- arrays


@each
@DTYPES
def test_arrays_that_are_given_are_used_as_they_are(Layer, sizes, input_shape, dtype):
    def never(size):
        raise AssertionError

    drawn = made(Layer(*sizes, bias_initializer="narrow-normal"), input_shape)
    given = {role: getattr(drawn, role).data for role in drawn.roles}
    layer = Layer(*sizes, **given, **{f"{role}_initializer": never for role in given})
    assert layer.num_channels == input_shape[0]  # weights tell
    assert not layer.initialized
    for role, values in given.items():
        assert_array_equal(getattr(layer, role), values)
    made(layer, input_shape, dtype=dtype)
    for role, values in given.items():
        parameter = getattr(layer, role)
        assert isinstance(parameter, cc.Parameter)
        assert_array_equal(parameter.data, values.astype(dtype), strict=True)
        parameter.data[:] = 7
        assert (values != 7).all()  # the user's own array stays as it was


@each
def test_arrays_not_given_are_drawn(Layer, sizes, input_shape):
    assert all(getattr(Layer(*sizes), role) is None for role in Layer.roles)
    for role in Layer.roles:
        layer = made(Layer(*sizes, **{f"{role}_initializer": "ones"}), input_shape)
        assert {other: bool((getattr(layer, other).data == 1).all()) for other in Layer.roles} \
            == {other: other == role for other in Layer.roles}  # fmt: skip
        values = np.full(getattr(layer, role).shape, 2)
        layer = made(Layer(*sizes, **{role: values}), input_shape)
        assert_array_equal(getattr(layer, role).data, values)
    assert not made(Layer(*sizes), input_shape).bias.data.any()


@each
def test_functions_get_the_size_of_their_array(Layer, sizes, input_shape):
    found = {}

    def keeping(role):
        return lambda size: found.setdefault(role, np.ones(size)) * 2

    layer = made(Layer(*sizes, **{f"{role}_initializer": keeping(role) for role in Layer.roles}), input_shape)
    for role in Layer.roles:
        assert_array_equal(getattr(layer, role).data, found[role] * 2)


@each
def test_a_layer_is_never_half_initialized(Layer, sizes, input_shape):
    layer = Layer(*sizes, bias_initializer=lambda size: np.ones(size[0] + 1), name="c")
    (count,) = made(Layer(*sizes), input_shape).bias.shape
    assert message(ValueError, made, layer, input_shape) \
        == f"c: bias: what the initializer returns must have shape ({count},), got ({count + 1},)"  # fmt: skip
    assert (layer.initialized, layer.learnables, layer.num_channels) == (False, {}, "auto")
    assert all(getattr(layer, role) is None for role in layer.roles)


@each
def test_numbers_too_large_for_the_networks_dtype(Layer, sizes, input_shape):
    for role in Layer.roles:
        values = np.full(getattr(made(Layer(*sizes), input_shape), role).shape, 1e300)
        layer = Layer(*sizes, **{role: values}, name="c")
        assert message(ValueError, made, layer, input_shape, dtype="float32") \
            == f"c: {role} must be finite in float32, got 1e+300"  # fmt: skip
        assert made(layer, input_shape).initialized


# ----------------------------------------------------------------------------------------------------------- networks


@each
@DTYPES
def test_saved_and_loaded(Layer, sizes, input_shape, dtype, tmp_path):
    prefix = next(iter(Layer.roles.values()))
    layer = Layer(*sizes, stride=2, bias_initializer="ones", name="c", **{f"{prefix}_l2_factor": 0.5})
    net = cc.Network([layer], dtype=dtype, seed=3)
    net.initialize(input_shape)
    net.save(tmp_path / "net.safetensors")
    again = cc.load(tmp_path / "net.safetensors")
    assert repr(again) == repr(net)
    assert again.layers[0].spec_text() == layer.spec_text()
    assert again.layers[0].description() == layer.description()
    assert again.layers[0].num_channels == input_shape[0]
    assert list(again.parameters()) == [f"c.{role}" for role in layer.roles]
    for name, p in again.parameters().items():
        other = net.parameters()[name]
        assert_array_equal(p.data, other.data, strict=True)
        assert (p.dtype, p.learn_rate_factor, p.l2_factor) == (dtype, other.learn_rate_factor, other.l2_factor)
    x = integers((2, *input_shape), dtype)
    y = net(x)
    assert y.dtype == dtype
    assert_array_equal(again(x).data, y.data, strict=True)


@each
def test_repr_is_python(Layer, sizes, input_shape):
    prefix = next(iter(Layer.roles.values()))
    for layer in (Layer(*sizes), Layer(*sizes, stride=2, name="c"), Layer(*sizes, **{f"{prefix}_l2_factor": 0})):
        for done in (False, True):
            if done:
                made(layer, input_shape)
            for other in (eval(repr(layer), vars(cc)), layer_from_config(layer_to_config(layer), {})):
                assert type(other) is Layer
                assert (repr(other), other.config()) == (repr(layer), layer.config())


@each
def test_gradients(Layer, sizes, input_shape):
    layer = Layer(*sizes, stride=2, bias_initializer="narrow-normal")
    net = cc.Network([layer, cc.Tanh()], dtype="float64")
    net.initialize(input_shape)
    parameters = net.parameters()

    def output(x, *arrays):
        layer.learnables = dict(zip(layer.roles, arrays, strict=True))
        return net(x)

    x = np.random.default_rng(0).standard_normal((2, *input_shape))
    assert cc.gradcheck(output, [x, *[p.data for p in parameters.values()]], directions=1)


@each
def test_sizes_in_the_summary(Layer, sizes, input_shape):
    layer = Layer(*sizes, stride=2, name="c")
    net = cc.Network([layer], dtype="float32")
    net.initialize(input_shape)
    x = np.ones((2, *input_shape), "f4")
    (row,) = net.summary().rows
    y = net(x)
    assert (row["name"], row["type"], row["activations"]) == ("c", Layer.__name__, y.shape[1:])
    assert layer.output_shape(input_shape) == y.shape[1:]
    assert row["learnables"] == sum(p.size for p in layer.learnables.values())
    assert row["multiply_adds"] == layer.multiply_adds(input_shape) > 0
    assert row["state"] == 0
    assert layer.array_shapes(input_shape) == {role: p.shape for role, p in layer.learnables.items()}


@each
@DTYPES
def test_an_empty_batch(Layer, sizes, input_shape, dtype):
    layer = made(Layer(*sizes), input_shape, dtype=dtype)
    x = cc.Tensor(np.zeros((0, *input_shape), dtype), requires_grad=True)
    with cc.Tape() as tape:
        y = layer.forward(x, True, None)
    assert (y.shape, y.dtype) == ((0, *layer.output_shape(input_shape)), dtype)
    tape.backward(y, grad=np.zeros(y.shape, dtype))
    for p in layer.learnables.values():
        assert_array_equal(p.grad, np.zeros(p.shape, dtype), strict=True)


# ------------------------------------------------------------------------------------------------------- wrong values


@each
def test_errors_about_arguments_name_the_class(Layer, sizes, input_shape):
    what = f"{Layer.__name__}.__init__()"
    assert message(TypeError, Layer, *sizes, colour=1) == f"{what} got an unexpected keyword argument 'colour'"
    last = Layer.required[-1]
    assert message(TypeError, Layer, *sizes[:-1]) == f"{what} missing 1 required positional argument: {last!r}"
    count = len(sizes) + 1
    assert (
        message(TypeError, Layer, *sizes, 1) == f"{what} takes {count} positional arguments but {count + 1} were given"
    )


@each
def test_inputs_that_do_not_fit(Layer, sizes, input_shape):
    words = {2: "sequences (channels, width)", 3: "images (channels, height, width)",
             4: "volumes (channels, depth, height, width)"}[len(input_shape)]  # fmt: skip
    channels, *size = input_shape
    for layer, who in ((Layer(*sizes), Layer.__name__), (Layer(*sizes, name="c"), "c")):
        for method in (layer.output_shape, layer.multiply_adds, lambda shape, layer=layer: made(layer, shape)):
            assert message(ValueError, method, input_shape[:-1]) == f"{who}: expects {words}, got {input_shape[:-1]}"
            assert message(ValueError, method, (0, *size)) \
                == f"{who}: expects at least 1 channel, got 0 (inputs {(0, *size)})"  # fmt: skip
        assert (layer.learnables, layer.num_channels) == ({}, "auto")
        made(layer, input_shape)
        other = (2 * channels, *size)
        assert message(ValueError, layer.output_shape, other) \
            == f"{who}: expects {channels} channels, got {2 * channels} (inputs {other})"  # fmt: skip


@each
def test_wrong_values(Layer, sizes, input_shape):
    rank, kind = len(input_shape) - 1, Layer.__name__
    each_end = demands(rank)["each_end"]
    size = f"must be {demands(rank)['each']}, got"
    edges = "cropping" if "Transposed" in kind else "padding"
    words = '"same", "causal"' if Layer is cc.Conv1D else '"same"'
    wrong = [
        *[(name, value, error, text) for name in ("filter_size", "stride", "dilation_factor")
          for value, error, text in [
            (0, ValueError, "must be at least 1, got 0"),
            ((1,) * (rank + 1), ValueError, f"{size} {rank + 1}"),
            (1.5, TypeError, f"{size} 1.5"),
            (True, TypeError, f"{size} True"),
            ("3", TypeError, f"{size} '3'"),
            (None, TypeError, f"{size} None"),
        ]],
        (edges, "valid", ValueError, f"must be {words}, {each_end}, got 'valid'"),
        (edges, -1, ValueError, "must be at least 0, got -1"),
        (edges, (1,) * (2 * rank + 1), ValueError, f"must be {each_end}, got {2 * rank + 1}"),
        (edges, 1.5, TypeError, f"{size} 1.5"),
        (edges, None, TypeError, f"{size} None"),
        ("name", None, TypeError, "must be a str, got NoneType"),
        ("name", "a.b", ValueError, "must not hold '.' or '/', got 'a.b'"),
        ("bias_initializer", "he", ValueError,
         "must be one of zeros, narrow-normal, ones or a function, got 'he'"),
        ("bias", [np.nan] * 4, ValueError, "must be finite, got nan"),
    ]  # fmt: skip
    for role, prefix in Layer.roles.items():
        wrong += [
            (f"{role}_initializer", 3, TypeError, "must be a name or a function, got 3"),
            (role, "a", TypeError, "must be float32, float64, integers or booleans, got dtype <U1"),
        ]
        if role != "bias":
            names = "glorot, he, narrow-normal, zeros, ones"
            wrong += [(f"{role}_initializer", "xavier", ValueError,
                       f"must be one of {names} or a function, got 'xavier'")]  # fmt: skip
        wrong += [(f"{prefix}_{factor}", value, error, text)
                  for factor in ("learn_rate_factor", "l2_factor") for value, error, text in [
                      (-1, ValueError, "must be finite and at least 0, got -1"),
                      (np.inf, ValueError, "must be finite and at least 0, got inf"),
                      ("a", TypeError, "must be a number, got 'a'"),
                      (True, TypeError, "must be a number, got True")]]  # fmt: skip
    counts = [name for name in (*Layer.required[1:], "num_channels", "num_groups", "depth_multiplier")
              if name in (*Layer.required, *Layer.properties)]  # fmt: skip
    for name in dict.fromkeys(counts):
        wrong += [(name, 0, ValueError, "must be at least 1, got 0"), (name, 1.0, TypeError, "must be an int, got 1.0"),
                  (name, True, TypeError, "must be an int, got True"),
                  (name, None, TypeError, "must be an int, got None")]  # fmt: skip
    required = dict(zip(Layer.required, sizes, strict=True))
    for name, value, error, text in wrong:
        assert message(error, Layer, **{**required, name: value}) == f"{kind}: {name} {text}"


@padded
def test_wrong_padding_values(Layer, sizes, input_shape):
    what = f"{Layer.__name__}: padding_value"
    for value, error, text in [
        ("reflect", ValueError, f"{NUMBER_OR_PATTERN}, got 'reflect'"),
        (None, TypeError, f"{NUMBER_OR_PATTERN}, got None"),
        (True, TypeError, f"{NUMBER_OR_PATTERN}, got True"),
        (np.inf, ValueError, "must be finite, got inf"),
    ]:
        assert message(error, Layer, *sizes, padding_value=value) == f"{what} {text}"


@each
def test_a_subclass_may_add_properties(Layer, sizes, input_shape):
    class Mine(Layer):
        properties = {**Layer.properties, "colour": "red"}
        colour = "blue"

    layer = Mine(*sizes, stride=2)
    assert layer.config()["colour"] == "blue"
    assert repr(layer).startswith("Mine(")
    assert repr(layer).endswith("colour='blue')")
    assert message(TypeError, Mine, *sizes, size=1) == (
        f"{Mine.__qualname__}.__init__() got an unexpected keyword argument 'size'"
    )
