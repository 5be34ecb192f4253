"""A data set from a folder of four IDX files under the names that MNIST made a standard."""

import pathlib
import re
from typing import NamedTuple

import numpy as np

from convcore.data.dataset import Dataset, Split
from convcore.data.idx import read_idx

MAX_CLASSES = 65_536  # beyond it a label is no class index but damage, and a network would get that many outputs


class IdxFiles(NamedTuple):
    """The paths of the four files of a data set."""

    train_images: pathlib.Path
    train_labels: pathlib.Path
    test_images: pathlib.Path
    test_labels: pathlib.Path


# How each of them may be called: MNIST's own name, and the variations that are met in the wild.
NAMES = IdxFiles(
    r"train-images[-.]idx[34]-ubyte(\.gz)?",
    r"train-labels[-.]idx1-ubyte(\.gz)?",
    r"(t10k|test)-images[-.]idx[34]-ubyte(\.gz)?",
    r"(t10k|test)-labels[-.]idx1-ubyte(\.gz)?",
)
STANDARD = IdxFiles(
    "train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"
)


def load_folder(folder):
    """Load a data set from a folder of four IDX files, each gzipped or plain.

    Parameters
    ----------
    folder : str or path-like
        Holds ``train-images-idx3-ubyte``, ``train-labels-idx1-ubyte``, ``t10k-images-idx3-ubyte`` and
        ``t10k-labels-idx1-ubyte``. Also understood: the ending ``.gz``, ``test-`` for ``t10k-``, a dot before
        ``idx``, and ``idx4`` for images in channels, (N, C, H, W). Of two that fit, the first by name is taken.

    Returns
    -------
    Dataset, named after the folder, with as many classes as the largest label asks for

    Raises
    ------
    FileNotFoundError
        One of the files is missing.
    ValueError
        Damaged files; images that are not uint8, of other dimensions or sizes than the rest; labels that are no
        integers from 0 to 65,535; images and labels that differ in number.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> from convcore.data.idx import write_idx
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     for part, count in [("train", 5), ("t10k", 2)]:
    ...         write_idx(f"{folder}/{part}-images-idx3-ubyte.gz", np.zeros((count, 12, 10), np.uint8))
    ...         write_idx(f"{folder}/{part}-labels-idx1-ubyte.gz", np.arange(count, dtype=np.uint8))
    ...     load_folder(folder).train.x.shape
    (5, 1, 12, 10)
    """
    folder = pathlib.Path(folder)
    return read_files(find_files(folder, "data"), folder.resolve().name, "data")


def find_files(folder, what):
    """Return the IdxFiles of a folder; FileNotFoundError, prefixed with `what`, names the first that is missing."""
    entries = sorted(entry for entry in folder.iterdir() if entry.is_file())
    found = []
    for pattern, standard in zip(NAMES, STANDARD, strict=True):
        path = next((entry for entry in entries if re.fullmatch(pattern, entry.name)), None)
        if path is None:
            raise FileNotFoundError(f"{what}: {folder} holds no {standard}, neither plain nor .gz")
        found.append(path)
    return IdxFiles(*found)


def read_files(files, name, what, class_names=None, read=read_idx):
    """Return the Dataset in four files; errors are prefixed with `what`.

    `read` turns a path into an array. Without `class_names` the classes are the numbers up to the largest label.
    """
    train_images, train_labels, test_images, test_labels = (read(path) for path in files)
    limit = len(class_names) if class_names else MAX_CLASSES
    train = _split(what, train_images, train_labels, files.train_images, files.train_labels, limit)
    test = _split(what, test_images, test_labels, files.test_images, files.test_labels, limit)
    if test.x.shape[1:] != train.x.shape[1:]:
        raise ValueError(
            f"{what}: {files.train_images} holds images {train.x.shape[1:]}, {files.test_images} {test.x.shape[1:]}"
        )
    if class_names is None:
        class_names = tuple(str(label) for label in range(1 + max(train.y.max(), test.y.max())))
    return Dataset(name, train, test, class_names)


def _split(what, images, labels, images_path, labels_path, num_classes):
    """Return the Split of an image and a label array, after checking that they are such and belong together."""
    if images.ndim not in (3, 4):
        raise ValueError(
            f"{what}: {images_path} has {images.ndim} dimensions {images.shape}, images have 3 (N, H, W) "
            "or 4 (N, C, H, W)"
        )
    if images.dtype != np.uint8:
        raise ValueError(f"{what}: {images_path} holds {images.dtype}, images are uint8")
    if images.size == 0:
        raise ValueError(f"{what}: {images_path} holds no pixel {images.shape}")
    if labels.ndim != 1:
        raise ValueError(f"{what}: {labels_path} has {labels.ndim} dimensions {labels.shape}, labels have 1")
    if labels.dtype.kind not in "iu":
        raise ValueError(f"{what}: {labels_path} holds {labels.dtype}, labels are integers")
    if len(images) != len(labels):
        raise ValueError(
            f"{what}: {images_path} holds {len(images):,} images, {labels_path} holds {len(labels):,} labels"
        )
    for label in (labels.min(), labels.max()):
        if not 0 <= label < num_classes:
            raise ValueError(f"{what}: {labels_path} holds the label {label}, labels go from 0 to {num_classes - 1}")
    if images.ndim == 3:
        images = images[:, np.newaxis]  # (N, H, W) -> (N, 1, H, W)
    return Split(images, labels.astype(np.int64))
