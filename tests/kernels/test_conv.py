"""Convolution in one to three dimensions: every variant against the definition, the definition against hand work."""

import math
import tracemalloc

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from numpy.testing import assert_array_equal
from strategies import DTYPES, THREADS, cells, conv_geometries, inputs, integers, refused, widest

from convcore import isa, kernels
from convcore.kernels import ConvGeometry, buffers, run
from convcore.profile import exactness, problems

PARSED = {str(problem): problem for problem in problems.read("exactness")}
CELLS = cells("conv2d")  # the variants, levels and directions; of conv1d and conv3d they are the same


@pytest.mark.parametrize("op", ["conv1d", "conv3d"])
def test_all_numbers_of_dimensions_have_the_same_built_in_variants(op):
    of_images = ("phases", "winograd")
    assert kernels.variants(op) == tuple(name for name in kernels.variants("conv2d") if name not in of_images)
    shared = [cell.values for cell in CELLS if cell.values[0] in kernels.variants(op)]
    assert [cell.values for cell in cells(op)] == shared


@pytest.mark.parametrize("problem", PARSED)
@pytest.mark.parametrize(("variant", "level", "direction"), CELLS)
def test_equals_the_definition(variant, level, direction, problem):
    geometry = PARSED[problem]
    for dtype in DTYPES if variant in kernels.variants(geometry.op) else ():
        exactness.equals_definition(geometry.op, variant, level, direction, geometry, dtype)


@pytest.mark.parametrize(("variant", "level", "direction"), CELLS)
def test_no_kernel_escapes(variant, level, direction):
    problems = [g for g in PARSED.values() if g.batch and variant in kernels.variants(g.op)]
    for dtype in DTYPES if widest("conv2d", variant) == "f8" else ["f4"]:
        assert any(not refused(g.op, variant, level, direction, g, dtype) for g in problems)


@pytest.mark.parametrize(("variant", "level", "direction"), CELLS)
@given(geometry=conv_geometries(), seed=st.integers(0, 999), n_threads=st.sampled_from(THREADS), bias=st.booleans())
@settings(max_examples=60)
def test_equals_the_definition_anywhere(variant, level, direction, geometry, seed, n_threads, bias):
    assume(variant in kernels.variants(geometry.op))
    for dtype in DTYPES:
        exactness.equals_definition(geometry.op, variant, level, direction, geometry, dtype, (n_threads,), seed, bias)


@pytest.mark.parametrize("variant", kernels.variants("conv2d"))
@given(geometry=conv_geometries(), seed=st.integers(0, 999))
@settings(max_examples=30)
def test_adjoint_identity(variant, geometry, seed):
    """sum(conv(x, w) · g) == sum(x · backward_input(g, w)) == sum(w · backward_weight(x, g)), to the last bit."""
    op = geometry.op
    assume(variant in kernels.variants(op))
    for level in kernels.levels_of(op, variant):
        for dtype in DTYPES:
            exactness.adjoint_identity(op, variant, level, geometry, dtype, seed)


@given(geometry=conv_geometries(), seed=st.integers(0, 999))
@settings(max_examples=30)
def test_adjoint_identity_of_the_bias(geometry, seed):
    op, (x, weight, bias) = geometry.op, inputs(geometry, "forward", "f8", seed)
    g = integers(geometry.shapes["y"], "f8", seed + 1)
    added = run(op, "forward", geometry, x, weight, bias) - run(op, "forward", geometry, x, weight, None)
    assert (added * g).sum() == (bias * run(op, "backward_bias", geometry, g)).sum()


@pytest.mark.parametrize(
    "problem",
    [
        "mb4ic3ih15oc5kh3ph1",
        "g2mb2ic8ih11oc6kh5sh2ph2",
        "mb3ic32ih9oc7kh3ph1dil2pv0.3",
        "mb2ic1ih28oc6kh5",
        "mb2ic3ih9oc4kh3ph2pvreplicate",
        "mb2ic9iw40oc5kw9",
        "mb2ic3id6oc4kd3pd1",
    ],
)
@pytest.mark.parametrize(("variant", "level", "direction"), CELLS)
def test_rounding_stays_within_its_bound(variant, level, direction, problem):
    geometry = ConvGeometry.parse(problem)
    for dtype in DTYPES if variant in kernels.variants(geometry.op) else ():
        exactness.rounds_within_bound(geometry.op, variant, level, direction, geometry, dtype)


@pytest.mark.parametrize(
    "problem",
    [
        "mb5ic2ih40oc7kh3ph1",
        "g3mb7ic6ih13oc9kh3sh2ph1pv0.1",
        "mb64ic1ih10oc3kh5",
        "mb3ic2ih40oc7kh3ph1pvcircular",
        "mb9ic12iw90oc20kw11",
        "mb2ic3id14oc5kd3pd1",
    ],
)
@pytest.mark.parametrize(("variant", "level", "direction"), CELLS)
def test_bits_do_not_depend_on_threads(variant, level, direction, problem):
    geometry = ConvGeometry.parse(problem)
    for dtype in DTYPES if variant in kernels.variants(geometry.op) else ():
        exactness.same_bits(geometry.op, variant, level, direction, geometry, dtype)


@pytest.mark.parametrize("direction", ["forward", "backward_input", "backward_weight"])
@pytest.mark.parametrize("n_threads", [1, 3])
@pytest.mark.parametrize("variant", [name for name in kernels.variants("conv2d") if name != "reference"])
@pytest.mark.parametrize(
    "problem",
    [
        "ic16ih40oc8kh5ph2",  # columns of the whole batch: 26 MB and 210 MB
        "ic64ih12oc512kh3ph1",
        "ic512ih6oc512kh1",
        "ic3ih70iw80oc4kh11sh4pvreplicateph5",
        "ic4id9oc8kd3pd4pvcircular",
        "ic5iw3000oc20kw9dil50pw200pvsymmetric-include-edge",
    ],
)
def test_working_memory(variant, problem, direction, n_threads):
    """At most 8 MB per thread besides the weights in another order, whatever the number of images."""
    peaks = []
    for batch in (1, 8):
        geometry = ConvGeometry.parse(f"mb{batch}{problem}")
        if variant not in kernels.variants(geometry.op):
            pytest.skip(f"{geometry.op} has no {variant}")
        dtype = widest(geometry.op, variant)
        if refused(geometry.op, variant, isa.DEFAULT, direction, geometry, dtype):
            pytest.skip(f"{variant} refuses it")
        arrays = [np.zeros(geometry.shapes[name], dtype) for name in geometry.SIGNATURES[direction][0]]
        out = np.empty(geometry.shapes[geometry.SIGNATURES[direction][1]], dtype)
        buffers.release()
        tracemalloc.start()
        run(geometry.op, direction, geometry, *arrays, variant=variant, n_threads=n_threads, out=out)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    weights = arrays[0].itemsize * math.prod(geometry.shapes["weight"])
    if direction == "backward_weight":
        weights *= 4 if variant == "winograd" else 0  # which sums up the gradients of transformed weights
    assert max(peaks) - weights < n_threads * 8 * 2**20


# Worked out on paper


def forward(x, weight, bias=None, **options):
    return kernels.conv2d_forward(x, weight, bias, variant="reference", **options)


RAMP = np.arange(1.0, 10.0).reshape(1, 1, 3, 3)  # 1 2 3 / 4 5 6 / 7 8 9
CORNERS = np.array([[[[1.0, 0.0], [0.0, -1.0]]]])  # a cell minus the one below it to the right
STEPS = np.array([[[[1.0, 2.0], [3.0, 4.0]]]])


def test_it_is_cross_correlation():
    """1·1 + 2·2 + 4·3 + 5·4 = 37: the filter is not turned over."""
    assert_array_equal(forward(RAMP, STEPS), [[[[37, 47], [67, 77]]]])
    assert_array_equal(forward(RAMP, CORNERS), [[[[-4, -4], [-4, -4]]]])


def test_bias_by_hand():
    y = forward(RAMP, np.concatenate([STEPS, CORNERS]), [100.0, 1.0])
    assert_array_equal(y[0], [[[137, 147], [167, 177]], [[-3, -3], [-3, -3]]])


def test_stride_by_hand():
    x = np.arange(25.0).reshape(1, 1, 5, 5)
    ones = np.ones((1, 1, 2, 1))  # a cell and the one below it: 0 + 5, 3 + 8; 10 + 15, 13 + 18
    assert_array_equal(forward(x, ones, stride=(2, 3)), [[[[5, 11], [25, 31]]]])


def test_dilation_by_hand():
    """The corners of the image: 1·1 + 3·2 + 7·3 + 9·4 = 64."""
    assert_array_equal(forward(RAMP, STEPS, dilation=2), [[[[64]]]])
    assert_array_equal(forward(RAMP, STEPS, dilation=(1, 2)), [[[[1 + 6 + 12 + 24], [4 + 12 + 21 + 36]]]])


def test_four_sided_padding_by_hand():
    """One row on top, none at the bottom; nothing at the left, two columns at the right; all of them tens."""
    y = forward(RAMP, STEPS, padding=(1, 0, 0, 2), padding_value=10)
    assert_array_equal(y, [[[[10 + 20 + 3 + 8, 10 + 20 + 6 + 12, 10 + 20 + 9 + 40, 10 + 20 + 30 + 40],
                             [37, 47, 3 + 20 + 18 + 40, 100],
                             [67, 77, 6 + 20 + 27 + 40, 100]]]])  # fmt: skip


# What the specification prints for each padding value, two cells wide: rows of the padded image.
PRINTED = {
    0: "0000000 0000000 0031400 0015900 0026500 0000000 0000000",
    "symmetric-include-edge": "5115995 1331441 1331441 5115995 6226556 6226556 5115995",
    "symmetric-exclude-edge": "5626562 9515951 4131413 9515951 5626562 9515951 4131413",
    "replicate": "3331444 3331444 3331444 1115999 2226555 2226555 2226555",
    "circular": "5915915 6526526 1431431 5915915 6526526 1431431 5915915",
}
PRINTED_ROW = {0: "0031400", "symmetric-include-edge": "1331441", "symmetric-exclude-edge": "4131413",
               "replicate": "3331444", "circular": "1431431"}  # fmt: skip


ONE_CELL = ConvGeometry.of((1, 1, 3, 3), (1, 1, 1, 1), padding=2, padding_value="replicate")


@pytest.mark.parametrize("variant", [
    v for v in kernels.variants("conv2d")
    if not refused("conv2d", v, None, "backward_input", ONE_CELL, widest("conv2d", v))
])  # fmt: skip
@pytest.mark.parametrize("value", PRINTED)
def test_padding_values_as_the_specification_prints_them(variant, value):
    """A filter of one cell shows the padded image; the gradient of each cell counts how often it stands there."""
    dtype = widest("conv2d", variant)
    geometry = ConvGeometry.of((1, 1, 3, 3), (1, 1, 1, 1), padding=2, padding_value=value)
    reason = kernels.refusal("conv2d", variant, "forward", geometry, np.dtype(dtype))
    if reason:
        pytest.skip(reason)
    image = np.array([[3, 1, 4], [1, 5, 9], [2, 6, 5]], dtype)
    one = np.ones((1, 1, 1, 1), dtype)
    how = dict(padding=2, padding_value=value, variant=variant)
    y = kernels.conv2d_forward(image[None, None], one, **how)
    assert [[f"{n:.0f}" for n in row] for row in y[0, 0]] == [list(row) for row in PRINTED[value].split()]
    labels = np.arange(9, dtype=dtype).reshape(1, 1, 3, 3)
    seen = kernels.conv2d_forward(labels + 1, one, **how)
    count = kernels.conv2d_backward_input(np.ones_like(y), one, labels.shape, **how)
    assert_array_equal(count, [[[[(seen == label + 1).sum() for label in row] for row in labels[0, 0]]]])
    row = kernels.conv1d_forward(image[None, :1], one[0], **how)
    assert "".join(f"{n:.0f}" for n in row[0, 0]) == PRINTED_ROW[value]


def test_channels_add_up_and_groups_do_not():
    x = np.stack([RAMP[0, 0], 10 * RAMP[0, 0]])[None]  # (1, 2, 3, 3)
    assert_array_equal(forward(x, np.ones((1, 2, 3, 3))), [[[[45 + 450]]]])
    assert_array_equal(forward(x, np.ones((2, 1, 3, 3)), groups=2), [[[[45]], [[450]]]])
    assert_array_equal(forward(x, np.ones((4, 1, 3, 3)), groups=2)[0, :, 0, 0], [45, 45, 450, 450])


def test_backward_input_by_hand():
    """Each output spreads its gradient, times the filter, over the 2 × 2 cells that it read."""
    g = np.array([[[[1.0, 10.0], [100.0, 1000.0]]]])
    got = kernels.conv2d_backward_input(g, STEPS, (1, 1, 3, 3), variant="reference")
    assert_array_equal(got, [[[[1, 2 + 10, 20],
                               [3 + 100, 4 + 30 + 200 + 1000, 40 + 2000],
                               [300, 400 + 3000, 4000]]]])  # fmt: skip
    strided = kernels.conv2d_backward_input(g, STEPS, (1, 1, 2, 3), stride=(1, 2), padding=(1, 0, 1, 0),
                                            variant="reference")  # fmt: skip
    # Outputs read rows −1..1, columns −1..2: what fell on row −1 or column −1 is gone.
    assert_array_equal(strided, [[[[4 * 1 + 2 * 100, 3 * 10 + 1 * 1000, 4 * 10 + 2 * 1000],
                                   [4 * 100, 3 * 1000, 4 * 1000]]]])  # fmt: skip


def test_backward_weight_by_hand():
    """Each weight's gradient: the outputs' gradients times the cells that it was multiplied with."""
    g = np.array([[[[1.0, 10.0], [100.0, 1000.0]]]])
    got = kernels.conv2d_backward_weight(g, RAMP, (1, 1, 2, 2), variant="reference")
    assert_array_equal(got, [[[[1 + 20 + 400 + 5000, 2 + 30 + 500 + 6000],
                               [4 + 50 + 700 + 8000, 5 + 60 + 800 + 9000]]]])  # fmt: skip
    padded = kernels.conv2d_backward_weight(np.ones((1, 1, 1, 5)), RAMP, (1, 1, 3, 1), padding=(0, 1), padding_value=7,
                                            variant="reference")  # fmt: skip
    assert_array_equal(padded, [[[[7 + 6 + 7], [7 + 15 + 7], [7 + 24 + 7]]]])


def test_backward_bias_by_hand():
    assert_array_equal(kernels.conv2d_backward_bias(np.arange(8.0).reshape(2, 2, 1, 2)), [0 + 1 + 4 + 5, 2 + 3 + 6 + 7])


def test_an_empty_batch_has_zero_gradients():
    geometry = ConvGeometry.of((0, 2, 5, 5), (3, 2, 3, 3))
    for variant in kernels.variants("conv2d"):
        dtype = widest("conv2d", variant)
        for direction, (names, result) in geometry.SIGNATURES.items():
            if refused("conv2d", variant, isa.DEFAULT, direction, geometry, dtype):
                continue
            arrays = [np.ones(geometry.shapes[n], geometry.DTYPES.get(n, dtype)) for n in names]
            got = run("conv2d", direction, geometry, *arrays, variant=variant)
            got, names = ((a,) if isinstance(a, kind) else a for a, kind in ((got, np.ndarray), (result, str)))
            for array, name in zip(got, names, strict=True):
                assert_array_equal(array, np.zeros(geometry.shapes[name]))
    assert_array_equal(kernels.conv2d_backward_bias(np.ones((0, 3, 3, 3))), np.zeros(3))


# The specification's worked examples


def test_specification_608_parameters():
    """A 32 × 32 × 3 image, eight 5 × 5 filters, stride 2, padding 2: 16 × 16 × 8 outputs, (5·5·3 + 1)·8 parameters."""
    geometry = ConvGeometry.of((1, 3, 32, 32), (8, 3, 5, 5), stride=2, padding=2)
    assert geometry.shapes["y"] == (1, 8, 16, 16)
    assert math.prod(geometry.shapes["weight"]) + math.prod(geometry.shapes["bias"]) == 608


def test_specification_filter_that_fully_covers_the_input():
    """28 × 28, filter [6 4], stride 4, padding [1 0]: every cell of the input, and of the border, is read."""
    geometry = ConvGeometry.of((1, 1, 28, 28), (16, 1, 6, 4), stride=4, padding=(1, 0))
    assert geometry.out_size == (7, 7)
    assert geometry.padding == ((1, 1), (0, 0))
    reached = kernels.conv2d_backward_input(np.ones((1, 1, 7, 7)), np.ones((1, 1, 6, 4)), (1, 1, 28, 28), stride=4,
                                            padding=(1, 0))  # fmt: skip
    assert (reached > 0).all()


@pytest.mark.parametrize(
    ("size", "filter_size", "stride", "out", "before", "after"),
    [
        (28, 5, 1, 28, 2, 2),
        (28, 4, 1, 28, 1, 2),  # an odd surplus goes to the bottom and the right
        (28, 1, 1, 28, 0, 0),
        (28, 3, 2, 14, 0, 1),
        (27, 3, 2, 14, 1, 1),
        (28, 5, 2, 14, 1, 2),
        (28, 2, 2, 14, 0, 0),
        (28, 1, 2, 14, 0, 0),  # the filter ends before the last cell: no padding, none taken away
        (28, 5, 3, 10, 2, 2),
        (29, 5, 3, 10, 1, 2),
        (30, 5, 3, 10, 1, 1),
        (30, 2, 3, 10, 0, 0),
        (1, 4, 3, 1, 1, 2),
    ],
)
def test_same_padding(size, filter_size, stride, out, before, after):
    geometry = ConvGeometry.of((1, 1, size, size), (1, 1, filter_size, filter_size), stride, "same")
    assert geometry.out_size == (out, out) == (-(-size // stride),) * 2
    assert geometry.padding == ((before, after),) * 2


def test_same_padding_counts_dilation_and_each_dimension_by_itself():
    geometry = ConvGeometry.of((1, 1, 9, 10), (1, 1, 3, 2), (1, 3), "same", dilation=(2, 3))
    assert geometry.padding == ((2, 2), (1, 2))  # reach 5 and 4: 9 + 4 and 4 starting at 0, 3, 6, 9: 13
    assert geometry.out_size == (9, 4)


def test_full_and_valid_padding():
    assert forward(RAMP, STEPS, padding="full")[0, 0].tolist() == [
        [4, 11, 18, 9], [18, 37, 47, 21], [36, 67, 77, 33], [14, 23, 26, 9]
    ]  # fmt: skip
    assert_array_equal(forward(RAMP, STEPS, padding="valid"), forward(RAMP, STEPS))


@pytest.mark.parametrize("variant", ["images", "depthwise"])
def test_what_is_kept_of_problems_comes_and_goes(variant):
    """More problems than are kept: those that come back are prepared anew."""
    problems = [
        ConvGeometry.of((1, 1, height, width), (1, 1, 2, 2)) for height in range(2, 20) for width in range(2, 20)
    ]
    for geometry in (*problems, *problems[:3]):
        for direction in ("forward", "backward_weight"):
            arrays = inputs(geometry, direction, "f4", seed=0)
            expected = run("conv2d", direction, geometry, *arrays, variant="im2col")
            assert_array_equal(run("conv2d", direction, geometry, *arrays, variant=variant), expected)
