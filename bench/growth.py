"""How the cost of a training step grows: with the batch, with the size of the images, with their channels.

A step that costs twice as much for twice the work is on a straight line; a cliff is where it costs far more.
"""

import math
import statistics
import time

import numpy as np

import convcore as cc
from bench.epoch import L2, LEARN_RATE, MOMENTUM, torch_network
from convcore.train.picture import FAINT, INK, figure_class, save

STEPS = 8  # at least, and as many as fit into SECONDS
WARM = 6  # the first steps of a network are not counted
SECONDS = 0.5
BATCH = 16  # where it is not what grows

AXES = {  # what grows: its sizes, and the network's side, channels and batch for each
    "images in a batch": ((16, 64, 256, 1024, 4096), lambda n: (28, 1, n)),
    "pixels of an image": ((28**2, 56**2, 112**2, 224**2), lambda n: (math.isqrt(n), 1, BATCH)),
    "channels of an image": ((1, 4, 16, 64, 256), lambda n: (28, n, BATCH)),
}
COLORS = {"convcore": "#1f6fb4", "PyTorch": "#d9541e"}


def bench(n_threads, rounds, peer=None, plot=None, smallest=False):
    """Time a step at each size of each axis; print microseconds per unit, and how fast they grow; draw a picture."""
    found = {}
    for axis, (sizes, shape) in AXES.items():
        rows = {"convcore": []} | ({"PyTorch": []} if peer else {})
        print(f"{axis:22} {'µs a step':>12} {'each':>9} {'growth':>7}" + ("  beside PyTorch" if peer else ""))
        for size in sizes[: 2 if smallest else None]:
            side, channels, batch = shape(size)
            net, x, y = problem(side, channels, batch)
            times = {name: [] for name in rows}
            for _ in range(rounds):
                times["convcore"].append(ours(net, x, y, batch, n_threads))
                if peer:
                    times["PyTorch"].append(theirs(net, x, y, batch, n_threads, peer))
            for name, found_now in times.items():
                rows[name].append(statistics.median(found_now))
            text = f"{size:22,} {rows['convcore'][-1]:12,.0f} {rows['convcore'][-1] / size:9.3f} "
            text += f"{exponent(sizes, rows['convcore']):7.2f}" if len(rows["convcore"]) > 1 else " " * 7
            if peer:
                text += f"  {rows['PyTorch'][-1] / rows['convcore'][-1]:.2f}"
            print(text, flush=True)
        found[axis] = rows
    if plot:
        draw(found, n_threads, plot)
    return found


def exponent(sizes, times):
    """The power of the size with which the last two times grow: 1 is linear."""
    last = len(times) - 1
    return math.log(times[last] / times[last - 1]) / math.log(sizes[last] / sizes[last - 1])


def problem(side, channels, batch):
    """Return a network like LeNet for square images, and images for some steps."""
    net = cc.Network([
        cc.ImageInput((channels, side, side), normalization="rescale-zero-one"),
        cc.Conv2D(5, 6, padding="same"), cc.ReLU(), cc.MaxPool2D(2),
        cc.Conv2D(5, 16), cc.ReLU(), cc.MaxPool2D(2),
        cc.FullyConnected(120), cc.ReLU(), cc.FullyConnected(84), cc.ReLU(), cc.FullyConnected(10), cc.Softmax(),
    ], seed=0)  # fmt: skip
    rng = np.random.default_rng(0)
    images = batch * min(40, max(2, 2**27 // (batch * channels * side**2)))
    x, y = rng.integers(0, 256, (images, channels, side, side), np.uint8), rng.integers(0, 10, images)
    net.initialize()
    net.fit_normalization(x)
    return net, x, y


def ours(net, x, y, batch, n_threads):
    """Return the microseconds of a training step, the median of the steps that were taken in the time."""
    moments = []

    def look(info):
        moments.append(time.perf_counter())
        return len(moments) > WARM + STEPS and moments[-1] - moments[WARM] > SECONDS

    options = cc.TrainingOptions(
        "sgdm", initial_learn_rate=LEARN_RATE, momentum=MOMENTUM, l2_regularization=L2, max_epochs=1000,
        mini_batch_size=batch, verbose=False, n_threads=n_threads, callbacks=[look],
    )  # fmt: skip
    cc.train(net, (x, y), options=options)
    return 1e6 * statistics.median(np.diff(moments[WARM - 1 :]))


def theirs(net, x, y, batch, n_threads, peer):
    """The same of the same network in PyTorch."""
    network, times = torch_network(net, peer, n_threads), []
    data, end = network.data(x[: 2 * batch], y[: 2 * batch]), 0.0
    while len(times) < WARM + STEPS or time.perf_counter() < end:
        start = time.perf_counter()
        network.epoch(data, np.random.default_rng(len(times)).permutation(2 * batch)[:batch], batch)
        times.append(time.perf_counter() - start)
        end = start + SECONDS if len(times) == WARM else end
    return 1e6 * statistics.median(times[WARM:])


def draw(found, n_threads, path):
    """Draw the time of a step over each axis, on logarithmic scales, with lines that grow linearly behind it."""
    figure = figure_class("bench growth: the picture")(figsize=(12, 4.2), dpi=130, layout="constrained", facecolor="w")
    figure.suptitle(f"A training step of a network like LeNet, {n_threads} threads", x=0.01, ha="left", color=INK)
    for panel, (axis, rows) in zip(figure.subplots(1, len(found)), found.items(), strict=True):
        for name, times in rows.items():
            sizes = AXES[axis][0][: len(times)]
            panel.loglog(sizes, np.array(times) / 1e3, marker="o", color=COLORS[name], label=name)
            panel.loglog(sizes, times[-1] / 1e3 * np.array(sizes) / sizes[-1], color=FAINT, linewidth=1, zorder=0)
        panel.set_xticks(sizes, [f"{size:,}" for size in sizes])
        panel.minorticks_off()
        panel.set_xlabel(axis, color=INK)
        panel.spines[["top", "right"]].set_visible(False)
    figure.axes[0].set_ylabel("milliseconds", color=INK)
    figure.axes[0].legend(frameon=False)
    figure.axes[-1].annotate("grey: linear", (0.98, 0.03), xycoords="axes fraction", ha="right", color=INK, fontsize=8)
    save(figure, path)
