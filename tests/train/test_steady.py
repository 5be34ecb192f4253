"""A thousand steps leave nothing behind but their rows in the history, and each makes the calls of the one before."""

import collections
import gc
import tracemalloc

import numpy as np
import pytest

import convcore as cc
from convcore.kernels.program import observing
from convcore.train import train

BEGINNING, STEPS = 50, 1000


def small_net(*extra):
    layers = [cc.ImageInput((1, 6, 6)), cc.Conv2D(3, 3), *(layer() for layer in extra), cc.ReLU(), cc.MaxPool2D(2)]
    return cc.Network([*layers, cc.FullyConnected(4), cc.Softmax()])


def data(count):
    rng = np.random.default_rng(0)
    return rng.integers(0, 256, (count, 1, 6, 6), np.uint8), rng.integers(0, 4, count)


@pytest.mark.parametrize("extra", [[], [cc.BatchNorm], [cc.Dropout]], ids=["program", "batch norm", "tapes"])
@pytest.mark.parametrize("solver", ["sgdm", "adam", "rmsprop"])
def test_memory(solver, extra, quiet):
    """A row of the history takes 56 bytes in arrays with some room at the end; an epoch leaves a few numbers more.

    A Python object more per step, an array above all, would be more than that.
    """
    found = {}

    def look(info):
        if info.iteration in (BEGINNING, BEGINNING + STEPS):
            gc.collect()
            found[info.iteration] = tracemalloc.get_traced_memory()[0]

    options = quiet(solver=solver, mini_batch_size=8, max_epochs=(BEGINNING + STEPS) // 5, callbacks=[look],
                    initial_learn_rate=1e-4)  # fmt: skip
    tracemalloc.start()
    try:
        train(small_net(*extra), data(40), options=options)
    finally:
        tracemalloc.stop()
    assert found[BEGINNING + STEPS] - found[BEGINNING] < STEPS * 100 + 8192


def test_calls(quiet):
    """Of the steps along tapes, those that are made both ways, and those by a program."""
    counts, made = [], []

    def look(info):
        counts.append(collections.Counter((m.op, m.direction) for m in made))
        made.clear()

    with observing(made.append):
        train(small_net(), data(32), options=quiet(mini_batch_size=8, max_epochs=10, callbacks=[look]))
    assert len(counts) == 40
    assert all(count == counts[0] for count in counts)
    assert (
        counts[0]["conv2d", "forward_pool"]
        == counts[0]["conv2d", "backward_weight_bias"]
        == counts[0]["sgd", "update"]
        == 1
    )
