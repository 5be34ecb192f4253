"""channel_scale: every variant against the definition, and by hand."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import DTYPES, THREADS, assert_same, bits, cells, integers, named_rows

from convcore import kernels
from convcore.kernels import ChannelScaleGeometry, run

OP = "channel_scale"


def scaled(x, index, scale, shift, **how):
    """x, or those of its rows that an index names, scaled and shifted."""
    of_bytes, count = x.dtype == np.uint8, len(x) if index is None else len(index)
    geometry = ChannelScaleGeometry(count, *x.shape[1:], of_bytes, None if index is None else len(x))
    if index is None:
        return run(OP, "forward", geometry, x, scale, shift, **how)
    return run(OP, "gather", geometry, x, index, scale, shift, **how)


@pytest.mark.parametrize(("variant", "level", "direction"), cells(OP))
@given(shape=st.tuples(st.integers(0, 4), st.integers(1, 5), st.integers(0, 40)), seed=st.integers(0, 99))
@settings(max_examples=40)
def test_equals_the_definition(variant, level, direction, shape, seed):
    index = named_rows(shape[0], seed) if direction == "gather" else None
    for dtype in DTYPES:
        x, scale, shift = (integers(s, dtype, seed + i) for i, s in enumerate((shape, shape[1:2], shape[1:2])))
        expected = (x if index is None else x[index]) * scale[:, None] + shift[:, None]
        assert_same(scaled(x, index, scale, shift, variant="reference"), expected)
        for n in THREADS:
            assert_same(scaled(x, index, scale, shift, variant=variant, level=level, n_threads=n), expected)


@pytest.mark.parametrize(("variant", "level", "direction"), cells(OP))
def test_rounding_and_the_same_bits(variant, level, direction):
    """Two roundings at most: of the product and of the sum."""
    rng = np.random.default_rng(0)
    x, scale, shift = rng.standard_normal((30, 7, 50)), rng.standard_normal(7), rng.standard_normal(7)
    index = np.arange(30)[::-1].copy() if direction == "gather" else None
    taken = x if index is None else x[index]
    exact = taken * scale[:, None] + shift[:, None]
    for dtype in DTYPES:
        arrays = [a.astype(dtype) for a in (x, scale, shift)]
        arrays.insert(1, index)
        runs = [scaled(*arrays, variant=variant, level=level, n_threads=n) for n in (*THREADS, 1)]
        bound = 3 * np.finfo(dtype).eps * (abs(taken * scale[:, None]) + abs(shift[:, None]))
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
    x = np.random.default_rng(seed).integers(0, 256, shape, np.uint8)
    index = named_rows(shape[0], seed) if direction == "gather" else None
    for dtype in DTYPES:
        scale, shift = integers(shape[1:2], dtype, seed), integers(shape[1:2], dtype, seed + 1)
        expected = scaled(x.astype(dtype), index, scale, shift, variant="reference")
        for n in THREADS:
            assert_same(scaled(x, index, scale, shift, variant=variant, level=level, n_threads=n), expected)


@pytest.mark.parametrize("variant", kernels.variants(OP))
@pytest.mark.parametrize("wrong", [-1, 3, 2**62, -(2**62)])
def test_an_index_that_names_no_row(variant, wrong):
    x, one = np.zeros((3, 1, 4), np.uint8), np.ones(1)
    with pytest.raises(ValueError) as caught:
        scaled(x, np.array([0, 2, wrong, 1]), one, one, variant=variant)
    assert str(caught.value) == f"channel_scale: index must hold numbers from 0 to 2, got {wrong:,}"


def test_other_dtypes():
    x, scale = np.zeros((1, 1, 2), np.int8), np.ones(1)
    with pytest.raises(TypeError, match=r"^channel_scale: x must be uint8, got int8$"):
        run(OP, "forward", ChannelScaleGeometry(1, 1, 2, of_bytes=True), x, scale, scale)
    text = r"^channel_scale: arrays must share one dtype: scale is float64, shift is float32$"
    with pytest.raises(TypeError, match=text):
        run(OP, "forward", ChannelScaleGeometry(1, 1, 2, of_bytes=True), x.view("u1"), scale, scale.astype("f4"))
