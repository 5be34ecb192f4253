import copy
import pickle

import numpy as np
import pytest

from convcore.autograd.tape import Tape
from convcore.autograd.tensor import Tensor, as_tensor, wrap
from convcore.ops import operators
from convcore.ops.elementwise import add, exp, multiply

operators.attach(Tensor, Tape)


def test_attributes():
    x = Tensor([[1, 2, 3]], name="x", format="BC")
    assert (x.shape, x.dtype, x.ndim, x.size, len(x)) == ((1, 3), np.float64, 2, 3, 1)
    assert (x.name, x.format, x.requires_grad, x.version, x.grad) == ("x", "BC", False, 0, None)
    assert x.numpy() is x.data
    assert not hasattr(x, "__dict__")


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_float_arrays_are_shared(dtype):
    array = np.ones((2, 3), dtype)
    assert Tensor(array).data is array


@pytest.mark.parametrize("value", [[1, 2], (1, 2), np.array([1, 2], np.uint8), np.array([True, False]), 3, 3.5, []])
def test_anything_else_becomes_float64(value):
    x = Tensor(value)
    assert x.dtype == np.float64
    np.testing.assert_array_equal(x.data, np.asarray(value))


def test_noncontiguous_and_read_only_arrays_are_taken():
    array = np.arange(12.0).reshape(3, 4)[:, ::2]
    array.flags.writeable = False
    x = Tensor(array, requires_grad=True)
    with Tape() as tape:
        y = (x * x).sum()
    tape.backward(y)
    np.testing.assert_array_equal(x.grad, 2 * array)
    assert x.grad.flags.c_contiguous
    assert x.grad.flags.writeable


def test_tensor_of_a_tensor_shares_its_array_and_forgets_its_history():
    x = Tensor([1.0, 2.0], requires_grad=True)
    with Tape():
        y = Tensor(exp(x))
    assert not y.requires_grad
    assert Tensor(y).data is y.data


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (("text",), "Tensor: data must be float32, float64, integers or booleans, got dtype <U4"),
        ((None,), "Tensor: data must be float32, float64, integers or booleans, got NoneType"),
        (([1j],), "Tensor: data must be float32, float64, integers or booleans, got dtype complex128"),
        ((np.ones(2, np.float16),), "Tensor: data must be float32, float64, integers or booleans, got dtype float16"),
        (([[1], [1, 2]],), "Tensor: data must be an array of numbers, got a ragged list"),
        (([1], "w"), "Tensor: requires_grad must be True or False, got 'w'"),
        (([1], True, 3), "Tensor: name must be a str or None, got int"),
        (([1], True, None, 3), "Tensor: format must be a str or None, got int"),
    ],
)
def test_bad_arguments(arguments, text):
    with pytest.raises(TypeError) as error:
        Tensor(*arguments)
    assert str(error.value) == text


def test_item_and_float():
    assert Tensor([[2.5]]).item() == 2.5
    assert float(Tensor(2.5)) == 2.5
    with pytest.raises(ValueError) as error:
        Tensor([1.0, 2.0]).item()
    assert str(error.value) == "item: wants 1 element, the tensor has 2 (tensor (2,))"


def test_truth_is_that_of_the_value():
    assert not Tensor(0.0)
    assert Tensor([2.0])


def test_len_of_a_number():
    with pytest.raises(TypeError):
        len(Tensor(1.0))


def test_repr_is_python():
    x = Tensor(np.array([[1, 2], [3, 4]], np.float32), requires_grad=True, name="w", format="BC")
    text = "Tensor([[1., 2.],\n        [3., 4.]], dtype=float32, requires_grad=True, name='w', format='BC')"
    assert repr(x) == text
    assert repr(Tensor(1.5)) == "Tensor(1.5)"


def test_tensors_compare_and_hash_by_identity():
    x, same = Tensor([1.0]), Tensor([1.0])
    assert x == x
    assert x != same
    assert {x: 1}[x] == 1


def test_array_protocol():
    x = Tensor([1.0, 2.0])
    assert np.asarray(x) is x.data
    assert np.asarray(x, np.float32).dtype == np.float32
    copied = np.array(x)
    copied[0] = 9
    assert x.data[0] == 1


def test_dlpack():
    x = Tensor([1.0, 2.0])
    assert np.shares_memory(np.from_dlpack(x), x.data)


def test_numpy_functions_refuse_rather_than_lose_the_gradient():
    with pytest.raises(TypeError):
        np.exp(Tensor([1.0]))


@pytest.mark.parametrize("left", [np.ones(2), np.float64(1), [1.0, 1.0], 1, True, np.ones(())])
def test_anything_plus_tensor_is_a_tensor(left):
    y = left + Tensor([1.0, 2.0])
    assert isinstance(y, Tensor)
    np.testing.assert_array_equal(y.data, [2.0, 3.0])


def test_assign():
    array = np.array([1.0, 2.0], np.float32)
    x = Tensor(array)
    value = np.array([3.0, 4.0])
    x.assign(value)
    value[0] = 9
    np.testing.assert_array_equal(x.data, [3, 4])
    np.testing.assert_array_equal(array, [1, 2])
    assert (x.dtype, x.version) == (np.float32, 1)
    x.assign(Tensor([5, 6]))
    assert x.version == 2
    with pytest.raises(ValueError) as error:
        x.assign([1.0])
    assert str(error.value) == "assign: value must have the tensor's shape (value (1,), tensor (2,))"
    with pytest.raises(TypeError) as error:
        x.assign("ab")
    assert str(error.value) == "assign: value must be float32, float64, integers or booleans, got dtype <U2"
    assert x.version == 2


def test_backward_finds_its_tape():
    x = Tensor(3.0, requires_grad=True)
    with Tape() as tape:
        y = multiply(x, x)
        z = add(y, y)
    z.backward()
    assert x.grad == 12
    y.backward(grad=10.0, keep="all")
    assert (x.grad, y.grad) == (72, 10)
    assert len(tape) == 2


def test_backward_of_a_tensor_that_was_not_recorded():
    x = Tensor(3.0, requires_grad=True)
    for tensor in (x, multiply(x, x), Tensor(3.0)):
        with pytest.raises(RuntimeError) as error:
            tensor.backward()
        text = 'backward: this tensor was not recorded; compute it inside "with convcore.Tape()"'
        assert str(error.value) == text


def test_backward_when_the_tape_is_gone():
    x = Tensor(3.0, requires_grad=True)
    with Tape():
        y = multiply(x, x)
    with pytest.raises(RuntimeError) as error:
        y.backward()
    text = 'backward: the tape that recorded this tensor is gone; keep it: "with convcore.Tape() as tape"'
    assert str(error.value) == text


def test_pickle_and_deepcopy():
    x = Tensor([1.0, 2.0], requires_grad=True, name="w")
    for other in (pickle.loads(pickle.dumps(x)), copy.deepcopy(x)):
        assert (other.name, other.requires_grad) == ("w", True)
        np.testing.assert_array_equal(other.data, x.data)
        assert other.data is not x.data


def test_as_tensor_and_wrap():
    x = Tensor([1.0])
    assert as_tensor(x, "demo: x") is x
    assert as_tensor([1, 2], "demo: x").dtype == np.float64
    assert type(wrap(np.float32(3)).data) is np.ndarray
    assert wrap(np.float32(3)).dtype == np.float32
    with pytest.raises(TypeError) as error:
        as_tensor(None, "demo: x")
    assert str(error.value) == "demo: x must be float32, float64, integers or booleans, got NoneType"


@pytest.mark.parametrize("format", ["SSCB", "BCSS", "CBT", "BTCSS", "SSSCBT", "S", "CB"])
def test_formats(format):
    assert Tensor(np.ones((2,) * len(format)), format=format).format == format
    assert Tensor(1.0, format="").format == ""


@pytest.mark.parametrize(
    ("format", "text"),
    [
        ("BCS", 'format "BCS" is for 3 axes, data has 4 (data (2, 2, 2, 2))'),
        ("BCSST", 'format "BCSST" is for 5 axes, data has 4 (data (2, 2, 2, 2))'),
        ("BCUU", 'the letter U (unspecified) is not supported yet; S, C, B and T are, got "BCUU"'),
        ("BCHW", 'format must be made of the letters S (spatial), C (channel), B (batch) and T (time), got "BCHW"'),
        ("bcss", 'format must be made of the letters S (spatial), C (channel), B (batch) and T (time), got "bcss"'),
        ("BBCS", 'format must hold B at most once, got "BBCS"'),
        ("BCCS", 'format must hold C at most once, got "BCCS"'),
        ("BCTT", 'format must hold T at most once, got "BCTT"'),
        ("SSSS", 'format must hold S at most 3 times, got "SSSS"'),
    ],
)
def test_formats_that_cannot_be(format, text):
    with pytest.raises(ValueError) as caught:
        Tensor(np.ones((2, 2, 2, 2)), format=format)
    assert str(caught.value) == f"Tensor: {text}"
