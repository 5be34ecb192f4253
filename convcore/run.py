"""What the commands do: train, evaluate, predict; each returns what the command line prints.

A training run is a folder: what was asked for (run.json), the checkpoint, the model, the history, its picture.
"""

import contextlib
import importlib.util
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
from convcore.train import TrainingOptions, checkpoint, load_checkpoint
from convcore.train import evaluate as measure
from convcore.train import train as train_network
from convcore.train.objective import Objective

SETTINGS, MODEL, HISTORY, PICTURE = "run.json", "model.safetensors", "history.csv", "training.png"
CHECKPOINT = checkpoint.FILE_NAME


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
    learn_rate, momentum, l2 : float
    seed : int
        Of the first weights and of the order of the images.
    schedule : str
    """

    data: str = "digits"
    model: str = "lenet5"
    epochs: int | None = None
    batch_size: int = 64
    learn_rate: float = 0.05
    momentum: float = 0.9
    l2: float = 5e-4
    seed: int = 0
    schedule: str = "cosine"

    def __post_init__(self):
        if self.epochs is None:
            object.__setattr__(self, "epochs", 30 if self.data == "digits" else 10)

    def options(self, **more):
        """Return the settings as TrainingOptions."""
        return TrainingOptions(
            "sgdm", initial_learn_rate=self.learn_rate, momentum=self.momentum, l2_regularization=self.l2,
            max_epochs=self.epochs, mini_batch_size=self.batch_size, shuffle="every-epoch",
            learn_rate_schedule=self.schedule, seed=self.seed, **more,
        )  # fmt: skip

    def save(self, folder):
        """Write the settings into the folder of a run, files and folders so that they are found from anywhere."""
        data = self.data if self.data in LOADERS else os.path.abspath(self.data)
        model = self.model if self.model in models.NAMED else os.path.abspath(self.model)
        text = json.dumps(asdict(replace(self, data=data, model=model)), indent=1)
        write_atomic(folder / SETTINGS, text + "\n")

    @classmethod
    def load(cls, folder):
        """Return the settings of the run in a folder.

        Raises
        ------
        ValueError
            A folder without a run, or with a damaged run.json.
        """
        path = folder / SETTINGS
        if not path.is_file():
            raise ValueError(f"resume: {folder} holds no run: there is no {path}")
        try:
            settings = cls(**json.loads(path.read_text(encoding="utf-8")))
            settings.options()
        except (ValueError, TypeError) as error:
            raise ValueError(f"resume: {path} is damaged ({error})") from None
        return settings


def train(settings, out=None, n_threads=None):
    """Train a network in a folder of its own; return what is reported, as a JSON-able dict.

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
    """
    if out is not None and out.exists() and not (out.is_dir() and not any(out.iterdir())):
        raise ValueError(f"train: --out {out} exists and is not an empty folder")
    settings.options(n_threads=n_threads)
    dataset = data_sets.load(settings.data)
    network = network_of(settings.model, num_classes=dataset.num_classes, channels=dataset.input_shape[0])
    if network.input_shape not in (None, dataset.input_shape):
        raise ValueError(f"train: {settings.model} takes images {network.input_shape}, "
                         f"{settings.data} holds {dataset.input_shape}")  # fmt: skip
    network.initialize(dataset.input_shape, settings.seed)
    network.class_names = tuple(dataset.class_names)
    _rehearse(network, dataset)
    folder = _claim_folder(settings, dataset, out)
    settings.save(folder)
    return _run(settings, dataset, network, folder, n_threads)


def resume(folder, n_threads=None):
    """Go on with the run in a folder, from its checkpoint; returns and raises what `train` does."""
    settings = Settings.load(folder)
    if not (folder / CHECKPOINT).is_file():
        raise ValueError(f"resume: {folder} holds no {CHECKPOINT}: the run ended before its first; start it anew")
    network = load_checkpoint(folder).network(functions=_functions_of(settings.model))
    return _run(settings, data_sets.load(settings.data), network, folder, n_threads, resume=folder)


def _run(settings, dataset, network, folder, n_threads, resume=None):
    """Train in a folder that is there, and write the results into it."""
    per_epoch = math.ceil(len(dataset.train.x) / settings.batch_size)
    options = settings.options(
        n_threads=n_threads, validation_data=tuple(dataset.test), validation_frequency=per_epoch,
        verbose_frequency=max(100, per_epoch // 10), checkpoint_path=folder,
    )  # fmt: skip
    with _told_how_to_go_on(folder) as go_on:
        history = train_network(network, dataset.train, options=options, resume=resume)
        if history.stopped == "interrupted":
            go_on()
        network.save(folder / MODEL)
        history.to_csv(folder / HISTORY)
        _draw(history, folder / PICTURE)
        with num_threads(n_threads or get_num_threads()):
            found = measure(network, dataset.test)
    epochs = len(history) / per_epoch
    images_per_second = speed(history)
    return {
        "test_accuracy": found["accuracy"], "test_loss": found["loss"], "train_loss": last_loss(history, per_epoch),
        "epochs": int(epochs) if epochs == int(epochs) else epochs,
        "seconds_per_epoch": len(dataset.train.x) / images_per_second, "images_per_second": images_per_second,
        "n_threads": n_threads or get_num_threads(), "isa": isa.DEFAULT,
        "parameters": sum(p.size for p in network.parameters().values()), "model_path": str(folder / MODEL),
        "data": dataset.name, "test_images": len(dataset.test.x), "stopped": history.stopped,
    }  # fmt: skip
