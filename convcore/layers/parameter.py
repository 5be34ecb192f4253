"""A tensor that is learned."""

from convcore.arrays import as_float_array
from convcore.autograd import Tensor
from convcore.checks import number_from


class Parameter(Tensor):
    """A Tensor with ``requires_grad=True`` and the two factors of the specification.

    Parameters
    ----------
    data : array_like of float32 or float64
        Copied, C-contiguous: an optimizer writes into it.
    learn_rate_factor : float, at least 0
        Times the global learning rate is this parameter's; 0 keeps it as it is.
    l2_factor : float, at least 0
        Times the global L2 regularization is this parameter's.
    name : str, optional

    Attributes
    ----------
    factors : tuple of float
        (learn_rate_factor, l2_factor), another tuple after each change.

    Raises
    ------
    TypeError, ValueError
        Factors that are no finite numbers of at least 0; data that is no array of numbers.

    Examples
    --------
    >>> Parameter([1.0, 2.0], learn_rate_factor=2).learn_rate_factor
    2.0
    """

    __slots__ = ("factors",)

    def __init__(self, data, learn_rate_factor=1.0, l2_factor=1.0, name=None):
        super().__init__(as_float_array(data, "Parameter: data"), requires_grad=True, name=name)
        self.data = self.data.copy(order="C")
        self.factors = 1.0, 1.0
        self.learn_rate_factor = learn_rate_factor
        self.l2_factor = l2_factor

    @property
    def learn_rate_factor(self):
        """Times the global learning rate is this parameter's."""
        return self.factors[0]

    @learn_rate_factor.setter
    def learn_rate_factor(self, value):
        self.factors = number_from(value, "Parameter: learn_rate_factor", 0), self.factors[1]

    @property
    def l2_factor(self):
        """Times the global L2 regularization is this parameter's."""
        return self.factors[1]

    @l2_factor.setter
    def l2_factor(self, value):
        self.factors = self.factors[0], number_from(value, "Parameter: l2_factor", 0)
