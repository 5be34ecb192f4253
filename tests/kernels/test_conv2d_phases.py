"""The variant that takes dilated images apart: every padding value, images in parts, whom it leaves the rest to."""

import tracemalloc

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from strategies import PATTERNS, THREADS, assert_agrees, bits, floats, inputs

import convcore as cc
from convcore import kernels
from convcore.kernels import ConvGeometry, buffers, registry, run

F4, F8 = np.dtype(np.float32), np.dtype(np.float64)
LEVELS = kernels.levels_of("conv2d", "phases")
each_direction = pytest.mark.parametrize("direction", ["forward", "backward_input", "backward_weight"])
each_level = pytest.mark.parametrize("level", LEVELS)


def phases(direction, geometry, *arrays, level=None, n_threads=2):
    return run("conv2d", direction, geometry, *arrays, variant="phases", level=level, n_threads=n_threads)


def assert_equals_definition(level, direction, geometry, arrays):
    expected = run("conv2d", direction, geometry, *arrays, variant="reference")
    got = phases(direction, geometry, *arrays, level=level)
    assert_agrees(got, expected, "phases", level, direction, geometry, arrays)


@each_level
@each_direction
@pytest.mark.parametrize("value", [0, -2, *PATTERNS])
@pytest.mark.parametrize(
    "problem",
    [
        "mb3ic2ih9iw8oc4kh3ph2dil2",
        "mb2ic3ih10oc4kh3dil3",
        "mb2ic3ih7iw12oc2kh3kw2ph4eh1pw0ew5dil3x2",  # phases of different sizes
        "mb2ic2ih6iw5oc3kh2kw4ph0pw9dil1x4",  # a dilation along one axis, patterns that repeat themselves
        "g2mb3ic4ih5oc6kh3ph3dil3",  # fewer outputs than the dilation would make phases of
        "mb2ic1ih4oc1kh3ph8dil9",
        "mb5ic18ih16oc20kh3ph2dil2",  # computed by winograd, where it may be
    ],
)
def test_every_padding_value(problem, value, direction, level):
    geometry = ConvGeometry.parse(f"{problem}pv{value}")
    assert_equals_definition(level, direction, geometry, inputs(geometry, direction, F4, seed=0))


@each_direction
@pytest.mark.parametrize(("batch", "images"), [(7, 3), (1, 1), (5, 5), (4, 9)])
def test_images_in_parts(batch, images, direction, monkeypatch):
    """So many images fit into the memory that they share."""
    geometry = ConvGeometry.parse(f"mb{batch}ic3ih8oc4kh3ph2dil2")
    for level in LEVELS:
        module = registry.load("conv2d", "phases", level)
        monkeypatch.setattr(module, "SCRATCH", images * 4 * 4 * (3 * 6 * 6 + 4 * 4 * 4) + 100)
        parts = [part.batch // 4 for _, part in module.parts_of(geometry)]
        at_once = min(images, batch)
        assert parts == [at_once] * (batch // at_once) + [batch % at_once] * (batch % at_once > 0)
        assert_equals_definition(level, direction, geometry, inputs(geometry, direction, F4, seed=1))


@each_direction
def test_bits_do_not_depend_on_threads(direction):
    geometry = ConvGeometry.parse("mb9ic20ih30oc24kh3ph2dil2pvcircular")
    arrays = floats(geometry, direction, F4, seed=1)
    runs = [bits(phases(direction, geometry, *arrays, n_threads=n)) for n in (*THREADS, 1)]
    assert all(one == runs[0] for one in runs)


@each_direction
@pytest.mark.parametrize("value", [0, "replicate"])
def test_what_is_not_finite_stays_in_its_place(direction, value):
    """Nothing is multiplied with what no output looks at, nor with the phase of another."""
    geometry = ConvGeometry.parse(f"mb2ic3ih11oc4kh3ph2dil2pv{value}")
    arrays = inputs(geometry, direction, F4, seed=2, bound=1)
    arrays[0][0, 1, 4, 10], arrays[0][1, 0, 0, 0] = np.nan, np.inf
    with np.errstate(invalid="ignore"):
        expected = run("conv2d", direction, geometry, *arrays, variant="reference")
    got = phases(direction, geometry, *arrays)
    assert_array_equal(np.isfinite(got), np.isfinite(expected))
    assert not np.isfinite(got).all()


@each_direction
def test_working_memory(direction):
    """At most 8 MB of phases, and what the variant inside works with."""
    geometry = ConvGeometry.parse("mb40ic8ih100oc8kh3ph2dil2")
    arrays = inputs(geometry, direction, F4, seed=2)
    out = np.empty(geometry.shapes[geometry.SIGNATURES[direction][1]], F4)
    buffers.release()
    tracemalloc.start()
    run("conv2d", direction, geometry, *arrays, variant="phases", n_threads=1, out=out)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert 4 * 2**20 < peak < 16 * 2**20


@pytest.mark.parametrize(
    ("problem", "dtype", "reason"),
    [
        ("mb2ic16ih30oc16kh3ph2dil2", F4, None),
        ("mb2ic16ih30oc16kh3ph2dil2", F8, "computes in float32 only"),
        ("mb2ic16ih30oc16kh3ph2sh2dil2", F4, "stride is (2, 2), wants 1"),
        ("mb2ic16ih30oc16kh3ph2", F4, "dilation is 1: there is one phase only"),
        ("mb2ic64ih200oc64kh3ph2dil2", F4, "an image in phases takes 19.9 MiB, more than 8"),
    ],
)
def test_what_it_refuses(problem, dtype, reason):
    assert kernels.refusal("conv2d", "phases", "forward", ConvGeometry.parse(problem), dtype) == reason


@pytest.mark.parametrize(
    ("problem", "reason"),
    [
        ("mb8ic64ih56oc64kh3ph2dil2", None),
        ("mb8ic64ih56oc64kh3ph2dil2pvreplicate", None),
        ("mb8ic64ih56oc64kh5ph4dil2", None),
        ("mb8ic64ih56oc64kh7ph6dil2", "phases are not worth it, "),
        ("mb8ic16ih56oc16kh3ph2dil2", "16 channels and 16 filters are too few to be worth taking images apart"),
    ],
)
@each_direction
def test_whom_it_suits(problem, reason, direction):
    got = registry.passed_over("conv2d", "phases", direction, ConvGeometry.parse(problem), F4)
    assert got == reason or got.startswith(reason)


def test_rounding_is_that_of_the_variant_inside():
    problem = ("forward", ConvGeometry.parse("mb8ic64ih56oc64kh3ph2dil2"), F4)
    factor = registry.rounding_factor("conv2d", "winograd", None, problem)
    assert registry.rounding_factor("conv2d", "phases", None, problem) == factor > 1
    with cc.precision("strict"):
        assert registry.rounding_factor("conv2d", "phases", None, problem) == 1
        assert registry.passed_over("conv2d", "phases", *problem).startswith("phases are not worth it, ")
