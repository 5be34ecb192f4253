"""cross_entropy: every variant against the definition in double precision, within bounds that are derived."""

import math

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from strategies import DTYPES, THREADS, bits, cells

from convcore import kernels
from convcore.kernels import RowsGeometry, run

OP = "cross_entropy"


def problem(N, K, scale, dtype, seed):
    rng = np.random.default_rng(seed)
    logits = (scale * rng.standard_normal((N, K))).astype(dtype)
    return RowsGeometry(N, K), logits, rng.integers(0, K, N)


def exact(logits, target):
    """Loss and probabilities in double precision, with numpy's own stable way."""
    logits = logits.astype("f8")
    logarithms = logits - np.logaddexp.reduce(logits, axis=1, keepdims=True)
    return -logarithms[np.arange(len(target)), target], np.exp(logarithms)


@pytest.mark.parametrize("variant", kernels.variants(OP))
@given(
    N=st.integers(1, 9),
    K=st.integers(1, 40),
    scale=st.sampled_from([0, 0.1, 1, 30, 1000]),
    seed=st.integers(0, 999),
)
@example(N=64, K=10, scale=1, seed=0)
@settings(max_examples=60)
def test_close_to_double_precision(variant, N, K, scale, seed):
    """Differences of logits d round to ½·eps·|d|, exponentials and quotients to a few eps; so does the sum of logs."""
    for dtype in DTYPES:
        geometry, logits, target = problem(N, K, scale, dtype, seed)
        losses, probabilities = exact(logits, target)
        loss = losses.mean()
        spread = (logits.max(axis=1) - logits.min(axis=1)).astype("f8")
        bound = np.finfo(dtype).eps * (4 + spread)
        for level in kernels.levels_of(OP, variant):
            got_loss, got = run(OP, "forward", geometry, logits, target, variant=variant, level=level)
            assert got_loss.dtype == got.dtype == dtype
            assert got_loss.shape == (1,)
            assert abs(got_loss - loss) <= bound.max() + 2 * np.finfo(dtype).eps * loss  # each row, and their mean
            assert (abs(got - probabilities) <= bound[:, None]).all()


@pytest.mark.parametrize(("variant", "level", "direction"), [c for c in cells(OP) if "backward" in c.id])
@given(N=st.integers(1, 9), K=st.integers(1, 40), seed=st.integers(0, 999))
@settings(max_examples=40)
def test_gradient_equals_the_definition(variant, level, direction, N, K, seed):
    """With probabilities, batch and factor that are powers of two no number rounds."""
    rng = np.random.default_rng(seed)
    for dtype in DTYPES:
        geometry, probabilities = RowsGeometry(N, K), rng.integers(0, 9, (N, K)).astype(dtype) / 8
        target, factor = rng.integers(0, K, N), np.array([N * 4.0], dtype)
        expected = run(OP, direction, geometry, probabilities, target, factor, variant="reference")
        got = run(OP, direction, geometry, probabilities, target, factor, variant=variant, level=level)
        assert_array_equal(got, expected, strict=True)


@pytest.mark.parametrize(("variant", "level", "direction"), cells(OP))
def test_bits_do_not_depend_on_threads(variant, level, direction):
    for dtype in DTYPES:
        geometry, logits, target = problem(300, 37, 2, dtype, 0)
        arrays = (logits, target) if direction == "forward" else (exact(logits, target)[1].astype(dtype), target,
                                                                  np.ones(1, dtype))  # fmt: skip
        runs = [run(OP, direction, geometry, *arrays, variant=variant, level=level, n_threads=n) for n in (*THREADS, 1)]
        assert all(bits(one) == bits(runs[0]) for one in runs)


@pytest.mark.parametrize("variant", kernels.variants(OP))
@given(N=st.integers(0, 9), K=st.integers(1, 5), seed=st.integers(0, 999))
@settings(max_examples=60)
def test_hits(variant, N, K, seed):
    """Of equal logits the first counts; NaN is larger than all."""
    rng = np.random.default_rng(seed)
    logits, target = rng.choice([-np.inf, -1, 0, 1, np.inf, np.nan], (N, K)), rng.integers(0, K, N)
    for dtype in DTYPES:
        for level in kernels.levels_of(OP, variant):
            hits = run(OP, "count_hits", RowsGeometry(N, K), logits.astype(dtype), target, variant=variant, level=level)
            assert_array_equal(hits, np.array([(logits.argmax(1) == target).sum()], np.int64), strict=True)


@pytest.mark.parametrize("variant", kernels.variants(OP))
def test_by_hand(variant):
    """Two equal logits: log 2; logits 0 and log 3: a quarter and three quarters."""
    logits, target = np.array([[0.0, 0], [0, math.log(3)], [0, math.log(3)]]), np.array([1, 1, 0])
    loss, probabilities = run(OP, "forward", RowsGeometry(3, 2), logits, target, variant=variant)
    assert_allclose(loss, [(math.log(2) + math.log(4 / 3) + math.log(4)) / 3], rtol=1e-15)
    assert_allclose(probabilities, [[0.5, 0.5], [0.25, 0.75], [0.25, 0.75]], rtol=1e-15)
    grad = run(OP, "backward_input", RowsGeometry(3, 2), np.array([[0.5, 0.5], [0.25, 0.75], [0.25, 0.75]]), target,
               np.array([3.0]), variant=variant)  # fmt: skip
    assert_array_equal(grad, [[0.5, -0.5], [0.25, -0.25], [-0.75, 0.75]])


@pytest.mark.parametrize("variant", kernels.variants(OP))
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_no_exponential_overflows(variant, dtype):
    logits = np.array([[1e4, 0, -1e4], [-3e38, 0, 1]], dtype)
    loss, probabilities = run(OP, "forward", RowsGeometry(2, 3), logits, np.array([2, 1]), variant=variant)
    assert_allclose(loss, [(2e4 + math.log1p(math.e)) / 2], rtol=1e-6)
    assert_allclose(probabilities[0], [1, 0, 0])
    nothing, certain = run(OP, "forward", RowsGeometry(1, 1), logits[:1, :1], np.array([0]), variant=variant)
    assert (nothing.item(), certain.item()) == (0, 1)


@pytest.mark.parametrize("variant", kernels.variants(OP))
def test_nan_is_handed_on_but_its_row_alone_has_no_probabilities(variant):
    for place in range(3):
        logits = np.zeros((2, 3))
        logits[0, place] = np.nan
        loss, probabilities = run(OP, "forward", RowsGeometry(2, 3), logits, np.array([0, 0]), variant=variant)
        assert np.isnan(loss).all()
        assert_array_equal(np.isnan(probabilities), [[True] * 3, [False] * 3])


@pytest.mark.parametrize("variant", kernels.variants(OP))
@pytest.mark.parametrize("wrong", [3, -1, 2**62, -(2**63)])
def test_a_target_that_is_no_class(variant, wrong):
    for level in kernels.levels_of(OP, variant):
        with pytest.raises(ValueError) as error:
            run(OP, "forward", RowsGeometry(2, 3), np.zeros((2, 3)), np.array([0, wrong]), variant=variant, level=level)
        assert str(error.value) == f"cross_entropy: target {wrong} is no class, logits has 3"
