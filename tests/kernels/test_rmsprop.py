"""rmsprop: every variant against the definition."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import DTYPES, THREADS, assert_same, bits, cells, integers, updated

from convcore import kernels

SIZES = [0, 1, 15, 17, 1000, 16384, 16385, 3 * 16384 + 5]  # blocks are 16384 long
QUARTERS = st.integers(0, 3).map(lambda n: n / 4)  # products of a few of these and small integers are exact
POWERS = st.integers(-2, 2).map(lambda n: 2.0**n)  # only the division and the root round


def three(size, dtype, seed):
    weights, squares, gradient = (integers(size, dtype, [seed, i]) for i in range(3))
    return weights, abs(squares), gradient


PLAN = dict(rate=0.5, l2=0.25, squared_decay=0.75, epsilon=0.5)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize(("variant", "level", "direction"), cells("rmsprop"))
def test_equals_the_definition(variant, level, direction, size):
    for dtype in DTYPES:
        arrays = three(size, dtype, 0)
        expected = updated("rmsprop", arrays, variant="reference", **PLAN)
        for n_threads in THREADS:
            assert_same(updated("rmsprop", arrays, variant=variant, level=level, n_threads=n_threads, **PLAN), expected)


@pytest.mark.parametrize(("variant", "level", "direction"), cells("rmsprop"))
@given(
    size=st.integers(1, 200),
    seed=st.integers(0, 999),
    rate=POWERS,
    l2=QUARTERS,
    squared_decay=QUARTERS,
    epsilon=POWERS,
)
@settings(max_examples=40)
def test_equals_the_definition_anywhere(variant, level, direction, size, seed, **options):
    for dtype in DTYPES:
        arrays = three(size, dtype, seed)
        expected = updated("rmsprop", arrays, variant="reference", **options)
        assert_same(updated("rmsprop", arrays, variant=variant, level=level, n_threads=2, **options), expected)


@pytest.mark.parametrize(("variant", "level", "direction"), cells("rmsprop"))
def test_rounding_and_the_same_bits(variant, level, direction):
    options = dict(rate=0.01, l2=1e-4, squared_decay=0.9, epsilon=1e-8)
    for dtype in DTYPES:
        weights, squares, gradient = (np.random.default_rng(i).uniform(-1, 1, 40000).astype(dtype) for i in range(3))
        arrays = weights, squares**2 + dtype.type(0.01), gradient
        exact = updated("rmsprop", [a.astype("f8") for a in arrays], variant="reference", **options)
        runs = [updated("rmsprop", arrays, variant=variant, level=level, n_threads=n, **options) for n in (*THREADS, 1)]
        for got, wanted in zip(runs[0], exact, strict=True):  # a step below 0.1, made of 10 roundings, and a sum
            assert abs(got - wanted).max() <= 9 * np.finfo(dtype).eps
        assert all(bits(one) == bits(runs[0]) for one in runs)


@pytest.mark.parametrize("variant", kernels.variants("rmsprop"))
def test_by_hand(variant):
    """g = 7 + 0.5·2 = 8; s = 0.75·0 + 0.25·64 = 16; w = 2 − 0.5 · 8 / (√16 + 4)."""
    arrays = [np.array([2.0]), np.array([0.0]), np.array([7.0])]
    weights, squares = updated("rmsprop", arrays, rate=0.5, l2=0.5, squared_decay=0.75, epsilon=4.0, variant=variant)
    assert (weights.item(), squares.item()) == (1.5, 16)


@pytest.mark.parametrize(("variant", "level", "direction"), cells("rmsprop"))
def test_parts_have_numbers_of_their_own(variant, level, direction):
    arrays = [abs(integers(30, np.float32, i)) for i in range(3)]
    how = dict(squared_decay=0.75, epsilon=0.5, variant=variant, level=level)
    got = updated("rmsprop", arrays, (10, 5, 15), [True, False, True], rate=[0.5, 1.0, 2.0], l2=[1.0, 1.0, 0.0], **how)
    for part, rate, l2 in ((slice(0, 10), 0.5, 1.0), (slice(15, 30), 2.0, 0.0)):
        assert_same([a[part] for a in got], updated("rmsprop", [a[part] for a in arrays], rate=rate, l2=l2, **how))
    assert_same([a[10:15] for a in got], [a[10:15] for a in arrays[:2]])
