"""Losses of regression: every variant and level against the definition."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from strategies import DTYPES, THREADS, assert_same, bits, cells

from convcore import kernels
from convcore.kernels import RegressionGeometry, registry, run

each_cell = pytest.mark.parametrize(
    ("op", "variant", "level", "direction"), [(op, *cell.values) for op in registry.REGRESSION for cell in cells(op)]
)


def arrays_of(direction, size, dtype, whole):
    rng = np.random.default_rng(size)
    numbers = [rng.integers(-4, 5, size) if whole else 2 * rng.standard_normal(size) for _ in range(2)]
    if direction == "backward_input":
        numbers[1] = np.array([0.5])
    return [array.astype(dtype) for array in numbers]


@pytest.mark.parametrize("size", [0, 1, 33, 8192, 8193, 3 * 8192 + 5])  # blocks are 8192 long
@each_cell
def test_exact_for_whole_numbers_for_any_threads(op, variant, level, direction, size):
    geometry = RegressionGeometry(op, size, 0.25)
    for dtype in DTYPES:
        arrays = arrays_of(direction, size, dtype, whole=True)
        expected = run(op, direction, geometry, *arrays, variant="reference")
        for n_threads in THREADS:
            assert_same(
                run(op, direction, geometry, *arrays, variant=variant, level=level, n_threads=n_threads), expected
            )


@each_cell
def test_close_to_the_definition_with_the_same_bits_for_any_threads(op, variant, level, direction):
    size = 3 * 8192 + 5
    geometry = RegressionGeometry(op, size, 1 / size)
    for dtype in DTYPES:
        arrays = arrays_of(direction, size, dtype, whole=False)
        expected = run(op, direction, geometry, *[a.astype(np.float64) for a in arrays], variant="reference")
        runs = [run(op, direction, geometry, *arrays, variant=variant, level=level, n_threads=n) for n in THREADS]
        for found, wanted in zip(runs[0], expected, strict=True):
            assert_allclose(found, wanted, rtol=8 * np.finfo(dtype).eps, atol=8 * np.finfo(dtype).eps)
        assert all(bits(y) == bits(runs[0]) for y in runs)


@pytest.mark.parametrize("op", registry.REGRESSION)
def test_at_the_corners_and_far_out(op):
    """An error of 0, of 1, infinite, and NaN."""
    difference = np.array([0.0, 1.0, -1.0, np.inf, -np.inf, np.nan])
    slopes = {
        "squared_error": 2 * difference,
        "absolute_error": np.sign(difference),
        "huber": np.clip(difference, -1, 1),
    }
    for variant in ("direct", "reference"):
        for level in kernels.levels_of(op, variant):
            how = {"variant": variant, "level": level}
            grad = run(op, "backward_input", RegressionGeometry(op, 6, 1.0), difference, np.ones(1), **how)
            assert_array_equal(grad, slopes[op])
            for i, error in enumerate((0, 1, 1, np.inf, np.inf, np.nan)):
                one, zero = difference[i : i + 1], np.zeros(1)
                loss, _ = run(op, "forward", RegressionGeometry(op, 1, 1.0), one, zero, **how)
                assert_array_equal(loss, [error / 2 if op == "huber" else error])
