"""A network: a list of layers, their parameters, and what can be done with the whole."""

import collections
import os
import pathlib

import numpy as np

from convcore.arrays import FLOATS, as_numbers
from convcore.autograd import Tensor, paused
from convcore.files import read_tensors, write_tensors
from convcore.layers import ImageInput, Layer, Softmax
from convcore.layers.config import layer_from_config, layer_to_config
from convcore.layers.layer import positive_int
from convcore.summary import Summary

FORMAT = "convcore network 1"


class Network:
    """A list of layers through which data flows from the first to the last.

    Parameters
    ----------
    layers : list of Layer
        Each layer object belongs to one network. Layers without a name get one: "conv", or "conv_1", "conv_2", ...
    seed : int
        What the initializers draw from; each layer draws from a stream of its own.
    dtype : "float32" or "float64"
        Of all parameters and activations; inputs are cast to it.

    Attributes
    ----------
    layers : list of Layer
    dtype : numpy.dtype
    input_shape : tuple of int or None
        Without the batch axis; None until it is known.
    class_names : tuple of str or None
        What the outputs of a classifier stand for; saved with the network.

    Raises
    ------
    TypeError, ValueError
        No layers, things that are no layers, names that occur twice, a wrong seed or dtype.

    Notes
    -----
    Sizes are inferred at the first data, or at `initialize`. Until then ``layer.weights`` is None.

    Examples
    --------
    >>> from convcore.layers import Conv2D, FullyConnected, ReLU
    >>> net = Network([ImageInput((1, 28, 28)), Conv2D(5, 20), ReLU(), FullyConnected(10), Softmax()], seed=0)
    >>> net.predict(np.zeros((2, 1, 28, 28))).shape
    (2, 10)
    >>> list(net.parameters())
    ['conv.weights', 'conv.bias', 'fc.weights', 'fc.bias']
    """

    def __init__(self, layers, seed=0, dtype="float32"):
        if not isinstance(layers, (list, tuple)):
            raise TypeError(f"Network: layers must be a list of layers, got {type(layers).__name__}")
        if not layers:
            raise ValueError("Network: layers must hold at least 1 layer, got 0")
        for position, layer in enumerate(layers):
            if not isinstance(layer, Layer):
                raise TypeError(f"Network: layers[{position}] must be a layer, got {type(layer).__name__}")
        if len({id(layer) for layer in layers}) < len(layers):
            raise ValueError("Network: the same layer object stands in the list twice")
        taken = [layer.name for layer in layers if layer.learnables]
        if taken:
            raise ValueError(f"Network: layer {taken[0]!r} belongs to another network already; make a new layer")
        self.layers = list(layers)
        self.seed = _seed(seed)
        self.dtype = _dtype(dtype)
        _name(self.layers)
        first = self.layers[0]
        self.input_shape = first.input_size if isinstance(first, ImageInput) else None
        self.class_names = None
        self._initialized = False

    # ---------------------------------------------------------------- sizes and parameters

    @property
    def initialized(self):
        """Whether all parameters exist."""
        return self._initialized

    def initialize(self, input_shape=None, seed=None):
        """Make the parameters; does nothing if they exist already.

        Parameters
        ----------
        input_shape : tuple of int, optional
            Without the batch axis; not needed where the first layer is an ImageInput.
        seed : int, optional
            Instead of the network's.

        Raises
        ------
        TypeError, ValueError
            No input_shape where one is needed; sizes that do not fit; a wrong seed. The network stays as it was.
        """
        seed = self.seed if seed is None else _seed(seed)
        input_shape = self.input_shape if input_shape is None else _shape(input_shape)
        if self._initialized:
            return
        if self.input_shape not in (None, input_shape):
            owner = "ImageInput" if isinstance(self.layers[0], ImageInput) else "network"
            raise ValueError(f"Network: input_shape {input_shape} is not the {owner}'s {self.input_shape}")
        shapes = self._shapes(input_shape)
        streams = np.random.SeedSequence(seed).spawn(len(self.layers))
        for layer, shape, stream in zip(self.layers, shapes, streams, strict=False):
            layer.initialize(shape, np.random.default_rng(stream), self.dtype)
        self.seed, self.input_shape, self._initialized = seed, input_shape, True

    def shapes(self):
        """Return the shape that enters each layer and, last, the output's; all without the batch axis.

        Raises
        ------
        ValueError
            The input's shape is not known yet; a layer that cannot take what the one before it gives.
        """
        return self._shapes(self.input_shape)

    def _shapes(self, input_shape):
        if input_shape is None:
            raise ValueError("Network: the size of the input is not known; call initialize(input_shape) first")
        shapes = [input_shape]
        for layer in self.layers:
            shapes.append(tuple(layer.output_shape(shapes[-1])))
        return shapes

    @property
    def output_shape(self):
        """The output's shape without the batch axis."""
        return self.shapes()[-1]

    def parameters(self):
        """Return the learnable parameters by name, in the order of the layers, in each weights then bias."""
        self.initialize()
        return {f"{layer.name}.{role}": p for layer in self.layers for role, p in layer.learnables.items()}

    def states(self):
        """Return what is saved with the network but not learned, by name: the statistics of normalizations."""
        return {f"{layer.name}.{role}": a for layer in self.layers for role, a in layer.remembered.items()}

    # ---------------------------------------------------------------- forward

    def __call__(self, x, training=False, rng=None):
        """Return the output Tensor for a batch; see `forward`."""
        return self.forward(x, training=training, rng=rng)

    def forward(self, x, *, training=False, rng=None, logits=False):
        """Return the output for a batch.

        Parameters
        ----------
        x : Tensor or array, shape (N, ...)
            Cast to the network's dtype.
        training : bool
            Whether layers behave as in training (Dropout drops).
        rng : numpy.random.Generator, optional
            For the layers that draw random numbers while training.
        logits : bool
            Leave out a Softmax at the end.

        Returns
        -------
        Tensor, shape (N, ...)

        Raises
        ------
        TypeError, ValueError
            No array of numbers; a shape that the network cannot take; a training that is no bool.
        """
        if not isinstance(training, (bool, np.bool_)):
            raise TypeError(f"Network: training must be True or False, got {training!r}")
        x = self._cast(x)
        for layer in self.layers[:-1] if logits and self.ends_in_softmax else self.layers:
            x = layer.forward(x, training, rng)
        return x

    def _cast(self, x):
        """Return the input as a Tensor of the network's dtype; the first one tells the sizes."""
        if isinstance(x, Tensor):
            if x.dtype != self.dtype:
                if x.requires_grad:
                    raise TypeError(f"Network: x requires grad and is {x.dtype}, the network is {self.dtype}")
                x = Tensor(x.data.astype(self.dtype))
        else:
            x = Tensor(as_numbers(x, "Network: x").astype(self.dtype, copy=False))
        if x.ndim < 2:
            raise ValueError(f"Network: x must have a batch axis and at least one more, got {x.shape}")
        if not self._initialized:
            self.initialize(x.shape[1:] if self.input_shape is None else None)
        return x

    @property
    def ends_in_softmax(self):
        """Whether the last layer is a Softmax."""
        return isinstance(self.layers[-1], Softmax)

    @property
    def draws_random_numbers(self):
        """Whether a layer needs a random generator while training."""
        return any(layer.draws_random_numbers for layer in self.layers)

    def fit_normalization(self, x, reset=False):
        """Let the ImageInput compute its statistics from training images, if it has none yet or `reset` says so."""
        first = self.layers[0]
        if isinstance(first, ImageInput) and (reset or not first.remembered):
            first.fit(x)

    def non_finite_layer(self, x, training=False, rng=None):
        """Return the name of the first layer whose output for this batch is not finite, or None."""
        x = self._cast(x)
        for layer in self.layers:
            x = layer.forward(x, training, rng)
            if not np.isfinite(x.data).all():
                return layer.name
        return None

    # ---------------------------------------------------------------- prediction

    def predict(self, x, batch_size=256):
        """Return the outputs for any number of observations as an array; probabilities after a Softmax.

        Parameters
        ----------
        x : array, shape (N, ...)
            Any numbers; cast batch by batch, so memory stays bounded.
        batch_size : int

        Returns
        -------
        ndarray, shape (N, ...)

        Raises
        ------
        TypeError, ValueError
            No array of numbers; a shape that the network cannot take; a batch_size below 1.

        Notes
        -----
        With the compiled kernels the bits do not depend on `batch_size`.
        """
        return self._predict(x, batch_size, "predict")

    def _predict(self, x, batch_size, op):
        batch_size = positive_int(batch_size, f"{op}: batch_size")
        x = x.data if isinstance(x, Tensor) else as_numbers(x, f"{op}: x")
        if x.ndim < 2:
            raise ValueError(f"{op}: x must have a batch axis and at least one more, got {x.shape}")
        with paused():  # inside somebody's tape, too: nothing of this is kept
            return self._in_batches(x, batch_size)

    def _in_batches(self, x, batch_size):
        if len(x) == 0:
            return self.forward(x).data
        result = None
        for start in range(0, len(x), batch_size):
            y = self.forward(x[start : start + batch_size]).data
            if result is None:
                result = np.empty((len(x), *y.shape[1:]), y.dtype)
            result[start : start + batch_size] = y
        return result

    def classify(self, x, batch_size=256):
        """Return the index of the largest output of each observation, shape (N,), int64; see `predict`."""
        scores = self._predict(x, batch_size, "classify")
        if scores.ndim != 2:
            raise ValueError(f"classify: the network's output must have shape (N, classes), got {scores.shape}")
        return scores.argmax(axis=1)

    # ---------------------------------------------------------------- looking at it

    def summary(self):
        """Return a table of the layers, their activations, learnables, multiply-adds and bytes, and found problems."""
        return Summary(self)

    def __repr__(self):
        inner = "".join(f"    {layer!r},\n" for layer in self.layers)
        return f"Network([\n{inner}], seed={self.seed}, dtype={str(self.dtype)!r})"

    def spec_text(self):
        """Return the list of layers as the specification prints it, with the names that the user gave.

        Examples
        --------
        >>> print(Network([ImageInput((1, 28, 28)), Softmax()]).spec_text())
          2x1 Layer array with layers:
        <BLANKLINE>
             1   ''   Image Input   28x28x1 images with 'zerocenter' normalization
             2   ''   Softmax       softmax
        """
        names = [f"'{layer.given_name}'" for layer in self.layers]
        name_width, kind_width = max(map(len, names)), max(len(layer.kind) for layer in self.layers)
        rows = [
            f"{position:>6}   {name:<{name_width}}   {layer.kind:<{kind_width}}   {layer.description()}"
            for position, (name, layer) in enumerate(zip(names, self.layers, strict=True), 1)
        ]
        return "\n".join([f"  {len(rows)}x1 Layer array with layers:", "", *rows])

    # ---------------------------------------------------------------- saving

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
            "class_names": self.class_names,
            "layers": [layer_to_config(layer) for layer in self.layers],
        }

    @staticmethod
    def from_architecture(architecture, functions=None):
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
        if not isinstance(architecture, dict) or architecture.get("format") != FORMAT:
            raise ValueError(f"not a network of the format {FORMAT!r}")
        try:
            layers = [layer_from_config(config, functions or {}) for config in architecture["layers"]]
            network = Network(layers, architecture["seed"], architecture["dtype"])
            if architecture["input_shape"] is not None:
                network.input_shape = _shape(architecture["input_shape"])
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
        for layer, shape in zip(self.layers, self.shapes(), strict=False):
            prefix = f"{layer.name}."
            share = {name.removeprefix(prefix): rest.pop(name) for name in list(rest) if name.startswith(prefix)}
            wanted = layer.array_shapes(shape)
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
        if not path.parent.is_dir():
            raise FileNotFoundError(f"save: there is no folder {path.parent}")
        if path.is_dir():
            raise IsADirectoryError(f"save: {path} is a folder")
        self.initialize()
        architecture = self.architecture()
        write_tensors(path, self.arrays(), {"network": architecture})


def load(path, functions=None):
    """Return the network that `Network.save` wrote.

    Parameters
    ----------
    path : path-like
    functions : dict of str to function, optional
        The functions that the network uses, by "module:name"; loading imports nothing by itself.

    Raises
    ------
    FileNotFoundError
    TypeError
        No path; functions that are no dict.
    ValueError
        A damaged file, or one that holds no network; the text names the file and what is wrong in it.
    """
    if functions is not None and not isinstance(functions, dict):
        raise TypeError(f"load: functions must be a dict of functions by name, got {type(functions).__name__}")
    path = _path(path, "load")
    arrays, metadata = read_tensors(path, "load")
    try:
        network = Network.from_architecture(metadata.get("network"), functions)
        shares = network._shares(arrays)
    except ValueError as error:
        raise ValueError(f"load: {path}: {error}") from None
    network._take(shares)
    return network


def _path(path, op):
    if not isinstance(path, (str, os.PathLike)):
        raise TypeError(f"{op}: path must be a str or a path, got {type(path).__name__}")
    return pathlib.Path(path)


def _seed(seed):
    if isinstance(seed, bool) or not isinstance(seed, (int, np.integer)):
        raise TypeError(f"Network: seed must be an int, got {seed!r}")
    if seed < 0:
        raise ValueError(f"Network: seed must be at least 0, got {seed}")
    return int(seed)


def _dtype(dtype):
    try:
        found = np.dtype(dtype)
    except Exception:  # NumPy has one for every kind of nonsense
        found = None
    if dtype is None or found is None or found not in FLOATS:  # to NumPy, None is float64
        raise ValueError(f'Network: dtype must be "float32" or "float64", got {dtype!r}')
    return found


def _shape(shape):
    if not isinstance(shape, (tuple, list)) or not all(type(n) is int or isinstance(n, np.integer) for n in shape):
        raise TypeError(f"Network: input_shape must be a tuple of ints, got {shape!r}")
    if not shape or min(shape) < 1:
        raise ValueError(f"Network: input_shape must hold sizes of at least 1, got {tuple(shape)}")
    return tuple(int(n) for n in shape)


def _name(layers):
    """Give layers without a name one: the only relu is "relu", of several the second is "relu_2"."""
    shorts = [None if layer.name else layer.short or type(layer).__name__.lower() for layer in layers]
    counts, seen, names = collections.Counter(shorts), collections.Counter(), []
    for layer, short in zip(layers, shorts, strict=True):
        seen[short] += 1
        names.append(layer.name or (short if counts[short] == 1 else f"{short}_{seen[short]}"))
    twice = [name for name, count in collections.Counter(names).items() if count > 1]
    if twice:
        raise ValueError(f"Network: two layers have the name {twice[0]!r}")
    for layer, name in zip(layers, names, strict=True):
        layer.name = name
