"""Which instruction-set level the kernels run at: the widest that was built and that this machine supports.

The environment variable ``CONVCORE_ISA`` overrides the choice for the whole process; single calls take ``level=``.
"""

import os

from convcore._compiled import cpu

LEVELS = ("generic", "x86-64-v2", "x86-64-v3", "x86-64-v4")


def built_and_supported():
    """Return the levels that can be used here, narrowest first.

    Examples
    --------
    >>> set(built_and_supported()) <= set(LEVELS)
    True
    """
    supported = cpu.levels_supported()
    return tuple(level for level in cpu.levels_built() if level in supported)


def check(level, source="level"):
    """Return `level` if kernels of that level can run here.

    Raises
    ------
    ValueError
        A name that is no level, a level that was not built, or one that this processor lacks.
    """
    if level not in LEVELS:
        raise ValueError(f"{source} must be one of {', '.join(LEVELS)}, got {level!r}")
    if level not in cpu.levels_built():
        raise ValueError(f"{source} {level} was not built; built: {', '.join(cpu.levels_built())}")
    if level not in cpu.levels_supported():
        raise ValueError(
            f"{source} {level} is not supported by this processor; it has {', '.join(built_and_supported())}"
        )
    return level


def _choose():
    asked = os.environ.get("CONVCORE_ISA")
    return check(asked, "CONVCORE_ISA") if asked else built_and_supported()[-1]


DEFAULT = _choose()


def module_suffix(level):
    """Return the end of the compiled modules' names: ``"x86-64-v3"`` -> ``"v3"``."""
    return level.removeprefix("x86-64-")


def level_of(module_name):
    """Return the level that a module was compiled for: ``"convcore._compiled.conv_direct__v3"`` -> ``"x86-64-v3"``."""
    suffix = module_name.rpartition("__")[2]
    return next(level for level in LEVELS if module_suffix(level) == suffix)
