"""Regression on images: the angle at which a bar lies.

Shows: RegressionOutput (half the squared error), targets that are numbers, the metric "rmse".
"""

import numpy as np

import convcore as cc

rng = np.random.default_rng(0)


def bars(count, size=24):
    """Images (count, 1, size, size) of a noisy bar through the centre, and its angle (count, 1), degrees."""
    angles = rng.uniform(-60, 60, (count, 1))
    turn = np.deg2rad(angles)[:, :, None]
    y, x = np.mgrid[:size, :size] - (size - 1) / 2
    across = x * np.sin(turn) + y * np.cos(turn)  # (count, size, size): distance from the bar's axis
    along = x * np.cos(turn) - y * np.sin(turn)
    images = np.exp(-(across**2) / 4) * (abs(along) < size / 3) + rng.normal(0, 0.1, across.shape)
    return images[:, None].astype("float32"), angles


net = cc.Network(
    [
        cc.ImageInput((1, 24, 24)),
        cc.Conv2D(5, 8, weights_initializer="he"),
        cc.ReLU(),
        cc.MaxPool2D(2),
        cc.Conv2D(3, 16, weights_initializer="he"),
        cc.ReLU(),
        cc.FullyConnected(1),
        cc.RegressionOutput(),
    ]
)
(x, angles), (x_test, angles_test) = bars(1500), bars(300)
options = cc.TrainingOptions(
    "adam", initial_learn_rate=2e-3, learn_rate_schedule="cosine", max_epochs=12, mini_batch_size=50, verbose=False
)
cc.train(net, (x, angles), options=options)
found = cc.evaluate(net, (x_test, angles_test), metrics=["rmse"])
print(f"always the mean: off by {angles_test.std():.1f} degrees; the network: by {found['rmse']:.1f}")
for angle, guess in zip(angles_test[:5, 0], net.predict(x_test[:5])[:, 0], strict=True):
    print(f"  bar at {angle:6.1f}, predicted {guess:6.1f}")
