import numpy as np
import pytest
from numpy.testing import assert_array_equal

import convcore as cc


def test_lenet5():
    net = cc.lenet5()
    assert isinstance(net, cc.Network)
    assert (net.input_shape, net.output_shape, net.dtype, net.seed) == ((1, 28, 28), (10,), np.float32, 0)
    assert sum(p.size for p in net.parameters().values()) == 61_706
    assert net.layers[0].normalization == "rescale-zero-one"  # built-in models take images scaled to 0..1
    assert net.ends_in_softmax
    y = net.predict(np.zeros((3, 1, 28, 28), np.uint8))
    assert y.shape == (3, 10)
    np.testing.assert_allclose(y.sum(axis=1), 1, rtol=1e-6)


def test_options():
    net = cc.lenet5(3, channels=2, seed=5, dtype="float64")
    assert (net.input_shape, net.output_shape, net.dtype, net.seed) == ((2, 28, 28), (3,), np.float64, 5)
    assert net.parameters()["conv1.weights"].shape == (6, 2, 5, 5)
    assert_array_equal(cc.lenet5(seed=5).parameters()["fc3.weights"].data,
                       cc.lenet5(seed=5).parameters()["fc3.weights"].data)  # fmt: skip


def test_models_by_name():
    assert cc.models.NAMED["lenet5"] is cc.lenet5 is cc.models.lenet5
    for make in cc.models.NAMED.values():
        assert make().summary().problems == []


@pytest.mark.parametrize(
    ("arguments", "error", "text"),
    [
        ({"num_classes": 0}, ValueError, "FullyConnected: output_size must be at least 1, got 0"),
        ({"num_classes": "10"}, TypeError, "FullyConnected: output_size must be an int, got '10'"),
        ({"channels": 0}, ValueError, "ImageInput: input_size[0] must be at least 1, got 0"),
        ({"seed": -1}, ValueError, "Network: seed must be at least 0, got -1"),
        ({"dtype": "float16"}, ValueError, 'Network: dtype must be "float32" or "float64", got \'float16\''),
    ],
)
def test_bad_input(arguments, error, text):
    with pytest.raises(error) as caught:
        cc.lenet5(**arguments)
    assert str(caught.value) == text
