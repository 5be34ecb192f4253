"""Addition and Concatenation."""

import numpy as np
import pytest
from numpy.testing import assert_array_equal

import convcore as cc


def test_printed_forms():
    assert (cc.Addition().kind, cc.Addition(3).description()) == ("Addition", "Element-wise addition of 3 inputs")
    assert repr(cc.Addition(num_inputs=3, name="sum")) == "Addition(num_inputs=3, name='sum')"
    assert repr(cc.Concatenation()) == "Concatenation()"
    assert repr(cc.Concatenation(2, 3)) == "Concatenation(axis=2, num_inputs=3)"
    assert cc.Concatenation(2, 3).description() == "Concatenation of 3 inputs along axis 2"
    for layer in (cc.Addition(3), cc.Concatenation(num_inputs=3)):
        assert (layer.num_inputs, layer.input_names) == (3, ("in1", "in2", "in3"))
        assert type(layer)(**layer.config()).config() == layer.config()


def test_they_call_their_functions():
    x, y = (cc.Tensor(np.random.default_rng(seed).standard_normal((2, 3, 4)).astype("f4")) for seed in range(2))
    z = cc.Addition().forward((x, y), False, None)
    assert z.dtype == np.float32
    assert_array_equal(z.data, x.data + y.data)
    assert_array_equal(cc.Addition(3).forward((x, y, x), False, None).data, x.data + y.data + x.data)
    for axis in (1, 2):
        z = cc.Concatenation(axis).forward((x, y), False, None)
        assert_array_equal(z.data, np.concatenate([x.data, y.data], axis))
        assert cc.Concatenation(axis).output_shape(((3, 4), (3, 4))) == z.shape[1:]


@pytest.mark.parametrize("layer", [cc.Addition(3), cc.Concatenation(num_inputs=3), cc.Concatenation(2, 3)])
def test_gradients(layer):
    rng = np.random.default_rng(0)
    assert cc.gradcheck(lambda *x: layer.forward(x, False, None), [rng.standard_normal((2, 3, 4)) for _ in range(3)])


@pytest.mark.parametrize(
    ("layer", "shapes", "text"),
    [
        (cc.Addition(), ((3, 4), (3, 1)), "Addition: the inputs must have one shape, got (3, 4) and (3, 1)"),
        (cc.Addition(3, name="add"), ((3,), (3,), (2,)), "add: the inputs must have one shape, got (3,) and (2,)"),
        (cc.Concatenation(), ((3, 4), (3, 5)),
         "Concatenation: the inputs may differ along axis 1 only, got (3, 4) and (3, 5)"),
        (cc.Concatenation(2, name="cat"), ((3,), (3,)), "cat: the inputs must have an axis 2, got (3,) and (3,)"),
    ],
)  # fmt: skip
def test_sizes_that_do_not_fit(layer, shapes, text):
    with pytest.raises(ValueError) as caught:
        layer.output_shape(shapes)
    assert str(caught.value) == text


def test_an_addition_does_not_broadcast():
    with pytest.raises(ValueError) as caught:
        cc.Addition().forward((cc.Tensor(np.ones((2, 3))), cc.Tensor(np.ones((2, 1)))), False, None)
    assert str(caught.value) == "Addition: the inputs must have one shape, got (2, 3) and (2, 1)"


@pytest.mark.parametrize(
    ("make", "error", "text"),
    [
        (lambda: cc.Addition(1), ValueError, "Addition: num_inputs must be at least 2, got 1"),
        (lambda: cc.Addition("2"), TypeError, "Addition: num_inputs must be an int, got '2'"),
        (lambda: cc.Concatenation(0), ValueError, "Concatenation: axis must be at least 1, got 0"),
        (lambda: cc.Concatenation(1.0), TypeError, "Concatenation: axis must be an int, got 1.0"),
        (lambda: cc.Concatenation(1, 1), ValueError, "Concatenation: num_inputs must be at least 2, got 1"),
    ],
)
def test_bad_arguments(make, error, text):
    with pytest.raises(error) as caught:
        make()
    assert str(caught.value) == text
