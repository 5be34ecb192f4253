"""What convcore found on this machine, and why: the first thing to look at when something is slow or odd."""

import importlib.metadata
import os
import pathlib
import platform
import sys

import numpy as np

from convcore import isa, threads
from convcore._compiled import cpu

LIBRARIES = ("typer", "rich", "safetensors", "pooch", "pillow", "matplotlib", "torch")


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
            "denormals in kernels": denormals_in_kernels(n),
        },
        "data": {
            "CONVCORE_DATA_DIR": data_folder(),
            "download cache": cache_folder(),
        },
        "libraries": {name: installed_version(name) for name in LIBRARIES},
    }


def denormals_in_kernels(n_threads):
    """Return what becomes of denormal numbers in the threads of a kernel."""
    n_threads = n_threads if cpu.openmp_date() else 1
    with cpu.DenormalsAsZeros(n_threads):
        flushing = cpu.threads_flushing(n_threads)
    return "flushed to zero" if flushing == n_threads else f"flushed to zero in {flushing} of {n_threads} threads"


def openmp():
    """Return which OpenMP the kernels were built with, and the runtime libraries loaded in this process."""
    date = cpu.openmp_date()
    if not date:
        return "built without it: one thread"
    loaded = ", ".join(openmp_libraries()) or "statically linked or not listed by this system"
    return f"specification of {date // 100}-{date % 100:02}, runtime {loaded}"


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


def data_folder():
    """Return what CONVCORE_DATA_DIR says, and whether that can be right."""
    folder = os.environ.get("CONVCORE_DATA_DIR")
    return f"{folder}{'' if os.path.isdir(folder) else ' (no such folder)'}" if folder else "not set"


def cache_folder():
    """Return the folder for downloaded data."""
    try:
        import pooch
    except ImportError:
        return "none: pooch is missing"
    return str(pooch.os_cache("convcore"))


def installed_version(name):
    """Return the version of an installed package, without importing it."""
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return "missing"
