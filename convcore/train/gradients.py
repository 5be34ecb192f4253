"""Loss, output and gradients of a mini-batch: by a tape, or by what a tape was seen to do."""

import math

from convcore.autograd import Tape
from convcore.kernels.program import NotRepeatable, Planned, conditions
from convcore.layers import BatchNorm
from convcore.network import calls_nobody, get_fusion
from convcore.ops.incoming import Incoming

KINDS = 4  # of batches that are planned for: with sequences of all lengths there is no end of them


class Gradients:
    """The gradients of a network's parameters, batch after batch.

    The first batches of a kind go through the network and back along a tape. Where kernels alone compute, the rest is
    `Planned`: a program makes the same calls on the same arrays, without the search for what to call. What does
    anything else besides goes on with tapes.

    Parameters
    ----------
    objective : Objective
    parameters : dict of str to Parameter
    """

    def __init__(self, objective, parameters):
        self.objective, self.net, self.parameters = objective, objective.net, list(parameters.values())
        self.statistics = [layer for layer in self.net.layers if isinstance(layer, BatchNorm)]
        self._plans, self._kind, self._plan = {}, None, None
        self._may_repeat = calls_nobody(self.net) and objective.name != "function"

    def compute(self, x, y, rng=None):
        """Set the parameters' gradients; return the loss, and how many rows were right, or None where there are none.

        Where the loss is not finite there are no gradients.
        """
        if not self._may_repeat or isinstance(x, tuple) or isinstance(y, tuple):
            return self.by_tape(x, y, rng)
        if not isinstance(x, Incoming):
            x = Incoming(x, self.net.dtype)
        y = self.objective.cast(y)
        kind = *x.kind, y.shape, y.dtype, get_fusion(), conditions()
        if kind != self._kind:  # a look at the last one is cheaper than the search
            if kind not in self._plans:
                if len(self._plans) == KINDS:
                    return self.by_tape(x, y, rng)
                self._plans[kind] = _Plan(self)
            self._kind, self._plan = kind, self._plans[kind]
        return self._plan.compute(x, y, rng)

    @property
    def too_small_to_share(self):
        """Whether several threads are no gain in batches like the last one: neither are they in what follows it."""
        planned = self._plan and self._plan.planned
        return bool(planned and planned.ready and planned.program.n_threads == 1)

    def by_tape(self, x, y, rng=None):
        """The same, along a tape."""
        return _numbers(*self.walk(x, y, rng))

    def walk(self, x, y, rng=None):
        """Go forward and back along a tape, and return the loss, a Tensor, and the number of right rows, an array."""
        with Tape() as tape:
            loss, output = self.objective.forward(x, y, training=True, rng=rng)
        hits = self.objective.hits(output, y)
        if math.isfinite(loss.item()):
            tape.backward(loss)
        return loss, hits


def _numbers(loss, hits):
    """Return the loss and the number of right rows as plain numbers; None where no rows were counted."""
    return loss.item(), None if hits is None else hits.item()


class _Plan:
    """How batches of one kind are computed, from the first on."""

    def __init__(self, gradients):
        self.gradients, self.planned = gradients, Planned()
        self.lasting, self.data = self, []  # that of no batch; none yet

    def compute(self, x, y, rng):
        planned, parameters = self.planned, self.gradients.parameters
        if x.lasting is not self.lasting or any(p.data is not data for p, data in zip(parameters, self.data)):  # noqa: B905
            planned.begin()
            self.lasting, self.data = x.lasting, []
        elif not self.data:  # behind the first step, which may have given them other arrays
            self.data = [parameter.data for parameter in parameters]
        if planned.ready:
            return self._by_program(x, y, rng)
        inputs = [*x.arrays, y]
        if rng is not None:
            from convcore.train.noting import NotingGenerator  # NumPy loads its random numbers only when asked for them

            rng = NotingGenerator(rng, inputs)
        return _numbers(*planned.watch(inputs, lambda: self.gradients.walk(x, y, rng), self._wanted))

    def _wanted(self, found, calls):
        """Return what of a step is read, and what of it shall lie together: the gradients."""
        loss, hits = found
        if not math.isfinite(loss.item()):
            raise NotRepeatable("without a finite loss there are no gradients")
        self.moved = [p for p in self.gradients.parameters if p.grad is not None]
        gradients = [p.grad for p in self.moved]
        statistics = [made.outputs[-2:] for made in calls if made.direction.startswith("forward_training")]
        if len(statistics) != len(self.gradients.statistics):
            raise NotRepeatable("not every layer that learns statistics has")
        self.counts = hits is not None
        read = [loss.data, *([hits] if self.counts else [])]
        return [*read, *gradients, *[a for pair in statistics for a in pair]], gradients

    def _by_program(self, x, y, rng):
        program = self.planned.program
        given = (*x.arrays, y)
        drawn = [rng.random(dtype=array.dtype, out=array) for array in program.inputs[len(given) :]]
        program.run((*given, *drawn))
        results = iter(program.results)
        loss, hits = next(results), next(results) if self.counts else None
        for parameter, gradient in zip(self.moved, results, strict=False):
            parameter.grad = gradient
        for layer, mean, variance in zip(self.gradients.statistics, results, results, strict=True):
            layer.learn(mean, variance)
        return _numbers(loss, hits)
