"""What all optimizers share: named parameters with factors, L2 regularization, gradient thresholds, and their state.

A new optimizer is one file: a subclass of `Optimizer` with its formula, and the kernel that computes it.
"""

import math
from collections.abc import Iterable

import numpy as np

from convcore.checks import number_from, one_of, positive_number
from convcore.kernels import buffers
from convcore.kernels.calls import Repeated
from convcore.kernels.dispatch import conditions, prepared
from convcore.kernels.matrix_geometry import PartsGeometry
from convcore.layers.parameter import Parameter

THRESHOLD_METHODS = ("l2norm", "global-l2norm", "absolute-value")


class Optimizer:
    """Change parameters against their gradients; a subclass says how.

    In each step, for each parameter w with gradient g::

        g = g + λ · l2_factor · w                      λ is l2_regularization
        g = limited by gradient_threshold
        r = learn_rate · learn_rate_factor
        w and the subclass's arrays of state are changed by g and r

    A subclass gives the name of its kernel as `op`, the names of its arrays of state, which begin as zeros, as
    `STATES`, and the kernel's numbers by `hyperparameters` and `corrections`; `COUNTS_UPDATES` says whether the
    number of a parameter's updates, on which corrections depend, is a part of the state.

    Parameters
    ----------
    parameters : dict of str to Parameter, or iterable of Parameter
        For example ``net.parameters()``. In an iterable, one without a name is called after its place.
    learn_rate : float, at least 0
    l2_regularization : float, at least 0
        λ: the loss is thought to contain λ · Σ l2_factor · ½‖w‖².
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
    not count for "global-l2norm". One whose `grad` is None is passed over, too. At the first step the parameters'
    values move into one array, of which each ``data`` is a part from then on, and a step is one pass of a kernel over
    it. The bits do not depend on the number of threads.
    """

    op = ""
    STATES = ()
    COUNTS_UPDATES = False

    def __init__(self, parameters, learn_rate, l2_regularization, gradient_threshold, gradient_threshold_method):
        self._name = name = type(self).__name__
        self.parameters = self._named(parameters)
        self.learn_rate = number_from(learn_rate, f"{name}: learn_rate", 0)
        self.l2_regularization = number_from(l2_regularization, f"{name}: l2_regularization", 0)
        self.gradient_threshold = positive_number(gradient_threshold, f"{name}: gradient_threshold", or_inf=True)
        self.gradient_threshold_method = one_of(
            gradient_threshold_method, f"{name}: gradient_threshold_method", THRESHOLD_METHODS
        )
        self._updates = dict.fromkeys(self.parameters, 0)
        by_dtype = {}
        for key, parameter in self.parameters.items():
            by_dtype.setdefault(parameter.data.dtype, {})[key] = parameter
        self._dtypes = {key: parameter.data.dtype for key, parameter in self.parameters.items()}
        self._groups = [_Group(self.op, parameters, self.STATES) for parameters in by_dtype.values()]
        self._kernels, self._moving = [], {}
        self._found, self._conditions = None, None  # what the last step's calls depend on

    def hyperparameters(self):
        """Return the kernel's numbers, other than rate and l2, that are the same for all parameters."""
        raise TypeError(f"{self._name} does not define hyperparameters")

    def corrections(self, updates):
        """Return those that depend on the number of a parameter's update, from 1; a list of these numbers is given."""
        return {}

    def step(self, learn_rate=None):
        """Update every parameter from its gradient, in place.

        Parameters
        ----------
        learn_rate : float, at least 0, optional
            The rate of this step, as a schedule gives it; otherwise the one of the constructor.

        Raises
        ------
        TypeError, ValueError
            A rate that is no finite number of at least 0; a gradient of another shape or dtype than its parameter.
            Nothing is changed then.
        """
        rate = self.learn_rate if learn_rate is None else number_from(learn_rate, f"{self._name}: learn_rate", 0)
        limited = self.gradient_threshold < math.inf
        if limited or not self._is_as_before():
            self._look(limited)
        if not self._moving:
            return
        l2 = 0.0 if limited else self.l2_regularization  # limited gradients have it in them
        for group, update in zip(self._groups, self._kernels, strict=True):
            update(moving=group.moves, factors=group.factors, rate=rate, l2=l2,
                   **self.hyperparameters(), **self._corrections_of(group))  # fmt: skip
        for parameter in self._moving.values():
            parameter.version += 1  # the tape notices a change between forward and backward by it

    def _corrections_of(self, group):
        """Count the updates of a group's parameters, and return the corrections that depend on them."""
        if not self.COUNTS_UPDATES:
            return {}
        for name in group.parameters:
            self._updates[name] += name in self._moving
        return self.corrections([max(1, self._updates[name]) for name in group.parameters])

    def _is_as_before(self):
        """Whether the last step's calls are this step's: the same arrays, and nothing else that decides over a call."""
        if self._found is None:
            return False
        for parameter, data, grad, factors in self._found:  # all() takes three times as long
            if parameter.data is not data or parameter.grad is not grad or parameter.factors is not factors:
                return False
        return self._conditions == conditions()

    def _look(self, limited):
        """Look at the parameters, and prepare the calls of the kernel for the arrays that they hold.

        The calls are good for later steps where the kernel reads the gradients themselves and no copy of them.
        """
        self._found = None
        self._moving = self._movable()
        gradients = {name: parameter.grad for name, parameter in self._moving.items()}
        if gradients and limited:
            gradients = self._limited_gradients(self._moving)
        self._kernels = [self._update(group, gradients) for group in self._groups] if gradients else []
        for group in self._groups:
            group.moves = np.array([name in self._moving for name in group.parameters], np.uint8)
            group.factors = np.array([parameter.factors for parameter in group.parameters.values()], np.float64)
        if gradients and not limited and all(group.reads_gradients for group in self._groups):
            self._found = [(p, p.data, p.grad, p.factors) for p in self.parameters.values()]
            self._conditions = conditions()

    def _update(self, group, gradients):
        """Return the function that updates a group of parameters."""
        arrays = [group.weights(), *group.states.values(), group.gathered(gradients)]
        return Repeated(prepared(self.op, "update", group.geometry, arrays))

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

    # ---------------------------------------------------------------- state

    @classmethod
    def state_names(cls):
        """Return what the names of the arrays in `state` begin with."""
        return (*cls.STATES, *(["updates"] if cls.COUNTS_UPDATES else []))

    def state(self):
        """Return everything that the steps so far have left in the optimizer, as copies.

        Returns
        -------
        dict of str to ndarray
            For each parameter and each array of state "STATE/PARAMETER", for example "velocity/conv.weights", of the
            parameter's shape and dtype; where the updates count, also "updates/PARAMETER", int64 of shape ().
        """
        state = {}
        for name, parameter in self.parameters.items():
            for key, array in self._states_of(name).items():
                state[f"{key}/{name}"] = array.reshape(parameter.data.shape).copy()
            if self.COUNTS_UPDATES:
                state[f"updates/{name}"] = np.array(self._updates[name], np.int64)
        return state

    def load_state(self, state):
        """Set everything to what `state` returned earlier.

        Raises
        ------
        TypeError, ValueError
            Names, shapes or dtypes that are not those of the parameters; nothing is changed then.
        """
        wanted = self.state()
        if set(state) != set(wanted):
            odd = sorted(set(state) ^ set(wanted))[0]
            raise ValueError(f"{self._name}: the state {'lacks' if odd in wanted else 'has an unknown'} {odd!r}")
        for key, now in wanted.items():
            given = np.asarray(state[key])
            if given.shape != now.shape:
                raise ValueError(f"{self._name}: {key!r} must have shape {now.shape}, got {given.shape}")
            if given.dtype != now.dtype:
                raise TypeError(f"{self._name}: {key!r} must be {now.dtype}, got {given.dtype}")
        for name in self.parameters:
            for key, array in self._states_of(name).items():
                array[:] = np.asarray(state[f"{key}/{name}"]).reshape(-1)
            if self.COUNTS_UPDATES:
                self._updates[name] = int(state[f"updates/{name}"])

    def _states_of(self, name):
        """Return the arrays of state of a parameter by their names, flat: parts of those of its group."""
        group = next(group for group in self._groups if name in group.parameters)
        return {key: array[group.places[name]] for key, array in group.states.items()}

    # ---------------------------------------------------------------- gradients

    def _movable(self):
        """Return the parameters that a step changes, by name."""
        moving = {}
        for name, parameter in self.parameters.items():
            gradient, data = parameter.grad, parameter.data
            if gradient is None or parameter.learn_rate_factor == 0:
                continue
            if gradient.shape != data.shape:
                raise ValueError(
                    f"{self._name}: the gradient of {name} must have shape {data.shape}, got {gradient.shape}"
                )
            if gradient.dtype != data.dtype:
                raise TypeError(f"{self._name}: the gradient of {name} must be {data.dtype}, got {gradient.dtype}")
            if data.dtype != self._dtypes[name]:
                raise TypeError(
                    f"{self._name}: {name} must be {self._dtypes[name]}, as it was at first, got {data.dtype}"
                )
            moving[name] = parameter
        return moving

    def _limited_gradients(self, moving):
        """Return g + λ · l2_factor · w for each moving parameter, flat, after the threshold."""
        gradients = {}
        for name, parameter in moving.items():
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

    def _named(self, parameters):
        """Return `parameters` as a dict by name, checked."""
        if not isinstance(parameters, dict):
            if isinstance(parameters, Parameter) or not isinstance(parameters, Iterable):
                got = type(parameters).__name__
                raise TypeError(f"{self._name}: parameters must be a dict or an iterable of Parameter, got {got}")
            named = {}
            for place, parameter in enumerate(parameters):
                name = getattr(parameter, "name", None) or f"parameter {place}"
                if name in named:
                    raise ValueError(
                        f"{self._name}: two parameters are named {name!r}; give a dict of names to parameters"
                    )
                named[name] = parameter
            parameters = named
        if not parameters:
            raise ValueError(f"{self._name}: there are no parameters; initialize the network first")
        first = {}
        for name, parameter in parameters.items():
            if not isinstance(parameter, Parameter):
                raise TypeError(f"{self._name}: {name!r} must be a Parameter, got {type(parameter).__name__}")
            if first.setdefault(id(parameter), name) != name:
                raise ValueError(f"{self._name}: {first[id(parameter)]!r} and {name!r} are one and the same parameter")
        return dict(parameters)


def _joined(arrays, geometry):
    """Return arrays that lie in memory as the parts of a problem do as one array, or None where they do not."""
    first, base = arrays[0].ctypes.data, arrays[0].base
    for array, start in zip(arrays, geometry.starts, strict=True):
        if base is None or array.base is not base or not array.flags.c_contiguous:
            return None
        if array.ctypes.data != first + start * array.itemsize:
            return None
    return np.ndarray(geometry.size, arrays[0].dtype, base, first - base.ctypes.data)


class _Group:
    """Parameters of one dtype, whose values lie one after the other in one array, so that one kernel updates them all.

    Parameters
    ----------
    op : str
    parameters : dict of str to Parameter
    states : tuple of str
        The names of the arrays of state.

    Attributes
    ----------
    moves : ndarray, uint8
        For each parameter, whether steps change it.
    factors : ndarray, (parameters, 2), float64
        For each its learn_rate_factor and its l2_factor.
    reads_gradients : bool
        Whether `gathered` found the gradients one after the other, and copied nothing.
    """

    def __init__(self, op, parameters, states):
        self.parameters = parameters
        self.dtype = next(iter(parameters.values())).data.dtype
        sizes = tuple(parameter.data.size for parameter in parameters.values())
        self.geometry = PartsGeometry(op, sizes, step=buffers.CACHE_LINE // self.dtype.itemsize)
        self.places = dict(zip(parameters, self._slices(), strict=True))
        self.states = {name: self._zeros() for name in states}
        self._weights, self._parts, self._gradient = None, {}, None
        self.moves, self.factors, self.reads_gradients = None, None, False

    def _zeros(self):
        """Return zeros for all parameters, and between them."""
        zeros = buffers.lasting(self.geometry.size, self.dtype)
        zeros.fill(0)
        return zeros

    def _slices(self):
        return [place for _, place in self.geometry.parts([True] * len(self.parameters))]

    def weights(self):
        """Return all values; a parameter that has an array of its own, at first or by assignment, gets a part of it."""
        if self._weights is None:
            self._weights = self._zeros()
        others = {  # all of them copied before the first is written: they may be parts of each other
            name: parameter.data.copy()
            for name, parameter in self.parameters.items()
            if parameter.data is not self._parts.get(name) or parameter.data.base is not self._weights
        }
        for name, values in others.items():
            part = self._weights[self.places[name]].reshape(values.shape)
            part[...] = values
            self.parameters[name].data = self._parts[name] = part
        return self._weights

    def gathered(self, gradients):
        """Return the gradients one after the other, as they may lie already; where there is none, anything."""
        in_order = [gradients[name] for name in self.places if name in gradients]
        whole = _joined(in_order, self.geometry) if len(in_order) == len(self.places) else None
        self.reads_gradients = whole is not None
        if self.reads_gradients:
            return whole
        if self._gradient is None:
            self._gradient = self._zeros()
        for name, place in self.places.items():
            if name in gradients:
                self._gradient[place] = gradients[name].reshape(-1)
        return self._gradient


def _sum_of_squares(array):
    """Return Σ a² in float64; NumPy's own summation, for BLAS may add in an order that depends on its threads."""
    return float(np.square(array, dtype=np.float64).sum())
