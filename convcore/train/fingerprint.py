"""What a run was made with, in a few words that fit into a checkpoint: the data, the program, the machine."""

import zlib

import numpy as np

from convcore import isa
from convcore.kernels import registry

CHECKED_BYTES = 1 << 26  # of larger arrays, evenly spaced observations are summed up: a tenth of a second is enough


def of_data(x, y):
    """Return number, shape, dtype and checksum of observations and targets (or of several), as a dict for JSON.

    Examples
    --------
    >>> of_data(np.zeros((2, 1, 3, 3), np.uint8), np.array([0, 1]))["x"]
    'uint8 (2, 1, 3, 3), checksum 671bcf4d'
    """
    pairs = (("x", x), ("y", y))
    return {name: " and ".join(map(_of_array, a)) if isinstance(a, tuple) else _of_array(a) for name, a in pairs}


def of_program():
    """Return versions, the instruction-set level and the variants of each op, best first, as a dict for JSON."""
    import importlib.metadata  # here: it loads the whole of email, and only checkpoints need it

    return {
        "convcore": importlib.metadata.version("convcore"),
        "numpy": np.__version__,
        "isa": isa.DEFAULT,
        "variants": {op: list(registry.candidates(op)) for op in registry.VARIANTS},
    }


def _of_array(array):
    step = max(1, array.nbytes // CHECKED_BYTES)
    checksum = 0
    for start in range(0, len(array), 1024 * step):  # in pieces: a non-contiguous array is copied to be summed up
        checksum = zlib.crc32(np.ascontiguousarray(array[start : start + 1024 * step : step]), checksum)
    return f"{array.dtype} {array.shape}, checksum {checksum:08x}"
