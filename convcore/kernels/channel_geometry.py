"""The shapes of the problems that treat channels: N observations of C channels of S values each."""

import functools
import math
from dataclasses import dataclass

import numpy as np

from convcore.kernels.pool_geometry import PoolGeometry
from convcore.kernels.problem import Problem


def channel_sizes(shape):
    """Return (N, C, S) of a shape (N, C, ...): the axes behind the channels count as one.

    Examples
    --------
    >>> channel_sizes((64, 16, 28, 28))
    (64, 16, 784)
    """
    return (*shape[:2], math.prod(shape[2:]))


@dataclass(frozen=True, eq=False)
class BatchNormGeometry(Problem):
    """N observations of C channels of S values, each channel normalized by a mean and a variance of its own.

    Parameters
    ----------
    N, C, S : int
    pooling : PoolGeometry, optional
        A max-pooling of N · C planes of S cells, ReLU in between: for the directions that end in ``_pool``.

    Raises
    ------
    ValueError
        A pooling of other planes.

    Examples
    --------
    >>> str(BatchNormGeometry(64, 16, 784))
    'mb64c16s784'
    """

    N: int
    C: int
    S: int
    pooling: PoolGeometry | None = None
    op = "batch_norm"

    def __post_init__(self):
        pooling = self.pooling
        if pooling is not None and (
            not pooling.op.startswith("max")
            or (pooling.batch, pooling.channels, math.prod(pooling.in_size)) != (self.N, self.C, self.S)
        ):
            raise ValueError(
                f"batch_norm: the pooling must be a max-pooling of ({self.N}, {self.C}) planes of {self.S} cells, "
                f"got {pooling.op} {pooling}"
            )

    @functools.cached_property
    def shapes(self):
        """The shape of each array of the problem, by name."""
        values = dict.fromkeys(("x", "y", "grad_x", "grad_y"), (self.N, self.C, self.S))
        channels = (
            "scale", "offset", "mean", "variance", "trained_mean", "trained_variance", "grad_scale", "grad_offset"
        )  # fmt: skip
        pooled = 0 if self.pooling is None else math.prod(self.pooling.out_size)
        pools = dict.fromkeys(("pooled", "grad_pooled", "index"), (self.N, self.C, pooled))
        return {**values, **pools, **dict.fromkeys(channels, (self.C,))}

    @property
    def SIGNATURES(self):
        """What each direction takes and returns."""
        trained, gradients = ("trained_mean", "trained_variance"), ("grad_x", "grad_scale", "grad_offset")
        x, saved = ("x", "scale", "offset"), ("x", "scale", "mean", "variance")
        plain = {
            "forward": ((*x, *trained), "y"),
            "forward_relu": ((*x, *trained), "y"),
            "forward_training": (x, ("y", "mean", "variance")),
            "forward_training_relu": (x, ("y", "mean", "variance")),
            "backward": (("grad_y", *saved), gradients),
            "backward_relu": (("grad_y", "y", *saved), gradients),
        }
        if self.pooling is None:
            return plain
        return {
            **plain,
            "forward_pool": ((*x, *trained), ("pooled", "index")),
            "forward_training_pool": (x, ("pooled", "index", "mean", "variance")),
            "backward_pool": (("grad_pooled", "index", *saved), gradients),
        }

    OPTIONAL = ()
    # Of a dtype of their own: in float32 a mean a million times the standard deviation would shift every result.
    DTYPES = {"mean": np.float64, "variance": np.float64, "index": np.int32}

    def operations(self, direction):
        """Return the floating-point operations of a direction: the sums over a channel, then one formula per value."""
        per_value = 9 if direction.startswith("backward") else 8 if "training" in direction else 3
        return self.N * self.C * self.S * per_value

    def __str__(self):
        return f"mb{self.N}c{self.C}s{self.S}" if self.pooling is None else str(self.pooling)


@dataclass(frozen=True, eq=False)
class ChannelScaleGeometry(Problem):
    """N observations of C channels of S values, a scale and a shift for each channel; the values may be bytes.

    The N observations may be ones of M, which an index names: direction "gather".

    Examples
    --------
    >>> str(ChannelScaleGeometry(64, 3, 784)), str(ChannelScaleGeometry(64, 3, 784, of_bytes=True, M=60000))
    ('mb64c3s784', 'mb64of60000c3s784bytes')
    """

    N: int
    C: int
    S: int
    of_bytes: bool = False
    M: int | None = None
    op = "channel_scale"

    @functools.cached_property
    def shapes(self):
        """The shape of each array of the problem, by name."""
        values, channels = (self.C, self.S), (self.C,)
        x = (self.N if self.M is None else self.M, *values)
        return {"x": x, "index": (self.N,), "y": (self.N, *values), "scale": channels, "shift": channels}

    SIGNATURES = {"forward": (("x", "scale", "shift"), "y"), "gather": (("x", "index", "scale", "shift"), "y")}
    OPTIONAL = ()

    @property
    def DTYPES(self):
        """Bytes are of a dtype of their own, and so is the index."""
        return {"index": np.int64, **({"x": np.uint8} if self.of_bytes else {})}

    def operations(self, direction):
        """Return the operations: a product and a sum per value."""
        return 2 * self.N * self.C * self.S

    def __str__(self):
        of = "" if self.M is None else f"of{self.M}"
        return f"mb{self.N}{of}c{self.C}s{self.S}{'bytes' if self.of_bytes else ''}"


@dataclass(frozen=True, eq=False)
class CrossChannelNormGeometry(Problem):
    """N observations of C channels of S values, each divided by a norm over a window of neighbouring channels.

    Examples
    --------
    >>> geometry = CrossChannelNormGeometry(64, 96, 729, 5)
    >>> str(geometry), geometry.before, geometry.after
    ('mb64c96s729w5', 2, 2)
    """

    N: int
    C: int
    S: int
    window: int
    op = "cross_channel_norm"

    @property
    def before(self):
        """How many channels before its own a window takes in."""
        return (self.window - 1) // 2

    @property
    def after(self):
        """How many channels behind its own a window takes in: one more than before, if the window is even."""
        return self.window // 2

    @functools.cached_property
    def shapes(self):
        """The shape of each array of the problem, by name."""
        return dict.fromkeys(("x", "y", "grad_x", "grad_y"), (self.N, self.C, self.S))

    SIGNATURES = {"forward": (("x",), "y"), "backward_input": (("grad_y", "x"), "grad_x")}
    OPTIONAL = ()

    def operations(self, direction):
        """Return a rough count of operations: a window of products, twice in backward; a power is worth twenty."""
        passes = 1 if direction == "forward" else 2
        return self.N * self.C * self.S * passes * (2 * min(self.window, self.C) + 20)

    def __str__(self):
        return f"mb{self.N}c{self.C}s{self.S}w{self.window}"
