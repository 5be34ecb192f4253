"""The networks that the specification shows: sizes as it gives them, trained on the bundled digits."""

import numpy as np
import pytest

import convcore as cc

SIZES = {
    "shallow": [(1, 28, 28), (20, 24, 24), (20, 24, 24), (20, 12, 12), (10,), (10,), (10,)],
    "batchnorm": [(1, 28, 28), (16, 28, 28), (16, 28, 28), (16, 28, 28), (16, 14, 14), (32, 14, 14), (32, 14, 14),
                  (32, 14, 14), (10,), (10,), (10,)],
}  # fmt: skip
PARAMETERS = {"shallow": (25 + 1) * 20 + 2880 * 10 + 10,
              "batchnorm": (9 + 1) * 16 + 32 + (9 * 16 + 1) * 32 + 64 + 6272 * 10 + 10}  # fmt: skip


@pytest.mark.parametrize("name", SIZES)
def test_sizes(name):
    net = cc.models.NAMED[name]()
    assert [row["activations"] for row in net.summary().rows] == SIZES[name]
    assert net.summary().problems == []
    assert sum(p.size for p in net.parameters().values()) == PARAMETERS[name]
    assert net.ends_in_softmax
    assert net.layers[0].normalization == "rescale-zero-one"
    y = net.predict(np.zeros((3, 1, 28, 28), np.uint8))
    assert y.shape == (3, 10)
    np.testing.assert_allclose(y.sum(axis=1), 1, rtol=1e-6)


def test_layers_are_the_specifications():
    shallow = cc.models.shallow().layers
    kinds = [type(layer).__name__ for layer in shallow]
    assert kinds == ["ImageInput", "Conv2D", "ReLU", "MaxPool2D", "FullyConnected", "Softmax", "ClassificationOutput"]
    assert (shallow[1].filter_size, shallow[1].num_filters, shallow[3].pool_size) == ((5, 5), 20, (2, 2))
    net = cc.models.batchnorm()
    assert [type(layer).__name__ for layer in net.layers] == [
        "ImageInput", "Conv2D", "BatchNorm", "ReLU", "MaxPool2D", "Conv2D", "BatchNorm", "ReLU", "FullyConnected",
        "Softmax", "ClassificationOutput"]  # fmt: skip
    convolutions = [layer for layer in net.layers if isinstance(layer, cc.Conv2D)]
    assert [(c.filter_size, c.num_filters, c.padding_size) for c in convolutions] == [
        ((3, 3), 16, (1, 1, 1, 1)), ((3, 3), 32, (1, 1, 1, 1))]  # fmt: skip
    assert all(c.weights_initializer == "glorot" for c in convolutions)


@pytest.mark.parametrize("name", SIZES)
def test_options(name):
    net = cc.models.NAMED[name](3, channels=2, seed=5, dtype="float64")
    assert (net.input_shape, net.output_shape, net.dtype, net.seed) == ((2, 28, 28), (3,), np.float64, 5)
    with pytest.raises(ValueError) as caught:
        cc.models.NAMED[name](0)
    assert str(caught.value) == "FullyConnected: output_size must be at least 1, got 0"


@pytest.mark.parametrize("name", SIZES)
def test_learns_the_digits(name):
    digits = cc.data.load_digits()
    net = cc.models.NAMED[name]()
    options = cc.TrainingOptions("sgdm", initial_learn_rate=0.05, max_epochs=6, mini_batch_size=64, verbose=False)
    cc.train(net, digits.train, options=options)
    assert (net.classify(digits.test.x) == digits.test.y).mean() > 0.9
