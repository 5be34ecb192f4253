"""global_max_pool: every variant and level against the definition."""

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from strategies import DTYPES, THREADS, assert_same, cells

from convcore.kernels import GlobalPoolGeometry, run

OP = "global_max_pool"


@pytest.mark.parametrize("sizes", [(0, 4), (1, 1), (3, 7), (40, 16), (33, 49), (2, 50176)], ids=str)
@pytest.mark.parametrize(("variant", "level", "direction"), cells(OP))
def test_equals_the_definition(variant, level, direction, sizes):
    geometry = GlobalPoolGeometry(OP, *sizes)
    for dtype in DTYPES:
        rng = np.random.default_rng(0)
        if direction == "forward":
            x = rng.integers(-3, 4, sizes).astype(dtype)  # with ties
            x[::3, sizes[1] // 2 :] = np.nan
            arrays = (x,)
        else:
            arrays = rng.standard_normal(sizes[0]).astype(dtype), rng.integers(0, sizes[1], sizes[0])
        expected = run(OP, direction, geometry, *arrays, variant="reference")
        for n_threads in THREADS:
            how = {"variant": variant, "level": level, "n_threads": n_threads}
            assert_same(run(OP, direction, geometry, *arrays, **how), expected)


@pytest.mark.parametrize("variant", ["direct", "reference"])
@pytest.mark.parametrize("wrong", [-1, 4, 2**40])
def test_a_place_outside_the_plane(variant, wrong):
    if variant == "reference" and wrong == -1:
        pytest.skip("the last one, to NumPy")
    with pytest.raises((ValueError, IndexError), match=r"from 0 to 3|out of bounds"):
        run(OP, "backward_input", GlobalPoolGeometry(OP, 1, 4), np.ones(1), np.array([wrong]), variant=variant)


def test_the_first_of_equals():
    x = np.array([[1.0, 2, 2], [-0.0, 0.0, -1], [np.nan, 3, np.nan], [-np.inf, -np.inf, -np.inf]])
    y, index = run(OP, "forward", GlobalPoolGeometry(OP, 4, 3), x)
    assert_array_equal(index, [1, 0, 0, 0])
    assert_array_equal(y, [2, 0, np.nan, -np.inf])
