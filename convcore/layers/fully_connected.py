"""The fully connected layer."""

import math

from convcore.layers.layer import positive_int
from convcore.layers.learnable import LearnableLayer
from convcore.layers.spec_values import spec_array
from convcore.ops import fully_connected


class FullyConnected(LearnableLayer):
    """Multiply each observation, flattened, by a weight matrix, and add a bias.

    Parameters
    ----------
    output_size : int
    weights : array, shape (output_size, inputs), optional
        First values; they switch the initializer off.
    bias : array, shape (output_size,), optional
        First values; they switch the initializer off.
    weights_initializer, bias_initializer, weight_learn_rate_factor, bias_learn_rate_factor, weight_l2_factor, \
bias_l2_factor, name
        As in `Conv2D`.

    Raises
    ------
    TypeError, ValueError
        Arguments of another kind or outside their range; the text names the argument.

    References
    ----------
    "Layers of a ConvNet", fully connected layer (specification).

    Examples
    --------
    >>> FullyConnected(10).output_shape((16, 5, 5))
    (10,)
    """

    properties = {**LearnableLayer.learnable_properties}
    required = ("output_size",)
    short = "fc"
    kind = "Fully Connected"
    spec_title = "FullyConnectedLayer"
    layout = "features"

    def __init__(self, output_size, *, weights_initializer="glorot", bias_initializer="zeros", weights=None, bias=None,
                 weight_learn_rate_factor=1, bias_learn_rate_factor=1, weight_l2_factor=1, bias_l2_factor=0,
                 name=""):  # fmt: skip
        super().__init__(name)
        self.output_size = positive_int(output_size, "FullyConnected: output_size")
        self.learnable(self.output_size, weights_initializer, bias_initializer, weights, bias,
                       weight_learn_rate_factor, bias_learn_rate_factor, weight_l2_factor, bias_l2_factor)  # fmt: skip
        given = self._given["weights"]
        if given is not None and (given.ndim != 2 or len(given) != self.output_size or given.size == 0):
            raise ValueError(f"FullyConnected: weights must have shape ({self.output_size}, inputs), got {given.shape}")

    def sizes(self, input_shape):
        """Return the size, num_in and num_out of weights and bias."""
        inputs = math.prod(input_shape)
        fans = inputs, self.output_size
        return ((self.output_size, inputs), *fans), ((self.output_size,), *fans)

    def output_shape(self, input_shape):
        """Return (output_size,)."""
        if self.weights is not None and self.weights.shape[1] != math.prod(input_shape):
            what = self.name or "FullyConnected"
            raise ValueError(f"{what}: expects {self.weights.shape[1]} inputs, got {math.prod(input_shape)} "
                             f"(inputs {input_shape})")  # fmt: skip
        return (self.output_size,)

    def forward(self, x, training, rng):
        """Return (N, output_size)."""
        return fully_connected(x, self.weights, self.bias)

    def multiply_adds(self, input_shape):
        """Return the multiply-adds of one observation."""
        return math.prod(input_shape) * self.output_size

    def spec_rows(self):
        """Return the name, the sizes, weights and bias."""
        return [
            *super().spec_rows(),
            "Hyperparameters",
            ("InputSize", "'auto'" if self.weights is None else self.weights.shape[1]),
            ("OutputSize", self.output_size),
            "Learnable Parameters",
            ("Weights", spec_array(self.weights)),
            ("Bias", spec_array(self.bias, (self.output_size, 1))),
        ]

    def description(self):
        """Return the specification's words: "10 fully connected layer"."""
        return f"{self.output_size} fully connected layer"
