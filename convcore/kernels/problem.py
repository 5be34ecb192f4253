"""What all geometries are: values that are looked up by, at every call of a kernel."""

import dataclasses
import functools


class Problem:
    """The base of the geometries: dataclasses whose hash is worked out once, and that are equal where their fields are.

    Examples
    --------
    >>> @dataclasses.dataclass(frozen=True, eq=False)
    ... class Square(Problem):
    ...     side: int
    >>> Square(3) == Square(3), Square(3) == Square(4), {Square(3): "found"}[Square(3)]
    (True, False, 'found')
    """

    @functools.cached_property
    def _values(self):
        return tuple(getattr(self, field.name) for field in dataclasses.fields(self))

    @functools.cached_property
    def _hash(self):
        return hash((type(self), self._values))

    def __hash__(self):
        return self._hash

    def __eq__(self, other):
        return self._values == other._values if type(other) is type(self) else NotImplemented

    def __getstate__(self):
        return {name: value for name, value in vars(self).items() if name != "_hash"}  # words hash anew in each process
