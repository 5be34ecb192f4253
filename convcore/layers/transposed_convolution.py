"""What the transposed convolutional layers share, in one to three dimensions."""

from convcore.kernels import ConvGeometry
from convcore.layers.convolution import AUTO, FilterLayer
from convcore.layers.layer import positive_int
from convcore.layers.learnable import LearnableLayer
from convcore.layers.spec_values import spec_list, spec_value
from convcore.layers.window_padding import window_padding


class TransposedConvolution(FilterLayer, LearnableLayer):
    """Filters that move over the output: each spreads the input's cells there. A subclass names its op."""

    required = ("filter_size", "num_filters")
    short = "transposedconv"
    spec_class = "TransposedConvolution"
    words = "transposed convolutions"
    op = None

    def __init__(self, filter_size, num_filters, *, stride=1, cropping=0, output_padding=0, dilation_factor=1,
                 num_groups=1, num_channels="auto", weights_initializer="glorot", bias_initializer="zeros",
                 weights=None, bias=None, weight_learn_rate_factor=1, bias_learn_rate_factor=1, weight_l2_factor=1,
                 bias_l2_factor=0, name=""):  # fmt: skip
        super().__init__(name)
        kind = type(self).__name__
        self.filters(filter_size, num_filters, num_channels)
        self.stride, self.dilation_factor, self.cropping = stride, dilation_factor, cropping
        self.output_padding = output_padding
        self._num_groups = positive_int(num_groups, f"{kind}: num_groups")
        if self.num_filters % self.num_groups:
            raise ValueError(f"{kind}: {num_filters} filters cannot be split into {num_groups} groups")
        self.learnable(self.num_filters, weights_initializer, bias_initializer, weights, bias,
                       weight_learn_rate_factor, bias_learn_rate_factor, weight_l2_factor, bias_l2_factor)  # fmt: skip
        self._check_given()
        if self.num_channels != AUTO and self.num_channels % self.num_groups:
            raise ValueError(f"{kind}: {self.num_channels} channels cannot be split into {num_groups} groups")

    @property
    def num_groups(self):
        """The number of groups; it cannot be changed."""
        return self._num_groups

    @property
    def output_padding(self):
        """What is added to the end of each dimension of the output, pixels: an int in one dimension, else a tuple."""
        return self._output_padding

    @output_padding.setter
    def output_padding(self, value):
        self._output_padding = self.size(value, "output_padding", minimum=0)

    @property
    def cropping(self):
        """ "same", or (before, after) of each dimension in a row, pixels."""
        return self._cropping

    @cropping.setter
    def cropping(self, value):
        self._cropping = window_padding(value, self.rank, f"{type(self).__name__}: cropping")

    @property
    def cropping_mode(self):
        """ "manual" or "same", as the specification calls it."""
        return "same" if self.cropping == "same" else "manual"

    @property
    def cropping_size(self):
        """(before, after) of each dimension in a row, pixels; zeros for "same", which depends on the input."""
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

    def _spec_window(self):
        return [
            ("Stride", spec_value(self.stride)),
            ("CroppingMode", spec_value(self.cropping_mode)),
            ("CroppingSize", spec_list(self.cropping_size)),
        ]

    def _edges(self):
        return f"cropping {spec_value(self.cropping)}"


def transposed_properties(rank):
    """Return the defaults of all properties of a transposed convolution."""
    one, zero = (1, 0) if rank == 1 else ((1,) * rank, (0,) * rank)
    return {"stride": one, "cropping": (0, 0) * rank, "output_padding": zero, "dilation_factor": one, "num_groups": 1,
            "num_channels": AUTO, **LearnableLayer.learnable_properties}  # fmt: skip
