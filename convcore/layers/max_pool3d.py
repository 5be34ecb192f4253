"""The 3-D max-pooling layer."""

from convcore.layers.pooling import MaxPooling
from convcore.ops import max_pool3d


class MaxPool3D(MaxPooling):
    """Keep the largest value under a window that slides over each channel of a volume.

    Parameters
    ----------
    pool_size : int or (int, int, int)
        Depth, height and width of the window, cells.
    stride : int or (int, int, int), optional
        Its step along each of them, cells; None is the pool size.
    padding : "same", int, (a, b, c) or (front, back, top, bottom, left, right)
        Cells around the volume; they never win.
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
    >>> MaxPool3D(2).output_shape((4, 8, 16, 16))
    (4, 4, 8, 8)
    """

    rank = 3
    op = "max_pool3d"
    kind = "3D Max Pooling"
    properties = {**MaxPooling.properties, "padding": (0, 0, 0, 0, 0, 0)}

    def forward(self, x, training, rng):
        """Return (N, channels, depth, height, width)."""
        return max_pool3d(x, self.pool_size, stride=self.stride, padding=self.padding)
