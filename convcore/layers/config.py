"""Layers as JSON, for files: their type, their properties, and the names of functions, never code."""

import json

from convcore import layers


def layer_to_config(layer):
    """Return a layer's type and properties as a JSON-able dict, functions as "module:name".

    Raises
    ------
    ValueError
        A function that cannot be found again by its name, such as a lambda.

    Examples
    --------
    >>> layer_to_config(layers.Dropout(0.25, name="drop"))
    {'type': 'Dropout', 'probability': 0.25, 'name': 'drop'}
    """
    config = {"type": type(layer).__name__, **layer.config()}
    for key, value in config.items():
        if callable(value):
            module, function = getattr(value, "__module__", None), getattr(value, "__qualname__", "")
            name = f"{module}:{function}"
            if module is None or not function.isidentifier():
                raise ValueError(f"save: {layer.name}: {key} must be a function at the top level of a module to be "
                                 f"saved, got {value!r}")  # fmt: skip
            config[key] = {"function": name}
    json.dumps(config)  # a config that is no JSON shows here, before anything is written
    return config


def layer_from_config(config, functions):
    """Return the layer that a dict of `layer_to_config` stands for.

    Parameters
    ----------
    config : dict
    functions : dict of str to function
        Those that the layer may use, by "module:name"; nothing is imported.

    Raises
    ------
    ValueError, KeyError, TypeError
        Something that is no such dict; a function that was not passed in.
    """
    if not isinstance(config, dict):
        raise ValueError(f"a layer must be a dict of its properties, got {config!r}")
    config = dict(config)
    kind = config.pop("type")
    if kind not in layers.__all__ or kind in ("Layer", "Parameter"):
        raise ValueError(f"unknown layer type {kind!r}")
    for key, value in config.items():
        if isinstance(value, dict):
            name = value["function"]
            if name not in functions:
                raise ValueError(f"{key} is the function {name}; pass it in: functions={{{name!r}: ...}}")
            config[key] = functions[name]
    return getattr(layers, kind)(**config)
