"""Losses by name, by the last layer and by function; networks with several inputs and outputs."""

import numpy as np
import pytest

from convcore.layers import Conv2D, FullyConnected, ImageInput, Layer, ReLU, Softmax
from convcore.network import Network
from convcore.ops import add
from convcore.ops.loss import cross_entropy, half_mse, huber, mae, mse
from convcore.train import evaluate, load_checkpoint, rmse, train
from convcore.train.objective import Objective


class Target(Layer):
    """An output layer with a loss of its own, as `RegressionOutput` is one."""

    short = "target"

    def forward(self, x, training, rng):
        return x

    def loss(self, y, t):
        return half_mse(y, t)


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


def test_by_default_the_last_layer_decides(make_net, data, pairs):
    net = make_net()
    net.initialize()
    assert Objective(net, None, "train").name == "crossentropy"
    expected = cross_entropy(net.forward(data[0], logits=True), data[1]).item()
    assert evaluate(net, data)["loss"] == pytest.approx(expected, rel=1e-6)
    net = regression(Target())
    net.initialize()
    objective = Objective(net, None, "train")
    assert (objective.name, objective.logits) == ("Target", False)
    assert evaluate(net, pairs)["loss"] == pytest.approx(half_mse(net.forward(pairs[0]), pairs[1]).item(), rel=1e-12)


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
        train(regression(Target()), (pairs[0], pairs[1][:, 0]), options=quiet())
    assert str(caught.value) == (
        "train: data: Target needs targets of shape (50, 2), as the network's output, got (50,)"
    )


def test_the_loss_of_the_layer_is_checked_on_resuming(pairs, quiet, tmp_path):
    train(regression(), pairs, "mse", quiet(checkpoint_path=tmp_path, max_epochs=1))
    with pytest.raises(ValueError) as caught:
        train(None, pairs, "mae", quiet(), resume=tmp_path)
    assert str(caught.value) == f"resume: the loss was mse when {tmp_path} was written, now it is mae"


# ---------------------------------------------------------------- several inputs and outputs


class Twins(Network):
    """One network for two images at a time; the two outputs are returned, or added up."""

    def __init__(self, several):
        super().__init__([ImageInput((1, 8, 8), normalization="none"), FullyConnected(2, name="fc"), ReLU()],
                         dtype="float64")  # fmt: skip
        super().initialize()
        self.input_shape = ((1, 8, 8), (1, 8, 8))
        self.several = several

    def initialize(self, input_shape=None, seed=None):
        assert input_shape in (None, self.input_shape)

    @property
    def output_shape(self):
        return ((2,), (2,)) if self.several else (2,)

    def fit_normalization(self, x, reset=False):
        assert isinstance(x, tuple)

    def forward(self, x, *, training=False, rng=None, logits=False):
        ys = []
        for part in x:
            y = self._cast(part)
            for layer in self.layers:
                y = layer.forward(y, training, rng)
            ys.append(y)
        return tuple(ys) if self.several else add(*ys)


def sum_of_errors(ys, ts):
    return add(mse(ys[0], ts[0]), mse(ys[1], ts[1]))


@pytest.mark.parametrize("shuffle", ["never", "every-epoch"])
def test_several_inputs(shuffle, pairs, quiet):
    x, t = pairs[0] / 255.0, pairs[1]
    inputs, net = (x, x[::-1].copy()), Twins(several=False)
    options = quiet(max_epochs=2, shuffle=shuffle, validation_data=(inputs, t), metrics=["rmse"])
    history = train(net, (inputs, t), "mse", options)
    expected = np.concatenate([net.forward((inputs[0][i : i + 1], inputs[1][i : i + 1])).data for i in range(50)])
    assert history.final["validation_rmse"] == pytest.approx(rmse(expected, t), rel=1e-12)
    assert [row["images"] for row in history.rows][:4] == [16, 16, 16, 2]


def test_several_inputs_are_augmented_together(pairs, quiet):
    x, t = pairs[0] / 255.0, pairs[1]

    def swap(inputs, rng):
        return inputs[::-1]

    def first(inputs, rng):
        return inputs[0]

    plain, swapped = Twins(several=False), Twins(several=False)
    train(plain, ((x[::-1].copy(), x), t), "mse", quiet(max_epochs=1))
    train(swapped, ((x, x[::-1].copy()), t), "mse", quiet(max_epochs=1, augment=swap))
    np.testing.assert_array_equal(plain.parameters()["fc.weights"].data, swapped.parameters()["fc.weights"].data)
    with pytest.raises(ValueError) as caught:
        train(Twins(several=False), ((x, x), t), "mse", quiet(augment=first))
    assert str(caught.value) == (
        "train: augment must return arrays of the shapes ((16, 1, 8, 8), (16, 1, 8, 8)), got (16, 1, 8, 8)"
    )


def test_several_outputs(pairs, quiet):
    x, t = pairs[0] / 255.0, pairs[1]
    inputs, targets, net = (x, x[::-1].copy()), (t, t[::-1].copy()), Twins(several=True)

    def largest_error(ys, ts):
        assert [y.shape for y in ys] == [(50, 2), (50, 2)]
        return max(abs(y - t).max() for y, t in zip(ys, ts, strict=True))

    options = quiet(max_epochs=2, validation_data=(inputs, targets), metrics=[largest_error])
    history = train(net, (inputs, targets), sum_of_errors, options)
    assert history.final["validation_largest_error"] > 0
    assert history.final["accuracy"] is None
    assert history.final["loss"] < history.rows[0]["loss"]


@pytest.mark.parametrize(
    ("x", "y", "loss", "error", "text"),
    [
        ((50, 49), (50,), "mse", ValueError,
         "train: data: x holds 50 observations, y 50 targets (x (50, 1, 8, 8) and (49, 1, 8, 8), y (50, 2))"),
        ((50,), (50,), "mse", ValueError,
         "train: data: x must have shape (N, 1, 8, 8) and (N, 1, 8, 8), as the network's input, got (N, 1, 8, 8)"),
        ((50, 50), (50, 50), "mse", TypeError,
         "train: data: several targets need a loss that is a function of outputs and targets"),
    ],
)  # fmt: skip
def test_several_that_do_not_fit(x, y, loss, error, text, quiet, monkeypatch):
    monkeypatch.setattr(Twins, "initialize", lambda *arguments: None)
    inputs = tuple(np.zeros((n, 1, 8, 8)) for n in x)
    targets = tuple(np.zeros((n, 2)) for n in y)
    with pytest.raises(error) as caught:
        train(Twins(several=len(y) > 1), (inputs, targets if len(y) > 1 else targets[0]), loss, quiet())
    assert str(caught.value) == text


def test_softmax_networks_take_other_losses_on_their_probabilities(make_net, data, quiet):
    net = make_net(dtype="float64")
    assert isinstance(net.layers[-1], Softmax)
    found = evaluate(net, (data[0], np.eye(3)[data[1]]), loss="mse")
    assert found["loss"] == pytest.approx(((net.predict(data[0]) - np.eye(3)[data[1]]) ** 2).mean(), rel=1e-12)
