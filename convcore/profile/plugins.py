"""What others add to the bench: kernels and peers, by name or as files."""

import dataclasses
import importlib
import pathlib

from convcore.kernels import registry
from convcore.profile import exactness, problems
from convcore.user_code import blamed_on, can_be_imported, imported

DIRECTIONS = ("forward", "backward_input", "backward_weight")
PEERS = ("torch",)
# What a peer is: a module with prepare(levels) -> str, use_threads(n), and convolution(direction, geometry, arrays) ->
# a callable without arguments or the reason why there is none; torch_peer.py is one.
PEER_FUNCTIONS = ("prepare", "use_threads", "convolution")


def peer(name):
    """Return the module of a peer: one of PEERS, or in a file.

    Raises
    ------
    ValueError, OSError
        Neither of them; a file that fails or lacks one of the functions that make a peer.
    """
    if name in PEERS:
        return importlib.import_module(f"convcore.profile.{name}_peer")
    if not can_be_imported(name):
        raise ValueError(f"peer: {name!r} is neither {', '.join(PEERS)} nor a FILE.py")
    module = _imported("peer", name)
    missing = [function for function in PEER_FUNCTIONS if not callable(getattr(module, function, None))]
    if missing:
        raise ValueError(f"peer: {name} has no function {', '.join(missing)}")
    return module


def kernel(path, level, geometries):
    """Run a file that registers variants, or is one, and put each through the exactness tests.

    A file is a variant itself if it has one of the functions forward, backward_input, backward_weight; it may say OP
    ("conv2d" if not) and NAME (the file's name if not).

    Parameters
    ----------
    path : str or path-like
    level : str
        The instruction-set level that it is asked for.
    geometries : iterable of ConvGeometry
        Tested besides the grid of awkward ones, cut to three images, where the definition takes a moment.

    Returns
    -------
    list of (op, name, number of checks passed)

    Raises
    ------
    Inexact
        The first thing that a kernel gets wrong.
    ValueError, OSError
        A file that is none, fails, or brings no variant of a convolution.
    """
    before = registry.registered()
    module = _imported("plugin", path)
    found = [pair for pair, variant in registry.registered().items() if variant is not before.get(pair)]
    if not found:
        if not any(callable(getattr(module, direction, None)) for direction in DIRECTIONS):
            raise ValueError(f"plugin: {path} neither registers a variant nor has one of {', '.join(DIRECTIONS)}")
        found = [(getattr(module, "OP", "conv2d"), getattr(module, "NAME", module.__name__))]
        with blamed_on("plugin", path):
            registry.register(found[0][0], module, found[0][1])
    strangers = [op for op, _ in found if registry.family(op) != "conv"]
    if strangers:
        raise ValueError(f"plugin: {path} brings a variant of {strangers[0]}, the bench measures convolutions")
    grid = [*problems.read("exactness"), *filter(_takes_a_moment, map(_few_images, geometries))]
    return [(op, name, exactness.verify(op, name, level, grid)) for op, name in found]


def _imported(subject, path):
    """Run a user's file as a module."""
    if not can_be_imported(path):
        raise ValueError(f"{subject}: {path} is neither a Python file nor a compiled module for this Python")
    if not pathlib.Path(path).is_file():
        raise FileNotFoundError(f"{subject}: there is no file {path}")
    with blamed_on(subject, path):
        return imported(path)


def _few_images(geometry):
    return dataclasses.replace(geometry, batch=min(3, geometry.batch))


def _takes_a_moment(geometry):
    return all(exactness.definition_seconds(geometry, d) <= exactness.AFFORDABLE for d in DIRECTIONS)
