"""The shapes of joining arrays along an axis: rows that lie one behind the other."""

import functools
from dataclasses import dataclass

from convcore.kernels.problem import Problem


@dataclass(frozen=True, eq=False)
class JoiningGeometry(Problem):
    """Matrices of as many rows, of so many numbers each, that become one: its rows are theirs, one behind the other.

    Arrays that are joined along an axis are such matrices: what lies in front of the axis counts the rows, and the axis
    with what lies behind it is a row.

    Examples
    --------
    >>> str(JoiningGeometry(64, (784, 1568)))
    'r64n784+1568'
    """

    rows: int
    sizes: tuple
    op = "concatenate"

    @functools.cached_property
    def shapes(self):
        """The shape of each array of the problem, by name."""
        parts = {name: (self.rows, size) for names in self._names for name, size in zip(names, self.sizes, strict=True)}
        return {**parts, **dict.fromkeys(("y", "grad_y"), (self.rows, sum(self.sizes)))}

    @functools.cached_property
    def _names(self):
        """The names of the parts, and of their gradients."""
        return [tuple(f"{what}{i}" for i in range(len(self.sizes))) for what in ("x", "grad_x")]

    @functools.cached_property
    def SIGNATURES(self):
        """What each direction takes and returns."""
        parts, gradients = self._names
        return {"forward": (parts, "y"), "backward_input": (("grad_y",), gradients)}

    OPTIONAL = ()

    def operations(self, direction):
        """Return 0: numbers are moved only."""
        return 0

    def __str__(self):
        return f"r{self.rows}n{'+'.join(map(str, self.sizes))}"
