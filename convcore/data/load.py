"""A data set by its name or by its folder."""

import os

from convcore.data.digits import load_digits
from convcore.data.idx_folder import load_folder
from convcore.data.mnist import FASHION_MNIST, MNIST, load_mnist

LOADERS = {
    "digits": load_digits,
    "mnist": lambda: load_mnist(MNIST),
    "fashion-mnist": lambda: load_mnist(FASHION_MNIST),
}


def load(data):
    """Load a data set by name, or from a folder of IDX files.

    Parameters
    ----------
    data : str or path-like
        ``"digits"`` (bundled), ``"mnist"``, ``"fashion-mnist"``, or a folder. A name goes before a folder of that
        name; write ``"./digits"``, or give a `pathlib.Path`, for the folder.

    Returns
    -------
    Dataset, with ``.train`` and ``.test``, each ``(x, y)``: x (N, C, H, W) uint8, y (N,) int64

    Raises
    ------
    TypeError
        Neither a string nor a path.
    ValueError
        Neither a name nor a folder; else as `load_mnist` and `load_folder`.

    Examples
    --------
    >>> x, y = load("digits").test
    >>> x.shape, x.dtype.name, y[:5].tolist()
    ((355, 1, 28, 28), 'uint8', [5, 0, 9, 8, 7])
    """
    if isinstance(data, str) and data in LOADERS:
        return LOADERS[data]()
    if not isinstance(data, (str, os.PathLike)):
        raise TypeError(f"data: expected a name or a folder, got {type(data).__name__}")
    if not os.path.isdir(data):
        raise ValueError(f"data: {os.fspath(data)!r} is neither {', '.join(LOADERS)} nor a folder")
    return load_folder(data)
