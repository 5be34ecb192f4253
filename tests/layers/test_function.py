import numpy as np
import pytest
from numpy.testing import assert_array_equal

import convcore as cc


def halve(x):
    return cc.multiply(x, 0.5)


def difference(x, y):
    return cc.subtract(x, y)


def per_image(x):
    return cc.mean(x, axis=(2, 3))


def first_axis_lost(x):
    return cc.sum(x, axis=0)


def channels_only(x):
    """For any format: the sum over what is neither batch nor channel."""
    axes = tuple(axis for axis, letter in enumerate(x.format) if letter not in "BC")
    y = cc.sum(x, axis=axes)
    y.format = "".join(letter for letter in x.format if letter in "BC")
    return y


def test_printed_forms():
    assert (cc.Function(halve).kind, cc.Function(halve).description()) == ("Function", "halve")
    assert cc.Function(halve, description="half of it").description() == "half of it"
    layer = cc.Function(difference, num_inputs=2, formattable=True, description="a", name="d")
    assert repr(layer) == "Function(difference, num_inputs=2, formattable=True, description='a', name='d')"
    assert layer.config() == {"f": difference, "num_inputs": 2, "formattable": True, "description": "a", "name": "d"}
    assert repr(cc.Function(halve)) == "Function(halve)"
    assert (layer.input_names, cc.Function(halve).input_names) == (("in1", "in2"), ("in",))


def test_sizes_come_from_a_call_with_zeros():
    assert cc.Function(per_image).output_shape((3, 4, 5)) == (3,)
    assert cc.Function(difference, num_inputs=2).output_shape(((3, 4), (3, 1))) == (3, 4)
    with cc.Tape() as tape:
        w = cc.Parameter(np.ones(3, "f4"))
        cc.Function(lambda x: cc.multiply(x, w)).output_shape((3,))
    assert len(tape) == 0
    seen = []
    layer = cc.Function(lambda x: seen.append(x.dtype) or x)
    cc.Network([layer], dtype="float64")(np.ones((2, 3)))
    assert seen == [np.float64, np.float64]


def test_formats():
    x = np.random.default_rng(0).integers(0, 9, (4, 5, 3, 2)).astype(float)
    y = cc.Function(halve).apply(cc.Tensor(x, format="SSCB"), False, None)
    assert y.format == "SSCB"
    y = cc.Function(channels_only, formattable=True).apply(cc.Tensor(x, format="SSCB"), False, None)
    assert y.format == "CB"
    assert_array_equal(y.data, x.sum((0, 1)))
    net = cc.Network([cc.Function(channels_only, formattable=True), cc.FullyConnected(2)], dtype="float64")
    y = net(cc.Tensor(x, format="SSCB"))
    assert (y.shape, y.format, net.shapes()) == ((2, 2), "CB", [(3, 4, 5), (3,), (2,)])
    with pytest.raises(ValueError) as caught:
        cc.Function(per_image, name="mean").apply(cc.Tensor(x, format="SSCB"), False, None)
    assert str(caught.value) == ('mean: f turned 4 axes "SSCB" into 2; with formattable=True it can say what they are')


def test_gradients_flow_through():
    net = cc.Network.from_graph(
        {"a": cc.FullyConnected(2), "d": cc.Function(difference, num_inputs=2)},
        [("x", "a"), ("a", "d/in2"), ("y", "d/in1")], dtype="float64",
    )  # fmt: skip
    x, y = np.ones((3, 4)), np.ones((3, 2))
    net.initialize([(4,), (2,)])
    assert cc.gradcheck(lambda x, y: net([x, y]), [x, y])
    assert_array_equal(net([x, y]).data, 1 - net.layers[0].forward(cc.Tensor(x), False, None).data)


@pytest.mark.parametrize(
    ("f", "error", "text"),
    [
        (first_axis_lost, ValueError, "fn: f must keep the batch axis, it turned (1, 4) into (4,)"),
        (lambda x: x.data, TypeError, "fn: f must return a Tensor, got ndarray"),
    ],
)
def test_functions_that_do_not_fit(f, error, text):
    with pytest.raises(error) as caught:
        cc.Function(f, name="fn").output_shape((4,))
    assert str(caught.value) == text
    net = cc.Network([cc.Function(f, name="fn"), cc.Softmax()])
    with pytest.raises(error):
        net.initialize((4,))


@pytest.mark.parametrize(
    ("arguments", "options", "error", "text"),
    [
        ((3,), {}, TypeError, "f must be a function, got 3"),
        ((halve,), {"num_inputs": 0}, ValueError, "num_inputs must be at least 1, got 0"),
        ((halve,), {"formattable": 1}, TypeError, "formattable must be True or False, got 1"),
        ((halve,), {"description": None}, TypeError, "description must be a str, got None"),
    ],
)
def test_bad_arguments(arguments, options, error, text):
    with pytest.raises(error) as caught:
        cc.Function(*arguments, **options)
    assert str(caught.value) == f"Function: {text}"


def test_saved_by_name(tmp_path):
    net = cc.Network([cc.Function(halve, name="half"), cc.FullyConnected(2)])
    x = np.ones((3, 4))
    y = net.predict(x)
    net.save(tmp_path / "net")
    name = f"{halve.__module__}:halve"
    again = cc.load(tmp_path / "net", functions={name: halve})
    assert_array_equal(again.predict(x), y)
    with pytest.raises(ValueError) as caught:
        cc.load(tmp_path / "net")
    assert str(caught.value) == (
        f"load: {tmp_path / 'net'}: f is the function {name}; pass it in: functions={{{name!r}: ...}}"
    )
    same = lambda x: x  # noqa: E731
    net = cc.Network([cc.Function(same, name="same")])
    net(x)
    with pytest.raises(ValueError) as caught:
        net.save(tmp_path / "lambda")
    assert str(caught.value) == (
        f"save: same: f must be a function at the top level of a module to be saved, got {same!r}"
    )
    assert not (tmp_path / "lambda").exists()
