"""What max_pool1d, max_pool2d and max_pool3d share; the latter two have files of their own for the rest."""

import math

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from numpy.testing import assert_array_equal
from strategies import demands, pool_geometries

import convcore as cc

INF = np.inf
POOLS = {1: cc.max_pool1d, 2: cc.max_pool2d, 3: cc.max_pool3d}
RANKS = pytest.mark.parametrize("rank", POOLS)


def options_of(geometry):
    """The arguments, behind x, that make a geometry."""
    return {"pool_size": geometry.pool_size, "stride": geometry.stride, "padding": sum(geometry.padding, ()),
            "dilation": geometry.dilation, "ceil_mode": geometry.ceil_mode}  # fmt: skip


def gradient(rank, x, g, **options):
    """The gradient of sum(y · g), for a y that may be -inf."""
    x = cc.Tensor(x, requires_grad=True)
    with cc.Tape():
        POOLS[rank](x, **options).backward(g)
    return x.grad


# Worked out on paper

ROW = np.array([[[3.0, 1, 4, 1, 5, 9, 2]]])
VOLUME = np.array([[[[[1.0, 2, 3], [4, 9, 6]], [[9, 8, 7], [6, 5, 10]]]]])  # depth 2, height 2, width 3


@pytest.mark.parametrize(
    ("x", "options", "expected"),
    [
        (ROW, {"pool_size": 2}, [3, 4, 9]),
        (ROW, {"pool_size": (3,), "stride": (2,)}, [4, 5, 9]),
        (ROW, {"pool_size": 2, "ceil_mode": True}, [3, 4, 9, 2]),
        (ROW, {"pool_size": 2, "stride": 3, "padding": (1, 0)}, [3, 4, 9]),
        (ROW, {"pool_size": 2, "stride": 4, "dilation": 2}, [4, 5]),
        (ROW, {"pool_size": 4, "padding": "same"}, [4, 9]),
        (ROW, {"pool_size": 4, "padding": "same-lower"}, [4, 9]),
        (ROW, {"pool_size": 2, "stride": 1, "padding": "same"}, [3, 4, 4, 5, 9, 9, 2]),
        (ROW, {"pool_size": 2, "stride": 1, "padding": "same-lower"}, [3, 3, 4, 4, 5, 9, 9]),
        (VOLUME, {"pool_size": 2}, [[[9]]]),
        (VOLUME, {"pool_size": 2, "ceil_mode": True}, [[[9, 10]]]),
        (VOLUME, {"pool_size": (1, 2, 3)}, [[[9]], [[10]]]),
        (VOLUME, {"pool_size": (2, 1, 1)}, [[[9, 8, 7], [6, 9, 10]]]),
        (VOLUME, {"pool_size": 1, "stride": 2, "padding": (1, 0, 0, 0, 0, 0)}, [[[-INF, -INF]], [[9, 7]]]),
        (VOLUME, {"pool_size": 2, "stride": 1, "dilation": (1, 1, 2)}, [[[10]]]),
    ],
)
def test_by_hand(x, options, expected):
    pool = POOLS[x.ndim - 2]
    assert_array_equal(pool(x, **options).numpy()[0, 0], expected)
    single = pool(x.astype("f4"), **options).numpy()
    assert single.dtype == np.float32
    assert_array_equal(single[0, 0], expected)


def test_gradient_of_ties_by_hand():
    """The first in row order, depth before height before width, takes it all."""
    assert_array_equal(gradient(3, VOLUME, np.full((1, 1, 1, 1, 1), 5.0), pool_size=2).ravel(),
                       [0, 0, 0, 0, 5, 0, 0, 0, 0, 0, 0, 0])  # fmt: skip
    assert_array_equal(gradient(1, np.ones((1, 1, 4)), np.array([[[1.0, 10, 100]]]), pool_size=2, stride=1),
                       [[[1, 10, 100, 0]]])  # fmt: skip


@RANKS
def test_indices(rank):
    x = np.random.default_rng(rank).permutation(np.arange(2 * 3 * 4**rank)).reshape(2, 3, *(4,) * rank) / 8
    y, index = POOLS[rank](x, 2, stride=1, padding=1, return_indices=True)
    assert index.dtype == np.int32
    assert index.shape == y.shape
    assert_array_equal(
        np.take_along_axis(x.reshape(2, 3, -1), index.reshape(2, 3, -1), axis=2), y.data.reshape(2, 3, -1)
    )
    assert_array_equal(y.numpy(), POOLS[rank](x, 2, stride=1, padding=1).numpy())
    assert POOLS[rank](x, 1, stride=1, padding=1, return_indices=True)[1].ravel()[0] == -1


def test_indices_are_the_callers_own():
    """Writing into them must not lead the gradient elsewhere."""
    x = cc.Tensor(ROW, requires_grad=True)
    with cc.Tape():
        y, index = cc.max_pool1d(x, 7, return_indices=True)
        index[:] = 0
        y.backward(np.ones((1, 1, 1)))
    assert_array_equal(x.grad, [[[0, 0, 0, 0, 0, 1, 0]]])


# The laws, for any geometry


@RANKS
@given(data=st.data(), seed=st.integers(0, 999))
@settings(max_examples=30)
def test_gradients(rank, data, seed):
    geometry = data.draw(small(rank))
    x = np.random.default_rng(seed).permutation(np.arange(math.prod(geometry.shapes["x"]))) / 8  # no ties: no kinks
    f = lambda x: POOLS[rank](x, **options_of(geometry))  # noqa: E731
    if np.isfinite(f(x.reshape(geometry.shapes["x"])).data).all():
        assert cc.gradcheck(f, (x.reshape(geometry.shapes["x"]),), directions=1)


@st.composite
def small(draw, rank):
    """Few windows, so that gradcheck looks at every element; none sees only padding."""
    size = st.tuples(*[st.integers(1, 3)] * rank)
    pool_size, stride, ceil_mode = draw(size), draw(size), draw(st.booleans())
    padding = tuple(draw(st.integers(0, p - 1)) for p in pool_size for _ in range(2))
    shape = (draw(st.integers(0, 2)), 1, *(p + draw(st.integers(0, 2)) for p in pool_size))
    return cc.kernels.PoolGeometry.of(f"max_pool{rank}d", shape, pool_size, stride, padding, 1, None, ceil_mode)


@RANKS
def test_a_tie_is_a_kink(rank):
    with pytest.raises(cc.GradientError, match=rf"max_pool{rank}d has a kink in input 0 at index \(0, 0"):
        cc.gradcheck(lambda x: POOLS[rank](x, 2), (np.ones((1, 1, *(2,) * rank)),))


@RANKS
@given(data=st.data(), seed=st.integers(0, 999))
@settings(max_examples=30)
def test_each_output_is_one_input(rank, data, seed):
    """Σ y·g = Σ x·grad_x, exactly; and float32 does the same as float64."""
    geometry = data.draw(pool_geometries(f"max_pool{rank}d"))
    rng = np.random.default_rng(seed)
    x, g = (rng.integers(-4, 5, geometry.shapes[name]).astype(float) for name in ("x", "y"))
    options = options_of(geometry)
    y, grad = POOLS[rank](x, **options).numpy(), gradient(rank, x, g, **options)
    seen = np.isfinite(y)
    assert (y[seen] * g[seen]).sum() == (x * grad).sum()
    single = gradient(rank, x.astype("f4"), g.astype("f4"), **options)
    assert single.dtype == np.float32
    assert_array_equal(single, grad)


@RANKS
@given(data=st.data(), seed=st.integers(0, 999))
@settings(max_examples=60)
def test_equals_torch(rank, data, seed):
    """Values, places and gradients, where PyTorch takes the problem: even padding of half a window at most."""
    torch = pytest.importorskip("torch")
    size = st.tuples(*[st.integers(1, 4)] * rank)
    pool_size, stride, dilation = data.draw(size), data.draw(size), data.draw(st.tuples(*[st.integers(1, 2)] * rank))
    padding = tuple(data.draw(st.integers(0, p // 2)) for p in pool_size)
    ceil_mode = data.draw(st.booleans())
    extent = [(p - 1) * d + 1 for p, d in zip(pool_size, dilation, strict=True)]
    shape = (2, 2, *(max(1, e - 2 * p) + data.draw(st.integers(0, 4)) for e, p in zip(extent, padding, strict=True)))
    x = np.random.default_rng(seed).integers(-9, 10, shape) / 8  # with ties
    options = {"stride": stride, "padding": padding, "dilation": dilation, "ceil_mode": ceil_mode}
    theirs = torch.tensor(x, requires_grad=True)
    expected, places = getattr(torch.nn.functional, f"max_pool{rank}d")(
        theirs, pool_size, return_indices=True, **options
    )
    assume(np.isfinite(expected.detach().numpy()).all())  # where a window sees only padding its place means nothing
    if rank == 1:
        options["padding"] = padding[0]
    y, index = POOLS[rank](x, pool_size, return_indices=True, **options)
    assert_array_equal(y.numpy(), expected.detach().numpy())
    assert_array_equal(index, places.numpy())
    g = np.random.default_rng(seed + 1).normal(size=y.shape)
    expected.backward(torch.tensor(g))
    np.testing.assert_allclose(gradient(rank, x, g, pool_size=pool_size, **options), theirs.grad.numpy(), rtol=0,
                               atol=1e-12)  # fmt: skip


@RANKS
def test_no_observations(rank):
    x = np.zeros((0, 2, *(4,) * rank), "f4")
    y, index = POOLS[rank](x, 2, return_indices=True)
    assert (y.shape, y.dtype, index.shape) == ((0, 2, *(2,) * rank), np.float32, (0, 2, *(2,) * rank))
    assert gradient(rank, x, np.zeros(y.shape, "f4"), pool_size=2).shape == x.shape


@RANKS
@pytest.mark.parametrize(
    ("arguments", "error", "text"),
    [
        ({"x": None}, TypeError, "x must be float32, float64, integers or booleans, got NoneType"),
        ({"x": np.ones(3)}, ValueError, "x must have {axes} axes, got 1 (x (3,))"),
        ({"pool_size": 0}, ValueError, "pool_size must be at least 1, got 0"),
        ({"pool_size": (1,) * 4}, ValueError, "pool_size must be {each}, got 4"),
        ({"stride": "2"}, TypeError, "stride must be {each}, got '2'"),
        ({"dilation": 1.5}, TypeError, "dilation must be {each}, got 1.5"),
        ({"padding": (1,) * 7}, ValueError, "padding must be {each_end}, got 7"),
        ({"padding": "low"}, ValueError, "padding must be {words} or numbers, got 'low'"),
        ({"pool_size": 6}, ValueError, "the window covers 6 cells in {first}, the padded input has 5"),
        ({"ceil_mode": None}, TypeError, "ceil_mode must be True or False, got None"),
        ({"return_indices": 1}, TypeError, "return_indices must be True or False, got 1"),
    ],
)
def test_bad_input(rank, arguments, error, text):
    with pytest.raises(error) as caught:
        POOLS[rank](**{"x": np.ones((1, 1, *(5,) * rank)), "pool_size": 2, **arguments})
    words = '"same", "valid", "full"' + (', "causal"' if rank == 1 else "")
    first = {1: "width", 2: "height", 3: "depth"}[rank]
    assert str(caught.value) == f"max_pool{rank}d: " + text.format(axes=rank + 2, **demands(rank), first=first,
                                                                    words=words)  # fmt: skip
