"""adam: every variant against the definition."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import DTYPES, THREADS, assert_same, bits, cells, integers, parts_options, updated

from convcore import kernels
from convcore.kernels import PartsGeometry, run

SIZES = [0, 1, 15, 17, 1000, 16384, 16385, 3 * 16384 + 5]  # blocks are 16384 long
QUARTERS = st.integers(0, 3).map(lambda n: n / 4)  # products of a few of these and small integers are exact
POWERS = st.integers(-2, 2).map(lambda n: 2.0**n)  # these and roots of their squares are, too: only / and √ round


def four(size, dtype, seed):
    weights, average, squares, gradient = (integers(size, dtype, [seed, i]) for i in range(4))
    return weights, average, abs(squares), gradient


def plan(rate=0.5, l2=0.25, gradient_decay=0.5, squared_decay=0.75, epsilon=0.5, gradient_correction=0.5,
         squared_correction=0.25):  # fmt: skip
    return dict(rate=rate, l2=l2, gradient_decay=gradient_decay, squared_decay=squared_decay, epsilon=epsilon,
                corrections=(gradient_correction, squared_correction))  # fmt: skip


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize(("variant", "level", "direction"), cells("adam"))
def test_equals_the_definition(variant, level, direction, size):
    for dtype in DTYPES:
        arrays = four(size, dtype, 0)
        expected = updated("adam", arrays, variant="reference", **plan())
        for n_threads in THREADS:
            assert_same(updated("adam", arrays, variant=variant, level=level, n_threads=n_threads, **plan()), expected)


@pytest.mark.parametrize(("variant", "level", "direction"), cells("adam"))
@given(
    size=st.integers(1, 200),
    seed=st.integers(0, 999),
    rate=POWERS,
    l2=QUARTERS,
    gradient_decay=QUARTERS,
    squared_decay=QUARTERS,
    epsilon=POWERS,
    gradient_correction=POWERS,
    root=POWERS,
)
@settings(max_examples=40)
def test_equals_the_definition_anywhere(variant, level, direction, size, seed, root, **options):
    options = plan(**options, squared_correction=root**2)
    for dtype in DTYPES:
        arrays = four(size, dtype, seed)
        expected = updated("adam", arrays, variant="reference", **options)
        assert_same(updated("adam", arrays, variant=variant, level=level, n_threads=2, **options), expected)


@pytest.mark.parametrize(("variant", "level", "direction"), cells("adam"))
def test_rounding_and_the_same_bits(variant, level, direction):
    options = plan(0.01, 1e-4, 0.9, 0.999, 1e-8, 1 - 0.9**3, 1 - 0.999**3)
    for dtype in DTYPES:
        weights, average, squares, gradient = (
            np.random.default_rng(i).uniform(-1, 1, 40000).astype(dtype) for i in range(4)
        )
        arrays = weights, average, squares**2 + dtype.type(0.01), gradient
        exact = updated("adam", [a.astype("f8") for a in arrays], variant="reference", **options)
        runs = [updated("adam", arrays, variant=variant, level=level, n_threads=n, **options) for n in (*THREADS, 1)]
        # The step is below 0.01 · 3.7 / 0.1 · 0.06 < 1, made of 12 roundings; the averages of fewer.
        for got, wanted in zip(runs[0], exact, strict=True):
            assert abs(got - wanted).max() <= 14 * np.finfo(dtype).eps
        assert all(bits(one) == bits(runs[0]) for one in runs)


@pytest.mark.parametrize("variant", kernels.variants("adam"))
def test_by_hand(variant):
    """g = 7 + 0.5·2 = 8; m = 0.5·4 + 0.5·8 = 6; s = 0.25·64 = 16; w = 2 − 0.5 · (6/0.5) / (√(16/0.25) + 4)."""
    arrays = [np.array([2.0]), np.array([4.0]), np.array([0.0]), np.array([7.0])]
    options = plan(0.5, 0.5, 0.5, 0.75, 4.0, 0.5, 0.25)
    weights, average, squares = updated("adam", arrays, variant=variant, **options)
    assert (weights.item(), average.item(), squares.item()) == (2 - 0.5 * 12 / (8 + 4), 6, 16)


@pytest.mark.parametrize("variant", kernels.variants("adam"))
def test_a_gradient_of_zeros_at_the_beginning_moves_nothing(variant):
    arrays = [np.array([2.0]), np.zeros(1), np.zeros(1), np.zeros(1)]
    weights, *averages = updated("adam", arrays, variant=variant, **plan(l2=0, epsilon=1e-8))
    assert (weights.item(), *averages) == (2, 0, 0)


def test_what_would_be_a_copy_is_refused():
    good, strided = np.ones(3), np.ones(6)[::2]
    for place, name in enumerate(("weights", "gradient_average", "squared_gradient_average")):
        arrays = [good, good, good, good]
        arrays[place] = strided
        with pytest.raises(ValueError) as error:
            run("adam", "update", PartsGeometry("adam", (3,)), *arrays, **parts_options(1, **plan()))
        assert str(error.value) == f"adam: {name} is changed in place, it must be C-contiguous and writeable"


@pytest.mark.parametrize(("variant", "level", "direction"), cells("adam"))
def test_parts_have_corrections_of_their_own(variant, level, direction):
    sizes, moving, numbers = (5, 300, 2), [True, False, True], [0.5, 0.25, 1.0]
    arrays = four(sum(sizes), np.float32, 1)
    how = dict(rate=numbers, l2=numbers, corrections=[(n, n * n) for n in numbers])
    got = updated("adam", arrays, sizes, moving, **{**plan(), **how}, variant=variant, level=level)
    for part, n in ((slice(0, 5), 0.5), (slice(305, 307), 1.0)):
        one = plan(rate=n, l2=n, gradient_correction=n, squared_correction=n * n)
        alone = updated("adam", [a[part] for a in arrays], **one, variant="reference")
        assert_same([a[part] for a in got], alone)
    assert_same([a[5:305] for a in got], [a[5:305] for a in arrays[:3]])
