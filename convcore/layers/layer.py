"""What all layers share: a name, properties, parameters, and how to print and save them."""

import types

import numpy as np

from convcore.arrays import as_float_array
from convcore.layers import formats
from convcore.layers.spec_values import spec_block, spec_value


class Layer:
    """A layer: properties given at construction, parameters made when the input's size is known.

    A subclass lists its properties in `properties` (each an attribute of the same name, its default beside it), and
    defines `output_shape` and `forward`; one that learns or remembers defines `initialize`, and keeps its parameters
    and states in ``self.learnables`` and ``self.remembered``.

    `output_shape`, `forward` and the rest know one order of axes only: observations, channels, what is left; which axes
    of a formatted input these are says `layout`:

    - "elementwise": whatever the axes are, the output has the same;
    - "channels": batch first, channels second, the rest in any order;
    - "windows": (N, C, and `rank` axes that windows slide over); time steps that none slides over are observations;
    - "features", "flatten": (N, C, S...) to (N, values), each time step being an observation;
    - "global": (N, C, S...) to the same with size 1; without S over the time steps, an axis that the output lacks.

    A layer with `num_inputs` > 1 gets a tuple of Tensors in `forward`, and a tuple of shapes wherever another gets one.

    Attributes
    ----------
    name : str
        "" until a network gives it one.
    given_name : str
        What the user called it; "" where the network chose the name.
    learnables : dict of str to Parameter
        For example ``{"weights": ..., "bias": ...}``; empty before `initialize`.
    remembered : dict of str to ndarray
        Arrays that are saved with the network but not learned.
    num_inputs, num_outputs : int
        1 and 1.
    input_names, output_names : tuple of str
        ("in",) and ("out",).
    is_input, is_output : bool
        Whether the layer stands at the beginning of a network, and tells what comes in (`data_shape`, `data_format`);
        whether it stands at the end.
    data_shape : tuple of int or None
        Of an input layer: the shape of one observation.
    data_format : str or None
        Of an input layer: what it takes arrays without a format for.
    variable_length : bool
        Of an input layer: whether time steps may be more than `data_shape` says.
    """

    properties = {}
    required = ()
    short = ""  # what a network calls layers without a name: "conv", "conv_1", ...
    kind = ""  # how the specification's layer lists call it: "2D Convolution"
    spec_title = ""  # how the specification calls the class: "ReLULayer"; "" where it has no name for it
    layout = "elementwise"
    rank = None  # of "windows": the number of axes that these slide over
    learned = ()  # which of `array_shapes` are parameters; the others are states
    draws_random_numbers = False
    is_input = is_output = variable_length = False
    data_shape = data_format = None
    num_inputs, input_names = 1, ("in",)
    num_outputs, output_names = 1, ("out",)

    def __init_subclass__(cls, **keywords):
        super().__init_subclass__(**keywords)
        if "__init__" not in cls.__dict__:
            cls.__init__ = _named(cls.__init__, f"{cls.__qualname__}.__init__")

    def __init__(self, name=""):
        if not isinstance(name, str):
            raise TypeError(f"{type(self).__name__}: name must be a str, got {type(name).__name__}")
        if "." in name or "/" in name:
            raise ValueError(f"{type(self).__name__}: name must not hold '.' or '/', got {name!r}")
        self.name = self.given_name = name
        self.learnables = {}
        self.remembered = {}

    @property
    def initialized(self):
        """Whether the parameters exist."""
        return True

    def initialize(self, input_shape, rng, dtype):
        """Make the parameters for inputs of this shape (without the batch axis)."""

    def fit(self, x):
        """Compute, in an input layer, statistics of training data; nothing where none are wanted."""

    def array_shapes(self, input_shape):
        """Return the shapes of the layer's parameters and states, by name, for inputs of this shape."""
        return {}

    def load(self, arrays, dtype):
        """Take parameters and states from arrays, whose names and shapes are those of `array_shapes`."""

    def output_shape(self, input_shape):
        """Return the shape of the output for an input of this shape, both without the batch axis."""
        return input_shape

    def forward(self, x, training, rng):
        """Return the layer's output Tensor for an input Tensor in the layer's own order of axes."""
        raise TypeError(f"{type(self).__name__} does not define forward")

    def apply(self, x, training, rng):
        """Return the output for an input Tensor of any format that the layer takes, in the input's axis order.

        This is what a network calls.

        Raises
        ------
        ValueError
            A format that the layer does not take.
        """
        # Without a format the axes stand in the layer's own order; only 5 of them may mean sequences of images.
        if self.num_inputs == 1 and x.format is None and x.ndim != 5:
            return self.forward(x, training, rng)
        return formats.apply(self, x, training, rng)

    def infer(self, forms, dtype):
        """Return what the layer makes of inputs of these `formats.Form`, as `formats.Inferred`.

        Raises
        ------
        ValueError
            Sizes or formats that the layer does not take.
        """
        return formats.infer(self, forms)

    def multiply_adds(self, input_shape):
        """Return the multiply-adds of one observation's forward pass."""
        return 0

    def config(self):
        """Return the properties as keyword arguments of the class, name included."""
        return {**{key: getattr(self, key) for key in (*self.required, *self.properties)}, "name": self.name}

    def __repr__(self):
        required = [repr(getattr(self, key)) for key in self.required]
        given = [
            f"{key}={getattr(self, key)!r}"
            for key, default in self.properties.items()
            if not _same(getattr(self, key), default)
        ]
        named = [f"name={self.name!r}"] if self.name else []
        return f"{type(self).__name__}({', '.join(required + given + named)})"

    def spec_text(self):
        """Return the properties as the specification prints them.

        Examples
        --------
        >>> from convcore.layers import Dropout
        >>> print(Dropout(0.25, name="drop").spec_text())
        DropoutLayer with properties:
        <BLANKLINE>
                   Name: 'drop'
        <BLANKLINE>
           Hyperparameters
            Probability: 0.2500
        """
        return spec_block(self.spec_title or type(self).__name__, self.spec_rows())

    def spec_rows(self):
        """Return what `spec_text` prints: headings, and pairs of a property's name and its value as text."""
        return [("Name", spec_value(self.name))]

    def description(self):
        """Return the words of the specification's layer lists: "ReLU", "20 5x5 convolutions with stride ..."."""
        return self.kind


def _named(function, name):
    """Return a copy of a function with another name: Python's errors about a wrong argument shall name the class that
    the user called, not the one that it inherits from."""
    if not isinstance(function, types.FunctionType):
        return function
    copy = types.FunctionType(
        function.__code__, function.__globals__, function.__name__, function.__defaults__, function.__closure__
    )
    copy.__kwdefaults__, copy.__doc__, copy.__qualname__ = function.__kwdefaults__, function.__doc__, name
    return copy


def _same(a, b):
    return type(a) is type(b) and not isinstance(a, np.ndarray) and a == b


def given_array(value, what):
    """Return weights or a bias given by the user as an array, or None.

    Raises
    ------
    TypeError, ValueError
        No array of float32, float64, integers or booleans; numbers that are not finite.
    """
    if value is None:
        return None
    array = as_float_array(value, what).copy()
    if not np.isfinite(array).all():
        raise ValueError(f"{what} must be finite, got {array[~np.isfinite(array)][0]}")
    return array


def positive_int(value, what):
    """Return a size as an int of at least 1, else raise a TypeError or ValueError that names `what`."""
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)):
        raise TypeError(f"{what} must be an int, got {value!r}")
    if value < 1:
        raise ValueError(f"{what} must be at least 1, got {value}")
    return int(value)


def count_of_inputs(value, op, least):
    """Return a layer's number of inputs and their names, "in" or "in1", "in2", ...

    Examples
    --------
    >>> count_of_inputs(2, "demo", 2)
    (2, ('in1', 'in2'))
    """
    count = positive_int(value, f"{op}: num_inputs")
    if count < least:
        raise ValueError(f"{op}: num_inputs must be at least {least}, got {count}")
    return count, ("in",) if count == 1 else tuple(f"in{i}" for i in range(1, count + 1))
