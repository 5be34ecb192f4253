"""batch_norm: every variant against the definition, exactly on whole numbers, within derived bounds elsewhere."""

import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from strategies import DTYPES, THREADS, assert_same, bits, cells, integers

from convcore import kernels
from convcore.kernels import BatchNormGeometry, FlatGeometry, PoolGeometry, channel_sizes, registry, run

OP = "batch_norm"
GEOMETRIES = [
    BatchNormGeometry(*sizes)
    for sizes in [(64, 6, 49), (2, 3, 1), (1, 1, 1), (0, 3, 5), (3, 5, 31), (3, 5, 32), (2, 16, 784), (4, 1, 100),
                  (2, 3, 0)]
]  # fmt: skip
geometries = st.builds(BatchNormGeometry, st.integers(0, 5), st.integers(1, 6), st.integers(0, 80))


def statistics(x):
    x = x.astype("f8")
    mean = x.mean(axis=(0, 2))
    return mean, np.square(x - mean[:, None]).mean(axis=(0, 2))


def problem(geometry, direction, dtype, seed):
    """(arrays, parameters), all of numbers that round."""
    rng = np.random.default_rng(seed)
    x = (3 + 2 * rng.standard_normal(geometry.shapes["x"])).astype(dtype)
    scale, offset = (rng.uniform(0.5, 2, geometry.C).astype(dtype) for _ in range(2))
    mean, variance = statistics(x) if x.size else (np.zeros(geometry.C), np.ones(geometry.C))
    if direction.startswith("forward_training"):
        return (x, scale, offset), {"epsilon": 1e-5}
    if direction.startswith("forward"):
        return (x, scale, offset, mean.astype(dtype), variance.astype(dtype)), {"epsilon": 1e-5}
    grad_y, y = (rng.uniform(-1, 1, x.shape).astype(dtype) for _ in range(2))
    behind = (y,) if direction == "backward_relu" else ()
    return (grad_y, *behind, x, scale, mean, variance), {"epsilon": 1e-5, "training": bool(seed % 2)}


def close(got, expected, geometry, dtype):
    """Sums are double, of products by fours: they round about once per term.

    The results themselves are some five roundings of numbers up to 10.
    """
    count = geometry.N * geometry.S
    for a, b in zip(*((a,) if isinstance(a, np.ndarray) else a for a in (got, expected)), strict=True):
        assert a.dtype == b.dtype
        summed = 4 * np.finfo("f8").eps * count * 10
        assert_allclose(a, b, rtol=8 * np.finfo(a.dtype).eps, atol=summed + 80 * np.finfo(dtype).eps)


@pytest.mark.parametrize("geometry", GEOMETRIES, ids=str)
@pytest.mark.parametrize(("variant", "level", "direction"), cells(OP))
def test_close_to_the_definition_with_the_same_bits_for_any_threads(variant, level, direction, geometry):
    for dtype in DTYPES:
        for seed in (0, 1):
            arrays, parameters = problem(geometry, direction, dtype, seed)
            expected = run(OP, direction, geometry, *arrays, variant="reference", **parameters)
            how = {"variant": variant, "level": level, **parameters}
            runs = [run(OP, direction, geometry, *arrays, n_threads=n, **how) for n in (*THREADS, 1)]
            close(runs[0], expected, geometry, dtype)
            assert all(bits(one) == bits(runs[0]) for one in runs)


@pytest.mark.parametrize(("variant", "level", "direction"), cells(OP))
@given(geometry=geometries, seed=st.integers(0, 999), n_threads=st.sampled_from(THREADS))
@settings(max_examples=40)
def test_close_to_the_definition_anywhere(variant, level, direction, geometry, seed, n_threads):
    for dtype in DTYPES:
        arrays, parameters = problem(geometry, direction, dtype, seed)
        expected = run(OP, direction, geometry, *arrays, variant="reference", **parameters)
        how = {"variant": variant, "level": level, "n_threads": n_threads, **parameters}
        close(run(OP, direction, geometry, *arrays, **how), expected, geometry, dtype)


@pytest.mark.parametrize("geometry", GEOMETRIES, ids=str)
@pytest.mark.parametrize(("variant", "level", "direction"), cells(OP))
def test_exact_where_nothing_rounds(variant, level, direction, geometry):
    """Whole numbers, half of them 1 above and half 1 below the mean, and a root of 2: sums and results are exact."""
    if geometry.S % 2:
        geometry = BatchNormGeometry(geometry.N, geometry.C, geometry.S + 1)
    for dtype in DTYPES:
        mean = np.arange(geometry.C) - 2.0
        signs = np.resize([1, -1], geometry.shapes["x"]).astype(dtype)
        x = signs + mean.astype(dtype)[:, None]
        scale, offset = 2.0 ** np.arange(geometry.C).astype(dtype), integers(geometry.C, dtype, 0)
        grad_y = integers(x.shape, dtype, 1)
        given_statistics = (mean, np.ones(geometry.C))
        trained = (mean.astype(dtype), np.ones(geometry.C, dtype))
        backward = (x, scale, *given_statistics)
        arrays = {"forward": (x, scale, offset, *trained), "forward_training": (x, scale, offset),
                  "backward": (grad_y, *backward), "backward_relu": (grad_y, signs, *backward)}  # fmt: skip
        arrays = arrays[registry.EPILOGUES.get(direction, direction)]
        parameters = {"epsilon": 3.0, **({"training": False} if direction.startswith("backward") else {})}
        expected = run(OP, direction, geometry, *arrays, variant="reference", **parameters)
        got = run(OP, direction, geometry, *arrays, variant=variant, level=level, **parameters)
        assert_same(got, expected)
        if direction == "forward_training" and x.size:
            assert_array_equal(got[0], signs * scale[:, None] / 2 + offset[:, None])
            assert_same(got[1:], given_statistics)


@pytest.mark.parametrize("variant", kernels.variants(OP))
def test_by_hand(variant):
    """Values 1 and 3: mean 2, variance 1; with epsilon 3 the root is 2."""
    geometry = BatchNormGeometry(2, 1, 1)
    x, scale, offset = np.array([[[1.0]], [[3.0]]]), np.array([4.0]), np.array([10.0])
    y, mean, variance = run(OP, "forward_training", geometry, x, scale, offset, variant=variant, epsilon=3.0)
    assert_array_equal(y.ravel(), [8, 12])
    assert_array_equal([mean, variance], [[2], [1]])
    y = run(OP, "forward", geometry, x, scale, offset, mean + 1, variance + 12, variant=variant, epsilon=3.0)
    assert_array_equal(y.ravel(), [8, 10])
    # g = (1, 0): z = (-1/2, 1/2), Σ g = 1, Σ g·z = -1/2; g - 1/2 - z·(-1/4) = (3/8, -3/8), times 4/2
    for training, expected in ((True, [0.75, -0.75]), (False, [2, 0])):
        grad_x, grad_scale, grad_offset = run(OP, "backward", geometry, np.array([[[1.0]], [[0.0]]]), x, scale, mean,
                                              variance, variant=variant, epsilon=3.0, training=training)  # fmt: skip
        assert_array_equal(grad_x.ravel(), expected)
        assert_array_equal([grad_scale, grad_offset], [[-0.5], [1]])


@pytest.mark.parametrize("variant", kernels.variants(OP))
@pytest.mark.parametrize(("dtype", "offset"), [("f4", 1e4), ("f4", -3e5), ("f8", 1e9), ("f8", 1e12)])
def test_a_huge_mean_does_not_swallow_a_tiny_variance(variant, dtype, offset):
    """The deviations are multiples of the spacing of numbers near the mean, so that x holds them exactly."""
    geometry = BatchNormGeometry(4, 1, 50)
    spacing = float(np.spacing(np.dtype(dtype).type(abs(offset))))
    deviation = np.random.default_rng(0).integers(-8, 9, geometry.shapes["x"]) * spacing
    x = (offset + deviation).astype(dtype)
    assert_array_equal(x.astype("f8") - offset, deviation)
    one, none = np.ones(1, dtype), np.zeros(1, dtype)
    expected_mean, expected_variance = deviation.mean(), deviation.var()
    expected = (deviation - expected_mean) / np.sqrt(expected_variance + 1e-12)
    g = np.random.default_rng(1).standard_normal(x.shape).astype(dtype)
    for level in kernels.levels_of(OP, variant):
        how = {"variant": variant, "level": level, "epsilon": 1e-12}
        y, mean, variance = run(OP, "forward_training", geometry, x, one, none, **how)
        rounding = np.finfo("f8").eps * abs(offset)
        assert_allclose(mean - offset, expected_mean, atol=rounding)
        assert_allclose(variance, expected_variance, rtol=1e-8 + (rounding / spacing) ** 2)
        if dtype == "f4":  # in double precision the mean itself rounds by a part of the spacing
            assert_allclose(y, expected, rtol=1e-5, atol=1e-5)
            _, grad_scale, _ = run(OP, "backward", geometry, g, x, one, mean, variance, training=True, **how)
            assert_allclose(grad_scale, (g * expected).sum(), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("variant", kernels.variants(OP))
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_a_constant_channel_becomes_the_offset(variant, dtype):
    geometry = BatchNormGeometry(3, 2, 37)
    x = np.empty(geometry.shapes["x"], dtype)
    x[:, 0], x[:, 1] = 0.1, 1e6 / 3
    y, _, variance = run(OP, "forward_training", geometry, x, np.ones(2, dtype), np.array([3, 4], dtype),
                            variant=variant, epsilon=1e-5)  # fmt: skip
    assert_allclose(variance, 0, atol=1e-20)
    assert_allclose(y, np.broadcast_to(np.array([3, 4], dtype)[:, None], y.shape), rtol=1e-6)


@pytest.mark.parametrize("variant", kernels.variants(OP))
@pytest.mark.parametrize("special", [np.nan, np.inf, -np.inf])
def test_nan_and_infinity_stay_in_their_channel(variant, special):
    geometry = BatchNormGeometry(2, 3, 5)
    x = integers(geometry.shapes["x"], "f8", 0)
    x[1, 1, 2] = special
    with np.errstate(invalid="ignore"):
        y, _, variance = run(OP, "forward_training", geometry, x, np.ones(3), np.zeros(3), variant=variant,
                                epsilon=1e-5)  # fmt: skip
    assert_array_equal(np.isnan(variance), [False, True, False])
    assert_array_equal(np.isnan(y), np.broadcast_to([[False], [True], [False]], y.shape))
    y = run(OP, "forward", geometry, x, np.ones(3), np.zeros(3), np.zeros(3), np.ones(3), variant=variant, epsilon=1e-5)
    assert_array_equal(np.isfinite(y), np.isfinite(x))  # with given statistics it stays in its place


@pytest.mark.parametrize("variant", kernels.variants(OP))
def test_statistics_are_double_whatever_the_values_are(variant):
    geometry = BatchNormGeometry(1, 1, 3)
    one = np.ones(1, "f4")
    x = np.array([[[1, 1, 2]]], "f4")
    for level in kernels.levels_of(OP, variant):
        y, mean, variance = run(OP, "forward_training", geometry, x, one, one, variant=variant, level=level,
                                epsilon=1e-5)  # fmt: skip
        assert (y.dtype, mean.dtype, variance.dtype) == ("f4", "f8", "f8")
        assert_allclose([mean.item(), variance.item()], [4 / 3, 2 / 9], rtol=1e-15)
    with pytest.raises(TypeError) as caught:
        run(OP, "backward", geometry, x, x, one, one, one, epsilon=1e-5, training=True)
    assert str(caught.value) == "batch_norm: mean must be float64, got float32"


@pytest.mark.parametrize("variant", kernels.variants(OP))
@pytest.mark.parametrize("S", [3, 16, 37])
def test_statistics_that_were_given_let_gradients_pass_by_themselves(variant, S):
    """Not by way of x, which may be infinite."""
    one, g = np.ones(1), np.arange(1.0, S + 1).reshape(1, 1, S)
    x = np.full((1, 1, S), np.inf)
    for level in kernels.levels_of(OP, variant):
        for dtype in DTYPES:
            arrays = [array.astype(dtype) for array in (g, x, one)]
            grad_x, _, _ = run(OP, "backward", BatchNormGeometry(1, 1, S), *arrays, one, 3 * one, variant=variant,
                               level=level, epsilon=1.0, training=False)  # fmt: skip
            assert_allclose(grad_x, g / 2)


# ---------------------------------------------------------------- with ReLU and max-pooling behind

POOLS = [
    PoolGeometry.of("max_pool2d", (5, 3, 12, 14), 2),
    PoolGeometry.of("max_pool2d", (5, 3, 7, 9), 2),
    PoolGeometry.of("max_pool2d", (2, 40, 28, 28), 2),
    PoolGeometry.of("max_pool2d", (3, 2, 9, 8), 3, 2, 1),
    PoolGeometry.of("max_pool2d", (1, 1, 33, 34), 2),
    PoolGeometry.of("max_pool1d", (4, 3, 17), 3, 2),
    PoolGeometry.of("max_pool3d", (2, 3, 4, 5, 6), 2),
]
levels = [pytest.param(level, id=level) for level in kernels.levels_of(OP, "direct")]


@pytest.mark.parametrize("level", levels)
@pytest.mark.parametrize("pool", POOLS, ids=str)
@pytest.mark.parametrize("direction", ["forward", "forward_training"])
def test_pooling_has_the_bits_of_one_after_the_other(direction, pool, level):
    geometry = BatchNormGeometry(*channel_sizes(pool.shapes["x"]), pool)
    for dtype in DTYPES:
        (x, *arrays), parameters = problem(geometry, direction, dtype, 0)
        x[0, 0, :7] = np.nan, np.inf, -np.inf, 0, 0, 3, 3
        with np.errstate(all="ignore"):
            y, *statistics = as_tuple(run(OP, direction, geometry, x, *arrays, level=level, **parameters))
            expected = *run(pool.op, "forward_relu", pool, y.reshape(pool.shapes["x"]), level=level), *statistics
        for n in THREADS:
            found = run(OP, f"{direction}_pool", geometry, x, *arrays, level=level, n_threads=n, **parameters)
            assert bits([a.reshape(b.shape) for a, b in zip(found, expected, strict=True)]) == bits(list(expected))


@pytest.mark.parametrize("level", levels)
@pytest.mark.parametrize("pool", POOLS, ids=str)
@pytest.mark.parametrize("training", [False, True])
def test_the_way_back_through_pooling_has_the_bits_of_one_after_the_other(training, pool, level):
    geometry = BatchNormGeometry(*channel_sizes(pool.shapes["x"]), pool)
    for dtype in DTYPES:
        (_, x, *arrays), parameters = problem(geometry, "backward", dtype, training)
        index = run(pool.op, "forward_relu", pool, (x - 3).reshape(pool.shapes["x"]), level=level)[1]
        grad = np.random.default_rng(1).uniform(-1, 1, index.shape).astype(dtype)
        spread = run(pool.op, "backward_input", pool, grad, index, level=level).reshape(x.shape)
        expected = run(OP, "backward", geometry, spread, x, *arrays, level=level, **parameters)
        flat = geometry.shapes["index"]
        for n in THREADS:
            found = run(OP, "backward_pool", geometry, grad.reshape(flat), index.reshape(flat), x, *arrays, level=level,
                        n_threads=n, **parameters)  # fmt: skip
            assert bits(found) == bits(expected)


@pytest.mark.parametrize("level", levels)
@pytest.mark.parametrize("geometry", GEOMETRIES, ids=str)
def test_relu_has_the_bits_of_one_after_the_other(geometry, level):
    flat = FlatGeometry("relu", geometry.N * geometry.C * geometry.S)
    for dtype in DTYPES:
        for direction in ("forward", "forward_training"):
            arrays, parameters = problem(geometry, direction, dtype, 0)
            y, *statistics = as_tuple(run(OP, direction, geometry, *arrays, level=level, **parameters))
            expected = run("relu", "forward", flat, y.reshape(-1)).reshape(y.shape), *statistics
            found = as_tuple(run(OP, f"{direction}_relu", geometry, *arrays, level=level, **parameters))
            assert bits(list(found)) == bits(list(expected))
        (grad_y, y, *arrays), parameters = problem(geometry, "backward_relu", dtype, 1)
        grad = run("relu", "backward_input", flat, grad_y.reshape(-1), y.reshape(-1)).reshape(y.shape)
        expected = run(OP, "backward", geometry, grad, *arrays, level=level, **parameters)
        assert bits(run(OP, "backward_relu", geometry, grad_y, y, *arrays, level=level, **parameters)) == bits(expected)


def as_tuple(found):
    return found if isinstance(found, tuple) else (found,)


def test_a_wrong_index_writes_nowhere_else():
    """Indices that a user gives may be anything."""
    pool = POOLS[0]
    geometry = BatchNormGeometry(*channel_sizes(pool.shapes["x"]), pool)
    (_, x, *arrays), parameters = problem(geometry, "backward", "f4", 1)
    index = np.random.default_rng(0).integers(-(2**31), 2**31, geometry.shapes["index"]).astype("i4")
    grad = np.ones(index.shape, "f4")
    grad_x, *_ = run(OP, "backward_pool", geometry, grad, index, x, *arrays, **parameters)
    assert np.isfinite(grad_x).all()


def test_other_planes_than_the_poolings():
    with pytest.raises(ValueError, match=re.escape("the pooling must be a max-pooling of (5, 3) planes of 167 cells")):
        BatchNormGeometry(5, 3, 167, POOLS[0])
    with pytest.raises(ValueError, match="avg_pool2d"):
        BatchNormGeometry(5, 3, 168, PoolGeometry.of("avg_pool2d", (5, 3, 12, 14), 2))
    plain = BatchNormGeometry(5, 3, 168)
    with pytest.raises(ValueError, match="direction must be one of"):
        run(OP, "forward_training_pool", plain, *problem(plain, "forward_training", "f4", 0)[0], epsilon=1.0)
