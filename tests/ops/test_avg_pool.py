"""What avg_pool1d, avg_pool2d and avg_pool3d share; avg_pool2d has a file of its own for the rest."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_array_equal
from strategies import SHARES, demands, pool_geometries

import convcore as cc

POOLS = {1: cc.avg_pool1d, 2: cc.avg_pool2d, 3: cc.avg_pool3d}
RANKS = pytest.mark.parametrize("rank", POOLS)


def options_of(geometry):
    """The arguments, behind x, that make a geometry."""
    return {"pool_size": geometry.pool_size, "stride": geometry.stride, "padding": sum(geometry.padding, ()),
            "padding_value": geometry.padding_value, "dilation": geometry.dilation,
            "ceil_mode": geometry.ceil_mode}  # fmt: skip


def gradient(rank, x, g, **options):
    return cc.gradient(lambda x: cc.sum(cc.multiply(POOLS[rank](x, **options), g)))(x)


# Worked out on paper

ROW = np.array([[[4.0, 8, 0, 12, 16]]])
VOLUME = np.arange(12.0).reshape(1, 1, 2, 2, 3)


@pytest.mark.parametrize(
    ("x", "options", "expected"),
    [
        (ROW, {"pool_size": 2}, [6, 6]),
        (ROW, {"pool_size": 2, "ceil_mode": True}, [6, 6, 16]),  # the cell beyond the input does not count
        (ROW, {"pool_size": 2, "padding": (1, 0)}, [2, 4, 14]),
        (ROW, {"pool_size": 2, "padding": 1, "padding_value": 2}, [3, 4, 14]),
        (ROW, {"pool_size": 2, "padding": 1, "padding_value": "mean"}, [4, 4, 14]),
        (ROW, {"pool_size": 4, "padding": (0, 1), "stride": 3, "ceil_mode": True}, [6, 28 / 3]),
        (ROW, {"pool_size": 4, "padding": (0, 1), "stride": 3, "ceil_mode": True, "padding_value": "mean"}, [6, 14]),
        (ROW, {"pool_size": 2, "dilation": 3}, [8]),
        (ROW, {"pool_size": 2, "stride": 1, "padding": "same"}, [6, 4, 6, 14, 8]),
        (ROW, {"pool_size": 2, "stride": 1, "padding": "same-lower"}, [2, 6, 4, 6, 14]),
        (VOLUME, {"pool_size": 2}, [[[5]]]),
        (VOLUME, {"pool_size": 2, "ceil_mode": True}, [[[5, 6.5]]]),
        (VOLUME, {"pool_size": (1, 2, 3)}, [[[2.5]], [[8.5]]]),
        (VOLUME, {"pool_size": (2, 1, 1), "padding": (1, 0, 0, 0, 0, 0)}, [[[0, 0.5, 1], [1.5, 2, 2.5]]]),
        (VOLUME, {"pool_size": (2, 2, 3), "padding": (0, 0, 1, 1, 0, 0), "padding_value": 6}, [[[5], [6.5]]]),
    ],
)
def test_by_hand(x, options, expected):
    pool = POOLS[x.ndim - 2]
    assert_array_equal(pool(x, **options).numpy()[0, 0], expected)
    single = pool(x.astype("f4"), **options).numpy()
    assert single.dtype == np.float32
    assert_array_equal(single[0, 0], np.array(expected, "f4"))


def test_gradient_by_hand():
    g = np.array([[[6.0, 6, 12]]])
    assert_array_equal(gradient(1, ROW, g, pool_size=2, ceil_mode=True), [[[3, 3, 3, 3, 12]]])
    assert_array_equal(gradient(1, ROW, g[..., 1:], pool_size=4, stride=3, padding=(0, 1), ceil_mode=True),
                       [[[1.5, 1.5, 1.5, 5.5, 4]]])  # fmt: skip
    assert_array_equal(gradient(3, VOLUME, np.full((1, 1, 1, 1, 2), 8.0), pool_size=2, stride=1),
                       [[[[[1, 2, 1]] * 2] * 2]])  # fmt: skip


# The laws, for any geometry


@RANKS
@given(data=st.data(), seed=st.integers(0, 999))
@settings(max_examples=20)
def test_gradients(rank, data, seed):
    geometry = data.draw(pool_geometries(f"avg_pool{rank}d"))
    x = np.random.default_rng(seed).standard_normal(geometry.shapes["x"])
    assert cc.gradcheck(lambda x: POOLS[rank](x, **options_of(geometry)), (x,), directions=1)


@RANKS
@given(data=st.data(), value=st.sampled_from([0, "mean"]), seed=st.integers(0, 999))
@settings(max_examples=30)
def test_adjoint(rank, data, value, seed):
    """Σ y·g = Σ x·grad_x, exactly on multiples of the divisors; and float32 does the same as float64."""
    geometry = data.draw(pool_geometries(f"avg_pool{rank}d"))
    options = {**options_of(geometry), "padding_value": value}
    rng = np.random.default_rng(seed)
    x, g = (float(SHARES) * rng.integers(-3, 4, geometry.shapes[name]) for name in ("x", "y"))
    grad = gradient(rank, x, g, **options)
    assert (POOLS[rank](x, **options).numpy() * g).sum() == (x * grad).sum()
    single = gradient(rank, x.astype("f4"), g.astype("f4"), **options)
    assert single.dtype == np.float32
    assert_array_equal(single, grad)


@RANKS
@given(data=st.data(), seed=st.integers(0, 999))
@settings(max_examples=60)
def test_equals_torch(rank, data, seed):
    """Values and gradients, where PyTorch takes the problem: even padding of half a window at most, no dilation."""
    torch = pytest.importorskip("torch")
    size = st.tuples(*[st.integers(1, 4)] * rank)
    pool_size, stride = data.draw(size), data.draw(size)
    padding = tuple(data.draw(st.integers(0, p // 2)) for p in pool_size)
    ceil_mode, mean = data.draw(st.booleans()), data.draw(st.booleans())
    shape = (2, 2, *(w + data.draw(st.integers(0, 4)) for w in pool_size))
    x = np.random.default_rng(seed).normal(size=shape)
    theirs = torch.tensor(x, requires_grad=True)
    expected = getattr(torch.nn.functional, f"avg_pool{rank}d")(
        theirs, pool_size, stride, padding, ceil_mode=ceil_mode, count_include_pad=not mean
    )
    options = {"pool_size": pool_size, "stride": stride, "padding": padding if rank > 1 else padding[0],
               "padding_value": "mean" if mean else 0, "ceil_mode": ceil_mode}  # fmt: skip
    y = POOLS[rank](x, **options)
    np.testing.assert_allclose(y.numpy(), expected.detach().numpy(), rtol=0, atol=1e-12)
    g = np.random.default_rng(seed + 1).normal(size=y.shape)
    expected.backward(torch.tensor(g))
    np.testing.assert_allclose(gradient(rank, x, g, **options), theirs.grad.numpy(), rtol=0, atol=1e-12)


@RANKS
def test_no_observations(rank):
    x = np.zeros((0, 2, *(4,) * rank), "f4")
    y = POOLS[rank](x, 2)
    assert (y.shape, y.dtype) == ((0, 2, *(2,) * rank), np.float32)
    assert gradient(rank, x, np.zeros(y.shape, "f4"), pool_size=2).shape == x.shape


VALUE = 'padding_value must be a number or "mean", got'


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
        ({"padding_value": None}, TypeError, f"{VALUE} None"),
        ({"padding_value": "zero"}, ValueError, f"{VALUE} 'zero'"),
        ({"pool_size": 6}, ValueError, "the window covers 6 cells in {first}, the padded input has 5"),
        ({"ceil_mode": 1}, TypeError, "ceil_mode must be True or False, got 1"),
    ],
)
def test_bad_input(rank, arguments, error, text):
    with pytest.raises(error) as caught:
        POOLS[rank](**{"x": np.ones((1, 1, *(5,) * rank)), "pool_size": 2, **arguments})
    first = {1: "width", 2: "height", 3: "depth"}[rank]
    assert str(caught.value) == f"avg_pool{rank}d: " + text.format(axes=rank + 2, **demands(rank), first=first)
