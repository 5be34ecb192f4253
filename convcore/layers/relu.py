"""The ReLU layer."""

from convcore.layers.layer import Layer
from convcore.ops import relu


class ReLU(Layer):
    """Set every value below zero to zero.

    References
    ----------
    "Layers of a ConvNet", ReLU layer (specification).

    Examples
    --------
    >>> ReLU()
    ReLU()
    """

    short = "relu"
    kind = "ReLU"
    spec_title = "ReLULayer"

    def __init__(self, *, name=""):
        super().__init__(name)

    def forward(self, x, training, rng):
        """Return max(x, 0)."""
        return relu(x)
