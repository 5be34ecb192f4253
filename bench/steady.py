"""Does a step take as long after many epochs as in the first? Also where all weights fall towards denormal numbers."""

import statistics
import time

import numpy as np

import convcore as cc
from bench.epoch import L2, LEARN_RATE, MOMENTUM
from bench.networks import network

BATCH = 64
WARM = 10  # steps of the first epoch that do not count
RUNS = {  # rate, momentum, L2 regularization
    "LeNet-5": (LEARN_RATE, MOMENTUM, L2),
    "weights that halve at every step": (0.5, 0.0, 1.0),  # 2^-126 is the smallest normal number
}


def bench(data, images, epochs, n_threads, rounds):
    """Print the median step of the first and of the last epoch, in microseconds, and their ratio."""
    x, y = data.train.x[:images], data.train.y[:images]
    found = {}
    for name, (rate, momentum, l2) in RUNS.items():
        firsts, lasts = [], []
        for seed in range(rounds):
            moments, net = [], network("lenet5", data, seed)
            options = cc.TrainingOptions(
                "sgdm", initial_learn_rate=rate, momentum=momentum, l2_regularization=l2, max_epochs=epochs,
                mini_batch_size=BATCH, verbose=False, n_threads=n_threads,
                callbacks=[lambda info, moments=moments: moments.append(time.perf_counter())],
            )  # fmt: skip
            cc.train(net, (x, y), options=options)
            times, steps = np.diff(moments), len(moments) // epochs
            firsts.append(float(np.median(times[WARM:steps])))
            lasts.append(float(np.median(times[-steps:])))
        ratio = found[name] = statistics.median(last / first for first, last in zip(firsts, lasts, strict=True))
        smallest = min(np.abs(p.data[p.data != 0]).min(initial=np.inf) for p in net.parameters().values())
        print(f"{name}: epoch 1 {1e6 * statistics.median(firsts):.0f} µs, epoch {epochs} "
              f"{1e6 * statistics.median(lasts):.0f} µs a step, ratio {ratio:.2f}; smallest weight {smallest:.0e}",
              flush=True)  # fmt: skip
    return found
