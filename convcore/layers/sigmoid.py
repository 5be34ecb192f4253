"""The sigmoid layer."""

from convcore.layers.elementwise import ElementwiseLayer
from convcore.ops import sigmoid


class Sigmoid(ElementwiseLayer):
    """Squash every value into 0..1.

    References
    ----------
    LeCun, Bottou, Orr and Müller, "Efficient BackProp" (1998).

    Examples
    --------
    >>> Sigmoid().output_shape((16, 5, 5))
    (16, 5, 5)
    """

    short = "sigmoid"
    kind = "Sigmoid"
    spec_title = "SigmoidLayer"

    def __init__(self, *, name=""):
        super().__init__(name)

    def forward(self, x, training, rng):
        """Return 1 / (1 + exp(−x))."""
        return sigmoid(x)

    def description(self):
        """Return the specification's words."""
        return "sigmoid"
