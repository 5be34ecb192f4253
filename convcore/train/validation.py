"""Validation during training: when it is due, whether it still gets better, which weights were the best."""

import functools
import math

from convcore.train import fingerprint
from convcore.train.metrics import accumulators, measure

METRICS = "TrainingOptions: metrics"  # how errors speak of them


class Validation:
    """The validation data of a run, and what was found on it so far.

    Attributes
    ----------
    best_loss : float
        The smallest loss so far; infinite before the first validation.
    without_progress : int
        Validations since then.
    best_arrays : dict of str to ndarray
        Copies of the network's arrays at that moment; empty if they are not to be kept.
    """

    def __init__(self, objective, options):
        self.x, self.y = objective.pair(options.validation_data, "validation_data")
        self.best_loss = math.inf
        self.without_progress = 0
        self.best_arrays = {}
        self._objective = objective
        self._metrics = options.metrics
        accumulators(objective, self.x, self.y, self._metrics, METRICS)  # raises now what the first validation would
        self._frequency = options.validation_frequency
        self._patience = options.validation_patience
        self._keep_best = options.output_network == "best-validation"

    def due(self, iteration, last):
        """Whether to validate after this iteration; `last` is the number of the run's last."""
        return iteration % self._frequency == 0 or iteration == last

    @property
    def exhausted(self):
        """Whether the patience is at its end."""
        return self.without_progress >= self._patience

    def measure(self):
        """Return what `evaluate` does for the network as it is, always with the confusion matrix."""
        return measure(self._objective, self.x, self.y, metrics=self._metrics, what=METRICS)

    def validate(self):
        """Measure, and remember the best."""
        result = self.measure()
        if result["loss"] < self.best_loss:
            self.best_loss, self.without_progress = result["loss"], 0
            if self._keep_best:
                self.best_arrays = {name: array.copy() for name, array in self._objective.net.arrays().items()}
        else:
            self.without_progress += 1
        return result

    def restore(self, checkpoint):
        """Go on where a checkpoint left off."""
        self.best_loss = checkpoint.best_loss
        self.without_progress = checkpoint.validations_without_progress
        self.best_arrays = dict(checkpoint.best_arrays)

    @functools.cached_property
    def fingerprint(self):
        """What the data is recognised by."""
        return fingerprint.of_data(self.x, self.y)
