"""Losses by name, by the output layer and by function; several inputs and outputs; sequences and maps of labels."""

import numpy as np
import pytest

from convcore.layers import (
    Addition,
    ClassificationOutput,
    Concatenation,
    Conv2D,
    FullyConnected,
    ImageInput,
    RegressionOutput,
    ReLU,
    SequenceInput,
    Softmax,
)
from convcore.network import Network
from convcore.ops import add
from convcore.ops.loss import cross_entropy, half_mse, huber, mae, mse
from convcore.train import evaluate, load_checkpoint, rmse, train
from convcore.train.objective import Objective


def regression(*last, outputs=2):
    return Network([ImageInput((1, 8, 8), normalization="zscore"), FullyConnected(outputs, name="fc"), *last],
                   dtype="float64")  # fmt: skip


@pytest.fixture
def pairs(data):
    """Regression: the mean and the spread of each image."""
    x = data[0]
    return x, np.stack([x.mean(axis=(1, 2, 3)), x.std(axis=(1, 2, 3))], axis=1) / 64


@pytest.mark.parametrize(("name", "function"), [("mse", mse), ("half_mse", half_mse), ("mae", mae), ("huber", huber)])
def test_each_name_is_its_function(name, function, pairs, quiet):
    net = regression()
    net.initialize()
    expected = function(net.forward(pairs[0]), pairs[1]).item()
    assert evaluate(net, pairs, loss=name)["loss"] == pytest.approx(expected, rel=1e-12)
    history = train(net, pairs, name, quiet(mini_batch_size=50, max_epochs=20))
    assert history.final["loss"] < history.rows[0]["loss"]


def test_by_default_the_output_layer_decides(make_net, data, pairs):
    net = make_net()
    net.initialize()
    assert Objective(net, None, "train").name == "crossentropy"
    expected = cross_entropy(net.forward(data[0], logits=True), data[1]).item()
    assert evaluate(net, data)["loss"] == pytest.approx(expected, rel=1e-6)
    net = regression(RegressionOutput())
    net.initialize()
    objective = Objective(net, None, "train")
    assert (objective.name, objective.logits) == ("RegressionOutput", False)
    assert evaluate(net, pairs)["loss"] == pytest.approx(half_mse(net.forward(pairs[0]), pairs[1]).item(), rel=1e-12)


@pytest.mark.parametrize("loss", [None, "crossentropy"])
def test_cross_entropy_needs_probabilities(loss, data, quiet):
    for last, text in (
        (ClassificationOutput(name="end"), "a Softmax in front of 'end'"),
        (ReLU(name="end"), "a network that ends in Softmax or ClassificationOutput, this one ends in ReLU 'end'"),
    ):
        with pytest.raises(ValueError) as caught:
            train(regression(last, outputs=3), data, loss, quiet())
        assert str(caught.value) == f"train: crossentropy needs {text}"


def test_a_regression_end_to_end(pairs, quiet, tmp_path):
    x, t = pairs
    net = regression()
    options = quiet(solver="adam", max_epochs=100, validation_data=(x, t), metrics=["rmse"], initial_learn_rate=0.02,
                    l2_regularization=0, checkpoint_path=tmp_path)  # fmt: skip
    history = train(net, (x, t), "mse", options)
    assert history.final["validation_rmse"] == pytest.approx(rmse(net.predict(x), t), rel=1e-12)
    assert history.final["validation_rmse"] < 0.25 * t.std(axis=0).max() + 0.1
    assert (history.final["accuracy"], history.final["validation_accuracy"], history.confusion_matrix) == (None,) * 3
    assert load_checkpoint(tmp_path).loss == "mse"


def test_images_as_targets(data, quiet):
    """A convolution learns to be a filter: image to image."""
    x = data[0] / 255.0
    t = np.zeros_like(x[:, :, 1:-1, 1:-1])
    t += x[:, :, 1:-1, 2:] - x[:, :, 1:-1, :-2]
    net = Network([ImageInput((1, 8, 8), normalization="none"), Conv2D(3, 1, name="conv")], dtype="float64")
    options = quiet(max_epochs=150, initial_learn_rate=0.1, l2_regularization=0, validation_data=(x, t),
                    metrics=["rmse"])  # fmt: skip
    history = train(net, (x, t), "mse", options)
    assert history.final["validation_rmse"] < 0.02
    np.testing.assert_allclose(net.parameters()["conv.weights"].data[0, 0],
                               [[0, 0, 0], [-1, 0, 1], [0, 0, 0]], atol=0.1)  # fmt: skip


def test_targets_of_another_shape(pairs, quiet):
    for name in ("mse", "half_mse", "mae", "huber"):
        with pytest.raises(ValueError) as caught:
            train(regression(), (pairs[0], pairs[1][:, :1]), name, quiet())
        assert str(caught.value) == (
            f"train: data: {name} needs targets of shape (50, 2), as the network's output, got (50, 1)"
        )
    with pytest.raises(ValueError) as caught:
        train(regression(RegressionOutput()), (pairs[0], pairs[1][:, 0]), options=quiet())
    assert str(caught.value) == (
        "train: data: RegressionOutput needs targets of shape (50, 2), as the network's output, got (50,)"
    )


def test_the_loss_of_the_layer_is_checked_on_resuming(pairs, quiet, tmp_path):
    train(regression(), pairs, "mse", quiet(checkpoint_path=tmp_path, max_epochs=1))
    with pytest.raises(ValueError) as caught:
        train(None, pairs, "mae", quiet(), resume=tmp_path)
    assert str(caught.value) == f"resume: the loss was mse when {tmp_path} was written, now it is mae"


# ---------------------------------------------------------------- several inputs and outputs


def graph(layers, connections):
    inputs = {"left": ImageInput((1, 8, 8), normalization="none"), "right": ImageInput((1, 8, 8), normalization="none")}
    return Network.from_graph({**inputs, **layers}, connections, dtype="float64")


def two_inputs():
    """Each image has weights of its own; what becomes of them is added up."""
    layers = {"fc_left": FullyConnected(2), "fc_right": FullyConnected(2), "add": Addition()}
    return graph(layers, [("left", "fc_left"), ("right", "fc_right"), ("fc_left", "add"), ("fc_right", "add")])


def two_outputs():
    """Both images decide over both outputs."""
    layers = {"both": Concatenation(), "first": FullyConnected(2), "second": FullyConnected(3)}
    return graph(layers, [("left", "both"), ("right", "both"), ("both", "first"), ("both", "second")])


def sum_of_errors(ys, ts):
    return add(mse(ys[0], ts[0]), mse(ys[1], ts[1]))


@pytest.mark.parametrize("shuffle", ["never", "every-epoch"])
def test_several_inputs(shuffle, pairs, quiet):
    x, t = pairs[0] / 255.0, pairs[1]
    inputs, net = (x, x[::-1].copy()), two_inputs()
    options = quiet(max_epochs=2, shuffle=shuffle, validation_data=(inputs, t), metrics=["rmse"])
    history = train(net, (inputs, t), "mse", options)
    assert history.final["validation_rmse"] == pytest.approx(rmse(net.predict(inputs), t), rel=1e-12)
    assert [row["images"] for row in history.rows][:4] == [16, 16, 16, 2]
    assert history.final["validation_loss"] < history.rows[0]["loss"]


def test_each_input_is_normalized_by_its_own_data(pairs, quiet):
    x, t = pairs[0] / 255.0, pairs[1]
    net = two_inputs()
    net.layers[0].normalization = net.layers[1].normalization = "zerocenter"
    train(net, ((x, 1 - x), t), "mse", quiet(max_epochs=1))
    means = [net.states()[f"{name}.mean"].item() for name in ("left", "right")]
    assert means == pytest.approx([x.mean(), 1 - x.mean()], rel=1e-12)


def test_several_inputs_are_augmented_together(pairs, quiet):
    x, t = pairs[0] / 255.0, pairs[1]

    def swap(inputs, rng):
        return inputs[::-1]

    def first(inputs, rng):
        return inputs[0]

    plain, swapped = two_inputs(), two_inputs()
    train(plain, ((x[::-1].copy(), x), t), "mse", quiet(max_epochs=1))
    train(swapped, ((x, x[::-1].copy()), t), "mse", quiet(max_epochs=1, augment=swap))
    for name, parameter in plain.parameters().items():
        np.testing.assert_array_equal(parameter.data, swapped.parameters()[name].data)
    with pytest.raises(ValueError) as caught:
        train(two_inputs(), ((x, x), t), "mse", quiet(augment=first))
    assert str(caught.value) == (
        "train: augment must return arrays of the shapes ((16, 1, 8, 8), (16, 1, 8, 8)), got (16, 1, 8, 8)"
    )


def test_several_outputs(pairs, quiet, bits, tmp_path):
    x, t = pairs[0] / 255.0, pairs[1]
    inputs, targets, net = (x, x[::-1].copy()), (t, np.hstack([t, t[:, :1]])), two_outputs()

    def largest_error(ys, ts):
        assert [y.shape for y in ys] == [(50, 2), (50, 3)]
        return max(abs(y - t).max() for y, t in zip(ys, ts, strict=True))

    given = {"max_epochs": 2, "validation_data": (inputs, targets), "validation_frequency": 3,
             "metrics": [largest_error]}  # fmt: skip
    history = train(net, (inputs, targets), sum_of_errors, quiet(**given))
    expected = max(abs(y - t).max() for y, t in zip(net.predict(inputs), targets, strict=True))
    assert history.final["validation_largest_error"] == pytest.approx(expected, rel=1e-12)
    assert (history.final["accuracy"], history.confusion_matrix) == (None, None)
    assert history.final["loss"] < history.rows[0]["loss"]
    # The same bits after an interruption: weights by name, in the file as in the network.
    stop = [lambda info: info.iteration == 6]
    train(two_outputs(), (inputs, targets), sum_of_errors, quiet(**given, callbacks=stop, checkpoint_path=tmp_path))
    again = train(None, (inputs, targets), sum_of_errors, quiet(**given), resume=tmp_path)
    assert bits(again) == bits(history)


@pytest.mark.parametrize(
    ("make", "x", "y", "loss", "error", "text"),
    [
        (two_inputs, (50, 49), (50,), "mse", ValueError,
         "train: data: x holds 50 observations, y 50 targets (x (50, 1, 8, 8) and (49, 1, 8, 8), y (50, 2))"),
        (two_inputs, (50,), (50,), "mse", ValueError,
         "train: data: x must have shape (N, 1, 8, 8) and (N, 1, 8, 8), as the network's input, got (N, 1, 8, 8)"),
        (two_inputs, (50, 50), (50, 50), "mse", TypeError,
         "train: data: several targets need a loss that is a function of outputs and targets"),
        (two_outputs, (50, 50), (50, 50), "mse", ValueError,
         "train: the network has 2 outputs (first, second), the loss must be a function of them and of the targets"),
        (two_outputs, (50, 50), (50, 50), None, ValueError,
         "train: the network has 2 outputs (first, second), the loss must be a function of them and of the targets"),
    ],
)  # fmt: skip
def test_several_that_do_not_fit(make, x, y, loss, error, text, quiet):
    inputs = tuple(np.zeros((n, 1, 8, 8)) for n in x)
    targets = tuple(np.zeros((n, 2)) for n in y)
    for initialized in (False, True):
        net = make()
        if initialized:
            net.initialize()
        with pytest.raises(error) as caught:
            train(net, (inputs, targets if len(y) > 1 else targets[0]), loss, quiet())
        assert str(caught.value) == text


# ---------------------------------------------------------------- the loss of the output layer


def test_regression_output_of_images(data):
    """Half the squared error, summed over the pixels, the mean over the images."""
    x = data[0] / 255.0
    layers = [ImageInput((1, 8, 8), normalization="none"), Conv2D(3, 2, padding=1), RegressionOutput()]
    net = Network(layers, dtype="float64")
    t = np.concatenate([x, 1 - x], axis=1)
    expected = ((net(x).data - t) ** 2).sum() / 2 / 50
    assert evaluate(net, (x, t), batch_size=7)["loss"] == pytest.approx(expected, rel=1e-12)


def sequences(count, steps, seed=0):
    """Two numbers per time step, and the class: which quadrant they lie in."""
    x = np.random.default_rng(seed).standard_normal((count, 2, steps))
    return x, (x[:, 0] > 0) * 2 + (x[:, 1] > 0)


def test_regression_output_of_sequences_of_any_length(quiet):
    """The mean over time steps, too: a longer sequence has no larger loss."""
    mix = np.array([[1.0, 2], [-1, 0.5], [0, 3]])
    x, longer = sequences(40, 5)[0], sequences(30, 9, seed=1)[0]
    t, longer_t = (np.einsum("kc,nct->nkt", mix, part) for part in (x, longer))
    net = Network([SequenceInput(2), FullyConnected(3, name="fc"), RegressionOutput()], dtype="float64")
    options = quiet(max_epochs=60, initial_learn_rate=0.05, l2_regularization=0, validation_data=(longer, longer_t),
                    metrics=["rmse"])  # fmt: skip
    history = train(net, (x, t), options=options)
    assert history.final["validation_rmse"] < 0.05
    np.testing.assert_allclose(net.parameters()["fc.weights"].data, mix, atol=0.1)
    expected = ((net.predict(longer) - longer_t) ** 2).sum() / 2 / 30 / 9
    assert evaluate(net, (longer, longer_t))["loss"] == pytest.approx(expected, rel=1e-12)


# ---------------------------------------------------------------- classes at each time step or pixel


def by_hand(probabilities, labels):
    """Mean of −log p, accuracy and confusion matrix over rows (M, K)."""
    rows, labels = probabilities.reshape(-1, probabilities.shape[-1]), labels.ravel()
    matrix = np.zeros((rows.shape[1],) * 2, int)
    np.add.at(matrix, (labels, rows.argmax(1)), 1)
    return -np.log(rows[np.arange(len(rows)), labels]).mean(), (rows.argmax(1) == labels).mean(), matrix


def check_classes(net, data, last):
    """What `evaluate` finds is what the definition says; `last` brings the classes to the end."""
    loss, share, matrix = by_hand(last(net.predict(data[0])), data[1])
    for batch_size, more in ((7, ["accuracy"]), (256, [])):  # there is an accuracy without asking, too
        found = evaluate(net, data, batch_size, metrics=["top-2", "confusion-matrix", *more])
        assert found["loss"] == pytest.approx(loss, rel=1e-12)
        assert found["accuracy"] == share
        np.testing.assert_array_equal(found["confusion_matrix"], matrix)
        assert share < found["top2"] <= 1
        assert found["images"] == len(data[0])


def test_classes_of_each_time_step(quiet, bits, tmp_path):
    data, longer = sequences(60, 5), sequences(31, 8, seed=1)
    make = lambda: Network([SequenceInput(2), FullyConnected(4), Softmax()], dtype="float64")  # noqa: E731
    given = {"initial_learn_rate": 0.5, "validation_data": longer, "validation_frequency": 3, "metrics": ["top-2"],
             "max_epochs": 10}  # fmt: skip
    net = make()
    history = train(net, data, options=quiet(**given))
    assert history.final["validation_accuracy"] > 0.9 > history.rows[0]["accuracy"]
    assert history.confusion_matrix.sum() == 31 * 8
    check_classes(net, longer, lambda y: np.moveaxis(y, 1, -1))
    soft = np.moveaxis(np.eye(4)[longer[1]], -1, 1)
    hard = evaluate(net, longer, metrics=["top-2", "confusion-matrix"])
    for name, value in evaluate(net, (longer[0], soft), metrics=["top-2", "confusion-matrix"]).items():
        np.testing.assert_allclose(value, hard[name], rtol=1e-12)
    stop = [lambda info: info.iteration == 6]
    train(make(), data, options=quiet(**given, callbacks=stop, checkpoint_path=tmp_path))
    assert bits(train(None, data, options=quiet(**given), resume=tmp_path)) == bits(history)


def test_classes_of_each_image_in_a_sequence(quiet):
    """The network gives (N, T, K): classes last."""
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 3, (20, 6))
    x = rng.standard_normal((20, 6, 1, 5)) + 4 * np.eye(3, 5)[labels][:, :, None]
    net = Network([SequenceInput((1, 5)), FullyConnected(3), Softmax()], dtype="float64")
    history = train(
        net, (x, labels), options=quiet(initial_learn_rate=0.2, validation_data=(x[:9, :4], labels[:9, :4]))
    )
    assert history.final["validation_accuracy"] > 0.9
    net = Network([SequenceInput((1, 5)), FullyConnected(3), Softmax()], dtype="float64")
    check_classes(net, (x, labels), lambda y: y)
    assert evaluate(net, (x, np.eye(3)[labels]))["loss"] == pytest.approx(evaluate(net, (x, labels))["loss"], rel=1e-12)


def test_classes_of_each_pixel(data, quiet):
    x, labels = data[0] / 255.0, np.digitize(data[0][:, 0], [80, 160])
    layers = [
        ImageInput((1, 8, 8)),
        Conv2D(3, 3, padding=1),
        Softmax(),
        ClassificationOutput(["dark", "grey", "bright"]),
    ]
    net = Network(layers, dtype="float64")
    history = train(net, (x, labels), options=quiet(initial_learn_rate=1.0, max_epochs=10))
    assert history.final["accuracy"] > 0.7 > history.rows[0]["accuracy"]
    check_classes(net, (x, labels), lambda y: np.moveaxis(y, 1, -1))


def test_a_function_of_labels_of_each_step():
    data = sequences(20, 5)
    net = Network([SequenceInput(2), FullyConnected(4)], dtype="float64")

    def by_steps(y, t):
        return cross_entropy(y, t)

    found = evaluate(net, data, loss=by_steps, metrics=["accuracy"])
    assert found["accuracy"] == (net.predict(data[0]).argmax(1) == data[1]).mean()
    numbers = np.zeros((20, 4, 5))
    assert evaluate(net, (data[0], numbers), loss=lambda y, t: mse(y, t))["accuracy"] is None


@pytest.mark.parametrize("dtype", [np.uint8, np.int8, bool])
def test_maps_of_labels_keep_their_dtype(dtype, data):
    """Sixteen classes: class times classes is more than a byte holds."""
    x, labels = data[0] / 255.0, (data[0][:, 0] // (128 if dtype is bool else 16)).astype(dtype)
    net = Network([ImageInput((1, 8, 8), normalization="none"), Conv2D(3, 16, padding=1), Softmax()], dtype="float64")
    net.initialize()
    kept = Objective(net, None, "train").pair((x, labels), "data")[1]
    assert kept.dtype == (np.uint8 if dtype is bool else dtype)
    assert np.shares_memory(kept, labels)
    found, expected = (
        evaluate(net, (x, y), metrics=["top-2", "confusion-matrix"]) for y in (labels, labels.astype(np.int64))
    )
    np.testing.assert_array_equal(found.pop("confusion_matrix"), expected.pop("confusion_matrix"))
    assert found == expected
    check_classes(net, (x, labels.astype(np.int64)), lambda y: np.moveaxis(y, 1, -1))


def test_whole_numbers_for_one_output_are_numbers_to_a_function(data):
    net = Network([ImageInput((1, 8, 8), normalization="none"), Conv2D(3, 1, padding=1)], dtype="float64")
    seen = []

    def distance(y, t):
        seen.append(t)
        return mse(y[:, 0], t)

    found = evaluate(net, (data[0], data[0][:, 0]), loss=distance)
    assert found["loss"] == pytest.approx(((net.predict(data[0]) - data[0]) ** 2).mean(), rel=1e-12)
    assert (found["accuracy"], seen[0].dtype) == (None, np.uint8)


LABELS = "train: data: crossentropy needs integer labels of shape (20, 5) or probabilities of shape (20, 4, 5), got"


@pytest.mark.parametrize(
    ("x", "y", "text"),
    [
        ((20, 2, 5), np.zeros(20, int), f"{LABELS} int64 of shape (20,)"),
        ((20, 2, 5), np.zeros((20, 4), int), f"{LABELS} int64 of shape (20, 4)"),
        ((20, 2, 5), np.zeros((20, 5)), f"{LABELS} float64 of shape (20, 5)"),
        ((20, 2, 5), np.full((20, 5), 4), "train: data: label 4 is no class of the network, which has 4 (0 to 3)"),
        ((20, 3, 5), np.zeros((20, 5), int),
         "train: data: sequenceinput: expects sequences (N, 2, T), got (1, 3, 5)"),
        ((20, 2, 1), np.zeros((20, 1), int), "train: data: sequenceinput: expects at least 2 time steps, got 1"),
    ],
)  # fmt: skip
def test_sequences_that_do_not_fit(x, y, text, quiet):
    for initialized in (False, True):
        net = Network([SequenceInput(2, min_length=2), FullyConnected(4), Softmax()])
        if initialized:
            net.initialize()
        with pytest.raises((TypeError, ValueError)) as caught:
            train(net, (np.zeros(x), y), options=quiet())
        assert str(caught.value) == text


def test_softmax_networks_take_other_losses_on_their_probabilities(make_net, data, quiet):
    net = make_net(dtype="float64")
    assert isinstance(net.layers[-1], Softmax)
    found = evaluate(net, (data[0], np.eye(3)[data[1]]), loss="mse")
    assert found["loss"] == pytest.approx(((net.predict(data[0]) - np.eye(3)[data[1]]) ** 2).mean(), rel=1e-12)
