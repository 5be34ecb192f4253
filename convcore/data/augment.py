"""Random shifts, turns, sizes and reflections of training images, drawn anew for each mini-batch."""

import math
from dataclasses import dataclass

import numpy as np

from convcore.arrays import as_numbers
from convcore.checks import flag, number, number_below, number_from, number_within
from convcore.kernels import AffineGeometry, run


@dataclass(frozen=True, kw_only=True)
class Augment:
    """Change images at random, each by a map of its own, so that a network never sees the same image twice.

    Each image is reflected, scaled, rotated about its centre, and shifted, in this order, in one bilinear
    interpolation. All amounts are drawn uniformly.

    Parameters
    ----------
    shift : float, pixels, at least 0
        Up and down, and left and right, by at most so much.
    rotation : float, degrees, 0 to 180
        Counterclockwise or clockwise, by at most so much.
    scale : float, 0 to less than 1
        The size is multiplied by 1 − scale to 1 + scale.
    reflection : bool
        Every other image, on the average, is reflected left to right.
    fill : float
        What comes in over the borders, in the images' own unit.

    Raises
    ------
    TypeError, ValueError
        An argument of the wrong kind or out of range.

    Notes
    -----
    Called with images and a generator; the same generator state gives the same bits for any number of threads. The
    trainer makes the generator from seed and iteration, so a resumed run sees the same images again.

    Examples
    --------
    >>> images = np.zeros((1, 1, 3, 3), np.uint8)
    >>> images[0, 0, 1, 1] = 200
    >>> Augment(shift=1)(images, np.random.default_rng(0)).sum().round().item()  # the pixel moved, all of it
    200.0
    """

    shift: float = 0.0
    rotation: float = 0.0
    scale: float = 0.0
    reflection: bool = False
    fill: float = 0.0

    def __post_init__(self):
        checked = {
            "shift": number_from(self.shift, "Augment: shift", 0),
            "rotation": number_within(self.rotation, "Augment: rotation", 0, 180),
            "scale": number_below(self.scale, "Augment: scale", 0, 1),
            "reflection": flag(self.reflection, "Augment: reflection"),
            "fill": _finite(self.fill, "Augment: fill"),
        }
        for name, value in checked.items():
            object.__setattr__(self, name, value)

    def __call__(self, images, rng):
        """Return changed copies of a batch of images.

        Parameters
        ----------
        images : array, shape (N, C, H, W), of any integers or floats
        rng : numpy.random.Generator

        Returns
        -------
        ndarray, shape (N, C, H, W), float32; float64 where the images are

        Raises
        ------
        TypeError, ValueError
            No array of numbers, no generator; no 4 dimensions.
        """
        images = as_numbers(images, "Augment: images")
        if not isinstance(rng, np.random.Generator):
            raise TypeError(f"Augment: rng must be a numpy.random.Generator, got {type(rng).__name__}")
        if images.ndim != 4:
            raise ValueError(f"Augment: images must have shape (N, C, H, W), got {images.shape}")
        images = images.astype(images.dtype if images.dtype.kind == "f" else np.float32, copy=False)
        if images.size == 0:
            return images.copy()
        transform = self.transforms(len(images), images.shape[2:], rng).astype(images.dtype)
        return run("affine2d", "forward", AffineGeometry(*images.shape), images, transform, fill=self.fill)

    def transforms(self, count, size, rng):
        """Return the maps from places in the changed images to places in the given ones.

        Parameters
        ----------
        count : int
        size : (int, int), pixels
            Height and width.
        rng : numpy.random.Generator

        Returns
        -------
        ndarray, shape (count, 2, 3), float64
            As `AffineGeometry` takes them: row and column to read are the matrix times (i, j, 1).
        """
        draws = rng.random((count, 5))  # all five always: one option does not change what another one draws
        down, right, turn, growth = (2 * draws[:, :4] - 1).T
        angle = math.radians(self.rotation) * turn
        # The way back: from a pixel of the result, undo the shift, then the turn, the scaling, and the reflection.
        cos, sin = np.cos(angle) / (1 + self.scale * growth), np.sin(angle) / (1 + self.scale * growth)
        mirror = np.where(self.reflection & (draws[:, 4] < 0.5), -1.0, 1.0)
        linear = np.array([[cos, sin], [-sin * mirror, cos * mirror]]).transpose(2, 0, 1)  # (count, 2, 2)
        centre = (np.array(size) - 1) / 2
        moved = centre + self.shift * np.stack([down, right], axis=1)  # (count, 2): where the centre went
        return np.concatenate([linear, (centre - np.einsum("nij,nj->ni", linear, moved))[:, :, None]], axis=2)


def _finite(value, what):
    result = number(value, what)
    if not math.isfinite(result):
        raise ValueError(f"{what} must be finite, got {value}")
    return result
