"""gemm: every variant against the definition, with all four transpositions."""

import itertools

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from numpy.testing import assert_array_equal
from strategies import DTYPES, THREADS, assert_same, bits, cells, floats, inputs, refused

from convcore import kernels
from convcore.kernels import MatrixGeometry, run

# M, N, K: single numbers; less than a vector; several blocks of rows, columns and summed indices, none of them full.
SIZES = [(1, 1, 1), (0, 3, 2), (3, 0, 2), (3, 2, 0), (7, 5, 3), (6, 64, 16), (101, 7, 260), (5, 300, 530),
         (50, 130, 70), (25, 66, 4100)]  # fmt: skip
BOTH = [False, True]


@pytest.mark.parametrize("size", SIZES, ids=str)
@pytest.mark.parametrize(("variant", "level", "direction"), cells("gemm"))
def test_equals_the_definition(variant, level, direction, size):
    for transpose_a, transpose_b in [(False, False), (True, False), (False, True), (True, True)]:
        geometry = MatrixGeometry("gemm", *size, transpose_a, transpose_b)
        for dtype in DTYPES:
            arrays = inputs(geometry, direction, dtype, 0)
            expected = run("gemm", direction, geometry, *arrays, variant="reference")
            for n_threads in (1, 3) if min(size) else (1,):
                how = {"variant": variant, "level": level, "n_threads": n_threads}
                assert_same(run("gemm", direction, geometry, *arrays, **how), expected)


@pytest.mark.parametrize(("variant", "level", "direction"), cells("gemm"))
@given(
    size=st.tuples(*[st.one_of(st.integers(1, 9), st.integers(1, 130))] * 3),
    transpose_a=st.booleans(),
    transpose_b=st.booleans(),
    seed=st.integers(0, 999),
    n_threads=st.sampled_from(THREADS),
)
@example(size=(13, 21, 34), transpose_a=True, transpose_b=True, seed=0, n_threads=3)
@settings(max_examples=60)
def test_equals_the_definition_anywhere(variant, level, direction, size, transpose_a, transpose_b, seed, n_threads):
    geometry = MatrixGeometry("gemm", *size, transpose_a, transpose_b)
    for dtype in DTYPES:
        assert not refused("gemm", variant, level, direction, geometry, dtype)
        arrays = inputs(geometry, direction, dtype, seed)
        expected = run("gemm", direction, geometry, *arrays, variant="reference")
        how = {"variant": variant, "level": level, "n_threads": n_threads}
        assert_same(run("gemm", direction, geometry, *arrays, **how), expected)


# Rows, columns and summed indices beyond what working memory holds at a time; lanes along columns, rows and sums.
LARGE = [(2100, 260, 300), (300, 2100, 700), (7, 9, 5000), (517, 19, 1030), (19, 517, 1030)]


@pytest.mark.parametrize("size", LARGE, ids=str)
@pytest.mark.parametrize(("variant", "level", "direction"), cells("gemm"))
def test_large_products(variant, level, direction, size):
    for transpose_a, transpose_b in [(False, False), (True, False), (False, True), (True, True)]:
        geometry = MatrixGeometry("gemm", *size, transpose_a, transpose_b)
        for dtype in DTYPES:
            a, b = inputs(geometry, direction, dtype, 0)
            exact = (a.T if transpose_a else a).astype("f8") @ (b.T if transpose_b else b).astype("f8")
            assert_same(run("gemm", direction, geometry, a, b, variant=variant, level=level), exact.astype(dtype))


@pytest.mark.parametrize("transpose_b", BOTH)
@pytest.mark.parametrize("transpose_a", BOTH)
@pytest.mark.parametrize(("variant", "level", "direction"), cells("gemm"))
def test_infinities_and_nan_reach_what_they_belong_to(variant, level, direction, transpose_a, transpose_b):
    for size in [(18, 21, 3), (18, 21, 37), (40, 10, 84), (130, 70, 300)]:
        geometry = MatrixGeometry("gemm", *size, transpose_a, transpose_b)
        for dtype in DTYPES:
            arrays = inputs(geometry, direction, dtype, 0)
            left = arrays[0].T if transpose_a else arrays[0]
            right = arrays[1] if transpose_b else arrays[1].T
            for row in range(0, len(left), 3):
                left[row, 5 * row % geometry.K] = np.inf
            right[1, -1], right[-1, 0] = -np.inf, np.nan
            expected = run("gemm", direction, geometry, *arrays, variant="reference")
            assert np.isinf(expected).any()
            assert np.isfinite(expected).any()
            assert_same(run("gemm", direction, geometry, *arrays, variant=variant, level=level), expected)


@pytest.mark.parametrize("transpose_b", BOTH)
@pytest.mark.parametrize("transpose_a", BOTH)
@pytest.mark.parametrize(("variant", "level", "direction"), cells("gemm"))
def test_rounding_and_the_same_bits(variant, level, direction, transpose_a, transpose_b):
    for size, dtype in itertools.product([(203, 311, 517), (37, 20, 260), (512, 49, 64)], DTYPES):
        geometry = MatrixGeometry("gemm", *size, transpose_a, transpose_b)
        a, b = floats(geometry, direction, dtype, seed=0)
        exact = (a.T if transpose_a else a).astype("f8") @ (b.T if transpose_b else b).astype("f8")
        how = {"variant": variant, "level": level}
        runs = [run("gemm", direction, geometry, a, b, n_threads=n, **how) for n in (*THREADS, 1)]
        assert abs(runs[0] - exact).max() <= 4 * np.finfo(dtype).eps * geometry.K
        assert all(bits(one) == bits(runs[0]) for one in runs)


@pytest.mark.parametrize("variant", kernels.variants("gemm"))
def test_by_hand(variant):
    """(1 2 / 3 4) · (5 6 / 7 8) = (19 22 / 43 50); and with one or both turned over."""
    a, b = [[1, 2], [3, 4]], [[5, 6], [7, 8]]
    assert_array_equal(kernels.gemm(a, b, variant=variant), [[19, 22], [43, 50]])
    assert_array_equal(kernels.gemm(a, b, transpose_a=True, variant=variant), [[26, 30], [38, 44]])
    assert_array_equal(kernels.gemm(a, b, transpose_b=True, variant=variant), [[17, 23], [39, 53]])
    assert_array_equal(kernels.gemm(a, b, transpose_a=True, transpose_b=True, variant=variant), [[23, 31], [34, 46]])
    assert kernels.gemm([[1, 2, 3]], [[4], [5], [6]], variant=variant).item() == 32


def test_nothing_to_add_up_is_zero():
    assert_array_equal(kernels.gemm(np.ones((2, 0)), np.ones((0, 3))), np.zeros((2, 3)))
    assert kernels.gemm(np.ones((0, 2)), np.ones((2, 3))).shape == (0, 3)


def test_views_of_any_order_are_taken():
    a, b = np.arange(60.0).reshape(3, 4, 5)[:, ::2, 1], np.arange(40.0).reshape(8, 5)[::-4, ::-1]
    assert_array_equal(kernels.gemm(a, b), a @ b)
    assert_array_equal(kernels.gemm(b.T, a.T), b.T @ a.T)


@pytest.mark.parametrize("transpose_b", BOTH)
@pytest.mark.parametrize("transpose_a", BOTH)
def test_transposed_views_are_not_copied(transpose_a, transpose_b, monkeypatch):
    a, b = np.arange(15.0).reshape(3, 5), np.arange(20.0).reshape(5, 4)
    left, right = a.T if transpose_a else a, b.T if transpose_b else b
    expected = a @ b
    monkeypatch.setattr(np, "ascontiguousarray", None)
    for x, transposed_x in ((left, transpose_a), (np.asfortranarray(left), transpose_a)):
        for y, transposed_y in ((right, transpose_b), (np.asfortranarray(right), transpose_b)):
            product = kernels.gemm(x, y, transpose_a=transposed_x, transpose_b=transposed_y)
            assert_array_equal(product, expected)
