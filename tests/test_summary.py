import numpy as np
import pytest

import convcore as cc

# name, type, activations, learnables, multiply-adds; LeCun's numbers in the form with padding 2 and max-pooling
LENET5 = [
    ("imageinput", "ImageInput", (1, 28, 28), 0, 0),
    ("conv1", "Conv2D", (6, 28, 28), (25 + 1) * 6, 25 * 6 * 28 * 28),
    ("relu1", "ReLU", (6, 28, 28), 0, 0),
    ("pool1", "MaxPool2D", (6, 14, 14), 0, 0),
    ("conv2", "Conv2D", (16, 10, 10), (6 * 25 + 1) * 16, 6 * 25 * 16 * 10 * 10),
    ("relu2", "ReLU", (16, 10, 10), 0, 0),
    ("pool2", "MaxPool2D", (16, 5, 5), 0, 0),
    ("fc1", "FullyConnected", (120,), 401 * 120, 400 * 120),
    ("relu3", "ReLU", (120,), 0, 0),
    ("fc2", "FullyConnected", (84,), 121 * 84, 120 * 84),
    ("relu4", "ReLU", (84,), 0, 0),
    ("fc3", "FullyConnected", (10,), 85 * 10, 84 * 10),
    ("softmax", "Softmax", (10,), 0, 0),
]


@pytest.mark.parametrize(("dtype", "itemsize"), [("float32", 4), ("float64", 8)])
def test_lenet5(dtype, itemsize):
    net = cc.lenet5(dtype=dtype)
    summary = net.summary()
    keys = ("name", "type", "activations", "learnables", "multiply_adds")
    assert [tuple(row[key] for key in keys) for row in summary.rows] == LENET5
    assert [row["bytes"] for row in summary.rows] == [itemsize * (np.prod(a) + n) for _, _, a, n, _ in LENET5]
    assert summary.totals["learnables"] == 61_706
    assert summary.totals["multiply_adds"] == 416_520
    assert summary.totals["bytes"] == sum(row["bytes"] for row in summary.rows)
    assert summary.totals["saved_bytes"] == sum(row["saved_bytes"] for row in summary.rows)
    assert summary.problems == []
    assert not net.initialized  # looking changes nothing
    assert sum(p.size for p in net.parameters().values()) == 61_706
    assert net.summary().rows == summary.rows


def test_in_print():
    text = str(cc.lenet5().summary())
    assert repr(cc.lenet5().summary()) == text
    lines = [" ".join(line.split()) for line in text.splitlines()]
    for line in ("name type activations learnables multiply-adds bytes saved bytes",
                 "conv1 Conv2D 6 × 28 × 28 156 117,600 19,440 0", "pool1 MaxPool2D 6 × 14 × 14 0 0 4,704 9,408",
                 "fc1 FullyConnected 120 48,120 48,000 192,960 0", "total 61,706 416,520 308,408 16,600"):  # fmt: skip
        assert line in lines
    assert max(map(len, text.splitlines())) <= 100
    assert "problem" not in text


IMAGE = (1, 28, 28)


@pytest.mark.parametrize(
    ("layers", "problems"),
    [
        ([cc.ImageInput(IMAGE), cc.Conv2D(5, 6, num_channels=3, name="conv1"), cc.FullyConnected(10), cc.Softmax()],
         ["conv1: expects 3 channels, got 1 (inputs (1, 28, 28))"]),
        ([cc.ImageInput(IMAGE), cc.MaxPool2D(14), cc.Conv2D(5, 6), cc.Softmax()],
         ["conv: conv2d: the filter covers 5 cells in height, the padded input has 2"]),
        ([cc.ImageInput(IMAGE), cc.MaxPool2D(29, name="pool"), cc.Softmax()],
         ["pool: max_pool2d: the window covers 29 cells in height, the padded input has 28"]),
        ([cc.ImageInput(IMAGE), cc.FullyConnected(10), cc.Conv2D(3, 2), cc.Softmax()],
         ["conv: expects images (channels, height, width), got (10,)"]),
        ([cc.ImageInput(IMAGE), cc.FullyConnected(10, weights=np.ones((10, 400))), cc.Softmax()],
         ["fc: expects 400 inputs, got 784 (inputs (1, 28, 28))"]),
        ([cc.ImageInput(IMAGE), cc.FullyConnected(10)], ["fc: a classifier must end in Softmax"]),
        ([cc.Conv2D(5, 6), cc.Softmax()],
         ["the size of the input is not known: begin with ImageInput, or call initialize"]),
        ([cc.ImageInput(IMAGE), cc.Conv2D(29, 1), cc.ReLU()],
         ["conv: conv2d: the filter covers 29 cells in height, the padded input has 28",
          "relu: a classifier must end in Softmax"]),
        ([cc.ImageInput(IMAGE), cc.FullyConnected(10), cc.ClassificationOutput()],
         ["classoutput: ClassificationOutput must follow a Softmax, it follows fc"]),
        ([cc.ImageInput(IMAGE), cc.FullyConnected(10), cc.Softmax(), cc.ClassificationOutput(), cc.Softmax()],
         ["classoutput: ClassificationOutput must be the last layer"]),
        ([cc.SequenceInput(12), cc.Conv2D(3, 2), cc.Softmax()],
         ['conv: Conv2D takes formats with B, C and two S, or one S and T, such as "BCSS" or "BCST", got "BCT"']),
        ([cc.ImageInput(IMAGE), cc.FullyConnected(10), cc.Softmax(), cc.ClassificationOutput(["a", "b"])],
         ["classoutput: expects 2 classes, got 10 (inputs (10,))"]),
    ],
)  # fmt: skip
def test_problems(layers, problems):
    summary = cc.Network(layers).summary()
    assert summary.problems == problems
    assert str(summary).splitlines()[-len(problems) :] == [f"problem: {problem}" for problem in problems]
    known = [row for row in summary.rows if row["activations"] is not None]
    assert len(known) < len(layers) or any(" must " in problem for problem in problems)
    unknown = [row for row in summary.rows if row["activations"] is None]
    assert all(row["learnables"] == row["multiply_adds"] == 0 for row in unknown)
    assert all(row["saved_bytes"] is None for row in unknown)
    assert all(row["saved_bytes"] is not None for row in known)
    assert (summary.totals["saved_bytes"] is None) == bool(unknown)


def test_after_the_first_data_the_size_is_known():
    net = cc.Network([cc.Conv2D(5, 6), cc.Softmax()])
    net(np.zeros((1, 3, 9, 8)))
    summary = net.summary()
    assert summary.problems == []
    assert summary.rows[0]["activations"] == (6, 5, 4)
    assert summary.totals["learnables"] == 6 * 76


@pytest.mark.parametrize("last", [[cc.Softmax()], [cc.Softmax(), cc.ClassificationOutput()], [cc.RegressionOutput()]])
def test_ends_without_problems(last):
    layers = [type(layer)(**layer.config()) for layer in [cc.ImageInput(IMAGE), cc.FullyConnected(10), *last]]
    assert cc.Network(layers).summary().problems == []


def test_time_steps_are_counted():
    layers = [cc.SequenceInput((1, 8, 8), min_length=5), cc.Conv2D(3, 2), cc.FullyConnected(3), cc.Softmax()]
    summary = cc.Network(layers).summary()
    assert [row["activations"] for row in summary.rows] == [(5, 1, 8, 8), (5, 2, 6, 6), (5, 3), (5, 3)]
    assert [row["multiply_adds"] for row in summary.rows] == [0, 5 * 9 * 2 * 36, 5 * 72 * 3, 0]
    assert summary.problems == []


def test_conversions_of_formats_are_counted():
    net = cc.Network([cc.SequenceInput(4, min_length=6), cc.FullyConnected(3), cc.Softmax()])
    row = net.summary().rows[1]
    assert row["conversion_bytes"] == 4 * (4 * 6 + 3 * 6)  # (1, 4, 6) to (6, 4) and (6, 3) to (1, 3, 6)
    assert "conversions" in str(net.summary())
    assert "conversions" not in str(cc.lenet5().summary())


def test_states_are_counted_apart():
    class Shift(cc.Layer):
        learned = ("offset",)

        def array_shapes(self, input_shape):
            return {"offset": (3,), "running_mean": (5,)}

    summary = cc.Network([cc.ImageInput((3, 2, 2)), Shift(), cc.Softmax()]).summary()
    assert (summary.rows[1]["learnables"], summary.rows[1]["state"]) == (3, 5)
    assert summary.rows[1]["bytes"] == 4 * (12 + 3 + 5)
    assert "state" in str(summary)
    assert "state" not in str(cc.lenet5().summary())


def test_graphs():
    net = cc.Network.from_graph(
        {"conv": cc.Conv2D(3, 2), "add": cc.Addition(), "head": cc.FullyConnected(3)},
        [("in", "conv"), ("conv", "add"), ("in", "add"), ("conv", "head")],
    )
    assert net.summary().problems == ["the size of the input is not known: begin with ImageInput, or call initialize"]
    with pytest.raises(ValueError, match="the inputs must have one shape"):
        net.initialize((2, 5, 5))
    net = cc.Network.from_graph(
        {"in": cc.ImageInput((2, 5, 5)), "conv": cc.Conv2D(3, 2), "add": cc.Addition(), "relu": cc.ReLU(),
         "head": cc.FullyConnected(3)},
        [("in", "conv"), ("conv", "add"), ("in", "add"), ("conv", "head"), ("add", "relu")],
    )  # fmt: skip
    summary = net.summary()
    assert summary.problems == ["add: the inputs must have one shape, got (2, 3, 3) and (2, 5, 5)"]
    known = {row["name"]: row["activations"] for row in summary.rows}
    assert known == {"in": (2, 5, 5), "conv": (2, 3, 3), "add": None, "relu": None, "head": (3,)}


def test_columns_stand_below_each_other():
    lines = str(cc.lenet5().summary()).splitlines()
    assert lines[0].index("name") == lines[2].index("imageinput")
    assert lines[0].index("type") == lines[2].index("ImageInput")
