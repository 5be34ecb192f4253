"""The 1-D convolutional layer."""

from convcore.layers.convolution import DenseConvolution, array_with_axes, dense_properties, flat_bias
from convcore.ops import conv1d


class Conv1D(DenseConvolution):
    """Slide filters over sequences or 1-D images and add a bias.

    Parameters
    ----------
    filter_size : int
        Width of the filters: time steps or pixels.
    num_filters : int
        Channels of the output.
    stride : int
    dilation_factor : int
        Distance of the input cells that neighbouring weights look at; a filter covers (size − 1) · factor + 1 cells.
    padding : "same", "causal", int or (left, right)
        Cells before and after the input; "same" gives an output of ceil(input / stride). "causal" pads the left alone,
        by (size − 1) · factor: no output looks at a later time step.
    padding_value : float or str
        What they hold: a number, or cells of the input: "symmetric-include-edge", "symmetric-exclude-edge",
        "replicate", "circular".
    num_channels : "auto" or int
        Channels of the input; "auto" takes them from the first input.
    weights_initializer, bias_initializer : str or function
        "glorot", "he", "narrow-normal", "zeros", "ones", or a function of the size that returns an array.
    weights : array, shape (num_filters, num_channels, width), optional
        First values; they switch the initializer off. `from_wio` takes them in the specification's order.
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

    Notes
    -----
    Of a formatted input, the time axis is convolved over where there is no spatial one, the spatial one where there is.

    References
    ----------
    "convolution1dLayer" (specification).

    Examples
    --------
    >>> layer = Conv1D(11, 96)
    >>> layer.output_shape((12, 100))
    (96, 90)
    """

    rank, op = 1, staticmethod(conv1d)
    properties = dense_properties(1)
    padding_words = ("same", "causal")
    kind = "Convolution"

    @classmethod
    def from_wio(cls, weights, bias=None, **properties):
        """Return a layer with these weights in the specification's order.

        Parameters
        ----------
        weights : array, shape (width, channels, filters)
        bias : array, shape (1, filters) or (filters,), optional
        **properties
            As for the class, but the sizes that the weights tell.

        Examples
        --------
        >>> import numpy as np
        >>> Conv1D.from_wio(np.zeros((11, 12, 96)), np.zeros((1, 96))).weights.shape
        (96, 12, 11)
        """
        what = f"{cls.__name__}.from_wio"
        weights = array_with_axes(weights, 3, f"{what}: weights", "(width, channels, filters)")
        width, _, filters = weights.shape
        bias = flat_bias(bias, (1, filters), f"{what}: bias")
        return cls(width, filters, weights=weights.transpose(2, 1, 0), bias=bias, **properties)
