"""Networks to begin with, by name."""

from convcore.models.lenet import lenet5

NAMED = {"lenet5": lenet5}

__all__ = ["NAMED", "lenet5"]
