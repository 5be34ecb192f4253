"""Seconds of training until a network classifies a share of the test images rightly, ours and the peer's in turn.

Both train the same network from the same first weights on the same batches at the same rates, and are measured after
every epoch, which does not count.
"""

import math
import statistics
import time

import convcore as cc
from bench.epoch import L2, MOMENTUM, torch_network
from bench.networks import network
from convcore.data import epoch_order

LEARN_RATE, SHUFFLE = 0.05, "every-epoch"


def bench(data, model, accuracy, epochs, batch_size, n_threads, peer, seeds):
    """Train for each seed; print the epochs and seconds that were needed, and the ratio of the medians."""
    found = {"convcore": [], "peer": []} if peer else {"convcore": []}
    for seed in range(seeds):
        for name, run in (("convcore", ours), ("peer", theirs)):
            if name in found:
                needed, seconds = run(data, model, accuracy, epochs, batch_size, n_threads, peer, seed)
                found[name].append(seconds)
                what = f"{100 * accuracy:.1f} % after {needed} epochs" if needed else f"not in {epochs} epochs"
                print(f"{name:10} seed {seed}: {what}, {seconds:.2f} s", flush=True)
    for name, seconds in found.items():
        print(f"{name:10} median {statistics.median(seconds):.2f} s of {seeds} seeds")
    if peer:
        ratio = statistics.median(found["peer"]) / statistics.median(found["convcore"])
        print(f"ratio      {ratio:.2f}    {model}, batch {batch_size}, {n_threads} threads")
    return found


def ours(data, model, accuracy, epochs, batch_size, n_threads, peer, seed):
    """Return (epochs, seconds) until the accuracy was reached; (None, seconds) where it was not."""
    net = network(model, data, seed)
    x, y = data.train
    per_epoch, seconds = -(-len(x) // batch_size), 0.0
    clock = [time.perf_counter()]
    reached = []

    def measure(iteration):
        nonlocal seconds
        if iteration.iteration % per_epoch:
            return False
        seconds += time.perf_counter() - clock[0]
        found = cc.evaluate(net, data.test)["accuracy"]
        clock[0] = time.perf_counter()
        if found >= accuracy:
            reached.append(iteration.epoch)
        return bool(reached)

    options = cc.TrainingOptions(
        "sgdm", initial_learn_rate=LEARN_RATE, momentum=MOMENTUM, l2_regularization=L2, max_epochs=epochs,
        learn_rate_schedule="cosine", mini_batch_size=batch_size, shuffle=SHUFFLE, seed=seed, verbose=False,
        n_threads=n_threads, callbacks=(measure,),
    )  # fmt: skip
    clock[0] = time.perf_counter()
    cc.train(net, (x, y), options=options)
    return (reached[0] if reached else None), seconds


def theirs(data, model, accuracy, epochs, batch_size, n_threads, peer, seed):
    """The same in PyTorch."""
    net = network(model, data, seed)
    x, y = data.train
    model = torch_network(net, peer, n_threads)
    pair, test = model.data(x, y), model.data(*data.test)
    per_epoch = -(-len(x) // batch_size)
    last = epochs * per_epoch
    rates = [LEARN_RATE * 0.5 * (1 + math.cos(math.pi * i / last)) for i in range(last)]  # as the schedule "cosine"
    seconds = 0.0
    for epoch in range(epochs):
        order = epoch_order(len(x), SHUFFLE, seed, epoch)
        start = time.perf_counter()
        model.epoch(pair, order, batch_size, rates=rates[epoch * per_epoch : (epoch + 1) * per_epoch])
        seconds += time.perf_counter() - start
        if model.accuracy(*test) >= accuracy:
            return epoch + 1, seconds
    return None, seconds
