"""Networks to train beside PyTorch: the package's own, and some of other layers, none of which has rules of its own."""

from convcore.layers import (
    ELU,
    AvgPool2D,
    BatchNorm,
    Conv2D,
    Dropout,
    FullyConnected,
    GlobalAvgPool,
    ImageInput,
    LeakyReLU,
    MaxPool2D,
    ReLU,
    Softmax,
    Tanh,
)  # fmt: skip
from convcore.models import NAMED
from convcore.network import Network


def classic():
    """LeNet-5 as of 1998, about: hyperbolic tangents and averages."""
    return [Conv2D(5, 6, padding=2), Tanh(), AvgPool2D(2, stride=2), Conv2D(5, 16), Tanh(), AvgPool2D(2, stride=2),
            FullyConnected(120), Tanh(), FullyConnected(84), Tanh()]  # fmt: skip


def dropout():
    """Two convolutions, other rectifiers, and dropout behind the second and before the last layer."""
    return [Conv2D(5, 10), LeakyReLU(0.1), MaxPool2D(2, stride=2), Conv2D(5, 20), ELU(), Dropout(0.5),
            MaxPool2D(2, stride=2), FullyConnected(50), ReLU(), Dropout(0.5)]  # fmt: skip


def vgg():
    """Three convolutions of 3×3, of 32 and 64 filters."""
    return [Conv2D(3, 32, padding=1), ReLU(), MaxPool2D(2, stride=2), Conv2D(3, 64, padding=1), ReLU(),
            MaxPool2D(2, stride=2), Conv2D(3, 64, padding=1), ReLU(), FullyConnected(64), ReLU()]  # fmt: skip


def averaged():
    """Three blocks with batch normalization, and one average for each channel."""
    blocks = [[Conv2D(3, filters, padding=1), BatchNorm(), ReLU()] for filters in (16, 32, 64)]
    return [*blocks[0], MaxPool2D(2, stride=2), *blocks[1], MaxPool2D(2, stride=2), *blocks[2], GlobalAvgPool()]


def overlapping():
    """Windows of 3×3 that overlap, as AlexNet's do."""
    return [Conv2D(5, 32, padding=2), ReLU(), MaxPool2D(3, stride=2), Conv2D(5, 32, padding=2), ReLU(),
            AvgPool2D(3, stride=2)]  # fmt: skip


def perceptron():
    """No convolution."""
    return [FullyConnected(256), ReLU(), FullyConnected(128), ReLU()]


OTHERS = {make.__name__: make for make in (classic, dropout, vgg, averaged, overlapping, perceptron)}
NAMES = (*NAMED, *OTHERS)


def network(name, data, seed=0):
    """Return a network for a data set, with initial weights, its normalization fitted."""
    x = data.train.x
    if name in NAMED:
        net = NAMED[name](data.num_classes, channels=x.shape[1], seed=seed)
    else:
        image = ImageInput(x.shape[1:], normalization="rescale-zero-one")
        net = Network([image, *OTHERS[name](), FullyConnected(data.num_classes), Softmax()], seed=seed)
    net.initialize()
    net.fit_normalization(x)
    return net
