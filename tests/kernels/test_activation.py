"""The activations besides ReLU: every variant and level against the definition, and far out."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from strategies import DTYPES, THREADS, bits, cells

from convcore import kernels
from convcore.kernels import FlatGeometry, registry, run

PARAMETERS = {"leaky_relu": 0.125, "clipped_relu": 3.0, "elu": 1.5}
ULPS = {"leaky_relu": 1, "clipped_relu": 0, "elu": 2, "swish": 5, "gelu": 4, "tanh": 4, "sigmoid": 4}
each_op = pytest.mark.parametrize("op", registry.ACTIVATIONS)
each_cell = pytest.mark.parametrize(
    ("op", "variant", "level", "direction"), [(op, *cell.values) for op in registry.ACTIVATIONS for cell in cells(op)]
)


def geometry_of(op, size):
    return FlatGeometry(op, size, PARAMETERS.get(op, 0.0))


def numbers(op, size, direction, dtype):
    """Gradients, and what the function sees: large, small and around its corners; of an output what it may be."""
    rng = np.random.default_rng(size)
    x = 4 * rng.standard_normal(size)
    x[::3] = np.linspace(-40, 40, len(x[::3]))
    corners = [0, 3, 1e-20, -1e-20][:size]
    x[: len(corners)] = corners
    if direction == "backward_input" and geometry_of(op, 1).SIGNATURES[direction][0][1] == "y":
        x = np.tanh(x) if op == "tanh" else 1 / (1 + np.exp(-x))
    return [rng.standard_normal(size).astype(dtype)] * (direction == "backward_input") + [x.astype(dtype)]


@pytest.mark.parametrize("size", [0, 1, 17, 8192, 8193, 3 * 8192 + 5])  # blocks are 8192 long
@each_cell
def test_close_to_the_definition_with_the_same_bits_for_any_threads(op, variant, level, direction, size):
    geometry = geometry_of(op, size)
    for dtype in DTYPES:
        arrays = numbers(op, size, direction, dtype)
        wide = [array.astype(np.float64) for array in arrays]
        expected = run(op, direction, geometry, *wide, variant="reference")
        runs = [run(op, direction, geometry, *arrays, variant=variant, level=level, n_threads=n) for n in (*THREADS, 1)]
        assert runs[0].dtype == dtype
        eps = np.finfo(dtype).eps
        bound = (ULPS[op] + 2) * eps if direction == "forward" else 8 * eps  # slopes are differences from 1
        # In gelu's tail the rounding of x / √2 counts x² times: the reference has no better.
        bound = bound + np.finfo("f8").eps * wide[-1] ** 2 if op == "gelu" else bound
        atol = bound if direction == "backward_input" else 1e-36
        assert (abs(runs[0] - expected) <= bound * abs(expected) + atol).all()
        assert all(bits(one) == bits(runs[0]) for one in runs)


@each_op
@given(x=st.floats(-80, 80, width=32))
@settings(max_examples=60)
def test_float32_is_within_some_units_in_the_last_place(op, x):
    wide = run(op, "forward", geometry_of(op, 1), np.array([x]), variant="reference")[0]
    for level in kernels.levels_of(op, "direct"):
        y = run(op, "forward", geometry_of(op, 1), np.array([x], np.float32), variant="direct", level=level)[0]
        unit = np.spacing(np.float32(abs(wide)))
        lost = 16 * np.finfo(np.float32).tiny  # where numbers in between are denormal
        assert abs(np.float64(y) - wide) <= (ULPS[op] + 0.5) * unit + lost


FAR_OUT = {  # at −inf, −largest, −1000, 1000, largest, inf
    "leaky_relu": ["-inf", "small", -125, 1000, "large", "inf"],
    "clipped_relu": [0, 0, 0, 3, 3, 3],
    "elu": [-1.5, -1.5, -1.5, 1000, "large", "inf"],
    "swish": [0, 0, 0, 1000, "large", "inf"],
    "gelu": [0, 0, 0, 1000, "large", "inf"],
    "tanh": [-1, -1, -1, 1, 1, 1],
    "sigmoid": [0, 0, 0, 1, 1, 1],
}
SLOPES = {
    "leaky_relu": [0.125, 0.125, 0.125, 1, 1, 1],
    "clipped_relu": [0] * 6,
    "elu": [0, 0, 0, 1, 1, 1],
    "swish": [0, 0, 0, 1, 1, 1],
    "gelu": [0, 0, 0, 1, 1, 1],
    "tanh": [0] * 6,
    "sigmoid": [0] * 6,
}


@each_op
@pytest.mark.parametrize("variant", ["direct", "reference"])
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_far_out(op, variant, dtype):
    largest = np.finfo(dtype).max
    named = {"-inf": -np.inf, "inf": np.inf, "large": largest, "small": -largest / 8}
    x = np.array([-np.inf, -largest, -1000, 1000, largest, np.inf, np.nan], dtype)
    geometry, how = geometry_of(op, 7), {"variant": variant}
    for level in kernels.levels_of(op, variant):
        y = run(op, "forward", geometry, x, level=level, **how)
        assert_array_equal(y, np.array([*(named.get(n, n) for n in FAR_OUT[op]), np.nan], dtype))
        seen = x if geometry.SIGNATURES["backward_input"][0][1] == "x" else y
        slopes = run(op, "backward_input", geometry, np.ones_like(x), seen, level=level, **how)
        assert_array_equal(slopes[:6], np.array(SLOPES[op], dtype))
        assert np.isnan(slopes[6]) == (op in ("swish", "gelu", "tanh", "sigmoid", "elu"))


@each_op
def test_corners(op):
    """What a gradient is where the function has a corner: at 0, and at a ceiling."""
    x = np.array([0.0, 3.0])
    slopes = run(op, "backward_input", geometry_of(op, 2), np.ones(2), np.tanh(x) if op == "tanh" else x)
    expected = {"leaky_relu": [0.125, 1], "clipped_relu": [0, 0], "elu": [1.5, 1]}
    if op in expected:
        assert slopes.tolist() == expected[op]
    elif op != "sigmoid":
        assert slopes[0] == {"swish": 0.5, "gelu": 0.5, "tanh": 1}[op]


def test_the_parameter_is_a_part_of_the_problem():
    a, b = FlatGeometry("leaky_relu", 1, 0.5), FlatGeometry("leaky_relu", 1, 0.25)
    x = np.array([-1.0])
    assert a != b
    assert [run("leaky_relu", "forward", g, x)[0] for g in (a, b, a)] == [-0.5, -0.25, -0.5]


# ----------------------------------------------------------------------- gelu


@pytest.mark.parametrize("variant", kernels.variants("gelu"))
@given(x=st.lists(st.floats(-38, 38), min_size=1, max_size=20))
@settings(max_examples=40)
def test_gelu_has_the_symmetry_of_the_normal_distribution(variant, x):
    """gelu(x) − gelu(−x) = x, and the slopes at x and −x add up to 1."""
    x = np.array(x)
    geometry = FlatGeometry("gelu", x.size)
    y, other = (run("gelu", "forward", geometry, sign * x, variant=variant) for sign in (1, -1))
    assert_allclose(y - other, x, rtol=1e-15, atol=1e-15)
    one = np.ones_like(x)
    slope, opposite = (run("gelu", "backward_input", geometry, one, sign * x, variant=variant) for sign in (1, -1))
    assert_allclose(slope + opposite, 1, rtol=1e-15)


@pytest.mark.parametrize("variant", kernels.variants("gelu"))
def test_gelu_has_the_digits_of_the_normal_distribution(variant):
    """Φ(1), Φ(2) and Φ(−10) as tables have them; in the reference, the rounding of x / √2 counts x² times."""
    x = np.array([1.0, 2.0, -10.0])
    lost = x**2 if variant == "reference" else 0
    for level in kernels.levels_of("gelu", variant):
        y = run("gelu", "forward", FlatGeometry("gelu", 3), x, variant=variant, level=level)
        table = np.array([0.84134474606854294859, 0.97724986805182079280, 7.6198530241605260660e-24])
        assert (abs(y / x - table) <= np.finfo("f8").eps * (4 + lost) * table).all()
