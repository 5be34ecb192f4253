"""The geometries but PoolGeometry: sizes, text form, and the exact text of every error."""

import dataclasses
import math
import pickle

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from strategies import NUMBER_OR_PATTERN, PATTERNS, conv_geometries

from convcore import kernels
from convcore.kernels import ConvGeometry, FlatGeometry, MatrixGeometry, RowsGeometry
from convcore.kernels.windows import padding_pairs

X, W = (2, 3, 8, 9), (4, 3, 3, 2)
SHAPES = "(x (2, 3, 8, 9), weight (4, 3, 3, 2))"


def conv(x_shape=X, weight_shape=W, **options):
    return ConvGeometry.of(x_shape, weight_shape, **options)


# What is accepted, and what it means


def test_options_in_all_their_forms():
    plain = conv(stride=(2, 2), padding=(1, 1, 3, 3), dilation=(1, 1))
    assert plain == conv(stride=2, padding=(1, 3))
    assert plain == conv(list(X), list(W), stride=[2, 2], padding=[1, 1, 3, 3], dilation=[1, 1])
    assert plain == conv(stride=np.array([2, 2]), padding=np.array([1, 3]), dilation=np.int64(1), groups=np.int32(1))
    assert plain.padding == ((1, 1), (3, 3))
    assert plain.out_size == ((8 + 2 - 3) // 2 + 1, (9 + 6 - 2) // 2 + 1)
    assert plain.shapes == {
        "x": X, "grad_x": X, "weight": W, "grad_weight": W, "bias": (4,), "grad_bias": (4,), "y": (2, 4, 4, 7),
        "grad_y": (2, 4, 4, 7), "pooled": (2, 4, 2, 3), "grad_pooled": (2, 4, 2, 3), "index": (2, 4, 2, 3),
    }  # fmt: skip


def test_words_for_padding():
    assert conv(padding="valid").padding == ((0, 0), (0, 0))
    assert conv(padding="full", dilation=(2, 3)).padding == ((4, 4), (3, 3))
    assert conv(padding="same").padding == ((1, 1), (0, 1))
    assert conv(padding="same-lower").padding == ((1, 1), (1, 0))
    assert padding_pairs((1, 2), (5,), (3,), (1,), (1,), "conv1d: padding") == ((1, 2),)
    assert padding_pairs((1, 2, 3, 4, 5, 6), (5,) * 3, (3,) * 3, (1,) * 3, (1,) * 3, "") == ((1, 2), (3, 4), (5, 6))
    assert padding_pairs((1, 2, 3), (5,) * 3, (3,) * 3, (1,) * 3, (1,) * 3, "") == ((1, 1), (2, 2), (3, 3))


def test_operations():
    geometry = conv()  # y is (2, 4, 6, 8)
    assert geometry.operations("forward") == geometry.operations("backward_weight") == 2 * 2 * 4 * 6 * 8 * 3 * 3 * 2
    assert geometry.operations("backward_bias") == 2 * 4 * 6 * 8
    assert conv(weight_shape=(6, 1, 3, 2), groups=3).operations("forward") == 2 * 2 * 6 * 6 * 8 * 1 * 3 * 2
    assert MatrixGeometry("gemm", 2, 3, 5).operations("forward") == 2 * 2 * 3 * 5


@given(geometry=conv_geometries())
@settings(max_examples=100)
def test_sizes_by_walking(geometry):
    """The output size is the number of windows that lie within the padded input, walked one after the other."""
    for size, w, s, (before, after), d, out in zip(
        geometry.in_size,
        geometry.filter_size,
        geometry.stride,
        geometry.padding,
        geometry.dilation,
        geometry.out_size,
        strict=True,
    ):
        assert out == sum(start + (w - 1) * d < size + before + after for start in range(0, size + before + after, s))


# The text form


@given(geometry=conv_geometries(padding_values=(0, -1, 2.5, 1e-5, -3e30, math.inf, -math.inf, *PATTERNS)))
@example(geometry=conv(padding=(0, 0, 0, 1)))
@example(geometry=conv(padding=(1, 0, 0, 0)))
@example(geometry=conv((2, 3, 8, 8), (4, 3, 3, 3), padding=(1, 0, 1, 0), dilation=(2, 2), stride=(1, 3)))
@settings(max_examples=300)
def test_text_form_round_trip(geometry):
    assert ConvGeometry.parse(str(geometry)) == geometry


@pytest.mark.parametrize(
    ("text", "geometry"),
    [
        ("mb64ic1ih28oc6oh28kh5ph2", ConvGeometry.of((64, 1, 28, 28), (6, 1, 5, 5), padding=2)),
        ("mb2ic3ih8iw9oc4oh6ow8kh3kw2", conv()),
        (
            "g3mb1ic6ih8iw8oc9oh2ow3kh3sh2dil2x1",
            ConvGeometry.of((1, 6, 8, 8), (9, 2, 3, 3), 2, dilation=(2, 1), groups=3),
        ),
        ("mb1ic1ih4oc1oh2kh2sh2ph1eh0pv-1.5", ConvGeometry.of((1, 1, 4, 4), (1, 1, 2, 2), 2, (1, 0, 1, 0), -1.5)),
        ("mb1ic1ih4oc1oh2kh3dil1", ConvGeometry.of((1, 1, 4, 4), (1, 1, 3, 3))),
        ("mb1ic1ih4iw4oc1oh4ow6kh1ph0pw1", ConvGeometry.of((1, 1, 4, 4), (1, 1, 1, 1), padding=(0, 1))),
    ],
)
def test_text_form_by_hand(text, geometry):
    assert ConvGeometry.parse(text) == geometry
    if "dil1" not in text:
        assert str(geometry) == text


def test_text_form_may_leave_out_what_follows():
    assert ConvGeometry.parse("ic1ih4oc1kh3") == ConvGeometry.of((1, 1, 4, 4), (1, 1, 3, 3))
    assert ConvGeometry.parse("kh3oc1pv1e-3ih4ic1ow3iw5") == ConvGeometry.of((1, 1, 4, 5), (1, 1, 3, 3),
                                                                             padding_value=0.001)  # fmt: skip


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "cannot read '' in ''"),
        ("nonsense", "cannot read 'nonsense' in 'nonsense'"),
        ("ic1ih4oc1kh3 ", "cannot read ' ' in 'ic1ih4oc1kh3 '"),
        ("ic1ih4oc1kh3ih5", "cannot read 'ih5' in 'ic1ih4oc1kh3ih5'"),
        ("ic1ih-4oc1kh3", "cannot read 'ih-4oc1kh3' in 'ic1ih-4oc1kh3'"),
        ("ic1ih4oc1kh3pv1.2.3", "cannot read '.3' in 'ic1ih4oc1kh3pv1.2.3'"),
        ("ic1ih4oc1kh3pv.", "cannot read 'pv.' in 'ic1ih4oc1kh3pv.'"),
        ("ic1ih4oc1kh3dil", "cannot read 'dil' in 'ic1ih4oc1kh3dil'"),
        ("mb2oc1", "'mb2oc1' lacks ic, ih, kh"),
        ("iw4ic1kh3oc1", "'iw4ic1kh3oc1' lacks kw"),
        ("iw4ic1kw3kh2oc1", "'iw4ic1kw3kh2oc1' has 1 dimension, but kh"),
        ("ih4ic1kd3kh2oc1", "'ih4ic1kd3kh2oc1' has 2 dimensions, but kd"),
        ("id4ic1oc1", "'id4ic1oc1' lacks kd"),
        ("ih4ic1oc1kh3pvconstant", "cannot read 'pvconstant' in 'ih4ic1oc1kh3pvconstant'"),
        ("g2ic3ih4oc2kh3", "3 channels cannot be split into 2 groups ('g2ic3ih4oc2kh3')"),
        ("g0ic3ih4oc2kh3", "3 channels cannot be split into 0 groups ('g0ic3ih4oc2kh3')"),
        ("ic1ih4oc1oh3kh3", "'ic1ih4oc1oh3kh3' says output (3, 3), the numbers give (2, 2)"),
        ("ic1ih4oc1oh2ow3kh3", "'ic1ih4oc1oh2ow3kh3' says output (2, 3), the numbers give (2, 2)"),
        ("ic1ih4oc1ow3kh3", "'ic1ih4oc1ow3kh3' says output (2, 3), the numbers give (2, 2)"),
    ],
)
def test_text_that_is_no_geometry(text, message):
    with pytest.raises(ValueError) as error:
        ConvGeometry.parse(text)
    assert str(error.value) == f"geometry: {message}"


@pytest.mark.parametrize("value", [None, 5, b"ic1ih4oc1kh3", X])
def test_text_form_of_another_kind(value):
    with pytest.raises(TypeError) as error:
        ConvGeometry.parse(value)
    assert str(error.value) == f"geometry: the text form must be a str, got {type(value).__name__}"


@given(text=st.text(alphabet="gmbicohwkspedilvx0123456789.-", max_size=30))
@settings(max_examples=300)
def test_any_text_is_a_geometry_or_a_value_error(text):
    for problem in (text, "ic2ih4oc2kh3" + text):
        try:
            geometry = ConvGeometry.parse(problem)
        except ValueError:
            continue
        assert ConvGeometry.parse(str(geometry)) == geometry


def test_other_text_forms():
    assert str(MatrixGeometry("gemm", 2, 3, 4, True, True)) == "m2n3k4tatb"
    assert str(RowsGeometry(2, 3)) == "mb2k3"
    assert str(FlatGeometry("relu", 3)) == "n3"


# What is refused

NOT_INTS = [1.0, True, "1", None, (1, 1.0), (True, 1), ("1", "1"), ((1, 1), (1, 1)), {1, 2}, {1: 1, 2: 2}, ([1], [1]),
            (1, (1, 1)), np.array(2.0), np.ones(2), b"12", object]  # fmt: skip
WRONG_CONV = [
    (dict(stride=(1, 1, 1)), ValueError, "conv2d: stride must be an int or 2 ints, got 3"),
    (dict(stride=()), ValueError, "conv2d: stride must be an int or 2 ints, got 0"),
    (dict(stride=0), ValueError, "conv2d: stride must be at least 1, got 0"),
    (dict(stride=(1, -2)), ValueError, "conv2d: stride must be at least 1, got (1, -2)"),
    (dict(stride=2**31 + 1), ValueError, "conv2d: stride must be at most 2**31, got 2147483649"),
    (dict(dilation=(2,)), ValueError, "conv2d: dilation must be an int or 2 ints, got 1"),
    (dict(dilation=0), ValueError, "conv2d: dilation must be at least 1, got 0"),
    (dict(dilation=10**30), ValueError, f"conv2d: dilation must be at most 2**31, got {10**30}"),
    (dict(padding=-1), ValueError, "conv2d: padding must be at least 0, got -1"),
    (dict(padding=(0, 0, 0, -1)), ValueError, "conv2d: padding must be at least 0, got (0, 0, 0, -1)"),
    (dict(padding=(1, 2, 3)), ValueError, "conv2d: padding must be an int, 2 ints or 4 ints, got 3"),
    (dict(padding=()), ValueError, "conv2d: padding must be an int, 2 ints or 4 ints, got 0"),
    (dict(padding=2**32), ValueError, "conv2d: padding must be at most 2**31, got 4294967296"),
    (dict(padding="Same"), ValueError, 'conv2d: padding must be "same", "valid", "full" or numbers, got \'Same\''),
    (dict(padding="causal"), ValueError, 'conv2d: padding must be "same", "valid", "full" or numbers, got \'causal\''),
    (dict(padding_value="mean"), ValueError, f"conv2d: padding_value {NUMBER_OR_PATTERN}, got 'mean'"),
    (dict(padding_value="constant"), ValueError, f"conv2d: padding_value {NUMBER_OR_PATTERN}, got 'constant'"),
    (dict(padding_value=None), TypeError, f"conv2d: padding_value {NUMBER_OR_PATTERN}, got None"),
    (dict(padding_value=True), TypeError, f"conv2d: padding_value {NUMBER_OR_PATTERN}, got True"),
    (dict(padding_value=1j), TypeError, f"conv2d: padding_value {NUMBER_OR_PATTERN}, got 1j"),
    (dict(padding_value=(1, 2)), TypeError, f"conv2d: padding_value {NUMBER_OR_PATTERN}, got (1, 2)"),
    (dict(padding_value=10**400), ValueError,
     f"conv2d: padding_value {NUMBER_OR_PATTERN}, got one that no float can hold"),
    (dict(padding=2**24 + 1), ValueError, "conv2d: padding must be at most 2**24, got 16777217"),
    (dict(groups=0), ValueError, "conv2d: groups must be at least 1, got 0"),
    (dict(groups=-3), ValueError, "conv2d: groups must be at least 1, got -3"),
    (dict(groups=1.0), TypeError, "conv2d: groups must be an int, got 1.0"),
    (dict(groups=True), TypeError, "conv2d: groups must be an int, got True"),
    (dict(groups="channelwise"), TypeError, "conv2d: groups must be an int, got 'channelwise'"),
    (dict(groups=(1,)), TypeError, "conv2d: groups must be an int, got (1,)"),
    (dict(groups=3), ValueError, f"conv2d: weight expects 9 input channels in 3 groups, x has 3 {SHAPES}"),
    (dict(x_shape=(2, 1, 8, 9)), ValueError,
     "conv2d: weight expects 3 input channels, x has 1 (x (2, 1, 8, 9), weight (4, 3, 3, 2))"),
    (dict(weight_shape=(4, 1, 3, 2), groups=3), ValueError,
     "conv2d: 4 filters cannot be split into 3 groups (x (2, 3, 8, 9), weight (4, 1, 3, 2))"),
    (dict(x_shape=(3, 8, 9)), ValueError,
     "conv2d: x and weight must have 4 axes, got 3 and 4 (x (3, 8, 9), weight (4, 3, 3, 2))"),
    (dict(weight_shape=(4, 3)), ValueError,
     "conv2d: x and weight must have 4 axes, got 4 and 2 (x (2, 3, 8, 9), weight (4, 3))"),
    (dict(x_shape=(2, 3, 0, 9)), ValueError, "conv2d: x has an axis of size 0 (x (2, 3, 0, 9), weight (4, 3, 3, 2))"),
    (dict(weight_shape=(0, 3, 3, 2)), ValueError,
     "conv2d: weight has an axis of size 0 (x (2, 3, 8, 9), weight (0, 3, 3, 2))"),
    (dict(x_shape=(-1, 3, 8, 9)), ValueError,
     "conv2d: x has a batch of -1 (x (-1, 3, 8, 9), weight (4, 3, 3, 2))"),
    (dict(weight_shape=(4, 3, 9, 2)), ValueError,
     "conv2d: the filter covers 9 cells in height, the padded input has 8"),
    (dict(dilation=(1, 10), padding=(0, 0, 1, 0)), ValueError,
     "conv2d: the filter covers 11 cells in width, the padded input has 10"),
    (dict(x_shape=None), TypeError, "ConvGeometry: x_shape must be a tuple of ints, got None"),
    (dict(x_shape=8), TypeError, "ConvGeometry: x_shape must be a tuple of ints, got 8"),
    (dict(x_shape="abcd"), TypeError, "ConvGeometry: x_shape must be a tuple of ints, got 'abcd'"),
    (dict(x_shape=(2.0, 3, 8, 9)), TypeError, "ConvGeometry: x_shape must be a tuple of ints, got (2.0, 3, 8, 9)"),
    (dict(weight_shape=(4, 3, 3, True)), TypeError,
     "ConvGeometry: weight_shape must be a tuple of ints, got (4, 3, 3, True)"),
    *[({name: value}, TypeError, f"conv2d: {name} must be an int or 2 ints, got {value!r}")
      for name in ("stride", "dilation") for value in NOT_INTS],
]  # fmt: skip


@pytest.mark.parametrize(("options", "kind", "message"), WRONG_CONV, ids=lambda value: str(value)[:60])
def test_errors_of_conv_geometry(options, kind, message):
    with pytest.raises(kind) as error:
        conv(**options)
    assert str(error.value) == message


# What the ops let nobody see, because they check their arrays first; the rest: tests/ops/test_conv_transpose*.py
WRONG_TRANSPOSED = [
    (dict(x_shape=None), TypeError, "ConvGeometry: x_shape must be a tuple of ints, got None"),
    (dict(weight_shape="abcd"), TypeError, "ConvGeometry: weight_shape must be a tuple of ints, got 'abcd'"),
    (dict(x_shape=(2, 3, 8, 9.0)), TypeError, "ConvGeometry: x_shape must be a tuple of ints, got (2, 3, 8, 9.0)"),
    (dict(x_shape=(3, 8, 9)), ValueError,
     "conv_transpose2d: x and weight must have 4 axes, got 3 and 4 (x (3, 8, 9), weight (3, 4, 3, 2))"),
    (dict(weight_shape=(3, 4)), ValueError,
     "conv_transpose2d: x and weight must have 4 axes, got 4 and 2 (x (2, 3, 8, 9), weight (3, 4))"),
    (dict(x_shape=(-1, 3, 8, 9)), ValueError,
     "conv_transpose2d: x has a batch of -1 (x (-1, 3, 8, 9), weight (3, 4, 3, 2))"),
    (dict(weight_shape=(3, 4, 3, 0)), ValueError,
     "conv_transpose2d: weight has an axis of size 0 (x (2, 3, 8, 9), weight (3, 4, 3, 0))"),
    (dict(weight_shape=(2, 4, 3, 2)), ValueError,
     "conv_transpose2d: weight expects 2 input channels, x has 3 (x (2, 3, 8, 9), weight (2, 4, 3, 2))"),
    (dict(groups=(1,)), TypeError, "conv_transpose2d: groups must be an int, got (1,)"),
    (dict(groups=2), ValueError,
     "conv_transpose2d: 3 channels cannot be split into 2 groups (x (2, 3, 8, 9), weight (3, 4, 3, 2))"),
    *[({name: value}, TypeError, f"conv_transpose2d: {name} must be an int or 2 ints, got {value!r}")
      for name in ("stride", "dilation", "output_padding") for value in NOT_INTS],
]  # fmt: skip


@pytest.mark.parametrize(("options", "kind", "message"), WRONG_TRANSPOSED, ids=lambda value: str(value)[:60])
def test_errors_of_transposed_geometry(options, kind, message):
    with pytest.raises(kind) as error:
        ConvGeometry.transposed(**{"x_shape": X, "weight_shape": (3, 4, 3, 2), **options})
    assert str(error.value) == message


def test_a_transposed_geometry_is_that_of_the_convolution_back():
    geometry = ConvGeometry.transposed(X, (3, 2, 3, 2), (2, 3), (1, 0, 2, 1), (1, 2), (1, 2), 3)
    assert geometry.in_size == (7 * 2 + 3 + 1 - 1, 8 * 3 + 3 + 2 - 3)
    assert geometry.out_size == X[2:]
    assert geometry == ConvGeometry.of((2, 6, *geometry.in_size), (3, 2, 3, 2), (2, 3), (1, 0, 2, 1), 0, (1, 2), 3)
    assert ConvGeometry.transposed(X, (3, 4, 3, 2), 2, "same").padding == ((0, 1), (0, 0))
    assert ConvGeometry.transposed(list(X), [3, 4, 3, 2], [2, 2], [0, 1, 0, 0]).in_size == (16, 18)


@pytest.mark.parametrize("value", NOT_INTS, ids=str)
def test_errors_do_not_depend_on_what_was_asked_before(value):
    """True and 1.0 equal 1: a cache must not answer for them."""
    for name in ("stride", "dilation", "padding"):
        conv(**{name: 1}), conv(**{name: (1, 1)}), conv(groups=1)
        if name == "padding" and isinstance(value, str):
            continue  # a word, if an unknown one
        with pytest.raises(TypeError, match=f"conv2d: {name} must be an int or . ints, got "):
            conv(**{name: value})


def test_geometries_are_constants():
    for geometry in (conv(), MatrixGeometry("gemm", 1, 2, 3), RowsGeometry(1, 2), FlatGeometry("relu", 1)):
        with pytest.raises(dataclasses.FrozenInstanceError):
            geometry.batch = 5
        assert hash(geometry) == hash(dataclasses.replace(geometry))


def test_public_names():
    assert set(kernels.__all__) <= set(dir(kernels))


def test_a_hash_stays_in_its_process(python):
    """Hashes of words differ from process to process; a geometry that has travelled must still be found."""
    geometry = conv(padding=1, padding_value="circular")
    assert hash(geometry) == hash(dataclasses.replace(geometry)) == hash(pickle.loads(pickle.dumps(geometry)))
    program = """
import pickle
from convcore.kernels import ConvGeometry
travelled = pickle.loads(bytes.fromhex("%s"))
print(travelled in {ConvGeometry.parse(str(travelled))})
"""
    assert python(program % pickle.dumps(geometry).hex(), PYTHONHASHSEED="1") == "True"
