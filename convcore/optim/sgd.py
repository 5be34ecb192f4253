"""Stochastic gradient descent with momentum, with factors of its own for each parameter."""

import math

from convcore.checks import number_within, one_of
from convcore.optim.optimizer import Optimizer

UPDATES = ("velocity", "gradient")


class SGD(Optimizer):
    """Stochastic gradient descent with momentum ("sgdm").

    In each step, for each parameter w with gradient g and velocity v (0 at first)::

        g = g + λ · l2_factor · w                      λ is l2_regularization
        g = limited by gradient_threshold
        r = learn_rate · learn_rate_factor
        update="velocity":  v = momentum · v − r · g;  w = w + v
        update="gradient":  v = momentum · v + g;      w = w − r · v

    The two forms agree as long as the rate stays the same; in the first, a change of the rate does not rescale what
    the velocity has gathered (the second is PyTorch's).

    Parameters
    ----------
    parameters : dict of str to Parameter, or iterable of Parameter
        For example ``net.parameters()``. In an iterable, one without a name is called after its place.
    learn_rate : float, at least 0
    momentum : float, 0 to 1
    l2_regularization : float, at least 0
        λ: the loss is thought to contain λ · Σ l2_factor · ½‖w‖².
    update : {"velocity", "gradient"}
    gradient_threshold, gradient_threshold_method
        As `Optimizer` takes them.

    Raises
    ------
    TypeError, ValueError
        An argument of the wrong kind or out of range; no parameters, two of the same name, one given twice.

    Notes
    -----
    What all optimizers have in common (factors, thresholds, determinism) stands in `Optimizer`.

    Examples
    --------
    >>> import numpy as np
    >>> from convcore.layers.parameter import Parameter
    >>> w = Parameter([1.0, 2.0], name="w")
    >>> optimizer = SGD([w], learn_rate=0.1, momentum=0.5, l2_regularization=0)
    >>> w.grad = np.array([1.0, 10.0])
    >>> optimizer.step()
    >>> w.data
    array([0.9, 1. ])
    """

    op = "sgd"
    STATES = ("velocity",)

    def __init__(self, parameters, learn_rate=0.01, momentum=0.9, l2_regularization=1e-4, update="velocity",
                 gradient_threshold=math.inf, gradient_threshold_method="l2norm"):  # fmt: skip
        super().__init__(parameters, learn_rate, l2_regularization, gradient_threshold, gradient_threshold_method)
        self.momentum = number_within(momentum, "SGD: momentum", 0, 1)
        self.update = one_of(update, "SGD: update", UPDATES)

    def hyperparameters(self):
        """Return the momentum and the form of the update."""
        return {"momentum": self.momentum, "velocity_form": self.update == "velocity"}
