import dataclasses
import shutil

import numpy as np
import pytest

from convcore.data import Augment
from convcore.layers import FullyConnected, ImageInput, Softmax
from convcore.network import Network
from convcore.train import load_checkpoint, train
from convcore.train.checkpoint import save_checkpoint


def stop_at(iteration):
    return lambda info: info.iteration == iteration


@pytest.fixture
def half(make_net, data, quiet, tmp_path):
    """The folder of a run that was stopped in the middle of its second epoch."""
    train(make_net(), data, options=quiet(checkpoint_path=tmp_path, callbacks=[stop_at(6)]))
    return tmp_path


GIVEN = {
    "plain": {},
    "every-epoch": {"shuffle": "every-epoch", "seed": 3},
    "threshold": {"gradient_threshold": 0.3, "gradient_threshold_method": "global-l2norm"},
    "cosine": {"learn_rate_schedule": "cosine", "drop_last": True},
    "piecewise": {"learn_rate_schedule": "piecewise", "learn_rate_drop_period": 1},
    "polynomial": {"learn_rate_schedule": "polynomial", "final_learn_rate": 0.001, "polynomial_power": 2},
    "warmup": {"learn_rate_schedule": ("warmup", "cosine"), "warmup_period": 5, "warmup_unit": "iterations"},
    "adam": {"solver": "adam", "squared_gradient_decay_factor": 0.9},
    "rmsprop": {"solver": "rmsprop", "learn_rate_schedule": "warmup", "gradient_threshold": 0.1},
    "augment": {"solver": "adam", "augment": Augment(shift=1, rotation=10, scale=0.1, reflection=True)},
}


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("stop", [3, 4, 7], ids=["in an epoch", "at an epoch's end", "in the second epoch"])
@pytest.mark.parametrize("given", GIVEN.values(), ids=GIVEN)
def test_a_resumed_run_equals_one_without_interruption(given, stop, dtype, make_net, data, quiet, bits, tmp_path):
    expected = bits(train(make_net(dtype=dtype), data, options=quiet(**given)))
    first = quiet(**given, checkpoint_path=tmp_path, callbacks=[stop_at(stop)])
    assert train(make_net(dtype=dtype), data, options=first).stopped == "callback"
    assert bits(train(None, data, options=quiet(**given), resume=tmp_path)) == expected
    # Into a network of other weights, too: all of it comes from the checkpoint.
    assert bits(train(make_net(dtype=dtype, seed=99), data, options=quiet(**given), resume=tmp_path)) == expected


def test_validation_goes_on_with_its_best_and_its_patience(make_net, data, validation_data, quiet, bits, tmp_path):
    wrong = (validation_data[0], (validation_data[1] + 1) % 3)  # the more is learned, the larger the loss
    given = {"validation_data": wrong, "validation_frequency": 1, "validation_patience": 6,
             "output_network": "best-validation"}  # fmt: skip
    whole = train(make_net(), data, options=quiet(**given))
    assert whole.stopped == "patience"
    last = len(whole)
    for stop in (1, last - 3):
        folder = tmp_path / str(stop)
        train(make_net(), data, options=quiet(**given, checkpoint_path=folder, callbacks=[stop_at(stop)]))
        resumed = train(None, data, options=quiet(**given), resume=folder)
        assert resumed.stopped == "patience"
        assert bits(resumed) == bits(whole)


def test_a_run_that_lost_its_patience_stays_stopped_unless_given_more(make_net, data, validation_data, quiet, tmp_path):
    wrong = (validation_data[0], (validation_data[1] + 1) % 3)
    given = {"validation_data": wrong, "validation_frequency": 1, "checkpoint_path": tmp_path}
    history = train(make_net(), data, options=quiet(**given, validation_patience=2))
    again = train(None, data, options=quiet(**given, validation_patience=2), resume=tmp_path)
    assert (again.stopped, len(again)) == ("patience", len(history))
    more = train(None, data, options=quiet(**given, validation_patience=100), resume=tmp_path)
    assert (more.stopped, len(more)) == ("finished", 12)


def test_twice_interrupted_is_the_same_too(make_net, data, quiet, bits, tmp_path):
    expected = bits(train(make_net(), data, options=quiet()))
    for stop in (2, 3, 9):
        resume = tmp_path if stop > 2 else None
        options = quiet(checkpoint_path=tmp_path, callbacks=[stop_at(stop)])
        train(make_net(), data, options=options, resume=resume)
    assert bits(train(None, data, resume=tmp_path)) == expected


def test_without_options_those_of_the_checkpoint_hold_and_it_is_written_where_it_came_from(half, data, bits, tmp_path):
    moved = tmp_path / "moved"
    moved.mkdir()
    shutil.copy(half / "checkpoint.safetensors", moved)
    history = train(None, data, resume=moved / "checkpoint.safetensors")
    assert (history.stopped, len(history)) == ("finished", 12)
    assert load_checkpoint(moved).iteration == 12
    assert load_checkpoint(half).iteration == 6


def test_a_finished_run_returns_at_once_and_more_epochs_carry_it_on(make_net, data, quiet, bits, tmp_path):
    long = bits(train(make_net(), data, options=quiet(max_epochs=5)))
    done = train(make_net(), data, options=quiet(checkpoint_path=tmp_path))
    calls = []
    again = train(None, data, options=quiet(callbacks=[calls.append]), resume=tmp_path)
    assert (again.stopped, calls) == ("finished", [])
    assert bits(again) == bits(done)
    assert bits(train(None, data, options=quiet(max_epochs=5), resume=tmp_path)) == long


def test_seconds_add_up(half, data, quiet):
    before = load_checkpoint(half).history.row(-1)["seconds"]
    history = train(None, data, resume=half)
    assert history.row(5)["seconds"] == before
    assert history.row(6)["seconds"] > before


def test_factors_and_statistics_come_back_with_the_network(make_net, data, quiet, tmp_path):
    net = make_net(conv={"weight_learn_rate_factor": 0, "bias_l2_factor": 4})
    train(net, data, options=quiet(checkpoint_path=tmp_path, callbacks=[stop_at(6)]))
    again = load_checkpoint(tmp_path).network()
    assert again.parameters()["conv.weights"].learn_rate_factor == 0
    assert again.parameters()["conv.bias"].l2_factor == 4
    for name, array in net.arrays().items():
        np.testing.assert_array_equal(again.arrays()[name], array, strict=True)


def test_options_that_do_not_decide_over_the_bits_may_change(half, data, validation_data, quiet, tmp_path):
    options = quiet(max_epochs=4, n_threads=2, validation_data=validation_data, validation_frequency=2,
                    verbose_frequency=7, checkpoint_path=tmp_path / "other", checkpoint_frequency=2)  # fmt: skip
    assert len(train(None, data, options=options, resume=half)) == 16
    assert load_checkpoint(tmp_path / "other").iteration == 16


@pytest.mark.parametrize(
    ("given", "text"),
    [
        ({"initial_learn_rate": 0.02}, "initial_learn_rate was 0.01 when {} was written, the options say 0.02"),
        ({"momentum": 0.8}, "momentum was 0.9 when {} was written, the options say 0.8"),
        ({"l2_regularization": 0}, "l2_regularization was 0.0001 when {} was written, the options say 0.0"),
        ({"mini_batch_size": 8}, "mini_batch_size was 16 when {} was written, the options say 8"),
        ({"shuffle": "never"}, "shuffle was 'once' when {} was written, the options say 'never'"),
        (
            {"learn_rate_schedule": "cosine"},
            "learn_rate_schedule was 'none' when {} was written, the options say 'cosine'",
        ),
        ({"gradient_threshold": 1}, "gradient_threshold was inf when {} was written, the options say 1.0"),
        ({"solver": "adam"}, "solver was 'sgdm' when {} was written, the options say 'adam'"),
        (
            {"augment": Augment(shift=1)},
            "augment was None when {} was written, the options say "
            "Augment(shift=1.0, rotation=0.0, scale=0.0, reflection=False, fill=0.0)",
        ),
        (
            {"learn_rate_schedule": ("warmup", "none")},
            "learn_rate_schedule was 'none' when {} was written, the options say ('warmup', 'none')",
        ),
        ({"warmup_period": 2}, "warmup_period was 1 when {} was written, the options say 2"),
        ({"drop_last": True}, "drop_last was False when {} was written, the options say True"),
        ({"seed": 1}, "seed was 0 when {} was written, the options say 1"),
    ],
)
def test_options_that_do_may_not(given, text, half, data, quiet):
    with pytest.raises(ValueError) as caught:
        train(None, data, options=quiet(**given), resume=half)
    assert str(caught.value) == "resume: " + text.format(half)


@pytest.mark.parametrize("solver", ["adam", "rmsprop"])
def test_numbers_of_a_solver_may_not_change(solver, make_net, data, quiet, tmp_path):
    train(make_net(), data, options=quiet(solver=solver, checkpoint_path=tmp_path, max_epochs=1))
    with pytest.raises(ValueError) as caught:
        train(None, data, options=quiet(solver=solver, epsilon=0.5), resume=tmp_path)
    assert str(caught.value) == f"resume: epsilon was 1e-08 when {tmp_path} was written, the options say 0.5"


def test_a_state_of_another_solver_is_damage(half, data):
    checkpoint = load_checkpoint(half)
    state = {name.replace("velocity", "squared_gradient_average"): a for name, a in checkpoint.optimizer_state.items()}
    save_checkpoint(half, dataclasses.replace(checkpoint, optimizer_state=state))
    with pytest.raises(ValueError, match=r"it is damaged, 'squared_gradient_average' is missing or unknown$"):
        train(None, data, resume=half)


def test_what_callbacks_do_to_the_rate_and_log_is_resumed(make_net, data, quiet, bits, tmp_path):
    def halve(info):
        if info.iteration % 3 == 0:
            info.scale_learn_rate(0.5)
        info.log("thrice", 3 * info.iteration)

    given = {"learn_rate_schedule": "cosine", "callbacks": [halve]}
    whole = train(make_net(), data, options=quiet(**given))
    for stop in (3, 5):
        folder = tmp_path / str(stop)
        halves = [halve, stop_at(stop)]
        train(make_net(), data, options=quiet(**{**given, "callbacks": halves}, checkpoint_path=folder))
        assert load_checkpoint(folder).learn_rate_scale == 0.5
        assert bits(train(None, data, options=quiet(**given), resume=folder)) == bits(whole)


def test_other_data_is_refused(half, data, quiet):
    x, y = data
    changed = x.copy()
    changed[49, 0, 7, 7] ^= 1
    relabeled = y.copy()
    relabeled[0] = (relabeled[0] + 1) % 3
    for other, name in (((x[:49], y[:49]), "x"), ((x.astype(int), y), "x"), ((changed, y), "x"), ((x, relabeled), "y")):
        with pytest.raises(ValueError, match=rf"^resume: {name} was \w+ \(50.*\), checksum \w{{8}} when .* now it is "):
            train(None, other, options=quiet(), resume=half)


def test_another_network_is_refused(half, make_net, data, quiet):
    other = Network([ImageInput((1, 8, 8)), FullyConnected(3), Softmax()])
    for net in (other, make_net(dropout=0.5), make_net(dtype="float64"), make_net(fc={"weight_l2_factor": 2})):
        with pytest.raises(ValueError) as caught:
            train(net, data, options=quiet(), resume=half)
        text = f"resume: the network is not the one of {half}; give None to have it built from there"
        assert str(caught.value) == text


def test_another_loss_is_refused(half, data, quiet):
    with pytest.raises(ValueError) as caught:
        train(None, data, lambda y, t: y.mean(), quiet(), resume=half)
    assert str(caught.value) == f"resume: the loss was crossentropy when {half} was written, now it is function"


def test_validation_data_must_be_given_again(make_net, data, validation_data, quiet, tmp_path):
    options = quiet(checkpoint_path=tmp_path, validation_data=validation_data)
    train(make_net(), data, options=options)
    with pytest.raises(ValueError) as caught:
        train(None, data, resume=tmp_path)
    assert str(caught.value) == (
        f"resume: the run of {tmp_path} was validated, and its checkpoint does not hold the validation data; "
        "give options with validation_data"
    )


def test_another_instruction_set_is_a_warning(half, data):
    checkpoint = load_checkpoint(half)
    variants = {**checkpoint.program["variants"], "gemm": ["reference"]}
    program = {**checkpoint.program, "isa": "x86-64-v9", "variants": variants}
    save_checkpoint(half, dataclasses.replace(checkpoint, program=program))
    with pytest.warns(RuntimeWarning) as caught:
        train(None, data, resume=half)
    texts = [str(warning.message) for warning in caught]
    assert texts[0].startswith(f"resume: {half} was written with instruction-set level x86-64-v9, now it is ")
    assert texts[1].startswith(f"resume: {half} was written with kernel variants {{'gemm': ['reference']}}, now it is ")
    assert all(text.endswith(": the bits may differ from those of an uninterrupted run") for text in texts)
    assert all(warning.filename == __file__ for warning in caught)  # the line that called train


def test_there_must_be_a_checkpoint(data, tmp_path):
    with pytest.raises(FileNotFoundError) as caught:
        train(None, data, resume=tmp_path)
    assert str(caught.value) == f"checkpoint: there is no file {tmp_path / 'checkpoint.safetensors'}"
