"""Functions that are several: the same bits forward and backward, and the same errors, as one after the other."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import arrays_of, bits, conv_geometries, options_of

import convcore as cc
from convcore.ops import fused

CONVOLUTIONS = {"conv1d": cc.conv1d, "conv2d": cc.conv2d, "conv3d": cc.conv3d}
POOLS = {1: cc.max_pool1d, 2: cc.max_pool2d, 3: cc.max_pool3d}
SPECIAL = np.array([0.0, -0.0, 1.0, 1.0, -1.0, 2.0, np.inf, -np.inf, np.nan])


def pooled(x, window):
    pool_size, stride, padding = window
    return POOLS[x.ndim - 2](x, pool_size, stride=stride, padding=padding)


def output_and_gradients(function, arrays, seed=0):
    """What must be the same to the bit, for a gradient with zeros of both signs in it."""
    tensors = [None if a is None else cc.Tensor(a, requires_grad=True) for a in arrays]
    with np.errstate(invalid="ignore"), cc.Tape() as tape:
        y = function(*tensors)
        g = np.random.default_rng(seed).standard_normal(y.shape).astype(y.dtype)
        g.reshape(-1)[::7], g.reshape(-1)[3::7] = 0, -0.0
        tape.backward(y, g)
    return bits([np.nan_to_num(a, nan=-77) for a in (y.data, *[t.grad for t in tensors if t is not None])])


@given(geometry=conv_geometries(), bias=st.booleans(), seed=st.integers(0, 999))
@settings(max_examples=60)
def test_convolution_and_relu(geometry, bias, seed):
    op, options = geometry.op, options_of(geometry)
    for dtype in ("f4", "f8"):
        x, weight, b, _ = (a.astype(dtype) for a in arrays_of(geometry, seed))
        arrays = (x, weight, b if bias else None)
        one_by_one = output_and_gradients(lambda *a: cc.relu(CONVOLUTIONS[op](*a, **options)), arrays)
        assert output_and_gradients(lambda *a: fused.conv_relu(op, *a, **options), arrays) == one_by_one


@given(geometry=conv_geometries(), data=st.data(), seed=st.integers(0, 999))
@settings(max_examples=60)
def test_convolution_relu_and_max_pooling(geometry, data, seed):
    op, options = geometry.op, options_of(geometry)
    smallest = min(geometry.out_size)
    window = data.draw(st.sampled_from([(1, 1, 0), (min(2, smallest), 2, 0), (min(3, smallest), 2, 1), (2, 1, "same")]))
    for dtype in ("f4", "f8"):
        arrays = [a.astype(dtype) for a in arrays_of(geometry, seed)[:3]]
        one_by_one = output_and_gradients(lambda *a: pooled(cc.relu(CONVOLUTIONS[op](*a, **options)), window), arrays)
        together = output_and_gradients(lambda *a: fused.conv_relu_max_pool(op, *a, **options, window=window), arrays)
        assert together == one_by_one


@pytest.mark.parametrize("shape", [(3, 6, 28, 28), (2, 3, 7, 9), (2, 2, 11), (1, 2, 5, 6, 7), (0, 2, 4, 4)])
@pytest.mark.parametrize("window", [(2, 2, 0), (3, 2, 1), (1, 2, 2)])
def test_relu_and_max_pooling_of_special_numbers(shape, window):
    for dtype in ("f4", "f8"):
        x = np.random.default_rng(0).choice(SPECIAL, shape).astype(dtype)
        one_by_one = output_and_gradients(lambda x: pooled(cc.relu(x), window), [x])
        assert output_and_gradients(lambda x: fused.relu_max_pool(x, x.ndim - 2, window), [x]) == one_by_one


@pytest.mark.parametrize("batch", [0, 1, 5, 64])
@pytest.mark.parametrize("bias", [True, False])
def test_fully_connected_and_relu(batch, bias):
    rng = np.random.default_rng(batch)
    for dtype in ("f4", "f8"):
        arrays = [rng.standard_normal(shape).astype(dtype) for shape in ((batch, 3, 4), (7, 12), (7,))]
        arrays = arrays if bias else [*arrays[:2], None]
        one_by_one = output_and_gradients(lambda *a: cc.relu(cc.fully_connected(*a)), arrays)
        assert output_and_gradients(fused.fully_connected_relu, arrays) == one_by_one


def test_gradients():
    rng = np.random.default_rng(0)
    x, weight, bias = rng.standard_normal((2, 3, 7, 6)), rng.standard_normal((4, 3, 3, 3)), rng.standard_normal(4)
    assert cc.gradcheck(lambda *a: fused.conv_relu("conv2d", *a, padding=1), (x, weight, bias))
    assert cc.gradcheck(lambda *a: fused.conv_relu_max_pool("conv2d", *a, window=(2, 2, 0)), (x, weight, bias))
    assert cc.gradcheck(lambda x: fused.relu_max_pool(x, 2, (2, 2, 0)), (x,))
    assert cc.gradcheck(fused.fully_connected_relu, (x, rng.standard_normal((5, 126)), rng.standard_normal(5)))


def test_what_is_recorded():
    x, weight = cc.Tensor(np.ones((1, 1, 4, 4), "f4")), cc.Tensor(np.ones((2, 1, 3, 3), "f4"), requires_grad=True)
    with cc.Tape() as tape:
        fused.conv_relu_max_pool("conv2d", x, weight, window=(2, 2, 0))
        fused.conv_relu("conv2d", x, weight)
        fused.relu_max_pool(cc.Tensor(x.data, requires_grad=True), 2, (2, 2, 0))
        fused.fully_connected_relu(x, cc.Tensor(np.ones((3, 16), "f4"), requires_grad=True))
    found = [(entry.op, list(entry.saved), entry.needs) for entry in tape.records]
    assert found == [
        ("conv2d_relu_max_pool2d", ["x", "weight", "index"], (False, True, False)),
        ("conv2d_relu", ["x", "weight", "y"], (False, True, False)),
        ("relu_max_pool2d", ["index"], (True,)),
        ("fully_connected_relu", ["x", "weight", "y"], (False, True, False)),
    ]


@pytest.mark.parametrize(
    ("function", "arguments", "options"),
    [
        ("conv_relu", ((1, 2, 4, 4), (3, 1, 3, 3)), {}),
        ("conv_relu", ((1, 1, 4), (3, 1, 3, 3)), {}),
        ("conv_relu", ((1, 1, 4, 4), (3, 1, 3, 3)), {"stride": 0}),
        ("conv_relu_max_pool", ((1, 2, 4, 4), (3, 1, 3, 3)), {}),
        ("conv_relu_max_pool", ((1, 1, 3, 3), (3, 1, 3, 3)), {}),  # a window larger than what it pools
        ("fully_connected_relu", ((2, 3), (4, 5)), {}),
        ("fully_connected_relu", ((2, 3), (4, 3), (5,)), {}),
        ("relu_max_pool", ((1, 1, 1, 1),), {}),
    ],
)
def test_errors_are_those_of_the_functions_one_by_one(function, arguments, options):
    window = (2, 2, 0)
    one_by_one = {
        "conv_relu": lambda *a: cc.relu(cc.conv2d(*a, **options)),
        "conv_relu_max_pool": lambda *a: pooled(cc.relu(cc.conv2d(*a, **options)), window),
        "fully_connected_relu": lambda *a: cc.relu(cc.fully_connected(*a)),
        "relu_max_pool": lambda x: pooled(cc.relu(x), window),
    }[function]
    together = {
        "conv_relu": lambda *a: fused.conv_relu("conv2d", *a, **options),
        "conv_relu_max_pool": lambda *a: fused.conv_relu_max_pool("conv2d", *a, **options, window=window),
        "fully_connected_relu": fused.fully_connected_relu,
        "relu_max_pool": lambda x: fused.relu_max_pool(x, 2, window),
    }[function]
    arrays = [np.ones(shape) for shape in arguments]
    with pytest.raises(ValueError) as expected:
        one_by_one(*arrays)
    with pytest.raises(ValueError) as found:
        together(*arrays)
    assert str(found.value) == str(expected.value)
