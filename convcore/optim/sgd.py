"""Stochastic gradient descent with momentum, with factors of its own for each parameter."""

import math
from collections.abc import Iterable

import numpy as np

from convcore.kernels.dispatch import run
from convcore.kernels.matrix_geometry import FlatGeometry
from convcore.layers.parameter import Parameter
from convcore.optim.checks import number_from, number_within, one_of, positive_number

UPDATES = ("velocity", "gradient")
THRESHOLD_METHODS = ("l2norm", "global-l2norm", "absolute-value")


class SGD:
    """Change parameters against their gradients.

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
    gradient_threshold : float, greater than 0
        Infinite: no limit.
    gradient_threshold_method : {"l2norm", "global-l2norm", "absolute-value"}
        A gradient whose L2 norm exceeds the threshold is scaled down to it, parameter by parameter; or all are scaled
        by one factor, if the norm of all together exceeds it; or each element is clipped to ±threshold.

    Raises
    ------
    TypeError, ValueError
        An argument of the wrong kind or out of range; no parameters, two of the same name, one given twice.

    Notes
    -----
    A parameter with learn_rate_factor 0 is not touched: it keeps its bits, even if its gradient is NaN, and it does
    not count for "global-l2norm". One whose `grad` is None is passed over, too. Without a threshold, a step is one
    pass of a kernel over each parameter. The bits do not depend on the number of threads.

    Examples
    --------
    >>> w = Parameter(np.array([1.0, 2.0]), name="w")
    >>> optimizer = SGD([w], learn_rate=0.1, momentum=0.5, l2_regularization=0)
    >>> w.grad = np.array([1.0, 10.0])
    >>> optimizer.step()
    >>> w.data
    array([0.9, 1. ])
    """

    def __init__(self, parameters, learn_rate=0.01, momentum=0.9, l2_regularization=1e-4, update="velocity",
                 gradient_threshold=math.inf, gradient_threshold_method="l2norm"):  # fmt: skip
        self.parameters = _named(parameters)
        self.learn_rate = number_from(learn_rate, "SGD: learn_rate", 0)
        self.momentum = number_within(momentum, "SGD: momentum", 0, 1)
        self.l2_regularization = number_from(l2_regularization, "SGD: l2_regularization", 0)
        self.update = one_of(update, "SGD: update", UPDATES)
        self.gradient_threshold = positive_number(gradient_threshold, "SGD: gradient_threshold", or_inf=True)
        self.gradient_threshold_method = one_of(
            gradient_threshold_method, "SGD: gradient_threshold_method", THRESHOLD_METHODS
        )
        self._velocities = {name: np.zeros(p.data.size, p.data.dtype) for name, p in self.parameters.items()}
        self._geometries = {name: FlatGeometry("sgd", p.data.size) for name, p in self.parameters.items()}

    def step(self, learn_rate=None):
        """Update every parameter from its gradient, in place.

        Parameters
        ----------
        learn_rate : float, at least 0, optional
            The rate of this step, as a schedule gives it; otherwise the one of the constructor.

        Raises
        ------
        TypeError, ValueError
            A rate that is no finite number of at least 0; a gradient of another shape or dtype than its parameter; a
            parameter whose array is not C-contiguous.
        """
        rate = self.learn_rate if learn_rate is None else number_from(learn_rate, "SGD: learn_rate", 0)
        l2, limited = self.l2_regularization, None
        if self.gradient_threshold < math.inf:
            limited, l2 = self._limited_gradients(), 0.0
        for name, parameter in self._moving():
            gradient = parameter.grad.reshape(-1) if limited is None else limited[name]
            weights = parameter.data
            if not weights.flags.c_contiguous:  # a flat view of it would be a copy, and the update lost
                raise ValueError(f"SGD: {name} must be C-contiguous to be updated in place (shape {weights.shape})")
            run(
                "sgd", "update", self._geometries[name], weights.reshape(-1), self._velocities[name], gradient,
                rate=rate * parameter.learn_rate_factor, momentum=self.momentum, l2=l2 * parameter.l2_factor,
                velocity_form=self.update == "velocity",
            )  # fmt: skip
            parameter.version += 1  # the tape notices a change between forward and backward by it

    def zero_grad(self):
        """Forget all gradients: the next backward pass then stores its arrays instead of adding to old ones."""
        for parameter in self.parameters.values():
            parameter.grad = None

    def regularization(self):
        """Return λ · Σ l2_factor · ½‖w‖², the term whose gradient `step` adds, as a float."""
        if self.l2_regularization == 0:
            return 0.0
        terms = [p.l2_factor * _sum_of_squares(p.data) for p in self.parameters.values() if p.l2_factor]
        return self.l2_regularization * 0.5 * math.fsum(terms)

    def state(self):
        """Return the velocities, dict of parameter name to ndarray of the parameter's shape; copies."""
        return {name: self._velocities[name].reshape(p.data.shape).copy() for name, p in self.parameters.items()}

    def load_state(self, state):
        """Set the velocities to what `state` returned earlier.

        Raises
        ------
        TypeError, ValueError
            Names, shapes or dtypes that are not those of the parameters; nothing is changed then.
        """
        if set(state) != set(self.parameters):
            odd = sorted(set(state) ^ set(self.parameters))[0]
            what = "lacks" if odd in self.parameters else "has an unknown"
            raise ValueError(f"SGD: the state {what} velocity {odd!r}")
        for name, parameter in self.parameters.items():
            if np.shape(state[name]) != parameter.data.shape:
                wanted, got = parameter.data.shape, np.shape(state[name])
                raise ValueError(f"SGD: velocity {name!r} must have shape {wanted}, got {got}")
            if np.asarray(state[name]).dtype != parameter.data.dtype:
                wanted, got = parameter.data.dtype, np.asarray(state[name]).dtype
                raise TypeError(f"SGD: velocity {name!r} must be {wanted}, got {got}")
        for name, velocity in self._velocities.items():
            velocity[:] = np.asarray(state[name]).reshape(-1)

    def _moving(self):
        """Yield the parameters that a step changes, with their names."""
        for name, parameter in self.parameters.items():
            if parameter.grad is None or parameter.learn_rate_factor == 0:
                continue
            if parameter.grad.shape != parameter.data.shape:
                wanted, got = parameter.data.shape, parameter.grad.shape
                raise ValueError(f"SGD: the gradient of {name} must have shape {wanted}, got {got}")
            yield name, parameter

    def _limited_gradients(self):
        """Return g + λ · l2_factor · w for each moving parameter, flat, after the threshold."""
        gradients = {}
        for name, parameter in self._moving():
            kind = parameter.data.dtype.type
            decay = kind(self.l2_regularization * parameter.l2_factor) * parameter.data
            gradients[name] = (parameter.grad + decay).reshape(-1)
        threshold, method = self.gradient_threshold, self.gradient_threshold_method
        if method == "absolute-value":
            for gradient in gradients.values():
                np.clip(gradient, -threshold, threshold, out=gradient)
            return gradients
        norms = {name: math.sqrt(_sum_of_squares(gradient)) for name, gradient in gradients.items()}
        if method == "global-l2norm":
            norms = dict.fromkeys(gradients, math.hypot(*norms.values()))
        for name, gradient in gradients.items():
            if norms[name] > threshold:
                gradient *= gradient.dtype.type(threshold / norms[name])
        return gradients


def _named(parameters):
    """Return `parameters` as a dict by name, checked."""
    if not isinstance(parameters, dict):
        if isinstance(parameters, Parameter) or not isinstance(parameters, Iterable):
            got = type(parameters).__name__
            raise TypeError(f"SGD: parameters must be a dict or an iterable of Parameter, got {got}")
        named = {}
        for place, parameter in enumerate(parameters):
            name = getattr(parameter, "name", None) or f"parameter {place}"
            if name in named:
                raise ValueError(f"SGD: two parameters are named {name!r}; give a dict of names to parameters")
            named[name] = parameter
        parameters = named
    if not parameters:
        raise ValueError("SGD: there are no parameters; initialize the network first")
    first = {}
    for name, parameter in parameters.items():
        if not isinstance(parameter, Parameter):
            raise TypeError(f"SGD: {name!r} must be a Parameter, got {type(parameter).__name__}")
        if first.setdefault(id(parameter), name) != name:
            raise ValueError(f"SGD: {first[id(parameter)]!r} and {name!r} are one and the same parameter")
    return dict(parameters)


def _sum_of_squares(array):
    """Return Σ a² in float64; NumPy's own summation, for BLAS may add in an order that depends on its threads."""
    return float(np.square(array, dtype=np.float64).sum())
