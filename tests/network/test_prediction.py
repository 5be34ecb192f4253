"""Predictions that repeat themselves are made of kernels' calls alone: nobody sees a difference but the clock."""

import copy
import threading

import numpy as np
import pytest
from strategies import THREADS

import convcore as cc
from convcore.kernels import program
from convcore.kernels.calls import observing
from convcore.network import prediction

X = np.random.default_rng(0).integers(0, 255, (40, 1, 12, 12), np.uint8)


def network(*layers, dtype="float32"):
    net = cc.Network([cc.ImageInput((1, 12, 12)), *layers, cc.FullyConnected(4), cc.Softmax()], seed=3, dtype=dtype)
    net.fit_normalization(X)
    net.initialize()
    return net


def convolutional(dtype="float32"):
    return network(cc.Conv2D(3, 5, padding=1), cc.ReLU(), cc.MaxPool2D(2, stride=2), cc.Conv2D(3, 6), cc.ReLU(),
                   dtype=dtype)  # fmt: skip


@pytest.fixture
def runs(monkeypatch):
    """The inputs' shapes of all runs of programs, in order."""
    found = []

    class Noted(program.Program):
        def run(self, inputs):
            found.append(inputs[0].shape)
            super().run(inputs)

    monkeypatch.setattr(program, "Program", Noted)
    return found


def by_layers(net, x):
    return net.by_layers(x)[0].data


@pytest.mark.parametrize("n_threads", THREADS)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("kind", ["u1", "f4", "f8", "i2", "turned"])
def test_the_same_bits(kind, dtype, n_threads, runs):
    x = np.asarray(X.transpose(0, 1, 3, 2), order="C").transpose(0, 1, 3, 2) if kind == "turned" else X.astype(kind)
    net = convolutional(dtype)
    with cc.num_threads(n_threads):
        expected = by_layers(net, x).tobytes()
        found = [net.predict(x).tobytes() for _ in range(7)]
    assert found == [expected] * 7
    assert len(runs) >= 2  # the first calls set sizes and statistics, four more are for the plan


def test_logits_and_probabilities_have_plans_of_their_own(runs):
    net = convolutional()
    for _ in range(7):
        logits, probabilities = net.forward(X, logits=True).data, net(X).data
    assert len(runs) >= 4
    np.testing.assert_array_equal(cc.softmax(logits).data, probabilities)


def test_batches_of_a_prediction(runs):
    """Whole ones, and the rest."""
    net = convolutional()
    expected = np.concatenate([by_layers(net, X[i : i + 12]) for i in range(0, 40, 12)])
    for _ in range(6):
        np.testing.assert_array_equal(net.predict(X, batch_size=12), expected)
    assert runs.count((12, 1, 12, 12)) >= 12
    assert runs.count((4, 1, 12, 12)) >= 1


@pytest.mark.parametrize("change", [
    lambda net: net.parameters()["fc.weights"].assign(np.zeros((4, 96))),
    lambda net: net.parameters()["conv.weights"].data.fill(0.5),
    lambda net: setattr(net.parameters()["fc.bias"], "data", np.arange(4, dtype="f4")),
    lambda net: net.layers[0].remembered.update(mean=np.full((1, 1, 1), 9.0)),
    lambda net: net.fit_normalization(X[:3], reset=True),
    lambda net: net.layers[4].remembered.update(trained_mean=np.ones(6, "f4")),
    lambda net: net.layers[4].trained_variance.fill(4),
    lambda net: setattr(net.layers[3], "pool_size", (2, 2)),
    lambda net: cc.train(net, (X, np.arange(40) % 4),
                         options=cc.TrainingOptions("sgdm", max_epochs=1, verbose=False, initial_learn_rate=0.1)),
])  # fmt: skip
def test_changes_are_seen(change, runs):
    net = network(cc.Conv2D(3, 6, padding=1), cc.ReLU(), cc.MaxPool2D(3, stride=3), cc.BatchNorm())
    for _ in range(7):
        before = net.predict(X)
    assert runs
    change(net)
    expected = by_layers(copy.deepcopy(net), X)  # what layers keep for themselves is left as it is
    assert not np.array_equal(before, expected)
    for _ in range(7):
        np.testing.assert_array_equal(net.predict(X), expected)


EVERY_LAYER = [
    cc.Conv2D(3, 4), cc.GroupedConv2D(3, 2, 3), cc.SeparableConv2D(3, 4), cc.TransposedConv2D(2, 4, stride=2),
    cc.MaxPool2D(2), cc.AvgPool2D(2), cc.GlobalAvgPool(), cc.GlobalMaxPool(), cc.BatchNorm(), cc.CrossChannelNorm(3),
    cc.ReLU(), cc.LeakyReLU(), cc.ClippedReLU(6), cc.ELU(), cc.Tanh(), cc.Sigmoid(), cc.GELU(), cc.Swish(),
    cc.Dropout(), cc.Flatten(), cc.Softmax(), cc.FullyConnected(5),
]  # fmt: skip
of_every_layer = pytest.mark.parametrize("layer", EVERY_LAYER, ids=lambda layer: type(layer).__name__)


def network_of(layer):
    """Three channels of 6 × 6 numbers, and the layer."""
    net = cc.Network([cc.ImageInput((3, 6, 6), normalization="none"), type(layer)(**layer.config())], seed=1)
    net.initialize()
    return net


@of_every_layer
def test_numbers_that_were_zero_while_the_plan_was_made(layer):
    """Adding them changed nothing then."""
    net, x = network_of(layer), np.random.default_rng(5).standard_normal((4, 3, 6, 6)).astype("f4")
    for parameter in net.parameters().values():
        parameter.data.fill(0)
    for _ in range(7):
        net.predict(x)
    for parameter in net.parameters().values():
        parameter.data[...] = np.random.default_rng(6).standard_normal(parameter.shape)
    np.testing.assert_array_equal(net.predict(x), by_layers(net, x))


@of_every_layer
def test_what_a_kernel_wrote_stays_as_it_is(layer):
    """Forward and backward: a plan knows kernels only, and would not make a change that NumPy makes."""
    net = network_of(layer)

    def freeze(made):
        for array in made.outputs:
            array.flags.writeable = False

    x = cc.Tensor(np.random.default_rng(5).standard_normal((4, 3, 6, 6)).astype("f4"), requires_grad=True)
    with observing(freeze), cc.Tape() as tape:
        total = net(x, training=True, rng=np.random.default_rng(0)).sum()
        tape.backward(total)
    assert x.grad is not None


@pytest.mark.parametrize("layer", [cc.Sigmoid(), cc.Tanh(), cc.ClippedReLU(1)], ids=lambda layer: type(layer).__name__)
def test_a_number_that_was_one_while_the_plan_was_made(layer):
    """As the gradient that a walk back begins with is; but this one comes from the input."""
    net = cc.Network([cc.FullyConnected(1, weights=np.ones((1, 1))), layer, cc.FullyConnected(2)], seed=1)
    for value in (50, 60, 70, 80, 90):
        net(np.float32([[value]]))
    x = np.float32([[-1]])
    np.testing.assert_array_equal(net(x).data, by_layers(net, x))


def test_a_method_that_was_replaced_is_called(runs, monkeypatch):
    net, called = convolutional(), []
    for _ in range(7):
        net.predict(X)
    forward = cc.layers.FullyConnected.forward
    monkeypatch.setattr(cc.layers.FullyConnected, "forward", lambda *a: called.append(1) or forward(*a))
    net.predict(X)
    net.layers[-2].apply = lambda *a: called.append(2) or forward(net.layers[-2], *a)
    net.predict(X)
    assert called == [1, 2]


def test_functions_of_the_users_are_always_called(runs):
    count = []
    net = network(cc.Function(lambda x: count.append(1) or 2 * x))
    for _ in range(7):
        net.predict(X)
    assert len(count) >= 7
    assert not runs


@pytest.mark.parametrize("join", [cc.Addition, lambda: cc.Concatenation(1, 2), lambda: cc.Concatenation(3, 2)])
def test_branches_are_planned(join, runs):
    layers = {"conv": cc.Conv2D(3, 5), "tanh": cc.Tanh(), "join": join(), "pool": cc.GlobalMaxPool()}
    ways = [("x", "conv"), ("conv", "tanh"), ("conv", "join/in1"), ("tanh", "join/in2"), ("join", "pool")]
    net = cc.Network.from_graph(layers, ways)
    net.initialize(X.shape[1:], seed=0)
    for _ in range(7):
        np.testing.assert_array_equal(net.predict(X), by_layers(net, X))
    assert runs


@pytest.mark.parametrize("layer", [cc.Tanh(), cc.Sigmoid(), cc.LeakyReLU(0.1), cc.ClippedReLU(1), cc.ELU(), cc.Swish()])
def test_activations_are_planned(layer, runs):
    net = network(cc.Conv2D(3, 5), layer, cc.AvgPool2D(2, stride=2))
    for _ in range(7):
        np.testing.assert_array_equal(net.predict(X), by_layers(net, X))
    assert runs


def test_a_tape_records_every_layer(runs):
    net = convolutional()
    for _ in range(7):
        net(X)
    with cc.Tape() as tape:
        total = net(X).sum()
    assert len(tape) >= 5
    tape.backward(total)
    assert net.parameters()["fc.weights"].grad is not None


def test_results_belong_to_the_caller(runs):
    net = convolutional()
    for _ in range(7):
        net(X)
    first = net(X)
    kept = first.data.copy()
    net(X[::-1])
    assert len(runs) >= 3
    np.testing.assert_array_equal(first.data, kept)


def test_another_word_begins_another_plan(runs):
    """Variants, fusion and threads are part of what is repeated."""
    net = convolutional()
    for _ in range(7):
        net.predict(X)
    before = len(runs)
    with cc.use_variant("conv2d", "direct"):
        np.testing.assert_array_equal(net.predict(X), by_layers(net, X))
    with cc.fusion("off"):
        np.testing.assert_array_equal(net.predict(X), by_layers(net, X))
    assert len(runs) == before
    net.predict(X)
    assert len(runs) == before + 1


def test_only_so_many_kinds_are_planned_for(runs):
    net = convolutional()
    for _ in range(6):
        for size in range(1, prediction.KINDS + 2):
            net.predict(X[:size])
    assert not runs  # each is forgotten before it comes again


def test_results_that_are_too_large_are_not_kept(runs, monkeypatch):
    monkeypatch.setattr(prediction, "LARGEST", 1000)
    net = convolutional()
    for _ in range(7):
        net.predict(X)
    assert not runs


def test_threads_at_the_same_time():
    net = convolutional()
    parts = [X[i : i + 10] for i in range(0, 40, 10)]
    expected = [net.predict(part) for part in parts for _ in range(2)][::2]
    wrong = []

    def work(part, wanted):
        for _ in range(50):
            if not np.array_equal(net.predict(part), wanted):
                wrong.append(1)

    threads = [threading.Thread(target=work, args=pair) for pair in zip(parts, expected, strict=True)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_a_copied_network_goes_its_own_way(runs):
    net = convolutional()
    for _ in range(7):
        expected = net.predict(X)
    other = copy.deepcopy(net)
    other.parameters()["fc.weights"].data.fill(0)
    for _ in range(7):
        assert not np.array_equal(other.predict(X), expected)
        np.testing.assert_array_equal(net.predict(X), expected)


def test_who_watches_sees_every_call():
    net, counts = convolutional(), []
    for _ in range(8):
        seen = []
        with program.observing(seen.append):
            net.predict(X)
        counts.append([(made.op, made.direction) for made in seen])
    assert all(count == counts[0] for count in counts)


@pytest.mark.parametrize("x", [X[:, :, :11], X[0], np.zeros((3, 1, 12, 12), complex), np.array(1.0), "x", None])
def test_what_does_not_fit_is_refused_as_ever(x):
    net = convolutional()
    for _ in range(7):
        net.predict(X)
    with pytest.raises((TypeError, ValueError)) as planned:
        net.predict(x)
    with pytest.raises((TypeError, ValueError)) as fresh:
        convolutional().predict(x)
    assert str(planned.value) == str(fresh.value)
    assert net.predict(X[:0]).shape == (0, 4)


# ---------------------------------------------------------------- iterators


def test_an_iterator_is_read_part_by_part():
    net, taken = convolutional(), []

    def parts():
        for size in (3, 20, 1, 0):
            taken.append(size)
            yield X[:size]

    found = net.predict(parts(), batch_size=8)
    assert taken == []
    for y, size in zip(found, (3, 20, 1, 0), strict=True):
        assert taken[-1] == size
        np.testing.assert_array_equal(y, net.predict(X[:size], batch_size=8))
    classes = np.concatenate(list(net.classify(iter([X[:7], X[7:]]))))
    np.testing.assert_array_equal(classes, net.classify(X))


def test_iterators_of_several_inputs_and_formats():
    layers = {"a": cc.ImageInput((1, 4, 4), normalization="none"), "b": cc.ImageInput((1, 4, 4), normalization="none"),
              "add": cc.Addition(2)}  # fmt: skip
    net = cc.Network.from_graph(layers, [("a", "add/in1"), ("b", "add/in2")])
    x = np.ones((3, 1, 4, 4), "f4")
    (y,) = net.predict(iter([(x, 2 * x)]))
    np.testing.assert_array_equal(y, 3 * x)
    (y,) = convolutional().predict(iter([cc.Tensor(X.astype("f4").transpose(2, 3, 1, 0), format="SSCB")]))
    assert y.shape == (4, 40)


def test_bad_parts_and_batch_sizes():
    net = convolutional()
    with pytest.raises(ValueError, match="predict: batch_size"):
        net.predict(iter([X]), batch_size=0)
    with pytest.raises(ValueError, match="classify: batch_size"):
        net.classify(iter([X]), batch_size=0)
    outputs = net.predict(iter([X, X[0]]))
    next(outputs)
    with pytest.raises(ValueError, match="expects images"):
        next(outputs)
