"""avg_pool1d to 3d: every variant against the definition, and the definition against numbers worked out by hand."""

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from numpy.testing import assert_array_equal
from strategies import DTYPES, SHARES, THREADS, assert_same, bits, cells, floats, inputs, pool_geometries, refused

from convcore import kernels
from convcore.kernels import PoolGeometry, run

OPS = ("avg_pool1d", "avg_pool2d", "avg_pool3d")
CELLS = [pytest.param(op, *cell.values, id=f"{op}-{cell.id}") for op in OPS for cell in cells(op)]


def of(shape, pool_size, stride=None, padding=0, padding_value=0, dilation=1, ceil_mode=False):
    op = f"avg_pool{len(shape) - 2}d"
    return PoolGeometry.of(op, shape, pool_size, stride, padding, dilation, padding_value, ceil_mode)


PROBLEMS = [
    of((3, 6, 28, 28), 2),
    of((2, 1, 5, 7), 2),
    of((2, 1, 5, 7), 2, ceil_mode=True),  # the last windows have cells that do not count
    of((2, 1, 5, 7), 3, 2, (0, 1, 1, 0), SHARES, ceil_mode=True),
    of((1, 1, 1, 1), 1),
    of((0, 2, 4, 4), 2),
    of((2, 3, 9, 40), 3, 1, 1),
    of((2, 2, 8, 9), (3, 2), (2, 3), (1, 0, 2, 1), SHARES),
    of((1, 2, 3, 3), 2, 2, 4, "mean"),  # windows that see only padding
    of((2, 2, 11, 11), 3, 2, 1, "mean"),
    of((2, 2, 11, 11), 3, 2, 1, SHARES, (2, 3)),
    of((1, 2, 6, 6), 6),
    of((2, 3, 40), 3, 2, 1),
    of((3, 1, 9), 2, 2, (1, 0), "mean", ceil_mode=True),
    of((5, 3, 64), 2),  # 1 × 2 side by side
    of((3, 2, 7), 2),
    of((2, 3, 6, 9), (1, 2)),
    of((1, 2, 50), 4, 1, (3, 0), SHARES, 5),
    of((0, 1, 5), 2),
    of((2, 2, 4, 6, 8), 2),
    of((1, 2, 3, 4, 6), (2, 3, 2), (2, 1, 3), (1, 0, 0, 2, 1, 1), SHARES),
    of((1, 2, 3, 4, 6), (2, 3, 2), (2, 1, 3), (1, 0, 0, 2, 1, 1), "mean", (1, 2, 1)),
    of((1, 1, 5, 5, 5), 2, 3, ceil_mode=True),
    of((0, 1, 2, 2, 2), 2),
]


def shares(geometry, direction, dtype, seed):
    """Whole numbers that every window divides without rest."""
    return [array * SHARES for array in inputs(geometry, direction, dtype, seed)]


ON_CELLS = [
    pytest.param(*cell.values[1:], geometry, id=f"{cell.id}-{geometry}")
    for cell in CELLS
    for geometry in PROBLEMS
    if geometry.op == cell.values[0]
]


@pytest.mark.parametrize(("variant", "level", "direction", "geometry"), ON_CELLS)
def test_equals_the_definition(variant, level, direction, geometry):
    for dtype in DTYPES:
        arrays = shares(geometry, direction, dtype, 0)
        expected = run(geometry.op, direction, geometry, *arrays, variant="reference")
        for n_threads in THREADS:
            how = {"variant": variant, "level": level, "n_threads": n_threads}
            assert_same(run(geometry.op, direction, geometry, *arrays, **how), expected)


@pytest.mark.parametrize(("op", "variant", "level", "direction"), CELLS)
@given(data=st.data(), seed=st.integers(0, 999), n_threads=st.sampled_from(THREADS))
@settings(max_examples=40)
def test_equals_the_definition_anywhere(op, variant, level, direction, data, seed, n_threads):
    geometry = data.draw(pool_geometries(op))
    for dtype in DTYPES:
        assume(not refused(op, variant, level, direction, geometry, dtype))
        arrays = shares(geometry, direction, dtype, seed)
        expected = run(op, direction, geometry, *arrays, variant="reference")
        how = {"variant": variant, "level": level, "n_threads": n_threads}
        assert_same(run(op, direction, geometry, *arrays, **how), expected)


@pytest.mark.parametrize("op", OPS)
@given(data=st.data(), seed=st.integers(0, 999))
@settings(max_examples=30)
def test_adjoint_identity(op, data, seed):
    """sum(avg(x) · g) == sum(x · backward_input(g)), what the border brings in left out."""
    geometry = data.draw(pool_geometries(op))
    (x,), (g,) = inputs(geometry, "forward", "f8", seed), shares(geometry, "backward_input", "f8", seed + 1)
    for variant in kernels.variants(op):
        border = run(op, "forward", geometry, np.zeros_like(x), variant=variant)
        y = run(op, "forward", geometry, SHARES * x, variant=variant)
        grad_x = run(op, "backward_input", geometry, g, variant=variant)
        assert ((y - border) * g).sum() == (SHARES * x * grad_x).sum()


ROUNDING = [of((4, 3, 15, 17), 5, 2, 2), of((4, 3, 15, 17), 4, 1, 2, "mean"), of((4, 3, 91), 7, 1, 3),
            of((2, 3, 7, 8, 9), 3, 1, 1, 0.1)]  # fmt: skip


@pytest.mark.parametrize("geometry", ROUNDING, ids=str)
@pytest.mark.parametrize("direction", ["forward", "backward_input"])
def test_rounding_and_the_same_bits(direction, geometry):
    for dtype in DTYPES:
        arrays = floats(geometry, direction, dtype, seed=0)
        exact = run(geometry.op, direction, geometry, *(a.astype("f8") for a in arrays), variant="reference")
        for variant, level in {cell.values[1:3] for cell in CELLS if cell.values[0] == geometry.op}:
            how = {"variant": variant, "level": level}
            runs = [run(geometry.op, direction, geometry, *arrays, n_threads=n, **how) for n in (*THREADS, 1)]
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


@pytest.mark.parametrize("variant", kernels.variants("avg_pool2d"))
def test_dilated_windows_by_hand(variant):
    def pool(*arguments, **options):
        return kernels.avg_pool2d_forward(IMAGE, *arguments, variant=variant, **options)[0, 0].tolist()

    assert pool(2, dilation=3) == [[(1 + 0 + 6 + 3) / 4]]
    assert pool(2, stride=1, dilation=(1, 3)) == [[3], [4.75], [4.25]]
    assert pool(2, dilation=3, padding=2, padding_value="mean") == [[2, 5.5, 1], [3.5, 2.5, 1], [0, 4, 9]]
    assert pool(2, dilation=3, padding=2, padding_value=4) == [[3.5, 4.75, 3.25], [3.75, 2.5, 2.5], [3, 4, 5.25]]


@pytest.mark.parametrize("variant", kernels.variants("avg_pool2d"))
def test_ceil_mode_by_hand(variant):
    """Cells beyond the padding never count; cells of the padding do, unless it is "mean"."""

    def pool(*arguments, **options):
        x = [[[1.0, 5, 2]]]
        return kernels.avg_pool1d_forward(x, *arguments, ceil_mode=True, variant=variant, **options)[0, 0].tolist()

    assert pool(2) == [3, 2]
    assert pool(2, padding=1) == [0.5, 3.5]
    assert pool(3, stride=2, padding=1) == [2, 7 / 3]
    assert pool(3, stride=2, padding=(0, 1), padding_value=4) == [8 / 3, 3]
    assert pool(3, stride=2, padding=(0, 1), padding_value="mean") == [8 / 3, 2]
    assert pool(4, stride=2, padding=1, padding_value=2) == [2.5, 3]  # of the last window three cells count
    assert pool(5, stride=3) == [8 / 3]  # a window that does not fit once
    assert pool(1, stride=2, padding=(0, 2)) == [1, 2, 0]  # a window that fits into the padding stays
    assert pool(2, stride=3, padding=(0, 1)) == [3]  # none begins in the padding behind the input


@pytest.mark.parametrize("variant", kernels.variants("avg_pool3d"))
def test_a_volume_by_hand(variant):
    x = np.arange(12.0).reshape(1, 1, 2, 2, 3)

    def pool(*arguments, **options):
        return kernels.avg_pool3d_forward(x, *arguments, variant=variant, **options)[0, 0].tolist()

    assert pool(2) == [[[5]]]
    assert pool((2, 1, 3)) == [[[4], [7]]]
    assert pool(2, padding=(1, 0, 0, 0, 0, 1)) == [[[1, 0.875]]]
    assert pool(2, padding=(1, 0, 0, 0, 0, 1), padding_value="mean") == [[[2, 3.5]]]
    got = kernels.avg_pool3d_backward_input(np.full((1, 1, 1, 1, 2), 8.0), x.shape, 2, stride=1, variant=variant)
    assert got[0, 0].tolist() == [[[1, 2, 1], [1, 2, 1]]] * 2
