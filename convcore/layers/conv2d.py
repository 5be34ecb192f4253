"""The 2-D convolutional layer."""

import numbers

import numpy as np

from convcore.kernels import ConvGeometry
from convcore.kernels.windows import per_axis
from convcore.layers.layer import positive_int, spec_block, spec_list, window_padding
from convcore.layers.learnable import LearnableLayer
from convcore.ops import conv2d


class Conv2D(LearnableLayer):
    """Slide filters over images, vertically and horizontally, and add a bias.

    Parameters
    ----------
    filter_size : int or (int, int)
        Height and width of the filters, pixels.
    num_filters : int
        Channels of the output.
    stride : int or (int, int)
        Vertical and horizontal step, pixels.
    dilation_factor : int or (int, int)
        Distance of the input cells that neighbouring weights look at; a filter covers (size − 1) · factor + 1 pixels.
    padding : "same", int, (a, b) or (top, bottom, left, right)
        Pixels around the image; "same" gives an output of ceil(input / stride).
    padding_value : float
        What they hold.
    num_channels : "auto" or int
        Channels of the input; "auto" takes them from the first input.
    weights_initializer, bias_initializer : str or function
        "glorot", "he", "narrow-normal", "zeros", "ones", or a function of the size that returns an array.
    weights : array, shape (num_filters, num_channels, height, width), optional
        First values; they switch the initializer off.
    bias : array, shape (num_filters,), optional
        First values; they switch the initializer off.
    weight_learn_rate_factor, bias_learn_rate_factor : float, at least 0
        Times the global learning rate is that of the weights and of the bias.
    weight_l2_factor, bias_l2_factor : float, at least 0
        Times the global L2 regularization is that of the weights and of the bias.
    name : str

    Raises
    ------
    TypeError, ValueError
        Arguments of another kind or outside their range; the text names the argument.

    References
    ----------
    "convolution2dLayer" (specification).

    Examples
    --------
    >>> layer = Conv2D((6, 4), 16, stride=4, padding=(1, 0))
    >>> layer.output_shape((1, 28, 28))
    (16, 7, 7)
    """

    properties = {
        "stride": (1, 1),
        "dilation_factor": (1, 1),
        "padding": (0, 0, 0, 0),
        "padding_value": 0.0,
        "num_channels": "auto",
        **LearnableLayer.learnable_properties,
    }
    required = ("filter_size", "num_filters")
    short = "conv"
    kind = "2D Convolution"
    layout, rank = "windows", 2

    def __init__(self, filter_size, num_filters, *, stride=1, dilation_factor=1, padding=0, padding_value=0,
                 num_channels="auto", weights_initializer="glorot", bias_initializer="zeros", weights=None, bias=None,
                 weight_learn_rate_factor=1, bias_learn_rate_factor=1, weight_l2_factor=1, bias_l2_factor=0,
                 name=""):  # fmt: skip
        super().__init__(name)
        self.filter_size = per_axis(filter_size, 2, "Conv2D: filter_size", 1)
        self.num_filters = positive_int(num_filters, "Conv2D: num_filters")
        self.stride = per_axis(stride, 2, "Conv2D: stride", 1)
        self.dilation_factor = per_axis(dilation_factor, 2, "Conv2D: dilation_factor", 1)
        self.padding = window_padding(padding, "Conv2D: padding")
        if isinstance(padding_value, bool) or not isinstance(padding_value, numbers.Real):
            raise TypeError(f"Conv2D: padding_value must be a number, got {padding_value!r}")
        if not np.isfinite(padding_value):
            raise ValueError(f"Conv2D: padding_value must be finite, got {padding_value}")
        self.padding_value = float(padding_value)
        automatic = isinstance(num_channels, str) and num_channels == "auto"
        self.num_channels = num_channels if automatic else positive_int(num_channels, "Conv2D: num_channels")
        self.learnable(self.num_filters, weights_initializer, bias_initializer, weights, bias,
                       weight_learn_rate_factor, bias_learn_rate_factor, weight_l2_factor, bias_l2_factor)  # fmt: skip
        if self._given["weights"] is not None:
            self._check_given(self._given["weights"].shape)

    def _check_given(self, shape):
        """Given weights must fit the filters, and tell the number of channels."""
        if len(shape) != 4 or shape[0] != self.num_filters or shape[1] < 1 or shape[2:] != self.filter_size:
            wanted = f"({self.num_filters}, channels, {self.filter_size[0]}, {self.filter_size[1]})"
            raise ValueError(f"Conv2D: weights must have shape {wanted}, got {shape}")
        if self.num_channels not in ("auto", shape[1]):
            raise ValueError(f"Conv2D: weights are for {shape[1]} channels, num_channels is {self.num_channels}")
        self.num_channels = shape[1]

    @property
    def padding_mode(self):
        """ "same" or "manual", as the specification calls it."""
        return "same" if self.padding == "same" else "manual"

    @property
    def padding_size(self):
        """(top, bottom, left, right) in pixels; zeros while "same" waits for an input."""
        return (0, 0, 0, 0) if self.padding == "same" else self.padding

    def _geometry(self, input_shape):
        """The problem for one image."""
        what = self.name or "Conv2D"
        if len(input_shape) != 3:
            raise ValueError(f"{what}: expects images (channels, height, width), got {input_shape}")
        if self.num_channels not in ("auto", input_shape[0]):
            raise ValueError(
                f"{what}: expects {self.num_channels} channels, got {input_shape[0]} (inputs {input_shape})"
            )
        return ConvGeometry.of((1, *input_shape), (self.num_filters, input_shape[0], *self.filter_size), self.stride,
                               self.padding, self.padding_value, self.dilation_factor)  # fmt: skip

    def sizes(self, input_shape):
        """Return the sizes of weights and bias, and the numbers of connections that the initializers scale by."""
        self._geometry(input_shape)
        cells = self.filter_size[0] * self.filter_size[1]
        weights = (self.num_filters, input_shape[0], *self.filter_size)
        return weights, (self.num_filters,), cells * input_shape[0], cells * self.num_filters

    def initialize(self, input_shape, rng, dtype):
        """Make weights and bias for images of this shape (channels, height, width)."""
        super().initialize(input_shape, rng, dtype)
        self.num_channels = input_shape[0]

    def load(self, arrays, dtype):
        """Take weights and bias from arrays, and the number of channels from the weights."""
        super().load(arrays, dtype)
        self.num_channels = self.weights.shape[1]

    def output_shape(self, input_shape):
        """Return (num_filters, height, width)."""
        return (self.num_filters, *self._geometry(input_shape).out_size)

    def forward(self, x, training, rng):
        """Return the feature maps (N, num_filters, height, width) of images (N, channels, height, width)."""
        return conv2d(x, self.weights, self.bias, stride=self.stride, padding=self.padding,
                      padding_value=self.padding_value, dilation=self.dilation_factor)  # fmt: skip

    def multiply_adds(self, input_shape):
        """Return the multiply-adds of one image."""
        return self._geometry(input_shape).operations("forward") // 2

    def spec_text(self):
        """Return the properties as the specification prints them.

        Examples
        --------
        >>> print(Conv2D(11, 96, stride=4).spec_text().splitlines()[5])
                FilterSize: [11 11]
        """
        learned = {role: _spec_size(getattr(self, role), self.num_channels) for role in ("weights", "bias")}
        value = self.padding_value
        rows = [
            ("Name", f"'{self.name}'"),
            "Hyperparameters",
            ("FilterSize", spec_list(self.filter_size)),
            ("NumChannels", "'auto'" if self.num_channels == "auto" else self.num_channels),
            ("NumFilters", self.num_filters),
            ("Stride", spec_list(self.stride)),
            ("DilationFactor", spec_list(self.dilation_factor)),
            ("PaddingMode", f"'{self.padding_mode}'"),
            ("PaddingSize", spec_list(self.padding_size)),
            ("PaddingValue", int(value) if value == int(value) else value),
            "Learnable Parameters",
            ("Weights", learned["weights"]),
            ("Bias", learned["bias"]),
        ]
        return spec_block("Convolution2DLayer", rows)

    def description(self):
        """Return the specification's words: "20 5x5 convolutions with stride [1 1] and padding [0 0 0 0]"."""
        height, width = self.filter_size
        channels = "" if self.num_channels == "auto" else f"x{self.num_channels}"
        padding = "'same'" if self.padding == "same" else spec_list(self.padding)
        return (f"{self.num_filters} {height}x{width}{channels} convolutions with stride {spec_list(self.stride)} "
                f"and padding {padding}")  # fmt: skip


def _spec_size(values, num_channels):
    """Return an array's size and type as the specification prints them: height × width × channels × filters."""
    if values is None:
        return "[]"
    shape, dtype = values.shape, values.dtype
    sizes = (shape[2], shape[3], shape[1], shape[0]) if len(shape) == 4 else (1, 1, shape[0])
    return f"[{'x'.join(str(n) for n in sizes)} {'single' if dtype == np.float32 else 'double'}]"
