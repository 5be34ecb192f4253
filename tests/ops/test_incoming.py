"""Incoming: what one kernel makes of a batch is what NumPy makes of it step by step."""

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from convcore.data import Augment
from convcore.kernels import calls
from convcore.ops.incoming import Incoming

DTYPES = [np.dtype("f4"), np.dtype("f8")]
KINDS = ["u1", "f4", "f8", "i2", "?", ">f4"]
INDEX = np.array([4, 0, 4, 2])
SCALE, SHIFT = np.array([2.0, -0.5, 4.0]), np.array([1.0, 8.0, -3.0])


def observations(kind):
    return np.random.default_rng(0).integers(0, 2 if kind == "?" else 99, (5, 3, 6, 7)).astype(kind)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("index", [None, INDEX])
def test_is_what_numpy_makes_of_it(kind, dtype, index):
    x = observations(kind)
    taken = x if index is None else x[index]
    batch = Incoming(x, dtype, index)
    assert (batch.shape, batch.ndim, len(batch)) == (taken.shape, 4, len(taken))
    assert_array_equal(batch.observations(), taken)
    assert_array_equal(batch.tensor().data, taken.astype(dtype), strict=True)
    scaled = batch.scaled(SCALE.astype(dtype), SHIFT.astype(dtype)).data
    assert_array_equal(scaled, taken.astype(dtype) * SCALE[:, None, None] + SHIFT[:, None, None])
    assert scaled.dtype == dtype


@pytest.mark.parametrize("kind", ["u1", "f4"])
@pytest.mark.parametrize("index", [None, INDEX])
def test_moved_images_are_those_of_augment(kind, index):
    x, augment = observations(kind), Augment(shift=1, rotation=20, fill=3)
    taken = x if index is None else x[index]
    expected = augment(taken, np.random.default_rng(1))
    batch = Incoming(x, DTYPES[0], index)
    moved = batch.moved(augment.transforms(len(taken), (6, 7), np.random.default_rng(1)), augment.fill)
    assert_array_equal(moved.tensor().data, expected, strict=True)
    assert_array_equal(batch.tensor().data, taken.astype("f4"))  # the batch itself has not moved


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("index", [None, INDEX])
def test_numbers_that_lie_apart(kind, index):
    turned = observations(kind).transpose(0, 1, 3, 2)
    taken = turned if index is None else turned[index]
    assert_array_equal(Incoming(turned, DTYPES[0], index).tensor().data, taken.astype("f4"), strict=True)


def test_one_kernel_reads_bytes_where_they_lie():
    x, made = observations("u1"), []
    with calls.observing(made.append):
        Incoming(x, DTYPES[0], INDEX).scaled(SCALE.astype("f4"), SHIFT.astype("f4"))
    assert [(call.op, call.direction) for call in made] == [("channel_scale", "gather")]
    assert np.shares_memory(made[0].arrays[0], x)
    assert np.shares_memory(made[0].arrays[1], INDEX)


@pytest.mark.parametrize("shape", [(0, 3), (5,), (2, 1, 3, 4), (0, 3, 0, 2)])
@pytest.mark.parametrize("dtype", DTYPES)
def test_bytes_of_any_shape(shape, dtype):
    x = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
    assert_array_equal(Incoming(x, dtype).tensor().data, x.astype(dtype), strict=True)
