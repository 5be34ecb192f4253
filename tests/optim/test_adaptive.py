"""Adam and RMSProp: their numbers, their state, their arguments; what all optimizers share is tested with SGD."""

import math

import numpy as np
import pytest

from convcore.layers.parameter import Parameter
from convcore.optim import SGD, Adam, RMSProp
from convcore.threads import num_threads

SHAPES = {"weights": (3, 2, 5), "bias": (3,), "scale": ()}
BOTH = pytest.mark.parametrize("kind", [Adam, RMSProp])


def parameters(dtype=np.float64):
    rng = np.random.default_rng(1)
    return {name: Parameter(rng.standard_normal(shape).astype(dtype), name=name) for name, shape in SHAPES.items()}


def run(optimizer, steps=4, first=0):
    for step in range(first, first + steps):
        rng = np.random.default_rng([2, step])
        for parameter in optimizer.parameters.values():
            parameter.grad = np.asarray(rng.standard_normal(parameter.shape), parameter.dtype)
        optimizer.step()
    return {name: p.data.copy() for name, p in optimizer.parameters.items()}


def assert_same_bits(a, b):
    assert a.keys() == b.keys()
    for name in a:
        np.testing.assert_array_equal(a[name], b[name], strict=True)


# The numbers


def test_two_steps_of_adam_by_hand():
    w = Parameter([2.0], name="w")
    optimizer = Adam([w], learn_rate=0.5, gradient_decay_factor=0.5, squared_gradient_decay_factor=0.75, epsilon=1,
                     l2_regularization=0.5)  # fmt: skip
    w.grad = np.array([2.0])
    optimizer.step()  # g = 3; m = 1.5, over 0.5 is 3; s = 2.25, over 0.25 is 9; w = 2 − 0.5 · 3 / (3 + 1)
    assert w.data[0] == 1.625
    w.grad = np.array([0.1875])
    optimizer.step(0.25)  # g = 1; m = 0.75 + 0.5, over 0.75; s = 1.6875 + 0.25, over 0.4375
    expected = 1.625 - 0.25 * (1.25 / 0.75) / (math.sqrt(1.9375 / 0.4375) + 1)
    assert w.data[0] == pytest.approx(expected, rel=1e-15)
    state = optimizer.state()
    assert (state["gradient_average/w"][0], state["squared_gradient_average/w"][0]) == (1.25, 1.9375)
    assert state["updates/w"] == 2


def test_two_steps_of_rmsprop_by_hand():
    w = Parameter([2.0], name="w")
    optimizer = RMSProp([w], learn_rate=0.5, squared_gradient_decay_factor=0.75, epsilon=1, l2_regularization=0.5)
    w.grad = np.array([7.0])
    optimizer.step()  # g = 8; s = 16; w = 2 − 0.5 · 8 / (4 + 1)
    assert w.data[0] == pytest.approx(1.2, rel=1e-15)
    w.grad = np.array([3.4])
    optimizer.step(0.25)  # g = 4; s = 12 + 4; w = 1.2 − 0.25 · 4 / (4 + 1)
    assert w.data[0] == pytest.approx(1.0, rel=1e-15)


@BOTH
def test_torch_agrees(kind):
    torch = pytest.importorskip("torch")
    ours = parameters()
    theirs = [torch.tensor(p.data, requires_grad=True) for p in ours.values()]
    if kind is Adam:
        optimizer = Adam(ours, learn_rate=0.02, l2_regularization=0.1)
        other = torch.optim.Adam(theirs, lr=0.02, weight_decay=0.1)
    else:
        optimizer = RMSProp(ours, learn_rate=0.02, squared_gradient_decay_factor=0.95, l2_regularization=0.1)
        other = torch.optim.RMSprop(theirs, lr=0.02, alpha=0.95, weight_decay=0.1)
    for step in range(20):
        rng = np.random.default_rng([3, step])
        for p, t in zip(ours.values(), theirs, strict=True):
            p.grad = np.asarray(rng.standard_normal(p.shape))
            t.grad = torch.tensor(p.grad)
        optimizer.step()
        other.step()
    for p, t in zip(ours.values(), theirs, strict=True):
        np.testing.assert_allclose(p.data, t.detach().numpy(), rtol=1e-11)


def test_the_number_of_the_update_is_the_parameters_own():
    """One that had no gradient at first begins with the correction of a first update."""
    early, late = Parameter([1.0], name="early"), Parameter([1.0], name="late")
    optimizer = Adam([early, late], learn_rate=0.25, l2_regularization=0)
    early.grad = np.array([1.0])
    optimizer.step()
    late.grad = np.array([100.0])
    optimizer.step()
    assert late.data[0] == pytest.approx(0.75, rel=1e-9)
    assert (optimizer.state()["updates/early"], optimizer.state()["updates/late"]) == (2, 1)


@BOTH
def test_gradients_of_zero_stay_finite(kind):
    w = Parameter(np.ones(3, np.float32), name="w")
    optimizer = kind([w], l2_regularization=0)
    for _ in range(3):
        w.grad = np.zeros(3, np.float32)
        optimizer.step()
    np.testing.assert_array_equal(w.data, 1)


# Factors, thresholds


@BOTH
@pytest.mark.parametrize("threshold", [math.inf, 0.5])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_factor_0_keeps_the_bits_even_with_gradients_of_nan(kind, threshold, dtype):
    given = parameters(dtype)
    given["bias"].learn_rate_factor = 0
    before = given["bias"].data.copy()
    optimizer = kind(given, l2_regularization=0.1, gradient_threshold=threshold,
                     gradient_threshold_method="global-l2norm")  # fmt: skip
    for _ in range(3):
        for p in given.values():
            p.grad = np.ones_like(p.data)
        given["bias"].grad = np.full(3, math.nan, dtype)
        optimizer.step()
    np.testing.assert_array_equal(given["bias"].data, before, strict=True)
    assert not any(array.any() for name, array in optimizer.state().items() if name.endswith("/bias"))
    assert all(np.isfinite(p.data).all() for p in given.values())


@BOTH
def test_factor_2_is_a_doubled_rate_bit_for_bit(kind):
    doubled, factor = parameters(np.float32), parameters(np.float32)
    for p in factor.values():
        p.learn_rate_factor = 2
    assert_same_bits(run(kind(doubled, learn_rate=0.06)), run(kind(factor, learn_rate=0.03)))


@BOTH
def test_the_threshold_comes_after_the_regularization_and_before_the_solver(kind):
    limited, given = Parameter([30.0, 40.0], name="w"), Parameter([30.0, 40.0], name="w")
    for w, gradient, more in (
        (limited, [0.0, 0.0], {"l2_regularization": 1, "gradient_threshold": 5}),
        (given, [3.0, 4.0], {"l2_regularization": 0}),
    ):
        w.grad = np.array(gradient)
        kind([w], learn_rate=0.5, epsilon=1, **more).step()
    np.testing.assert_allclose(limited.data, given.data, rtol=1e-14)


@BOTH
def test_the_bits_do_not_depend_on_the_number_of_threads(kind):
    results = []
    for n in (1, 2, 3, 8):
        w = Parameter(np.linspace(-1, 1, 100_001, dtype=np.float32), name="w")
        optimizer = kind([w])
        with num_threads(n):
            for _ in range(3):
                w.grad = np.cos(w.data * 50)
                optimizer.step()
        results.append(w.data.tobytes())
    assert len(set(results)) == 1


# State


@BOTH
def test_state_carries_on_bit_for_bit(kind):
    through = run(kind(parameters(np.float32)), steps=6)
    first = kind(parameters(np.float32))
    run(first, steps=3)
    second = kind({name: Parameter(p.data, name=name) for name, p in first.parameters.items()})
    second.load_state(first.state())
    assert_same_bits(run(second, steps=3, first=3), through)
    without = kind({name: Parameter(p.data, name=name) for name, p in first.parameters.items()})
    assert not np.array_equal(run(without, steps=3, first=3)["weights"], through["weights"])


@BOTH
def test_a_state_of_another_solver(kind):
    optimizer = kind(parameters())
    run(optimizer, 1)
    before = optimizer.state()
    with pytest.raises(ValueError) as caught:
        optimizer.load_state(SGD(parameters()).state())
    odd = "gradient_average/bias" if kind is Adam else "squared_gradient_average/bias"
    assert str(caught.value) == f"{kind.__name__}: the state lacks {odd!r}"
    assert_same_bits(optimizer.state(), before)


def test_an_adam_state_without_its_counts():
    optimizer = Adam(parameters())
    state = optimizer.state()
    state["updates/bias"] = np.zeros((), np.int32)
    with pytest.raises(TypeError) as caught:
        optimizer.load_state(state)
    assert str(caught.value) == "Adam: 'updates/bias' must be int64, got int32"
    del state["updates/bias"]
    with pytest.raises(ValueError, match=r"^Adam: the state lacks 'updates/bias'$"):
        optimizer.load_state(state)


# Bad input


@BOTH
@pytest.mark.parametrize(
    ("argument", "value", "error", "text"),
    [
        ("learn_rate", -0.1, ValueError, "learn_rate must be finite and at least 0, got -0.1"),
        ("learn_rate", None, TypeError, "learn_rate must be a number, got None"),
        ("gradient_decay_factor", 1, ValueError, "gradient_decay_factor must lie in [0, 1), got 1"),
        ("gradient_decay_factor", "x", TypeError, "gradient_decay_factor must be a number, got 'x'"),
        ("squared_gradient_decay_factor", 1.0, ValueError, "squared_gradient_decay_factor must lie in [0, 1), got 1.0"),
        ("squared_gradient_decay_factor", math.nan, ValueError,
         "squared_gradient_decay_factor must lie in [0, 1), got nan"),
        ("squared_gradient_decay_factor", None, TypeError, "squared_gradient_decay_factor must be a number, got None"),
        ("epsilon", 0, ValueError, "epsilon must be finite and greater than 0, got 0"),
        ("epsilon", math.inf, ValueError, "epsilon must be finite and greater than 0, got inf"),
        ("epsilon", [1], TypeError, "epsilon must be a number, got [1]"),
        ("l2_regularization", -1, ValueError, "l2_regularization must be finite and at least 0, got -1"),
        ("gradient_threshold", 0, ValueError, "gradient_threshold must be greater than 0, got 0"),
        ("gradient_threshold_method", "l1", ValueError,
         "gradient_threshold_method must be one of l2norm, global-l2norm, absolute-value, got 'l1'"),
        ("parameters", {}, ValueError, "there are no parameters; initialize the network first"),
    ],
)  # fmt: skip
def test_bad_arguments(kind, argument, value, error, text):
    if kind is RMSProp and argument == "gradient_decay_factor":
        pytest.skip("not an argument of RMSProp")
    with pytest.raises(error) as caught:
        kind(**{"parameters": parameters(), argument: value})
    assert str(caught.value) == f"{kind.__name__}: {text}"
