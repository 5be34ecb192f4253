import re

import numpy as np
import pytest

from convcore.data import load, load_folder, write_idx

NAMES = ["train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"]


def arrays():
    """Five training and three test images of 4 x 6 pixels, in three classes."""
    images = np.arange(8 * 24, dtype=np.uint8).reshape(8, 4, 6)
    labels = np.array([0, 2, 1, 1, 0, 2, 0, 1], np.uint8)
    return [images[:5], labels[:5], images[5:], labels[5:]]


def fill(folder, contents, names=NAMES):
    for name, content in zip(names, contents, strict=True):
        write_idx(folder / name, content)


@pytest.mark.parametrize(
    "names",
    [
        NAMES,
        [name + ".gz" for name in NAMES],
        [name.replace("t10k", "test") for name in NAMES],
        [name.replace("-idx", ".idx") for name in NAMES],
        [NAMES[0] + ".gz", *NAMES[1:]],
    ],
)
@pytest.mark.parametrize("kind", [str, lambda path: path])
def test_folder_of_four_files(names, kind, tmp_path):
    folder = tmp_path / "shapes"
    folder.mkdir()
    fill(folder, arrays(), names)
    dataset = load(kind(folder))
    images, labels, *_ = arrays()
    x, y = dataset.train
    np.testing.assert_array_equal(x, images[:, None])
    np.testing.assert_array_equal(y, labels)
    assert (x.dtype, y.dtype) == (np.uint8, np.int64)
    assert dataset.test.x.shape == (3, 1, 4, 6)
    assert (dataset.name, dataset.num_classes, dataset.class_names) == ("shapes", 3, ("0", "1", "2"))
    assert dataset.input_shape == (1, 4, 6)
    assert repr(dataset) == "Dataset 'shapes': 5 training and 3 test images (1, 4, 6), 3 classes"


def test_images_with_channels(tmp_path):
    contents = [array[:, None].repeat(3, axis=1) if array.ndim == 3 else array for array in arrays()]
    fill(tmp_path, contents, [name.replace("idx3", "idx4") for name in NAMES])
    assert load_folder(tmp_path).train.x.shape == (5, 3, 4, 6)


def test_a_label_that_only_the_test_set_knows_counts_as_a_class(tmp_path):
    contents = arrays()
    contents[3][0] = 6
    fill(tmp_path, contents)
    assert load_folder(tmp_path).num_classes == 7


def test_a_folder_under_the_name_of_a_file_is_passed_over(tmp_path):
    (tmp_path / NAMES[0]).mkdir()
    fill(tmp_path, arrays(), [name + ".gz" for name in NAMES])
    assert len(load_folder(tmp_path).train.x) == 5


@pytest.mark.parametrize("missing", range(4))
def test_missing_file(missing, tmp_path):
    fill(tmp_path, arrays())
    (tmp_path / NAMES[missing]).rename(tmp_path / (NAMES[missing] + ".part"))
    text = f"data: {tmp_path} holds no {NAMES[missing]}, neither plain nor .gz"
    with pytest.raises(FileNotFoundError, match="^" + re.escape(text) + "$"):
        load_folder(tmp_path)


WRONG = {
    "images flat": (
        0,
        np.zeros((5, 24), np.uint8),
        "{0} has 2 dimensions (5, 24), images have 3 (N, H, W) or 4 (N, C, H, W)",
    ),
    "images float": (2, np.zeros((3, 4, 6), np.float32), "{2} holds float32, images are uint8"),
    "no image": (0, np.zeros((0, 4, 6), np.uint8), "{0} holds no pixel (0, 4, 6)"),
    "no pixel": (0, np.zeros((5, 4, 0), np.uint8), "{0} holds no pixel (5, 4, 0)"),
    "labels one-hot": (1, np.zeros((5, 3), np.uint8), "{1} has 2 dimensions (5, 3), labels have 1"),
    "labels float": (3, np.zeros(3, np.float64), "{3} holds float64, labels are integers"),
    "too few labels": (1, np.zeros(4, np.uint8), "{0} holds 5 images, {1} holds 4 labels"),
    "many labels": (3, np.zeros(1200, np.uint8), "{2} holds 3 images, {3} holds 1,200 labels"),
    "no label": (3, np.zeros(0, np.uint8), "{2} holds 3 images, {3} holds 0 labels"),
    "negative label": (1, np.array([0, -3, 1, 1, 0], np.int8), "{1} holds the label -3, labels go from 0 to 65535"),
    "absurd label": (
        1,
        np.array([0, 2**31 - 1, 1, 1, 0], np.int32),
        "{1} holds the label 2147483647, labels go from 0 to 65535",
    ),
    "other size": (2, np.zeros((3, 6, 4), np.uint8), "{0} holds images (1, 4, 6), {2} (1, 6, 4)"),
}


@pytest.mark.parametrize("case", WRONG)
def test_files_that_do_not_belong_together(case, tmp_path):
    which, content, text = WRONG[case]
    contents = arrays()
    contents[which] = content
    fill(tmp_path, contents)
    text = "data: " + text.format(*(tmp_path / name for name in NAMES))
    with pytest.raises(ValueError, match="^" + re.escape(text) + "$"):
        load_folder(tmp_path)


def test_a_damaged_file_is_named(tmp_path):
    fill(tmp_path, arrays())
    path = tmp_path / NAMES[2]
    path.write_bytes(path.read_bytes()[:-2])
    text = f"idx: {path} holds 70 values, its header promises 72 (3, 4, 6)"
    with pytest.raises(ValueError, match="^" + re.escape(text) + "$"):
        load_folder(tmp_path)
