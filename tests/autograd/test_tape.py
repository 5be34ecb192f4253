import gc
import threading
import weakref

import numpy as np
import pytest

from convcore.autograd.tape import Tape, gradient, record, value_and_gradient
from convcore.autograd.tensor import Tensor
from convcore.ops import operators
from convcore.ops.elementwise import add, exp, multiply
from convcore.ops.matmul import matmul

operators.attach(Tensor, Tape)


def leaf(*values, name=None):
    return Tensor(np.array(values, float), requires_grad=True, name=name)


def scale(x, factor, bias=None):
    """An op with an optional input."""
    y = x.data * factor + (0 if bias is None else bias.data)
    return record("scale", y, inputs=(x, bias), attributes={"factor": factor}, backward=scale_backward)


def scale_backward(record, grad_y, needs):
    return grad_y * record.attributes["factor"], grad_y if needs[1] else None


# What a walk begins with


def test_the_gradient_that_a_walk_begins_with():
    """The same array each time, by which plans of repeated work know it; so nobody may write to it, or get it."""
    x, begins = leaf(2.0), []
    for _ in range(2):
        with Tape() as tape:
            y = exp(x)
        begins += [step.grad_output for step in tape.steps(y)]
    assert begins[0] is begins[1]
    assert begins[0] == 1
    assert not begins[0].flags.writeable
    with Tape() as tape:
        z = add(x, x)
    tape.backward(z)
    assert x.grad.flags.writeable


# What is recorded


def test_record_holds_what_the_op_gave():
    x, w = leaf(1, 2), Tensor([3.0, 4.0])
    with Tape() as tape:
        y = multiply(x, w)
        z = scale(y, 2)
    first, second = tape.records
    assert (first.op, first.inputs, first.output) == ("multiply", (x, w), y)
    assert (second.op, second.output) == ("scale", z)
    assert first.saved["a"] is x.data
    assert first.needs == (True, False)
    assert first.versions == (0, 0, 0)
    assert (second.inputs, second.attributes, second.saved) == ((y, None), {"factor": 2}, {})
    assert (second.geometry, second.variant, second.needs) == (None, None, (True, False))
    assert second.versions == (0, None, 0)
    assert repr(first) == "<Record multiply -> (2,)>"
    assert repr(tape) == "<Tape of 2 records>"


def test_geometry_and_variant_are_kept():
    x = leaf(1)
    with Tape() as tape:
        record("op", x.data, inputs=(x,), geometry="mb1", variant="direct", backward=scale_backward)
        record("op", x.data, inputs=(x,), backward=scale_backward)
    assert (tape.records[0].geometry, tape.records[0].variant) == ("mb1", "direct")


def test_nothing_is_kept_without_a_tape_or_without_need():
    big = np.ones(1000)
    dead = weakref.ref(big)
    x = leaf(1)
    y = record("op", x.data + 1, inputs=(x,), saved={"big": big}, backward=scale_backward)
    del big
    assert dead() is None
    assert not y.requires_grad
    with Tape() as tape:
        assert not add(Tensor(1.0), 2).requires_grad
        assert not add(y, 2).requires_grad
    assert tape.records == []


def test_the_output_of_a_recorded_op_requires_grad():
    with Tape():
        y = add(leaf(1), 2)
    assert y.requires_grad
    assert not add(y, 1).requires_grad


def test_a_tape_may_be_empty_and_is_true():
    assert Tape()
    assert len(Tape()) == 0


# The gradients


def test_gradients_of_a_small_network_by_hand():
    x, w, b = Tensor([[1.0, 2.0]]), Tensor([[3.0], [4.0]], requires_grad=True), leaf(5)
    with Tape() as tape:
        y = matmul(x, w) + b
        loss = (y * y).sum()
    tape.backward(loss)
    np.testing.assert_array_equal(loss.data, 256)
    np.testing.assert_array_equal(w.grad, [[32], [64]])
    np.testing.assert_array_equal(b.grad, [32])
    assert x.grad is None
    assert y.grad is None
    assert loss.grad is None


def test_leaves_are_added_to_and_a_tape_may_be_walked_again():
    x = leaf(3)
    with Tape() as tape:
        y = multiply(x, x)
    tape.backward(y)
    first = x.grad
    tape.backward(y)
    np.testing.assert_array_equal(x.grad, [12])
    np.testing.assert_array_equal(first, [6])  # a new array, not written into


def test_two_targets_on_one_tape():
    x = leaf(3)
    with Tape() as tape:
        y = multiply(x, x)
        z = add(x, x)
    y.backward()
    np.testing.assert_array_equal(x.grad, [6])
    z.backward()
    np.testing.assert_array_equal(x.grad, [8])
    assert len(tape) == 2


def test_a_target_in_the_middle_does_not_run_what_comes_after():
    def explode(record, grad_y, needs):
        raise AssertionError

    x = leaf(3)
    with Tape() as tape:
        y = multiply(x, x)
        record("later", y.data, inputs=(y,), backward=explode)
    tape.backward(y)
    np.testing.assert_array_equal(x.grad, [6])


def test_keep_all_replaces_the_gradients_in_between():
    x = leaf(3)
    with Tape() as tape:
        y = multiply(x, x)
        z = add(y, y)
    for walks in (1, 2):
        tape.backward(z, keep="all")
        assert (z.grad, y.grad, x.grad) == (1, 2, 12 * walks)
    tape.backward(z)
    assert (y.grad, x.grad) == (2, 36)


def test_keep_must_be_known():
    x = leaf(3)
    with Tape() as tape:
        y = multiply(x, x)
    with pytest.raises(ValueError) as error:
        tape.backward(y, keep="some")
    assert str(error.value) == "backward: keep must be None or \"all\", got 'some'"
    assert x.grad is None


def test_grad_of_a_target_of_several_elements():
    x = leaf(1, 2)
    with Tape() as tape:
        y = multiply(x, x)
    tape.backward(y, grad=[1, 10])
    np.testing.assert_array_equal(x.grad, [2, 40])
    with pytest.raises(ValueError) as error:
        tape.backward(y)
    assert str(error.value) == (
        "backward: a target of 2 elements needs the gradient to start from, "
        "backward(target, grad), only one of 1 element does not (target (2,))"
    )
    with pytest.raises(ValueError) as error:
        tape.backward(y, grad=[1, 2, 3])
    assert str(error.value) == "backward: grad must have the target's shape (grad (3,), target (2,))"
    with pytest.raises(TypeError) as error:
        tape.backward(y, grad=np.ones(2, np.float32))
    assert str(error.value) == "backward: arrays must share one dtype: grad is float32, target is float64"
    with pytest.raises(TypeError) as error:
        tape.backward(y, grad="ab")
    assert str(error.value) == "backward: grad must be float32, float64, integers or booleans, got dtype <U2"
    np.testing.assert_array_equal(x.grad, [2, 40])


def test_a_number_as_grad_takes_the_targets_dtype():
    x = Tensor(np.float32(3), requires_grad=True)
    with Tape() as tape:
        y = multiply(x, x)
    tape.backward(y, grad=2)
    assert x.grad.dtype == np.float32
    assert x.grad == 12


def test_an_unused_leaf_has_no_gradient():
    x, unused = leaf(1), leaf(2)
    with Tape() as tape:
        add(unused, 1)
        y = add(x, 1)
    tape.backward(y)
    assert unused.grad is None
    np.testing.assert_array_equal(x.grad, [1])


def test_a_value_of_an_outer_tape_is_a_leaf_of_the_inner_one():
    x = leaf(3)
    with Tape() as outer:
        y = multiply(x, x)
        with Tape() as inner:
            z = add(y, y)
        w = add(y, 1)
    assert [entry.op for entry in outer.records] == ["multiply", "add"]
    assert [entry.output for entry in inner.records] == [z]
    inner.backward(z)
    np.testing.assert_array_equal(y.grad, [2])
    assert x.grad is None
    outer.backward(w)
    np.testing.assert_array_equal(x.grad, [6])
    np.testing.assert_array_equal(y.grad, [2])


def test_a_tape_may_be_entered_again_and_within_itself():
    x = leaf(3)
    tape = Tape()
    with tape:
        y = multiply(x, x)
    with tape, tape:
        z = add(y, y)
    assert not add(x, x).requires_grad
    tape.backward(z)
    np.testing.assert_array_equal(x.grad, [12])


def test_the_tape_is_closed_after_an_error():
    x = leaf(3)
    with pytest.raises(KeyError), Tape():
        raise KeyError
    assert not add(x, x).requires_grad


def test_a_tape_goes_on_after_clear():
    x = leaf(3)
    with Tape() as tape:
        y = multiply(x, x)
        tape.clear()
        z = add(y, y)
    for walks in (1, 2):
        tape.backward(z)
        np.testing.assert_array_equal(y.grad, [2 * walks])  # a leaf now
    assert x.grad is None


# Aliases


def test_the_same_tensor_twice():
    x = leaf(1, 2)
    with Tape() as tape:
        y = add(add(x, x), x)
    tape.backward(y, grad=[1, 10])
    np.testing.assert_array_equal(x.grad, [3, 30])


def test_a_value_used_by_two_records():
    x = leaf(1, 2)
    with Tape() as tape:
        y = add(x, 0)
        z = add(multiply(y, 2), multiply(y, y))
    tape.backward(z, grad=[1, 1])
    np.testing.assert_array_equal(x.grad, [4, 6])


@pytest.mark.parametrize("keep", [None, "all"])
def test_gradients_share_no_memory(keep):
    a, b, c, seed = leaf(1, 2), leaf(3, 4), leaf(5, 6), np.ones(2)
    with Tape() as tape:
        s = add(a, b)
        y = add(s, c)
    tape.backward(y, grad=seed, keep=keep)
    arrays = [a.grad, b.grad, c.grad, seed] + ([s.grad, y.grad] if keep else [])
    for i, array in enumerate(arrays):
        array += i  # writable, and seen by nobody else
    for i, array in enumerate(arrays):
        np.testing.assert_array_equal(array, [1 + i, 1 + i])


def test_broadcast_and_transposed_gradients_become_arrays_of_their_own():
    x = Tensor(np.arange(6.0).reshape(2, 3), requires_grad=True)
    with Tape() as tape:
        y = x.T.sum()
    for _ in range(2):
        before = x.grad
        tape.backward(y)
        assert x.grad.flags.c_contiguous
        assert x.grad.flags.writeable
        assert before is None or not np.shares_memory(before, x.grad)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_gradients_of_numbers_are_arrays(dtype):
    x = Tensor(np.asarray(3, dtype), requires_grad=True)
    with Tape() as tape:
        y = exp(-x) * x + x / 2 - x**2 + x.tanh() + x.sigmoid() + x.mean() + x.max()
    steps = list(tape.steps(y))
    tape.backward(y, keep="all")
    for array in [x.grad, y.grad, *(step.grad_output for step in steps)]:
        assert type(array) is np.ndarray
        assert array.dtype == dtype


# Steps


def test_steps_go_from_last_to_first_and_write_no_grad():
    x, w = leaf(1, 2, name="x"), leaf(3, 4, name="w")
    with Tape() as tape:
        y = multiply(x, w)
        z = scale(y, 10)
        add(x, x)  # does not lead to the target
    steps = list(tape.steps(z, grad=[1, 2]))
    assert [step.op for step in steps] == ["scale", "multiply"]
    last, first = steps
    assert (last.inputs, last.output, last.attributes) == ((y,), z, {"factor": 10})
    np.testing.assert_array_equal(last.grad_output, [1, 2])
    np.testing.assert_array_equal(last.grad_inputs, [[10, 20]])
    assert first.inputs == (x, w)
    assert first.saved["a"] is x.data
    assert (first.variant, first.geometry) == (None, None)
    np.testing.assert_array_equal(first.grad_output, [10, 20])
    np.testing.assert_array_equal(first.grad_inputs, [[30, 80], [10, 40]])
    assert x.grad is None
    assert y.grad is None
    assert z.grad is None


def test_steps_leave_out_inputs_that_are_none_and_keep_those_without_gradient():
    x, w = leaf(1), Tensor([3.0])
    with Tape() as tape:
        y = multiply(w, x)
    (step,) = tape.steps(y)
    assert step.inputs == (w, x)
    assert step.grad_inputs[0] is None
    np.testing.assert_array_equal(step.grad_inputs[1], [3])


def test_steps_print_names():
    images = Tensor(np.ones((1, 2)), name="images")
    weights = Tensor(np.ones((2, 3)), requires_grad=True, name="fc.weights")
    with Tape() as tape:
        hidden = exp(matmul(images, weights))
        y = exp(hidden * leaf(1, 2, 3)).sum()
    y.name = "loss"
    assert [str(step) for step in tape.steps(y)] == [
        "sum: grad of loss () -> grad of exp output 2 (1, 3)",
        "exp: grad of exp output 2 (1, 3) -> grad of multiply output (1, 3)",
        "multiply: grad of multiply output (1, 3) -> grad of exp output (1, 3), grad of input 1 (3,)",
        "exp: grad of exp output (1, 3) -> grad of matmul output (1, 3)",
        "matmul: grad of matmul output (1, 3) -> grad of fc.weights (2, 3)",
    ]
    (*_, last) = tape.steps(y)
    assert (last.output_name, last.input_names) == ("matmul output", ("images", "fc.weights"))


def test_steps_check_at_once_not_at_the_first_step():
    with pytest.raises(RuntimeError):
        Tape().steps(leaf(1))


def test_clearing_the_tape_does_not_stop_a_walk():
    x = leaf(2)
    with Tape() as tape:
        y = multiply(x, multiply(x, x))
    steps = tape.steps(y)
    next(steps)
    tape.clear()
    assert next(steps).op == "multiply"


# Errors


def test_targets_that_cannot_be_walked_from():
    x = leaf(1)
    with Tape() as tape:
        y = add(x, x)
        constant = add(Tensor(1.0), 1)
    with Tape() as other:
        add(x, x)
    cases = [
        (tape, x, 'backward: this tensor was not recorded; compute it inside "with convcore.Tape()"'),
        (other, y, "backward: this tensor was recorded on another tape"),
        (
            tape,
            constant,
            "backward: this tensor does not require grad; "
            "make what it is computed from with requires_grad=True before computing it",
        ),
    ]
    for walked, target, text in cases:
        for walk in (walked.backward, walked.steps, walked.gradients):
            with pytest.raises(RuntimeError) as error:
                walk(target)
            assert str(error.value) == text
    tape.clear()
    with pytest.raises(RuntimeError) as error:
        y.backward()
    text = "backward: the tape was cleared since it recorded this tensor; run the forward pass again"
    assert str(error.value) == text
    with pytest.raises(TypeError) as error:
        tape.backward(3.0)
    assert str(error.value) == "backward: target must be a Tensor, got float"


@pytest.mark.parametrize(("name", "text"), [("conv1.weights", "conv1.weights"), (None, "input 1")])
def test_an_input_changed_between_forward_and_backward(name, text):
    x, w = leaf(1), leaf(2, name=name)
    w.assign([3])
    with Tape() as tape:
        y = multiply(x, w)
        z = multiply(y, x)
    w.assign([4])
    with pytest.raises(RuntimeError) as error:
        tape.backward(z)
    assert str(error.value) == (
        f"multiply: {text} changed between forward and backward (version 2, recorded at 1); run the forward pass again"
    )
    assert x.grad is None  # the walk failed, nothing is half filled


def test_an_output_changed_between_forward_and_backward():
    x = leaf(1)
    with Tape() as tape:
        y = exp(x)
    y.assign([4])
    with pytest.raises(RuntimeError) as error:
        list(tape.steps(y))
    assert str(error.value) == (
        "exp: output changed between forward and backward (version 1, recorded at 0); run the forward pass again"
    )


def test_a_change_off_the_path_does_not_matter():
    x, w = leaf(1), leaf(2)
    with Tape() as tape:
        multiply(x, w)
        y = add(x, x)
    w.assign([4])
    tape.backward(y)
    np.testing.assert_array_equal(x.grad, [2])


@pytest.mark.parametrize(
    ("result", "kind", "text"),
    [
        (np.ones(2), TypeError, "op: backward must return a tuple of 2 gradients, one per input"),
        ((np.ones(2),), TypeError, "op: backward must return a tuple of 2 gradients, one per input"),
        (
            (np.ones(3), None),
            ValueError,
            "op: backward must return the gradient of input 0 as float64 (2,), got float64 (3,)",
        ),
        (
            (np.ones(2, np.float32), None),
            ValueError,
            "op: backward must return the gradient of input 0 as float64 (2,), got float32 (2,)",
        ),
        ((None, None), ValueError, "op: backward must return the gradient of input 0 as float64 (2,), got None"),
    ],
)
def test_faulty_backward(result, kind, text):
    x, constant = leaf(1, 2), Tensor([1.0, 2.0])
    with Tape() as tape:
        y = record("op", x.data, inputs=(x, constant), backward=lambda record, grad_y, needs: result)
    with pytest.raises(kind) as error:
        tape.backward(y, grad=[1, 1])
    assert str(error.value) == text


def test_a_gradient_that_is_not_needed_is_dropped():
    x, constant = leaf(1), Tensor([1.0])
    with Tape() as tape:
        y = record("op", x.data, inputs=(constant, x), backward=lambda record, grad_y, needs: (grad_y, grad_y))
    (step,) = tape.steps(y)
    assert step.grad_inputs[0] is None
    tape.backward(y)
    assert constant.grad is None


# Memory, depth, threads


def test_memory_is_freed_without_the_garbage_collector():
    gc.disable()
    try:
        x, w = leaf(1, 2), leaf(3, 4)
        with Tape() as tape:
            y = multiply(x, w)
            loss = (y * y).sum()
        loss.backward(keep="all")
        list(tape.steps(loss))
        dead = [weakref.ref(thing) for thing in (tape, y, loss, y.data, loss.grad)]
        del tape, y, loss
        assert [ref() for ref in dead] == [None] * 5
        assert gradient(lambda x: (x * x).sum())([1.0, 2.0]).tolist() == [2, 4]
    finally:
        gc.enable()


def test_a_deep_chain_does_not_recurse():
    depth = 100_000
    x = leaf(1)
    with Tape() as tape:
        y = x
        for _ in range(depth):
            y = record("same", y.data, inputs=(y,), backward=lambda record, grad_y, needs: (grad_y,))
    tape.backward(y)
    np.testing.assert_array_equal(x.grad, [1])
    assert sum(1 for _ in tape.steps(y)) == depth
    del y, tape


def test_threads_have_tapes_of_their_own():
    barrier = threading.Barrier(4)
    results = {}

    def work(factor):
        x = leaf(factor)
        barrier.wait()
        with Tape() as tape:
            barrier.wait()
            y = x
            for _ in range(50):
                y = add(y, x)
            barrier.wait()
        tape.backward(y)
        results[factor] = (len(tape), x.grad[0])

    with Tape() as main:
        threads = [threading.Thread(target=work, args=(factor,)) for factor in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert main.records == []
    assert results == dict.fromkeys(range(4), (50, 51))


# gradient


def test_gradient():
    def f(x, w, power=2):
        return (x**power * w).sum()

    x, w = np.array([1.0, 2.0]), np.array([3.0, 4.0])
    np.testing.assert_array_equal(gradient(f)(x, w), [6, 16])
    np.testing.assert_array_equal(gradient(f, 1)(x, w, power=3), [1, 8])
    (grad_w, grad_x) = gradient(f, argnums=(1, 0))(x, w)
    np.testing.assert_array_equal(grad_x, [6, 16])
    np.testing.assert_array_equal(grad_w, [1, 4])
    value, (grad,) = value_and_gradient(f, argnums=(0,))(x, w)
    assert value == 19
    np.testing.assert_array_equal(grad, [6, 16])


def test_gradient_keeps_dtype_and_writes_no_grad():
    w = leaf(3, 4)
    x = Tensor(np.array([1, 2], np.float32), requires_grad=True)
    assert gradient(lambda x: (x * x).sum())(x).dtype == np.float32
    np.testing.assert_array_equal(gradient(lambda x: (x * w).sum())([1.0, 2.0]), [3, 4])
    assert w.grad is None
    assert x.grad is None


def test_gradient_arrays_are_of_their_own():
    grad_a, grad_b = gradient(lambda a, b: (a + b).sum(), (0, 1))([1.0, 2.0], [3.0, 4.0])
    grad_a += 1
    np.testing.assert_array_equal(grad_b, [1, 1])


def test_gradient_of_an_argument_that_does_not_matter_is_zero():
    np.testing.assert_array_equal(gradient(lambda x, w: x.sum(), (0, 1))([1.0], [1.0, 2.0])[1], [0, 0])


def test_gradient_errors():
    with pytest.raises(TypeError) as error:
        gradient(lambda x: x * 2)([1.0, 2.0])
    assert str(error.value) == "gradient: f must return a Tensor with one element, got shape (2,)"
    with pytest.raises(TypeError) as error:
        gradient(lambda x: 3.0)([1.0, 2.0])
    assert str(error.value) == "gradient: f must return a Tensor with one element, got float"
    with pytest.raises(ValueError) as error:
        gradient(lambda x: x, 1)([1.0])
    assert str(error.value) == "gradient: argnums has 1, f was given 1 arguments"
    with pytest.raises(TypeError) as error:
        gradient(lambda x: x)("text")
    text = "gradient: argument 0 must be float32, float64, integers or booleans, got dtype <U4"
    assert str(error.value) == text
    with pytest.raises(RuntimeError) as error:
        gradient(lambda x: Tensor(x.data.sum()))([1.0, 2.0])
    text = "gradient: f's result does not depend on the arguments through recorded operations"
    assert str(error.value) == text


def test_records_and_tapes_have_slots_only():
    x = leaf(1)
    with Tape() as tape:
        add(x, 1)
    assert not hasattr(tape.records[0], "__dict__")
    assert not hasattr(tape, "__dict__")
