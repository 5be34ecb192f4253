"""Random numbers that are noted as they are drawn."""

import numpy as np


class NotingGenerator(np.random.Generator):
    """A generator that adds the arrays of random numbers that it gives to a list: they come in from outside.

    A program that repeats what was done with them draws as many in the same order, so that they are the same numbers.

    Parameters
    ----------
    rng : numpy.random.Generator
        From whose stream they are.
    arrays : list of ndarray
        To which they are added.

    Examples
    --------
    >>> drawn = []
    >>> noting = NotingGenerator(np.random.default_rng(0), drawn)
    >>> noting.random(3) is drawn[0], bool((drawn[0] == np.random.default_rng(0).random(3)).all())
    (True, True)
    """

    def __init__(self, rng, arrays):
        super().__init__(rng.bit_generator)
        self._arrays = arrays

    def random(self, *size, **how):
        """Return random numbers from [0, 1), as every generator does."""
        found = super().random(*size, **how)
        self._arrays.append(found)
        return found
