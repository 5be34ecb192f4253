"""A network that is a graph: residual blocks, whose input is added to their output.

Shows: Network.from_graph, Addition, global pooling, saving and loading a graph.
"""

import pathlib
import tempfile

import numpy as np

import convcore as cc


def residual(name, filters):
    """The layers of a block, by name, and its inner connections: two convolutions, added to what came in."""
    layers = {
        f"{name}_conv1": cc.Conv2D(3, filters, padding="same"),
        f"{name}_norm1": cc.BatchNorm(),
        f"{name}_relu1": cc.ReLU(),
        f"{name}_conv2": cc.Conv2D(3, filters, padding="same"),
        f"{name}_norm2": cc.BatchNorm(),
        f"{name}_add": cc.Addition(),
        f"{name}_relu2": cc.ReLU(),
    }
    return layers, list(zip(list(layers)[:-1], list(layers)[1:], strict=True))


first, inner_first = residual("first", 8)
second, inner_second = residual("second", 8)
layers = {
    "image": cc.ImageInput((1, 28, 28), normalization="rescale-zero-one"),
    "stem": cc.Conv2D(3, 8, stride=2, padding="same"),
    **first,
    **second,
    "pool": cc.AvgPool2D(7),
    "fc": cc.FullyConnected(10),
    "softmax": cc.Softmax(),
}
connections = [
    ("image", "stem"), ("stem", "first_conv1"), *inner_first, ("stem", "first_add"),
    ("first_relu2", "second_conv1"), *inner_second, ("first_relu2", "second_add"),
    ("second_relu2", "pool"), ("pool", "fc"), ("fc", "softmax"),
]  # fmt: skip
net = cc.Network.from_graph(layers, connections)
print(net.summary())

digits = cc.data.load_digits()
options = cc.TrainingOptions("sgdm", initial_learn_rate=0.02, max_epochs=5, mini_batch_size=32, verbose=False,
                             batch_normalization_statistics="population")  # fmt: skip
cc.train(net, digits.train, options=options)
print(f"test accuracy {cc.evaluate(net, digits.test)['accuracy']:.1%}")
with tempfile.TemporaryDirectory() as folder:
    net.save(pathlib.Path(folder) / "residual.safetensors")
    again = cc.load(pathlib.Path(folder) / "residual.safetensors")
print("loaded, it predicts the same:", np.array_equal(net.predict(digits.test.x), again.predict(digits.test.x)))
