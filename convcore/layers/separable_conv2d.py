"""The depthwise separable 2-D convolutional layer."""

from convcore.kernels import ConvGeometry
from convcore.layers import initializers
from convcore.layers.convolution import AUTO, Convolution, channels_given, window_properties
from convcore.layers.layer import positive_int
from convcore.ops import conv2d


class SeparableConv2D(Convolution):
    """A depthwise convolution, which filters each channel by itself, then a pointwise one, which combines channels.

    Parameters
    ----------
    filter_size : int or (int, int)
        Height and width of the depthwise filters, pixels.
    num_filters : int
        Channels of the output: the number of pointwise filters.
    depth_multiplier : int
        Depthwise filters per channel.
    stride, dilation_factor, padding, padding_value
        Of the depthwise convolution, as in `Conv2D`.
    num_channels : "auto" or int
        Channels of the input; "auto" takes them from the first input.
    depthwise_weights : array, shape (num_channels · depth_multiplier, 1, height, width), optional
    pointwise_weights : array, shape (num_filters, num_channels · depth_multiplier, 1, 1), optional
    bias : array, shape (num_filters,), optional
        First values; they switch the initializers off. Only the pointwise convolution has a bias: one in between would
        change nothing that this one cannot.
    depthwise_weights_initializer, pointwise_weights_initializer, bias_initializer, \
depthwise_weight_learn_rate_factor, pointwise_weight_learn_rate_factor, bias_learn_rate_factor, \
depthwise_weight_l2_factor, pointwise_weight_l2_factor, bias_l2_factor, name
        As in `Conv2D`.

    Raises
    ------
    TypeError, ValueError
        Arguments of another kind or outside their range; the text names the argument.

    References
    ----------
    "Convolutional layer", depthwise separable (specification); Chollet, arXiv:1610.02357.

    Examples
    --------
    >>> layer = SeparableConv2D(3, 16, stride=2, padding="same")
    >>> layer.output_shape((3, 227, 227))
    (16, 114, 114)
    """

    properties = {
        "depth_multiplier": 1,
        **window_properties(2),
        "num_channels": AUTO,
        "depthwise_weights_initializer": "glorot",
        "pointwise_weights_initializer": "glorot",
        "bias_initializer": "zeros",
        "depthwise_weight_learn_rate_factor": 1.0,
        "pointwise_weight_learn_rate_factor": 1.0,
        "bias_learn_rate_factor": 1.0,
        "depthwise_weight_l2_factor": 1.0,
        "pointwise_weight_l2_factor": 1.0,
        "bias_l2_factor": 0.0,
    }
    roles = {"depthwise_weights": "depthwise_weight", "pointwise_weights": "pointwise_weight", "bias": "bias"}
    required = ("filter_size", "num_filters")
    short = "separableconv"
    kind = "2D Separable Convolution"
    spec_class = "SeparableConvolution"
    rank, op = 2, staticmethod(conv2d)

    def __init__(self, filter_size, num_filters, *, depth_multiplier=1, stride=1, dilation_factor=1, padding=0,
                 padding_value=0, num_channels="auto", depthwise_weights_initializer="glorot",
                 pointwise_weights_initializer="glorot", bias_initializer="zeros", depthwise_weights=None,
                 pointwise_weights=None, bias=None, depthwise_weight_learn_rate_factor=1,
                 pointwise_weight_learn_rate_factor=1, bias_learn_rate_factor=1, depthwise_weight_l2_factor=1,
                 pointwise_weight_l2_factor=1, bias_l2_factor=0, name=""):  # fmt: skip
        super().__init__(name)
        self.filters(filter_size, num_filters)
        self.window(stride, dilation_factor, padding, padding_value)
        self.depth_multiplier = positive_int(depth_multiplier, "SeparableConv2D: depth_multiplier")
        self.num_channels = channels_given(num_channels, "SeparableConv2D: num_channels")
        self.declare("depthwise_weights", depthwise_weights, depthwise_weights_initializer,
                     depthwise_weight_learn_rate_factor, depthwise_weight_l2_factor)  # fmt: skip
        self.declare("pointwise_weights", pointwise_weights, pointwise_weights_initializer,
                     pointwise_weight_learn_rate_factor, pointwise_weight_l2_factor)  # fmt: skip
        self.declare("bias", bias, bias_initializer, bias_learn_rate_factor, bias_l2_factor, initializers.OF_BIASES)

    def _depthwise(self, input_shape):
        """The problem of the depthwise convolution for one image."""
        self._check_input(input_shape)
        channels = input_shape[0]
        return ConvGeometry.of((1, *input_shape), (channels * self.depth_multiplier, 1, *self._filter), self.stride,
                               self.padding, self.padding_value, self.dilation_factor, channels)  # fmt: skip

    def _pointwise(self, input_shape):
        """The problem of the pointwise convolution for one image."""
        depthwise = self._depthwise(input_shape)
        return ConvGeometry.of(depthwise.shapes["y"], (self.num_filters, depthwise.out_channels, 1, 1))

    def sizes(self, input_shape):
        """Return the size, num_in and num_out of both weights, of one group for the depthwise ones, and of the bias."""
        depthwise, pointwise = self._depthwise(input_shape), self._pointwise(input_shape)
        height, width = self._filter
        fans = pointwise.in_channels, self.num_filters
        return (
            (depthwise.shapes["weight"], height * width, height * width * self.depth_multiplier),
            (pointwise.shapes["weight"], *fans),
            ((self.num_filters,), *fans),
        )

    def _channels_of(self, weights_shape):
        return weights_shape[0] // self.depth_multiplier

    def output_shape(self, input_shape):
        """Return (num_filters, height, width)."""
        return self._pointwise(input_shape).shapes["y"][1:]

    def forward(self, x, training, rng):
        """Return the feature maps (N, num_filters, height, width) of images (N, channels, height, width)."""
        y = conv2d(x, self.depthwise_weights, stride=self.stride, padding=self.padding, groups=x.shape[1],
                   padding_value=self.padding_value, dilation=self.dilation_factor)  # fmt: skip
        return conv2d(y, self.pointwise_weights, self.bias)

    def multiply_adds(self, input_shape):
        """Return the multiply-adds of one image."""
        problems = self._depthwise(input_shape), self._pointwise(input_shape)
        return sum(problem.operations("forward") for problem in problems) // 2

    def _spec_rows(self):
        return [
            ("FilterSize", self._spec_sizes(self.filter_size)),
            ("NumChannels", "'auto'" if self.num_channels == AUTO else self.num_channels),
            ("NumFilters", self.num_filters),
            ("DepthMultiplier", self.depth_multiplier),
            *self._spec_window(),
        ]

    def _filters_text(self):
        return f"{self.num_filters} separable"
