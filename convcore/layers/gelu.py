"""The GELU layer."""

from convcore.layers.elementwise import ElementwiseLayer
from convcore.ops import gelu


class GELU(ElementwiseLayer):
    """Multiply every value by the part of a standard normal distribution that lies below it.

    References
    ----------
    Hendrycks and Gimpel, arXiv 1606.08415 (2016).

    Examples
    --------
    >>> GELU().output_shape((16, 5, 5))
    (16, 5, 5)
    """

    short = "gelu"
    kind = "GELU"
    spec_title = "GELULayer"

    def __init__(self, *, name=""):
        super().__init__(name)

    def forward(self, x, training, rng):
        """Return x · Φ(x)."""
        return gelu(x)
