"""ReLU behind a kernel: the same variant, the same bits, whether the variant applies it or not."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import DTYPES, THREADS, arrays_of, assert_same, conv_geometries, refused

import convcore as cc
from convcore import isa, kernels
from convcore.kernels import ConvGeometry, FlatGeometry, MatrixGeometry, PoolGeometry, calls, dispatch, registry, run

GEOMETRY = ConvGeometry.parse("mb3ic3ih12oc8kh3ph1")


def relu(y):
    return run("relu", "forward", FlatGeometry("relu", y.size), y.reshape(-1)).reshape(y.shape)


def arrays(geometry, dtype, seed=0):
    rng = np.random.default_rng(seed)
    return [rng.standard_normal(geometry.shapes[name]).astype(dtype) for name in ("x", "weight", "bias")]


@pytest.mark.parametrize("variant", kernels.variants("conv2d"))
@pytest.mark.parametrize(
    "problem",
    [
        "mb3ic3ih12oc8kh3ph1",
        "mb2g6ic6ih9oc6kh3sh2",
        "mb9ic4ih7oc5kh1",
        "mb3ic20ih14iw70oc17kh3ph1",
        "mb2ic18ih12oc33kh5",
        "mb40ic4ih7oc9kh3sh2ph1",
        "mb5ic24ih1oc12kh1",
        "mb2ic64ih8oc32kh1",
        "mb1ic64ih8oc32kh1",
        "mb9ic70ih28oc20kh1",
        "g2mb9ic80ih17oc12kh1",
        "mb5ic70ih13oc20kh1sh2",
    ],
)
def test_the_bits_of_two_kernels(variant, problem):
    geometry = ConvGeometry.parse(problem)
    for level in kernels.levels_of("conv2d", variant):
        for dtype in DTYPES:
            if refused("conv2d", variant, level, "forward", geometry, dtype):
                continue
            x, weight, bias = arrays(geometry, dtype)
            x.reshape(-1)[:3] = np.nan, np.inf, -np.inf
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


# Max-pooling behind a convolution that pools what it computes

POOLING = [
    (variant, level)
    for variant in kernels.variants("conv2d")
    for level in kernels.levels_of("conv2d", variant)
    if variant != "reference" and hasattr(registry.load("conv2d", variant, level), "forward_pool")
]


def pooled(geometry, given_arrays, **how):
    y = run("conv2d", "forward", geometry, *given_arrays, **how)
    return run("max_pool2d", "forward_relu", PoolGeometry.of("max_pool2d", y.shape, 2), y)


def assert_pools(variant, level, geometry, given_arrays):
    """The bits of two kernels, with any number of threads; nothing is written beside the arrays."""
    how = {"variant": variant, "level": level}
    expected = pooled(geometry, given_arrays, **how)
    for n_threads in THREADS:
        fenced = [np.full(a.size + 128, 77, a.dtype) for a in expected]
        out = tuple(f[64:-64].reshape(a.shape) for f, a in zip(fenced, expected, strict=True))
        run("conv2d", "forward_pool", geometry, *given_arrays, n_threads=n_threads, out=out, **how)
        assert_same(out[0], expected[0])
        assert_same(out[1], expected[1])
        assert all((f[:64] == 77).all() and (f[-64:] == 77).all() for f in fenced)


def test_who_pools():
    assert {variant for variant, _ in POOLING} == {"images", "depthwise", "winograd", "filters", "shifted"}


@pytest.mark.parametrize(("variant", "level"), POOLING)
@pytest.mark.parametrize(
    "problem",
    [
        "mb64ic1ih28oc6kh5ph2",  # LeNet's first layer
        "mb33ic6ih15oc9kh4",  # its second and its like, an odd batch
        "mb16ic6ih14oc16kh5",
        "mb5ic1ih13iw9oc12kh3ph1",  # rows narrower than a vector, odd numbers of them
        "mb3ic1ih12iw5oc3kh2",
        "mb3g4ic4ih8oc8kh3ph1",
        "mb2ic1ih100oc3kh3",  # bands of rows
        "mb2ic1ih100oc9kh3",
        "mb2ic1ih601iw12oc3kh2",  # bands of rows narrower than a vector
        "mb2ic1ih1500iw12oc9kh3",
        "mb20ic3ih40iw33oc5kh3kw5ph1",  # tasks of a few rows
        "mb100ic3ih12oc40kh3ph1pv2",
        "mb7ic1ih3oc1kh2",  # a single window
        "mb40ic3ih33oc4kh3sh2ph1pvcircular",
        "mb2ic20ih31iw271oc33kh3ph1",  # strips of an image, of odd width and height
        "mb1ic130ih14oc260kh3ph1",
        "mb5ic20ih7oc50kh5ph2",
        "mb9ic3ih33oc18kh5ph2",  # vectors of filters; one that is not full
        "g2mb3ic6ih40oc12kh3sh2",
        "mb50ic3ih6oc7kh3kw1ph1pw0",  # several images in a patch
        "mb3ic3ih70oc9kh3",
    ],
)
def test_pooling_has_the_bits_of_two_kernels(variant, level, problem):
    geometry = ConvGeometry.parse(problem)
    if refused("conv2d", variant, level, "forward_pool", geometry, "f4"):
        return
    x, weight, bias = arrays(geometry, "f4")
    x.reshape(-1)[:3] = np.nan, np.inf, -np.inf
    for given_bias in (bias, None, bias - 100):  # with the last no window has anything above 0
        assert_pools(variant, level, geometry, (x, weight, given_bias))


@pytest.mark.parametrize(("variant", "level"), POOLING)
@given(geometry=conv_geometries(ranks=(2,)), seed=st.integers(0, 999))
@settings(max_examples=40)
def test_pooling_has_the_bits_of_two_kernels_anywhere(variant, level, geometry, seed):
    if not refused("conv2d", variant, level, "forward_pool", geometry, "f4"):
        given_arrays = [a.astype("f4") for a in arrays_of(geometry, seed)[:3]]
        assert_pools(variant, level, geometry, given_arrays)


@pytest.mark.parametrize("dtype", DTYPES)
def test_pooling_as_it_is_defined(dtype):
    given_arrays = arrays(GEOMETRY, dtype)
    got = run("conv2d", "forward_pool", GEOMETRY, *given_arrays, variant="reference")
    expected = pooled(GEOMETRY, given_arrays, variant="reference")
    assert_same(got[0], expected[0])
    assert_same(got[1], expected[1])


@pytest.mark.parametrize("problem", ["mb3ic3iw12oc8kw3", "mb3ic3id4oc8kd3", "mb3ic1ih2oc8kh2"])
@pytest.mark.parametrize("variant", ["images", "depthwise", "filters", "shifted"])
def test_what_is_not_pooled(problem, variant):
    geometry = ConvGeometry.parse(problem)
    reason = kernels.refusal(geometry.op, variant, "forward_pool", geometry, np.dtype("f4"))
    assert reason == "pools images in two dimensions, of 2×2 outputs and more"


def test_bands_that_no_whole_windows_fill():
    geometry = ConvGeometry.parse("mb2ic1ih65oc3kh3")
    reason = kernels.refusal("conv2d", "depthwise", "forward_pool", geometry, np.dtype("f4"))
    assert reason == "computes 35 rows at a time, which no whole windows fill"
    assert dispatch.pooling("conv2d", geometry, np.dtype("f4")) is None
    pixels = ConvGeometry.parse("mb2ic3ih8oc4kh1")
    reason = kernels.refusal("conv2d", "shifted", "forward_pool", pixels, np.dtype("f4"))
    assert reason == "computes pixels as they lie in memory, not rows of the image"


def test_who_pools_is_who_computes():
    """And nobody where pooling of the user's own, or another variant of it, wants to run."""
    lenet, many = ConvGeometry.parse("mb64ic6ih14oc16kh5"), ConvGeometry.parse("mb8ic64ih14oc64kh1")
    single, double = np.dtype("f4"), np.dtype("f8")
    assert dispatch.pooling("conv2d", lenet, single) == dispatch.selected("conv2d", "forward", lenet, single)[0]
    assert dispatch.pooling("conv2d", lenet, double) is dispatch.pooling("conv2d", many, single) is None
    with cc.use_variant("max_pool2d", "reference"):
        assert dispatch.pooling("conv2d", lenet, single) is None
    with cc.use_variant("conv2d", "im2col"):
        assert dispatch.pooling("conv2d", lenet, single) is None
    kernels.register("max_pool2d", LastCells(), "last")
    try:
        assert dispatch.pooling("conv2d", lenet, single) is None
    finally:
        kernels.unregister("max_pool2d", "last")


def test_a_network_asks_for_it():
    net = cc.models.lenet5(seed=0)
    x = np.random.default_rng(0).integers(0, 256, (64, 1, 28, 28)).astype("f4")
    net.fit_normalization(x)
    found = []
    with calls.observing(found.append):
        y = net.predict(x)
    asked = [(made.op, made.direction) for made in found]
    assert asked.count(("conv2d", "forward_pool")) == 2
    assert not any(op == "max_pool2d" for op, _ in asked)
    with cc.fusion("off"):
        assert_same(net.predict(x), y)
