"""The layer that joins its inputs."""

from convcore.layers.layer import Layer, count_of_inputs, positive_int
from convcore.layers.spec_values import spec_inputs
from convcore.ops import concatenate


class Concatenation(Layer):
    """Join several inputs along an axis, by default along the channels.

    Parameters
    ----------
    axis : int, at least 1
        1 are the channels, 2 is the next axis, for images the height. Of inputs with a format, axis 1 is C and the rest
        comes in the order of the format.
    num_inputs : int, at least 2
    name : str

    Raises
    ------
    TypeError, ValueError
        Arguments of another kind or outside their range.

    Notes
    -----
    Inputs are joined from the first to the last: "in1", "in2", ...

    Examples
    --------
    >>> Concatenation().output_shape(((16, 8, 8), (4, 8, 8)))
    (20, 8, 8)
    """

    properties = {"axis": 1, "num_inputs": 2}
    short = "concat"
    kind = "Concatenation"
    layout = "channels"

    def __init__(self, axis=1, num_inputs=2, *, name=""):
        super().__init__(name)
        self.axis = positive_int(axis, "Concatenation: axis")
        self.num_inputs, self.input_names = count_of_inputs(num_inputs, "Concatenation", 2)

    def output_shape(self, input_shape):
        """Return the shape of the joined inputs."""
        first, axis = input_shape[0], self.axis - 1
        what = self.name or "Concatenation"
        shapes = " and ".join(str(tuple(shape)) for shape in input_shape)
        if axis >= min(len(shape) for shape in input_shape):
            raise ValueError(f"{what}: the inputs must have an axis {self.axis}, got {shapes}")
        if len({(*shape[:axis], *shape[axis + 1 :]) for shape in input_shape}) > 1:
            raise ValueError(f"{what}: the inputs may differ along axis {self.axis} only, got {shapes}")
        return (*first[:axis], sum(shape[axis] for shape in input_shape), *first[axis + 1 :])

    def forward(self, x, training, rng):
        """Return a tuple of Tensors (N, channels, ...) as one."""
        return concatenate(x, self.axis)

    @property
    def spec_title(self):
        """How the specification calls the class, which has one of its own for joining channels."""
        return "DepthConcatenationLayer" if self.axis == 1 else "ConcatenationLayer"

    def spec_rows(self):
        """Return the name, the axis in the specification's order, where the spatial ones come first, and the inputs."""
        dim = [] if self.axis == 1 else [("Dim", self.axis - 1)]
        return [*super().spec_rows(), *dim, *spec_inputs(self)]

    def description(self):
        """Return the words of the specification's kind: "Concatenation of 2 inputs along axis 1"."""
        return f"Concatenation of {self.num_inputs} inputs along axis {self.axis}"
