"""The ELU layer."""

from convcore.checks import finite_number
from convcore.layers.elementwise import ElementwiseLayer
from convcore.ops import elu


class ELU(ElementwiseLayer):
    """Turn every value below zero into alpha · (exp(x) − 1).

    Parameters
    ----------
    alpha : float
        The values level off at −alpha.
    name : str

    Raises
    ------
    TypeError, ValueError
        An alpha that is no finite number.

    References
    ----------
    Clevert, Unterthiner and Hochreiter, ICLR 2016.

    Examples
    --------
    >>> ELU(0.5)
    ELU(alpha=0.5)
    """

    properties = {"alpha": 1.0}
    short = "elu"
    kind = "ELU"
    spec_title = "ELULayer"

    def __init__(self, alpha=1.0, *, name=""):
        super().__init__(name)
        self.alpha = finite_number(alpha, "ELU: alpha")

    def forward(self, x, training, rng):
        """Return x where it is positive, alpha · (exp(x) − 1) elsewhere."""
        return elu(x, self.alpha)

    def description(self):
        """Return the specification's words: "ELU with Alpha 1"."""
        return f"ELU with Alpha {self.alpha:g}"
