"""How good a network is: loss, accuracy and other metrics over a data set of any size."""

import math
import re

import numpy as np

from convcore.arrays import as_float_array
from convcore.checks import integer
from convcore.data import Dataset
from convcore.data.batches import count_of, take
from convcore.train.objective import Objective, initialize, rows_of

CONFUSION = "confusion-matrix"  # the one metric that is no number: `evaluate` gives it when asked


# ---------------------------------------------------------------- of given outputs


def accuracy(y, labels):
    """Return the share of rows whose largest value stands at the label's place.

    accuracy = 1/N · #{n : argmax_k y[n, k] = labels[n]}; of several largest values, the first counts. Where sequences
    or images are classified at each time step or pixel, each of these is a row.

    Parameters
    ----------
    y : array_like, shape (N, K) or (N, K, ...)
        Probabilities or logits.
    labels : array_like, shape (N,) or (N, ...), integers from 0; or the shape of y, probabilities

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
    y, labels = _classified(y, labels, "accuracy")
    return float(np.count_nonzero(y.argmax(axis=1) == labels) / len(y))


def top_k_accuracy(y, labels, k):
    """Return the share of rows in which the label's value is among the k largest.

    Parameters
    ----------
    y : array_like, shape (N, K) or (N, K, ...)
        Probabilities or logits. Of equal values, the first counts as the larger.
    labels : array_like, shape (N,) or (N, ...), integers from 0 to K − 1; or the shape of y, probabilities
    k : int, 1 to K

    Returns
    -------
    float, 0 to 1; for k = 1 the `accuracy`

    Raises
    ------
    TypeError, ValueError
        Labels that are no classes; shapes that do not match; no rows; a k outside 1 to K.

    Examples
    --------
    >>> top_k_accuracy([[0.1, 0.6, 0.3], [0.5, 0.3, 0.2]], [2, 2], k=2)
    0.5
    """
    y, labels = _classified(y, labels, "top_k_accuracy")
    k = integer(k, "top_k_accuracy: k", 1)
    if k > y.shape[1]:
        raise ValueError(f"top_k_accuracy: k must be at most {y.shape[1]}, the number of classes, got {k}")
    return float(_num_in_top(y, labels, k) / len(y))


def rmse(y, t):
    """Return the root of the mean squared error over all elements.

    rmse = √(1/M · Σ (y − t)²), M elements

    Parameters
    ----------
    y, t : array_like of one shape
        Outputs and targets.

    Returns
    -------
    float

    Raises
    ------
    TypeError, ValueError
        No numbers; shapes that do not match; no elements.

    Examples
    --------
    >>> rmse([[1.0, 7.0]], [[0.0, 0.0]])
    5.0
    """
    y, t = as_float_array(y, "rmse: y"), as_float_array(t, "rmse: t")
    if y.shape != t.shape:
        raise ValueError(f"rmse: y and t must have one shape (y {y.shape}, t {t.shape})")
    if y.size == 0:
        raise ValueError(f"rmse: there are no elements (y {y.shape})")
    return math.sqrt(_squared_error(y, t) / y.size)


def confusion_matrix(y, labels):
    """Return how often each class was taken for each other.

    Parameters
    ----------
    y : array_like, shape (N, K) or (N, K, ...)
        Probabilities or logits.
    labels : array_like, shape (N,) or (N, ...), integers from 0 to K − 1; or the shape of y, probabilities

    Returns
    -------
    ndarray, shape (K, K), int64
        At row i and column j, the number of observations (time steps, pixels) of class i that were classified as j.

    Raises
    ------
    TypeError, ValueError
        Labels that are no classes; shapes that do not match; no rows.

    Examples
    --------
    >>> confusion_matrix([[0.1, 0.9], [0.8, 0.2], [0.3, 0.7]], [1, 1, 1])
    array([[0, 0],
           [1, 2]])
    """
    y, labels = _classified(y, labels, "confusion_matrix")
    return _counts(y, labels)


def _classified(y, labels, what):
    """Return outputs as rows (M, K) and labels (M,) as integers, checked."""
    y, labels = np.asarray(y), np.asarray(labels)
    shapes = f"(y {y.shape}, labels {labels.shape})"
    if y.ndim < 2 or labels.shape not in (y.shape, (len(y), *y.shape[2:])):
        wanted = "(N, K), labels (N,) or (N, K)" if y.ndim <= 2 else "(N, K, ...), labels (N, ...) or (N, K, ...)"
        raise ValueError(f"{what}: y must have shape {wanted} {shapes}")
    if y.size == 0:
        raise ValueError(f"{what}: there are no rows {shapes}")
    if labels.ndim == y.ndim:
        return rows_of(y), rows_of(labels).argmax(axis=1)
    if labels.dtype.kind not in "biu":
        raise TypeError(f"{what}: labels must be integers, got {labels.dtype}")
    y, labels = rows_of(y), labels.astype(np.int64).reshape(-1)
    if what != "accuracy" and not (0 <= labels.min() and labels.max() < y.shape[1]):
        wrong = labels.min() if labels.min() < 0 else labels.max()
        raise ValueError(f"{what}: label {wrong} is no class, y has {y.shape[1]} (0 to {y.shape[1] - 1}) {shapes}")
    return y, labels


def _num_in_top(y, labels, k):
    """Return the number of rows in which the label is among the k largest values."""
    own = y[np.arange(len(y)), labels][:, None]
    before = (y > own) | ((y == own) & (np.arange(y.shape[1]) < labels[:, None]))
    return int(np.count_nonzero(before.sum(axis=1) < k))


def _squared_error(y, t):
    return float(np.square(y.astype(np.float64) - t).sum())


def _counts(y, labels):
    classes = y.shape[1]
    pairs = labels * classes + y.argmax(axis=1)
    return np.bincount(pairs, minlength=classes * classes).reshape(classes, classes)


# ---------------------------------------------------------------- by name


def check_metric(metric, what):
    """Return the name of a metric's column in the history, without "validation_".

    Raises
    ------
    TypeError, ValueError
        Neither a known name nor a function; a function whose name cannot be a column's.

    Examples
    --------
    >>> check_metric("top-3", "TrainingOptions: metrics")
    'top3'
    """
    if callable(metric):
        name = getattr(metric, "__name__", type(metric).__name__)
        if not name.isidentifier() or name in ("loss", "accuracy", "rmse") or re.fullmatch("top[0-9]+", name):
            raise ValueError(f"{what}: a function needs a name that can be a column's and is not taken, got {name!r}")
        return name
    if not isinstance(metric, str):
        raise TypeError(f"{what} must be names and functions, got {metric!r}")
    if metric not in ("accuracy", "rmse") and not re.fullmatch("top-[1-9][0-9]*", metric):
        raise ValueError(f"{what} must be accuracy, top-2, top-3, ..., rmse or functions, got {metric!r}")
    return metric.replace("-", "")


class _Sums:
    """A named metric over a data set, batch by batch."""

    def __init__(self, metric, objective, x, y, what):
        self.column = check_metric(metric, what)
        self._objective = objective
        self._k = 1 if metric == "accuracy" else int(metric.partition("-")[2] or 0)  # 0: rmse
        if self._k and not objective.has_classes(x, y):
            raise ValueError(f"{what}: {metric} needs a network with one output per class, and labels of classes")
        if self._k and self._k > objective.num_classes:
            raise ValueError(f"{what}: {metric} asks for more than the network's {objective.num_classes} classes")
        if not self._k and (isinstance(y, tuple) or y.shape[1:] != objective.output_shape(x)):
            raise ValueError(f"{what}: rmse needs targets of the shape of the network's output")
        self._sum = self._count = 0

    def add(self, scores, outputs, targets):
        if self._k:
            labels = self._objective.labels(targets)
            self._sum += _num_in_top(self._objective.rows(scores), labels, self._k)
            self._count += len(labels)
        else:
            self._sum += _squared_error(outputs, targets)
            self._count += targets.size

    def value(self):
        return self._sum / self._count if self._k else math.sqrt(self._sum / self._count)


class _OfAll:
    """A user's metric, a function of all outputs and all targets."""

    def __init__(self, function, what):
        self.column = check_metric(function, what)
        self._function, self._what = function, what
        self._outputs, self._targets = [], []

    def add(self, scores, outputs, targets):
        self._outputs.append(outputs)
        self._targets.append(targets)

    def value(self):
        value = self._function(_joined(self._outputs), _joined(self._targets))
        try:
            return float(value)
        except (TypeError, ValueError):
            raise TypeError(f"{self._what}: {self.column} must return a number, got {value!r}") from None


def _joined(parts):
    if isinstance(parts[0], tuple):
        return tuple(np.concatenate(column) for column in zip(*parts, strict=True))
    return np.concatenate(parts)


# ---------------------------------------------------------------- of a network


def evaluate(net, data, batch_size=256, loss=None, metrics=()):
    """Return the loss, the accuracy and other metrics of a network over a data set.

    The network runs as in prediction: Dropout does nothing. One batch at a time is converted to the network's dtype,
    so the memory needed does not grow with the data (a metric that is a function gets all outputs at once, though).

    Parameters
    ----------
    net : Network
    data : (x, y), Split or Dataset
        Observations (N, ...) and targets as for `train`. Of a Dataset, the test split.
    batch_size : int, observations
    loss : name or function, optional
        As for `train`.
    metrics : sequence of str or functions
        As in `TrainingOptions`; also "confusion-matrix".

    Returns
    -------
    dict
        "loss", float, the mean over all observations; "accuracy", float from 0 to 1, None where there are no classes,
        per time step or pixel where each of them is classified;
        "images", int; each metric by the name of its column ("top3", "rmse"), and "confusion_matrix", ndarray (K, K).

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
    if not isinstance(metrics, (tuple, list)):
        raise TypeError(f"evaluate: metrics must be a sequence of names and functions, got {type(metrics).__name__}")
    data = data.test if isinstance(data, Dataset) else data
    initialize(net, data, "evaluate: data")
    objective = Objective(net, loss, "evaluate")
    x, y = objective.pair(data, "data")
    wanted = [metric for metric in metrics if metric != CONFUSION]
    found = measure(objective, x, y, batch_size, wanted, "evaluate: metrics")
    confusion = found.pop("confusion_matrix")
    if CONFUSION in metrics:
        if confusion is None:
            raise ValueError("evaluate: metrics: confusion-matrix needs a network with one output per class, and "
                             "labels of classes")  # fmt: skip
        found["confusion_matrix"] = confusion
    return found


def accumulators(objective, x, y, metrics, what):
    """Return for each metric what adds it up, after checking that it fits network and data."""
    return [_OfAll(metric, what) if callable(metric) else _Sums(metric, objective, x, y, what) for metric in metrics]


def measure(objective, x, y, batch_size=256, metrics=(), what="metrics"):
    """Return what `evaluate` does, always with the confusion matrix (or None), of data that was checked before."""
    total, count = 0.0, count_of(x)
    confusion = 0 if objective.has_classes(x, y) else None
    sums = accumulators(objective, x, y, metrics, what)
    for start in range(0, count, batch_size):
        part = slice(start, start + batch_size)  # views: nothing is copied before the network's own conversion
        targets = take(y, part)
        loss, output = objective.forward(take(x, part), targets)
        total += float(loss.data) * count_of(targets)
        if confusion is not None:
            confusion += _counts(objective.rows(output.data), objective.labels(targets))
        if sums:
            scores, outputs = objective.scores_and_outputs(output)
            for metric in sums:
                metric.add(scores, outputs, targets)
    share = None if confusion is None else int(np.trace(confusion)) / int(confusion.sum())
    found = {"loss": total / count, "accuracy": share, "images": count, "confusion_matrix": confusion}
    return {**found, **{metric.column: metric.value() for metric in sums}}
