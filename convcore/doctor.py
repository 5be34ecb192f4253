"""What convcore found on this machine, and why: the first thing to look at when something is slow or odd."""

import importlib.metadata
import importlib.util
import os
import pathlib
import platform
import sys

import numpy as np

from convcore import isa, threads
from convcore._compiled import cpu

OPTIONAL = ("matplotlib", "pooch", "PIL", "rich", "safetensors", "torch")


def report():
    """Return the findings as a dict of sections, each a dict of names and words; all JSON-able.

    Examples
    --------
    >>> list(report())
    ['version', 'instruction set', 'threads', 'floating point', 'data', 'libraries']
    """
    n, why = threads.detect()
    return {
        "version": {
            "convcore": importlib.metadata.version("convcore"),
            "python": f"{platform.python_version()} ({sys.executable})",
            "numpy": np.__version__,
            "platform": platform.platform(),
        },
        "instruction set": {
            "chosen": isa.DEFAULT,
            "because": "CONVCORE_ISA" if os.environ.get("CONVCORE_ISA") else "the widest that is built and supported",
            "built": ", ".join(cpu.levels_built()),
            "supported here": ", ".join(cpu.levels_supported()),
        },
        "threads": {
            "number": str(n),
            "because": why,
            "OpenMP": openmp(),
        },
        "floating point": {
            "denormals": "flushed to zero" if cpu.flushes_denormals() else "kept, as IEEE 754 says",
        },
        "data": {
            "CONVCORE_DATA_DIR": os.environ.get("CONVCORE_DATA_DIR", "not set"),
            "download cache": cache_folder(),
        },
        "libraries": {name: "installed" if importlib.util.find_spec(name) else "missing" for name in OPTIONAL},
    }


def openmp():
    """Return which OpenMP the kernels were built with, and the runtime libraries loaded in this process."""
    if not cpu.openmp_date():
        return "built without it: one thread"
    loaded = ", ".join(openmp_libraries()) or "statically linked or not listed by this system"
    return f"{cpu.openmp_date()}, runtime {loaded}"


def openmp_libraries():
    """Return the file names of the OpenMP runtimes in this process (Linux); more than one fight over the cores."""
    from convcore.kernels import gemm

    gemm(np.ones((1, 1)), np.ones((1, 1)))  # the runtime is loaded with the first kernel
    try:
        lines = pathlib.Path("/proc/self/maps").read_text().splitlines()
    except OSError:
        return []
    paths = {line.split(maxsplit=5)[-1] for line in lines if len(line.split(maxsplit=5)) == 6}
    names = (pathlib.Path(path).name for path in paths)
    return sorted(name for name in names if name.startswith(("libgomp", "libomp", "libiomp")))


def cache_folder():
    """Return the folder for downloaded data."""
    try:
        import pooch
    except ImportError:
        return "none: pooch is missing"
    return str(pooch.os_cache("convcore"))
