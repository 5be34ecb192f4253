"""The variant for filters of one cell: pixels across images, every way to lay them out, what it refuses and is for."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_array_equal
from strategies import THREADS, assert_same, bits, floats, inputs

from convcore import isa, kernels
from convcore.kernels import ConvGeometry, registry, run
from convcore.kernels.dispatch import selected

DIRECTIONS = ("forward", "backward_input", "backward_weight")
LEVELS = kernels.levels_of("conv2d", "pointwise")


def assert_equals_definition(level, direction, geometry, bias=True, seed=0):
    arrays = inputs(geometry, direction, "f4", seed)
    if direction == "forward" and not bias:
        arrays = (*arrays[:2], None)
    expected = run(geometry.op, direction, geometry, *arrays, variant="im2col")
    assert_same(run(geometry.op, direction, geometry, *arrays, variant="pointwise", level=level, n_threads=2), expected)


@pytest.mark.parametrize("direction", DIRECTIONS)
@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize(
    "problem",
    [
        "mb9ic20ih7oc30kh1",  # planes of 49 pixels, few in all: made into one matrix
        "mb30ic20ih7oc30kh1",  # ... many: a panel goes on with the next image
        "mb30ic20ih7oc300kh1",  # ... several blocks of filters
        "mb300ic20iw1oc30kw1",  # one pixel per image
        "mb300ic20ih2iw2oc30kh1sh2",  # ... of several cells
        "mb1ic300ih9oc70kh1",  # one image
        "mb1ic30ih9oc70kh1sh2",
        "mb3ic300ih23oc20kh1",  # read in place, in two passes over the channels; the last vector overlaps
        "mb2ic20ih17oc300kh1",  # 289 pixels for many filters
        "mb3ic40ih32oc20kh1",  # channels a power of two apart: laid out
        "mb2ic17iw1000oc33kw1",  # large images: chunks of the weight gradient are read in place
        "mb2ic33iw1000oc17kw1",  # ... and the other operand is transposed
        "mb2ic300iw600oc280kw1",  # parts of the lanes
        "mb7ic1100ih7oc600kh1",  # all tasks go through the chunks in step
        "mb7ic600ih13oc1100kh1sh2",
        "mb3ic5iw1200oc40kw1",  # few channels: nothing is transposed
        "mb3ic40iw20oc5kw1",
        "mb7ic24ih15iw20oc40kh1sh2sw3",  # cells that no pixel reads, behind the last one too
        "mb3ic24ih11oc40kh1sh1sw2",
        "mb2ic18id5ih6iw7oc20kd1kh1kw1sd2sh1sw2",
        "mb2ic18id5ih6iw7oc20kd1kh1kw1sd5sh6sw7",
        "g3mb6ic60ih9oc51kh1",
        "g2mb6ic12ih30oc40kh1sh2",
        "g5mb4ic5ih20oc10kh1",
        "mb1ic1ih1oc1kh1",
    ],
)
def test_every_way_to_lay_out_a_problem(problem, bias, level, direction):
    geometry = ConvGeometry.parse(problem)
    if bias or direction == "forward":
        assert_equals_definition(level, direction, geometry, bias)


@given(
    batch=st.integers(1, 20), channels=st.integers(1, 40), filters=st.integers(1, 40), groups=st.integers(1, 3),
    size=st.lists(st.integers(1, 12), min_size=1, max_size=3), data=st.data(),
)  # fmt: skip
@settings(max_examples=60)
def test_equals_the_definition_with_any_stride(batch, channels, filters, groups, size, data):
    stride = tuple(data.draw(st.integers(1, 4)) for _ in size)
    x_shape, weight_shape = (batch, groups * channels, *size), (groups * filters, channels, *[1] * len(size))
    geometry = ConvGeometry.of(x_shape, weight_shape, stride, groups=groups)
    for level in LEVELS:
        for direction in DIRECTIONS:
            assert_equals_definition(level, direction, geometry)


@pytest.mark.parametrize("direction", DIRECTIONS)
@pytest.mark.parametrize(
    "problem",
    ["mb8ic40ih30oc50kh1", "mb40ic70ih7oc90kh1", "mb9ic30ih28oc40kh1sh2", "mb1ic64ih28oc64kh1", "g4mb9ic12ih33oc12kh1",
     "mb7ic600ih7oc1100kh1"],
)  # fmt: skip
def test_bits_do_not_depend_on_threads(problem, direction):
    geometry = ConvGeometry.parse(problem)
    arrays = floats(geometry, direction, "f4", seed=0)
    for level in LEVELS:
        first, *others = [
            bits(run("conv2d", direction, geometry, *arrays, variant="pointwise", level=level, n_threads=n))
            for n in THREADS
        ]
        assert all(other == first for other in others)


@pytest.mark.parametrize("special", [np.nan, np.inf])
@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize(
    "problem", ["mb12ic9ih7oc30kh1", "mb40ic20ih5oc300kh1", "mb3ic20ih23oc9kh1", "mb9ic8ih9oc9kh1sh2"]
)
def test_what_is_not_finite_stays_in_its_pixel(problem, level, special):
    """... also where a panel holds pixels of several images."""
    geometry = ConvGeometry.parse(problem)
    x, weight, bias = inputs(geometry, "forward", "f4", seed=1)
    weight[weight == 0] = 1  # 0 · infinity is not a number
    x[2, 3, 2, 4] = special
    with np.errstate(invalid="ignore"):
        expected = run("conv2d", "forward", geometry, x, weight, bias, variant="im2col")
    assert_same(run("conv2d", "forward", geometry, x, weight, bias, variant="pointwise", level=level), expected)
    assert (~np.isfinite(expected)).sum() == geometry.out_channels
    grad_y = inputs(geometry, "backward_input", "f4", seed=1)[0]
    grad_y[2, 3, 1, 2] = special
    got = run("conv2d", "backward_input", geometry, grad_y, weight, variant="pointwise", level=level)
    assert (~np.isfinite(got)).sum() == geometry.in_channels
    assert not np.isfinite(got[2, :, geometry.stride[0], 2 * geometry.stride[1]]).any()


@pytest.mark.parametrize("variant", [None, "pointwise"])
def test_an_empty_batch(variant):
    geometry = ConvGeometry.parse("mb0ic3ih5oc2kh1")
    x, weight, grad_y = (np.ones(geometry.shapes[name], np.float32) for name in ("x", "weight", "y"))
    assert run("conv2d", "forward", geometry, x, weight, None, variant=variant).shape == (0, 2, 5, 5)
    assert run("conv2d", "backward_input", geometry, grad_y, weight, variant=variant).shape == x.shape
    assert_array_equal(run("conv2d", "backward_weight", geometry, grad_y, x, variant=variant), np.zeros_like(weight))


# What it refuses, and whom it is for


@pytest.mark.parametrize(
    ("problem", "dtype", "reason"),
    [
        ("mb2ic3ih5oc4kh1", "f8", "computes in float32 only"),
        ("mb2ic3ih5oc4kh1kw3", "f4", "filters have 3 cells, not one"),
        ("mb2ic3id5oc4kd2", "f4", "filters have 8 cells, not one"),
        ("mb2ic3ih5oc4kh1ph1", "f4", "has cells around the image"),
        ("mb2ic3ih5oc4kh1eh0ew1", "f4", "has cells around the image"),
        ("mb2ic3ih5oc8193kh1", "f4", "a group has 8193 channels or filters, more than 8192"),
    ],
)
def test_what_it_refuses(problem, dtype, reason):
    geometry = ConvGeometry.parse(problem)
    for direction in DIRECTIONS:
        assert kernels.refusal(geometry.op, "pointwise", direction, geometry, np.dtype(dtype)) == reason
    with pytest.raises(ValueError, match=reason):
        run(geometry.op, "backward_input", geometry, np.zeros(geometry.shapes["y"], dtype),
            np.zeros(geometry.shapes["weight"], dtype), variant="pointwise")  # fmt: skip


@pytest.mark.parametrize(
    "problem",
    ["mb16ic64ih56oc64kh1", "mb32ic1024ih7oc1024kh1", "mb8ic256ih56oc512kh1sh2", "mb8ic64iw900oc64kw1",
     "g4mb8ic64ih28oc64kh1", "mb2ic16id4ih8oc32kd1kh1", "mb1ic16ih14oc16kh1"],
)  # fmt: skip
def test_filters_of_one_cell_are_what_it_is_for(problem):
    geometry = ConvGeometry.parse(problem)
    for level in LEVELS:
        for direction in DIRECTIONS:
            chosen = selected(geometry.op, direction, geometry, np.dtype("f4"), level=level)
            assert chosen == ("pointwise", level)


@pytest.mark.parametrize(
    ("problem", "direction", "reason"),
    [
        ("mb32ic2ih16oc48kh1", "forward", "lays out the pixels of 2 channels, for few operations"),
        ("mb64ic16ih14oc32kh1sh2", "backward_input", "has to scatter 49 pixels of an image among 196 cells"),
        ("mb32ic12ih8oc10kh1", "backward_weight", "120 sums of 64 pixels of an image are few and short"),
    ],
)
def test_what_it_leaves_to_others(problem, direction, reason):
    geometry, dtype = ConvGeometry.parse(problem), np.dtype("f4")
    for level in LEVELS:
        assert kernels.refusal("conv2d", "pointwise", direction, geometry, dtype, level) is None
        assert registry.passed_over("conv2d", "pointwise", direction, geometry, dtype, level) == reason
        assert selected("conv2d", direction, geometry, dtype, level=level)[0] != "pointwise"


def test_others_are_for_larger_filters_and_float64():
    larger = ConvGeometry.parse("mb16ic64ih56oc64kh1kw3")
    assert selected("conv2d", "forward", larger, np.dtype("f4"), level=isa.DEFAULT)[0] != "pointwise"
    one = ConvGeometry.parse("mb16ic64ih56oc64kh1")
    assert selected("conv2d", "forward", one, np.dtype("f8"), level=isa.DEFAULT)[0] == "im2col"
