"""Image to image: digits freed from noise by a convolution that shrinks and a transposed one that enlarges.

Shows: TransposedConv2D, targets that are images, RegressionOutput over pixels.
"""

import numpy as np

import convcore as cc

rng = np.random.default_rng(0)


def noisy(images):
    """Images scaled to 0..1, with noise; and without, as the target."""
    clean = images.astype("float32") / 255
    return clean + rng.normal(0, 0.4, clean.shape).astype("float32"), clean


def drawn(image, letters=" .:*#"):
    """Return the rows of an image (28, 28) as letters, every other row."""
    steps = np.clip(image[::2] * len(letters), 0, len(letters) - 1).astype(int)
    return ["".join(letters[step] for step in row) for row in steps]


net = cc.Network(
    [
        cc.ImageInput((1, 28, 28), normalization="none"),
        cc.Conv2D(4, 16, stride=2, padding=1, weights_initializer="he"),  # 28 × 28 to 14 × 14
        cc.ReLU(),
        cc.Conv2D(4, 32, stride=2, padding=1, weights_initializer="he"),  # to 7 × 7
        cc.ReLU(),
        cc.TransposedConv2D(4, 16, stride=2, cropping="same", weights_initializer="he"),  # back to 14 × 14
        cc.ReLU(),
        cc.TransposedConv2D(4, 1, stride=2, cropping="same"),  # and to 28 × 28
        cc.RegressionOutput(),
    ]
)
print(net.summary())

digits = cc.data.load_digits()
options = cc.TrainingOptions("adam", initial_learn_rate=3e-3, learn_rate_schedule="cosine", max_epochs=8,
                             mini_batch_size=32, verbose=False)  # fmt: skip
cc.train(net, noisy(digits.train.x), options=options)
x, clean = noisy(digits.test.x)
y = net.predict(x)
before, after = (np.sqrt(((images - clean) ** 2).mean()) for images in (x, y))
print(f"root mean squared error per pixel: {before:.3f} with noise, {after:.3f} without")
for rows in zip(*(drawn(images[0, 0]) for images in (x, y, clean)), strict=True):
    print(" | ".join(rows))
