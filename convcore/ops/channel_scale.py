"""One scale and one shift per channel, which are no variables: how images are normalized."""

import numpy as np

from convcore.autograd import record
from convcore.kernels import ChannelScaleGeometry, channel_sizes, run


def channel_scale(x, scale, shift):
    """Return x · scale + shift, channel by channel.

    y[n, c, ...] = x[n, c, ...] · scale[c] + shift[c]

    Parameters
    ----------
    x : Tensor, shape (N, C, ...)
    scale, shift : ndarray, shape (C,), dtype of x

    Returns
    -------
    Tensor of the shape of x

    Examples
    --------
    >>> from convcore.autograd import Tensor
    >>> channel_scale(Tensor([[1.0, 2.0]]), np.array([10.0, 100.0]), np.array([0.0, 5.0])).data
    array([[ 10., 205.]])
    """
    geometry = ChannelScaleGeometry(*channel_sizes(x.shape))
    y = run("channel_scale", "forward", geometry, x.data.reshape(geometry.shapes["x"]), scale, shift).reshape(x.shape)
    return record("channel_scale", y, inputs=(x,), backward=backward, saved={"scale": scale}, geometry=geometry)


def backward(record, grad_y, needs):
    """grad_x = grad_y · scale"""
    geometry, scale = record.geometry, record.saved["scale"]
    grad = run("channel_scale", "forward", geometry, grad_y.reshape(geometry.shapes["x"]), scale, np.zeros_like(scale))
    return (grad.reshape(grad_y.shape),)
