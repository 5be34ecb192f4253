"""fully_connected: every variant against the definition, and the definition against numbers worked out by hand."""

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from numpy.testing import assert_array_equal
from strategies import DTYPES, THREADS, assert_same, bits, cells, floats, inputs, integers, refused

from convcore import kernels
from convcore.kernels import MatrixGeometry, run

OP = "fully_connected"
# Batch, outputs, inputs: the last layers of LeNet; single numbers; several blocks of each, none of them full.
SIZES = [(64, 120, 400), (64, 10, 84), (1, 1, 1), (0, 3, 2), (1, 10, 784), (101, 300, 7), (5, 7, 4100), (130, 3, 530),
         (32, 500, 1000)]  # fmt: skip


@pytest.mark.parametrize("size", SIZES, ids=str)
@pytest.mark.parametrize(("variant", "level", "direction"), cells(OP))
def test_equals_the_definition(variant, level, direction, size):
    geometry = MatrixGeometry(OP, *size)
    for dtype in DTYPES:
        arrays = inputs(geometry, direction, dtype, 0)
        expected = run(OP, direction, geometry, *arrays, variant="reference")
        for n_threads in THREADS:
            got = run(OP, direction, geometry, *arrays, variant=variant, level=level, n_threads=n_threads)
            assert_same(got, expected)


@pytest.mark.parametrize(("variant", "level", "direction"), cells(OP))
@given(
    size=st.tuples(st.integers(0, 40), *[st.one_of(st.integers(1, 9), st.integers(1, 130))] * 2),
    seed=st.integers(0, 999),
    n_threads=st.sampled_from(THREADS),
    without=st.booleans(),
)
@example(size=(13, 21, 34), seed=0, n_threads=3, without=True)
@settings(max_examples=40)
def test_equals_the_definition_anywhere(variant, level, direction, size, seed, n_threads, without):
    geometry = MatrixGeometry(OP, *size)
    for dtype in DTYPES:
        assert not refused(OP, variant, level, direction, geometry, dtype)
        arrays = inputs(geometry, direction, dtype, seed)
        if direction == "forward" and without:
            arrays[2] = None
        expected = run(OP, direction, geometry, *arrays, variant="reference")
        got = run(OP, direction, geometry, *arrays, variant=variant, level=level, n_threads=n_threads)
        assert_same(got, expected)


@pytest.mark.parametrize("variant", kernels.variants(OP))
@given(size=st.tuples(*[st.integers(1, 40)] * 3), seed=st.integers(0, 999))
@settings(max_examples=30)
def test_adjoint_identity(variant, size, seed):
    geometry = MatrixGeometry(OP, *size)
    x, weight, bias = inputs(geometry, "forward", "f8", seed)
    g = integers(geometry.shapes["y"], "f8", seed + 1)
    y = run(OP, "forward", geometry, x, weight, bias, variant=variant)
    linear = ((y - bias) * g).sum()
    assert linear == (x * run(OP, "backward_input", geometry, g, weight, variant=variant)).sum()
    assert linear == (weight * run(OP, "backward_weight", geometry, g, x, variant=variant)).sum()
    assert (y * g).sum() - linear == (bias * run(OP, "backward_bias", geometry, g, variant=variant)).sum()


@pytest.mark.parametrize(("variant", "level", "direction"), cells(OP))
def test_rounding_and_the_same_bits(variant, level, direction):
    geometry = MatrixGeometry(OP, 303, 111, 517)
    terms = {"backward_input": 111, "backward_weight": 303, "backward_bias": 303}.get(direction, 518)
    for dtype in DTYPES:
        arrays = floats(geometry, direction, dtype, seed=0)
        exact = run(OP, direction, geometry, *(a.astype("f8") for a in arrays), variant="reference")
        how = {"variant": variant, "level": level}
        runs = [run(OP, direction, geometry, *arrays, n_threads=n, **how) for n in (*THREADS, 1)]
        assert abs(runs[0] - exact).max() <= 4 * np.finfo(dtype).eps * terms
        assert all(bits(one) == bits(runs[0]) for one in runs)


@pytest.mark.parametrize("variant", kernels.variants(OP))
def test_by_hand(variant):
    """Inputs (1 2) and (3 4); the first output is x₀ − x₁ + 10, the second 5 x₁, the third 7."""
    x, weight, bias = np.array([[1.0, 2], [3, 4]]), np.array([[1.0, -1], [0, 5], [0, 0]]), np.array([10.0, 0, 7])
    g = np.array([[1.0, 2, 3], [10, 20, 30]])
    geometry = MatrixGeometry(OP, 2, 3, 2)
    assert_array_equal(run(OP, "forward", geometry, x, weight, bias, variant=variant), [[9, 10, 7], [9, 20, 7]])
    assert_array_equal(run(OP, "forward", geometry, x, weight, None, variant=variant), [[-1, 10, 0], [-1, 20, 0]])
    assert_array_equal(run(OP, "backward_input", geometry, g, weight, variant=variant), [[1, 9], [10, 90]])
    assert_array_equal(run(OP, "backward_weight", geometry, g, x, variant=variant), [[31, 42], [62, 84], [93, 126]])
    assert_array_equal(run(OP, "backward_bias", geometry, g, variant=variant), [11, 22, 33])


@pytest.mark.parametrize("variant", kernels.variants(OP))
def test_without_inputs_the_bias_is_left(variant):
    geometry = MatrixGeometry(OP, 2, 3, 0)
    x, weight, bias = np.ones((2, 0)), np.ones((3, 0)), np.array([1.0, 2, 3])
    assert_array_equal(run(OP, "forward", geometry, x, weight, bias, variant=variant), [bias, bias])
    assert_array_equal(run(OP, "forward", geometry, x, weight, None, variant=variant), np.zeros((2, 3)))
    assert run(OP, "backward_input", geometry, np.ones((2, 3)), weight, variant=variant).shape == (2, 0)
    assert_array_equal(run(OP, "backward_bias", geometry, np.ones((2, 3)), variant=variant), [2, 2, 2])


@pytest.mark.parametrize("level", kernels.levels_of("fully_connected", "gemm"))
def test_several_passes_over_the_summed_index(level):
    """Operands larger than the working memory: the bias is added once, and ReLU waits for the last pass."""
    geometry = MatrixGeometry("fully_connected", 2048, 2048, 520)
    x, weight, bias = (
        integers(geometry.shapes[name], "f4", [3, i], 3) for i, name in enumerate(("x", "weight", "bias"))
    )
    y = x.astype("f8") @ weight.T.astype("f8") + bias
    for direction, expected in (("forward", y), ("forward_relu", np.maximum(y, 0))):
        got = run("fully_connected", direction, geometry, x, weight, bias, variant="gemm", level=level, n_threads=2)
        np.testing.assert_array_equal(got, expected.astype("f4"))
