"""What counts as an array of numbers."""

import fractions

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from convcore.arrays import as_float_array, is_scalar, same_dtype


@pytest.mark.parametrize("dtype", ["f4", "f8"])
def test_float_arrays_are_not_copied(dtype):
    for array in (np.ones((2, 3), dtype), np.ones(6, dtype)[::2], np.asfortranarray(np.ones((2, 2), dtype))):
        assert as_float_array(array, "test") is array


@pytest.mark.parametrize("dtype", [">f4", ">f8"])
def test_the_other_byte_order_is_turned_round(dtype):
    got = as_float_array(np.arange(3).astype(dtype), "test")
    assert got.dtype.isnative
    assert got.dtype.itemsize == int(dtype[-1])
    assert_array_equal(got, [0, 1, 2])


@pytest.mark.parametrize(
    "value",
    [
        [0, 1, 2],
        (0.0, 1.0, 2.0),
        range(3),
        [False, 1, 2.0],
        *(np.arange(3, dtype=t) for t in ("u1", "i2", "i8", ">i4")),
    ],
)
def test_numbers_become_float64_values_as_they_are(value):
    got = as_float_array(value, "test")
    assert got.dtype == np.float64
    assert_array_equal(got, [0, 1, 2])


def test_extremes():
    assert_array_equal(as_float_array(np.array([0, 255], np.uint8), "test"), [0, 255])  # never divided in silence
    assert_array_equal(as_float_array(np.array([True, False]), "test"), [1, 0])
    assert as_float_array([], "test").dtype == np.float64
    assert as_float_array([[], []], "test").shape == (2, 0)
    assert as_float_array(3, "test").shape == ()
    assert as_float_array(np.float32(3), "test").dtype == np.float32


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (np.ones(2, "f2"), "must be float32, float64, integers or booleans, got dtype float16"),
        (np.ones(2, np.longdouble), f"must be float32, float64, integers or booleans, got dtype {np.dtype('g')}"),
        (np.ones(2, "c8"), "must be float32, float64, integers or booleans, got dtype complex64"),
        ([1j], "must be float32, float64, integers or booleans, got dtype complex128"),
        ("12", "must be float32, float64, integers or booleans, got dtype <U2"),
        (["1", "2"], "must be float32, float64, integers or booleans, got dtype <U1"),
        (b"12", "must be float32, float64, integers or booleans, got dtype |S2"),
        (np.ones(0, "c8"), "must be float32, float64, integers or booleans, got dtype complex64"),
        (np.array(["2020-01-01"], "M8[D]"), "must be float32, float64, integers or booleans, got dtype datetime64[D]"),
        (np.zeros(2, "i4,i4"), "must be float32, float64, integers or booleans, got dtype [('f0', '<i4'), "
                               "('f1', '<i4')]"),
        (None, "must be float32, float64, integers or booleans, got NoneType"),
        ([None, 1.0], "must be float32, float64, integers or booleans, got list"),
        ({1, 2}, "must be float32, float64, integers or booleans, got set"),
        ({"a": 1}, "must be float32, float64, integers or booleans, got dict"),
        (object(), "must be float32, float64, integers or booleans, got object"),
        (np.ones(2, object), "must be float32, float64, integers or booleans, got ndarray"),
        ([2**70], "must be float32, float64, integers or booleans, got list"),
        ([[1], [1, 2]], "must be an array of numbers, got a ragged list"),
        (((1,), 2), "must be an array of numbers, got a ragged tuple"),
    ],
)  # fmt: skip
def test_errors(value, message):
    with pytest.raises(TypeError) as error:
        as_float_array(value, "conv2d: x")
    assert str(error.value) == f"conv2d: x {message}"


def test_is_scalar():
    assert all(is_scalar(value) for value in (1, 2.5, True, np.float32(1), np.int8(1), np.bool_(True),
                                              fractions.Fraction(1, 2)))  # fmt: skip
    assert not any(is_scalar(value) for value in (1j, "1", None, [1], np.ones(()), np.ones(1), np.complex64(1)))


def test_same_dtype():
    single, double = np.ones(1, "f4"), np.ones(1)
    assert same_dtype("op", x=single, bias=None) == np.float32
    assert same_dtype("op", x=double, weight=double) == np.float64
    with pytest.raises(TypeError) as error:
        same_dtype("op", x=single, weight=double, bias=None)
    assert str(error.value) == "op: arrays must share one dtype: x is float32, weight is float64"
