import dataclasses
import json
import math
import pathlib

import numpy as np
import pytest

from convcore.train import TrainingOptions


def test_the_defaults():
    assert dataclasses.asdict(TrainingOptions()) == {
        "solver": "sgdm",
        "initial_learn_rate": 0.01,
        "momentum": 0.9,
        "l2_regularization": 1e-4,
        "max_epochs": 30,
        "mini_batch_size": 128,
        "shuffle": "once",
        "learn_rate_schedule": "none",
        "learn_rate_drop_factor": 0.1,
        "learn_rate_drop_period": 10,
        "gradient_threshold": math.inf,
        "gradient_threshold_method": "l2norm",
        "validation_data": None,
        "validation_frequency": 50,
        "validation_patience": math.inf,
        "verbose": True,
        "verbose_frequency": 50,
        "plots": "none",
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
    ("solver", "adam", ValueError, "must be sgdm, the only one there is, got 'adam'"),
    ("solver", None, ValueError, "must be sgdm, the only one there is, got None"),
    ("initial_learn_rate", 0, ValueError, "must be finite and greater than 0, got 0"),
    ("initial_learn_rate", -0.1, ValueError, "must be finite and greater than 0, got -0.1"),
    ("initial_learn_rate", math.inf, ValueError, "must be finite and greater than 0, got inf"),
    ("initial_learn_rate", math.nan, ValueError, "must be finite and greater than 0, got nan"),
    ("initial_learn_rate", "0.1", TypeError, "must be a number, got '0.1'"),
    ("initial_learn_rate", 1j, TypeError, "must be a number, got 1j"),
    ("momentum", 1.5, ValueError, "must lie in [0, 1], got 1.5"),
    ("momentum", -0.1, ValueError, "must lie in [0, 1], got -0.1"),
    ("momentum", math.nan, ValueError, "must lie in [0, 1], got nan"),
    ("momentum", None, TypeError, "must be a number, got None"),
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
        "must be one of none, piecewise, cosine or a function, got 'linear'",
    ),
    ("learn_rate_schedule", None, TypeError, "must be a str or a function, got None"),
    ("learn_rate_drop_factor", 1.1, ValueError, "must lie in [0, 1], got 1.1"),
    ("learn_rate_drop_factor", [0.1], TypeError, "must be a number, got [0.1]"),
    ("learn_rate_drop_period", 0, ValueError, "must be at least 1, got 0"),
    ("learn_rate_drop_period", 1.5, TypeError, "must be an integer, got 1.5"),
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
    ("verbose", 1, TypeError, "must be True or False, got 1"),
    ("verbose_frequency", -1, ValueError, "must be at least 1, got -1"),
    ("verbose_frequency", None, TypeError, "must be an integer, got None"),
    (
        "plots",
        "training-progress",
        ValueError,
        "must be none, got 'training-progress'; history.plot(path) draws a picture after training",
    ),
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
    with pytest.raises(error) as caught:
        TrainingOptions(**{name: value})
    assert str(caught.value) == f"TrainingOptions: {name} {text}"


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


def test_json_leaves_out_what_belongs_to_the_program(tmp_path):
    options = TrainingOptions(callbacks=[print], checkpoint_path=tmp_path, validation_data=([1], [1]))
    read = TrainingOptions.from_json(options.to_json())
    assert (read.callbacks, read.checkpoint_path, read.validation_data) == ((), None, None)
    assert TrainingOptions.from_json(options.to_json(), callbacks=[print], seed=5).seed == 5


def test_a_schedule_that_is_a_function_cannot_be_stored():
    with pytest.raises(ValueError) as caught:
        TrainingOptions(learn_rate_schedule=lambda iteration, epoch: 0.1).to_json()
    assert str(caught.value) == (
        "TrainingOptions: learn_rate_schedule is a function, which cannot be stored; "
        "use one of none, piecewise, cosine, or no checkpoints"
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
