"""Everything that a training run can be told, checked when it is told."""

import dataclasses
import json
import math
import os
from dataclasses import KW_ONLY, dataclass, field
from functools import partial

from convcore import checks
from convcore.data.augment import Augment
from convcore.data.batches import SHUFFLES
from convcore.optim.optimizer import THRESHOLD_METHODS
from convcore.optim.schedules import SCHEDULES
from convcore.train.metrics import check_metric

OUTPUT_NETWORKS = ("last", "best-validation")
STATISTICS = ("moving", "population")
PLOTS = ("none", "training-progress")
WARMUP_UNITS = ("epochs", "iterations")
# The options that depend on the solver, with their defaults; those of the other solvers are no options of it.
SOLVERS = {
    "sgdm": {"initial_learn_rate": 0.01, "momentum": 0.9},
    "adam": {
        "initial_learn_rate": 0.001, "gradient_decay_factor": 0.9, "squared_gradient_decay_factor": 0.999,
        "epsilon": 1e-8,
    },
    "rmsprop": {"initial_learn_rate": 0.001, "squared_gradient_decay_factor": 0.9, "epsilon": 1e-8},
}  # fmt: skip
# What decides over the bits of the weights, and therefore must not change between a checkpoint and its resumption.
# The number of epochs is missing on purpose: more of them is how a finished run is carried on.
FIXED = (
    "solver", "initial_learn_rate", "momentum", "gradient_decay_factor", "squared_gradient_decay_factor", "epsilon",
    "l2_regularization", "mini_batch_size", "shuffle", "learn_rate_schedule", "learn_rate_drop_factor",
    "learn_rate_drop_period", "final_learn_rate", "polynomial_power", "warmup_factor", "warmup_period", "warmup_unit",
    "gradient_threshold", "gradient_threshold_method", "augment", "batch_normalization_statistics", "drop_last",
    "output_network", "seed",
)  # fmt: skip
# What belongs to the program or to the machine, and is given anew.
NOT_STORED = ("validation_data", "metrics", "checkpoint_path", "callbacks")
# What files of format 1 do not have: there the defaults held.
SINCE_FORMAT_2 = (
    "gradient_decay_factor", "squared_gradient_decay_factor", "epsilon", "final_learn_rate", "polynomial_power",
    "warmup_factor", "warmup_period", "warmup_unit", "augment", "batch_normalization_statistics",
)  # fmt: skip


class Default(float):
    """A default value that can be told from the same number given by the user."""


@dataclass(frozen=True)
class TrainingOptions:
    """The options of `train`.

    Parameters
    ----------
    solver : {"sgdm", "adam", "rmsprop"}
        `SGD`, `Adam` or `RMSProp`, where the formulas stand.
    initial_learn_rate : float, greater than 0
        0.01 for "sgdm", 0.001 for the others.
    momentum : float, 0 to 1
        Of "sgdm"; None with the others.
    gradient_decay_factor : float, 0 to less than 1
        Of "adam", 0.9; None with the others.
    squared_gradient_decay_factor : float, 0 to less than 1
        Of "adam", 0.999, and of "rmsprop", 0.9; None with "sgdm".
    epsilon : float, greater than 0
        Of "adam" and "rmsprop", 1e-8; None with "sgdm".
    l2_regularization : float, at least 0
        λ: λ · l2_factor · w is added to each gradient.
    max_epochs : int, at least 1
        Passes over the training data.
    mini_batch_size : int, images, at least 1
    shuffle : {"once", "every-epoch", "never"}
        "once" is before the first epoch.
    learn_rate_schedule : {"none", "piecewise", "warmup", "polynomial", "cosine"}, function, or ("warmup", another)
        "piecewise" multiplies the rate by `learn_rate_drop_factor` every `learn_rate_drop_period` epochs; "cosine"
        lets it fall to almost 0 over all epochs, "polynomial" to `final_learn_rate`, along a power of what is left;
        "warmup" lets it rise to `initial_learn_rate` at first, and then keeps it. A function of (iteration, epoch),
        both from 1, returns the rate itself. A pair such as ("warmup", "cosine") multiplies: the second gives the
        rate that it would give by itself, and while the warm-up lasts, its factor is put to it.
    learn_rate_drop_factor : float, 0 to 1
    learn_rate_drop_period : int, epochs, at least 1
    final_learn_rate : float, at least 0
    polynomial_power : float, greater than 0
        1 is a straight line.
    warmup_factor : float, 0 to 1
        Where the warm-up begins, as a part of the rate.
    warmup_period : int, at least 1
    warmup_unit : {"epochs", "iterations"}
    gradient_threshold : float, greater than 0, or inf
    gradient_threshold_method : {"l2norm", "global-l2norm", "absolute-value"}
        Limits each parameter's gradient by its own norm, all by their common norm, or each element.
    validation_data : (x, y), optional
        In the form of the training data.
    validation_frequency : int, iterations, at least 1
        The data is also validated after the last iteration.
    validation_patience : int, validations, at least 1, or inf
        Training stops after so many validations in a row without a smaller loss.
    metrics : sequence of str or functions
        What is measured at each validation, besides loss and accuracy: "accuracy", "top-2", "top-3", ..., "rmse", or
        a function of outputs and targets, both arrays, that returns a number. "top-3" becomes the history's column
        validation_top3, a function validation_NAME.
    verbose : bool
        Progress on stderr: a bar on a terminal, lines elsewhere.
    verbose_frequency : int, iterations, at least 1
        Between two lines, and between two measurements of the regularization term.
    plots : {"none", "training-progress"}
        "training-progress" keeps a page with a picture up to date, in the folder of the checkpoints or in one for
        temporary files, and opens it where there is a browser; needs matplotlib. ``history.plot(path)`` draws a
        picture after training.
    augment : Augment or function, optional
        Changes the images of each mini-batch at random. A function of (x, rng), the mini-batch and a
        numpy.random.Generator made from seed and iteration, returns an array of the same shape.
    batch_normalization_statistics : {"moving", "population"}
        The statistics that batch normalization predicts with, in the network that is returned: the moving ones that
        training has gathered, or those of one more pass over the training data (without `augment`) with the final
        weights. Validations during training use the moving ones; at the end the returned network is validated.
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
        Decides over the order of the images, over Dropout and over `augment`.
    n_threads : int, 1 to 1024, optional
        For this run; otherwise as elsewhere. The results do not depend on it.
    callbacks : sequence of functions
        Each is called after each iteration with an `Iteration`; to stop the training, it returns True or "stop". It
        can change the learning rate and add columns to the history, see there.

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
    initial_learn_rate: float = Default(0.01)
    momentum: float = Default(0.9)
    gradient_decay_factor: float = None
    squared_gradient_decay_factor: float = None
    epsilon: float = None
    l2_regularization: float = 1e-4
    max_epochs: int = 30
    mini_batch_size: int = 128
    shuffle: str = "once"
    learn_rate_schedule: object = "none"
    learn_rate_drop_factor: float = 0.1
    learn_rate_drop_period: int = 10
    final_learn_rate: float = 0.0
    polynomial_power: float = 1.0
    warmup_factor: float = 0.0
    warmup_period: int = 1
    warmup_unit: str = "epochs"
    gradient_threshold: float = math.inf
    gradient_threshold_method: str = "l2norm"
    validation_data: tuple = field(default=None, repr=False, compare=False)  # arrays: long to print, vague to compare
    validation_frequency: int = 50
    validation_patience: float = math.inf
    metrics: tuple = ()
    verbose: bool = True
    verbose_frequency: int = 50
    plots: str = "none"
    augment: object = None
    batch_normalization_statistics: str = "moving"
    drop_last: bool = False
    output_network: str = "last"
    checkpoint_path: str = None
    checkpoint_frequency: int = 1
    seed: int = 0
    n_threads: int = None
    callbacks: tuple = ()

    def __post_init__(self):
        self._settle_solver()
        for name, check in _CHECKS.items():
            object.__setattr__(self, name, check(getattr(self, name), f"TrainingOptions: {name}"))

    def _settle_solver(self):
        """Give the solver's options their defaults, and refuse those of other solvers."""
        own = SOLVERS[checks.one_of(self.solver, "TrainingOptions: solver", tuple(SOLVERS))]
        for name in {name: None for options in SOLVERS.values() for name in options}:
            value = getattr(self, name)
            if value is None or isinstance(value, Default):
                object.__setattr__(self, name, own.get(name))
            elif name not in own:
                owners = " and ".join(solver for solver, options in SOLVERS.items() if name in options)
                raise ValueError(f"TrainingOptions: {name} belongs to {owners}, the solver is {self.solver}")

    @property
    def solver_options(self):
        """The options that the solver has for itself, dict of str to float: `momentum` of "sgdm", for example."""
        return {name: getattr(self, name) for name in SOLVERS[self.solver] if name != "initial_learn_rate"}

    def to_json(self):
        """Return the options as JSON text, without those of the program: data, metrics, path, callbacks.

        Raises
        ------
        ValueError
            The schedule or the augmentation is a function: no file can hold it.

        Examples
        --------
        >>> TrainingOptions.from_json(TrainingOptions(momentum=0.5).to_json()).momentum
        0.5
        """
        schedule = self.learn_rate_schedule
        if any(callable(part) for part in (schedule if isinstance(schedule, tuple) else (schedule,))):
            raise ValueError(
                "TrainingOptions: learn_rate_schedule is a function, which cannot be stored; "
                f"use one of {', '.join(SCHEDULES)}, or no checkpoints"
            )
        if self.augment is not None and not isinstance(self.augment, Augment):
            raise ValueError(
                "TrainingOptions: augment is a function, which cannot be stored; use an Augment, or no checkpoints"
            )
        stored = {entry.name: getattr(self, entry.name) for entry in _stored()}
        stored["augment"] = None if self.augment is None else dataclasses.asdict(self.augment)
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
        odd = (names ^ set(stored)) - set(SINCE_FORMAT_2) if isinstance(stored, dict) else {type(stored).__name__}
        if odd:
            raise ValueError(f"TrainingOptions: the stored options do not fit this version, see {min(odd)!r}")
        stored = {name: math.inf if value == "inf" else value for name, value in stored.items()}
        try:
            if stored.get("augment") is not None:
                stored["augment"] = Augment(**stored["augment"])
            return cls(**{**stored, **given})
        except TypeError as error:  # a damaged text, not a programmer's mistake
            raise ValueError(str(error)) from None


def _stored():
    return [entry for entry in dataclasses.fields(TrainingOptions) if entry.name not in NOT_STORED]


def _if_given(check):
    """Return the check of an option that only some solvers have: with the others it is None."""
    return lambda value, what: None if value is None else check(value, what)


def _schedule(value, what):
    if callable(value):
        return value
    if isinstance(value, (tuple, list)):
        if len(value) != 2 or value[0] != "warmup" or value[1] == "warmup":
            raise ValueError(f'{what} must be one schedule, or "warmup" and another, got {value!r}')
        return "warmup", _schedule(value[1], what)
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


def _metrics(value, what):
    if not isinstance(value, (tuple, list)):
        raise TypeError(f"{what} must be a sequence of names and functions, got {type(value).__name__}")
    names = [check_metric(metric, what) for metric in value]
    twice = [name for name in names if names.count(name) > 1]
    if twice:
        raise ValueError(f"{what} must have names of their own, two are {twice[0]!r}")
    return tuple(value)


def _augment(value, what):
    if value is None or callable(value):
        return value
    raise TypeError(f"{what} must be an Augment or a function, got {value!r}")


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
    "initial_learn_rate": checks.positive_number,
    "momentum": _if_given(partial(checks.number_within, low=0, high=1)),
    "gradient_decay_factor": _if_given(partial(checks.number_below, low=0, high=1)),
    "squared_gradient_decay_factor": _if_given(partial(checks.number_below, low=0, high=1)),
    "epsilon": _if_given(checks.positive_number),
    "l2_regularization": partial(checks.number_from, low=0),
    "max_epochs": partial(checks.integer, low=1),
    "mini_batch_size": partial(checks.integer, low=1),
    "shuffle": partial(checks.one_of, choices=SHUFFLES),
    "learn_rate_schedule": _schedule,
    "learn_rate_drop_factor": partial(checks.number_within, low=0, high=1),
    "learn_rate_drop_period": partial(checks.integer, low=1),
    "final_learn_rate": partial(checks.number_from, low=0),
    "polynomial_power": checks.positive_number,
    "warmup_factor": partial(checks.number_within, low=0, high=1),
    "warmup_period": partial(checks.integer, low=1),
    "warmup_unit": partial(checks.one_of, choices=WARMUP_UNITS),
    "gradient_threshold": partial(checks.positive_number, or_inf=True),
    "gradient_threshold_method": partial(checks.one_of, choices=THRESHOLD_METHODS),
    "validation_data": _validation_data,
    "validation_frequency": partial(checks.integer, low=1),
    "validation_patience": _patience,
    "metrics": _metrics,
    "verbose": checks.flag,
    "verbose_frequency": partial(checks.integer, low=1),
    "plots": partial(checks.one_of, choices=PLOTS),
    "augment": _augment,
    "batch_normalization_statistics": partial(checks.one_of, choices=STATISTICS),
    "drop_last": checks.flag,
    "output_network": partial(checks.one_of, choices=OUTPUT_NETWORKS),
    "checkpoint_path": _path,
    "checkpoint_frequency": partial(checks.integer, low=1),
    "seed": partial(checks.integer, low=0),
    "n_threads": _threads,
    "callbacks": _callbacks,
}
