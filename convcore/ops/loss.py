"""Losses: one number that says how far a batch of outputs is from its targets; each the mean over the batch."""

import functools
import warnings

import numpy as np

from convcore.arrays import as_float_array, is_scalar, same_dtype
from convcore.autograd import Tensor, as_tensor, last_recorded, record
from convcore.kernels import RegressionGeometry, RowsGeometry, run

_regression = functools.lru_cache(maxsize=1024)(RegressionGeometry)  # to make one takes a microsecond


def cross_entropy(logits, target):
    """Return the cross-entropy between softmax(logits) and the targets, the mean over the batch.

    loss = −1/N · Σ_n Σ_k target[n, k] · log softmax(logits[n])[k]

    Sequences and images are classified at each time step or pixel; the mean is then over these, too, so that the loss
    does not grow with their number.

    Parameters
    ----------
    logits : Tensor or array, shape (N, K) or (N, K, ...), float32 or float64
        Before the softmax: it is part of this function, which is how neither overflows nor rounds to log 0. Of a
        network that ends in one: ``net.forward(x, logits=True)``; its probabilities get a warning.
    target : array of int, shape (N,) or (N, ...), classes from 0 to K − 1; or array, shape of logits, probabilities
        It takes no gradient. Probabilities have the dtype of logits; integers in their place (one-hot) become so.

    Returns
    -------
    Tensor, shape ()

    Raises
    ------
    TypeError, ValueError
        Targets that are neither; a class outside 0..K − 1; probabilities that are negative or do not add up to 1, or
        of another dtype than the logits; shapes that do not match; an empty batch; a target that requires a gradient.

    Notes
    -----
    This is what PyTorch (``cross_entropy`` with reduction "mean") and ONNX (SoftmaxCrossEntropyLoss) compute, for
    (N, K, ...) as well. `half_mse` differs from it there: it adds the pixels up.

    References
    ----------
    "Layers of a ConvNet", classification layer (specification).

    Examples
    --------
    >>> cross_entropy([[0.0, 0.0]], [1]).numpy()
    array(0.69314718)
    >>> cross_entropy([[[0.0, 9.0, 9.0], [0.0, 9.0, 9.0]]], [[1, 0, 1]]).numpy()  # 2 classes, 3 time steps
    array(0.69314718)
    """
    logits = as_tensor(logits, "cross_entropy: logits")
    if last_recorded(logits) == "softmax":
        warnings.warn("cross_entropy: the softmax is part of it, but these are the output of one already; of a network "
                      "take net.forward(x, logits=True)", stacklevel=2)  # fmt: skip
    if logits.ndim < 2 or 0 in logits.shape:
        raise ValueError(f"cross_entropy: logits must have shape (N, K) or (N, K, ...), sizes at least 1, "
                         f"got {logits.shape}")  # fmt: skip
    if isinstance(target, Tensor) and target.requires_grad:
        raise ValueError("cross_entropy: target requires a gradient, but only that of the logits is computed")
    given = target.data if isinstance(target, Tensor) else target
    target = given if isinstance(given, np.ndarray) and given.dtype.kind in "iu" else _any_target(given)
    if target.ndim == logits.ndim:
        return _soft_cross_entropy(logits, target)
    target = _classes(target, logits)
    rows = np.moveaxis(logits.data, 1, -1).reshape(-1, logits.shape[1])  # (N, K, ...) -> (N·..., K); (N, K) as it is
    geometry = RowsGeometry(*rows.shape)
    loss, probabilities = run("cross_entropy", "forward", geometry, rows, target)
    return record("cross_entropy", loss.reshape(()), inputs=(logits,),
                  backward=cross_entropy_backward, saved={"probabilities": probabilities, "target": target},
                  geometry=geometry, attributes={"cells": (len(logits), *logits.shape[2:])})  # fmt: skip


def cross_entropy_backward(record, grad_y, needs):
    """grad_logits = (softmax − 1 at the target) / N, N counting time steps and pixels"""
    saved = record.saved
    grad_loss = grad_y.reshape(1)
    grad = run("cross_entropy", "backward_input", record.geometry, saved["probabilities"], saved["target"], grad_loss)
    return (np.moveaxis(grad.reshape(*record.attributes["cells"], -1), -1, 1),)  # (N·..., K) -> (N, K, ...)


def count_hits(rows, classes):
    """Return how many rows (N, K) have their largest number at their class (N,), int64: an array of one, int64.

    Examples
    --------
    >>> count_hits(np.array([[0.0, 1.0], [1.0, 0.0]]), np.array([1, 1]))
    array([1])
    """
    return run("cross_entropy", "count_hits", RowsGeometry(*rows.shape), rows, classes)


def _any_target(target):
    """Return a target as an array: integers and booleans as they are, anything else as floats."""
    floats = as_float_array(target, "cross_entropy: target")
    array = np.asarray(target)
    return array if array.dtype.kind in "biu" else floats


def _shapes(logits, target):
    return f"(logits {logits.shape}, target {target.shape})"


def _classes(target, logits):
    """Return class indices as int64, checked, in a row."""
    shapes = _shapes(logits, target)
    wanted = (len(logits), *logits.shape[2:])
    if target.ndim != len(wanted):
        raise ValueError(f"cross_entropy: target must have shape {wanted} or {logits.shape} {shapes}")
    if target.dtype.kind not in "iu":
        raise TypeError(
            f"cross_entropy: target of shape {wanted} must hold class indices (int), got {target.dtype} {shapes}"
        )
    if target.shape != wanted:
        raise ValueError(f"cross_entropy: class indices must have shape {wanted} {shapes}")
    low, high, K = int(target.min()), int(target.max()), logits.shape[1]
    if low < 0 or high >= K:
        wrong = low if low < 0 else high
        raise ValueError(f"cross_entropy: target {wrong} is no class, logits has {K} (0 to {K - 1}) {shapes}")
    return np.ascontiguousarray(target, dtype=np.int64).reshape(-1)


def _soft_cross_entropy(logits, target):
    """Cross-entropy with a distribution over the classes as target."""
    target = target.astype(logits.dtype) if target.dtype.kind in "biu" else target
    same_dtype("cross_entropy", logits=logits, target=target)
    shapes = _shapes(logits, target)
    if target.shape != logits.shape:
        raise ValueError(f"cross_entropy: probabilities must have the shape of logits {shapes}")
    sums = target.sum(axis=1, keepdims=True)
    if not (target >= 0).all():
        raise ValueError(f"cross_entropy: target must hold probabilities of at least 0, got {target.min():g} {shapes}")
    off = ~(abs(sums - 1) <= 1e-3)  # NaN is off, too
    if off.any():
        first = np.unravel_index(off.argmax(), off.shape)
        where = ", ".join(":" if axis == 1 else str(index) for axis, index in enumerate(first))
        raise ValueError(f"cross_entropy: target[{where}] must add up to 1, got {sums[first]:g} {shapes}")
    shifted = logits.data - logits.data.max(axis=1, keepdims=True)
    exponentials = np.exp(shifted)
    total = exponentials.sum(axis=1, keepdims=True)
    loss = -(target * (shifted - np.log(total))).sum(dtype=np.float64) / sums.size
    return record("cross_entropy", np.asarray(loss, logits.dtype), inputs=(logits,),
                  backward=_soft_cross_entropy_backward,
                  saved={"probabilities": exponentials / total, "target": target, "sums": sums})  # fmt: skip


def _soft_cross_entropy_backward(record, grad_y, needs):
    """grad_logits = (softmax · Σ target − target) / N; the sum is 1 up to rounding."""
    saved = record.saved
    scale = grad_y / grad_y.dtype.type(saved["sums"].size)
    return (scale * (saved["probabilities"] * saved["sums"] - saved["target"]),)


def mse(y, t):
    """Return the mean squared error over all elements.

    loss = 1/M · Σ (y − t)², M elements

    Parameters
    ----------
    y, t : Tensor or array of one shape and dtype
        Outputs and targets.

    Returns
    -------
    Tensor, shape ()

    Raises
    ------
    TypeError, ValueError
        Different dtypes or shapes; no elements.

    Examples
    --------
    >>> mse([[1.0, 2.0]], [[0.0, 0.0]]).numpy()
    array(2.5)
    """
    y, t = _pair("mse", y, t)
    return _error("mse", "squared_error", y, t, 1 / y.size)


def half_mse(y, t):
    """Return half the squared error, summed over responses, the mean over the batch.

    loss = 1/(2N) · Σ_n Σ_i (y[n, i] − t[n, i])²

    Parameters
    ----------
    y, t : Tensor or array of one shape (N, ...) and dtype
        Outputs and targets.

    Returns
    -------
    Tensor, shape ()

    Raises
    ------
    TypeError, ValueError
        Different dtypes or shapes; no elements; no batch axis.

    References
    ----------
    "Layers of a ConvNet", regression layer (specification).

    Examples
    --------
    >>> half_mse([[1.0, 2.0]], [[0.0, 0.0]]).numpy()
    array(2.5)
    """
    return half_squared_error(y, t, 1)


def half_squared_error(y, t, steps):
    """Return `half_mse` divided by a number of time steps: the mean over the batch and over time."""
    y, t = _pair("half_mse", y, t)
    if y.ndim == 0:
        raise ValueError("half_mse: y must have a batch axis (y ())")
    return _error("half_mse", "squared_error", y, t, 0.5 / len(y) / steps)


def mae(y, t):
    """Return the mean absolute error over all elements.

    loss = 1/M · Σ |y − t|, M elements

    Parameters
    ----------
    y, t : Tensor or array of one shape and dtype
        Outputs and targets.

    Returns
    -------
    Tensor, shape ()

    Raises
    ------
    TypeError, ValueError
        Different dtypes or shapes; no elements.

    Notes
    -----
    The gradient where y = t is 0.

    Examples
    --------
    >>> mae([[1.0, 2.0]], [[0.0, 0.0]]).numpy()
    array(1.5)
    """
    y, t = _pair("mae", y, t)
    return _error("mae", "absolute_error", y, t, 1 / y.size)


def huber(y, t):
    """Return the Huber loss with threshold 1: quadratic near the target, linear far from it; the mean over elements.

    loss = 1/M · Σ h(y − t), h(d) = d²/2 where |d| ≤ 1, |d| − 1/2 elsewhere

    Parameters
    ----------
    y, t : Tensor or array of one shape and dtype
        Outputs and targets.

    Returns
    -------
    Tensor, shape ()

    Raises
    ------
    TypeError, ValueError
        Different dtypes or shapes; no elements.

    References
    ----------
    P. J. Huber, "Robust estimation of a location parameter", Annals of Mathematical Statistics 35 (1964).

    Examples
    --------
    >>> huber([[0.5, 2.0]], [[0.0, 0.0]]).numpy()
    array(0.8125)
    """
    y, t = _pair("huber", y, t)
    return _error("huber", "huber", y, t, 1 / y.size)


def _error(op, error, y, t, factor):
    """Return factor times the sum of an error of each difference."""
    geometry = _regression(error, y.size, factor)
    loss, difference = run(error, "forward", geometry, y.data.reshape(-1), t.data.reshape(-1))
    return record(op, loss.reshape(()), inputs=(y, t), backward=error_backward, geometry=geometry,
                  saved={"difference": difference.reshape(y.shape)})  # fmt: skip


def error_backward(record, grad_y, needs):
    """grad_y = factor · error'(y − t), and its opposite for t."""
    difference, geometry = record.saved["difference"], record.geometry
    grad = run(geometry.op, "backward_input", geometry, difference.reshape(-1), grad_y.reshape(1))
    grad = grad.reshape(difference.shape)
    return (grad if needs[0] else None), (-grad if needs[1] else None)


def _pair(op, y, t):
    """Return outputs and targets as tensors of one shape and dtype; integers as targets take the outputs' dtype."""
    y = as_tensor(y, f"{op}: y")
    if not isinstance(t, Tensor):
        floats = as_float_array(t, f"{op}: t")
        exact = is_scalar(t) or np.asarray(t).dtype.kind in "biu"
        t = as_tensor(floats.astype(y.dtype) if exact else floats, f"{op}: t")
    same_dtype(op, y=y, t=t)
    if y.shape != t.shape:
        raise ValueError(f"{op}: y and t must have one shape (y {y.shape}, t {t.shape})")
    if y.size == 0:
        raise ValueError(f"{op}: y holds no elements (y {y.shape})")
    return y, t
