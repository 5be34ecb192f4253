"""affine2d: every variant against the definition, and the definition against maps that can be done by hand."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import DTYPES, THREADS, assert_same, bits, cells, integers

from convcore import kernels
from convcore.kernels import AffineGeometry, run

IDENTITY = ((1, 0, 0), (0, 1, 0))


def mapped(x, transform, fill=0.0, **how):
    transform = np.broadcast_to(np.asarray(transform, x.dtype), (len(x), 2, 3))
    return run("affine2d", "forward", AffineGeometry(*x.shape), x, transform, fill=fill, **how)


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
    for dtype in DTYPES:
        x = integers(shape, dtype, seed)
        transform = np.reshape(quarters, (2, 3)) / 4 + np.array(IDENTITY)
        expected = mapped(x, transform, fill, variant="reference")
        for n_threads in THREADS:
            assert_same(mapped(x, transform, fill, variant=variant, level=level, n_threads=n_threads), expected)


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
