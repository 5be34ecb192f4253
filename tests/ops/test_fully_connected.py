import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from numpy.testing import assert_array_equal

import convcore as cc

seeds = st.integers(0, 999)
# x (N, ...), outputs
problems = st.tuples(st.lists(st.integers(1, 4), min_size=1, max_size=3), st.integers(0, 5), st.integers(1, 9))


def integers(seed, *shapes):
    rng = np.random.default_rng(seed)
    return [rng.integers(-4, 5, shape).astype(float) for shape in shapes]


def shapes_of(problem):
    sizes, batch, outputs = problem
    return (batch, *sizes), (outputs, int(np.prod(sizes))), (outputs,), (batch, outputs)


def gradients(x, weight, bias, g):
    arrays = (x, weight) if bias is None else (x, weight, bias)
    f = lambda *a: cc.sum(cc.multiply(cc.fully_connected(*a), g))  # noqa: E731
    return cc.gradient(f, tuple(range(len(arrays))))(*arrays)


def test_by_hand():
    x, weight = [[1, 2], [3, 4], [5, 6]], [[1, 10], [100, 1000]]
    expected = [[21, 2100], [43, 4300], [65, 6500]]
    assert_array_equal(cc.fully_connected(x, weight).numpy(), expected)
    assert_array_equal(cc.fully_connected(x, weight, [0.5, -0.5]).numpy(), np.add(expected, [0.5, -0.5]))


def test_images_are_flattened_channels_first():
    x = np.arange(12.0).reshape(1, 3, 2, 2)
    assert_array_equal(cc.fully_connected(x, np.eye(12)).numpy(), [np.arange(12)])


@given(problem=problems, with_bias=st.booleans(), seed=seeds)
@settings(max_examples=50, deadline=None)
def test_gradients(problem, with_bias, seed):
    arrays = [np.random.default_rng(seed + i).standard_normal(s) for i, s in enumerate(shapes_of(problem)[:3])]
    assert cc.gradcheck(cc.fully_connected, arrays[: 2 + with_bias], directions=1)


@given(problem=problems, seed=seeds)
@example(([7, 9], 33, 40), 0)  # more than one tile of the matrix product
@settings(max_examples=60, deadline=None)
def test_adjoints_and_float32_are_exact_on_integers(problem, seed):
    arrays = x, weight, _, g = integers(seed, *shapes_of(problem))
    y = cc.fully_connected(x, weight).numpy()
    assert_array_equal(y, x.reshape(len(x), weight.shape[1]) @ weight.T)
    grads = gradients(*arrays)
    assert (y * g).sum() == (grads[0] * x).sum() == (grads[1] * weight).sum()
    assert_array_equal(grads[2], g.sum(axis=0))
    singles = [a.astype(np.float32) for a in arrays]
    found = (cc.fully_connected(*singles[:2]).numpy(), *gradients(*singles))
    for a, b in zip(found, (y, *grads), strict=True):
        assert a.dtype == np.float32
        assert_array_equal(a, b)


@pytest.mark.parametrize(
    ("convert", "dtype"),
    [(np.ndarray.tolist, "f8"), (lambda a: a.astype(np.uint8), "f8"), (lambda a: a.astype(bool), "f8"),
     (lambda a: a.astype(np.float32), "f4"), (cc.Tensor, "f8")],
    ids=["list", "uint8", "bool", "float32", "Tensor"],
)  # fmt: skip
def test_dtypes(convert, dtype):
    y = cc.fully_connected(*[convert(np.ones(shape)) for shape in ((2, 3), (4, 3), (4,))])
    assert y.dtype == dtype
    assert_array_equal(y.numpy(), np.full((2, 4), 4))


def test_noncontiguous_and_read_only_arrays():
    x, weight, g = integers(0, (3, 2, 4), (5, 8), (3, 5))
    expected = cc.fully_connected(x, weight).numpy(), *gradients(x, weight, None, g)
    views = np.moveaxis(np.moveaxis(x, 1, 2).copy(), 2, 1), np.asfortranarray(weight), np.asfortranarray(g)
    for view in views:
        view.flags.writeable = False
        assert not view.flags.c_contiguous
    found = cc.fully_connected(*views[:2]).numpy(), *gradients(views[0], views[1], None, views[2])
    for a, b in zip(found, expected, strict=True):
        assert_array_equal(a, b)


def test_no_observations_give_an_empty_result_and_zero_gradients():
    x, weight, bias, g = integers(0, (0, 2, 3), (4, 6), (4,), (0, 4))
    assert cc.fully_connected(x, weight, bias).shape == (0, 4)
    grad_x, grad_weight, grad_bias = gradients(x, weight, bias, g)
    assert grad_x.shape == x.shape
    assert_array_equal(grad_weight, np.zeros((4, 6)))
    assert_array_equal(grad_bias, np.zeros(4))


X, W, B = np.ones((2, 3)), np.ones((4, 3)), np.ones(4)
ARRAY = "must be float32, float64, integers or booleans, got"


@pytest.mark.parametrize(
    ("arguments", "error", "text"),
    [
        ({"x": "a"}, TypeError, f"x {ARRAY} dtype <U1"),
        ({"x": None}, TypeError, f"x {ARRAY} NoneType"),
        ({"x": [[1], [1, 2]]}, TypeError, "x must be an array of numbers, got a ragged list"),
        ({"x": X.astype(np.float16)}, TypeError, f"x {ARRAY} dtype float16"),
        ({"weight": None}, TypeError, f"weight {ARRAY} NoneType"),
        ({"weight": W * 1j}, TypeError, f"weight {ARRAY} dtype complex128"),
        ({"bias": "a"}, TypeError, f"bias {ARRAY} dtype <U1"),
        ({"x": X.astype(np.float32)}, TypeError,
         "arrays must share one dtype: x is float32, weight is float64, bias is float64"),
        ({"bias": B.astype(np.float32)}, TypeError,
         "arrays must share one dtype: x is float64, weight is float64, bias is float32"),
        ({"x": 1.0}, ValueError, "x must have at least 2 axes, got 0 (x (), weight (4, 3))"),
        ({"x": X[0]}, ValueError, "x must have at least 2 axes, got 1 (x (3,), weight (4, 3))"),
        ({"weight": W[0]}, ValueError, "weight must have 2 axes, got 1 (x (2, 3), weight (3,))"),
        ({"weight": W[None]}, ValueError, "weight must have 2 axes, got 3 (x (2, 3), weight (1, 4, 3))"),
        ({"weight": W[:, :2]}, ValueError, "weight expects 2 inputs, x has 3 (x (2, 3), weight (4, 2))"),
        ({"x": np.ones((2, 3, 4, 5))}, ValueError,
         "weight expects 3 inputs, x has 60 (x (2, 3, 4, 5), weight (4, 3))"),
        ({"weight": W[:0]}, ValueError, "weight has an axis of size 0 (x (2, 3), weight (0, 3))"),
        ({"x": X[:, :0], "weight": W[:, :0]}, ValueError, "weight has an axis of size 0 (x (2, 0), weight (4, 0))"),
        ({"bias": B[:2]}, ValueError, "bias must have shape (4,), got (2,) (m2n4k3)"),
        ({"bias": B[None]}, ValueError, "bias must have shape (4,), got (1, 4) (m2n4k3)"),
        ({"bias": 1.0}, ValueError, "bias must have shape (4,), got () (m2n4k3)"),
    ],
)  # fmt: skip
def test_bad_input(arguments, error, text):
    with pytest.raises(error) as caught:
        cc.fully_connected(**{"x": X, "weight": W, "bias": B, **arguments})
    assert str(caught.value) == f"fully_connected: {text}"
