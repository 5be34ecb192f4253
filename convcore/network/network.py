"""A network: layers, their parameters, and the data that flows through them."""

import collections
from collections.abc import Iterator

import numpy as np

from convcore.arrays import FLOATS, as_numbers
from convcore.autograd import Tensor, paused, recording
from convcore.layers import ClassificationOutput, Function, Layer, formats
from convcore.layers.layer import positive_int
from convcore.network.file import Stored
from convcore.network.graph import Graph, chain, check_unique
from convcore.network.inputs import Inputs, check_batch
from convcore.network.prediction import Prediction
from convcore.summary import Summary


class Network(Stored):
    """A list of layers through which data flows from the first to the last; or a graph of them, see `from_graph`.

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
        In the order in which they are computed.
    connections : list of (str, str)
        From which layer, or input of the network, to which.
    input_names, output_names : tuple of str
        Of input layers and free inputs; of the layers whose output nobody takes.
    dtype : numpy.dtype
    class_names : tuple of str or None
        What the outputs of a classifier stand for; saved with the network.

    Raises
    ------
    TypeError, ValueError
        No layers, things that are no layers, names that occur twice, a wrong seed or dtype.

    Notes
    -----
    Sizes are inferred at the first data, or at `initialize`. Until then ``layer.weights`` is None.

    Where nobody looks at what lies between, a convolution or a fully connected layer and the ReLU behind it, and the
    max-pooling behind that, are computed as one, with the same bits; see `convcore.fusion`.

    Data may be a Tensor with a format, such as "SSCB". Its axes are brought into the order in which the package
    computes once, before the first layer, and the output's into that of the input; parameters do not depend on it.

    Examples
    --------
    >>> from convcore.layers import Conv2D, FullyConnected, ImageInput, ReLU, Softmax
    >>> net = Network([ImageInput((1, 28, 28)), Conv2D(5, 20), ReLU(), FullyConnected(10), Softmax()], seed=0)
    >>> net.predict(np.zeros((2, 1, 28, 28))).shape
    (2, 10)
    >>> net(Tensor(np.zeros((28, 28, 1, 2)), format="SSCB")).shape
    (10, 2)
    >>> list(net.parameters())
    ['conv.weights', 'conv.bias', 'fc.weights', 'fc.bias']
    """

    def __init__(self, layers, seed=0, dtype="float32"):
        if not isinstance(layers, (list, tuple)):
            raise TypeError(f"Network: layers must be a list of layers, got {type(layers).__name__}")
        _check_layers(dict(enumerate(layers)))
        named = dict(zip(_names(layers), layers, strict=True))
        self._set(named, chain(named), seed, dtype)

    @classmethod
    def from_graph(cls, layers, connections, seed=0, dtype="float32"):
        """Return a network of layers that are connected in any way without circles.

        Parameters
        ----------
        layers : dict of str to Layer
            By the names that they shall have.
        connections : list of (str, str)
            From where to where. The inputs of a layer that has several come in the order of the connections, or are
            named: ("conv", "add/in2"). A source that is no layer is an input of the network.
        seed : int
        dtype : "float32" or "float64"

        Raises
        ------
        TypeError, ValueError
            Things that are no layers; connections that go nowhere, come twice, run in a circle, or leave a layer
            without an input; the text names the layers.

        Notes
        -----
        Inputs are the input layers in the order of the dict, then the sources that are no layers in the order of the
        connections. Outputs are the layers whose output no other takes, in the order of the dict. With several inputs
        data is a tuple, list or dict by name; several outputs are a tuple.

        Examples
        --------
        >>> from convcore.layers import Addition, Conv2D, ReLU
        >>> net = Network.from_graph({"conv": Conv2D(3, 2, padding=1), "relu": ReLU(), "add": Addition()},
        ...                          connections=[("in", "conv"), ("conv", "relu"), ("relu", "add"), ("conv", "add")])
        >>> net(np.zeros((5, 1, 4, 4))).shape
        (5, 2, 4, 4)
        """
        if not isinstance(layers, dict):
            raise TypeError(f"Network: layers must be a dict of layers by name, got {type(layers).__name__}")
        _check_layers(layers)
        for name, layer in layers.items():
            if not isinstance(name, str) or not name or "." in name or "/" in name:
                raise ValueError(f"Network: a name must be a str without '.' and '/', got {name!r}")
            if layer.name not in ("", name):
                raise ValueError(f"Network: the layer {name!r} has the name {layer.name!r} already")
        network = cls.__new__(cls)
        network._set(layers, connections, seed, dtype)
        for name, layer in layers.items():
            layer.given_name = name
        return network

    def _set(self, layers, connections, seed, dtype):
        """Make the network of layers by name; nothing is changed in the layers if anything is wrong."""
        self.seed, self.dtype = _seed(seed), _dtype(dtype)
        self._graph = Graph(layers, connections)
        self._given = list(layers.values())
        self.layers = [step.layer for step in self._graph.steps]
        self.connections = self._graph.connections
        self.input_names, self.output_names = self._graph.input_names, self._graph.output_names
        self._is_list = self._graph.is_chain and chain(layers) == self.connections
        self._inputs = Inputs(self.input_names, layers)
        self._prediction = Prediction(self)
        last = self.output_layer
        self.class_names = last.classes if isinstance(last, ClassificationOutput) else None
        self._initialized = False
        for name, layer in layers.items():
            layer.name = name

    @property
    def output_layer(self):
        """The layer whose output is the network's; None where there are several."""
        found = self._graph.outputs(self.layers)
        return found[0] if len(found) == 1 else None

    # ---------------------------------------------------------------- sizes and parameters

    @property
    def initialized(self):
        """Whether all parameters exist."""
        return self._initialized

    @property
    def input_shape(self):
        """The shape of an input without the batch axis, channels before space; None until it is known.

        Of a network with several inputs a dict of these by name.
        """
        return self._inputs.by_name([None if form is None else form.observation for form in self._inputs.forms])

    @property
    def input_format(self):
        """The format of an input, as far as one was given, in the order of `input_shape`; or a dict by name."""
        return self._inputs.by_name([None if form is None else form.format for form in self._inputs.forms])

    def initialize(self, input_shape=None, seed=None, format=None):
        """Make the parameters; does nothing if they exist already.

        Parameters
        ----------
        input_shape : tuple of int, optional
            Without the batch axis; not needed where the network begins with an input layer. For several inputs a tuple
            or list of them, or a dict by name.
        seed : int, optional
            Instead of the network's.
        format : str, optional
            What the axes are, B included: input_shape (28, 28, 1) and format "SSCB". For several inputs as input_shape.

        Raises
        ------
        TypeError, ValueError
            No input_shape where one is needed; sizes that do not fit; a wrong seed. The network stays as it was.
        """
        seed = self.seed if seed is None else _seed(seed)
        forms = self._inputs.known() if input_shape is None else self._inputs.given(input_shape, format)
        if not self._initialized:
            self._inputs.compare(forms)
            self._make(forms, seed)

    def _make(self, forms, seed):
        """Make the parameters for inputs of these forms."""
        found = self._infer(forms)
        streams = np.random.SeedSequence(seed).spawn(len(self.layers))
        for layer, inferred, stream in zip(self.layers, found, streams, strict=True):
            layer.initialize(inferred.input_shape, np.random.default_rng(stream), self.dtype)
        self.seed, self._inputs.forms, self._initialized = seed, forms, True

    def shapes(self, input_shape=None, format=None):
        """Return the shape that enters each layer and, last, the output's; all without the batch axis.

        Parameters
        ----------
        input_shape, format : optional
            Other sizes than the network's own, as for `initialize`: of longer sequences, for example.

        Returns
        -------
        list of tuple
            In the order of `layers`. A layer with several inputs, and a network with several outputs, has a tuple of
            shapes.

        Raises
        ------
        ValueError
            The input's shape is not known yet; a layer that cannot take what the one before it gives.
        """
        forms = self._inputs.known() if input_shape is None else self._inputs.given(input_shape, format)
        outputs = self._outputs_of(forms)
        entering = [tuple(form.observation for form in given) for given in self._graph.inputs(forms, outputs)]
        leaving = tuple(form.observation for form in self._graph.outputs(outputs))
        return [shapes[0] if len(shapes) == 1 else shapes for shapes in [*entering, leaving]]

    @property
    def output_shape(self):
        """The output's shape without the batch axis; a tuple of shapes where there are several outputs."""
        return self.shapes()[-1]

    def output_forms(self, input_shape=None):
        """Return the `formats.Form` of each output.

        Parameters
        ----------
        input_shape : optional
            Other sizes than the network's own, as for `shapes`.

        Raises
        ------
        TypeError, ValueError
            A shape that the network does not take.
        """
        if input_shape is None:
            return self._graph.outputs(self._outputs_of(self._inputs.known()))
        forms = self._inputs.given(input_shape)
        self._inputs.compare(forms)
        return self._graph.outputs(self._outputs_of(forms))

    def input_forms(self):
        """Return the `formats.Form` of each input or None; of sequences before any data that of the smallest length."""
        return self._inputs.expected()

    def inferred(self, forms):
        """Return what each layer makes of inputs of these forms, as `graph.Graph.infer` yields it: errors as values.

        They begin with the layer's name, and end with a way out where one is in sight; those of the user's functions
        stay as they are.
        """
        for step, found in self._graph.infer(forms, self.dtype):
            if type(found) is ValueError and not isinstance(step.layer, Function):
                text = f"{found}{self._advice(forms)}"
                found = ValueError(text if text.startswith(f"{step.name}: ") else f"{step.name}: {text}")
            yield step, found

    def _advice(self, forms):
        """Return how an error about inputs of these forms may end."""

        def fits(forms):
            return not any(isinstance(found, Exception) for _, found in self._graph.infer(forms, self.dtype))

        may_guess = not any(isinstance(layer, Function) for layer in self.layers)  # these are the user's
        return self._inputs.advice(forms, fits if may_guess else None)

    def chains(self):
        """Return which layers are computed as one at present; see `chains.chains`."""
        return self._graph.chains()

    def predecessors(self):
        """Return each layer with the one whose output is its first input, None where that is the network's."""
        return [(step.layer, self._graph.source_of(step)) for step in self._graph.steps]

    def takes(self, shape):
        """Return whether the network takes observations of this shape, without the batch axis.

        Behind a SequenceInput that may be another length than the one of the first data.

        Examples
        --------
        >>> from convcore.layers import FullyConnected, SequenceInput
        >>> net = Network([SequenceInput(12), FullyConnected(3)])
        >>> net.takes((12, 100)), net.takes((13, 100))
        (True, False)
        """
        try:
            self.output_forms(shape)
        except (TypeError, ValueError):
            return False
        return True

    def _infer(self, forms):
        """Return what each layer makes of inputs of these forms."""
        found = []
        for _, inferred in self.inferred(forms):
            if isinstance(inferred, Exception):
                raise inferred
            found.append(inferred)
        return found

    def _outputs_of(self, forms):
        """Return the form of what each layer gives, for inputs of these forms."""
        return [inferred.output for inferred in self._infer(forms)]

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
        x : Tensor or array, shape (N, ...), or of the Tensor's format
            Cast to the network's dtype. Of a network with several inputs a tuple, list or dict by name of these.
        training : bool
            Whether layers behave as in training (Dropout drops).
        rng : numpy.random.Generator, optional
            For the layers that draw random numbers while training.
        logits : bool
            Leave out a Softmax at the end.

        Returns
        -------
        Tensor, shape (N, ...), or a tuple of them
            For an input with a format in the input's axis order, with a format; of several inputs the first that has
            one counts.

        Raises
        ------
        TypeError, ValueError
            No array of numbers; a shape or format that the network cannot take; a training that is no bool.
        """
        if not isinstance(training, (bool, np.bool_)):
            raise TypeError(f"Network: training must be True or False, got {training!r}")
        planned = None if training or recording() else self._prediction.outputs(x, logits)
        outputs = planned or self.by_layers(x, training, rng, logits)
        return outputs[0] if len(outputs) == 1 else outputs

    def by_layers(self, x, training=False, rng=None, logits=False):
        """Return the tuple of outputs for a batch, as each layer in its turn computes it; see `forward`."""
        inputs, given = self._take_in(x)
        outputs = self._graph.run(inputs, training, rng, logits)
        return outputs if given is None else tuple(_in_order_of(y, given) for y in outputs)

    def _take_in(self, x):
        """Return the inputs as Tensors, axes in order, and the format that counts for outputs; the first tell sizes."""
        tensors, given = self._inputs.cast(x, self.dtype)
        if not self._initialized:
            self._make(self._inputs.of_data(tensors), self.seed)
        return tensors, given

    @property
    def ends_in_softmax(self):
        """Whether the network has one output, and a Softmax gives it; a ClassificationOutput may stand behind."""
        return self._graph.ends_in_softmax

    @property
    def draws_random_numbers(self):
        """Whether a layer needs a random generator while training."""
        return any(layer.draws_random_numbers for layer in self.layers)

    def fit_normalization(self, x, reset=False):
        """Let each ImageInput compute its statistics from training images, if it has none yet or `reset` says so."""
        for name, part in zip(self.input_names, self._inputs.parts(x, "fit_normalization: x"), strict=True):
            layer = self._inputs.layers.get(name)
            if layer is not None and (reset or not layer.remembered):
                layer.fit(part)

    def non_finite_layer(self, x, training=False, rng=None):
        """Return the name of the first layer whose output for this batch is not finite, or None."""

        def name_if_not_finite(layer, y):
            return None if np.isfinite(y.data).all() else layer.name

        found = self._graph.run(self._take_in(x)[0], training, rng, stop=name_if_not_finite)
        return found if isinstance(found, str) else None

    # ---------------------------------------------------------------- prediction

    def predict(self, x, batch_size=256):
        """Return the outputs for any number of observations as an array; probabilities after a Softmax.

        Parameters
        ----------
        x : array, shape (N, ...), or Tensor with a format; or an iterator of these
            Any numbers; cast batch by batch, so memory stays bounded. Of a network with several inputs a tuple, list or
            dict by name of these.
        batch_size : int

        Returns
        -------
        ndarray, shape (N, ...), or a tuple of them
            For an input with a format in the input's axis order. Of an iterator an iterator: each part is taken when
            its outputs are asked for, and may have any length.

        Raises
        ------
        TypeError, ValueError
            No array of numbers; a shape that the network cannot take; inputs of different lengths; a batch_size
            below 1.

        Notes
        -----
        The bits do not depend on the number of threads. They may depend on `batch_size`: which kernel is the fastest
        is a question of the batch, too, and each adds in an order of its own.

        Examples
        --------
        >>> from convcore.layers import FullyConnected
        >>> net = Network([FullyConnected(2)], seed=0)
        >>> net.predict(np.ones((3, 5))).shape
        (3, 2)
        >>> parts = (np.ones((count, 5)) for count in (3, 1))
        >>> for y in net.predict(parts):
        ...     print(y.shape)
        (3, 2)
        (1, 2)
        """
        batch_size = positive_int(batch_size, "predict: batch_size")
        if isinstance(x, Iterator):
            return (self.predict(part, batch_size) for part in x)
        outputs = [y.data for y in self._predict(x, batch_size, "predict")]
        return outputs[0] if len(outputs) == 1 else tuple(outputs)

    def _predict(self, x, batch_size, op):
        """Return the outputs for all observations as Tensors."""
        inputs, given = [], None
        for part in self._inputs.parts(x, f"{op}: x"):
            format = part.format if isinstance(part, Tensor) else None
            part = part.data if isinstance(part, Tensor) else as_numbers(part, f"{op}: x")
            check_batch(part, format, f"{op}: x")
            given = given or format
            if format is not None:
                order = formats.permutation(format, formats.canonical(format))
                part, format = part if order is None else part.transpose(order), formats.canonical(format)
            inputs.append((part, format))
        if len({len(part) for part, _ in inputs}) > 1:
            shapes = ", ".join(f"{name} {part.shape}" for name, (part, _) in zip(self.input_names, inputs, strict=True))
            raise ValueError(f"{op}: the inputs must hold the same number of observations ({shapes})")
        with paused():  # inside somebody's tape, too: nothing of this is kept
            outputs = self._in_batches(inputs, batch_size, op)
        return outputs if given is None else [_in_order_of(y, given) for y in outputs]

    def _in_batches(self, inputs, batch_size, op):
        count = len(inputs[0][0])
        results = planned = None
        for start in range(0, max(count, 1), batch_size):
            batch = [part[start : start + batch_size] for part, _ in inputs]
            batch = [part if format is None else Tensor(part, format=format)
                     for part, (_, format) in zip(batch, inputs, strict=True)]  # fmt: skip
            batch = batch if len(batch) > 1 else batch[0]
            planned = self._prediction.outputs(batch, False, unchanged=planned is not None)
            outputs = planned or self.by_layers(batch)
            if results is None:
                axes = [0 if y.format is None else y.format.index("B") for y in outputs]
                shapes = [(*y.shape[:axis], count, *y.shape[axis + 1 :]) for y, axis in zip(outputs, axes, strict=True)]
                results = [Tensor(np.empty(shape, y.dtype), format=y.format)
                           for y, shape in zip(outputs, shapes, strict=True)]  # fmt: skip
            for name, result, y, axis in zip(self.output_names, results, outputs, axes, strict=True):
                if y.shape[axis] != min(batch_size, count - start):
                    raise ValueError(f"{op}: output {name} has {y.shape[axis]} observations for a batch of "
                                     f"{min(batch_size, count - start)}: a layer has changed their number")  # fmt: skip
                result.data[(slice(None),) * axis + (slice(start, start + batch_size),)] = y.data
        return results

    def classify(self, x, batch_size=256):
        """Return the index of the largest output of each observation, shape (N,), int64; see `predict`.

        Of an iterator an iterator of these.
        """
        batch_size = positive_int(batch_size, "classify: batch_size")
        if isinstance(x, Iterator):
            return (self.classify(part, batch_size) for part in x)
        outputs = self._predict(x, batch_size, "classify")
        if len(outputs) > 1:
            raise ValueError(f"classify: the network has {len(outputs)} outputs: {', '.join(self.output_names)}")
        (scores,) = outputs
        if scores.ndim != 2:
            raise ValueError(f"classify: the network's output must have shape (N, classes), got {scores.shape}")
        return scores.data.argmax(axis=1 if scores.format is None else scores.format.index("C"))

    # ---------------------------------------------------------------- looking at it

    def summary(self):
        """Return a table of the layers, their activations, learnables, multiply-adds and bytes, and found problems.

        See `convcore.summary.Summary`.
        """
        return Summary(self)

    def __repr__(self):
        end = f"seed={self.seed}, dtype={str(self.dtype)!r})"
        if self._is_list:
            inner = "".join(f"    {layer!r},\n" for layer in self.layers)
            return f"Network([\n{inner}], {end}"
        inner = "".join(f"    {layer.name!r}: {layer!r},\n" for layer in self._given)
        pairs = "".join(f"    {pair!r},\n" for pair in self.connections)
        return f"Network.from_graph({{\n{inner}}}, connections=[\n{pairs}], {end}"

    def spec_text(self):
        """Return the list of layers as the specification prints it, with the names that the user gave.

        Examples
        --------
        >>> from convcore.layers import ImageInput, Softmax
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
    return Network.from_file(path, functions)


def _check_layers(layers):
    """Raise an error unless the values are layers that may make up a new network."""
    if not layers:
        raise ValueError("Network: layers must hold at least 1 layer, got 0")
    for key, layer in layers.items():
        if not isinstance(layer, Layer):
            raise TypeError(f"Network: layers[{key!r}] must be a layer, got {type(layer).__name__}")
    if len({id(layer) for layer in layers.values()}) < len(layers):
        raise ValueError("Network: the same layer object stands in the list twice")
    taken = [layer.name for layer in layers.values() if layer.learnables]
    if taken:
        raise ValueError(f"Network: layer {taken[0]!r} belongs to another network already; make a new layer")


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


def _in_order_of(y, given):
    """Return an output in the axis order of the input's format, if it has a format."""
    return y if y.format is None else formats.reordered(y, formats.in_order_of(y.format, given))


def _names(layers):
    """Return the names of layers, and new ones: the only relu is "relu", of several the second is "relu_2"."""
    shorts = [None if layer.name else layer.short or type(layer).__name__.lower() for layer in layers]
    counts, seen, names = collections.Counter(shorts), collections.Counter(), []
    for layer, short in zip(layers, shorts, strict=True):
        seen[short] += 1
        names.append(layer.name or (short if counts[short] == 1 else f"{short}_{seen[short]}"))
    check_unique(names)
    return names
