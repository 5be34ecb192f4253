import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

import convcore as cc

INF, NAN = np.inf, np.nan
SHAPES = st.tuples(st.integers(0, 3), st.integers(1, 3)).flatmap(
    lambda batch: st.lists(st.integers(1, 4), min_size=1, max_size=4).map(lambda spatial: (*batch, *spatial))
)
FUNCTIONS = pytest.mark.parametrize("pool", [cc.global_avg_pool, cc.global_max_pool])


def gradient(pool, x, g):
    return cc.gradient(lambda x: cc.sum(cc.multiply(pool(x), g)))(x)


def test_by_hand():
    x = np.array([[[[1.0, 5], [2, 4]], [[-3, -1], [-5, -7]]]])
    assert_array_equal(cc.global_avg_pool(x).numpy(), [[[[3]], [[-4]]]])
    assert_array_equal(cc.global_max_pool(x).numpy(), [[[[5]], [[-1]]]])
    g = np.array([[[[4.0]], [[8.0]]]])
    assert_array_equal(gradient(cc.global_avg_pool, x, g), [[[[1, 1], [1, 1]], [[2, 2], [2, 2]]]])
    assert_array_equal(gradient(cc.global_max_pool, x, g), [[[[0, 4], [0, 0]], [[0, 8], [0, 0]]]])


@pytest.mark.parametrize(
    ("cells", "winner"),
    [([2, 2, 2, 2], 0), ([1, 2, 2, 2], 1), ([1, 1, 2, 2], 2), ([-0.0, 0.0, 0, 0], 0), ([-INF] * 4, 0),
     ([1, NAN, 5, NAN], 1), ([INF, 1, NAN, INF], 2)],
)  # fmt: skip
def test_ties_and_nan(cells, winner):
    for dtype in ("f4", "f8"):
        x = np.array(cells, dtype).reshape(1, 1, 2, 1, 2)
        y = cc.global_max_pool(x).numpy()
        assert_array_equal(y, x.max(keepdims=True), strict=True)
        grad = gradient(cc.global_max_pool, x, np.ones((1, 1, 1, 1, 1), dtype))
        assert_array_equal(grad.ravel(), np.arange(4) == winner)


@FUNCTIONS
@given(shape=SHAPES, seed=st.integers(0, 999))
@settings(max_examples=30)
def test_gradients(pool, shape, seed):
    x = np.random.default_rng(seed).permutation(np.arange(np.prod(shape))).reshape(shape) / 8  # no ties: no kinks
    assert cc.gradcheck(pool, (x,), directions=1)


@FUNCTIONS
@given(shape=SHAPES, seed=st.integers(0, 999))
@settings(max_examples=60)
def test_adjoint(pool, shape, seed):
    """Σ y·g = Σ x·grad_x, exactly; and float32 does the same as float64."""
    rng = np.random.default_rng(seed)
    cells = float(np.prod(shape[2:]))
    x, g = cells * rng.integers(-3, 4, shape), cells * rng.integers(-3, 4, (*shape[:2], *(1,) * (len(shape) - 2)))
    grad = gradient(pool, x, g)
    assert (pool(x).numpy() * g).sum() == (x * grad).sum()
    single = gradient(pool, x.astype("f4"), g.astype("f4"))
    assert single.dtype == pool(x.astype("f4")).dtype == np.float32
    assert_array_equal(single, grad)


@given(shape=SHAPES.filter(lambda shape: len(shape) < 6), seed=st.integers(0, 999))
@settings(max_examples=60)
def test_is_pooling_with_one_window(shape, seed):
    x = np.random.default_rng(seed).integers(-3, 4, shape).astype("f4")
    rank = len(shape) - 2
    windowed = getattr(cc, f"max_pool{rank}d"), getattr(cc, f"avg_pool{rank}d")
    assert_array_equal(cc.global_max_pool(x).numpy(), windowed[0](x, shape[2:]).numpy(), strict=True)
    average = windowed[1](x, shape[2:]).numpy()
    assert_allclose(cc.global_avg_pool(x).numpy(), average, rtol=0, atol=4 * 3 * np.finfo("f4").eps, strict=True)


@FUNCTIONS
def test_axis_order_in_memory_does_not_matter(pool):
    x = np.random.default_rng(0).normal(size=(2, 3, 40, 50)).astype("f4")
    assert_array_equal(pool(np.asfortranarray(x)).numpy(), pool(x).numpy(), strict=True)
    integers = np.arange(24).reshape(1, 2, 3, 4)
    assert_array_equal(pool(integers.tolist()).numpy(), pool(integers.astype(float)).numpy(), strict=True)


@FUNCTIONS
@pytest.mark.parametrize(
    ("x", "error", "text"),
    [
        (np.ones((2, 3)), ValueError, "x must have a spatial dimension, (N, C, ...), got shape (2, 3)"),
        (1.0, ValueError, "x must have a spatial dimension, (N, C, ...), got shape ()"),
        (np.ones((2, 3, 0)), ValueError, "x has an axis of size 0 (x (2, 3, 0))"),
        (np.ones((2, 0, 4)), ValueError, "x has an axis of size 0 (x (2, 0, 4))"),
        (None, TypeError, "x must be float32, float64, integers or booleans, got NoneType"),
        (np.ones((1, 1, 2)) * 1j, TypeError, "x must be float32, float64, integers or booleans, got dtype complex128"),
    ],
)
def test_bad_input(pool, x, error, text):
    with pytest.raises(error) as caught:
        pool(x)
    assert str(caught.value) == f"{pool.__name__}: {text}"
