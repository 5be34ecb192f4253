"""The kernels as public functions: what they take, and the exact text of every error."""

import functools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_array_equal
from strategies import NUMBER_OR_PATTERN, widest

from convcore import isa, kernels

X, WEIGHT, BIAS = np.ones((2, 3, 6, 5)), np.ones((4, 3, 3, 2)), np.ones(4)
Y = np.ones((2, 4, 4, 4))
PLANES, POOLED = np.arange(24.0).reshape(1, 2, 4, 3), np.ones((1, 2, 2, 1))
INDEX = np.array([[[[4], [10]], [[4], [10]]]], np.int32)
A, B = np.ones((2, 3)), np.ones((3, 4))
SHAPES = "(x (2, 3, 6, 5), weight (4, 3, 3, 2))"

# Rows, planes and volumes, and the sizes of what becomes of them
POOL_SHAPES = {1: ((1, 2, 12), (1, 2, 6)), 2: (PLANES.shape, POOLED.shape), 3: ((1, 2, 2, 2, 3), (1, 2, 1, 1, 1))}
POOLINGS = {}
for rank, (in_shape, out_shape) in POOL_SHAPES.items():
    x, grad_y, index = (
        PLANES.reshape(in_shape),
        np.ones(out_shape),
        INDEX if rank == 2 else np.resize(np.arange(1, 12, 2, np.int32), out_shape),  # in each window its own cell
    )
    POOLINGS |= {
        f"max_pool{rank}d_forward": dict(x=x, pool_size=2),
        f"max_pool{rank}d_backward_input": dict(grad_y=grad_y, index=index, input_shape=in_shape, pool_size=2),
        f"avg_pool{rank}d_forward": dict(x=x, pool_size=2),
        f"avg_pool{rank}d_backward_input": dict(grad_y=grad_y, input_shape=in_shape, pool_size=2),
    }

# Each function, with arguments that are right: every table below changes some of them.
CALLS = {
    "conv2d_forward": dict(x=X, weight=WEIGHT, bias=BIAS),
    "conv2d_backward_input": dict(grad_y=Y, weight=WEIGHT, input_shape=X.shape),
    "conv2d_backward_weight": dict(grad_y=Y, x=X, weight_shape=WEIGHT.shape),
    "conv2d_backward_bias": dict(grad_y=Y),
    "conv1d_forward": dict(x=X[:, :, 0], weight=WEIGHT[:, :, 0], bias=BIAS),
    "conv1d_backward_input": dict(grad_y=Y[:, :, 0], weight=WEIGHT[:, :, 0], input_shape=X[:, :, 0].shape),
    "conv1d_backward_weight": dict(grad_y=Y[:, :, 0], x=X[:, :, 0], weight_shape=WEIGHT[:, :, 0].shape),
    "conv1d_backward_bias": dict(grad_y=Y[:, :, 0]),
    "conv3d_forward": dict(x=X[..., None], weight=WEIGHT[..., None], bias=BIAS),
    "conv3d_backward_input": dict(grad_y=Y[..., None], weight=WEIGHT[..., None], input_shape=X[..., None].shape),
    "conv3d_backward_weight": dict(grad_y=Y[..., None], x=X[..., None], weight_shape=WEIGHT[..., None].shape),
    "conv3d_backward_bias": dict(grad_y=Y[..., None]),
    **POOLINGS,
    "gemm": dict(a=A, b=B),
}
DATA = {"x", "weight", "bias", "grad_y", "a", "b"}  # arguments that are arrays of floats


def call(function, **changed):
    return getattr(kernels, function)(**{**CALLS[function], **changed})


def op_of(function):
    return function.split("_forward")[0].split("_backward")[0]


def data_of(function):
    return [name for name in CALLS[function] if name in DATA]


def raises(kind, message, function, **changed):
    with pytest.raises(kind) as error:
        call(function, **changed)
    assert str(error.value) == message


def test_all_functions_are_here():
    functions = {name for name in kernels.__all__ if name == "gemm" or "_forward" in name or "_backward" in name}
    assert functions == set(CALLS)


# What is taken


@pytest.mark.parametrize("function", CALLS)
def test_lists_integers_and_truth_values_become_float64(function):
    expected = call(function)
    for convert in (np.ndarray.tolist, np.int8, np.uint8, np.bool_, functools.partial(np.asarray, dtype=">f8")):
        arrays = {name: CALLS[function][name] for name in data_of(function)}
        if convert is np.bool_ or convert is np.uint8:
            arrays = {name: np.ones_like(array) for name, array in arrays.items()}
            reference = call(function, **arrays)
        else:
            reference = expected
        got = call(function, **{name: convert(array) for name, array in arrays.items()})
        for one, other in zip(np.atleast_1d(got), np.atleast_1d(reference), strict=True):
            assert_array_equal(one, other, strict=True)


@pytest.mark.parametrize("function", CALLS)
def test_float32_stays_float32(function):
    got = call(function, **{name: CALLS[function][name].astype("f4") for name in data_of(function)})
    assert (got[0] if isinstance(got, tuple) else got).dtype == np.float32


@pytest.mark.parametrize("function", CALLS)
def test_variant_level_threads_and_out(function):
    """Of the variants that take such a problem: among them always the definition."""
    expected = call(function)
    for variant in kernels.variants(op_of(function)):
        arrays = {}
        out = tuple(np.zeros_like(a) for a in expected) if isinstance(expected, tuple) else np.zeros_like(expected)
        if widest(op_of(function), variant) == "f4":
            arrays = {name: CALLS[function][name].astype("f4") for name in data_of(function)}
            out = out.astype("f4")
        try:
            got = call(function, **arrays, variant=variant, level=isa.DEFAULT, n_threads=2, out=out)
        except ValueError as error:
            if variant == "reference" or f": variant {variant} cannot do " not in str(error):
                raise
            continue
        for one, wanted, given_out in zip(*((a if isinstance(a, tuple) else (a,)) for a in (got, expected, out)),
                                          strict=True):  # fmt: skip
            assert one is given_out
            assert_array_equal(one, wanted)


def test_geometry_options_reach_the_kernel():
    """Each option changes the answer in its own way, forward and backward."""
    x = np.arange(1.0, 101.0).reshape(1, 2, 10, 5)
    weight = np.arange(1.0, 13.0).reshape(2, 1, 2, 3)
    options = dict(stride=(2, 1), padding=(1, 0, 2, 0), padding_value=2.0, dilation=(3, 1), groups=2)
    y = kernels.conv2d_forward(x, weight, **options)
    assert y.shape == (1, 2, 4, 5)
    assert y[0, 0, 0, 0] == 2 * (1 + 2 + 3) + 2 * 4 + 2 * 5 + 11 * 6
    g = np.zeros(y.shape)
    g[0, 0, 0, 0] = 1
    grad_x = kernels.conv2d_backward_input(g, weight, x.shape, **options)
    assert grad_x[0, 0, 2, 0] == grad_x.sum() == 6
    grad_weight = kernels.conv2d_backward_weight(g, x, weight.shape, **options)
    assert_array_equal(grad_weight, [[[[2, 2, 2], [2, 2, 11]]], [[[0, 0, 0], [0, 0, 0]]]])


def test_pooling_options_reach_the_kernel():
    """Each option changes the answer in its own way, forward and backward."""
    x = np.arange(1.0, 12.0).reshape(1, 1, 11)
    options = dict(stride=4, padding=(1, 0), dilation=2, ceil_mode=True)  # cells -1 1 3, 3 5 7, 7 9 11
    y, index = kernels.max_pool1d_forward(x, 3, **options)
    assert (y[0, 0].tolist(), index[0, 0].tolist()) == ([4, 8, 10], [3, 7, 9])
    grad_x = kernels.max_pool1d_backward_input([[[1.0, 2, 3]]], index, x.shape, 3, **options)
    assert grad_x[0, 0].tolist() == [0, 0, 0, 1, 0, 0, 0, 2, 0, 3, 0]
    options["padding_value"] = 3
    assert kernels.avg_pool1d_forward(x, 3, **options)[0, 0].tolist() == [3, 6, 9]
    grad_x = kernels.avg_pool1d_backward_input([[[3.0, 6, 8]]], x.shape, 3, **options)
    assert grad_x[0, 0].tolist() == [0, 1, 0, 3, 0, 2, 0, 6, 0, 4, 0]


# What is refused: dtypes and kinds of arrays, for every function and argument

ARRAYS = [(function, name) for function in CALLS for name in data_of(function)]


@pytest.mark.parametrize(("function", "name"), ARRAYS)
def test_arrays_of_other_kinds(function, name):
    right = CALLS[function][name]
    what = f"{op_of(function)}: {name} must be"
    for dtype in ("f2", "g", "c8", "c16", "U1", "M8[s]"):
        wrong = right.astype(np.float64).astype(dtype) if dtype != "M8[s]" else right.astype("i8").astype(dtype)
        message = f"{what} float32, float64, integers or booleans, got dtype {wrong.dtype}"
        raises(TypeError, message, function, **{name: wrong})
    message = f"{what} float32, float64, integers or booleans, got"
    raises(TypeError, f"{message} ndarray", function, **{name: right.astype(object)})
    raises(TypeError, f"{message} object", function, **{name: object()})
    raises(TypeError, f"{message} dtype <U5", function, **{name: "array"})
    raises(TypeError, f"{what} an array of numbers, got a ragged list", function, **{name: [[1.0], [1.0, 2.0]]})
    if name != "bias":
        raises(TypeError, f"{message} NoneType", function, **{name: None})


@pytest.mark.parametrize(("function", "name"), [(f, n) for f, n in ARRAYS if len(data_of(f)) > 1])
def test_float32_and_float64_together(function, name):
    names = data_of(function)
    listing = ", ".join(f"{other} is {'float32' if other == name else 'float64'}" for other in names)
    message = f"{op_of(function)}: arrays must share one dtype: {listing}"
    raises(TypeError, message, function, **{name: CALLS[function][name].astype("f4")})


@pytest.mark.parametrize("function", CALLS)
def test_wrong_variant_level_threads(function):
    op = op_of(function)
    names = ", ".join(kernels.variants(op))
    raises(ValueError, f"{op}: variant must be one of {names}, got 'fast'", function, variant="fast")
    raises(ValueError, f"{op}: level must be one of {', '.join(isa.LEVELS)}, got 'v3'", function, level="v3")
    raises(ValueError, f"{op}: the number of threads must lie in [1, 1024], got -1", function, n_threads=-1)
    raises(TypeError, f"{op}: the number of threads must be an int, got str", function, n_threads="2")
    wanted = "NumPy array" if op[:3] != "max" or "backward" in function else "2 arrays (y, index)"
    article = "a " if wanted == "NumPy array" else ""
    raises(TypeError, f"{op}: out must be {article}{wanted}, got str", function, out="out")


@pytest.mark.parametrize(
    "function", ["conv2d_backward_input", "conv2d_backward_weight", "max_pool2d_backward_input",
                 "avg_pool2d_backward_input"]
)  # fmt: skip
def test_wrong_shapes_asked_for(function):
    op, name = op_of(function), "weight_shape" if function.endswith("weight") else "input_shape"
    for value in (5, None, "2365", (2, 3, 6.0, 5), np.ones(4), {2, 3, 6, 5}):
        raises(TypeError, f"{op}: {name} must be a tuple of ints, got {value!r}", function, **{name: value})
    raises(ValueError, f"{op}: {name} must have 4 sizes, got 3", function, **{name: (3, 6, 5)})
    raises(ValueError, f"{op}: {name} must not be negative, got (-1, 3, 6, 5)", function, **{name: [-1, 3, 6, 5]})


# What is refused: values, function by function


@pytest.mark.parametrize(
    ("function", "changed", "kind", "message"),
    [
        ("conv2d_forward", dict(x=X[:, :1]), ValueError,
         "conv2d: weight expects 3 input channels, x has 1 (x (2, 1, 6, 5), weight (4, 3, 3, 2))"),
        ("conv2d_forward", dict(x=X[0]), ValueError,
         "conv2d: x and weight must have 4 axes, got 3 and 4 (x (3, 6, 5), weight (4, 3, 3, 2))"),
        ("conv2d_forward", dict(x=X[0], weight=WEIGHT[0]), ValueError,
         "conv2d: x and weight must have 4 axes, got 3 and 3 (x (3, 6, 5), weight (3, 3, 2))"),
        ("conv2d_forward", dict(x=1.0), ValueError,
         "conv2d: x and weight must have 4 axes, got 0 and 4 (x (), weight (4, 3, 3, 2))"),
        ("conv2d_forward", dict(bias=BIAS[:2]), ValueError,
         "conv2d: bias must have shape (4,), got (2,) (mb2ic3ih6iw5oc4oh4ow4kh3kw2)"),
        ("conv2d_forward", dict(bias=BIAS[None]), ValueError,
         "conv2d: bias must have shape (4,), got (1, 4) (mb2ic3ih6iw5oc4oh4ow4kh3kw2)"),
        ("conv2d_forward", dict(strides=2), TypeError, "conv2d: unknown option 'strides'"),
        ("conv2d_forward", dict(stride=0), ValueError, "conv2d: stride must be at least 1, got 0"),
        ("conv2d_forward", dict(padding="half"), ValueError,
         'conv2d: padding must be "same", "valid", "full" or numbers, got \'half\''),
        ("conv2d_forward", dict(padding_value="reflect"), ValueError,
         f"conv2d: padding_value {NUMBER_OR_PATTERN}, got 'reflect'"),
        ("conv2d_forward", dict(dilation=3), ValueError,
         "conv2d: the filter covers 7 cells in height, the padded input has 6"),
        ("conv2d_forward", dict(groups=2), ValueError,
         f"conv2d: weight expects 6 input channels in 2 groups, x has 3 {SHAPES}"),
        ("conv2d_backward_input", dict(grad_y=Y[:1]), ValueError,
         "conv2d: grad_y must have shape (2, 4, 4, 4), got (1, 4, 4, 4) (mb2ic3ih6iw5oc4oh4ow4kh3kw2)"),
        ("conv2d_backward_input", dict(input_shape=(2, 2, 6, 5)), ValueError,
         "conv2d: weight expects 3 input channels, x has 2 (x (2, 2, 6, 5), weight (4, 3, 3, 2))"),
        ("conv2d_backward_input", dict(bias=1), TypeError, "conv2d: unknown option 'bias'"),
        ("conv2d_backward_input", dict(weight=WEIGHT[0]), ValueError,
         "conv2d: x and weight must have 4 axes, got 4 and 3 (x (2, 3, 6, 5), weight (3, 3, 2))"),
        ("conv2d_backward_weight", dict(x=X[..., :4]), ValueError,
         "conv2d: grad_y must have shape (2, 4, 4, 3), got (2, 4, 4, 4) (mb2ic3ih6iw4oc4oh4ow3kh3kw2)"),
        ("conv2d_backward_weight", dict(weight_shape=(4, 3, 0, 2)), ValueError,
         "conv2d: weight has an axis of size 0 (x (2, 3, 6, 5), weight (4, 3, 0, 2))"),
        ("conv2d_backward_weight", dict(padding=-1), ValueError, "conv2d: padding must be at least 0, got -1"),
        ("conv2d_backward_bias", dict(grad_y=Y[0]), ValueError, "conv2d: grad_y's shape must have 4 sizes, got 3"),
        ("max_pool2d_forward", dict(x=PLANES[0]), ValueError, "max_pool2d: x must have 4 axes, got 3 (x (2, 4, 3))"),
        ("max_pool2d_forward", dict(pool_size=5), ValueError,
         "max_pool2d: the window covers 5 cells in height, the padded input has 4"),
        ("max_pool2d_forward", dict(pool_size=None), TypeError,
         "max_pool2d: pool_size must be an int or 2 ints, got None"),
        ("max_pool2d_forward", dict(stride=(1, 0)), ValueError, "max_pool2d: stride must be at least 1, got (1, 0)"),
        ("max_pool2d_forward", dict(padding=np.nan), TypeError,
         "max_pool2d: padding must be an int or 2 ints, got nan"),
        ("max_pool2d_forward", dict(dilation=-1), ValueError, "max_pool2d: dilation must be at least 1, got -1"),
        ("max_pool2d_backward_input", dict(grad_y=POOLED[0]), ValueError,
         "max_pool2d: grad_y must have shape (1, 2, 2, 1), got (2, 2, 1) (mb1ic2ih4iw3oh2ow1kh2sh2)"),
        ("max_pool2d_backward_input", dict(index=INDEX[..., 0]), ValueError,
         "max_pool2d: index must have shape (1, 2, 2, 1), got (1, 2, 2) (mb1ic2ih4iw3oh2ow1kh2sh2)"),
        ("max_pool2d_backward_input", dict(index=INDEX + 2), ValueError,
         "max_pool2d: index must lie in [-1, 11], got 6 to 12"),
        ("max_pool2d_backward_input", dict(index=INDEX - 6), ValueError,
         "max_pool2d: index must lie in [-1, 11], got -2 to 4"),
        ("max_pool2d_backward_input", dict(index=INDEX.tolist()), TypeError,
         "max_pool2d: index must be int32, got int64"),
        ("max_pool2d_backward_input", dict(index=INDEX * np.nan), TypeError,
         "max_pool2d: index must be int32, got float64"),
        ("max_pool2d_backward_input", dict(index=INDEX.astype(object)), TypeError,
         "max_pool2d: index must be int32, got object"),
        ("avg_pool2d_forward", dict(padding_value="zero"), ValueError,
         "avg_pool2d: padding_value must be a number or \"mean\", got 'zero'"),
        ("avg_pool2d_forward", dict(padding_value=[1]), TypeError,
         'avg_pool2d: padding_value must be a number or "mean", got (1,)'),
        ("avg_pool2d_forward", dict(pool_size="2"), TypeError,
         "avg_pool2d: pool_size must be an int or 2 ints, got '2'"),
        ("avg_pool2d_backward_input", dict(grad_y=PLANES), ValueError,
         "avg_pool2d: grad_y must have shape (1, 2, 2, 1), got (1, 2, 4, 3) (mb1ic2ih4iw3oh2ow1kh2sh2)"),
        ("max_pool1d_forward", dict(pool_size=13), ValueError,
         "max_pool1d: the window covers 13 cells in width, the padded input has 12"),
        ("max_pool1d_forward", dict(pool_size=(2, 2)), ValueError,
         "max_pool1d: pool_size must be an int, got 2"),
        ("max_pool1d_backward_input", dict(input_shape=(1, 2, 3, 4)), ValueError,
         "max_pool1d: input_shape must have 3 sizes, got 4"),
        ("max_pool3d_forward", dict(x=PLANES), ValueError,
         "max_pool3d: x must have 5 axes, got 4 (x (1, 2, 4, 3))"),
        ("max_pool3d_backward_input", dict(index=np.full((1, 2, 1, 1, 1), 12, np.int32)), ValueError,
         "max_pool3d: index must lie in [-1, 11], got 12 to 12"),
        ("max_pool3d_forward", dict(ceil_mode=1), TypeError, "max_pool3d: ceil_mode must be True or False, got 1"),
        ("avg_pool3d_forward", dict(pool_size=3), ValueError,
         "avg_pool3d: the window covers 3 cells in depth, the padded input has 2"),
        ("avg_pool3d_backward_input", dict(input_shape=PLANES.shape), ValueError,
         "avg_pool3d: input_shape must have 5 sizes, got 4"),
        ("avg_pool1d_forward", dict(ceil_mode="yes"), TypeError,
         "avg_pool1d: ceil_mode must be True or False, got 'yes'"),
        ("gemm", dict(a=A[0]), ValueError, "gemm: a and b must have 2 axes, got 1 and 2 (a (3,), b (3, 4))"),
        ("gemm", dict(b=B.T), ValueError, "gemm: a has 3 columns, b has 4 rows (a (2, 3), b (4, 3))"),
        ("gemm", dict(transpose_a=True), ValueError, "gemm: a has 2 columns, b has 3 rows (a (2, 3), b (3, 4))"),
        ("gemm", dict(transpose_b=True), ValueError, "gemm: a has 3 columns, b has 4 rows (a (2, 3), b (3, 4))"),
    ],
    ids=lambda value: value if isinstance(value, str) and " " not in value else "",
)  # fmt: skip
def test_errors(function, changed, kind, message):
    raises(kind, message, function, **changed)


def test_huge_sizes_are_memory_errors_or_value_errors():
    """None of these may be tried: not even the indices of the result fit into memory."""
    for padding in (2**31, (2**31, 2**31), (2**30, 2**30, 2**30, 2**30)):
        with pytest.raises((ValueError, MemoryError)):
            kernels.conv2d_forward(X, WEIGHT, padding=padding)
        with pytest.raises((ValueError, MemoryError)):
            kernels.max_pool2d_forward(PLANES, 2, stride=1, padding=padding)
    with pytest.raises((ValueError, MemoryError)):
        kernels.conv2d_backward_input(Y, WEIGHT, (2, 3, 2**62, 2**62))
    for variant in ("direct", "im2col"):
        far = dict(padding=2**24, stride=2**24, variant=variant)
        assert kernels.conv2d_forward(X, WEIGHT, **far).shape == (2, 4, 3, 3)
        assert kernels.conv2d_backward_input(np.ones((2, 4, 3, 3)), WEIGHT, X.shape, **far).shape == X.shape
    index = kernels.max_pool2d_forward(PLANES, 2, stride=2**24, padding=2**24)[1]
    assert index[0, 0].tolist() == [[-1, -1, -1], [-1, 4, -1], [-1, -1, -1]]


# Hostile input: whatever is given, a result or one of three kinds of error

SIZES = st.one_of(
    st.integers(-2, 6),
    st.sampled_from([True, None, 2.0, np.nan, np.inf, "same", "full", "2", 1j, 2**31, 2**62, 10**30, np.int8(3)]),
    st.lists(st.integers(-1, 5), max_size=5),
    st.tuples(st.integers(0, 3), st.integers(0, 3)),
    st.tuples(*[st.integers(0, 3)] * 4),
)
PADDINGS = SIZES.filter(lambda value: not (isinstance(value, int) and value > 20))  # the large ones: see above
DIMENSIONS = st.lists(st.integers(0, 5), max_size=5).map(tuple)
ARRAY = st.one_of(
    st.builds(np.ones, DIMENSIONS),
    st.builds(np.ones, st.tuples(*[st.integers(1, 4)] * 4), st.sampled_from(["f4", "f8", "i4", "f2", "c8", "O"])),
    st.sampled_from([None, 3.0, "x", [[1.0]], [[1], [2, 3]], X, WEIGHT, Y, PLANES, POOLED, A, X[::-1, ::2]]),
)
SHAPE = st.one_of(DIMENSIONS, st.sampled_from([None, 4, X.shape, WEIGHT.shape, PLANES.shape, (1, 2, np.int64(4), 3)]))
INDICES = st.one_of(ARRAY, st.sampled_from([INDEX, INDEX - 9, INDEX * 10**8, INDEX[:, ::-1], INDEX.astype("i8")]))
VALUES = st.sampled_from([0, 1.5, "mean", "replicate", None, np.nan, np.inf, 10**400, True, [1]])
COMMON = {
    "variant": st.sampled_from([None, None, "direct", "reference", "im2col", "blocked", 3]),
    "level": st.sampled_from([None, None, *isa.LEVELS, 3]),
    "n_threads": st.sampled_from([None, 1, 2, 3, 0, -5, 2.0, "2", 2**70]),
    "out": st.one_of(st.none(), st.none(), ARRAY),
}
CONV = {"stride": SIZES, "padding": PADDINGS, "padding_value": VALUES, "dilation": SIZES,
        "groups": st.sampled_from([1, 1, 1, 2, 3, 0, -1, None, 1.0, (1,), 2**40])}  # fmt: skip
POOL = {"pool_size": SIZES, "stride": SIZES, "padding": PADDINGS, "dilation": SIZES,
        "ceil_mode": st.sampled_from([False, True, None, 1, "ceil"])}  # fmt: skip
DRAWN = {
    "conv2d_forward": {"x": ARRAY, "weight": ARRAY, "bias": ARRAY, **CONV},
    "conv2d_backward_input": {"grad_y": ARRAY, "weight": ARRAY, "input_shape": SHAPE, **CONV},
    "conv2d_backward_weight": {"grad_y": ARRAY, "x": ARRAY, "weight_shape": SHAPE, **CONV},
    "conv2d_backward_bias": {"grad_y": ARRAY},
    "conv1d_forward": {"x": ARRAY, "weight": ARRAY, "bias": ARRAY, **CONV},
    "conv1d_backward_input": {"grad_y": ARRAY, "weight": ARRAY, "input_shape": SHAPE, **CONV},
    "conv1d_backward_weight": {"grad_y": ARRAY, "x": ARRAY, "weight_shape": SHAPE, **CONV},
    "conv1d_backward_bias": {"grad_y": ARRAY},
    "conv3d_forward": {"x": ARRAY, "weight": ARRAY, "bias": ARRAY, **CONV},
    "conv3d_backward_input": {"grad_y": ARRAY, "weight": ARRAY, "input_shape": SHAPE, **CONV},
    "conv3d_backward_weight": {"grad_y": ARRAY, "x": ARRAY, "weight_shape": SHAPE, **CONV},
    "conv3d_backward_bias": {"grad_y": ARRAY},
    **{f"max_pool{n}d_forward": {"x": ARRAY, **POOL} for n in POOL_SHAPES},
    **{f"max_pool{n}d_backward_input": {"grad_y": ARRAY, "index": INDICES, "input_shape": SHAPE, **POOL}
       for n in POOL_SHAPES},
    **{f"avg_pool{n}d_forward": {"x": ARRAY, "padding_value": VALUES, **POOL} for n in POOL_SHAPES},
    **{f"avg_pool{n}d_backward_input": {"grad_y": ARRAY, "input_shape": SHAPE, "padding_value": VALUES, **POOL}
       for n in POOL_SHAPES},
    "gemm": {"a": ARRAY, "b": ARRAY, "transpose_a": st.booleans(), "transpose_b": st.booleans()},
}  # fmt: skip


@pytest.mark.filterwarnings("ignore:overflow encountered", "ignore:invalid value encountered")
@pytest.mark.parametrize("function", CALLS)
@given(data=st.data())
@settings(max_examples=150)
def test_anything_at_all_gives_a_result_or_an_error(function, data):
    """Up to three of the right arguments are replaced by something else."""
    drawn = {**DRAWN[function], **COMMON}
    names = data.draw(st.lists(st.sampled_from(sorted(drawn)), max_size=3, unique=True))
    try:
        call(function, **{name: data.draw(drawn[name], label=name) for name in names})
    except (ValueError, TypeError, MemoryError):
        pass
