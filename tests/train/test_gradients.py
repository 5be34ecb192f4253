"""Steps that repeat themselves are made of kernels' calls alone: nobody sees a difference, all else has tapes."""

import numpy as np
import pytest
from strategies import THREADS

import convcore as cc
from convcore.data import Augment
from convcore.kernels import program
from convcore.train import gradients
from convcore.train.gradients import Gradients
from convcore.train.objective import Objective

X = np.random.default_rng(0).integers(0, 255, (60, 1, 12, 12), np.uint8)
Y = np.random.default_rng(1).integers(0, 4, 60)


def network(*layers, dtype="float32"):
    net = cc.Network([cc.ImageInput((1, 12, 12)), *layers, cc.FullyConnected(4), cc.Softmax()], seed=3, dtype=dtype)
    net.fit_normalization(X)
    return net


def convolutional(dtype="float32"):
    return network(cc.Conv2D(3, 5, padding=1), cc.BatchNorm(), cc.ReLU(), cc.MaxPool2D(2, stride=2), cc.Conv2D(3, 6),
                   cc.ReLU(), cc.FullyConnected(7), cc.ReLU(), dtype=dtype)  # fmt: skip


def branched(join, dtype="float32"):
    """Two paths from one layer that meet again, and gradients that are added up where they parted."""
    layers = {"in": cc.ImageInput((1, 12, 12)), "first": cc.Conv2D(3, 4), "relu": cc.ReLU(),
              "a": cc.Conv2D(3, 4, padding=1), "b": cc.Conv2D(1, 4), "join": join(), "fc": cc.FullyConnected(4),
              "softmax": cc.Softmax()}  # fmt: skip
    connections = [("in", "first"), ("first", "relu"), ("relu", "a"), ("relu", "b"), ("a", "join/in1"),
                   ("b", "join/in2"), ("relu", "join/in3"), ("join", "fc"), ("fc", "softmax")]  # fmt: skip
    net = cc.Network.from_graph(layers, connections, seed=3, dtype=dtype)
    net.fit_normalization(X)
    return net


@pytest.fixture
def programs(monkeypatch):
    """The programs that are made of steps; those of validation have no gradients to lay together."""
    made = []

    class Noted(program.Program):
        def __init__(self, first, second, inputs, wanted, together):
            super().__init__(first, second, inputs, wanted, together)
            self.runs = 0
            if together:
                made.append(self)

        def run(self, inputs):
            self.runs += 1
            super().run(inputs)

    monkeypatch.setattr(program, "Program", Noted)
    return made


def train(net, x=X, y=Y, repeated=True, monkeypatch=None, loss=None, **options):
    options = {"max_epochs": 4, "mini_batch_size": 10, "initial_learn_rate": 0.01, "verbose": False, **options}
    solver = options.pop("solver", "sgdm")
    if not repeated:
        monkeypatch.setattr(gradients, "calls_nobody", lambda _: False)
    history = cc.train(net, (x, y), loss, options=cc.TrainingOptions(solver, **options))
    arrays = {**{name: p.data for name, p in net.parameters().items()}, **net.states()}
    return {name: a.tobytes() for name, a in arrays.items()}, [history.row(i)["loss"] for i in range(len(history))]


@pytest.mark.parametrize(
    "layer", [cc.Tanh, cc.Sigmoid, cc.LeakyReLU, lambda: cc.ClippedReLU(1), cc.ELU, cc.Swish, cc.GELU, cc.Dropout]
)
def test_activations_are_planned_with_the_same_bits(layer, programs, monkeypatch):
    def make():
        return network(cc.Conv2D(3, 5), layer(), cc.AvgPool2D(2, stride=2))

    found = train(make())
    assert [made.runs for made in programs] == [20]
    assert found == train(make(), repeated=False, monkeypatch=monkeypatch, n_threads=1)


@pytest.mark.parametrize("n_threads", THREADS)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_same_bits(dtype, n_threads, programs, monkeypatch):
    """Weights, moving statistics and losses."""
    found = train(convolutional(dtype), n_threads=n_threads)
    assert [made.runs for made in programs] == [6 * 4 - 4]
    assert found == train(convolutional(dtype), repeated=False, monkeypatch=monkeypatch, n_threads=1)


def test_smaller_batches_at_the_end_of_epochs(programs):
    train(convolutional(), X[:-3], Y[:-3], max_epochs=9)
    assert [made.runs for made in programs] == [5 * 9 - 4, 9 - 4]


@pytest.mark.parametrize("options", [
    dict(solver="adam"),
    dict(gradient_threshold=0.1),
    dict(l2_regularization=0.1, learn_rate_schedule="piecewise", learn_rate_drop_period=2),
    dict(validation_data=(X[:20], Y[:20]), validation_frequency=3, output_network="best-validation"),
    dict(shuffle="never"),
])  # fmt: skip
def test_the_same_bits_with_other_options(options, programs, monkeypatch):
    found = train(convolutional(), **options)
    assert [made.runs for made in programs] == [20]
    assert found == train(convolutional(), repeated=False, monkeypatch=monkeypatch, **options)


@pytest.mark.parametrize("kind", ["u1", "f4", "f8", "i2", "turned"])
@pytest.mark.parametrize("more", [{}, {"shuffle": "never"}, {"augment": Augment(shift=1, rotation=10, fill=3)}])
def test_data_of_any_kind(kind, more, programs, monkeypatch):
    """By programs and by tapes, with bytes cast and scaled in one pass or one after the other."""
    x = np.asarray(X.transpose(0, 1, 3, 2), order="C").transpose(0, 1, 3, 2) if kind == "turned" else X.astype(kind)
    found = train(convolutional(), x, **more)
    assert [made.runs for made in programs] == [6 * 4 - 4]
    assert found == train(convolutional(), x, repeated=False, monkeypatch=monkeypatch, **more)
    with cc.fusion("off"):
        assert found == train(convolutional(), x, **more)


def test_layers_that_do_not_learn(programs, monkeypatch):
    def frozen():
        return network(cc.Conv2D(3, 5, weight_learn_rate_factor=0, bias_learn_rate_factor=0), cc.ReLU())

    found = train(frozen())
    assert [made.runs for made in programs] == [20]
    assert found == train(frozen(), repeated=False, monkeypatch=monkeypatch)


@pytest.mark.parametrize(
    "join", [lambda: cc.Addition(3), lambda: cc.Concatenation(1, 3), lambda: cc.Concatenation(2, 3)]
)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_branches(join, dtype, programs, monkeypatch):
    options = {"initial_learn_rate": 1e-5}
    found = train(branched(join, dtype), **options)
    assert [made.runs for made in programs] == [20]
    assert found == train(branched(join, dtype), repeated=False, monkeypatch=monkeypatch, n_threads=1, **options)


@pytest.mark.parametrize("layers", [
    lambda: [cc.Conv2D(3, 5), cc.ReLU(), cc.GlobalAvgPool()],
    lambda: [cc.Conv2D(3, 5), cc.GlobalMaxPool()],
    lambda: [cc.Conv2D(3, 5, stride=2), cc.ReLU(), cc.TransposedConv2D(2, 3, stride=2)],
    lambda: [cc.CrossChannelNorm(3), cc.GroupedConv2D(3, 2, num_groups="channelwise"), cc.Flatten()],
])  # fmt: skip
def test_other_layers(layers, programs, monkeypatch):
    options = {"initial_learn_rate": 1e-5}
    found = train(network(*layers()), **options)
    assert [made.runs for made in programs] == [20]
    assert found == train(network(*layers()), repeated=False, monkeypatch=monkeypatch, n_threads=1, **options)


@pytest.mark.parametrize("loss", [None, "mse", "half_mse", "mae", "huber"])
@pytest.mark.parametrize("kind", ["f4", "f8", "i8", "u1"])
def test_regression(loss, kind, programs, monkeypatch):
    def make():
        net = cc.Network([cc.ImageInput((1, 12, 12)), cc.FullyConnected(1), cc.RegressionOutput()], seed=0)
        net.fit_normalization(X)
        return net

    y = Y[:, None].astype(kind)
    options = {"initial_learn_rate": 1e-5, "loss": loss}
    found = train(make(), y=y, **options)
    assert [made.runs for made in programs] == [20]
    assert found == train(make(), y=y, repeated=False, monkeypatch=monkeypatch, **options)


def test_sequences(programs, monkeypatch):
    x = np.random.default_rng(2).standard_normal((60, 3, 16)).astype("f4")

    def make():
        layers = [
            cc.SequenceInput(3, min_length=16),
            cc.Conv1D(3, 5),
            cc.ReLU(),
            cc.MaxPool1D(2, stride=2),
            cc.Conv1D(3, 4),
        ]
        return cc.Network([*layers, cc.GlobalAvgPool(), cc.FullyConnected(4), cc.Softmax()], seed=3)

    found = train(make(), x)
    assert [made.runs for made in programs] == [20]
    assert found == train(make(), x, repeated=False, monkeypatch=monkeypatch)


def test_what_has_tapes_as_ever(programs, monkeypatch):
    """Functions of the user's."""
    found = train(network(cc.Function(lambda x: 2 * x)))
    assert programs == []
    assert found == train(network(cc.Function(lambda x: 2 * x)), repeated=False, monkeypatch=monkeypatch)


def batches_of(net, count):
    steps = Gradients(Objective(net, None, "train"), net.parameters())
    return steps, [(X[i : i + 8].astype("f4"), Y[i : i + 8]) for i in range(0, 8 * count, 8)]


def test_new_weights_are_seen(programs):
    """Arrays in place of those that a program was made with: it begins anew."""
    net = network(cc.Conv2D(3, 5), cc.ReLU())
    steps, batches = batches_of(net, 8)
    for x, y in batches[:6]:
        steps.compute(x, y)
        for p in net.parameters().values():
            p.grad = None
    assert [made.runs for made in programs] == [2]
    net.parameters()["fc.weights"].assign(np.zeros((4, 500)))
    x, y = batches[6]
    loss, _ = steps.compute(x, y)
    assert loss == pytest.approx(np.log(4))
    with cc.Tape() as tape:
        expected = cc.cross_entropy(net.forward(x, training=True, logits=True), y)
    wanted, _ = tape.gradients(expected)
    assert loss == expected.item()
    for p in net.parameters().values():
        np.testing.assert_array_equal(p.grad, wanted[p])


def test_another_word_begins_another_program(programs):
    """Variants, precision, fusion and threads are part of what is repeated."""
    net = network(cc.Conv2D(3, 5), cc.ReLU(), cc.MaxPool2D(2, stride=2))
    steps, (batch, *_) = batches_of(net, 1)

    def compute(times):
        for _ in range(times):
            steps.compute(*batch)
            for p in net.parameters().values():
                p.grad = None

    compute(6)
    with cc.use_variant("conv2d", "direct"):
        compute(5)
    with cc.fusion("off"):
        compute(5)
    with cc.num_threads(1):
        compute(5)
    compute(1)
    assert [made.runs for made in programs] == ([3, 1, 1, 1] if cc.get_num_threads() > 1 else [8, 1, 1])


def test_results_that_are_too_large_to_be_kept(programs, monkeypatch):
    monkeypatch.setattr(program, "LARGEST", 1000)
    train(convolutional())
    assert programs == []


def test_a_step_that_differs_is_given_up(programs, monkeypatch):
    """What kernels wrote is changed behind their back from the fourth step on."""
    count = [0]
    forward = cc.layers.FullyConnected.forward

    def changed(self, *arguments):
        y = forward(self, *arguments)
        count[0] += 1
        if count[0] >= 4:
            y.data[0] += 1
        return y

    monkeypatch.setattr(cc.layers.FullyConnected, "forward", changed)
    train(network())
    assert [made.runs for made in programs] == [0]


def test_batches_of_many_kinds(programs, monkeypatch):
    """Only so many are planned for; all have the right gradients."""
    monkeypatch.setattr(gradients, "KINDS", 2)
    net = network(cc.Conv2D(3, 5), cc.ReLU())
    steps = Gradients(Objective(net, None, "train"), net.parameters())
    for _ in range(5):
        for size in (2, 3, 4, 5):
            x, y = X[:size].astype("f4"), Y[:size]
            loss, _ = steps.compute(x, y)
            assert loss == cc.cross_entropy(net.forward(x, training=True, logits=True), y).item()
            for p in net.parameters().values():
                assert p.grad is not None
                p.grad = None
    assert [made.runs for made in programs] == [1, 1]


def test_who_watches_sees_every_call():
    """Also of the steps that are watched to be repeated."""
    net, counts = network(cc.Conv2D(3, 5), cc.ReLU()), []
    steps, (batch, *_) = batches_of(net, 1)
    for _ in range(6):
        seen = []
        with cc.kernels.program.observing(seen.append):
            steps.compute(*batch)
        counts.append([(made.op, made.direction) for made in seen])
        for p in net.parameters().values():
            p.grad = None
    assert all(count == counts[0] for count in counts)


@pytest.mark.parametrize(("batch", "threads"), [(2, 1), (60, 2)])
def test_small_steps_are_not_shared_by_threads(batch, threads):
    """Not even what alone would be: its arrays are those that the other calls have at hand."""
    calls = []
    net = network(cc.FullyConnected(500), cc.ReLU())
    options = cc.TrainingOptions(mini_batch_size=batch, max_epochs=6, n_threads=2, verbose=False)
    with program.observing(calls.append):
        cc.train(net, (X[: 2 * batch], Y[: 2 * batch]), options=options)
    updates = [made.n_threads for made in calls if made.op == "sgd"]
    assert len(updates) == 6 * len(X[: 2 * batch]) // batch
    assert updates[0] == 2
    assert set(updates[4:]) == {threads}
    assert max(made.n_threads for made in calls[-5:]) == threads
