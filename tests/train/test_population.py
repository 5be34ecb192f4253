"""Population statistics: one pass over the training data with the final weights, at the end."""

import signal

import numpy as np
import pytest

from convcore.layers import Conv2D, Dropout, FullyConnected, ImageInput, Layer, Softmax
from convcore.network import Network
from convcore.ops import add
from convcore.train import evaluate, load_checkpoint, train


class Centre(Layer):
    """Subtract the mean: the batch's while training, a remembered one in prediction. A very small BatchNorm."""

    short = "centre"

    def __init__(self, *, name=""):
        super().__init__(name)
        self.remembered = {"mean": np.zeros(1)}
        self.passes = []
        self._sums = None

    def array_shapes(self, input_shape):
        return {"mean": (1,)}

    def load(self, arrays, dtype):
        self.remembered = {"mean": arrays["mean"].astype(np.float64)}

    def forward(self, x, training, rng):
        mean = self.remembered["mean"]
        if training:
            mean = np.array([x.data.mean()])
            if self._sums is not None:
                self._sums.append((x.data.sum(dtype=np.float64), x.size))
            else:
                self.remembered = {"mean": 0.5 * self.remembered["mean"] + 0.5 * mean}
        return add(x, -mean.astype(x.dtype))

    def begin_population_statistics(self):
        self._sums = []

    def end_population_statistics(self):
        total, count = np.sum(self._sums, axis=0)
        self.passes.append(int(count))
        self.remembered, self._sums = {"mean": np.array([total / count])}, None


@pytest.fixture
def make():
    def make(dropout=0.0):
        layers = [ImageInput((1, 8, 8)), *([Dropout(dropout)] if dropout else []), Conv2D(3, 2, name="conv"), Centre(),
                  FullyConnected(3, name="fc"), Softmax()]  # fmt: skip
        return Network(layers, dtype="float64")

    return make


def centre(net):
    return next(layer for layer in net.layers if isinstance(layer, Centre))


def mean_of_the_data(net, data):
    images = net.layers[0].forward(net._cast(data[0]), False, None)
    return net.layers[1].forward(images, False, None).data.mean()


def test_moving_statistics_are_kept_by_default(make, data, quiet):
    net = make()
    train(net, data, options=quiet())
    assert centre(net).passes == []
    assert abs(centre(net).remembered["mean"][0] - mean_of_the_data(net, data)) > 1e-6


@pytest.mark.parametrize("shuffle", ["never", "every-epoch"])
def test_population_statistics_are_those_of_the_final_weights(shuffle, make, data, validation_data, quiet):
    net = make()
    options = quiet(batch_normalization_statistics="population", validation_data=validation_data, shuffle=shuffle)
    history = train(net, data, options=options)
    assert centre(net).passes == [50 * 2 * 6 * 6]  # all observations, once
    np.testing.assert_allclose(centre(net).remembered["mean"], mean_of_the_data(net, data), rtol=1e-12)
    after = evaluate(net, validation_data, metrics=["confusion-matrix"])
    assert history.final["validation_loss"] == after["loss"]
    assert history.final["validation_accuracy"] == after["accuracy"]
    np.testing.assert_array_equal(history.confusion_matrix, after["confusion_matrix"])


def test_they_do_not_change_the_weights_nor_depend_on_chance(make, data, quiet):
    moving, first, second = make(0.25), make(0.25), make(0.25)
    train(moving, data, options=quiet())
    for net in (first, second):
        train(net, data, options=quiet(batch_normalization_statistics="population"))
    for name, parameter in moving.parameters().items():
        np.testing.assert_array_equal(parameter.data, first.parameters()[name].data)
    assert centre(first).remembered["mean"][0] == centre(second).remembered["mean"][0]


def test_the_best_network_gets_its_own(make, data, validation_data, quiet):
    net = make()
    wrong = (validation_data[0], (validation_data[1] + 1) % 3)  # the more is learned, the larger the loss
    options = quiet(batch_normalization_statistics="population", validation_data=wrong, validation_frequency=1,
                    output_network="best-validation")  # fmt: skip
    history = train(net, data, options=options)
    np.testing.assert_allclose(centre(net).remembered["mean"], mean_of_the_data(net, data), rtol=1e-12)
    assert history.final["validation_loss"] == evaluate(net, wrong)["loss"]


def test_the_best_network_has_the_moving_statistics_of_its_own_moment(make, data, validation_data, quiet):
    net, seen = make(), {}

    def keep(info):
        seen[info.validation_loss] = {name: array.copy() for name, array in net.arrays().items()}

    wrong = (validation_data[0], (validation_data[1] + 1) % 3)
    options = quiet(validation_data=wrong, validation_frequency=1, output_network="best-validation", callbacks=[keep],
                    solver="adam", initial_learn_rate=0.01)  # fmt: skip
    train(net, data, options=options)
    assert min(seen) < list(seen)[-1]  # otherwise this test says nothing
    means = [arrays["centre.mean"][0] for arrays in seen.values()]
    assert len(set(means)) == len(means)
    for name, array in seen[min(seen)].items():
        np.testing.assert_array_equal(net.arrays()[name], array, strict=True)


def test_the_checkpoint_keeps_the_moving_ones_so_that_more_epochs_carry_the_run_on(
    make, data, validation_data, quiet, tmp_path, monkeypatch
):
    from convcore.train import resumption

    monkeypatch.setattr(resumption, "compare", lambda *arguments, **more: None)  # the stub has no config to compare
    monkeypatch.setattr(Network, "architecture", lambda net: {})
    given = {"batch_normalization_statistics": "population", "validation_data": validation_data,
             "validation_frequency": 1}  # fmt: skip
    whole = make()
    long = train(whole, data, options=quiet(**given, max_epochs=4))
    train(make(), data, options=quiet(**given, max_epochs=2, checkpoint_path=tmp_path))
    resumed = make()
    again = train(resumed, data, options=quiet(**given, max_epochs=4), resume=tmp_path)
    for name, array in whole.arrays().items():
        np.testing.assert_array_equal(resumed.arrays()[name], array)
    np.testing.assert_array_equal(again.column("validation_loss"), long.column("validation_loss"))
    assert load_checkpoint(tmp_path).iteration == 8


def test_an_interrupted_run_does_without(make, data, quiet):
    def press(info):
        if info.iteration == 2:
            signal.raise_signal(signal.SIGINT)

    net = make()
    options = quiet(batch_normalization_statistics="population", callbacks=[press])
    assert train(net, data, options=options).stopped == "interrupted"
    assert centre(net).passes == []


def test_a_network_without_such_layers(make_net, data, quiet, bits):
    population = train(make_net(), data, options=quiet(batch_normalization_statistics="population"))
    assert bits(population) == bits(train(make_net(), data, options=quiet()))
