"""The leaky ReLU layer."""

from convcore.checks import finite_number
from convcore.layers.elementwise import ElementwiseLayer
from convcore.ops import leaky_relu


class LeakyReLU(ElementwiseLayer):
    """Multiply every value below zero by a small number.

    Parameters
    ----------
    scale : float
        The slope below 0.
    name : str

    Raises
    ------
    TypeError, ValueError
        A scale that is no finite number.

    References
    ----------
    "Layers of a ConvNet", leaky ReLU layer (specification).

    Examples
    --------
    >>> print(LeakyReLU(0.1, name="leaky").spec_text())
    LeakyReLULayer with properties:
    <BLANKLINE>
         Name: 'leaky'
    <BLANKLINE>
       Hyperparameters
        Scale: 0.1000
    """

    properties = {"scale": 0.01}
    short = "leakyrelu"
    kind = "Leaky ReLU"
    spec_title = "LeakyReLULayer"

    def __init__(self, scale=0.01, *, name=""):
        super().__init__(name)
        self.scale = finite_number(scale, "LeakyReLU: scale")

    def forward(self, x, training, rng):
        """Return x where it is at least 0, scale · x elsewhere."""
        return leaky_relu(x, self.scale)

    def description(self):
        """Return the specification's words: "Leaky ReLU with scale 0.01"."""
        return f"Leaky ReLU with scale {self.scale:g}"
