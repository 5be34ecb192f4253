"""Layers: properties, parameters and a forward pass, one layer per file."""

from convcore.layers.avg_pool1d import AvgPool1D
from convcore.layers.avg_pool2d import AvgPool2D
from convcore.layers.avg_pool3d import AvgPool3D
from convcore.layers.conv2d import Conv2D
from convcore.layers.dropout import Dropout
from convcore.layers.flatten import Flatten
from convcore.layers.fully_connected import FullyConnected
from convcore.layers.global_avg_pool import GlobalAvgPool
from convcore.layers.global_max_pool import GlobalMaxPool
from convcore.layers.image_input import ImageInput
from convcore.layers.layer import Layer
from convcore.layers.max_pool1d import MaxPool1D
from convcore.layers.max_pool2d import MaxPool2D
from convcore.layers.max_pool3d import MaxPool3D
from convcore.layers.parameter import Parameter
from convcore.layers.relu import ReLU
from convcore.layers.softmax import Softmax

__all__ = [
    "AvgPool1D", "AvgPool2D", "AvgPool3D", "Conv2D", "Dropout", "Flatten", "FullyConnected", "GlobalAvgPool",
    "GlobalMaxPool", "ImageInput", "Layer", "MaxPool1D", "MaxPool2D", "MaxPool3D", "Parameter", "ReLU", "Softmax",
]  # fmt: skip
