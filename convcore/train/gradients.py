"""Loss, output and gradients of a mini-batch: by a tape, or by what a tape was seen to do."""

import math

from convcore.autograd import Tape
from convcore.kernels.program import NotRepeatable, Program, conditions, observing
from convcore.layers import BatchNorm, Function, ImageInput
from convcore.network import get_fusion
from convcore.ops.incoming import Incoming

OBSERVED, COMPARED = (2, 3), 4  # which steps of a kind are observed, and which is computed both ways
KINDS = 4  # of batches that are planned for: with sequences of all lengths there is no end of them
LARGEST = 2**26  # bytes of results in a step: beyond, what a program saves is nothing beside what kernels take


class Gradients:
    """The gradients of a network's parameters, batch after batch.

    The first batch of a kind goes through the network and back along a tape. So do the second and the third, and each
    call of a kernel is noted: where both did the same, and kernels alone have computed, the calls become a `Program`.
    The fourth batch is computed both ways. If all results of all kernels agree bit by bit, the program computes from
    then on what a tape would: the same calls on the same arrays, without the search for what to call. What does
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
        self._may_repeat = _kernels_may_be_all(self.net, objective)

    def compute(self, x, y, rng=None):
        """Set the parameters' gradients; return the loss, and how many rows were right, or None where there are none.

        Where the loss is not finite there are no gradients.
        """
        if rng is not None or not self._may_repeat or isinstance(x, tuple) or isinstance(y, tuple):
            return self.by_tape(x, y, rng)
        if not isinstance(x, Incoming):
            x = Incoming(x, self.net.dtype)
        kind = *x.kind, y.shape, y.dtype, get_fusion(), conditions()
        if kind != self._kind:  # a look at the last one is cheaper than the search
            if kind not in self._plans:
                if len(self._plans) == KINDS:
                    return self.by_tape(x, y)
                self._plans[kind] = _Plan(self)
            self._kind, self._plan = kind, self._plans[kind]
        return self._plan.compute(x, y)

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


def _kernels_may_be_all(net, objective):
    """Whether nothing of the user's is called in a step, which might do more than what one sees of it."""
    for layer in net.layers:
        own = type(layer).__module__.startswith("convcore.layers.") and not isinstance(layer, Function)
        if not own or (isinstance(layer, ImageInput) and not isinstance(layer.normalization, str)):
            return False
    return objective.name != "function"


class _Plan:
    """How batches of one kind are computed, from the first on."""

    def __init__(self, gradients):
        self.gradients = gradients
        self.begin()

    def begin(self):
        """Forget what was seen."""
        self.steps, self.observations, self.program, self.hopeless = 0, [], None, False
        self.data, self.lasting = [], None

    def compute(self, x, y):
        if x.lasting is not self.lasting or any(
            p.data is not data for p, data in zip(self.gradients.parameters, self.data, strict=False)
        ):
            self.begin()
            self.lasting = x.lasting
        self.steps += 1
        if self.steps == OBSERVED[0]:
            self.data = [parameter.data for parameter in self.gradients.parameters]
        if self.program is not None and self.steps > COMPARED:
            return self._by_program(x, y)
        if self.hopeless or self.steps < OBSERVED[0]:
            return self.gradients.by_tape(x, y)
        calls = _Calls()
        with observing(calls.add):
            loss, hits = self.gradients.walk(x, y)
        if calls.too_large or not math.isfinite(loss.item()):
            self._give_up()
        elif self.steps in OBSERVED:
            self.observations.append((calls.made, (*x.arrays, y)))
            if self.steps == OBSERVED[-1]:
                self._plan(loss, hits)
        elif self.program.differs_from(calls.made, (*x.arrays, y)):
            self._give_up()
        return _numbers(loss, hits)

    def _plan(self, loss, hits):
        """Make a program of two observations."""
        (first, inputs), (second, inputs_now) = self.observations
        self.moved = [p for p in self.gradients.parameters if p.grad is not None]
        gradients = [p.grad for p in self.moved]
        statistics = [made.outputs[1:] for made in second if made.direction == "forward_training"]
        if len(statistics) != len(self.gradients.statistics):
            return self._give_up()
        self.counts = hits is not None
        wanted = [loss.data, *([hits] if self.counts else []), *gradients, *[a for pair in statistics for a in pair]]
        try:
            self.program = Program(first, second, (inputs, inputs_now), wanted, together=gradients)
        except NotRepeatable:
            self._give_up()
        self.observations = []

    def _give_up(self):
        """Go on with tapes."""
        self.hopeless, self.program, self.observations = True, None, []

    def _by_program(self, x, y):
        self.program.run((*x.arrays, y))
        results = iter(self.program.results)
        loss, hits = next(results), next(results) if self.counts else None
        for parameter, gradient in zip(self.moved, results, strict=False):
            parameter.grad = gradient
        for layer, mean, variance in zip(self.gradients.statistics, results, results, strict=True):
            layer.learn(mean, variance)
        return _numbers(loss, hits)


class _Calls:
    """The calls of kernels in a step, as long as their results are not too large to be kept."""

    def __init__(self):
        self.made, self.bytes, self.too_large = [], 0, False

    def add(self, made):
        """Note a call."""
        self.bytes += sum(array.nbytes for array in made.outputs)
        self.too_large = self.too_large or self.bytes > LARGEST
        self.made = [] if self.too_large else [*self.made, made]
