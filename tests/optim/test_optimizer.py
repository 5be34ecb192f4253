"""What all optimizers share: a step looks anew wherever something has changed since the one before."""

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from convcore import kernels
from convcore.layers.parameter import Parameter
from convcore.optim import SGD, Adam, RMSProp
from convcore.threads import num_threads

SIZES = {"a": (3, 5), "b": (7,), "c": (4, 1)}


def parameters():
    rng = np.random.default_rng(0)
    return {name: Parameter(rng.standard_normal(shape), name=name) for name, shape in SIZES.items()}


def in_one_piece(rng):
    """Gradients as a program lays them out: one after the other in one array, the same arrays at every step.

    Each begins on a cache line.
    """
    whole, gradients, start = rng.standard_normal(28), {}, 0
    for name, shape in SIZES.items():
        size = int(np.prod(shape))
        gradients[name] = whole[start : start + size].reshape(shape)
        start += -(-size // 8) * 8
    return whole, gradients


def new_numbers(whole, gradients, these):
    whole[...] = np.random.default_rng(1).standard_normal(whole.size)


def new_array(whole, gradients, these):
    gradients["b"] = np.full(7, 0.5)


def no_gradient(whole, gradients, these):
    gradients["b"] = None


def new_values(whole, gradients, these):
    these["c"].data = np.arange(4.0).reshape(4, 1)


def no_rate(whole, gradients, these):
    these["a"].learn_rate_factor = 0


def another_rate(whole, gradients, these):
    these["a"].learn_rate_factor, these["b"].l2_factor = 3, 0


def turned_around(whole, gradients, these):
    these["b"].data = these["b"].data[::-1]


def shared(whole, gradients, these):
    these["b"].data = these["a"].data.reshape(-1)[:7]


def exchanged(whole, gradients, these):
    a, c = these["a"].data.reshape(-1), these["c"].data
    these["a"].data, these["c"].data = np.resize(c, (3, 5)), a[4:8].reshape(4, 1)


CHANGES = [new_numbers, new_array, no_gradient, new_values, no_rate, another_rate, turned_around, shared, exchanged]


@pytest.mark.parametrize("optimizer", [SGD, Adam, RMSProp])
@pytest.mark.parametrize("change", CHANGES)
def test_a_step_sees_what_has_changed(optimizer, change):
    """Beside a step on copies of the gradients, none of which lies behind another."""
    found = []
    for apart in (False, True):
        these = parameters()
        steps = optimizer(these)
        whole, gradients = in_one_piece(np.random.default_rng(0))
        for number in range(5):
            if number == 3:
                change(whole, gradients, these)
            for name, parameter in these.items():
                gradient = gradients[name]
                parameter.grad = gradient.copy() if apart and gradient is not None else gradient
            steps.step(0.1 / (number + 1))
            steps.zero_grad()
        found.append({name: parameter.data.copy() for name, parameter in these.items()})
    for name, values in found[0].items():
        assert_array_equal(values, found[1][name])


@pytest.mark.parametrize("optimizer", [SGD, Adam, RMSProp])
@pytest.mark.parametrize("change", [turned_around, shared, exchanged])
def test_values_that_were_parts_of_others_are_values_like_any(change, optimizer):
    """Assigned as they are or as copies of their own, which share memory with nothing."""
    found = []
    for copied in (False, True):
        these = parameters()
        steps = optimizer(these)
        for number in range(5):
            if number == 3:
                change(None, None, these)
                for parameter in these.values():
                    parameter.data = parameter.data.copy() if copied else parameter.data
            for i, parameter in enumerate(these.values()):
                parameter.grad = np.random.default_rng([number, i]).standard_normal(parameter.shape)
            steps.step(0.1)
        found.append([parameter.data.copy() for parameter in these.values()])
    for one, other in zip(*found, strict=True):
        assert_array_equal(one, other)


def test_a_step_asks_again_which_kernel_and_how_many_threads():
    these = parameters()
    optimizer = SGD(these)
    calls = []
    _, gradients = in_one_piece(np.random.default_rng(0))

    def step():
        for name, parameter in these.items():
            parameter.grad = gradients[name]
        with kernels.calls.observing(calls.append):
            optimizer.step()

    step()
    step()
    with kernels.use_variant("sgd", "reference"):
        step()
    with num_threads(1):
        step()
    assert [made.call.variant for made in calls] == ["direct", "direct", "reference", "direct"]
    assert calls[1].arrays is calls[0].arrays
    assert calls[3].arrays is not calls[1].arrays


def test_gradients_that_are_not_kept_are_let_go():
    import weakref

    these = parameters()
    optimizer = SGD(these)
    for parameter in these.values():
        parameter.grad = np.ones_like(parameter.data)
    watched = weakref.ref(these["a"].grad)
    optimizer.step()
    optimizer.zero_grad()
    assert watched() is None


@pytest.mark.parametrize("names", ["abc", "b"])
def test_limited_gradients_are_computed_at_each_step(names):
    """Also of one parameter alone, and where the limit is set after some steps."""
    found = []
    for apart in (False, True):
        these = {name: parameter for name, parameter in parameters().items() if name in names}
        optimizer = SGD(these)
        whole, gradients = in_one_piece(np.random.default_rng(0))
        for number in range(5):
            optimizer.gradient_threshold = 0.5 if number > 1 else np.inf
            whole *= 0.9
            for name, parameter in these.items():
                parameter.grad = gradients[name].copy() if apart else gradients[name]
            optimizer.step(0.1)
        found.append([parameter.data.copy() for parameter in these.values()])
    for one, other in zip(*found, strict=True):
        assert_array_equal(one, other)
