"""What problems lead to before their numbers are looked at, kept for the next call: preparing it takes microseconds."""

PROBLEMS = 256  # at most
NUMBERS = 16384  # in the tables of each, at most


class Kept(dict):
    """What was prepared for problems, as long as there are not too many of them.

    Examples
    --------
    >>> kept = Kept()
    >>> kept.keep("a problem", [1, 2], numbers=2), kept.get("a problem")
    ([1, 2], [1, 2])
    """

    def keep(self, problem, prepared, numbers):
        """Return what was prepared, after keeping it unless its tables hold too many numbers."""
        if numbers <= NUMBERS:
            if len(self) >= PROBLEMS:
                self.clear()
            self[problem] = prepared
        return prepared
