"""Both gradients in one pass over that of the outputs: the bits of one after the other."""

import numpy as np
import pytest
from strategies import THREADS, assert_same, bits, floats, integers, refused

import convcore as cc
from convcore import kernels
from convcore.kernels import ConvGeometry, MatrixGeometry, dispatch, registry, run

PROBLEMS = [
    "mb64ic1ih28oc6kh5ph2",  # a channel's many filters, lanes are pixels
    "mb5ic1ih9oc3kh3",  # few of them, bands of rows
    "g4mb19ic4ih20oc8kh3sh2",
    "mb64ic6ih14oc16kh5",
    "mb16ic6ih14oc16kh5",  # one vector of images: the filters are halved
    "g3mb37ic6ih7oc9kh3ph1",
    "mb40ic20ih9oc63kh3pv2ph1",  # a number around the image
    "mb3ic2ih3oc5kh2",  # planes smaller than a vector
    "mb2ic2iw40oc3kw5",
    "mb20ic2id5ih6iw7oc3kd3kh2kw3",
]
CELLS = [
    (problem, variant, level)
    for problem in PROBLEMS
    for variant in kernels.variants("conv2d")
    if hasattr(registry.load("conv2d", variant, cc.isa.DEFAULT), "backward_weight_bias")
    for level in kernels.levels_of("conv2d", variant)
    if not refused("conv2d", variant, level, "backward_weight_bias", ConvGeometry.parse(problem), "f4")
]


@pytest.mark.parametrize(("problem", "variant", "level"), CELLS)
def test_the_bits_of_one_after_the_other(problem, variant, level):
    geometry = ConvGeometry.parse(problem)
    grad_y, x = floats(geometry, "backward_weight", np.float32, 0)
    of_bias = "reference" if variant == "reference" else "direct"
    expected = (
        run(geometry.op, "backward_weight", geometry, grad_y, x, variant=variant, level=level),
        run(geometry.op, "backward_bias", geometry, grad_y, variant=of_bias, level=level),
    )
    for n_threads in THREADS:
        found = run(geometry.op, "backward_weight_bias", geometry, grad_y, x, variant=variant, level=level,
                    n_threads=n_threads)  # fmt: skip
        assert bits(found) == bits(expected)


@pytest.mark.parametrize(("problem", "variant", "level"), CELLS)
def test_equals_the_definition(problem, variant, level):
    geometry = ConvGeometry.parse(problem)
    arrays = [integers(geometry.shapes[name], np.float32, [1, i], 3) for i, name in enumerate(("grad_y", "x"))]
    expected = run(geometry.op, "backward_weight_bias", geometry, *arrays, variant="reference")
    assert_same(run(geometry.op, "backward_weight_bias", geometry, *arrays, variant=variant, level=level), expected)


def test_some_variant_has_it():
    assert {"images", "depthwise", "reference"} <= {variant for _, variant, _ in CELLS}


def directions(geometry, **how):
    """What the way back through a convolution calls, and its gradients."""
    x, w, b = (cc.Tensor(integers(geometry.shapes[name], "f4", [2, i]), requires_grad=True)
               for i, name in enumerate(("x", "weight", "bias")))  # fmt: skip
    found = []
    with cc.Tape() as tape:
        y = cc.conv2d(x, w, b, padding=2, **how)
    with kernels.program.observing(lambda made: found.append((made.direction, made.call.variant))):
        tape.backward(y, grad=np.ones(y.shape, np.float32))
    return found, [t.grad for t in (x, w, b)]


def test_who_is_asked_for_it():
    """Whoever computes the weights, unless a variant is asked for or is the user's own."""
    geometry = ConvGeometry.parse("mb64ic6ih14oc16kh5ph2")
    apart = ["backward_input", "backward_weight", "backward_bias"]
    found, expected = directions(geometry)
    assert found == [("backward_input", "images"), ("backward_weight_bias", "images")]
    found, gradients = directions(geometry, variant="images")
    assert [direction for direction, _ in found] == apart
    assert_same(gradients, expected)
    with kernels.use_variant("conv2d", "images"):
        assert [direction for direction, _ in directions(geometry)[0]] == apart

    class Own:
        @staticmethod
        def backward_bias(geometry, grad_y, grad_bias, n_threads):
            grad_bias[...] = 7

    kernels.register("conv2d", Own, "own")
    try:
        found, (_, _, bias) = directions(geometry)
        assert [direction for direction, _ in found] == apart
        assert (bias == 7).all()
    finally:
        kernels.unregister("conv2d", "own")


def test_a_variant_without_it():
    geometry = ConvGeometry.parse("mb8ic64ih20oc64kh3")
    assert dispatch.chosen("conv2d", "backward_weight", geometry, np.dtype("f4"), cc.isa.DEFAULT) == "winograd"
    assert dispatch.weight_and_bias("conv2d", geometry, np.dtype("f4")) is None


@pytest.mark.parametrize("dtype", ["f4", "f8"])
@pytest.mark.parametrize(("variant", "level"), [
    (variant, level) for variant in kernels.variants("fully_connected")
    for level in kernels.levels_of("fully_connected", variant)
])  # fmt: skip
def test_fully_connected(variant, level, dtype):
    how = dict(variant=variant, level=level)
    for sizes in ((16, 10, 84), (64, 120, 400), (1, 3, 5)):
        geometry = MatrixGeometry("fully_connected", *sizes)
        grad_y, x = (np.random.default_rng(i).uniform(-1, 1, geometry.shapes[name]).astype(dtype)
                     for i, name in enumerate(("grad_y", "x")))  # fmt: skip
        expected = (run("fully_connected", "backward_weight", geometry, grad_y, x, **how),
                    run("fully_connected", "backward_bias", geometry, grad_y, **how))  # fmt: skip
        for n_threads in THREADS:
            found = run("fully_connected", "backward_weight_bias", geometry, grad_y, x, n_threads=n_threads, **how)
            assert bits(found) == bits(expected)
