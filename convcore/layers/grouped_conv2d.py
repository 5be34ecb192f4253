"""The grouped 2-D convolutional layer."""

from convcore.layers.convolution import AUTO, Convolution, array_with_axes, flat_bias, window_properties
from convcore.layers.layer import positive_int
from convcore.layers.learnable import LearnableLayer
from convcore.layers.spec_values import spec_value
from convcore.ops import conv2d

CHANNELWISE = "channelwise"


class GroupedConv2D(Convolution, LearnableLayer):
    """Split the channels into groups, and slide each group's own filters over it.

    Parameters
    ----------
    filter_size : int or (int, int)
        Height and width of the filters, pixels.
    num_filters_per_group : int
        The output has num_filters_per_group · num_groups channels, those of the first group first.
    num_groups : int or "channelwise"
        The number of groups, which divides that of the channels; "channelwise" makes a group of each channel.
    stride, dilation_factor, padding, padding_value
        As in `Conv2D`.
    weights : array, shape (num_groups · num_filters_per_group, channels of a group, height, width), optional
        First values; they switch the initializer off. `from_hwio` takes them in the specification's order.
    bias : array, shape (num_groups · num_filters_per_group,), optional
        First values; they switch the initializer off.
    weights_initializer, bias_initializer, weight_learn_rate_factor, bias_learn_rate_factor, weight_l2_factor, \
bias_l2_factor, name
        As in `Conv2D`.

    Attributes
    ----------
    num_channels_per_group : "auto" or int
        "auto" until the first input tells; so is a `num_groups` of "channelwise".

    Raises
    ------
    TypeError, ValueError
        Arguments of another kind or outside their range; the text names the argument.

    Notes
    -----
    The initializers scale by the connections of one group.

    References
    ----------
    "groupedConvolution2dLayer" (specification).

    Examples
    --------
    >>> GroupedConv2D(11, 10, 3).output_shape((6, 20, 20))
    (30, 10, 10)
    >>> GroupedConv2D(3, 1, "channelwise", padding="same").output_shape((16, 28, 28))
    (16, 28, 28)
    """

    properties = {**window_properties(2), **LearnableLayer.learnable_properties}
    required = ("filter_size", "num_filters_per_group", "num_groups")
    short = "groupedconv"
    kind = "2D Grouped Convolution"
    spec_class = "GroupedConvolution"
    rank, op = 2, staticmethod(conv2d)

    def __init__(self, filter_size, num_filters_per_group, num_groups, *, stride=1, dilation_factor=1, padding=0,
                 padding_value=0, weights_initializer="glorot", bias_initializer="zeros", weights=None, bias=None,
                 weight_learn_rate_factor=1, bias_learn_rate_factor=1, weight_l2_factor=1, bias_l2_factor=0,
                 name=""):  # fmt: skip
        super().__init__(name)
        what = "GroupedConv2D: num_groups"
        if isinstance(num_groups, str):
            if num_groups != CHANNELWISE:
                raise ValueError(f'{what} must be an int or "channelwise", got {num_groups!r}')
        else:
            num_groups = positive_int(num_groups, what)
        self._num_groups, self._num_channels = num_groups, AUTO
        self._filter_size = self.size(filter_size, "filter_size")
        self._num_filters_per_group = positive_int(num_filters_per_group, "GroupedConv2D: num_filters_per_group")
        self.window(stride, dilation_factor, padding, padding_value)
        self.learnable(None, weights_initializer, bias_initializer, weights, bias,
                       weight_learn_rate_factor, bias_learn_rate_factor, weight_l2_factor, bias_l2_factor)  # fmt: skip
        self._check_given()
        self._check_bias()

    @property
    def num_groups(self):
        """The number of groups, "channelwise" until the first input tells; it cannot be changed."""
        return self._num_groups

    @property
    def num_filters_per_group(self):
        """The number of filters of a group; it cannot be changed."""
        return self._num_filters_per_group

    @property
    def num_filters(self):
        """The number of filters of all groups; "auto" until the first input tells the number of groups."""
        return AUTO if self.num_groups == CHANNELWISE else self.num_groups * self.num_filters_per_group

    @property
    def num_channels_per_group(self):
        """The channels of a group, "auto" until the first input tells."""
        return AUTO if self.num_channels == AUTO else self.num_channels // self.num_groups

    def _groups(self, channels):
        return channels if self.num_groups == CHANNELWISE else self.num_groups

    def _outputs(self, channels):
        return self._groups(channels) * self.num_filters_per_group

    def _check_bias(self):
        """A given bias must fit the filters, as far as their number is known."""
        bias = self._given["bias"]
        if self.num_groups != CHANNELWISE:
            self.check_given("bias", (self.num_filters,))
        elif bias is not None and (bias.ndim != 1 or bias.size == 0 or bias.size % self.num_filters_per_group):
            wanted = f"({self.num_filters_per_group} per channel,)"
            raise ValueError(f"GroupedConv2D: bias must have shape {wanted}, got {bias.shape}")

    def _channels_of(self, weights_shape):
        groups = weights_shape[0] // self.num_filters_per_group if self.num_groups == CHANNELWISE else self.num_groups
        return groups * weights_shape[1]

    def _wanted_weights(self):
        if self.num_groups == CHANNELWISE:
            return (f"{self.num_filters_per_group} per channel", 1, *self._filter)
        return (self.num_filters, "channels of a group", *self._filter)

    def _take_channels(self, channels):
        self._num_channels, self._num_groups = channels, self._groups(channels)

    def _check_input(self, input_shape):
        super()._check_input(input_shape)
        if input_shape[0] % self._groups(input_shape[0]):
            what = self.name or "GroupedConv2D"
            raise ValueError(f"{what}: {input_shape[0]} channels cannot be split into {self.num_groups} groups "
                             f"(inputs {input_shape})")  # fmt: skip

    @classmethod
    def from_hwio(cls, weights, bias=None, **properties):
        """Return a layer with these weights in the specification's order.

        Parameters
        ----------
        weights : array, shape (height, width, channels of a group, filters of a group, groups)
        bias : array, shape (1, 1, filters of a group, groups) or (groups · filters of a group,), optional
        **properties
            As for the class, but the sizes that the weights tell.

        Examples
        --------
        >>> import numpy as np
        >>> layer = GroupedConv2D.from_hwio(np.zeros((3, 3, 4, 10, 2)), np.zeros((1, 1, 10, 2)))
        >>> layer.num_filters_per_group, layer.num_groups, layer.num_channels_per_group, layer.weights.shape
        (10, 2, 4, (20, 4, 3, 3))
        """
        what = "GroupedConv2D.from_hwio"
        axes = "(height, width, channels of a group, filters of a group, groups)"
        weights = array_with_axes(weights, 5, f"{what}: weights", axes)
        height, width, channels, filters, groups = weights.shape
        bias = flat_bias(bias, (1, 1, filters, groups), f"{what}: bias")
        weights = weights.transpose(4, 3, 2, 0, 1)  # (groups, filters, channels, height, width)
        weights = weights.reshape(groups * filters, channels, height, width)
        return cls((height, width), filters, groups, weights=weights, bias=bias, **properties)

    def _spec_filters(self):
        return [
            ("FilterSize", spec_value(self.filter_size)),
            ("NumGroups", spec_value(self.num_groups)),
            ("NumChannelsPerGroup", spec_value(self.num_channels_per_group)),
            ("NumFiltersPerGroup", self.num_filters_per_group),
        ]

    def _spec_sizes(self, shape):
        """Filter sizes × channels of a group × filters of a group × groups."""
        groups = shape[0] // self.num_filters_per_group
        return (*super()._spec_sizes(shape)[:-1], self.num_filters_per_group, groups)

    def _known_channels(self):
        return () if self.num_channels == AUTO else (self.num_channels_per_group,)

    def _counted(self):
        return f"{self.num_groups} groups of {self.num_filters_per_group}"
