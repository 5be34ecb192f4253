"""The compiled kernels, one module per kernel and instruction-set level, named ``<stem>__<level>``.

An editable install puts them here. After a plain ``pip install .``, Python started in the checkout still finds the
checkout's sources first; then the modules are taken from where they were installed.
"""

import importlib
import os
import pathlib
import sys

# How often GCC's OpenMP runtime looks whether there is work before its threads go to sleep: some 150 µs, longer than
# Python takes between two kernels, for to wake a thread takes 50. Its own default, some milliseconds, is as fast where
# nothing else runs; but as soon as another program wants a processor, waiting threads take it from those they wait
# for, and a training step takes ten times as long.
SPIN_COUNT = "12000"

__path__ += [
    str(folder)
    for folder in (pathlib.Path(entry, "convcore", "_compiled") for entry in sys.path if entry)
    if folder.is_dir() and not folder.samefile(__path__[0])
]


def _load_openmp():
    """Load the OpenMP runtime with a short spin count, unless the user has set one; the environment stays as it was."""
    if {"GOMP_SPINCOUNT", "OMP_WAIT_POLICY"} & set(os.environ):
        return
    os.environ["GOMP_SPINCOUNT"] = SPIN_COUNT  # read once, when the runtime is loaded: with the first module
    try:
        importlib.import_module("convcore._compiled.cpu")
    finally:
        del os.environ["GOMP_SPINCOUNT"]


_load_openmp()
