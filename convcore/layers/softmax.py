"""The softmax layer."""

from convcore.layers.layer import Layer
from convcore.ops import softmax


class Softmax(Layer):
    """Turn the outputs into probabilities, along the channels.

    Training with the cross-entropy looks at the layer's input instead: the two together are computed in one step,
    which neither overflows nor rounds to log 0.

    References
    ----------
    "Layers of a ConvNet", softmax layer (specification).

    Examples
    --------
    >>> Softmax().output_shape((10,))
    (10,)
    """

    short = "softmax"
    kind = "Softmax"
    spec_title = "SoftmaxLayer"
    layout = "channels"

    def __init__(self, *, name=""):
        super().__init__(name)

    def forward(self, x, training, rng):
        """Return probabilities of the shape of x."""
        return softmax(x, axis=1)

    def description(self):
        """Return the specification's words."""
        return "softmax"
