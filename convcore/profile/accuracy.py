"""Each kernel's result, compared with the right one before the kernel is timed: a wrong one is fast for nothing.

The arrays hold small whole numbers, so that a direct method must be right to the last bit, whatever its order.
"""

import dataclasses

import numpy as np

from convcore import kernels
from convcore.kernels import registry
from convcore.profile import exactness

PLAIN = ("im2col", "direct", "reference")  # they compute everything, by the definition's own products
SINGLE, DOUBLE = np.dtype(np.float32), np.dtype(np.float64)
LARGEST = 3  # of the whole numbers
EXACT = 2**24  # float32 holds every whole number up to here
OPERATIONS = 10**10  # of one check in float64, at most: larger batches are compared on their first images


class Wrong(ValueError):
    """A result that is further from the right one than rounding explains."""


def arrays_of(geometry):
    """Return a problem's arrays by name, float32, filled with whole numbers."""
    names = ("x", "weight", "bias", "grad_y")
    return {name: exactness.integers(geometry.shapes[name], SINGLE, i, LARGEST) for i, name in enumerate(names)}


class RightResult:
    """What one direction of a problem should give, computed in float64.

    By the definition where that takes a moment; else by another exact kernel in float64, which is compared with the
    definition on one image where that takes a moment, and is otherwise trusted for the tests that it has passed.

    Parameters
    ----------
    geometry : ConvGeometry
    direction : str
    arrays : dict of ndarray
        The problem's arrays by name: whole numbers, float32.
    """

    def __init__(self, geometry, direction, arrays):
        images = max(1, min(geometry.batch, OPERATIONS // max(1, geometry.operations(direction) // geometry.batch)))
        self.geometry, self.direction = _first_images(geometry, images), direction
        self.arrays = _first_images_of(arrays, self.geometry)
        self.inputs = _inputs(self.geometry, direction, self.arrays)
        self.source = "reference"
        if exactness.definition_seconds(self.geometry, direction) > exactness.AFFORDABLE:
            self.source = _exact_variant(self.geometry, direction)
            _compare_with_definition(_first_images(geometry, 1), direction, arrays, self.source)
        doubles = [array.astype(DOUBLE) for array in self.inputs]
        self.value = kernels.run(geometry.op, direction, self.geometry, *doubles, variant=self.source)

    def allowed(self, factor):
        """Return how far a result in float32 may be off: 0 unless the method, or the size of the sums, makes it round.

        Otherwise `exactness.rounding_bound`, with the variant's ROUNDING_FACTOR.
        """
        largest_sum = exactness.terms(self.geometry, self.direction) * LARGEST**2
        if factor == 1 and largest_sum <= EXACT:
            return 0.0
        return exactness.rounding_bound(self.geometry, self.direction, self.inputs, SINGLE, factor)

    def check(self, variant, level):
        """Return (largest error, largest allowed) of a variant's result; raise `Wrong` if it is too far off."""
        op = self.geometry.op
        got = kernels.run(op, self.direction, self.geometry, *self.inputs, variant=variant, level=level)
        factor = registry.rounding_factor(op, variant, level, (self.direction, self.geometry, SINGLE))
        return self.compare(got, self.allowed(factor), f"variant {variant}")

    def compare(self, got, allowed, who):
        """Return (largest error, `allowed`), or raise `Wrong`, which names `who`."""
        difference = exactness.first_difference(got, self.value, allowed, other=f"by {self.source} in float64")
        if difference:
            what = f"{who} is wrong in {self.direction} of {self.geometry}"
            off = f"more than {allowed:.2g} off, " if allowed else ""
            raise Wrong(f"{self.geometry.op}: {what}, {off}first at {difference}")
        return float(np.abs(got - self.value).max()), allowed


def _first_images(geometry, images):
    return dataclasses.replace(geometry, batch=min(images, geometry.batch))


def _first_images_of(arrays, geometry):
    """Return a problem's arrays, cut to the geometry's batch."""
    return {name: array[: geometry.batch] if name in ("x", "grad_y") else array for name, array in arrays.items()}


def _inputs(geometry, direction, arrays):
    """Return what a direction takes."""
    return [arrays[name] for name in geometry.SIGNATURES[direction][0]]


def _exact_variant(geometry, direction):
    """Return the fastest of the plain variants that computes a direction in float64."""
    return next(name for name in PLAIN if kernels.refusal(geometry.op, name, direction, geometry, DOUBLE) is None)


def _compare_with_definition(geometry, direction, arrays, variant):
    """Hold a variant's float64 result of one image against the definition, if that takes a moment."""
    if exactness.definition_seconds(geometry, direction) > exactness.AFFORDABLE:
        return
    inputs = [a.astype(DOUBLE) for a in _inputs(geometry, direction, _first_images_of(arrays, geometry))]
    expected = kernels.run(geometry.op, direction, geometry, *inputs, variant="reference")
    got = kernels.run(geometry.op, direction, geometry, *inputs, variant=variant)
    difference = exactness.first_difference(got, expected)
    if difference:
        raise Wrong(f"{geometry.op}: variant {variant} is wrong in {direction} of {geometry}, first at {difference}")
