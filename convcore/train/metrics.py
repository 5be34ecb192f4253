"""How good a network is: accuracy and loss over a data set of any size."""

import numpy as np

from convcore.data import Dataset
from convcore.checks import integer
from convcore.train.objective import Objective, observations


def accuracy(y, labels):
    """Return the share of rows whose largest value stands at the label's place.

    accuracy = 1/N · #{n : argmax_k y[n, k] = labels[n]}; of several largest values, the first counts.

    Parameters
    ----------
    y : array_like, shape (N, K)
        Probabilities or logits.
    labels : array_like, shape (N,), integers from 0; or shape (N, K), probabilities

    Returns
    -------
    float, 0 to 1

    Raises
    ------
    TypeError, ValueError
        Labels that are no integers; shapes that do not match; no rows.

    Examples
    --------
    >>> accuracy([[0.1, 0.9], [0.8, 0.2]], [1, 1])
    0.5
    """
    y, labels = np.asarray(y), np.asarray(labels)
    shapes = f"(y {y.shape}, labels {labels.shape})"
    if y.ndim != 2 or labels.shape not in (y.shape, y.shape[:1]):
        raise ValueError(f"accuracy: y must have shape (N, K), labels (N,) or (N, K) {shapes}")
    if y.size == 0:
        raise ValueError(f"accuracy: there are no rows {shapes}")
    if labels.ndim == 2:
        labels = labels.argmax(axis=1)
    elif labels.dtype.kind not in "biu":
        raise TypeError(f"accuracy: labels must be integers, got {labels.dtype}")
    return float(np.count_nonzero(y.argmax(axis=1) == labels) / len(y))


def evaluate(net, data, batch_size=256, loss="crossentropy"):
    """Return the loss and the accuracy of a network over a data set.

    The network runs as in prediction: Dropout does nothing. One batch at a time is converted to the network's dtype,
    so the memory needed does not grow with the data.

    Parameters
    ----------
    net : Network
    data : (x, y), Split or Dataset
        Observations (N, ...) and targets as for `train`. Of a Dataset, the test split.
    batch_size : int, observations
    loss : {"crossentropy", "mse"} or function
        As for `train`.

    Returns
    -------
    dict
        "loss", float, the mean over all observations; "accuracy", float from 0 to 1, None where there are no classes;
        "images", int.

    Raises
    ------
    TypeError, ValueError
        As for `train`.

    Notes
    -----
    The bits do not depend on the number of threads. They may depend on `batch_size`, which decides over the order of
    the sums.
    """
    batch_size = integer(batch_size, "evaluate: batch_size", 1)
    data = data.test if isinstance(data, Dataset) else data
    net.initialize(observations(data, "evaluate: data")[0].shape[1:])
    objective = Objective(net, loss, "evaluate")
    return measure(objective, *objective.pair(data, "data"), batch_size)


def measure(objective, x, y, batch_size=256):
    """Return what `evaluate` does, of data that was checked before."""
    total, correct = 0.0, 0
    for start in range(0, len(x), batch_size):
        part = slice(start, start + batch_size)  # views: nothing is copied before the network's own conversion
        loss, output = objective.forward(x[part], y[part])
        total += float(loss.data) * len(y[part])
        right = objective.num_correct(output, y[part])
        correct = None if right is None else correct + right
    share = None if correct is None else correct / len(x)
    return {"loss": total / len(x), "accuracy": share, "images": len(x)}
