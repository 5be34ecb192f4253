import re

import numpy as np
import pytest
from numpy.testing import assert_array_equal

import convcore as cc


def test_as_in_the_specification():
    layer = cc.SequenceInput(12)
    assert (layer.kind, layer.description()) == ("Sequence Input", "Sequence input with 12 dimensions")
    assert cc.SequenceInput((3, 28, 27)).description() == "Sequence input with 28x27x3 dimensions"
    assert repr(layer) == "SequenceInput(12)"
    assert repr(cc.SequenceInput([2, 5], min_length=3)) == "SequenceInput((2, 5), min_length=3)"


@pytest.mark.parametrize(
    ("size", "shape", "format", "orders"),
    [
        (3, (2, 3, 5), "BCT", ["CBT", "TBC"]),
        ((3,), (2, 3, 5), "BCT", ["CTB"]),
        ((3, 6), (2, 5, 3, 6), "BTCS", ["SCBT", "BCST"]),
        ((3, 6, 7), (2, 5, 3, 6, 7), "BTCSS", ["SSCBT", "TSCSB"]),
    ],
)
def test_arrays_get_a_format_and_values_stay(size, shape, format, orders):
    layer = cc.SequenceInput(size)
    x = cc.Tensor(np.arange(np.prod(shape), dtype="f4").reshape(shape))
    y = layer.apply(x, False, None)
    assert (y.format, x.format) == (format, None)
    assert y.data is x.data
    assert layer.forward(x, True, None).format == format
    for order in orders:
        axes = cc.layers.formats.permutation(format, order)
        z = cc.Tensor(x.data.transpose(axes), format=order)
        assert layer.apply(z, False, None) is z


def test_gradients_flow_though_the_tensor_is_not_renamed():
    x = cc.Tensor(np.ones((2, 3, 5)), requires_grad=True)
    with cc.Tape() as tape:
        y = cc.SequenceInput(3).apply(x, False, None)
    tape.backward(y, grad=np.full((2, 3, 5), 7.0))
    assert (x.format, y.format) == (None, "BCT")
    assert_array_equal(x.grad, np.full((2, 3, 5), 7))


@pytest.mark.parametrize(
    ("size", "shape", "format", "text"),
    [
        (12, (2, 11, 5), None, "seq: expects sequences (N, 12, T), got (2, 11, 5)"),
        (12, (2, 12), None, "seq: expects sequences (N, 12, T), got (2, 12)"),
        (12, (11, 2, 5), "CBT", "seq: expects sequences (N, 12, T), got (11, 2, 5) CBT"),
        (12, (2, 12, 5), "BCS", 'seq: SequenceInput takes formats with the letters of "BCT", got "BCS"'),
        (12, (2, 12, 2), None, "seq: expects at least 3 time steps, got 2"),
        ((3, 6), (2, 5, 6, 3), None, "seq: expects sequences (N, T, 3, 6), got (2, 5, 6, 3)"),
        ((3, 6, 7), (2, 5, 3, 6), None, "seq: expects sequences (N, T, 3, 6, 7), got (2, 5, 3, 6)"),
    ],
)
def test_other_sizes(size, shape, format, text):
    layer = cc.SequenceInput(size, min_length=3, name="seq")
    for give in (
        lambda: layer.apply(cc.Tensor(np.ones(shape), format=format), False, None),
        lambda: layer.infer([cc.layers.formats.Form(shape, format)], np.dtype("f4")),
    ):
        with pytest.raises(ValueError) as caught:
            give()
        assert str(caught.value) == text


@pytest.mark.parametrize(
    ("arguments", "options", "error", "text"),
    [
        (((),), {}, TypeError, "input_size must be channels, (channels, width) or (channels, height, width), got ()"),
        (((1, 2, 3, 4),), {}, TypeError,
         "input_size must be channels, (channels, width) or (channels, height, width), got (1, 2, 3, 4)"),
        ((1.5,), {}, TypeError, "input_size[0] must be an int, got 1.5"),
        (((3, 0),), {}, ValueError, "input_size[1] must be at least 1, got 0"),
        ((3,), {"min_length": 0}, ValueError, "min_length must be at least 1, got 0"),
        ((3,), {"min_length": "1"}, TypeError, "min_length must be an int, got '1'"),
    ],
)  # fmt: skip
def test_bad_arguments(arguments, options, error, text):
    with pytest.raises(error) as caught:
        cc.SequenceInput(*arguments, **options)
    assert str(caught.value) == f"SequenceInput: {text}"


# --------------------------------------------------------------------------------------------------- in networks


def test_lengths_may_differ_from_batch_to_batch():
    net = cc.Network([cc.SequenceInput(3), cc.FullyConnected(4), cc.ReLU(), cc.FullyConnected(2)], dtype="float64")
    assert net.input_shape is None
    rng = np.random.default_rng(0)
    long = rng.standard_normal((5, 3, 9))
    y = net(long)
    assert (y.shape, y.format) == ((5, 2, 9), "BCT")
    assert (net.input_shape, net.input_format) == ((3, 9), None)
    for length in (1, 4, 9):
        assert_array_equal(net(long[..., :length]).data, y.data[..., :length])  # each time step by itself
    assert_array_equal(net.predict(long, batch_size=2), y.data)
    assert net.predict(long[:0]).shape == (0, 2, 9)
    assert net.shapes((3, 20))[-1] == (2, 20)
    z = net(cc.Tensor(long.transpose(1, 0, 2), format="CBT"))
    assert (z.shape, z.format) == ((2, 5, 9), "CBT")
    assert_array_equal(z.data, y.data.transpose(1, 0, 2))


def test_fully_connected_acts_on_each_time_step():
    """Z at time step t is W times X at t, plus b."""
    net = cc.Network([cc.SequenceInput(3), cc.FullyConnected(4)], dtype="float64")
    x = np.random.default_rng(0).standard_normal((2, 3, 5))
    p = net.parameters()
    w, b = p["fc.weights"].data, p["fc.bias"].data
    assert w.shape == (4, 3)
    np.testing.assert_allclose(net(x).data, np.einsum("jc,nct->njt", w, x) + b[:, None], rtol=1e-12)


def test_sizes_are_known_without_data():
    net = cc.Network([cc.SequenceInput(12, min_length=7), cc.FullyConnected(5)])
    assert net.shapes() == [(12, 7), (12, 7), (5, 7)]
    assert net.parameters()["fc.weights"].shape == (5, 12)
    assert (net.takes((12, 8)), net.takes((12, 6)), net.takes((11, 8)), net.takes((12,))) == (True, False, False, False)
    assert net.predict(np.ones((2, 12, 30))).shape == (2, 5, 30)


def test_sequences_of_images(tmp_path):
    net = cc.Network([cc.SequenceInput((2, 6, 6)), cc.Conv2D(3, 3), cc.ReLU(), cc.MaxPool2D(2), cc.FullyConnected(4),
                      cc.Softmax()], dtype="float64")  # fmt: skip
    x = np.random.default_rng(0).standard_normal((3, 4, 2, 6, 6))
    y = net(x)
    assert (y.shape, y.format) == ((3, 4, 4), "BTC")
    images = cc.Network([cc.ImageInput((2, 6, 6), normalization="none"), cc.Conv2D(3, 3), cc.ReLU(), cc.MaxPool2D(2),
                         cc.FullyConnected(4), cc.Softmax()], dtype="float64")  # fmt: skip
    images.load_arrays(net.arrays())
    assert_array_equal(images.predict(x.reshape(12, 2, 6, 6)), y.data.reshape(12, 4))
    assert_array_equal(images(cc.Tensor(x, format="BTCSS")).data, y.data)
    z = net(cc.Tensor(x.transpose(3, 4, 2, 0, 1), format="SSCBT"))
    assert z.format == "CBT"
    assert_array_equal(z.data, y.data.transpose(2, 0, 1))
    net.save(tmp_path / "net")
    again = cc.load(tmp_path / "net")
    assert_array_equal(again.predict(x[:, :2]), y.data[:, :2])
    assert again.input_shape == (4, 2, 6, 6)


FILTER_11 = "conv: conv1d: the filter covers 11 cells in width, the padded input has 1"


@pytest.mark.parametrize(
    ("layers", "text"),
    [
        ([cc.SequenceInput(12), cc.Conv1D(11, 3)],
         f"{FILTER_11}; longer sequences fit: sequenceinput with min_length=11 instead of 1"),
        # what the whole network needs: 7 steps for the pooling, (7 - 1) · 2 + 11 for the convolution before it
        ([cc.SequenceInput(12, name="seq"), cc.Conv1D(11, 3, stride=2), cc.MaxPool1D(7)],
         f"{FILTER_11}; longer sequences fit: seq with min_length=23 instead of 1"),
        ([cc.SequenceInput((2, 8), min_length=2), cc.Conv2D(3, 3)],
         "conv: conv2d: the filter covers 3 cells in width, the padded input has 2; longer sequences fit: "
         "sequenceinput with min_length=3 instead of 2"),
        # what no length mends, and what only calls of a user's function could tell
        ([cc.SequenceInput(12), cc.Conv1D(11, 3, num_channels=4)], "conv: expects 4 channels, got 12 (inputs (12, 1))"),
        ([cc.SequenceInput(12), cc.Conv1D(11, 3), cc.FullyConnected(2), cc.Conv2D(3, 1)],
         FILTER_11.replace("conv:", "conv_1:")),
        ([cc.SequenceInput(12), cc.Function(lambda x: x), cc.Conv1D(11, 3)], FILTER_11),
    ],
)  # fmt: skip
def test_too_short_a_least_length_names_the_one_that_fits(layers, text):
    net = cc.Network(layers)
    for infer in (net.initialize, net.shapes, net.parameters):
        with pytest.raises(ValueError, match=f"^{re.escape(text)}$"):
            infer()
    assert any(problem.endswith(text) for problem in net.summary().problems)
    assert not net.initialized


def test_only_sequences_of_the_least_length_are_told_of_longer_ones():
    layers = [cc.SequenceInput(12, min_length=3), cc.Conv1D(11, 3)]
    net = cc.Network(layers)
    with pytest.raises(ValueError, match=r"the padded input has 5$"):
        net(np.zeros((1, 12, 5)))
    assert not net.takes((12, 5))
    assert net.takes((12, 11))
    net = cc.Network([type(layer)(**layer.config()) for layer in [cc.SequenceInput(12, min_length=11), layers[1]]])
    net.initialize()
    assert net.output_shape == (3, 1)


@pytest.mark.parametrize(
    ("least", "text"),
    [
        (4, "a with min_length=5 instead of 1, b with min_length=5 instead of 4"),
        (8, "a with min_length=8 instead of 1"),
    ],
)
def test_several_inputs_get_longer_together(least, text):
    net = cc.Network.from_graph(
        {"a": cc.SequenceInput(2), "b": cc.SequenceInput(2, min_length=least), "sum": cc.Addition(),
         "conv": cc.Conv1D(5, 1)},
        [("a", "sum"), ("b", "sum"), ("sum", "conv")],
    )  # fmt: skip
    with pytest.raises(ValueError, match=f"^sum: .*; longer sequences fit: {text}$"):
        net.initialize()


def test_an_input_that_is_long_enough_stays_as_long():
    net = cc.Network.from_graph(
        {"a": cc.SequenceInput(2), "b": cc.SequenceInput(2, min_length=8), "conv": cc.Conv1D(5, 1), "relu": cc.ReLU()},
        [("a", "conv"), ("b", "relu")],
    )
    with pytest.raises(ValueError, match=r"longer sequences fit: a with min_length=5 instead of 1$"):
        net.initialize()
