"""relu: every variant against the definition, NaN and the two zeros included."""

import numpy as np
import pytest
from convcore._compiled.cpu import DenormalsAsZeros
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_array_equal
from strategies import DTYPES, THREADS, assert_same, cells, integers

from convcore import kernels
from convcore.kernels import FlatGeometry, registry, run

SPECIAL = (0.0, -0.0, np.inf, -np.inf, np.nan, 1e-40, -1e-40)
SIZES = [0, 1, 15, 17, 1000, 16384, 16385, 3 * 16384 + 5]  # blocks are 16384 long


def numbers(size, dtype, seed):
    x = integers(size, dtype, seed)
    places = np.random.default_rng(seed).integers(0, max(size, 1), min(size, 20))
    x[places] = np.resize(np.array(SPECIAL), len(places))
    return x


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize(("variant", "level", "direction"), cells("relu"))
def test_equals_the_definition(variant, level, direction, size):
    geometry = FlatGeometry("relu", size)
    for dtype in DTYPES:
        arrays = [numbers(size, dtype, seed) for seed in range(1 + (direction != "forward"))]
        expected = run("relu", direction, geometry, *arrays, variant="reference")
        for n_threads in THREADS:
            got = run("relu", direction, geometry, *arrays, variant=variant, level=level, n_threads=n_threads)
            assert_same(got, expected)


@pytest.mark.parametrize(("variant", "level", "direction"), cells("relu"))
@given(size=st.integers(0, 200), seed=st.integers(0, 999))
@settings(max_examples=40)
def test_equals_the_definition_anywhere(variant, level, direction, size, seed):
    geometry = FlatGeometry("relu", size)
    for dtype in DTYPES:
        arrays = [numbers(size, dtype, seed + i) for i in range(1 + (direction != "forward"))]
        expected = run("relu", direction, geometry, *arrays, variant="reference")
        assert_same(run("relu", direction, geometry, *arrays, variant=variant, level=level, n_threads=2), expected)


@pytest.mark.parametrize("size", [1, 17, 16384, 16385])
@pytest.mark.parametrize("level", kernels.levels_of("relu", "direct"))
def test_in_place(level, size):
    """What follows other kernels where they do not apply ReLU themselves."""
    for dtype in DTYPES:
        for n_threads in THREADS:
            y = numbers(size, dtype, 0)
            expected = run("relu", "forward", FlatGeometry("relu", size), y)
            with DenormalsAsZeros(n_threads):  # as `run` calls what it calls
                registry.load("relu", "direct", level).in_place(FlatGeometry("relu", size), y, n_threads)
            assert_same(y, expected)
            assert not np.signbit(y[y == 0]).any()


@pytest.mark.parametrize("variant", kernels.variants("relu"))
def test_by_hand(variant):
    geometry = FlatGeometry("relu", 7)
    x = np.array([-2.0, -0.0, 0.0, 3.0, np.inf, -np.inf, np.nan])
    y = run("relu", "forward", geometry, x, variant=variant)
    assert_array_equal(y, [0, 0, 0, 3, np.inf, 0, np.nan])
    assert not np.signbit(y).any()  # no minus zero comes out
    grad_x = run("relu", "backward_input", geometry, np.arange(1.0, 8.0), y, variant=variant)
    assert_array_equal(grad_x, [0, 0, 0, 4, 5, 0, 7])  # at 0 itself the gradient is 0; where NaN is, it is handed on


@pytest.mark.parametrize("variant", kernels.variants("relu"))
@given(seed=st.integers(0, 999))
@settings(max_examples=10)
def test_adjoint_identity(variant, seed):
    geometry = FlatGeometry("relu", 100)
    x, g = integers(100, "f8", seed), integers(100, "f8", seed + 1)
    y = run("relu", "forward", geometry, x, variant=variant)
    assert (y * g).sum() == (x * run("relu", "backward_input", geometry, g, y, variant=variant)).sum()
