"""Networks to begin with, by name."""

from convcore.models.batchnorm import batchnorm
from convcore.models.lenet import lenet5
from convcore.models.shallow import shallow

NAMED = {"lenet5": lenet5, "shallow": shallow, "batchnorm": batchnorm}

__all__ = ["NAMED", "batchnorm", "lenet5", "shallow"]
