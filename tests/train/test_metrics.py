import tracemalloc

import numpy as np
import pytest

from convcore.data import Dataset, Split
from convcore.layers import FullyConnected, ImageInput, Softmax
from convcore.network import Network
from convcore.ops.loss import cross_entropy
from convcore.train import accuracy, confusion_matrix, evaluate, rmse, top_k_accuracy, train


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
        evaluate(net, (x[:2048], y[:2048]))  # of whole batches, for which plans are made
        tracemalloc.start()
        evaluate(net, (x, y))
        result = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return result

    assert peak(6144) - peak(2048) < 4096 * 32  # bytes: a few numbers per image, which has 1024 pixels


@pytest.mark.parametrize(
    ("given", "error", "text"),
    [
        ({"batch_size": 0}, ValueError, "evaluate: batch_size must be at least 1, got 0"),
        ({"batch_size": 2.5}, TypeError, "evaluate: batch_size must be an integer, got 2.5"),
        (
            {"loss": "hinge"},
            ValueError,
            "evaluate: loss must be one of crossentropy, mse, half_mse, mae, huber or a function, got 'hinge'",
        ),
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


# Of given outputs


Y = [[0.1, 0.6, 0.3], [0.5, 0.3, 0.2], [0.2, 0.2, 0.6], [0.3, 0.4, 0.3]]


def test_top_k_by_hand():
    labels = [2, 2, 0, 0]  # second, third, second (of equal ones the first counts), second
    assert [top_k_accuracy(Y, labels, k) for k in (1, 2, 3)] == [0, 0.75, 1]
    assert top_k_accuracy(Y, [2, 2, 1, 2], 2) == 0.25  # of equal values the later ones come after
    assert top_k_accuracy(Y, np.eye(3)[labels], 2) == 0.75
    for seed in range(5):
        y, labels = np.random.default_rng(seed).random((20, 4)).round(1), np.arange(20) % 4
        assert top_k_accuracy(y, labels, 1) == accuracy(y, labels)


def test_rmse_by_hand():
    assert rmse([[3.0, 0.0], [0.0, 5.0]], [[0.0, 4.0], [0.0, 5.0]]) == 2.5
    assert rmse(np.float32([1]), [2]) == 1.0


def test_confusion_matrix_by_hand():
    found = confusion_matrix(Y, [2, 0, 2, 2])
    np.testing.assert_array_equal(found, [[1, 0, 0], [0, 0, 0], [0, 2, 1]])
    assert found.dtype == np.int64
    np.testing.assert_array_equal(confusion_matrix(Y, np.eye(3)[[2, 0, 2, 2]]), found)


@pytest.mark.parametrize(
    ("call", "error", "text"),
    [
        (lambda: top_k_accuracy(Y, [0, 1, 2, 3], 2), ValueError,
         "top_k_accuracy: label 3 is no class, y has 3 (0 to 2) (y (4, 3), labels (4,))"),
        (lambda: top_k_accuracy(Y, [0, 1, 2, 0], 4), ValueError,
         "top_k_accuracy: k must be at most 3, the number of classes, got 4"),
        (lambda: top_k_accuracy(Y, [0, 1, 2, 0], 0), ValueError, "top_k_accuracy: k must be at least 1, got 0"),
        (lambda: top_k_accuracy(Y, [0, 1, 2, 0], 1.5), TypeError, "top_k_accuracy: k must be an integer, got 1.5"),
        (lambda: confusion_matrix(Y, [0, 1, 2, -1]), ValueError,
         "confusion_matrix: label -1 is no class, y has 3 (0 to 2) (y (4, 3), labels (4,))"),
        (lambda: confusion_matrix(Y, [0, 1]), ValueError,
         "confusion_matrix: y must have shape (N, K), labels (N,) or (N, K) (y (4, 3), labels (2,))"),
        (lambda: confusion_matrix(Y, [0.0] * 4), TypeError, "confusion_matrix: labels must be integers, got float64"),
        (lambda: rmse([1, 2], [1]), ValueError, "rmse: y and t must have one shape (y (2,), t (1,))"),
        (lambda: rmse([], []), ValueError, "rmse: there are no elements (y (0,))"),
        (lambda: rmse(["a"], [1]), TypeError, "rmse: y must be float32, float64, integers or booleans, got dtype <U1"),
    ],
)  # fmt: skip
def test_bad_outputs(call, error, text):
    with pytest.raises(error) as caught:
        call()
    assert str(caught.value) == text


# Of a network


def worst_class(y, t):
    """The lowest accuracy of a class."""
    right = y.argmax(axis=1) == t
    return min(right[t == k].mean() for k in range(3))


@pytest.mark.parametrize("batch_size", [7, 50])
def test_metrics_of_a_network(batch_size, make_net, data):
    net = make_net(dtype="float64")
    y = net.predict(data[0])
    found = evaluate(net, data, batch_size, metrics=["accuracy", "top-2", worst_class, "confusion-matrix"])
    assert found["accuracy"] == accuracy(y, data[1])
    assert found["top2"] == top_k_accuracy(y, data[1], 2)
    assert found["worst_class"] == worst_class(y, data[1])
    np.testing.assert_array_equal(found["confusion_matrix"], confusion_matrix(y, data[1]))
    assert set(found) == {"loss", "accuracy", "images", "top2", "worst_class", "confusion_matrix"}


def test_a_metric_sees_probabilities_and_all_targets(make_net, data):
    seen = []

    def look(y, t):
        seen.append((y, t))
        return 0

    net = make_net()
    evaluate(net, data, 16, metrics=[look])
    ((y, t),) = seen
    np.testing.assert_allclose(y, net.predict(data[0]), rtol=1e-6)
    np.testing.assert_array_equal(t, data[1])


def test_rmse_of_a_network(data):
    net = Network([ImageInput((1, 8, 8), normalization="none"), FullyConnected(2)], dtype="float64")
    t = np.stack([data[1], -data[1]], 1)
    found = evaluate(net, (data[0], t), 7, loss="mse", metrics=["rmse"])
    assert found["rmse"] == pytest.approx(rmse(net.predict(data[0]), t), rel=1e-12)
    assert found["rmse"] == pytest.approx(found["loss"] ** 0.5, rel=1e-12)
    assert found["accuracy"] is None


@pytest.mark.parametrize(
    ("metrics", "error", "text"),
    [
        ("rmse", TypeError, "evaluate: metrics must be a sequence of names and functions, got str"),
        (["recall"], ValueError, "evaluate: metrics must be accuracy, top-2, top-3, ..., rmse or functions, "
         "got 'recall'"),
        (["top-2"], ValueError,
         "evaluate: metrics: top-2 needs a network with one output per class, and labels of classes"),
        (["confusion-matrix"], ValueError,
         "evaluate: metrics: confusion-matrix needs a network with one output per class, and labels of classes"),
        ([print], TypeError, "evaluate: metrics: print must return a number, got None"),
    ],
)  # fmt: skip
def test_bad_metrics(metrics, error, text, data):
    net = Network([ImageInput((1, 8, 8), normalization="none"), FullyConnected(2)])
    with pytest.raises(error) as caught:
        evaluate(net, (data[0], np.zeros((50, 2))), loss="mse", metrics=metrics)
    assert str(caught.value) == text


def test_metrics_of_a_training_run_are_columns_of_its_history(make_net, data, validation_data, quiet, tmp_path):
    net = make_net()
    options = quiet(validation_data=validation_data, validation_frequency=5, metrics=["accuracy", "top-2", worst_class])
    history = train(net, data, options=options)
    after = evaluate(net, validation_data, metrics=["accuracy", "top-2", worst_class, "confusion-matrix"])
    final = history.final
    assert [final[f"validation_{name}"] for name in ("loss", "accuracy", "top2", "worst_class")] == [
        after[name] for name in ("loss", "accuracy", "top2", "worst_class")]  # fmt: skip
    assert [row["iteration"] for row in history.rows if row["validation_top2"] is not None] == [5, 10, 12]
    np.testing.assert_array_equal(history.confusion_matrix, after["confusion_matrix"])
    history.to_csv(tmp_path / "history.csv")
    first = (tmp_path / "history.csv").read_text().splitlines()[0]
    assert first == (
        "epoch,iteration,seconds,loss,accuracy,learn_rate,regularization,validation_loss,validation_accuracy,images,"
        "validation_top2,validation_worst_class"
    )
    assert "validation top2" in history.table()


def test_metrics_are_resumed(make_net, data, validation_data, quiet, bits, tmp_path):
    given = {"validation_data": validation_data, "validation_frequency": 3, "metrics": ("top-2",)}
    whole = train(make_net(), data, options=quiet(**given))
    stop = [lambda info: info.iteration == 6]
    train(make_net(), data, options=quiet(**given, callbacks=stop, checkpoint_path=tmp_path))
    assert bits(train(None, data, options=quiet(**given), resume=tmp_path)) == bits(whole)
