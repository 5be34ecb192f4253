"""What a call costs besides its kernel: of a record, of kernels.run, of a function, of a layer, of a network of them.

Tiny problems, one thread; the kernel alone is timed in the same turns, and its time taken off.
"""

import statistics
import time

import numpy as np

import convcore as cc
from convcore.autograd import Tape, record
from convcore.kernels import ConvGeometry, FlatGeometry, MatrixGeometry, run
from convcore.ops.activation import relu_backward

CALLS = 2000


def bench(peer, rounds):
    """Print microseconds per call, beyond the kernel; beside PyTorch's where asked for."""
    with cc.num_threads(1):
        rows = {name: [] for name in CASES}
        for _ in range(rounds):
            for name, make in CASES.items():
                call, kernel = make()
                rows[name].append(_microseconds(call) - _microseconds(kernel))
        for name, found in rows.items():
            print(f"{name:58} {statistics.median(found):7.2f} µs")
        if peer:
            _beside(peer, rounds)
    return {name: statistics.median(found) for name, found in rows.items()}


def _microseconds(call):
    start = time.perf_counter()
    for _ in range(CALLS):
        call()
    return (time.perf_counter() - start) / CALLS * 1e6


def _kernel(op, direction, geometry, *arrays):
    """Return a call of the chosen kernel's function, with everything that it is given at hand."""
    found = []
    with cc.kernels.program.observing(found.append):
        run(op, direction, geometry, *arrays)
    function, arguments = found[0].call.function, found[0].arguments()
    return lambda: function(*arguments)


CONV = ConvGeometry.parse("mb1ic1ih4oc1kh3")
X, WEIGHT, BIAS = (np.ones(CONV.shapes[name], np.float32) for name in ("x", "weight", "bias"))
FLAT, VALUES = FlatGeometry("relu", 4), np.ones(4, np.float32)
MATRIX, ROW, SQUARE = MatrixGeometry("fully_connected", 1, 4, 4), np.ones((1, 4), "f4"), np.ones((4, 4), "f4")


def _a_record():
    x = cc.Tensor(VALUES, requires_grad=True)
    tape = Tape()

    def call():
        with tape:
            record("relu", VALUES, inputs=(x,), backward=relu_backward, saved={"y": VALUES}, geometry=FLAT)
        tape.clear()

    def nothing():
        with tape:
            cc.Tensor(VALUES)
        tape.clear()

    return call, nothing


def _a_run():
    return lambda: run("conv2d", "forward", CONV, X, WEIGHT, BIAS), _kernel("conv2d", "forward", CONV, X, WEIGHT, BIAS)


def _a_function():
    tensors = [cc.Tensor(a) for a in (X, WEIGHT, BIAS)]
    return lambda: cc.conv2d(*tensors), _kernel("conv2d", "forward", CONV, X, WEIGHT, BIAS)


def _a_convolution():
    layer = cc.Conv2D(3, 1)
    layer.initialize((1, 4, 4), np.random.default_rng(0), np.dtype(np.float32))
    x = cc.Tensor(X)
    return lambda: layer.apply(x, False, None), _kernel("conv2d", "forward", CONV, X, WEIGHT, BIAS)


def _a_relu():
    layer, x = cc.ReLU(), cc.Tensor(VALUES.reshape(1, 4))
    return lambda: layer.apply(x, False, None), _kernel("relu", "forward", FLAT, VALUES)


def _a_matrix():
    layer = cc.FullyConnected(4)
    layer.initialize((4,), np.random.default_rng(0), np.dtype(np.float32))
    x = cc.Tensor(ROW)
    return lambda: layer.apply(x, False, None), _kernel("fully_connected", "forward", MATRIX, ROW, SQUARE, VALUES)


CASES = {
    "a record, beyond its output": _a_record,
    "kernels.run of a convolution": _a_run,
    "conv2d, a function of three tensors": _a_function,
    "a Conv2D layer": _a_convolution,
    "a FullyConnected layer": _a_matrix,
    "a ReLU layer": _a_relu,
}


def _beside(peer, rounds):
    """Print LeNet-5 on one image, forward, and a step of training, beside PyTorch."""
    from bench.epoch import in_turn, torch_network

    net = cc.lenet5(seed=0)
    net.initialize()
    x, y = np.random.default_rng(0).random((1, 1, 28, 28), np.float32), np.array([3])
    theirs = torch_network(net, peer, 1)
    images, labels = theirs.images(x), theirs.data(x, y)[1]
    several = 200
    in_turn(
        {"convcore": lambda: [net.predict(x) for _ in range(several)],
         "peer": lambda: [theirs.predict(images, 1) for _ in range(several)]},
        rounds, several, "lenet5, one image predicted, 1 thread",
    )  # fmt: skip
    xs, order = np.repeat(x, several, 0), np.arange(several)
    options = cc.TrainingOptions("sgdm", max_epochs=1, mini_batch_size=1, verbose=False, n_threads=1)
    pair = theirs.images(xs), labels.repeat(several)
    in_turn(
        {"convcore": lambda: cc.train(net, (xs, np.repeat(y, several)), options=options),
         "peer": lambda: theirs.epoch(pair, order, 1)},
        rounds, several, "lenet5, steps of one image, 1 thread",
    )  # fmt: skip
