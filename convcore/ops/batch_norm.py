"""Batch normalization."""

import numpy as np

from convcore.arrays import as_float_array, same_dtype
from convcore.autograd import Tensor, as_tensor, record
from convcore.checks import number_within, positive_number
from convcore.kernels import BatchNormGeometry, channel_sizes, run


def batch_norm(x, scale, offset, running_mean, running_var, *, training, momentum=0.1, epsilon=1e-5):
    """Normalize each channel to mean 0 and variance 1, then scale and shift it.

    y = scale · (x − mean) / sqrt(variance + epsilon) + offset

    In training, mean and (biased) variance are those of the channel over the batch and all pixels, and the running
    values move towards them: s = momentum · s_batch + (1 − momentum) · s. Otherwise they are the running values.

    Parameters
    ----------
    x : Tensor or array, shape (N, C, ...), float32 or float64
        Any number of axes behind the channels, also none.
    scale, offset : Tensor or array, shape (C,), dtype of x
    running_mean, running_var : ndarray or Tensor, shape (C,), dtype of x
        In training an ndarray is written in place, a Tensor is given its new values by `Tensor.assign`; both may be
        None: then nothing is updated. They take no gradient.
    training : bool
    momentum : float in [0, 1]
        The share of the batch in the running values.
    epsilon : float, greater than 0
        Keeps the root from 0.

    Returns
    -------
    Tensor of the shape of x

    Raises
    ------
    TypeError, ValueError
        Arrays of different dtypes, or that do not fit the channels of x; a negative running variance; running values
        that cannot be updated in training, or are missing otherwise; options of another kind or outside their range.
        Nothing is written then.

    Notes
    -----
    Statistics are computed in two passes and in double precision: a large mean costs a small variance no digits. The
    gradient in training goes through the statistics as well. An empty batch gives an empty result, zero gradients,
    and leaves the running values as they are. The bits do not depend on the number of threads.

    References
    ----------
    "Layers of a ConvNet", batch normalization layer (specification); S. Ioffe and C. Szegedy, "Batch normalization:
    accelerating deep network training by reducing internal covariate shift", ICML 2015.

    Examples
    --------
    >>> import numpy as np
    >>> mean, variance = np.zeros(1), np.ones(1)
    >>> x, scale, offset = np.array([[1.0], [3.0]]), np.ones(1), np.zeros(1)
    >>> batch_norm(x, scale, offset, mean, variance, training=True).numpy().round(4)
    array([[-1.],
           [ 1.]])
    >>> mean, variance
    (array([0.2]), array([1.]))
    """
    x, scale, offset = _inputs(x, scale, offset)
    epsilon = positive_number(epsilon, "batch_norm: epsilon")
    momentum = number_within(momentum, "batch_norm: momentum", 0, 1)
    if not isinstance(training, (bool, np.bool_)):
        raise TypeError(f"batch_norm: training must be True or False, got {training!r}")
    running = _running(x, {"running_mean": running_mean, "running_var": running_var}, bool(training))
    y, *statistics = normalize(x, scale, offset, None if training else running, epsilon)
    if not training:
        return y
    if x.size and running_mean is not None:
        for target, old, new in zip((running_mean, running_var), running, statistics, strict=True):
            moved = moving(old, new, momentum)
            if isinstance(target, Tensor):
                target.assign(moved)
            else:
                target[...] = moved
    return y


def normalize(x, scale, offset, statistics, epsilon):
    """Return `batch_norm`, and the mean and biased variance of the batch, shape (C,), float64; nothing is updated.

    Parameters
    ----------
    x, scale, offset, epsilon
        As for `batch_norm`.
    statistics : (mean, variance), arrays, or None
        None: those of the batch. Otherwise the two come back as None.

    Examples
    --------
    >>> y, mean, variance = normalize([[1.0], [3.0]], [1.0], [0.0], None, epsilon=1e-5)
    >>> mean, variance
    (array([2.]), array([1.]))
    """
    problem = Problem(x, scale, offset, statistics, epsilon)
    y, *found = problem.run("")
    return problem.record("batch_norm", y, backward, {}, *found), *problem.learned(*found)


class Problem:
    """One normalization, whatever follows it: its arguments, checked, as the kernels take them.

    Parameters
    ----------
    x, scale, offset, statistics, epsilon
        As for `normalize`.
    pooling : function, optional
        Takes the shape of x and returns the PoolGeometry of what follows.
    """

    def __init__(self, x, scale, offset, statistics, epsilon, pooling=None):
        self.inputs = self.x, self.scale, self.offset = _inputs(x, scale, offset)
        self.training = statistics is None
        self.statistics = () if self.training else statistics
        if not self.training:
            _check_variance(statistics[1])
        self.epsilon = epsilon
        self.pooling = None if pooling is None else pooling(self.x.shape)
        self.geometry = BatchNormGeometry(*channel_sizes(self.x.shape), self.pooling)
        self.values = self.x.data.reshape(self.geometry.shapes["x"])

    @property
    def direction(self):
        """What is computed forward, when nothing follows."""
        return "forward_training" if self.training else "forward"

    def run(self, following, variant=None):
        """Return the results of a kernel as a tuple, `following` being the end of the direction's name."""
        arrays = self.values, self.scale.data, self.offset.data, *self.statistics
        found = run("batch_norm", self.direction + following, self.geometry, *arrays, variant=variant,
                    epsilon=self.epsilon)  # fmt: skip
        return found if isinstance(found, tuple) else (found,)

    def learned(self, *found):
        """Return the statistics of the batch, which stand behind the other results; (None, None) if they were given."""
        return found[-2:] if self.training else (None, None)

    def record(self, op, y, backward, saved, *found):
        """Record a result of the shape of x, or of what the pooling leaves of it."""
        if not self.training:
            found = [values.astype(np.float64) for values in self.statistics]  # copies: the caller's may change
        mean, variance = found[-2:]
        shape = self.x.shape if self.pooling is None else self.pooling.shapes["y"]
        return record(op, y.reshape(shape), inputs=self.inputs, backward=backward, geometry=self.geometry,
                      saved={"x": self.values, "scale": self.scale.data, "mean": mean, "variance": variance, **saved},
                      attributes={"training": self.training, "epsilon": self.epsilon})  # fmt: skip


def backward(record, grad_y, needs):
    """With z = (x − mean) / sqrt(variance + epsilon): grad_offset = Σ grad_y, grad_scale = Σ grad_y · z, and
    grad_x = scale / sqrt(variance + epsilon) · grad_y; in training also minus what goes through the statistics."""
    return gradients(record, "backward", [grad_y.reshape(record.geometry.shapes["x"])], needs)


def gradients(record, direction, arrays, needs, variant=None):
    """Return the gradients of x, scale and offset, None where none is needed, from what a direction takes first."""
    saved = record.saved
    grad_x, grad_scale, grad_offset = run(
        "batch_norm", direction, record.geometry, *arrays, saved["x"], saved["scale"], saved["mean"],
        saved["variance"], variant=variant, **record.attributes,
    )  # fmt: skip
    found = (grad_x.reshape(record.inputs[0].shape), grad_scale, grad_offset)
    return tuple(gradient if needed else None for gradient, needed in zip(found, needs, strict=True))


def moving(old, new, share):
    """Return share · new + (1 − share) · old in the dtype of `old`.

    Examples
    --------
    >>> moving(np.zeros(1), np.ones(1), 0.1)
    array([0.1])
    """
    return (share * new + (1 - share) * old).astype(old.dtype)


def _inputs(x, scale, offset):
    """Return x, scale and offset as Tensors that fit each other."""
    x, scale, offset = (
        as_tensor(value, f"batch_norm: {name}") for name, value in (("x", x), ("scale", scale), ("offset", offset))
    )
    same_dtype("batch_norm", x=x, scale=scale, offset=offset)
    if x.ndim < 2:
        raise ValueError(f"batch_norm: x must have at least 2 axes, batch and channels, got {x.ndim} (x {x.shape})")
    for name, value in (("scale", scale), ("offset", offset)):
        _check_channels(name, value, x)
    return x, scale, offset


def _running(x, given, training):
    """Return the running values as arrays, checked; (None, None) where there are none to update."""
    missing = [name for name, value in given.items() if value is None]
    if missing:
        if training and len(missing) == 2:
            return None, None
        reason = "both or none must be given" if training else "needed where training is False"
        raise ValueError(f"batch_norm: {missing[0]} is None: {reason}")
    arrays = []
    for name, value in given.items():
        if training and not isinstance(value, (np.ndarray, Tensor)):
            kind = type(value).__name__
            raise TypeError(f"batch_norm: {name} must be an ndarray or a Tensor to be updated, got {kind}")
        if isinstance(value, Tensor) and value.requires_grad:
            raise ValueError(f"batch_norm: {name} takes no gradient, but requires one")
        array = value.data if isinstance(value, Tensor) else as_float_array(value, f"batch_norm: {name}")
        same_dtype("batch_norm", **{"x": x, name: array})
        _check_channels(name, array, x)
        if training and isinstance(value, np.ndarray) and (array is not value or not value.flags.writeable):
            raise ValueError(f"batch_norm: {name} must be a writeable array of floats to be updated, got "
                             f"{'a read-only array' if array is value else value.dtype}")  # fmt: skip
        arrays.append(array)
    if training:  # otherwise they are the statistics, which `Problem` looks at
        if np.shares_memory(*arrays):
            raise ValueError("batch_norm: running_mean and running_var overlap: both are to be updated")
        _check_variance(arrays[1])
    return tuple(arrays)


def _check_variance(variance):
    if (variance < 0).any():
        raise ValueError(f"batch_norm: running_var must not be negative, got {variance.min():g}")


def _check_channels(name, value, x):
    if value.shape != x.shape[1:2]:
        channels = f"({x.shape[1]},)"
        raise ValueError(f"batch_norm: {name} must have shape {channels}, one value per channel, got {value.shape} "
                         f"(x {x.shape}, {name} {value.shape})")  # fmt: skip
