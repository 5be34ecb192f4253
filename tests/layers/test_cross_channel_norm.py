import numpy as np
import pytest
from numpy.testing import assert_array_equal

import convcore as cc


def test_defaults():
    layer = cc.CrossChannelNorm(5)
    assert (layer.window_channel_size, layer.alpha, layer.beta, layer.k, layer.layout) == (5, 1e-4, 0.75, 2, "channels")


@pytest.mark.parametrize("dtype", ["f4", "f8"])
@pytest.mark.parametrize("shape", [(6,), (6, 5), (6, 3, 4), (6, 2, 2, 2)], ids=str)
def test_forward_is_the_function(shape, dtype):
    layer = cc.CrossChannelNorm(4, alpha=0.5, beta=0.7, k=1.5)
    x = np.random.default_rng(0).standard_normal((3, *shape)).astype(dtype)
    y = layer.forward(cc.Tensor(x), True, None)
    assert_array_equal(y.data, cc.cross_channel_norm(x, 4, alpha=0.5, beta=0.7, k=1.5).data, strict=True)
    assert layer.output_shape(shape) == shape
    assert layer.multiply_adds(shape) == 4 * np.prod(shape)
    assert layer.initialized
    assert not layer.learnables


def test_a_window_wider_than_the_image():
    assert cc.CrossChannelNorm(9).multiply_adds((3, 2, 2)) == 3 * 12


def test_printed_forms():
    assert repr(cc.CrossChannelNorm(5, k=1, name="norm")) == "CrossChannelNorm(5, k=1.0, name='norm')"
    layer = cc.CrossChannelNorm(5)
    assert layer.description() == "cross channel normalization with 5 channels per element"
    assert (
        layer.spec_text()
        == """CrossChannelNormalizationLayer with properties:

                 Name: ''

   Hyperparameters
    WindowChannelSize: 5
                Alpha: 1.0000e-04
                 Beta: 0.7500
                    K: 2"""
    )


def test_save_and_load(tmp_path):
    net = cc.Network([cc.Conv2D(3, 4), cc.CrossChannelNorm(3, alpha=0.5), cc.FullyConnected(2)])
    x = np.random.default_rng(0).standard_normal((2, 1, 5, 5))
    y = net.predict(x)
    net.save(tmp_path / "net.safetensors")
    loaded = cc.load(tmp_path / "net.safetensors")
    assert repr(loaded) == repr(net)
    assert_array_equal(loaded.predict(x), y)


def test_inputs_that_do_not_fit():
    with pytest.raises(ValueError) as caught:
        cc.CrossChannelNorm(5, name="norm").output_shape(())
    assert str(caught.value) == "norm: expects (channels, ...), got ()"


@pytest.mark.parametrize(
    ("arguments", "error", "text"),
    [
        ({"window_channel_size": 0}, ValueError, "window_channel_size must be at least 1, got 0"),
        ({"window_channel_size": 2.0}, TypeError, "window_channel_size must be an int, got 2.0"),
        ({"alpha": -1}, ValueError, "alpha must be finite and at least 0, got -1"),
        ({"beta": "a"}, TypeError, "beta must be a number, got 'a'"),
        ({"k": 0}, ValueError, "k must be finite and greater than 0, got 0"),
        ({"name": 1}, TypeError, "name must be a str, got int"),
    ],
)
def test_bad_input(arguments, error, text):
    with pytest.raises(error) as caught:
        cc.CrossChannelNorm(**{"window_channel_size": 5, **arguments})
    assert str(caught.value) == f"CrossChannelNorm: {text}"
