"""The global average-pooling layer."""

from convcore.layers.pooling import GlobalPooling
from convcore.ops import global_avg_pool


class GlobalAvgPool(GlobalPooling):
    """Return the average of each channel over all of its cells.

    It pools over all spatial dimensions, in a sequence over the time steps; they are kept with size 1.

    Parameters
    ----------
    name : str

    References
    ----------
    Lin, Chen and Yan, "Network in Network", arXiv:1312.4400, section 3.2.

    Examples
    --------
    >>> GlobalAvgPool().output_shape((16, 5, 5))
    (16, 1, 1)
    """

    short = "globalavgpool"
    words = "average"
    spec_class = "AveragePooling"

    def forward(self, x, training, rng):
        """Return (N, channels, 1, ...)."""
        return global_avg_pool(x)
