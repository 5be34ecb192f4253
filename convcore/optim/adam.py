"""Adam: averages of the gradient and of its square, corrected for their beginning at zero."""

import math

import numpy as np

from convcore.checks import number_below, positive_number
from convcore.optim.optimizer import Optimizer


class Adam(Optimizer):
    """Adaptive moment estimation ("adam").

    In update number t of each parameter w with gradient g and averages m and s (0 at first)::

        g = g + λ · l2_factor · w                      λ is l2_regularization
        g = limited by gradient_threshold
        r = learn_rate · learn_rate_factor
        m = β₁ · m + (1 − β₁) · g                      β₁ is gradient_decay_factor
        s = β₂ · s + (1 − β₂) · g²                     β₂ is squared_gradient_decay_factor
        w = w − r · m / (1 − β₁ᵗ) / (√(s / (1 − β₂ᵗ)) + ε)

    The averages begin at zero; the divisions by 1 − βᵗ take that out again. ε stands outside the root. t counts the
    updates of this parameter: steps in which it had no gradient, or the factor 0, do not count.

    Parameters
    ----------
    parameters : dict of str to Parameter, or iterable of Parameter
        For example ``net.parameters()``. In an iterable, one without a name is called after its place.
    learn_rate : float, at least 0
    gradient_decay_factor, squared_gradient_decay_factor : float, 0 to less than 1
        β₁ and β₂.
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
    What all optimizers have in common (factors, thresholds, determinism) stands in `Optimizer`. The regularization is
    a part of the gradient, as in the other optimizers, not a decay of its own beside it (AdamW).

    References
    ----------
    D. P. Kingma and J. Ba, "Adam: A Method for Stochastic Optimization", arXiv:1412.6980, algorithm 1.

    Examples
    --------
    >>> import numpy as np
    >>> from convcore.layers.parameter import Parameter
    >>> w = Parameter([1.0, 2.0], name="w")
    >>> optimizer = Adam([w], learn_rate=0.1, l2_regularization=0)
    >>> w.grad = np.array([1.0, 10.0])  # the first step is as long as the rate, whatever the gradient's size
    >>> optimizer.step()
    >>> w.data.round(6)
    array([0.9, 1.9])
    """

    op = "adam"
    STATES = ("gradient_average", "squared_gradient_average")
    COUNTS_UPDATES = True

    def __init__(self, parameters, learn_rate=0.001, gradient_decay_factor=0.9, squared_gradient_decay_factor=0.999,
                 epsilon=1e-8, l2_regularization=1e-4, gradient_threshold=math.inf,
                 gradient_threshold_method="l2norm"):  # fmt: skip
        super().__init__(parameters, learn_rate, l2_regularization, gradient_threshold, gradient_threshold_method)
        self.gradient_decay_factor = number_below(gradient_decay_factor, "Adam: gradient_decay_factor", 0, 1)
        self.squared_gradient_decay_factor = number_below(
            squared_gradient_decay_factor, "Adam: squared_gradient_decay_factor", 0, 1
        )
        self.epsilon = positive_number(epsilon, "Adam: epsilon")

    def hyperparameters(self):
        """Return β₁, β₂ and ε."""
        return {
            "gradient_decay": self.gradient_decay_factor,
            "squared_decay": self.squared_gradient_decay_factor,
            "epsilon": self.epsilon,
        }

    def corrections(self, updates):
        """Return 1 − β₁ᵗ and 1 − β₂ᵗ of update number t of each parameter."""
        return {
            "corrections": np.array(
                [(1 - self.gradient_decay_factor**t, 1 - self.squared_gradient_decay_factor**t) for t in updates]
            ),
        }
