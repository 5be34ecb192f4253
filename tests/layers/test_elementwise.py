"""The layers that apply a function to each value by itself."""

import numpy as np
import pytest
from numpy.testing import assert_array_equal

import convcore as cc

LAYERS = [
    (cc.LeakyReLU(0.25), lambda x: cc.leaky_relu(x, 0.25), "LeakyReLU(scale=0.25)", "Leaky ReLU",
     "Leaky ReLU with scale 0.25", {"Scale": "0.2500"}),
    (cc.LeakyReLU(), cc.leaky_relu, "LeakyReLU()", "Leaky ReLU", "Leaky ReLU with scale 0.01", {"Scale": "0.0100"}),
    (cc.ClippedReLU(6), lambda x: cc.clipped_relu(x, 6), "ClippedReLU(6.0)", "Clipped ReLU",
     "Clipped ReLU with ceiling 6", {"Ceiling": "6"}),
    (cc.ELU(), cc.elu, "ELU()", "ELU", "ELU with Alpha 1", {"Alpha": "1"}),
    (cc.ELU(0.5), lambda x: cc.elu(x, 0.5), "ELU(alpha=0.5)", "ELU", "ELU with Alpha 0.5", {"Alpha": "0.5000"}),
    (cc.Tanh(), cc.tanh, "Tanh()", "Tanh", "hyperbolic tangent", {}),
    (cc.Sigmoid(), cc.sigmoid, "Sigmoid()", "Sigmoid", "sigmoid", {}),
    (cc.GELU(), cc.gelu, "GELU()", "GELU", "GELU", {}),
    (cc.Swish(), cc.swish, "Swish()", "Swish", "Swish", {}),
]  # fmt: skip
each = pytest.mark.parametrize(("layer", "function", "text", "kind", "words", "hyperparameters"), LAYERS,
                               ids=[text for _, _, text, *_ in LAYERS])  # fmt: skip


@each
@pytest.mark.parametrize("dtype", ["f4", "f8"])
def test_forward_is_the_function(layer, function, text, kind, words, hyperparameters, dtype):
    for shape in ((4,), (3, 5), (2, 3, 4), (2, 0)):
        x = np.random.default_rng(0).standard_normal((3, *shape)).astype(dtype)
        y = layer.forward(cc.Tensor(x), True, None)
        assert_array_equal(y.data, function(x).data, strict=True)
        assert y.dtype == dtype
        assert layer.output_shape(shape) == shape
    assert (layer.layout, layer.multiply_adds((3, 4)), layer.learnables) == ("elementwise", 0, {})


@each
def test_printed_forms(layer, function, text, kind, words, hyperparameters):
    assert (repr(layer), layer.kind, layer.description()) == (text, kind, words)
    assert eval(text, vars(cc)).config() == layer.config()
    lines = layer.spec_text().splitlines()
    assert lines[0] == f"{type(layer).__name__}Layer with properties:"
    rows = dict(line.split(":") for line in lines[1:] if ":" in line)
    assert {key.strip(): value.strip() for key, value in rows.items()} == {"Name": "''", **hyperparameters}
    assert ("   Hyperparameters" in lines) == bool(hyperparameters)


def test_layout_of_the_printed_form():
    assert (
        cc.ClippedReLU(10, name="clip1").spec_text()
        == """ClippedReLULayer with properties:

       Name: 'clip1'

   Hyperparameters
    Ceiling: 10"""
    )
    assert (
        cc.Tanh(name="tanh1").spec_text()
        == """TanhLayer with properties:

    Name: 'tanh1'"""
    )


def test_save_and_load(tmp_path):
    layers = [type(layer)(**layer.config()) for layer, *_ in LAYERS]
    net = cc.Network([cc.FullyConnected(4), *layers])
    x = np.random.default_rng(0).standard_normal((5, 3))
    y = net.predict(x)
    net.save(tmp_path / "net.safetensors")
    loaded = cc.load(tmp_path / "net.safetensors")
    assert repr(loaded) == repr(net)
    assert_array_equal(loaded.predict(x), y)
    assert [layer.name for layer in net.layers][1:6] == ["leakyrelu_1", "leakyrelu_2", "clippedrelu", "elu_1", "elu_2"]


@pytest.mark.parametrize(
    ("make", "error", "text"),
    [
        (lambda: cc.LeakyReLU("a"), TypeError, "LeakyReLU: scale must be a number, got 'a'"),
        (lambda: cc.LeakyReLU(np.inf), ValueError, "LeakyReLU: scale must be finite, got inf"),
        (lambda: cc.ClippedReLU(0), ValueError, "ClippedReLU: ceiling must be greater than 0, got 0"),
        (lambda: cc.ClippedReLU(None), TypeError, "ClippedReLU: ceiling must be a number, got None"),
        (lambda: cc.ELU(True), TypeError, "ELU: alpha must be a number, got True"),
        (lambda: cc.ELU(np.nan), ValueError, "ELU: alpha must be finite, got nan"),
        *[(lambda layer=layer: layer(name=3), TypeError, f"{layer.__name__}: name must be a str, got int")
          for layer in (cc.Tanh, cc.Sigmoid, cc.GELU, cc.Swish, cc.LeakyReLU, cc.ELU)],
    ],
)  # fmt: skip
def test_bad_input(make, error, text):
    with pytest.raises(error) as caught:
        make()
    assert str(caught.value) == text
