"""The rows: what is measured, what each says, and what is refused."""

import json
import math
import types

import numpy as np
import pytest

from convcore import isa, kernels, threads
from convcore.kernels import ConvGeometry
from convcore.profile import bench, problems, roofline, timing
from convcore.profile.bench import DIRECTIONS, Pass, Plan, rows_of

from .conftest import REFERENCE

PROBLEMS = problems.read("smoke")
HIGH = roofline.Roof(1e6, 1e6, 0)


@pytest.fixture(autouse=True)
def no_pause(monkeypatch):
    monkeypatch.setattr(timing, "PAUSE", 0.0)


def measured(problem_list=PROBLEMS[:1], peer=None, roof=HIGH, **plan):
    plan = Plan(problem_list, **{"rounds": 2, "seconds": 0.0, **plan})
    return list(rows_of(plan, peer, roofline.Roofs(lambda *_: roof)))


def a_peer(factor=1.0, reason=None):
    """A peer that computes by the definition, `factor` times the right result."""
    asked = []

    def convolution(direction, geometry, arrays):
        inputs = [arrays[name] for name in geometry.SIGNATURES[direction][0]]
        return reason or (lambda: factor * kernels.run(geometry.op, direction, geometry, *inputs, variant="reference"))

    return types.SimpleNamespace(convolution=convolution, use_threads=asked.append, asked=asked)


def test_a_row_says_everything():
    (row,) = measured(directions=("forward",))
    problem, n = PROBLEMS[0], threads.get_num_threads()
    assert n >= 1
    assert json.loads(json.dumps(row, allow_nan=False)) == row
    assert (row["problem"], row["kind"], row["direction"]) == (str(problem), "1 to 3 channels", "forward")
    assert (row["variant"], row["level"], row["n_threads"]) == ("auto", isa.DEFAULT, 1)
    assert f"  {row['computed_by']} " in kernels.explain("conv2d", problem).split(" yes")[0]
    assert row["operations"] == 2 * 2 * 2 * 64 * 9
    assert row["bytes"] == 4 * (2 * 64 + 18 + 2 + 2 * 2 * 64)
    assert row["intensity"] == row["operations"] / row["bytes"]
    assert len(row["seconds_per_round"]) == 2
    assert row["seconds"] == sum(row["seconds_per_round"]) / 2 > 0
    assert row["gflops"] == row["operations"] / row["seconds"] / 1e9
    assert (row["limit_gflops"], row["limited_by"]) == HIGH.limit(row["intensity"])
    assert row["fraction_of_limit"] == row["gflops"] / row["limit_gflops"]
    assert (row["error"], row["error_allowed"], row["checked_against"]) == (0.0, 0.0, "reference")
    assert row["ratio"] is row["peer_seconds"] is row["no_peer"] is None
    assert not row["effective"]


def test_problems_directions_levels_threads_and_variants():
    levels = isa.built_and_supported()
    rows = measured(PROBLEMS, variants=("direct", "auto"), levels=levels, threads=(1, 2), rounds=1)
    cases = [(row["problem"], row["direction"], row["level"], row["n_threads"], row["variant"]) for row in rows]
    assert cases == [
        (str(problem), direction, level, n, variant)
        for problem in PROBLEMS for direction in DIRECTIONS for level in levels for n in (1, 2)
        for variant in ("direct", "auto")
    ]  # fmt: skip


def test_all_are_all_but_the_reference():
    every = kernels.variants("conv2d")
    assert Plan(PROBLEMS, ("all",)).variants_of(PROBLEMS[0]) == list(every[:-1])
    assert Plan(PROBLEMS, ("auto", "all", "direct", "reference")).variants_of(PROBLEMS[0]) == ["auto", *every]


def test_who_refuses_is_left_out(registered):
    registered(supports=lambda direction, *_: None if direction == "forward" else "forward only")
    rows = measured(variants=("mine", "direct"), rounds=1)
    assert [(row["direction"], row["variant"]) for row in rows] == [
        ("forward", "mine"), ("forward", "direct"), ("backward_input", "direct"), ("backward_weight", "direct")
    ]  # fmt: skip


def test_auto_is_what_a_user_gets_with_so_many_threads_as_the_work_is_worth(registered):
    seen = []

    def forward(geometry, x, weight, bias, y, n_threads):
        seen.append(n_threads)
        REFERENCE.forward(geometry, x, weight, bias, y, n_threads)

    registered(forward=forward)
    (row,) = measured(directions=("forward",), threads=(2,))
    assert row["computed_by"] == "mine"
    assert set(seen) == {1}  # of a problem that is too small for two
    large = ConvGeometry.parse("mb16ic1ih16oc8kh3ph1")  # of 590,000 operations
    measured((large,), directions=("forward",), threads=(3,))
    assert max(seen) == 3


def test_each_level_is_asked_for(monkeypatch):
    levels = []
    run = kernels.run

    def spy(*arguments, variant=None, level=None, **more):
        levels.extend([level] if variant == "direct" else [])
        return run(*arguments, variant=variant, level=level, **more)

    monkeypatch.setattr(kernels, "run", spy)
    measured(variants=("direct",), levels=isa.built_and_supported()[:1], directions=("forward",))
    assert set(levels) == {isa.built_and_supported()[0]}


def test_the_limit_needs_a_variant_that_is_not_wrong(registered):
    def forward(geometry, x, weight, bias, y, n_threads):
        y.fill(7)

    registered(forward=forward)
    wrong, right = measured(variants=("mine", "direct"), directions=("forward",))
    assert wrong["refused"].startswith("conv2d: variant mine is wrong in forward of mb2ic1ih8oc2oh8kh3ph1, first at [0")
    assert (wrong["variant"], right["variant"]) == ("mine", "direct")
    assert "gflops" not in wrong
    assert "refused" not in right


def test_figures_above_the_peak_are_refused():
    (row,) = measured(directions=("forward",), roof=roofline.Roof(1e-6, 1e6, 0))
    assert row["refused"].endswith("GFLOP/s, above the measured peak of 0: not all of the work was done or timed")
    assert set(row) == {"problem", "kind", "direction", "variant", "computed_by", "level", "n_threads", "refused"}


def test_five_percent_above_the_peak_are_believed(monkeypatch):
    problem = ConvGeometry.parse("mb1ic1ih3oc1kh3ph1")  # 98 operations do; 162 are the definition's
    case = Pass(problem, "forward", bench.accuracy.arrays_of(problem))
    for seconds, refused in ((98 / 104.0, False), (98 / 106.0, True)):
        row = {"seconds": seconds * 1e-9, "variant": "direct", "computed_by": "direct", "intensity": 1.0, "gflops": 1.0}
        found = case._under_the_roof(row, isa.DEFAULT, 1, roofline.Roofs(lambda *_: roofline.Roof(100.0, 1e6, 0)))
        assert ("refused" in found) == refused


def test_methods_with_fewer_operations_are_effective(registered):
    registered(ROUNDING_FACTOR=8)
    (row,) = measured(variants=("mine",), directions=("forward",), roof=roofline.Roof(1e-6, 1e-6, 0))
    assert row["effective"]
    assert row["fraction_of_limit"] > 1


def test_beside_a_peer():
    peer = a_peer()
    rows = measured(peer=peer, threads=(1, 2), directions=("backward_weight",), rounds=3)
    assert peer.asked == [1, 2]
    for row in rows:
        pairs = [p / o for p, o in zip(row["peer_seconds_per_round"], row["seconds_per_round"], strict=True)]
        assert len(pairs) == 3
        assert row["ratio"] == sorted(pairs)[1]
        assert row["ratio_spread"] == timing.spread(pairs)
        assert row["peer_seconds"] == sorted(row["peer_seconds_per_round"])[1]


def test_a_peer_that_has_no_such_problem_says_why():
    (row,) = measured(peer=a_peer(reason="pads by hand"), directions=("forward",))
    assert (row["ratio"], row["no_peer"]) == (None, "pads by hand")


def test_a_peer_that_computes_something_else_is_no_peer():
    with pytest.raises(ValueError, match=r"^conv2d: the peer is wrong in forward of mb2ic1ih8oc2oh8kh3ph1, more than"):
        measured(peer=a_peer(factor=2.0))


def test_plans_that_cannot_be():
    with pytest.raises(ValueError) as error:
        Plan(PROBLEMS, ("auto", "winograt"))
    names = ", ".join(["all", "auto", *sorted(kernels.variants("conv2d"))])
    assert str(error.value) == f"bench: variants must be one or more of {names}, got 'winograt'"
    with pytest.raises(ValueError, match=r"^bench: mb0ic1ih3oc1oh1kh3 has no images, there is nothing to time$"):
        Plan((ConvGeometry.parse("mb0ic1ih3oc1kh3"),))


def test_a_plan_as_json():
    plan = Plan(PROBLEMS[:1], rounds=7).as_json()
    assert json.loads(json.dumps(plan))["problems"] == ["mb2ic1ih8oc2oh8kh3ph1"]
    assert plan["rounds"] == 7


@pytest.mark.parametrize("problem", ["mb2ic2iw9oc3kw3", "mb1ic2id4oc2kd3pd1"])
def test_other_numbers_of_dimensions(problem):
    rows = measured(problems.read(problem), variants=("all",), rounds=1)
    assert {row["direction"] for row in rows} == set(DIRECTIONS)
    assert all(math.isfinite(row["gflops"]) and np.isfinite(row["spread"]) for row in rows)
