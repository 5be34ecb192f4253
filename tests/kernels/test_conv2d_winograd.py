"""Winograd's convolution: what is particular to it. That it agrees with the definition, test_conv.py looks at, too."""

import dataclasses
import math
import tracemalloc

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from strategies import (
    FENCES,
    THREADS,
    assert_agrees,
    assert_same,
    bits,
    fenced,
    floats,
    inputs,
    refused,
    rounding_bound,
)

from convcore import kernels
from convcore.kernels import ConvGeometry, buffers, registry, run

F4 = np.dtype(np.float32)
LEVELS = kernels.levels_of("conv2d", "winograd")
DIRECTIONS = ("forward", "backward_input", "backward_weight")
each_level = pytest.mark.parametrize("level", LEVELS)
each_direction = pytest.mark.parametrize("direction", DIRECTIONS)


def all_directions(problems):
    """The problems with each direction that there is: patterns around very wide images have no gradient here."""
    parsed = [(ConvGeometry.parse(problem), direction) for problem in problems for direction in DIRECTIONS]
    there = [(g, d) for g, d in parsed if not refused("conv2d", "winograd", None, d, g, F4)]
    return pytest.mark.parametrize(("geometry", "direction"), there, ids=str)


def winograd(direction, geometry, *arrays, level=None, n_threads=None):
    return run("conv2d", direction, geometry, *arrays, variant="winograd", level=level, n_threads=n_threads)


def exact(direction, geometry, arrays):
    """The result in float64, by the quickest variant that has it."""
    return run("conv2d", direction, geometry, *(a.astype("f8") for a in arrays), variant="im2col")


# Every way in which the work is cut, at every level: channels and filters below, at and between whole vectors, one and
# two vectors in the last panel; tiles and images that do not fill a block, images in strips, groups; filters that are
# transformed block by block, for all tiles at once and for several blocks of them.
CUTS = [
    "mb3ic5ih13oc7kh3ph1",
    "mb2ic16ih12oc32kh3ph1",
    "mb1ic17ih30iw290oc33kh3ph1",
    "mb5ic20ih7oc50kh3ph1",
    "mb2ic9ih90iw70oc4kh3",
    "mb1ic40ih28oc70kh3ph2",
    "g3mb2ic60ih15oc51kh3ph1",
    "mb1ic3ih9iw300oc18kh3ph1pw4eh0ew2",
    "mb2ic8ih12oc10kh3ph5",
    "mb2ic19ih70oc17kh3ph1pvcircular",
    "mb1ic16ih9iw270oc16kh3ph1pvsymmetric-exclude-edge",
    "mb1ic300ih5oc70kh3ph1",
    "mb1ic130ih14oc260kh3ph1",
    "mb8ic352ih14oc340kh3ph1",
    "mb3ic5ih13oc7kh5ph2",
    "mb2ic16ih12oc32kh5",
    "mb1ic17ih30iw150oc33kh5ph2",
    "mb5ic20ih7oc50kh5ph2",
    "mb2ic9ih5iw6oc4kh5",
    "mb1ic3ih9iw300oc18kh5ph1pw4eh0ew2",
    "mb2ic8ih12oc10kh5ph9",
    "mb2ic19ih70oc17kh5ph2pvcircular",
    "mb1ic130ih14oc260kh5ph2",
]

# Where what tiles write is added up: fewer tiles than the other way, or patterns around the image. Images larger than a
# block: whole ones and in parts, by filters and by tiles first, what is around them in other blocks than what it
# repeats, filters that two vectors share.
ADDED = [
    "mb5ic20ih14oc50kh3",
    "mb3ic33ih10iw22oc17kh3ph0pw1",
    "g3mb7ic51ih10oc60kh3",
    "mb2ic140ih14oc260kh3",
    "mb2ic70ih6iw64oc7kh3ph1pvreplicate",
    "g2mb9ic40ih13iw7oc10kh3ph1eh0pw3pvsymmetric-include-edge",
    "mb4ic17ih12oc19kh3ph5pvsymmetric-exclude-edge",
    "mb3ic9ih28oc16kh3ph1pvcircular",
    "mb3ic16ih4iw3oc20kh3ph7pvcircular",
    "mb1ic300ih5oc270kh3ph1pvreplicate",
    "mb5ic20ih12oc50kh5",
    "g3mb3ic33ih10iw22oc18kh5ph1pw0",
    "mb2ic70ih6iw64oc7kh5ph2pvreplicate",
    "mb4ic17ih12oc19kh5ph7pvsymmetric-exclude-edge",
    "mb3ic16ih4iw3oc20kh5ph9pvcircular",
    "mb2ic17ih41iw70oc24kh3ph1pvcircular",
    "mb9ic40ih50oc20kh3ph2pvsymmetric-exclude-edge",
    "g2mb1ic40ih60iw20oc10kh5ph4pvcircular",
    "mb1ic20ih50oc8kh3ph9eh7pvcircular",
    "mb1ic19ih67iw40oc8kh3ph0eh5pvsymmetric-include-edge",
    "mb1ic260ih45oc140kh3ph1pvreplicate",
    "mb2ic270ih40oc130kh3ph1pvcircular",
]

# Weight gradients: sums that shares of the tiles have of their own, one share, sixteen; those that are shared, of
# blocks that are less than an image, several.
SUMMED = ["mb1ic40ih7oc20kh3ph1", "mb20ic5ih30oc9kh3ph1", "mb3ic100ih33oc110kh3", "mb30ic130ih8oc70kh3ph1",
          "g5mb9ic100ih15oc90kh3ph1", "g3mb4ic330ih7oc300kh3ph1", "mb20ic5ih30oc9kh5ph2",
          "mb9ic130ih8oc70kh5ph2pv2"]  # fmt: skip


@all_directions(CUTS + ADDED + SUMMED)
def test_every_cut_stays_within_the_bound(geometry, direction):
    arrays = floats(geometry, direction, F4, seed=3)
    expected = exact(direction, geometry, arrays)
    for level in LEVELS:
        got = winograd(direction, geometry, *arrays, level=level, n_threads=1)
        assert_agrees(got, expected.astype(F4), "winograd", level, direction, geometry, arrays)
        for n_threads in THREADS[1:]:
            assert bits(winograd(direction, geometry, *arrays, level=level, n_threads=n_threads)) == bits(got)


SMALL = [f"mb3ic5ih{size}oc6kh3ph1" for size in (1, 2, 5, 6)] + [
    "mb2ic18ih2iw31oc35kh3ph1",
    "g2mb2ic8ih6oc6kh3ph1pv2",
    "mb1ic3ih6iw2oc4kh3ph1pvreplicate",
    "mb3ic5ih4oc6kh3",
    "mb2ic18ih2oc35kh3ph1pvsymmetric-include-edge",
    "g2mb2ic34ih4oc36kh3ph2pvcircular",
    "mb1ic3ih6oc4kh3ph1pvsymmetric-exclude-edge",
]


@each_level
@all_directions(SMALL)
def test_small_tiles_are_exact(geometry, direction, level):
    """With tiles of 2 × 2 pixels all numbers are whole quarters: whole numbers come out to the bit."""
    arrays = inputs(geometry, direction, F4, seed=4)
    expected = run("conv2d", direction, geometry, *arrays, variant="reference")
    assert_same(winograd(direction, geometry, *arrays, level=level), expected)


# The bound


def transforms(m, r, points):
    """A, G, and B as what makes Aᵀ[(G g) ⊙ (Bᵀ d)] a convolution."""
    evaluate = lambda count: np.array([[p**k for k in range(count)] for p in points] + [[0] * (count - 1) + [1]])  # noqa: E731
    distances = [math.prod(p - q for q in points if q != p) for p in points]
    side = m + r - 1
    A, G = evaluate(m), evaluate(r) / np.array([*distances, 1])[:, None]
    terms = np.einsum("pi,pk->ikp", A, G).reshape(r * m, side)
    B = np.zeros((side, side))
    for cell in range(side):
        read = [float(cell == i + k) for i in range(m) for k in range(r)]
        B[:, cell], residual, *_ = np.linalg.lstsq(terms, read, rcond=None)
        assert_allclose(residual, 0, atol=1e-20)
    return abs(A), abs(G), abs(B)


def growth(m, r, points):
    """max Σ |A|·Σ|G|·Σ|B| over outputs, squared and over r²."""
    A, G, B = transforms(m, r, points)
    return (A.T @ (G.sum(1) * B.sum(1))).max() ** 2 / r**2


def growth_of_input_gradient(m, r, points):
    """The same over the cells that tiles write, who add to the last ones of those before."""
    A, G, B = transforms(m, r, points)
    cells = B.T @ (G.sum(1) * A.sum(1))
    return max(cells[i::m].sum() for i in range(m)) ** 2 / r**2


def growth_of_weight_gradient(m, r, points):
    """The same over the taps, each of which is the sum of m² products of a tile."""
    A, G, B = transforms(m, r, points)
    return (G.T @ (A.sum(1) * B.sum(1))).max() ** 2 / m**2


def test_the_factor_is_derived():
    assert growth(2, 3, [0, 1, -1]) == pytest.approx(64 / 9)
    points = [0, 5 / 8, -5 / 8, 3 / 2, -3 / 2]
    for level in LEVELS:
        three, five = (
            registry.rounding_factor("conv2d", "winograd", level, ("forward", ConvGeometry.parse(problem), F4))
            for problem in ("ic3ih8oc3kh3", "ic3ih8oc3kh5")
        )
        assert three == pytest.approx(growth(4, 3, points))
        assert growth(2, 3, [0, 1, -1]) < growth_of_input_gradient(4, 3, points) < three
        assert growth(2, 3, [0, 1, -1]) < growth_of_weight_gradient(4, 3, points) < three
        assert five == pytest.approx(growth_of_weight_gradient(2, 5, points))
        assert max(growth(2, 5, points), growth_of_input_gradient(2, 5, points)) < five
        assert registry.rounding_factor("conv2d", "winograd", level) == five > three
    assert growth(4, 3, [0, 1, -1, 2, -2]) == pytest.approx(256)  # the points that are better known


def test_a_wrong_number_would_be_seen():
    """The bound is loose, but a thousandth of a weight is outside."""
    geometry = ConvGeometry.parse("mb1ic16ih12oc16kh3ph1")
    arrays = floats(geometry, "forward", F4, seed=5)
    expected = exact("forward", geometry, arrays)
    arrays[1][:, :, 1, 1] *= 1.001
    factor = registry.rounding_factor("conv2d", "winograd", None, ("forward", geometry, F4))
    error = abs(winograd("forward", geometry, *arrays) - expected).max()
    assert error > rounding_bound(geometry, "forward", arrays, F4, factor)


# The directions belong together


@pytest.mark.parametrize(
    "problem",
    ["mb2ic20ih13oc18kh3ph1", "g2mb2ic8ih30iw9oc6kh3ph0pw2eh3ew1", "mb1ic4ih20oc5kh3ph6", "mb2ic6ih14oc18kh3",
     "mb2ic6ih9oc18kh3ph1pvreplicate", "mb2ic6ih8iw23oc9kh3ph2pvcircular", "mb2ic20ih13oc18kh5ph2",
     "mb2ic6ih12oc18kh5", "mb2ic6ih9oc18kh5ph2pvreplicate"],
)  # fmt: skip
def test_adjoint(problem):
    """sum(conv(x, w) · g) and sum(x · backward_input(g, w)), as close as their rounding allows."""
    geometry = ConvGeometry.parse(problem)
    x, weight, _ = floats(geometry, "forward", F4, seed=6)
    g = np.random.default_rng(7).uniform(-1, 1, geometry.shapes["y"]).astype(F4)
    y, grad_x = winograd("forward", geometry, x, weight, None), winograd("backward_input", geometry, g, weight)
    factor = registry.rounding_factor("conv2d", "winograd", None, ("forward", geometry, F4))
    allowed = abs(g).sum() * rounding_bound(geometry, "forward", [x, weight], F4, factor)
    assert abs((y.astype("f8") * g).sum() - (x.astype("f8") * grad_x).sum()) <= allowed


@pytest.mark.parametrize("value", [0, 3, "symmetric-include-edge", "symmetric-exclude-edge", "replicate", "circular"])
def test_padding_by_hand(value):
    """A filter that hands on its centre shows the padded image, the pattern repeated where it is wider."""
    image = np.arange(1.0, 36.0, dtype=F4).reshape(1, 1, 5, 7)
    centre = np.zeros((1, 1, 3, 3), F4)
    centre[..., 1, 1] = 1
    y = kernels.conv2d_forward(image, centre, padding=9, padding_value=value, variant="winograd")
    mode = kernels.ConvGeometry.of(image.shape, (1, 1, 3, 3), padding=9, padding_value=value)
    whole = np.zeros((1, 1, 5 + 16, 7 + 16), F4)
    run("conv2d", "forward", dataclasses.replace(mode, padding=((8, 8), (8, 8)), filter_size=(1, 1)), image,
        np.ones((1, 1, 1, 1), F4), None, variant="reference", out=whole)  # fmt: skip
    assert_array_equal(np.rint(y), whole)


# What is not finite


@each_level
@each_direction
@pytest.mark.parametrize("special", [np.nan, np.inf, -np.inf, 3e38])
@pytest.mark.parametrize(
    "problem",
    ["mb2ic3ih18oc4kh3ph1", "mb1ic20ih9iw90oc33kh3ph1", "mb3ic4ih6oc5kh3ph1", "mb2ic3ih14oc4kh3",
     "mb2ic4ih9oc5kh3ph1pvreplicate", "mb2ic4ih7oc5kh3ph2pvcircular", "mb2ic3ih18oc4kh5ph2", "mb2ic3ih12oc4kh5",
     "mb2ic4ih7oc5kh5ph2pvcircular", "mb1ic19ih40oc5kh3ph1pvcircular", "mb8ic4ih40oc5kh3ph1pvsymmetric-exclude-edge"],
)  # fmt: skip
def test_what_is_not_finite_stays_in_its_place(problem, special, direction, level):
    """A transform would spread it over whole tiles, or make a number too large of two large ones."""
    geometry = ConvGeometry.parse(problem)
    arrays = inputs(geometry, direction, F4, seed=8, bound=1)
    arrays[0][0, 1, 4, 5] = special
    with np.errstate(invalid="ignore", over="ignore"):
        expected = run("conv2d", direction, geometry, *arrays, variant="reference")
    got = winograd(direction, geometry, *arrays, level=level)
    assert_array_equal(np.isnan(got), np.isnan(expected))
    assert_array_equal(np.isinf(got), np.isinf(expected))
    assert_allclose(got, expected, rtol=1e-5, atol=1e-3)


@each_direction
@pytest.mark.parametrize(
    "problem", ["mb1ic2ih9oc5kh3ph1", "mb1ic2ih6oc5kh3", "mb1ic2ih9oc5kh3ph1pvcircular", "mb1ic2ih9oc5kh5ph2"]
)  # fmt: skip
def test_a_filter_that_is_not_finite(problem, direction):
    """Or an image, for the weight gradient."""
    geometry = ConvGeometry.parse(problem)
    first, other, *bias = inputs(geometry, direction, F4, seed=9, bound=1)
    other[0, 1, 0, 2] = np.inf
    with np.errstate(invalid="ignore"):
        expected = run("conv2d", direction, geometry, first, other, *bias, variant="reference")
    got = winograd(direction, geometry, first, other, *bias)
    assert not np.isfinite(expected).all()
    assert_allclose(got, expected, rtol=1e-5, atol=1e-3)


# Memory


@FENCES
@each_level
@each_direction
@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize(
    "problem", ["mb1ic16ih9oc16kh3ph1", "mb2ic17ih5iw70oc18kh3ph1", "mb1ic3ih7oc2kh3", "mb1ic16ih1oc16kh3ph1",
                "mb1ic17ih9oc18kh3ph1pvreplicate", "mb2ic16ih14oc16kh3", "mb1ic17ih9oc18kh5ph2", "mb2ic16ih12oc16kh5",
                "mb1ic3ih7oc2kh5", "mb2ic17ih5iw70oc18kh5ph2", "mb1ic17ih40oc18kh3ph1pvcircular"]
)  # fmt: skip
def test_nothing_is_read_outside_the_arrays(problem, after, direction, level):
    geometry = ConvGeometry.parse(problem)
    arrays = inputs(geometry, direction, F4, seed=10)
    out = np.zeros(geometry.shapes[geometry.SIGNATURES[direction][1]], F4)
    *arrays, out = [list(fenced(array))[after] for array in (*arrays, out)]
    run("conv2d", direction, geometry, *arrays, variant="winograd", level=level, n_threads=2, out=out)


@each_direction
@pytest.mark.parametrize("n_threads", [1, 3])
@pytest.mark.parametrize(
    "problem", ["ic64ih56oc64kh3ph1", "ic3ih300oc64kh3ph1", "ic512ih14oc256kh3ph1", "ic2048ih7oc16kh3ph1",
                "ic16ih9iw2000oc16kh3ph1", "ic256ih28oc96kh3ph1",
                "ic256ih30oc96kh3", "ic96ih28oc256kh3", "ic256ih28oc96kh5ph2", "ic16ih9iw2000oc16kh5ph2",
                "ic64ih120oc64kh3ph1pvcircular", "ic16ih9iw2000oc16kh3ph1pvreplicate"]
)  # fmt: skip
def test_working_memory(problem, n_threads, direction):
    """At most 8 MB per thread besides the transformed filters, whatever the number of images."""
    peaks = []
    for batch in (1, 16):
        geometry = ConvGeometry.parse(f"mb{batch}{problem}")
        names, result = geometry.SIGNATURES[direction]
        arrays, out = [np.zeros(geometry.shapes[name], F4) for name in names], np.empty(geometry.shapes[result], F4)
        buffers.release()
        tracemalloc.start()
        run("conv2d", direction, geometry, *arrays, variant="winograd", n_threads=n_threads, out=out)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    lanes = 16  # filters are rounded up to whole vectors
    filters = 36 * 4 * geometry.in_channels * -(-geometry.out_channels // lanes) * lanes
    assert max(peaks) - filters < n_threads * 8 * 2**20


# What it refuses, and what it leaves to others


@pytest.mark.parametrize(
    ("problem", "direction", "dtype", "reason"),
    [
        ("ic16ih8oc16kh3", "forward", "f8", "computes in float32 only"),
        ("ic16ih8oc16kh7", "forward", "f4", "filter is 7×7, wants 3×3 or 5×5"),
        ("ic16ih8oc16kh3kw1", "backward_input", "f4", "filter is 3×1, wants 3×3 or 5×5"),
        ("ic16ih8oc16kh3sh2", "forward", "f4", "stride is (2, 2), wants 1"),
        ("ic16ih8oc16kh3dil1x2", "forward", "f4", "dilation is (1, 2), wants 1"),
        ("ic16ih4iw11000oc16kh3ph1pvcircular", "backward_input", "f4",
         "padding is circular: its gradient goes back to the cells it repeats, and a row of its tiles does not fit a"
         " block"),
        ("ic16ih4iw5000oc16kh3ph1pvcircular", "backward_input", "f4", None),
        ("ic16ih8oc16kh3ph1pvcircular", "forward", "f4", None),
        ("ic16ih8oc16kh3ph1pv2", "backward_input", "f4", None),
        ("ic16ih8oc16kh3", "backward_weight", "f4", None),
    ],
)  # fmt: skip
def test_refusals(problem, direction, dtype, reason):
    geometry = ConvGeometry.parse(problem)
    assert kernels.refusal("conv2d", "winograd", direction, geometry, np.dtype(dtype)) == reason


@pytest.mark.parametrize(
    ("problem", "chosen"),
    [
        ("mb16ic64ih56oc64kh3ph1", True),
        ("mb64ic16ih14oc32kh3ph1", True),
        ("mb1ic512ih14oc512kh3ph1", True),
        ("mb64ic20ih12oc50kh5", True),
        ("mb64ic6ih14oc16kh5", False),  # six channels do not fill one
        ("mb64ic1ih28oc16kh3ph1", False),  # one channel fills no vector
        ("mb64ic3ih32oc32kh3ph1", False),
        ("mb1ic512ih7oc512kh3ph1", False),  # four tiles are not worth the transforms of 262144 filters
        ("g64mb8ic64ih28oc64kh3ph1", False),
        ("mb0ic64ih2oc64kh3ph1", False),
    ],
)
@each_level
def test_where_it_is_chosen(problem, chosen, level):
    geometry = ConvGeometry.parse(problem)
    reason = registry.passed_over("conv2d", "winograd", "forward", geometry, F4, level)
    assert (reason is None) == chosen
    assert chosen or reason.endswith(" times as long as a plain sum: few channels, filters or tiles")
