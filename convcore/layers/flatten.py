"""The layer that turns images into rows."""

import math

from convcore.layers.layer import Layer
from convcore.ops import flatten


class Flatten(Layer):
    """Turn each observation into one row of numbers: channels, then height, then width.

    `FullyConnected` does this by itself; the layer is for those who want to see it.

    Examples
    --------
    >>> Flatten().output_shape((16, 5, 5))
    (400,)
    """

    short = "flatten"
    kind = "Flatten"
    spec_title = "FlattenLayer"
    layout = "flatten"

    def __init__(self, *, name=""):
        super().__init__(name)

    def output_shape(self, input_shape):
        """Return (values,)."""
        return (math.prod(input_shape),)

    def forward(self, x, training, rng):
        """Return (N, values)."""
        return flatten(x)
