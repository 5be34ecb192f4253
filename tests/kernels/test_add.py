"""add: every variant and level against the definition."""

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from strategies import DTYPES, THREADS, cells

from convcore.kernels import FlatGeometry, run


@pytest.mark.parametrize("size", [0, 1, 17, 8192, 8193, 3 * 8192 + 5])  # blocks are 8192 long
@pytest.mark.parametrize(("variant", "level", "direction"), cells("add"))
def test_equals_the_definition(variant, level, direction, size):
    for dtype in DTYPES:
        rng = np.random.default_rng(size)
        x, other = (rng.standard_normal(size).astype(dtype) for _ in range(2))
        x[: size // 9] = np.resize(np.array([np.inf, -np.inf, np.nan, -0.0], dtype), size // 9)
        expected = run("add", direction, FlatGeometry("add", size), x, other, variant="reference")
        for n_threads in THREADS:
            y = run("add", direction, FlatGeometry("add", size), x, other, variant=variant, level=level,
                    n_threads=n_threads)  # fmt: skip
            assert_array_equal(y, expected, strict=True)
