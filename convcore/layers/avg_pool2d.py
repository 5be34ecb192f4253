"""The 2-D average-pooling layer."""

from convcore.layers.pooling import Pooling2D
from convcore.ops import avg_pool2d


class AvgPool2D(Pooling2D):
    """Return the average under a window that slides over each channel.

    Parameters
    ----------
    pool_size : int or (int, int)
        Height and width of the window, pixels.
    stride : int or (int, int), optional
        Its vertical and horizontal step, pixels; None is the pool size.
    padding : "same", int, (a, b) or (top, bottom, left, right)
        Pixels around the image, zeros that count.
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

    op = "avg_pool2d"
    short = "avgpool"
    kind = "2D Average Pooling"
    words = "average"

    def forward(self, x, training, rng):
        """Return (N, channels, height, width)."""
        return avg_pool2d(x, self.pool_size, stride=self.stride, padding=self.padding)
