"""The 3-D average-pooling layer."""

from convcore.layers.pooling import AvgPooling
from convcore.ops import avg_pool3d


class AvgPool3D(AvgPooling):
    """Return the average under a window that slides over each channel of a volume.

    Parameters
    ----------
    pool_size : int or (int, int, int)
        Depth, height and width of the window, cells.
    stride : int or (int, int, int), optional
        Its step along each of them, cells; None is the pool size.
    padding : "same", int, (a, b, c) or (front, back, top, bottom, left, right)
        Cells around the volume.
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
    >>> AvgPool3D(2).output_shape((4, 8, 16, 16))
    (4, 4, 8, 8)
    """

    rank = 3
    op = "avg_pool3d"
    kind = "3D Average Pooling"
    properties = {**AvgPooling.properties, "padding": (0, 0, 0, 0, 0, 0)}

    def forward(self, x, training, rng):
        """Return (N, channels, depth, height, width)."""
        return avg_pool3d(x, self.pool_size, stride=self.stride, padding=self.padding,
                          padding_value=self.padding_value)  # fmt: skip
