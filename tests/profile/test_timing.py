"""Timing in turn, on a clock that the test drives."""

import pytest

from convcore.profile import timing


class Clock:
    """Time passes only when a function says so."""

    def __init__(self, monkeypatch):
        self.now, self.calls = 0.0, []
        monkeypatch.setattr(timing.time, "perf_counter", lambda: self.now)
        monkeypatch.setattr(timing.time, "sleep", lambda seconds: self.calls.append("pause"))

    def function(self, name, *seconds):
        times = iter(seconds)

        def call():
            self.calls.append(name)
            self.now += next(times, seconds[-1])

        return call


@pytest.fixture
def clock(monkeypatch):
    return Clock(monkeypatch)


def test_the_median_of_at_least_three_calls(clock):
    assert timing.seconds_per_call(clock.function("a", 5.0, 1.0, 2.0), seconds=0.0) == pytest.approx(2.0)
    assert clock.calls == ["a"] * 3


def test_calls_are_repeated_for_the_time_given(clock):
    timing.seconds_per_call(clock.function("a", 0.5), seconds=4.0)
    assert clock.calls == ["a"] * 8


def test_all_take_their_turn_every_other_round_backwards_with_a_pause_before(clock):
    times = timing.in_turn({"a": clock.function("a", 1.0), "b": clock.function("b", 2.0)}, rounds=2, seconds=0.0)
    assert times == {"a": [1.0, 1.0], "b": [2.0, 2.0]}
    one, other = ["pause", *"aaa"], ["pause", *"bbb"]
    assert clock.calls == ["a", "b", *one, *other, *other, *one]  # first once each, to warm up


def test_the_ratio_is_the_median_of_pairs_not_of_medians():
    assert timing.ratio([1.0, 10.0, 3.0], [1.0, 2.0, 6.0]) == 1.0
    assert timing.ratios([1.0, 10.0], [2.0, 2.0]) == [0.5, 5.0]


def test_spread_looks_at_the_middle_half():
    assert timing.spread([1.0]) == 0.0
    assert timing.spread([1.0, 2.0, 3.0, 4.0, 100.0]) == pytest.approx(2 / 3)
