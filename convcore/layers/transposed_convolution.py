"""What the transposed convolutional layers share, in one to three dimensions."""

from convcore.kernels import ConvGeometry
from convcore.layers.convolution import AUTO, FilterLayer, channels_given
from convcore.layers.layer import positive_int, spec_list
from convcore.layers.learnable import LearnableLayer
from convcore.layers.window_padding import window_padding


class TransposedConvolution(FilterLayer, LearnableLayer):
    """A layer that spreads each cell of its input over a window of its output. A subclass names its op."""

    required = ("filter_size", "num_filters")
    short = "transposedconv"
    spec_class = "TransposedConvolution"
    op = None

    def __init_subclass__(cls, **keywords):
        super().__init_subclass__(**keywords)
        one, zero = (1, 0) if cls.rank == 1 else ((1,) * cls.rank, (0,) * cls.rank)
        cls.properties = {"stride": one, "cropping": (0, 0) * cls.rank, "output_padding": zero, "dilation_factor": one,
                          "num_groups": 1, "num_channels": AUTO, **LearnableLayer.learnable_properties}  # fmt: skip

    def __init__(self, filter_size, num_filters, *, stride=1, cropping=0, output_padding=0, dilation_factor=1,
                 num_groups=1, num_channels="auto", weights_initializer="glorot", bias_initializer="zeros",
                 weights=None, bias=None, weight_learn_rate_factor=1, bias_learn_rate_factor=1, weight_l2_factor=1,
                 bias_l2_factor=0, name=""):  # fmt: skip
        super().__init__(name)
        kind = type(self).__name__
        self.filters(filter_size, num_filters)
        self.stride = self.size(stride, "stride")
        self.dilation_factor = self.size(dilation_factor, "dilation_factor")
        self.cropping = window_padding(cropping, self.rank, f"{kind}: cropping")
        self.output_padding = self.size(output_padding, "output_padding", minimum=0)
        self.num_groups = positive_int(num_groups, f"{kind}: num_groups")
        if self.num_filters % self.num_groups:
            raise ValueError(f"{kind}: {num_filters} filters cannot be split into {num_groups} groups")
        self.num_channels = channels_given(num_channels, f"{kind}: num_channels")
        self.learnable(self.num_filters, weights_initializer, bias_initializer, weights, bias,
                       weight_learn_rate_factor, bias_learn_rate_factor, weight_l2_factor, bias_l2_factor)  # fmt: skip
        self._check_given()

    @property
    def cropping_mode(self):
        """ "manual" or "same", as the specification calls it."""
        return "same" if self.cropping == "same" else "manual"

    @property
    def cropping_size(self):
        """(before, after) of each dimension in a row, pixels; zeros while "same" waits for an input."""
        return (0, 0) * self.rank if self.cropping == "same" else self.cropping

    def _groups(self, channels):
        return self.num_groups

    def _channels_of(self, weights_shape):
        return weights_shape[0]

    def _wanted_weights(self):
        return ("channels", self.num_filters // self.num_groups, *self._filter)

    def weights_size(self, channels):
        """Return (channels, filters of a group, ...), the last the filter's size."""
        return (channels, self.num_filters // self.num_groups, *self._filter)

    def _geometry(self, input_shape):
        """The convolution, for one observation, that this is the transpose of."""
        self._check_input(input_shape)
        return ConvGeometry.transposed((1, *input_shape), self.weights_size(input_shape[0]), self.stride,
                                       self.cropping, self.output_padding, self.dilation_factor,
                                       self.num_groups)  # fmt: skip

    def output_shape(self, input_shape):
        """Return (num_filters, ...), one size per spatial dimension."""
        return self._geometry(input_shape).shapes["x"][1:]

    def forward(self, x, training, rng):
        """Return the larger maps (N, num_filters, ...) of inputs (N, channels, ...)."""
        return self.op(x, self.weights, self.bias, stride=self.stride, cropping=self.cropping,
                       output_padding=self.output_padding, dilation=self.dilation_factor,
                       groups=self.num_groups)  # fmt: skip

    def _spec_rows(self):
        return [
            ("FilterSize", self._spec_sizes(self.filter_size)),
            ("NumChannels", "'auto'" if self.num_channels == AUTO else self.num_channels),
            ("NumFilters", self.num_filters),
            ("Stride", self._spec_sizes(self.stride)),
            ("CroppingMode", f"'{self.cropping_mode}'"),
            ("CroppingSize", spec_list(self.cropping_size)),
        ]

    def description(self):
        """Return words as the specification's: "8 4x4 transposed convolutions with stride [2 2] and cropping ..."."""
        size = "x".join(str(n) for n in self._filter)
        channels = "" if self.num_channels == AUTO else f"x{self.num_channels}"
        cropping = "'same'" if self.cropping == "same" else spec_list(self.cropping)
        return (f"{self.num_filters} {size}{channels} transposed convolutions with stride "
                f"{self._spec_sizes(self.stride)} and cropping {cropping}")  # fmt: skip
