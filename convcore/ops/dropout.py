"""Dropout."""

import numbers

import numpy as np

from convcore.autograd import as_tensor, record
from convcore.kernels import FlatGeometry, run


def dropout(x, probability, *, training, rng=None):
    """Set a random part of the elements to zero while training, and scale up the rest; do nothing otherwise.

    y = 0 where rand < probability, x / (1 − probability) elsewhere

    Parameters
    ----------
    x : Tensor or array of any shape, float32 or float64
    probability : float in [0, 1)
        How likely an element is to be dropped.
    training : bool
        False returns x as it is.
    rng : numpy.random.Generator
        Where the random numbers come from; needed only while training.

    Returns
    -------
    Tensor of the shape of x

    Raises
    ------
    TypeError, ValueError
        A probability outside [0, 1); a training that is no bool; training without a generator.

    References
    ----------
    "Layers of a ConvNet", dropout layer (specification); Srivastava et al., JMLR 15 (2014).

    Examples
    --------
    >>> dropout([1.0, 2.0], 0.5, training=False).numpy()
    array([1., 2.])
    """
    x = as_tensor(x, "dropout: x")
    probability = check_probability(probability, "dropout")
    if not isinstance(training, (bool, np.bool_)):
        raise TypeError(f"dropout: training must be True or False, got {training!r}")
    if not training or probability == 0:
        return x
    if not isinstance(rng, np.random.Generator):
        raise TypeError(f"dropout: rng must be a numpy.random.Generator while training, got {type(rng).__name__}")
    draws = rng.random(x.shape, x.dtype)
    geometry = FlatGeometry("dropout", x.size, probability)
    y = run("dropout", "forward", geometry, x.data.reshape(-1), draws.reshape(-1)).reshape(x.shape)
    return record("dropout", y, inputs=(x,), backward=backward, saved={"draws": draws}, geometry=geometry,
                  attributes={"probability": probability})  # fmt: skip


def backward(record, grad_y, needs):
    """What was dropped gets nothing, the rest is scaled as it was."""
    draws = record.saved["draws"].reshape(-1)
    return (run("dropout", "backward_input", record.geometry, grad_y.reshape(-1), draws).reshape(grad_y.shape),)


def check_probability(probability, what):
    """Return `probability` as a float if it lies in [0, 1), else raise a TypeError or ValueError that names `what`."""
    if isinstance(probability, bool) or not isinstance(probability, numbers.Real):
        raise TypeError(f"{what}: probability must be a number, got {probability!r}")
    if not 0 <= probability < 1:
        raise ValueError(f"{what}: probability must lie in [0, 1), got {probability}")
    return float(probability)
