"""What the kernel tests draw and compare: awkward problems, small integers stored as floats, every kernel there is."""

import ctypes
import mmap
import sys

import numpy as np
import pytest
from hypothesis import strategies as st

import convcore as cc
from convcore import isa, kernels
from convcore.kernels import ConvGeometry, PoolGeometry, registry
from convcore.profile.exactness import DTYPES, THREADS, floats, inputs, integers, rounding_bound  # noqa: F401  for the tests

DIRECTIONS = (
    "forward", "forward_training", "gather", "backward", "backward_input", "backward_weight", "backward_bias", "update",
)  # fmt: skip
FENCES = pytest.mark.skipif(sys.platform == "win32", reason="pages are protected in another way there")
SHARES = 43200  # 2⁶·3³·5²: each window with sides of 1 to 4 in 3-D, to 6 in 2-D, divides it; averages are whole numbers


def cells(op):
    """Every (variant, level, direction) that an op has, the definition left out: found, not listed."""
    return [
        pytest.param(variant, level, direction, id=f"{variant}-{level}-{direction}")
        for variant in kernels.variants(op)
        if variant != "reference"
        for level in kernels.levels_of(op, variant)
        for direction in (*DIRECTIONS, *registry.EPILOGUES, "backward_relu")
        if hasattr(registry.load(op, variant, level), direction)
    ]


def refused(op, variant, level, direction, geometry, dtype):
    return kernels.refusal(op, variant, direction, geometry, np.dtype(dtype), level) is not None


def widest(op, variant):
    """float64 where the variant computes in it, else float32, in which sums of small integers are as exact."""
    return "f4" if getattr(registry.load(op, variant, isa.DEFAULT), "DTYPE", None) == np.float32 else "f8"


def takes(variant, geometry, dtype, directions=("forward", "backward_input", "backward_weight")):
    """Whether a variant computes these directions of a problem in this dtype."""
    return not any(refused(geometry.op, variant, isa.DEFAULT, d, geometry, dtype) for d in directions)


def each_direction_of(problems):
    """Mark a test for all directions of problems, but for input gradients of patterns: most kernels have none."""
    cases = [
        (problem, direction)
        for problem in problems
        for direction in ("forward", "backward_input", "backward_weight")
        if direction != "backward_input" or ConvGeometry.parse(problem).padding_mode == 0
    ]
    return pytest.mark.parametrize(("problem", "direction"), cases)


def assert_same(got, expected):
    """Equal shapes, dtypes and numbers (NaN equals NaN), of one array or of several."""
    got, expected = ((a,) if isinstance(a, np.ndarray) else a for a in (got, expected))
    for a, b in zip(got, expected, strict=True):
        assert a.dtype == b.dtype
        np.testing.assert_array_equal(a, b, strict=True)


def bits(arrays):
    """What must not change by a single bit."""
    return [a.tobytes() for a in ((arrays,) if isinstance(arrays, np.ndarray) else arrays)]


def assert_agrees(got, expected, variant, level, direction, geometry, arrays):
    """The same numbers, or as close as a variant promises that rounds more than direct summation."""
    factor = registry.rounding_factor(geometry.op, variant, level, (direction, geometry, got.dtype))
    if factor == 1:
        assert_same(got, expected)
    else:
        assert (got.shape, got.dtype) == (expected.shape, expected.dtype)
        assert (abs(got - expected) <= rounding_bound(geometry, direction, arrays, got.dtype, factor)).all()


@st.composite
def windows(draw, largest=40):
    """One dimension of a sliding window: (input size, window, stride, (before, after), dilation).

    The input may be just as large as the window, the stride larger than it, the border wider.
    """
    window, stride, dilation = draw(st.integers(1, 4)), draw(st.integers(1, 5)), draw(st.integers(1, 3))
    before, after = draw(st.integers(0, 4)), draw(st.integers(0, 4))
    extra = draw(st.one_of(st.just(0), st.integers(0, 6), st.integers(min(12, largest), largest)))
    return max(1, (window - 1) * dilation + 1 - before - after) + extra, window, stride, (before, after), dilation


def demands(rank):
    """How errors ask for one number per dimension, and for one per dimension or end."""
    if rank == 1:
        return {"each": "an int", "each_end": "an int or 2 ints"}
    return {"each": f"an int or {rank} ints", "each_end": f"an int, {rank} ints or {2 * rank} ints"}


NUMBER_OR_PATTERN = "must be a number or one of symmetric-include-edge, symmetric-exclude-edge, replicate, circular"
PATTERNS = ("symmetric-include-edge", "symmetric-exclude-edge", "replicate", "circular")


@st.composite
def conv_geometries(draw, ranks=(1, 2, 3), padding_values=(0, 0, 2, -3, *PATTERNS)):
    """Convolution problems: groups up to depthwise, a batch of 0, sizes of 1, uneven borders wider than the image.

    Every other one has 3×3 filters and a stride of 1, which some variants are made for.
    """
    usual = 2 in ranks and draw(st.booleans())
    rank = 2 if usual else draw(st.sampled_from(ranks))
    largest = {1: (150,), 2: (40, 150), 3: (7, 7, 20)}[rank]
    axes = [draw(windows(n)) for n in largest]
    in_size, filter_size, stride, padding, dilation = zip(*axes, strict=True)
    if usual:
        filter_size, stride, dilation = (3, 3), (1, 1), (1, 1)
        in_size = tuple(max(size, 3 - sum(pair)) for size, pair in zip(in_size, padding, strict=True))
    groups, group_channels, group_filters = draw(
        st.one_of(
            st.tuples(st.just(1), st.integers(1, 5), st.integers(1, 9)),
            st.tuples(st.integers(2, 4), st.integers(1, 3), st.integers(1, 3)),
            st.tuples(st.integers(2, 9), st.just(1), st.just(1)),
        )
    )
    return ConvGeometry.of(
        (draw(st.integers(0, 3)), groups * group_channels, *in_size),
        (groups * group_filters, group_channels, *filter_size),
        stride, sum(padding, ()), draw(st.sampled_from(padding_values)), dilation, groups,
    )  # fmt: skip


def arrays_of(geometry, seed):
    """x, weight, bias and the gradient of y of a convolution, filled with integers."""
    return [integers(geometry.shapes[name], "f8", [seed, i]) for i, name in enumerate(("x", "weight", "bias", "y"))]


def options_of(geometry):
    """The options with which the op makes this geometry from its arrays."""
    g = geometry
    return {"stride": g.stride, "padding": sum(g.padding, ()), "padding_value": g.padding_value,
            "dilation": g.dilation, "groups": g.groups}  # fmt: skip


@st.composite
def transposed_problems(draw, rank):
    """(shape of x, shape of the weight, options) of a transposed convolution, cropped differently at each end."""
    few = [tuple(draw(st.integers(1, 3)) for _ in range(rank)) for _ in range(4)]
    in_size, filter_size, stride, dilation = few
    extra = tuple(draw(st.integers(0, s - 1)) for s in stride)
    cropping = []
    for i, f, s, d, e in zip(*few, extra, strict=True):
        whole = (i - 1) * s + (f - 1) * d + 1 + e
        before = draw(st.integers(0, min(3, whole - 1)))
        cropping += [before, draw(st.integers(0, min(3, whole - 1 - before)))]
    groups, channels, filters = draw(st.integers(1, 3)), draw(st.integers(1, 3)), draw(st.integers(1, 3))
    options = {"stride": stride, "cropping": draw(st.one_of(st.just(tuple(cropping)), st.just("same"))),
               "output_padding": extra, "dilation": dilation, "groups": groups}  # fmt: skip
    x_shape = (draw(st.integers(0, 2)), channels * groups, *in_size)
    return x_shape, (channels * groups, filters, *filter_size), options


def gradients(f, arrays, grad_y):
    """The gradients of Σ f(*arrays) · grad_y with respect to each array."""
    loss = lambda *a: cc.sum(cc.multiply(f(*a), grad_y))  # noqa: E731
    return cc.gradient(loss, tuple(range(len(arrays))))(*arrays)


@st.composite
def pool_geometries(draw, op):
    """Pooling problems of an op's number of dimensions, some of whose windows see only padding."""
    rank = int(op[-2])
    largest = 40 if rank < 3 else 6
    in_size, pool_size, stride, padding, dilation = zip(*(draw(windows(largest)) for _ in range(rank)), strict=True)
    value = None if op.startswith("max") else draw(st.sampled_from([0, "mean", SHARES]))
    shape = (draw(st.integers(0, 2)), draw(st.integers(1, 3)), *in_size)
    ceil_mode = draw(st.booleans())
    return PoolGeometry.of(op, shape, pool_size, stride, sum(padding, ()), dilation, value, ceil_mode)


def parts_options(count, moving=None, rate=1.0, l2=0.0, corrections=None, **how):
    """What an update takes besides arrays, for so many parts: lists of rates and of l2 become factors of 1."""
    rates, decays = (value if isinstance(value, list) else [1.0] * count for value in (rate, l2))
    how["rate"], how["l2"] = (1.0 if isinstance(value, list) else value for value in (rate, l2))
    if corrections is not None:
        how["corrections"] = np.broadcast_to(np.array(corrections, "f8"), (count, 2)).copy()
    return {"moving": np.array(moving or [True] * count, np.uint8), "factors": np.stack([rates, decays], 1), **how}


def updated(op, arrays, sizes=None, moving=None, **how):
    """The weights and the arrays of state after an optimizer's update; one number for all parts, or a list."""
    *changed, gradient = (array.copy() for array in arrays)
    geometry = kernels.PartsGeometry(op, (gradient.size,) if sizes is None else sizes)
    how = parts_options(len(geometry.sizes), moving, **how)
    assert kernels.run(op, "update", geometry, *changed, gradient, **how) is None
    np.testing.assert_array_equal(gradient, arrays[-1])
    return changed


def named_rows(count, seed):
    """An index of so many rows among as many: some come twice."""
    return np.random.default_rng(seed).integers(0, max(1, count), count)


def fenced(array):
    """The same numbers in memory between two pages that must not be touched, once at either end."""
    page = mmap.PAGESIZE
    pages = -(-array.nbytes // page)
    for offset in (0, pages * page - array.nbytes):
        memory = mmap.mmap(-1, (pages + 2) * page)
        start = np.frombuffer(memory, np.uint8).ctypes.data
        for fence in (start, start + (pages + 1) * page):
            assert ctypes.CDLL(None).mprotect(ctypes.c_void_p(fence), ctypes.c_size_t(page), 0) == 0
        copy = np.frombuffer(memory, array.dtype, array.size, page + offset).reshape(array.shape)
        copy[...] = array
        yield copy
