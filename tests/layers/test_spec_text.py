"""The printed forms of all layers: one layout, the specification's names; those of the convolutions in their files."""

import numpy as np
import pytest

import convcore as cc
from convcore import layers


def double(x):
    return cc.multiply(x, 2)


def made(layer, input_shape, dtype="float32"):
    layer.initialize(input_shape, np.random.default_rng(0), np.dtype(dtype))
    return layer


def fitted(normalization, channels=3):
    layer = cc.ImageInput((channels, 4, 5), normalization=normalization)
    layer.fit(np.random.default_rng(0).random((2, channels, 4, 5)))
    return layer


# layer -> its text after "with properties:", in one line
TEXTS = [
    (cc.ReLU(), "ReLULayer", "Name: ''"),
    (cc.ReLU(name="relu1"), "ReLULayer", "Name: 'relu1'"),
    (cc.Softmax(name="s"), "SoftmaxLayer", "Name: 's'"),
    (cc.Flatten(), "FlattenLayer", "Name: ''"),
    (cc.Dropout(), "DropoutLayer", "Name: '' Hyperparameters Probability: 0.5000"),
    (cc.Dropout(0, name="d"), "DropoutLayer", "Name: 'd' Hyperparameters Probability: 0"),
    (cc.LeakyReLU(0.25), "LeakyReLULayer", "Name: '' Hyperparameters Scale: 0.2500"),
    (cc.FullyConnected(10, name="fc"), "FullyConnectedLayer",
     "Name: 'fc' Hyperparameters InputSize: 'auto' OutputSize: 10 Learnable Parameters Weights: [] Bias: []"),
    (made(cc.FullyConnected(10), (3, 2, 2)), "FullyConnectedLayer",
     "Name: '' Hyperparameters InputSize: 12 OutputSize: 10 "
     "Learnable Parameters Weights: [10x12 single] Bias: [10x1 single]"),
    (cc.FullyConnected(2, weights=np.ones((2, 3)), bias=[1, 2]), "FullyConnectedLayer",
     "Name: '' Hyperparameters InputSize: 3 OutputSize: 2 "
     "Learnable Parameters Weights: [2x3 double] Bias: [2x1 double]"),
    (cc.ImageInput((3, 28, 32)), "ImageInputLayer",
     "Name: '' InputSize: [28 32 3] Hyperparameters Normalization: 'zerocenter' Mean: []"),
    (cc.ImageInput((1, 28, 28), normalization="none"), "ImageInputLayer",
     "Name: '' InputSize: [28 28 1] Hyperparameters Normalization: 'none'"),
    (cc.ImageInput((1, 28, 28), normalization=double), "ImageInputLayer",
     "Name: '' InputSize: [28 28 1] Hyperparameters Normalization: @double"),
    (fitted("zscore"), "ImageInputLayer", "Name: '' InputSize: [4 5 3] Hyperparameters Normalization: 'zscore' "
     "Mean: [1x1x3 double] StandardDeviation: [1x1x3 double]"),
    (fitted("rescale-symmetric", 1), "ImageInputLayer", "Name: '' InputSize: [4 5 1] Hyperparameters "
     "Normalization: 'rescale-symmetric' Min: [1x1x1 double] Max: [1x1x1 double]"),
    (cc.SequenceInput(12), "SequenceInputLayer", "Name: '' InputSize: 12 MinLength: 1"),
    (cc.SequenceInput((3, 28)), "SequenceInputLayer", "Name: '' InputSize: [28 3] MinLength: 1"),
    (cc.SequenceInput((3, 28, 32), min_length=5, name="in"), "SequenceInputLayer",
     "Name: 'in' InputSize: [28 32 3] MinLength: 5"),
    (cc.Addition(3), "AdditionLayer", "Name: '' NumInputs: 3 InputNames: {'in1' 'in2' 'in3'}"),
    (cc.Concatenation(), "DepthConcatenationLayer", "Name: '' NumInputs: 2 InputNames: {'in1' 'in2'}"),
    (cc.Concatenation(2), "ConcatenationLayer", "Name: '' Dim: 1 NumInputs: 2 InputNames: {'in1' 'in2'}"),
    (cc.ClassificationOutput(), "ClassificationOutputLayer",
     "Name: '' Classes: 'auto' OutputSize: 'auto' Hyperparameters LossFunction: 'crossentropyex'"),
    (cc.ClassificationOutput(["cat", "dog"]), "ClassificationOutputLayer",
     "Name: '' Classes: [cat dog] OutputSize: 2 Hyperparameters LossFunction: 'crossentropyex'"),
    (cc.RegressionOutput(), "RegressionOutputLayer",
     "Name: '' Hyperparameters LossFunction: 'mean-squared-error'"),
    (cc.Function(double), "FunctionLayer", "Name: '' PredictFcn: @double Formattable: 0"),
    (cc.Function(np.negative, formattable=True, name="f"), "FunctionLayer",
     "Name: 'f' PredictFcn: @negative Formattable: 1"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("layer", "title", "text"), TEXTS, ids=[f"{title}-{i}" for i, (_, title, _) in enumerate(TEXTS)]
)
def test_text(layer, title, text):
    assert " ".join(layer.spec_text().split()) == f"{title} with properties: {text}"


def test_layout():
    layer = made(cc.FullyConnected(10, name="fc1"), (4,))
    assert layer.spec_text() == """FullyConnectedLayer with properties:

          Name: 'fc1'

   Hyperparameters
     InputSize: 4
    OutputSize: 10

   Learnable Parameters
       Weights: [10x4 single]
          Bias: [10x1 single]"""  # fmt: skip
    assert cc.Addition(name="add").spec_text() == """AdditionLayer with properties:

          Name: 'add'
     NumInputs: 2
    InputNames: {'in1'  'in2'}"""  # fmt: skip


REQUIRED = {
    "filter_size": 3, "num_filters": 2, "num_filters_per_group": 2, "num_groups": 2, "pool_size": 2, "ceiling": 6,
    "window_channel_size": 5, "output_size": 4, "f": double,
}  # fmt: skip
INPUT_SIZES = {"ImageInput": (3, 4, 4), "SequenceInput": 3}


@pytest.mark.parametrize("name", [name for name in layers.__all__ if name not in ("Layer", "Parameter")])
def test_every_layer_has_one(name):
    Layer = getattr(cc, name)
    required = {**REQUIRED, "input_size": INPUT_SIZES.get(name)}
    layer = Layer(**{key: required[key] for key in Layer.required}, name="mine")
    first, blank, second, *others = layer.spec_text().splitlines()
    assert first == f"{layer.spec_title} with properties:"
    assert layer.spec_title.endswith("Layer")
    assert (blank, second.strip()) == ("", "Name: 'mine'")
    rows = [line for line in others if ":" in line]
    assert {line.index(":") for line in rows} <= {second.index(":")}  # the values stand below one another
    headings = {"   Hyperparameters", "   Learnable Parameters", "   State Parameters"}
    assert {line for line in others if line not in rows} <= {"", *headings}


def test_a_layer_of_ones_own():
    class Mine(cc.Layer):
        pass

    assert Mine(name="m").spec_text() == "Mine with properties:\n\n    Name: 'm'"
