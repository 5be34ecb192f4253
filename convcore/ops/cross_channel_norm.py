"""Cross-channel (local response) normalization."""

import numpy as np

from convcore.autograd import as_tensor, record
from convcore.checks import number_from, positive_number
from convcore.kernels import CrossChannelNormGeometry, channel_sizes, run


def cross_channel_norm(x, window_channel_size, *, alpha=1e-4, beta=0.75, k=2.0):
    """Divide each value by a power of the sum of squares over neighbouring channels at the same place.

    y[n, c, ...] = x[n, c, ...] / (k + alpha / window · Σ_j x[n, j, ...]²)^beta, j over the window around c

    Parameters
    ----------
    x : Tensor or array, shape (N, C, ...), float32 or float64
        Any number of axes behind the channels, also none.
    window_channel_size : int, at least 1
        Channels in a window: (window − 1) // 2 before the channel, itself, and window // 2 behind it; those outside
        the image count as zeros.
    alpha : float, at least 0
    beta : float, at least 0
    k : float, greater than 0

    Returns
    -------
    Tensor of the shape of x

    Raises
    ------
    TypeError, ValueError
        An x without channels; a window or numbers of another kind or outside their range.

    Notes
    -----
    The bits do not depend on the number of threads.

    References
    ----------
    "Layers of a ConvNet", cross channel normalization layer (specification); A. Krizhevsky, I. Sutskever and
    G. E. Hinton, "ImageNet classification with deep convolutional neural networks", NIPS 2012, whose alpha is not
    divided by the window.

    Examples
    --------
    >>> import numpy as np
    >>> cross_channel_norm(np.ones((1, 3)), 3, alpha=3, beta=1, k=1).numpy()
    array([[0.33333333, 0.25      , 0.33333333]])
    """
    x = as_tensor(x, "cross_channel_norm: x")
    options = check_options("cross_channel_norm", window_channel_size, alpha, beta, k)
    if x.ndim < 2:
        shape = f"(x {x.shape})"
        raise ValueError(f"cross_channel_norm: x must have at least 2 axes, batch and channels, got {x.ndim} {shape}")
    geometry = CrossChannelNormGeometry(*channel_sizes(x.shape), options.pop("window_channel_size"))
    values = x.data.reshape(geometry.shapes["x"])
    y = run("cross_channel_norm", "forward", geometry, values, **options)
    return record("cross_channel_norm", y.reshape(x.shape), inputs=(x,), backward=backward, saved={"x": values},
                  geometry=geometry, attributes=options)  # fmt: skip


def backward(record, grad_y, needs):
    """With base = k + alpha / window · Σ x²:
    grad_x[c] = grad_y[c] / base[c]^beta − 2 · alpha · beta / window · x[c] · Σ_j grad_y[j] · x[j] / base[j]^(beta + 1),
    j over the channels whose window holds c."""
    geometry, x = record.geometry, record.saved["x"]
    grad = run("cross_channel_norm", "backward_input", geometry, grad_y.reshape(x.shape), x, **record.attributes)
    return (grad.reshape(grad_y.shape),)


def check_options(what, window_channel_size, alpha, beta, k):
    """Return the options as a dict of an int and floats, else raise a TypeError or ValueError that names `what`."""
    if isinstance(window_channel_size, bool) or not isinstance(window_channel_size, (int, np.integer)):
        raise TypeError(f"{what}: window_channel_size must be an int, got {window_channel_size!r}")
    if window_channel_size < 1:
        raise ValueError(f"{what}: window_channel_size must be at least 1, got {window_channel_size}")
    if window_channel_size > 2**31:
        raise ValueError(f"{what}: window_channel_size must be at most 2**31, got {window_channel_size}")
    return {
        "window_channel_size": int(window_channel_size),
        "alpha": number_from(alpha, f"{what}: alpha", 0),
        "beta": number_from(beta, f"{what}: beta", 0),
        "k": positive_number(k, f"{what}: k"),
    }
