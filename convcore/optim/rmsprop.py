"""RMSProp: the gradient over the root of the average of its square."""

import math

from convcore.checks import number_below, positive_number
from convcore.optim.optimizer import Optimizer


class RMSProp(Optimizer):
    """Root mean square propagation ("rmsprop").

    In each step, for each parameter w with gradient g and average s (0 at first)::

        g = g + λ · l2_factor · w                      λ is l2_regularization
        g = limited by gradient_threshold
        r = learn_rate · learn_rate_factor
        s = β · s + (1 − β) · g²                       β is squared_gradient_decay_factor
        w = w − r · g / (√s + ε)

    ε stands outside the root. The beginning of s at zero is not corrected for: the first steps are longer, by up to
    1 / √(1 − β).

    Parameters
    ----------
    parameters : dict of str to Parameter, or iterable of Parameter
        For example ``net.parameters()``. In an iterable, one without a name is called after its place.
    learn_rate : float, at least 0
    squared_gradient_decay_factor : float, 0 to less than 1
        β.
    epsilon : float, greater than 0
        ε, keeps the step finite where all gradients were 0.
    l2_regularization : float, at least 0
        λ: the loss is thought to contain λ · Σ l2_factor · ½‖w‖².
    gradient_threshold, gradient_threshold_method
        As `Optimizer` takes them.

    Raises
    ------
    TypeError, ValueError
        An argument of the wrong kind or out of range; no parameters, two of the same name, one given twice.

    Notes
    -----
    What all optimizers have in common (factors, thresholds, determinism) stands in `Optimizer`.

    References
    ----------
    G. Hinton, "Neural Networks for Machine Learning", lecture 6e, 2012.

    Examples
    --------
    >>> import numpy as np
    >>> from convcore.layers.parameter import Parameter
    >>> w = Parameter([1.0, 2.0], name="w")
    >>> optimizer = RMSProp([w], learn_rate=0.1, squared_gradient_decay_factor=0.75, l2_regularization=0)
    >>> w.grad = np.array([1.0, 10.0])
    >>> optimizer.step()
    >>> w.data.round(6)
    array([0.8, 1.8])
    """

    op = "rmsprop"
    STATES = ("squared_gradient_average",)

    def __init__(self, parameters, learn_rate=0.001, squared_gradient_decay_factor=0.9, epsilon=1e-8,
                 l2_regularization=1e-4, gradient_threshold=math.inf, gradient_threshold_method="l2norm"):  # fmt: skip
        super().__init__(parameters, learn_rate, l2_regularization, gradient_threshold, gradient_threshold_method)
        self.squared_gradient_decay_factor = number_below(
            squared_gradient_decay_factor, "RMSProp: squared_gradient_decay_factor", 0, 1
        )
        self.epsilon = positive_number(epsilon, "RMSProp: epsilon")

    def hyperparameters(self):
        """Return β and ε."""
        return {"squared_decay": self.squared_gradient_decay_factor, "epsilon": self.epsilon}
