"""Layers: properties, parameters and a forward pass, one layer per file."""

from convcore.layers.avg_pool2d import AvgPool2D
from convcore.layers.conv2d import Conv2D
from convcore.layers.dropout import Dropout
from convcore.layers.flatten import Flatten
from convcore.layers.fully_connected import FullyConnected
from convcore.layers.image_input import ImageInput
from convcore.layers.layer import Layer
from convcore.layers.max_pool2d import MaxPool2D
from convcore.layers.parameter import Parameter
from convcore.layers.relu import ReLU
from convcore.layers.softmax import Softmax

__all__ = [
    "AvgPool2D", "Conv2D", "Dropout", "Flatten", "FullyConnected", "ImageInput", "Layer", "MaxPool2D", "Parameter",
    "ReLU", "Softmax",
]  # fmt: skip
