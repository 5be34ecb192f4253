"""The swish layer."""

from convcore.layers.elementwise import ElementwiseLayer
from convcore.ops import swish


class Swish(ElementwiseLayer):
    """Multiply every value by its sigmoid.

    References
    ----------
    Ramachandran, Zoph and Le, arXiv 1710.05941 (2017).

    Examples
    --------
    >>> Swish().output_shape((16, 5, 5))
    (16, 5, 5)
    """

    short = "swish"
    kind = "Swish"
    spec_title = "SwishLayer"

    def __init__(self, *, name=""):
        super().__init__(name)

    def forward(self, x, training, rng):
        """Return x / (1 + exp(−x))."""
        return swish(x)
