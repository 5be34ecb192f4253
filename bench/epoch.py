"""One epoch of LeNet-5, ours and the peer's in turn: same network, first weights, options and order of batches."""

import statistics
import time

import numpy as np

import convcore as cc
from convcore.profile.timing import PAUSE, ratio

LEARN_RATE, MOMENTUM, L2 = 0.01, 0.9, 1e-4


def bench(data, images, batch_size, n_threads, peer, rounds):
    """Time epochs in turn; print seconds, images per second and the ratio."""
    x, y = data.train.x[:images], data.train.y[:images]
    net = cc.lenet5(seed=0)
    net.fit_normalization(x)
    options = cc.TrainingOptions(
        "sgdm", initial_learn_rate=LEARN_RATE, momentum=MOMENTUM, l2_regularization=L2, max_epochs=1,
        mini_batch_size=batch_size, shuffle="never", verbose=False, n_threads=n_threads,
    )  # fmt: skip
    contestants = {"convcore": lambda: cc.train(net, (x, y), options=options)}
    if peer:
        from bench.lenet5_torch import LeNet5  # imports PyTorch

        peer.use_threads(n_threads)
        theirs = LeNet5(net, LEARN_RATE, MOMENTUM, L2)
        their_data, order = theirs.data(x, y), np.arange(len(x))
        contestants["peer"] = lambda: theirs.epoch(their_data, order, batch_size)
    times = {name: [] for name in contestants}
    for number in range(rounds + 1):  # the first round warms up
        for name, epoch in contestants.items():
            time.sleep(PAUSE)
            start = time.perf_counter()
            epoch()
            if number:
                times[name].append(time.perf_counter() - start)
    for name, seconds in times.items():
        median = statistics.median(seconds)
        print(
            f"{name:10} {median:7.3f} s  ({min(seconds):.3f} to {max(seconds):.3f})  {len(x) / median:9,.0f} images/s"
        )
    if peer:
        run = f"median of {rounds} pairs, batch {batch_size}, {n_threads} threads, {len(x)} images"
        print(f"ratio      {ratio(times['peer'], times['convcore']):7.2f}    {run}")
    return times
