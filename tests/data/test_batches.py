import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from convcore.data import batches, epoch_order, num_batches

counts, seeds, epochs = st.integers(0, 200), st.integers(0, 2**70), st.integers(0, 1000)


# The order of an epoch


@given(counts, st.sampled_from(["once", "every-epoch", "never"]), seeds, epochs)
def test_an_order_is_a_permutation_and_a_pure_function(count, shuffle, seed, epoch):
    order = epoch_order(count, shuffle, seed, epoch)
    assert order.dtype == np.int64
    np.testing.assert_array_equal(np.sort(order), np.arange(count))
    np.testing.assert_array_equal(order, epoch_order(count, shuffle, seed, epoch))


def test_once_keeps_the_order_and_every_epoch_changes_it():
    once = [tuple(epoch_order(50, "once", 3, epoch)) for epoch in range(4)]
    every = [tuple(epoch_order(50, "every-epoch", 3, epoch)) for epoch in range(4)]
    assert len(set(once)) == 1
    assert len(set(once + every)) == 5
    np.testing.assert_array_equal(epoch_order(50, "never", 3, 2), np.arange(50))


def test_seeds_and_epochs_do_not_run_into_each_other():
    draws = [(seed, epoch) for seed in (0, 1, 2, 2**32, 2**32 + 1, 2**64) for epoch in (0, 1, 2)]
    assert len({tuple(epoch_order(50, "every-epoch", *draw)) for draw in draws}) == len(draws)


def test_the_orders_are_the_same_for_every_version_and_machine():
    np.testing.assert_array_equal(epoch_order(10, "once", 0, 0), [3, 7, 5, 1, 6, 4, 2, 9, 0, 8])
    np.testing.assert_array_equal(epoch_order(10, "every-epoch", 7, 2), [0, 1, 3, 2, 9, 6, 8, 7, 4, 5])


def test_the_global_random_state_is_left_alone():
    before = np.random.get_state()[1].copy()  # noqa: NPY002
    epoch_order(50, "once", 0, 0)
    np.testing.assert_array_equal(np.random.get_state()[1], before)  # noqa: NPY002


def test_each_image_comes_to_each_place_equally_often():
    rounds = np.array([epoch_order(4, "every-epoch", 0, epoch) for epoch in range(2400)])
    for place in range(4):
        assert abs(np.bincount(rounds[:, place]) - 600).max() < 5 * np.sqrt(2400 * 3 / 16)  # five standard deviations


@pytest.mark.parametrize(
    ("changes", "error", "text"),
    [
        ({"count": -1}, ValueError, "epoch_order: count must be at least 0, got -1"),
        ({"count": 2.0}, TypeError, "epoch_order: count must be an integer, got 2.0"),
        ({"seed": -5}, ValueError, "epoch_order: seed must be at least 0, got -5"),
        ({"seed": None}, TypeError, "epoch_order: seed must be an integer, got None"),
        ({"epoch": -1}, ValueError, "epoch_order: epoch must be at least 0, got -1"),
        ({"epoch": "1"}, TypeError, "epoch_order: epoch must be an integer, got '1'"),
        (
            {"shuffle": "always"},
            ValueError,
            "epoch_order: shuffle must be one of once, every-epoch, never, got 'always'",
        ),
        ({"shuffle": True}, ValueError, "epoch_order: shuffle must be one of once, every-epoch, never, got True"),
    ],
)
def test_wrong_arguments_of_epoch_order(changes, error, text):
    with pytest.raises(error, match="^" + re.escape(text) + "$"):
        epoch_order(**{"count": 3, "shuffle": "once", "seed": 0, "epoch": 0, **changes})


# The batches of an epoch


@given(counts, st.integers(1, 40), st.booleans(), st.data())
def test_batches_follow_the_order_and_resume_anywhere(count, batch_size, drop_last, data):
    x = np.arange(count * 2, dtype=np.uint8).reshape(count, 1, 2)
    y = np.arange(count)
    order = epoch_order(count, "once", 0, 0)
    whole = list(batches(x, y, order, batch_size, drop_last))
    assert len(whole) == num_batches(count, batch_size, drop_last)
    used = count - count % batch_size if drop_last else count
    seen = np.concatenate([part for _, part in whole]) if whole else np.arange(0)
    np.testing.assert_array_equal(seen, order[:used])
    for number, (part_x, part_y) in enumerate(whole):
        assert (part_x.dtype, part_y.dtype) == (np.uint8, y.dtype)
        assert len(part_x) == batch_size or (number == len(whole) - 1 and not drop_last)
        np.testing.assert_array_equal(part_x, x[part_y])
    start = data.draw(st.integers(0, len(whole)))
    rest = list(batches(x, y, order, batch_size, drop_last, start))
    assert len(rest) == len(whole) - start
    for got, expected in zip(rest, whole[start:], strict=True):
        np.testing.assert_array_equal(got[0], expected[0])
        np.testing.assert_array_equal(got[1], expected[1])


def test_worked_example_with_a_last_smaller_batch():
    x, y = np.arange(5) * 10, np.eye(5)
    sizes = [len(part) for part, _ in batches(x, y, np.arange(5), 2)]
    assert sizes == [2, 2, 1]
    assert [len(part) for part, _ in batches(x, y, np.arange(5), 2, drop_last=True)] == [2, 2]
    assert [num_batches(n, 2) for n in range(5)] == [0, 1, 1, 2, 2]
    assert [num_batches(n, 2, drop_last=True) for n in range(5)] == [0, 0, 1, 1, 2]


def test_a_batch_is_a_copy_and_the_data_stay_as_they_are():
    x = np.zeros((4, 2), np.uint8)
    part, _ = next(batches(x, np.zeros(4), np.arange(4), 2))
    part[:] = 1
    assert not x.any()


def test_an_order_of_some_images_only():
    got = [part.tolist() for part, _ in batches(np.arange(10), np.arange(10), np.array([7, 3, 5]), 2)]
    assert got == [[7, 3], [5]]


@pytest.mark.parametrize(
    ("changes", "error", "text"),
    [
        ({"y": np.zeros(3)}, ValueError, "batches: x holds 4 images, y 3 targets (x (4, 2), y (3,))"),
        ({"x": np.float64(1)}, ValueError, "batches: x and y need a batch axis (x (), y (4,))"),
        ({"order": np.zeros((2, 2), int)}, ValueError, "batches: order must have 1 dimension, got 2 (2, 2)"),
        ({"order": np.zeros(4)}, TypeError, "batches: order must hold integers, got float64"),
        ({"order": np.array([0, 4])}, ValueError, "batches: order must hold indices from 0 to 3, got 4"),
        ({"order": np.array([-1, 2])}, ValueError, "batches: order must hold indices from 0 to 3, got -1"),
        ({"batch_size": 0}, ValueError, "batches: batch_size must be at least 1, got 0"),
        ({"batch_size": 1.5}, TypeError, "batches: batch_size must be an integer, got 1.5"),
        ({"start": -1}, ValueError, "batches: start must be at least 0, got -1"),
        ({"start": 3}, ValueError, "batches: start must lie in [0, 2], got 3"),
    ],
)
def test_wrong_arguments_of_batches_are_told_at_once(changes, error, text):
    arguments = {"x": np.zeros((4, 2)), "y": np.zeros(4), "order": np.arange(4), "batch_size": 2, **changes}
    with pytest.raises(error, match="^" + re.escape(text) + "$"):
        batches(**arguments)


@pytest.mark.parametrize(
    ("count", "batch_size", "error", "text"),
    [
        (-1, 2, ValueError, "num_batches: count must be at least 0, got -1"),
        (4, 0, ValueError, "num_batches: batch_size must be at least 1, got 0"),
        (4, 2.5, TypeError, "num_batches: batch_size must be an integer, got 2.5"),
    ],
)
def test_wrong_arguments_of_num_batches(count, batch_size, error, text):
    with pytest.raises(error, match="^" + re.escape(text) + "$"):
        num_batches(count, batch_size)
