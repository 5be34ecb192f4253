import json
import math
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import convcore as cc
from convcore import run
from convcore.run import Settings, network_of
from convcore.train import History

SETTINGS = Settings("digits", "lenet5", 1, 64, 0.05, 0.9, 5e-4, 0, "cosine")

MODELS = """
import convcore as cc
from neighbour import SIZE

def half(x):
    return x * 0.5

def make():
    return cc.Network([cc.ImageInput((1, SIZE, SIZE), normalization=half), cc.FullyConnected(10), cc.Softmax()])
"""


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("CONVCORE_DATA_DIR", raising=False)
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setattr(run, "_draw", lambda history, path: None)
    yield tmp_path
    for name in ("models", "neighbour"):
        sys.modules.pop(name, None)


@pytest.fixture
def models(tmp_path):
    (tmp_path / "neighbour.py").write_text("SIZE = 28")
    (tmp_path / "models.py").write_text(MODELS)
    return "models.py:make"


@pytest.fixture
def tiny(tmp_path):
    """A folder of 40 training and 20 test images of 28 x 28 pixels, a part of the digits."""
    digits = cc.data.load("digits")
    folder = tmp_path / "tiny"
    folder.mkdir()
    for name, split, count in (("train", digits.train, 40), ("t10k", digits.test, 20)):
        cc.data.write_idx(folder / f"{name}-images-idx3-ubyte.gz", split.x[:count, 0])
        cc.data.write_idx(folder / f"{name}-labels-idx1-ubyte", split.y[:count].astype(np.uint8))
    return replace(SETTINGS, data="tiny", batch_size=8)


# ---------------------------------------------------------------- settings


@pytest.mark.parametrize(("data", "epochs"), [("digits", 30), ("mnist", 10), ("fashion-mnist", 10), ("folder", 10)])
def test_epochs_by_default(data, epochs):
    assert replace(SETTINGS, data=data, epochs=None).options().max_epochs == epochs
    assert replace(SETTINGS, data=data, epochs=2).options().max_epochs == 2


def test_settings_of_older_runs_had_one_solver(tmp_path):
    since = ("augment", "solver", "plots", "metrics")
    stored = {name: value for name, value in vars(SETTINGS).items() if name not in since}
    (tmp_path / "run.json").write_text(json.dumps(stored))
    settings = Settings.load(tmp_path)
    assert settings == SETTINGS
    assert (settings.options().solver, settings.options().momentum) == ("sgdm", 0.9)


def test_settings_are_stored_so_that_they_are_found_from_anywhere(tmp_path):
    settings = replace(SETTINGS, epochs=None)
    settings.save(tmp_path)
    assert Settings.load(tmp_path) == replace(SETTINGS, epochs=30)
    replace(SETTINGS, data="mine", model="nets/mine.py:make").save(tmp_path)
    found = Settings.load(tmp_path)
    assert (found.data, found.model) == (str(tmp_path / "mine"), f"{tmp_path / 'nets' / 'mine.py'}:make")


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("", "Expecting value"),
        ('{"data": "digits"', "Expecting"),
        ('{"data": "digits"}', "missing 8 required positional arguments"),
        ("[]", "must be a mapping"),
        (json.dumps({**vars(SETTINGS), "speed": 1}), "unexpected keyword argument 'speed'"),
        (json.dumps({**vars(SETTINGS), "momentum": 2}), r"momentum must lie in \[0, 1\], got 2"),
        (json.dumps({**vars(SETTINGS), "batch_size": "64"}), "mini_batch_size must be an integer, got '64'"),
        (json.dumps({**vars(SETTINGS), "schedule": None}), "learn_rate_schedule must be a str or a function, got None"),
    ],
)
def test_damaged_settings(content, reason, tmp_path):
    (tmp_path / "run.json").write_text(content)
    with pytest.raises(ValueError, match=rf"^resume: .*run\.json is damaged \(.*{reason}.*\)$"):
        Settings.load(tmp_path)


# ---------------------------------------------------------------- train and resume


def test_the_report_agrees_with_the_files(tiny):
    result = run.train(replace(tiny, epochs=3), n_threads=1)
    folder = cc.load_checkpoint("runs/lenet5-tiny-1")
    assert (result["epochs"], folder.epoch, result["data"], result["test_images"]) == (3, 3, "tiny", 20)
    network = cc.load(result["model_path"])
    assert network.class_names == tuple("0123456789")
    found = cc.evaluate(network, cc.data.load("tiny"))
    assert (result["test_accuracy"], result["test_loss"]) == (found["accuracy"], found["loss"])
    rows = folder.history.rows
    assert result["train_loss"] == pytest.approx(np.mean([row["loss"] for row in rows[-5:]]), rel=1e-12)
    assert len(open("runs/lenet5-tiny-1/history.csv").readlines()) == 1 + len(rows) == 16
    assert [row["validation_loss"] is not None for row in rows] == 3 * [False, False, False, False, True]


def test_folders_are_numbered_and_named_after_model_and_data(tiny, models):
    for expected in ("lenet5-tiny-1", "lenet5-tiny-2"):
        assert run.train(tiny, n_threads=1)["model_path"] == str(Path("runs", expected, "model.safetensors"))
    result = run.train(replace(tiny, model=models, data="./tiny/"), n_threads=1)
    assert result["model_path"] == str(Path("runs", "models-tiny-1", "model.safetensors"))


def test_a_folder_that_another_process_takes_at_the_same_moment(tiny, tmp_path, monkeypatch):
    mkdir = Path.mkdir

    def late(self, *arguments, **more):
        if self.name == "lenet5-tiny-1":
            mkdir(self, parents=True, exist_ok=True)
        mkdir(self, *arguments, **more)

    monkeypatch.setattr(Path, "mkdir", late)
    assert run._new_folder(tiny, cc.data.load("tiny"), None).name == "lenet5-tiny-2"


def test_an_empty_folder_is_free(tiny, tmp_path):
    (tmp_path / "out").mkdir()
    run.train(tiny, tmp_path / "out", n_threads=1)
    assert (tmp_path / "out" / "model.safetensors").is_file()
    with pytest.raises(ValueError, match=r"^train: --out .*out exists and is not an empty folder$"):
        run.train(tiny, tmp_path / "out", n_threads=1)


def test_the_wrong_folder_is_refused_before_the_data_is_fetched(tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.setattr(run.data_sets, "load", lambda data: pytest.fail("loaded"))
    with pytest.raises(ValueError, match="exists and is not an empty folder"):
        run.train(SETTINGS, tmp_path / "file")


def test_the_seed_decides_over_a_network_of_ones_own_too(tiny, models):
    weights = [run.train(replace(tiny, model=models, seed=seed, learn_rate=1e-9), n_threads=1) for seed in (0, 0, 1)]
    first, same, other = ((Path(result["model_path"]).parent / "checkpoint.safetensors") for result in weights)
    arrays = [cc.load_checkpoint(path).arrays["fc.weights"] for path in (first, same, other)]
    np.testing.assert_array_equal(arrays[0], arrays[1])
    assert np.abs(arrays[0] - arrays[2]).max() > 0.01


def test_a_run_is_resumed_from_another_folder(tiny, tmp_path, monkeypatch):
    first = run.train(tiny, n_threads=1)
    (tmp_path / "sub").mkdir()
    monkeypatch.chdir(tmp_path / "sub")
    again = run.resume(Path("..", "runs", "lenet5-tiny-1"), n_threads=1)
    assert {**again, "model_path": ""} == {**first, "model_path": ""}


def test_a_network_with_functions_is_resumed_with_its_file(tiny, models, tmp_path):
    run.train(replace(tiny, model=models), tmp_path / "run", n_threads=1)
    run.resume(tmp_path / "run", n_threads=1)
    (tmp_path / "models.py").unlink()
    with pytest.raises(ValueError, match="normalization is the function models:half; pass it in"):
        run.resume(tmp_path / "run")


def test_a_run_whose_data_has_changed_is_not_resumed(tiny, tmp_path):
    run.train(tiny, tmp_path / "run", n_threads=1)
    images = cc.data.read_idx("tiny/train-images-idx3-ubyte.gz")
    images[0, 0, 0] ^= 1
    cc.data.write_idx("tiny/train-images-idx3-ubyte.gz", images)
    with pytest.raises(ValueError, match=r"^resume: x was uint8 .* when .*run was written, now it is uint8 "):
        run.resume(tmp_path / "run")
    assert (tmp_path / "run" / "model.safetensors").is_file()


def test_settings_that_were_edited_are_noticed(tiny, tmp_path):
    run.train(tiny, tmp_path / "run", n_threads=1)
    replace(tiny, learn_rate=0.1).save(tmp_path / "run")
    with pytest.raises(ValueError, match=r"^resume: initial_learn_rate was 0\.05 when .* was written"):
        run.resume(tmp_path / "run")


@pytest.mark.parametrize("size", [0, 100, -1])
def test_a_damaged_checkpoint(size, tiny, tmp_path):
    run.train(tiny, tmp_path / "run", n_threads=1)
    path = tmp_path / "run" / "checkpoint.safetensors"
    path.write_bytes(path.read_bytes()[:size])
    with pytest.raises(ValueError, match=r"^checkpoint: .*checkpoint\.safetensors is damaged or no safetensors file"):
        run.resume(tmp_path / "run")


def test_a_run_without_a_checkpoint(tiny, tmp_path):
    tiny.save(tmp_path)
    text = r"^resume: .* holds no checkpoint\.safetensors: the run ended before its first, start it anew$"
    with pytest.raises(ValueError, match=text):
        run.resume(tmp_path)


@pytest.mark.parametrize("given", [True, False])
def test_a_run_that_fails_before_its_first_checkpoint_leaves_nothing(given, tiny, tmp_path):
    with pytest.raises(cc.TrainingError, match=r"there is no checkpoint$"):
        run.train(replace(tiny, learn_rate=1e30), tmp_path / "out" if given else None)
    assert not (tmp_path / "out").exists()
    assert not list(tmp_path.glob("runs/*"))


def test_a_run_that_fails_later_keeps_its_checkpoint(tiny, tmp_path, monkeypatch):
    def full(self, path):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(History, "to_csv", full)
        with pytest.raises(OSError, match="No space left"):
            run.train(tiny, tmp_path / "out", n_threads=1)
    assert run.resume(tmp_path / "out", n_threads=1)["stopped"] == "finished"
    assert (tmp_path / "out" / "history.csv").is_file()


def test_a_run_is_no_failure_for_want_of_a_picture(capsys, tmp_path, monkeypatch):
    monkeypatch.undo()
    history = History()
    run._draw(history, tmp_path / "a.png")
    assert capsys.readouterr() == (
        "",
        "convcore: no picture: history.plot: there is nothing to draw, the history is empty\n",
    )
    history.append(epoch=1, iteration=1, images=8, seconds=1.0, loss=2.0, accuracy=0.5, learn_rate=0.1)
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    run._draw(history, tmp_path / "a.png")
    assert (
        capsys.readouterr().err == "convcore: no picture: history.plot needs matplotlib: pip install convcore[plot]\n"
    )


# ---------------------------------------------------------------- what is reported


def history_of(seconds, images, losses, validated=(), per_epoch=100):
    history = History()
    for number, (second, count, loss) in enumerate(zip(seconds, images, losses, strict=True), 1):
        epoch = 1 + (number - 1) // per_epoch
        history.append(epoch, number, images=count, seconds=second, loss=loss, accuracy=0.5, learn_rate=0.1)
        if number in validated:
            history.note("validation_loss", 1.0)
    return history


def test_speed_leaves_validations_out():
    seconds = [1, 2, 3, 14, 15]  # a step takes a second; a validation of 10 seconds follows the third
    history = history_of(seconds, [10] * 5, [1.0] * 5, validated=[3, 5])
    assert run.speed(history) == 10
    assert run.speed(history_of([2], [10], [1.0])) == 5
    assert run.speed(history_of([1, 4], [10, 10], [1.0] * 2, validated=[1, 2])) == 5
    assert isinstance(run.speed(history_of([2], [10], [1.0], validated=[1])), float)


def test_the_loss_of_the_last_epoch_weighs_by_images():
    history = history_of(range(1, 6), [10, 10, 2, 10, 2], [9.0, 9.0, 9.0, 1.0, 4.0], per_epoch=3)
    assert history.final["epoch_loss"] == 1.5
    assert history_of([1], [10], [3.0], per_epoch=5).final["epoch_loss"] == 3


# ---------------------------------------------------------------- predict, models


@pytest.fixture
def brightness(tmp_path):
    """A model file that knows dark from bright."""
    network = cc.Network([
        cc.ImageInput((1, 2, 2), normalization="none"), cc.FullyConnected(2, weights=[[-1] * 4, [1] * 4], bias=[8, 0]),
        cc.Softmax(),
    ])  # fmt: skip
    network.initialize()
    network.class_names = ("dark",)
    network.save(tmp_path / "model.safetensors")
    return tmp_path / "model.safetensors"


def test_predict(brightness, tmp_path):
    images = np.array([[[0, 0], [0, 0]], [[1, 1], [1, 1]], [[2, 2], [2, 2]]], np.float32)
    np.save("three.npy", images)
    np.save("one.npy", images[2])
    rows = run.predict(brightness, [Path("three.npy"), Path("one.npy")])
    sure = 1 / (1 + math.exp(-8))
    assert [row.pop("probability") for row in rows] == pytest.approx([sure, 0.5, sure, sure], abs=1e-6)
    assert rows == [
        {"image": "three.npy[0]", "class": 0, "name": "dark"},
        {"image": "three.npy[1]", "class": 0, "name": "dark"},
        {"image": "three.npy[2]", "class": 1, "name": "1"},  # a class without a name is its number
        {"image": "one.npy", "class": 1, "name": "1"},
    ]
    assert run.predict(tmp_path, [Path("one.npy")])[0]["class"] == 1  # the folder that holds the model


def test_invert_reaches_the_images(brightness):
    np.save("dark.npy", np.zeros((2, 2), np.uint8))
    assert [run.predict(brightness, [Path("dark.npy")], invert)[0]["class"] for invert in (False, True)] == [0, 1]


def test_network_of_a_name_a_file_a_folder_and_a_function(brightness, models, tmp_path):
    assert network_of("lenet5", num_classes=3).output_shape == (3,)
    assert network_of(str(brightness)).output_shape == (2,)
    assert network_of(str(tmp_path)).output_shape == (2,)
    assert network_of(models).output_shape == (10,)
    assert network_of(str(tmp_path / models)).output_shape == (10,)


def test_a_file_with_the_name_of_a_library_does_not_replace_it(models, tmp_path):
    (tmp_path / "models.py").rename(tmp_path / "json.py")
    assert network_of("json.py:make").output_shape == (10,)
    assert sys.modules["json"] is json


def test_neighbours_of_a_file_are_found_after_everything_else(models, tmp_path):
    (tmp_path / "math.py").write_text("raise RuntimeError")
    assert network_of(models).output_shape == (10,)
    assert sys.path[-1] == str(tmp_path)
