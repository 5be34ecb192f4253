"""The layer that says that a network predicts numbers."""

from convcore.arrays import as_numbers
from convcore.autograd import Tensor, as_tensor
from convcore.layers import formats
from convcore.layers.layer import Layer
from convcore.layers.spec_values import spec_value
from convcore.ops import half_mse, transpose
from convcore.ops.loss import half_squared_error


class RegressionOutput(Layer):
    """Mark the end of a network that predicts numbers, and hold its loss; it changes nothing.

    Parameters
    ----------
    name : str

    References
    ----------
    "Layers of a ConvNet", regression layer (specification).

    Examples
    --------
    >>> RegressionOutput().loss([[1.0, 2.0]], [[0.0, 0.0]]).numpy()
    array(2.5)
    """

    short = "regressionoutput"
    kind = "Regression Output"
    spec_title = "RegressionOutputLayer"
    is_output = True

    def __init__(self, *, name=""):
        super().__init__(name)

    def forward(self, x, training, rng):
        """Return x."""
        return x

    def loss(self, y, t):
        """Return half the squared error, summed over responses (for images over all pixels), the mean over the batch.

        loss = 1/(2·N·S) · Σ_n Σ_s Σ_i (y[n, s, i] − t[n, s, i])²; S is the number of time steps, 1 where y has no T

        Parameters
        ----------
        y : Tensor, shape (N, ...), or with a format that says where batch and time are
        t : Tensor or array of the shape and axis order of y
            Targets.

        Returns
        -------
        Tensor, shape ()

        Raises
        ------
        TypeError, ValueError
            Different dtypes or shapes; no elements.
        """
        y = as_tensor(y, "RegressionOutput: y")
        if y.format is None:
            return half_mse(y, t)
        if "B" not in y.format:
            raise ValueError(f'RegressionOutput: y must have a batch axis B, its format is "{y.format}"')
        t = t if isinstance(t, Tensor) else as_numbers(t, "RegressionOutput: t")
        steps = y.shape[y.format.index("T")] if "T" in y.format else 1
        if y.format[0] != "B" and y.shape == t.shape:
            order = formats.permutation(y.format, formats.canonical(y.format))
            y, t = transpose(y, order), transpose(t, order) if isinstance(t, Tensor) else t.transpose(order)
        return half_squared_error(y, t, steps)

    def spec_rows(self):
        """Return the name and the loss."""
        return [*super().spec_rows(), "Hyperparameters", ("LossFunction", spec_value(self.description()))]

    def description(self):
        """Return the specification's words: "mean-squared-error"."""
        return "mean-squared-error"
