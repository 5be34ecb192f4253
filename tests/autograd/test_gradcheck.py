import re

import numpy as np
import pytest

from convcore.autograd.gradcheck import GradientError, gradcheck
from convcore.autograd.tape import Tape, record
from convcore.autograd.tensor import Tensor
from convcore.ops.elementwise import add, exp, log, multiply, power
from convcore.ops.matmul import matmul
from convcore.ops.reduce import max as reduce_max
from convcore.ops.reduce import sum as reduce_sum

NUMBER = r"-?[\d.]+(?:e-?\d+)?"


def draw(*shape):
    return np.random.default_rng(7).standard_normal(shape)


def wrong_square(factor):
    """x² whose gradient is multiplied by `factor`, an array or a number."""

    def backward(record, grad_y, needs):
        return (grad_y * 2 * record.saved["x"] * factor,)

    return lambda x: record("square", x.data**2, inputs=(x,), saved={"x": x.data}, backward=backward)


def relu(x):
    return record("relu", np.maximum(x.data, 0), inputs=(x,), saved={"x": x.data}, backward=relu_backward)


def relu_backward(record, grad_y, needs):
    return (grad_y * (record.saved["x"] > 0),)


def message(f, *inputs, **options):
    with pytest.raises(GradientError) as error:
        gradcheck(f, inputs, **options)
    return str(error.value)


@pytest.mark.parametrize("shape", [(), (1,), (3,), (2, 3), (20, 30), (0, 3), (100, 100)])
def test_right_gradients_pass(shape):
    assert gradcheck(wrong_square(1.0), [draw(*shape)])


def test_several_inputs_and_composition():
    def f(x, w, b):
        return reduce_sum(exp(add(matmul(x, w), b)))

    assert gradcheck(f, (draw(4, 3), draw(3, 2), draw(2)))


@pytest.mark.parametrize("shape", [(), (3,), (8, 5), (50, 60)])
@pytest.mark.parametrize("factor", [1.001, 0.999, -1.0, 0.0])
def test_a_gradient_wrong_by_a_thousandth_fails(shape, factor):
    text = message(wrong_square(factor), 0.5 + np.abs(draw(*shape)))
    assert text.startswith("gradcheck: square has a wrong gradient for input 0 at index (")


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("amount", [1.001, 1.5, 0.0])
def test_one_wrong_element_among_many_is_named(seed, amount):
    factor = np.ones((70, 80))
    factor[13, 57] = amount
    x = np.random.default_rng(seed).uniform(0.5, 2, factor.shape)
    text = message(wrong_square(factor), x, seed=seed)
    match = re.fullmatch(
        r"gradcheck: square has a wrong gradient for input 0 at index \(13, 57\) "
        rf"\(shape \(70, 80\), value ({NUMBER})\): gradient ({NUMBER}), finite differences ({NUMBER})",
        text,
    )
    value, gradient, slope = map(float, match.groups())
    assert value == pytest.approx(x[13, 57])
    assert gradient == pytest.approx(slope * amount, rel=1e-5)


def test_the_input_is_named_and_both_numbers():
    def f(a, b):
        return record("product", a.data * b.data, inputs=(a, b), saved={"a": a.data, "b": b.data}, backward=backward)

    def backward(record, grad_y, needs):
        return grad_y * record.saved["b"], grad_y * record.saved["a"] * 1.25

    text = message(f, 3.0, 4.0)
    assert re.fullmatch(
        r"gradcheck: product has a wrong gradient for input 1 at index \(\) \(shape \(\), value 4\): "
        r"gradient 3\.75, finite differences (3|3\.0000\d*|2\.9999\d*)",
        text,
    )


def test_a_gradient_that_gets_lost_fails():
    text = message(lambda x: Tensor(x.data**2), [1.0, 2.0])
    assert text.startswith("gradcheck: f has a wrong gradient for input 0 at index (")
    assert "gradient 0, finite differences" in text
    assert gradcheck(lambda x: Tensor([3.0]), [[1.0, 2.0]])  # a constant has the gradient 0
    assert gradcheck(lambda x: x, [[1.0, 2.0]])


def test_relu_at_zero_is_a_kink():
    x = np.array([[1.0, -2.0, 3.0], [0.5, 0.0, -1.0]])
    match = re.fullmatch(
        r"gradcheck: relu has a kink in input 0 at index \(1, 1\) \(shape \(2, 3\), value 0\): the slope is "
        rf"({NUMBER}) to the left and ({NUMBER}) to the right, the gradient ({NUMBER}); move the input away from it",
        message(relu, x),
    )
    left, right, gradient = (abs(float(number)) for number in match.groups())
    assert {left, gradient} == {0.0}
    assert 0.5 <= right <= 1.5  # the output's weight


def test_a_kink_in_a_large_input_is_found():
    x = draw(60, 50)
    assert gradcheck(relu, [x])
    x[17, 23] = 0
    assert "has a kink in input 0 at index (17, 23) (shape (60, 50), value 0)" in message(relu, x)


@pytest.mark.parametrize("distance", [1e-12, 1e-9, 1e-8, 2e-8, 1e-7])
def test_a_kink_closer_than_the_shortest_step_is_a_kink(distance):
    assert "has a kink" in message(relu, [1.0, -distance])


@pytest.mark.parametrize("distance", [5e-7, 1e-6, 3e-6, 1e-5, 2e-5, 5e-5, 1e-4, 1e-3])
@pytest.mark.parametrize("sign", [-1, 1])
def test_a_kink_nearby_is_stepped_around(distance, sign):
    assert gradcheck(relu, [[1.0, sign * distance]])


def test_many_values_near_a_kink_pass():
    assert gradcheck(relu, [np.random.default_rng(3).standard_normal((100, 100))])


def test_a_tie_in_max_is_a_kink():
    text = message(lambda x: reduce_max(x, axis=1), [[1.0, 3.0, 3.0], [5.0, 4.0, 2.0]])
    assert re.match(r"gradcheck: max has a kink in input 0 at index \(0, [12]\) ", text)


def test_a_wrong_gradient_beside_a_kink_is_not_excused():
    # Steep curvature, not a kink: the slopes on both sides differ, but less and less.
    def f(x):
        return record("steep", 1e4 * x.data**2 + x.data, inputs=(x,), saved={"x": x.data}, backward=backward)

    def backward(record, grad_y, needs):
        return (grad_y * (2e4 * record.saved["x"] + 1.002),)

    assert "steep has a wrong gradient" in message(f, [0.0])


def test_steep_and_curved_functions_pass():
    assert gradcheck(lambda x: exp(multiply(x, 20)), [[0.1, 1.0]])
    assert gradcheck(log, [[1e-3, 0.01, 1.0]])
    assert gradcheck(lambda x: power(x, -3), [[0.05, 1.0]])


def test_rounding_of_large_values_does_not_fail():
    assert gradcheck(lambda x: add(multiply(x, x), 1e9), [[1.0, 2.0]])


def test_a_function_computed_in_float32_is_too_rough():
    def f(x):
        y = np.exp(x.data.astype(np.float32)).astype(float)
        return record("rough", y, inputs=(x,), saved={"y": y}, backward=lambda r, g, n: (g * r.saved["y"],))

    text = message(f, draw(50))
    assert re.match(r"gradcheck: rough is too rough in input 0 at ", text)
    assert text.endswith("; compute it in float64 throughout")


def test_what_is_random_or_not_finite_is_refused():
    rng = np.random.default_rng(0)

    def noisy(x):
        return add(x, rng.standard_normal(2))

    assert message(noisy, [1.0, 2.0]) == "gradcheck: add: f gave two outputs for the same inputs; fix what it draws"
    with np.errstate(invalid="ignore"):
        assert message(log, [-1.0]) == "gradcheck: log: the output is not finite at the inputs given"


@pytest.mark.parametrize(
    ("f", "inputs", "options", "kind", "text"),
    [
        (
            exp,
            [np.ones(2, np.float32)],
            {},
            TypeError,
            "gradcheck: input 0 is float32; finite differences need float64",
        ),
        (
            multiply,
            [1.0, "x"],
            {},
            TypeError,
            "gradcheck: input 1 must be float32, float64, integers or booleans, got dtype <U1",
        ),
        (lambda x: x.data, [1.0], {}, TypeError, "gradcheck: f must return a Tensor, got ndarray"),
        (exp, [1.0], {"directions": 0}, ValueError, "gradcheck: directions must be at least 1, got 0"),
        (exp, [1.0], {"eps": 0}, ValueError, "gradcheck: eps must be greater than 0, got 0"),
    ],
)
def test_bad_arguments(f, inputs, options, kind, text):
    with pytest.raises(kind) as error:
        gradcheck(f, inputs, **options)
    assert str(error.value) == text
    assert not isinstance(error.value, GradientError)


def test_inputs_may_be_tensors_or_one_array_and_stay_as_they_are():
    x = Tensor(np.array([1.0, 2.0]), requires_grad=True)
    before = x.data.copy()
    assert gradcheck(exp, x)
    assert gradcheck(exp, x.data)
    assert gradcheck(exp, [x])
    np.testing.assert_array_equal(x.data, before)
    assert x.grad is None


def test_an_open_tape_and_captured_parameters_see_nothing():
    w = Tensor([3.0, 4.0], requires_grad=True)
    with Tape() as tape:
        assert gradcheck(lambda x: multiply(x, w), [[1.0, 2.0]])
    assert tape.records == []
    assert w.grad is None


def test_error_is_a_value_error():
    assert issubclass(GradientError, ValueError)
    assert not issubclass(GradientError, AssertionError)
