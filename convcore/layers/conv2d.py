"""The 2-D convolutional layer."""

from convcore.layers.convolution import DenseConvolution, array_with_axes, dense_properties, flat_bias
from convcore.ops import conv2d


class Conv2D(DenseConvolution):
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
    padding_value : float or str
        What they hold: a number, or cells of the image: "symmetric-include-edge", "symmetric-exclude-edge",
        "replicate", "circular".
    num_channels : "auto" or int
        Channels of the input; "auto" takes them from the first input.
    weights_initializer, bias_initializer : str or function
        "glorot", "he", "narrow-normal", "zeros", "ones", or a function of the size that returns an array.
    weights : array, shape (num_filters, num_channels, height, width), optional
        First values; they switch the initializer off. `from_hwio` takes them in the specification's order.
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

    rank, op = 2, staticmethod(conv2d)
    properties = dense_properties(2)
    kind = "2D Convolution"

    @classmethod
    def from_hwio(cls, weights, bias=None, **properties):
        """Return a layer with these weights in the specification's order.

        Parameters
        ----------
        weights : array, shape (height, width, channels, filters)
        bias : array, shape (1, 1, filters) or (filters,), optional
        **properties
            As for the class, but the sizes that the weights tell.

        Examples
        --------
        >>> import numpy as np
        >>> layer = Conv2D.from_hwio(np.zeros((5, 4, 3, 32)), np.zeros((1, 1, 32)), padding="same")
        >>> layer.filter_size, layer.num_filters, layer.num_channels, layer.weights.shape
        ((5, 4), 32, 3, (32, 3, 5, 4))
        """
        what = f"{cls.__name__}.from_hwio"
        weights = array_with_axes(weights, 4, f"{what}: weights", "(height, width, channels, filters)")
        height, width, _, filters = weights.shape
        bias = flat_bias(bias, (1, 1, filters), f"{what}: bias")
        return cls((height, width), filters, weights=weights.transpose(3, 2, 0, 1), bias=bias, **properties)
