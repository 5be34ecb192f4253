"""The 2-D max-pooling layer."""

from convcore.layers.pooling import MaxPooling
from convcore.ops import max_pool2d


class MaxPool2D(MaxPooling):
    """Keep the largest value under a window that slides over each channel.

    Parameters
    ----------
    pool_size : int or (int, int)
        Height and width of the window, pixels.
    stride : int or (int, int), optional
        Its vertical and horizontal step, pixels; None is the pool size.
    padding : "same", int, (a, b) or (top, bottom, left, right)
        Pixels around the image; they never win.
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
    >>> MaxPool2D(2).output_shape((6, 28, 28))
    (6, 14, 14)
    """

    rank = 2
    op = "max_pool2d"
    kind = "2D Max Pooling"
    properties = {**MaxPooling.properties, "padding": (0, 0, 0, 0)}

    def forward(self, x, training, rng):
        """Return (N, channels, height, width)."""
        return max_pool2d(x, self.pool_size, stride=self.stride, padding=self.padding)
