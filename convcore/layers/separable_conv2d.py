"""The depthwise separable 2-D convolutional layer."""

from convcore.kernels import ConvGeometry
from convcore.layers import initializers
from convcore.layers.convolution import AUTO, Convolution, window_properties
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
        self.filters(filter_size, num_filters, num_channels)
        self.window(stride, dilation_factor, padding, padding_value)
        self._depth_multiplier = positive_int(depth_multiplier, "SeparableConv2D: depth_multiplier")
        self.declare("depthwise_weights", depthwise_weights, depthwise_weights_initializer,
                     depthwise_weight_learn_rate_factor, depthwise_weight_l2_factor)  # fmt: skip
        self.declare("pointwise_weights", pointwise_weights, pointwise_weights_initializer,
                     pointwise_weight_learn_rate_factor, pointwise_weight_l2_factor)  # fmt: skip
        self.declare("bias", bias, bias_initializer, bias_learn_rate_factor, bias_l2_factor, initializers.OF_BIASES)
        self._check_given()

    @property
    def depth_multiplier(self):
        """The number of depthwise filters per channel; it cannot be changed."""
        return self._depth_multiplier

    # The base class's convolution is the depthwise one: a group of each channel.

    def _groups(self, channels):
        return channels

    def _outputs(self, channels):
        return channels * self.depth_multiplier

    def _channels_of(self, weights_shape):
        """The channels of the input that depthwise weights of this shape are for."""
        return weights_shape[0] // self.depth_multiplier

    def _check_given(self):
        """Given arrays must fit the filters and one another; the weights tell the number of channels."""
        self.check_given("bias", (self.num_filters,))
        between = f"channels · {self.depth_multiplier}"  # channels from the one convolution to the other
        wanted = {
            "depthwise_weights": (between, 1, *self._filter),
            "pointwise_weights": (self.num_filters, between, 1, 1),
        }
        for role, shape in wanted.items():
            values = self._given[role]
            if values is None:
                continue
            count = values.shape[shape.index(between)] if values.ndim == 4 else 0
            channels, rest = divmod(count, self.depth_multiplier)
            if channels == 0 or rest or values.shape != tuple(count if n == between else n for n in shape):
                text = ", ".join(str(n) for n in shape)
                raise ValueError(f"SeparableConv2D: {role} must have shape ({text}), got {values.shape}")
            if self.num_channels not in (AUTO, channels):
                raise ValueError(f"SeparableConv2D: {role} are for {channels} channels, others are for "
                                 f"{self.num_channels}")  # fmt: skip
            self._take_channels(channels)

    def _pointwise(self, input_shape):
        """The problem of the pointwise convolution for one image."""
        depthwise = self._geometry(input_shape)
        return ConvGeometry.of(depthwise.shapes["y"], (self.num_filters, depthwise.out_channels, 1, 1))

    def sizes(self, input_shape):
        """Return the size, num_in and num_out of both weights, of one group for the depthwise ones, and of the bias."""
        pointwise = self._pointwise(input_shape)
        height, width = self._filter
        fans = pointwise.in_channels, self.num_filters
        return (
            (self.weights_size(input_shape[0]), height * width, height * width * self.depth_multiplier),
            (pointwise.shapes["weight"], *fans),
            ((self.num_filters,), *fans),
        )

    def output_shape(self, input_shape):
        """Return (num_filters, height, width)."""
        return self._pointwise(input_shape).shapes["y"][1:]

    def forward(self, x, training, rng):
        """Return the feature maps (N, num_filters, height, width) of images (N, channels, height, width)."""
        y = self.convolve(x, self.depthwise_weights)
        return conv2d(y, self.pointwise_weights, self.bias)

    def multiply_adds(self, input_shape):
        """Return the multiply-adds of one image."""
        problems = self._geometry(input_shape), self._pointwise(input_shape)
        return sum(problem.operations("forward") for problem in problems) // 2

    def _spec_filters(self):
        return [*super()._spec_filters(), ("DepthMultiplier", self.depth_multiplier)]

    def _counted(self):
        return f"{self.num_filters} separable"
