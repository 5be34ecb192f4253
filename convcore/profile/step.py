"""Where a training step goes: every call of a kernel, timed, with the layer and the direction that it belongs to."""

import contextlib
import statistics
import time

import numpy as np

from convcore.autograd import Tape
from convcore.kernels import explain
from convcore.kernels.program import observing
from convcore.profile import machine, roofline
from convcore.threads import get_num_threads, num_threads
from convcore.train import TrainingOptions, train
from convcore.train.objective import Objective

WARM_UP = 10  # steps; after these a step that repeats itself is made of calls alone
BLOCK = 5  # steps with a watcher, then as many without
LEARN_RATE = 1e-9  # no weight comes far


def profile(net, data, *, batch_size=64, steps=50, n_threads=None):
    """Train a network for some steps, and return where their time went.

    Parameters
    ----------
    net : Network
        Trained by it, at a rate so low that it stays what it is.
    data : (x, y) or Split
    batch_size : int
    steps : int
        Of which the times are medians; as many more run without a watcher, to compare.
    n_threads : int, optional

    Returns
    -------
    dict
        "machine"; "network": what was trained; "step_seconds": of a step without a watcher, "watched_seconds": with
        one; "kernel_seconds": in kernels; "other_seconds": the rest, in Python; "peak_gflops" and "bandwidth_gbs" of
        this machine; "rows": one per call, in order, with "layer", "pass" (forward, backward, update), "op",
        "direction", "problem", "variant", "level", "n_threads", "seconds", "operations", "bytes", "gflops", "of_limit"
        and, of convolutions, "why"; "events": the calls of some steps with the times at which they began.

    Raises
    ------
    ValueError
        Fewer observations than a batch has.
    """
    with contextlib.nullcontext() if n_threads is None else num_threads(n_threads):
        n_threads = get_num_threads()
        x, y = (data.x, data.y) if hasattr(data, "x") else data
        if len(x) < batch_size:
            raise ValueError(f"profile: a batch of {batch_size} takes as many observations, there are {len(x)}")
        probe = _Probe(steps)
        options = TrainingOptions("sgdm", initial_learn_rate=LEARN_RATE, max_epochs=10**6, mini_batch_size=batch_size,
                                  drop_last=True, verbose=False, n_threads=n_threads, callbacks=(probe,))  # fmt: skip
        with probe:
            train(net, (x, y), options=options)
        labels = _labels(net, x[:batch_size], y[:batch_size])
    calls = [step.calls() for step in probe.seen[:steps]]
    roof = roofline.measured_roof(calls[0][0].call.level, n_threads)
    rows = _rows(calls, labels, roof)
    kernels = sum(row["seconds"] for row in rows)
    step = statistics.median(probe.plain)
    return {
        "machine": machine.describe(), "network": repr(net), "batch_size": batch_size, "n_threads": n_threads,
        "steps": len(calls), "step_seconds": step, "watched_seconds": statistics.median(probe.watched),
        "kernel_seconds": kernels, "other_seconds": step - kernels, "peak_gflops": roof.peak,
        "bandwidth_gbs": roof.bandwidth, "rows": rows, "events": _events(calls[:BLOCK], labels),
    }  # fmt: skip


class _Probe:
    """A callback of the trainer that watches some steps, and times those and as many others."""

    def __init__(self, steps):
        self.wanted, self.seen, self.plain, self.watched = steps, [], [], []
        self.now, self.stack, self.is_watching = 0.0, contextlib.ExitStack(), False

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        self.stack.close()

    def __call__(self, iteration):
        """Note how long the step took, and begin or end the watch."""
        seconds, number = time.perf_counter() - self.now, iteration.iteration - WARM_UP
        if number > 0:
            (self.watched if self.is_watching else self.plain).append(seconds)
        if min(len(self.watched), len(self.plain)) >= self.wanted:
            return True
        self.stack.close()
        self.is_watching = number >= 0 and number // BLOCK % 2 == 0
        if self.is_watching:
            self.seen.append(_Seen())
            self.stack.enter_context(observing(self.seen[-1]))
        self.now = time.perf_counter()
        return False


class _Seen:
    """The calls of a step, put together when all is over: the less is done meanwhile, the less a step feels of it."""

    def __init__(self):
        self._parts = []  # (calls, times)

    def __call__(self, made):
        self._parts.append(([_fact(made)], [made.began, made.began + made.seconds]))

    def several(self, calls, times):
        """Note the calls of a program."""
        self._parts.append((calls, times))

    def calls(self):
        """Return the calls in their order, without their arrays."""
        return [_fact(made).timed(start, end) for calls, times in self._parts
                for made, start, end in zip(calls, times, times[1:], strict=False)]  # fmt: skip


def _fact(made):
    """Return what is kept of a call: not its arrays, whose memory shall be free for the next."""
    if "bytes" in made.parameters:
        return made
    return made._replace(arrays=(), outputs=(), parameters={"bytes": _bytes(made)})


def _bytes(made):
    """Return the bytes of the arrays of a call: what it reads and writes."""
    arrays = [array for array in (*made.arrays, *made.outputs) if array is not None]
    if made.direction == "gather":
        arrays[0] = arrays[0][: made.geometry.N]  # as many rows, wherever they stand
    return sum(array.nbytes for array in arrays)


def _labels(net, x, y):
    """Return (op, direction) and (layer, pass) of each call in a step, in order, from a tape."""
    objective = Objective(net, None, "profile")
    x, y = objective.pair((x, y), "data")
    layer_of = {id(p): layer.name for layer in net.layers for p in layer.learnables.values()}
    found, backward = [], []
    with Tape() as tape:
        with observing(lambda made: found.append((made.op, made.direction, len(tape.records), "forward"))):
            loss, output = objective.forward(x, y, training=True, rng=np.random.default_rng(0))
            objective.hits(output, y)
        records = list(tape.records)
        names = [next((layer_of[id(t)] for t in record.inputs if id(t) in layer_of), record.op) for record in records]
        position = {id(record.output): number for number, record in enumerate(records)}
        with observing(lambda made: backward.append((made.op, made.direction))):
            for step in tape.steps(loss):
                found += [(*call, position[id(step.output)], "backward") for call in backward]
                backward.clear()
    labels = []
    for op, direction, number, way in found:
        belongs = number < len(records) and (way == "backward" or op in records[number].op)
        labels.append(((op, direction), (names[number] if belongs else "input" if op == "channel_scale" else op, way)))
    return labels


def _label(labels, number, made):
    """Return (layer, pass) of call `number` of a step."""
    if made.direction == "update":
        return "parameters", "update"
    if made.direction == "gather":
        return "input", "forward"
    if number < len(labels) and labels[number][0] == (made.op, made.direction):
        return labels[number][1]
    return made.op, "forward" if made.direction.startswith("forward") else "backward"


def _rows(steps, labels, roof):
    """Return one row per call of a step, with the median of its times."""
    steps = [calls for calls in steps if len(calls) == len(steps[-1])]
    rows = []
    for number, made in enumerate(steps[-1]):
        seconds = statistics.median(calls[number].seconds for calls in steps)
        layer, way = _label(labels, number, made)
        operations, moved = made.geometry.operations(made.direction), made.parameters["bytes"]
        limit, limited_by = roof.limit(operations / moved)
        rows.append({
            "layer": layer, "pass": way, "op": made.op, "direction": made.direction, "problem": str(made.geometry),
            "variant": made.call.variant, "level": made.call.level, "n_threads": made.n_threads, "seconds": seconds,
            "operations": operations, "bytes": moved, "gflops": operations / seconds / 1e9,
            "of_limit": operations / seconds / 1e9 / limit, "limited_by": limited_by,
            "why": _why(made) if made.op.startswith("conv") else None,
        })  # fmt: skip
    return rows


def _why(made):
    """Return why this variant computes a convolution; who does more in the same pass was chosen for the first of it."""
    first = made.direction
    if first == "forward_pool" or first.startswith("backward_weight"):
        first = first.removesuffix("_pool").removesuffix("_relu").removesuffix("_bias")
    return explain(made.op, made.geometry, first)


def _events(steps, labels):
    """Return the calls of steps with their beginnings, in seconds from the first."""
    if not steps or not steps[0]:
        return []
    zero = steps[0][0].began
    events = []
    for calls in steps:
        for number, made in enumerate(calls):
            layer, way = _label(labels, number, made)
            events.append({
                "layer": layer, "pass": way, "op": made.op, "direction": made.direction, "problem": str(made.geometry),
                "variant": made.call.variant, "n_threads": made.n_threads, "start": made.began - zero,
                "seconds": made.seconds,
            })  # fmt: skip
    return events
