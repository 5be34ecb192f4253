"""Epochs of training, and prediction, ours and the peer's in turn: same network, first weights, options and batches."""

import statistics
import time

import numpy as np

import convcore as cc
from bench.networks import network
from convcore.profile.timing import PAUSE, ratio

LEARN_RATE, MOMENTUM, L2 = 0.01, 0.9, 1e-4


def bench(data, model, images, batch_sizes, n_threads, peer, rounds):
    """Time epochs in turn, for each batch size; print seconds, images per second and the ratio."""
    x, y = data.train.x[:images], data.train.y[:images]
    for batch_size in batch_sizes:
        net = network(model, data)
        options = cc.TrainingOptions(
            "sgdm", initial_learn_rate=LEARN_RATE, momentum=MOMENTUM, l2_regularization=L2, max_epochs=1,
            mini_batch_size=batch_size, verbose=False, n_threads=n_threads,
        )  # fmt: skip
        contestants = {"convcore": lambda net=net, options=options: cc.train(net, (x, y), options=options)}
        if peer:
            theirs = torch_network(net, peer, n_threads)
            their_data, rng = theirs.data(x, y), np.random.default_rng(0)
            contestants["peer"] = lambda theirs=theirs, data=their_data, rng=rng, size=batch_size: theirs.epoch(
                data, rng.permutation(len(x)), size
            )
        in_turn(contestants, rounds, len(x), f"{model}, epoch, batch {batch_size}, {n_threads} threads")


def predict(data, model, batch_sizes, n_threads, peer, rounds):
    """Time the prediction of the test images in turn, for each batch size."""
    x = data.test.x
    for batch_size in batch_sizes:
        net = network(model, data)
        contestants = {"convcore": lambda net=net, size=batch_size: net.predict(x, batch_size=size)}
        if peer:
            theirs = torch_network(net, peer, n_threads)
            images = theirs.images(x)
            contestants["peer"] = lambda theirs=theirs, images=images, size=batch_size: theirs.predict(images, size)
        with cc.num_threads(n_threads):
            in_turn(contestants, rounds, len(x), f"{model}, predict, batch {batch_size}, {n_threads} threads")


def torch_network(net, peer, n_threads):
    """Return the same network in PyTorch."""
    from bench.torch_network import TorchNetwork  # imports PyTorch

    peer.use_threads(n_threads)
    return TorchNetwork(net, LEARN_RATE, MOMENTUM, L2)


def in_turn(contestants, rounds, images, what):
    """Time functions in turn, print what they took, and return the seconds by name."""
    times = {name: [] for name in contestants}
    for number in range(rounds + 1):  # the first round warms up
        for name, function in contestants.items():
            time.sleep(PAUSE)
            start = time.perf_counter()
            function()
            if number:
                times[name].append(time.perf_counter() - start)
    for name, seconds in times.items():
        median = statistics.median(seconds)
        print(
            f"{name:10} {median:7.3f} s  ({min(seconds):.3f} to {max(seconds):.3f})  {images / median:9,.0f} images/s"
        )
    if "peer" in times:
        found = ratio(times["peer"], times["convcore"])
        print(f"ratio      {found:7.2f}    {what}, {images} images, median of {rounds} pairs", flush=True)
    return times
