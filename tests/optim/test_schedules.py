import math

import pytest

from convcore.optim import SCHEDULES, cosine, learn_rate_function, none, piecewise, polynomial, warmup

PLAN = {"initial_learn_rate": 0.5, "drop_factor": 0.5, "drop_period": 2, "final_learn_rate": 0.125, "power": 2,
        "warmup_factor": 0.25, "warmup_iterations": 8, "num_iterations": 12}  # fmt: skip


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


def test_polynomial_is_a_straight_line_for_the_power_1():
    rates = [polynomial(iteration, 1, 2.0, 1.0, power=1, num_iterations=4) for iteration in range(1, 7)]
    assert rates == [2.0, 1.75, 1.5, 1.25, 1.0, 1.0]
    assert polynomial(3, 1, 2.0, 0.0, power=3, num_iterations=4) == 2 * 0.5**3
    assert polynomial(3, 1, 0.0, 2.0, power=1, num_iterations=4) == 1.0  # upwards, too


def test_warmup_rises_to_1_at_its_last_iteration():
    assert [warmup(iteration, 1, 0.0, 4) for iteration in range(1, 7)] == [0.25, 0.5, 0.75, 1, 1, 1]
    assert [warmup(iteration, 1, 0.5, 4) for iteration in range(1, 6)] == [0.625, 0.75, 0.875, 1, 1]
    assert warmup(1, 1, 0.0, 1) == 1


@pytest.mark.parametrize("other", [name for name in SCHEDULES if name != "warmup"])
def test_a_warmup_multiplies_what_comes_after_it(other):
    alone, warm = learn_rate_function(other, **PLAN), learn_rate_function(("warmup", other), **PLAN)
    for iteration in range(1, 13):
        epoch = 1 + (iteration - 1) // 3
        assert warm(iteration, epoch) == warmup(iteration, epoch, 0.25, 8) * alone(iteration, epoch)
    assert warm(8, 3) == alone(8, 3)
    function = learn_rate_function(("warmup", lambda iteration, epoch: 3), **PLAN)
    assert (function(4, 1), function(9, 1)) == (3 * 0.625, 3)


@pytest.mark.parametrize("name", SCHEDULES)
def test_a_name_stands_for_its_function(name):
    expected = {
        "none": none(7, 4, 0.5),
        "piecewise": piecewise(7, 4, 0.5, drop_factor=0.5, drop_period=2),
        "warmup": 0.5 * warmup(7, 4, initial_factor=0.25, warmup_iterations=8),
        "polynomial": polynomial(7, 4, 0.5, 0.125, power=2, num_iterations=12),
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
    expected = (
        "learn_rate_schedule must be one of none, piecewise, warmup, polynomial, cosine or a function, got 'linear'"
    )
    assert str(caught.value) == expected
