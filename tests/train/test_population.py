"""Population statistics: one pass over the training data with the final weights, at the end."""

import signal

import numpy as np
import pytest

from convcore.layers import BatchNorm, Conv2D, Dropout, FullyConnected, ImageInput, Layer, Softmax
from convcore.network import Network
from convcore.train import evaluate, load_checkpoint, train


@pytest.fixture
def make():
    def make(dropout=0.0, extra=()):
        layers = [ImageInput((1, 8, 8)), *([Dropout(dropout)] if dropout else []), Conv2D(3, 2, name="conv"),
                  BatchNorm(name="norm"), *extra, FullyConnected(3, name="fc"), Softmax()]  # fmt: skip
        return Network(layers, dtype="float64")

    return make


def statistics(net):
    layer = next(layer for layer in net.layers if isinstance(layer, BatchNorm))
    return layer.trained_mean, layer.trained_variance


def statistics_of_the_data(net, data):
    """Mean and biased variance of each channel over all that enters the normalization."""
    x = data[0] - net.states()["imageinput.mean"]
    weights, bias = (net.parameters()[f"conv.{role}"].data for role in ("weights", "bias"))
    windows = np.lib.stride_tricks.sliding_window_view(x, (3, 3), axis=(2, 3))  # (N, 1, 6, 6, 3, 3)
    y = np.einsum("nchwij,kcij->nkhw", windows, weights) + bias.reshape(-1, 1, 1)
    return y.mean(axis=(0, 2, 3)), y.var(axis=(0, 2, 3))


def test_moving_statistics_are_kept_by_default(make, data, quiet):
    net = make()
    train(net, data, options=quiet())
    for moving, exact in zip(statistics(net), statistics_of_the_data(net, data), strict=True):
        assert (abs(moving - exact) > 1e-3 * abs(exact)).all()


@pytest.mark.parametrize("shuffle", ["never", "every-epoch"])
def test_population_statistics_are_those_of_the_final_weights(shuffle, make, data, validation_data, quiet):
    net = make()
    options = quiet(batch_normalization_statistics="population", validation_data=validation_data, shuffle=shuffle)
    history = train(net, data, options=options)
    np.testing.assert_allclose(statistics(net), statistics_of_the_data(net, data), rtol=1e-9)
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
    np.testing.assert_array_equal(statistics(first), statistics(second))
    assert (statistics(first)[0] != statistics(moving)[0]).all()


def test_the_best_network_gets_its_own(make, data, validation_data, quiet):
    net = make()
    wrong = (validation_data[0], (validation_data[1] + 1) % 3)  # the more is learned, the larger the loss
    options = quiet(batch_normalization_statistics="population", validation_data=wrong, validation_frequency=1,
                    output_network="best-validation")  # fmt: skip
    history = train(net, data, options=options)
    np.testing.assert_allclose(statistics(net), statistics_of_the_data(net, data), rtol=1e-9)
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
    means = [arrays["norm.trained_mean"][0] for arrays in seen.values()]
    assert len(set(means)) == len(means)
    for name, array in seen[min(seen)].items():
        np.testing.assert_array_equal(net.arrays()[name], array, strict=True)


def test_the_checkpoint_keeps_the_moving_ones_so_that_more_epochs_carry_the_run_on(
    make, data, validation_data, quiet, tmp_path
):
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

    net, moving = make(), make()
    options = quiet(batch_normalization_statistics="population", callbacks=[press])
    assert train(net, data, options=options).stopped == "interrupted"
    train(moving, data, options=quiet(callbacks=[lambda info: info.iteration == 2]))
    np.testing.assert_array_equal(statistics(net), statistics(moving))


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_a_pass_that_fails_leaves_the_network_as_it_was(error, make, data, quiet):
    """Moving statistics stay and go on moving: nothing is left of what was gathered."""

    class Fuse(Layer):
        left = None

        def forward(self, x, training, rng):
            if self.left is not None:
                self.left -= 1
            if self.left == 0:
                raise error
            return x

    def light(info):
        if info.iteration == 12:
            fuse.left = 2  # in the second batch of the pass

    fuse = Fuse()
    net, moving = make(extra=[fuse]), make(extra=[Fuse()])
    with pytest.raises(error):
        train(net, data, options=quiet(batch_normalization_statistics="population", callbacks=[light]))
    assert fuse.left == 0
    train(moving, data, options=quiet())
    np.testing.assert_array_equal(statistics(net), statistics(moving))
    fuse.left = None
    for one in (net, moving):
        one(data[0][:16], training=True)
    np.testing.assert_array_equal(statistics(net), statistics(moving))
    assert (statistics(net)[0] != statistics_of_the_data(net, data)[0]).all()


def test_a_network_without_such_layers(make_net, data, quiet, bits):
    population = train(make_net(), data, options=quiet(batch_normalization_statistics="population"))
    assert bits(population) == bits(train(make_net(), data, options=quiet()))
