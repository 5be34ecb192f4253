"""What a network makes of data while nobody records it: batches of a kind that comes again are computed by plans."""

import threading

import numpy as np

from convcore.arrays import FLOATS
from convcore.autograd import Tensor
from convcore.kernels.program import NotRepeatable, Planned, conditions
from convcore.layers import Function, ImageInput
from convcore.network.chains import get_fusion
from convcore.ops.incoming import Incoming

KINDS = 4  # of batches that are planned for: those that came last
LARGEST = 2**24  # bytes of results of a batch: with more, the search for kernels takes a fiftieth of the time at most


class Prediction:
    """Plans for the batches that a network sees outside of training; see `convcore.kernels.program.Planned`.

    They hold as long as layers, their properties and their arrays are the same objects; numbers in these arrays may
    change. Of two threads that predict at the same time one goes without.

    Parameters
    ----------
    net : Network
    """

    def __init__(self, net):
        self._net = net
        self._lock = threading.Lock()
        self._plans, self._lasting, self._ids, self._possible = {}, [], (), False

    def __reduce__(self):
        """A copied network makes plans of its own."""
        return Prediction, (self._net,)

    def outputs(self, x, logits, unchanged=False):
        """Return the outputs for a batch as a tuple of Tensors; or None if it is none to be planned for.

        Parameters
        ----------
        x : anything
            As in `Network.forward`.
        logits : bool
        unchanged : bool
            Whether nothing can have changed since the last batch, for which outputs were returned.
        """
        batch = self._batch(x)
        if batch is None or not self._lock.acquire(blocking=False):
            return None
        try:
            if not unchanged:
                self._look_around()
            return self._compute(batch, logits) if self._possible else None
        finally:
            self._lock.release()

    def _batch(self, x):
        """Return the one input as an Incoming, or None if it is something else than one plain array of numbers."""
        net = self._net
        if not net.initialized or len(net.input_names) > 1:
            return None
        if isinstance(x, Tensor) and x.format is None and x.dtype == net.dtype:
            x = x.data
        if isinstance(x, Incoming):
            return x if x.lasting is None else None
        plain = isinstance(x, np.ndarray) and (x.dtype in FLOATS or x.dtype.kind in "ui")
        return Incoming(x, net.dtype) if plain else None

    def _look_around(self):
        """Forget all plans if anything is no longer what they were made for."""
        lasting = []
        for layer in self._net.layers:
            kind = type(layer)
            lasting += (kind.apply, kind.forward, *vars(layer).values(), *layer.remembered.values())
            for parameter in layer.learnables.values():
                lasting += (parameter, parameter.data)
        ids = tuple(map(id, lasting))
        if ids != self._ids:
            self._lasting, self._ids = lasting, ids  # kept: another object could have the id of one that is gone
            self._plans, self._possible = {}, calls_nobody(self._net)

    def _compute(self, batch, logits):
        kind = *batch.kind, logits, get_fusion(), conditions()
        plan = self._plans.pop(kind, None) or Planned(LARGEST)
        self._plans[kind] = plan  # behind those that came before
        if len(self._plans) > KINDS:
            del self._plans[next(iter(self._plans))]
        if plan.ready:
            plan.program.run(batch.arrays)
            return tuple(Tensor(result.copy()) for result in plan.program.results)
        return plan.watch(batch.arrays, lambda: self._net.by_layers(batch, logits=logits), _wanted)


def _wanted(outputs, _):
    if any(y.format is not None for y in outputs):
        raise NotRepeatable("axes have an order of their own")
    return [y.data for y in outputs], ()


def calls_nobody(net):
    """Whether a network runs nothing of the user's, which might do more than what one sees of it."""
    for layer in net.layers:
        own = type(layer).__module__.startswith("convcore.layers.") and not isinstance(layer, Function)
        if not own or (isinstance(layer, ImageInput) and not isinstance(layer.normalization, str)):
            return False
    return True
