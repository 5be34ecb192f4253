import math

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from convcore.autograd import Tape, Tensor
from convcore.layers.parameter import Parameter
from convcore.ops.elementwise import multiply
from convcore.optim import SGD
from convcore.threads import num_threads

SHAPES = {"weights": (3, 2, 5), "bias": (3,), "scale": ()}
UPDATES = ("velocity", "gradient")


def parameters(dtype=np.float64, learn_rate_factor=1.0, l2_factor=1.0):
    rng = np.random.default_rng(1)
    return {
        name: Parameter(rng.standard_normal(shape).astype(dtype), learn_rate_factor, l2_factor, name)
        for name, shape in SHAPES.items()
    }


def gradients(step, dtype=np.float64, shapes=SHAPES):
    rng = np.random.default_rng([2, step])
    return {name: np.asarray(rng.standard_normal(shape), dtype) for name, shape in shapes.items()}


def run(optimizer, steps=4, rates=None, first=0):
    for step in range(first, first + steps):
        for name, gradient in gradients(step, next(iter(optimizer.parameters.values())).dtype).items():
            optimizer.parameters[name].grad = gradient
        optimizer.step(None if rates is None else rates[step])
    return {name: p.data.copy() for name, p in optimizer.parameters.items()}


def assert_same_bits(a, b):
    assert a.keys() == b.keys()
    for name in a:
        np.testing.assert_array_equal(a[name], b[name], strict=True)


# The numbers, against a definition written by hand


def oracle(weights, factors, *, rates, momentum, l2, update, threshold=math.inf, method="l2norm"):
    """The semantics in plain float64 NumPy: mean gradient, plus L2, then the threshold, then the solver."""
    weights = {name: w.copy() for name, w in weights.items()}
    velocity = {name: np.zeros_like(w) for name, w in weights.items()}
    for step, rate in enumerate(rates):
        g = {name: gradient + l2 * factors[name][1] * weights[name] for name, gradient in gradients(step).items()}
        moving = {name: gradient for name, gradient in g.items() if factors[name][0]}
        if method == "l2norm":
            for name in moving:
                norm = np.linalg.norm(g[name])
                g[name] = g[name] * (threshold / norm if norm > threshold else 1)
        elif method == "global-l2norm":
            norm = np.sqrt(sum((gradient**2).sum() for gradient in moving.values()))
            for name in moving:
                g[name] = g[name] * (threshold / norm if norm > threshold else 1)
        else:
            for name in moving:
                g[name] = np.minimum(np.maximum(g[name], -threshold), threshold)
        for name in moving:
            r = rate * factors[name][0]
            if update == "velocity":
                velocity[name] = momentum * velocity[name] - r * g[name]
                weights[name] = weights[name] + velocity[name]
            else:
                velocity[name] = momentum * velocity[name] + g[name]
                weights[name] = weights[name] - r * velocity[name]
    return weights, velocity


@pytest.mark.parametrize("update", UPDATES)
@pytest.mark.parametrize(
    ("threshold", "method"),
    [
        (math.inf, "l2norm"),
        (1.5, "l2norm"),
        (1e6, "l2norm"),
        (1.5, "global-l2norm"),
        (1e6, "global-l2norm"),
        (0.4, "absolute-value"),
        (1e6, "absolute-value"),
    ],
)
def test_steps_equal_the_definition(update, threshold, method):
    factors = {"weights": (2.0, 3.0), "bias": (1.0, 0.0), "scale": (0.5, 1.0)}
    given = {name: Parameter(p.data, *factors[name], name=name) for name, p in parameters().items()}
    rates = [0.1, 0.1, 0.02, 0.3, 0.05]
    expected, velocity = oracle(
        {name: p.data for name, p in given.items()}, factors,
        rates=rates, momentum=0.9, l2=0.01, update=update, threshold=threshold, method=method,
    )  # fmt: skip
    optimizer = SGD(given, momentum=0.9, l2_regularization=0.01, update=update,
                    gradient_threshold=threshold, gradient_threshold_method=method)  # fmt: skip
    result = run(optimizer, steps=5, rates=rates)
    for name in SHAPES:
        np.testing.assert_allclose(result[name], expected[name], rtol=1e-12, atol=1e-14)
        np.testing.assert_allclose(optimizer.state()[f"velocity/{name}"], velocity[name], rtol=1e-12, atol=1e-14)


def test_two_steps_by_hand():
    w = Parameter([1.0], name="w")
    optimizer = SGD([w], learn_rate=0.5, momentum=0.5, l2_regularization=0.25)
    w.grad = np.array([1.75])
    optimizer.step()  # g = 1.75 + 0.25 · 1 = 2, v = −1, w = 0
    assert (w.data[0], optimizer.state()["velocity/w"][0]) == (0.0, -1.0)
    w.grad = np.array([1.0])
    optimizer.step(0.25)  # g = 1 + 0, v = −0.5 − 0.25 = −0.75, w = −0.75: the smaller rate leaves the velocity as it is
    assert (w.data[0], optimizer.state()["velocity/w"][0]) == (-0.75, -0.75)


def test_the_gradient_form_rescales_past_velocity_with_the_rate():
    w = Parameter([0.0], name="w")
    optimizer = SGD([w], momentum=0.5, l2_regularization=0, update="gradient")
    w.grad = np.array([2.0])
    optimizer.step(0.5)  # v = 2, w = −1
    w.grad = np.array([1.0])
    optimizer.step(0.25)  # v = 1 + 1 = 2, w = −1 − 0.5
    assert (w.data[0], optimizer.state()["velocity/w"][0]) == (-1.5, 2.0)


def test_the_threshold_comes_after_the_regularization():
    w = Parameter([30.0, 40.0], name="w")
    w.grad = np.array([0.0, 0.0])
    SGD([w], learn_rate=1, momentum=0, l2_regularization=1, gradient_threshold=5).step()
    np.testing.assert_allclose(w.data, [27.0, 36.0], rtol=1e-15)  # g = (30, 40), its norm 50 is scaled to 5


# Factors


@pytest.mark.parametrize("update", UPDATES)
@pytest.mark.parametrize("threshold", [math.inf, 0.5])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_factor_0_keeps_the_bits_even_with_gradients_of_nan(update, threshold, dtype):
    given = parameters(dtype)
    given["bias"].learn_rate_factor = 0
    before = given["bias"].data.copy()
    optimizer = SGD(given, l2_regularization=0.1, update=update, gradient_threshold=threshold,
                    gradient_threshold_method="global-l2norm")  # fmt: skip
    for step in range(3):
        for name, gradient in gradients(step, dtype).items():
            given[name].grad = gradient
        given["bias"].grad = np.full(3, math.nan, dtype)
        optimizer.step()
    np.testing.assert_array_equal(given["bias"].data, before, strict=True)
    assert given["bias"].version == 0
    assert not optimizer.state()["velocity/bias"].any()
    assert all(np.isfinite(p.data).all() for p in given.values())
    assert not np.array_equal(given["weights"].data, parameters(dtype)["weights"].data)


@pytest.mark.parametrize("update", UPDATES)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_factor_2_is_a_doubled_rate_bit_for_bit(update, dtype):
    doubled = run(SGD(parameters(dtype), learn_rate=0.06, update=update))
    factor = run(SGD(parameters(dtype, learn_rate_factor=2), learn_rate=0.03, update=update))
    assert_same_bits(doubled, factor)


@pytest.mark.parametrize("update", UPDATES)
def test_an_l2_factor_is_a_multiple_of_the_regularization_bit_for_bit(update):
    multiple = run(SGD(parameters(np.float32), l2_regularization=0.02, update=update))
    factor = run(SGD(parameters(np.float32, l2_factor=2), l2_regularization=0.01, update=update))
    without = run(SGD(parameters(np.float32), l2_regularization=0, update=update))
    zero = run(SGD(parameters(np.float32, l2_factor=0), l2_regularization=0.5, update=update))
    assert_same_bits(multiple, factor)
    assert_same_bits(without, zero)
    assert not np.array_equal(multiple["weights"], without["weights"])


def test_factors_are_read_at_each_step():
    given = parameters()
    optimizer = SGD(given, learn_rate=0.1)
    run(optimizer, 1)
    given["weights"].learn_rate_factor = 0
    before = given["weights"].data.copy()
    run(optimizer, 1, first=1)
    np.testing.assert_array_equal(given["weights"].data, before)


def test_the_regularization_term():
    a, b = Parameter([3.0, 4.0], l2_factor=2, name="a"), Parameter([7.0], l2_factor=0, name="b")
    assert SGD([a, b], l2_regularization=0.1).regularization() == pytest.approx(0.1 * 2 * 0.5 * 25, rel=1e-15)
    assert SGD([a, b], l2_regularization=0).regularization() == 0


# With the tape


def test_zero_grad_makes_the_next_backward_store_instead_of_add():
    w = Parameter([3.0], name="w")
    optimizer = SGD([w])
    for _ in range(2):
        optimizer.zero_grad()
        assert w.grad is None
        with Tape() as tape:
            y = multiply(w, w)
        tape.backward(y)
        np.testing.assert_array_equal(w.grad, [6.0])


def test_a_step_between_forward_and_backward_is_noticed():
    w = Parameter([3.0], name="w")
    w.grad = np.array([1.0])
    with Tape() as tape:
        y = multiply(w, w)
    SGD([w]).step()
    assert w.version == 1
    with pytest.raises(RuntimeError, match="w changed between forward and backward"):
        tape.backward(y)


def test_a_parameter_without_gradient_is_passed_over():
    given = parameters()
    given["bias"].grad = np.ones(3)
    SGD(given, l2_regularization=0.5, gradient_threshold=1).step()
    assert [p.version for p in given.values()] == [0, 1, 0]


def test_a_parameter_that_was_assigned_is_updated_in_its_new_array():
    w = Parameter([1.0], name="w")
    optimizer = SGD([w], learn_rate=1, momentum=0, l2_regularization=0)
    w.assign([5.0])
    w.grad = np.array([1.0])
    optimizer.step()
    assert w.data[0] == 4.0


@pytest.mark.parametrize("update", UPDATES)
def test_the_bits_do_not_depend_on_the_number_of_threads(update):
    results = []
    for n in (1, 2, 3, 8):
        w = Parameter(np.linspace(-1, 1, 200_001, dtype=np.float32), name="w")
        optimizer = SGD([w], update=update)
        with num_threads(n):
            for _ in range(3):
                w.grad = np.cos(w.data * 50)
                optimizer.step()
        results.append(w.data.tobytes())
    assert len(set(results)) == 1


# State


@pytest.mark.parametrize("update", UPDATES)
def test_state_carries_on_bit_for_bit(update):
    through = run(SGD(parameters(np.float32), update=update), steps=6)
    first = SGD(parameters(np.float32), update=update)
    run(first, steps=3)
    second = SGD({name: Parameter(p.data, name=name) for name, p in first.parameters.items()}, update=update)
    second.load_state(first.state())
    assert_same_bits(run(second, steps=3, first=3), through)


def test_state_has_the_parameters_shapes_and_is_a_copy():
    optimizer = SGD(parameters())
    state = optimizer.state()
    assert {name: velocity.shape for name, velocity in state.items()} == {
        f"velocity/{name}": shape for name, shape in SHAPES.items()
    }
    state["velocity/bias"][:] = 7
    assert not optimizer.state()["velocity/bias"].any()


@pytest.mark.parametrize(
    ("change", "error", "text"),
    [
        (lambda s: s.pop("velocity/bias"), ValueError, "SGD: the state lacks 'velocity/bias'"),
        (lambda s: s.update(more=np.zeros(1)), ValueError, "SGD: the state has an unknown 'more'"),
        (
            lambda s: s.update({"velocity/bias": np.zeros(4)}),
            ValueError,
            "SGD: 'velocity/bias' must have shape (3,), got (4,)",
        ),
        (
            lambda s: s.update({"velocity/bias": np.zeros(3, np.float32)}),
            TypeError,
            "SGD: 'velocity/bias' must be float64, got float32",
        ),
    ],
)
def test_a_state_that_does_not_fit(change, error, text):
    optimizer = SGD(parameters())
    run(optimizer, 1)
    before = optimizer.state()
    state = {f"velocity/{name}": np.zeros(shape) for name, shape in SHAPES.items()}
    change(state)
    with pytest.raises(error) as caught:
        optimizer.load_state(state)
    assert str(caught.value) == text
    assert_same_bits(optimizer.state(), before)


# Bad input


@pytest.mark.parametrize(
    ("argument", "value", "error", "text"),
    [
        ("learn_rate", -0.1, ValueError, "SGD: learn_rate must be finite and at least 0, got -0.1"),
        ("learn_rate", math.nan, ValueError, "SGD: learn_rate must be finite and at least 0, got nan"),
        ("learn_rate", math.inf, ValueError, "SGD: learn_rate must be finite and at least 0, got inf"),
        ("learn_rate", "0.1", TypeError, "SGD: learn_rate must be a number, got '0.1'"),
        ("learn_rate", True, TypeError, "SGD: learn_rate must be a number, got True"),
        ("momentum", 1.5, ValueError, "SGD: momentum must lie in [0, 1], got 1.5"),
        ("momentum", -1, ValueError, "SGD: momentum must lie in [0, 1], got -1"),
        ("momentum", math.nan, ValueError, "SGD: momentum must lie in [0, 1], got nan"),
        ("momentum", None, TypeError, "SGD: momentum must be a number, got None"),
        ("l2_regularization", -1, ValueError, "SGD: l2_regularization must be finite and at least 0, got -1"),
        ("l2_regularization", [1], TypeError, "SGD: l2_regularization must be a number, got [1]"),
        ("update", "adam", ValueError, "SGD: update must be one of velocity, gradient, got 'adam'"),
        ("update", 1, TypeError, "SGD: update must be a str, got 1"),
        ("gradient_threshold", 0, ValueError, "SGD: gradient_threshold must be greater than 0, got 0"),
        ("gradient_threshold", math.nan, ValueError, "SGD: gradient_threshold must be greater than 0, got nan"),
        ("gradient_threshold", "inf", TypeError, "SGD: gradient_threshold must be a number, got 'inf'"),
        (
            "gradient_threshold_method",
            "l1",
            ValueError,
            "SGD: gradient_threshold_method must be one of l2norm, global-l2norm, absolute-value, got 'l1'",
        ),
        ("parameters", {}, ValueError, "SGD: there are no parameters; initialize the network first"),
        ("parameters", [], ValueError, "SGD: there are no parameters; initialize the network first"),
        ("parameters", 3, TypeError, "SGD: parameters must be a dict or an iterable of Parameter, got int"),
        (
            "parameters",
            Parameter([1.0]),
            TypeError,
            "SGD: parameters must be a dict or an iterable of Parameter, got Parameter",
        ),
        ("parameters", {"w": np.ones(3)}, TypeError, "SGD: 'w' must be a Parameter, got ndarray"),
        ("parameters", [Tensor([1.0])], TypeError, "SGD: 'parameter 0' must be a Parameter, got Tensor"),
        (
            "parameters",
            [Parameter([1.0], name="w"), Parameter([1.0], name="w")],
            ValueError,
            "SGD: two parameters are named 'w'; give a dict of names to parameters",
        ),
    ],
)
def test_bad_arguments(argument, value, error, text):
    arguments = {"parameters": parameters(), argument: value}
    with pytest.raises(error) as caught:
        SGD(**arguments)
    assert str(caught.value) == text


def test_one_parameter_under_two_names():
    w = Parameter([1.0])
    with pytest.raises(ValueError) as caught:
        SGD({"a": w, "b": w})
    assert str(caught.value) == "SGD: 'a' and 'b' are one and the same parameter"


def test_parameters_without_names_are_called_after_their_place():
    assert list(SGD([Parameter([1.0]), Parameter([2.0], name="w")]).parameters) == ["parameter 0", "w"]


def test_a_bad_rate_at_a_step():
    optimizer = SGD(parameters())
    with pytest.raises(ValueError) as caught:
        optimizer.step(math.inf)
    assert str(caught.value) == "SGD: learn_rate must be finite and at least 0, got inf"


def test_gradients_that_do_not_fit():
    w = Parameter([[1.0, 2.0]], name="w")
    w.grad = np.ones((2, 1))
    for threshold in (math.inf, 1):
        with pytest.raises(ValueError) as caught:
            SGD([w], gradient_threshold=threshold).step()
        assert str(caught.value) == "SGD: the gradient of w must have shape (1, 2), got (2, 1)"
    w.grad = np.ones((1, 2), np.float32)
    with pytest.raises(TypeError) as caught:
        SGD([w]).step()
    assert str(caught.value) == "SGD: the gradient of w must be float64, got float32"


def test_nothing_is_changed_where_one_gradient_does_not_fit():
    good, bad = Parameter([1.0, 2.0], name="good"), Parameter([3.0], name="bad")
    good.grad, bad.grad = np.ones(2), np.ones(2)
    with pytest.raises(ValueError, match=r"^SGD: the gradient of bad must have shape \(1,\), got \(2,\)$"):
        SGD([good, bad]).step()
    assert_array_equal(good.data, [1, 2])


def test_values_lie_in_one_array():
    """From the first step on, each on cache lines of its own; an array that comes in between gives its values to it."""
    w, b = Parameter([[1.0, 2.0], [3.0, 4.0]], name="w"), Parameter([5.0], name="b")
    optimizer = SGD([w, b], learn_rate=1, momentum=0, l2_regularization=0)
    w.grad, b.grad = np.ones((2, 2)), np.ones(1)
    optimizer.step()
    assert w.data.base is b.data.base is not None
    assert_array_equal(w.data.base, [0, 1, 2, 3, 0, 0, 0, 0, 4])
    assert w.data.ctypes.data % 64 == b.data.ctypes.data % 64 == 0
    w.data = np.array([[10.0, 30.0], [20.0, 40.0]]).T
    b.assign([50.0])
    optimizer.step()
    assert_array_equal(w.data.base, [9, 19, 29, 39, 0, 0, 0, 0, 49])
    assert_array_equal(w.data, [[9, 19], [29, 39]])


def test_two_optimizers_of_the_same_parameters():
    w = Parameter([1.0, 2.0], name="w")
    one, other = (SGD([w], learn_rate=rate, momentum=0, l2_regularization=0) for rate in (1, 10))
    w.grad = np.array([1.0, -1.0])
    for optimizer in (one, other, one):
        optimizer.step()
    assert_array_equal(w.data, [-11, 14])


def test_parameters_of_both_dtypes():
    single, double = Parameter(np.ones(2, "f4"), name="single"), Parameter(np.ones(3), name="double")
    optimizer = SGD([single, double], learn_rate=0.5, momentum=0, l2_regularization=0)
    single.grad, double.grad = np.ones(2, "f4"), np.ones(3)
    optimizer.step()
    assert_array_equal(single.data, np.full(2, 0.5, "f4"), strict=True)
    assert_array_equal(double.data, np.full(3, 0.5), strict=True)
    single.data = np.ones(2)
    single.grad = np.ones(2)
    with pytest.raises(TypeError, match=r"^SGD: single must be float32, as it was at first, got float64$"):
        optimizer.step()


def test_parameters_that_rest():
    """Without a gradient, or with the factor 0: neither values nor velocity change, whatever moves beside them."""
    a, b, c = (Parameter([1.0], name=name) for name in "abc")
    optimizer = SGD([a, b, c], learn_rate=1, momentum=0.5, l2_regularization=0)
    for p in (a, b, c):
        p.grad = np.array([1.0])
    optimizer.step()
    a.grad, c.learn_rate_factor, c.grad = None, 0, np.array([np.nan])
    optimizer.step()
    assert (a.data, b.data, c.data) == (0, -1.5, 0)
    assert {name: v.item() for name, v in optimizer.state().items()} == {
        "velocity/a": -1, "velocity/b": -1.5, "velocity/c": -1}  # fmt: skip
    assert (a.version, b.version, c.version) == (1, 2, 1)


def test_gradients_that_lie_side_by_side_are_taken_as_they_are():
    """And again, if new ones come: the values count, wherever they are."""
    memory = np.array([1.0, 2, 3, 4])
    w, b = Parameter([[0.0, 0.0]], name="w"), Parameter([0.0], name="b")
    optimizer = SGD([w, b], learn_rate=1, momentum=0, l2_regularization=0)
    apart = np.array([5.0, 6.0]), np.array([7.0])
    for grads in ((memory[:2], memory[2:3]), (memory[:2], memory[3:]), (memory[1:3], memory[3:]), apart):
        for _ in range(2):
            w.assign([[0, 0]])
            b.assign([0])
            w.grad, b.grad = grads[0].reshape(1, 2), grads[1]
            optimizer.step()
            assert_array_equal(-w.data[0], grads[0])
            assert_array_equal(-b.data, grads[1])
        memory += 10
