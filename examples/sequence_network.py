"""The specification's 1-D network: sequences of 12 channels in 10 classes, by their maximum over time.

Shows: SequenceInput, Conv1D, global pooling over the time steps, and sequences of other lengths than in training.
"""

import numpy as np

import convcore as cc

rng = np.random.default_rng(0)
PATTERNS = rng.normal(0, 1, (10, 12, 11))  # what marks a class: 11 time steps in 12 channels


def sequences(count, steps):
    """Noise, with the pattern of its class somewhere in each sequence."""
    labels = rng.integers(0, 10, count)
    x = rng.normal(0, 1, (count, 12, steps))
    for sequence, label, start in zip(x, labels, rng.integers(0, steps - 10, count), strict=True):
        sequence[:, start : start + 11] += PATTERNS[label]
    return x.astype("float32"), labels


net = cc.Network(
    [
        cc.SequenceInput(12),
        cc.Conv1D(11, 96),
        cc.ReLU(),
        cc.GlobalMaxPool(),
        cc.FullyConnected(10),
        cc.Softmax(),
        cc.ClassificationOutput(),
    ]
)
options = cc.TrainingOptions("adam", initial_learn_rate=2e-3, max_epochs=8, mini_batch_size=50, verbose=False)
cc.train(net, sequences(800, 60), options=options)
print(net.spec_text())
print(net.layers[1].spec_text())
for steps in (30, 60, 200):
    x, labels = sequences(300, steps)
    print(f"accuracy on {steps:3} time steps: {(net.classify(x) == labels).mean():.1%}")
