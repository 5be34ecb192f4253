"""sgd: every variant against the definition, in both forms of the update."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_array_equal
from strategies import DTYPES, THREADS, assert_same, bits, cells, integers, parts_options, updated

from convcore import kernels
from convcore.kernels import PartsGeometry, run

SIZES = [0, 1, 15, 17, 1000, 16384, 16385, 3 * 16384 + 5]  # blocks are 16384 long
EIGHTHS = st.integers(0, 16).map(lambda n: n / 8)  # products of a few of these and small integers are exact


def three(size, dtype, seed):
    return [integers(size, dtype, [seed, i]) for i in range(3)]


@pytest.mark.parametrize("velocity_form", [True, False])
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize(("variant", "level", "direction"), cells("sgd"))
def test_equals_the_definition(variant, level, direction, size, velocity_form):
    options = dict(rate=0.5, momentum=0.75, l2=0.25, velocity_form=velocity_form)
    for dtype in DTYPES:
        arrays = three(size, dtype, 0)
        expected = updated("sgd", arrays, variant="reference", **options)
        for n_threads in THREADS:
            assert_same(updated("sgd", arrays, variant=variant, level=level, n_threads=n_threads, **options), expected)


@pytest.mark.parametrize(("variant", "level", "direction"), cells("sgd"))
@given(
    size=st.integers(1, 200),
    seed=st.integers(0, 999),
    rate=EIGHTHS,
    momentum=EIGHTHS,
    l2=EIGHTHS,
    velocity_form=st.booleans(),
)
@settings(max_examples=40)
def test_equals_the_definition_anywhere(variant, level, direction, size, seed, **options):
    for dtype in DTYPES:
        arrays = three(size, dtype, seed)
        expected = updated("sgd", arrays, variant="reference", **options)
        assert_same(updated("sgd", arrays, variant=variant, level=level, n_threads=2, **options), expected)


@pytest.mark.parametrize("velocity_form", [True, False])
@pytest.mark.parametrize(("variant", "level", "direction"), cells("sgd"))
def test_rounding_and_the_same_bits(variant, level, direction, velocity_form):
    options = dict(rate=0.01, momentum=0.9, l2=1e-4, velocity_form=velocity_form)
    for dtype in DTYPES:
        arrays = [np.random.default_rng(i).uniform(-1, 1, 40000).astype(dtype) for i in range(3)]
        exact = updated("sgd", [a.astype("f8") for a in arrays], variant="reference", **options)
        runs = [updated("sgd", arrays, variant=variant, level=level, n_threads=n, **options) for n in (*THREADS, 1)]
        for got, wanted in zip(runs[0], exact, strict=True):  # 3 factors and at most 6 results, below 2, are rounded
            assert abs(got - wanted).max() <= 9 * np.finfo(dtype).eps
        assert all(bits(one) == bits(runs[0]) for one in runs)


@pytest.mark.parametrize("variant", kernels.variants("sgd"))
def test_velocity_form_by_hand(variant):
    """g = 4 + 0.5·2 = 5; v = 0.5·8 − 0.25·5 = 2.75; w = 2 + 2.75."""
    options = dict(rate=0.25, momentum=0.5, l2=0.5, velocity_form=True, variant=variant)
    weights, velocity = updated("sgd", [np.array([2.0]), np.array([8.0]), np.array([4.0])], **options)
    assert (weights.item(), velocity.item()) == (4.75, 2.75)


@pytest.mark.parametrize("variant", kernels.variants("sgd"))
def test_gradient_form_by_hand(variant):
    """g = 4 + 0.5·2 = 5; v = 0.5·8 + 5 = 9; w = 2 − 0.25·9."""
    options = dict(rate=0.25, momentum=0.5, l2=0.5, velocity_form=False, variant=variant)
    weights, velocity = updated("sgd", [np.array([2.0]), np.array([8.0]), np.array([4.0])], **options)
    assert (weights.item(), velocity.item()) == (-0.25, 9)


def test_a_copy_is_never_changed_in_place_of_the_array():
    """An array that would have to be copied for the kernel is refused: the update would be lost."""
    options = parts_options(1, momentum=0.0, velocity_form=True)
    good, strided, frozen = np.ones(3), np.ones(6)[::2], np.ones(3)
    frozen.flags.writeable = False
    geometry = PartsGeometry("sgd", (3,))
    for name, arrays in (("weights", (strided, good, good)), ("velocity", (good, frozen, good))):
        with pytest.raises(ValueError) as error:
            run("sgd", "update", geometry, *arrays, **options)
        assert str(error.value) == f"sgd: {name} is changed in place, it must be C-contiguous and writeable"
    assert_array_equal(good, np.ones(3))
    velocity = np.zeros(3)
    run("sgd", "update", geometry, good, velocity, strided, **options)  # the gradient is only read
    assert_array_equal(good, np.zeros(3))


@pytest.mark.parametrize(("variant", "level", "direction"), cells("sgd"))
def test_parts_have_numbers_of_their_own(variant, level, direction):
    """Each as if it were alone; those that rest keep weights and velocity."""
    sizes, moving = (3, 0, 40000, 1, 16384, 7), [True, True, True, False, True, True]
    rate, l2 = [0.5, 1.0, 0.25, 1.0, 0.125, 0.0], [0.25, 0.0, 0.0, 1.0, 0.5, 1.0]
    for dtype in DTYPES:
        arrays = three(sum(sizes), dtype, 1)
        how = dict(momentum=0.5, velocity_form=True, variant=variant, level=level)
        ends = np.cumsum((0, *sizes))
        parts = [[a[ends[i] : ends[i + 1]] for a in arrays] for i in range(len(sizes))]
        alone = [
            updated("sgd", parts[i], rate=rate[i], l2=l2[i], **how) if moving[i] else parts[i][:2]
            for i in range(len(sizes))
        ]
        expected = [np.concatenate([part[k] for part in alone]) for k in range(2)]
        for n_threads in THREADS:
            got = updated("sgd", arrays, sizes, moving, rate=rate, l2=l2, n_threads=n_threads, **how)
            assert_same(got, expected)


@pytest.mark.parametrize("op", ["sgd", "adam", "rmsprop"])
@pytest.mark.parametrize(("name", "shape", "message"), [
    ("moving", (1,), "moving must have shape (2,) and factors (2, 2), got (1,) and (2, 2)"),
    ("factors", (1, 2), "moving must have shape (2,) and factors (2, 2), got (2,) and (1, 2)"),
    ("factors", (2, 1), "moving must have shape (2,) and factors (2, 2), got (2,) and (2, 1)"),
    ("corrections", (1, 2), "corrections must have shape (2, 2), got (1, 2)"),
    ("corrections", (2, 1), "corrections must have shape (2, 2), got (2, 1)"),
])  # fmt: skip
def test_a_row_for_each_part(op, name, shape, message):
    """Kernels read nothing beside what there is."""
    numbers = {
        "sgd": dict(momentum=0.5, velocity_form=True),
        "adam": dict(gradient_decay=0.5, squared_decay=0.5, epsilon=1.0, corrections=(0.5, 0.5)),
        "rmsprop": dict(squared_decay=0.5, epsilon=1.0),
    }[op]
    options = parts_options(2, **numbers)
    if name not in options:
        pytest.skip(f"{op} takes no {name}")
    options[name] = np.ones(shape, options[name].dtype)
    arrays = [np.ones(6, "f4") for _ in range(4 if op == "adam" else 3)]
    for level in kernels.levels_of(op, "direct"):
        with pytest.raises(ValueError) as error:
            run(op, "update", PartsGeometry(op, (2, 4)), *arrays, **options, variant="direct", level=level)
        assert str(error.value) == f"{op}: {message}"
        assert all((array == 1).all() for array in arrays)
