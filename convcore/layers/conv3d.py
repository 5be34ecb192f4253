"""The 3-D convolutional layer."""

from convcore.layers.convolution import DenseConvolution, dense_properties
from convcore.ops import conv3d


class Conv3D(DenseConvolution):
    """Slide filters over volumes, in depth, height and width, and add a bias.

    Parameters
    ----------
    filter_size : int or (int, int, int)
        Depth, height and width of the filters, cells.
    num_filters : int
        Channels of the output.
    stride : int or (int, int, int)
        Step in depth, height and width, cells.
    dilation_factor : int or (int, int, int)
        Distance of the input cells that neighbouring weights look at; a filter covers (size − 1) · factor + 1 cells.
    padding : "same", int, 3 ints or (front, back, top, bottom, left, right)
        Cells around the volume; "same" gives an output of ceil(input / stride).
    padding_value : float or str
        What they hold: a number, or cells of the volume: "symmetric-include-edge", "symmetric-exclude-edge",
        "replicate", "circular".
    num_channels : "auto" or int
        Channels of the input; "auto" takes them from the first input.
    weights_initializer, bias_initializer : str or function
        "glorot", "he", "narrow-normal", "zeros", "ones", or a function of the size that returns an array.
    weights : array, shape (num_filters, num_channels, depth, height, width), optional
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
    "Convolutional layer" (specification): the 2-D layer in one dimension more.

    Examples
    --------
    >>> layer = Conv3D(3, 16, padding="same")
    >>> layer.output_shape((1, 10, 28, 28))
    (16, 10, 28, 28)
    """

    rank, op = 3, staticmethod(conv3d)
    properties = dense_properties(3)
    kind = "3D Convolution"
