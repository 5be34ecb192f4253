"""The layer that calls a function of the user's."""

import numpy as np

from convcore.autograd import Tensor, paused
from convcore.layers import formats
from convcore.layers.layer import Layer, count_of_inputs
from convcore.layers.spec_values import spec_function, spec_value


class Function(Layer):
    """Apply a function of Tensors.

    Parameters
    ----------
    f : function
        Called with one Tensor per input, observations along the batch axis; returns a Tensor that has the batch axis,
        too. What it is made of should be functions of the package, so that gradients flow.
    num_inputs : int, at least 1
    formattable : bool
        Whether f takes care of formats: it finds them in its Tensors, and the format of its result counts. Otherwise a
        result has the format of the first input, and must have as many axes.
    description : str
        What lists of layers print; "" is the function's name.
    name : str

    Raises
    ------
    TypeError, ValueError
        Arguments of another kind or outside their range.

    Notes
    -----
    The size of the output is found by a call with one observation of zeros. A network with the layer is saved with the
    function's name, "module:name"; a function without one, such as a lambda, is an error on saving.

    Examples
    --------
    >>> Function(np.negative).description()
    'negative'
    """

    properties = {"num_inputs": 1, "formattable": False, "description": ""}
    required = ("f",)
    short = "function"
    kind = "Function"
    spec_title = "FunctionLayer"

    def __init__(self, f, *, num_inputs=1, formattable=False, description="", name=""):
        super().__init__(name)
        if not callable(f):
            raise TypeError(f"Function: f must be a function, got {f!r}")
        if not isinstance(formattable, (bool, np.bool_)):
            raise TypeError(f"Function: formattable must be True or False, got {formattable!r}")
        if not isinstance(description, str):
            raise TypeError(f"Function: description must be a str, got {description!r}")
        self.f = f
        self.num_inputs, self.input_names = count_of_inputs(num_inputs, "Function", 1)
        self.formattable = bool(formattable)
        self._description = description

    def config(self):
        """Return the properties as keyword arguments of the class, name included."""
        return {**super().config(), "description": self._description}

    def __repr__(self):
        f = getattr(self.f, "__qualname__", repr(self.f))
        given = {key: value for key, value in self.config().items() if key != "f"}
        named = [f"{key}={value!r}" for key, value in given.items() if value != {**self.properties, "name": ""}[key]]
        return f"Function({', '.join([f, *named])})"

    def output_shape(self, input_shape, dtype=np.float32):
        """Return the shape of what f makes of one observation of zeros."""
        shapes = input_shape if self.num_inputs > 1 else (input_shape,)
        return self.infer([formats.Form((1, *shape), None) for shape in shapes], dtype).output.shape[1:]

    def infer(self, forms, dtype):
        """Return the form of what f makes of one observation of zeros."""
        zeros = tuple(Tensor(np.zeros(form.shape, dtype), format=form.format) for form in forms)
        with paused():
            y = self.apply(zeros if self.num_inputs > 1 else zeros[0], False, None)
        batch = 0 if y.format is None else y.format.find("B")
        if y.ndim == 0 or batch < 0 or y.shape[batch] != 1:
            raise ValueError(f"{self.name or 'Function'}: f must keep the batch axis, it turned "
                             f"{' and '.join(str(form.shape) for form in forms)} into {y.shape}")  # fmt: skip
        shapes = tuple(form.observation for form in forms)
        return formats.Inferred(shapes if self.num_inputs > 1 else shapes[0], formats.Form(y.shape, y.format))

    def apply(self, x, training, rng):
        """Return what f makes of a Tensor or a tuple of them, with a format if they have one."""
        y = self.forward(x, training, rng)
        first = x[0] if self.num_inputs > 1 else x
        if not self.formattable and first.format is not None:
            if y.ndim != first.ndim:
                raise ValueError(
                    f'{self.name or "Function"}: f turned {first.ndim} axes "{first.format}" into {y.ndim}; with '
                    "formattable=True it can say what they are"
                )
            y.format = first.format
        return y

    def forward(self, x, training, rng):
        """Return what f makes of a Tensor or a tuple of them."""
        y = self.f(*x) if self.num_inputs > 1 else self.f(x)
        if not isinstance(y, Tensor):
            raise TypeError(f"{self.name or 'Function'}: f must return a Tensor, got {type(y).__name__}")
        return y

    def spec_rows(self):
        """Return the name, the function's name, and whether it takes care of formats."""
        formattable = ("Formattable", spec_value(self.formattable))
        return [*super().spec_rows(), ("PredictFcn", spec_function(self.f)), formattable]

    def description(self):
        """Return the description that was given, or the function's name."""
        return self._description or getattr(self.f, "__name__", type(self.f).__name__)
