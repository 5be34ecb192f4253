"""ReLU behind a kernel: the same variant, the same bits, whether the variant applies it or not."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import DTYPES, THREADS, arrays_of, assert_same, conv_geometries, refused

import convcore as cc
from convcore import isa, kernels
from convcore.kernels import ConvGeometry, FlatGeometry, MatrixGeometry, PoolGeometry, dispatch, registry, run

GEOMETRY = ConvGeometry.parse("mb3ic3ih12oc8kh3ph1")


def relu(y):
    return run("relu", "forward", FlatGeometry("relu", y.size), y.reshape(-1)).reshape(y.shape)


def arrays(geometry, dtype, seed=0):
    rng = np.random.default_rng(seed)
    return [rng.standard_normal(geometry.shapes[name]).astype(dtype) for name in ("x", "weight", "bias")]


@pytest.mark.parametrize("variant", kernels.variants("conv2d"))
@pytest.mark.parametrize("problem", ["mb3ic3ih12oc8kh3ph1", "mb2g6ic6ih9oc6kh3sh2", "mb9ic4ih7oc5kh1"])
def test_the_bits_of_two_kernels(variant, problem):
    geometry = ConvGeometry.parse(problem)
    for level in kernels.levels_of("conv2d", variant):
        for dtype in DTYPES:
            if refused("conv2d", variant, level, "forward", geometry, dtype):
                continue
            x, weight, bias = arrays(geometry, dtype)
            x[0, 0, 0, :3] = np.nan, np.inf, -np.inf
            for given_bias in (bias, None):
                how = {"variant": variant, "level": level}
                expected = relu(run("conv2d", "forward", geometry, x, weight, given_bias, **how))
                for n_threads in THREADS:
                    got = run("conv2d", "forward_relu", geometry, x, weight, given_bias, n_threads=n_threads, **how)
                    assert_same(got, expected)
                    assert not np.signbit(got[got == 0]).any()


@given(geometry=conv_geometries(), seed=st.integers(0, 999))
@settings(max_examples=60)
def test_the_bits_of_two_kernels_anywhere(geometry, seed):
    for dtype in DTYPES:
        x, weight, bias, _ = (a.astype(dtype) for a in arrays_of(geometry, seed))
        expected = relu(run(geometry.op, "forward", geometry, x, weight, bias))
        assert_same(run(geometry.op, "forward_relu", geometry, x, weight, bias), expected)


@pytest.mark.parametrize("variant", kernels.variants("fully_connected"))
def test_fully_connected(variant):
    geometry = MatrixGeometry("fully_connected", 33, 20, 50)
    for dtype in DTYPES:
        given_arrays = arrays(geometry, dtype)
        expected = relu(run("fully_connected", "forward", geometry, *given_arrays, variant=variant))
        for n_threads in THREADS:
            got = run("fully_connected", "forward_relu", geometry, *given_arrays, variant=variant, n_threads=n_threads)
            assert_same(got, expected)


@pytest.mark.parametrize("dtype", DTYPES)
def test_empty_batch(dtype):
    geometry = ConvGeometry.parse("mb0ic3ih12oc8kh3")
    assert run("conv2d", "forward_relu", geometry, *arrays(geometry, dtype)).shape == (0, 8, 10, 10)
    pool = PoolGeometry.of("max_pool2d", (0, 2, 4, 4), 2)
    y, index = run("max_pool2d", "forward_relu", pool, np.zeros((0, 2, 4, 4), dtype))
    assert y.shape == index.shape == (0, 2, 2, 2)


def test_out():
    given_arrays = arrays(GEOMETRY, "f4")
    out = np.full(GEOMETRY.shapes["y"], -7, "f4")
    assert run("conv2d", "forward_relu", GEOMETRY, *given_arrays, out=out) is out
    assert_same(out, relu(run("conv2d", "forward", GEOMETRY, *given_arrays)))


@pytest.mark.parametrize("problem", ["mb64ic1ih28oc6kh5ph2", "mb8ic64ih14oc64kh3ph1", "mb4g32ic32ih20oc32kh3ph1"])
def test_the_choice_is_that_of_the_plain_direction(problem):
    geometry, dtype = ConvGeometry.parse(problem), np.dtype("f4")
    chosen = dispatch.selected("conv2d", "forward", geometry, dtype)
    assert dispatch.selected("conv2d", "forward_relu", geometry, dtype) == chosen
    text = kernels.explain("conv2d", geometry, "forward_relu")
    assert text.splitlines()[0] == f"conv2d forward_relu {geometry} float32"
    assert text.splitlines()[1:] == kernels.explain("conv2d", geometry).splitlines()[1:]


class Sums:
    """A convolution of a user's own, which computes something else and knows of no ReLU."""

    def forward(self, geometry, x, weight, bias, y, n_threads):
        y[...] = x.sum() * np.where(np.arange(y.shape[-1]) % 2, 1, -1)


class LastCells:
    """A max-pooling of a user's own: the last cell of a plane wins all windows."""

    def forward(self, geometry, x, y, index, n_threads):
        y[...] = x[..., -1:, -1:]
        index[...] = x[0, 0].size - 1


@pytest.fixture
def own():
    kernels.register("conv2d", Sums(), "sums")
    kernels.register("max_pool2d", LastCells(), "last")
    yield
    kernels.unregister("conv2d", "sums")
    kernels.unregister("max_pool2d", "last")


@pytest.mark.usefixtures("own")
def test_variants_of_ones_own():
    x, weight, bias = arrays(GEOMETRY, "f8")
    plain = run("conv2d", "forward", GEOMETRY, x, weight, bias)
    assert (plain < 0).any()
    for how in ({}, {"variant": "sums"}):
        assert_same(run("conv2d", "forward_relu", GEOMETRY, x, weight, bias, **how), relu(plain))
    with cc.use_variant("conv2d", "sums"):
        assert_same(run("conv2d", "forward_relu", GEOMETRY, x, weight, bias), relu(plain))
    images = np.array([-1.0, -0.0, 0.0, 2.0, np.nan, -np.inf]).reshape(1, 6, 1, 1) * np.ones((1, 6, 2, 2))
    y, index = run("max_pool2d", "forward_relu", PoolGeometry.of("max_pool2d", images.shape, 2), images)
    assert_same(y.ravel(), np.array([0, 0, 0, 2, np.nan, 0]))
    assert index.ravel().tolist() == [-1, -1, -1, 3, 3, -1]


def test_windows_that_see_only_padding_stay_as_they_are():
    class Plain:
        forward = staticmethod(registry.load("max_pool2d", "reference", isa.DEFAULT).forward)

    geometry = PoolGeometry.of("max_pool2d", (1, 1, 2, 2), 1, 1, 1)
    x = np.array([[[[-1.0, 2.0], [0.0, 3.0]]]])
    expected = run("max_pool2d", "forward_relu", geometry, x)
    kernels.register("max_pool2d", Plain, "plain")
    try:
        assert_same(run("max_pool2d", "forward_relu", geometry, x), expected)
    finally:
        kernels.unregister("max_pool2d", "plain")
    assert (expected[0][..., 0, :] == -np.inf).all()
    assert expected[1][0, 0, 1:3, 1:3].tolist() == [[-1, 1], [-1, 3]]


def test_a_variant_that_applies_it_itself_is_asked():
    class Own(Sums):
        def forward_relu(self, geometry, x, weight, bias, y, n_threads):
            y[...] = 42

    kernels.register("conv2d", Own(), "own")
    try:
        assert (run("conv2d", "forward_relu", GEOMETRY, *arrays(GEOMETRY, "f4")) == 42).all()
    finally:
        kernels.unregister("conv2d", "own")


def test_a_forced_variant_that_cannot_says_why():
    x, weight, bias = arrays(GEOMETRY, "f8")
    reason = registry.refusal("conv2d", "winograd", "forward", GEOMETRY, np.dtype("f8"), isa.DEFAULT)
    with pytest.raises(ValueError) as error:
        run("conv2d", "forward_relu", GEOMETRY, x, weight, bias, variant="winograd")
    assert str(error.value) == f"conv2d: variant winograd cannot do forward_relu of {GEOMETRY}: {reason}"
