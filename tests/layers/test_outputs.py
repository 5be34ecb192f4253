"""ClassificationOutput and RegressionOutput."""

import numpy as np
import pytest
from numpy.testing import assert_array_equal

import convcore as cc


def test_as_in_the_specification():
    for layer, kind, words in (
        (cc.ClassificationOutput(), "Classification Output", "crossentropyex"),
        (cc.RegressionOutput(), "Regression Output", "mean-squared-error"),
    ):
        assert (layer.kind, layer.description(), layer.is_output) == (kind, words, True)
        x = cc.Tensor(np.ones((2, 3)))
        assert layer.forward(x, True, None) is x
        assert layer.apply(x, True, None) is x
    assert repr(cc.ClassificationOutput()) == "ClassificationOutput()"
    assert repr(cc.ClassificationOutput(["a", "b"])) == "ClassificationOutput(classes=('a', 'b'))"


def test_classes_are_the_networks(tmp_path):
    layers = [cc.FullyConnected(2), cc.Softmax(), cc.ClassificationOutput(["cat", "dog"])]
    net = cc.Network(layers)
    assert net.class_names == ("cat", "dog")
    net.initialize((3,))
    net.save(tmp_path / "net")
    again = cc.load(tmp_path / "net")
    assert (again.class_names, again.output_layer.classes) == (("cat", "dog"), ("cat", "dog"))
    with pytest.raises(ValueError) as caught:
        cc.Network([cc.FullyConnected(3), cc.Softmax(), cc.ClassificationOutput(["cat", "dog"])]).initialize((3,))
    assert str(caught.value) == "classoutput: expects 2 classes, got 3 (inputs (3,))"


@pytest.mark.parametrize(
    ("classes", "error", "text"),
    [
        ("ab", TypeError, "a sequence of str, got 'ab'"),
        (3, TypeError, "a sequence of str, got 3"),
        (["a", 1], TypeError, "a sequence of str, it holds 1"),
    ],
)
def test_classes_of_another_kind(classes, error, text):
    with pytest.raises(error) as caught:
        cc.ClassificationOutput(classes)
    assert str(caught.value) == f"ClassificationOutput: classes must be {text}"


def test_classes_that_are_none_or_twice_the_same():
    for classes, text in (([], "hold at least 1 name, got 0"), (["a", "a"], "differ, got ['a', 'a']")):
        with pytest.raises(ValueError) as caught:
            cc.ClassificationOutput(classes)
        assert str(caught.value) == f"ClassificationOutput: classes must {text}"


def test_a_classifier_with_an_output_layer_is_trained_on_its_logits():
    body = [cc.FullyConnected(3), cc.Softmax()]
    net = cc.Network([*body, cc.ClassificationOutput()], dtype="float64")
    x = np.random.default_rng(0).standard_normal((4, 5))
    assert net.ends_in_softmax
    logits = net.forward(x, logits=True).data
    assert_array_equal(cc.softmax(logits).data, net(x).data)
    assert_array_equal(net.layers[0].forward(cc.Tensor(x), False, None).data, logits)
    for layers in ([cc.FullyConnected(3), cc.ClassificationOutput()], [cc.Softmax(), cc.ReLU()],
                   [cc.Softmax(), cc.RegressionOutput()]):  # fmt: skip
        other = cc.Network(layers, dtype="float64")
        assert not other.ends_in_softmax
        assert_array_equal(other.forward(x, logits=True).data, other(x).data)
    only = cc.Network([cc.Softmax(), cc.ClassificationOutput()], dtype="float64")
    assert_array_equal(only.forward(x, logits=True).data, x)


# ----------------------------------------------------------------------------------------------- the regression loss


def by_hand(y, t):
    """y, t (N, ..., steps last): half the squares, summed over responses, the mean over batch and steps."""
    return float((0.5 * (y - t) ** 2).sum() / (y.shape[0] * y.shape[-1]))


@pytest.mark.parametrize("dtype", ["f4", "f8"])
def test_worked_by_hand(dtype):
    loss = cc.RegressionOutput().loss
    y, t = np.array([[1, 2], [3, 5]], dtype), np.array([[0, 0], [3, 1]], dtype)
    found = loss(cc.Tensor(y), t)
    assert (float(found), found.dtype, found.shape) == ((1 + 4 + 0 + 16) / 4, np.dtype(dtype), ())
    assert float(loss(cc.Tensor(y, format="BC"), t)) == float(found)
    # one observation of 2 responses and 2 time steps: halved once more by S
    y = cc.Tensor(y[None], format="BCT")
    found = loss(y, t[None])
    assert (float(found), found.dtype) == ((1 + 4 + 0 + 16) / 4, np.dtype(dtype))
    images = cc.Tensor(y.data[None], format="BCSS")  # pixels are summed
    assert float(loss(images, t[None, None])) == (1 + 4 + 0 + 16) / 2


@pytest.mark.parametrize("format", ["BCT", "CBT", "TCB", "BTC"])
def test_every_order_has_one_loss(format):
    rng = np.random.default_rng(0)
    y, t = rng.integers(-3, 4, (4, 3, 8)).astype(float), rng.integers(-3, 4, (4, 3, 8))  # B, C, T
    axes = ["BCT".index(letter) for letter in format]
    expected = by_hand(y, t)
    loss = cc.RegressionOutput().loss
    turned = cc.Tensor(y.transpose(axes), format=format, requires_grad=True)
    for target in (t.transpose(axes), cc.Tensor(t.transpose(axes)), t.transpose(axes).tolist()):
        assert float(loss(turned, target)) == expected
    with cc.Tape() as tape:
        value = loss(turned, t.transpose(axes))
    tape.backward(value)
    assert_array_equal(turned.grad, ((y - t) / (4 * 8)).transpose(axes))


def test_losses_that_cannot_be():
    loss = cc.RegressionOutput().loss
    for y, t, text in (
        (cc.Tensor(np.ones((2, 3))), np.ones((3, 2)), "half_mse: y and t must have one shape (y (2, 3), t (3, 2))"),
        (cc.Tensor(np.ones((2, 3)), format="CB"), np.ones((3, 2)),
         "half_mse: y and t must have one shape (y (2, 3), t (3, 2))"),
        (cc.Tensor(np.ones((2, 3)), format="CT"), np.ones((2, 3)),
         'RegressionOutput: y must have a batch axis B, its format is "CT"'),
        (cc.Tensor(np.ones((0, 3)), format="BC"), np.ones((0, 3)), "half_mse: y holds no elements (y (0, 3))"),
    ):  # fmt: skip
        with pytest.raises(ValueError) as caught:
            loss(y, t)
        assert str(caught.value) == text
