import contextlib
import dataclasses
import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import warnings

import numpy as np
import pytest
from strategies import takes

import convcore as cc
from convcore import isa, run
from convcore.cli import app, main
from convcore.profile import problems, results, roofline, timing

NO_MODEL = "is neither lenet5, shallow, batchnorm, a model file, nor FILE.py:FUNCTION"
SHORT = ("train", "--epochs", "1", "--threads", "1")

MODELS = """
import convcore as cc

print("not a result")
image = cc.ImageInput((1, 28, 28), normalization="rescale-zero-one")

def make():
    return cc.Network([image, cc.FullyConnected(10), cc.Softmax()])

def small():
    return cc.Network([cc.ImageInput((1, 20, 20)), cc.FullyConnected(10), cc.Softmax()])

def three_classes():
    return cc.Network([image, cc.FullyConnected(3), cc.Softmax()])

def no_softmax():
    return cc.Network([image, cc.FullyConnected(10)])

def large_filter():
    return cc.Network([image, cc.Conv2D(50, 3), cc.FullyConnected(10), cc.Softmax()])

def unsaveable():
    normalize = cc.ImageInput((1, 28, 28), normalization=lambda x: x)
    return cc.Network([normalize, cc.FullyConnected(10), cc.Softmax()])

def raises():
    return 1 / 0

def number():
    return 3

word = "make"
"""


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    """Every test works in a folder of its own, on one thread, without a word about the data of this machine."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("CONVCORE_DATA_DIR", raising=False)
    monkeypatch.setattr(sys, "path", list(sys.path))  # to which FILE.py:FUNCTION adds
    yield tmp_path
    for name in ("models", "broken", "mine"):
        sys.modules.pop(name, None)


@pytest.fixture
def no_picture(monkeypatch):
    """Drawing takes longer than an epoch."""
    monkeypatch.setattr(run, "_draw", lambda history, path: None)


@pytest.fixture
def convcore(capsys):
    """Run the command line; return its exit status, stdout and stderr."""

    def call(*arguments):
        capsys.readouterr()
        with pytest.raises(SystemExit) as left:
            main([str(argument) for argument in arguments])
        return left.value.code, *capsys.readouterr()

    return call


def lenet5_on_digits(epochs, folder):
    """Train without the command line; return the folder of the run."""
    settings = run.Settings("digits", "lenet5", epochs, 64, 0.05, 0.9, 5e-4, 0, "cosine")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(run, "_draw", lambda history, path: None)
        run.train(settings, folder, n_threads=1)
    return folder


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    return lenet5_on_digits(8, tmp_path_factory.mktemp("trained") / "run")


@pytest.fixture(scope="module")
def three_epochs(tmp_path_factory):
    return lenet5_on_digits(3, tmp_path_factory.mktemp("three_epochs") / "run")


@pytest.fixture
def interrupted_at(monkeypatch):
    """Let Ctrl-C be pressed after an iteration, once or more."""

    @contextlib.contextmanager
    def pressed(iteration, times=1):
        def press(now):
            if now.iteration == iteration:
                for _ in range(times):
                    signal.raise_signal(signal.SIGINT)

        def train(network, data, options, resume):
            return cc.train(network, data, options=dataclasses.replace(options, callbacks=(press,)), resume=resume)

        with monkeypatch.context() as patch:
            patch.setattr(run, "train_network", train)
            yield

    return pressed


def files(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if "__pycache__" not in path.parts)


# ---------------------------------------------------------------- help


COMMANDS = ["train", "evaluate", "predict", "summary", "bench", "profile", "explain", "doctor"]


def test_without_arguments_it_helps(convcore):
    status, out, err = convcore()
    assert (status, err) == (0, "")
    assert all(re.search(rf"^  {command}  +[A-Z].*\.$", out, re.MULTILINE) for command in COMMANDS)
    assert convcore("--help") == convcore("-h") == convcore("--debug") == (0, out, "")


@pytest.mark.parametrize("command", COMMANDS)
def test_help_of_a_command_ends_with_examples(command, convcore):
    status, out, err = convcore(command, "--help")
    assert (status, err) == (0, "")
    assert out.startswith(f"Usage: convcore {command} ")
    assert f"    convcore {command}" in out.split("Example")[1]
    assert convcore(command, "-h") == (0, out, "")


def test_help_shows_the_recipe(convcore):
    words = " ".join(convcore("train", "--help")[1].split())
    recipe = ("momentum 0.9", "64 images", "learning rate of 0.05 that falls to 0 along a cosine over the epochs",
              "regularization 0.0005", "30 for digits, else 10", "0.05 for sgdm", "[default: cosine]")  # fmt: skip
    assert [part for part in recipe if part not in words] == []


def test_version(convcore):
    assert convcore("--version") == (0, "convcore 0.1.0\n", "")


# ---------------------------------------------------------------- wrong use: exit status 2


SCHEDULES = 'must be one of none, piecewise, warmup, polynomial, cosine, or "warmup," and another, '
WRONG_VALUES = [
    ("--epochs", "0", "must be at least 1, got 0"),
    ("--epochs", "-3", "must be at least 1, got -3"),
    ("--epochs", "1.5", "must be a whole number, got '1.5'"),
    ("--epochs", "nan", "must be a whole number, got 'nan'"),
    ("--epochs", "ten", "must be a whole number, got 'ten'"),
    ("--epochs", "", "must be a whole number, got ''"),
    ("--batch-size", "0", "must be at least 1, got 0"),
    ("--batch-size", "1e3", "must be a whole number, got '1e3'"),
    ("--learn-rate", "0", "must be finite and greater than 0, got 0.0"),
    ("--learn-rate", "-0.1", "must be finite and greater than 0, got -0.1"),
    ("--learn-rate", "nan", "must be finite and greater than 0, got nan"),
    ("--learn-rate", "inf", "must be finite and greater than 0, got inf"),
    ("--learn-rate", "1e999", "must be finite and greater than 0, got inf"),
    ("--learn-rate", "0,1", "must be a number, got '0,1'"),
    ("--learn-rate", "", "must be a number, got ''"),
    ("--momentum", "1.5", "must lie in [0, 1], got 1.5"),
    ("--momentum", "-0.1", "must lie in [0, 1], got -0.1"),
    ("--momentum", "nan", "must lie in [0, 1], got nan"),
    ("--momentum", "x", "must be a number, got 'x'"),
    ("--solver", "sgd", "must be one of sgdm, adam, rmsprop, got 'sgd'"),
    ("--recipe", "slow", "must be one of fast, got 'slow'"),
    ("--solver", "", "must be one of sgdm, adam, rmsprop, got ''"),
    ("--plots", "yes", "must be one of none, training-progress, got 'yes'"),
    ("--metrics", "rmse", "must be names such as top-2,top-5, each once, got 'rmse'"),
    ("--metrics", "top-0", "must be names such as top-2,top-5, each once, got 'top-0'"),
    ("--metrics", "top-2,top-2", "must be names such as top-2,top-5, each once, got 'top-2,top-2'"),
    ("--metrics", "", "must be names such as top-2,top-5, each once, got ''"),
    ("--l2", "-1", "must be finite and at least 0, got -1.0"),
    ("--l2", "inf", "must be finite and at least 0, got inf"),
    ("--l2", "nan", "must be finite and at least 0, got nan"),
    ("--l2", "x", "must be a number, got 'x'"),
    ("--seed", "-1", "must be at least 0, got -1"),
    ("--seed", "0.5", "must be a whole number, got '0.5'"),
    ("--seed", "today", "must be a whole number, got 'today'"),
    ("--threads", "0", ": the number of threads must lie in [1, 1024], got 0"),
    ("--threads", "1025", ": the number of threads must lie in [1, 1024], got 1025"),
    ("--threads", "all", "must be a whole number, got 'all'"),
    ("--schedule", "linear", SCHEDULES + "got 'linear'"),
    ("--schedule", "Cosine", SCHEDULES + "got 'Cosine'"),
    ("--schedule", "", SCHEDULES + "got ''"),
    ("--schedule", "cosine,warmup", SCHEDULES + "got 'cosine,warmup'"),
    ("--schedule", "warmup,", SCHEDULES + "got 'warmup,'"),
    ("--schedule", "warmup,warmup", SCHEDULES + "got 'warmup,warmup'"),
    ("--out", "", "must be a folder, got ''"),
    ("--resume", "", "must be a folder, got ''"),
]


@pytest.mark.parametrize(("flag", "value", "text"), WRONG_VALUES)
def test_wrong_value(flag, value, text, convcore, elsewhere):
    words = flag + ("" if text.startswith(":") else " ") + text
    assert convcore("train", flag, value) == (2, "", f"convcore: {words}\n")
    assert files(elsewhere) == []


@pytest.mark.parametrize(
    ("flag", "value", "text"), [row for row in WRONG_VALUES if row[0] in ("--batch-size", "--threads")]
)
def test_wrong_value_for_evaluate(flag, value, text, convcore):
    words = flag + ("" if text.startswith(":") else " ") + text
    assert convcore("evaluate", "model.safetensors", flag, value) == (2, "", f"convcore: {words}\n")


def test_every_flag_of_train_is_in_the_table_of_wrong_values(convcore):
    flags = set(re.findall(r"^  (--[a-z0-9-]+) ", convcore("train", "--help")[1], re.MULTILINE))
    unchecked = {"--data", "--model", "--augment", "--json"}  # the first two are looked for on the disk, see below
    assert flags - unchecked == {flag for flag, _, _ in WRONG_VALUES}


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["trian"], r"No such command 'trian'.*; see convcore --help"),
        (["--nosuch"], r"No such option:? '?--nosuch.*; see convcore --help"),
        (["train", "--epoch", "3"], r"No such option:? '?--epoch\b.*; see convcore train --help"),
        (["train", "--epochs"], r"Option '--epochs' requires an argument; see convcore train --help"),
        (["train", "--json=yes"], r"Option '--json' does not take a value; see convcore train --help"),
        (["train", "digits"], r"Got unexpected extra argument.*\(digits\); see convcore train --help"),
        (["evaluate"], r"Missing argument 'MODEL'; see convcore evaluate --help"),
        (["predict"], r"Missing argument 'MODEL'; see convcore predict --help"),
        (["predict", "model.safetensors"], r"Missing argument 'IMAGE.*'; see convcore predict --help"),
        (["summary"], r"Missing argument 'MODEL'; see convcore summary --help"),
        (["explain"], r"Missing argument 'PROBLEM'; see convcore explain --help"),
        (["bench", "lenet"], r"Got unexpected extra argument.*\(lenet\); see convcore bench --help"),
        (["doctor", "who"], r"Got unexpected extra argument.*\(who\); see convcore doctor --help"),
    ],
)
def test_wrong_use(arguments, text, convcore):
    status, out, err = convcore(*arguments)
    assert (status, out) == (2, "")
    assert re.fullmatch(f"convcore: {text}\n", err)  # typer's own words, which differ a little between its versions


@pytest.mark.parametrize("flag", ["--data", "--model", "--batch-size", "--learn-rate", "--momentum", "--l2",
                                  "--seed", "--schedule", "--out", "--solver", "--plots", "--metrics"])  # fmt: skip
def test_resume_takes_its_own_settings(flag, convcore):
    value = {"--schedule": "cosine", "--solver": "adam", "--plots": "none", "--metrics": "top-2"}.get(flag, "1")
    text = f"convcore: {flag} cannot be given with --resume: the run goes on with its own settings\n"
    assert convcore("train", "--resume", "somewhere", flag, value) == (2, "", text)


# ---------------------------------------------------------------- failures: exit status 1, and nothing is left behind


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["--data", "minst"], "data: 'minst' is neither digits, mnist, fashion-mnist nor a folder"),
        (["--data", ""], "data: '' is neither digits, mnist, fashion-mnist nor a folder"),
        (["--data", "models.py"], "data: 'models.py' is neither digits, mnist, fashion-mnist nor a folder"),
        (["--data", "empty"], "data: empty holds no train-images-idx3-ubyte, neither plain nor .gz"),
        (["--model", "lenet6"], f"model: 'lenet6' {NO_MODEL}"),
        (["--model", ""], f"model: '' {NO_MODEL}"),
        (["--model", ":make"], f"model: ':make' {NO_MODEL}"),
        (["--model", "empty"], "load: there is no file empty/model.safetensors"),
        (["--model", "nosuch.py:make"], "model: there is no file nosuch.py"),
        (["--model", "models.py"], "model: say which function of models.py returns the network: models.py:FUNCTION"),
        (["--model", "models.py:"], "model: say which function of models.py returns the network: models.py:FUNCTION"),
        (["--model", "models.py:mak"], "model: models.py has no function 'mak'"),
        (["--model", "models.py:word"], "model: models.py has no function 'word'"),
        (["--model", "models.py:number"], "model: number of models.py must return a Network, got int"),
        (
            ["--model", "models.py:raises"],
            "model: raises of models.py fails with ZeroDivisionError: division by zero (--debug shows where)",
        ),
        (
            ["--model", "broken.py:make"],
            "model: broken.py fails with ModuleNotFoundError: No module named 'nosuchmodule' (--debug shows where)",
        ),
        (["--model", "models.py:small"], "train: models.py:small takes images (1, 20, 20), digits holds (1, 28, 28)"),
        (
            ["--model", "models.py:three_classes"],
            "train: data: label 9 is no class of the network, which has 3 (0 to 2)",
        ),
        (
            ["--model", "models.py:no_softmax"],
            "train: crossentropy needs a network that ends in Softmax or ClassificationOutput, this one ends in "
            "FullyConnected 'fc'",
        ),
        (
            ["--model", "models.py:large_filter"],
            "conv: conv2d: the filter covers 50 cells in height, the padded input has 28",
        ),
        (["--out", "models.py"], "train: --out models.py exists and is not an empty folder"),
        (["--out", "full"], "train: --out full exists and is not an empty folder"),
        (["--out", "models.py/run"], "models.py/run: Not a directory"),
        (["--resume", "nosuch"], "resume: nosuch holds no run: there is no nosuch/run.json"),
        (["--resume", "empty"], "resume: empty holds no run: there is no empty/run.json"),
        (["--learn-rate", "1e30"], "train: the loss is nan at iteration 2 (epoch 1): the first output that is not "
         "finite is that of layer 'conv2' (a lower learning rate or a gradient_threshold may help); there is no "
         "checkpoint"),
    ],
)  # fmt: skip
def test_failure_of_train(arguments, text, convcore, elsewhere):
    (elsewhere / "models.py").write_text(MODELS)
    (elsewhere / "broken.py").write_text("import nosuchmodule")
    for folder in ("empty", "full", "full/inside"):
        (elsewhere / folder).mkdir()
    before = files(elsewhere)
    status, out, err = convcore("train", "--threads", "1", *arguments)
    assert (status, out) == (1, "")
    assert err.splitlines()[-1] == f"convcore: {text}"
    assert set(files(elsewhere)) - set(before) <= ({"runs"} if "--learn-rate" in arguments else set())
    chatter = err.splitlines()[:-1]
    assert all(line == "not a result" or line.startswith("epoch 1/") for line in chatter)


def test_a_network_that_cannot_be_saved_is_refused_before_training(convcore, elsewhere):
    (elsewhere / "models.py").write_text(MODELS)
    status, out, err = convcore("train", "--model", "models.py:unsaveable")
    assert (status, out) == (1, "")
    assert re.match(
        "convcore: save: imageinput: normalization must be a function at the top level", err.splitlines()[-1]
    )
    assert files(elsewhere) == ["models.py"]


DAMAGE = [
    ("evaluate", "nosuch", "load: there is no file nosuch"),
    ("evaluate", ".", "load: there is no file model.safetensors"),
    ("evaluate", "empty", r"load: empty is damaged or no safetensors file \(.*\)"),
    ("evaluate", "text", r"load: text is damaged or no safetensors file \(.*\)"),
    ("evaluate", "cut", r"load: cut is damaged or no safetensors file \(.*\)"),
    ("evaluate", "checkpoint", r"load: checkpoint is a checkpoint: cc\.load_checkpoint or convcore train --resume "
                               "reads it"),
    ("evaluate", "regression", r"evaluate: crossentropy needs a network that ends in Softmax or .*"),
    ("evaluate", "vector", r"evaluate: data: x must have shape \(N, 5\), as the network's input, got .*"),
    ("predict", "nosuch", "load: there is no file nosuch"),
    ("predict", "cut", r"load: cut is damaged or no safetensors file \(.*\)"),
    ("predict", "vector", r"predict: vector takes \(5,\), not images \(channels, height, width\)"),
    ("predict", "regression", r"predict: regression gives no probabilities of classes: it ends in FullyConnected with "
                              r"output \(10,\)"),
    ("summary", "nosuch", f"model: 'nosuch' {NO_MODEL}"),
    ("summary", "cut", r"load: cut is damaged or no safetensors file \(.*\)"),
]  # fmt: skip


@pytest.mark.parametrize(("command", "model", "text"), DAMAGE)
def test_model_that_is_none(command, model, text, convcore, trained, elsewhere):
    (elsewhere / "empty").touch()
    (elsewhere / "text").write_text("hello\nworld\n")
    content = (trained / "model.safetensors").read_bytes()
    (elsewhere / "cut").write_bytes(content[:-100])
    (elsewhere / "checkpoint").write_bytes((trained / "checkpoint.safetensors").read_bytes())
    vector = cc.Network([cc.FullyConnected(10), cc.Softmax()])
    vector.initialize((5,))
    vector.save("vector")
    cc.Network([cc.ImageInput((1, 28, 28)), cc.FullyConnected(10)]).save("regression")
    cc.data.write_idx("image", np.zeros((1, 28, 28), np.uint8))
    status, out, err = convcore(command, model, *(["image"] if command == "predict" else []))
    assert (status, out) == (1, "")
    assert re.fullmatch(f"convcore: {text}\n", err)


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (KeyError("x"), "KeyError: 'x' (--debug shows where)"),
        (MemoryError(), "MemoryError: (--debug shows where)"),
        (ValueError("two\n lines"), "two lines"),
        (PermissionError(13, "Permission denied", "a/b"), "a/b: Permission denied"),
        (OSError(28, "No space left on device"), "No space left on device"),
        (KeyboardInterrupt(), "interrupted"),
    ],
)
def test_an_error_is_one_line(error, text, convcore, monkeypatch):
    def fail(*arguments):
        raise error

    monkeypatch.setattr(run, "evaluate", fail)
    assert convcore("evaluate", "model") == (1, "", f"convcore: {text}\n")


def test_debug_shows_the_traceback_and_keeps_the_status(convcore):
    for position in (0, 1, 2):
        arguments = ["summary", "nosuch"]
        arguments.insert(position, "--debug")
        status, out, err = convcore(*arguments)
        assert (status, out) == (1, "")
        assert err.startswith("Traceback (most recent call last):\n")
        assert err.endswith(f"convcore: model: 'nosuch' {NO_MODEL}\n")
    assert convcore("train", "--epochs", "0", "--debug")[0] == 2


def test_a_warning_is_one_line(convcore, monkeypatch):
    def warn(*arguments):
        warnings.warn("careful\nnow", RuntimeWarning)
        return {"test_accuracy": 0.5, "test_images": 2, "data": "coins", "test_loss": 0.25,
                "confusion_matrix": [[1, 0], [1, 0]], "class_names": ["head", "tail"]}  # fmt: skip

    monkeypatch.setattr(run, "evaluate", warn)
    out = """coins: test accuracy 50.00 % of 2 images, loss 0.2500

images of each class (rows), by what they were taken for (columns)
      head  tail
head     1     0
tail     1     0
"""
    assert convcore("evaluate", "model") == (0, out, "convcore: warning: careful now\n")


# ---------------------------------------------------------------- train


KEYS = {"test_accuracy", "train_loss", "epochs", "seconds_per_epoch", "images_per_second", "n_threads", "isa",
        "parameters", "model_path", "test_loss", "test_images", "data", "stopped"}  # fmt: skip


def test_train_prints_one_json_object(convcore, elsewhere):
    status, out, err = convcore(*SHORT, "--json")
    assert status == 0
    result = json.loads(out)
    assert out.count("\n") == 1
    assert set(result) == KEYS
    assert 0.4 < result["test_accuracy"] <= 1
    assert 0 < result["train_loss"] < 2
    assert (result["epochs"], result["n_threads"], result["parameters"]) == (1, 1, 61706)
    assert result["isa"] in cc.isa.LEVELS
    assert result["seconds_per_epoch"] * result["images_per_second"] == pytest.approx(1442)
    assert (result["data"], result["test_images"], result["stopped"]) == ("digits", 355, "finished")
    assert result["model_path"] == os.path.join("runs", "lenet5-digits-1", "model.safetensors")
    accuracy = cc.evaluate(cc.load(result["model_path"]), cc.data.load("digits"))["accuracy"]
    assert result["test_accuracy"] == accuracy
    assert all(line.startswith("epoch 1/1  iteration ") for line in err.splitlines())
    names = ("", "/checkpoint.safetensors", "/history.csv", "/model.safetensors", "/run.json", "/training.png")
    assert files(elsewhere) == ["runs", *(f"runs/lenet5-digits-1{name}" for name in names)]


@pytest.mark.usefixtures("no_picture")
def test_train_in_words_and_the_next_number(convcore, elsewhere):
    (elsewhere / "runs" / "lenet5-digits-1").mkdir(parents=True)
    status, out, _ = convcore(*SHORT)
    assert status == 0
    first, second = out.splitlines()
    assert re.fullmatch(r"digits: test accuracy \d\d\.\d\d % of 355 images after 1 epoch \(\d+\.\d\d s each, [\d,]+ "
                        r"images/s, 1 thread, (x86-64-v\d|generic)\)", first)  # fmt: skip
    assert second == f"model: {os.path.join('runs', 'lenet5-digits-2', 'model.safetensors')}"


@pytest.mark.usefixtures("no_picture")
def test_every_flag_reaches_its_option(convcore):
    arguments = ["--epochs", "2", "--batch-size", "100", "--learn-rate", "0.01", "--momentum", "0.5", "--l2", "0.001",
                 "--seed", "7", "--threads", "1", "--schedule", "piecewise", "--out", "deep/down"]  # fmt: skip
    assert convcore("train", *arguments)[0] == 0
    options = cc.load_checkpoint("deep/down").options
    values = (options.max_epochs, options.mini_batch_size, options.initial_learn_rate, options.momentum,
              options.l2_regularization, options.seed, options.n_threads, options.learn_rate_schedule)  # fmt: skip
    assert values == (2, 100, 0.01, 0.5, 0.001, 7, 1, "piecewise")
    assert cc.load("deep/down/model.safetensors").seed == 7
    assert convcore("train", "--resume", "deep/down", "--threads", "1", "--json")[0] == 0


@pytest.mark.usefixtures("no_picture")
def test_augmentation_and_a_warmup_reach_their_options_and_are_resumed(convcore, interrupted_at):
    arguments = ["--epochs", "2", "--threads", "1", "--schedule", "warmup,cosine", "--augment"]
    assert convcore("train", *arguments, "--out", "whole")[0] == 0
    with interrupted_at(30):
        assert convcore("train", *arguments, "--out", "half")[0] == 1
    options = cc.load_checkpoint("half").options
    assert (options.learn_rate_schedule, options.augment) == (("warmup", "cosine"), run.AUGMENT)
    assert convcore("train", "--resume", "half", "--threads", "1")[0] == 0
    whole, half = (cc.load(f"{name}/model.safetensors").arrays() for name in ("whole", "half"))
    assert all(np.array_equal(whole[name], half[name]) for name in whole)


@pytest.mark.usefixtures("no_picture")
@pytest.mark.parametrize(("solver", "rate"), [("adam", 0.001), ("rmsprop", 0.001)])
def test_other_solvers_and_metrics(solver, rate, convcore, interrupted_at):
    arguments = ["--solver", solver, "--epochs", "2", "--l2", "0", "--metrics", "top-2,top-3", "--threads", "1"]
    with interrupted_at(30):
        assert convcore("train", *arguments, "--out", "run")[0] == 1
    options = cc.load_checkpoint("run").options
    assert (options.solver, options.initial_learn_rate, options.momentum, options.l2_regularization) == (
        solver, rate, None, 0)  # fmt: skip
    status, out, _ = convcore("train", "--resume", "run", "--threads", "1", "--json")
    result = json.loads(out)
    network, digits = cc.load("run/model.safetensors"), cc.data.load("digits")
    found = cc.evaluate(network, digits, metrics=["top-2", "top-3"])
    assert (status, result["test_top2"], result["test_top3"]) == (0, found["top2"], found["top3"])
    assert result["test_accuracy"] == found["accuracy"] > 0.8
    assert "validation_top3" in pathlib.Path("run/history.csv").read_text().splitlines()[0]
    status, out, _ = convcore("evaluate", "run", "--metrics", "top-2")
    assert (status, out.splitlines()[1]) == (0, f"top-2: {100 * found['top2']:.2f} %")


def test_momentum_belongs_to_one_solver(convcore):
    text = "convcore: --momentum belongs to --solver sgdm, the solver is adam\n"
    assert convcore("train", "--solver", "adam", "--momentum", "0.5") == (2, "", text)


def test_more_of_the_largest_than_there_are_classes(convcore):
    text = "convcore: train: metrics: top-99 asks for more than the network's 10 classes\n"
    assert convcore("train", "--metrics", "top-99") == (1, "", text)
    assert not pathlib.Path("runs").exists()


def test_a_page_of_the_progress(convcore):
    pytest.importorskip("matplotlib")
    assert convcore("train", "--epochs", "1", "--plots", "training-progress", "--out", "run")[0] == 0
    assert pathlib.Path("run/training-progress.html").exists()


@pytest.mark.usefixtures("no_picture")
def test_the_default_recipe(convcore, monkeypatch):
    seen = []

    def look(network, data, options, resume):
        seen.append(options)
        raise ValueError("seen enough")

    monkeypatch.setattr(run, "train_network", look)
    assert convcore("train") == (1, "", "convcore: seen enough\n")
    (options,) = seen
    values = (options.max_epochs, options.mini_batch_size, options.initial_learn_rate, options.momentum,
              options.l2_regularization, options.seed, options.n_threads, options.learn_rate_schedule,
              options.shuffle)  # fmt: skip
    assert values == (30, 64, 0.05, 0.9, 5e-4, 0, None, "cosine", "every-epoch")


def bits(folder):
    """All that makes up a model but the layout of its file."""
    network = cc.load(folder / "model.safetensors")
    arrays = {name: (array.dtype, array.shape, array.tobytes()) for name, array in network.arrays().items()}
    return network.architecture(), arrays


@pytest.mark.usefixtures("no_picture")
def test_same_bits_for_two_runs_and_two_numbers_of_threads(convcore, elsewhere):
    for out, threads in [("a", "1"), ("b", "2")]:
        assert convcore("train", "--epochs", "1", "--threads", threads, "--out", out)[0] == 0
    assert bits(elsewhere / "a") == bits(elsewhere / "b")
    assert convcore(*SHORT, "--seed", "1", "--out", "c")[0] == 0
    assert bits(elsewhere / "a")[1] != bits(elsewhere / "c")[1]


@pytest.mark.usefixtures("no_picture")
@pytest.mark.parametrize("iteration", [1, 30, 46, 69])
def test_ctrl_c_and_resume_give_the_bits_of_an_uninterrupted_run(
    iteration, convcore, elsewhere, interrupted_at, three_epochs
):
    with interrupted_at(iteration):
        status, out, err = convcore("train", "--epochs", "3", "--threads", "1", "--out", "with space", "--json")
    result = json.loads(out)
    assert status == 1
    assert (result["stopped"], result["epochs"]) == ("interrupted", iteration / 23)
    assert err.splitlines()[-1] == "convcore: interrupted; continue with: convcore train --resume 'with space'"
    assert convcore("train", "--resume", "with space", "--threads", "1")[0] == 0
    assert bits(elsewhere / "with space") == bits(three_epochs)


@pytest.mark.usefixtures("no_picture")
def test_impatient_ctrl_c(convcore, elsewhere, interrupted_at):
    with interrupted_at(5, times=2):  # before the first checkpoint: nothing is left
        status, out, err = convcore(*SHORT, "--out", "run")
    assert (status, out, err.splitlines()[-1]) == (1, "", "convcore: interrupted")
    assert files(elsewhere) == []
    with interrupted_at(30, times=2):
        status, out, err = convcore("train", "--epochs", "2", "--threads", "1", "--out", "run")
    assert (status, out) == (1, "")
    assert err.splitlines()[-1] == "convcore: interrupted; continue with: convcore train --resume run"
    assert files(elsewhere) == ["run", "run/checkpoint.safetensors", "run/run.json"]
    assert convcore("train", "--resume", "run", "--threads", "1")[0] == 0


@pytest.mark.usefixtures("no_picture")
def test_a_finished_run_resumed_reports_again(convcore, elsewhere):
    _, first, _ = convcore(*SHORT, "--out", "run", "--json")
    before = bits(elsewhere / "run")
    again = convcore("train", "--resume", "run", "--threads", "1", "--json")
    ended = "the run in run ended with epoch 1, nothing is left to train; --epochs goes on to a later one"
    assert again == (0, first, f"convcore: {ended}\n")
    assert bits(elsewhere / "run") == before


@pytest.mark.usefixtures("no_picture")
def test_a_finished_run_goes_on_to_a_later_epoch(convcore, elsewhere):
    constant = ("--schedule", "none", "--threads", "1", "--out")
    assert convcore("train", "--epochs", "2", *constant, "whole")[0] == 0
    assert convcore("train", "--epochs", "1", *constant, "part")[0] == 0
    assert convcore("train", "--resume", "part", "--epochs", "2", "--threads", "1")[0] == 0
    assert bits(elsewhere / "part") == bits(elsewhere / "whole")
    settings = (json.loads((elsewhere / name / "run.json").read_text()) for name in ("part", "whole"))
    assert next(settings) == next(settings)
    error = "resume: the run in part is in epoch 2 already, --epochs asks for 1"
    assert convcore("train", "--resume", "part", "--epochs", "1") == (1, "", f"convcore: {error}\n")


@pytest.mark.usefixtures("no_picture")
def test_a_run_on_its_way_to_a_later_epoch_is_resumed_there(convcore, elsewhere, interrupted_at):
    constant = ("--schedule", "none", "--threads", "1", "--out")
    assert convcore("train", "--epochs", "3", *constant, "whole")[0] == 0
    assert convcore("train", "--epochs", "1", *constant, "part")[0] == 0
    with interrupted_at(60):
        assert convcore("train", "--resume", "part", "--epochs", "3", "--threads", "1")[0] == 1
    assert convcore("train", "--resume", "part", "--threads", "1")[0] == 0
    assert bits(elsewhere / "part") == bits(elsewhere / "whole")


@pytest.mark.usefixtures("no_picture")
def test_a_network_of_ones_own(convcore, elsewhere):
    (elsewhere / "models.py").write_text(MODELS)
    status, out, err = convcore(*SHORT, "--model", "models.py:make", "--json")
    assert status == 0
    assert json.loads(out)["parameters"] == 7850
    assert err.startswith("not a result\n")
    assert json.loads(out)["model_path"] == os.path.join("runs", "models-digits-1", "model.safetensors")
    assert convcore("summary", "models.py:make")[0] == 0
    (elsewhere / "models.py").unlink()  # the checkpoint knows the network
    assert convcore("train", "--resume", "runs/models-digits-1", "--threads", "1")[0] == 0


@pytest.mark.usefixtures("no_picture")
def test_training_goes_on_from_a_model(convcore, trained):
    model = trained / "model.safetensors"
    status, out, _ = convcore(*SHORT, "--model", model, "--learn-rate", "1e-6", "--json")
    assert status == 0
    assert json.loads(out)["test_accuracy"] > 0.95
    assert json.loads(out)["model_path"] == os.path.join("runs", "model-digits-1", "model.safetensors")


# ---------------------------------------------------------------- evaluate, predict, summary, doctor


def test_evaluate(convcore, trained):
    network, digits = cc.load(trained / "model.safetensors"), cc.data.load("digits")
    expected = cc.evaluate(network, digits, metrics=["confusion-matrix"])
    status, out, err = convcore("evaluate", trained / "model.safetensors", "--json")
    assert (status, err) == (0, "")
    result = json.loads(out)
    assert result.pop("model_path") == str(trained / "model.safetensors")
    assert result == {"test_accuracy": expected["accuracy"], "test_loss": expected["loss"], "test_images": 355,
                      "data": "digits", "class_names": list("0123456789"),
                      "confusion_matrix": expected["confusion_matrix"].tolist()}  # fmt: skip
    words = f"digits: test accuracy {100 * expected['accuracy']:.2f} % of 355 images, loss {expected['loss']:.4f}\n"
    status, out, err = convcore("evaluate", trained, "--threads", "1")
    assert (status, out.startswith(words), err) == (0, True, "")
    table = [line.split() for line in out.splitlines()[3:]]
    assert table == [
        list("0123456789"),
        *([str(i), *map(str, row)] for i, row in enumerate(result["confusion_matrix"])),
    ]
    assert convcore("evaluate", trained, "--batch-size", "10")[0] == 0


def test_evaluate_on_the_data_of_the_run(convcore, trained, monkeypatch):
    shutil.copytree(trained, "run")
    settings = pathlib.Path("run", "run.json")
    settings.write_text(json.dumps(json.loads(settings.read_text()) | {"data": "mnist"}))
    asked, load = [], run.data_sets.load
    monkeypatch.setattr(run.data_sets, "load", lambda name: asked.append(name) or load("digits"))
    for arguments in (["run"], ["run/model.safetensors"], ["run", "--data", "digits"]):
        assert convcore("evaluate", *arguments)[0] == 0
    settings.unlink()
    assert convcore("evaluate", "run")[0] == 0
    assert asked == ["mnist", "mnist", "digits", "digits"]


def test_predict_pictures(convcore, trained, elsewhere):
    image = pytest.importorskip("PIL.Image")
    x, y = cc.data.load("digits").test
    paths = [f"{number}.png" for number in range(len(x))]
    for path, pixels in zip(paths, x[:, 0], strict=True):
        image.fromarray(pixels).save(path)
    status, out, err = convcore("predict", trained, *paths)
    assert (status, err) == (0, "")
    lines = [re.fullmatch(r"(\d+\.png): (\d) \((\d+\.\d) %\)", line) for line in out.splitlines()]
    assert [line[1] for line in lines] == paths
    assert np.mean([int(line[2]) == label for line, label in zip(lines, y, strict=True)]) >= 0.95
    assert all(10 < float(line[3]) <= 100 for line in lines)


def test_predict_drawings_of_another_size_dark_on_light(convcore, trained):
    image = pytest.importorskip("PIL.Image")
    x, y = cc.data.load("digits").test
    for number in range(40):
        large = image.fromarray(255 - x[number, 0]).resize((112, 112)).convert("RGB")
        large.save(f"{number}.jpg", quality=95)
    status, out, _ = convcore("predict", trained, "--invert", "--json", *(f"{number}.jpg" for number in range(40)))
    assert status == 0
    rows = [json.loads(line) for line in out.splitlines()]
    assert set(rows[0]) == {"image", "class", "name", "probability"}
    assert np.mean([row["class"] == label for row, label in zip(rows, y, strict=False)]) >= 0.95
    assert all(row["name"] == str(row["class"]) and 0.1 < row["probability"] <= 1 for row in rows)


def test_predict_arrays(convcore, trained):
    x, _ = cc.data.load("digits").test
    cc.data.write_idx("some.gz", x[:3, 0])
    np.save("some.npy", x[:3])
    np.save("one.npy", x[0, 0].astype(np.float32))
    status, out, err = convcore("predict", trained / "model.safetensors", "some.gz", "some.npy", "one.npy")
    assert (status, err) == (0, "")
    lines = out.splitlines()
    assert [line.split(":")[0] for line in lines] == [
        "some.gz[0]", "some.gz[1]", "some.gz[2]", "some.npy[0]", "some.npy[1]", "some.npy[2]", "one.npy",
    ]  # fmt: skip
    answers = [line.split(": ")[1] for line in lines]
    assert answers[:3] == answers[3:6]
    assert answers[6] == answers[0]


def test_predict_prints_nothing_unless_all_files_can_be_read(convcore, trained):
    np.save("good.npy", np.zeros((28, 28), np.uint8))
    assert convcore("predict", trained, "good.npy", "nosuch") == (1, "", "convcore: predict: there is no file nosuch\n")


def test_summary(convcore, trained):
    status, out, err = convcore("summary", "lenet5")
    assert (status, err) == (0, "")
    assert re.search(r"conv1 +Conv2D +6 × 28 × 28 +156 +117,600", out)
    assert re.search(r"total +61,706 .* 16,600$", out, re.MULTILINE)
    assert convcore("summary", trained / "model.safetensors") == convcore("summary", trained) == (0, out, "")
    found = json.loads(convcore("summary", "lenet5", "--json")[1])
    assert set(found) == {"layers", "totals", "problems"}
    assert (found["totals"]["learnables"], found["problems"]) == (61706, [])
    assert found["totals"]["saved_bytes"] == sum(layer["saved_bytes"] for layer in found["layers"]) == 16600


def test_summary_names_problems(convcore, elsewhere):
    (elsewhere / "models.py").write_text(MODELS)
    status, out, _ = convcore("summary", "models.py:no_softmax")
    assert status == 0
    assert out.endswith("problem: fc: a classifier must end in Softmax\n")
    found = json.loads(convcore("summary", "models.py:large_filter", "--json")[1])
    assert [layer["saved_bytes"] for layer in found["layers"]] == [0, None, None, None]
    assert found["totals"]["saved_bytes"] is None
    assert re.search(r"^ *total .* \?$", convcore("summary", "models.py:large_filter")[1], re.MULTILINE)


def test_doctor(convcore):
    status, out, err = convcore("doctor")
    assert (status, err) == (0, "")
    assert re.search(r"^threads\n  number +\d+\n  because +\S", out, re.MULTILINE)
    found = json.loads(convcore("doctor", "--json")[1])
    assert [line for line in out.splitlines() if not line.startswith(" ")] == list(found)


# ---------------------------------------------------------------- bench and explain


LEVELS = ", ".join(isa.LEVELS)
LISTS = ", ".join(problems.names())
WRONG_FOR_BENCH = [
    (2, "--threads", "0", "--threads: the number of threads must lie in [1, 1024], got 0"),
    (2, "--threads", "1,two", "--threads must be whole numbers with commas between them, got 'two'"),
    (2, "--isa", "v3", f"--isa must be one of {LEVELS}, got 'v3'"),
    (2, "--isa", "", f"--isa must be one of {LEVELS}, got ''"),
    (2, "--directions", "forward,up", "--directions must be one of forward, backward_input, backward_weight, got 'up'"),
    (2, "--variants", "auto,", "--variants must be names with commas between them, got ''"),
    (2, "--rounds", "0", "--rounds must be at least 1, got 0"),
    (2, "--seconds", "-1", "--seconds must be finite and at least 0, got -1.0"),
    (2, "--json", "", "--json must be a file, got ''"),
    (2, "--markdown", "", "--markdown must be a file, got ''"),
    (2, "--plot", "", "--plot must be a file, got ''"),
    (2, "--compare", "", "--compare must be a file, got ''"),
    (2, "--plugin", "", "--plugin must be a file, got ''"),
    (1, "--json", "nosuch/a.json", "bench: there is no folder {}/nosuch"),
    (1, "--json", ".", "bench: {} is a folder"),
    (1, "--plot", "a.bmp", "bench: path must end in .png, .svg, .pdf, got 'a.bmp'"),
    (1, "--compare", "nosuch.json", "compare: there is no file nosuch.json"),
    (1, "--plugin", "nosuch.py", "plugin: there is no file nosuch.py"),
    (1, "--peer", "jax", "peer: 'jax' is neither torch nor a FILE.py"),
    (1, "--variants", "winograt", "bench: variants must be one or more of {variants}, got 'winograt'"),
    (1, "--problems", "lenet6", f"problems: 'lenet6' is no list ({LISTS}), no file and no problem (geometry: cannot "
     "read 'lenet6' in 'lenet6')"),
]  # fmt: skip


@pytest.mark.parametrize(("status", "flag", "value", "text"), WRONG_FOR_BENCH)
def test_wrong_value_for_bench(status, flag, value, text, convcore, elsewhere):
    variants = ", ".join(["all", "auto", *sorted(cc.kernels.variants("conv2d"))])
    text = text.replace("{}", str(elsewhere)).replace("{variants}", variants)
    assert convcore("bench", flag, value) == (status, "", f"convcore: {text}\n")
    assert files(elsewhere) == []


def test_every_flag_of_bench_is_in_the_table_of_wrong_values(convcore):
    flags = set(re.findall(r"^  (--[a-z0-9-]+) ", convcore("bench", "--help")[1], re.MULTILINE))
    assert flags - {"--smoke"} == {flag for _, flag, _, _ in WRONG_FOR_BENCH}


@pytest.fixture
def quick(monkeypatch):
    """No pauses, and a roof that costs nothing and that no kernel reaches."""
    monkeypatch.setattr(timing, "PAUSE", 0.0)
    monkeypatch.setattr(roofline, "measured_roof", lambda *_: roofline.Roof(1e6, 1e6, 2**20))


SMALL = ("bench", "--problems", "smoke", "--rounds", "3", "--seconds", "0", "--threads", "1")


def test_bench(convcore, quick, elsewhere):
    status, out, err = convcore(*SMALL, "--json", "new.json", "--markdown", "new.md", "--directions", "forward")
    assert (status, err) == (0, "")
    assert (elsewhere / "new.md").read_text() == out
    lines = out.splitlines()
    assert lines[0].startswith("- convcore ")
    assert f"- {isa.DEFAULT}, 1 thread: 1000000 GFLOP/s of multiply-adds from registers" in out
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in lines if line.startswith("| mb2")]
    assert [row[:2] for row in rows] == [["mb2ic1ih8oc2oh8kh3ph1", "forward"]]
    document = json.loads((elsewhere / "new.json").read_text())
    assert set(document) == {"schema", "machine", "peer", "plan", "roofs", "rows", "refused", "summary"}
    assert document["schema"] == results.SCHEMA
    assert document["roofs"] == [{"level": isa.DEFAULT, "n_threads": 1, "peak_gflops": 1e6, "bandwidth_gbs": 1e6,
                                  "array_bytes": 2**20}]  # fmt: skip
    assert [row["variant"] for row in document["rows"]] == ["auto", "auto"]
    assert document["refused"] == []
    assert document["plan"]["rounds"] == 3


def test_bench_compares_with_an_older_run(convcore, quick, elsewhere):
    assert convcore(*SMALL, "--json", "old.json", "--directions", "forward")[0] == 0
    old = json.loads((elsewhere / "old.json").read_text())
    for row in old["rows"]:
        row["seconds"] *= 100
    (elsewhere / "old.json").write_text(json.dumps(old))
    status, out, _ = convcore(*SMALL, "--compare", "old.json", "--json", "new.json")
    assert status == 0
    assert len(re.findall(r"\*\*\d+\.\d\d × faster\*\*", out)) == 2
    assert out.endswith("2 faster and 0 slower by more than the spread, 0 within it, 4 new.\n")
    assert json.loads((elsewhere / "new.json").read_text())["rows"][0]["change"]["of"] == "time"


def test_bench_refuses_what_cannot_be(convcore, monkeypatch, quick, elsewhere):
    monkeypatch.setattr(roofline, "measured_roof", lambda *_: roofline.Roof(1e-9, 1e6, 2**20))
    status, out, err = convcore(*SMALL, "--json", "new.json", "--plot", "new.png")
    assert status == 1
    assert "| mb2" not in out
    assert re.fullmatch(
        r"convcore: bench: 6 of 6 figures refused, first auto forward of mb2ic1ih8oc2oh8kh3ph1: \d+ GFLOP/s, above the "
        r"measured peak of 0: not all of the work was done or timed\n", err
    )  # fmt: skip
    document = json.loads((elsewhere / "new.json").read_text())
    assert (len(document["refused"]), document["rows"], document["summary"]) == (6, [], [])


def test_bench_that_has_nothing_to_measure(convcore, quick):
    problem = ("--problems", "mb1ic1ih3oc1kh3", "--plugin", "mine.py", "--variants", "mine")
    pathlib.Path("mine.py").write_text(
        "from convcore.kernels.conv_reference import forward\n"
        "def supports(direction, geometry, *_): return 'too small' if geometry.in_size == (3, 3) else None\n"
    )
    try:
        status, _, err = convcore(*SMALL, *problem)
    finally:
        cc.kernels.unregister("conv2d", "mine")
    assert (status, err) == (1, "convcore: bench: no variant of mine computes any of these problems\n")


def test_bench_ranks_a_kernel_of_ones_own(convcore, quick):
    pathlib.Path("mine.py").write_text("from convcore.kernels.conv_reference import forward")
    try:
        status, out, err = convcore(*SMALL, "--plugin", "mine.py", "--directions", "forward")
    finally:
        cc.kernels.unregister("conv2d", "mine")
    assert (status, err) == (0, "")
    assert re.search(r"^- mine of mine.py, a variant of conv2d: passed all of \d+ checks$", out, re.MULTILINE)
    ranks = out.split("**Variants beside each other**")[1]
    ours = [name for name in cc.kernels.variants("conv2d") if any(takes(name, g, "f4") for g in problems.read("smoke"))]
    assert all(f"| {name} " in ranks for name in ("mine", *ours[:-1]))


def test_bench_draws(convcore, quick, elsewhere):
    pytest.importorskip("matplotlib")
    assert convcore(*SMALL, "--plot", "bench.png")[0] == 0
    assert (elsewhere / "bench.png").read_bytes().startswith(b"\x89PNG")


def test_bench_smoke_measures_the_machine_and_runs_every_variant(convcore, elsewhere):
    status, _, err = convcore("bench", "--smoke", "--threads", "1", "--json", "smoke.json")
    assert (status, err) == (0, "")
    rows = json.loads((elsewhere / "smoke.json").read_text())["rows"]
    assert {row["variant"] for row in rows} >= {"auto", "im2col", "direct", "reference"}
    assert {row["direction"] for row in rows} == {"forward", "backward_input", "backward_weight"}


def test_explain(convcore):
    status, out, err = convcore("explain", "mb64ic1ih28oc6oh28kh5ph2")
    assert (status, err) == (0, "")
    blocks = [cc.kernels.explain("conv2d", "mb64ic1ih28oc6oh28kh5ph2", direction) for direction in
              ("forward", "backward_input", "backward_weight")]  # fmt: skip
    assert out == "\n".join(blocks) + "\n"
    level = isa.built_and_supported()[0]
    out = convcore("explain", "ic2iw9oc2kw3", "--directions", "backward_weight", "--isa", level)[1]
    assert out == cc.kernels.explain("conv1d", "ic2iw9oc2kw3", "backward_weight", level=level) + "\n"
    assert convcore("explain", "lenet") == (1, "", "convcore: geometry: cannot read 'lenet' in 'lenet'\n")
    assert convcore("explain", "x", "--isa", "v3") == (2, "", f"convcore: --isa must be one of {LEVELS}, got 'v3'\n")


# ---------------------------------------------------------------- as a process of its own


def recipe_of(folder):
    settings = json.loads((folder / "run.json").read_text())
    return {name: settings[name] for name in ("epochs", "batch_size", "learn_rate", "momentum", "schedule", "warmup")}


def test_a_recipe_and_what_is_given_beside_it(convcore, tmp_path):
    folder, fast = tmp_path / "run", run.RECIPES["fast"]
    status, out, _ = convcore("train", "--recipe", "fast", "--epochs", 1, "--batch-size", 721, "--out", folder)
    assert (status, out.startswith("digits: test accuracy ")) == (0, True)
    assert recipe_of(folder) == {**fast, "epochs": 1, "batch_size": 721}
    options = run.Settings.load(folder).options()
    assert options.learn_rate_schedule == ("warmup", "polynomial")
    assert (options.warmup_period, options.warmup_unit) == (fast["warmup"], "iterations")


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (("--recipe", "fast", "--solver", "adam"), "--recipe belongs to --solver sgdm, the solver is adam"),
        (("--recipe", "fast", "--resume", "runs"), "--recipe cannot be given with --resume: "
                                                   "the run goes on with its own settings"),
    ],
)  # fmt: skip
def test_recipes_that_cannot_be(arguments, error, convcore):
    assert convcore("train", *arguments) == (2, "", f"convcore: {error}\n")


def test_profile(convcore, tmp_path):
    pytest.importorskip("matplotlib")
    files = [tmp_path / name for name in ("step.json", "trace.json", "step.svg")]
    flags = zip(("--json", "--trace", "--plot"), files, strict=True)
    status, out, err = convcore("profile", "lenet5", "--steps", 5, "--threads", 1, "--batch-size", 16, *sum(flags, ()))
    assert (status, err) == (0, "")
    assert out.startswith("A step of 16 observations on 1 thread: ")
    assert re.search(r"^conv2  +backward  +conv2d backward_weight_bias  +mb16ic6ih14oc16oh10kh5 ", out, re.MULTILINE)
    document = json.loads(files[0].read_text())
    assert [row["layer"] for row in document["rows"] if row["op"] == "conv2d" and row["pass"] == "forward"] == [
        "conv1", "conv2"]  # fmt: skip
    assert json.loads(files[1].read_text())["traceEvents"]
    assert files[2].read_text().startswith("<?xml")


@pytest.mark.parametrize(
    ("arguments", "status", "error"),
    [
        (("lenet6",), 1, "model: 'lenet6' is neither"),
        (("lenet5", "--data", "nowhere"), 1, "data: 'nowhere' is neither"),
        (("lenet5", "--steps", 0), 2, "--steps must be at least 1, got 0"),
        (("lenet5", "--batch-size", 5000), 1, "profile: a batch of 5000 takes as many observations, there are 1442"),
        (("lenet5", "--plot", "step.txt"), 1, "profile: path must end in .png, .svg, .pdf, got 'step.txt'"),
    ],
)
def test_profile_of_what_cannot_be(arguments, status, error, convcore):
    found, out, err = convcore("profile", *arguments)
    assert (found, out) == (status, "")
    assert err.startswith(f"convcore: {error}")


def process(*arguments, **more):
    return subprocess.run(
        [sys.executable, "-m", "convcore", *map(str, arguments)], capture_output=True, text=True, **more
    )


def test_help_loads_no_library_that_it_does_not_need():
    code = (
        "import sys; from convcore.cli import main\n"
        "try: main(['train', '--help'])\n"
        "except SystemExit: pass\n"
        "print(sorted({'safetensors', 'pooch', 'PIL', 'matplotlib', 'rich.progress', 'torch'} & set(sys.modules)))"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert result.stdout.splitlines()[-1] == "[]"


def test_sigint_from_outside(elsewhere, convcore):
    command = [sys.executable, "-m", "convcore", "train", "--epochs", "500", "--threads", "1", "--out", "run"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as child:
        while "epoch 2/500" not in (line := child.stderr.readline()):
            assert line
        child.send_signal(signal.SIGINT)
        out, err = child.communicate()
    assert child.returncode == 1
    assert out.startswith("digits: test accuracy ")
    assert err.splitlines()[-1] == "convcore: interrupted; continue with: convcore train --resume run"
    assert cc.load_checkpoint("run").options.max_epochs == 500


def test_the_reader_of_a_pipe_goes_away(trained):
    np.save("many.npy", np.zeros((4000, 28, 28), np.uint8))  # more lines than a pipe holds
    command = [sys.executable, "-m", "convcore", "predict", str(trained), "many.npy"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as child:
        assert child.stdout.readline().startswith("many.npy[0]: ")
        child.stdout.close()
        assert child.stderr.read() == ""
    assert child.returncode == 1


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs a device that is always full")
def test_results_that_cannot_be_written():
    with open("/dev/full", "w") as full:
        command = [sys.executable, "-m", "convcore", "doctor"]
        result = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True)
    assert (result.returncode, result.stderr) == (1, "convcore: No space left on device\n")


def test_a_terminal_of_few_letters():
    result = process("summary", "lenet5", env={**os.environ, "PYTHONIOENCODING": "ascii"})
    assert (result.returncode, result.stderr) == (0, "")
    assert "6 ? 28 ? 28" in result.stdout


def test_all_commands_are_tested_here():
    assert sorted(command.callback.__name__ for command in app.registered_commands) == sorted(COMMANDS)
