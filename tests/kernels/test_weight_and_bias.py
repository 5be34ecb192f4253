"""Both gradients in one pass over that of the outputs: the bits of one after the other."""

import numpy as np
import pytest
from strategies import FENCES, THREADS, assert_same, bits, fenced, floats, integers, refused

import convcore as cc
from convcore import kernels
from convcore.kernels import ConvGeometry, MatrixGeometry, PoolGeometry, dispatch, registry, run
from convcore.ops import fused

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


POOLED = [
    *PROBLEMS[:7],
    "mb1ic1ih9oc7kh3ph1",  # an odd number of rows and columns
    "mb7ic1ih5iw7oc3kh2kw4",  # planes narrower than a vector, the last of them at the end of the array
    "g3mb9ic3ih2oc9kh1",
    "mb3ic1ih40oc8kh5ph2pvcircular",
]
POOLED_CELLS = [
    (problem, variant, level)
    for problem in POOLED
    for variant in kernels.variants("conv2d")
    if hasattr(registry.load("conv2d", variant, cc.isa.DEFAULT), "backward_weight_bias_pool")
    for level in kernels.levels_of("conv2d", variant)
    if not refused("conv2d", variant, level, "backward_weight_bias_pool", ConvGeometry.parse(problem), "f4")
]


def maxima(geometry, seed):
    """The pooling behind a convolution, where its maxima stood, and x."""
    rng = np.random.default_rng(seed)
    y = rng.integers(-2, 4, geometry.shapes["y"]).astype("f4")
    pool = PoolGeometry.of("max_pool2d", y.shape, 2)
    return pool, run("max_pool2d", "forward_relu", pool, y)[1], rng.integers(-3, 4, geometry.shapes["x"]).astype("f4")


@pytest.mark.parametrize("whole", [True, False])
@pytest.mark.parametrize(("problem", "variant", "level"), POOLED_CELLS)
def test_from_gradients_of_maxima(problem, variant, level, whole):
    """The bits of spreading them first; with whole numbers, those of the definition."""
    geometry = ConvGeometry.parse(problem)
    pool, index, x = maxima(geometry, 0)
    rng = np.random.default_rng(1)
    grad = rng.integers(-3, 4, index.shape).astype("f4") if whole else rng.uniform(-1, 1, index.shape).astype("f4")
    how = dict(variant="reference", level=None) if whole else dict(variant=variant, level=level)
    grad_y = run("max_pool2d", "backward_input", pool, grad, index)
    expected = run("conv2d", "backward_weight_bias", geometry, grad_y, x, **how)
    for n_threads in THREADS:
        found = run("conv2d", "backward_weight_bias_pool", geometry, grad, index, x, variant=variant, level=level,
                    n_threads=n_threads)  # fmt: skip
        assert bits(found) == bits(expected)


BEHIND_RELU = [
    (problem, variant, level)
    for problem in [*POOLED, *PROBLEMS[8:]]
    for variant in kernels.variants("conv2d")
    if hasattr(registry.load("conv2d", variant, cc.isa.DEFAULT), "backward_weight_bias_relu")
    for level in kernels.levels_of("conv2d", variant)
    if not refused("conv2d", variant, level, "backward_weight_bias_relu", ConvGeometry.parse(problem), "f4")
]


@pytest.mark.parametrize("whole", [True, False])
@pytest.mark.parametrize(("problem", "variant", "level"), BEHIND_RELU)
def test_from_gradients_of_relu(problem, variant, level, whole):
    """The bits of ReLU's way back first; with whole numbers, those of the definition."""
    geometry = ConvGeometry.parse(problem)
    rng = np.random.default_rng(1)
    draw = (lambda shape: rng.integers(-3, 4, shape)) if whole else (lambda shape: rng.uniform(-1, 1, shape))
    grad, y, x = (draw(geometry.shapes[name]).astype("f4") for name in ("grad_y", "y", "x"))
    how = dict(variant="reference", level=None) if whole else dict(variant=variant, level=level)
    grad_y = np.where(y > 0, grad, 0).astype("f4")
    expected = run(geometry.op, "backward_weight_bias", geometry, grad_y, x, **how)
    for n_threads in THREADS:
        found = run(geometry.op, "backward_weight_bias_relu", geometry, grad, y, x, variant=variant, level=level,
                    n_threads=n_threads)  # fmt: skip
        assert bits(found) == bits(expected)


def test_nan_passes_relu_on_its_way_back():
    geometry = ConvGeometry.parse("mb2ic1ih9oc7kh3")
    grad, y, x = (np.ones(geometry.shapes[name], "f4") for name in ("grad_y", "y", "x"))
    y[0, 3, 2, 2], y[1, 4] = np.nan, -1
    for variant in ("depthwise", "reference"):
        _, bias = run("conv2d", "backward_weight_bias_relu", geometry, grad, y, x, variant=variant)
        assert_same(bias, np.array([98, 98, 98, 98, 49, 98, 98], "f4"))


def test_which_variants_pool_their_gradients():
    assert {variant for _, variant, _ in POOLED_CELLS} == {"depthwise", "reference"}
    assert len({problem for problem, variant, _ in POOLED_CELLS if variant == "depthwise"}) == 7
    large = ConvGeometry.parse("mb3ic1ih80oc8kh5ph2")
    assert kernels.refusal("conv2d", "depthwise", "backward_weight_bias_pool", large, np.dtype("f4")) == (
        "would make the gradients of planes of 80 × 80 once for each band of rows"
    )
    line = ConvGeometry.parse("mb3ic1iw80oc8kw5")
    assert kernels.refusal("conv1d", "depthwise", "backward_weight_bias_pool", line, np.dtype("f4")) == (
        "pools images in two dimensions, of 2×2 outputs and more"
    )


@FENCES
@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize(("problem", "variant", "level"), [cell for cell in POOLED_CELLS if cell[1] != "reference"])
def test_nothing_outside_is_touched(problem, variant, level, after):
    geometry = ConvGeometry.parse(problem)
    _, index, x = maxima(geometry, 2)
    wrong = np.where(np.arange(index.size).reshape(index.shape) % 5, index, np.iinfo("i4").max)  # leads nowhere
    arrays = [np.ones(index.shape, "f4"), wrong.astype("i4"), x]
    out = [np.zeros(geometry.shapes[name], "f4") for name in ("grad_weight", "grad_bias")]
    arrays, out = ([list(fenced(array))[after] for array in some] for some in (arrays, out))
    run("conv2d", "backward_weight_bias_pool", geometry, *arrays, variant=variant, level=level, n_threads=2, out=out)


def test_who_is_asked_for_gradients_of_relu():
    def found(needs_x):
        geometry = ConvGeometry.parse("mb8ic1ih28oc8kh5ph2")
        x, w, b = (cc.Tensor(integers(geometry.shapes[name], "f4", [2, i]), requires_grad=needs_x or i > 0)
                   for i, name in enumerate(("x", "weight", "bias")))  # fmt: skip
        calls = []
        with cc.Tape() as tape:
            y = fused.conv_relu("conv2d", x, w, b, padding=2)
        with kernels.program.observing(lambda made: calls.append((made.op, made.direction))):
            tape.backward(y, grad=np.ones(y.shape, np.float32))
        return calls

    assert found(False) == [("conv2d", "backward_weight_bias_relu")]
    apart = [("relu", "backward_input"), ("conv2d", "backward_weight_bias")]
    assert found(True) == [apart[0], ("conv2d", "backward_input"), apart[1]]
    with kernels.use_variant("relu", "reference"):
        assert found(False) == apart


def pooled_directions(needs_x, **how):
    """What the way back through convolution, ReLU and pooling calls."""
    geometry = ConvGeometry.parse("mb8ic1ih28oc8kh5ph2")
    x, w, b = (cc.Tensor(integers(geometry.shapes[name], "f4", [2, i]), requires_grad=needs_x or i > 0)
               for i, name in enumerate(("x", "weight", "bias")))  # fmt: skip
    found = []
    with cc.Tape() as tape:
        y = fused.conv_relu_max_pool("conv2d", x, w, b, padding=2, **{"window": (2, 2, 0), **how})
    with kernels.program.observing(lambda made: found.append((made.op, made.direction))):
        tape.backward(y, grad=np.ones(y.shape, np.float32))
    return found


def test_who_is_asked_for_gradients_of_maxima():
    """A first layer, whose input has no gradient, behind windows of 2×2; and nobody else is to run."""
    assert pooled_directions(False) == [("conv2d", "backward_weight_bias_pool")]
    apart = [("max_pool2d", "backward_input"), ("conv2d", "backward_weight_bias")]
    assert pooled_directions(True) == [apart[0], ("conv2d", "backward_input"), apart[1]]
    assert pooled_directions(False, window=(3, 2, 0)) == apart
    with kernels.use_variant("max_pool2d", "reference"):
        assert pooled_directions(False) == apart
    with kernels.use_variant("conv2d", "depthwise"):
        assert pooled_directions(False) == [apart[0], ("conv2d", "backward_weight"), ("conv2d", "backward_bias")]


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
