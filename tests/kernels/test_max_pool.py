"""max_pool1d to 3d: every variant against the definition, and the definition against numbers worked out by hand."""

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from numpy.testing import assert_array_equal
from strategies import DTYPES, FENCES, THREADS, assert_same, bits, cells, fenced, integers, pool_geometries, refused

from convcore import kernels
from convcore.kernels import PoolGeometry, run

INF, NAN = np.inf, np.nan


OPS = ("max_pool1d", "max_pool2d", "max_pool3d")
CELLS = [pytest.param(op, *cell.values, id=f"{op}-{cell.id}") for op in OPS for cell in cells(op)]


def of(shape, *options, **named):
    return PoolGeometry.of(f"max_pool{len(shape) - 2}d", shape, *options, **named)


PROBLEMS = [
    of((3, 6, 28, 28), 2),  # LeNet: windows of 2 × 2 side by side, which have a loop of their own
    of((2, 1, 5, 7), 2),  # the same, with a last row and column that fill no window
    of((2, 1, 5, 7), 2, ceil_mode=True),  # and with windows that have these
    of((2, 1, 4, 7), 2, ceil_mode=True),
    of((2, 1, 5, 6), 2, ceil_mode=True),
    of((2, 1, 4, 6), 2, 2, (0, 1, 0, 1)),
    of((1, 1, 1, 1), 1),
    of((0, 2, 4, 4), 2),
    of((2, 3, 9, 70), 3, 1, 1),
    of((2, 2, 8, 9), (3, 2), (2, 3), (1, 0, 2, 1)),
    of((1, 2, 3, 3), 2, 2, 4),  # windows that see only padding
    of((2, 2, 11, 11), 3, 2, 1, (2, 3)),
    of((1, 2, 6, 6), 6),
    of((2, 3, 40), 3, 2, 1),
    of((5, 3, 64), 2),  # 1 × 2 side by side: the same loop
    of((3, 2, 7), 2),
    of((2, 3, 37), 2),
    of((2, 3, 6, 9), (1, 2)),
    of((2, 3, 5, 40), (1, 2)),
    of((3, 1, 9), 2, ceil_mode=True),
    of((1, 2, 50), 4, 1, (3, 0), 5),
    of((0, 1, 5), 2),
    of((2, 2, 1), 1),
    of((2, 2, 4, 6, 8), 2),
    of((1, 3, 1, 6, 6), (1, 2, 2)),  # an image as a volume
    of((1, 1, 3, 6, 6), (1, 2, 2)),
    of((1, 2, 3, 4, 6), (2, 3, 2), (2, 1, 3), (1, 0, 0, 2, 1, 1), (1, 2, 1)),
    of((1, 1, 5, 5, 5), 2, 3, ceil_mode=True),
    of((1, 1, 2, 2, 2), 1, 2, 2),
    of((0, 1, 2, 2, 2), 2),
]


def images(geometry, dtype, seed):
    """Small numbers, so that there are ties; some −inf; some NaN."""
    rng = np.random.default_rng(seed)
    x = integers(geometry.shapes["x"], dtype, seed)
    x[rng.random(x.shape) < 0.2] = -INF
    x[rng.random(x.shape) < 0.1 * (seed % 2)] = NAN
    return x


def arrays_of(geometry, direction, dtype, seed):
    x = images(geometry, dtype, seed)
    if direction.startswith("forward"):
        return (x,)
    index = run(geometry.op, "forward", geometry, x, variant="reference")[1]
    return integers(geometry.shapes["y"], dtype, seed), index


ON_CELLS = [
    pytest.param(*cell.values[1:], geometry, id=f"{cell.id}-{geometry}")
    for cell in CELLS
    for geometry in PROBLEMS
    if geometry.op == cell.values[0]
]


@pytest.mark.parametrize(("variant", "level", "direction", "geometry"), ON_CELLS)
def test_equals_the_definition(variant, level, direction, geometry):
    for dtype in DTYPES:
        for seed in (0, 1):
            arrays = arrays_of(geometry, direction, dtype, seed)
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
        arrays = arrays_of(geometry, direction, dtype, seed)
        expected = run(op, direction, geometry, *arrays, variant="reference")
        how = {"variant": variant, "level": level, "n_threads": n_threads}
        assert_same(run(op, direction, geometry, *arrays, **how), expected)


@pytest.mark.parametrize("op", OPS)
@given(data=st.data(), seed=st.integers(0, 999))
@settings(max_examples=30)
def test_adjoint_identity(op, data, seed):
    """The maxima are some of the inputs: sum(y · g) == sum(x · backward_input(g, index)), padding left out."""
    geometry = data.draw(pool_geometries(op))
    x = integers(geometry.shapes["x"], "f8", seed)
    g = integers(geometry.shapes["y"], "f8", seed + 1)
    for variant in kernels.variants(op):
        y, index = run(op, "forward", geometry, x, variant=variant)
        assert_array_equal(index < 0, y == -INF)
        grad_x = run(op, "backward_input", geometry, g, index, variant=variant)
        assert (np.where(index < 0, 0, y) * g).sum() == (x * grad_x).sum()


SPECIAL = np.array([0.0, -0.0, 1.0, 1.0, 2.0, -1.0, INF, -INF, NAN, 1e-37, -1e-37])
WIDTHS = (2, 3, 4, 7, 8, 9, 10, 14, 16, 17, 28, 31, 32, 33, 34, 63, 64, 66, 130)  # around those of all vectors


WINDOWS = {  # pool size, stride, padding, dilation
    "side by side": (2,), "overlapping": (3, 2), "padded": (3, 2, 1), "one step": (3, 1, 1), "apart": (2, 3),
    "dilated": ((2, 3), 2, (1, 2), (1, 2)),
}  # fmt: skip


@pytest.mark.parametrize(("variant", "level", "direction"), cells("max_pool2d"))
@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("windows", WINDOWS)
def test_windows_of_any_width(variant, level, direction, windows, width):
    """Nothing is written beside the arrays, which stand in the middle of others; zeros keep their signs."""
    rng = np.random.default_rng(width)
    for dtype in DTYPES:
        for shape in ((1, 1, 3, width), (2, 3, 5, width), (3, 2, 8, width), (1, 40, 6, width)):
            if width < 4 and windows != "side by side":
                continue
            geometry = of(shape, *WINDOWS[windows])
            x = rng.choice(SPECIAL, shape).astype(dtype)
            g = rng.choice(SPECIAL, geometry.shapes["y"]).astype(dtype)
            index = run("max_pool2d", "forward", geometry, x, variant="reference")[1]
            arrays = (x,) if direction.startswith("forward") else (g, index)
            with np.errstate(invalid="ignore"):  # gradients inf and -inf meet where windows overlap
                expected = run("max_pool2d", direction, geometry, *arrays, variant="reference")
            expected = (expected,) if isinstance(expected, np.ndarray) else expected
            fenced = [np.full(a.size + 128, 77, a.dtype) for a in expected]
            out = tuple(f[64:-64].reshape(a.shape) for f, a in zip(fenced, expected, strict=True))
            for n_threads in THREADS:
                with np.errstate(invalid="ignore"):
                    run("max_pool2d", direction, geometry, *arrays, variant=variant, level=level, n_threads=n_threads,
                        out=out if len(out) > 1 else out[0])  # fmt: skip
                assert [bits(np.nan_to_num(a)) for a in out] == [bits(np.nan_to_num(a)) for a in expected]
                assert all(np.isnan(a[np.isnan(b)]).all() for a, b in zip(out, expected, strict=True))
                assert all((f[:64] == 77).all() and (f[-64:] == 77).all() for f in fenced)


@FENCES
@pytest.mark.parametrize(("variant", "level", "direction"), cells("max_pool2d"))
@pytest.mark.parametrize("windows", WINDOWS)
def test_nothing_outside_the_arrays_is_touched(variant, level, direction, windows):
    """A read or write outside would end the process."""
    for dtype in DTYPES:
        for shape in ((1, 1, 5, 4), (2, 3, 7, 15), (1, 2, 9, 33), (3, 1, 6, 70)):
            geometry = of(shape, *WINDOWS[windows])
            arrays = arrays_of(geometry, direction, dtype, seed=0)
            expected = run("max_pool2d", direction, geometry, *arrays, variant="reference")
            for fenced_arrays in zip(*map(fenced, arrays), strict=True):
                how = {"variant": variant, "level": level, "n_threads": 2}
                assert_same(run("max_pool2d", direction, geometry, *fenced_arrays, **how), expected)


@pytest.mark.parametrize("op", OPS)
@given(data=st.data(), seed=st.integers(0, 999))
@settings(max_examples=40)
def test_relu_behind_the_maxima_is_relu_in_front_of_them(op, data, seed):
    """With all ties, NaN and padding: the same maxima, and the same gradient through both."""
    geometry = data.draw(pool_geometries(op))
    rng = np.random.default_rng(seed)
    x = rng.choice(SPECIAL, geometry.shapes["x"])
    flat = kernels.FlatGeometry("relu", x.size)
    a = run("relu", "forward", flat, x.reshape(-1)).reshape(x.shape)
    y, index = run(op, "forward", geometry, a)
    g = rng.standard_normal(y.shape)
    grad = run("relu", "backward_input", flat, run(op, "backward_input", geometry, g, index).reshape(-1), a.reshape(-1))
    for variant in kernels.variants(op):
        got, places = run(op, "forward_relu", geometry, x, variant=variant)
        assert_same(got, y)
        assert not np.signbit(got[got == 0]).any()
        assert_array_equal(places, np.where(y == 0, -1, index))
        assert bits(run(op, "backward_input", geometry, g, places, variant=variant)) == bits(grad.reshape(x.shape))


@pytest.mark.parametrize("geometry", [of((3, 6, 28, 28), 2), of((2, 3, 9, 70), 3, 1, 1), of((5, 3, 90), 3, 1),
                                      of((2, 3, 6, 7, 8), 3, 1, 1)], ids=str)  # fmt: skip
@pytest.mark.parametrize("direction", ["forward", "forward_relu", "backward_input"])
def test_bits_do_not_depend_on_threads(direction, geometry):
    x = np.random.default_rng(0).normal(size=geometry.shapes["x"])
    index = run(geometry.op, "forward", geometry, x)[1]
    g = np.random.default_rng(1).normal(size=geometry.shapes["y"])
    arrays = (x,) if direction.startswith("forward") else (g, index)
    for variant, level in {cell.values[1:3] for cell in CELLS if cell.values[0] == geometry.op}:
        how = {"variant": variant, "level": level}
        runs = [bits(run(geometry.op, direction, geometry, *arrays, n_threads=n, **how)) for n in (*THREADS, 1)]
        assert all(one == runs[0] for one in runs)


@pytest.mark.parametrize("geometry", [g for g in PROBLEMS if g.op != "max_pool3d"], ids=str)
@pytest.mark.parametrize("variant", kernels.variants("max_pool3d"))
def test_fewer_dimensions_are_3d_with_sizes_of_1(variant, geometry):
    in_size, _, pool_size, stride, dilation, padding = geometry.in_3d
    volume = of((geometry.batch, geometry.channels, *in_size), pool_size, stride, sum(padding, ()), dilation,
                ceil_mode=geometry.ceil_mode)  # fmt: skip
    (x,) = arrays_of(geometry, "forward", "f4", 1)
    flat, solid = (run(g.op, "forward", g, x.reshape(g.shapes["x"]), variant=variant) for g in (geometry, volume))
    assert_same([a.reshape(volume.shapes["y"]) for a in flat], solid)


# Worked out on paper, for every variant


@pytest.fixture(params=kernels.variants("max_pool2d"))
def pool(request):
    def forward(image, *arguments, **options):
        y, index = kernels.max_pool2d_forward([[image]], *arguments, variant=request.param, **options)
        return y[0, 0].tolist(), index[0, 0].tolist()

    return forward


def test_maxima_and_their_places(pool):
    image = [[1.0, 5, 2, 0], [4, 3, 1, 7], [0, 0, 9, 8], [6, 0, 0, 0]]
    assert pool(image, 2) == ([[5, 7], [6, 9]], [[1, 7], [12, 10]])
    assert pool(image, 3, stride=1) == ([[9, 9], [9, 9]], [[10, 10], [10, 10]])
    assert pool(image, (1, 4)) == ([[5], [7], [9], [6]], [[1], [7], [10], [12]])
    assert pool(image, 2, stride=2, padding=1) == ([[1, 5, 0], [4, 9, 8], [6, 0, 0]], [[0, 1, 3], [4, 10, 11],
                                                                                       [12, 13, 15]])  # fmt: skip
    assert pool(image, 2, stride=1, dilation=3) == ([[6]], [[12]])
    assert pool(image, 2, stride=1, dilation=(1, 3)) == ([[7], [8], [8]], [[7], [11], [11]])


@pytest.mark.parametrize("variant", kernels.variants("max_pool1d"))
def test_maxima_of_a_row(variant):
    def pool(*arguments, **options):
        x = [[[3.0, 1, 4, 1, 5, 9, 2]]]
        y, index = kernels.max_pool1d_forward(x, *arguments, variant=variant, **options)
        return y[0, 0].tolist(), index[0, 0].tolist()

    assert pool(2) == ([3, 4, 9], [0, 2, 5])
    assert pool(2, ceil_mode=True) == ([3, 4, 9, 2], [0, 2, 5, 6])
    assert pool(3, stride=1) == ([4, 4, 5, 9, 9], [2, 2, 4, 5, 5])
    assert pool(2, stride=2, dilation=3) == ([3, 9], [0, 5])
    assert pool(3, padding=(2, 1), stride=4) == ([3, 5], [0, 4])
    assert pool(1, padding=1, stride=4) == ([-INF, 1, -INF], [-1, 3, -1])


@pytest.mark.parametrize("variant", kernels.variants("max_pool3d"))
def test_maxima_of_a_volume(variant):
    def pool(*arguments, **options):
        x = [[[[[1.0, 2, 3], [4, 9, 6]], [[9, 8, 7], [6, 5, 10]]]]]  # depth 2, height 2, width 3
        y, index = kernels.max_pool3d_forward(x, *arguments, variant=variant, **options)
        return y[0, 0].tolist(), index[0, 0].tolist()

    assert pool(2) == ([[[9]]], [[[4]]])  # of equals the first in row order: depth before height before width
    assert pool(2, stride=1) == ([[[9, 10]]], [[[4, 11]]])
    assert pool((1, 2, 1), stride=1) == ([[[4, 9, 6]], [[9, 8, 10]]], [[[3, 4, 5]], [[6, 7, 11]]])
    assert pool((2, 1, 3)) == ([[[9], [10]]], [[[6], [11]]])
    assert pool(2, padding=(1, 0, 0, 0, 0, 1)) == ([[[9, 6]]], [[[4, 5]]])
    assert pool(2, ceil_mode=True) == ([[[9, 10]]], [[[4, 11]]])
    assert pool(2, dilation=(1, 1, 2)) == ([[[10]]], [[[11]]])


def test_the_first_of_equals_wins(pool):
    assert pool([[0.0, 2, 2], [2, 2, 0], [0, 0, 2]], 3) == ([[2]], [[1]])
    assert pool([[3.0, 3], [3, 3]], 2) == ([[3]], [[0]])
    assert pool([[0.0, -0.0], [1, 1]], 2) == ([[1]], [[2]])


def test_minus_infinity_is_a_number_and_padding_is_none(pool):
    assert pool([[-INF, -INF], [-INF, -INF]], 2) == ([[-INF]], [[0]])
    assert pool([[-INF]], 3, padding=1) == ([[-INF]], [[0]])
    y, index = pool([[5.0]], 1, stride=1, padding=1)
    assert y == [[-INF, -INF, -INF], [-INF, 5, -INF], [-INF, -INF, -INF]]
    assert index == [[-1, -1, -1], [-1, 0, -1], [-1, -1, -1]]
    assert pool([[-3.0, -2], [-5, -4]], 2, padding=(0, 1, 0, 1), stride=1)[0] == [[-2, -2], [-4, -4]]


@pytest.mark.parametrize("pool_size", [2, 3])
def test_nan_is_handed_on_with_its_place(pool, pool_size):
    for place in range(pool_size * pool_size):
        for others in (1.0, INF, -INF):
            image = np.full(pool_size * pool_size, others)
            image[place:] = NAN  # several: the first of them counts
            image[place + 1 :: 2] = others
            y, index = pool(image.reshape(pool_size, -1).tolist(), pool_size)
            assert np.isnan(y[0][0])
            assert index == [[place]]


@pytest.mark.parametrize("variant", kernels.variants("max_pool2d"))
def test_gradients_go_to_the_winner(variant):
    """Overlapping windows with one winner: it gets all of their gradients."""
    image = [[[[1.0, 2, 3], [4, 9, 5], [6, 7, 8]]]]
    index = kernels.max_pool2d_forward(image, 2, stride=1, variant=variant)[1]
    assert_array_equal(index, [[[[4, 4], [4, 4]]]])
    got = kernels.max_pool2d_backward_input([[[[1.0, 10], [100, 1000]]]], index, (1, 1, 3, 3), 2, stride=1,
                                            variant=variant)  # fmt: skip
    assert_array_equal(got, [[[[0, 0, 0], [0, 1111, 0], [0, 0, 0]]]])
    index = kernels.max_pool2d_forward(np.ones((1, 1, 1, 1)), 1, padding=1, variant=variant)[1]
    got = kernels.max_pool2d_backward_input(np.full((1, 1, 3, 3), 5.0), index, (1, 1, 1, 1), 1, padding=1,
                                            variant=variant)  # fmt: skip
    assert_array_equal(got, [[[[5]]]])  # what saw only padding sends nothing back


@pytest.mark.parametrize(("variant", "level", "direction"), [c for c in cells("max_pool2d") if "backward" in c.id])
@pytest.mark.parametrize("place", [4, 2**30, 2**31 - 1, -2, -(2**31)])
def test_no_index_writes_elsewhere(variant, level, direction, place):
    """The public function refuses such an index; the kernel itself writes nothing."""
    geometry = of((1, 1, 2, 2), 2)
    index = np.full((1, 1, 1, 1), place, np.int32)
    got = run("max_pool2d", direction, geometry, np.ones((1, 1, 1, 1)), index, variant=variant, level=level)
    assert_array_equal(got, np.zeros((1, 1, 2, 2)))
