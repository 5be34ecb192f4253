"""The variant that pads a few images at a time: every padding value, images in parts, whom it leaves the rest to."""

import tracemalloc

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from strategies import PATTERNS, THREADS, assert_agrees, bits, conv_geometries, floats, inputs

import convcore as cc
from convcore import isa, kernels
from convcore.kernels import ConvGeometry, buffers, registry, run

F4, F8 = np.dtype(np.float32), np.dtype(np.float64)
LEVELS = kernels.levels_of("conv2d", "padded")
each_direction = pytest.mark.parametrize("direction", ["forward", "backward_input", "backward_weight"])
each_level = pytest.mark.parametrize("level", LEVELS)


def parsed(problem, value="circular"):
    return ConvGeometry.parse(f"{problem}pv{value}")


def assert_equals_definition(level, direction, geometry, dtype=F4, n_threads=2):
    arrays = inputs(geometry, direction, dtype, seed=0)
    expected = run(geometry.op, direction, geometry, *arrays, variant="reference")
    got = run(geometry.op, direction, geometry, *arrays, variant="padded", level=level, n_threads=n_threads)
    assert_agrees(got, expected, "padded", level, direction, geometry, arrays)


@each_level
@each_direction
@pytest.mark.parametrize("value", [*PATTERNS, -2])
@pytest.mark.parametrize(
    "problem",
    [
        "mb3ic2ih9iw7oc4kh3ph1",
        "mb2ic3ih5iw6oc4kh4kw3ph0eh3pw2ew1",  # other numbers of cells at each end
        "mb2ic3ih8oc4kh3sh3ph1",  # cells at the end that no output reads: their gradient is 0
        "mb2ic3ih9oc4kh2sh4ph0eh1",
        "mb2ic3ih2iw1oc4kh3ph5",  # patterns that repeat themselves
        "g2mb2ic4ih6oc6kh3ph2dil2",
        "mb2ic3iw9oc4kw3pw2",
        "mb2ic2id4ih3iw5oc3kd3kh2kw3pd1",
        "mb33ic16ih10oc32kh3ph1",  # computed by winograd, where it may be
    ],
)
def test_every_padding_value(problem, value, direction, level):
    if value == "symmetric-exclude-edge" and "iw1" in problem:
        problem = problem.replace("iw1", "iw2")  # nothing is left to repeat
    assert_equals_definition(level, direction, parsed(problem, value))


@each_direction
@given(geometry=conv_geometries(padding_values=(3, *PATTERNS)), n_threads=st.sampled_from(THREADS))
@settings(max_examples=60)
def test_any_problem(direction, geometry, n_threads):
    assume(any(map(any, geometry.padding)) and geometry.padding_value != 0)
    for level in LEVELS:
        assert_equals_definition(level, direction, geometry, n_threads=n_threads)
    assert_equals_definition(isa.DEFAULT, direction, geometry, F8, n_threads)


@each_level
@each_direction
@pytest.mark.parametrize(("batch", "images"), [(7, 3), (40, 17), (48, 33), (1, 1), (5, 5)])
def test_images_in_parts(batch, images, direction, level, monkeypatch):
    """So many images fit into the memory that they share: whole multiples of 16 of them are taken, if that many fit."""
    geometry = parsed(f"mb{batch}ic3ih7oc4kh3ph1")
    module = registry.load("conv2d", "padded", level)
    monkeypatch.setattr(module, "SCRATCH", images * 3 * 9 * 9 * 4 + 100)
    parts = [part.batch for _, part in module.parts_of(geometry, F4)]
    at_once = images // 16 * 16 or images
    assert parts == [at_once] * (batch // at_once) + [batch % at_once] * (batch % at_once > 0)
    assert_equals_definition(level, direction, geometry)


@each_direction
def test_bits_do_not_depend_on_threads(direction):
    geometry = parsed("mb40ic20ih30oc24kh5ph2")
    arrays = floats(geometry, direction, F4, seed=1)
    runs = [bits(run("conv2d", direction, geometry, *arrays, variant="padded", n_threads=n)) for n in (*THREADS, 1)]
    assert all(one == runs[0] for one in runs)


@each_direction
def test_working_memory(direction):
    """At most 8 MB of padded images, and what the variant inside works with."""
    geometry = parsed("mb40ic8ih100oc8kh5ph2")
    arrays = inputs(geometry, direction, F4, seed=2)
    out = np.empty(geometry.shapes[geometry.SIGNATURES[direction][1]], F4)
    buffers.release()
    tracemalloc.start()
    run("conv2d", direction, geometry, *arrays, variant="padded", n_threads=1, out=out)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert 4 * 2**20 < peak < 16 * 2**20


def test_what_it_refuses():
    def reason(problem, dtype=F4, value="circular"):
        return kernels.refusal("conv2d", "padded", "forward", parsed(problem, value), dtype)

    assert reason("mb9ic8ih500oc1kh3ph3") is None  # 8 · 506² · 4 bytes
    assert reason("mb9ic8ih510oc1kh3ph3") == "a padded image takes 8.1 MiB, more than 8"
    assert reason("mb9ic8ih50oc1kh3ph3", value=0) == "the others pad with zeros on their way"
    assert reason("mb9ic8ih50oc1kh3") == reason("mb9ic8ih50oc1kh3", value=2) == "nothing is around the images"
    assert reason("mb9ic8ih500oc1kh3ph3", F8) == "a padded image takes 15.6 MiB, more than 8"


def chosen(problem, direction, value="circular", dtype=F4):
    geometry = parsed(problem, value)
    return kernels.dispatch.selected(geometry.op, direction, geometry, dtype)[0]


def test_whom_it_suits():
    """Who takes zeros and the pattern is left alone; where that one refuses the pattern, images are padded for it."""
    depthwise, strided = "g16mb16ic16ih56oc16kh3ph1", "g16mb16ic16ih56oc16kh3sh2ph1"
    dense, large = "mb64ic16ih28oc32kh3ph1", "mb8ic64ih56oc64kh3ph1"
    assert chosen(depthwise, "forward") == chosen(depthwise, "backward_input") == "depthwise"
    assert chosen(depthwise, "backward_weight") == "depthwise"
    assert chosen(strided, "forward") == chosen(strided, "backward_weight") == "depthwise"
    assert chosen(strided, "backward_input") == "depthwise"
    assert chosen(dense, "forward") == chosen(dense, "backward_input") == "winograd"
    assert chosen(large, "backward_input") == chosen(large, "backward_input", 0) == "winograd"
    assert chosen("mb16ic64ih56oc64kh3sh2ph1", "backward_input") == "padded"
    assert chosen("mb16ic64ih56oc64kh3sh2ph1", "backward_input", 5) == "filters"
    small = "mb64ic16ih7oc32kh5ph2"
    assert chosen(small, "backward_weight", 0) == chosen(small, "backward_weight", 5) == "images"
    assert chosen(dense, "backward_input", dtype=F8) == "im2col"  # computes everything in float64


def test_rounding_is_that_of_the_variant_inside():
    problem = ("backward_input", parsed("mb64ic16ih28oc32kh3ph1"), F4)
    winograd = registry.rounding_factor("conv2d", "winograd", None, problem)
    assert registry.rounding_factor("conv2d", "padded", None, problem) == winograd > 1
    with cc.precision("strict"):
        assert registry.rounding_factor("conv2d", "padded", None, problem) == 1
    assert registry.rounding_factor("conv2d", "padded") == 1


def test_it_may_be_asked_for_by_name():
    """What is inside is chosen freely then."""
    x, weight = np.ones((1, 1, 4, 4), F4), np.ones((1, 1, 3, 3), F4)
    with cc.use_variant("conv2d", "padded"):
        y = kernels.conv2d_forward(x, weight, padding=1, padding_value="replicate")
    assert y.tolist() == [[[[9.0] * 4] * 4]]
