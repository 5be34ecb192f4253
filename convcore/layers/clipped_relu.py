"""The clipped ReLU layer."""

from convcore.layers.elementwise import ElementwiseLayer
from convcore.ops import clipped_relu
from convcore.ops.activation import check_ceiling


class ClippedReLU(ElementwiseLayer):
    """Set every value below zero to zero, and every value above a ceiling to the ceiling.

    Parameters
    ----------
    ceiling : float, greater than 0
    name : str

    Raises
    ------
    TypeError, ValueError
        A ceiling that is no finite number greater than 0.

    References
    ----------
    "Layers of a ConvNet", clipped ReLU layer (specification).

    Examples
    --------
    >>> ClippedReLU(10).description()
    'Clipped ReLU with ceiling 10'
    """

    required = ("ceiling",)
    short = "clippedrelu"
    kind = "Clipped ReLU"
    spec_title = "ClippedReLULayer"

    def __init__(self, ceiling, *, name=""):
        super().__init__(name)
        self.ceiling = check_ceiling(ceiling, "ClippedReLU")

    def forward(self, x, training, rng):
        """Return min(max(x, 0), ceiling)."""
        return clipped_relu(x, self.ceiling)

    def description(self):
        """Return the specification's words: "Clipped ReLU with ceiling 10"."""
        return f"Clipped ReLU with ceiling {self.ceiling:g}"
