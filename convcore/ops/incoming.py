"""Observations on their way into a network: which they are, and how one kernel makes numbers of them."""

import functools
import math

import numpy as np

from convcore.autograd import Tensor
from convcore.kernels import AffineGeometry, ChannelScaleGeometry, run


class Incoming:
    """A batch of observations of which nothing is copied yet: a kernel picks, moves, casts and scales them in one pass.

    Parameters
    ----------
    values : ndarray, shape (M, ...)
        All there are.
    dtype : dtype
        What the batch will be: float32 or float64.
    index : ndarray, shape (N,), int64, optional
        Which make up the batch; otherwise all, in their order.

    Attributes
    ----------
    shape : tuple of int
        Of the batch, (N, ...).

    Examples
    --------
    >>> pixels = np.array([[[[0, 10]]], [[[20, 30]]]], np.uint8)
    >>> batch = Incoming(pixels, np.dtype(np.float32), index=np.array([1]))
    >>> batch.shape, batch.tensor().data
    ((1, 1, 1, 2), array([[[[20., 30.]]]], dtype=float32))
    >>> batch.scaled(np.array([0.5], np.float32), np.array([1], np.float32)).data
    array([[[[11., 16.]]]], dtype=float32)
    """

    format = None  # of the axes, as that of a Tensor

    def __init__(self, values, dtype, index=None):
        plain = values.dtype == np.uint8 or values.dtype == dtype
        if index is not None and not (plain and values.flags.c_contiguous):
            values, index = values.take(index, axis=0), None
        values = np.asarray(values, None if plain else dtype, order="C")
        self.values, self.dtype, self.index = values, dtype, index
        self.transform, self.fill = None, 0.0
        self.shape = values.shape if index is None else (len(index), *values.shape[1:])
        self.ndim = len(self.shape)

    def __len__(self):
        return self.shape[0]

    def observations(self):
        """Return the observations of the batch as they are, an array of their own dtype."""
        return self.values if self.index is None else self.values.take(self.index, axis=0)

    def moved(self, transform, fill):
        """Return the same images, each moved by a map of its own (as `AffineGeometry` has them) over the filling."""
        moved = Incoming(self.values, self.dtype, self.index)
        moved.transform, moved.fill = np.asarray(transform, self.dtype, order="C"), fill
        return moved

    @property
    def arrays(self):
        """The arrays that differ from batch to batch, as kernels take them."""
        which = self.values if self.index is None else self.index
        return (which,) if self.transform is None else (which, self.transform)

    @property
    def lasting(self):
        """The array that batches named by index have in common, or None."""
        return None if self.index is None else self.values

    @property
    def kind(self):
        """What is the same for all batches of which the same kernels make the same."""
        return self.shape, self.values.dtype, self.index is None, self.transform is None

    def tensor(self):
        """Return the batch as a Tensor."""
        if self.transform is None and self.index is None and self.values.dtype != np.uint8:
            return Tensor(self.values)
        channels = 1 if self.transform is None else self.shape[1]
        return self.scaled(*_identity(channels, self.dtype))

    def scaled(self, scale, shift):
        """Return the batch times `scale` plus `shift`, arrays of the batch's dtype with a number for each channel.

        With one number in them, all values count as one channel.
        """
        values, of_bytes = self.values, self.values.dtype == np.uint8
        if self.transform is not None:
            geometry = AffineGeometry(*self.shape, of_bytes, len(values))
            index = _all(len(values)) if self.index is None else self.index
            y = run("affine2d", "gather", geometry, values, index, self.transform, scale, shift, fill=self.fill)
            return Tensor(y)
        channels = len(scale)
        inner, rows = math.prod(self.shape[1:]) // channels, None if self.index is None else len(values)
        geometry = ChannelScaleGeometry(len(self), channels, inner, of_bytes, rows)
        values = values.reshape(geometry.shapes["x"])
        if self.index is None:
            y = run("channel_scale", "forward", geometry, values, scale, shift)
        else:
            y = run("channel_scale", "gather", geometry, values, self.index, scale, shift)
        return Tensor(y.reshape(self.shape))


@functools.cache
def _identity(channels, dtype):
    """Return the scale and the shift that leave values as they are."""
    return np.ones(channels, dtype), np.zeros(channels, dtype)


@functools.cache
def _all(count):
    """Return the index of all of so many observations, one array for all batches."""
    return np.arange(count)
