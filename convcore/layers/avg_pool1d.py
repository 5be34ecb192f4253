"""The 1-D average-pooling layer."""

from convcore.layers.pooling import AvgPooling
from convcore.ops import avg_pool1d


class AvgPool1D(AvgPooling):
    """Return the average under a window that slides over each channel of a sequence.

    Parameters
    ----------
    pool_size : int
        Width of the window, cells.
    stride : int, optional
        Its step, cells; None is the pool size.
    padding : "same", int or (left, right)
        Cells before and behind the sequence.
    padding_value : float or "mean"
        What they hold; with "mean" they do not count.
    name : str

    Raises
    ------
    TypeError, ValueError
        Arguments of another kind or outside their range; the text names the argument.

    References
    ----------
    "Layers of a ConvNet", average-pooling layer (specification).

    Examples
    --------
    >>> AvgPool1D(2).output_shape((12, 100))
    (12, 50)
    """

    rank = 1
    op = "avg_pool1d"
    kind = "1D Average Pooling"
    properties = {**AvgPooling.properties, "padding": (0, 0)}

    def forward(self, x, training, rng):
        """Return (N, channels, width)."""
        return avg_pool1d(x, self.pool_size, stride=self.stride, padding=self.padding,
                          padding_value=self.padding_value)  # fmt: skip
