"""The shapes of an affine map of images."""

import functools
from dataclasses import dataclass


@dataclass(frozen=True)
class AffineGeometry:
    """N images of C channels and H × W pixels, each with a map of its own.

    ``transform[n]`` is a matrix (2, 3): the output pixel (i, j) shows what the input has at row
    ``transform[n, 0] · (i, j, 1)`` and column ``transform[n, 1] · (i, j, 1)``, interpolated bilinearly.

    Examples
    --------
    >>> str(AffineGeometry(64, 1, 28, 28))
    'mb64ic1ih28'
    """

    N: int
    C: int
    H: int
    W: int
    op = "affine2d"

    @functools.cached_property
    def shapes(self):
        """The shape of each array of the problem, by name."""
        images = (self.N, self.C, self.H, self.W)
        return {"x": images, "transform": (self.N, 2, 3), "y": images}

    SIGNATURES = {"forward": (("x", "transform"), "y")}
    OPTIONAL = ()

    def operations(self, direction):
        """Return a rough count of operations: per pixel 10 to find the place, per channel 12 to read there."""
        return self.N * self.H * self.W * (10 + 12 * self.C)

    def __str__(self):
        width = "" if self.W == self.H else f"iw{self.W}"
        return f"mb{self.N}ic{self.C}ih{self.H}{width}"
