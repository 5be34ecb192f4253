"""What the convolutional layers share: filters that slide over the input, in one to three dimensions."""

import math

from convcore.arrays import as_float_array
from convcore.kernels import ConvGeometry
from convcore.kernels.windows import padding_value_of
from convcore.layers.layer import positive_int
from convcore.layers.learnable import LearnableLayer, ParameterLayer
from convcore.layers.spec_values import spec_array, spec_list, spec_value
from convcore.layers.window_padding import INPUTS, window_padding, window_size

AUTO = "auto"


class FilterLayer(ParameterLayer):
    """A layer whose weights are filters, which move over its input, or its output, in steps.

    A subclass has a `rank`, and defines `weights_size` and `_geometry`; its number of filters and of groups may depend
    on the channels. The first of its arrays tells them.
    """

    layout = "windows"
    spec_class = ""
    words = ""  # of the specification's layer lists: "convolutions"

    def filters(self, filter_size, num_filters, num_channels):
        """Check and keep what the user said about the filters."""
        self._filter_size = self.size(filter_size, "filter_size")
        self._num_filters = positive_int(num_filters, f"{type(self).__name__}: num_filters")
        automatic = isinstance(num_channels, str) and num_channels == AUTO
        self._num_channels = AUTO if automatic else positive_int(num_channels, f"{type(self).__name__}: num_channels")

    @property
    def filter_size(self):
        """The filter's size, pixels: an int in one dimension, else a tuple; it cannot be changed."""
        return self._filter_size

    @property
    def num_filters(self):
        """The number of filters; it cannot be changed."""
        return self._num_filters

    @property
    def num_channels(self):
        """The channels of the input, "auto" until the weights or the first input tell; it cannot be changed."""
        return self._num_channels

    @property
    def stride(self):
        """The step, pixels: an int in one dimension, else a tuple."""
        return self._stride

    @stride.setter
    def stride(self, value):
        self._stride = self.size(value, "stride")

    @property
    def dilation_factor(self):
        """The distance of neighbouring weights, pixels: an int in one dimension, else a tuple."""
        return self._dilation_factor

    @dilation_factor.setter
    def dilation_factor(self, value):
        self._dilation_factor = self.size(value, "dilation_factor")

    def size(self, value, name, minimum=1):
        """Return an argument with one number per dimension, checked: a plain int in one dimension."""
        return window_size(value, self.rank, f"{type(self).__name__}: {name}", minimum)

    @property
    def _filter(self):
        """The filter's size as a tuple in any number of dimensions."""
        return (self.filter_size,) if self.rank == 1 else self.filter_size

    def _groups(self, channels):
        """The number of groups for inputs with so many channels."""
        return 1

    def _outputs(self, channels):
        """The number of channels of the output for inputs with so many channels."""
        return self.num_filters

    def weights_size(self, channels):
        """Return the shape of the weights for inputs with so many channels."""
        raise TypeError(f"{type(self).__name__} does not define weights_size")

    def _check_given(self):
        """Given weights must fit the filters; they tell the number of channels."""
        values, kind = self._given["weights"], type(self).__name__
        if values is None:
            return
        shape = values.shape
        channels = self._channels_of(shape) if len(shape) == self.rank + 2 else 0
        if channels == 0 or shape != self.weights_size(channels):
            wanted = ", ".join(str(n) for n in self._wanted_weights())
            raise ValueError(f"{kind}: weights must have shape ({wanted}), got {shape}")
        if self.num_channels not in (AUTO, channels):
            raise ValueError(f"{kind}: weights are for {channels} channels, num_channels is {self.num_channels}")
        self._take_channels(channels)

    def _channels_of(self, weights_shape):
        """The channels of the input that weights of this shape are for."""
        return weights_shape[1]

    def _wanted_weights(self):
        """The shape of weights as an error shows it."""
        return (self.num_filters, "channels", *self._filter)

    def _take_channels(self, channels):
        self._num_channels = channels

    def _check_input(self, input_shape):
        what = self.name or type(self).__name__
        if len(input_shape) != self.rank + 1:
            raise ValueError(f"{what}: expects {INPUTS[self.rank]}, got {input_shape}")
        if input_shape[0] == 0:
            raise ValueError(f"{what}: expects at least 1 channel, got 0 (inputs {input_shape})")
        if self.num_channels not in (AUTO, input_shape[0]):
            raise ValueError(
                f"{what}: expects {self.num_channels} channels, got {input_shape[0]} (inputs {input_shape})"
            )

    def sizes(self, input_shape):
        """Return the size, num_in and num_out of weights and bias; the latter two are those of one group."""
        self._geometry(input_shape)
        channels, cells = input_shape[0], math.prod(self._filter)
        groups, outputs = self._groups(channels), self._outputs(channels)
        fans = cells * channels // groups, cells * outputs // groups
        return (self.weights_size(channels), *fans), ((outputs,), *fans)

    def initialize(self, input_shape, rng, dtype):
        """Make weights and bias for inputs of this shape (channels, ...)."""
        super().initialize(input_shape, rng, dtype)
        self._take_channels(input_shape[0])

    def load(self, arrays, dtype):
        """Take the layer's arrays, and the number of channels from them."""
        super().load(arrays, dtype)
        self._take_channels(self._channels_of(self.learnables[self.learned[0]].shape))

    def multiply_adds(self, input_shape):
        """Return the multiply-adds of one observation."""
        return self._geometry(input_shape).operations("forward") // 2

    @property
    def spec_title(self):
        """How the specification calls the class: "Convolution2DLayer"."""
        return f"{self.spec_class}{self.rank}DLayer"

    def spec_rows(self):
        """Return the name, the hyperparameters, and the arrays with their sizes in the specification's order."""
        arrays = {role: getattr(self, role) for role in self.roles}
        return [
            *super().spec_rows(),
            "Hyperparameters",
            *self._spec_filters(),
            *self._spec_window(),
            "Learnable Parameters",
            *[(role.title().replace("_", ""), spec_array(a, None if a is None else self._spec_sizes(a.shape)))
              for role, a in arrays.items()],
        ]  # fmt: skip

    def _spec_filters(self):
        """The specification's rows about the filters."""
        return [
            ("FilterSize", spec_value(self.filter_size)),
            ("NumChannels", spec_value(self.num_channels)),
            ("NumFilters", self.num_filters),
        ]

    def _spec_window(self):
        """The specification's rows about the filters' way."""
        return []

    def _spec_sizes(self, shape):
        """The size of weights, or of a bias, in the specification's order: filter sizes × channels × filters."""
        return (*(1,) * self.rank, *shape) if len(shape) == 1 else (*shape[2:], shape[1], shape[0])

    def description(self):
        """Return the specification's words: "20 5x5 convolutions with stride [1 1] and padding [0 0 0 0]"."""
        size = "x".join(str(n) for n in (*self._filter, *self._known_channels()))
        return f"{self._counted()} {size} {self.words} with stride {spec_value(self.stride)} and {self._edges()}"

    def _known_channels(self):
        """The channels that a filter sees, where they are known."""
        return () if self.num_channels == AUTO else (self.num_channels,)

    def _counted(self):
        """How many filters there are, in words."""
        return f"{self.num_filters}"

    def _edges(self):
        """What happens at the edges, in words."""
        return ""


class Convolution(FilterLayer):
    """The convolutions: filters that move over the padded input. A subclass names its op."""

    op = None
    padding_words = ("same",)
    spec_class = "Convolution"
    words = "convolutions"
    short = "conv"

    def window(self, stride, dilation_factor, padding, padding_value):
        """Check and keep what the user said about the filters' way over the input."""
        self.stride, self.dilation_factor, self.padding = stride, dilation_factor, padding
        what = f"{type(self).__name__}: padding_value"
        self._padding_value = padding_value_of(padding_value, what)
        if not isinstance(self.padding_value, str) and not math.isfinite(self.padding_value):
            raise ValueError(f"{what} must be finite, got {self.padding_value}")

    @property
    def padding(self):
        """A word, or (before, after) of each dimension in a row, pixels."""
        return self._padding

    @padding.setter
    def padding(self, value):
        self._padding = window_padding(value, self.rank, f"{type(self).__name__}: padding", self.padding_words)

    @property
    def padding_mode(self):
        """ "manual", "same" or "causal", as the specification calls it."""
        return self.padding if isinstance(self.padding, str) else "manual"

    @property
    def padding_size(self):
        """(before, after) of each dimension in a row, pixels; zeros for "same", which depends on the input."""
        if self.padding == "causal":
            return ((self.filter_size - 1) * self.dilation_factor, 0)
        return (0, 0) * self.rank if self.padding == "same" else self.padding

    @property
    def padding_value(self):
        """A number, or how the padding repeats cells of the input; it cannot be changed."""
        return self._padding_value

    def weights_size(self, channels):
        """Return (filters, channels of a group, ...), the last the filter's size."""
        return (self._outputs(channels), channels // self._groups(channels), *self._filter)

    def _geometry(self, input_shape):
        """The problem for one observation."""
        self._check_input(input_shape)
        channels = input_shape[0]
        return ConvGeometry.of((1, *input_shape), self.weights_size(channels), self.stride, self.padding,
                               self.padding_value, self.dilation_factor, self._groups(channels))  # fmt: skip

    def output_shape(self, input_shape):
        """Return (filters, ...), one size per spatial dimension."""
        return (self._outputs(input_shape[0]), *self._geometry(input_shape).out_size)

    def forward(self, x, training, rng):
        """Return the feature maps (N, filters, ...) of inputs (N, channels, ...)."""
        return self.convolve(x, self.weights, self.bias)

    def convolve(self, x, weights, bias=None, op=None):
        """Return the convolution with these weights, by all that the layer's properties say.

        `op` may be another function of the same arguments, which makes more of it.
        """
        op = op or self.op
        return op(x, weights, bias, stride=self.stride, padding=self.padding, padding_value=self.padding_value,
                  dilation=self.dilation_factor, groups=self._groups(x.shape[1]))  # fmt: skip

    def _spec_window(self):
        return [
            ("Stride", spec_value(self.stride)),
            ("DilationFactor", spec_value(self.dilation_factor)),
            ("PaddingMode", spec_value(self.padding_mode)),
            ("PaddingSize", spec_list(self.padding_size)),
            ("PaddingValue", spec_value(self.padding_value)),
        ]

    def _edges(self):
        return f"padding {spec_value(self.padding)}"


class DenseConvolution(Convolution, LearnableLayer):
    """A convolution whose filters see all channels."""

    required = ("filter_size", "num_filters")

    def __init__(self, filter_size, num_filters, *, stride=1, dilation_factor=1, padding=0, padding_value=0,
                 num_channels="auto", weights_initializer="glorot", bias_initializer="zeros", weights=None, bias=None,
                 weight_learn_rate_factor=1, bias_learn_rate_factor=1, weight_l2_factor=1, bias_l2_factor=0,
                 name=""):  # fmt: skip
        super().__init__(name)
        self.filters(filter_size, num_filters, num_channels)
        self.window(stride, dilation_factor, padding, padding_value)
        self.learnable(self.num_filters, weights_initializer, bias_initializer, weights, bias,
                       weight_learn_rate_factor, bias_learn_rate_factor, weight_l2_factor, bias_l2_factor)  # fmt: skip
        self._check_given()


def window_properties(rank):
    """Return the defaults of the properties of a convolution's way over the input."""
    one = 1 if rank == 1 else (1,) * rank
    return {"stride": one, "dilation_factor": one, "padding": (0, 0) * rank, "padding_value": 0.0}


def dense_properties(rank):
    """Return the defaults of all properties of a convolution whose filters see all channels."""
    return {**window_properties(rank), "num_channels": AUTO, **LearnableLayer.learnable_properties}


def array_with_axes(values, count, what, axes):
    """Return weights in the specification's order as an array with so many axes."""
    array = as_float_array(values, what)
    if array.ndim != count:
        raise ValueError(f"{what} must have {count} axes {axes}, got {array.ndim} (weights {array.shape})")
    return array


def flat_bias(bias, shape, what):
    """Return a bias in the specification's order as one number per filter; None stays None.

    The specification's arrays vary fastest along their first axis: of groups of filters, the first group comes first.
    """
    if bias is None:
        return None
    array = as_float_array(bias, what)
    flat = (math.prod(shape),)
    if array.shape not in (shape, flat):
        raise ValueError(f"{what} must have shape {shape} or {flat}, got {array.shape}")
    return array.reshape(flat, order="F")
