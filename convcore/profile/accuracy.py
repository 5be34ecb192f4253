"""Each kernel's result, compared with the right one before the kernel is timed: a wrong one is fast for nothing."""

import dataclasses

import numpy as np

from convcore import isa, kernels
from convcore.kernels import registry
from convcore.kernels.dispatch import selected
from convcore.profile import exactness

SINGLE, DOUBLE = np.dtype(np.float32), np.dtype(np.float64)
OPERATIONS = 10**10  # of one check in float64, at most: larger batches are compared on their first images


class Wrong(ValueError):
    """A result that is further from the right one than rounding explains."""


class RightResult:
    """What one direction of a problem should give, in float64.

    By the definition where that takes a moment; else by another exact kernel in float64, which is compared with the
    definition on one image where that takes a moment, and is otherwise trusted for the tests that it has passed.

    Parameters
    ----------
    geometry : ConvGeometry
    direction : str
    arrays : dict of ndarray
        The problem's arrays by name, float32.
    """

    def __init__(self, geometry, direction, arrays):
        images = max(1, min(geometry.batch, OPERATIONS // max(1, geometry.operations(direction) // geometry.batch)))
        self.geometry, self.direction = _first_images(geometry, images), direction
        self.inputs = _inputs(self.geometry, direction, arrays)
        self.source = "reference"
        if exactness.definition_seconds(self.geometry, direction) > exactness.AFFORDABLE:
            self.source = _exact_variant(self.geometry, direction)
            _compare_with_definition(_first_images(geometry, 1), direction, arrays, self.source)
        doubles = [array.astype(DOUBLE) for array in self.inputs]
        self.value = kernels.run(geometry.op, direction, self.geometry, *doubles, variant=self.source)

    def check(self, variant, level):
        """Return (largest error, largest allowed) of a variant's result; raise `Wrong` if it is too far off."""
        op = self.geometry.op
        name, level = selected(op, self.direction, self.geometry, SINGLE, variant, level)
        factor = exactness.rounding_factor(op, name, level)
        allowed = exactness.rounding_bound(self.geometry, self.direction, self.inputs, SINGLE, factor)
        got = kernels.run(op, self.direction, self.geometry, *self.inputs, variant=name, level=level)
        return self.compare(got, allowed, f"variant {name}")

    def compare(self, got, allowed, who):
        """Return (largest error, `allowed`), or raise `Wrong`, which names `who`."""
        difference = exactness.first_difference(got, self.value, allowed, other=f"by {self.source} in float64")
        if difference:
            what = f"{who} is wrong in {self.direction} of {self.geometry}"
            raise Wrong(f"{self.geometry.op}: {what}: more than {allowed:.2g} off, first at {difference}")
        return float(np.abs(got - self.value).max()), allowed


def _first_images(geometry, images):
    return dataclasses.replace(geometry, batch=min(images, geometry.batch))


def _inputs(geometry, direction, arrays):
    """Return what a direction takes, cut to the geometry's batch."""
    names = geometry.SIGNATURES[direction][0]
    return [arrays[name][: geometry.batch] if name in ("x", "grad_y") else arrays[name] for name in names]


def _exact_variant(geometry, direction):
    """Return the first built-in variant that computes a direction in float64 by the definition's own products."""
    for name in kernels.variants(geometry.op):
        if (geometry.op, name) not in registry.registered() and name != "reference":
            refused = kernels.refusal(geometry.op, name, direction, geometry, DOUBLE)
            if not refused and exactness.rounding_factor(geometry.op, name, isa.DEFAULT) == 1:
                return name
    return "reference"


def _compare_with_definition(geometry, direction, arrays, variant):
    """Hold a variant's float64 result of one image against the definition, if that takes a moment."""
    if exactness.definition_seconds(geometry, direction) > exactness.AFFORDABLE:
        return
    inputs = [array.astype(DOUBLE) for array in _inputs(geometry, direction, arrays)]
    expected = kernels.run(geometry.op, direction, geometry, *inputs, variant="reference")
    got = kernels.run(geometry.op, direction, geometry, *inputs, variant=variant)
    allowed = exactness.rounding_bound(geometry, direction, inputs, DOUBLE)
    difference = exactness.first_difference(got, expected, allowed)
    if difference:
        raise Wrong(f"{geometry.op}: variant {variant} is wrong in {direction} of {geometry}, first at {difference}")
