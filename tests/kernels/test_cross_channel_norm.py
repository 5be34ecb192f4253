"""cross_channel_norm: every variant against the definition in double precision, within bounds that are derived."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from strategies import DTYPES, THREADS, bits, cells, floats, integers

from convcore import kernels
from convcore.kernels import CrossChannelNormGeometry, run

OP = "cross_channel_norm"
GEOMETRIES = [
    CrossChannelNormGeometry(*sizes)
    for sizes in [(2, 16, 49, 5), (1, 1, 1, 1), (3, 5, 1, 4), (2, 4, 257, 3), (1, 3, 600, 2), (0, 3, 5, 3),
                  (2, 3, 0, 3), (2, 3, 7, 9), (1, 2, 5, 12)]
]  # fmt: skip
POWERS = [0.75, 0.5, 1.0, 0.0, 1.3]
geometries = st.builds(
    CrossChannelNormGeometry, st.integers(0, 3), st.integers(1, 9), st.integers(0, 40), st.integers(1, 12)
)


def close(got, expected, geometry, dtype):
    """Values up to 1 and a base from 1 on: each term of a window rounds a few times, and a power some more."""
    assert got.dtype == expected.dtype == dtype
    terms = min(geometry.window, geometry.C)
    assert_allclose(got, expected, rtol=0, atol=4 * (terms + 6) * np.finfo(dtype).eps)


@pytest.mark.parametrize("geometry", GEOMETRIES, ids=str)
@pytest.mark.parametrize(("variant", "level", "direction"), cells(OP))
def test_close_to_the_definition_with_the_same_bits_for_any_threads(variant, level, direction, geometry):
    for dtype in DTYPES:
        for beta in POWERS:
            arrays = floats(geometry, direction, dtype, 0)
            parameters = {"alpha": 0.8, "beta": beta, "k": 1.0}
            expected = run(OP, direction, geometry, *arrays, variant="reference", **parameters)
            how = {"variant": variant, "level": level, **parameters}
            runs = [run(OP, direction, geometry, *arrays, n_threads=n, **how) for n in (*THREADS, 1)]
            close(runs[0], expected, geometry, dtype)
            assert all(bits(one) == bits(runs[0]) for one in runs)


@pytest.mark.parametrize(("variant", "level", "direction"), cells(OP))
@given(geometry=geometries, seed=st.integers(0, 999), beta=st.sampled_from(POWERS), n=st.sampled_from(THREADS))
@settings(max_examples=40)
def test_close_to_the_definition_anywhere(variant, level, direction, geometry, seed, beta, n):
    for dtype in DTYPES:
        arrays = floats(geometry, direction, dtype, seed)
        parameters = {"alpha": 0.8, "beta": beta, "k": 1.0}
        expected = run(OP, direction, geometry, *arrays, variant="reference", **parameters)
        got = run(OP, direction, geometry, *arrays, variant=variant, level=level, n_threads=n, **parameters)
        close(got, expected, geometry, dtype)


@pytest.mark.parametrize("variant", kernels.variants(OP))
@pytest.mark.parametrize(("window", "sums"), [(1, [1, 4, 9, 16]), (2, [5, 13, 25, 16]), (3, [5, 14, 29, 25]),
                                              (4, [14, 30, 29, 25]), (9, [30, 30, 30, 30])])  # fmt: skip
def test_windows_by_hand(variant, window, sums):
    """Values 1, 2, 3, 4; with alpha the window's size and beta 1 each is divided by 1 + the sum of squares."""
    geometry = CrossChannelNormGeometry(1, 4, 1, window)
    x = np.arange(1.0, 5).reshape(1, 4, 1)
    y = run(OP, "forward", geometry, x, variant=variant, alpha=window, beta=1.0, k=1.0)
    assert_allclose(y.ravel(), np.arange(1, 5) / (1 + np.array(sums)), rtol=1e-15)


@pytest.mark.parametrize("variant", kernels.variants(OP))
@given(geometry=geometries, seed=st.integers(0, 999))
@settings(max_examples=30)
def test_adjoint_identity_of_a_norm_that_is_linear(variant, geometry, seed):
    """With alpha 0 all values are divided by k^beta = 4^(1/2)."""
    x, g = integers(geometry.shapes["x"], "f8", seed), integers(geometry.shapes["x"], "f8", seed + 1)
    parameters = {"variant": variant, "alpha": 0.0, "beta": 0.5, "k": 4.0}
    assert_array_equal(run(OP, "forward", geometry, x, **parameters), x / 2)
    assert_array_equal(run(OP, "backward_input", geometry, g, x, **parameters), g / 2)


@pytest.mark.parametrize("variant", kernels.variants(OP))
def test_a_large_square_leaves_no_trace_behind_its_window(variant):
    """A running sum would: 1e16 + 1 − 1e16 is 0."""
    geometry = CrossChannelNormGeometry(1, 4, 1, 1)
    x = np.array([1e8, 1, 1, 1]).reshape(1, 4, 1)
    y = run(OP, "forward", geometry, x, variant=variant, alpha=1.0, beta=1.0, k=1.0)
    assert_array_equal(y.ravel()[1:], [0.5, 0.5, 0.5])


@pytest.mark.parametrize("variant", kernels.variants(OP))
def test_nan_stays_in_its_windows(variant):
    geometry = CrossChannelNormGeometry(1, 5, 2, 2)
    x = np.ones(geometry.shapes["x"])
    x[0, 2, 1] = np.nan
    y = run(OP, "forward", geometry, x, variant=variant, alpha=1.0, beta=0.75, k=1.0)
    assert_array_equal(np.isnan(y[0]), [[False, c in (1, 2)] for c in range(5)])
