"""The pooling layers, which differ in their number of dimensions and in what becomes of a window."""

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from strategies import demands

import convcore as cc
from convcore.layers.config import layer_from_config, layer_to_config

WORDS = {"Max": "max", "Avg": "average"}
POOLS = [
    pytest.param(getattr(cc, f"{kind}Pool{rank}D"), getattr(cc, f"{kind.lower()}_pool{rank}d"), rank, word,
                 id=f"{kind}Pool{rank}D")
    for kind, word in WORDS.items() for rank in (1, 2, 3)
]  # fmt: skip
LAYERS = pytest.mark.parametrize(("Pool", "function", "rank", "word"), POOLS)
LAYERS_2D = pytest.mark.parametrize(("Pool", "function", "rank", "word"), [p for p in POOLS if "2D" in p.id])
AVERAGES = pytest.mark.parametrize("Pool", [cc.AvgPool1D, cc.AvgPool2D, cc.AvgPool3D])
GLOBALS = pytest.mark.parametrize(
    ("Pool", "function", "word"),
    [(cc.GlobalAvgPool, cc.global_avg_pool, "average"), (cc.GlobalMaxPool, cc.global_max_pool, "max")],
)
SHAPES = {1: (3, 7), 2: (3, 7, 8), 3: (3, 7, 8, 9)}


def check(layer, function, pool_size, options, properties, output):
    """Properties, sizes, and that the layer computes what the function does."""
    assert (layer.pool_size, layer.stride, layer.padding) == properties
    shape = SHAPES[layer.rank]
    assert layer.output_shape(shape) == (3, *output)
    x = np.random.default_rng(0).standard_normal((2, *shape))
    y = layer.forward(cc.Tensor(x), False, None)
    assert y.shape == (2, 3, *output)
    assert_array_equal(y.data, function(x, pool_size, **options).data)


@LAYERS_2D
@pytest.mark.parametrize(
    ("pool_size", "options", "properties", "output"),
    [
        (2, {}, ((2, 2), (2, 2), (0, 0, 0, 0)), (3, 4)),  # the stride is the pool size, not 1
        ((3, 2), {}, ((3, 2), (3, 2), (0, 0, 0, 0)), (2, 4)),
        ((3, 2), {"stride": 1}, ((3, 2), (1, 1), (0, 0, 0, 0)), (5, 7)),
        (2, {"stride": (2, 1), "padding": 1}, ((2, 2), (2, 1), (1, 1, 1, 1)), (4, 9)),
        (3, {"padding": (1, 0)}, ((3, 3), (3, 3), (1, 1, 0, 0)), (3, 2)),
        (3, {"padding": [0, 1, 2, 3]}, ((3, 3), (3, 3), (0, 1, 2, 3)), (2, 4)),
        (3, {"padding": "same"}, ((3, 3), (3, 3), "same"), (3, 3)),
        (3, {"padding": "same", "stride": 2}, ((3, 3), (2, 2), "same"), (4, 4)),
    ],
)
def test_2d_properties_and_sizes(Pool, function, rank, word, pool_size, options, properties, output):
    check(Pool(pool_size, **options), function, pool_size, options, properties, output)


@pytest.mark.parametrize(("Pool", "function", "rank", "word"), [p for p in POOLS if "2D" not in p.id])
@pytest.mark.parametrize(
    ("pool_size", "options", "properties", "output"),
    [
        (2, {}, (2, 2, 0), (3, 4, 4)),
        (2, {"stride": 1}, (2, 1, 0), (6, 7, 8)),
        (3, {"padding": 1, "stride": 2}, (3, 2, 1), (4, 4, 5)),
        (3, {"padding": "same", "stride": 2}, (3, 2, "same"), (4, 4, 5)),
    ],
)
def test_1d_and_3d_properties_and_sizes(Pool, function, rank, word, pool_size, options, properties, output):
    size, stride, padding = properties
    size, stride = (size, stride) if rank == 1 else ((size,) * rank, (stride,) * rank)  # plain ints in 1-D
    properties = (size, stride, padding if padding == "same" else (padding,) * 2 * rank)
    check(Pool(pool_size, **options), function, pool_size, options, properties, output[:rank])


def test_a_size_for_each_dimension():
    layer = cc.MaxPool3D((1, 2, 3), stride=(3, 2, 1), padding=(0, 1, 0, 0, 2, 2))
    check(layer, cc.max_pool3d, (1, 2, 3), {"stride": (3, 2, 1), "padding": (0, 1, 0, 0, 2, 2)},
          ((1, 2, 3), (3, 2, 1), (0, 1, 0, 0, 2, 2)), (3, 4, 11))  # fmt: skip
    layer = cc.AvgPool1D((3,), padding=(0, 2))
    check(layer, cc.avg_pool1d, 3, {"padding": (0, 2)}, (3, 3, (0, 2)), (3,))
    layer = cc.MaxPool1D([3], stride=np.array([2]))
    check(layer, cc.max_pool1d, 3, {"stride": 2}, (3, 2, (0, 0)), (3,))


@AVERAGES
def test_padding_value(Pool):
    rank = Pool.rank
    function = getattr(cc, f"avg_pool{rank}d")
    x = np.random.default_rng(0).standard_normal((2, *SHAPES[rank]))
    for value in (0, 2.5, "mean"):
        layer = Pool(3, padding=1, padding_value=value)
        assert layer.padding_value == value
        y = layer.forward(cc.Tensor(x), False, None)
        assert_array_equal(y.data, function(x, 3, padding=1, padding_value=value).data)
        assert layer.output_shape(SHAPES[rank]) == y.shape[1:]
    assert "padding_value" not in repr(Pool(3))
    assert repr(Pool(3, padding_value="mean")).endswith("padding_value='mean')")
    assert Pool(2, padding_value="mean").spec_text().splitlines()[-1].strip() == "PaddingValue: 'mean'"
    assert Pool(2, padding_value=0.5).spec_text().splitlines()[-1].strip() == "PaddingValue: 0.5000"


# Printed, saved, loaded


@LAYERS_2D
def test_printed_forms(Pool, function, rank, word):
    layer = Pool(2, padding=(1, 0), name="p")
    assert layer.description() == f"2x2 {word} pooling with stride [2 2] and padding [1 1 0 0]"
    assert Pool((2, 3), stride=1, padding="same").description() == (
        f"2x3 {word} pooling with stride [1 1] and padding 'same'"
    )
    assert repr(layer) == f"{Pool.__name__}((2, 2), stride=(2, 2), padding=(1, 1, 0, 0), name='p')"


def test_printed_forms_in_1d_and_3d():
    assert cc.MaxPool1D(3, padding=(0, 1)).description() == "3 max pooling with stride 3 and padding [0 1]"
    assert cc.AvgPool1D(3, padding="same").description() == "3 average pooling with stride 3 and padding 'same'"
    assert cc.AvgPool3D((1, 2, 3)).description() \
        == "1x2x3 average pooling with stride [1 2 3] and padding [0 0 0 0 0 0]"  # fmt: skip
    assert repr(cc.MaxPool1D((3,))) == "MaxPool1D(3, stride=3)"
    assert repr(cc.AvgPool1D(3, stride=(2,), padding=1)) == "AvgPool1D(3, stride=2, padding=(1, 1))"
    assert layer_to_config(cc.MaxPool1D(3))["pool_size"] == 3
    old = {**layer_to_config(cc.MaxPool1D(3)), "pool_size": [3], "stride": [2]}  # a file may hold one-element lists
    assert repr(layer_from_config(old, {})) == "MaxPool1D(3, stride=2)"
    assert repr(cc.AvgPool3D(2, padding=1, padding_value=1)) \
        == "AvgPool3D((2, 2, 2), stride=(2, 2, 2), padding=(1, 1, 1, 1, 1, 1), padding_value=1.0)"  # fmt: skip
    assert [Pool.kind for Pool in (cc.MaxPool1D, cc.MaxPool2D, cc.MaxPool3D)] \
        == [f"{rank}D Max Pooling" for rank in (1, 2, 3)]  # fmt: skip
    assert [Pool.kind for Pool in (cc.AvgPool1D, cc.AvgPool2D, cc.AvgPool3D)] \
        == [f"{rank}D Average Pooling" for rank in (1, 2, 3)]  # fmt: skip


def test_spec_text():
    assert cc.MaxPool2D(2, padding="same", name="pool").spec_text().splitlines() == [
        "MaxPooling2DLayer with properties:",
        "",
        "           Name: 'pool'",
        "",
        "   Hyperparameters",
        "       PoolSize: [2 2]",
        "         Stride: [2 2]",
        "    PaddingMode: 'same'",
        "    PaddingSize: [0 0 0 0]",
    ]
    assert cc.AvgPool1D(3, stride=2, padding=(0, 1)).spec_text().splitlines() == [
        "AveragePooling1DLayer with properties:",
        "",
        "            Name: ''",
        "",
        "   Hyperparameters",
        "        PoolSize: 3",
        "          Stride: 2",
        "     PaddingMode: 'manual'",
        "     PaddingSize: [0 1]",
        "    PaddingValue: 0",
    ]
    assert cc.MaxPool3D(2).spec_text().splitlines()[0] == "MaxPooling3DLayer with properties:"


@LAYERS
def test_config(Pool, function, rank, word):
    value = {"padding_value": "mean"} if word == "average" else {}
    for layer in (Pool(2), Pool((3,) * rank, stride=1, padding="same"), Pool(2, padding=1, name="p", **value)):
        for other in (eval(repr(layer), vars(cc)), layer_from_config(layer_to_config(layer), {})):
            assert type(other) is Pool
            assert other.config() == layer.config()
            assert repr(other) == repr(layer)


@pytest.mark.parametrize("rank", [1, 2, 3])
def test_through_a_network(rank, tmp_path):
    pools = [getattr(cc, f"{kind}Pool{rank}D") for kind in WORDS]
    net = cc.Network([pools[0](2), pools[1](3, stride=1, padding=1, padding_value="mean", name="mean"),
                      cc.GlobalMaxPool(), cc.FullyConnected(4)], seed=1)  # fmt: skip
    net.initialize(SHAPES[rank])
    assert [layer.name for layer in net.layers[:3]] == ["maxpool", "mean", "globalmaxpool"]
    x = np.random.default_rng(0).standard_normal((2, *SHAPES[rank])).astype("f4")
    net.save(tmp_path / "net.safetensors")
    loaded = cc.load(tmp_path / "net.safetensors")
    assert repr(loaded) == repr(net)
    assert_array_equal(loaded(x), net(x))


@LAYERS
def test_gradients_flow_through_the_layer(Pool, function, rank, word):
    x = cc.Tensor(np.random.default_rng(0).standard_normal((2, *SHAPES[rank])), requires_grad=True)
    with cc.Tape():
        loss = cc.sum(Pool(2).forward(x, True, None))
        loss.backward()
    assert x.grad.sum() == pytest.approx(2 * 3 * np.prod([n // 2 for n in SHAPES[rank][1:]]))


# All cells at once


@GLOBALS
def test_global_pooling(Pool, function, word):
    for shape in SHAPES.values():
        x = np.random.default_rng(0).standard_normal((2, *shape))
        y = Pool().forward(cc.Tensor(x), False, None)
        assert y.shape == (2, *Pool().output_shape(shape)) == (2, 3, *(1,) * (len(shape) - 1))
        assert_array_equal(y.data, function(x).data)


@GLOBALS
def test_global_pooling_printed(Pool, function, word):
    layer = Pool(name="p")
    assert repr(layer) == f"{Pool.__name__}(name='p')"
    assert repr(Pool()) == f"{Pool.__name__}()"
    assert (layer.kind, layer.description()) == (f"Global {word.title()} Pooling", f"global {word} pooling")
    title = {"max": "Max", "average": "Average"}[word]
    assert layer.spec_text() == f"Global{title}PoolingLayer with properties:\n\n    Name: 'p'"
    layer.initialize((12, 100), None, None)  # the number of dimensions is the input's
    assert (layer.kind, layer.description()) == (f"1D Global {word.title()} Pooling", f"1D global {word} pooling")
    assert layer.spec_text() == f"Global{title}Pooling1DLayer with properties:\n\n    Name: 'p'"
    assert layer.config() == layer_from_config(layer_to_config(layer), {}).config() == {"name": "p"}


def test_what_the_layers_work_on():
    for rank in (1, 2, 3):
        for kind in WORDS:
            Pool = getattr(cc, f"{kind}Pool{rank}D")
            assert (Pool.layout, Pool.rank) == ("windows", rank)
    assert cc.GlobalAvgPool.layout == cc.GlobalMaxPool.layout == "global"


# What is refused


@LAYERS
@pytest.mark.parametrize(
    ("arguments", "error", "text"),
    [
        *[({name: value}, error, f"{name} {text}") for name in ("pool_size", "stride") for value, error, text in [
            (0, ValueError, "must be at least 1, got 0"),
            ((1,) * 4, ValueError, "must be {each}, got 4"),
            (1.5, TypeError, "must be {each}, got 1.5"),
            ("2", TypeError, "must be {each}, got '2'"),
            (True, TypeError, "must be {each}, got True"),
        ]],
        ({"pool_size": None}, TypeError, "pool_size must be {each}, got None"),
        ({"padding": "full"}, ValueError, 'padding must be "same", {each_end}, got \'full\''),
        ({"padding": -1}, ValueError, "padding must be at least 0, got -1"),
        ({"padding": (1,) * 5}, ValueError, "padding must be {each_end}, got 5"),
        ({"padding": None}, TypeError, "padding must be {each}, got None"),
        ({"name": 1}, TypeError, "name must be a str, got int"),
    ],
)  # fmt: skip
def test_bad_input(Pool, function, rank, word, arguments, error, text):
    with pytest.raises(error) as caught:
        Pool(**{"pool_size": 2, **arguments})
    assert str(caught.value) == f"{Pool.__name__}: " + text.format(**demands(rank))


@AVERAGES
@pytest.mark.parametrize(
    ("value", "error", "text"),
    [
        ("median", ValueError, "must be a number or \"mean\", got 'median'"),
        (None, TypeError, 'must be a number or "mean", got None'),
        (True, TypeError, 'must be a number or "mean", got True'),
        ([0], TypeError, 'must be a number or "mean", got [0]'),
        (np.inf, ValueError, "must be finite, got inf"),
        (np.nan, ValueError, "must be finite, got nan"),
    ],
)
def test_bad_padding_values(Pool, value, error, text):
    with pytest.raises(error) as caught:
        Pool(2, padding_value=value)
    assert str(caught.value) == f"{Pool.__name__}: padding_value {text}"


@LAYERS
def test_inputs_that_do_not_fit(Pool, function, rank, word):
    what = {1: "sequences (channels, width)", 2: "images (channels, height, width)",
            3: "volumes (channels, depth, height, width)"}[rank]  # fmt: skip
    for name in ("", "pool1"):
        with pytest.raises(ValueError) as caught:
            Pool(2, name=name).output_shape((10,))
        assert str(caught.value) == f"{name or Pool.__name__}: expects {what}, got (10,)"
    first = {1: "width", 2: "height", 3: "depth"}[rank]
    with pytest.raises(ValueError) as caught:
        Pool(2).output_shape((3, 1, *(8,) * (rank - 1)))
    assert str(caught.value) == f"{function.__name__}: the window covers 2 cells in {first}, the padded input has 1"


@GLOBALS
def test_global_pooling_of_nothing(Pool, function, word):
    for name in ("", "pool1"):
        with pytest.raises(ValueError) as caught:
            Pool(name=name).output_shape((10,))
        assert str(caught.value) == (
            f"{name or Pool.__name__}: expects channels and a spatial dimension (channels, ...), got (10,)"
        )
    with pytest.raises(TypeError) as caught:
        Pool(name=3)
    assert str(caught.value) == f"{Pool.__name__}: name must be a str, got int"
