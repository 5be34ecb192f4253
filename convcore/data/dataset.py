"""What every loader returns: a training and a test split of images and labels."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np


class Split(NamedTuple):
    """Images and their labels; unpacks as ``x, y``.

    Attributes
    ----------
    x : ndarray, shape (N, C, H, W), uint8
        Grey or colour levels 0 to 255. They stay uint8: converting is left to whoever takes a mini-batch,
        because the whole of MNIST as float64 is 376 MB.
    y : ndarray, shape (N,), int64
        Class indices from 0.
    """

    x: np.ndarray
    y: np.ndarray


@dataclass(frozen=True, eq=False, repr=False)
class Dataset:
    """A named set of labelled images, split for training and testing.

    Parameters
    ----------
    name : str
    train, test : Split
    class_names : tuple of str
        One name per class index.

    Examples
    --------
    >>> split = Split(np.zeros((2, 1, 28, 28), np.uint8), np.array([0, 1]))
    >>> dataset = Dataset("demo", split, split, ("cat", "dog"))
    >>> dataset
    Dataset 'demo': 2 training and 2 test images (1, 28, 28), 2 classes
    >>> x, y = dataset.train
    """

    name: str
    train: Split
    test: Split
    class_names: tuple

    @property
    def num_classes(self):
        """The number of classes, int."""
        return len(self.class_names)

    @property
    def input_shape(self):
        """Shape of one image, (C, H, W)."""
        return self.train.x.shape[1:]

    def __repr__(self):
        return (
            f"Dataset {self.name!r}: {len(self.train.x):,} training and {len(self.test.x):,} test images "
            f"{self.input_shape}, {self.num_classes:,} classes"
        )
