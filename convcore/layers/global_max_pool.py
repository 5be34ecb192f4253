"""The global max-pooling layer."""

from convcore.layers.pooling import GlobalPooling
from convcore.ops import global_max_pool


class GlobalMaxPool(GlobalPooling):
    """Keep the largest value of each channel.

    It pools over all spatial dimensions, in a sequence over the time steps; they are kept with size 1.

    Parameters
    ----------
    name : str

    References
    ----------
    "convolution1dLayer", example with a global max-pooling layer (specification).

    Examples
    --------
    >>> GlobalMaxPool().output_shape((16, 5, 5))
    (16, 1, 1)
    """

    short = "globalmaxpool"
    words = "max"
    spec_class = "MaxPooling"

    def forward(self, x, training, rng):
        """Return (N, channels, 1, ...)."""
        return global_max_pool(x)
