import threading

import numpy as np
import pytest

import convcore as cc


def counts(net):
    """saved_bytes by layer."""
    return {row["name"]: row["saved_bytes"] for row in net.summary().rows}


def measured(net, *inputs):
    """What the records of a training step save beside the parameters, what shares memory once."""
    net.initialize()
    inputs = inputs or [cc.Tensor(np.ones(form.shape, net.dtype), format=form.format) for form in net.input_forms()]
    with cc.Tape() as tape:
        net(inputs if len(inputs) > 1 else inputs[0], training=True, rng=np.random.default_rng(0))
    saved = [array for entry in tape.records for array in entry.saved.values()]
    parameters = [parameter.data for parameter in net.parameters().values()]
    saved = [array for array in saved if not any(np.may_share_memory(array, p) for p in parameters)]
    alone = [not any(np.may_share_memory(array, other) for other in saved[:place]) for place, array in enumerate(saved)]
    return sum(array.nbytes for array, counts in zip(saved, alone, strict=True) if counts)


# ------------------------------------------------------------------------------------------------------------- by hand

# What is saved per layer: floats, then the indices of max-pooling (int32 for each dtype).
LENET5 = {
    "imageinput": (28 * 28, 0),  # what conv1 reads
    "conv1": (0, 0),  # relu1 saves what it gives, not what it takes
    "relu1": (6 * 28 * 28, 0),
    "pool1": (6 * 14 * 14, 6 * 14 * 14),
    "conv2": (0, 0),
    "relu2": (16 * 10 * 10, 0),
    "pool2": (400, 400),  # fc1 saves a view of it
    "fc1": (0, 0),
    "relu3": (120, 0),  # by relu3 and fc2
    "fc2": (0, 0),
    "relu4": (84, 0),
    "fc3": (0, 0),
    "softmax": (10, 0),
}


@pytest.mark.parametrize("kind", ["on", "off"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("initialized", [False, True])
def test_lenet5(dtype, initialized, kind):
    net = cc.lenet5(dtype=dtype)
    if initialized:
        net.initialize()
    itemsize = np.dtype(dtype).itemsize
    with cc.fusion(kind):
        found = counts(net)
    expected = {name: itemsize * floats + 4 * indices for name, (floats, indices) in LENET5.items()}
    if kind == "on":
        expected |= {"relu1": 0, "relu2": 0}  # what lies between a convolution and its maxima is not kept
    assert found == expected
    assert net.initialized is initialized


def test_normalization_and_dropout():
    layers = [cc.ImageInput((3, 4, 5)), cc.Conv2D(3, 2, padding=1), cc.BatchNorm(), cc.Dropout(), cc.FullyConnected(7)]
    # conv reads the image, batchnorm conv's output; it saves two statistics in float64, dropout its mask, fc its input
    assert counts(cc.Network(layers)) == {
        "imageinput": 4 * 60, "conv": 4 * 40, "batchnorm": 8 * 4, "dropout": 4 * (40 + 40), "fc": 0
    }  # fmt: skip


def test_what_nobody_made_counts_where_it_is_saved_first():
    net = cc.Network.from_graph({"a": cc.FullyConnected(2), "b": cc.FullyConnected(2)}, [("in", "a"), ("in", "b")])
    net.initialize((3,))
    assert counts(net) == {"a": 12, "b": 0}


def test_what_is_transposed_without_a_copy_is_no_more_memory():
    net = cc.Network([cc.SequenceInput(4, min_length=6), cc.FullyConnected(3), cc.Softmax()])
    assert counts(net) == {"sequenceinput": 4 * 24, "fc": 0, "softmax": 4 * 18}


def test_views_hold_the_whole_memory():
    net = cc.Network([cc.ImageInput((4, 2, 2)), cc.Conv2D(1, 4), cc.Function(lambda x: x[:, 1:2] * x[:, :1])])
    assert counts(net) == {"imageinput": 64, "conv": 64, "function": 0}


def test_views_of_views():
    def strided(x):
        return cc.Tensor(np.lib.stride_tricks.as_strided(x.data, x.shape, x.data.strides)[:]) * x

    net = cc.Network([cc.ImageInput((2, 3, 3)), cc.Conv2D(1, 2), cc.Function(strided)])
    assert counts(net) == {"imageinput": 72, "conv": 72, "function": 0}


def test_what_repeats_itself_holds_no_more_than_it_has():
    def wide(x):
        return cc.Tensor(np.broadcast_to(np.ones(1, "f4"), (1, 100))) * cc.fully_connected(x, np.zeros((100, 18), "f4"))

    net = cc.Network([cc.ImageInput((2, 3, 3)), cc.Conv2D(1, 2), cc.Function(wide)])
    assert counts(net) == {"imageinput": 72, "conv": 72, "function": 4 + 400 + 4 * 1800}


def test_transformed_parameters_count():
    def doubled(x):
        return cc.fully_connected(x, weight * 2)

    weight = cc.Parameter(np.ones((3, 5), "f4"))
    assert counts(cc.Network([cc.ImageInput((5, 1, 1)), cc.Function(doubled)])) == {
        "imageinput": 20,
        "function": 4 * 15 + counts_of_factor(weight),
    }


def counts_of_factor(weight):
    """What `weight * 2` saves: the weight, which is none of the network's, and the 2."""
    return weight.data.nbytes + 4


# ------------------------------------------------------------------------------------ what a training step really saves


def graph():
    return cc.Network.from_graph(
        {"in": cc.ImageInput((3, 8, 8)), "conv": cc.Conv2D(3, 4, padding=1), "relu": cc.ReLU(), "skip": cc.Conv2D(1, 4),
         "add": cc.Addition(), "cat": cc.Concatenation(), "pool": cc.GlobalMaxPool(), "fc": cc.FullyConnected(3),
         "tanh": cc.Tanh()},
        [("in", "conv"), ("conv", "relu"), ("in", "skip"), ("relu", "add"), ("skip", "add"), ("add", "cat"),
         ("relu", "cat"), ("cat", "pool"), ("pool", "fc"), ("add", "tanh")],
    )  # fmt: skip


def two_inputs():
    return cc.Network.from_graph(
        {"a": cc.ImageInput((2, 5, 5)), "b": cc.ImageInput((2, 5, 5)), "conv": cc.Conv2D(2, 2, padding="same"),
         "add": cc.Addition(), "elu": cc.ELU()},
        [("a", "conv"), ("conv", "add"), ("b", "add"), ("add", "elu")],
    )  # fmt: skip


NETWORKS = {
    "lenet5": cc.lenet5,
    "layers": lambda: cc.Network([
        cc.ImageInput((4, 12, 12)), cc.GroupedConv2D(3, 2, 2, padding="same"), cc.BatchNorm(), cc.LeakyReLU(),
        cc.SeparableConv2D(3, 6), cc.CrossChannelNorm(3), cc.Swish(), cc.AvgPool2D(2), cc.TransposedConv2D(2, 3),
        cc.GELU(), cc.ClippedReLU(6), cc.Sigmoid(), cc.Dropout(), cc.GlobalAvgPool(), cc.Flatten(),
        cc.FullyConnected(4), cc.Softmax(), cc.ClassificationOutput()]),
    "volumes": lambda: cc.Network([cc.Conv3D(2, 3), cc.ReLU(), cc.MaxPool3D(2), cc.FullyConnected(2)]),
    "sequence": lambda: cc.Network([
        cc.SequenceInput(3, min_length=9), cc.Conv1D(3, 4, padding="causal"), cc.MaxPool1D(2), cc.BatchNorm(),
        cc.GlobalAvgPool(), cc.FullyConnected(2), cc.RegressionOutput()]),
    "images": lambda: cc.Network([
        cc.SequenceInput((2, 6, 6), min_length=3), cc.Conv2D(3, 2), cc.ReLU(), cc.FullyConnected(3), cc.Softmax()]),
    "graph": graph,
    "two inputs": two_inputs,
    "function": lambda: cc.Network([
        cc.ImageInput((2, 3, 3)), cc.Conv2D(1, 2), cc.Function(lambda x: cc.tanh(x * x) / (x + 2)), cc.Softmax()]),
}  # fmt: skip


@pytest.mark.parametrize("kind", ["on", "off"])
@pytest.mark.parametrize("name", NETWORKS)
def test_the_sum_is_what_a_training_step_saves(name, kind):
    before, after = NETWORKS[name](), NETWORKS[name]()
    for net in (before, after):
        if None in net.input_forms():
            net.initialize((1, 6, 6, 6))
    with cc.fusion(kind):
        expected = measured(after)
        assert before.summary().totals["saved_bytes"] == after.summary().totals["saved_bytes"] == expected > 0


def test_formats():
    net = cc.Network([cc.Conv2D(3, 2), cc.ReLU(), cc.FullyConnected(3)])
    net.initialize((8, 8, 1), format="SSCB")
    assert net.summary().totals["saved_bytes"] == measured(net, cc.Tensor(np.ones((8, 8, 1, 1), "f4"), format="SSCB"))


# ------------------------------------------------------------------------------------------- nothing else is touched


class Noise:
    """A function with a generator and a memory of its own."""

    def __init__(self):
        self.rng, self.seen = np.random.default_rng(0), []

    def __call__(self, x):
        self.seen.append(x.shape)
        return x * float(self.rng.standard_normal())


def test_the_network_stays_as_it_was():
    noise = cc.Function(np.negative)
    net = cc.Network([cc.ImageInput((2, 3, 3)), cc.Conv2D(1, 2), cc.BatchNorm(), cc.Dropout(), noise, cc.Softmax()])
    noise.f = Noise()
    net.initialize()
    net.fit_normalization(np.random.default_rng(0).standard_normal((5, 2, 3, 3)))
    batchnorm = net.layers[2]
    batchnorm.begin_population_statistics()
    parameters, arrays = net.parameters(), {name: array.copy() for name, array in net.arrays().items()}
    summary, drawn, seen = net.summary(), noise.f.rng.bit_generator.state, len(noise.f.seen)
    with cc.Tape() as tape:
        assert summary.totals["saved_bytes"] > 0
    assert len(tape) == 0
    assert (noise.f.rng.bit_generator.state, len(noise.f.seen)) == (drawn, seen)
    assert batchnorm._population.count == 0
    assert all(parameter is parameters[name] and parameter.grad is None for name, parameter in net.parameters().items())
    assert all(np.array_equal(array, arrays[name]) for name, array in net.arrays().items())


def test_no_initializer_is_asked():
    def never(size):
        raise AssertionError("drawn")

    net = cc.Network([cc.ImageInput((2, 3, 3)), cc.Conv2D(1, 2, weights_initializer=never), cc.BatchNorm()])
    assert counts(net) == {"imageinput": 72, "conv": 72, "batchnorm": 32}
    assert not net.initialized
    assert not any(layer.learnables for layer in net.layers)


def test_rows_asked_for_after_initialize_leave_the_parameters_alone():
    net = cc.Network([cc.ImageInput((2, 3, 3)), cc.FullyConnected(2)])
    summary = net.summary()
    net.initialize()
    assert summary.rows[0]["saved_bytes"] == 72
    assert net.layers[1].weights.data.any()


# -------------------------------------------------------------------------------------------------- what cannot be told


def fails_in_training(x):
    if x.requires_grad:
        raise RuntimeError("not today")
    return x


class ReturnsAnArray(cc.Layer):
    def forward(self, x, training, rng):
        return x.data


class CannotBeCopied(cc.Layer):
    def __init__(self):
        super().__init__()
        self.lock = threading.Lock()

    def forward(self, x, training, rng):
        return x


@pytest.mark.parametrize("make", [lambda: cc.Function(fails_in_training), ReturnsAnArray, CannotBeCopied])
def test_a_layer_that_fails_hides_itself_and_those_behind_it(make):
    net = cc.Network.from_graph(
        {"in": cc.ImageInput((2, 3, 3)), "conv": cc.Conv2D(1, 2), "bad": make(), "relu": cc.ReLU(), "tanh": cc.Tanh()},
        [("in", "conv"), ("conv", "bad"), ("bad", "relu"), ("conv", "tanh")],
    )
    assert counts(net) == {"in": 72, "conv": 0, "bad": None, "relu": None, "tanh": 72}
    summary = net.summary()
    assert summary.totals["saved_bytes"] is None
    assert summary.totals["learnables"] == 6
    ends = {line.split()[0]: line.split()[-1] for line in str(summary).splitlines() if line}
    assert (ends["bad"], ends["relu"], ends["tanh"], ends["total"]) == ("?", "?", "72", "?")


@pytest.mark.parametrize("error", [ZeroDivisionError("of x"), KeyError("x"), ValueError("of x")])
def test_a_function_that_fails_for_zeros_is_a_problem_no_crash(error):
    def fails(x):
        raise error

    layers = [cc.ImageInput((2, 3, 3)), cc.FullyConnected(2), cc.Function(fails), cc.Softmax()]
    net = cc.Network(layers)
    assert counts(net) == {"imageinput": 72, "fc": 0, "function": None, "softmax": None}
    text = {ZeroDivisionError: "ZeroDivisionError: of x", KeyError: "KeyError: 'x'", ValueError: "of x"}[type(error)]
    assert net.summary().problems == [f"function: {text}"]
    with pytest.raises(type(error)) as caught:
        net.initialize()
    assert caught.value is error


def test_sizes_that_do_not_fit():
    net = cc.Network([cc.ImageInput((1, 4, 4)), cc.Conv2D(3, 2), cc.MaxPool2D(3), cc.Softmax()])
    assert counts(net) == {"imageinput": 64, "conv": 0, "maxpool": None, "softmax": None}
    assert counts(cc.Network([cc.Conv2D(3, 2), cc.ReLU()])) == {"conv": None, "relu": None}


class OwnScale(cc.Layer):
    """A layer that makes its parameter in `initialize` and cannot load one."""

    learned = ("scale",)

    def initialize(self, input_shape, rng, dtype):
        self.learnables["scale"] = cc.Parameter(rng.standard_normal(input_shape[:1]).astype(dtype))

    def array_shapes(self, input_shape):
        return {"scale": input_shape[:1]}

    def forward(self, x, training, rng):
        return x * self.learnables["scale"]


def test_a_layer_of_ones_own():
    net = cc.Network([cc.ImageInput((3, 2, 5)), OwnScale(), cc.FullyConnected(2)])
    with pytest.raises(ValueError, match="broadcast"):
        net(np.zeros((1, 3, 2, 5)))
    net = cc.Network([cc.ImageInput((3, 2, 3)), OwnScale(), cc.FullyConnected(2)])
    assert counts(net) == {"imageinput": 72, "ownscale": 72, "fc": 0}
    assert not net.layers[1].learnables
    net.initialize()
    assert counts(net) == {"imageinput": 72, "ownscale": 72, "fc": 0}
