import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.testing import assert_allclose, assert_array_equal

import convcore as cc
from convcore.ops.batch_norm import normalize

shapes = hnp.array_shapes(min_dims=2, max_dims=5, min_side=1, max_side=4)
SHAPES = [(4, 3), (5, 2, 7), (3, 4, 5, 6), (2, 3, 4, 3, 2), (1, 1, 3, 3), (2, 1)]


def problem(shape, dtype="f8", seed=0):
    rng = np.random.default_rng(seed)
    x = (3 + 2 * rng.standard_normal(shape)).astype(dtype)
    scale, offset, mean = (rng.standard_normal(shape[1]).astype(dtype) for _ in range(3))
    return x, scale, offset, mean, rng.uniform(0.5, 2, shape[1]).astype(dtype)


def gradients(f, *arrays, g):
    return cc.gradient(lambda *tensors: cc.sum(cc.multiply(f(*tensors), g)), argnums=tuple(range(len(arrays))))(*arrays)


# --------------------------------------------------------------------------------------------------- PyTorch's numbers


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("training", [True, False])
def test_equals_torch(shape, training):
    torch = pytest.importorskip("torch")
    x, scale, offset, mean, variance = problem(shape)
    count = x.size // shape[1]
    g = np.random.default_rng(1).standard_normal(shape)
    tensors = [torch.tensor(a, requires_grad=True) for a in (x, scale, offset)]
    their_mean, their_variance = torch.tensor(mean), torch.tensor(variance)
    y = torch.nn.functional.batch_norm(tensors[0], their_mean, their_variance, *tensors[1:], training=training,
                                       momentum=0.3, eps=1e-3)  # fmt: skip
    (y * torch.tensor(g)).sum().backward()
    options = {"training": training, "momentum": 0.3, "epsilon": 1e-3}
    got_mean, got_variance = mean.copy(), variance.copy()
    got = cc.batch_norm(x, scale, offset, got_mean, got_variance, **options)
    assert_allclose(got.data, y.detach().numpy(), rtol=1e-12, atol=1e-12)
    assert_allclose(got_mean, their_mean.numpy(), rtol=1e-12)
    if training:  # theirs is the unbiased one
        theirs = (their_variance.numpy() - 0.7 * variance) * (count - 1) / count + 0.7 * variance
        assert_allclose(got_variance, theirs, rtol=1e-12)
    else:
        assert_array_equal(got_variance, variance)
    found = gradients(lambda *t: cc.batch_norm(*t, mean.copy(), variance.copy(), **options), x, scale, offset, g=g)
    for ours, theirs in zip(found, tensors, strict=True):
        assert_allclose(ours, theirs.grad.numpy(), rtol=1e-12, atol=1e-12)


# ------------------------------------------------------------------------------------------------------------ gradients


@pytest.mark.parametrize("training", [True, False])
@given(shape=shapes, seed=st.integers(0, 99))
@settings(max_examples=25)
def test_gradients(training, shape, seed):
    *arrays, mean, variance = problem(shape, seed=seed)

    def f(x, scale, offset):
        return cc.batch_norm(x, scale, offset, mean.copy(), variance.copy(), training=training, epsilon=0.1)

    assert cc.gradcheck(f, arrays, directions=1)


def test_gradients_in_training_are_at_right_angles_to_shifting_and_stretching():
    """Neither changes the result (but for epsilon), so grad_x · 1 = grad_x · (x − mean) = 0 in every channel."""
    x, scale, offset, _, _ = problem((6, 3, 5))
    g = np.random.default_rng(1).standard_normal(x.shape)
    (grad,) = gradients(lambda x: cc.batch_norm(x, scale, offset, None, None, training=True, epsilon=1e-14), x, g=g)
    assert_allclose(grad.sum(axis=(0, 2)), 0, atol=1e-12)
    assert_allclose((grad * x).sum(axis=(0, 2)), 0, atol=1e-11)


def test_only_what_is_needed():
    x, scale, offset, mean, variance = problem((4, 3, 5))
    for names in (("x",), ("scale",), ("offset",), ("scale", "offset")):
        given = dict(x=x, scale=scale, offset=offset)
        tensors = {name: cc.Tensor(array, requires_grad=name in names) for name, array in given.items()}
        with cc.Tape() as tape:
            y = cc.batch_norm(**tensors, running_mean=mean, running_var=variance, training=False)
        tape.backward(y, np.ones_like(x))
        assert [name for name, tensor in tensors.items() if tensor.grad is not None] == list(names)


def test_backward_sees_the_statistics_of_its_own_forward():
    x, scale, offset, mean, variance = problem((4, 3, 5))
    tensor = cc.Tensor(x, requires_grad=True)
    with cc.Tape() as tape:
        y = cc.batch_norm(tensor, scale, offset, mean, variance, training=False)
    expected = scale / np.sqrt(variance + 1e-5)
    variance *= 100
    tape.backward(y, np.ones_like(x))
    assert_allclose(tensor.grad, np.broadcast_to(expected[:, None], x.shape), rtol=1e-14)


# ------------------------------------------------------------------------------------------------------ exact, by hand


@pytest.mark.parametrize("dtype", ["f4", "f8"])
def test_inference_by_hand(dtype):
    x = np.arange(12, dtype=dtype).reshape(2, 2, 3)
    scale, offset = np.array([8, 2], dtype), np.array([1, -1], dtype)
    mean, variance = np.array([1, 5], dtype), np.array([15.75, 3.75], dtype)
    y = cc.batch_norm(x, scale, offset, mean, variance, training=False, epsilon=0.25)
    expected = np.stack([(x[:, 0] - 1) * 2 + 1, (x[:, 1] - 5) - 1], axis=1)
    assert_array_equal(y.data, expected.astype(dtype), strict=True)


@pytest.mark.parametrize("dtype", ["f4", "f8"])
def test_training_by_hand(dtype):
    """Values 1 and 3: mean 2, variance 1; with epsilon 3 the root is 2."""
    mean, variance = np.array([10], dtype), np.array([5], dtype)
    x = np.array([[1], [3]], dtype)
    y = cc.batch_norm(x, np.array([4], dtype), np.array([10], dtype), mean, variance, training=True, momentum=0.25,
                      epsilon=3)  # fmt: skip
    assert_array_equal(y.data, np.array([[8], [12]], dtype), strict=True)
    assert_array_equal(mean, np.array([8], dtype), strict=True)
    assert_array_equal(variance, np.array([4], dtype), strict=True)


@pytest.mark.parametrize("momentum", [0, 1])
def test_the_ends_of_momentum(momentum):
    x, scale, offset, mean, variance = problem((4, 3, 5))
    new_mean, new_variance = mean.copy(), variance.copy()
    cc.batch_norm(x, scale, offset, new_mean, new_variance, training=True, momentum=momentum)
    expected = (x.mean(axis=(0, 2)), x.var(axis=(0, 2))) if momentum else (mean, variance)
    assert_allclose(new_mean, expected[0], rtol=1e-14)
    assert_allclose(new_variance, expected[1], rtol=1e-13)


@pytest.mark.parametrize("dtype", ["f4", "f8"])
def test_a_single_value_per_channel_becomes_the_offset(dtype):
    x, scale, offset, _, _ = problem((1, 3), dtype)
    y = cc.batch_norm(x, scale, offset, None, None, training=True)
    assert_array_equal(y.data, offset[None], strict=True)
    g = np.random.default_rng(0).standard_normal((1, 3)).astype(dtype)
    for position, grad in enumerate(
        gradients(lambda *t: cc.batch_norm(*t, None, None, training=True), x, scale, offset, g=g)
    ):
        assert_array_equal(grad, g[0] if position == 2 else np.zeros_like(grad), strict=position != 2)
        assert grad.dtype == dtype


@pytest.mark.parametrize("shape", [(0, 3), (0, 3, 4, 4), (2, 3, 0)], ids=str)
@pytest.mark.parametrize("training", [True, False])
def test_no_values(shape, training):
    x, scale, offset, mean, variance = problem(shape)
    kept = mean.copy(), variance.copy()
    options = {"training": training}
    assert cc.batch_norm(x, scale, offset, mean, variance, **options).shape == shape
    found = gradients(lambda *t: cc.batch_norm(*t, mean, variance, **options), x, scale, offset, g=x)
    for grad, array in zip(found, (x, scale, offset), strict=True):
        assert_array_equal(grad, np.zeros_like(array))
    assert_array_equal((mean, variance), kept)


def test_the_axes_behind_the_channels_count_as_one():
    x, scale, offset, mean, variance = problem((3, 4, 2, 5))
    flat = x.reshape(3, 4, 10)
    for training in (True, False):
        y = cc.batch_norm(x, scale, offset, mean.copy(), variance.copy(), training=training)
        other = cc.batch_norm(flat, scale, offset, mean.copy(), variance.copy(), training=training)
        assert_array_equal(y.data, other.data.reshape(x.shape))


@pytest.mark.parametrize("training", [True, False])
def test_takes_any_memory_order(training):
    x, scale, offset, mean, variance = problem((4, 3, 6))
    options = {"training": training}
    odd = np.asfortranarray(x)
    odd.flags.writeable = False
    y = cc.batch_norm(odd, scale[::-1], offset, mean.copy(), variance.copy(), **options)
    assert_array_equal(
        y.data, cc.batch_norm(x, scale[::-1].copy(), offset, mean.copy(), variance.copy(), **options).data
    )
    g = np.broadcast_to(np.arange(6.0), x.shape)
    grads = [gradients(lambda x: cc.batch_norm(x, scale, offset, None if training else mean,
                                               None if training else variance, **options), a, g=g)[0]
             for a in (x, odd)]  # fmt: skip
    assert_array_equal(*grads)


# --------------------------------------------------------------------------------------------------- running statistics


def test_running_values_as_tensors():
    x, scale, offset, mean, variance = problem((4, 3, 5))
    running = cc.Tensor(mean.copy()), cc.Tensor(variance.copy())
    cc.batch_norm(x, scale, offset, *running, training=True)
    cc.batch_norm(x, scale, offset, mean, variance, training=True)
    assert_array_equal([tensor.data for tensor in running], (mean, variance))
    assert [tensor.version for tensor in running] == [1, 1]
    y = cc.batch_norm(x, scale, offset, *running, training=False)
    assert_array_equal(y.data, cc.batch_norm(x, scale, offset, mean, variance, training=False).data)


def test_running_values_may_be_views():
    x, scale, offset, _, _ = problem((4, 3, 5))
    table = np.zeros((3, 2))
    cc.batch_norm(x, scale, offset, table[:, 0], table[:, 1], training=True, momentum=1)
    assert_allclose(table, np.stack([x.mean(axis=(0, 2)), x.var(axis=(0, 2))], axis=1), rtol=1e-13)


def test_running_values_that_overlap():
    x, scale, offset, mean, _ = problem((4, 3, 5))
    before = mean.copy()
    with pytest.raises(ValueError, match=r"^batch_norm: running_mean and running_var overlap: "):
        cc.batch_norm(x, scale, offset, mean, mean, training=True)
    assert_array_equal(mean, before)


def test_no_running_values_in_training():
    x, scale, offset, mean, variance = problem((4, 3, 5))
    y = cc.batch_norm(x, scale, offset, None, None, training=True)
    assert_array_equal(y.data, cc.batch_norm(x, scale, offset, mean, variance, training=True).data)
    other, *statistics = normalize(x, scale, offset, None, epsilon=1e-5)
    assert_array_equal(y.data, other.data)
    assert_allclose(statistics, (x.mean(axis=(0, 2)), x.var(axis=(0, 2))), rtol=1e-13)


# --------------------------------------------------------------------------------------------------------- wrong values

X, C = np.ones((2, 3, 4)), np.ones(3)
FROZEN = np.ones(3)
FROZEN.flags.writeable = False
NUMBERS = "must be float32, float64, integers or booleans, got"


@pytest.mark.parametrize(
    ("arguments", "error", "text"),
    [
        ({"x": C}, ValueError, "x must have at least 2 axes, batch and channels, got 1 (x (3,))"),
        ({"x": "a"}, TypeError, f"x {NUMBERS} dtype <U1"),
        ({"x": X.astype("f4")}, TypeError,
         "arrays must share one dtype: x is float32, scale is float64, offset is float64"),
        ({"running_mean": C.astype("f4")}, TypeError,
         "arrays must share one dtype: x is float64, running_mean is float32"),
        *[({name: np.ones(2)}, ValueError,
           f"{name} must have shape (3,), one value per channel, got (2,) (x (2, 3, 4), {name} (2,))")
          for name in ("scale", "offset", "running_mean", "running_var")],
        ({"scale": 1.0}, ValueError,
         "scale must have shape (3,), one value per channel, got () (x (2, 3, 4), scale ())"),
        ({"scale": None}, TypeError, f"scale {NUMBERS} NoneType"),
        ({"offset": C * 1j}, TypeError, f"offset {NUMBERS} dtype complex128"),
        ({"running_mean": None}, ValueError, "running_mean is None: both or none must be given"),
        ({"running_var": None, "training": False}, ValueError,
         "running_var is None: needed where training is False"),
        ({"running_mean": None, "running_var": None, "training": False}, ValueError,
         "running_mean is None: needed where training is False"),
        ({"running_mean": [1.0, 1.0, 1.0]}, TypeError,
         "running_mean must be an ndarray or a Tensor to be updated, got list"),
        ({"running_var": FROZEN}, ValueError,
         "running_var must be a writeable array of floats to be updated, got a read-only array"),
        ({"running_var": np.ones(3, int)}, ValueError,
         "running_var must be a writeable array of floats to be updated, got int64"),
        ({"running_var": np.array([1.0, -2, 1])}, ValueError, "running_var must not be negative, got -2"),
        ({"running_mean": cc.Tensor(C, requires_grad=True)}, ValueError,
         "running_mean takes no gradient, but requires one"),
        ({"training": 1}, TypeError, "training must be True or False, got 1"),
        ({"training": None}, TypeError, "training must be True or False, got None"),
        ({"momentum": 1.5}, ValueError, "momentum must lie in [0, 1], got 1.5"),
        ({"momentum": np.nan}, ValueError, "momentum must lie in [0, 1], got nan"),
        ({"momentum": "a"}, TypeError, "momentum must be a number, got 'a'"),
        ({"momentum": True}, TypeError, "momentum must be a number, got True"),
        ({"epsilon": 0}, ValueError, "epsilon must be finite and greater than 0, got 0"),
        ({"epsilon": np.inf}, ValueError, "epsilon must be finite and greater than 0, got inf"),
        ({"epsilon": None}, TypeError, "epsilon must be a number, got None"),
    ],
)  # fmt: skip
def test_bad_input(arguments, error, text):
    mean, variance = C.copy(), C.copy()
    given = {"x": X, "scale": C, "offset": C, "running_mean": mean, "running_var": variance, "training": True}
    with pytest.raises(error) as caught:
        cc.batch_norm(**{**given, **arguments})
    assert str(caught.value) == f"batch_norm: {text}"
    assert_array_equal((mean, variance), (C, C))  # nothing was written
