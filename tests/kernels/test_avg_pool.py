"""avg_pool2d: every variant against the definition, and the definition against numbers worked out by hand."""

import numpy as np
import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st
from numpy.testing import assert_array_equal
from strategies import DTYPES, SHARES, THREADS, assert_same, bits, cells, floats, inputs, pool_geometries, refused

from convcore import kernels
from convcore.kernels import PoolGeometry, run


def of(shape, pool_size, stride=None, padding=0, padding_value=0):
    return PoolGeometry.of("avg_pool2d", shape, pool_size, stride, padding, 1, padding_value)


PROBLEMS = [
    of((3, 6, 28, 28), 2),
    of((2, 1, 5, 7), 2),
    of((1, 1, 1, 1), 1),
    of((0, 2, 4, 4), 2),
    of((2, 3, 9, 40), 3, 1, 1),
    of((2, 2, 8, 9), (3, 2), (2, 3), (1, 0, 2, 1), SHARES),
    of((1, 2, 3, 3), 2, 2, 4, "mean"),  # windows that see only padding
    of((2, 2, 11, 11), 3, 2, 1, "mean"),
    of((1, 2, 6, 6), 6),
]


def shares(geometry, direction, dtype, seed):
    """Whole numbers that every window divides without rest."""
    return [array * SHARES for array in inputs(geometry, direction, dtype, seed)]


@pytest.mark.parametrize("geometry", PROBLEMS, ids=str)
@pytest.mark.parametrize(("variant", "level", "direction"), cells("avg_pool2d"))
def test_equals_the_definition(variant, level, direction, geometry):
    for dtype in DTYPES:
        arrays = shares(geometry, direction, dtype, 0)
        expected = run("avg_pool2d", direction, geometry, *arrays, variant="reference")
        for n_threads in THREADS:
            how = {"variant": variant, "level": level, "n_threads": n_threads}
            assert_same(run("avg_pool2d", direction, geometry, *arrays, **how), expected)


@pytest.mark.parametrize(("variant", "level", "direction"), cells("avg_pool2d"))
@given(geometry=pool_geometries("avg_pool2d"), seed=st.integers(0, 999), n_threads=st.sampled_from(THREADS))
@example(geometry=PROBLEMS[5], seed=1, n_threads=3)
@settings(max_examples=60)
def test_equals_the_definition_anywhere(variant, level, direction, geometry, seed, n_threads):
    for dtype in DTYPES:
        assume(not refused("avg_pool2d", variant, level, direction, geometry, dtype))
        arrays = shares(geometry, direction, dtype, seed)
        expected = run("avg_pool2d", direction, geometry, *arrays, variant="reference")
        how = {"variant": variant, "level": level, "n_threads": n_threads}
        assert_same(run("avg_pool2d", direction, geometry, *arrays, **how), expected)


@pytest.mark.parametrize("variant", kernels.variants("avg_pool2d"))
@given(geometry=pool_geometries("avg_pool2d"), seed=st.integers(0, 999))
@settings(max_examples=30)
def test_adjoint_identity(variant, geometry, seed):
    """sum(avg(x) · g) == sum(x · backward_input(g)), what the border brings in left out."""
    (x,), (g,) = inputs(geometry, "forward", "f8", seed), shares(geometry, "backward_input", "f8", seed + 1)
    border = run("avg_pool2d", "forward", geometry, np.zeros_like(x), variant=variant)
    y = run("avg_pool2d", "forward", geometry, SHARES * x, variant=variant)
    grad_x = run("avg_pool2d", "backward_input", geometry, g, variant=variant)
    assert ((y - border) * g).sum() == (SHARES * x * grad_x).sum()


@pytest.mark.parametrize("geometry", [of((4, 3, 15, 17), 5, 2, 2), of((4, 3, 15, 17), 4, 1, 2, "mean")], ids=str)
@pytest.mark.parametrize(("variant", "level", "direction"), cells("avg_pool2d"))
def test_rounding_and_the_same_bits(variant, level, direction, geometry):
    for dtype in DTYPES:
        arrays = floats(geometry, direction, dtype, seed=0)
        exact = run("avg_pool2d", direction, geometry, *(a.astype("f8") for a in arrays), variant="reference")
        how = {"variant": variant, "level": level}
        runs = [run("avg_pool2d", direction, geometry, *arrays, n_threads=n, **how) for n in (*THREADS, 1)]
        assert abs(runs[0] - exact).max() <= 4 * np.finfo(dtype).eps * np.prod(geometry.pool_size)
        assert all(bits(one) == bits(runs[0]) for one in runs)


# Worked out on paper, for every variant

IMAGE = [[[[1.0, 5, 2, 0], [4, 2, 1, 7], [0, 0, 9, 8], [6, 2, 0, 3]]]]


@pytest.mark.parametrize("variant", kernels.variants("avg_pool2d"))
def test_averages_by_hand(variant):
    def pool(*arguments, **options):
        return kernels.avg_pool2d_forward(IMAGE, *arguments, variant=variant, **options)[0, 0].tolist()

    assert pool(2) == [[3, 2.5], [2, 5]]
    assert pool((1, 4)) == [[2], [3.5], [4.25], [2.75]]
    assert pool(2, stride=3) == [[3]]  # the last column begins a window that does not fit
    assert pool(2, stride=2, padding=1) == [[0.25, 1.75, 0], [1, 3, 3.75], [1.5, 0.5, 0.75]]
    assert pool(2, stride=2, padding=1, padding_value=4) == [[3.25, 3.75, 3], [3, 3, 5.75], [4.5, 2.5, 3.75]]
    assert pool(2, stride=2, padding=1, padding_value="mean") == [[1, 3.5, 0], [2, 3, 7.5], [6, 1, 3]]
    assert pool(1, stride=5, padding=(1, 0, 1, 0), padding_value="mean") == [[0]]  # only padding: nothing to average


@pytest.mark.parametrize("variant", kernels.variants("avg_pool2d"))
def test_gradients_by_hand(variant):
    def backward(g, **options):
        return kernels.avg_pool2d_backward_input([[g]], (1, 1, 2, 3), 2, variant=variant, **options)[0, 0].tolist()

    assert backward([[4.0]]) == [[1, 1, 0], [1, 1, 0]]
    assert backward([[4.0, 8.0]], stride=1) == [[1, 3, 2], [1, 3, 2]]
    assert backward([[4.0, 8.0], [12.0, 16.0]], padding=(1, 0), stride=(2, 1), padding_value=3) \
        == [[1, 3, 2], [3, 7, 4]]  # fmt: skip
    assert backward([[4.0, 8.0], [12.0, 16.0]], padding=(1, 0), stride=(2, 1), padding_value="mean") \
        == [[2, 6, 4], [6, 14, 8]]  # fmt: skip


@pytest.mark.parametrize("variant", kernels.variants("avg_pool2d"))
@pytest.mark.parametrize("value", [np.inf, np.nan])
def test_a_border_of_no_number_spoils_only_the_windows_that_see_it(variant, value):
    y = kernels.avg_pool2d_forward(IMAGE, 2, padding=(1, 1, 0, 0), padding_value=value, variant=variant)
    assert_array_equal(np.isfinite(y[0, 0]), [[False, False], [True, True], [False, False]])


def test_dilated_windows_are_left_to_the_definition():
    geometry = PoolGeometry.of("avg_pool2d", (1, 1, 4, 4), 2, 1, 0, 3, 0)
    assert run("avg_pool2d", "forward", geometry, np.array(IMAGE)).item() == (1 + 0 + 6 + 3) / 4
    assert kernels.refusal("avg_pool2d", "direct", "forward", geometry, np.dtype("f4")) == "dilation is (3, 3), wants 1"
