"""The checks themselves: each finds the kernel that is wrong in its way, names it, and shows the first difference."""

import re

import numpy as np
import pytest

from convcore import isa, kernels
from convcore.kernels import ConvGeometry
from convcore.profile import exactness, problems
from convcore.profile.exactness import Inexact, first_difference

from .conftest import REFERENCE

LEVEL = isa.DEFAULT
GEOMETRY = ConvGeometry.parse("mb2ic2ih5oc3kh3ph1")
F4 = np.dtype(np.float32)


def check(name, direction="forward", **more):
    return getattr(exactness, name)("conv2d", "mine", LEVEL, direction, GEOMETRY, F4, **more)


def test_a_right_kernel_passes_everything(registered):
    registered()
    geometries = [GEOMETRY, ConvGeometry.parse("mb1ic1iw5oc1kw3"), ConvGeometry.parse("mb0ic1ih3oc1kh3")]
    # Two problems (the other is of conv1d) in two dtypes: definition and bits in three directions, rounding where there
    # are images, and the adjoint identity.
    assert exactness.verify("conv2d", "mine", LEVEL, geometries) == 2 * (3 + 3 + 3 + 1) + 2 * (3 + 3 + 1)


def test_one_wrong_number_is_found_and_shown(registered):
    def forward(geometry, x, weight, bias, y, n_threads):
        REFERENCE.forward(geometry, x, weight, bias, y, n_threads)
        y[1, 2, 4, 3] += 1

    registered(forward=forward)
    arrays = exactness.inputs(GEOMETRY, "forward", F4, 0)
    right = kernels.run("conv2d", "forward", GEOMETRY, *arrays, variant="reference")[1, 2, 4, 3]
    with pytest.raises(Inexact) as error:
        check("equals_definition")
    assert str(error.value) == (
        "conv2d: variant mine differs from the definition in forward of mb2ic2ih5oc3oh5kh3ph1 "
        f"(float32, {LEVEL}, 1 thread), first at [1, 2, 4, 3]: {right + 1}, by definition {right} (1 of 150 numbers "
        "differ)"
    )
    with pytest.raises(Inexact, match=r"^conv2d: variant mine rounds by more than"):
        check("rounds_within_bound")
    with pytest.raises(Inexact, match=r"^conv2d: variant mine: backward_weight is not the adjoint of forward for mb2"):
        exactness.adjoint_identity("conv2d", "mine", LEVEL, GEOMETRY, F4)


def test_numbers_that_are_not_written_are_found(registered):
    def forward(geometry, x, weight, bias, y, n_threads):
        right = np.empty_like(y)
        REFERENCE.forward(geometry, x, weight, bias, right, n_threads)
        y[:1] = right[:1]  # the second image keeps what was in memory

    registered(forward=forward)
    with pytest.raises(Inexact, match=r"first at \[1, 0, 0, 0\]: nan, by definition .* \(75 of 150 numbers differ\)$"):
        check("equals_definition")


def test_a_bias_that_is_taken_for_granted_is_found(registered):
    def forward(geometry, x, weight, bias, y, n_threads):
        REFERENCE.forward(geometry, x, weight, bias[:], y, n_threads)

    registered(forward=forward)
    assert check("equals_definition")
    with pytest.raises(Inexact) as error:
        check("equals_definition", bias=False)
    assert str(error.value) == (
        "conv2d: variant mine fails in forward of mb2ic2ih5oc3oh5kh3ph1 with TypeError: 'NoneType' object is not "
        "subscriptable"
    )


def test_a_kernel_that_writes_into_its_inputs_is_found(registered):
    def forward(geometry, x, weight, bias, y, n_threads):
        REFERENCE.forward(geometry, x, weight, bias, y, n_threads)
        x *= 0

    registered(forward=forward)
    with pytest.raises(Inexact, match=r"ValueError: output array is read-only$"):
        check("equals_definition")


def test_bits_that_depend_on_the_threads_are_found(registered):
    def forward(geometry, x, weight, bias, y, n_threads):
        REFERENCE.forward(geometry, x, weight, bias, y, n_threads)
        if n_threads == 8:
            y[0, 1, 2, 3] = np.nextafter(y[0, 1, 2, 3], np.float32(9))

    registered(forward=forward)
    text = (
        r"^conv2d: variant mine gives other bits with 8 threads in forward of .* at \[0, 1, 2, 3\]: .* with one thread"
    )
    with pytest.raises(Inexact, match=text):
        check("same_bits")


def test_a_zero_of_another_sign_is_another_bit(registered):
    signs = iter([1, -1] * 9)

    def backward_weight(geometry, grad_y, x, grad_weight, n_threads):
        grad_weight[...] = 0.0 * next(signs)

    registered(backward_weight=backward_weight)
    with pytest.raises(Inexact, match=r"first at the sign of a zero$"):
        check("same_bits", "backward_weight")


def test_a_gradient_that_is_not_the_adjoint_is_found(registered):
    def backward_input(geometry, grad_y, weight, grad_x, n_threads):
        REFERENCE.backward_input(geometry, grad_y, weight[..., ::-1, :], grad_x, n_threads)

    registered(backward_input=backward_input)
    with pytest.raises(
        Inexact, match=r"^conv2d: variant mine: backward_input is not the adjoint of forward for mb2.* sum"
    ):
        exactness.adjoint_identity("conv2d", "mine", LEVEL, GEOMETRY, F4)


def test_only_pairs_of_directions_can_be_adjoint(registered):
    registered(backward_input=None, backward_weight=None, supports=lambda direction, *_: direction != "forward" or None)
    assert not exactness.adjoint_identity("conv2d", "mine", LEVEL, GEOMETRY, F4)


def test_who_says_that_it_rounds_more_is_held_to_its_bound(registered):
    bound = exactness.rounding_bound(GEOMETRY, "forward", exactness.inputs(GEOMETRY, "forward", F4, 0), F4)

    def off_by(share):
        def forward(geometry, x, weight, bias, y, n_threads):
            REFERENCE.forward(geometry, x, weight, bias, y, n_threads)
            y += share * bound

        return forward

    registered(forward=off_by(50), ROUNDING_FACTOR=100)
    assert check("equals_definition")
    assert exactness.adjoint_identity("conv2d", "mine", LEVEL, GEOMETRY, F4)
    registered(forward=off_by(50), ROUNDING_FACTOR=10)
    with pytest.raises(Inexact, match="differs from the definition"):
        check("equals_definition")
    registered(forward=off_by(0.5))
    with pytest.raises(Inexact, match="differs from the definition"):
        check("equals_definition")


def test_who_refuses_everything_has_proved_nothing(registered):
    registered(supports=lambda *_: "tired")
    assert not check("equals_definition")
    assert not check("same_bits")
    assert not check("rounds_within_bound")
    with pytest.raises(Inexact) as error:
        exactness.verify("conv2d", "mine", LEVEL, problems.read("exactness"))
    assert str(error.value) == "conv2d: variant mine refuses every problem that it could be checked on"


def test_terms_by_hand():
    geometry = ConvGeometry.parse("g2mb5ic6ih4oc8oh2kh3")
    assert exactness.terms(geometry, "forward") == 3 * 9 + 1
    assert exactness.terms(geometry, "backward_input") == 4 * 9
    assert exactness.terms(geometry, "backward_weight") == exactness.terms(geometry, "backward_bias") == 5 * 4


def test_bound_by_hand():
    geometry = ConvGeometry.parse("mb1ic1ih2oc1kh2")
    arrays = [np.full((1, 1, 2, 2), -3.0), np.full((1, 1, 2, 2), 0.5), np.zeros(1)]
    assert exactness.rounding_bound(geometry, "forward", arrays, "f8", factor=2) == 4 * 2 * 2.0**-52 * 5 * 3


def test_where_arrays_differ():
    a = np.array([[1.0, np.nan], [3.0, 4.0]])
    assert (
        first_difference(a, np.array([[1.0, 2.0], [3.0, 5.0]]), 1.0)
        == "[0, 1]: nan, by definition 2.0 (1 of 4 numbers differ)"
    )
    assert first_difference(a[1], np.array([3.0, 5.0]), 1.0) is None
    assert re.match(r"\[1\]: 4.0, elsewhere 5.0", first_difference(a[1], np.array([3.0, 5.0]), other="elsewhere"))
