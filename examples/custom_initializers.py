"""First values of weights and biases: by name, by functions of one's own, and given directly.

Shows: initializers that take the size (and the network's generator), weights in the specification's order, factors.
"""

import numpy as np

import convcore as cc


def gaussian(size, rng):
    """Normal with a standard deviation of 0.0001; `rng` is the layer's own stream, drawn from the network's seed."""
    return rng.normal(0, 0.0001, size)


def sobel(size):
    """The same four edge filters, turned by quarters, for every channel: size is (4, channels, 3, 3)."""
    edge = np.array([[1.0, 2, 1], [0, 0, 0], [-1, -2, -1]])
    return np.broadcast_to(np.stack([np.rot90(edge, k) for k in range(4)])[:, None], size)


W = np.random.default_rng(0).normal(0, 0.1, (5, 5, 3, 32))  # height × width × channels × filters
b = np.zeros((1, 1, 32))

layers = {
    "he": cc.Conv2D(5, 32, weights_initializer="he"),
    "gaussian": cc.Conv2D(5, 32, weights_initializer=gaussian, bias_initializer=gaussian),
    "sobel": cc.Conv2D(3, 4, weights_initializer=sobel),
    "given": cc.Conv2D.from_hwio(W, b, weight_learn_rate_factor=0, bias_learn_rate_factor=0),
}
print(layers["given"].spec_text(), "\n")
for name, layer in layers.items():
    empty = layer.weights is None
    cc.Network([layer], seed=1).initialize((3, 28, 28))
    w = layer.weights.data
    print(f"{name:9} {'empty before' if empty else 'given before'}, weights {w.shape}, deviation {w.std():.5f}")

# Given weights are the first ones; with factors of 0 they stay the last ones, too.
digits = cc.data.load_digits()
edges = cc.Conv2D(3, 4, weights_initializer=sobel, weight_learn_rate_factor=0)
net = cc.Network([cc.ImageInput((1, 28, 28), normalization="rescale-zero-one"), edges, cc.ReLU(), cc.MaxPool2D(2),
                  cc.FullyConnected(10), cc.Softmax()])  # fmt: skip
net.initialize()
first = edges.weights.data.copy()
options = cc.TrainingOptions("sgdm", initial_learn_rate=0.02, max_epochs=4, mini_batch_size=64, verbose=False)
cc.train(net, digits.train, options=options)
print(f"with fixed edge filters: test accuracy {cc.evaluate(net, digits.test)['accuracy']:.1%},",
      f"filters unchanged: {np.array_equal(first, edges.weights.data)}")  # fmt: skip
