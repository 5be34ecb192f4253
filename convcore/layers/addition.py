"""The layer that adds its inputs."""

import functools

from convcore.layers.layer import Layer, count_of_inputs
from convcore.layers.spec_values import spec_inputs
from convcore.ops import add


class Addition(Layer):
    """Add several inputs of one shape, element by element: where a skip connection ends.

    Parameters
    ----------
    num_inputs : int, at least 2
    name : str

    Raises
    ------
    TypeError, ValueError
        Arguments of another kind or outside their range.

    Notes
    -----
    Inputs are added from the first to the last: "in1", "in2", ...

    Examples
    --------
    >>> Addition(3).output_shape(((16, 8, 8), (16, 8, 8), (16, 8, 8)))
    (16, 8, 8)
    """

    properties = {"num_inputs": 2}
    short = "addition"
    kind = "Addition"
    spec_title = "AdditionLayer"

    def __init__(self, num_inputs=2, *, name=""):
        super().__init__(name)
        self.num_inputs, self.input_names = count_of_inputs(num_inputs, "Addition", 2)

    def output_shape(self, input_shape):
        """Return the shape that all inputs have."""
        if len(set(input_shape)) > 1:
            shapes = " and ".join(str(shape) for shape in dict.fromkeys(input_shape))
            raise ValueError(f"{self.name or 'Addition'}: the inputs must have one shape, got {shapes}")
        return input_shape[0]

    def forward(self, x, training, rng):
        """Return the sum of a tuple of Tensors, in the shape that all of them have."""
        self.output_shape(tuple(tensor.shape for tensor in x))
        return functools.reduce(add, x)

    def spec_rows(self):
        """Return the name and the inputs."""
        return [*super().spec_rows(), *spec_inputs(self)]

    def description(self):
        """Return the specification's words: "Element-wise addition of 2 inputs"."""
        return f"Element-wise addition of {self.num_inputs} inputs"
