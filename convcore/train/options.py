"""Everything that a training run can be told, checked when it is told."""

import dataclasses
import json
import math
import os
from dataclasses import KW_ONLY, dataclass, field
from functools import partial

from convcore.data.batches import SHUFFLES
from convcore import checks
from convcore.optim.schedules import SCHEDULES
from convcore.optim.sgd import THRESHOLD_METHODS

OUTPUT_NETWORKS = ("last", "best-validation")
# What decides over the bits of the weights, and therefore must not change between a checkpoint and its resumption.
# The number of epochs is missing on purpose: more of them is how a finished run is carried on.
FIXED = (
    "solver", "initial_learn_rate", "momentum", "l2_regularization", "mini_batch_size", "shuffle",
    "learn_rate_schedule", "learn_rate_drop_factor", "learn_rate_drop_period", "gradient_threshold",
    "gradient_threshold_method", "drop_last", "output_network", "seed",
)  # fmt: skip
# What belongs to the program or to the machine, and is given anew.
NOT_STORED = ("validation_data", "checkpoint_path", "callbacks")


@dataclass(frozen=True)
class TrainingOptions:
    """The options of `train`.

    Parameters
    ----------
    solver : {"sgdm"}
        Stochastic gradient descent with momentum, see `SGD`.
    initial_learn_rate : float, greater than 0
    momentum : float, 0 to 1
    l2_regularization : float, at least 0
        λ: λ · l2_factor · w is added to each gradient.
    max_epochs : int, at least 1
        Passes over the training data.
    mini_batch_size : int, images, at least 1
    shuffle : {"once", "every-epoch", "never"}
        "once" is before the first epoch.
    learn_rate_schedule : {"none", "piecewise", "cosine"} or function
        "piecewise" multiplies the rate by `learn_rate_drop_factor` every `learn_rate_drop_period` epochs; "cosine"
        lets it fall to almost 0 over all epochs. A function of (iteration, epoch), both from 1, returns the rate
        itself.
    learn_rate_drop_factor : float, 0 to 1
    learn_rate_drop_period : int, epochs, at least 1
    gradient_threshold : float, greater than 0, or inf
    gradient_threshold_method : {"l2norm", "global-l2norm", "absolute-value"}
        Limits each parameter's gradient by its own norm, all by their common norm, or each element.
    validation_data : (x, y), optional
        In the form of the training data.
    validation_frequency : int, iterations, at least 1
        The data is also validated after the last iteration.
    validation_patience : int, validations, at least 1, or inf
        Training stops after so many validations in a row without a smaller loss.
    verbose : bool
        Progress on stderr: a bar on a terminal, lines elsewhere.
    verbose_frequency : int, iterations, at least 1
        Between two lines, and between two measurements of the regularization term.
    plots : {"none"}
        ``history.plot(path)`` draws a picture after training.
    drop_last : bool
        Leave out the last mini-batch of an epoch if it is smaller.
    output_network : {"last", "best-validation"}
        The weights that the network has at the end: those of the last iteration, or those with the smallest
        validation loss.
    checkpoint_path : str or path-like, optional
        Folder for ``checkpoint.safetensors``; it is created. None: no checkpoints.
    checkpoint_frequency : int, epochs, at least 1
        A checkpoint is also written at the end, and at Ctrl-C.
    seed : int, at least 0
        Decides over the order of the images and over Dropout.
    n_threads : int, 1 to 1024, optional
        For this run; otherwise as elsewhere. The results do not depend on it.
    callbacks : sequence of functions
        Each is called after each iteration with an `Iteration`; to stop the training, it returns True or "stop".

    Raises
    ------
    TypeError
        An argument of the wrong kind.
    ValueError
        An argument out of range.

    Examples
    --------
    >>> TrainingOptions("sgdm", max_epochs=3, mini_batch_size=64).momentum
    0.9
    >>> TrainingOptions(momentum=1.5)
    Traceback (most recent call last):
    ValueError: TrainingOptions: momentum must lie in [0, 1], got 1.5
    """

    solver: str = "sgdm"
    _: KW_ONLY
    initial_learn_rate: float = 0.01
    momentum: float = 0.9
    l2_regularization: float = 1e-4
    max_epochs: int = 30
    mini_batch_size: int = 128
    shuffle: str = "once"
    learn_rate_schedule: object = "none"
    learn_rate_drop_factor: float = 0.1
    learn_rate_drop_period: int = 10
    gradient_threshold: float = math.inf
    gradient_threshold_method: str = "l2norm"
    validation_data: tuple = field(default=None, repr=False, compare=False)  # arrays: long to print, vague to compare
    validation_frequency: int = 50
    validation_patience: float = math.inf
    verbose: bool = True
    verbose_frequency: int = 50
    plots: str = "none"
    drop_last: bool = False
    output_network: str = "last"
    checkpoint_path: str = None
    checkpoint_frequency: int = 1
    seed: int = 0
    n_threads: int = None
    callbacks: tuple = ()

    def __post_init__(self):
        for name, check in _CHECKS.items():
            object.__setattr__(self, name, check(getattr(self, name), f"TrainingOptions: {name}"))

    def to_json(self):
        """Return the options as JSON text, without validation_data, checkpoint_path and callbacks.

        Raises
        ------
        ValueError
            The schedule is a function: no file can hold it.

        Examples
        --------
        >>> TrainingOptions.from_json(TrainingOptions(momentum=0.5).to_json()).momentum
        0.5
        """
        if callable(self.learn_rate_schedule):
            raise ValueError(
                "TrainingOptions: learn_rate_schedule is a function, which cannot be stored; "
                f"use one of {', '.join(SCHEDULES)}, or no checkpoints"
            )
        stored = {entry.name: getattr(self, entry.name) for entry in _stored()}
        # JSON has no infinity.
        return json.dumps({name: "inf" if value == math.inf else value for name, value in stored.items()})

    @classmethod
    def from_json(cls, text, **given):
        """Return the options that `to_json` wrote; `given` are those that it does not store, or replacements.

        Raises
        ------
        ValueError
            The text is no JSON, or holds other than the options of this version.
        """
        try:
            stored = json.loads(text)
        except ValueError as error:
            raise ValueError(f"TrainingOptions: the text is no JSON: {error}") from None
        names = {entry.name for entry in _stored()}
        if not isinstance(stored, dict) or set(stored) != names:
            odd = sorted(names ^ set(stored))[0] if isinstance(stored, dict) else type(stored).__name__
            raise ValueError(f"TrainingOptions: the stored options do not fit this version, see {odd!r}")
        stored = {name: math.inf if value == "inf" else value for name, value in stored.items()}
        try:
            return cls(**{**stored, **given})
        except TypeError as error:  # a damaged text, not a programmer's mistake
            raise ValueError(str(error)) from None


def _stored():
    return [entry for entry in dataclasses.fields(TrainingOptions) if entry.name not in NOT_STORED]


def _solver(value, what):
    if value != "sgdm":
        raise ValueError(f"{what} must be sgdm, the only one there is, got {value!r}")
    return value


def _plots(value, what):
    if value != "none":
        raise ValueError(f"{what} must be none, got {value!r}; history.plot(path) draws a picture after training")
    return value


def _schedule(value, what):
    if callable(value):
        return value
    if not isinstance(value, str):
        raise TypeError(f"{what} must be a str or a function, got {value!r}")
    if value not in SCHEDULES:
        raise ValueError(f"{what} must be one of {', '.join(SCHEDULES)} or a function, got {value!r}")
    return value


def _patience(value, what):
    return math.inf if isinstance(value, float) and value == math.inf else checks.integer(value, what, 1)


def _validation_data(value, what):
    if value is None or (isinstance(value, (tuple, list)) and len(value) == 2):
        return value
    raise TypeError(f"{what} must be a pair (x, y), got {type(value).__name__}")


def _path(value, what):
    if value is None:
        return None
    if not isinstance(value, (str, os.PathLike)):
        raise TypeError(f"{what} must be a path, got {value!r}")
    if not os.fspath(value):
        raise ValueError(f"{what} must not be empty")
    return os.fspath(value)


def _threads(value, what):
    if value is None:
        return None
    n = checks.integer(value, what, -math.inf)
    if not 1 <= n <= 1024:
        raise ValueError(f"{what} must lie in [1, 1024], got {n}")
    return n


def _callbacks(value, what):
    if not isinstance(value, (tuple, list)):
        raise TypeError(f"{what} must be a sequence of functions, got {type(value).__name__}")
    for callback in value:
        if not callable(callback):
            raise TypeError(f"{what} must be functions, got {callback!r}")
    return tuple(value)


_CHECKS = {
    "solver": _solver,
    "initial_learn_rate": checks.positive_number,
    "momentum": partial(checks.number_within, low=0, high=1),
    "l2_regularization": partial(checks.number_from, low=0),
    "max_epochs": partial(checks.integer, low=1),
    "mini_batch_size": partial(checks.integer, low=1),
    "shuffle": partial(checks.one_of, choices=SHUFFLES),
    "learn_rate_schedule": _schedule,
    "learn_rate_drop_factor": partial(checks.number_within, low=0, high=1),
    "learn_rate_drop_period": partial(checks.integer, low=1),
    "gradient_threshold": partial(checks.positive_number, or_inf=True),
    "gradient_threshold_method": partial(checks.one_of, choices=THRESHOLD_METHODS),
    "validation_data": _validation_data,
    "validation_frequency": partial(checks.integer, low=1),
    "validation_patience": _patience,
    "verbose": checks.flag,
    "verbose_frequency": partial(checks.integer, low=1),
    "plots": _plots,
    "drop_last": checks.flag,
    "output_network": partial(checks.one_of, choices=OUTPUT_NETWORKS),
    "checkpoint_path": _path,
    "checkpoint_frequency": partial(checks.integer, low=1),
    "seed": partial(checks.integer, low=0),
    "n_threads": _threads,
    "callbacks": _callbacks,
}
