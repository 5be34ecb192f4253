"""The shapes of an affine map of images."""

import functools
from dataclasses import dataclass

import numpy as np

from convcore.kernels.problem import Problem


@dataclass(frozen=True, eq=False)
class AffineGeometry(Problem):
    """N images of C channels and H × W pixels, each with a map of its own.

    ``transform[n]`` is a matrix (2, 3): the output pixel (i, j) shows what the input has at row
    ``transform[n, 0] · (i, j, 1)`` and column ``transform[n, 1] · (i, j, 1)``, interpolated bilinearly. Pixels may be
    bytes; the N images may be ones of M, which an index names, and be normalized: direction "gather".

    Examples
    --------
    >>> str(AffineGeometry(64, 1, 28, 28)), str(AffineGeometry(64, 1, 28, 28, of_bytes=True, M=60000))
    ('mb64ic1ih28', 'mb64of60000ic1ih28bytes')
    """

    N: int
    C: int
    H: int
    W: int
    of_bytes: bool = False
    M: int | None = None
    op = "affine2d"

    @functools.cached_property
    def shapes(self):
        """The shape of each array of the problem, by name."""
        image, channels = (self.C, self.H, self.W), (self.C,)
        x = (self.N if self.M is None else self.M, *image)
        return {"x": x, "index": (self.N,), "transform": (self.N, 2, 3), "scale": channels, "shift": channels,
                "y": (self.N, *image)}  # fmt: skip

    SIGNATURES = {
        "forward": (("x", "transform"), "y"),
        "gather": (("x", "index", "transform", "scale", "shift"), "y"),
    }
    OPTIONAL = ()

    @property
    def DTYPES(self):
        """Bytes are of a dtype of their own, and so is the index."""
        return {"index": np.int64, **({"x": np.uint8} if self.of_bytes else {})}

    def operations(self, direction):
        """Return a rough count of operations: per pixel 10 to find the place, per channel 12 to read there."""
        return self.N * self.H * self.W * (10 + 12 * self.C)

    def __str__(self):
        of, width = "" if self.M is None else f"of{self.M}", "" if self.W == self.H else f"iw{self.W}"
        return f"mb{self.N}{of}ic{self.C}ih{self.H}{width}{'bytes' if self.of_bytes else ''}"
