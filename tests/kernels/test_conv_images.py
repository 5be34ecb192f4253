"""The variant whose lanes are images: batches around the number of lanes, all ways to cut a problem, whom it is for."""

import dataclasses
import re

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from numpy.testing import assert_array_equal
from strategies import THREADS, assert_same, bits, cells, conv_geometries, floats, inputs, refused

from convcore import isa, kernels
from convcore.kernels import ConvGeometry, dispatch, run

DIRECTIONS = ("forward", "backward_input", "backward_weight")
CELLS = [cell for cell in cells("conv2d") if cell.values[0] == "images"]
LEVELS = kernels.levels_of("conv2d", "images")


def assert_equals_definition(level, direction, geometry, n_threads=2):
    arrays = inputs(geometry, direction, "f4", seed=0)
    expected = run(geometry.op, direction, geometry, *arrays, variant="reference")
    got = run(geometry.op, direction, geometry, *arrays, variant="images", level=level, n_threads=n_threads)
    assert_same(got, expected)


@pytest.mark.parametrize("direction", DIRECTIONS)
@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("batch", [1, 3, 4, 5, 8, 9, 15, 16, 17, 31, 32, 33, 63, 65, 130])
@pytest.mark.parametrize(
    "problem",
    [
        "ic2ih5oc3kh3ph1",  # few channels: several vectors of images at a time
        "ic7ih4iw6oc9kh2kw3sw2pw1",
        "g2ic6iw21oc4kw4dil3",
        "ic1ih2oc1kh2",  # an output of one cell: transpositions of less than a vector
        "ic3id3ih4iw2oc5kd2kh3kw1ph1",
    ],
)
def test_batches_around_the_number_of_lanes(problem, batch, level, direction):
    assert_equals_definition(level, direction, ConvGeometry.parse(f"mb{batch}{problem}"))


@pytest.mark.parametrize("direction", DIRECTIONS)
@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize(
    "problem",
    [
        "mb18ic100ih12oc90kh3ph1",  # several passes over the channels of the source, several blocks of the target
        "mb40ic3ih40iw33oc5kh3kw5ph1",  # tasks of a few rows
        "mb40ic2ih33oc3kh4sh3dil2pvcircularph3",  # ... which may read any row
        "mb20ic2iw1500oc3kw5pw2",  # tasks of a few columns
        "mb20ic2iw1500oc3kw5sw2pw9pvreplicate",
        "mb20ic2id30ih9iw7oc3kd3pd1",  # tasks of a few planes
        "mb150ic3ih6oc4kh3",  # several vectors of images in a share of the weight gradient
        "g3mb40ic21ih9oc63kh3",
        "g2mb18ic80ih8oc90kh3ph1",  # more weights than each thread packs for itself
        "mb18ic100ih12oc90kh3ph1pv-2",  # a number around the image, in each of these ways
        "mb40ic3ih40iw33oc5kh3kw5ph1pv3",
        "mb20ic2iw1500oc3kw5sw2pw9pv3",
        "mb20ic2iw6000oc3kw2pw5000pv3",  # tasks that see nothing else
        "mb20ic2id30ih9iw7oc3kd3pd2eh0pv2",
        "g2mb33ic6ih9oc8kh4sh3ph2dil2pv5",
        "mb5ic2ih2oc3kh2ph4pv2",  # outputs that see nothing else
    ],
)
def test_every_way_to_cut_a_problem(problem, level, direction):
    assert_equals_definition(level, direction, ConvGeometry.parse(problem))


@pytest.mark.parametrize(("variant", "level", "direction"), CELLS)
@given(geometry=conv_geometries(padding_values=(0, -3, "circular")), batch=st.integers(1, 70), seed=st.integers(0, 9))
@settings(max_examples=40)
def test_equals_the_definition_with_any_batch(variant, level, direction, geometry, batch, seed):
    assume(geometry.batch == 0 or batch * geometry.operations(direction) // geometry.batch < 2e7)
    geometry = dataclasses.replace(geometry, batch=batch)
    assume(not refused(geometry.op, variant, level, direction, geometry, "f4"))
    assert_equals_definition(level, direction, geometry)


@pytest.mark.parametrize("problem", ["mb64ic6ih14oc16kh5", "mb100ic3ih12oc40kh3ph1", "mb40ic100ih12oc90kh3ph1"])
@pytest.mark.parametrize(("variant", "level", "direction"), CELLS)
def test_bits_do_not_depend_on_threads(variant, level, direction, problem):
    geometry = ConvGeometry.parse(problem)
    arrays = floats(geometry, direction, "f4", seed=0)
    first, *others = [
        bits(run("conv2d", direction, geometry, *arrays, variant=variant, level=level, n_threads=n)) for n in THREADS
    ]
    assert all(other == first for other in others)


@pytest.mark.parametrize("special", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("problem", ["mb19ic2ih6oc3kh3ph1", "mb7ic5iw9oc8kw3sw2"])
def test_what_is_not_finite_stays_where_it_belongs(problem, level, special):
    """In one image, one channel, one cell: no other image, and no cell that a filter does not lead to, may see it."""
    geometry = ConvGeometry.parse(problem)
    how = {"variant": "images", "level": level}
    for direction in DIRECTIONS:
        arrays = inputs(geometry, direction, "f4", seed=1)
        place = 1 if direction == "backward_weight" else 0  # x: a padded grad_y would meet the zeros of the padding
        arrays[place][3, 1].flat[2] = special
        if direction != "backward_weight":
            arrays[1][arrays[1] == 0] = 1  # else 0 · infinity, for which the definition pads
        with np.errstate(invalid="ignore"):
            expected = run(geometry.op, direction, geometry, *arrays, variant="reference")
        assert_same(run(geometry.op, direction, geometry, *arrays, **how), expected)
        assert 0 < np.isfinite(expected).sum() < expected.size


@pytest.mark.parametrize("value", ["inf", "-inf", "nan"])
@pytest.mark.parametrize("level", LEVELS)
def test_padding_that_is_not_finite(value, level):
    """No zero of a lane without an image may meet it: forward those lanes go nowhere, weights are left to others."""
    geometry = ConvGeometry.parse(f"mb3ic2ih6oc3kh3ph1pv{value}")
    arrays = inputs(geometry, "forward", "f4", seed=1)
    arrays[1][arrays[1] == 0] = 1
    with np.errstate(invalid="ignore"):
        expected = run("conv2d", "forward", geometry, *arrays, variant="reference")
        assert_same(run("conv2d", "forward", geometry, *arrays, variant="images", level=level), expected)
        arrays = inputs(geometry, "backward_weight", "f4", seed=1)
        arrays[0][arrays[0] == 0] = 1
        expected = run("conv2d", "backward_weight", geometry, *arrays, variant="reference")
        assert_same(run("conv2d", "backward_weight", geometry, *arrays, level=level), expected)
    reason = kernels.refusal("conv2d", "images", "backward_weight", geometry, np.dtype("f4"), level)
    assert reason == f"its sums would meet {value} in lanes without an image"


def test_nothing_is_multiplied_with_padding():
    """An infinite weight above padding has no effect; above the cell itself it has."""
    x, weight = np.ones((4, 1, 1, 1), np.float32), np.ones((1, 1, 3, 3), np.float32)
    weight[0, 0, 0, 0] = np.inf
    assert_array_equal(kernels.conv2d_forward(x, weight, padding=1, variant="images"), x)
    weight[0, 0, 1, 1] = np.inf
    assert_array_equal(kernels.conv2d_forward(x, weight, padding=1, variant="images"), np.full_like(x, np.inf))


# What it refuses, and where another is the better choice


def reason(question, problem, direction="forward", dtype="f4"):
    return question("conv2d", "images", direction, ConvGeometry.parse(problem), np.dtype(dtype), isa.DEFAULT)


def test_what_it_refuses():
    refusal = kernels.refusal
    assert reason(refusal, "ic1ih5oc1kh3", dtype="f8") == "computes in float32 only"
    assert reason(refusal, "ic1ih1025iw1024oc1kh1") == "an image has 1049600 cells, more than 1048576"
    for direction in DIRECTIONS:
        assert reason(refusal, "ic1ih3000iw300oc1kh5", direction) is None
        wide = reason(refusal, "ic1ih2iw200000oc1kh2", direction)
        assert re.fullmatch(r"needs \d+\.\d MiB of scratch, more than 8", wide)


@pytest.mark.parametrize("direction", DIRECTIONS)
@pytest.mark.parametrize("problem", ["mb64ic6ih14oc16kh5", "mb512ic6ih14oc16kh5", "mb64ic8ih12oc20kh5",
                                     "mb64ic16ih10oc32kh3", "mb64ic32ih7oc32kh3ph1"])  # fmt: skip
def test_small_images_are_what_it_is_for(problem, direction):
    assert reason(kernels.registry.passed_over, problem, direction) is None


@pytest.mark.parametrize("direction", DIRECTIONS)
@pytest.mark.parametrize("problem", ["mb1ic6ih14oc16kh5", "mb2ic64ih28oc64kh3ph1", "mb64ic64ih14oc64kh1",
                                     "g32mb16ic32ih56oc32kh3ph1"])  # fmt: skip
def test_others_are_better_where_lanes_stay_empty_or_sums_are_short(problem, direction):
    text = reason(kernels.registry.passed_over, problem, direction)
    match = re.fullmatch(r"takes about (\d+\.\d\d) times as long as a kernel with pixels or filters in its lanes", text)
    assert float(match[1]) > 1


@pytest.mark.parametrize(
    ("problem", "direction"),
    [("mb64ic16ih14oc32kh2sh2", "backward_input"), ("mb16ic64ih6oc32kh1sh2", "backward_input"),
     ("mb64ic48ih14oc24kh3sh2ph1", "backward_input"), ("mb32ic4ih8oc32kh7sh2ph3", "backward_weight"),
     ("mb128ic2ih32oc1kh3sh2ph1", "backward_weight")],
)  # fmt: skip
def test_it_is_chosen_for_small_problems_where_calls_of_others_take_longer(problem, direction):
    """Measured: 0.35 to 0.65 of the time of the next."""
    assert dispatch.chosen("conv2d", direction, ConvGeometry.parse(problem), np.dtype("f4"), isa.DEFAULT) == "images"


def test_an_empty_batch_is_nobodys_work():
    for direction in DIRECTIONS:
        assert reason(kernels.registry.passed_over, "mb0ic6ih14oc16kh5", direction) is None
