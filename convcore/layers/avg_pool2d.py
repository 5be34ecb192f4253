"""The 2-D average-pooling layer."""

from convcore.layers.pooling import AvgPooling
from convcore.ops import avg_pool2d


class AvgPool2D(AvgPooling):
    """Return the average under a window that slides over each channel.

    Parameters
    ----------
    pool_size : int or (int, int)
        Height and width of the window, pixels.
    stride : int or (int, int), optional
        Its vertical and horizontal step, pixels; None is the pool size.
    padding : "same", int, (a, b) or (top, bottom, left, right)
        Pixels around the image.
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
    >>> AvgPool2D(2).output_shape((6, 28, 28))
    (6, 14, 14)
    """

    rank = 2
    op = "avg_pool2d"
    kind = "2D Average Pooling"
    properties = {**AvgPooling.properties, "padding": (0, 0, 0, 0)}

    def forward(self, x, training, rng):
        """Return (N, channels, height, width)."""
        return avg_pool2d(x, self.pool_size, stride=self.stride, padding=self.padding,
                          padding_value=self.padding_value)  # fmt: skip
