import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

import convcore as cc

LOG2, LOG3 = math.log(2), math.log(3)
INTS = ["i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", ">i4"]
REGRESSION = [cc.mse, cc.half_mse, cc.mae, cc.huber]
seeds = st.integers(0, 999)


# --------------------------------------------------------------------------------------------------- cross-entropy


@pytest.mark.parametrize(
    ("logits", "target", "loss"),
    [
        ([[0, 0]], [0], LOG2),
        ([[0, LOG3]], [1], math.log(4 / 3)),
        ([[0, LOG3], [0, 0]], [0, 1], (math.log(4) + LOG2) / 2),  # the mean over the batch
        ([[5]], [0], 0),
        ([[0, 0]], [[0.5, 0.5]], LOG2),
        ([[0, LOG3]], [[0.25, 0.75]], 0.25 * math.log(4) + 0.75 * math.log(4 / 3)),
        ([[0, 1000]], [0], 1000),  # neither overflow nor log 0
        ([[0, 1000]], [1], 0),
        ([[-1e30, 1e30]], [0], 2e30),
        ([[0, 1000]], [[1, 0]], 1000),
        ([[0, 1000]], [[0.5, 0.5]], 500),
        ([[0, 50]], [1], math.exp(-50)),
    ],
)
def test_cross_entropy_by_hand(logits, target, loss):
    y = cc.cross_entropy(logits, target)
    assert (y.shape, y.dtype) == ((), np.float64)
    assert float(y) == pytest.approx(loss, rel=1e-12)
    y = cc.cross_entropy(np.array(logits, "f4"), np.array(target) if np.ndim(target) == 1 else np.array(target, "f4"))
    assert (y.shape, y.dtype) == ((), np.float32)
    assert float(y) == pytest.approx(loss, rel=1e-6)


def test_cross_entropy_gradient_by_hand():
    """(softmax − one-hot) / N"""
    grad = cc.gradient(cc.cross_entropy)([[0, LOG3], [0, 0]], [0, 1])
    assert_allclose(grad, [[(0.25 - 1) / 2, 0.75 / 2], [0.25, -0.25]], rtol=1e-15)
    assert_array_equal(cc.gradient(cc.cross_entropy)([[-1e30, 1e30]], [0]), [[-1, 1]])
    assert_allclose(cc.gradient(cc.cross_entropy)([[0, LOG3]], [[0.5, 0.5]]), [[-0.25, 0.25]], rtol=1e-15)


@given(n=st.integers(1, 5), k=st.integers(1, 6), scale=st.sampled_from([0.1, 1, 10]), seed=seeds)
@settings(max_examples=60, deadline=None)
def test_cross_entropy(n, k, scale, seed):
    rng = np.random.default_rng(seed)
    logits, target = scale * rng.standard_normal((n, k)), rng.integers(0, k, n)
    probabilities = rng.dirichlet(np.ones(k), n)
    assert cc.gradcheck(lambda x: cc.cross_entropy(x, target), (logits,), directions=1)
    assert cc.gradcheck(lambda x: cc.cross_entropy(x, probabilities), (logits,), directions=1)
    by_definition = -np.log(cc.softmax(logits).numpy()[np.arange(n), target]).mean()
    assert float(cc.cross_entropy(logits, target)) == pytest.approx(by_definition, abs=1e-12)
    one_hot = np.eye(k)[target]
    assert float(cc.cross_entropy(logits, one_hot)) == pytest.approx(float(cc.cross_entropy(logits, target)), abs=1e-12)
    assert_allclose(cc.gradient(cc.cross_entropy)(logits, one_hot), cc.gradient(cc.cross_entropy)(logits, target),
                    atol=1e-15)  # fmt: skip


@pytest.mark.parametrize("dtype", INTS)
def test_classes_of_all_integer_dtypes(dtype):
    logits = np.random.default_rng(0).standard_normal((4, 3))
    expected = float(cc.cross_entropy(logits, [2, 0, 1, 2]))
    target = np.array([2, 0, 1, 2], dtype)
    assert float(cc.cross_entropy(logits, target)) == expected
    assert float(cc.cross_entropy(logits, np.repeat(target, 2)[::2])) == expected
    assert float(cc.cross_entropy(logits.astype("f4"), target)) == pytest.approx(expected, rel=1e-6)
    assert float(cc.cross_entropy(logits, np.eye(3)[target].astype(dtype))) == pytest.approx(expected)  # one-hot rows
    assert cc.cross_entropy(logits.astype("f4"), np.eye(3)[target].astype(dtype)).dtype == np.float32


def test_cross_entropy_takes_any_memory_order_and_a_tensor_as_target():
    logits, target = np.random.default_rng(0).standard_normal((4, 3)), np.array([2, 0, 1, 2])
    views = np.asfortranarray(logits), np.repeat(target, 2)[::2]
    for view in views:
        view.flags.writeable = False
    assert_array_equal(cc.cross_entropy(*views).numpy(), cc.cross_entropy(logits, target).numpy())
    assert_array_equal(cc.gradient(cc.cross_entropy)(*views), cc.gradient(cc.cross_entropy)(logits, target))
    rows = np.eye(3)[target]
    assert_array_equal(cc.cross_entropy(logits, cc.Tensor(rows)).numpy(), cc.cross_entropy(logits, rows).numpy())


def test_nan_in_the_logits_is_not_hidden():
    assert np.isnan(cc.cross_entropy([[np.nan, 0], [0, 0]], [0, 1]).numpy())


def per_cell(logits):
    """(N, K, ...) as rows of classes, one per time step or pixel."""
    return np.moveaxis(logits, 1, -1).reshape(-1, logits.shape[1])


SHAPES = [(2, 3, 4), (3, 2, 2, 5), (1, 4, 1, 2, 3), (4, 3, 1)]


@pytest.mark.parametrize("dtype", ["f4", "f8"])
@pytest.mark.parametrize("shape", SHAPES)
def test_cross_entropy_of_each_time_step_or_pixel(shape, dtype):
    """The same as of the cells in a row: the mean over all of them, and their gradients in their places."""
    rng = np.random.default_rng(0)
    logits = rng.standard_normal(shape).astype(dtype)
    target = rng.integers(0, shape[1], (shape[0], *shape[2:]))
    probabilities = np.moveaxis(rng.dirichlet(np.ones(shape[1]), target.shape), -1, 1).astype(dtype)
    for wanted, rows in ((target, target.ravel()), (probabilities, per_cell(probabilities))):
        found, expected = cc.cross_entropy(logits, wanted), cc.cross_entropy(per_cell(logits), rows)
        assert (found.shape, found.dtype) == ((), dtype)
        assert float(found) == pytest.approx(float(expected), rel=1e-6 if dtype == "f4" else 1e-14)
        grad = cc.gradient(cc.cross_entropy)(logits, wanted)
        assert (grad.shape, grad.dtype) == (shape, dtype)
        assert_allclose(per_cell(grad), cc.gradient(cc.cross_entropy)(per_cell(logits), rows),
                        rtol=1e-6 if dtype == "f4" else 1e-14, atol=1e-7 if dtype == "f4" else 1e-16)  # fmt: skip
        view = np.asfortranarray(logits)
        assert_array_equal(cc.gradient(cc.cross_entropy)(view, wanted), grad)
        if dtype == "f8":
            assert cc.gradcheck(lambda x, wanted=wanted: cc.cross_entropy(x, wanted), (logits,), directions=2)


@pytest.mark.parametrize("shape", [(3, 4), *SHAPES])
def test_cross_entropy_is_that_of_pytorch(shape):
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(1)
    logits = 3 * rng.standard_normal(shape)
    target = rng.integers(0, shape[1], (shape[0], *shape[2:]))
    probabilities = np.ascontiguousarray(np.moveaxis(rng.dirichlet(np.ones(shape[1]), target.shape), -1, 1))
    for wanted in (target, probabilities):
        peer = torch.tensor(logits, requires_grad=True)
        loss = torch.nn.functional.cross_entropy(peer, torch.tensor(wanted))
        loss.backward()
        assert float(cc.cross_entropy(logits, wanted)) == pytest.approx(loss.item(), rel=1e-12)
        assert_allclose(cc.gradient(cc.cross_entropy)(logits, wanted), peer.grad.numpy(), rtol=1e-10, atol=1e-15)


L = np.zeros((2, 3))
ARRAY = "must be float32, float64, integers or booleans, got"
CLASSES = "target of shape (2,) must hold class indices (int), got"


@pytest.mark.parametrize(
    ("logits", "target", "error", "text"),
    [
        ("a", [0], TypeError, f"logits {ARRAY} dtype <U1"),
        (None, [0], TypeError, f"logits {ARRAY} NoneType"),
        (L.astype(np.float16), [0, 0], TypeError, f"logits {ARRAY} dtype float16"),
        (L[0], [0], ValueError, "logits must have shape (N, K) or (N, K, ...), sizes at least 1, got (3,)"),
        (L[None], [0], ValueError, "target must have shape (1, 3) or (1, 2, 3) (logits (1, 2, 3), target (1,))"),
        (L[None, :, :0], [[]], ValueError,
         "logits must have shape (N, K) or (N, K, ...), sizes at least 1, got (1, 2, 0)"),
        (L[:0], [], ValueError, "logits must have shape (N, K) or (N, K, ...), sizes at least 1, got (0, 3)"),
        (L[:, :0], [0, 0], ValueError, "logits must have shape (N, K) or (N, K, ...), sizes at least 1, got (2, 0)"),
        (L, None, TypeError, f"target {ARRAY} NoneType"),
        (L, ["a", "b"], TypeError, f"target {ARRAY} dtype <U1"),
        (L, [0j, 1], TypeError, f"target {ARRAY} dtype complex128"),
        (L, np.array([0, 1], object), TypeError, f"target {ARRAY} ndarray"),
        (L, [[1], [1, 2]], TypeError, "target must be an array of numbers, got a ragged list"),
        (L, np.zeros((2, 3), np.float16), TypeError, f"target {ARRAY} dtype float16"),
        (L, 1, ValueError, "target must have shape (2,) or (2, 3) (logits (2, 3), target ())"),
        (L, L[None], ValueError, "target must have shape (2,) or (2, 3) (logits (2, 3), target (1, 2, 3))"),
        (L, [0.0, 1.0], TypeError, f"{CLASSES} float64 (logits (2, 3), target (2,))"),
        (L, [True, False], TypeError, f"{CLASSES} bool (logits (2, 3), target (2,))"),
        (L, cc.Tensor([0, 1]), TypeError, f"{CLASSES} float64 (logits (2, 3), target (2,))"),
        (L, [0, 1, 2], ValueError, "class indices must have shape (2,) (logits (2, 3), target (3,))"),
        (L, [0, 3], ValueError, "target 3 is no class, logits has 3 (0 to 2) (logits (2, 3), target (2,))"),
        (L, [-1, 0], ValueError, "target -1 is no class, logits has 3 (0 to 2) (logits (2, 3), target (2,))"),
        (L, np.array([2**64 - 1, 0], np.uint64), ValueError,
         "target 18446744073709551615 is no class, logits has 3 (0 to 2) (logits (2, 3), target (2,))"),
        (L, [[0], [1]], ValueError, "probabilities must have the shape of logits (logits (2, 3), target (2, 1))"),
        (L, np.ones((2, 3)), ValueError, "target[0, :] must add up to 1, got 3 (logits (2, 3), target (2, 3))"),
        (L, [[1, 0, 0], [0, 0, 0]], ValueError,
         "target[1, :] must add up to 1, got 0 (logits (2, 3), target (2, 3))"),
        (L, [[2, -1, 0], [1, 0, 0.0]], ValueError,
         "target must hold probabilities of at least 0, got -1 (logits (2, 3), target (2, 3))"),
        (L, [[np.nan, 0, 0], [1, 0, 0]], ValueError,
         "target must hold probabilities of at least 0, got nan (logits (2, 3), target (2, 3))"),
        (L, [[np.inf, 0, 0], [1, 0, 0]], ValueError,
         "target[0, :] must add up to 1, got inf (logits (2, 3), target (2, 3))"),
        (L[None], [[0, 1]], ValueError, "class indices must have shape (1, 3) (logits (1, 2, 3), target (1, 2))"),
        (L[None], [[0, 1, 2]], ValueError,
         "target 2 is no class, logits has 2 (0 to 1) (logits (1, 2, 3), target (1, 3))"),
        (L[None], [[0.0, 1, 0]], TypeError,
         "target of shape (1, 3) must hold class indices (int), got float64 (logits (1, 2, 3), target (1, 3))"),
        (L[None], [[[1, 1, 0], [0, 0, 0]]], ValueError,
         "target[0, :, 2] must add up to 1, got 0 (logits (1, 2, 3), target (1, 2, 3))"),
        (L[None], L[None, :1], ValueError,
         "probabilities must have the shape of logits (logits (1, 2, 3), target (1, 1, 3))"),
        (L.astype("f4"), L + 1 / 3, TypeError, "arrays must share one dtype: logits is float32, target is float64"),
        (L, cc.Tensor(L + 1 / 3, requires_grad=True), ValueError,
         "target requires a gradient, but only that of the logits is computed"),
    ],
)  # fmt: skip
def test_cross_entropy_of_bad_input(logits, target, error, text):
    with pytest.raises(error) as caught:
        cc.cross_entropy(logits, target)
    assert str(caught.value) == f"cross_entropy: {text}"


# ------------------------------------------------------------------------------------------------------- regression


@pytest.mark.parametrize("dtype", ["f4", "f8"])
@pytest.mark.parametrize(
    ("loss", "y", "t", "value", "grad"),
    [
        (cc.mse, [[1, 2], [3, 5]], [[0, 0], [3, 3]], 9 / 4, [[0.5, 1], [0, 1]]),  # over all elements
        (cc.half_mse, [[1, 2], [3, 5]], [[0, 0], [3, 3]], 9 / 4, [[0.5, 1], [0, 1]]),  # over the batch
        (cc.mse, [[2.0]], [[0.0]], 4, [[4]]),
        (cc.half_mse, [[2.0]], [[0.0]], 2, [[2]]),
        (cc.half_mse, [1, 3], [0, 0], 2.5, [0.5, 1.5]),
        (cc.mae, [[1, -2], [3, 5]], [[0, 0], [3, 3]], 5 / 4, [[0.25, -0.25], [0, 0.25]]),  # 0 where they are equal
        (cc.huber, [[0.5, 1], [-3, 0]], [[0, 0], [0, 0]], (0.125 + 0.5 + 2.5) / 4, [[0.125, 0.25], [-0.25, 0]]),
    ],
)
def test_regression_by_hand(loss, y, t, value, grad, dtype):
    y, t = np.array(y, dtype), np.array(t, dtype)
    found = loss(y, t)
    assert (found.shape, found.dtype, float(found)) == ((), dtype, value)
    grads = cc.gradient(loss, (0, 1))(y, t)
    assert_array_equal(grads[0], grad)
    assert_array_equal(grads[1], -np.array(grad))
    assert grads[0].dtype == grads[1].dtype == dtype


@pytest.mark.parametrize("loss", REGRESSION)
@given(shape=st.lists(st.integers(1, 4), min_size=1, max_size=3), seed=seeds)
@settings(max_examples=30, deadline=None)
def test_regression_gradients(loss, shape, seed):
    rng = np.random.default_rng(seed)
    t = rng.standard_normal(shape)
    y = t + rng.choice([-1, 1], shape) * rng.choice([rng.uniform(0.1, 0.9), rng.uniform(1.1, 3)], shape)  # no kink
    assert cc.gradcheck(loss, (y, t), directions=1)


@pytest.mark.parametrize("loss", REGRESSION)
def test_regression_targets(loss):
    """Integers take the dtype of the outputs, a number alone does too, lists of floats are float64."""
    y = np.array([[1, 2]], "f4")
    expected = loss(y, np.array([[3, 3]], "f4")).numpy()
    for t in ([[3, 3]], np.array([[3, 3]], np.uint8), np.full((1, 2), True) * 3):
        assert_array_equal(loss(y, t).numpy(), expected)
        assert loss(y, t).dtype == np.float32
    views = np.asfortranarray(np.ones((3, 2))), np.ones((2, 3)).T
    views[0].flags.writeable = False
    assert float(loss(*views)) == 0
    if loss is not cc.half_mse:
        assert loss(np.float32(2), 2.0).dtype == np.float32


def test_large_differences_do_not_overflow_in_huber_and_mae():
    assert float(cc.huber(np.full(2, 1e20, "f4"), np.zeros(2, "f4"))) == pytest.approx(1e20)
    assert float(cc.mae(np.full(2, 1e30, "f4"), np.zeros(2, "f4"))) == pytest.approx(1e30)


@pytest.mark.parametrize("loss", REGRESSION)
@pytest.mark.parametrize(
    ("y", "t", "error", "text"),
    [
        ("a", L, TypeError, f"y {ARRAY} dtype <U1"),
        (None, L, TypeError, f"y {ARRAY} NoneType"),
        (L.astype(np.float16), L, TypeError, f"y {ARRAY} dtype float16"),
        ([[1], [1, 2]], L, TypeError, "y must be an array of numbers, got a ragged list"),
        (L, "a", TypeError, f"t {ARRAY} dtype <U1"),
        (L, None, TypeError, f"t {ARRAY} NoneType"),
        (L, L * 1j, TypeError, f"t {ARRAY} dtype complex128"),
        (L, [[1], [1, 2]], TypeError, "t must be an array of numbers, got a ragged list"),
        (L.astype("f4"), L, TypeError, "arrays must share one dtype: y is float32, t is float64"),
        (L.astype("f4"), L.tolist(), TypeError, "arrays must share one dtype: y is float32, t is float64"),
        (L, L.astype("f4"), TypeError, "arrays must share one dtype: y is float64, t is float32"),
        (L, L[:1], ValueError, "y and t must have one shape (y (2, 3), t (1, 3))"),
        (L, 1.0, ValueError, "y and t must have one shape (y (2, 3), t ())"),
        (L[:0], L[:0], ValueError, "y holds no elements (y (0, 3))"),
    ],
)
def test_regression_of_bad_input(loss, y, t, error, text):
    with pytest.raises(error) as caught:
        loss(y, t)
    assert str(caught.value) == f"{loss.__name__}: {text}"


def test_half_mse_needs_a_batch_axis():
    with pytest.raises(ValueError) as caught:
        cc.half_mse(1.0, 2.0)
    assert str(caught.value) == "half_mse: y must have a batch axis (y ())"


def test_probabilities_in_the_place_of_logits():
    x = cc.Tensor(np.zeros((2, 3)), requires_grad=True)
    with cc.Tape(), pytest.warns(UserWarning, match="^cross_entropy: the softmax is part of it, .*logits=True"):
        cc.cross_entropy(cc.softmax(x), [0, 1])


@pytest.mark.filterwarnings("error")
def test_logits_get_no_warning():
    net = cc.Network([cc.FullyConnected(3), cc.Softmax()])
    with cc.Tape() as tape:
        loss = cc.cross_entropy(net.forward(np.zeros((2, 4)), logits=True), [0, 1])
    tape.backward(loss)
    assert loss.item() == pytest.approx(np.log(3))
