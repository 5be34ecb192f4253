"""Words that say how things are computed: for a block of code, for the whole process, or from the environment."""

import contextlib
import contextvars
import functools
import os


@functools.cache
def environment(name):
    """Return an environment variable as it was when it was first asked for, or "": a look at it costs a microsecond."""
    return os.environ.get(name, "")


class Setting:
    """One word of a few.

    Parameters
    ----------
    name : str
        As errors name it: ``set_<name>`` sets it for the process, and CONVCORE_<NAME> in the environment.
    words : tuple of str
        The first is the default.
    """

    def __init__(self, name, words):
        self.name, self.words = name, words
        self.of_process = None
        self._of_block = contextvars.ContextVar(f"convcore_{name}", default=None)

    def get(self):
        """Return the word of the innermost block, else that of the process, else that of the environment."""
        return self._of_block.get() or self.of_process or self.of_environment()

    @functools.cache  # noqa: B019  settings live as long as the process
    def of_environment(self):
        """Return the word of the environment, or the first there is."""
        variable = f"CONVCORE_{self.name.upper()}"
        return self.check(environment(variable) or self.words[0], variable)

    def set(self, word):
        """Set the word for the whole process."""
        self.of_process = self.check(word, f"set_{self.name}: kind")

    @contextlib.contextmanager
    def inside(self, word):
        """Set the word inside the ``with`` block, in this Python thread only."""
        token = self._of_block.set(self.check(word, f"{self.name}: kind"))
        try:
            yield
        finally:
            self._of_block.reset(token)

    def check(self, word, source):
        """Return `word` if it is one of the words, else raise a TypeError or ValueError that names `source`."""
        if not isinstance(word, str):
            raise TypeError(f"{source} must be one of {', '.join(self.words)}, got {type(word).__name__}")
        if word not in self.words:
            raise ValueError(f"{source} must be one of {', '.join(self.words)}, got {word!r}")
        return word
