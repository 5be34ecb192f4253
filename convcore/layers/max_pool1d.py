"""The 1-D max-pooling layer."""

from convcore.layers.pooling import MaxPooling
from convcore.ops import max_pool1d


class MaxPool1D(MaxPooling):
    """Keep the largest value under a window that slides over each channel of a sequence.

    Parameters
    ----------
    pool_size : int
        Width of the window, cells.
    stride : int, optional
        Its step, cells; None is the pool size.
    padding : "same", int or (left, right)
        Cells before and behind the sequence; they never win.
    name : str

    Raises
    ------
    TypeError, ValueError
        Arguments of another kind or outside their range; the text names the argument.

    References
    ----------
    "Layers of a ConvNet", max-pooling layer (specification).

    Examples
    --------
    >>> MaxPool1D(2).output_shape((12, 100))
    (12, 50)
    """

    rank = 1
    op = "max_pool1d"
    kind = "1D Max Pooling"
    properties = {**MaxPooling.properties, "padding": (0, 0)}

    def forward(self, x, training, rng):
        """Return (N, channels, width)."""
        return max_pool1d(x, self.pool_size, stride=self.stride, padding=self.padding)
