"""Layers: properties, parameters and a forward pass, one layer per file."""

from convcore.layers.addition import Addition
from convcore.layers.avg_pool2d import AvgPool2D
from convcore.layers.classification_output import ClassificationOutput
from convcore.layers.concatenation import Concatenation
from convcore.layers.conv2d import Conv2D
from convcore.layers.dropout import Dropout
from convcore.layers.flatten import Flatten
from convcore.layers.fully_connected import FullyConnected
from convcore.layers.function import Function
from convcore.layers.image_input import ImageInput
from convcore.layers.layer import Layer
from convcore.layers.max_pool2d import MaxPool2D
from convcore.layers.parameter import Parameter
from convcore.layers.regression_output import RegressionOutput
from convcore.layers.relu import ReLU
from convcore.layers.sequence_input import SequenceInput
from convcore.layers.softmax import Softmax

__all__ = [
    "Addition", "AvgPool2D", "ClassificationOutput", "Concatenation", "Conv2D", "Dropout", "Flatten", "FullyConnected",
    "Function", "ImageInput", "Layer", "MaxPool2D", "Parameter", "ReLU", "RegressionOutput", "SequenceInput", "Softmax",
]  # fmt: skip
