import tracemalloc

import numpy as np
import pytest

from convcore.data import Dataset, Split
from convcore.layers import FullyConnected, ImageInput, Softmax
from convcore.network import Network
from convcore.ops.loss import cross_entropy
from convcore.train import accuracy, evaluate


def test_accuracy_of_probabilities_logits_and_targets_of_both_kinds():
    y = [[0.1, 0.7, 0.2], [5, -1, 2], [0, 0, 0], [1, 2, 3]]
    assert accuracy(y, [1, 0, 0, 0]) == 0.75  # of equal values the first counts
    assert accuracy(np.array(y), np.eye(3)[[1, 0, 1, 0]]) == 0.5
    assert accuracy([[0.2, 0.8]], [True]) == 1.0


@pytest.mark.parametrize(
    ("y", "labels", "error", "text"),
    [
        ([1, 2], [0, 1], ValueError, "accuracy: y must have shape (N, K), labels (N,) or (N, K) (y (2,), labels (2,))"),
        (
            np.zeros((2, 3)),
            [0],
            ValueError,
            "accuracy: y must have shape (N, K), labels (N,) or (N, K) (y (2, 3), labels (1,))",
        ),
        (np.zeros((0, 3)), [], ValueError, "accuracy: there are no rows (y (0, 3), labels (0,))"),
        (np.zeros((1, 3)), [0.0], TypeError, "accuracy: labels must be integers, got float64"),
    ],
)
def test_bad_accuracies(y, labels, error, text):
    with pytest.raises(error) as caught:
        accuracy(y, labels)
    assert str(caught.value) == text


@pytest.mark.parametrize("batch_size", [1, 7, 50, 256])
def test_evaluate_is_the_mean_over_all_observations(batch_size, make_net, data):
    net = make_net(dtype="float64")
    net.initialize()
    result = evaluate(net, data, batch_size)
    logits = net.forward(data[0], logits=True)
    assert result["loss"] == pytest.approx(cross_entropy(logits, data[1]).item(), rel=1e-12)
    assert result["accuracy"] == accuracy(net.predict(data[0]), data[1])
    assert result["images"] == 50


def test_evaluate_takes_the_test_split_of_a_dataset(make_net, data, validation_data):
    net = make_net()
    dataset = Dataset("corners", Split(*data), Split(*validation_data), ("a", "b", "c"))
    assert evaluate(net, dataset) == evaluate(net, validation_data) != evaluate(net, data)


def test_evaluate_with_other_losses(data):
    net = Network([ImageInput((1, 8, 8), normalization="none"), FullyConnected(2)], dtype="float64")
    t = np.stack([data[1], data[1]], 1)
    result = evaluate(net, (data[0], t), loss="mse", batch_size=7)
    assert result["loss"] == pytest.approx(((net.predict(data[0]) - t) ** 2).mean(), rel=1e-12)
    assert result["accuracy"] is None
    assert evaluate(net, (data[0], t), loss=lambda y, t: (y - t).mean())["accuracy"] is None
    assert 0 <= evaluate(net, (data[0], data[1] % 2), loss=lambda y, t: y.mean())["accuracy"] <= 1


def test_memory_does_not_grow_with_the_data():
    net = Network([ImageInput((1, 32, 32), normalization="none"), FullyConnected(2), Softmax()])

    def peak(count):
        x, y = np.zeros((count, 1, 32, 32), np.uint8), np.zeros(count, np.int64)
        evaluate(net, (x[:300], y[:300]))
        tracemalloc.start()
        evaluate(net, (x, y))
        result = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return result

    assert peak(6000) < 1.2 * peak(600)


@pytest.mark.parametrize(
    ("given", "error", "text"),
    [
        ({"batch_size": 0}, ValueError, "evaluate: batch_size must be at least 1, got 0"),
        ({"batch_size": 2.5}, TypeError, "evaluate: batch_size must be an integer, got 2.5"),
        ({"loss": "hinge"}, ValueError, "evaluate: loss must be one of crossentropy, mse, half_mse, mae, huber or a function, got 'hinge'"),
        ({"data": 3}, TypeError, "evaluate: data must be a pair (x, y), got int"),
        (
            {"data": (np.zeros((2, 1, 8, 8)), [0, 3])},
            ValueError,
            "evaluate: data: label 3 is no class of the network, which has 3 (0 to 2)",
        ),
    ],
)
def test_bad_input(given, error, text, make_net, data):
    with pytest.raises(error) as caught:
        evaluate(**{"net": make_net(), "data": data, **given})
    assert str(caught.value) == text
