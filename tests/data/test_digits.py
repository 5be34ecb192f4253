import hashlib

import numpy as np

from convcore.data import load_digits
from convcore.data.digits import enlarge


def test_sizes_dtypes_and_names():
    dataset = load_digits()
    for (x, y), count in [(dataset.train, 1442), (dataset.test, 355)]:
        assert (x.shape, x.dtype) == ((count, 1, 28, 28), np.uint8)
        assert (y.shape, y.dtype) == ((count,), np.int64)
    assert dataset.class_names == tuple("0123456789")
    assert (dataset.train.x.min(), dataset.train.x.max()) == (0, 255)


def test_the_split_takes_every_fifth_of_each_class_in_file_order():
    dataset = load_digits()
    train, test = np.bincount(dataset.train.y), np.bincount(dataset.test.y)
    np.testing.assert_array_equal(train + test, [178, 182, 177, 183, 181, 182, 181, 179, 174, 180])
    np.testing.assert_array_equal(test, (train + test) // 5)
    np.testing.assert_array_equal(dataset.train.y[:12], np.r_[0:10, 0:2])  # the file opens with 0 to 9, in turn
    np.testing.assert_array_equal(dataset.test.y[:5], [5, 0, 9, 8, 7])


def test_no_image_is_in_both_splits():
    train, test = ({image.tobytes() for image in split.x} for split in (load_digits().train, load_digits().test))
    assert not train & test


def test_the_pixels_are_the_same_on_every_machine():
    dataset = load_digits()
    assert hashlib.md5(dataset.train.x.tobytes()).hexdigest() == "2d339ed6ee024c4cff2e5df5c38fa96e"
    assert hashlib.md5(dataset.test.x.tobytes()).hexdigest() == "b39e8e469165a456498de43d3aa0a1db"


def test_loading_twice_gives_arrays_of_ones_own():
    load_digits().train.x[:] = 7
    assert (load_digits().train.x != 7).any()


def test_enlargement_of_one_pixel_worked_on_paper():
    small = np.zeros((1, 8, 8), np.uint8)
    small[0, 0, 0] = 16
    large = enlarge(small)[0]
    # Pixels 4 and 5 lie 0.3 and 0.1 from the centre of small pixel 0; Keys' kernel gives 0.8155 and 0.9765.
    assert [large[5, 5], large[5, 4], large[4, 4]] == [243, 203, 170]
    assert large[5, 9] == 0  # 1.7 away: the kernel is negative, cut off at black
    assert not large[:, 10:].any()  # 2.1 away: the kernel has ended


def test_enlargement_keeps_symmetry_and_level():
    image = np.random.default_rng(0).integers(0, 17, (3, 8, 8))
    np.testing.assert_array_equal(enlarge(image.transpose(0, 2, 1)), enlarge(image).transpose(0, 2, 1))
    np.testing.assert_array_equal(enlarge(image[:, ::-1, ::-1]), enlarge(image)[:, ::-1, ::-1])
    assert (enlarge(np.full((1, 8, 8), 16))[0, 8:20, 8:20] == 255).all()
    assert (enlarge(np.full((1, 8, 8), 8))[0, 8:20, 8:20] == 128).all()
    assert enlarge(np.zeros((0, 8, 8))).shape == (0, 28, 28)
