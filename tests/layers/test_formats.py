"""Formats: every kind of layer in every order of axes computes the same."""

import itertools

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

import convcore as cc
from convcore.layers import formats
from convcore.layers.formats import Form

SIZES = {"B": 2, "C": 3, "T": 4, "S0": 5, "S1": 6, "S2": 7}


def orders(base):
    """Every format with the letters of `base`, each once."""
    return sorted({"".join(letters) for letters in itertools.permutations(base)})


def data(format, seed=0):
    """Small whole numbers, of which every sum is exact, with sizes that tell the axes apart."""
    shape = [SIZES[mark] for mark in formats.marks(format)]
    return np.random.default_rng(seed).integers(-4, 5, shape).astype(float)


def moved(x, format, wanted):
    """An array in another order of its axes, done by hand."""
    order = [formats.marks(format).index(mark) for mark in formats.marks(wanted)]
    return x.transpose(order)


def conv():
    return cc.Conv2D((2, 3), 2, stride=(1, 2), weights=data("BCSS")[:, :, :2, :3], bias=[1, 2], name="conv")


def each_step(layer, x, axis):
    """The layer on each time step by itself."""
    steps = [layer.forward(cc.Tensor(step), False, None).data for step in np.moveaxis(x, axis, 0)]
    return np.stack(steps, axis)


def plain(layer, x):
    return layer.forward(cc.Tensor(x), False, None).data


def fully_connected(inputs):
    weights = np.random.default_rng(1).integers(-4, 5, (2, inputs)).astype(float)
    return cc.FullyConnected(2, weights=weights, bias=[1.0, -1], name="fc")


def batch_norm():
    return cc.BatchNorm(scale=[1, 2, -1], offset=[0, 1, 2], trained_mean=[1, 2, 3], trained_variance=[1, 4, 9])


def each_cell(normalize):
    """What a normalization over channels makes of BCSS data, where other axes are as good as S."""

    def by_hand(layer, x):
        return normalize(layer, x.reshape(*x.shape[:2], -1)).reshape(x.shape)

    return by_hand


def by_statistics(layer, x):
    """With the trained mean and variance of each channel."""
    mean, variance, scale, offset = (
        np.reshape(a, (3, 1)) for a in ([1, 2, 3], [1, 4, 9], layer.scale.data, layer.offset.data)
    )
    return (x - mean) / np.sqrt(variance + layer.epsilon) * scale + offset


def by_neighbours(layer, x):
    """Windows of 2 channels: its own and the next."""
    squares = x**2
    sums = squares + np.concatenate([squares[:, 1:], np.zeros_like(squares[:, :1])], axis=1)
    return x / (layer.k + layer.alpha * sums / 2) ** layer.beta


def largest(*axes, keepdims=True):
    return lambda layer, x: x.max(axes, keepdims=keepdims)


def mean(*axes, keepdims=True):
    return lambda layer, x: x.mean(axes, keepdims=keepdims)


# name -> layer, format of the data, result by hand, its format
CASES = {
    "relu": (cc.ReLU, "BTCSS", plain, "BTCSS"),
    "relu without batch": (cc.ReLU, "SC", plain, "SC"),
    "dropout": (cc.Dropout, "BCSS", plain, "BCSS"),
    "image input": (lambda: cc.ImageInput((3, 5, 6)), "BCSS", plain, "BCSS"),
    "image sequence": (lambda: cc.ImageInput((3, 5, 6)), "BTCSS", lambda layer, x: each_step(layer, x, 1), "BTCSS"),
    "conv": (conv, "BCSS", plain, "BCSS"),
    "conv, sequence": (conv, "BTCSS", lambda layer, x: each_step(layer, x, 1), "BTCSS"),
    "conv, 1-D sequence": (conv, "BCST", plain, "BCST"),
    "max pool": (lambda: cc.MaxPool2D((2, 3), stride=1), "BCSS", plain, "BCSS"),
    "avg pool": (lambda: cc.AvgPool2D((2, 4), stride=1), "BTCSS", lambda layer, x: each_step(layer, x, 1), "BTCSS"),
    "fc": (lambda: fully_connected(90), "BCSS", plain, "BC"),
    "fc, flat": (lambda: fully_connected(3), "BC", plain, "BC"),
    "fc, vectors": (lambda: fully_connected(3), "BCT", lambda layer, x: each_step(layer, x, 2), "BCT"),
    "fc, sequence": (lambda: fully_connected(90), "BTCSS", lambda layer, x: each_step(layer, x, 1), "BTC"),
    "flatten": (cc.Flatten, "BCSS", lambda layer, x: x.reshape(2, -1), "BC"),
    "flatten, sequence": (cc.Flatten, "BTCS", lambda layer, x: x.reshape(2, 4, -1), "BTC"),
    "flatten, vectors": (cc.Flatten, "BCT", lambda layer, x: x, "BCT"),
    "softmax": (cc.Softmax, "BC", plain, "BC"),
    "softmax, vectors": (cc.Softmax, "BCT", plain, "BCT"),
    "softmax, images": (cc.Softmax, "BCSST", plain, "BCSST"),
    "batch norm": (batch_norm, "BCSS", each_cell(by_statistics), "BCSS"),
    "batch norm, sequence": (batch_norm, "BCSST", each_cell(by_statistics), "BCSST"),
    "batch norm, flat": (batch_norm, "BC", each_cell(by_statistics), "BC"),
    "cross-channel norm": (lambda: cc.CrossChannelNorm(2, alpha=0.5), "BCSS", each_cell(by_neighbours), "BCSS"),
    "cross-channel norm, sequence": (lambda: cc.CrossChannelNorm(2), "BCSST", each_cell(by_neighbours), "BCSST"),
    "class output": (cc.ClassificationOutput, "BCT", plain, "BCT"),
    "regression output": (cc.RegressionOutput, "BCT", plain, "BCT"),
    "max pool 1-D": (lambda: cc.MaxPool1D(2, stride=1), "BCS", plain, "BCS"),
    "max pool 1-D over time": (lambda: cc.MaxPool1D(3), "BCT", plain, "BCT"),
    "max pool 1-D, sequence": (lambda: cc.MaxPool1D(2), "BTCS", lambda layer, x: each_step(layer, x, 1), "BTCS"),
    "max pool, sequence": (lambda: cc.MaxPool2D(2), "BTCSS", lambda layer, x: each_step(layer, x, 1), "BTCSS"),
    "max pool, 1-D sequence": (lambda: cc.MaxPool2D((2, 3)), "BCST", plain, "BCST"),
    "max pool 3-D": (lambda: cc.MaxPool3D((2, 3, 4), stride=2), "BCSSS", plain, "BCSSS"),
    "max pool 3-D over time": (lambda: cc.MaxPool3D((2, 3, 2)), "BCSST", plain, "BCSST"),
    "avg pool 1-D": (lambda: cc.AvgPool1D(2, padding=1), "BCS", plain, "BCS"),
    "avg pool 1-D over time": (lambda: cc.AvgPool1D(2, stride=1), "BCT", plain, "BCT"),
    "avg pool 1-D, sequence": (lambda: cc.AvgPool1D(2), "BTCS", lambda layer, x: each_step(layer, x, 1), "BTCS"),
    "avg pool, images": (lambda: cc.AvgPool2D((2, 4)), "BCSS", plain, "BCSS"),
    "avg pool, 1-D sequence": (lambda: cc.AvgPool2D((2, 3)), "BCST", plain, "BCST"),
    "avg pool 3-D": (lambda: cc.AvgPool3D((2, 3, 4)), "BCSSS", plain, "BCSSS"),
    "avg pool 3-D over time": (lambda: cc.AvgPool3D((2, 3, 2)), "BCSST", plain, "BCSST"),
    "global max": (cc.GlobalMaxPool, "BCSS", largest(2, 3), "BCSS"),
    "global max, sequence": (cc.GlobalMaxPool, "BTCSS", largest(3, 4), "BTCSS"),
    "global max over time": (cc.GlobalMaxPool, "BCT", largest(2, keepdims=False), "BC"),
    "global max, volumes": (cc.GlobalMaxPool, "BCSSS", largest(2, 3, 4), "BCSSS"),
    "global mean": (cc.GlobalAvgPool, "BCSS", mean(2, 3), "BCSS"),
    "global mean, sequence": (cc.GlobalAvgPool, "BTCS", mean(3), "BTCS"),
    "global mean over time": (cc.GlobalAvgPool, "BCT", mean(2, keepdims=False), "BC"),
}  # fmt: skip
# Their own order of summation, or of powers and roots, is not that of the definition.
ROUNDED = (cc.BatchNorm, cc.CrossChannelNorm, cc.GlobalAvgPool, cc.AvgPool1D, cc.AvgPool2D, cc.AvgPool3D)
by_case = pytest.mark.parametrize("case", CASES.values(), ids=CASES)


def ready(make, format):
    """A layer with parameters for data of this format."""
    layer = make()
    found = layer.infer([Form(tuple(SIZES[mark] for mark in formats.marks(format)), format)], np.dtype("f8"))
    layer.initialize(found.input_shape, np.random.default_rng(0), np.dtype("f8"))
    if isinstance(layer, cc.ImageInput):
        layer.remembered = {"mean": np.arange(1.0, 4).reshape(3, 1, 1)}
    return layer


@by_case
def test_every_order_gives_the_same(case):
    make, base, by_hand, base_out = case
    layer, x = ready(make, base), data(base)
    expected = by_hand(layer, x)
    for format in orders(base):
        y = layer.apply(cc.Tensor(moved(x, base, format), format=format), False, None)
        assert y.format == formats.in_order_of(base_out, format)
        wanted = moved(expected, base_out, y.format)
        if isinstance(layer, ROUNDED):
            assert_allclose(y.data, wanted, rtol=1e-12, atol=1e-14)
        else:
            assert_array_equal(y.data, wanted)


@by_case
def test_every_order_gives_the_same_gradients(case):
    make, base, _, base_out = case
    layer = ready(make, base)
    expected = None
    for format in [base, *orders(base)[::5]]:
        x = cc.Tensor(moved(data(base), base, format), requires_grad=True, format=format)
        with cc.Tape() as tape:
            y = layer.apply(x, False, None)
        if y is x:
            continue  # the identity
        sizes = dict(zip(formats.marks(y.format), y.shape, strict=True))
        grad = data("BCSSST", 1).ravel()[: y.size].reshape([sizes[mark] for mark in formats.marks(base_out)])
        tape.backward(y, grad=moved(grad, base_out, y.format))
        found = [moved(x.grad, format, base), *[p.grad for p in layer.learnables.values()]]
        for p in layer.learnables.values():
            p.grad = None
        expected = found if expected is None else expected
        for one, other in zip(found, expected, strict=True):
            assert_allclose(one, other, rtol=1e-12, atol=1e-12)


@by_case
def test_sizes_are_inferred_in_every_order_and_for_no_observation(case):
    make, base, _, _ = case
    layer = ready(make, base)
    for format in orders(base):
        x = moved(data(base), base, format)
        if "B" in format:
            x = x.take([0], axis=format.index("B"))
        y = layer.apply(cc.Tensor(x, format=format), False, None)
        found = layer.infer([Form(x.shape, format)], np.dtype("f8"))
        assert found.output == Form(y.shape, y.format)
        if "B" in format:
            empty = layer.apply(cc.Tensor(x.take([], axis=format.index("B")), format=format), False, None)
            assert empty.format == y.format
            assert [n for n, letter in zip(empty.shape, y.format, strict=True) if letter == "B"] == [0]


def test_gradients_through_a_folded_and_transposed_layer():
    layer = ready(conv, "BTCSS")
    x = moved(data("BTCSS"), "BTCSS", "SCTSB")
    assert cc.gradcheck(lambda x: layer.apply(cc.layers.formats.labelled(x, "SCTSB"), False, None), [x])


@pytest.mark.parametrize(
    ("make", "format", "ops"),
    [
        (conv, "BCSS", ["conv2d"]),
        (conv, "BTCSS", ["reshape", "conv2d", "reshape"]),
        (conv, "TBCSS", ["reshape", "conv2d", "reshape"]),
        (conv, "SSCB", ["transpose", "conv2d", "transpose"]),
        (lambda: fully_connected(90), "BCSS", ["fully_connected"]),
        (lambda: fully_connected(3), "BTC", ["reshape", "fully_connected", "reshape"]),
        (cc.ReLU, "SSCB", ["relu"]),
        (cc.Softmax, "BCSS", ["softmax"]),
    ],
)
def test_what_is_recorded(make, format, ops):
    layer = ready(make, format)
    with cc.Tape() as tape:
        layer.apply(cc.Tensor(data(format), requires_grad=True, format=format), False, None)
    assert [record.op for record in tape.records] == ops


def test_nothing_is_copied_where_the_order_is_canonical():
    x = cc.Tensor(data("BTCSS"), format="BTCSS")
    taken = formats.arrangement(conv(), "BTCSS").take(x)
    assert np.shares_memory(taken.data, x.data)
    x = cc.Tensor(data("BCSS"), format="BCSS")
    assert formats.arrangement(conv(), "BCSS").take(x) is x
    assert ready(conv, "BCSS").infer([Form((1, 3, 5, 6), "BCSS")], np.dtype("f8")).moved == 0
    found = ready(conv, "BCSS").infer([Form((5, 6, 3, 1), "SSCB")], np.dtype("f8"))
    assert found.moved == 5 * 6 * 3 + 4 * 2 * 2
    assert ready(conv, "BTCSS").infer([Form((1, 4, 3, 5, 6), "BTCSS")], np.dtype("f8")).repeats == 4


def test_arrays_without_a_format():
    layer, x = ready(conv, "BCSS"), data("BTCSS")
    y = layer.apply(cc.Tensor(x), False, None)  # 5 axes are sequences of images
    assert y.format == "BTCSS"
    assert_array_equal(y.data, each_step(layer, x, 1))
    assert layer.apply(cc.Tensor(x[0]), False, None).format is None
    assert cc.MaxPool3D(2).apply(cc.Tensor(data("BCSSS")), False, None).format is None  # 5 axes are what it works on
    assert cc.ReLU().apply(cc.Tensor(x), False, None).format is None
    assert layer.infer([Form((1, 4, 3, 5, 6), None)], np.dtype("f8")).output == Form((1, 4, 2, 4, 2), "BTCSS")


CHANNELS = 'formats with B and C, such as "BCSS"'
TWO = 'Conv2D takes formats with B, C and two S, or one S and T, such as "BCSS" or "BCST"'


@pytest.mark.parametrize(
    ("make", "format", "text"),
    [
        (conv, "BCT", f'conv: {TWO}, got "BCT"'),
        (lambda: cc.Conv2D(3, 2), "BC", f'Conv2D: {TWO}, got "BC"'),
        (conv, "BCS", f'conv: {TWO}, got "BCS"'),
        (conv, "BCSSS", f'conv: {TWO}, got "BCSSS"'),
        (conv, "SSB", f'conv: {TWO}, got "SSB"'),
        (conv, "SSC", f'conv: {TWO}, got "SSC"; it has no batch axis B'),
        (lambda: cc.MaxPool1D(2), "BCSS", 'MaxPool1D: MaxPool1D takes formats with B, C and one S or T, such as "BCS" '
                                          'or "BCT", got "BCSS"'),
        (lambda: cc.AvgPool3D(2), "BCSS", 'AvgPool3D: AvgPool3D takes formats with B, C and three S, or two S and T, '
                                          'such as "BCSSS" or "BCSST", got "BCSS"'),
        (lambda: fully_connected(3), "BT", 'fc: FullyConnected takes formats with B and C, such as "BCSS" or "BCT", '
                                           'got "BT"'),
        (cc.Flatten, "CS", 'Flatten: Flatten takes formats with B and C, such as "BCSS" or "BCT", got "CS"; '
                           'it has no batch axis B'),
        (cc.Softmax, "BS", f'Softmax: Softmax takes {CHANNELS}, got "BS"'),
        (cc.GlobalMaxPool, "BC",
         'GlobalMaxPool: GlobalMaxPool takes formats with B, C and S or T, such as "BCSS" or "BCT", got "BC"'),
    ],
)  # fmt: skip
def test_formats_that_a_layer_cannot_take(make, format, text):
    layer = make()
    for give in (
        lambda: layer.apply(cc.Tensor(data(format), format=format), False, None),
        lambda: layer.infer([Form(data(format).shape, format)], np.dtype("f8")),
    ):
        with pytest.raises(ValueError) as caught:
            give()
        assert str(caught.value) == text


def test_a_layer_that_does_not_keep_to_its_layout():
    class Sum(cc.Layer):
        def output_shape(self, input_shape):
            return ()

        def forward(self, x, training, rng):
            return cc.sum(x, axis=(1, 2))

    layer = Sum()
    for give in (
        lambda: layer.apply(cc.Tensor(data("BCS"), format="BCS"), False, None),
        lambda: layer.infer([Form((1, 3, 5), "BCS")], np.dtype("f8")),
    ):
        with pytest.raises(ValueError) as caught:
            give()
        assert str(caught.value) == (
            'Sum: the layout "elementwise" makes 3 axes of 3, Sum made 1; declare the layout that it has'
        )
    assert layer.apply(cc.Tensor(data("BCS")), False, None).shape == (2,)  # without a format it may do what it likes


# ------------------------------------------------------------------------------------------------- several inputs


def test_inputs_in_different_orders():
    x, y = data("BCSS"), data("BCSS", 1)
    for one, other in (("BCSS", "SSCB"), ("SSCB", "BCSS"), ("CSBS", "SBSC")):
        pair = (cc.Tensor(moved(x, "BCSS", one), format=one), cc.Tensor(moved(y, "BCSS", other), format=other))
        z = cc.Addition().apply(pair, False, None)
        assert z.format == one
        assert_array_equal(z.data, moved(x + y, "BCSS", one))
        z = cc.Concatenation().apply(pair, False, None)
        assert z.format == one
        assert_array_equal(z.data, moved(np.concatenate([x, y], 1), "BCSS", one))
        forms = [Form(tensor.shape, tensor.format) for tensor in pair]
        assert cc.Addition().infer(forms, np.dtype("f8")).output == forms[0]
        assert cc.Concatenation().infer(forms, np.dtype("f8")).output == Form(z.shape, one)


@pytest.mark.parametrize(
    ("one", "other", "text"),
    [("BCSS", "BC", '"BCSS" and "BC"'), (None, "BC", 'none and "BC"'), ("BCT", None, '"BCT" and none'),
     ("BCS", "BCT", '"BCS" and "BCT"')],
)  # fmt: skip
def test_inputs_with_different_letters(one, other, text):
    pair = [cc.Tensor(data(format or "BC"), format=format) for format in (one, other)]
    for give in (
        lambda: cc.Addition(name="add").apply(tuple(pair), False, None),
        lambda: cc.Addition(name="add").infer([Form(t.shape, t.format) for t in pair], np.dtype("f8")),
    ):
        with pytest.raises(ValueError) as caught:
            give()
        assert str(caught.value) == f"add: the inputs of Addition must have formats of the same letters, got {text}"
