"""Softmax and cross-entropy of rows of logits, one row after the other."""

from libc.math cimport log

from convcore.kernels.common cimport floating
from convcore.kernels.largest cimport first_largest
from convcore.kernels.softmax_row cimport softmax_row


def forward(geometry,
            const floating[:, ::1] logits not None,         # IN  (N, K)
            const long long[::1] target not None,           # IN  (N,) classes, 0 <= target < K
            floating[::1] loss not None,                    # OUT (1,) the mean
            floating[:, ::1] probabilities not None,        # OUT (N, K)
            int n_threads):
    """Write the mean of −log softmax(logits[n])[target[n]], and the softmax, which the gradient needs.

    The largest logit of the row is taken off first, so that no exponential overflows.
    """
    cdef Py_ssize_t n
    cdef double sum_of_rows = 0
    for n in range(logits.shape[0]):
        if not 0 <= target[n] < logits.shape[1]:
            raise ValueError(f"cross_entropy: target {target[n]} is no class, logits has {logits.shape[1]}")
    with nogil:
        for n in range(logits.shape[0]):
            sum_of_rows += forward_row(&logits[n, 0], &probabilities[n, 0], logits.shape[1], target[n])
    loss[0] = <floating> (sum_of_rows / logits.shape[0])


cdef floating forward_row(const floating* logits, floating* probabilities, Py_ssize_t K, Py_ssize_t target) noexcept nogil:
    cdef floating largest
    cdef double total = softmax_row(logits, probabilities, K, &largest)
    return <floating> (log(total) - (logits[target] - largest))


def count_hits(geometry,
               const floating[:, ::1] logits not None,      # IN  (N, K)
               const long long[::1] target not None,        # IN  (N,) classes
               long long[::1] hits not None,                # OUT (1,)
               int n_threads):
    """Write how many rows have their largest logit at the target; of equals the first counts, NaN is the largest."""
    cdef Py_ssize_t n, found = 0
    with nogil:
        for n in range(logits.shape[0]):
            found += first_largest(&logits[n, 0], logits.shape[1]) == target[n]
    hits[0] = found


def backward_input(geometry,
                   const floating[:, ::1] probabilities not None,   # IN  (N, K)
                   const long long[::1] target not None,            # IN  (N,)
                   const floating[:] grad_loss not None,            # IN  (1,) gradient of the mean loss
                   floating[:, ::1] grad_logits not None,           # OUT (N, K)
                   int n_threads):
    """Write grad_logits = grad_loss · (probabilities − 1 at the target) / N."""
    cdef Py_ssize_t n, k, N = probabilities.shape[0], K = probabilities.shape[1]
    cdef floating scale = grad_loss[0] / N
    with nogil:
        for n in range(N):
            for k in range(K):
                grad_logits[n, k] = scale * (probabilities[n, k] - (1 if k == target[n] else 0))
