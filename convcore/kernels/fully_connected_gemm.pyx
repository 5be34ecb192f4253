"""The fully connected layer as matrix products; no matrix is transposed in memory."""

include "gemm_product.pxi"


def forward(geometry,
            const floating[:, ::1] x not None,          # IN  (N, inputs)
            const floating[:, ::1] weight not None,     # IN  (outputs, inputs)
            const floating[::1] bias,                   # IN  (outputs,) or None
            floating[:, ::1] y not None,                # OUT (N, outputs)
            int n_threads):
    """Write y = x · weightᵀ + bias."""
    product(x, False, weight, True, y, &bias[0] if bias is not None else NULL, False, False, n_threads)


def forward_relu(geometry,
                 const floating[:, ::1] x not None,         # IN  (N, inputs)
                 const floating[:, ::1] weight not None,    # IN  (outputs, inputs)
                 const floating[::1] bias,                  # IN  (outputs,) or None
                 floating[:, ::1] y not None,               # OUT (N, outputs)
                 int n_threads):
    """Write y = ReLU(x · weightᵀ + bias)."""
    product(x, False, weight, True, y, &bias[0] if bias is not None else NULL, False, True, n_threads)


def backward_input(geometry,
                   const floating[:, ::1] grad_y not None,      # IN  (N, outputs)
                   const floating[:, ::1] weight not None,      # IN  (outputs, inputs)
                   floating[:, ::1] grad_x not None,            # OUT (N, inputs)
                   int n_threads):
    """Write grad_x = grad_y · weight."""
    product(grad_y, False, weight, False, grad_x, NULL, False, False, n_threads)


def backward_weight(geometry,
                    const floating[:, ::1] grad_y not None,     # IN  (N, outputs)
                    const floating[:, ::1] x not None,          # IN  (N, inputs)
                    floating[:, ::1] grad_weight not None,      # OUT (outputs, inputs)
                    int n_threads):
    """Write grad_weight = grad_yᵀ · x."""
    product(grad_y, True, x, False, grad_weight, NULL, False, False, n_threads)


def backward_bias(geometry,
                  const floating[:, ::1] grad_y not None,       # IN  (N, outputs)
                  floating[::1] grad_bias not None,             # OUT (outputs,)
                  int n_threads):
    """Write grad_bias: the sum over the batch, in its order."""
    add_rows(grad_y, grad_bias)


def backward_weight_bias(geometry,
                         const floating[:, ::1] grad_y not None,    # IN  (N, outputs)
                         const floating[:, ::1] x not None,         # IN  (N, inputs)
                         floating[:, ::1] grad_weight not None,     # OUT (outputs, inputs)
                         floating[::1] grad_bias not None,          # OUT (outputs,)
                         int n_threads):
    """Write both of these gradients."""
    product(grad_y, True, x, False, grad_weight, NULL, False, False, n_threads)
    add_rows(grad_y, grad_bias)


cdef void add_rows(const floating[:, ::1] grad_y, floating[::1] grad_bias) noexcept nogil:
    cdef Py_ssize_t n, j
    memset(&grad_bias[0], 0, grad_bias.shape[0] * sizeof(floating))
    for n in range(grad_y.shape[0]):
        for j in range(grad_y.shape[1]):
            grad_bias[j] += grad_y[n, j]
