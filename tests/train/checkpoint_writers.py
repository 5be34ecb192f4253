"""Kill processes that write checkpoints, and look at what they leave; run by test_checkpoint.py.

The imports are paid for once: each writer is a fork of this process.
"""

import contextlib
import os
import pathlib
import random
import signal
import sys
import time

import numpy as np

from convcore.train import Checkpoint, History, TrainingOptions, load_checkpoint
from convcore.train.checkpoint import prepare_folder, save_checkpoint


def checkpoint(generation):
    """Return a checkpoint in which everything tells its generation."""
    history = History()
    for i in range(generation % 7 + 1):
        history.append(1, i + 1, 4, 0.1, generation, None, 0.1)
    # Large enough that bytes on their way into the file take up a good part of the time of a write.
    arrays = {
        "fc.weights": np.full((1000, 1000), generation, np.float32),
        "fc.bias": np.full(7, generation, np.float32),
    }
    return Checkpoint(
        architecture={"generation": generation}, arrays=arrays, best_arrays={}, best_loss=generation,
        optimizer_state={f"velocity/{name}": array for name, array in arrays.items()},
        validations_without_progress=0, learn_rate_scale=1.0, history=history,
        options=TrainingOptions(seed=generation), loss="mse", iterations_per_epoch=10, data={}, validation=None,
        program={},
    )  # fmt: skip


def write_for_ever(folder, generation, pipe):
    while True:
        save_checkpoint(folder, checkpoint(generation))
        os.write(pipe, generation.to_bytes(8, "little"))
        generation += 1


def look(folder):
    """Return what can be seen of the files in a folder from outside."""
    seen = set()
    for path in pathlib.Path(folder).iterdir():
        with contextlib.suppress(FileNotFoundError):  # renamed meanwhile
            status = path.stat()
            seen.add((path.name, status.st_size, status.st_mtime_ns))
    return seen


def verify(folder):
    """Return the generation of the file, after checking that all of it is of one."""
    found = load_checkpoint(folder)
    generation = found.options.seed
    assert found.architecture == {"generation": generation}
    assert found.best_loss == generation
    assert len(found.history) == generation % 7 + 1
    for array in (*found.arrays.values(), *found.optimizer_state.values(), found.history.column("loss")):
        assert (array == generation).all()
    return generation


def main(folder, kills):
    rng, generation, torn = random.Random(0), 1, 0
    save_checkpoint(folder, checkpoint(0))  # imports what writing needs
    start = time.perf_counter()
    save_checkpoint(folder, checkpoint(0))
    duration = time.perf_counter() - start  # of a write: the kills are spread over it
    for kill in range(kills):
        reading, writing = os.pipe()
        pid = os.fork()
        if pid == 0:
            os.close(reading)
            write_for_ever(folder, generation, writing)
        os.close(writing)
        for _ in range(rng.randrange(1, 4)):
            confirmed = int.from_bytes(os.read(reading, 8), "little")
        moment = rng.random() * duration
        if kill % 2:  # wait for the disk to be touched, and kill soon after
            before, moment = look(folder), moment / 8
            while look(folder) == before:
                assert os.waitpid(pid, os.WNOHANG) == (0, 0), "the writer has failed"
        moment += time.perf_counter()
        while time.perf_counter() < moment:
            pass
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        while message := os.read(reading, 8):
            confirmed = int.from_bytes(message, "little")
        os.close(reading)
        found = verify(folder)
        assert confirmed <= found <= confirmed + 1, (confirmed, found)
        torn += len(list(pathlib.Path(folder).glob(".*.tmp")))
        prepare_folder(folder)
        assert [path.name for path in pathlib.Path(folder).iterdir()] == ["checkpoint.safetensors"]
        generation = found + 1
    print(f"{kills} kills, {torn} of them in the middle of a write, {generation} checkpoints")


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
