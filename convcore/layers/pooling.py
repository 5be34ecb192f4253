"""What the 2-D pooling layers share: a window, its step and its padding."""

from convcore.kernels import PoolGeometry
from convcore.kernels.windows import per_axis
from convcore.layers.layer import Layer, spec_list, window_padding


class Pooling2D(Layer):
    """A window that slides over each channel; a subclass names its op, and says what becomes of the window."""

    op = ""
    words = ""
    layout, rank = "windows", 2
    properties = {"stride": None, "padding": (0, 0, 0, 0)}
    required = ("pool_size",)

    def __init__(self, pool_size, *, stride=None, padding=0, name=""):
        super().__init__(name)
        kind = type(self).__name__
        self.pool_size = per_axis(pool_size, 2, f"{kind}: pool_size", 1)
        self.stride = self.pool_size if stride is None else per_axis(stride, 2, f"{kind}: stride", 1)
        self.padding = window_padding(padding, f"{kind}: padding")

    def _geometry(self, input_shape):
        if len(input_shape) != 3:
            what = self.name or type(self).__name__
            raise ValueError(f"{what}: expects images (channels, height, width), got {input_shape}")
        return PoolGeometry.of(self.op, (1, *input_shape), self.pool_size, self.stride, self.padding)

    def output_shape(self, input_shape):
        """Return (channels, height, width)."""
        return (input_shape[0], *self._geometry(input_shape).out_size)

    def description(self):
        """Return the specification's words: "2x2 max pooling with stride [2 2] and padding [0 0 0 0]"."""
        height, width = self.pool_size
        padding = "'same'" if self.padding == "same" else spec_list(self.padding)
        return f"{height}x{width} {self.words} pooling with stride {spec_list(self.stride)} and padding {padding}"
