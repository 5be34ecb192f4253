import dataclasses
import json
import os
import pathlib
import random
import re
import subprocess
import sys
import warnings

import numpy as np
import pytest
from safetensors.numpy import load, save

from convcore.files import checksum
from convcore.kernels import use_variant
from convcore.train import History, TrainingOptions, fingerprint, load_checkpoint, train
from convcore.train.checkpoint import pack, prepare_folder, save_checkpoint


@pytest.fixture
def file(make_net, data, quiet, tmp_path):
    folder = tmp_path / "run"
    train(make_net(), data, options=quiet(checkpoint_path=folder, callbacks=[lambda info: info.iteration == 6]))
    return folder / "checkpoint.safetensors"


# What is written, and when


def test_a_checkpoint_holds_the_run(make_net, data, quiet, tmp_path):
    net = make_net()
    options = quiet(checkpoint_path=tmp_path / "a" / "b", momentum=0.5, callbacks=[lambda info: info.iteration == 6])
    history = train(net, data, options=options)
    assert [path.name for path in (tmp_path / "a" / "b").iterdir()] == ["checkpoint.safetensors"]
    checkpoint = load_checkpoint(tmp_path / "a" / "b")
    assert repr(checkpoint) == "<Checkpoint after iteration 6, epoch 2/3>"
    assert (checkpoint.loss, checkpoint.iterations_per_epoch) == ("crossentropy", 4)
    assert checkpoint.options == dataclasses.replace(options, checkpoint_path=None, callbacks=())
    assert checkpoint.history.rows == history.rows
    assert set(checkpoint.program) == {"convcore", "numpy", "isa", "variants"}
    assert checkpoint.data["y"].startswith("int64 (50,), checksum ")
    assert checkpoint.arrays.keys() == net.arrays().keys()
    assert checkpoint.optimizer_state.keys() == {f"velocity/{name}" for name in net.parameters()}
    np.testing.assert_array_equal(checkpoint.network().predict(data[0]), net.predict(data[0]))


@pytest.mark.parametrize(
    ("frequency", "epochs", "expected"), [(1, 3, [4, 8, 12]), (2, 5, [8, 16, 20]), (2, 4, [8, 16]), (9, 2, [8])]
)
def test_every_so_many_epochs_and_at_the_end(frequency, epochs, expected, make_net, data, quiet, tmp_path, monkeypatch):
    from convcore.train import trainer

    written = []
    monkeypatch.setattr(trainer, "save_checkpoint", lambda folder, checkpoint: written.append(checkpoint.iteration))
    train(make_net(), data, options=quiet(max_epochs=epochs, checkpoint_path=tmp_path, checkpoint_frequency=frequency))
    assert written == expected


def test_checkpoints_change_nothing(make_net, data, quiet, bits, tmp_path):
    without = bits(train(make_net(), data, options=quiet()))
    assert bits(train(make_net(), data, options=quiet(checkpoint_path=tmp_path))) == without


def test_a_regression_without_classes(data, quiet, tmp_path):
    from convcore.layers import FullyConnected, ImageInput
    from convcore.network import Network

    net = Network([ImageInput((1, 8, 8)), FullyConnected(1)], dtype="float64")
    options = quiet(checkpoint_path=tmp_path, initial_learn_rate=1e-6)
    history = train(net, (data[0], data[1][:, None]), "mse", options)
    assert load_checkpoint(tmp_path).history.rows == history.rows


def test_writing_and_reading_gives_the_same_again(file):
    checkpoint = load_checkpoint(file)
    again = file.parent / "again"
    again.mkdir()
    for best_loss, best in ((np.inf, {}), (0.5, checkpoint.arrays)):
        changed = dataclasses.replace(checkpoint, best_loss=best_loss, best_arrays=best)
        save_checkpoint(again, changed)
        read = load_checkpoint(again)
        assert (read.best_loss, read.best_arrays.keys()) == (best_loss, best.keys())
        for (arrays, description), (expected, text) in [(pack(read), pack(changed))]:
            assert description == text
            assert arrays.keys() == expected.keys()
            for name in arrays:
                np.testing.assert_array_equal(arrays[name], expected[name], strict=True)


def test_torn_files_of_a_killed_process_are_cleared_away_and_others_are_not(tmp_path):
    for name in (".checkpoint.safetensors.abc.tmp", "checkpoint.safetensors.tmp", ".other.tmp", "notes.txt"):
        (tmp_path / name).touch()
    prepare_folder(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {"checkpoint.safetensors.tmp", ".other.tmp", "notes.txt"}


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_fifty_kills_while_writing_never_leave_an_unreadable_checkpoint(tmp_path):
    script = pathlib.Path(__file__).with_name("checkpoint_writers.py")
    command = [sys.executable, script, tmp_path, "50"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stderr
    torn = int(re.fullmatch(r"50 kills, (\d+) of them in the middle of a write, \d+ checkpoints\n", done.stdout)[1])
    assert torn > 0  # otherwise the kills came at harmless moments, and the test says nothing


# Damage


def expect_refusal(file):
    with pytest.raises(ValueError) as caught:
        load_checkpoint(file)
    assert str(file) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_files_cut_short(file):
    content = file.read_bytes()
    rng = random.Random(0)
    lengths = {0, 1, 7, 8, 9, 100, len(content) - 1, *(rng.randrange(len(content)) for _ in range(100))}
    for length in lengths:
        file.write_bytes(content[:length])
        expect_refusal(file)


def test_flipped_bytes(file):
    content = file.read_bytes()
    arrays, description = pack(load_checkpoint(file))
    header = 8 + int.from_bytes(content[:8], "little")
    rng = random.Random(0)
    places = [rng.randrange(header) for _ in range(300)] + [rng.randrange(len(content)) for _ in range(300)]
    harmless = []
    for place in [*range(8), *places]:
        damaged = bytearray(content)
        damaged[place] ^= 1 << rng.randrange(8)
        file.write_bytes(damaged)
        try:
            load_checkpoint(file)
        except ValueError:
            expect_refusal(file)
        else:
            harmless.append(place)  # as when the e of 1e-05 becomes an E
            assert pack(load_checkpoint(file))[1] == description
            again = pack(load_checkpoint(file))[0]
            assert all(np.array_equal(again[name], arrays[name], equal_nan=True) for name in arrays)
    assert len(harmless) < 10


def test_more_bytes_than_there_should_be(file):
    file.write_bytes(file.read_bytes() + b"more")
    expect_refusal(file)


def test_random_bytes(file):
    rng = random.Random(0)
    for length in (8, 100, 10_000):
        file.write_bytes(rng.randbytes(length))
        expect_refusal(file)


def test_a_header_that_promises_gigabytes(file):
    header = json.dumps({"a": {"dtype": "F32", "shape": [1 << 40], "data_offsets": [0, 1 << 42]}}).encode()
    file.write_bytes(len(header).to_bytes(8, "little") + header)
    expect_refusal(file)
    file.write_bytes((1 << 62).to_bytes(8, "little") + header)
    expect_refusal(file)


def rewrite(file, change, sign=True):
    """Change arrays and description of a checkpoint, as somebody would who also corrects the checksum."""
    arrays = dict(load(file.read_bytes()))
    description = pack(load_checkpoint(file))[1]
    change(arrays, description)
    text = json.dumps({"checkpoint": description})
    file.write_bytes(save(arrays, {"convcore": f"{checksum(arrays, text) if sign else 0} {text}"}))


WRONG = [
    (lambda arrays, text: text.update(format=3), "it has format 3, this version reads formats 1 and 2"),
    (lambda arrays, text: text.pop("options"), "it is damaged, 'options' is missing or unknown"),
    (lambda arrays, text: text.update(options={}), "TrainingOptions: the stored options do not fit this version, see"),
    (lambda arrays, text: text["options"].update(momentum=7), "TrainingOptions: momentum must lie in [0, 1], got 7"),
    (lambda arrays, text: text.update(architecture=3), "'int' object is not iterable"),
    (lambda arrays, text: text.update(best_loss="small"), "could not convert string to float: 'small'"),
    (lambda arrays, text: text.update(iterations_per_epoch=0), "it is damaged, iterations_per_epoch is below 1"),
    (lambda arrays, text: text.update(iterations_per_epoch=None), "'<' not supported between instances of"),
    (lambda arrays, text: text.update(data=None), "'NoneType' object is not iterable"),
    (lambda arrays, text: arrays.pop("history/loss"), "history: 'loss' is missing or unknown"),
    (lambda arrays, text: arrays.update({"else/a": np.zeros(1)}), "it is damaged, 'else' is missing or unknown"),
    (lambda arrays, text: arrays.update({"history/loss": np.zeros(3)}), "history: loss must be float64 of shape (6,)"),
]


@pytest.mark.parametrize(("change", "text"), WRONG)
def test_wrong_contents(change, text, file):
    rewrite(file, change)
    with pytest.raises(ValueError) as caught:
        load_checkpoint(file)
    assert str(caught.value).startswith(f"checkpoint: {file}: {text}")


def test_a_checksum_that_is_missing_or_does_not_match(file):
    rewrite(file, lambda arrays, text: None, sign=False)
    with pytest.raises(ValueError) as caught:
        load_checkpoint(file)
    assert str(caught.value) == f"checkpoint: {file} is damaged, its checksum does not match"


@pytest.mark.parametrize(
    ("name", "text"),
    [("network/fc.bias", "no array fc.bias"), ("velocity/fc.bias", "SGD: the state lacks 'velocity/fc.bias'")],
)
def test_arrays_that_do_not_fit_the_network(name, text, file, make_net, data):
    rewrite(file, lambda arrays, _: arrays.pop(name))
    for net in (None, make_net()):
        with pytest.raises(ValueError) as caught:
            train(net, data, resume=file)
        assert str(caught.value).startswith(f"resume: {file}: ")
        assert str(caught.value).endswith(text)


def test_foreign_files(tmp_path, make_net):
    net = make_net()
    net.initialize()
    net.save(tmp_path / "model.safetensors")
    with pytest.raises(ValueError) as caught:
        load_checkpoint(tmp_path / "model.safetensors")
    assert str(caught.value) == f"checkpoint: {tmp_path / 'model.safetensors'}: it holds no training run"
    (tmp_path / "foreign.safetensors").write_bytes(save({"a": np.zeros(3)}))
    expect_refusal(tmp_path / "foreign.safetensors")
    (tmp_path / "text.txt").write_text("hello, hello, hello, hello\n")
    expect_refusal(tmp_path / "text.txt")


def test_options_with_a_function_cannot_be_packed(file):
    options = TrainingOptions(learn_rate_schedule=lambda iteration, epoch: 0.1)
    with pytest.raises(ValueError, match="learn_rate_schedule is a function, which cannot be stored"):
        pack(dataclasses.replace(load_checkpoint(file), options=options))


def test_an_empty_history_and_empty_arrays(file):
    checkpoint = dataclasses.replace(load_checkpoint(file), history=History(), arrays={"a.b": np.zeros((0, 3))})
    read = load_checkpoint(save_checkpoint(file.parent, checkpoint))
    assert (read.iteration, read.epoch) == (0, 0)
    assert read.arrays["a.b"].shape == (0, 3)


def test_variants_that_are_asked_for_are_part_of_the_program(variable):
    variable("CONVCORE_CONV2D_VARIANT", "im2col")
    assert fingerprint.of_program()["variants"]["conv2d"] == ["im2col"]
    with use_variant("conv2d", "direct"):
        assert fingerprint.of_program()["variants"]["conv2d"] == ["direct"]


# Older files


def test_files_of_format_1_can_be_read_and_carried_on(data, quiet):
    """The file was written by the version that had only SGD, in the middle of the second of three epochs."""
    folder = pathlib.Path(__file__).parent / "format_1"
    checkpoint = load_checkpoint(folder)
    assert (checkpoint.iteration, checkpoint.options.solver, checkpoint.options.momentum) == (6, "sgdm", 0.9)
    assert checkpoint.learn_rate_scale == 1
    assert (checkpoint.options.augment, checkpoint.options.warmup_period) == (None, 1)
    assert set(checkpoint.optimizer_state) == {
        f"velocity/{layer}.{role}" for layer in ("conv", "fc") for role in ("weights", "bias")
    }
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # it may have been another machine, with other kernels
        history = train(None, data, options=quiet(), resume=folder)
    assert (history.stopped, len(history)) == ("finished", 12)
    assert history.rows[5] == checkpoint.history.rows[5]
