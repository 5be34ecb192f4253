"""softmax: every variant against the definition in double precision, within bounds that are derived."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from strategies import DTYPES, THREADS, bits, cells

from convcore import kernels
from convcore.kernels import SoftmaxGeometry, run

OP = "softmax"


@pytest.mark.parametrize("variant", kernels.variants(OP))
@given(N=st.integers(1, 40), K=st.integers(1, 40), scale=st.sampled_from([0, 1, 30, 1000]), seed=st.integers(0, 99))
@settings(max_examples=60)
def test_close_to_double_precision(variant, N, K, scale, seed):
    """Differences d round to ½·eps·|d|, exponentials and quotients to a few eps, sums of K to K·eps."""
    for dtype in DTYPES:
        x = (scale * np.random.default_rng(seed).standard_normal((N, K))).astype(dtype)
        wide = x.astype("f8")
        exact = np.exp(wide - np.logaddexp.reduce(wide, axis=1, keepdims=True))
        bound = np.finfo(dtype).eps * (4 + K + (x.max(axis=1) - x.min(axis=1)).astype("f8"))
        for level in kernels.levels_of(OP, variant):
            got = run(OP, "forward", SoftmaxGeometry(N, K), x, variant=variant, level=level)
            assert got.dtype == dtype
            assert (abs(got - exact) <= bound[:, None]).all()


@pytest.mark.parametrize(("variant", "level", "direction"), [c for c in cells(OP) if "backward" in c.id])
@given(N=st.integers(1, 40), K=st.integers(1, 40), seed=st.integers(0, 999))
@settings(max_examples=40)
def test_gradient_equals_the_definition(variant, level, direction, N, K, seed):
    """With small whole numbers and eighths no number rounds."""
    rng = np.random.default_rng(seed)
    for dtype in DTYPES:
        arrays = rng.integers(-4, 5, (N, K)).astype(dtype), rng.integers(0, 9, (N, K)).astype(dtype) / 8
        expected = run(OP, direction, SoftmaxGeometry(N, K), *arrays, variant="reference")
        got = run(OP, direction, SoftmaxGeometry(N, K), *arrays, variant=variant, level=level)
        assert_array_equal(got, expected, strict=True)


@pytest.mark.parametrize(("variant", "level", "direction"), cells(OP))
def test_bits_do_not_depend_on_threads(variant, level, direction):
    rng = np.random.default_rng(0)
    for dtype in DTYPES:
        arrays = [rng.random((300, 37)).astype(dtype) for _ in range(1 if direction == "forward" else 2)]
        geometry = SoftmaxGeometry(300, 37)
        runs = [run(OP, direction, geometry, *arrays, variant=variant, level=level, n_threads=n) for n in (*THREADS, 1)]
        assert all(bits(one) == bits(runs[0]) for one in runs)


@pytest.mark.parametrize("variant", kernels.variants(OP))
def test_by_hand(variant):
    x = np.array([[0.0, 0], [0, math.log(3)], [-np.inf, 1e4]])
    y = run(OP, "forward", SoftmaxGeometry(3, 2), x, variant=variant)
    assert_allclose(y, [[0.5, 0.5], [0.25, 0.75], [0, 1]], rtol=1e-15)
    grad = run(OP, "backward_input", SoftmaxGeometry(1, 2), np.array([[8.0, 4]]), np.array([[0.25, 0.75]]),
               variant=variant)  # fmt: skip
    assert_array_equal(grad, [[0.75, -0.75]])
