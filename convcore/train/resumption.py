"""Whether a checkpoint may be carried on with the network, the data, the loss and the options given now."""

import contextlib
import dataclasses
import json
import warnings

from convcore.train import fingerprint
from convcore.train.checkpoint import find
from convcore.train.options import FIXED


def options(given, checkpoint, path):
    """Return the options to go on with: those given, if they fit the checkpoint, otherwise the checkpoint's.

    Raises
    ------
    ValueError
        An option that decides over the bits has another value; or none are given, although the run had validation
        data, which no checkpoint holds.
    """
    if given is None:
        if checkpoint.validation is not None:
            raise ValueError(
                f"resume: the run of {path} was validated, and its checkpoint does not hold the validation data; "
                "give options with validation_data"
            )
        return dataclasses.replace(checkpoint.options, checkpoint_path=find(path).parent)
    for name in FIXED:
        then, now = getattr(checkpoint.options, name), getattr(given, name)
        if then != now:
            raise ValueError(f"resume: {name} was {then!r} when {path} was written, the options say {now!r}")
    return given


@contextlib.contextmanager
def naming(path):
    """Put the checkpoint's path in front of the text of a ValueError or TypeError raised in the ``with`` block."""
    try:
        yield
    except (ValueError, TypeError) as error:
        raise ValueError(f"resume: {path}: {error}") from None


def compare(checkpoint, path, *, net, loss, data):
    """Raise a ValueError if network, loss or data are not those of the checkpoint; warn of another instruction set."""
    if _plain(net.architecture()) != _plain(checkpoint.architecture):
        raise ValueError(f"resume: the network is not the one of {path}; give None to have it built from there")
    if loss != checkpoint.loss:
        raise ValueError(f"resume: the loss was {checkpoint.loss} when {path} was written, now it is {loss}")
    for name, now in data.items():
        then = checkpoint.data.get(name)
        if then != now:
            raise ValueError(f"resume: {name} was {then} when {path} was written, now it is {now}")
    program = fingerprint.of_program()
    for name, what in (("isa", "instruction-set level"), ("variants", "kernel variants")):
        then, now = checkpoint.program.get(name), program[name]
        if then != now:
            warnings.warn(
                f"resume: {path} was written with {what} {_new(then, now)}, now it is {_new(now, then)}: "
                "the bits may differ from those of an uninterrupted run",
                RuntimeWarning,
                stacklevel=4,
            )


def _plain(architecture):
    """Return an architecture as JSON gives it back (tuples are lists), without what does not change the numbers.

    The weights come from the checkpoint, so the seed they were drawn from does not matter, nor do names of classes;
    nor the number of the format, where an older one has the defaults of what it did not know.
    """
    since = {"input_format": None, "connections": None}
    return {**since, **json.loads(json.dumps(architecture)), "format": None, "seed": None, "class_names": None}


def _new(value, other):
    """Return a dict without the entries that another one has, too; anything else as it is."""
    if not isinstance(value, dict) or not isinstance(other, dict):
        return value
    return {name: entry for name, entry in value.items() if other.get(name) != entry}
