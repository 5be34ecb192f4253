"""The 1-D transposed convolutional layer."""

from convcore.layers.transposed_convolution import TransposedConvolution, transposed_properties
from convcore.ops import conv_transpose1d


class TransposedConv1D(TransposedConvolution):
    """Spread each cell of sequences or 1-D images over a window of a larger output, times a filter, and add a bias.

    Parameters
    ----------
    filter_size : int
        Width of the filters, cells.
    num_filters : int
        Channels of the output.
    stride, dilation_factor : int
        Distance, in the output, of what neighbouring input cells, and neighbouring weights, reach.
    cropping : "same", int or (left, right)
        What is cut off the output; "same" gives an output of input · stride.
    output_padding : int
        What is added to the end of the output, smaller than the stride.
    num_groups : int
        Channels of a group reach only the filters of that group.
    num_channels : "auto" or int
        Channels of the input; "auto" takes them from the first input.
    weights : array, shape (num_channels, num_filters // num_groups, width), optional
        First values; they switch the initializer off.
    bias : array, shape (num_filters,), optional
        First values; they switch the initializer off.
    weights_initializer, bias_initializer, weight_learn_rate_factor, bias_learn_rate_factor, weight_l2_factor, \
bias_l2_factor, name
        As in `Conv2D`.

    Raises
    ------
    TypeError, ValueError
        Arguments of another kind or outside their range; the text names the argument.

    References
    ----------
    "Convolutional layer", transposed (specification); Dumoulin and Visin, arXiv:1603.07285, section 4.

    Examples
    --------
    >>> TransposedConv1D(4, 16, stride=2, cropping="same").output_shape((8, 50))
    (16, 100)
    """

    rank, op = 1, staticmethod(conv_transpose1d)
    properties = transposed_properties(1)
    kind = "1D Transposed Convolution"
