import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.testing import assert_allclose, assert_array_equal

import convcore as cc

SHAPES = [(2, 7), (2, 6, 5), (3, 5, 4, 6), (1, 8, 3, 2, 2), (2, 1, 3)]


def gradient(f, x, g):
    return cc.gradient(lambda x: cc.sum(cc.multiply(f(x), g)))(x)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("window", [1, 2, 3, 4, 5, 8, 15])
@pytest.mark.parametrize("beta", [0.75, 0.6])
def test_equals_torch(shape, window, beta):
    """An even window of theirs has the odd channel before, not behind: turn the channels around."""
    torch = pytest.importorskip("torch")
    x, g = np.random.default_rng(0).standard_normal((2, *shape))
    numbers = {"alpha": 0.7, "beta": beta, "k": 1.5}
    t = torch.tensor(x[:, ::-1].reshape(*shape[:2], -1).copy(), requires_grad=True)
    y = torch.nn.functional.local_response_norm(t, window, **numbers)
    (y * torch.tensor(g[:, ::-1].reshape(y.shape).copy())).sum().backward()

    def f(x):
        return cc.cross_channel_norm(x, window, **numbers)

    assert_allclose(f(x).data, y.detach().numpy().reshape(shape)[:, ::-1], rtol=1e-12, atol=1e-12)
    assert_allclose(gradient(f, x, g), t.grad.numpy().reshape(shape)[:, ::-1], rtol=1e-12, atol=1e-12)


@given(shape=hnp.array_shapes(min_dims=2, max_dims=5, min_side=0, max_side=4), window=st.integers(1, 6),
       beta=st.sampled_from([0.75, 0.5, 2]), seed=st.integers(0, 99))  # fmt: skip
@settings(max_examples=40)
def test_gradients(shape, window, beta, seed):
    x = np.random.default_rng(seed).standard_normal(shape)

    def f(x):
        return cc.cross_channel_norm(x, window, alpha=0.9, beta=beta, k=1)

    assert f(x).shape == shape
    assert cc.gradcheck(f, (x,), directions=1)


@pytest.mark.parametrize("dtype", ["f4", "f8"])
def test_defaults_by_hand(dtype):
    """One channel, a window of 1: x / (2 + 1e-4 · x²)^0.75."""
    x = np.array([[0], [1], [-100], [1e4]], dtype)
    y = cc.cross_channel_norm(x, 1)
    assert y.dtype == dtype
    assert_allclose(y.data, x / (2 + 1e-4 * x.astype("f8") ** 2) ** 0.75, rtol=4 * np.finfo(dtype).eps)


def test_an_even_window_takes_one_more_channel_behind():
    x = np.array([[1.0, 2, 3]])
    y = cc.cross_channel_norm(x, 2, alpha=2, beta=1, k=1).data
    assert_allclose(y, [[1 / 6, 2 / 14, 3 / 10]], rtol=1e-15)


def test_takes_any_memory_order():
    x = np.random.default_rng(0).standard_normal((4, 5, 6)).transpose(2, 0, 1)[::2]
    x.flags.writeable = False
    g = np.broadcast_to(np.arange(1.0, 6), x.shape)
    copy = x.copy(order="C")
    assert_array_equal(cc.cross_channel_norm(x, 3).data, cc.cross_channel_norm(copy, 3).data)
    f = lambda x: cc.cross_channel_norm(x, 3, alpha=1)  # noqa: E731
    assert_array_equal(gradient(f, x, g), gradient(f, copy, g.copy()))


def test_no_observations():
    x = np.zeros((0, 3, 4))
    assert cc.cross_channel_norm(x, 3).shape == x.shape
    assert gradient(lambda x: cc.cross_channel_norm(x, 3), x, x).shape == x.shape


WINDOW = "window_channel_size must be"


@pytest.mark.parametrize(
    ("arguments", "error", "text"),
    [
        ({"x": np.ones(3)}, ValueError, "x must have at least 2 axes, batch and channels, got 1 (x (3,))"),
        ({"x": "a"}, TypeError, "x must be float32, float64, integers or booleans, got dtype <U1"),
        ({"window_channel_size": 0}, ValueError, f"{WINDOW} at least 1, got 0"),
        ({"window_channel_size": 10**30}, ValueError, f"{WINDOW} at most 2**31, got {10**30}"),
        ({"window_channel_size": 1.5}, TypeError, f"{WINDOW} an int, got 1.5"),
        ({"window_channel_size": True}, TypeError, f"{WINDOW} an int, got True"),
        *[({name: value}, error, f"{name} must be {text}") for name in ("alpha", "beta") for value, error, text in [
            (-1, ValueError, "finite and at least 0, got -1"),
            (np.nan, ValueError, "finite and at least 0, got nan"),
            ("a", TypeError, "a number, got 'a'"),
            (None, TypeError, "a number, got None"),
        ]],
        ({"k": 0}, ValueError, "k must be finite and greater than 0, got 0"),
        ({"k": np.inf}, ValueError, "k must be finite and greater than 0, got inf"),
        ({"k": True}, TypeError, "k must be a number, got True"),
    ],
)  # fmt: skip
def test_bad_input(arguments, error, text):
    with pytest.raises(error) as caught:
        cc.cross_channel_norm(**{"x": np.ones((2, 3)), "window_channel_size": 3, **arguments})
    assert str(caught.value) == f"cross_channel_norm: {text}"
