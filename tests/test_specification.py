"""What the specification states and no other test proves, and that docs/specification.md names a test for everything.

The documents are those of the tables in docs/specification.md, section by section in the same order.
"""

import ast
import math
import pathlib
import re

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

import convcore as cc

ROOT = pathlib.Path(__file__).parent.parent

# The three convolutional layers that have a document each: how to make one, an input for it, and the same in numbers.
LAYERS = {
    "Conv2D": (lambda size, filters, **given: cc.Conv2D(size, filters, **given), (4, 9, 8)),
    "GroupedConv2D": (lambda size, filters, **given: cc.GroupedConv2D(size, filters // 2, 2, **given), (4, 9, 8)),
    "Conv1D": (lambda size, filters, **given: cc.Conv1D(size, filters, **given), (4, 9)),
}
each_layer = pytest.mark.parametrize(("make", "input_shape"), LAYERS.values(), ids=LAYERS)


def made(layer, input_shape, seed=0, dtype="float64"):
    layer.initialize(input_shape, np.random.default_rng(seed), np.dtype(dtype))
    return layer


def integers(shape, seed=0):
    return np.random.default_rng(seed).integers(-4, 5, shape).astype(float)


def applied(layer, x, format=None):
    return layer.apply(cc.Tensor(x, format=format), False, None).data


def in_one_line(text):
    return " ".join(text.split())


# ------------------------------------------------------------------------ docs/specification.md names a test for all

DOCUMENTS = ["convolution2dLayer", "groupedConvolution2dLayer", "convolution1dLayer", "Layers of a ConvNet",
             "Convolutional layer (encyclopedia)"]  # fmt: skip
COLUMNS = ["In the document", "Here", "Proved by"]


def tables():
    """The tables of docs/specification.md with a column "Proved by": heading -> list of rows."""
    found, heading, rows = {}, None, None
    for line in (ROOT / "docs" / "specification.md").read_text(encoding="utf-8").splitlines():
        if line.startswith("#"):
            heading, rows = line.lstrip("# "), None
        elif line.startswith("|"):
            cells = [cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]]
            if rows is not None:
                rows.append(cells)
            elif cells == COLUMNS:
                rows = found[heading] = []
        else:
            rows = None
    return {heading: rows[1:] for heading, rows in found.items()}  # without the line of dashes


def functions_of(path):
    """The names of a test file's functions, read and not run."""
    return {node.name for node in ast.parse(path.read_text(encoding="utf-8")).body if isinstance(node, ast.FunctionDef)}


def missing(cell):
    """What a cell of "Proved by" names and does not exist; a list of what is wrong with it."""
    names = re.findall(r"`([^`]*)`", cell)
    wrong = [] if names and not re.sub(r"`[^`]*`|[ ,]", "", cell) else [f"not only tests: {cell!r}"]
    for name in names:
        match = re.fullmatch(r"(tests/[\w/]+\.py)::(test_\w+)(\[[^\]]+\])?", name)
        path = ROOT / match[1] if match else None
        if not match or not path.is_file() or match[2] not in functions_of(path):
            wrong.append(name)
    return wrong


@pytest.mark.parametrize("heading", DOCUMENTS)
def test_every_statement_of_a_document_names_tests_that_exist(heading):
    rows = tables()[heading]
    assert len(rows) > 10
    for row in rows:
        assert len(row) == len(COLUMNS), row
        assert all(row), row
        assert missing(row[2]) == [], row


def test_a_name_without_a_test_is_found():
    ours = "tests/test_specification.py"
    assert missing(f"`{ours}::test_a_name_without_a_test_is_found`, `{ours}::test_sizes_of_filters[one-two]`")
    assert missing(f"`{ours}::test_a_name_without_a_test_is_found`") == []
    for cell in ("", "yes", f"`{ours}`", f"`{ours}::test_nothing`", "`tests/nothing.py::test_nothing`",
                 f"`{ours}::made`", f"see `{ours}::test_a_name_without_a_test_is_found`"):  # fmt: skip
        assert missing(cell), cell


# ------------------------------------------------------------------------------------------ all convolutional layers


@each_layer
def test_a_dot_product_of_the_weights_and_each_region_plus_a_bias(make, input_shape):
    """The definition: a loop over outputs, each the sum of products over its region, in its group's channels."""
    layer = made(make(3, 4, stride=2, dilation_factor=2, padding=1, bias_initializer="ones"), input_shape)
    w, b = integers(layer.weights.shape, 1), integers(4, 2)
    layer.weights.data[:], layer.bias.data[:] = w, b
    x = integers((2, *input_shape))
    y = applied(layer, x)
    padded = np.pad(x, ((0, 0), (0, 0), *[(1, 1)] * layer.rank))
    groups = input_shape[0] // w.shape[1]
    expected = np.empty_like(y)
    for place in np.ndindex(*y.shape[2:]):
        region = padded[(..., *[slice(2 * at, 2 * at + 5, 2) for at in place])]
        for k in range(4):
            first = k // (4 // groups) * w.shape[1]
            products = region[:, first : first + w.shape[1]] * w[k]
            expected[(slice(None), k, *place)] = products.reshape(2, -1).sum(1) + b[k]
    assert_array_equal(y, expected)


@each_layer
@pytest.mark.parametrize("integer", [np.int8, np.int16, np.int32, np.int64, np.uint8, np.uint16, np.uint32, np.uint64])
def test_sizes_of_every_integer_type(make, input_shape, integer):
    two = integer(2)
    layer = make(two, 4, stride=two, dilation_factor=two, padding=two)
    assert repr(layer) == repr(make(2, 4, stride=2, dilation_factor=2, padding=2))


@each_layer
@pytest.mark.parametrize("number", [np.float32, np.float64, np.int8, np.int64, np.uint8, np.uint64])
def test_numbers_of_every_type(make, input_shape, number):
    given = dict.fromkeys(["padding_value", "weight_learn_rate_factor", "bias_learn_rate_factor", "weight_l2_factor",
                           "bias_l2_factor"], number(3))  # fmt: skip
    assert repr(make(1, 2, **given)) == repr(make(1, 2, **dict.fromkeys(given, 3)))


@each_layer
def test_what_is_read_only(make, input_shape):
    layer = make(3, 4)
    for name in ("filter_size", "num_filters", "padding_mode", "padding_size"):
        with pytest.raises(AttributeError):
            setattr(layer, name, 1)
    if isinstance(layer, cc.GroupedConv2D):
        for name in ("num_groups", "num_filters_per_group", "num_channels_per_group"):
            with pytest.raises(AttributeError):
                setattr(layer, name, 1)


@each_layer
def test_options_are_named_and_in_any_order(make, input_shape):
    options = {"stride": 2, "padding": "same", "dilation_factor": 2, "name": "c", "bias_l2_factor": 1}
    assert repr(make(3, 4, **options)) == repr(make(3, 4, **dict(reversed(options.items()))))
    with pytest.raises(TypeError):
        type(make(3, 4))(3, 4, 2, 1)


@each_layer
def test_one_input_and_one_output(make, input_shape):
    layer = make(3, 4)
    assert (layer.num_inputs, layer.input_names, layer.num_outputs, layer.output_names) == (1, ("in",), 1, ("out",))


@each_layer
def test_names(make, input_shape):
    assert (make(3, 4).name, make(3, 4, name="c1").name) == ("", "c1")


@each_layer
def test_a_dilated_filter_equals_a_larger_one_with_zeros(make, input_shape):
    """A filter of 3 with the dilation 2 is one of 5 with zeros between the elements: (3 − 1) · 2 + 1."""
    dilated = made(make(3, 4, dilation_factor=2), input_shape)
    expanded = made(make(5, 4, weights_initializer="zeros"), input_shape)
    assert dilated.output_shape(input_shape) == expanded.output_shape(input_shape)
    expanded.weights.data[(..., *[slice(None, None, 2)] * dilated.rank)] = dilated.weights.data
    x = integers((2, *input_shape))
    assert_allclose(applied(dilated, x), applied(expanded, x), rtol=1e-12, atol=1e-12)


@each_layer
def test_dilation_widens_what_an_output_sees_at_no_cost(make, input_shape):
    """The receptive field grows; the parameters, and the operations for as many outputs, do not."""
    seen = []
    for factor in (1, 2):
        layer = made(make(3, 4, dilation_factor=factor, padding="same", weights_initializer="ones"), input_shape)
        x = cc.Tensor(np.zeros((1, *input_shape)), requires_grad=True)
        with cc.Tape() as tape:
            y = layer.forward(x, False, None)
        grad = np.zeros(y.shape)
        grad[(0, 0, *[4] * layer.rank)] = 1
        tape.backward(y, grad=grad)
        rows = np.flatnonzero(x.grad[0].any(axis=(0, *range(2, layer.rank + 1))))
        seen.append((rows.max() - rows.min() + 1, layer.weights.size, layer.multiply_adds(input_shape)))
    assert (seen[0][0], seen[1][0]) == (3, 5)
    assert seen[0][1:] == seen[1][1:]


@each_layer
def test_what_does_not_fill_a_step_is_ignored_at_the_right_and_the_bottom(make, input_shape):
    layer = made(make(2, 4, stride=4, weights_initializer="ones"), input_shape)  # 9 = 2 + 4 + 3, 8 = 2 + 4 + 2
    assert layer.output_shape(input_shape) == (4, *[2] * layer.rank)
    x = cc.Tensor(np.zeros((1, *input_shape)), requires_grad=True)
    with cc.Tape() as tape:
        y = layer.forward(x, False, None)
    tape.backward(y, grad=np.ones(y.shape))
    read = x.grad[0, 0] > 0
    assert np.flatnonzero(read.any(axis=tuple(range(1, layer.rank)))).tolist() == [0, 1, 4, 5]
    if layer.rank == 2:
        assert np.flatnonzero(read.any(axis=0)).tolist() == [0, 1, 4, 5]


def test_some_of_the_outermost_padding_is_discarded():
    """32, filter 5, stride 2, padding 2: 16.5 becomes 16, and the last row and column of padding is never read."""
    x, w = integers((1, 3, 32, 32)), integers((8, 3, 5, 5), 1)
    y = cc.conv2d(x, w, stride=2, padding=2).data
    assert y.shape == (1, 8, 16, 16)
    assert y[0].size == 2048
    assert_array_equal(y, cc.conv2d(x, w, stride=2, padding=(2, 1, 2, 1)).data)


def test_regions_overlap_where_the_stride_is_smaller_than_the_filter():
    for stride, times in ((1, {1, 2, 3}), (2, {1, 2}), (3, {1})):
        x = cc.Tensor(np.zeros((1, 1, 9)), requires_grad=True)
        with cc.Tape() as tape:
            y = cc.conv1d(x, np.ones((1, 1, 3)), stride=stride)
        tape.backward(y, grad=np.ones(y.shape))
        assert set(x.grad.ravel()) == times  # how often each cell was read


# What the documents print for each padding value, two cells wide; of the 1-D rows the input is [3 1 4].
IMAGE = np.array([[3.0, 1, 4], [1, 5, 9], [2, 6, 5]])
PADDED = {
    0: ["0000000", "0000000", "0031400", "0015900", "0026500", "0000000", "0000000"],
    "symmetric-include-edge": ["5115995", "1331441", "1331441", "5115995", "6226556", "6226556", "5115995"],
    "symmetric-exclude-edge": ["5626562", "9515951", "4131413", "9515951", "5626562", "9515951", "4131413"],
    "replicate": ["3331444", "3331444", "3331444", "1115999", "2226555", "2226555", "2226555"],
}
PADDED_ROW = {0: "0031400", "symmetric-include-edge": "1331441", "symmetric-exclude-edge": "4131413",
              "replicate": "3331444"}  # fmt: skip


@pytest.mark.parametrize("value", PADDED)
def test_padding_values_of_the_layers(value):
    given = {"padding": 2, "padding_value": value, "weights_initializer": "ones"}
    for layer in (cc.Conv2D(1, 1, **given), cc.GroupedConv2D(1, 1, 1, **given)):
        y = applied(made(layer, (1, 3, 3)), IMAGE[None, None])[0, 0]
        assert_array_equal(y, [[int(n) for n in row] for row in PADDED[value]])
    y = applied(made(cc.Conv1D(1, 1, **given), (1, 3)), IMAGE[None, :1])[0, 0]
    assert_array_equal(y, [int(n) for n in PADDED_ROW[value]])


# numIn and numOut are filter cells × channels and filter cells × filters, per group
FANS = {
    "Conv2D": (lambda **given: made(cc.Conv2D((7, 5), 128, **given), (32, 9, 9)), 35 * 32, 35 * 128),
    "GroupedConv2D": (lambda **given: made(cc.GroupedConv2D((7, 5), 32, 4, **given), (64, 9, 9)), 35 * 16, 35 * 32),
    "channelwise": (lambda **given: made(cc.GroupedConv2D((7, 5), 4, "channelwise", **given), (200, 9, 9)), 35, 35 * 4),
    "Conv1D": (lambda **given: made(cc.Conv1D(35, 128, **given), (32, 40)), 35 * 32, 35 * 128),
}
each_fan = pytest.mark.parametrize(("make", "num_in", "num_out"), FANS.values(), ids=FANS)


@each_fan
def test_initializers_of_the_weights(make, num_in, num_out):
    """Bounds of 5 standard deviations; the fourth moment tells uniform (9/5) from normal (3)."""
    assert_array_equal(make().weights.data, make(weights_initializer="glorot").weights.data)
    for name, variance, kurtosis in (("glorot", 2 / (num_in + num_out), 9 / 5), ("he", 2 / num_in, 3),
                                     ("narrow-normal", 0.01**2, 3)):  # fmt: skip
        weights = make(weights_initializer=name).weights.data.ravel()
        assert abs(weights.mean()) < 5 * math.sqrt(variance / weights.size)
        assert abs(weights.var() / variance - 1) < 5 * math.sqrt((kurtosis - 1) / weights.size)
        assert abs((weights**4).mean() / variance**2 / kurtosis - 1) < 0.1
    for name, value in (("zeros", 0), ("ones", 1)):
        weights = make(weights_initializer=name).weights.data
        assert_array_equal(weights, np.full(weights.shape, value))


@each_layer
def test_initializers_of_the_bias(make, input_shape):
    for given, value in (({}, 0), ({"bias_initializer": "zeros"}, 0), ({"bias_initializer": "ones"}, 1)):
        assert_array_equal(made(make(3, 4, **given), input_shape).bias.data, np.full(4, value))
    bias = made(make(1, 20_000, bias_initializer="narrow-normal"), input_shape).bias.data
    assert abs(bias.mean()) < 5 * 0.01 / math.sqrt(bias.size)
    assert abs(bias.std() / 0.01 - 1) < 5 / math.sqrt(2 * bias.size)
    for name in ("glorot", "he"):
        with pytest.raises(ValueError) as caught:
            make(3, 4, bias_initializer=name)
        assert "bias_initializer must be one of zeros, narrow-normal, ones" in str(caught.value)


@each_layer
def test_functions_as_initializers_take_the_size(make, input_shape):
    """The example of the documents, with its standard deviation; arrays are empty until the sizes are known."""
    sizes = []

    def gaussian(size):
        sizes.append(size)
        return np.random.default_rng(0).normal(0, 0.0001, size)

    layer = make(5, 32, weights_initializer=gaussian, bias_initializer=gaussian)
    assert (layer.weights, layer.bias, sizes) == (None, None, [])
    made(layer, input_shape)
    assert sizes == [layer.weights.shape, (32,)]
    assert_array_equal(layer.weights.data, gaussian(layer.weights.shape))
    assert_array_equal(layer.bias.data, gaussian(32))


@each_layer
def test_given_arrays_are_the_first_values(make, input_shape):
    """Weights and bias that are not empty switch the initializers off, each its own."""

    def never(size):
        raise AssertionError

    shape = made(make(3, 4), input_shape).weights.shape
    weights, bias = integers(shape, 1), integers(4, 2)
    layer = made(make(3, 4, weights=weights, bias=bias, weights_initializer=never, bias_initializer=never), input_shape)
    assert_array_equal(layer.weights.data, weights)
    assert_array_equal(layer.bias.data, bias)
    layer = made(make(3, 4, weights=weights, weights_initializer=never, bias_initializer="ones"), input_shape)
    assert_array_equal(layer.bias.data, np.ones(4))
    layer = made(make(3, 4, bias=bias, bias_initializer=never, weights_initializer="ones"), input_shape)
    assert_array_equal(layer.weights.data, np.ones(shape))


@each_layer
def test_factors_reach_the_parameters(make, input_shape):
    defaults = made(make(3, 4), input_shape)
    assert (defaults.weights.learn_rate_factor, defaults.bias.learn_rate_factor) == (1, 1)
    assert (defaults.weights.l2_factor, defaults.bias.l2_factor) == (1, 0)
    layer = made(make(3, 4, weight_learn_rate_factor=2, bias_learn_rate_factor=3, weight_l2_factor=4,
                      bias_l2_factor=5), input_shape)  # fmt: skip
    assert (layer.weights.learn_rate_factor, layer.bias.learn_rate_factor) == (2, 3)
    assert (layer.weights.l2_factor, layer.bias.l2_factor) == (4, 5)
    for name in ("weight_learn_rate_factor", "bias_learn_rate_factor", "weight_l2_factor", "bias_l2_factor"):
        with pytest.raises(ValueError) as caught:
            make(3, 4, **{name: -1})
        assert f"{name} must be finite and at least 0, got -1" in str(caught.value)


@each_layer
def test_a_factor_times_the_global_rate_is_the_rate(make, input_shape):
    """One step of plain gradient descent: rate 0.5, factors 2 and 3, L2 0.25 with factors 4 and 8."""
    given = {"weight_learn_rate_factor": 2, "bias_learn_rate_factor": 3, "weight_l2_factor": 4, "bias_l2_factor": 8}
    layer = made(make(3, 4, weights_initializer="ones", bias_initializer="ones", **given), input_shape)
    layer.weights.grad, layer.bias.grad = np.full(layer.weights.shape, 3.0), np.full(4, 5.0)
    cc.SGD(layer.learnables, learn_rate=0.5, momentum=0.0, l2_regularization=0.25).step()
    assert_array_equal(layer.weights.data, np.full(layer.weights.shape, 1 - 0.5 * 2 * (3 + 0.25 * 4)))
    assert_array_equal(layer.bias.data, np.full(4, 1 - 0.5 * 3 * (5 + 0.25 * 8)))


# ------------------------------------------------------------------------------------------------- convolution2dLayer


@pytest.mark.parametrize("format", ["BCSS", "SSCB", "BTCSS", "SSCBT", "BCST", "SCBT"])
def test_what_conv2d_convolves_over(format):
    """Images: the two S; sequences of images: the two S of each step; sequences of 1-D images: S and T."""
    sizes = iter((8, 7))
    shape = [{"B": 2, "C": 3}.get(letter) or (4 if letter == "T" and "SS" in format else next(sizes))
             for letter in format]  # fmt: skip
    x, layer = integers(shape), made(cc.Conv2D(3, 7, bias_initializer="ones"), (3, 8, 7))
    y = applied(layer, x, format)
    spatial = [at for at, letter in enumerate(format) if letter in ("S" if "SS" in format else "ST")]
    steps = [at for at, letter in enumerate(format) if letter == "T" and "SS" in format]
    order = [*steps, format.index("B"), format.index("C"), *spatial]
    images = x.transpose(order).reshape(-1, 3, 8, 7)
    expected = cc.conv2d(images, layer.weights, layer.bias).data
    assert_array_equal(y.transpose(order).reshape(expected.shape), expected)


def test_the_unspecified_letter_is_refused():
    with pytest.raises(ValueError) as caught:
        cc.Tensor(np.zeros((1, 2, 3)), format="BCU")
    assert str(caught.value) == (
        'Tensor: the letter U (unspecified) is not supported yet; S, C, B and T are, got "BCU"'
    )


@pytest.mark.parametrize("size", [5, 8, 28])
def test_sixteen_filters_of_3_with_same_padding(size):
    layer = cc.Conv2D(3, 16, padding="same")
    assert (layer.filter_size, layer.padding_mode) == ((3, 3), "same")
    assert layer.output_shape((1, size, size)) == (16, size, size)


def test_the_old_default_initializer_had_a_standard_deviation_of_a_hundredth():
    """The release note says variance 0.01, which would be ten times as wide; "narrow-normal" is what it means."""
    weights = made(cc.Conv2D(5, 64, weights_initializer="narrow-normal"), (16, 9, 9)).weights.data
    assert weights.std() == pytest.approx(0.01, rel=0.05)


# ------------------------------------------------------------------------------------------ groupedConvolution2dLayer


def test_grouped_convolution_defaults():
    layer = cc.GroupedConv2D(3, 10, 2)
    expected = {
        "filter_size": (3, 3), "num_filters_per_group": 10, "num_groups": 2, "num_filters": 20, "stride": (1, 1),
        "dilation_factor": (1, 1), "padding_mode": "manual", "padding_size": (0, 0, 0, 0), "padding_value": 0,
        "num_channels_per_group": "auto", "weights_initializer": "glorot", "bias_initializer": "zeros",
        "weights": None, "bias": None, "name": "",
    }  # fmt: skip
    assert {name: getattr(layer, name) for name in expected} == expected


@pytest.mark.parametrize("name", ["filter_size", "stride", "dilation_factor"])
def test_a_number_stands_for_height_and_width_of_a_grouped_convolution(name):
    for value, pair in ((2, (2, 2)), ((2, 3), (2, 3))):
        assert getattr(cc.GroupedConv2D(**{"filter_size": 1, "num_filters_per_group": 1, "num_groups": 1,
                                           name: value}), name) == pair  # fmt: skip


@pytest.mark.parametrize(
    ("padding", "mode", "size", "output"),
    [
        (0, "manual", (0, 0, 0, 0), (8, 7)),
        (2, "manual", (2, 2, 2, 2), (12, 11)),
        ((1, 0), "manual", (1, 1, 0, 0), (10, 7)),
        ((1, 2, 3, 4), "manual", (1, 2, 3, 4), (11, 14)),
        ("same", "same", (0, 0, 0, 0), (10, 10)),
    ],
)
def test_padding_of_a_grouped_convolution(padding, mode, size, output):
    layer = cc.GroupedConv2D((3, 4), 5, 2, padding=padding)
    assert (layer.padding_mode, layer.padding_size) == (mode, size)
    assert layer.output_shape((2, 10, 10)) == (10, *output)


@pytest.mark.parametrize(
    "make",
    [lambda **given: cc.Conv2D((4, 2), 2, **given), lambda **given: cc.GroupedConv2D((4, 2), 1, 2, **given)],
    ids=["conv", "grouped"],
)
@pytest.mark.parametrize(("stride", "manual"), [(1, (1, 2, 0, 1)), (2, (1, 2, 0, 1)), (3, (1, 2, 0, 0))])
def test_same_padding_of_two_sizes(make, stride, manual):
    """Input 7 × 9: an odd surplus is at the bottom and the right; ceil(input / stride) outputs."""
    x = integers((1, 2, 7, 9))
    same, by_hand = (made(make(stride=stride, padding=padding), (2, 7, 9)) for padding in ("same", manual))
    y = applied(same, x)
    assert y.shape[2:] == (-(-7 // stride), -(-9 // stride))
    assert_array_equal(y, applied(by_hand, x))


def test_groups_do_not_see_each_others_channels():
    layer = made(cc.GroupedConv2D(3, 5, 3), (6, 8, 8))
    x = integers((1, 6, 8, 8))
    y = applied(layer, x)
    assert y.shape == (1, 15, 6, 6)  # filters per group × groups
    assert (layer.num_channels_per_group, layer.num_filters, layer.weights.shape) == (2, 15, (15, 2, 3, 3))
    x[:, 2:4] += 1  # the second group's
    changed = (applied(layer, x) != y).any(axis=(0, 2, 3))
    assert changed.tolist() == [False] * 5 + [True] * 5 + [False] * 5


def test_as_many_groups_as_channels_are_channelwise():
    layer = cc.GroupedConv2D(3, 2, "channelwise")
    assert layer.num_groups == "channelwise"
    made(layer, (4, 8, 8))
    assert (layer.num_groups, layer.num_channels_per_group, layer.num_filters) == (4, 1, 8)
    same = made(cc.GroupedConv2D(3, 2, 4, weights=layer.weights.data), (4, 8, 8))
    x = integers((2, 4, 8, 8))
    assert_array_equal(applied(layer, x), applied(same, x))
    for channel in range(4):
        alone = cc.conv2d(x[:, channel : channel + 1], layer.weights.data[2 * channel : 2 * channel + 2]).data
        assert_allclose(applied(layer, x)[:, 2 * channel : 2 * channel + 2], alone, rtol=1e-12, atol=1e-12)


def test_groups_divide_the_channels():
    with pytest.raises(ValueError) as caught:
        made(cc.GroupedConv2D(3, 2, 4), (6, 8, 8))
    assert str(caught.value) == "GroupedConv2D: 6 channels cannot be split into 4 groups (inputs (6, 8, 8))"


def test_two_groups_of_128_filters_of_5_with_same_padding():
    layer = made(cc.GroupedConv2D(5, 128, 2, padding="same"), (4, 9, 9))
    assert layer.output_shape((4, 9, 9)) == (256, 9, 9)
    text = in_one_line(layer.spec_text())
    assert "Weights: [5x5x2x128x2 double] Bias: [1x1x128x2 double]" in text


@pytest.mark.parametrize(
    ("layer", "name", "groups"),
    [(cc.GroupedConv2D(11, 10, 3, name="gconv1"), "gconv1", "3"),
     (cc.GroupedConv2D(11, 10, "channelwise", name="cwconv1"), "cwconv1", "'channelwise'")],
    ids=["grouped", "channelwise"],
)  # fmt: skip
def test_grouped_convolutions_printed_as_in_the_specification(layer, name, groups):
    assert in_one_line(layer.spec_text()) == (
        f"GroupedConvolution2DLayer with properties: Name: '{name}' Hyperparameters FilterSize: [11 11] NumGroups: "
        f"{groups} NumChannelsPerGroup: 'auto' NumFiltersPerGroup: 10 Stride: [1 1] DilationFactor: [1 1] PaddingMode: "
        "'manual' PaddingSize: [0 0 0 0] PaddingValue: 0 Learnable Parameters Weights: [] Bias: []"
    )


def standard_block(filter_size, num_filters):
    return [cc.Conv2D(filter_size, num_filters, stride=2, padding="same"), cc.BatchNorm(), cc.ReLU()]


def separable_block(filter_size, num_filters):
    return [cc.GroupedConv2D(filter_size, 1, "channelwise", stride=2, padding="same"), cc.BatchNorm(), cc.ReLU(),
            cc.Conv2D(1, num_filters, padding="same"), cc.BatchNorm(), cc.ReLU()]  # fmt: skip


def test_a_separable_block_replaces_a_convolution():
    """Its output has the same size, for fewer parameters and operations."""
    nets = [cc.Network(block(3, 16)) for block in (standard_block, separable_block)]
    for net in nets:
        net.initialize((32, 57, 57))
    standard, separable = nets
    assert standard.output_shape == separable.output_shape == (16, 29, 29)
    assert separable.summary().rows[0]["activations"] == (32, 29, 29)  # channel-wise: as many as there were
    costs = [(sum(p.size for p in net.parameters().values()), sum(row["multiply_adds"] for row in net.summary().rows))
             for net in nets]  # fmt: skip
    assert costs[1][0] < costs[0][0] / 4
    assert costs[1][1] < costs[0][1] / 4


def test_the_network_with_a_separable_block():
    net = cc.Network([
        cc.ImageInput((3, 227, 227)), cc.Conv2D(3, 32, padding="same"), cc.BatchNorm(), cc.ReLU(),
        *separable_block(3, 16), cc.MaxPool2D(2, stride=2), cc.FullyConnected(5), cc.Softmax(),
    ])  # fmt: skip
    assert [row["activations"] for row in net.summary().rows] == [
        (3, 227, 227), *[(32, 227, 227)] * 3, *[(32, 114, 114)] * 3, *[(16, 114, 114)] * 3, (16, 57, 57), (5,), (5,)
    ]  # fmt: skip
    assert net.summary().problems == []
    y = net.predict(np.zeros((2, 3, 227, 227), "f4"))
    assert_allclose(y.sum(1), 1, rtol=1e-6)


def test_weights_in_the_documents_order():
    """FilterSize × channels × filters (× groups), and 1 × 1 × filters (× groups), by what they mean."""
    w, b = integers((3, 2, 4, 5)), integers((1, 1, 5), 1)
    layer, x = cc.Conv2D.from_hwio(w, b), integers((1, 4, 3, 2), 2)
    assert_array_equal(applied(layer, x).ravel(), np.einsum("chw,hwcf->f", x[0], w) + b.ravel())
    w, b = integers((3, 2, 4, 5, 2)), integers((1, 1, 5, 2), 1)
    layer, x = cc.GroupedConv2D.from_hwio(w, b), integers((1, 8, 3, 2), 2)
    expected = np.einsum("gchw,hwcfg->gf", x.reshape(2, 4, 3, 2), w) + b[0, 0].T
    assert_array_equal(applied(layer, x).ravel(), expected.ravel())
    w, b = integers((3, 4, 5)), integers((1, 5), 1)
    layer, x = cc.Conv1D.from_wio(w, b), integers((1, 4, 3), 2)
    assert_array_equal(applied(layer, x).ravel(), np.einsum("cw,wcf->f", x[0], w) + b.ravel())


# ------------------------------------------------------------------------------------------------- convolution1dLayer


def test_conv1d_defaults():
    layer = cc.Conv1D(11, 96)
    expected = {
        "filter_size": 11, "num_filters": 96, "stride": 1, "dilation_factor": 1, "padding_mode": "manual",
        "padding_size": (0, 0), "padding_value": 0, "num_channels": "auto", "weights_initializer": "glorot",
        "bias_initializer": "zeros", "weights": None, "bias": None, "name": "",
    }  # fmt: skip
    assert {name: getattr(layer, name) for name in expected} == expected


@pytest.mark.parametrize(
    ("format", "over"), [("BCT", "T"), ("CBT", "T"), ("BCS", "S"), ("SCB", "S"), ("BTCS", "S"), ("SCBT", "S")]
)
def test_what_conv1d_convolves_over(format, over):
    """Sequences of vectors: T; 1-D images: S; sequences of 1-D images: S, each time step by itself."""
    sizes = {"B": 2, "C": 3, "T": 9 if over == "T" else 4, "S": 9}
    x = integers([sizes[letter] for letter in format])
    layer = made(cc.Conv1D(3, 5, stride=2, bias_initializer="ones"), (3, 9))
    steps = [format.index("T")] if over == "S" and "T" in format else []
    order = [*steps, format.index("B"), format.index("C"), format.index(over)]
    expected = cc.conv1d(x.transpose(order).reshape(-1, 3, 9), layer.weights, layer.bias, stride=2).data
    y = applied(layer, x, format)
    assert_array_equal(y.transpose(order).reshape(expected.shape), expected)


@pytest.mark.parametrize(
    ("padding", "mode", "size", "output"),
    [(0, "manual", (0, 0), 6), (1, "manual", (1, 1), 8), ((2, 1), "manual", (2, 1), 9), ("same", "same", (0, 0), 10),
     ("causal", "causal", (4, 0), 10)],
)  # fmt: skip
def test_padding_of_conv1d(padding, mode, size, output):
    layer = cc.Conv1D(3, 5, dilation_factor=2, padding=padding)
    assert (layer.padding_mode, layer.padding_size) == (mode, size)
    assert layer.output_shape((2, 10)) == (5, output)


@pytest.mark.parametrize("length", [5, 6, 7, 28])
@pytest.mark.parametrize("stride", [1, 2, 3])
def test_same_and_causal_padding_of_conv1d(length, stride):
    """Both give ceil(length / stride) outputs; causal pads the left alone, by (filter − 1) · dilation."""
    x = integers((1, 2, length))
    for padding in ("same", "causal"):
        layer = made(cc.Conv1D(4, 3, stride=stride, dilation_factor=2, padding=padding), (2, length))
        assert applied(layer, x).shape == (1, 3, -(-length // stride))
    left = made(cc.Conv1D(4, 3, stride=stride, dilation_factor=2, padding=(6, 0)), (2, length))
    assert_array_equal(applied(layer, x), applied(left, x))


def test_a_causal_output_sees_no_later_step():
    layer, x = made(cc.Conv1D(3, 1, dilation_factor=2, padding="causal"), (1, 12)), integers((1, 1, 12))
    y = applied(layer, x)
    x[..., 7] += 1
    assert np.flatnonzero(applied(layer, x) != y).tolist() == [7, 9, 11]


def test_num_channels_of_conv1d():
    assert made(cc.Conv1D(3, 8), (12, 9)).num_channels == 12
    layer = cc.Conv1D(3, 8, num_channels=16)
    with pytest.raises(ValueError) as caught:
        made(layer, (12, 9))
    assert str(caught.value) == "Conv1D: expects 16 channels, got 12 (inputs (12, 9))"


def test_96_filters_of_11_with_padding_1():
    assert cc.Conv1D(11, 96, padding=1).padding_size == (1, 1)
    layer = made(cc.Conv1D(11, 96, padding=1), (12, 40))
    assert layer.output_shape((12, 40)) == (96, 32)
    assert "Weights: [11x12x96 double] Bias: [1x96 double]" in in_one_line(layer.spec_text())


def test_conv1d_printed_as_in_the_specification():
    assert in_one_line(cc.Conv1D(11, 96).spec_text()) == (
        "Convolution1DLayer with properties: Name: '' Hyperparameters FilterSize: 11 NumChannels: 'auto' NumFilters: "
        "96 Stride: 1 DilationFactor: 1 PaddingMode: 'manual' PaddingSize: [0 0] PaddingValue: 0 Learnable Parameters "
        "Weights: [] Bias: []"
    )


def test_the_network_of_sequences():
    net = cc.Network([cc.SequenceInput(12), cc.Conv1D(11, 96), cc.ReLU(), cc.GlobalMaxPool(), cc.FullyConnected(10),
                      cc.Softmax(), cc.ClassificationOutput()])  # fmt: skip
    before = in_one_line(net.spec_text())
    assert "2 '' Convolution 96 11 convolutions with stride 1 and padding [0 0] 3 '' ReLU ReLU 4" in before
    for length in (11, 40):  # the lengths may differ from batch to batch
        y = net.predict(np.ones((2, 12, length)))
        assert y.shape == (2, 10)
        assert_allclose(y.sum(1), 1, rtol=1e-6)
    printed = in_one_line(net.spec_text()).replace("96 11x12", "96 11")  # the channels are known by now
    assert printed == (
        "7x1 Layer array with layers: 1 '' Sequence Input Sequence input with 12 dimensions 2 '' Convolution 96 11 "
        "convolutions with stride 1 and padding [0 0] 3 '' ReLU ReLU 4 '' 1D Global Max Pooling 1D global max pooling "
        "5 '' Fully Connected 10 fully connected layer 6 '' Softmax softmax 7 '' Classification Output crossentropyex"
    )


# ------------------------------------------------------------------------------------------------ Layers of a ConvNet


def test_parameters_of_a_convolution():
    """(h·w·c + 1) · filters; as many feature maps as filters; the outputs are the map's size times the filters."""
    layer = made(cc.Conv2D((5, 4), 7), (3, 10, 10))
    assert layer.weights[0].size == 5 * 4 * 3
    assert layer.weights.size + layer.bias.size == (5 * 4 * 3 + 1) * 7
    y = applied(layer, integers((1, 3, 10, 10)))
    assert y.shape == (1, 7, 6, 7)
    assert y[0].size == 6 * 7 * 7


def test_a_feature_map_shares_one_set_of_weights():
    """What is shifted in the input is shifted in the map."""
    layer, x = made(cc.Conv2D(3, 2), (1, 8, 8)), np.zeros((1, 1, 8, 8))
    x[0, 0, 3, 3] = 1
    y, z = applied(layer, x), applied(layer, np.roll(x, (1, 2), (2, 3)))
    assert y.any()
    assert_array_equal(z[..., 1:, 2:], y[..., :-1, :-2])


@pytest.mark.parametrize("layer", [cc.MaxPool2D(2), cc.AvgPool2D(2), cc.Dropout(), cc.ReLU(), cc.Softmax(),
                                   cc.CrossChannelNorm(3)], ids=lambda layer: type(layer).__name__)  # fmt: skip
def test_layers_that_learn_nothing(layer):
    assert made(layer, (4, 8, 8)).learnables == {}


def test_activations_depend_on_the_other_images_of_a_batch_in_training_only():
    layer, x = made(cc.BatchNorm(), (2, 3, 3)), integers((4, 2, 3, 3))
    other = x.copy()
    other[1:] += np.arange(9).reshape(3, 3)
    before, after = (layer.forward(cc.Tensor(images), True, None).data[0] for images in (x, other))
    assert abs(before - after).max() > 0.1
    assert_array_equal(applied(layer, x)[0], applied(layer, other)[0])


def test_alpha_times_the_window_gives_the_formula_of_krizhevsky():
    """The formula divides alpha by the window; Krizhevsky et al. do not: x / (k + α·Σx²)^β."""
    x = integers((2, 7, 3, 3))
    y = cc.cross_channel_norm(x, 5, alpha=1e-2 * 5, beta=0.75, k=2).data
    squares = np.pad(x**2, ((0, 0), (2, 2), (0, 0), (0, 0)))
    sums = sum(squares[:, at : at + 7] for at in range(5))
    assert_allclose(y, x / (2 + 1e-2 * sums) ** 0.75, rtol=1e-12)


@pytest.mark.parametrize(("Pool", "of_region"), [(cc.MaxPool2D, np.max), (cc.AvgPool2D, np.mean)])
def test_pooling_takes_regions_of_height_2_and_width_3(Pool, of_region):
    """Regions do not overlap where the pool is no larger than the stride: n/h outputs; else the formula holds."""
    x = integers((1, 1, 6, 6))
    y = applied(Pool((2, 3), stride=(2, 3)), x)
    assert_array_equal(y[0, 0], [[of_region(x[0, 0, i : i + 2, j : j + 3]) for j in (0, 3)] for i in (0, 2, 4)])
    assert Pool(3, stride=3).output_shape((1, 12, 12)) == (1, 12 // 3, 12 // 3)
    assert Pool(3, stride=2, padding=1).output_shape((1, 11, 12)) == (1, 6, 6)  # (12 − 3 + 2·1)/2 + 1 = 6.5


def test_softmax_of_two_is_the_logistic_function():
    a = np.linspace(-5, 5, 11)
    y = cc.softmax(np.stack([a, np.zeros(11)], 1)).data
    assert_allclose(y[:, 0], cc.sigmoid(a).data, rtol=1e-12)
    assert_allclose(y.sum(1), 1, rtol=1e-12)
    assert ((y >= 0) & (y <= 1)).all()


def test_the_loss_of_a_classifier_is_the_cross_entropy_of_its_probabilities():
    """−Σ t·ln y over classes, the mean over the observations of the batch."""
    net = cc.Network([cc.FullyConnected(3), cc.Softmax(), cc.ClassificationOutput()], dtype="float64")
    x, labels = integers((6, 4)), np.array([0, 1, 2, 2, 1, 0])
    y, coded = net.predict(x), np.eye(3)[labels]
    expected = -(coded * np.log(y)).sum() / 6
    assert cc.evaluate(net, (x, labels))["loss"] == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize(
    ("layers", "input_shape", "steps"),
    [
        ([cc.FullyConnected(4)], (2, 3), 1),
        ([cc.Conv2D(1, 3)], (2, 4, 5), 1),  # image to image: over height, width and channels
        ([cc.SequenceInput(2), cc.Conv1D(3, 4, padding="same")], (2, 7), 7),  # sequence to sequence: the mean over time
    ],
    ids=["responses", "images", "sequences"],
)
def test_the_loss_of_a_regression_is_half_the_squared_error(layers, input_shape, steps):
    """½Σ(t − y)², not divided by the number of responses; the mean over the observations, and over time steps."""
    net = cc.Network([*layers, cc.RegressionOutput()], dtype="float64")
    x = integers((3, *input_shape))
    y = net.predict(x)
    t = integers(y.shape, 1)
    expected = ((t - y) ** 2).sum() / (2 * 3 * steps)
    assert cc.evaluate(net, (x, t))["loss"] == pytest.approx(expected, rel=1e-12)


def test_fully_connected_sees_all_and_weighs_them():
    """W·x + b of all features; as many outputs as classes, or responses."""
    layer, x = made(cc.FullyConnected(10, bias_initializer="ones"), (3, 4, 5)), integers((2, 3, 4, 5))
    assert layer.weights.shape == (10, 60)
    assert_allclose(applied(layer, x), x.reshape(2, 60) @ layer.weights.data.T + 1, rtol=1e-12, atol=1e-12)
    factors = made(cc.FullyConnected(2, weight_learn_rate_factor=2, bias_l2_factor=3), (3,))
    assert (factors.weights.learn_rate_factor, factors.bias.l2_factor) == (2, 3)


# --------------------------------------------------------------------------------- Convolutional layer (encyclopedia)


@pytest.mark.parametrize("rank", [1, 2, 3])
def test_the_formula_in_any_number_of_dimensions(rank):
    """y[i, j] = Σ_m Σ_n x[i + m, j + n] · w[m, n]: the filter is not turned over."""
    x, w = integers((5, 6, 7)[:rank]), integers((2, 3, 2)[:rank], 1)
    y = getattr(cc, f"conv{rank}d")(x[None, None], w[None, None]).data[0, 0]
    expected = np.zeros(y.shape)
    for i in np.ndindex(*y.shape):
        for m in np.ndindex(*w.shape):
            expected[i] += x[tuple(a + b for a, b in zip(i, m, strict=True))] * w[m]
    assert_array_equal(y, expected)


def test_a_larger_stride_gives_a_smaller_map():
    sizes = [cc.Conv2D(3, 1, stride=stride).output_shape((1, 13, 13))[1] for stride in (1, 2, 3)]
    assert sizes == [11, 6, 4]


def counts(padding, dilation=1):
    """How often each cell of an image of 6 × 6 is read by a filter of 3 × 3."""
    x = cc.Tensor(np.zeros((1, 1, 6, 6)), requires_grad=True)
    with cc.Tape() as tape:
        y = cc.conv2d(x, np.ones((1, 1, 3, 3)), padding=padding, dilation=dilation)
    tape.backward(y, grad=np.ones(y.shape))
    return y.shape[2:], x.grad[0, 0]


def test_strategies_of_padding():
    """Valid shrinks the map, same keeps its size, full reads each cell as often as any other."""
    assert counts("valid")[0] == (4, 4)
    size, read = counts("same")
    assert (size, read[0, 0], read[3, 3]) == ((6, 6), 4, 9)
    for dilation in (1, 2):
        size, read = counts("full", dilation)
        assert size == (6 + 2 * dilation,) * 2
        assert_array_equal(read, np.full((6, 6), 9))


def test_mirrored_and_circular_padding():
    """Reflections with and without the edge, and the torus, in NumPy's words."""
    x, one = integers((1, 1, 4, 5)), np.ones((1, 1, 1, 1))
    for value, mode in (("symmetric-include-edge", "symmetric"), ("symmetric-exclude-edge", "reflect"),
                        ("replicate", "edge"), ("circular", "wrap")):  # fmt: skip
        y = cc.conv2d(x, one, padding=(3, 2), padding_value=value).data
        assert_array_equal(y, np.pad(x, ((0, 0), (0, 0), (3, 3), (2, 2)), mode=mode))


def test_a_separable_convolution_is_a_depthwise_one_and_a_pointwise_one():
    """For 9 cells and 64 filters it takes 1/64 + 1/9 of the operations of the one that it factors."""
    layer = made(cc.SeparableConv2D(3, 64, padding="same"), (16, 8, 8))
    x, w = integers((2, 16, 8, 8)), layer.depthwise_weights.data
    depthwise = np.concatenate([cc.conv2d(x[:, c : c + 1], w[c : c + 1], padding="same").data for c in range(16)], 1)
    assert_allclose(applied(layer, x), cc.conv2d(depthwise, layer.pointwise_weights, layer.bias).data,
                    rtol=1e-12, atol=1e-12)  # fmt: skip
    whole = cc.Conv2D(3, 64, padding="same").multiply_adds((16, 8, 8))
    assert layer.multiply_adds((16, 8, 8)) / whole == pytest.approx(1 / 64 + 1 / 9)


@pytest.mark.parametrize("rank", [1, 2, 3])
def test_a_transposed_convolution_enlarges_and_is_the_transpose(rank):
    """Σ conv(x)·g = Σ x·transposed(g), and the output is larger than the input."""
    layer = made(getattr(cc, f"TransposedConv{rank}D")(3, 2, stride=2), (4, *[5] * rank))
    assert layer.output_shape((4, *[5] * rank)) == (2, *[11] * rank)
    g, x = integers((1, 4, *[5] * rank)), integers((1, 2, *[11] * rank), 1)
    w = layer.weights.data
    forward = getattr(cc, f"conv{rank}d")(x, w, stride=2).data
    assert (forward * g).sum() == pytest.approx((x * applied(layer, g)).sum(), rel=1e-12)
