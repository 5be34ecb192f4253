import dataclasses
import json
import math
import pathlib

import numpy as np
import pytest

from convcore.data import Augment
from convcore.train import TrainingOptions


def test_the_defaults():
    assert dataclasses.asdict(TrainingOptions()) == {
        "solver": "sgdm",
        "initial_learn_rate": 0.01,
        "momentum": 0.9,
        "gradient_decay_factor": None,
        "squared_gradient_decay_factor": None,
        "epsilon": None,
        "l2_regularization": 1e-4,
        "max_epochs": 30,
        "mini_batch_size": 128,
        "shuffle": "once",
        "learn_rate_schedule": "none",
        "learn_rate_drop_factor": 0.1,
        "learn_rate_drop_period": 10,
        "final_learn_rate": 0.0,
        "polynomial_power": 1.0,
        "warmup_factor": 0.0,
        "warmup_period": 1,
        "warmup_unit": "epochs",
        "gradient_threshold": math.inf,
        "gradient_threshold_method": "l2norm",
        "validation_data": None,
        "validation_frequency": 50,
        "validation_patience": math.inf,
        "metrics": (),
        "verbose": True,
        "verbose_frequency": 50,
        "plots": "none",
        "augment": None,
        "batch_normalization_statistics": "moving",
        "drop_last": False,
        "output_network": "last",
        "checkpoint_path": None,
        "checkpoint_frequency": 1,
        "seed": 0,
        "n_threads": None,
        "callbacks": (),
    }


def test_options_are_frozen_and_only_the_solver_is_positional():
    with pytest.raises(dataclasses.FrozenInstanceError):
        TrainingOptions().momentum = 0.5
    with pytest.raises(TypeError):
        TrainingOptions("sgdm", 0.1)


def test_numbers_of_numpy_become_plain_ones():
    options = TrainingOptions(
        momentum=np.float32(0.5), max_epochs=np.int64(3), verbose=np.True_, initial_learn_rate=1, n_threads=np.int8(2)
    )
    values = (options.momentum, options.max_epochs, options.verbose, options.initial_learn_rate, options.n_threads)
    assert [(type(v), v) for v in values] == [(float, 0.5), (int, 3), (bool, True), (float, 1.0), (int, 2)]
    assert TrainingOptions(checkpoint_path=pathlib.Path("a") / "b").checkpoint_path == str(pathlib.Path("a") / "b")


def test_arrays_are_neither_printed_nor_compared():
    pair = (np.zeros((1000, 1, 8, 8)), np.zeros(1000, int))
    assert "array" not in repr(TrainingOptions(validation_data=pair))
    assert TrainingOptions(validation_data=pair) == TrainingOptions()


BAD = [
    ("solver", "adamw", ValueError, "must be one of sgdm, adam, rmsprop, got 'adamw'"),
    ("solver", None, TypeError, "must be a str, got None"),
    ("initial_learn_rate", 0, ValueError, "must be finite and greater than 0, got 0"),
    ("initial_learn_rate", -0.1, ValueError, "must be finite and greater than 0, got -0.1"),
    ("initial_learn_rate", math.inf, ValueError, "must be finite and greater than 0, got inf"),
    ("initial_learn_rate", math.nan, ValueError, "must be finite and greater than 0, got nan"),
    ("initial_learn_rate", "0.1", TypeError, "must be a number, got '0.1'"),
    ("initial_learn_rate", 1j, TypeError, "must be a number, got 1j"),
    ("momentum", 1.5, ValueError, "must lie in [0, 1], got 1.5"),
    ("momentum", -0.1, ValueError, "must lie in [0, 1], got -0.1"),
    ("momentum", math.nan, ValueError, "must lie in [0, 1], got nan"),
    ("gradient_decay_factor", 1, ValueError, "must lie in [0, 1), got 1"),
    ("gradient_decay_factor", "0.9", TypeError, "must be a number, got '0.9'"),
    ("squared_gradient_decay_factor", -0.1, ValueError, "must lie in [0, 1), got -0.1"),
    ("squared_gradient_decay_factor", [1], TypeError, "must be a number, got [1]"),
    ("epsilon", 0, ValueError, "must be finite and greater than 0, got 0"),
    ("epsilon", True, TypeError, "must be a number, got True"),
    ("l2_regularization", -1e-4, ValueError, "must be finite and at least 0, got -0.0001"),
    ("l2_regularization", math.inf, ValueError, "must be finite and at least 0, got inf"),
    ("l2_regularization", True, TypeError, "must be a number, got True"),
    ("max_epochs", 0, ValueError, "must be at least 1, got 0"),
    ("max_epochs", 2.0, TypeError, "must be an integer, got 2.0"),
    ("max_epochs", True, TypeError, "must be an integer, got True"),
    ("mini_batch_size", 0, ValueError, "must be at least 1, got 0"),
    ("mini_batch_size", "64", TypeError, "must be an integer, got '64'"),
    ("shuffle", "always", ValueError, "must be one of once, every-epoch, never, got 'always'"),
    ("shuffle", True, TypeError, "must be a str, got True"),
    (
        "learn_rate_schedule",
        "linear",
        ValueError,
        "must be one of none, piecewise, warmup, polynomial, cosine or a function, got 'linear'",
    ),
    ("learn_rate_schedule", None, TypeError, "must be a str or a function, got None"),
    ("learn_rate_drop_factor", 1.1, ValueError, "must lie in [0, 1], got 1.1"),
    ("learn_rate_drop_factor", [0.1], TypeError, "must be a number, got [0.1]"),
    ("learn_rate_drop_period", 0, ValueError, "must be at least 1, got 0"),
    ("learn_rate_drop_period", 1.5, TypeError, "must be an integer, got 1.5"),
    (
        "learn_rate_schedule",
        ("cosine", "warmup"),
        ValueError,
        "must be one schedule, or \"warmup\" and another, got ('cosine', 'warmup')",
    ),
    (
        "learn_rate_schedule",
        ("warmup", "warmup"),
        ValueError,
        "must be one schedule, or \"warmup\" and another, got ('warmup', 'warmup')",
    ),
    (
        "learn_rate_schedule",
        ("warmup",),
        ValueError,
        "must be one schedule, or \"warmup\" and another, got ('warmup',)",
    ),
    (
        "learn_rate_schedule",
        ("warmup", "linear"),
        ValueError,
        "must be one of none, piecewise, warmup, polynomial, cosine or a function, got 'linear'",
    ),
    ("final_learn_rate", -1, ValueError, "must be finite and at least 0, got -1"),
    ("final_learn_rate", None, TypeError, "must be a number, got None"),
    ("polynomial_power", 0, ValueError, "must be finite and greater than 0, got 0"),
    ("polynomial_power", "1", TypeError, "must be a number, got '1'"),
    ("warmup_factor", 1.5, ValueError, "must lie in [0, 1], got 1.5"),
    ("warmup_factor", None, TypeError, "must be a number, got None"),
    ("warmup_period", 0, ValueError, "must be at least 1, got 0"),
    ("warmup_period", 1.5, TypeError, "must be an integer, got 1.5"),
    ("warmup_unit", "steps", ValueError, "must be one of epochs, iterations, got 'steps'"),
    ("warmup_unit", 1, TypeError, "must be a str, got 1"),
    ("gradient_threshold", 0, ValueError, "must be greater than 0, got 0"),
    ("gradient_threshold", math.nan, ValueError, "must be greater than 0, got nan"),
    ("gradient_threshold", "none", TypeError, "must be a number, got 'none'"),
    (
        "gradient_threshold_method",
        "l1norm",
        ValueError,
        "must be one of l2norm, global-l2norm, absolute-value, got 'l1norm'",
    ),
    ("gradient_threshold_method", 2, TypeError, "must be a str, got 2"),
    ("validation_data", np.zeros(3), TypeError, "must be a pair (x, y), got ndarray"),
    ("validation_data", (1, 2, 3), TypeError, "must be a pair (x, y), got tuple"),
    ("validation_frequency", 0, ValueError, "must be at least 1, got 0"),
    ("validation_frequency", math.inf, TypeError, "must be an integer, got inf"),
    ("validation_patience", 0, ValueError, "must be at least 1, got 0"),
    ("validation_patience", 2.5, TypeError, "must be an integer, got 2.5"),
    ("metrics", "accuracy", TypeError, "must be a sequence of names and functions, got str"),
    ("metrics", ["f1"], ValueError, "must be accuracy, top-2, top-3, ..., rmse or functions, got 'f1'"),
    ("metrics", ["top-0"], ValueError, "must be accuracy, top-2, top-3, ..., rmse or functions, got 'top-0'"),
    ("metrics", [3], TypeError, "must be names and functions, got 3"),
    ("metrics", ["rmse", "rmse"], ValueError, "must have names of their own, two are 'rmse'"),
    (
        "metrics",
        [lambda y, t: 0],
        ValueError,
        "a function needs a name that can be a column's and is not taken, got '<lambda>'",
    ),
    ("verbose", 1, TypeError, "must be True or False, got 1"),
    ("verbose_frequency", -1, ValueError, "must be at least 1, got -1"),
    ("verbose_frequency", None, TypeError, "must be an integer, got None"),
    ("plots", "all", ValueError, "must be one of none, training-progress, got 'all'"),
    ("plots", True, TypeError, "must be a str, got True"),
    ("augment", 3, TypeError, "must be an Augment or a function, got 3"),
    ("batch_normalization_statistics", "batch", ValueError, "must be one of moving, population, got 'batch'"),
    ("batch_normalization_statistics", None, TypeError, "must be a str, got None"),
    ("drop_last", "yes", TypeError, "must be True or False, got 'yes'"),
    ("output_network", "best", ValueError, "must be one of last, best-validation, got 'best'"),
    ("output_network", None, TypeError, "must be a str, got None"),
    ("checkpoint_path", 3, TypeError, "must be a path, got 3"),
    ("checkpoint_path", "", ValueError, "must not be empty"),
    ("checkpoint_frequency", 0, ValueError, "must be at least 1, got 0"),
    ("checkpoint_frequency", 1.0, TypeError, "must be an integer, got 1.0"),
    ("seed", -1, ValueError, "must be at least 0, got -1"),
    ("seed", None, TypeError, "must be an integer, got None"),
    ("n_threads", 0, ValueError, "must lie in [1, 1024], got 0"),
    ("n_threads", 1025, ValueError, "must lie in [1, 1024], got 1025"),
    ("n_threads", 2.0, TypeError, "must be an integer, got 2.0"),
    ("callbacks", print, TypeError, "must be a sequence of functions, got builtin_function_or_method"),
    ("callbacks", [print, 3], TypeError, "must be functions, got 3"),
]


@pytest.mark.parametrize(
    ("name", "value", "error", "text"), BAD, ids=[f"{name}-{value!r:.20}" for name, value, *_ in BAD]
)
def test_bad_values(name, value, error, text):
    adams = ("gradient_decay_factor", "squared_gradient_decay_factor", "epsilon")
    with pytest.raises(error) as caught:
        TrainingOptions(**{"solver": "adam" if name in adams else "sgdm", name: value})
    assert str(caught.value) == f"TrainingOptions: {name}{':' if text.startswith('a function') else ''} {text}"


def test_each_solver_has_its_options_and_defaults():
    def of(*solver):
        options = TrainingOptions(*solver)
        return {"initial_learn_rate": options.initial_learn_rate, **options.solver_options}

    assert of() == of("sgdm") == {"initial_learn_rate": 0.01, "momentum": 0.9}
    assert of("adam") == {
        "initial_learn_rate": 0.001, "gradient_decay_factor": 0.9, "squared_gradient_decay_factor": 0.999,
        "epsilon": 1e-8,
    }  # fmt: skip
    assert of("rmsprop") == {
        "initial_learn_rate": 0.001, "squared_gradient_decay_factor": 0.9, "epsilon": 1e-8,
    }  # fmt: skip
    assert TrainingOptions("adam").momentum is None
    assert TrainingOptions("adam", initial_learn_rate=0.01).initial_learn_rate == 0.01  # given, not left out
    assert type(TrainingOptions().initial_learn_rate) is float


@pytest.mark.parametrize("solver", ["sgdm", "adam", "rmsprop"])
def test_options_of_a_solver_survive_replacing_and_storing(solver):
    options = TrainingOptions(solver, initial_learn_rate=0.25)
    assert dataclasses.replace(options, max_epochs=3).solver_options == options.solver_options
    assert TrainingOptions.from_json(options.to_json()) == options


@pytest.mark.parametrize(
    ("solver", "given", "owners"),
    [
        ("sgdm", {"gradient_decay_factor": 0.9}, "adam"),
        ("sgdm", {"squared_gradient_decay_factor": 0.9}, "adam and rmsprop"),
        ("sgdm", {"epsilon": 1e-8}, "adam and rmsprop"),
        ("adam", {"momentum": 0.9}, "sgdm"),
        ("rmsprop", {"momentum": 0.9}, "sgdm"),
        ("rmsprop", {"gradient_decay_factor": 0.9}, "adam"),
    ],
)
def test_options_of_another_solver(solver, given, owners):
    with pytest.raises(ValueError) as caught:
        TrainingOptions(solver, **given)
    assert str(caught.value) == f"TrainingOptions: {next(iter(given))} belongs to {owners}, the solver is {solver}"


def test_every_option_has_bad_values_in_the_table():
    assert {name for name, *_ in BAD} == {field.name for field in dataclasses.fields(TrainingOptions)}


def test_edges_are_allowed():
    options = TrainingOptions(momentum=1, l2_regularization=0, learn_rate_drop_factor=0, n_threads=1024, seed=2**70)
    assert (options.momentum, options.l2_regularization, options.seed) == (1.0, 0.0, 2**70)
    assert TrainingOptions(validation_patience=math.inf, gradient_threshold=math.inf).validation_patience == math.inf


def test_json_round_trip():
    options = TrainingOptions(momentum=0.1 + 0.2, gradient_threshold=2.5, validation_patience=3, seed=2**70)
    text = options.to_json()
    json.loads(text, parse_constant=pytest.fail)  # no Infinity, no NaN: not JSON
    assert TrainingOptions.from_json(text) == options
    assert TrainingOptions.from_json(TrainingOptions().to_json()) == TrainingOptions()


def test_schedules_in_pairs_and_augmentations_are_stored():
    options = TrainingOptions(learn_rate_schedule=("warmup", "cosine"), augment=Augment(shift=1.5, reflection=True))
    read = TrainingOptions.from_json(options.to_json())
    assert read == options
    assert (read.learn_rate_schedule, read.augment.shift) == (("warmup", "cosine"), 1.5)


def test_an_augmentation_that_is_a_function_cannot_be_stored():
    with pytest.raises(ValueError) as caught:
        TrainingOptions(augment=lambda x, rng: x).to_json()
    assert str(caught.value) == (
        "TrainingOptions: augment is a function, which cannot be stored; use an Augment, or no checkpoints"
    )


def test_json_leaves_out_what_belongs_to_the_program(tmp_path):
    options = TrainingOptions(callbacks=[print], checkpoint_path=tmp_path, validation_data=([1], [1]))
    read = TrainingOptions.from_json(options.to_json())
    assert (read.callbacks, read.checkpoint_path, read.validation_data) == ((), None, None)
    assert TrainingOptions.from_json(options.to_json(), callbacks=[print], seed=5).seed == 5


@pytest.mark.parametrize("pair", [False, True])
def test_a_schedule_that_is_a_function_cannot_be_stored(pair):
    def rate(iteration, epoch):
        return 0.1

    with pytest.raises(ValueError) as caught:
        TrainingOptions(learn_rate_schedule=("warmup", rate) if pair else rate).to_json()
    assert str(caught.value) == (
        "TrainingOptions: learn_rate_schedule is a function, which cannot be stored; "
        "use one of none, piecewise, warmup, polynomial, cosine, or no checkpoints"
    )


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (lambda stored: stored.pop("momentum"), "the stored options do not fit this version, see 'momentum'"),
        (lambda stored: stored.update(nesterov=1), "the stored options do not fit this version, see 'nesterov'"),
        (lambda stored: stored.update(momentum=7), "momentum must lie in [0, 1], got 7"),
        (lambda stored: stored.update(momentum="x"), "momentum must be a number, got 'x'"),
        (lambda stored: stored.update(max_epochs=None), "max_epochs must be an integer, got None"),
    ],
)
def test_json_that_does_not_fit(change, text):
    stored = json.loads(TrainingOptions().to_json())
    change(stored)
    with pytest.raises(ValueError) as caught:
        TrainingOptions.from_json(json.dumps(stored))
    assert str(caught.value) == f"TrainingOptions: {text}"


def test_json_that_is_none():
    with pytest.raises(ValueError, match="TrainingOptions: the text is no JSON: "):
        TrainingOptions.from_json("{")
    with pytest.raises(ValueError, match="TrainingOptions: the stored options do not fit this version, see 'list'"):
        TrainingOptions.from_json("[]")
