"""What the commands do: train, evaluate, predict; each returns what the command line prints.

A training run is a folder: what was asked for (run.json), the checkpoint, the model, the history, its picture.
"""

import contextlib
import itertools
import json
import math
import os
import pathlib
import shlex
import sys
from dataclasses import asdict, dataclass, replace

import numpy as np

from convcore import data as data_sets
from convcore import isa, models
from convcore.data.images import read_images
from convcore.data.load import LOADERS
from convcore.files import write_atomic
from convcore.network import Network, load
from convcore.threads import get_num_threads, num_threads
from convcore.train import TrainingOptions, load_checkpoint
from convcore.train import evaluate as measure
from convcore.train import train as train_network
from convcore.train.checkpoint import FILE_NAME as CHECKPOINT
from convcore.train.metrics import accumulators, check_metric
from convcore.train.objective import Objective
from convcore.user_code import blamed_on, imported

# Mild enough for digits, whose 6 must not become a 9, nor lose its top.
AUGMENT = data_sets.Augment(shift=2, rotation=10, scale=0.1)
# Of the recipe, per solver: the steps of the adaptive ones do not shrink with the gradients.
LEARN_RATES = {"sgdm": 0.05, "adam": 0.001, "rmsprop": 0.001}
# What --recipe stands for: of each flag that is not given. Found on 5,000 held-out images of MNIST, as what comes
# furthest in two epochs: small batches, a high rate that rises at first (6 or 12 seeds of each of 28 settings: rates of
# 0.02 to 0.09, momenta of 0.8 to 0.95, batches of 24 to 48, warm-ups of 200 to 600 iterations).
RECIPES = {
    "fast": {"epochs": 2, "batch_size": 32, "learn_rate": 0.08, "momentum": 0.85, "schedule": "warmup,polynomial",
             "warmup": 400},
}  # fmt: skip
SETTINGS, MODEL, HISTORY, PICTURE = "run.json", "model.safetensors", "history.csv", "training.png"


# ---------------------------------------------------------------- train


@dataclass(frozen=True)
class Settings:
    """What a run was asked for; stored in its folder, so that it can be resumed.

    Parameters
    ----------
    data, model : str
        As `convcore.data.load` and `network_of` take them.
    epochs : int or None
        None: 30 for the digits, else 10.
    batch_size : int, images
    learn_rate : float or None
        None: `LEARN_RATES` of the solver.
    momentum : float or None
        None: 0.9 for "sgdm"; other solvers have none.
    l2 : float
    seed : int
        Of the first weights and of the order of the images.
    schedule : str
        A name, or two with a comma between them: "warmup,cosine".
    augment : bool
        Whether the training images are changed at random, as `AUGMENT` says.
    solver : {"sgdm", "adam", "rmsprop"}
    plots : {"none", "training-progress"}
    metrics : sequence of str
        "top-2", "top-3", ...: measured besides the accuracy.
    warmup : int or None
        Iterations in which the rate of a schedule with "warmup" rises; None: an epoch.
    """

    data: str
    model: str
    epochs: int | None
    batch_size: int
    learn_rate: float | None
    momentum: float | None
    l2: float
    seed: int
    schedule: str
    augment: bool = False
    solver: str = "sgdm"
    plots: str = "none"
    metrics: tuple = ()
    warmup: int | None = None

    def __post_init__(self):
        if self.epochs is None:
            object.__setattr__(self, "epochs", 30 if self.data == "digits" else 10)
        if self.learn_rate is None:  # of an unknown solver the options say so
            object.__setattr__(self, "learn_rate", LEARN_RATES.get(self.solver))
        object.__setattr__(self, "metrics", tuple(self.metrics))  # a list in run.json

    def options(self, **more):
        """Return the settings as TrainingOptions."""
        if self.warmup is not None:
            more = {"warmup_period": self.warmup, "warmup_unit": "iterations", **more}
        return TrainingOptions(
            self.solver, initial_learn_rate=self.learn_rate, momentum=self.momentum, l2_regularization=self.l2,
            max_epochs=self.epochs, mini_batch_size=self.batch_size, shuffle="every-epoch",
            learn_rate_schedule=schedule(self.schedule), augment=AUGMENT if self.augment else None, seed=self.seed,
            plots=self.plots, metrics=self.metrics, **more,
        )  # fmt: skip

    def save(self, folder):
        """Write the settings into the folder of a run, files and folders so that they are found from anywhere."""
        data = self.data if self.data in LOADERS else os.path.abspath(self.data)
        model = self.model if self.model in models.NAMED else os.path.abspath(self.model)
        text = json.dumps(asdict(replace(self, data=data, model=model)), indent=1)
        write_atomic(folder / SETTINGS, text + "\n")

    @classmethod
    def load(cls, folder, what="resume"):
        """Return the settings of the run in a folder; errors are in the name of `what`.

        Raises
        ------
        ValueError
            A folder without a run, or with a damaged run.json.
        """
        path = folder / SETTINGS
        if not path.is_file():
            raise ValueError(f"{what}: {folder} holds no run: there is no {path}")
        try:
            settings = cls(**json.loads(path.read_text(encoding="utf-8")))
            settings.options()
        except (ValueError, TypeError) as error:
            raise ValueError(f"{what}: {path} is damaged ({error})") from None
        return settings


def schedule(text):
    """Return the learning rate schedule that a text stands for.

    Examples
    --------
    >>> schedule("cosine"), schedule("warmup,cosine")
    ('cosine', ('warmup', 'cosine'))
    """
    return tuple(text.split(",")) if isinstance(text, str) and "," in text else text


class Interrupted(RuntimeError):
    """Ctrl-C ended a run whose folder holds a checkpoint; the text says how to go on."""

    def __init__(self, folder):
        super().__init__(f"interrupted; continue with: convcore train --resume {shlex.quote(str(folder))}")


def train(settings, out=None, n_threads=None):
    """Train a network in a new folder; return what is reported, as a JSON-able dict.

    Parameters
    ----------
    settings : Settings
    out : pathlib.Path, optional
        A folder that does not exist yet, or is empty; else runs/NAME-N.
    n_threads : int, optional

    Raises
    ------
    ValueError, OSError
        Settings that do not fit each other or the data, before anything is written.
    TrainingError, Interrupted
        Without a checkpoint nothing is left of the folder.
    """
    if out is not None and out.exists() and not (out.is_dir() and not any(out.iterdir())):
        raise ValueError(f"train: --out {out} exists and is not an empty folder")
    network, dataset = network_and_data(settings.model, settings.data, settings.seed, "train")
    network.class_names = tuple(dataset.class_names)
    _rehearse(network, dataset, settings)
    return _run(settings, dataset, network, _new_folder(settings, dataset, out), n_threads)


def resume(folder, n_threads=None, epochs=None):
    """Go on with the run in a folder, from its checkpoint, to its end or to another number of epochs in all.

    Returns and raises what `train` does. Where nothing is left to train, a line on stderr says so.
    """
    settings = Settings.load(folder)
    if not (folder / CHECKPOINT).is_file():
        raise ValueError(f"resume: {folder} holds no {CHECKPOINT}: the run ended before its first, start it anew")
    made = load_checkpoint(folder)
    begun = math.ceil(made.iteration / made.iterations_per_epoch)
    if epochs is not None and epochs < begun:
        raise ValueError(f"resume: the run in {folder} is in epoch {begun} already, --epochs asks for {epochs}")
    settings = replace(settings, epochs=epochs or made.options.max_epochs)
    if made.iteration == settings.epochs * made.iterations_per_epoch:
        ended = f"the run in {folder} ended with epoch {settings.epochs}, nothing is left to train"
        print(f"convcore: {ended}; --epochs goes on to a later one", file=sys.stderr)
    try:
        network = made.network()
    except ValueError:  # layers that were made with functions: these are only in the file of the user's
        network = made.network(_functions_of(settings.model))
    return _run(settings, data_sets.load(settings.data), network, folder, n_threads, resume=folder)


def _rehearse(network, dataset, settings):
    """Raise now what training would raise at its start: nothing has been written yet."""
    objective = Objective(network, "crossentropy", "train")
    objective.pair(dataset.train, "data")
    accumulators(objective, *objective.pair(dataset.test, "validation_data"), settings.metrics, "train: metrics")
    network.predict(dataset.train.x[:1])
    network.architecture()  # functions that no file can hold


def _new_folder(settings, dataset, out):
    """Create the folder of a new run and return it: `out`, or the first of runs/NAME-1, runs/NAME-2, ... to be free."""
    if out is not None:
        out.mkdir(parents=True, exist_ok=True)
        return out
    name = f"{pathlib.Path(settings.model.partition(':')[0]).stem}-{dataset.name}"
    for number in itertools.count(1):
        folder = pathlib.Path("runs", f"{name}-{number}")
        with contextlib.suppress(FileExistsError):  # also where another process was faster
            folder.mkdir(parents=True)
            return folder


def _run(settings, dataset, network, folder, n_threads, resume=None):
    """Train in a folder that exists, and leave the results in it."""
    per_epoch = math.ceil(len(dataset.train.x) / settings.batch_size)
    options = settings.options(
        n_threads=n_threads, validation_data=tuple(dataset.test), validation_frequency=per_epoch,
        verbose_frequency=max(100, per_epoch // 10), checkpoint_path=folder,
    )  # fmt: skip
    try:
        if resume is None:
            settings.save(folder)
        history = train_network(network, dataset.train, options=options, resume=resume)
        settings.save(folder)  # a resumed run may have gone on to another number of epochs
        network.save(folder / MODEL)
        history.to_csv(folder / HISTORY)
        _draw(history, folder / PICTURE)
        found = _measure(network, dataset, 256, n_threads, settings.metrics)
    except BaseException as error:
        if not (folder / CHECKPOINT).exists():  # the folder is of no use to anybody
            (folder / SETTINGS).unlink(missing_ok=True)
            with contextlib.suppress(OSError):
                folder.rmdir()
        elif isinstance(error, KeyboardInterrupt):
            raise Interrupted(folder) from None
        raise
    epochs = len(history) / per_epoch
    images_per_second = speed(history)
    return {
        "test_accuracy": found["accuracy"], "test_loss": found["loss"], "train_loss": history.final["epoch_loss"],
        "epochs": int(epochs) if epochs == int(epochs) else epochs,
        "seconds_per_epoch": len(dataset.train.x) / images_per_second, "images_per_second": images_per_second,
        "n_threads": n_threads or get_num_threads(), "isa": isa.DEFAULT,
        "parameters": sum(p.size for p in network.parameters().values()), "model_path": str(folder / MODEL),
        "data": dataset.name, "test_images": len(dataset.test.x), "stopped": history.stopped,
        **_metrics(found, settings.metrics),
    }  # fmt: skip


def speed(history):
    """Return images per second of the training alone: of the iterations that no validation came before."""
    seconds, images = history.column("seconds"), history.column("images")
    validated = np.isfinite(history.column("validation_loss"))
    steps = ~validated[:-1]
    if not steps.any():  # every iteration validated, or only one made: what there is
        return float(images.sum() / seconds[-1])
    return float(images[1:][steps].sum() / np.diff(seconds)[steps].sum())


def _draw(history, path):
    """Draw the history where that is possible; a run is no failure for want of a picture."""
    try:
        history.plot(path)
    except Exception as error:  # no matplotlib, or one that cannot work here
        print(f"convcore: no picture: {error}", file=sys.stderr)


def network_and_data(model, data, seed=0, source="profile"):
    """Return a network, initialized, and the data set that it is to be trained with; errors name `source`."""
    dataset = data_sets.load(data)
    network = network_of(model, num_classes=dataset.num_classes, channels=dataset.input_shape[0])
    if network.input_shape not in (None, dataset.input_shape):
        raise ValueError(f"{source}: {model} takes images {network.input_shape}, {data} holds {dataset.input_shape}")
    network.initialize(dataset.input_shape, seed)
    return network, dataset


# ---------------------------------------------------------------- evaluate and predict


def evaluate(model, data=None, batch_size=256, n_threads=None, metrics=()):
    """Measure a model file on the test images of a data set; return what is reported, as a JSON-able dict.

    Without `data` that of the run in whose folder the model lies, or the digits.
    """
    network = load_model(model)
    if data is None:
        folder = model if model.is_dir() else model.parent
        data = Settings.load(folder, "evaluate").data if (folder / SETTINGS).is_file() else "digits"
    dataset = data_sets.load(data)
    found = _measure(network, dataset, batch_size, n_threads, metrics)
    return {"test_accuracy": found["accuracy"], "test_loss": found["loss"], "test_images": found["images"],
            "data": dataset.name, "model_path": str(model),
            "class_names": [class_name(network, index) for index in range(network.output_shape[0])],
            "confusion_matrix": found["confusion_matrix"].tolist(), **_metrics(found, metrics)}  # fmt: skip


def _measure(network, dataset, batch_size, n_threads, metrics):
    with num_threads(n_threads or get_num_threads()):
        return measure(network, dataset.test, batch_size, "crossentropy", ["confusion-matrix", *metrics])


def _metrics(found, metrics):
    """Return what was measured besides loss and accuracy, as entries of a report: "test_top3"."""
    columns = [check_metric(metric, "metrics") for metric in metrics]
    return {f"test_{column}": found[column] for column in columns}


def predict(model, paths, invert=False):
    """Classify the images in files by a model file.

    Parameters
    ----------
    model : pathlib.Path
    paths : list of pathlib.Path
        What `read_images` reads.
    invert : bool
        For dark strokes on light paper.

    Returns
    -------
    list of dict
        "image", the path, with [N] behind it where a file holds several; "class", int; "name"; "probability".

    Raises
    ------
    ValueError, OSError
        A file that cannot be read; a network that does not turn images into probabilities of classes.
    """
    network = load_model(model)
    if network.input_shape is None or len(network.input_shape) != 3:
        raise ValueError(f"predict: {model} takes {network.input_shape}, not images (channels, height, width)")
    if not network.ends_in_softmax or len(network.output_shape) != 1:
        raise ValueError(f"predict: {model} gives no probabilities of classes: it ends in "
                         f"{type(network.layers[-1]).__name__} with output {network.output_shape}")  # fmt: skip
    batches = [(path, read_images(path, network.input_shape, invert=invert)) for path in paths]
    found = []
    for path, batch in batches:
        for number, probabilities in enumerate(network.predict(batch)):
            best = int(probabilities.argmax())
            image = str(path) if len(batch) == 1 else f"{path}[{number}]"
            found.append({"image": image, "class": best, "name": class_name(network, best),
                          "probability": float(probabilities[best])})  # fmt: skip
    return found


def class_name(network, index):
    """Return what a class is called: as the data set that the network was trained on calls it, or its number."""
    names = network.class_names or ()
    return names[index] if index < len(names) else str(index)


# ---------------------------------------------------------------- models by name, file or function


def load_model(path):
    """Return the network in a model file, or in the folder of a run."""
    path = pathlib.Path(path)
    return load(path / MODEL if path.is_dir() else path)


def network_of(model, **arguments):
    """Return the network that a name, a FILE.py:FUNCTION, or a saved file stands for.

    Parameters
    ----------
    model : str
    **arguments
        For the function behind a name, as `lenet5` takes them.

    Raises
    ------
    ValueError, OSError
        None of the three; a function that fails, or returns no Network.
    """
    if model in models.NAMED:
        return models.NAMED[model](**arguments)
    path, function = _python_file(model)
    if path is not None:
        return _made_by(path, function)
    if not os.path.exists(model):
        names = ", ".join(models.NAMED)
        raise ValueError(f"model: {model!r} is neither {names}, a model file, nor FILE.py:FUNCTION")
    return load_model(model)


def _python_file(model):
    """Return the path and the function's name of FILE.py:FUNCTION, or (None, "") for anything else."""
    path, _, function = model.rpartition(":") if ":" in model else (model, "", "")
    return (pathlib.Path(path), function) if path.endswith(".py") else (None, "")


def _made_by(path, function):
    """Return the Network that a function of the user's returns."""
    if not path.is_file():
        raise FileNotFoundError(f"model: there is no file {path}")
    if not function:
        raise ValueError(f"model: say which function of {path} returns the network: {path}:FUNCTION")
    with blamed_on("model", path):
        module = imported(path)
    if not callable(getattr(module, function, None)):
        raise ValueError(f"model: {path} has no function {function!r}")
    with blamed_on("model", f"{function} of {path}"):
        network = getattr(module, function)()
    if not isinstance(network, Network):
        raise ValueError(f"model: {function} of {path} must return a Network, got {type(network).__name__}")
    return network


def _functions_of(model):
    """Return the functions of FILE.py by "module:name", for layers that were made with them; none for other models."""
    path, _ = _python_file(model)
    if path is None or not path.is_file():
        return {}
    with blamed_on("model", path):
        module = imported(path)
    return {f"{module.__name__}:{name}": value for name, value in vars(module).items() if callable(value)}
