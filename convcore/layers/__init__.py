"""Layers: properties, parameters and a forward pass, one layer per file."""

from convcore.layers.addition import Addition
from convcore.layers.avg_pool1d import AvgPool1D
from convcore.layers.avg_pool2d import AvgPool2D
from convcore.layers.avg_pool3d import AvgPool3D
from convcore.layers.batch_norm import BatchNorm
from convcore.layers.classification_output import ClassificationOutput
from convcore.layers.clipped_relu import ClippedReLU
from convcore.layers.concatenation import Concatenation
from convcore.layers.conv1d import Conv1D
from convcore.layers.conv2d import Conv2D
from convcore.layers.conv3d import Conv3D
from convcore.layers.cross_channel_norm import CrossChannelNorm
from convcore.layers.dropout import Dropout
from convcore.layers.elu import ELU
from convcore.layers.flatten import Flatten
from convcore.layers.fully_connected import FullyConnected
from convcore.layers.function import Function
from convcore.layers.gelu import GELU
from convcore.layers.global_avg_pool import GlobalAvgPool
from convcore.layers.global_max_pool import GlobalMaxPool
from convcore.layers.grouped_conv2d import GroupedConv2D
from convcore.layers.image_input import ImageInput
from convcore.layers.layer import Layer
from convcore.layers.leaky_relu import LeakyReLU
from convcore.layers.max_pool1d import MaxPool1D
from convcore.layers.max_pool2d import MaxPool2D
from convcore.layers.max_pool3d import MaxPool3D
from convcore.layers.parameter import Parameter
from convcore.layers.regression_output import RegressionOutput
from convcore.layers.relu import ReLU
from convcore.layers.separable_conv2d import SeparableConv2D
from convcore.layers.sequence_input import SequenceInput
from convcore.layers.sigmoid import Sigmoid
from convcore.layers.softmax import Softmax
from convcore.layers.swish import Swish
from convcore.layers.tanh import Tanh
from convcore.layers.transposed_conv1d import TransposedConv1D
from convcore.layers.transposed_conv2d import TransposedConv2D
from convcore.layers.transposed_conv3d import TransposedConv3D

__all__ = [
    "ELU", "GELU", "Addition", "AvgPool1D", "AvgPool2D", "AvgPool3D", "BatchNorm", "ClassificationOutput",
    "ClippedReLU", "Concatenation", "Conv1D", "Conv2D", "Conv3D", "CrossChannelNorm", "Dropout", "Flatten",
    "FullyConnected", "Function", "GlobalAvgPool", "GlobalMaxPool", "GroupedConv2D", "ImageInput", "Layer", "LeakyReLU",
    "MaxPool1D", "MaxPool2D", "MaxPool3D", "Parameter", "ReLU", "RegressionOutput", "SeparableConv2D", "SequenceInput",
    "Sigmoid", "Softmax", "Swish", "Tanh", "TransposedConv1D", "TransposedConv2D", "TransposedConv3D",
]  # fmt: skip
