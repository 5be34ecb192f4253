"""channel_scale: every variant against the definition, and by hand."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import DTYPES, THREADS, assert_same, bits, cells, integers

from convcore import kernels
from convcore.kernels import ChannelScaleGeometry, run

OP = "channel_scale"


@pytest.mark.parametrize(("variant", "level", "direction"), cells(OP))
@given(shape=st.tuples(st.integers(0, 4), st.integers(1, 5), st.integers(0, 40)), seed=st.integers(0, 99))
@settings(max_examples=40)
def test_equals_the_definition(variant, level, direction, shape, seed):
    geometry, channels = ChannelScaleGeometry(*shape), shape[1:2]
    for dtype in DTYPES:
        arrays = integers(shape, dtype, seed), integers(channels, dtype, seed + 1), integers(channels, dtype, seed + 2)
        expected = run(OP, direction, geometry, *arrays, variant="reference")
        for n in THREADS:
            assert_same(run(OP, direction, geometry, *arrays, variant=variant, level=level, n_threads=n), expected)


@pytest.mark.parametrize(("variant", "level", "direction"), cells(OP))
def test_rounding_and_the_same_bits(variant, level, direction):
    """Two roundings at most: of the product and of the sum."""
    rng = np.random.default_rng(0)
    x, scale, shift = rng.standard_normal((30, 7, 50)), rng.standard_normal(7), rng.standard_normal(7)
    exact = x * scale[:, None] + shift[:, None]
    for dtype in DTYPES:
        arrays = [a.astype(dtype) for a in (x, scale, shift)]
        geometry = ChannelScaleGeometry(*x.shape)
        runs = [run(OP, direction, geometry, *arrays, variant=variant, level=level, n_threads=n) for n in (*THREADS, 1)]
        bound = 3 * np.finfo(dtype).eps * (abs(x * scale[:, None]) + abs(shift[:, None]))
        assert (abs(runs[0] - exact) <= bound + np.finfo("f8").eps).all()
        assert all(bits(one) == bits(runs[0]) for one in runs)


@pytest.mark.parametrize("variant", kernels.variants(OP))
def test_by_hand(variant):
    x = np.array([[[1.0, 2], [3, np.nan]]])
    y = run(OP, "forward", ChannelScaleGeometry(1, 2, 2), x, np.array([10.0, -1]), np.array([5.0, 0]), variant=variant)
    np.testing.assert_array_equal(y, [[[15, 25], [-3, np.nan]]])


@pytest.mark.parametrize(("variant", "level", "direction"), cells(OP))
@given(shape=st.tuples(st.integers(0, 4), st.integers(1, 5), st.integers(0, 40)), seed=st.integers(0, 99))
@settings(max_examples=20)
def test_bytes(variant, level, direction, shape, seed):
    geometry = ChannelScaleGeometry(*shape, of_bytes=True)
    x = np.random.default_rng(seed).integers(0, 256, shape, np.uint8)
    for dtype in DTYPES:
        scale, shift = integers(shape[1:2], dtype, seed), integers(shape[1:2], dtype, seed + 1)
        expected = run(OP, "forward", ChannelScaleGeometry(*shape), x.astype(dtype), scale, shift, variant="reference")
        for n in THREADS:
            got = run(OP, direction, geometry, x, scale, shift, variant=variant, level=level, n_threads=n)
            assert_same(got, expected)


def test_other_dtypes():
    x, scale = np.zeros((1, 1, 2), np.int8), np.ones(1)
    with pytest.raises(TypeError, match=r"^channel_scale: x must be uint8, got int8$"):
        run(OP, "forward", ChannelScaleGeometry(1, 1, 2, of_bytes=True), x, scale, scale)
    text = r"^channel_scale: arrays must share one dtype: scale is float64, shift is float32$"
    with pytest.raises(TypeError, match=text):
        run(OP, "forward", ChannelScaleGeometry(1, 1, 2, of_bytes=True), x.view("u1"), scale, scale.astype("f4"))
