import math

import numpy as np
import pytest

from convcore.data import Augment, Dataset, Split, epoch_order
from convcore.layers import Conv2D, Dropout, FullyConnected, ImageInput, ReLU, Softmax
from convcore.network import Network
from convcore.ops.loss import huber
from convcore.optim import cosine, piecewise
from convcore.threads import get_num_threads
from convcore.train import TrainingError, TrainingOptions, evaluate, train

# Learning


def test_it_learns(make_net, data, validation_data, quiet):
    net = make_net(dropout=0)
    history = train(net, data, options=quiet(max_epochs=20, initial_learn_rate=0.05))
    assert history.stopped == "finished"
    assert history.network is net
    assert history.final["epoch_accuracy"] == 1.0
    assert (net.classify(validation_data[0]) == validation_data[1]).mean() > 0.9
    assert all(parameter.grad is None for parameter in net.parameters().values())


def test_rows_count_epochs_and_iterations_from_1(make_net, data, quiet):
    history = train(make_net(), data, options=quiet(max_epochs=2))
    assert [(row["epoch"], row["iteration"], row["images"]) for row in history.rows] == [
        (1, 1, 16), (1, 2, 16), (1, 3, 16), (1, 4, 2), (2, 5, 16), (2, 6, 16), (2, 7, 16), (2, 8, 2),
    ]  # fmt: skip
    seconds = history.column("seconds")
    assert (np.diff(seconds, prepend=0) >= 0).all()


def test_a_softmax_regression_equals_one_written_by_hand(data):
    """The whole line in float64: order of the images, mean gradient, L2 with factors, momentum, schedule."""
    x, y = data[0][:, :, :2, :2] / 255.0, data[1]
    fc = FullyConnected(3, name="fc", weight_l2_factor=3, bias_l2_factor=0.5, bias_learn_rate_factor=2)
    net = Network([ImageInput((1, 2, 2), normalization="none"), fc, Softmax()], dtype="float64")
    net.initialize()
    w, b = fc.weights.data.copy(), fc.bias.data.copy()
    options = TrainingOptions(
        max_epochs=3, mini_batch_size=16, verbose=False, initial_learn_rate=0.5, momentum=0.8, l2_regularization=0.01,
        shuffle="every-epoch", learn_rate_schedule="piecewise", learn_rate_drop_factor=0.25, learn_rate_drop_period=2,
        seed=5, verbose_frequency=1,
    )  # fmt: skip
    history = train(net, (x, y), options=options)

    v, u, rows = np.zeros_like(w), np.zeros_like(b), []
    for epoch in range(3):
        order = epoch_order(50, "every-epoch", 5, epoch)
        rate = 0.5 * (0.25 if epoch >= 2 else 1.0)
        for part in (order[i : i + 16] for i in range(0, 50, 16)):
            flat, onehot = x[part].reshape(len(part), 4), np.eye(3)[y[part]]
            logits = flat @ w.T + b
            p = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
            loss = -np.log((p * onehot).sum(1)).mean()
            delta = (p - onehot) / len(part)
            v = 0.8 * v - rate * (delta.T @ flat + 0.01 * 3 * w)
            u = 0.8 * u - rate * 2 * (delta.sum(0) + 0.01 * 0.5 * b)
            w, b = w + v, b + u
            term = 0.01 * 0.5 * (3 * (w**2).sum() + 0.5 * (b**2).sum())
            rows.append((loss, (logits.argmax(1) == y[part]).mean(), rate, term))
    np.testing.assert_allclose(fc.weights.data, w, rtol=1e-11)
    np.testing.assert_allclose(fc.bias.data, b, rtol=1e-11)
    measured = [(r["loss"], r["accuracy"], r["learn_rate"], r["regularization"]) for r in history.rows]
    np.testing.assert_allclose(measured, rows, rtol=1e-11)


@pytest.mark.parametrize("method", ["l2norm", "global-l2norm", "absolute-value"])
def test_the_gradient_threshold_of_the_options_holds(method, data, quiet):
    """One step from zero weights, without momentum: the change is the limited gradient itself."""
    fc = FullyConnected(3, weights=np.zeros((3, 64)), bias=np.zeros(3))
    net = Network([ImageInput((1, 8, 8), normalization="none"), fc, Softmax()], dtype="float64")
    options = quiet(max_epochs=1, mini_batch_size=50, momentum=0, initial_learn_rate=1, l2_regularization=0,
                    gradient_threshold=0.01, gradient_threshold_method=method)  # fmt: skip
    train(net, data, options=options)
    w, b = fc.weights.data, fc.bias.data
    sizes = {
        "l2norm": [np.linalg.norm(w), np.linalg.norm(b)],
        "global-l2norm": [np.hypot(np.linalg.norm(w), np.linalg.norm(b))],
        "absolute-value": [np.abs(w).max(), np.abs(b).max()],
    }
    np.testing.assert_allclose(sizes[method], 0.01, rtol=1e-12)


def test_mse_and_a_function_give_the_same_as_each_other(data, quiet):
    def net():
        return Network([ImageInput((1, 8, 8), normalization="none"), FullyConnected(2)], dtype="float64")

    def mean_square(y, t):
        difference = y - t
        return (difference * difference).mean()

    x, t = data[0] / 255.0, np.stack([data[1], -data[1]], axis=1).astype(np.float32)
    options = quiet(initial_learn_rate=0.01)
    by_name, by_function = net(), net()
    a = train(by_name, (x, t), "mse", options)
    b = train(by_function, (x, t), mean_square, options)
    np.testing.assert_allclose(a.column("loss"), b.column("loss"), rtol=1e-12)
    assert a.final["loss"] < a.rows[0]["loss"]
    assert a.final["accuracy"] is None
    train(net(), (x, t.astype(int)), huber, options)


def test_a_function_on_labels_measures_the_accuracy(make_net, data, quiet):
    seen = []

    def loss(y, t):
        seen.append((y.shape, t.dtype, t.shape))
        return (y * y).mean()

    history = train(make_net(), data, loss, quiet(max_epochs=1))
    assert seen == [((16, 3), np.int64, (16,))] * 3 + [((2, 3), np.int64, (2,))]
    assert 0 <= history.rows[0]["accuracy"] <= 1


def test_probabilities_as_targets(make_net, data, quiet, bits):
    labels = train(make_net(dtype="float64"), data, options=quiet())
    rows = train(make_net(dtype="float64"), (data[0], np.eye(3)[data[1]]), options=quiet())
    np.testing.assert_allclose(rows.column("loss"), labels.column("loss"), rtol=1e-9)
    np.testing.assert_array_equal(rows.column("accuracy"), labels.column("accuracy"))


@pytest.mark.parametrize("kind", [np.uint8, np.int32, bool])
def test_labels_of_any_integer_kind(kind, make_net, data, quiet, bits):
    y = data[1] % 2
    assert bits(train(make_net(), (data[0], y.astype(kind)), options=quiet())) == bits(
        train(make_net(), (data[0], y), options=quiet())
    )


def test_a_dataset_gives_its_training_split_and_lists_will_do(make_net, data, validation_data, quiet, bits):
    dataset = Dataset("corners", Split(*data), Split(*validation_data), ("a", "b", "c"))
    expected = bits(train(make_net(), data, options=quiet()))
    assert bits(train(make_net(), dataset, options=quiet())) == expected
    assert bits(train(make_net(), [data[0].tolist(), data[1].tolist()], options=quiet())) == expected


def test_images_stay_as_they_are_and_the_data_is_not_changed(make_net, data, quiet):
    x, y = data[0].copy(), data[1].copy()
    x.flags.writeable = y.flags.writeable = False
    train(make_net(), (x, y), options=quiet())
    np.testing.assert_array_equal(x, data[0])
    assert x.dtype == np.uint8


# Factors, end to end


@pytest.mark.parametrize("method", ["l2norm", "global-l2norm", "absolute-value"])
@pytest.mark.parametrize("threshold", [math.inf, 0.5])
def test_learn_rate_factor_0_keeps_the_bits(threshold, method, make_net, data, quiet):
    net = make_net(conv={"weight_learn_rate_factor": 0}, fc={"bias_learn_rate_factor": 0})
    net.initialize()
    before = {name: p.data.copy() for name, p in net.parameters().items()}
    train(net, data, options=quiet(l2_regularization=0.1, gradient_threshold=threshold,
                                   gradient_threshold_method=method))  # fmt: skip
    changed = {name for name, p in net.parameters().items() if p.data.tobytes() != before[name].tobytes()}
    assert changed == {"conv.bias", "fc.weights"}


def test_learn_rate_factor_2_is_a_doubled_rate_bit_for_bit(make_net, data, quiet, bits):
    two = {"weight_learn_rate_factor": 2, "bias_learn_rate_factor": 2}
    factor = train(make_net(conv=two, fc=two), data, options=quiet(initial_learn_rate=0.01))
    rate = train(make_net(), data, options=quiet(initial_learn_rate=0.02))
    assert bits(factor)[0] == bits(rate)[0]


def test_l2_factors_are_multiples_bit_for_bit(make_net, data, quiet, bits):
    two, none = {"weight_l2_factor": 2}, {"weight_l2_factor": 0}
    factor = train(make_net(conv=two, fc=two), data, options=quiet(l2_regularization=0.01))
    doubled = train(make_net(), data, options=quiet(l2_regularization=0.02))
    zero = train(make_net(conv=none, fc=none), data, options=quiet(l2_regularization=0.7))
    without = train(make_net(), data, options=quiet(l2_regularization=0))
    assert bits(factor)[0] == bits(doubled)[0]
    assert bits(zero)[0] == bits(without)[0]
    assert bits(doubled)[0] != bits(without)[0]
    assert [row["regularization"] for row in without.rows if row["regularization"]] == []
    assert factor.final["regularization"] == doubled.final["regularization"] > 0


def test_the_bias_is_not_regularized_by_default(make_net, data, quiet):
    net = make_net()
    train(net, data, options=quiet(l2_regularization=0.5))
    weights = [p.data.astype(np.float64) for name, p in net.parameters().items() if name.endswith("weights")]
    expected = 0.5 * 0.5 * sum((w**2).sum() for w in weights)
    history = train(net, data, options=quiet(l2_regularization=0.5, initial_learn_rate=1e-30))
    assert history.final["regularization"] == pytest.approx(expected, rel=1e-6)


# Rates


@pytest.mark.parametrize(
    ("given", "rate"),
    [
        ({}, lambda iteration, epoch: 0.01),
        (
            {"learn_rate_schedule": "piecewise", "learn_rate_drop_factor": 0.5, "learn_rate_drop_period": 2},
            lambda iteration, epoch: piecewise(iteration, epoch, 0.01, 0.5, 2),
        ),
        ({"learn_rate_schedule": "cosine"}, lambda iteration, epoch: cosine(iteration, epoch, 0.01, 5 * 4)),
        (
            {"learn_rate_schedule": lambda iteration, epoch: iteration / 1e4 + epoch},
            lambda iteration, epoch: iteration / 1e4 + epoch,
        ),
    ],
    ids=["none", "piecewise", "cosine", "function"],
)
def test_each_iteration_has_its_rate(given, rate, make_net, data, quiet):
    net = make_net(conv={"weight_learn_rate_factor": 0}, fc={"weight_learn_rate_factor": 0})
    history = train(net, data, options=quiet(max_epochs=5, **given))
    assert [row["learn_rate"] for row in history.rows] == [rate(row["iteration"], row["epoch"]) for row in history.rows]


def test_a_rate_of_0_changes_nothing(make_net, data, quiet):
    net = make_net()
    net.initialize()
    before = {name: p.data.tobytes() for name, p in net.parameters().items()}
    train(net, data, options=quiet(learn_rate_schedule=lambda iteration, epoch: 0))
    assert {name: p.data.tobytes() for name, p in net.parameters().items()} == before


def test_a_warmup_counts_epochs_or_iterations(make_net, data, quiet):
    def rates(**given):
        history = train(make_net(), data, options=quiet(learn_rate_schedule="warmup", max_epochs=2, **given))
        return (history.column("learn_rate") / 0.01).round(12).tolist()

    assert rates() == [0.25, 0.5, 0.75, 1, 1, 1, 1, 1]  # an epoch has 4 iterations
    assert rates(warmup_period=2) == [i / 8 for i in range(1, 9)]
    assert rates(warmup_period=2, warmup_unit="iterations", warmup_factor=0.5) == [0.75, 1, 1, 1, 1, 1, 1, 1]


# Solvers


@pytest.mark.parametrize("solver", ["adam", "rmsprop"])
def test_it_learns_with_other_solvers_too(solver, make_net, data, validation_data, quiet):
    net = make_net(dropout=0)
    train(net, data, options=quiet(solver=solver, max_epochs=20))
    assert (net.classify(validation_data[0]) == validation_data[1]).mean() > 0.9


@pytest.mark.parametrize("solver", ["sgdm", "adam", "rmsprop"])
@pytest.mark.parametrize("method", ["l2norm", "global-l2norm", "absolute-value"])
def test_factor_0_keeps_the_bits_with_every_solver(solver, method, make_net, data, quiet):
    net = make_net(conv={"weight_learn_rate_factor": 0}, fc={"bias_learn_rate_factor": 0})
    net.initialize()
    before = {name: p.data.tobytes() for name, p in net.parameters().items()}
    train(net, data, options=quiet(solver=solver, gradient_threshold=0.5, gradient_threshold_method=method))
    changed = {name for name, p in net.parameters().items() if p.data.tobytes() != before[name]}
    assert changed == {"conv.bias", "fc.weights"}


# Augmentation


def test_augmented_training_sees_other_images_in_each_iteration(data, quiet):
    net = Network([ImageInput((1, 8, 8), normalization="none"), FullyConnected(3), Softmax()])
    x = np.repeat(data[0][:1], 64, axis=0)
    options = quiet(learn_rate_schedule=lambda i, e: 0.0, max_epochs=2, augment=Augment(shift=2))
    losses = train(net, (x, np.zeros(64, int)), options=options).column("loss")
    assert len(set(losses.tolist())) == 8


def test_the_statistics_of_the_normalization_and_validations_see_the_images_as_they_are(make_net, data, quiet):
    net = make_net()
    options = quiet(augment=Augment(shift=3), validation_data=data, max_epochs=1)
    history = train(net, data, options=options)
    np.testing.assert_allclose(net.states()["imageinput.mean"].ravel(), data[0].mean())
    assert history.final["validation_loss"] == evaluate(net, data)["loss"]


@pytest.mark.parametrize("n", [1, 2, 3])
def test_augmentation_does_not_depend_on_the_threads(n, make_net, data, quiet, bits):
    options = quiet(augment=Augment(shift=2, rotation=20), n_threads=n, max_epochs=1)
    one = quiet(augment=Augment(shift=2, rotation=20), n_threads=1, max_epochs=1)
    assert bits(train(make_net(), data, options=options)) == bits(train(make_net(), data, options=one))


def test_an_augmentation_of_ones_own(make_net, data, quiet):
    seen = []

    def darker(x, rng):
        seen.append((x.shape, x.dtype, rng.random()))
        return x // 2

    half = train(make_net(), data, options=quiet(augment=darker, max_epochs=1))
    assert [shape for shape, _, _ in seen] == [(16, 1, 8, 8)] * 3 + [(2, 1, 8, 8)]
    assert len({draw for _, _, draw in seen}) == 4
    assert half.rows[0]["loss"] != train(make_net(), data, options=quiet(max_epochs=1)).rows[0]["loss"]


def test_an_augmentation_that_returns_another_shape(make_net, data, quiet):
    with pytest.raises(ValueError) as caught:
        train(make_net(), data, options=quiet(augment=lambda x, rng: x[:, :, :7]))
    assert str(caught.value) == "train: augment must return an array of shape (16, 1, 8, 8), got (16, 1, 7, 8)"


# Batches


def seen_by(net_input, count, options):
    """Train on images that carry their own number, and return the numbers that each mini-batch held."""
    batches = []

    def note(y, t):
        batches.append(t.tolist())
        return (y * y).mean()

    net = Network([ImageInput(net_input, normalization="none"), FullyConnected(2)])
    x = np.zeros((count, *net_input), np.uint8)
    train(net, (x, np.arange(count, dtype=np.float32)), note, options)
    return [[int(number) for number in batch] for batch in batches]


@pytest.mark.parametrize("shuffle", ["once", "every-epoch", "never"])
def test_the_order_is_that_of_epoch_order(shuffle, quiet):
    seen = seen_by((1, 2, 2), 10, quiet(max_epochs=3, mini_batch_size=4, shuffle=shuffle, seed=7))
    expected = []
    for epoch in range(3):
        order = epoch_order(10, shuffle, 7, epoch).tolist()
        expected += [order[0:4], order[4:8], order[8:10]]
    assert seen == expected
    assert (seen[:3] == seen[3:6]) == (shuffle != "every-epoch")


@pytest.mark.parametrize("shuffle", ["once", "never"])
def test_drop_last_leaves_out_the_smaller_batch(shuffle, quiet):
    seen = seen_by((1, 2, 2), 10, quiet(max_epochs=2, mini_batch_size=4, shuffle=shuffle, drop_last=True))
    assert [len(batch) for batch in seen] == [4, 4, 4, 4]


def test_a_batch_larger_than_the_data(quiet):
    assert [len(batch) for batch in seen_by((1, 2, 2), 3, quiet(max_epochs=2, mini_batch_size=128))] == [3, 3]


# The same bits


def test_two_runs_of_one_seed_are_the_same_and_of_two_seeds_are_not(make_net, data, validation_data, quiet, bits):
    def run(seed):
        options = quiet(seed=seed, validation_data=validation_data, validation_frequency=3, gradient_threshold=1)
        return bits(train(make_net(), data, options=options))

    assert run(3) == run(3)
    assert run(3) != run(4)


def test_dropout_draws_anew_in_each_iteration(data, quiet):
    net = Network([ImageInput((1, 8, 8)), Dropout(0.5), FullyConnected(3), Softmax()])
    x = np.repeat(data[0][:1], 64, axis=0)
    history = train(net, (x, np.zeros(64, int)), options=quiet(learn_rate_schedule=lambda i, e: 0.0, max_epochs=1))
    assert len(set(history.column("loss").tolist())) == 4


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_bits_do_not_depend_on_the_number_of_threads(dtype, bits, quiet):
    rng = np.random.default_rng(0)
    x, y = rng.integers(0, 256, (130, 1, 16, 16), dtype=np.uint8), rng.integers(0, 5, 130)

    def run(n):
        layers = [ImageInput((1, 16, 16)), Conv2D(5, 12), ReLU(), Conv2D(3, 8), Dropout(0.2), FullyConnected(64),
                  ReLU(), FullyConnected(5), Softmax()]  # fmt: skip
        options = quiet(mini_batch_size=64, n_threads=n, max_epochs=1, gradient_threshold=1,
                        validation_data=(x, y), validation_frequency=2)  # fmt: skip
        return bits(train(Network(layers, dtype=dtype), (x, y), options=options))

    first = run(1)
    for n in (2, 3, 8):
        assert run(n) == first


def test_n_threads_holds_during_the_run_only(make_net, data, quiet):
    before, seen = get_num_threads(), []
    train(
        make_net(), data, options=quiet(n_threads=3, max_epochs=1, callbacks=[lambda i: seen.append(get_num_threads())])
    )
    assert set(seen) == {3}
    assert get_num_threads() == before


# Normalization, starting weights


def test_statistics_are_computed_once_unless_told_otherwise(make_net, data, quiet):
    net = make_net()
    train(net, data, options=quiet(max_epochs=1))
    first = net.states()["imageinput.mean"].copy()
    np.testing.assert_allclose(first.ravel(), data[0].mean())
    brighter = (data[0] // 2 + 100, data[1])
    train(net, brighter, options=quiet(max_epochs=1))
    np.testing.assert_array_equal(net.states()["imageinput.mean"], first)
    train(net, brighter, options=quiet(max_epochs=1), reset_input_normalization=True)
    np.testing.assert_allclose(net.states()["imageinput.mean"].ravel(), brighter[0].mean())


def test_training_goes_on_from_the_present_weights_with_zero_velocity(data, quiet, make_net):
    net = make_net()
    train(net, data, options=quiet())
    loss = train(net, data, options=quiet()).rows[0]["loss"]
    assert loss < train(make_net(), data, options=quiet()).rows[0]["loss"]


def test_gradients_that_the_user_left_do_not_count(make_net, data, quiet, bits):
    net = make_net()
    net.initialize()
    for parameter in net.parameters().values():
        parameter.grad = np.full_like(parameter.data, 1e3)
    assert bits(train(net, data, options=quiet())) == bits(train(make_net(), data, options=quiet()))


# Callbacks


def test_callbacks_see_each_iteration(make_net, data, validation_data, quiet):
    net, seen = make_net(), []
    options = quiet(
        max_epochs=2, validation_data=validation_data, validation_frequency=3, callbacks=[seen.append, print]
    )
    history = train(net, data, options=options)
    assert [(i.epoch, i.iteration) for i in seen] == [(1, 1), (1, 2), (1, 3), (1, 4), (2, 5), (2, 6), (2, 7), (2, 8)]
    for info, row in zip(seen, history.rows, strict=True):
        assert (info.loss, info.accuracy, info.learn_rate, info.seconds) == (
            row["loss"], row["accuracy"], row["learn_rate"], row["seconds"])  # fmt: skip
        assert (info.validation_loss, info.validation_accuracy) == (row["validation_loss"], row["validation_accuracy"])
    assert [i.iteration for i in seen if i.validation_loss is not None] == [3, 6, 8]
    assert seen[0].network is net
    assert seen[0].history is history


@pytest.mark.parametrize("answer", [True, "stop", np.True_])
def test_a_callback_stops_the_training(answer, make_net, data, validation_data, quiet):
    calls = []
    options = quiet(validation_data=validation_data, validation_frequency=100,
                    callbacks=[lambda i: answer if i.iteration == 6 else None, calls.append])  # fmt: skip
    history = train(make_net(), data, options=options)
    assert (history.stopped, len(history)) == ("callback", 6)
    assert len(calls) == 6  # the others are called all the same
    assert history.rows[-1]["validation_loss"] is not None  # validated at the end, wherever that is


@pytest.mark.parametrize("answer", [False, None, 0, 1, "", "go on", [], np.zeros(3)])
def test_other_answers_do_not(answer, make_net, data, quiet):
    history = train(make_net(), data, options=quiet(max_epochs=1, callbacks=[lambda i: answer]))
    assert (history.stopped, len(history)) == ("finished", 4)


def test_a_callback_scales_the_rate_of_what_comes(make_net, data, quiet):
    def change(info):
        if info.iteration in (2, 5):
            info.scale_learn_rate(0.5)

    given = {"learn_rate_schedule": "piecewise", "learn_rate_drop_period": 1, "max_epochs": 2}
    plain = train(make_net(), data, options=quiet(**given)).column("learn_rate")
    scaled = train(make_net(), data, options=quiet(**given, callbacks=[change])).column("learn_rate")
    np.testing.assert_array_equal(scaled / plain, [1, 1, 0.5, 0.5, 0.5, 0.25, 0.25, 0.25])


@pytest.mark.parametrize(
    ("factor", "error", "text"),
    [
        (0, ValueError, "scale_learn_rate: factor must be finite and greater than 0, got 0"),
        (math.inf, ValueError, "scale_learn_rate: factor must be finite and greater than 0, got inf"),
        ("2", TypeError, "scale_learn_rate: factor must be a number, got '2'"),
    ],
)
def test_a_bad_factor(factor, error, text, make_net, data, quiet):
    with pytest.raises(error) as caught:
        train(make_net(), data, options=quiet(callbacks=[lambda info: info.scale_learn_rate(factor)]))
    assert str(caught.value) == text


def test_a_callback_logs_a_column_of_its_own(make_net, data, quiet, tmp_path):
    def note(info):
        if info.iteration % 4 == 0:
            info.log("weight_norm", np.linalg.norm(info.network.parameters()["fc.weights"].data))

    history = train(make_net(), data, options=quiet(callbacks=[note]))
    assert [row["weight_norm"] is None for row in history.rows] == 3 * [True, True, True, False]
    assert list(history.rows[0])[-1] == "weight_norm"
    history.to_csv(tmp_path / "history.csv")
    first, *rows = (tmp_path / "history.csv").read_text().splitlines()
    assert first.endswith(",images,weight_norm")
    assert float(rows[3].split(",")[-1]) == history.rows[3]["weight_norm"] > 0
    assert "weight norm" in history.table()


@pytest.mark.parametrize(
    ("name", "value", "error", "text"),
    [
        ("loss", 1, ValueError, "log: name must be an identifier that is no column of every history, got 'loss'"),
        ("a b", 1, ValueError, "log: name must be an identifier that is no column of every history, got 'a b'"),
        (3, 1, ValueError, "log: name must be an identifier that is no column of every history, got 3"),
        ("norm", "1", TypeError, "log: norm must be a number, got '1'"),
    ],
)
def test_a_bad_log(name, value, error, text, make_net, data, quiet):
    with pytest.raises(error) as caught:
        train(make_net(), data, options=quiet(callbacks=[lambda info: info.log(name, value)]))
    assert str(caught.value) == text


def test_an_error_in_a_callback_comes_through(make_net, data, quiet):
    def fail(info):
        raise LookupError("mine")

    with pytest.raises(LookupError, match="mine"):
        train(make_net(), data, options=quiet(callbacks=[fail]))


# Not finite


def test_weights_that_are_not_finite_name_the_layer(make_net, data, quiet):
    def poison(info):
        if info.iteration == 5:
            info.network.parameters()["fc.weights"].data[0, 0] = math.nan

    with pytest.raises(TrainingError) as caught:
        train(make_net(), data, options=quiet(callbacks=[poison]))
    assert str(caught.value) == (
        "train: the loss is nan at iteration 6 (epoch 2): the first output that is not finite is that of layer 'fc' "
        "(a lower learning rate or a gradient_threshold may help); there is no checkpoint"
    )


def test_the_last_good_checkpoint_is_named_and_left_alone(make_net, data, quiet, tmp_path):
    def poison(info):
        if info.iteration == 8:  # the last of an epoch: a checkpoint is due, but not of these weights
            info.network.parameters()["conv.bias"].data[0] = math.inf

    with pytest.raises(TrainingError) as caught:
        train(make_net(), data, options=quiet(callbacks=[poison], checkpoint_path=tmp_path))
    file = tmp_path / "checkpoint.safetensors"
    assert str(caught.value) == (
        f"train: conv.bias is not finite after iteration 8 (epoch 2) "
        f"(a lower learning rate or a gradient_threshold may help); "
        f"the last good checkpoint is {file} (iteration 4, epoch 1)"
    )
    assert train(None, data, options=quiet(checkpoint_path=tmp_path), resume=tmp_path).stopped == "finished"


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_a_rate_that_is_far_too_large(make_net, data, quiet):
    with pytest.raises(TrainingError, match=r"^train: (the loss is (nan|inf)|conv\.weights is not finite)"):
        train(make_net(), data, options=quiet(initial_learn_rate=1e35))


def test_data_that_is_not_finite(data, quiet):
    net = Network([ImageInput((1, 8, 8), normalization="none"), FullyConnected(1)])
    x, t = data[0].astype(np.float32), np.zeros((50, 1))
    x[:, 0, 0, 0] = math.nan
    with pytest.raises(TrainingError) as caught:
        train(net, (x, t), "mse", quiet())
    assert str(caught.value) == (
        "train: the loss is nan at iteration 1 (epoch 1): the observations of the mini-batch are not finite; "
        "there is no checkpoint"
    )
    with pytest.raises(TrainingError, match="the targets of the mini-batch are not finite"):
        train(net, (data[0], t + math.inf), "mse", quiet())


def test_a_loss_that_is_not_finite_by_itself(make_net, data, quiet):
    with pytest.raises(TrainingError) as caught:
        train(make_net(), data, lambda y, t: (y + np.float32(math.inf)).mean(), quiet())
    assert str(caught.value) == (
        "train: the loss is inf at iteration 1 (epoch 1): the outputs of all layers are finite, "
        "what the loss makes of them is not; there is no checkpoint"
    )


def test_nothing_was_updated_by_a_loss_that_is_not_finite(make_net, data, quiet):
    net = make_net()
    net.initialize()
    before = {name: p.data.tobytes() for name, p in net.parameters().items()}
    with pytest.raises(TrainingError):
        train(net, data, lambda y, t: (y * np.float32(math.nan)).mean(), quiet())
    assert {name: p.data.tobytes() for name, p in net.parameters().items()} == before


# Bad input

X, Y = np.zeros((6, 1, 8, 8), np.uint8), np.arange(6) % 3


@pytest.mark.parametrize(
    ("given", "error", "text"),
    [
        ({"data": (X, Y[:5])}, ValueError,
         "train: data: x holds 6 observations, y 5 targets (x (6, 1, 8, 8), y (5,))"),
        ({"data": (X[:0], Y[:0])}, ValueError, "train: data: there are no observations (x (0, 1, 8, 8), y (0,))"),
        ({"data": X}, TypeError, "train: data must be a pair (x, y), got ndarray"),
        ({"data": (X, Y, Y)}, TypeError, "train: data must be a pair (x, y), got tuple"),
        ({"data": (X, 3)}, ValueError, "train: data: x and y need a batch axis (x (6, 1, 8, 8), y ())"),
        ({"data": (X.astype(object), Y)}, TypeError,
         "train: data: x must be float32, float64, integers or booleans, got ndarray"),
        ({"data": (X.astype(np.complex64), Y)}, TypeError,
         "train: data: x must be float32, float64, integers or booleans, got dtype complex64"),
        ({"data": ([[1, 2], [3]], [0, 1])}, TypeError,
         "train: data: x must be an array of numbers, got a ragged list"),
        ({"data": (X, list("abcabc"))}, TypeError,
         "train: data: y must be float32, float64, integers or booleans, got dtype <U1"),
        ({"data": (X, Y + 1)}, ValueError,
         "train: data: label 3 is no class of the network, which has 3 (0 to 2)"),
        ({"data": (X, Y - 1)}, ValueError,
         "train: data: label -1 is no class of the network, which has 3 (0 to 2)"),
        ({"data": (X, Y.astype(float))}, TypeError,
         "train: data: crossentropy needs integer labels of shape (6,) or probabilities of shape (6, 3), "
         "got float64 of shape (6,)"),
        ({"data": (X, np.zeros((6, 4)))}, TypeError,
         "train: data: crossentropy needs integer labels of shape (6,) or probabilities of shape (6, 3), "
         "got float64 of shape (6, 4)"),
        ({"data": (X, Y[:, None])}, TypeError,
         "train: data: crossentropy needs integer labels of shape (6,) or probabilities of shape (6, 3), "
         "got int64 of shape (6, 1)"),
        ({"data": (X[:, :, :7], Y)}, ValueError,
         "train: data: x must have shape (N, 1, 8, 8), as the network's input, got (6, 1, 7, 8)"),
        ({"loss": "hinge"}, ValueError,
         "train: loss must be one of crossentropy, mse, half_mse, mae, huber or a function, got 'hinge'"),
        ({"loss": 3}, TypeError, "train: loss must be a str or a function, got 3"),
        ({"loss": "mse"}, ValueError,
         "train: data: mse needs targets of shape (6, 3), as the network's output, got (6,)"),
        ({"loss": lambda y, t: y}, TypeError,
         "train: loss must return a Tensor with one element, got shape (6, 3)"),
        ({"loss": lambda y, t: 0.5}, TypeError, "train: loss must return a Tensor with one element, got float"),
        ({"options": {"max_epochs": 3}}, TypeError, "train: options must be TrainingOptions, got dict"),
        ({"net": None}, TypeError, "train: net must be a Network, got NoneType"),
        ({"net": [Softmax()]}, TypeError, "train: net must be a Network, got list"),
        ({"reset_input_normalization": 1}, TypeError,
         "train: reset_input_normalization must be True or False, got 1"),
        ({"options": TrainingOptions(drop_last=True)}, ValueError,
         "train: drop_last leaves no mini-batch (6 observations, mini_batch_size 128)"),
        ({"options": TrainingOptions(output_network="best-validation")}, ValueError,
         "TrainingOptions: output_network best-validation needs validation_data"),
        ({"options": TrainingOptions(metrics=["rmse"])}, ValueError, "TrainingOptions: metrics need validation_data"),
        ({"options": TrainingOptions(metrics=["top-4"], validation_data=(X, Y))}, ValueError,
         "TrainingOptions: metrics: top-4 asks for more than the network's 3 classes"),
        ({"options": TrainingOptions(metrics=["rmse"], validation_data=(X, Y))}, ValueError,
         "TrainingOptions: metrics: rmse needs targets of the shape of the network's output"),
        ({"options": TrainingOptions(validation_data=(X, Y + 1))}, ValueError,
         "train: validation_data: label 3 is no class of the network, which has 3 (0 to 2)"),
        ({"options": TrainingOptions(validation_data=(X[:, :, :7], Y))}, ValueError,
         "train: validation_data: x must have shape (N, 1, 8, 8), as the network's input, got (6, 1, 7, 8)"),
    ],
)  # fmt: skip
def test_bad_input(given, error, text, make_net):
    arguments = {"net": make_net(), "data": (X, Y), "options": TrainingOptions(verbose=False), **given}
    with pytest.raises(error) as caught:
        train(**arguments)
    assert str(caught.value) == text


def test_images_of_another_size_than_the_initialized_network(make_net, quiet):
    net = make_net()
    net.initialize()
    with pytest.raises(ValueError) as caught:
        train(net, (X[:, :, :7], Y), options=quiet())
    assert str(caught.value) == (
        "train: data: x must have shape (N, 1, 8, 8), as the network's input, got (6, 1, 7, 8)"
    )


def test_crossentropy_without_softmax(quiet):
    net = Network([ImageInput((1, 8, 8)), FullyConnected(3, name="last")])
    with pytest.raises(ValueError) as caught:
        train(net, (X, Y), options=quiet())
    assert str(caught.value) == (
        "train: crossentropy needs a network that ends in Softmax or ClassificationOutput, "
        "this one ends in FullyConnected 'last'"
    )


def test_a_network_that_learns_nothing(quiet):
    with pytest.raises(ValueError) as caught:
        train(Network([ImageInput((1, 8, 8)), ReLU()]), (X, X), "mse", quiet())
    assert str(caught.value) == "SGD: there are no parameters; initialize the network first"


def test_a_schedule_function_with_checkpoints_is_refused_before_the_work(make_net, quiet, tmp_path):
    options = quiet(learn_rate_schedule=lambda iteration, epoch: 0.1, checkpoint_path=tmp_path / "a")
    with pytest.raises(ValueError, match="learn_rate_schedule is a function, which cannot be stored"):
        train(make_net(), (X, Y), options=options)
    assert not (tmp_path / "a").exists()


def test_a_checkpoint_path_that_is_a_file(make_net, quiet, tmp_path):
    (tmp_path / "file").touch()
    for path in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(ValueError) as caught:
            train(make_net(), (X, Y), options=quiet(checkpoint_path=path))
        assert str(caught.value) == f"TrainingOptions: checkpoint_path {path} is not a folder"
