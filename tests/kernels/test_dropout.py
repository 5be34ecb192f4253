"""dropout: every variant and level against the definition."""

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from strategies import DTYPES, THREADS, cells

from convcore.kernels import FlatGeometry, run


@pytest.mark.parametrize("size", [0, 1, 17, 16384, 16385, 3 * 16384 + 5])  # blocks are 16384 long
@pytest.mark.parametrize(("variant", "level", "direction"), cells("dropout"))
def test_equals_the_definition(variant, level, direction, size):
    for dtype, probability in zip((*DTYPES, *DTYPES), (0.5, 0.25, 0.1, 0.999), strict=True):
        geometry = FlatGeometry("dropout", size, probability)
        rng = np.random.default_rng(size)
        x, draws = rng.standard_normal(size).astype(dtype), rng.random(size, dtype)
        x[: size // 9] = np.resize(np.array([np.inf, -np.inf, np.nan, -0.0], dtype), size // 9)
        draws[-3:] = dtype.type(probability)  # equal to it: kept
        for n_threads in THREADS:
            y = run("dropout", direction, geometry, x, draws, variant=variant, level=level, n_threads=n_threads)
            kept = draws >= dtype.type(probability)
            assert_array_equal(y, np.where(kept, x * dtype.type(1 / (1 - probability)), 0))
            assert y.dtype == dtype
