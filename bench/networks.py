"""Networks to train beside PyTorch: the package's own, and some of other layers, none of which has rules of its own."""

import itertools

from convcore.layers import (
    ELU,
    Addition,
    AvgPool2D,
    BatchNorm,
    Concatenation,
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


def residual():
    """Two blocks whose input is added to what two convolutions make of it."""
    layers = {"stem": Conv2D(3, 16, padding=1), "stem_relu": ReLU(), "pool": MaxPool2D(2, stride=2)}
    connections, last = list(itertools.pairwise(layers)), "pool"
    for block in "ab":
        own = {f"{block}_conv1": Conv2D(3, 16, padding=1), f"{block}_relu1": ReLU(),
               f"{block}_conv2": Conv2D(3, 16, padding=1), f"{block}_add": Addition(2)}  # fmt: skip
        connections += [(last, f"{block}_conv1"), *itertools.pairwise(own), (last, f"{block}_add")]
        connections += [(f"{block}_add", f"{block}_relu2")]
        layers |= {**own, f"{block}_relu2": ReLU()}
        last = f"{block}_relu2"
    return {**layers, "average": GlobalAvgPool()}, [*connections, (last, "average")]


def parallel():
    """Convolutions of three sizes side by side, whose channels are joined."""
    layers = {"stem": Conv2D(3, 16, padding=1), "stem_relu": ReLU(), "pool": MaxPool2D(2, stride=2)}
    connections, ends = list(itertools.pairwise(layers)), []
    for size in (1, 3, 5):
        own = {f"conv{size}": Conv2D(size, 16, padding=size // 2), f"relu{size}": ReLU()}
        connections += [("pool", f"conv{size}"), (f"conv{size}", f"relu{size}")]
        layers |= own
        ends += [(f"relu{size}", "join")]
    rest = {"join": Concatenation(1, 3), "conv": Conv2D(3, 32, padding=1), "relu": ReLU(),
            "pool2": MaxPool2D(2, stride=2)}  # fmt: skip
    return {**layers, **rest}, [*connections, *ends, *itertools.pairwise(rest)]


OTHERS = {
    make.__name__: make
    for make in (classic, dropout, vgg, averaged, overlapping, perceptron, residual, parallel)
}  # fmt: skip
NAMES = (*NAMED, *OTHERS)


def network(name, data, seed=0):
    """Return a network for a data set, with initial weights, its normalization fitted."""
    x = data.train.x
    if name in NAMED:
        net = NAMED[name](data.num_classes, channels=x.shape[1], seed=seed)
    else:
        image = ImageInput(x.shape[1:], normalization="rescale-zero-one")
        ends = {"fc": FullyConnected(data.num_classes), "softmax": Softmax()}
        made = OTHERS[name]()
        if isinstance(made, list):
            net = Network([image, *made, *ends.values()], seed=seed)
        else:
            layers, connections = made
            ways = [("image", next(iter(layers))), *connections, (list(layers)[-1], "fc"), ("fc", "softmax")]
            net = Network.from_graph({"image": image, **layers, **ends}, ways, seed=seed)
    net.initialize()
    net.fit_normalization(x)
    return net
