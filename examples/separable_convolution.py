"""Channel-wise separable convolution on 227×227 colour images, beside the convolution that it replaces.

Shows: GroupedConv2D with one filter per channel, a pointwise Conv2D, sizes and costs, and one step of training.
"""

import numpy as np

import convcore as cc


def separable(num_filters):
    """A filter of 3×3 for each channel, then one of 1×1 over all of them."""
    return [cc.GroupedConv2D(3, 1, "channelwise", stride=2, padding="same"), cc.BatchNorm(), cc.ReLU(),
            cc.Conv2D(1, num_filters, padding="same"), cc.BatchNorm(), cc.ReLU()]  # fmt: skip


def standard(num_filters):
    """What it takes the place of."""
    return [cc.Conv2D(3, num_filters, stride=2, padding="same"), cc.BatchNorm(), cc.ReLU()]


def network(block):
    """The network of the specification, for 5 classes."""
    return cc.Network([cc.ImageInput((3, 227, 227)), cc.Conv2D(3, 32, padding="same"), cc.BatchNorm(), cc.ReLU(),
                       *block(16), cc.MaxPool2D(2, stride=2), cc.FullyConnected(5), cc.Softmax()])  # fmt: skip


net = network(separable)
print(net.summary())
blocks = {}
for block in (standard, separable):
    blocks[block] = cc.Network(block(16))
    blocks[block].initialize((32, 227, 227))
    rows = blocks[block].summary().rows
    learned = sum(p.size for p in blocks[block].parameters().values())
    print(f"{block.__name__:9} {learned:5,} parameters, {sum(row['multiply_adds'] for row in rows):11,} multiply-adds")

rng = np.random.default_rng(0)
labels = np.arange(10) % 5
images = rng.uniform(0, 255, (10, 3, 227, 227)).astype("float32") * (0.2 + 0.2 * labels[:, None, None, None])
before = {name: p.data.copy() for name, p in net.parameters().items()}
options = cc.TrainingOptions("sgdm", initial_learn_rate=1e-3, max_epochs=1, mini_batch_size=10, verbose=False)
history = cc.train(net, (images, labels), options=options)
print(f"one step of training: loss {history.final['loss']:.3f}")
for name, p in net.parameters().items():
    print(f"  {name:20} {p.shape!s:18} moved by at most {abs(p.data - before[name]).max():.1e}")
