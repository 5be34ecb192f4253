import dataclasses
import math

import numpy as np
import pytest

from convcore.data import Augment, load_digits
from convcore.threads import num_threads


def generator(seed=0):
    return np.random.default_rng(seed)


@pytest.fixture
def images():
    return load_digits().train.x[:32]


def test_nothing_to_do_changes_nothing(images):
    y = Augment()(images, generator())
    assert y.dtype == np.float32
    np.testing.assert_array_equal(y, images)


def test_dtypes(images):
    assert Augment(shift=1)(images.astype(np.float64), generator()).dtype == np.float64
    assert Augment(shift=1)(images.astype(np.float32), generator()).dtype == np.float32
    assert Augment(shift=1)(images.tolist(), generator()).dtype == np.float32
    assert Augment(shift=1)(images[:0], generator()).shape == (0, 1, 28, 28)


def test_the_images_given_are_not_changed(images):
    before = images.copy()
    images.flags.writeable = False
    Augment(shift=2, rotation=10, scale=0.1, reflection=True)(images, generator())
    np.testing.assert_array_equal(images, before)
    same = images.astype(np.float32)
    assert not np.shares_memory(Augment()(same, generator()), same)


def test_the_same_generator_gives_the_same_bits_for_any_number_of_threads(images):
    augment = Augment(shift=2, rotation=10, scale=0.1, reflection=True)
    found = []
    for n in (1, 2, 3, 8):
        with num_threads(n):
            found.append(augment(images, generator(7)).tobytes())
    assert len(set(found)) == 1
    assert augment(images, generator(8)).tobytes() != found[0]


def test_each_image_is_changed_differently():
    x = np.zeros((64, 1, 9, 9), np.float32)
    x[:, :, 4, 4] = 1
    y = Augment(shift=2)(x, generator())
    assert len({image.tobytes() for image in y}) == 64


def centres(y):
    """The centre of gravity of each image, (N, 2), relative to the image's centre."""
    rows, columns = (np.arange(n) - (n - 1) / 2 for n in y.shape[2:])
    weight = y.sum(axis=(1, 2, 3))
    down = (y.sum(axis=(1, 3)) * rows).sum(axis=1) / weight
    right = (y.sum(axis=(1, 2)) * columns).sum(axis=1) / weight
    return np.stack([down, right], axis=1)


def points(down, right, count=500):
    """Images with one bright pixel, so many pixels below and right of the centre."""
    x = np.zeros((count, 1, 21, 21))
    x[:, 0, 10 + down, 10 + right] = 1
    return x


def test_shifts_go_as_far_as_they_may_and_no_farther():
    moved = centres(Augment(shift=3)(points(0, 0), generator()))
    assert 2.9 < abs(moved[:, 0]).max() <= 3
    assert 2.9 < abs(moved[:, 1]).max() <= 3
    assert abs(moved.mean(axis=0)).max() < 0.3
    assert abs(np.corrcoef(moved.T)[0, 1]) < 0.15  # down and right are drawn apart


def test_rotations_turn_about_the_centre():
    centre = centres(Augment(rotation=90)(points(0, 0), generator()))
    np.testing.assert_allclose(centre, 0, atol=1e-9)
    moved = centres(Augment(rotation=30)(points(0, 6), generator()))
    angle = np.degrees(np.arctan2(moved[:, 0], moved[:, 1]))
    assert 28.5 < angle.max() <= 30.5
    assert -30.5 <= angle.min() < -28.5
    # A single pixel, interpolated, is a small blur: its centre of gravity is off by a part of a pixel.
    np.testing.assert_allclose(np.hypot(*moved.T), 6, atol=0.3)


def test_scales_by_at_most_so_much():
    moved = centres(Augment(scale=0.25)(points(0, 8), generator()))[:, 1]
    assert 9.8 < moved.max() <= 10.1
    assert 5.9 <= moved.min() < 6.2


def test_every_other_image_is_reflected():
    moved = centres(Augment(reflection=True)(points(0, 4), generator()))
    assert set(np.round(moved[:, 1], 9)) == {-4.0, 4.0}
    assert 200 < (moved[:, 1] > 0).sum() < 300
    np.testing.assert_allclose(moved[:, 0], 0, atol=1e-12)


def test_the_map_is_what_it_says():
    """Reflected, scaled, turned, shifted, written out for one image."""
    augment = Augment(shift=2, rotation=20, scale=0.1, reflection=True)
    u = 2 * generator(3).random(5)[:4] - 1
    mirrored = generator(3).random(5)[4] < 0.5
    angle, factor = math.radians(20 * u[2]), 1 + 0.1 * u[3]
    point = np.array([3.0, -5.0])  # row and column relative to the centre, in the image given
    p = point * [1, -1 if mirrored else 1] * factor
    p = np.array([math.cos(angle) * p[0] - math.sin(angle) * p[1], math.sin(angle) * p[0] + math.cos(angle) * p[1]])
    p += 2 * u[:2]
    (transform,) = augment.transforms(1, (28, 20), generator(3))
    centre = np.array([13.5, 9.5])
    np.testing.assert_allclose(transform @ [*(p + centre), 1], point + centre, rtol=1e-12)


def test_one_option_does_not_change_what_another_draws():
    shift = Augment(shift=2).transforms(5, (9, 9), generator())
    np.testing.assert_array_equal(shift[:, :, 2], Augment(shift=2, fill=3).transforms(5, (9, 9), generator())[:, :, 2])
    turned = Augment(shift=2, rotation=1e-9).transforms(5, (9, 9), generator())
    np.testing.assert_allclose(turned, shift, atol=1e-8)


def test_the_fill_comes_in_over_the_borders():
    y = Augment(shift=3, fill=-1)(np.zeros((50, 2, 5, 5), np.uint8), generator())
    assert y.min() == -1
    assert y.max() == 0


@pytest.mark.parametrize(
    ("given", "error", "text"),
    [
        ({"shift": -1}, ValueError, "shift must be finite and at least 0, got -1"),
        ({"shift": math.inf}, ValueError, "shift must be finite and at least 0, got inf"),
        ({"shift": "2"}, TypeError, "shift must be a number, got '2'"),
        ({"rotation": 181}, ValueError, "rotation must lie in [0, 180], got 181"),
        ({"rotation": None}, TypeError, "rotation must be a number, got None"),
        ({"scale": 1}, ValueError, "scale must lie in [0, 1), got 1"),
        ({"scale": True}, TypeError, "scale must be a number, got True"),
        ({"reflection": 1}, TypeError, "reflection must be True or False, got 1"),
        ({"fill": math.nan}, ValueError, "fill must be finite, got nan"),
        ({"fill": "black"}, TypeError, "fill must be a number, got 'black'"),
    ],
)
def test_bad_options(given, error, text):
    with pytest.raises(error) as caught:
        Augment(**given)
    assert str(caught.value) == f"Augment: {text}"


@pytest.mark.parametrize(
    ("images", "rng", "error", "text"),
    [
        (np.zeros((2, 5, 5)), generator(), ValueError, "images must have shape (N, C, H, W), got (2, 5, 5)"),
        (np.zeros((1, 1, 5, 5), complex), generator(), TypeError,
         "images must be float32, float64, integers or booleans, got dtype complex128"),
        (np.zeros((1, 1, 5, 5)), 3, TypeError, "rng must be a numpy.random.Generator, got int"),
    ],
)  # fmt: skip
def test_bad_input(images, rng, error, text):
    with pytest.raises(error) as caught:
        Augment()(images, rng)
    assert str(caught.value) == f"Augment: {text}"


def test_every_option_has_bad_values_in_the_table():
    (mark,) = (mark for mark in test_bad_options.pytestmark if mark.name == "parametrize")
    assert {name for given, *_ in mark.args[1] for name in given} == {f.name for f in dataclasses.fields(Augment)}
