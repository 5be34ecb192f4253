"""The specification's first network, one convolution of 20 filters of 5×5, trained on the bundled digits.

Shows: a list of layers, its printed forms, training with momentum, evaluation, and single predictions.
"""

import convcore as cc

digits = cc.data.load_digits()
net = cc.Network(
    [
        cc.ImageInput((1, 28, 28), normalization="rescale-zero-one"),
        cc.Conv2D(5, 20),
        cc.ReLU(),
        cc.MaxPool2D(2, stride=2),
        cc.FullyConnected(10),
        cc.Softmax(),
        cc.ClassificationOutput(digits.class_names),
    ]
)
print(net.spec_text())
print(net.layers[1].spec_text())

options = cc.TrainingOptions("sgdm", initial_learn_rate=0.05, max_epochs=8, mini_batch_size=64, verbose=False)
history = cc.train(net, digits.train, options=options)
found = cc.evaluate(net, digits.test)
print(f"training loss {history.final['epoch_loss']:.3f}, test accuracy {found['accuracy']:.1%}")

images, labels = digits.test.x[:8], digits.test.y[:8]
print("labels     ", *labels)
print("predictions", *(net.class_names[k] for k in net.classify(images)))
