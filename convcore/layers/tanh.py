"""The hyperbolic tangent layer."""

from convcore.layers.elementwise import ElementwiseLayer
from convcore.ops import tanh


class Tanh(ElementwiseLayer):
    """Take the hyperbolic tangent of every value.

    References
    ----------
    LeCun, Bottou, Orr and Müller, "Efficient BackProp" (1998).

    Examples
    --------
    >>> Tanh().output_shape((16, 5, 5))
    (16, 5, 5)
    """

    short = "tanh"
    kind = "Tanh"
    spec_title = "TanhLayer"

    def __init__(self, *, name=""):
        super().__init__(name)

    def forward(self, x, training, rng):
        """Return tanh(x)."""
        return tanh(x)

    def description(self):
        """Return the specification's words."""
        return "hyperbolic tangent"
