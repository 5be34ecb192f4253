"""affine2d: every variant against the definition, and the definition against maps that can be done by hand."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import DTYPES, THREADS, assert_same, bits, cells, integers, named_rows

from convcore import kernels
from convcore.kernels import AffineGeometry, ChannelScaleGeometry, run

IDENTITY = ((1, 0, 0), (0, 1, 0))


def mapped(x, transform, fill=0.0, dtype=None, **how):
    transform = np.broadcast_to(np.asarray(transform, dtype or x.dtype), (len(x), 2, 3))
    geometry = AffineGeometry(*x.shape, of_bytes=x.dtype == np.uint8)
    return run("affine2d", "forward", geometry, x, transform, fill=fill, **how)


def gathered(x, index, transform, scale, shift, fill=0.0, **how):
    """The rows that an index names, moved, scaled and shifted, in one pass."""
    transform = np.broadcast_to(np.asarray(transform, scale.dtype), (len(index), 2, 3))
    geometry = AffineGeometry(len(index), *x.shape[1:], x.dtype == np.uint8, len(x))
    return run("affine2d", "gather", geometry, x, index, transform, scale, shift, fill=fill, **how)


@pytest.mark.parametrize(("variant", "level", "direction"), cells("affine2d"))
@given(
    shape=st.tuples(st.integers(0, 3), st.integers(1, 3), st.integers(1, 9), st.integers(1, 9)),
    quarters=st.lists(st.integers(-8, 8), min_size=6, max_size=6),
    fill=st.integers(-3, 3),
    seed=st.integers(0, 99),
)
@settings(max_examples=60)
def test_equals_the_definition(variant, level, direction, shape, quarters, fill, seed):
    """Places at quarters of pixels, in images of small integers: nothing is rounded."""
    transform = np.reshape(quarters, (2, 3)) / 4 + np.array(IDENTITY)
    index = named_rows(shape[0], seed)
    for dtype in DTYPES:
        x, scale, shift = integers(shape, dtype, seed), *(integers(shape[1:2], dtype, seed + i) for i in (1, 2))
        moved = mapped(x, transform, fill, variant="reference")
        taken = moved[index] * scale[:, None, None] + shift[:, None, None]
        for n in THREADS:
            how = dict(variant=variant, level=level, n_threads=n)
            if direction == "forward":
                assert_same(mapped(x, transform, fill, **how), moved)
            else:
                assert_same(gathered(x, index, transform, scale, shift, fill, **how), taken)
    if direction == "gather":
        assert_same(gathered(x, index, transform, scale, shift, fill, variant="reference"), taken)


@pytest.mark.parametrize(("variant", "level", "direction"), cells("affine2d"))
def test_rounding_and_the_same_bits(variant, level, direction):
    for dtype in DTYPES:
        x = np.random.default_rng(0).uniform(-1, 1, (40, 2, 30, 20)).astype(dtype)
        turn = [[0.9, 0.3, -2.1], [-0.3, 0.9, 3.3]]
        exact = mapped(x.astype("f8"), np.asarray(turn, dtype).astype("f8"), variant="reference")
        runs = [mapped(x, turn, variant=variant, level=level, n_threads=n) for n in (*THREADS, 1)]
        # A place below 64 has 3 roundings, and the slope of the picture is at most 2 in each of two directions.
        assert abs(runs[0] - exact).max() <= (2 * 2 * 3 * 64 + 8) * np.finfo(dtype).eps
        assert all(bits(one) == bits(runs[0]) for one in runs)


@pytest.mark.parametrize("level", kernels.levels_of("affine2d", "direct"))
@pytest.mark.parametrize("size", [(28, 28), (5, 64), (3, 65), (4, 200)])
def test_one_pass_has_the_bits_of_three(level, size):
    """Bytes gathered by index, moved, scaled and shifted: as if each were done by itself."""
    rng = np.random.default_rng(0)
    x, index = rng.integers(0, 256, (9, 3, *size), np.uint8), named_rows(9, 0)
    how = {"variant": "direct", "level": level}
    for dtype in DTYPES:
        turns = (np.array(IDENTITY) + rng.uniform(-0.2, 0.2, (9, 2, 3)) * [1, 1, 30]).astype(dtype)
        scale, shift = rng.standard_normal((2, 3)).astype(dtype)
        moved = mapped(x[index], turns, 7, dtype, **how)
        assert_same(mapped(x[index].astype(dtype), turns, 7, **how), moved)
        planes = moved.reshape(9, 3, -1)
        scaled = run("channel_scale", "forward", ChannelScaleGeometry(*planes.shape), planes, scale, shift, **how)
        for n in THREADS:
            got = gathered(x, index, turns, scale, shift, 7, n_threads=n, **how)
            assert bits(got) == bits(scaled.reshape(got.shape))


@pytest.mark.parametrize("variant", kernels.variants("affine2d"))
def test_an_index_that_names_no_row(variant):
    x, one = np.zeros((3, 1, 4, 4), np.uint8), np.ones(1)
    for wrong in (-1, 3):
        with pytest.raises(ValueError) as caught:
            gathered(x, np.array([0, wrong]), IDENTITY, one, one, variant=variant)
        assert str(caught.value) == f"affine2d: index must hold numbers from 0 to 2, got {wrong}"


@pytest.mark.parametrize("variant", kernels.variants("affine2d"))
@pytest.mark.parametrize("place", [np.nan, np.inf, -np.inf, 1e30, -1e30, -1.0, 3.0])
def test_places_outside_show_the_filling(variant, place):
    """Exactly, whatever stands in the image."""
    x = np.full((1, 1, 3, 3), 1e30 if variant == "reference" else np.inf, "f4")
    for transform in (((0, 0, place), (0, 1, 0)), ((1, 0, 0), (0, 0, place))):
        np.testing.assert_array_equal(mapped(x, transform, 0.3, variant=variant), np.full(x.shape, np.float32(0.3)))


@pytest.mark.parametrize("variant", kernels.variants("affine2d"))
@pytest.mark.parametrize("dtype", DTYPES)
def test_maps_by_hand(variant, dtype):
    x = np.arange(1, 13, dtype=dtype).reshape(1, 1, 3, 4)

    def show(*transform, fill=0):
        return mapped(x, transform, fill, variant=variant)[0, 0].tolist()

    assert show(*IDENTITY) == x[0, 0].tolist()
    assert show((1, 0, -1), (0, 1, 0), fill=9) == [[9, 9, 9, 9], [1, 2, 3, 4], [5, 6, 7, 8]]  # a row further down
    assert show((1, 0, 0), (0, 1, 1), fill=9) == [[2, 3, 4, 9], [6, 7, 8, 9], [10, 11, 12, 9]]
    assert show((1, 0, 0), (0, -1, 3)) == x[0, 0, :, ::-1].tolist()  # reflected
    assert show((1, 0, 0), (0, 1, 0.5))[0] == [1.5, 2.5, 3.5, 2.0]  # halfway between; at the border, with the fill
    assert show((1, 0, 0.25), (0, 1, 0))[0] == [2, 3, 4, 5]
    assert show((0, 0, 50), (0, 0, 0), fill=7) == [[7] * 4] * 3
    assert show((0, 0, -1e30), (0, 0, 1e30), fill=7) == [[7] * 4] * 3  # far outside, where no index could be


@pytest.mark.parametrize("variant", kernels.variants("affine2d"))
def test_each_image_has_its_own_map_and_all_its_channels_share_it(variant):
    x = integers((2, 3, 4, 5), np.float64, 0)
    transform = np.array([IDENTITY, ((1, 0, 0), (0, -1, 4))], float)
    y = mapped(x, transform, variant=variant)
    np.testing.assert_array_equal(y[0], x[0])
    np.testing.assert_array_equal(y[1], x[1, :, :, ::-1])


def test_text_form():
    assert str(AffineGeometry(2, 3, 4, 5)) == "mb2ic3ih4iw5"


def test_images_that_are_too_large_are_left_to_the_definition():
    geometry = AffineGeometry(1, 1, 50000, 50000)
    reason = kernels.refusal("affine2d", "direct", "forward", geometry, np.dtype("f4"))
    assert reason == "images have 2,500,100,001 pixels, 32 bits do not count them"
    assert kernels.refusal("affine2d", "direct", "forward", AffineGeometry(1, 1, 40000, 50000), np.dtype("f4")) is None
