import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from convcore.autograd.gradcheck import gradcheck
from convcore.autograd.tape import Tape, gradient
from convcore.autograd.tensor import Tensor
from convcore.ops import reduce
from convcore.ops.elementwise import multiply

OPS = [(reduce.sum, np.sum), (reduce.mean, np.mean), (reduce.max, np.max)]


@st.composite
def problems(draw):
    """A shape, an axis argument that suits it, and keepdims."""
    shape = draw(hnp.array_shapes(min_dims=0, max_dims=4, min_side=1, max_side=3))
    axes = draw(st.lists(st.integers(0, len(shape) - 1), unique=True)) if shape else []
    signed = tuple(axis - len(shape) if draw(st.booleans()) else axis for axis in axes)
    axis = draw(st.sampled_from([None, signed] + ([signed[0]] if signed else [])))
    return shape, axis, draw(st.booleans())


@pytest.mark.parametrize(("op", "expected"), OPS)
@given(problem=problems(), seed=st.integers(0, 2**32 - 1))
@settings(max_examples=40, deadline=None)
def test_like_numpy_with_the_right_gradient(op, expected, problem, seed):
    shape, axis, keepdims = problem
    x = np.random.default_rng(seed).permutation(np.arange(np.prod(shape, dtype=int))).reshape(shape) / 4.0
    y = op(x, axis, keepdims).data
    np.testing.assert_array_equal(y, expected(x, axis=axis, keepdims=keepdims))
    assert type(y) is np.ndarray
    assert gradcheck(lambda x: op(x, axis=axis, keepdims=keepdims), (x,), directions=1)


@given(problem=problems(), seed=st.integers(0, 2**32 - 1))
@settings(max_examples=40, deadline=None)
def test_sum_is_exact_on_integers(problem, seed):
    shape, axis, keepdims = problem
    rng = np.random.default_rng(seed)
    x = rng.integers(-9, 10, shape).astype(float)
    y = np.sum(x, axis=axis, keepdims=keepdims)
    g = rng.integers(-9, 10, np.shape(y)).astype(float)
    grad_x = gradient(lambda x: reduce.sum(multiply(reduce.sum(x, axis, keepdims), g)))(x)
    assert (y * g).sum() == (x * grad_x).sum()


@pytest.mark.parametrize(("op", "expected"), OPS)
def test_float32_noncontiguous_read_only(op, expected):
    array = np.arange(24, dtype=np.float32).reshape(4, 6)[::-1, ::2]
    array.flags.writeable = False
    x = Tensor(array, requires_grad=True)
    with Tape() as tape:
        y = op(x, 1)
    tape.backward(y, grad=np.ones(4, np.float32))
    np.testing.assert_array_equal(y.data, expected(array, axis=1))
    assert (y.dtype, x.grad.dtype) == (np.float32, np.float32)


def test_max_gives_ties_to_the_first_in_row_order():
    def grad(x, axis):
        return gradient(lambda x: reduce.sum(reduce.max(x, axis)))(np.array(x, float)).tolist()

    assert grad([[1, 7, 7], [7, 2, 7]], None) == [[0, 1, 0], [0, 0, 0]]
    assert grad([[1, 7, 7], [7, 2, 7]], (1, 0)) == [[0, 1, 0], [0, 0, 0]]
    assert grad([[1, 7, 7], [7, 2, 7]], 1) == [[0, 1, 0], [1, 0, 0]]
    assert grad([[1, 7, 7], [7, 2, 7]], 0) == [[0, 1, 1], [1, 0, 0]]
    assert grad([[[1, 2], [3, 3]], [[3, 0], [3, 1]]], (0, 2)) == [[[0, 0], [1, 0]], [[1, 0], [0, 0]]]


def test_max_hands_on_nan():
    x = np.array([[1.0, np.nan, 3.0], [1.0, 2.0, -np.inf]])
    np.testing.assert_array_equal(reduce.max(x, 1).data, [np.nan, 2])
    assert gradient(lambda x: reduce.max(x))(x).tolist() == [[0, 1, 0], [0, 0, 0]]


def test_empty_arrays():
    x = np.zeros((0, 3))
    assert reduce.sum(x).data == 0
    np.testing.assert_array_equal(reduce.sum(x, 0).data, [0, 0, 0])
    for op, _ in OPS:
        assert op(x, 1).shape == (0,)
        assert gradient(lambda x, op=op: reduce.sum(op(x, 1)))(x).shape == (0, 3)


@pytest.mark.parametrize("op", [reduce.mean, reduce.max])
@pytest.mark.parametrize(("axis", "axes"), [(None, "(0, 1)"), (0, "(0,)")])
def test_nothing_to_average_or_compare(op, axis, axes):
    with pytest.raises(ValueError) as error:
        op(np.zeros((0, 3)), axis)
    assert str(error.value) == f"{op.__name__}: axes {axes} have 0 elements, at least 1 is needed (x (0, 3))"


@pytest.mark.parametrize("op", [op for op, _ in OPS])
@pytest.mark.parametrize(
    ("axis", "kind", "text"),
    [
        (2, ValueError, "axis 2 does not exist, there are 2 axes (x (2, 3))"),
        ((0, -3), ValueError, "axis -3 does not exist, there are 2 axes (x (2, 3))"),
        ((0, -2), ValueError, "axes (0, -2) name an axis twice (x (2, 3))"),
        (1.0, TypeError, "an axis must be an int, got float"),
        ("0", TypeError, "an axis must be an int, got str"),
    ],
)
def test_bad_axes(op, axis, kind, text):
    with pytest.raises(kind) as error:
        op(np.zeros((2, 3)), axis)
    assert str(error.value) == f"{op.__name__}: {text}"


@pytest.mark.parametrize("op", [op for op, _ in OPS])
def test_takes_arrays_only(op):
    with pytest.raises(TypeError) as error:
        op("text")
    text = f"{op.__name__}: x must be float32, float64, integers or booleans, got dtype <U4"
    assert str(error.value) == text
