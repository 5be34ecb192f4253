"""A task small enough that an epoch takes milliseconds: which corner of an 8 x 8 image is bright?"""

import numpy as np
import pytest

from convcore.layers import Conv2D, Dropout, FullyConnected, ImageInput, MaxPool2D, ReLU, Softmax
from convcore.network import Network
from convcore.train import TrainingOptions


def images(count, seed):
    rng = np.random.default_rng(seed)
    y = rng.integers(0, 3, count)
    x = rng.integers(0, 120, (count, 1, 8, 8), dtype=np.uint8)
    for image, label in zip(x[:, 0], y, strict=True):
        top, left = divmod(int(label), 2)
        image[4 * top : 4 * top + 4, 4 * left : 4 * left + 4] += 130
    return x, y


@pytest.fixture
def data():
    return images(50, seed=1)


@pytest.fixture
def validation_data():
    return images(30, seed=2)


@pytest.fixture
def make_net():
    def make(dropout=0.25, dtype="float32", seed=0, conv=None, fc=None):
        layers = [
            ImageInput((1, 8, 8), normalization="zscore"),
            Conv2D(3, 4, name="conv", **(conv or {})),
            ReLU(),
            MaxPool2D(2),
            *([Dropout(dropout)] if dropout else []),
            FullyConnected(3, name="fc", **(fc or {})),
            Softmax(),
        ]
        return Network(layers, seed=seed, dtype=dtype)

    return make


@pytest.fixture
def quiet():
    def options(**given):
        defaults = {"max_epochs": 3, "mini_batch_size": 16, "verbose": False, "initial_learn_rate": 0.01}
        return TrainingOptions(**{**defaults, **given})

    return options


@pytest.fixture
def bits():
    """Everything about a trained network and its history that must not depend on how it came about."""

    def of(history):
        arrays = {name: (a.dtype.str, a.shape, a.tobytes()) for name, a in history.network.arrays().items()}
        rows = [{name: value for name, value in row.items() if name != "seconds"} for row in history.rows]
        return arrays, rows

    return of
