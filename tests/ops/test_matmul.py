import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from convcore.autograd.gradcheck import gradcheck
from convcore.autograd.tape import Tape
from convcore.autograd.tensor import Tensor
from convcore.ops.matmul import matmul

pairs = hnp.mutually_broadcastable_shapes(signature=np.matmul.signature, max_dims=2, min_side=0, max_side=3)


@given(pair=pairs, seed=st.integers(0, 2**32 - 1))
@settings(max_examples=80, deadline=None)
def test_like_numpy_with_exact_adjoints(pair, seed):
    rng = np.random.default_rng(seed)
    a, b = (rng.integers(-9, 10, shape).astype(float) for shape in pair.input_shapes)
    x, w = Tensor(a, requires_grad=True), Tensor(b, requires_grad=True)
    with Tape() as tape:
        y = matmul(x, w)
    np.testing.assert_array_equal(y.data, np.matmul(a, b))
    g = rng.integers(-9, 10, y.shape).astype(float)
    tape.backward(y, grad=g)
    assert (y.data * g).sum() == (a * x.grad).sum() == (b * w.grad).sum()


@pytest.mark.parametrize(
    ("a", "b"),
    [
        ((3,), (3,)),
        ((2, 3), (3,)),
        ((3,), (3, 4)),
        ((2, 3), (3, 4)),
        ((5, 2, 3), (3, 4)),
        ((2, 3), (5, 3, 4)),
        ((5, 1, 2, 3), (6, 3, 4)),
        ((5, 2, 3), (3,)),
        ((3,), (5, 3, 4)),
        ((0, 3), (3, 4)),
        ((2, 0), (0, 4)),
    ],
)
def test_gradients(a, b):
    rng = np.random.default_rng(0)
    assert gradcheck(matmul, (rng.standard_normal(a), rng.standard_normal(b)))


def test_the_same_matrix_on_both_sides():
    assert gradcheck(lambda x: matmul(x, x), (np.arange(9.0).reshape(3, 3) / 9,))


def test_float32_noncontiguous_read_only():
    a = np.arange(24, dtype=np.float32).reshape(4, 6)[:, ::2]
    a.flags.writeable = False
    x = Tensor(a, requires_grad=True)
    with Tape() as tape:
        y = matmul(x, a.T)
    tape.backward(y, grad=np.ones((4, 4), np.float32))
    assert (y.dtype, x.grad.dtype) == (np.float32, np.float32)
    np.testing.assert_array_equal(x.grad, np.ones((4, 4)) @ a)


@pytest.mark.parametrize(
    ("a", "b", "text"),
    [
        ((2, 3), (4, 5), "matmul: a has 3 columns, b has 4 rows (a (2, 3), b (4, 5))"),
        ((2, 3), (4,), "matmul: a has 3 columns, b has 4 rows (a (2, 3), b (4,))"),
        ((3,), (4, 5), "matmul: a has 3 columns, b has 4 rows (a (3,), b (4, 5))"),
        ((), (3,), "matmul: both sides need at least 1 axis, use * for numbers (a (), b (3,))"),
        (
            (2, 3, 4),
            (5, 4, 6),
            "matmul: axis -3 has 2 and 5 elements, which do not broadcast (a (2, 3, 4), b (5, 4, 6))",
        ),
    ],
)
def test_shapes_that_do_not_match(a, b, text):
    with pytest.raises(ValueError) as error:
        matmul(np.ones(a), np.ones(b))
    assert str(error.value) == text


def test_bad_kinds():
    with pytest.raises(TypeError) as error:
        matmul(np.ones((2, 2), np.float32), np.ones((2, 2)))
    assert str(error.value) == "matmul: arrays must share one dtype: a is float32, b is float64"
    with pytest.raises(TypeError) as error:
        matmul("x", [1])
    assert str(error.value) == "matmul: a must be float32, float64, integers or booleans, got dtype <U1"
    with pytest.raises(TypeError) as error:
        matmul([1], None)
    assert str(error.value) == "matmul: b must be float32, float64, integers or booleans, got NoneType"
