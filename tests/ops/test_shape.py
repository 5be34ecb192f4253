import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from convcore.autograd.gradcheck import gradcheck
from convcore.autograd.tape import Tape, gradient
from convcore.autograd.tensor import Tensor
from convcore.ops.elementwise import multiply
from convcore.ops.reduce import sum as reduce_sum
from convcore.ops.shape import concatenate, flatten, getitem, pad, reshape, stack, transpose

shapes = hnp.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=3)
seeds = st.integers(0, 2**32 - 1)


def integers(shape, seed=0):
    return np.random.default_rng(seed).integers(-9, 10, shape).astype(float)


def check(f, *arrays, expected, seed=0):
    """f's values, and ⟨f(x), g⟩ == Σ ⟨x, grad_x⟩, exactly: all of f is linear and the numbers are integers."""
    y = f(*arrays)
    np.testing.assert_array_equal(y.data, expected)
    g = integers(y.shape, seed + 1)
    tensors = [Tensor(array, requires_grad=True) for array in arrays]
    with Tape() as tape:
        y = f(*tensors)
    tape.backward(y, grad=g)
    grads = [np.zeros(x.shape) if x.grad is None else x.grad for x in tensors]
    assert (y.data * g).sum() == sum((x * grad).sum() for x, grad in zip(arrays, grads, strict=True))
    return grads


@given(shape=shapes, seed=seeds)
@settings(max_examples=30, deadline=None)
def test_reshape_and_flatten(shape, seed):
    x = integers(shape, seed)
    check(lambda x: reshape(x, x.size), x, expected=x.ravel())
    check(lambda x: reshape(x, (1, x.size, 1)), x, expected=x.reshape(1, -1, 1) if x.size else np.zeros((1, 0, 1)))
    if x.ndim:
        check(flatten, x, expected=x.reshape(x.shape[0], int(np.prod(x.shape[1:]))))


def test_reshape_arguments():
    x = np.arange(6.0)
    for y in (reshape(x, 2, 3), reshape(x, (2, 3)), reshape(x, [2, -1]), reshape(x, -1, 3), reshape(x, np.int64(2), 3)):
        assert y.shape == (2, 3)
    assert reshape([5.0], ()).shape == ()
    assert reshape([5.0]).shape == ()


@given(shape=shapes, seed=seeds, data=st.data())
@settings(max_examples=30, deadline=None)
def test_transpose(shape, seed, data):
    x = integers(shape, seed)
    axes = data.draw(st.permutations(range(x.ndim)))
    signed = tuple(axis - x.ndim if data.draw(st.booleans()) else axis for axis in axes)
    check(lambda x: transpose(x, signed), x, expected=x.transpose(axes))
    check(transpose, x, expected=x.T)
    check(lambda x: transpose(x, None), x, expected=x.T)
    if x.ndim:
        check(lambda x: transpose(x, *signed), x, expected=x.transpose(axes))


@given(data=st.data(), shape=hnp.array_shapes(min_dims=1, max_dims=3, max_side=4), seed=seeds)
@settings(max_examples=60, deadline=None)
def test_basic_indexing(data, shape, seed):
    x = integers(shape, seed)
    index = data.draw(hnp.basic_indices(shape, allow_newaxis=True, allow_ellipsis=True))
    check(lambda x: getitem(x, index), x, expected=x[index])


@given(data=st.data(), shape=hnp.array_shapes(min_dims=1, max_dims=3, max_side=4), seed=seeds)
@settings(max_examples=60, deadline=None)
def test_integer_array_indexing(data, shape, seed):
    x = integers(shape, seed)
    index = data.draw(hnp.integer_array_indices(shape))
    check(lambda x: getitem(x, index), x, expected=x[index])


@given(data=st.data(), shape=hnp.array_shapes(min_dims=1, max_dims=3, max_side=4), seed=seeds)
@settings(max_examples=30, deadline=None)
def test_boolean_masks(data, shape, seed):
    x = integers(shape, seed)
    mask = data.draw(hnp.arrays(bool, shape[: data.draw(st.integers(1, len(shape)))]))
    check(lambda x: getitem(x, mask), x, expected=x[mask])


@pytest.mark.parametrize("index", [[2, 0, 2], np.array([2, 0, 2]), ([0, 0], [1, 1]), (slice(None), [0, 0]), True])
def test_what_is_read_twice_adds_up(index):
    x = integers((3, 2))
    grad_x = gradient(lambda x: reduce_sum(getitem(x, index)))(x)
    counts = np.zeros((3, 2))
    np.add.at(counts, index, 1)
    np.testing.assert_array_equal(grad_x, counts)
    check(lambda x: getitem(x, index), x, expected=x[index])


@given(data=st.data(), shape=hnp.array_shapes(min_dims=1, max_dims=3, min_side=0, max_side=3), seed=seeds)
@settings(max_examples=30, deadline=None)
def test_concatenate(data, shape, seed):
    axis = data.draw(st.integers(-len(shape), len(shape) - 1))
    sizes = data.draw(st.lists(st.integers(0, 3), min_size=1, max_size=4))
    arrays = []
    for i, size in enumerate(sizes):
        part = list(shape)
        part[axis] = size
        arrays.append(integers(part, seed + i))
    check(lambda *x: concatenate(x, axis), *arrays, expected=np.concatenate(arrays, axis))


@given(data=st.data(), shape=shapes, count=st.integers(1, 3), seed=seeds)
@settings(max_examples=30, deadline=None)
def test_stack(data, shape, count, seed):
    axis = data.draw(st.integers(-len(shape) - 1, len(shape)))
    arrays = [integers(shape, seed + i) for i in range(count)]
    check(lambda *x: stack(x, axis), *arrays, expected=np.stack(arrays, axis))


@pytest.mark.parametrize("join", [concatenate, stack])
def test_joining_a_tensor_with_itself(join):
    x = Tensor([1.0, 2.0], requires_grad=True)
    with Tape() as tape:
        y = join([x, Tensor([5.0, 6.0]), x])
    tape.backward(y, grad=np.arange(6.0).reshape(y.shape))
    np.testing.assert_array_equal(x.grad, [4, 6])


@given(data=st.data(), shape=shapes, seed=seeds)
@settings(max_examples=30, deadline=None)
def test_pad(data, shape, seed):
    x = integers(shape, seed)
    widths = [(data.draw(st.integers(0, 3)), data.draw(st.integers(0, 3))) for _ in shape]
    if widths:
        check(lambda x: pad(x, widths), x, expected=np.pad(x, widths))
    np.testing.assert_array_equal(pad(x, 1, value=-2).data, np.pad(x, 1, constant_values=-2) if shape else x)
    check(lambda x: pad(x, (1, 2)), x, expected=np.pad(x, (1, 2)) if shape else x)


def test_pad_value_takes_no_gradient():
    x = Tensor(np.ones((1, 2), np.float32), requires_grad=True)
    with Tape() as tape:
        y = pad(x, ((0, 1), (2, 0)), value=-np.inf)
    assert (y.dtype, y.shape) == (np.float32, (2, 4))
    tape.backward(y, grad=np.arange(8, dtype=np.float32).reshape(2, 4))
    np.testing.assert_array_equal(x.grad, [[2, 3]])


@pytest.mark.parametrize(
    "f",
    [
        lambda x: reshape(x, 3, 4),
        flatten,
        lambda x: transpose(x, (1, 0)),
        lambda x: getitem(x, (slice(None), [0, 0, 5])),
        lambda x: concatenate([x, x], 1),
        lambda x: stack([x, x]),
        lambda x: pad(x, 1),
    ],
)
def test_gradcheck_dtype_and_input(f):
    x = np.arange(24.0).reshape(2, 12)[:, ::2]
    x.flags.writeable = False
    assert gradcheck(lambda x: multiply(f(x), f(x)), (x,))
    single = Tensor(x.astype(np.float32), requires_grad=True)
    with Tape() as tape:
        y = reduce_sum(f(single))
    tape.backward(y)
    assert (y.dtype, single.grad.dtype) == (np.float32, np.float32)


@pytest.mark.parametrize(
    ("call", "kind", "text"),
    [
        (
            lambda: reshape(np.ones((2, 3)), (4, 2)),
            ValueError,
            "reshape: 6 elements do not fit the shape (4, 2) (x (2, 3))",
        ),
        (
            lambda: reshape(np.ones((2, 3)), 4, -1),
            ValueError,
            "reshape: 6 elements do not fit the shape (4, -1) (x (2, 3))",
        ),
        (lambda: reshape(np.ones(4), 2.0, 2), TypeError, "reshape: a shape must be made of ints, got (2.0, 2)"),
        (lambda: reshape(np.ones(4), "22"), TypeError, "reshape: a shape must be made of ints, got ('22',)"),
        (lambda: flatten(3.0), ValueError, "flatten: x needs a batch axis, it has 0 axes (x ())"),
        (lambda: transpose(np.ones((2, 3)), 0), ValueError, "transpose: 1 axes given, x has 2 (x (2, 3))"),
        (
            lambda: transpose(np.ones((2, 3)), (0, 0)),
            ValueError,
            "transpose: axes (0, 0) name an axis twice (x (2, 3))",
        ),
        (
            lambda: transpose(np.ones((2, 3)), (0, 2)),
            ValueError,
            "transpose: axis 2 does not exist, there are 2 axes (x (2, 3))",
        ),
        (lambda: transpose(np.ones((2, 3)), (0, 1.0)), TypeError, "transpose: an axis must be an int, got float"),
        (
            lambda: getitem([1, 2], 2),
            IndexError,
            "getitem: index 2 is out of bounds for axis 0 with size 2 (x (2,))",
        ),
        (
            lambda: getitem([1, 2], (0, 0)),
            IndexError,
            "getitem: too many indices for array: array is 1-dimensional, but 2 were indexed (x (2,))",
        ),
        (lambda: concatenate([]), ValueError, "concatenate: at least 1 tensor is needed, got 0"),
        (
            lambda: concatenate([np.ones((2, 3)), np.ones((2, 4))]),
            ValueError,
            "concatenate: axis 1 has 4 elements in tensors[1], 3 in tensors[0] (tensors[0] (2, 3), tensors[1] (2, 4))",
        ),
        (
            lambda: concatenate([np.ones((2, 3)), np.ones(2)]),
            ValueError,
            "concatenate: tensors[1] has 1 axes, tensors[0] has 2 (tensors[0] (2, 3), tensors[1] (2,))",
        ),
        (
            lambda: concatenate([[1], [2]], 1),
            ValueError,
            "concatenate: axis 1 does not exist, there are 1 axes (tensors[0] (1,))",
        ),
        (lambda: concatenate([[1], [2]], None), TypeError, "concatenate: an axis must be an int, got NoneType"),
        (
            lambda: concatenate([np.ones(1), np.ones(1, np.float32)]),
            TypeError,
            "concatenate: arrays must share one dtype: tensors[0] is float64, tensors[1] is float32",
        ),
        (
            lambda: concatenate([[1], "x"]),
            TypeError,
            "concatenate: tensors[1] must be float32, float64, integers or booleans, got dtype <U1",
        ),
        (lambda: stack([]), ValueError, "stack: at least 1 tensor is needed, got 0"),
        (
            lambda: stack([[1], [1, 2]]),
            ValueError,
            "stack: tensors[1] must have the shape of tensors[0] (tensors[0] (1,), tensors[1] (2,))",
        ),
        (
            lambda: stack([[1], [2]], 2),
            ValueError,
            "stack: axis 2 does not exist, there are 2 axes (tensors[0] (1,))",
        ),
        (lambda: stack([[1], [2]], 0.0), TypeError, "stack: an axis must be an int, got float"),
        (lambda: pad([1], -1), ValueError, "pad: pad_width must be at least 0, got -1 (x (1,))"),
        (lambda: pad([1], 1.5), TypeError, "pad: pad_width must be made of ints, got 1.5"),
        (
            lambda: pad([[1]], (1, 2, 3)),
            ValueError,
            "pad: pad_width must be an int, a pair or 2 pairs, got (1, 2, 3) (x (1, 1))",
        ),
        (
            lambda: pad([[1]], ((1,), (2, 3))),
            ValueError,
            "pad: pad_width must be an int, a pair or 2 pairs, got ((1,), (2, 3)) (x (1, 1))",
        ),
        (lambda: pad([1], 1, value="x"), TypeError, "pad: value must be a number, got str"),
    ],
)
def test_errors(call, kind, text):
    with pytest.raises(kind) as error:
        call()
    assert str(error.value) == text


@pytest.mark.parametrize("op", [reshape, flatten, transpose, lambda x: getitem(x, 0), lambda x: pad(x, 1)])
def test_takes_arrays_only(op):
    with pytest.raises(TypeError, match="x must be float32, float64, integers or booleans, got dtype <U4"):
        op("text")
