"""The compiled kernels, one module per kernel and instruction-set level, named ``<stem>__<level>``.

An editable install puts them here. After a plain ``pip install .``, Python started in the checkout still finds the
checkout's sources first; then the modules are taken from where they were installed.
"""

import pathlib
import sys

__path__ += [
    str(folder)
    for folder in (pathlib.Path(entry, "convcore", "_compiled") for entry in sys.path if entry)
    if folder.is_dir() and not folder.samefile(__path__[0])
]
