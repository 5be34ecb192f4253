import math

import pytest

from convcore.optim import SCHEDULES, cosine, learn_rate_function, none, piecewise

PLAN = {"initial_learn_rate": 0.5, "drop_factor": 0.5, "drop_period": 2, "num_iterations": 12}


def test_none_keeps_the_rate():
    assert {none(iteration, epoch, 0.3) for iteration in (1, 5, 900) for epoch in (1, 30)} == {0.3}


def test_piecewise_drops_after_every_period():
    rates = [piecewise(99, epoch, 1.0, drop_factor=0.1, drop_period=10) for epoch in (1, 10, 11, 20, 21)]
    assert rates == [1.0, 1.0, 0.1, 0.1, 0.1**2]
    assert [piecewise(1, epoch, 8.0, drop_factor=0.5, drop_period=1) for epoch in (1, 2, 3, 4)] == [8, 4, 2, 1]
    assert piecewise(1, 2, 8.0, drop_factor=0.0, drop_period=1) == 0


def test_cosine_starts_at_the_rate_passes_half_of_it_in_the_middle_and_ends_near_zero():
    rates = [cosine(iteration, 1, 2.0, num_iterations=100) for iteration in range(1, 101)]
    assert rates[0] == 2.0
    assert rates[50] == pytest.approx(1.0, abs=1e-15)
    assert rates[25] == pytest.approx(1 + math.sqrt(0.5), rel=1e-15)
    assert rates == sorted(rates, reverse=True)
    assert rates[-1] == pytest.approx(1 - math.cos(math.pi / 100), rel=1e-9)
    assert [cosine(iteration, 9, 2.0, num_iterations=100) for iteration in (101, 150, 5000)] == [0, 0, 0]
    assert cosine(1, 1, 2.0, num_iterations=1) == 2.0


@pytest.mark.parametrize("name", SCHEDULES)
def test_a_name_stands_for_its_function(name):
    expected = {
        "none": none(7, 4, 0.5),
        "piecewise": piecewise(7, 4, 0.5, drop_factor=0.5, drop_period=2),
        "cosine": cosine(7, 4, 0.5, num_iterations=12),
    }
    assert learn_rate_function(name, **PLAN)(7, 4) == expected[name]


def test_a_function_returns_the_rate_itself():
    rate = learn_rate_function(lambda iteration, epoch: iteration + 100 * epoch, **PLAN)(3, 2)
    assert rate == 203
    assert type(rate) is float
    assert learn_rate_function(lambda iteration, epoch: 0, **PLAN)(1, 1) == 0


MUST = "learn_rate_schedule: the function must return a finite number of at least 0"


@pytest.mark.parametrize(
    ("rate", "error", "text"),
    [
        (-1, ValueError, f"{MUST}, got -1 at iteration 3"),
        (math.nan, ValueError, f"{MUST}, got nan at iteration 3"),
        (math.inf, ValueError, f"{MUST}, got inf at iteration 3"),
        (None, TypeError, f"{MUST}, got None at iteration 3"),
        ("0.1", TypeError, f"{MUST}, got '0.1' at iteration 3"),
        (True, TypeError, f"{MUST}, got True at iteration 3"),
    ],
)
def test_a_function_that_returns_no_rate_is_named(rate, error, text):
    with pytest.raises(error) as caught:
        learn_rate_function(lambda iteration, epoch: rate, **PLAN)(3, 1)
    assert str(caught.value) == text


def test_an_unknown_name():
    with pytest.raises(ValueError) as caught:
        learn_rate_function("linear", **PLAN)
    expected = "learn_rate_schedule must be one of none, piecewise, cosine or a function, got 'linear'"
    assert str(caught.value) == expected
