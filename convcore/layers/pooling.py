"""What the pooling layers share: a window, its step and its padding; or no window, where all cells are pooled."""

import numpy as np

from convcore.checks import number
from convcore.kernels import PoolGeometry
from convcore.layers.layer import Layer
from convcore.layers.spec_values import spec_list, spec_value
from convcore.layers.window_padding import INPUTS, window_padding, window_size


class Pooling(Layer):
    """A window that slides over each channel.

    A subclass says what becomes of the window; one of these names the op, `rank`, the number of dimensions, and the
    default of the padding.
    """

    layout = "windows"
    op = ""
    words = ""  # "max" or "average"
    spec_class = ""  # what the specification calls the layer
    padding_value = None  # max-pooling has none
    properties = {"stride": None, "padding": None}  # with a default for each number of dimensions in the subclasses
    required = ("pool_size",)

    def __init__(self, pool_size, *, stride=None, padding=0, name=""):
        super().__init__(name)
        kind = type(self).__name__
        self.pool_size = window_size(pool_size, self.rank, f"{kind}: pool_size")
        self.stride = self.pool_size if stride is None else window_size(stride, self.rank, f"{kind}: stride")
        self.padding = window_padding(padding, self.rank, f"{kind}: padding")

    @property
    def padding_mode(self):
        """ "same" or "manual", as the specification calls it."""
        return "same" if self.padding == "same" else "manual"

    @property
    def padding_size(self):
        """(before, after) of each dimension in a row, pixels; zeros while "same" waits for an input."""
        return (0, 0) * self.rank if self.padding == "same" else self.padding

    def _geometry(self, input_shape):
        if len(input_shape) != self.rank + 1:
            what = self.name or type(self).__name__
            raise ValueError(f"{what}: expects {INPUTS[self.rank]}, got {input_shape}")
        return PoolGeometry.of(self.op, (1, *input_shape), self.pool_size, self.stride, self.padding, 1,
                               self.padding_value)  # fmt: skip

    def output_shape(self, input_shape):
        """Return (channels, ...), one size per spatial dimension."""
        return (input_shape[0], *self._geometry(input_shape).out_size)

    @property
    def spec_title(self):
        """How the specification calls the class: "MaxPooling2DLayer"."""
        return f"{self.spec_class}{self.rank}DLayer"

    def spec_rows(self):
        """Return the name and the hyperparameters."""
        return [
            *super().spec_rows(),
            "Hyperparameters",
            ("PoolSize", spec_value(self.pool_size)),
            ("Stride", spec_value(self.stride)),
            ("PaddingMode", spec_value(self.padding_mode)),
            ("PaddingSize", spec_list(self.padding_size)),
        ]

    def description(self):
        """Return the specification's words: "2x2 max pooling with stride [2 2] and padding [0 0 0 0]"."""
        size = self.pool_size if self.rank == 1 else "x".join(str(n) for n in self.pool_size)
        padding = "'same'" if self.padding == "same" else spec_list(self.padding)
        return f"{size} {self.words} pooling with stride {spec_value(self.stride)} and padding {padding}"


class MaxPooling(Pooling):
    """The largest value under the window."""

    words = "max"
    spec_class = "MaxPooling"
    short = "maxpool"


class AvgPooling(Pooling):
    """The average under the window, with a value for what lies around the input."""

    words = "average"
    spec_class = "AveragePooling"
    short = "avgpool"
    properties = {**Pooling.properties, "padding_value": 0.0}

    def __init__(self, pool_size, *, stride=None, padding=0, padding_value=0, name=""):
        super().__init__(pool_size, stride=stride, padding=padding, name=name)
        kind = type(self).__name__
        if isinstance(padding_value, str):
            if padding_value != "mean":
                raise ValueError(f'{kind}: padding_value must be a number or "mean", got {padding_value!r}')
        else:
            padding_value = number(padding_value, f"{kind}: padding_value", 'a number or "mean"')
            if not np.isfinite(padding_value):
                raise ValueError(f"{kind}: padding_value must be finite, got {padding_value}")
        self.padding_value = padding_value

    def spec_rows(self):
        """Return the rows of all pooling, and the padding value, which max-pooling does not have."""
        return [*super().spec_rows(), ("PaddingValue", spec_value(self.padding_value))]


class GlobalPooling(Layer):
    """All cells of each channel become one."""

    layout = "global"
    words = ""
    spec_class = ""
    dimensions = None  # how many there are to pool over, which the first input tells

    def __init__(self, *, name=""):
        super().__init__(name)

    @property
    def kind(self):
        """How the specification's layer lists call it, "1D Global Max Pooling" once the input is known."""
        return f"{self._rank_text()}Global {self.words.title()} Pooling"

    def initialize(self, input_shape, rng, dtype):
        """Take down the number of spatial dimensions, for printing."""
        self.dimensions = len(input_shape) - 1

    def output_shape(self, input_shape):
        """Return (channels, 1, ...), one size per spatial dimension."""
        if len(input_shape) < 2:
            what = self.name or type(self).__name__
            raise ValueError(f"{what}: expects channels and a spatial dimension (channels, ...), got {input_shape}")
        return (input_shape[0], *(1,) * (len(input_shape) - 1))

    @property
    def spec_title(self):
        """How the specification calls the class: "GlobalMaxPooling1DLayer", once the input is known."""
        rank = f"{self.dimensions}D" if self.dimensions else ""
        return f"Global{self.spec_class}{rank}Layer"

    def description(self):
        """Return the specification's words: "1D global max pooling", once the input is known."""
        return f"{self._rank_text()}global {self.words} pooling"

    def _rank_text(self):
        return f"{self.dimensions}D " if self.dimensions else ""
