"""Softmax and cross-entropy as they are defined, with the logarithm of a sum of exponentials kept from overflowing."""

import numpy as np


def forward(geometry, logits, target, loss, probabilities, n_threads):
    """Write loss (1,), the mean, and probabilities (N, K)."""
    wrong = target[(target < 0) | (target >= geometry.K)]
    if wrong.size:
        raise ValueError(f"cross_entropy: target {wrong[0]} is no class, logits has {geometry.K}")
    shifted = logits.astype(np.float64) - logits.max(axis=1, keepdims=True)
    total = np.exp(shifted).sum(axis=1, keepdims=True)
    probabilities[...] = np.exp(shifted) / total
    loss[...] = (np.log(total[:, 0]) - shifted[np.arange(len(target)), target]).mean()


def count_hits(geometry, logits, target, hits, n_threads):
    """Write how many rows have their largest logit at the target; of equals the first counts, NaN is the largest."""
    hits[...] = np.count_nonzero(logits.argmax(axis=1) == target)


def backward_input(geometry, probabilities, target, grad_loss, grad_logits, n_threads):
    """Write grad_logits (N, K), the gradient of the mean loss."""
    one_hot = np.arange(geometry.K) == target[:, None]
    grad_logits[...] = grad_loss[0] / geometry.N * (probabilities - one_hot)
