"""What the transposed convolutions in one, two and three dimensions share: the transpose of conv, exactly."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_array_equal
from strategies import gradients, integers, takes, transposed_problems

import convcore as cc
from convcore.kernels import ConvGeometry

CONV = {1: cc.conv1d, 2: cc.conv2d, 3: cc.conv3d}
TRANSPOSE = {1: cc.conv_transpose1d, 2: cc.conv_transpose2d, 3: cc.conv_transpose3d}
RANKS = pytest.mark.parametrize("rank", [1, 2, 3])


def arrays_of(problem, seed, dtype="f8"):
    """x, weight and bias of a transposed convolution, filled with integers."""
    x_shape, weight_shape, options = problem
    filters = weight_shape[1] * options["groups"]
    return [integers(shape, dtype, [seed, i]) for i, shape in enumerate((x_shape, weight_shape, (filters,)))]


def as_convolution(problem):
    """The options with which a convolution takes the output's size back to the input's."""
    _, _, options = problem
    geometry = ConvGeometry.transposed(*problem[:2], **options)
    return {"stride": options["stride"], "padding": sum(geometry.padding, ()), "dilation": options["dilation"],
            "groups": options["groups"]}  # fmt: skip


def units(*shape):
    """One observation for each cell of a shape, with a 1 in that cell."""
    return np.eye(math.prod(shape)).reshape(-1, *shape)


@RANKS
@given(data=st.data(), seed=st.integers(0, 999))
@settings(max_examples=40)
def test_its_matrix_is_the_transposed_matrix_of_the_convolution(rank, data, seed):
    problem = data.draw(transposed_problems(rank))
    x, weight, _ = arrays_of(problem, seed)
    y_shape = TRANSPOSE[rank](x, weight, **problem[2]).shape
    if math.prod(x.shape[1:]) * math.prod(y_shape[1:]) > 10**6:  # the rest is for the next test
        return
    spread = TRANSPOSE[rank](units(*x.shape[1:]), weight, **problem[2]).numpy()
    gather = CONV[rank](units(*y_shape[1:]), weight, **as_convolution(problem)).numpy()
    assert gather.shape[1:] == x.shape[1:]
    assert_array_equal(spread.reshape(len(spread), -1), gather.reshape(len(gather), -1).T)


@RANKS
@given(data=st.data(), seed=st.integers(0, 999))
@settings(max_examples=60)
def test_adjoints_are_exact_on_integers(rank, data, seed):
    problem = data.draw(transposed_problems(rank))
    x, weight, bias = arrays_of(problem, seed)
    f = lambda *a: TRANSPOSE[rank](*a, **problem[2])  # noqa: E731
    y = f(x, weight).numpy()
    g = integers(y.shape, "f8", seed + 1)
    gathered = CONV[rank](g, weight, **as_convolution(problem)).numpy()
    grad_x, grad_weight, grad_bias = gradients(f, [x, weight, bias], g)
    assert (y * g).sum() == (x * gathered).sum() == (weight * grad_weight).sum()
    assert_array_equal(grad_x, gathered)
    assert_array_equal(grad_bias, g.sum(axis=(0, *range(2, g.ndim))))
    assert_array_equal(f(x, weight, bias).numpy(), y + bias.reshape(-1, *(1,) * rank))


@RANKS
@given(data=st.data(), with_bias=st.booleans(), seed=st.integers(0, 999))
@settings(max_examples=50)
def test_gradients(rank, data, with_bias, seed):
    problem = data.draw(transposed_problems(rank))
    rng = np.random.default_rng(seed)
    arrays = [rng.standard_normal(a.shape) for a in arrays_of(problem, 0)[: 2 + with_bias]]
    assert cc.gradcheck(lambda *a: TRANSPOSE[rank](*a, **problem[2]), arrays, directions=1)


@pytest.mark.parametrize("rank", [2, 3])
@given(data=st.data(), seed=st.integers(0, 999))
@settings(max_examples=40)
def test_a_product_of_filters_is_one_after_the_other(rank, data, seed):
    """Each dimension's options belong to that dimension: what the op in 1-D does along each, it does along all."""
    (_, _, *in_size), (_, _, *filter_size), options = data.draw(transposed_problems(rank))
    rng = np.random.default_rng(seed)
    taps = [rng.integers(-3, 4, size).astype(float) for size in filter_size]
    x = rng.integers(-3, 4, (2, 1, *in_size)).astype(float)
    product = taps[0]
    for tap in taps[1:]:
        product = np.multiply.outer(product, tap)
    del options["groups"]
    whole = TRANSPOSE[rank](x, product[None, None], **options).numpy()
    for axis, tap in enumerate(taps):
        x = np.moveaxis(x, axis + 2, -1)
        cropping = options["cropping"]
        one = {name: options[name][axis] for name in ("stride", "dilation", "output_padding")}
        one["cropping"] = cropping if cropping == "same" else cropping[2 * axis : 2 * axis + 2]
        y = cc.conv_transpose1d(x.reshape(-1, 1, x.shape[-1]), tap[None, None], **one).numpy()
        x = np.moveaxis(y.reshape(*x.shape[:-1], -1), -1, axis + 2)
    assert_array_equal(whole, x)


@RANKS
@pytest.mark.parametrize("cropping", ["same", 0])
@given(data=st.data())
@settings(max_examples=50)
def test_sizes(rank, cropping, data):
    (n, c, *in_size), weight_shape, options = data.draw(transposed_problems(rank))
    options["cropping"] = cropping
    y = TRANSPOSE[rank](np.ones((n, c, *in_size)), np.ones(weight_shape), **options)
    sizes = zip(in_size, weight_shape[2:], *(options[n] for n in ("stride", "dilation", "output_padding")), strict=True)
    if cropping == "same":
        expected = [i * s for i, _, s, _, _ in sizes]
    else:
        expected = [(i - 1) * s + (f - 1) * d + 1 + e for i, f, s, d, e in sizes]
    assert y.shape == (n, weight_shape[1] * options["groups"], *expected)


@RANKS
@pytest.mark.parametrize("dtype", ["f4", "f8"])
def test_dtypes_stay_in_every_variant(rank, dtype):
    shape, taps = (5, 3, 2)[:rank], (3, 2, 3)[:rank]
    problem = ((2, 4, *shape), (4, 3, *taps), {"stride": 2, "cropping": 1, "output_padding": 1, "groups": 2})
    arrays, wide = arrays_of(problem, 0, dtype), arrays_of(problem, 0)
    f = lambda variant: lambda *a: TRANSPOSE[rank](*a, variant=variant, **problem[2])  # noqa: E731
    y = f("reference")(*wide).numpy()
    g = integers(y.shape, "f8", 1)
    expected = [y, *gradients(f("reference"), wide, g)]
    # The other way round, it is the convolution whose gradients are asked for.
    geometry = ConvGeometry.of(y.shape, problem[1], stride=2, padding=1, groups=2)
    for variant in (None, *cc.kernels.variants(f"conv{rank}d")):
        if variant and not takes(variant, geometry, dtype):
            continue
        found = [f(variant)(*arrays).numpy(), *gradients(f(variant), arrays, g.astype(dtype))]
        for a, b in zip(found, expected, strict=True):
            assert a.dtype == dtype
            assert_array_equal(a, b)


@RANKS
@pytest.mark.parametrize("convert", [np.ndarray.tolist, lambda a: a.astype(np.uint8), lambda a: a.astype(bool)],
                         ids=["list", "uint8", "bool"])  # fmt: skip
def test_other_numbers_become_float64(rank, convert):
    arrays = [np.ones(shape) for shape in ((1, 2, *(1,) * rank), (2, 1, *(2,) * rank), (1,))]
    y = TRANSPOSE[rank](*[convert(a) for a in arrays])
    assert y.dtype == np.float64
    assert_array_equal(y.numpy(), np.full((1, 1, *(2,) * rank), 3))


@RANKS
def test_no_observations_give_an_empty_result_and_zero_gradients(rank):
    x, weight, bias = np.ones((0, 2, *(3,) * rank)), np.ones((2, 3, *(2,) * rank)), np.ones(3)
    f = lambda *a: TRANSPOSE[rank](*a, stride=2)  # noqa: E731
    assert f(x, weight, bias).shape == (0, 3, *(6,) * rank)
    grad_x, grad_weight, grad_bias = gradients(f, [x, weight, bias], np.ones((0, 3, *(6,) * rank)))
    assert grad_x.shape == x.shape
    assert_array_equal(grad_weight, np.zeros_like(weight))
    assert_array_equal(grad_bias, np.zeros(3))


@RANKS
def test_the_record_says_what_was_done(rank):
    x, weight = cc.Tensor(np.ones((2, 1, *(4,) * rank)), requires_grad=True), np.ones((1, 3, *(3,) * rank))
    with cc.Tape() as tape:
        y = TRANSPOSE[rank](x, weight, cropping=1, variant="direct")
    (record,) = tape.records
    assert (record.op, record.geometry.op, record.variant) == (f"conv_transpose{rank}d", f"conv{rank}d", "direct")
    assert record.geometry.shapes["y"] == x.shape
    assert record.geometry.shapes["x"] == y.shape
    assert record.saved["x"] is x.data  # views, no copies
    assert record.needs == (True, False, False)


@RANKS
@pytest.mark.parametrize("dtype", ["f4", "f8"])
def test_bits_do_not_depend_on_threads(rank, dtype):
    rng = np.random.default_rng(0)
    shape = {1: (300,), 2: (17, 19), 3: (7, 6, 8)}[rank]
    arrays = [rng.standard_normal(s).astype(dtype) for s in ((3, 8, *shape), (8, 5, *(3,) * rank), (10,))]
    f = lambda *a: TRANSPOSE[rank](*a, stride=2, cropping="same", groups=2)  # noqa: E731
    g = rng.standard_normal(f(*arrays).shape).astype(dtype)
    runs = set()
    for n in (1, 2, 3, 8):
        with cc.num_threads(n):
            runs.add(b"".join(a.tobytes() for a in (f(*arrays).numpy(), *gradients(f, arrays, g))))
    assert len(runs) == 1


@RANKS
def test_arguments_are_not_changed_and_may_be_read_only_views(rank):
    problem = ((2, 4, *(3,) * rank), (4, 3, *(2,) * rank), {"stride": 2, "groups": 2})
    arrays = arrays_of(problem, 0)
    f = lambda *a: TRANSPOSE[rank](*a, **problem[2])  # noqa: E731
    g = integers(f(*arrays).shape, "f8", 1)
    expected = [f(*arrays).numpy(), *gradients(f, arrays, g)]
    views = [np.repeat(a, 2, axis=0)[::2] for a in arrays]
    for view in views:
        view.flags.writeable = False
    for a, b in zip([f(*views).numpy(), *gradients(f, views, g)], expected, strict=True):
        assert_array_equal(a, b)
    for array, copy in zip(arrays, arrays_of(problem, 0), strict=True):
        assert_array_equal(array, copy)
