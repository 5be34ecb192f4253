import operator

import numpy as np
import pytest

from convcore.autograd.gradcheck import gradcheck
from convcore.autograd.tape import Tape
from convcore.autograd.tensor import Tensor
from convcore.ops import operators

operators.attach(Tensor, Tape)

X = np.array([[1.0, 2.0], [3.0, 4.0]])
SYMBOLS = [operator.add, operator.sub, operator.mul, operator.truediv, operator.pow, operator.matmul]


@pytest.mark.parametrize("symbol", SYMBOLS)
def test_operators_on_either_side(symbol):
    other = np.array([[5.0, 7.0], [2.0, 1.0]])
    sides = [(Tensor(X), Tensor(other)), (Tensor(X), other), (X, Tensor(other)), (X.tolist(), Tensor(other))]
    for left, right in sides:
        y = symbol(left, right)
        assert isinstance(y, Tensor)
        np.testing.assert_array_equal(y.data, symbol(X, other))
    assert gradcheck(symbol, (X, other))
    assert gradcheck(lambda x: symbol(x, other), (X,))
    assert gradcheck(lambda x: symbol(other, x), (X,))


@pytest.mark.parametrize("symbol", SYMBOLS[:-1])
@pytest.mark.parametrize("number", [2, 2.0, np.float32(2), np.float64(2), np.int64(2)])
def test_operators_with_numbers_keep_the_dtype(symbol, number):
    x = Tensor(X.astype(np.float32))
    for y, expected in ((symbol(x, number), symbol(X, 2)), (symbol(number, x), symbol(2, X))):
        assert isinstance(y, Tensor)
        assert y.dtype == np.float32
        np.testing.assert_allclose(y.data, expected, rtol=1e-6)


def test_assignment_operators_make_a_new_tensor():
    x = y = Tensor(X)
    y += 1
    assert y is not x
    np.testing.assert_array_equal(x.data, X)


def test_minus_index_and_iteration():
    x = Tensor(X)
    np.testing.assert_array_equal((-x).data, -X)
    np.testing.assert_array_equal(x[:, 1].data, X[:, 1])
    np.testing.assert_array_equal(x[X > 2].data, X[X > 2])
    rows = list(x)
    assert [row.data.tolist() for row in rows] == X.tolist()
    with pytest.raises(IndexError):
        x[2]


def test_methods():
    x = Tensor(X)
    for y, expected in [
        (x.sum(), 10),
        (x.sum(axis=0, keepdims=True), [[4, 6]]),
        (x.mean(1), [1.5, 3.5]),
        (x.max(-1), [2, 4]),
        (x.reshape(4), [1, 2, 3, 4]),
        (x.reshape(1, -1), [[1, 2, 3, 4]]),
        (x.reshape((4, 1)), [[1], [2], [3], [4]]),
        (x.transpose(), X.T),
        (x.transpose(0, 1), X),
        (x.transpose((1, 0)), X.T),
        (x.T, X.T),
        (x.flatten(), X),
        (x.exp(), np.exp(X)),
        (x.log(), np.log(X)),
        (x.tanh(), np.tanh(X)),
        (x.sigmoid(), 1 / (1 + np.exp(-X))),
    ]:
        assert isinstance(y, Tensor)
        np.testing.assert_allclose(y.data, expected, rtol=1e-15)


def test_an_expression():
    def f(x, w, b):
        hidden = (x @ w + b).tanh()
        return ((hidden[:, 0] - 2 * hidden[:, 1]) ** 2 / 3).mean() - 1 / (1 + hidden.exp()).sum()

    rng = np.random.default_rng(0)
    assert gradcheck(f, (rng.standard_normal((4, 3)), rng.standard_normal((3, 2)), rng.standard_normal(2)))


def test_unknown_kinds_are_errors():
    x = Tensor(X)
    for call in (lambda: x + None, lambda: "a" + x, lambda: x @ 1j, lambda: pow(x, 2, 3), lambda: x < 1):
        with pytest.raises(TypeError):
            call()


def test_attach_serves_any_class_with_slots():
    class Small:
        __slots__ = ()

    operators.attach(Small, Small)
    assert Small.__add__ is Tensor.__add__
    assert Small.add is Tape.add
    assert Small.__radd__.__name__ == "reflected_add"


def test_steps_of_operators_carry_the_functions_names():
    x = Tensor(X, requires_grad=True, name="x")
    with Tape() as tape:
        y = (1 - x.T[0] * 2).sum()
    assert [step.op for step in tape.steps(y)] == ["sum", "subtract", "multiply", "getitem", "transpose"]
    y.backward()
    np.testing.assert_array_equal(x.grad, [[-2, 0], [-2, 0]])
