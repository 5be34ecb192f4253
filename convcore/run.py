"""One training run of the command line: its settings, its folder, and what it reports."""

import importlib.util
import json
import math
import pathlib
import sys
from dataclasses import asdict, dataclass

import numpy as np

from convcore import data as data_sets
from convcore import isa, models
from convcore.files import write_atomic
from convcore.network import Network, load
from convcore.threads import get_num_threads
from convcore.train import TrainingOptions, evaluate
from convcore.train import train as train_network

SETTINGS, MODEL, HISTORY, PICTURE = "run.json", "model.safetensors", "history.csv", "training.png"


@dataclass(frozen=True)
class Settings:
    """What the user asked for; stored in the run's folder, so that the run can be resumed."""

    data: str
    model: str
    epochs: int | None
    batch_size: int
    learn_rate: float
    momentum: float
    l2: float
    seed: int
    schedule: str

    def options(self, **more):
        """Return the settings as TrainingOptions."""
        epochs = self.epochs or (30 if self.data == "digits" else 10)
        return TrainingOptions(
            "sgdm", initial_learn_rate=self.learn_rate, momentum=self.momentum, l2_regularization=self.l2,
            max_epochs=epochs, mini_batch_size=self.batch_size, shuffle="every-epoch",
            learn_rate_schedule=self.schedule, seed=self.seed, **more,
        )  # fmt: skip


def stored_settings(folder):
    """Return the settings of the run in a folder.

    Raises
    ------
    ValueError
        A folder without a run, or with a damaged run.json.
    """
    path = pathlib.Path(folder) / SETTINGS
    if not path.is_file():
        raise ValueError(f"train: {folder} holds no run: there is no {SETTINGS}")
    try:
        return Settings(**json.loads(path.read_text(encoding="utf-8")))
    except (ValueError, TypeError) as error:
        raise ValueError(f"train: {path} is damaged ({error})") from None


def train(settings, *, out=None, resume=None, n_threads=None):
    """Train as the settings say; return what is reported as a JSON-able dict.

    Parameters
    ----------
    settings : Settings
    out : path-like, optional
        A folder that does not exist yet, or is empty; else runs/NAME-N.
    resume : path-like, optional
        The folder of a run to go on with.
    n_threads : int, optional

    Raises
    ------
    ValueError, OSError
        Settings that do not fit each other or the data, before anything is written.
    """
    options = settings.options(n_threads=n_threads)  # a wrong setting shows here, before the data is read
    dataset = data_sets.load(settings.data)
    network = network_of(settings.model, seed=settings.seed, num_classes=dataset.num_classes,
                         channels=dataset.input_shape[0])  # fmt: skip
    network.class_names = tuple(dataset.class_names)
    per_epoch = math.ceil(len(dataset.train.x) / settings.batch_size)
    folder = pathlib.Path(resume) if resume else new_folder(settings, out)
    options = settings.options(
        n_threads=n_threads, validation_data=tuple(dataset.test), validation_frequency=per_epoch,
        verbose_frequency=max(100, per_epoch // 10), checkpoint_path=folder,
    )  # fmt: skip
    if not resume:
        folder.mkdir(parents=True, exist_ok=True)
        write_atomic(folder / SETTINGS, json.dumps(asdict(settings), indent=1) + "\n")
    history = train_network(network, dataset.train, options=options, resume=folder if resume else None)
    network.save(folder / MODEL)
    history.to_csv(folder / HISTORY)
    _draw(history, folder / PICTURE)
    found = evaluate(network, dataset.test)
    epochs = len(history) / per_epoch
    images_per_second = speed(history)
    return {
        "test_accuracy": found["accuracy"], "test_loss": found["loss"], "train_loss": last_loss(history, per_epoch),
        "epochs": int(epochs) if epochs == int(epochs) else epochs,
        "seconds_per_epoch": len(dataset.train.x) / images_per_second, "images_per_second": images_per_second,
        "n_threads": n_threads or get_num_threads(), "isa": isa.DEFAULT,
        "parameters": sum(p.size for p in network.parameters().values()), "model_path": str(folder / MODEL),
        "data": settings.data, "test_images": len(dataset.test.x), "stopped": history.stopped,
    }  # fmt: skip


def speed(history):
    """Return images per second of the training alone: of the iterations that no validation came before."""
    seconds, images = history.column("seconds"), history.column("images")
    validated = np.isfinite(history.column("validation_loss"))
    steps = ~validated[:-1]
    if not steps.any():  # every iteration validated, or only one made: what there is
        return images.sum() / seconds[-1]
    return float(images[1:][steps].sum() / np.diff(seconds)[steps].sum())


def last_loss(history, per_epoch):
    """Return the mean loss over the images of the last epoch."""
    loss, images = history.column("loss")[-per_epoch:], history.column("images")[-per_epoch:]
    return float((loss * images).sum() / images.sum())


def _draw(history, path):
    """Draw the history where matplotlib is installed; a run is no failure for want of a picture."""
    try:
        history.plot(path)
    except ImportError as error:
        print(f"convcore: no picture: {error}", file=sys.stderr)


def text_of(result):
    """Return a result in words."""
    return (
        f"{result['data']}: test accuracy {100 * result['test_accuracy']:.2f} % of {result['test_images']:,} images "
        f"after {result['epochs']:g} epochs ({result['seconds_per_epoch']:.2f} s each, "
        f"{result['images_per_second']:,.0f} images/s, {result['n_threads']} threads, {result['isa']})\n"
        f"model: {result['model_path']}"
    )


def new_folder(settings, out):
    """Return the folder of a new run: `out` if it is free, else the first of runs/NAME-1, runs/NAME-2, ... that is."""
    if out is not None:
        out = pathlib.Path(out)
        if out.exists() and (not out.is_dir() or any(out.iterdir())):
            raise ValueError(f"train: --out {out} exists and is not an empty folder")
        return out
    model = pathlib.Path(settings.model.partition(":")[0]).stem
    name = f"{model}-{pathlib.Path(settings.data).name}"
    number = 1
    while pathlib.Path("runs", f"{name}-{number}").exists():
        number += 1
    return pathlib.Path("runs", f"{name}-{number}")


def network_of(model, **arguments):
    """Return the network that a name, a FILE.py:FUNCTION, or a saved file stands for.

    Raises
    ------
    ValueError, OSError
        None of the three; a function that returns no Network.
    """
    if model in models.NAMED:
        return models.NAMED[model](**arguments)
    path, _, function = model.rpartition(":")
    if path.endswith(".py"):
        return _made_by(pathlib.Path(path), function)
    if not pathlib.Path(model).is_file():
        names = ", ".join(models.NAMED)
        raise ValueError(f"model: {model!r} is neither {names}, a model file, nor FILE.py:FUNCTION")
    return load(model)


def _made_by(path, function):
    """Call a function of a Python file of the user's."""
    if not path.is_file():
        raise ValueError(f"model: there is no file {path}")
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module  # so that functions in it can be found by name when the network is saved
    spec.loader.exec_module(module)
    if not callable(getattr(module, function, None)):
        raise ValueError(f"model: {path} has no function {function!r}")
    network = getattr(module, function)()
    if not isinstance(network, Network):
        raise ValueError(f"model: {function} of {path} must return a Network, got {type(network).__name__}")
    return network


def class_name(network, index):
    """Return what a class is called: as the data set that the network was trained on calls it, or its number."""
    return network.class_names[index] if network.class_names and index < len(network.class_names) else str(index)
