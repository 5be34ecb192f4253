"""The cross-channel (local response) normalization layer."""

import math

from convcore.layers.layer import Layer
from convcore.layers.spec_values import spec_number
from convcore.ops import cross_channel_norm
from convcore.ops.cross_channel_norm import check_options


class CrossChannelNorm(Layer):
    """Divide each value by a power of the sum of squares over neighbouring channels at the same place.

    Parameters
    ----------
    window_channel_size : int, at least 1
        Channels in a window; an even one takes in one more behind the channel than before it.
    alpha, beta : float, at least 0
    k : float, greater than 0
        y = x / (k + alpha · (sum of squares) / window_channel_size)^beta
    name : str

    Raises
    ------
    TypeError, ValueError
        Arguments of another kind or outside their range; the text names the argument.

    References
    ----------
    "Layers of a ConvNet", cross channel normalization layer (specification).

    Examples
    --------
    >>> CrossChannelNorm(5)
    CrossChannelNorm(5)
    """

    properties = {"alpha": 1e-4, "beta": 0.75, "k": 2.0}
    required = ("window_channel_size",)
    layout = "channels"
    short = "crossnorm"
    kind = "Cross Channel Normalization"
    spec_title = "CrossChannelNormalizationLayer"

    def __init__(self, window_channel_size, *, alpha=1e-4, beta=0.75, k=2, name=""):
        super().__init__(name)
        options = check_options("CrossChannelNorm", window_channel_size, alpha, beta, k)
        self.window_channel_size = options["window_channel_size"]
        self.alpha, self.beta, self.k = options["alpha"], options["beta"], options["k"]

    def output_shape(self, input_shape):
        """Return the input's shape, (channels, ...)."""
        if not input_shape:
            raise ValueError(f"{self.name or 'CrossChannelNorm'}: expects (channels, ...), got {input_shape}")
        return input_shape

    def forward(self, x, training, rng):
        """Return the normalized values (N, channels, ...)."""
        return cross_channel_norm(x, self.window_channel_size, alpha=self.alpha, beta=self.beta, k=self.k)

    def multiply_adds(self, input_shape):
        """Return the multiply-adds of one observation: the squares in each window."""
        return math.prod(input_shape) * min(self.window_channel_size, input_shape[0])

    def spec_rows(self):
        """Return the name and the four hyperparameters.

        Examples
        --------
        >>> print(CrossChannelNorm(5).spec_text())
        CrossChannelNormalizationLayer with properties:
        <BLANKLINE>
                         Name: ''
        <BLANKLINE>
           Hyperparameters
            WindowChannelSize: 5
                        Alpha: 1.0000e-04
                         Beta: 0.7500
                            K: 2
        """
        return [
            *super().spec_rows(),
            "Hyperparameters",
            ("WindowChannelSize", self.window_channel_size),
            ("Alpha", spec_number(self.alpha)),
            ("Beta", spec_number(self.beta)),
            ("K", spec_number(self.k)),
        ]

    def description(self):
        """Return the specification's words: "cross channel normalization with 5 channels per element"."""
        return f"cross channel normalization with {self.window_channel_size} channels per element"
