"""Layers that one function computes: which these are, that nobody sees a difference, and the word against it."""

import contextlib
import copy
import threading

import numpy as np
import pytest
from strategies import THREADS, bits

import convcore as cc
from convcore.network import chains

SPECIAL = np.array([0.0, -0.0, 1.0, -1.0, 200.0, np.inf, -np.inf, np.nan])


@pytest.fixture(autouse=True)
def _nothing_is_asked_for(variable):
    variable("CONVCORE_FUSION", None)


def ops(net, *inputs, **options):
    """The records of a training step."""
    with cc.Tape() as tape:
        net(inputs if len(inputs) > 1 else inputs[0], training=True, rng=np.random.default_rng(0), **options)
    return [record.op for record in tape.records]


def names_of_chains(net):
    return [[layer.name for layer in chain.layers] for chain, _ in net.chains().values()]


# ---------------------------------------------------------------- which layers


def test_lenet5():
    net, x = cc.lenet5(), np.zeros((2, 1, 28, 28))
    names = ["conv1 relu1 pool1", "conv2 relu2 pool2", "fc1 relu3", "fc2 relu4"]
    assert names_of_chains(net) == [text.split() for text in names]
    assert ops(net, x) == ["conv2d_relu_max_pool2d"] * 2 + ["fully_connected_relu"] * 2 + ["fully_connected", "softmax"]
    with cc.fusion("off"):
        block = ["conv2d", "relu", "max_pool2d"]
        assert ops(net, x) == block * 2 + ["fully_connected", "relu"] * 2 + ["fully_connected", "softmax"]


def image(*layers):
    return cc.Network([cc.ImageInput((2, 12, 12), normalization="none"), *layers])


@pytest.mark.parametrize(
    ("layers", "expected"),
    [
        ([cc.Conv2D(3, 2), cc.ReLU()], ["conv2d_relu"]),
        ([cc.Conv2D(3, 2), cc.ReLU(), cc.MaxPool2D(3, stride=2, padding=1)], ["conv2d_relu_max_pool2d"]),
        ([cc.Conv2D(3, 2), cc.ReLU(), cc.AvgPool2D(2)], ["conv2d_relu", "avg_pool2d"]),
        ([cc.Conv2D(3, 2), cc.MaxPool2D(2), cc.ReLU()], ["conv2d", "max_pool2d", "relu"]),
        ([cc.Conv2D(3, 2), cc.BatchNorm(), cc.ReLU(), cc.MaxPool2D(2)], ["conv2d", "batch_norm_relu_max_pool2d"]),
        ([cc.Conv2D(3, 2), cc.BatchNorm(), cc.ReLU(), cc.AvgPool2D(2)], ["conv2d", "batch_norm_relu", "avg_pool2d"]),
        ([cc.BatchNorm(), cc.ReLU(), cc.FullyConnected(2)], ["batch_norm_relu", "fully_connected"]),
        ([cc.BatchNorm(), cc.LeakyReLU()], ["batch_norm", "leaky_relu"]),
        ([cc.Conv2D(3, 2), cc.LeakyReLU(), cc.MaxPool2D(2)], ["conv2d", "leaky_relu", "max_pool2d"]),
        ([cc.Conv2D(3, 2), cc.ReLU(), cc.ReLU(), cc.MaxPool2D(2)], ["conv2d_relu", "relu_max_pool2d"]),
        ([cc.GroupedConv2D(3, 2, "channelwise"), cc.ReLU()], ["conv2d_relu"]),
        ([cc.SeparableConv2D(3, 4), cc.ReLU(), cc.MaxPool2D(2)], ["conv2d", "conv2d", "relu_max_pool2d"]),
        ([cc.TransposedConv2D(3, 4), cc.ReLU()], ["conv_transpose2d", "relu"]),
        ([cc.FullyConnected(3), cc.ReLU(), cc.FullyConnected(2), cc.ReLU()], ["fully_connected_relu"] * 2),
    ],
)
def test_which_layers(layers, expected):
    assert ops(image(*layers), np.zeros((1, 2, 12, 12))) == expected


def test_one_and_three_dimensions():
    net = cc.Network([cc.Conv1D(3, 2), cc.ReLU(), cc.MaxPool1D(2)])
    assert ops(net, np.zeros((1, 2, 9))) == ["conv1d_relu_max_pool1d"]
    net = cc.Network([cc.Conv3D(2, 2), cc.ReLU(), cc.MaxPool3D(2)])
    assert ops(net, np.zeros((1, 2, 6, 6, 6))) == ["conv3d_relu_max_pool3d"]


def test_what_another_layer_takes_is_computed():
    net = cc.Network.from_graph(
        {"conv": cc.Conv2D(3, 4, padding=1), "relu": cc.ReLU(), "pool": cc.MaxPool2D(1), "add": cc.Addition()},
        [("in", "conv"), ("conv", "relu"), ("relu", "pool"), ("pool", "add"), ("conv", "add")],
    )
    assert names_of_chains(net) == [["relu", "pool"]]
    net = cc.Network.from_graph(
        {"conv": cc.Conv2D(3, 4, padding=1), "relu": cc.ReLU(), "pool": cc.MaxPool2D(1), "add": cc.Addition()},
        [("in", "conv"), ("conv", "relu"), ("relu", "pool"), ("pool", "add"), ("relu", "add")],
    )
    assert names_of_chains(net) == [["conv", "relu"]]
    net = cc.Network.from_graph(
        {"conv": cc.Conv2D(3, 4), "relu": cc.ReLU(), "double": cc.Addition()},
        [("in", "conv"), ("conv", "relu"), ("relu", "double/in1"), ("conv", "double/in2")],
    )
    assert names_of_chains(net) == []


def test_outputs_of_the_network_are_computed():
    net = cc.Network.from_graph({"a": cc.FullyConnected(2), "b": cc.FullyConnected(3), "relu": cc.ReLU()},
                                [("in", "a"), ("in", "b"), ("a", "relu")])  # fmt: skip
    assert names_of_chains(net) == [["a", "relu"]]
    assert [y.shape for y in net(np.ones((4, 5)))] == [(4, 3), (4, 2)]


def test_logits_behind_a_relu():
    net = cc.Network([cc.FullyConnected(3), cc.ReLU(), cc.Softmax()])
    x = np.random.default_rng(0).standard_normal((4, 5))
    found = net.forward(x, logits=True).data
    with cc.fusion("off"):
        assert bits(net.forward(x, logits=True).data) == bits(found)


def test_layers_that_run_in_between():
    """Another branch stands between the layers of a chain in the order of execution."""
    net = cc.Network.from_graph(
        {"conv": cc.Conv2D(3, 4), "other": cc.Conv2D(3, 4), "relu": cc.ReLU(), "tanh": cc.Tanh(), "add": cc.Addition()},
        [("in", "conv"), ("in", "other"), ("conv", "relu"), ("other", "tanh"), ("relu", "add"), ("tanh", "add")],
    )
    assert same(net, np.random.default_rng(0).standard_normal((2, 3, 7, 7)))
    assert ops(net, np.zeros((2, 3, 7, 7))) == ["conv2d_relu", "conv2d", "tanh", "add"]


# ---------------------------------------------------------------- the same bits


def run(net, x, seed=0):
    """Output and gradients of a training step, and the prediction."""
    net.initialize(x.shape[1:])
    with np.errstate(all="ignore"), cc.Tape() as tape:
        y = net(x, training=True, rng=np.random.default_rng(seed))
        tape.backward(y, np.random.default_rng(seed).standard_normal(y.shape).astype(y.dtype))
    grads = [p.grad for p in net.parameters().values()]
    for parameter in net.parameters().values():
        parameter.grad = None
    return bits([np.nan_to_num(a, nan=-77) for a in (y.data, *grads, net.predict(x))])


def same(net, x):
    with cc.fusion("off"):
        expected = run(net, x)
    return run(net, x) == expected


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("batch", [0, 1, 7, 64])
def test_lenet5_has_the_same_bits(dtype, batch):
    x = np.random.default_rng(batch).integers(0, 256, (batch, 1, 28, 28)).astype(dtype)
    net = cc.lenet5(dtype=dtype)
    net.fit_normalization(np.arange(784.0).reshape(1, 1, 28, 28) % 256)
    assert same(net, x)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("size", [(5, 7), (12, 33), (2, 2)])
@pytest.mark.parametrize("behind", [[], [(2, 2, 0)], [(2, 1, 0)], [(3, 2, 1)]], ids=str)
def test_normalizations_have_the_same_bits(behind, size, dtype):
    """The moving statistics, too; also where other kernels are asked for."""
    pools = [cc.MaxPool2D(pool_size, stride=stride, padding=padding) for pool_size, stride, padding in behind]
    block = [cc.BatchNorm(), cc.ReLU()]
    layers = [cc.Conv2D(3, 4, padding=1), *block, *pools, *copy.deepcopy(block), cc.FullyConnected(3)]
    x = np.random.default_rng(0).standard_normal((5, 2, *size)).astype(dtype)
    x[0, 0, 0, :2] = 0, -0.0

    def computed(kind, *word):
        net = cc.Network(copy.deepcopy(layers), dtype=dtype)  # each time anew: moving statistics move
        with cc.fusion(kind), cc.use_variant(*word) if word else contextlib.nullcontext():
            assert len(names_of_chains(net)) == (2 if kind == "on" else 0)
            return run(net, x), bits(list(net.states().values()))

    for word in [(), ("batch_norm", "reference"), ("max_pool2d", "reference")]:
        assert computed("on", *word) == computed("off", *word)


def test_a_normalization_in_a_format():
    net = cc.Network([cc.BatchNorm(), cc.ReLU(), cc.MaxPool2D(2)], seed=0)
    for shape, format in (((6, 8, 3, 2), "SSCB"), ((6, 8, 3, 2, 4), "SSCBT")):
        x = cc.Tensor(np.random.default_rng(0).standard_normal(shape).astype("f4"), format=format)
        y = net(x)
        with cc.fusion("off"):
            other = net(x)
        assert y.format == other.format
        assert bits(y.data) == bits(other.data)
        with cc.Tape() as tape:
            net(x, training=True)
        assert "batch_norm_relu_max_pool2d" in [record.op for record in tape.records]


@pytest.mark.parametrize("size", [(5, 7), (9, 9), (12, 33), (2, 2)])
@pytest.mark.parametrize(("pool_size", "stride", "padding"), [(2, 2, 0), (2, 1, 0), (3, 2, 1)])
def test_odd_sizes_and_special_numbers(size, pool_size, stride, padding):
    for dtype in ("float32", "float64"):
        layers = [cc.ImageInput((3, *size), normalization="none"), cc.Conv2D(3, 5, padding=1), cc.ReLU(),
                  cc.MaxPool2D(pool_size, stride=stride, padding=padding), cc.Conv2D(1, 4), cc.ReLU()]  # fmt: skip
        net = cc.Network(layers, dtype=dtype)
        rng = np.random.default_rng(0)
        assert same(net, rng.standard_normal((3, 3, *size)))
        with np.errstate(invalid="ignore"):
            assert same(net, np.where(rng.random((3, 3, *size)) < 0.1, rng.choice(SPECIAL, (3, 3, *size)), 1.0))


def test_formats():
    """Axes are brought into order once for a chain, with the same result."""
    net = cc.Network([cc.Conv2D(3, 4), cc.ReLU(), cc.MaxPool2D(2), cc.FullyConnected(3), cc.ReLU()])
    x = cc.Tensor(np.random.default_rng(0).standard_normal((9, 8, 2, 3)).astype("f4"), format="SSCB")
    y = net(x)
    assert y.format == "CB"
    with cc.fusion("off"):
        assert bits(net(x).data) == bits(y.data)
    sequence = cc.Tensor(np.random.default_rng(0).standard_normal((2, 5, 2, 9, 8)).astype("f4"), format="BTCSS")
    net = cc.Network([cc.Conv2D(3, 4), cc.ReLU(), cc.MaxPool2D(2), cc.FullyConnected(3), cc.ReLU()])
    for x in (sequence, sequence.data):
        y = net(x)
        with cc.fusion("off"):
            assert y.format == net(x).format == "BTC" if x is sequence else y.format == net(x).format
            assert bits(net(x).data) == bits(y.data)


def test_windows_over_other_axes():
    """A convolution over space and time, and a maximum over space for each time step."""
    net = cc.Network([cc.Conv2D(3, 4), cc.ReLU(), cc.MaxPool1D(2)])
    x = cc.Tensor(np.random.default_rng(0).standard_normal((2, 7, 3, 8)).astype("f4"), format="BTCS")
    y = net(x)
    assert (y.shape, y.format) == ((2, 5, 4, 3), "BTCS")
    with cc.fusion("off"):
        assert bits(net(x).data) == bits(y.data)
    assert names_of_chains(net) == [["conv", "relu"]]


@pytest.mark.parametrize("n_threads", THREADS)
def test_training_leaves_the_same_parameters(n_threads):
    digits = cc.data.load("digits")
    x, y = digits.train.x[:300], digits.train.y[:300]
    options = cc.TrainingOptions("sgdm", max_epochs=2, mini_batch_size=64, verbose=False, n_threads=n_threads)

    def trained(kind):
        net = cc.lenet5(seed=1)
        with cc.fusion(kind):
            history = cc.train(net, (x, y), options=options)
        return bits([p.data for p in net.parameters().values()]), [row["loss"] for row in history.rows]

    assert trained("on") == trained("off") == trained("on")


# ---------------------------------------------------------------- nobody sees a difference


def test_a_method_that_was_replaced_is_called(monkeypatch):
    net, seen = cc.lenet5(), []
    x = np.zeros((1, 1, 28, 28))
    net(x)
    relu = net.layers[2]
    original = relu.forward

    def spy(x, training, rng):
        seen.append(x.shape)
        return original(x, training, rng)

    relu.forward = spy  # of one layer
    net(x)
    assert seen == [(1, 6, 28, 28)]
    del relu.forward
    monkeypatch.setattr(cc.MaxPool2D, "forward", lambda self, x, *_: seen.append("pool") or cc.max_pool2d(x, 2))
    net(x)
    assert seen == [(1, 6, 28, 28), "pool", "pool"]


def test_kernels_that_are_asked_for_are_called():
    class Own:
        def forward(self, geometry, x, y, n_threads):
            y[...] = 42

    net, x = cc.Network([cc.FullyConnected(3), cc.ReLU()]), np.ones((1, 2))
    assert names_of_chains(net)
    with cc.use_variant("relu", "reference"):
        assert not names_of_chains(net)
    cc.kernels.register("relu", Own(), "own")
    try:
        assert (net(x).data == 42).all()
    finally:
        cc.kernels.unregister("relu", "own")
    lenet = cc.lenet5()
    image = np.random.default_rng(0).integers(0, 256, (1, 1, 28, 28)).astype("f4")
    lenet.fit_normalization(image)
    for op, variant in (("conv2d", "im2col"), ("max_pool2d", "reference"), ("fully_connected", "reference")):
        with cc.use_variant(op, variant):
            assert names_of_chains(lenet)
            assert same(lenet, image)


def test_a_layer_of_ones_own_is_called():
    class Loud(cc.ReLU):
        def forward(self, x, training, rng):
            return super().forward(x, training, rng) * 2

    net = cc.Network([cc.FullyConnected(3), Loud()])
    assert ops(net, np.ones((1, 2))) == ["fully_connected", "relu", "multiply"]


def test_properties_that_change_are_used():
    net = image(cc.Conv2D(3, 2), cc.ReLU(), cc.MaxPool2D(2))
    assert net(np.zeros((1, 2, 12, 12))).shape == (1, 2, 5, 5)
    net.layers[1].stride = 2
    assert net(np.zeros((1, 2, 12, 12))).shape == (1, 2, 2, 2)


def test_the_layer_that_is_not_finite_is_found():
    net = image(cc.Conv2D(3, 2, name="conv"), cc.ReLU(name="relu"), cc.MaxPool2D(2))
    net.initialize()
    net.layers[1].weights.assign(np.full((2, 2, 3, 3), -3e38))
    x = np.full((1, 2, 12, 12), 10.0)
    assert np.isfinite(net(x).data).all()  # behind the ReLU
    assert net.non_finite_layer(x) == "conv"


def test_errors_name_the_layer():
    def message(kind):
        net = cc.Network([cc.Conv2D(3, 4, name="first"), cc.ReLU(), cc.MaxPool2D(2)])
        net.initialize((2, 9, 9))
        with cc.fusion(kind), pytest.raises(ValueError, match=r"^first: Conv2D takes formats with") as error:
            net(cc.Tensor(np.zeros((4, 2), "f4"), format="BC"))
        with cc.fusion(kind), pytest.raises(ValueError) as other:
            net(np.zeros((1, 2, 3, 3)))
        return str(error.value), str(other.value)

    assert message("on") == message("off")


def test_what_lies_between_is_not_kept():
    """The tape holds no array of the size of the convolution's output."""
    net = image(cc.Conv2D(3, 8, padding=1), cc.ReLU(), cc.MaxPool2D(2))

    def largest(kind):
        with cc.fusion(kind), cc.Tape() as tape:
            net(np.zeros((4, 2, 12, 12)), training=True)
        arrays = [a for r in tape.records for a in (*r.saved.values(), r.output.data)]
        return max(a.size for a in arrays)

    net.initialize()
    assert largest("off") == 4 * 8 * 12 * 12
    assert largest("on") == 4 * 2 * 12 * 12  # the input


# ---------------------------------------------------------------- the word


def test_it_nests_and_ends():
    assert cc.get_fusion() == "on"
    with cc.fusion("off"):
        with cc.fusion("on"):
            assert cc.get_fusion() == "on"
        assert cc.get_fusion() == "off"
        with pytest.raises(KeyError), cc.fusion("on"):
            raise KeyError
        assert cc.get_fusion() == "off"
    assert cc.get_fusion() == "on"


def test_it_holds_in_its_own_thread_only():
    found = []
    with cc.fusion("off"):
        other = threading.Thread(target=lambda: found.append(cc.get_fusion()))
        other.start()
        other.join()
    assert found == ["on"]


def test_for_the_whole_process(monkeypatch, variable):
    """The setter holds in every thread; the environment only where nothing else was said."""
    variable("CONVCORE_FUSION", "off")
    assert cc.get_fusion() == "off"
    assert names_of_chains(cc.lenet5()) == []
    monkeypatch.setattr(chains.FUSION, "of_process", None)  # put back at the end
    cc.set_fusion("on")
    assert cc.get_fusion() == "on"
    with cc.fusion("off"):
        assert cc.get_fusion() == "off"
    chains.FUSION.of_process = None
    assert cc.get_fusion() == "off"


@pytest.mark.parametrize(
    ("value", "kind", "got"),
    [("yes", ValueError, "'yes'"), ("", ValueError, "''"), ("Off", ValueError, "'Off'"), (None, TypeError, "NoneType"),
     (False, TypeError, "bool")],
)  # fmt: skip
def test_errors(value, kind, got):
    with pytest.raises(kind) as error:
        cc.set_fusion(value)
    assert str(error.value) == f"set_fusion: kind must be one of on, off, got {got}"
    with pytest.raises(kind) as error, cc.fusion(value):
        pass
    assert str(error.value) == f"fusion: kind must be one of on, off, got {got}"


def test_an_error_in_the_environment(variable):
    variable("CONVCORE_FUSION", "no")
    with pytest.raises(ValueError) as error:
        cc.lenet5()(np.zeros((1, 1, 28, 28)))
    assert str(error.value) == "CONVCORE_FUSION must be one of on, off, got 'no'"
