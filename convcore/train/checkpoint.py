"""Checkpoints: one file from which a training run goes on as if it had never stopped.

The file holds arrays in the safetensors format, and a description of the run, with a checksum over everything, in its
metadata. There is no code in it, and reading it runs none.
"""

import json
import math
import os
import pathlib
from dataclasses import dataclass

from convcore.files import read_tensors, write_tensors
from convcore.network import Network
from convcore.optim import SOLVERS
from convcore.train.history import History
from convcore.train.options import TrainingOptions

FILE_NAME = "checkpoint.safetensors"
FORMAT = 2
READABLE = (1, 2)  # format 1 had SGD only, and fewer options: those since then had their defaults
# The arrays' names begin with one of these and a slash, or with the name of one of the optimizer's states.
GROUPS = ("network", "best", "history")


@dataclass(frozen=True, eq=False, repr=False)
class Checkpoint:
    """A training run between two iterations.

    Attributes
    ----------
    architecture : dict
        As `Network.architecture` returns it.
    arrays : dict of str to ndarray
        The network's arrays after the last iteration.
    optimizer_state : dict of str to ndarray
        As `Optimizer.state` returns it: "velocity/conv.weights", for example.
    best_arrays : dict of str to ndarray
        The network's arrays at the smallest validation loss; empty unless the options ask for that network.
    best_loss : float
        The smallest validation loss so far; infinite before the first validation.
    validations_without_progress : int
        Validations since then.
    learn_rate_scale : float
        What callbacks have multiplied the learning rate by.
    history : History
    options : TrainingOptions
        Without validation_data, metrics, checkpoint_path and callbacks.
    loss : str
        As `Objective.name`.
    iterations_per_epoch : int
    data : dict
        Number, shapes, dtypes and checksums of the training data.
    validation : dict or None
        The same of the validation data.
    program : dict
        Versions, instruction-set level, variants of the kernels.
    """

    architecture: dict
    arrays: dict
    optimizer_state: dict
    best_arrays: dict
    best_loss: float
    validations_without_progress: int
    learn_rate_scale: float
    history: History
    options: TrainingOptions
    loss: str
    iterations_per_epoch: int
    data: dict
    validation: dict
    program: dict

    @property
    def iteration(self):
        """The number of iterations made, over all epochs."""
        return len(self.history)

    @property
    def epoch(self):
        """The epoch of the last iteration, from 1; 0 before the first."""
        return -(-self.iteration // self.iterations_per_epoch)

    def __repr__(self):
        return f"<Checkpoint after iteration {self.iteration:,}, epoch {self.epoch}/{self.options.max_epochs}>"

    def network(self, functions=None):
        """Return a new network with the weights of the last iteration.

        Parameters
        ----------
        functions : dict of str to function, optional
            What the network's layers need from outside, as for `load`.
        """
        net = Network.from_architecture(self.architecture, functions)
        net.load_arrays(self.arrays)
        return net


def prepare_folder(folder):
    """Create the folder for checkpoints, and clear away what a killed process may have left half-written in it.

    Raises
    ------
    ValueError
        There is a file in the folder's place.
    """
    folder = pathlib.Path(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError):
        raise ValueError(f"TrainingOptions: checkpoint_path {folder} is not a folder") from None
    for torn in folder.glob(f".{FILE_NAME}.*.tmp"):
        torn.unlink(missing_ok=True)
    return folder


def save_checkpoint(folder, checkpoint):
    """Write a checkpoint into `folder` and return the file's path; at any moment the file is the old or the new one.

    Raises
    ------
    ValueError
        The options hold a function, which no file can.
    """
    path = pathlib.Path(folder) / FILE_NAME
    arrays, description = pack(checkpoint)
    write_tensors(path, arrays, {"checkpoint": description})
    return path


def load_checkpoint(path):
    """Read a checkpoint and check all of it.

    Parameters
    ----------
    path : str or path-like
        The file, or the folder that was given as ``checkpoint_path``.

    Returns
    -------
    Checkpoint

    Raises
    ------
    FileNotFoundError
        There is none.
    ValueError
        The file is damaged, or something else; the text says what is wrong with which file.
    """
    path = find(path)
    arrays, metadata = read_tensors(path, "checkpoint")
    try:
        if "checkpoint" not in metadata:
            raise ValueError("it holds no training run")
        return unpack(arrays, metadata["checkpoint"])
    except KeyError as error:
        raise ValueError(f"checkpoint: {path}: it is damaged, {error} is missing or unknown") from None
    except (ValueError, TypeError, AttributeError) as error:
        raise ValueError(f"checkpoint: {path}: {' '.join(str(error).split())}") from None


def find(path):
    """Return the path of the checkpoint file that `path` is or, being a folder, holds."""
    path = pathlib.Path(os.fspath(path))
    return path / FILE_NAME if path.is_dir() else path


def pack(checkpoint):
    """Return a checkpoint as arrays by name and a JSON-able dict. The same run gives the same, but for its seconds."""
    groups = (checkpoint.arrays, checkpoint.best_arrays, checkpoint.history.to_arrays())
    named = {f"{group}/{name}": a for group, arrays in zip(GROUPS, groups, strict=True) for name, a in arrays.items()}
    named.update(checkpoint.optimizer_state)
    description = {
        "format": FORMAT,
        "architecture": checkpoint.architecture,
        "options": json.loads(checkpoint.options.to_json()),
        "loss": checkpoint.loss,
        "iterations_per_epoch": checkpoint.iterations_per_epoch,
        "best_loss": None if math.isinf(checkpoint.best_loss) else checkpoint.best_loss,  # JSON has no infinity
        "validations_without_progress": checkpoint.validations_without_progress,
        "learn_rate_scale": checkpoint.learn_rate_scale,
        "data": checkpoint.data,
        "validation": checkpoint.validation,
        "program": checkpoint.program,
    }
    return named, json.loads(json.dumps(description))


def unpack(arrays, description):
    """Return the Checkpoint that `pack` described; KeyError, TypeError, ValueError or AttributeError if none was."""
    if description["format"] not in READABLE:
        formats = " and ".join(map(str, READABLE))
        raise ValueError(f"it has format {description['format']!r}, this version reads formats {formats}")
    options = TrainingOptions.from_json(json.dumps(description["options"]))
    groups, states = {group: {} for group in GROUPS}, {}
    for name, array in arrays.items():
        group, _, rest = name.partition("/")
        if group in GROUPS:
            groups[group][rest] = array
        elif group in SOLVERS[options.solver].state_names():
            states[name] = array
        else:
            raise KeyError(group)
    if description["iterations_per_epoch"] < 1:
        raise ValueError("it is damaged, iterations_per_epoch is below 1")
    return Checkpoint(
        architecture=dict(description["architecture"]),
        arrays=groups["network"],
        optimizer_state=states,
        best_arrays=groups["best"],
        best_loss=math.inf if description["best_loss"] is None else float(description["best_loss"]),
        validations_without_progress=int(description["validations_without_progress"]),
        learn_rate_scale=float(description.get("learn_rate_scale", 1)),
        history=History.from_arrays(groups["history"]),
        options=options,
        loss=str(description["loss"]),
        iterations_per_epoch=int(description["iterations_per_epoch"]),
        data=dict(description["data"]),
        validation=None if description["validation"] is None else dict(description["validation"]),
        program=dict(description["program"]),
    )
