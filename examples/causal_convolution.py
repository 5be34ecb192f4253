"""A classifier of sequences whose convolutions are causal: no output looks at a later time step.

Shows: padding="causal", dilation that doubles from layer to layer, the receptive field, global pooling over time.
"""

import numpy as np

import convcore as cc

rng = np.random.default_rng(0)
CLASSES = ("sine", "square", "sawtooth")


def waves(count, steps=96):
    """Noisy waves (count, 1, steps) of any period and phase, and their class."""
    labels = rng.integers(0, 3, count)
    turns = np.arange(steps) / rng.uniform(12, 24, (count, 1)) + rng.random((count, 1))
    forms = np.stack([np.sin(2 * np.pi * turns), np.sign(np.sin(2 * np.pi * turns)), 2 * (turns % 1) - 1])
    x = forms[labels, np.arange(count)] + rng.normal(0, 0.2, (count, steps))
    return x[:, None].astype("float32"), labels


def causal(filters, dilation):
    """A convolution over this time step and two earlier ones, `dilation` apart."""
    return [cc.Conv1D(3, filters, padding="causal", dilation_factor=dilation, weights_initializer="he"), cc.ReLU()]


body = [*causal(16, 1), *causal(16, 2), *causal(16, 4), *causal(16, 8)]
net = cc.Network([cc.SequenceInput(1), *body, cc.GlobalAvgPool(), cc.FullyConnected(3), cc.Softmax(),
                  cc.ClassificationOutput(CLASSES)])  # fmt: skip
options = cc.TrainingOptions("adam", initial_learn_rate=3e-3, max_epochs=12, mini_batch_size=50, verbose=False)
cc.train(net, waves(900), options=options)
found = cc.evaluate(net, waves(300), metrics=["confusion-matrix"])
print(f"accuracy on new waves: {found['accuracy']:.1%}")
for name, row in zip(CLASSES, found["confusion_matrix"], strict=True):
    print(f"  {name:9} taken for", ", ".join(f"{other} {n}" for other, n in zip(CLASSES, row, strict=True)))

# What the last convolution makes of step 50 depends on the steps 20 to 50: 1 + 2·(1 + 2 + 4 + 8) = 31 of them.
x = cc.Tensor(waves(1)[0], requires_grad=True, format="BCT")
with cc.Tape() as tape:
    y = x
    for layer in body:
        y = layer.apply(y, False, None)
    y = y[:, :, 50].sum()
tape.backward(y)
seen = np.flatnonzero(x.grad[0, 0])
print(f"step 50 sees steps {seen.min()} to {seen.max()}")
