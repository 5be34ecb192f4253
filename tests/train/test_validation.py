import math

import numpy as np
import pytest

from convcore.train import evaluate, train


def validated(history):
    return [row["iteration"] for row in history.rows if row["validation_loss"] is not None]


@pytest.mark.parametrize(
    ("frequency", "expected"), [(1, list(range(1, 13))), (5, [5, 10, 12]), (4, [4, 8, 12]), (99, [12])]
)
def test_every_so_many_iterations_and_at_the_end(frequency, expected, make_net, data, validation_data, quiet):
    net = make_net()
    options = quiet(validation_data=validation_data, validation_frequency=frequency)
    history = train(net, data, options=options)
    assert validated(history) == expected
    after = evaluate(net, validation_data)
    assert history.final["validation_loss"] == after["loss"]
    assert history.final["validation_accuracy"] == after["accuracy"]


def test_validation_changes_nothing(make_net, data, validation_data, quiet, bits):
    without = train(make_net(), data, options=quiet())
    options = quiet(validation_data=validation_data, validation_frequency=1)
    assert bits(train(make_net(), data, options=options))[0] == bits(without)[0]


def fading(epoch_of_best):
    """A rate that is 0 from some iteration on: from there the validation loss stays exactly the same."""
    return lambda iteration, epoch: 0.01 if epoch <= epoch_of_best else 0.0


@pytest.mark.parametrize(("patience", "expected"), [(1, 12), (3, 20), (100, 40), (math.inf, 40)])
def test_patience_counts_validations_without_a_smaller_loss(patience, expected, make_net, data, validation_data, quiet):
    options = quiet(validation_data=validation_data, validation_frequency=4, validation_patience=patience,
                    max_epochs=10, learn_rate_schedule=fading(2), momentum=0)  # fmt: skip
    history = train(make_net(dropout=0), data, options=options)
    losses = [row["validation_loss"] for row in history.rows if row["validation_loss"] is not None]
    assert losses[0] > losses[1] == losses[2]  # a loss as large as the smallest is not smaller
    assert len(history) == expected
    assert history.stopped == ("finished" if expected == 40 else "patience")


def test_a_smaller_loss_renews_the_patience(make_net, data, validation_data, quiet):
    # Rates 0 in every other epoch: never two validations in a row without a smaller loss.
    options = quiet(validation_data=validation_data, validation_frequency=4, max_epochs=6, validation_patience=2,
                    learn_rate_schedule=lambda iteration, epoch: 0.01 if epoch % 2 else 0.0, momentum=0)  # fmt: skip
    history = train(make_net(dropout=0), data, options=options)
    assert history.stopped == "finished"


def test_the_last_or_the_best_network(make_net, data, validation_data, quiet):
    def run(output_network):
        net, kept = make_net(), {}

        def keep(info):
            if info.validation_loss is not None:
                kept[info.validation_loss] = {name: a.copy() for name, a in net.arrays().items()}

        wrong = (validation_data[0], (validation_data[1] + 1) % 3)  # the more is learned, the larger the loss
        options = quiet(validation_data=wrong, validation_frequency=1, callbacks=[keep], output_network=output_network)
        train(net, data, options=options)
        return net.arrays(), kept

    last, kept = run("last")
    np.testing.assert_array_equal(last["fc.weights"], list(kept.values())[-1]["fc.weights"])
    best, kept = run("best-validation")
    assert min(kept) < list(kept)[-1]  # otherwise this test says nothing
    for name, array in kept[min(kept)].items():
        np.testing.assert_array_equal(best[name], array)
