"""gelu: every variant against the definition, and against digits from a table."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from strategies import DTYPES, THREADS, bits, cells

from convcore import kernels
from convcore.kernels import FlatGeometry, run

OP = "gelu"


@pytest.mark.parametrize("size", [0, 1, 17, 4096, 4097, 3 * 4096 + 5])  # blocks are 4096 long
@pytest.mark.parametrize(("variant", "level", "direction"), cells(OP))
def test_close_to_the_definition_with_the_same_bits_for_any_threads(variant, level, direction, size):
    geometry = FlatGeometry(OP, size)
    for dtype in DTYPES:
        rng = np.random.default_rng(0)
        arrays = [(4 * rng.standard_normal(size)).astype(dtype) for _ in geometry.SIGNATURES[direction][0]]
        expected = run(OP, direction, geometry, *arrays, variant="reference")
        how = {"variant": variant, "level": level}
        runs = [run(OP, direction, geometry, *arrays, n_threads=n, **how) for n in (*THREADS, 1)]
        assert runs[0].dtype == dtype
        assert_allclose(runs[0], expected, rtol=8 * np.finfo(dtype).eps, atol=8 * np.finfo(dtype).eps)
        assert all(bits(one) == bits(runs[0]) for one in runs)


@pytest.mark.parametrize("variant", kernels.variants(OP))
@given(x=st.lists(st.floats(-38, 38), min_size=1, max_size=20))
@settings(max_examples=40)
def test_symmetry(variant, x):
    """gelu(x) − gelu(−x) = x, and the slopes at x and −x add up to 1."""
    x = np.array(x)
    geometry = FlatGeometry(OP, x.size)
    y, other = (run(OP, "forward", geometry, sign * x, variant=variant) for sign in (1, -1))
    assert_allclose(y - other, x, rtol=1e-15, atol=1e-15)
    one = np.ones_like(x)
    slope, opposite = (run(OP, "backward_input", geometry, one, sign * x, variant=variant) for sign in (1, -1))
    assert_allclose(slope + opposite, 1, rtol=1e-15)


@pytest.mark.parametrize("variant", kernels.variants(OP))
def test_digits_of_the_normal_distribution(variant):
    """Φ(1), Φ(2) and Φ(−10) as tables have them; in the tail the rounding of x / √2 counts x² times."""
    x = np.array([1.0, 2.0, -10.0])
    for level in kernels.levels_of(OP, variant):
        y = run(OP, "forward", FlatGeometry(OP, 3), x, variant=variant, level=level)
        table = np.array([0.84134474606854294859, 0.97724986805182079280, 7.6198530241605260660e-24])
        assert (abs(y / x - table) <= np.finfo("f8").eps * (4 + x**2) * table).all()


@pytest.mark.parametrize("variant", kernels.variants(OP))
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_far_out(variant, dtype):
    largest = np.finfo(dtype).max
    x = np.array([-np.inf, -largest, -1000, 0, 1000, largest, np.inf, np.nan], dtype)
    geometry = FlatGeometry(OP, x.size)
    assert_array_equal(run(OP, "forward", geometry, x, variant=variant),
                       np.array([0, 0, 0, 0, 1000, largest, np.inf, np.nan], dtype))  # fmt: skip
    slopes = run(OP, "backward_input", geometry, np.ones_like(x), x, variant=variant)
    assert_array_equal(slopes, np.array([0, 0, 0, 0.5, 1, 1, 1, np.nan], dtype))
