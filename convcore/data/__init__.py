"""Data sets as uint8 images and int64 labels, the IDX files they come from, and their mini-batches."""

from convcore.data.augment import Augment
from convcore.data.batches import batches, epoch_order, num_batches
from convcore.data.dataset import Dataset, Split
from convcore.data.digits import load_digits
from convcore.data.idx import read_idx, write_idx
from convcore.data.idx_folder import load_folder
from convcore.data.load import load
from convcore.data.mnist import FASHION_MNIST, MNIST, load_mnist

__all__ = [
    "FASHION_MNIST",
    "MNIST",
    "Augment",
    "Dataset",
    "Split",
    "batches",
    "epoch_order",
    "load",
    "load_digits",
    "load_folder",
    "load_mnist",
    "num_batches",
    "read_idx",
    "write_idx",
]
