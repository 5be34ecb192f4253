"""Networks as files: the architecture as JSON, parameters and statistics as arrays."""

import os
import pathlib

import numpy as np

from convcore.arrays import FLOATS
from convcore.files import check_target, read_tensors, write_tensors
from convcore.layers import ImageInput
from convcore.layers.config import layer_from_config, layer_to_config
from convcore.network.graph import check_unique

FORMAT = "convcore network 2"
READABLE = ("convcore network 1", FORMAT)  # 1 knew lists of layers, and no formats of axes


class Stored:
    """What a network has to be written and read again; the base class of `Network`."""

    def architecture(self):
        """Return everything but the arrays as a JSON-able dict.

        Raises
        ------
        ValueError
            A function (initializer, normalization) that cannot be found again by its name.
        """
        return {
            "format": FORMAT,
            "dtype": str(self.dtype),
            "seed": self.seed,
            "input_shape": self.input_shape,
            "input_format": self.input_format,
            "class_names": self.class_names,
            "layers": [layer_to_config(layer) for layer in self._given],
            "connections": None if self._is_list else self.connections,
        }

    @classmethod
    def from_architecture(cls, architecture, functions=None):
        """Return a network without parameters, from what `architecture` gave.

        Parameters
        ----------
        architecture : dict
        functions : dict of str to function, optional
            The functions that the architecture names, by "module:name"; nothing is imported.

        Raises
        ------
        ValueError
            Something that is no architecture; a function that was not passed in.
        """
        if not isinstance(architecture, dict) or architecture.get("format") not in READABLE:
            raise ValueError(f"not a network of the format {FORMAT!r}")
        try:
            layers = [layer_from_config(config, functions or {}) for config in architecture["layers"]]
            seed, dtype, connections = architecture["seed"], architecture["dtype"], architecture.get("connections")
            if connections is None:
                network = cls(layers, seed, dtype)
            else:
                check_unique([layer.name for layer in layers])
                network = cls.from_graph({layer.name: layer for layer in layers}, connections, seed, dtype)
            if architecture["input_shape"] is not None:
                network._inputs.learn(architecture["input_shape"], architecture.get("input_format"))
            if architecture["class_names"] is not None:
                network.class_names = tuple(str(name) for name in architecture["class_names"])
        except KeyError as error:
            raise ValueError(f"not a network that convcore can read (it lacks {error})") from None
        except (TypeError, AttributeError) as error:
            raise ValueError(f"not a network that convcore can read ({error})") from None
        return network

    def arrays(self):
        """Return parameters and states as arrays, by name: what a file of the network holds."""
        parameters = {name: parameter.data for name, parameter in self.parameters().items()}
        return {**parameters, **self.states()}

    def load_arrays(self, arrays):
        """Take parameters and states from what `arrays` gave; nothing is changed if anything does not fit.

        Raises
        ------
        TypeError, ValueError
            A missing, surplus or misshapen array, or one that holds no floats.
        """
        if not isinstance(arrays, dict) or not all(isinstance(array, np.ndarray) for array in arrays.values()):
            raise TypeError("load_arrays: arrays must be a dict of NumPy arrays by name")
        try:
            shares = self._shares(arrays)
        except ValueError as error:
            raise ValueError(f"load_arrays: {error}") from None
        self._take(shares)

    def _shares(self, arrays):
        """Return each layer's arrays by their names in the layer, all checked."""
        shares = []
        rest = {str(name): array for name, array in arrays.items()}
        for layer, found in zip(self.layers, self._infer(self._inputs.known()), strict=True):
            prefix = f"{layer.name}."
            share = {name.removeprefix(prefix): rest.pop(name) for name in list(rest) if name.startswith(prefix)}
            wanted = layer.array_shapes(found.input_shape)
            if isinstance(layer, ImageInput):
                wanted = dict.fromkeys(layer.wanted_statistics, (layer.input_size[0], 1, 1)) if share else {}
            for name in {**wanted, **share}:
                if name not in share or name not in wanted:
                    raise ValueError(f"{'no' if name not in share else 'an unknown'} array {prefix}{name}")
                if share[name].shape != tuple(wanted[name]):
                    raise ValueError(f"{prefix}{name} must have shape {tuple(wanted[name])}, got {share[name].shape}")
                if share[name].dtype not in FLOATS:
                    raise ValueError(f"{prefix}{name} must hold float32 or float64, got {share[name].dtype}")
            shares.append(share)
        if rest:
            raise ValueError(f"an unknown array {min(rest)}")
        return shares

    def _take(self, shares):
        for layer, share in zip(self.layers, shares, strict=True):
            layer.load(share, self.dtype)
        self._initialized = True

    def save(self, path):
        """Write architecture, factors, parameters and statistics to one safetensors file, atomically.

        Raises
        ------
        FileNotFoundError
            The folder does not exist.
        TypeError, ValueError
            No path; functions that cannot be named (a lambda); a network whose sizes are not known yet. Nothing is
            written.
        """
        path = _path(path, "save")
        check_target(path, "save")
        self.initialize()
        architecture = self.architecture()
        write_tensors(path, self.arrays(), {"network": architecture})

    @classmethod
    def from_file(cls, path, functions=None):
        """Return the network in a file; see `load`."""
        if functions is not None and not isinstance(functions, dict):
            raise TypeError(f"load: functions must be a dict of functions by name, got {type(functions).__name__}")
        path = _path(path, "load")
        arrays, metadata = read_tensors(path, "load")
        if "checkpoint" in metadata:
            raise ValueError(f"load: {path} is a checkpoint: cc.load_checkpoint or convcore train --resume reads it")
        try:
            network = cls.from_architecture(metadata.get("network"), functions)
            shares = network._shares(arrays)
        except ValueError as error:
            raise ValueError(f"load: {path}: {error}") from None
        network._take(shares)
        return network


def _path(path, op):
    if not isinstance(path, (str, os.PathLike)):
        raise TypeError(f"{op}: path must be a str or a path, got {type(path).__name__}")
    return pathlib.Path(path)
