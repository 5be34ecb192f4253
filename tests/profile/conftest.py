"""Kernels that are wrong on purpose, registered for one test."""

import types

import pytest

from convcore import isa, kernels
from convcore.kernels import registry

REFERENCE = registry.load("conv2d", "reference", isa.DEFAULT)
DIRECTIONS = ("forward", "backward_input", "backward_weight")


@pytest.fixture
def registered():
    """Register functions as the conv2d variant "mine", the other directions those of the definition."""

    def register(**functions):
        right = {direction: getattr(REFERENCE, direction) for direction in DIRECTIONS}
        kernels.register("conv2d", types.SimpleNamespace(**{**right, **functions}), name="mine")

    before = registry.registered()
    yield register
    for op, name in registry.registered():
        if (op, name) not in before:
            kernels.unregister(op, name)
