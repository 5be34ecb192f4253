"""Two blocks of convolution, batch normalization and ReLU: the network that "Layers of a ConvNet" begins with.

Shows: batch normalization, a rate that falls along a cosine, and statistics of the whole training set at the end.
"""

import convcore as cc

digits = cc.data.load_digits()
net = cc.Network(
    [
        cc.ImageInput((1, 28, 28)),
        cc.Conv2D(3, 16, padding=1),
        cc.BatchNorm(),
        cc.ReLU(),
        cc.MaxPool2D(2, stride=2),
        cc.Conv2D(3, 32, padding=1),
        cc.BatchNorm(),
        cc.ReLU(),
        cc.FullyConnected(10),
        cc.Softmax(),
        cc.ClassificationOutput(digits.class_names),
    ]
)
print(net.summary())

options = cc.TrainingOptions(
    "sgdm",
    initial_learn_rate=0.01,
    learn_rate_schedule="cosine",
    max_epochs=6,
    mini_batch_size=64,
    shuffle="every-epoch",
    batch_normalization_statistics="population",
    validation_data=digits.test,
    validation_frequency=46,
    verbose=False,
)
history = cc.train(net, digits.train, options=options)
for row in history.rows:
    if row["validation_accuracy"] is not None:
        print(f"epoch {row['epoch']}: rate {row['learn_rate']:.4f}, test accuracy {row['validation_accuracy']:.1%}")
print(f"at the end: {cc.evaluate(net, digits.test)['accuracy']:.1%}")
