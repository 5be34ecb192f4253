"""global_avg_pool: every variant and level against the definition."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from strategies import DTYPES, THREADS, bits, cells

from convcore.kernels import GlobalPoolGeometry, run

OP = "global_avg_pool"
PROBLEMS = [GlobalPoolGeometry(OP, *sizes) for sizes in [(0, 4), (1, 1), (3, 7), (40, 16), (33, 49), (2, 50176)]]
each_problem = pytest.mark.parametrize("geometry", PROBLEMS, ids=str)
each_cell = pytest.mark.parametrize(("variant", "level", "direction"), cells(OP))


@each_problem
@each_cell
def test_exact_for_whole_numbers_with_the_same_bits_for_any_threads(variant, level, direction, geometry):
    (name,), _ = geometry.SIGNATURES[direction]
    for dtype in DTYPES:
        x = np.random.default_rng(0).integers(-8, 9, geometry.shapes[name]).astype(dtype)
        expected = run(OP, direction, geometry, x, variant="reference")
        for n_threads in THREADS:
            found = run(OP, direction, geometry, x, variant=variant, level=level, n_threads=n_threads)
            assert_array_equal(found, expected, strict=True)


@each_cell
def test_close_with_the_same_bits_for_any_threads(variant, level, direction):
    geometry = PROBLEMS[-1]
    (name,), _ = geometry.SIGNATURES[direction]
    for dtype in DTYPES:
        x = (1 + np.random.default_rng(0).random(geometry.shapes[name])).astype(dtype)
        runs = [run(OP, direction, geometry, x, variant=variant, level=level, n_threads=n) for n in THREADS]
        expected = run(OP, direction, geometry, x.astype(np.float64), variant="reference")
        assert_allclose(runs[0], expected, rtol=np.finfo(dtype).eps * (1 if dtype == np.float32 else 8))
        assert all(bits(y) == bits(runs[0]) for y in runs)
