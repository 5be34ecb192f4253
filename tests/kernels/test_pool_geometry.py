"""PoolGeometry: sizes, text form, and the exact text of every error."""

import dataclasses
import math

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from strategies import pool_geometries

from convcore import kernels
from convcore.kernels import PoolGeometry

X = (2, 3, 8, 9)
OPS = ("max_pool1d", "max_pool2d", "max_pool3d", "avg_pool1d", "avg_pool2d", "avg_pool3d")


def pool(op="max_pool2d", x_shape=X, pool_size=2, **options):
    return PoolGeometry.of(op, x_shape, pool_size, **options)


def row(size, pool_size, **options):
    return pool("avg_pool1d", (1, 1, size), pool_size, **options)


# What is accepted, and what it means


def test_stride_is_the_pool_size():
    assert pool(pool_size=(2, 3)) == pool(pool_size=[2, 3], stride=(2, 3))
    assert pool(pool_size=(2, 3)).out_size == (4, 3)
    assert pool("avg_pool2d") == pool("avg_pool2d", padding_value=0.0)
    assert pool("max_pool3d", (1, 2, 4, 6, 8), (1, 2, 4)).out_size == (4, 3, 2)
    assert pool("max_pool1d", (1, 2, 9), (2,)) == pool("max_pool1d", (1, 2, 9), 2, stride=np.array([2]))


def test_words_for_padding():
    assert pool(padding="valid").padding == ((0, 0), (0, 0))
    assert pool(padding="full", dilation=(2, 3)).padding == ((2, 2), (3, 3))
    assert pool(padding="same").padding == ((0, 0), (0, 1))
    assert pool(padding="same-lower").padding == ((0, 0), (1, 0))
    assert pool("max_pool3d", (1, 1, 5, 6, 7), (3, 2, 4), stride=1, padding="same").padding == ((1, 1), (0, 1), (1, 2))
    assert pool("max_pool3d", (1, 1, 5, 6, 7), (3, 2, 4), stride=1, padding="same-lower").padding \
        == ((1, 1), (1, 0), (2, 1))  # fmt: skip
    assert pool("max_pool1d", (1, 1, 5), 2, padding=(2, 1)).padding == ((2, 1),)


@given(data=st.data(), op=st.sampled_from(OPS), padding=st.sampled_from(["same", "same-lower"]))
@settings(max_examples=100)
def test_same_gives_input_over_stride_rounded_up(data, op, padding):
    drawn = data.draw(pool_geometries(op))
    geometry = pool(op, drawn.shapes["x"], drawn.pool_size, stride=drawn.stride, padding=padding,
                    dilation=drawn.dilation, ceil_mode=drawn.ceil_mode)  # fmt: skip
    assert geometry.out_size == tuple(-(-i // s) for i, s in zip(geometry.in_size, geometry.stride, strict=True))
    assert not geometry.ceil_mode


def test_ceil_mode():
    assert row(7, 2).out_size == (3,)
    assert row(7, 2, ceil_mode=True).out_size == (4,)
    assert row(8, 2, ceil_mode=True) == row(8, 2)  # nothing to round
    assert row(7, 3, stride=2, ceil_mode=True) == row(7, 3, stride=2)
    assert row(5, 3, stride=3, padding=(0, 1), ceil_mode=True) == row(5, 3, stride=3, padding=(0, 1))
    assert row(6, 3, stride=2, padding=1, ceil_mode=True).out_size == (4,)  # begins in the input's last cell
    assert row(4, 2, stride=3, padding=1, ceil_mode=True) == row(4, 2, stride=3, padding=1)
    assert row(3, 2, stride=3, padding=(0, 1), ceil_mode=True).out_size == (1,)  # would begin behind the input
    assert row(1, 3, stride=2, padding=(2, 1), ceil_mode=True).out_size == (2,)
    assert row(1, 2, ceil_mode=True).out_size == (1,)  # a window that does not fit once
    assert pool(x_shape=(1, 1, 5, 6), ceil_mode=np.bool_(True)).out_size == (3, 3)


def test_in_3d():
    geometry = pool(pool_size=(2, 3), stride=(1, 2), padding=(1, 0, 0, 2), dilation=(2, 1))
    assert geometry.in_3d == (
        (1, 8, 9), (1, 7, 5), (1, 2, 3), (1, 1, 2), (1, 2, 1), ((0, 0), (1, 0), (0, 2)),
    )  # fmt: skip
    assert row(9, 2).in_3d == ((1, 1, 9), (1, 1, 4), (1, 1, 2), (1, 1, 2), (1, 1, 1), ((0, 0),) * 3)


def test_operations():
    assert pool("max_pool3d", (2, 3, 4, 4, 4)).operations("forward") == 2 * 3 * 2**3 * 2**3 * 4
    assert row(8, 2).operations("backward_input") == 4 * 4 + 8


@given(data=st.data(), op=st.sampled_from(OPS))
@settings(max_examples=200)
def test_sizes_by_walking(data, op):
    """The output size is the number of windows that lie within the padded input, walked one after the other.

    In ceil mode one more is added, where cells are left over and it begins no later than in the input.
    """
    geometry = data.draw(pool_geometries(op))
    for size, w, s, (before, after), d, out in zip(
        geometry.in_size, geometry.pool_size, geometry.stride, geometry.padding, geometry.dilation, geometry.out_size,
        strict=True,
    ):  # fmt: skip
        padded, extent = before + size + after, (w - 1) * d + 1
        starts = [start for start in range(0, padded, s) if start + extent <= padded]
        if geometry.ceil_mode and starts[-1] + extent < padded and starts[-1] + s < before + size:
            starts.append(starts[-1] + s)
        assert out == len(starts)


# The text form


@given(data=st.data(), op=st.sampled_from(OPS))
@settings(max_examples=300)
def test_text_form_round_trip(data, op):
    geometry = data.draw(pool_geometries(op))
    assert PoolGeometry.parse(op, str(geometry)) == geometry


@pytest.mark.parametrize("value", [0, -1, 2.5, 1e-5, -3e30, math.inf, -math.inf, "mean"])
def test_padding_values_round_trip(value):
    for geometry in (row(7, 2, padding_value=value), row(7, 2, padding_value=value, ceil_mode=True)):
        assert PoolGeometry.parse("avg_pool1d", str(geometry)) == geometry


@pytest.mark.parametrize(
    ("text", "geometry"),
    [
        ("mb64ic6ih28oh14kh2sh2", pool(x_shape=(64, 6, 28, 28))),
        ("mb2ic3ih8iw9oh8ow5kh3sh1sw2ph1", pool(pool_size=3, stride=(1, 2), padding=1)),
        ("mb2ic3ih8iw9oh4ow5kh2sh2eh1", pool(padding=(0, 1, 0, 1))),
        ("mb2ic3ih8iw9oh6kh2dil2x3", pool(pool_size=2, stride=1, dilation=(2, 3))),
        ("mb2ic3ih8iw9oh6ow7kh2dil2", pool(pool_size=2, stride=1, dilation=2)),
        ("mb2ic3ih8iw9oh5kh2sh2ph1pvmean", pool("avg_pool2d", padding=1, padding_value="mean")),
        ("mb2ic3ih8iw9oh4ow5kh2sh2pv0.5ceil1", pool("avg_pool2d", padding_value=0.5, ceil_mode=True)),
        ("mb1ic1iw7ow4kw2sw2ceil1", row(7, 2, ceil_mode=True)),
        ("mb2ic12iw100ow34kw5sw3pw2ew3", pool("max_pool1d", (2, 12, 100), 5, stride=3, padding=(2, 3))),
        ("mb1ic2id8od4kd2sd2", pool("max_pool3d", (1, 2, 8, 8, 8))),
        ("mb1ic2id4ih6iw8od4oh3ow2kd1kh2kw4sd1sh2sw4", pool("avg_pool3d", (1, 2, 4, 6, 8), (1, 2, 4))),
        (
            "mb1ic2id4ih6iw8od4oh4ow6kd2pd1ph0pw0ed0eh0ew1dil1x2x3",
            pool("max_pool3d", (1, 2, 4, 6, 8), 2, stride=1, padding=(1, 0, 0, 0, 0, 1), dilation=(1, 2, 3)),
        ),
    ],
)
def test_text_form_by_hand(text, geometry):
    assert str(geometry) == text
    assert PoolGeometry.parse(geometry.op, text) == geometry


def test_text_form_may_leave_out_what_follows():
    assert PoolGeometry.parse("max_pool2d", "ic1ih4kh2") == pool(x_shape=(1, 1, 4, 4), stride=1)
    assert PoolGeometry.parse("max_pool3d", "kd2iw5id4ic1ceil0") == pool("max_pool3d", (1, 1, 4, 4, 5), 2, stride=1)
    assert PoolGeometry.parse("avg_pool3d", "ic1id4ih3kd2sw2") == pool("avg_pool3d", (1, 1, 4, 3, 3), stride=(1, 1, 2))


@pytest.mark.parametrize(
    ("op", "text", "message"),
    [
        ("max_pool2d", "", "geometry: cannot read '' in ''"),
        ("max_pool2d", "nonsense", "geometry: cannot read 'nonsense' in 'nonsense'"),
        ("max_pool2d", "ic1ih4kh2oc3", "geometry: cannot read 'oc3' in 'ic1ih4kh2oc3'"),
        ("max_pool2d", "ic1ih4kh2id3", "geometry: cannot read 'id3' in 'ic1ih4kh2id3'"),
        ("max_pool1d", "ic1ih4kh2", "geometry: cannot read 'ih4kh2' in 'ic1ih4kh2'"),
        ("max_pool2d", "ic1ih4kh2ih5", "geometry: cannot read 'ih5' in 'ic1ih4kh2ih5'"),
        ("max_pool2d", "ic1ih4kh2ceil2", "geometry: cannot read 'ceil2' in 'ic1ih4kh2ceil2'"),
        ("max_pool2d", "mb2", "geometry: 'mb2' lacks ic, ih, kh"),
        ("max_pool3d", "ic2ih4kh2", "geometry: 'ic2ih4kh2' lacks id, kd"),
        ("max_pool1d", "ic2iw4", "geometry: 'ic2iw4' lacks kw"),
        ("max_pool2d", "ic1ih4oh3kh3", "geometry: 'ic1ih4oh3kh3' says output (3, 3), the numbers give (2, 2)"),
        ("max_pool2d", "ic1ih4ow3kh3", "geometry: 'ic1ih4ow3kh3' says output (2, 3), the numbers give (2, 2)"),
        ("max_pool2d", "ic1ih4kh2pv1", "max_pool2d: padded cells never win, padding_value must be None, got 1.0"),
        ("avg_pool2d", "ic1ih4kh5", "avg_pool2d: the window covers 5 cells in height, the padded input has 4"),
        ("conv2d", "ic1ih4kh2", f"PoolGeometry: op must be one of {', '.join(OPS)}, got 'conv2d'"),
    ],
)
def test_text_that_is_no_geometry(op, text, message):
    with pytest.raises(ValueError) as error:
        PoolGeometry.parse(op, text)
    assert str(error.value) == message


@pytest.mark.parametrize("value", [None, 5, b"ic1ih4kh3", X])
def test_text_form_of_another_kind(value):
    with pytest.raises(TypeError) as error:
        PoolGeometry.parse("max_pool2d", value)
    assert str(error.value) == f"geometry: the text form must be a str, got {type(value).__name__}"


@given(op=st.sampled_from(OPS), text=st.text(alphabet="mbicodhwkspeilva0123456789.-", max_size=30))
@example(op="avg_pool2d", text="pvmean")
@settings(max_examples=300)
def test_any_text_is_a_geometry_or_a_value_error(op, text):
    first = {"1": "w", "2": "h", "3": "d"}[op[-2]]
    for problem in (text, f"ic2i{first}4k{first}2{text}"):
        try:
            geometry = PoolGeometry.parse(op, problem)
        except ValueError:
            continue
        assert PoolGeometry.parse(op, str(geometry)) == geometry


def test_explain_reads_the_text_form():
    assert kernels.explain("max_pool2d", "mb64ic6ih28oh14kh2sh2").splitlines()[0] \
        == "max_pool2d forward mb64ic6ih28oh14kh2sh2 float32"  # fmt: skip
    assert kernels.explain("avg_pool1d", "ic1iw9kw3", "backward_input", "f8").splitlines()[0] \
        == "avg_pool1d backward_input mb1ic1iw9ow7kw3 float64"  # fmt: skip


# What is refused

NOT_INTS = [1.0, True, "1", None, (1, 1.0), (True, 1), ("1", "1"), ((1, 1), (1, 1)), {1, 2}, {1: 1, 2: 2}, ([1], [1]),
            (1, (1, 1)), np.array(2.0), np.ones(2), b"12", object]  # fmt: skip


@pytest.mark.parametrize("value", NOT_INTS, ids=str)
def test_errors_do_not_depend_on_what_was_asked_before(value):
    """True and 1.0 equal 1: a cache must not answer for them."""
    pool(pool_size=1), pool(pool_size=(1, 1))
    with pytest.raises(TypeError, match="max_pool2d: pool_size must be an int or 2 ints, got "):
        pool(pool_size=value)


WRONG_POOL = [
    (dict(op="conv2d"), ValueError, "PoolGeometry: op must be one of max_pool1d, max_pool2d, max_pool3d, avg_pool1d, "
     "avg_pool2d, avg_pool3d, got 'conv2d'"),
    (dict(op=None), ValueError, "PoolGeometry: op must be one of max_pool1d, max_pool2d, max_pool3d, avg_pool1d, "
     "avg_pool2d, avg_pool3d, got None"),
    (dict(x_shape=None), TypeError, "PoolGeometry: x_shape must be a tuple of ints, got None"),
    (dict(x_shape=(2, 3, 8, 9.0)), TypeError, "PoolGeometry: x_shape must be a tuple of ints, got (2, 3, 8, 9.0)"),
    (dict(x_shape=(8, 9)), ValueError, "max_pool2d: x must have 4 axes, got 2 (x (8, 9))"),
    (dict(x_shape=(2, 0, 8, 9)), ValueError, "max_pool2d: x has an axis of size 0 (x (2, 0, 8, 9))"),
    (dict(x_shape=(-2, 3, 8, 9)), ValueError, "max_pool2d: x has a batch of -2 (x (-2, 3, 8, 9))"),
    (dict(x_shape=(1, 1, 2**16, 2**15)), ValueError,
     "max_pool2d: a plane must have fewer than 2**31 cells, x has 2147483648 (x (1, 1, 65536, 32768))"),
    (dict(pool_size=0), ValueError, "max_pool2d: pool_size must be at least 1, got 0"),
    (dict(pool_size=(2, 2, 2)), ValueError, "max_pool2d: pool_size must be an int or 2 ints, got 3"),
    (dict(pool_size=9), ValueError, "max_pool2d: the window covers 9 cells in height, the padded input has 8"),
    (dict(pool_size=(1, 2**31)), ValueError,
     "max_pool2d: the window covers 2147483648 cells in width, the padded input has 9"),
    (dict(dilation=9), ValueError, "max_pool2d: the window covers 10 cells in height, the padded input has 8"),
    (dict(dilation=0), ValueError, "max_pool2d: dilation must be at least 1, got 0"),
    (dict(stride=0), ValueError, "max_pool2d: stride must be at least 1, got 0"),
    (dict(stride=1.5), TypeError, "max_pool2d: stride must be an int or 2 ints, got 1.5"),
    (dict(padding=-1), ValueError, "max_pool2d: padding must be at least 0, got -1"),
    (dict(padding="mean"), ValueError, 'max_pool2d: padding must be "same", "valid", "full" or numbers, got \'mean\''),
    (dict(padding=(1, 1, 1)), ValueError, "max_pool2d: padding must be an int, 2 ints or 4 ints, got 3"),
    (dict(padding_value=0), ValueError, "max_pool2d: padded cells never win, padding_value must be None, got 0"),
    (dict(op="avg_pool2d", padding_value="nothing"), ValueError,
     "avg_pool2d: padding_value must be a number or \"mean\", got 'nothing'"),
    (dict(op="avg_pool2d", padding_value=True), TypeError,
     'avg_pool2d: padding_value must be a number or "mean", got True'),
    (dict(op="avg_pool2d", padding_value=[0]), TypeError,
     'avg_pool2d: padding_value must be a number or "mean", got (0,)'),
    (dict(op="avg_pool2d", padding_value=1j), TypeError,
     'avg_pool2d: padding_value must be a number or "mean", got 1j'),
    (dict(ceil_mode=1), TypeError, "max_pool2d: ceil_mode must be True or False, got 1"),
    (dict(ceil_mode=None), TypeError, "max_pool2d: ceil_mode must be True or False, got None"),
    (dict(x_shape=(1, 1, 2, 9), pool_size=(7, 1), stride=5, ceil_mode=True), ValueError,
     "max_pool2d: the window covers 7 cells in height, the padded input has 2"),
    (dict(op="max_pool1d", x_shape=(1, 1, 9), pool_size=(2, 2)), ValueError,
     "max_pool1d: pool_size must be an int, got 2"),
    (dict(op="max_pool1d", x_shape=(1, 1, 9), padding=(1, 1, 1)), ValueError,
     "max_pool1d: padding must be an int or 2 ints, got 3"),
    (dict(op="avg_pool1d"), ValueError, "avg_pool1d: x must have 3 axes, got 4 (x (2, 3, 8, 9))"),
    (dict(op="avg_pool3d"), ValueError, "avg_pool3d: x must have 5 axes, got 4 (x (2, 3, 8, 9))"),
    (dict(op="max_pool3d", x_shape=(1, 1, 3, 4, 5), pool_size=4), ValueError,
     "max_pool3d: the window covers 4 cells in depth, the padded input has 3"),
    (dict(op="max_pool3d", x_shape=(1, 1, 3, 4, 5), padding=(1, 2)), ValueError,
     "max_pool3d: padding must be an int, 3 ints or 6 ints, got 2"),
]  # fmt: skip


@pytest.mark.parametrize(("options", "kind", "message"), WRONG_POOL, ids=lambda value: str(value)[:60])
def test_errors_of_pool_geometry(options, kind, message):
    with pytest.raises(kind) as error:
        pool(**options)
    assert str(error.value) == message


def test_geometries_are_constants():
    with pytest.raises(dataclasses.FrozenInstanceError):
        pool().batch = 5
    assert hash(pool()) == hash(dataclasses.replace(pool()))
