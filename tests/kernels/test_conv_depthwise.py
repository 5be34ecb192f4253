"""Depthwise convolution: what is particular to it. test_conv.py looks at it, too, where its problems are depthwise."""

import re
import tracemalloc

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from numpy.testing import assert_array_equal
from strategies import FENCES, PATTERNS, THREADS, assert_same, bits, each_direction_of, fenced, floats, inputs, windows

from convcore import kernels
from convcore.kernels import ConvGeometry, buffers, run

F4 = np.dtype(np.float32)
LEVELS = kernels.levels_of("conv2d", "depthwise")
DIRECTIONS = ("forward", "backward_input", "backward_weight")
each_level = pytest.mark.parametrize("level", LEVELS)
each_direction = pytest.mark.parametrize("direction", DIRECTIONS)


def depthwise(direction, geometry, *arrays, level=None, n_threads=None):
    return run(geometry.op, direction, geometry, *arrays, variant="depthwise", level=level, n_threads=n_threads)


# Every way in which the work is cut: planes narrower than a vector, as wide as one, between two; rows in all the blocks
# that there are; bands of rows; several planes laid out together, more than fit; several filters per channel; every
# kind of micro-kernel, with and without dilation, and taps on their own; phases and places of every stride; several
# filters of a channel, whose taps are many columns, meet no row of the gradient, and lie beside it; filters enough to
# share what they load, in blocks of every size, in one band of rows or several; patterns, whose
# gradient is that of zeros and what edges hand on, with strides and without, or that of padded channels, folded.
CUTS = [
    "g150mb2ic150ih7oc150kh3ph1",
    "g70mb3ic70ih2iw3oc70kh3ph1",
    "g40mb2ic40ih1oc80kh1",
    "g3mb2ic3ih13iw8oc6kh3ph1",
    "g3mb2ic3ih14iw9oc3kh5ph2",
    "g2mb1ic2ih16iw17oc2kh7ph3",
    "g2mb1ic2ih130iw90oc4kh3ph1",
    "g2mb1ic2ih90iw131oc2kh5ph2dil3",
    "g2mb1ic2ih300iw5oc4kh3ph1",
    "g2mb2ic2ih31iw20oc2kh3ph4pw2dil4x2",
    "g4mb2ic4ih14oc4kh3sh2ph1",
    "g4mb2ic4ih15oc4kh3sh2ph0eh1",
    "g3mb2ic3ih28iw35oc3kh5sh2ph2",
    "g3mb2ic3ih15oc6kh3sh2ph2dil2",
    "g2mb1ic2ih150iw80oc2kh3sh2ph1",
    "g3mb1ic3ih29iw40oc3kh4sh3ph1",
    "g3mb1ic3ih20iw31oc3kh3kw2sh1sw3ph1pw0",
    "g3mb1ic3ih20iw31oc3kh2kw3sh3sw2ph1",
    "g2mb1ic2ih9oc2kh2sh5ph3",
    "g3mb2ic3ih12iw33oc3kh9kw2ph4pw0ew1",
    "g2mb2ic2ih6iw5oc2kh3ph6pv-2",
    "g2mb1ic2ih140iw60oc2kh3sh2ph1pvreplicate",
    "g2mb2ic2ih9iw30oc4kh3sh1sw3ph5pvcircular",
    "g3mb2ic3iw1000oc3kw9pw4",
    "g3mb2ic3iw50oc6kw4sw2pw3dil3",
    "g2mb2ic2id5ih9iw20oc4kd3pd1",
    "g2mb1ic2id6ih5iw7oc2kd3sd2pd1pvsymmetric-exclude-edge",
    "g2mb1ic2id7ih8iw9oc4kd2kh3kw3sd3sh1sw2pd1dil2x1x1",
    "g1mb2ic1ih12oc5kh3ph1",
    "mb3ic1ih28oc7kh5",
    "mb2ic1ih20iw23oc3kh7kw4ph3pw2",
    "mb1ic1ih9iw40oc2kh3ph5",
    "mb3ic1ih150iw131oc2kh3kw11ph0eh1pw5dil2x1",
    "g3mb2ic3ih6iw40oc9kh3ph2dil4x3",
    "g2mb3ic2iw9oc4kw3",
    "mb3ic1ih28oc9kh5",
    "mb2ic1ih9iw13oc8kh3ph1pv-2",
    "g2mb2ic2ih150iw70oc18kh3ph1",
    "mb2ic1ih11iw5oc13kh3kw2ph2dil2x1",
    "mb50ic1ih9oc10kh3ph1eh3",
    "mb1ic1iw70oc33kw4pw5",
    "g3mb2ic3ih9iw12oc3kh3ph1pvreplicate",
    "g2mb2ic2ih20iw33oc2kh5kw3ph2pw7dil2x3pvcircular",
    "g40mb3ic40ih6iw7oc40kh3ph1pvsymmetric-exclude-edge",
    "g2mb2ic2ih3iw2oc2kh4kw5ph6pw8pvsymmetric-include-edge",
    "g3mb2ic3iw50oc3kw5pw2pvcircular",
    "g3mb2ic3ih30iw27oc3kh3sh2ph1pvreplicate",
    "g2mb2ic2ih9iw40oc4kh3sh2sw3ph5pw2dil2x1pvsymmetric-include-edge",
    "g2mb1ic2ih20iw7oc6kh5kw3sh1sw2ph2pw4pvcircular",
    "g3mb2ic3ih5iw3oc3kh4sh3ph7pvsymmetric-exclude-edge",
    "g2mb3ic2iw31oc2kw5sw4pw3pvreplicate",
    "mb3ic1ih14oc6kh5ph2pvreplicate",
    "g3mb2ic3ih8iw30oc6kh3ph1pw4dil1x3pvcircular",
    "mb2ic1iw40oc5kw7pw3pvsymmetric-include-edge",
    "g2mb2ic2id4ih5iw6oc6kd3pd1pvsymmetric-exclude-edge",
    "mb1ic1ih150iw120oc4kh3ph1pvcircular",
    "mb2ic1ih150iw131oc9kh3ph1pvcircular",
    "g2mb2ic2ih20iw13oc16kh5ph2pvsymmetric-include-edge",
]


@each_level
@each_direction_of(CUTS)
def test_every_cut_is_exact(problem, level, direction):
    geometry = ConvGeometry.parse(problem)
    arrays = inputs(geometry, direction, F4, seed=3)
    expected = run(geometry.op, direction, geometry, *arrays, variant="reference")
    for n_threads in THREADS:
        assert_same(depthwise(direction, geometry, *arrays, level=level, n_threads=n_threads), expected)


@st.composite
def depthwise_geometries(draw):
    """Like conv_geometries, with one channel per group, and often a height and stride that have their own kernels."""
    rank = draw(st.sampled_from((1, 2, 2, 3)))
    axes = [list(draw(windows({1: 150, 2: 60, 3: 7}[rank]))) for _ in range(rank)]
    for axis in axes:
        size, window, stride, padding, dilation = axis
        axis[1] = draw(st.sampled_from((window, 3, 5, 7) if rank == 2 else (window, 3)))
        axis[2] = draw(st.sampled_from((stride, 1, 2)))
        axis[0] = max(size, (axis[1] - 1) * dilation + 1 - sum(padding))
    in_size, filter_size, stride, padding, dilation = zip(*axes, strict=True)
    channels, filters = draw(st.integers(1, 40 if rank < 3 else 5)), draw(st.sampled_from((1, 2, 3, 8, 11)))
    return ConvGeometry.of(
        (draw(st.integers(1, 3)), channels, *in_size), (channels * filters, 1, *filter_size), stride,
        sum(padding, ()), draw(st.sampled_from((0, 0, 0, 2, *PATTERNS))), dilation, channels,
    )  # fmt: skip


@each_direction
@given(geometry=depthwise_geometries(), seed=st.integers(0, 999), n_threads=st.sampled_from(THREADS))
@settings(max_examples=80)
def test_any_problem_is_exact(direction, geometry, seed, n_threads):
    assume(kernels.refusal(geometry.op, "depthwise", direction, geometry, F4) is None)
    arrays = inputs(geometry, direction, F4, seed)
    expected = run(geometry.op, direction, geometry, *arrays, variant="direct")
    for level in LEVELS:
        assert_same(depthwise(direction, geometry, *arrays, level=level, n_threads=n_threads), expected)


@each_direction
@each_level
@pytest.mark.parametrize("problem", CUTS[:1] + CUTS[6:11] + ["g5mb40ic5ih9oc10kh3ph1", "g3mb7ic3ih90oc3kh3sh2ph1"])
def test_bits_do_not_depend_on_threads(problem, level, direction):
    geometry = ConvGeometry.parse(problem)
    arrays = floats(geometry, direction, F4, seed=4)
    runs = [bits(depthwise(direction, geometry, *arrays, level=level, n_threads=n)) for n in (*THREADS, 1)]
    assert all(one == runs[0] for one in runs)


@each_direction
def test_sums_over_many_images_stay_accurate(direction):
    """Sums over planes, images and shares of the images are added up by themselves: no long chain of roundings."""
    geometry = ConvGeometry.parse("g2mb64ic2ih64oc2kh3ph1")
    arrays = [abs(a) for a in floats(geometry, direction, F4, seed=5)]
    exact = run(geometry.op, direction, geometry, *(a.astype("f8") for a in arrays), variant="direct")
    got = depthwise(direction, geometry, *arrays)
    assert abs(got / exact - 1).max() <= 128 * np.finfo(F4).eps


# What is not finite


NARROW_AND_WIDE = ["g3mb2ic3ih7oc3kh3ph1", "g3mb2ic3ih13iw20oc6kh5ph2", "g3mb1ic3ih15iw21oc3kh3sh2ph1",
                   "g3mb1ic3ih12iw9oc3kh4ph3pvcircular", "mb2ic1ih13iw14oc9kh3ph1"]  # fmt: skip


@each_level
@pytest.mark.parametrize("which", [0, 1])
@pytest.mark.parametrize("special", [np.nan, np.inf, -np.inf])
@each_direction_of(NARROW_AND_WIDE)
def test_what_is_not_finite_goes_where_it_goes_by_definition(problem, special, which, direction, level):
    """In the middle, in a corner and at the end of a row, where vectors overlap or reach beside the image."""
    geometry = ConvGeometry.parse(problem)
    for place in ((0, 0), (1, 2), (2, -1), (-1, -1)):
        arrays = inputs(geometry, direction, F4, seed=6)
        arrays[which][(-1, 0, *place)] = special
        with np.errstate(invalid="ignore"):
            expected = run("conv2d", direction, geometry, *arrays, variant="reference")
        assert_array_equal(depthwise(direction, geometry, *arrays, level=level), expected)


# Memory


@FENCES
@each_level
@each_direction_of(CUTS)
def test_nothing_outside_the_arrays_is_touched(problem, level, direction):
    """A read or write outside would end the process."""
    geometry = ConvGeometry.parse(problem)
    arrays = inputs(geometry, direction, F4, seed=7)
    expected = depthwise(direction, geometry, *arrays, level=level)
    out = np.zeros_like(expected)
    for *fenced_arrays, fenced_out in zip(*(fenced(array) for array in (*arrays, out)), strict=True):
        how = {"variant": "depthwise", "level": level, "n_threads": 2, "out": fenced_out}
        run(geometry.op, direction, geometry, *fenced_arrays, **how)
        assert_array_equal(fenced_out, expected)


@pytest.mark.parametrize("n_threads", [1, 3])
@each_direction_of(
    ["g8mb4ic8ih200iw900oc16kh7ph3", "g4mb2ic4ih40iw2000oc4kh5ph40pvreplicate", "g300mb2ic300ih20oc300kh11ph5sh2",
     "g4mb2ic4id20oc8kd5pd2", "g64mb2ic64iw5000oc64kw31sw4"]
)  # fmt: skip
def test_working_memory(problem, n_threads, direction):
    """At most 8 MB per thread besides the weights, of which the weight gradient adds up several sets."""
    geometry = ConvGeometry.parse(problem)
    arrays = inputs(geometry, direction, F4, seed=8)
    out = np.empty(geometry.shapes[geometry.SIGNATURES[direction][1]], F4)
    buffers.release()
    tracemalloc.start()
    run(geometry.op, direction, geometry, *arrays, variant="depthwise", n_threads=n_threads, out=out)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < n_threads * 8 * 2**20


# Who is refused, who is chosen


@pytest.mark.parametrize(
    ("problem", "dtype", "direction", "reason"),
    [
        ("g4mb1ic4ih9oc4kh3", "f8", "forward", "computes in float32 only"),
        ("mb1ic4ih9oc4kh3", "f4", "forward", "each group must be one channel, not 4"),
        ("g2mb1ic4ih9oc4kh3", "f4", "backward_weight", "each group must be one channel, not 2"),
        ("g4mb1ic4id4ih9oc4kd3pd1pvreplicate", "f4", "backward_input",
         "padding is replicate: its gradient goes back to the cells it repeats"),
        ("g2mb1ic2ih99oc2kh3sh33", "f4", "backward_input", "a step of the stride has 1089 places, more than 1024"),
        ("g2mb1ic2ih5000oc2kh3dil2000", "f4", "forward",
         r"the least part of it works with 200\d{5} numbers, more than 2000000"),
        ("g2mb1ic2ih9oc9000kh9ph4", "f4", "backward_weight",
         r"the least part of it works with \d{7} numbers, more than 2000000"),
    ],
)  # fmt: skip
def test_refusals(problem, dtype, direction, reason):
    got = kernels.refusal("conv2d", "depthwise", direction, ConvGeometry.parse(problem), np.dtype(dtype))
    assert re.fullmatch(reason, got)


@each_direction
def test_it_is_chosen_for_what_is_depthwise(direction):
    assert " depthwise   yes" in kernels.explain("conv2d", "g32mb8ic32ih56oc32kh3ph1", direction)
    assert " depthwise   yes" in kernels.explain("conv1d", "g8mb8ic8iw56oc16kw3", direction)
    assert " depthwise   yes" in kernels.explain("conv3d", "g8mb8ic8id9oc8kd3", direction)
    assert " depthwise   yes" in kernels.explain("conv2d", "mb8ic1ih28oc20kh5", direction)
    strided = kernels.explain("conv2d", "mb8ic1ih28oc6kh5sh2", direction)
    assert " depthwise   no: there is one channel only, and a stride" in strided


@pytest.mark.parametrize("direction", ["forward", "backward_weight"])
def test_short_rows_of_one_channel_are_left_to_others(direction):
    told = kernels.explain("conv2d", "mb64ic1ih3oc6kh2", direction)
    assert " depthwise   no: there is one channel only, and rows of 2 pixels leave half of vectors of " in told


def test_the_strided_gradient_of_many_filters_is_left_to_others():
    told = kernels.explain("conv2d", "g2mb8ic2ih28oc40kh5sh2", "backward_input")
    assert " depthwise   no: 20 filters of a channel make a matrix product" in told


def test_an_empty_batch():
    x, weight, g = np.ones((0, 3, 5, 5), F4), np.ones((6, 1, 3, 3), F4), np.ones((0, 6, 3, 3), F4)
    how = {"groups": 3, "variant": "depthwise"}
    assert kernels.conv2d_forward(x, weight, None, **how).shape == (0, 6, 3, 3)
    assert kernels.conv2d_backward_input(g, weight, x.shape, **how).shape == x.shape
    assert_array_equal(kernels.conv2d_backward_weight(g, x, weight.shape, **how), np.zeros_like(weight))
