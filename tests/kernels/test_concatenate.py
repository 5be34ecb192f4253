"""concatenate: every variant and level against the definition."""

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from strategies import DTYPES, THREADS, cells

from convcore.kernels import JoiningGeometry, run


@pytest.mark.parametrize(
    "geometry", [JoiningGeometry(*p) for p in [(1, (1,)), (7, (3, 1, 5)), (64, (784, 1568))]], ids=str
)
@pytest.mark.parametrize(("variant", "level", "direction"), cells("concatenate"))
def test_equals_the_definition(variant, level, direction, geometry):
    for dtype in DTYPES:
        rng = np.random.default_rng(0)
        takes = geometry.SIGNATURES[direction][0]
        arrays = [rng.standard_normal(geometry.shapes[name]).astype(dtype) for name in takes]
        arrays[0][0, 0] = np.nan
        expected = run("concatenate", direction, geometry, *arrays, variant="reference")
        for n_threads in THREADS:
            found = run("concatenate", direction, geometry, *arrays, variant=variant, level=level, n_threads=n_threads)
            for a, b in zip(*([y] if isinstance(y, np.ndarray) else y for y in (found, expected)), strict=True):
                assert_array_equal(a, b, strict=True)
