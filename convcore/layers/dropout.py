"""The dropout layer."""

from convcore.layers.layer import Layer
from convcore.layers.spec_values import spec_value
from convcore.ops import dropout
from convcore.ops.dropout import check_probability


class Dropout(Layer):
    """While training, set a random part of the values to zero and scale up the rest; do nothing in prediction.

    Parameters
    ----------
    probability : float in [0, 1)
        How likely a value is to be dropped.
    name : str

    Raises
    ------
    TypeError, ValueError
        A probability outside [0, 1).

    References
    ----------
    "Layers of a ConvNet", dropout layer (specification).

    Examples
    --------
    >>> Dropout(0.25)
    Dropout(probability=0.25)
    """

    properties = {"probability": 0.5}
    short = "dropout"
    kind = "Dropout"
    spec_title = "DropoutLayer"
    draws_random_numbers = True

    def __init__(self, probability=0.5, *, name=""):
        super().__init__(name)
        self.probability = check_probability(probability, "Dropout")

    def forward(self, x, training, rng):
        """Return x with a part of it dropped, or x itself in prediction."""
        return dropout(x, self.probability, training=training, rng=rng)

    def spec_rows(self):
        """Return the name and the probability."""
        return [*super().spec_rows(), "Hyperparameters", ("Probability", spec_value(self.probability))]

    def description(self):
        """Return the specification's words: "50% dropout"."""
        return f"{100 * self.probability:g}% dropout"
