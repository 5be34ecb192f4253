import operator

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from convcore.autograd.gradcheck import gradcheck
from convcore.autograd.tape import Tape, gradient
from convcore.autograd.tensor import Tensor
from convcore.ops import elementwise, sigmoid, tanh
from convcore.ops.elementwise import (
    add,
    divide,
    exp,
    log,
    multiply,
    negative,
    power,
    subtract,
    unbroadcast,
)
from convcore.ops.reduce import sum as reduce_sum

BINARY = [(add, operator.add), (subtract, operator.sub), (multiply, operator.mul), (divide, operator.truediv)]
BINARY += [(power, operator.pow)]
UNARY = [(negative, np.negative), (exp, np.exp), (log, np.log), (tanh, np.tanh)]
UNARY += [(sigmoid, lambda x: 1 / (1 + np.exp(-x)))]

shape_pairs = hnp.mutually_broadcastable_shapes(num_shapes=2, max_dims=4, min_side=0, max_side=3)
shapes = hnp.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=3)
seeds = st.integers(0, 2**32 - 1)


def positive(shape, seed):
    return np.random.default_rng(seed).uniform(0.5, 2, shape)


def integers(shape, seed):
    return np.random.default_rng(seed).integers(-9, 10, shape).astype(float)


@pytest.mark.parametrize(("op", "expected"), BINARY)
@given(pair=shape_pairs, seed=seeds)
@settings(max_examples=25, deadline=None)
def test_binary(op, expected, pair, seed):
    a, b = (positive(shape, seed + i) for i, shape in enumerate(pair.input_shapes))
    np.testing.assert_array_equal(op(a, b).data, expected(a, b))
    assert op(a, b).shape == pair.result_shape
    assert gradcheck(op, (a, b), directions=1)


@pytest.mark.parametrize(("op", "expected"), UNARY)
@given(shape=shapes, seed=seeds)
@settings(max_examples=25, deadline=None)
def test_unary(op, expected, shape, seed):
    x = positive(shape, seed)
    np.testing.assert_allclose(op(x).data, expected(x), rtol=1e-15)
    assert gradcheck(op, (x,), directions=1)
    if op is not log:
        assert gradcheck(op, (-x,), directions=1)


@given(pair=shape_pairs, seed=seeds)
@settings(max_examples=50, deadline=None)
def test_adjoints_are_exact_on_integers(pair, seed):
    a, b, g = (integers(shape, seed + i) for i, shape in enumerate((*pair.input_shapes, pair.result_shape)))
    for op, sign in ((add, 1), (subtract, -1)):
        grad_a, grad_b = gradient(lambda a, b, op=op: reduce_sum(multiply(op(a, b), g)), (0, 1))(a, b)
        np.testing.assert_array_equal(grad_a, unbroadcast(g, a.shape))
        np.testing.assert_array_equal(grad_b, sign * unbroadcast(g, b.shape))
    grad_a, grad_b = gradient(lambda a, b: reduce_sum(multiply(multiply(a, b), g)), (0, 1))(a, b)
    assert (a * b * g).sum() == (grad_a * a).sum() == (grad_b * b).sum()


@given(pair=shape_pairs, seed=seeds)
@settings(max_examples=50, deadline=None)
def test_unbroadcast_is_the_adjoint_of_broadcasting(pair, seed):
    shape = pair.input_shapes[0]
    x, g = integers(shape, seed), integers(pair.result_shape, seed + 1)
    back = unbroadcast(g, shape)
    assert back.shape == shape
    assert (np.broadcast_to(x, g.shape) * g).sum() == (x * back).sum()


@pytest.mark.parametrize("op", [op for op, _ in BINARY])
def test_a_python_number_takes_the_other_sides_dtype(op):
    x = Tensor(np.array([1, 2], np.float32), requires_grad=True)
    for number in (2, 2.5, True, np.float64(2), np.int64(2)):
        for left, right in ((x, number), (number, x), (x.data, number), (number, x.data)):
            assert op(left, right).dtype == np.float32
    with Tape() as tape:
        y = op(op(x, 2), op(2, x))
    tape.backward(y, grad=np.ones(2, np.float32))
    assert x.grad.dtype == np.float32
    assert op(1, 2).dtype == np.float64
    assert op([1, 2], 2).dtype == np.float64


@pytest.mark.parametrize("op", [op for op, _ in BINARY])
def test_mixed_dtypes_are_an_error(op):
    with pytest.raises(TypeError) as error:
        op(np.ones(2, np.float32), np.ones(2))
    assert str(error.value) == f"{op.__name__}: arrays must share one dtype: a is float32, b is float64"
    with pytest.raises(TypeError) as error:
        op(np.ones(2, np.float32), [1, 2])
    assert str(error.value) == f"{op.__name__}: arrays must share one dtype: a is float32, b is float64"


@pytest.mark.parametrize("op", [op for op, _ in BINARY])
@pytest.mark.parametrize(
    ("a", "b", "text"),
    [
        ((2, 3), (4,), "axis -1 has 3 and 4 elements, which do not broadcast (a (2, 3), b (4,))"),
        ((2, 3), (5, 3), "axis -2 has 2 and 5 elements, which do not broadcast (a (2, 3), b (5, 3))"),
        ((3,), (0,), "axis -1 has 3 and 0 elements, which do not broadcast (a (3,), b (0,))"),
    ],
)
def test_shapes_that_do_not_broadcast(op, a, b, text):
    with pytest.raises(ValueError) as error:
        op(np.ones(a), np.ones(b))
    assert str(error.value) == f"{op.__name__}: {text}"


@pytest.mark.parametrize("op", [op for op, _ in BINARY])
def test_binary_takes_arrays_only(op):
    kind = "must be float32, float64, integers or booleans, got"
    for a, b, text in (("x", 1.0, f"a {kind} dtype <U1"), (1.0, None, f"b {kind} NoneType")):
        with pytest.raises(TypeError) as error:
            op(a, b)
        assert str(error.value) == f"{op.__name__}: {text}"


@pytest.mark.parametrize("op", [op for op, _ in UNARY])
def test_unary_takes_arrays_only(op):
    with pytest.raises(TypeError) as error:
        op(1j)
    text = f"{op.__name__}: x must be float32, float64, integers or booleans, got dtype complex128"
    assert str(error.value) == text


@pytest.mark.parametrize("op", [op for op, _ in UNARY])
def test_unary_keeps_float32(op):
    x = Tensor(np.array([1, 2], np.float32), requires_grad=True)
    with Tape() as tape:
        y = op(x)
    tape.backward(y, grad=np.ones(2, np.float32))
    assert (y.dtype, x.grad.dtype) == (np.float32, np.float32)


@pytest.mark.parametrize("name", ["add", "subtract", "multiply", "divide", "power"])
def test_the_same_tensor_on_both_sides(name):
    op = getattr(elementwise, name)
    assert gradcheck(lambda x: op(x, x), ([0.5, 1.5, 2.0],))


def test_the_record_of_a_number_has_it_as_a_constant_input():
    x = Tensor([1.0, 2.0], requires_grad=True)
    with Tape() as tape:
        y = subtract(3, x)
    (step,) = tape.steps(y, grad=[1, 1])
    assert step.inputs[0].item() == 3
    assert step.grad_inputs[0] is None


def test_sigmoid_is_stable():
    x = np.array([-1000.0, -40, 0, 40, 1000])
    with np.errstate(all="raise", under="ignore"):
        y = sigmoid(x).data
    np.testing.assert_allclose(y, [0, np.exp(-40), 0.5, 1, 1], rtol=1e-15)
    assert np.isnan(sigmoid([np.nan]).data)


def test_power_at_zero():
    x, w = Tensor([0.0, 0.0, 0.0], requires_grad=True), Tensor([0.0, 1.0, 2.0], requires_grad=True)
    with np.errstate(all="raise"), Tape() as tape:
        y = power(x, w)
        tape.backward(y, grad=[1, 1, 1])
    np.testing.assert_array_equal(y.data, [1, 0, 0])
    np.testing.assert_array_equal(x.grad, [0, 1, 0])
    np.testing.assert_array_equal(w.grad, [0, 0, 0])


def test_power_of_negative_bases():
    assert gradcheck(lambda x: power(x, 3), ([-2.0, -0.5, 1.5],))
    assert gradcheck(lambda x: power(x, -2), ([-2.0, -0.5, 1.5],))
    assert gradcheck(lambda w: power(2.0, w), ([-2.0, 0.0, 1.5],))
    w = Tensor([2.0], requires_grad=True)
    with np.errstate(invalid="ignore"), Tape() as tape:
        y = power([-2.0], w)
        tape.backward(y)
    assert y.data == 4
    assert np.isnan(w.grad)


def test_division_by_zero_warns_as_numpy_does():
    with pytest.warns(RuntimeWarning, match="divide by zero"):
        assert divide(1.0, [0.0]).data == np.inf


def test_inputs_are_not_written_to():
    a, b = positive((2, 3), 1), positive((3,), 2)
    a.flags.writeable = b.flags.writeable = False
    for op, _ in BINARY:
        gradient(lambda a, b, op=op: reduce_sum(op(a, b)), (0, 1))(a, b)
    for op, _ in UNARY:
        gradient(lambda a, op=op: reduce_sum(op(a)))(a)


def test_read_only_output_gradients():
    """Each backward takes a grad_y that it may not write to and that is no plain array."""
    grad_y = np.broadcast_to(np.float64(2), (2, 3))
    for op, _ in BINARY + [(lambda a, b, op=op: op(a), None) for op, _ in UNARY]:
        a, b = (Tensor(positive((2, 3), seed), requires_grad=True) for seed in (1, 2))
        with Tape() as tape:
            y = op(a, b)
        tape.backward(y, grad=grad_y)
        assert a.grad.flags.writeable
