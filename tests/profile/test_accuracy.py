"""The check before timing."""

import numpy as np
import pytest

from convcore import isa, kernels
from convcore.kernels import ConvGeometry
from convcore.profile import accuracy, exactness
from convcore.profile.accuracy import RightResult, Wrong, arrays_of

from .conftest import DIRECTIONS, REFERENCE

PROBLEM = ConvGeometry.parse("mb4ic3ih8oc5kh3ph1")
ONE_IMAGE = ConvGeometry.parse("mb1ic3ih8oc5kh3ph1")


def right(direction="forward", problem=PROBLEM):
    return RightResult(problem, direction, arrays_of(problem))


@pytest.mark.parametrize("direction", DIRECTIONS)
def test_small_problems_are_held_against_the_definition_to_the_bit(direction):
    found = right(direction)
    assert (found.source, found.geometry) == ("reference", PROBLEM)
    for level in isa.built_and_supported():
        assert found.check("im2col", level) == (0.0, 0.0)


@pytest.mark.parametrize("direction", DIRECTIONS)
def test_larger_ones_against_a_kernel_that_was(direction, monkeypatch):
    whole = right(direction).value
    monkeypatch.setattr(exactness, "AFFORDABLE", exactness.definition_seconds(ONE_IMAGE, direction))
    asked = []
    compare = accuracy._compare_with_definition
    monkeypatch.setattr(accuracy, "_compare_with_definition", lambda *a: asked.append(a[0].batch) or compare(*a))
    found = right(direction)
    assert found.source == "im2col"  # the first that computes in float64
    assert asked == [1]
    np.testing.assert_array_equal(found.value, whole)


def test_the_kernel_that_others_are_held_against_is_itself_held_against_the_definition(monkeypatch):
    monkeypatch.setattr(exactness, "AFFORDABLE", exactness.definition_seconds(ONE_IMAGE, "forward"))
    true_run = kernels.run

    def run(*arguments, variant=None, **more):
        result = true_run(*arguments, variant=variant, **more)
        return result + 1 if variant == "im2col" else result

    monkeypatch.setattr(accuracy.kernels, "run", run)
    with pytest.raises(
        Wrong, match=r"^conv2d: variant im2col is wrong in forward of mb1ic3ih8oc5oh8kh3ph1, first at \[0, 0, 0, 0\]"
    ):
        right()


def test_large_batches_are_compared_on_their_first_images(monkeypatch):
    monkeypatch.setattr(accuracy, "OPERATIONS", PROBLEM.operations("forward") // 2)
    found = right()
    assert found.geometry.batch == 2
    assert found.arrays["x"].shape[0] == found.arrays["grad_y"].shape[0] == found.value.shape[0] == 2
    assert found.check("im2col", isa.DEFAULT) == (0.0, 0.0)


def test_a_wrong_kernel_is_named_with_the_first_difference(registered):
    def forward(geometry, x, weight, bias, y, n_threads):
        REFERENCE.forward(geometry, x, weight, bias, y, n_threads)
        y[3, 4, 7, 7] += 1

    registered(forward=forward)
    with pytest.raises(Wrong) as error:
        right().check("mine", isa.DEFAULT)
    number = right().value[3, 4, 7, 7]
    assert str(error.value) == (
        "conv2d: variant mine is wrong in forward of mb4ic3ih8oc5oh8kh3ph1, first at [3, 4, 7, 7]: "
        f"{number + 1}, by reference in float64 {number} (1 of 1,280 numbers differ)"
    )


def test_what_rounds_has_its_bound(registered):
    def forward(geometry, x, weight, bias, y, n_threads):
        REFERENCE.forward(geometry, x, weight, bias, y, n_threads)
        y += 1e-4

    registered(forward=forward, ROUNDING_FACTOR=40)
    error, allowed = right().check("mine", isa.DEFAULT)
    assert 0 < error <= allowed == right().allowed(40)
    registered(forward=forward, ROUNDING_FACTOR=1)
    with pytest.raises(Wrong):
        right().check("mine", isa.DEFAULT)


def test_sums_beyond_what_float32_counts_may_round(monkeypatch):
    assert right().allowed(1) == 0.0
    monkeypatch.setattr(accuracy, "EXACT", 9 * exactness.terms(PROBLEM, "forward") - 1)
    assert right().allowed(1) > 0.0
