"""The 3-D transposed convolutional layer."""

from convcore.layers.transposed_convolution import TransposedConvolution, transposed_properties
from convcore.ops import conv_transpose3d


class TransposedConv3D(TransposedConvolution):
    """Spread each cell of volumes over a window of a larger output, times a filter, and add a bias.

    Parameters
    ----------
    filter_size : int or (int, int, int)
        Depth, height and width of the filters, cells.
    num_filters : int
        Channels of the output.
    stride, dilation_factor : int or (int, int, int)
        Distance, in the output, of what neighbouring input cells, and neighbouring weights, reach.
    cropping : "same", int, 3 ints or (front, back, top, bottom, left, right)
        What is cut off the output; "same" gives an output of input · stride.
    output_padding : int or (int, int, int)
        What is added to the end of the output, smaller than the stride.
    num_groups : int
        Channels of a group reach only the filters of that group.
    num_channels : "auto" or int
        Channels of the input; "auto" takes them from the first input.
    weights : array, shape (num_channels, num_filters // num_groups, depth, height, width), optional
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
    >>> TransposedConv3D(4, 16, stride=2, cropping="same").output_shape((8, 3, 7, 7))
    (16, 6, 14, 14)
    """

    rank, op = 3, staticmethod(conv_transpose3d)
    properties = transposed_properties(3)
    kind = "3D Transposed Convolution"
