"""Writing files so that a crash at any moment leaves either the old file or the new one, never a torn one; and
the one file format for networks and checkpoints: safetensors, arrays and JSON without code."""

import json
import os
import pathlib
import tempfile
import zlib

import numpy as np


def check_target(path, what):
    """Raise an OSError, in the name of `what`, where no file can be written: ask before work whose result it will hold.

    Examples
    --------
    >>> check_target("nosuch/figures.json", "bench")
    Traceback (most recent call last):
    FileNotFoundError: bench: there is no folder nosuch
    """
    path = pathlib.Path(path)
    if not path.parent.is_dir():
        raise FileNotFoundError(f"{what}: there is no folder {path.parent}")
    if path.is_dir():
        raise IsADirectoryError(f"{what}: {path} is a folder")
    if not os.access(path.parent, os.W_OK):
        raise PermissionError(f"{what}: nothing may be written in {path.parent}")


def write_atomic(path, content, what="write"):
    """Write `content` (bytes or str) to a temporary name beside `path`, flush it to the disk, then rename.

    The folder must exist; `check_target` says so in the name of `what`. An existing file keeps its permissions out of
    the way: the new one follows the umask.
    """
    path = pathlib.Path(path)
    check_target(path, what)
    if isinstance(content, str):
        content = content.encode("utf-8")
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".tmp")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, 0o666 & ~_umask())
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise


def _umask():
    """The process's umask; reading it means setting it for an instant."""
    mask = os.umask(0o077)
    os.umask(mask)
    return mask


def write_tensors(path, arrays, metadata):
    """Write arrays and a JSON-able dict to one safetensors file, atomically; the format holds no code.

    Parameters
    ----------
    path : path-like
    arrays : dict of str to ndarray
    metadata : dict
        Stored as JSON, a checksum before it, under the key "convcore" of the file's own metadata.
    """
    import safetensors.numpy

    contiguous = {name: _native(np.asarray(array, order="C")) for name, array in arrays.items()}
    text = json.dumps(metadata, allow_nan=False)
    stored = f"{checksum(contiguous, text)} {text}"
    write_atomic(path, safetensors.numpy.save(contiguous, metadata={"convcore": stored}))


def _native(array):
    """Return the array in this machine's byte order, which is how it will be read back."""
    return array.astype(array.dtype.newbyteorder("="), copy=False)


def read_tensors(path, what):
    """Return (arrays, metadata) of a file that `write_tensors` wrote.

    Raises
    ------
    FileNotFoundError
        No such file.
    ValueError
        A file that is damaged or was not written by convcore; the text names it and says what is wrong.
    """
    import safetensors.numpy

    path = pathlib.Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"{what}: there is no file {path}")
    content = path.read_bytes()
    try:
        arrays = safetensors.numpy.load(content)
        header = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])
        stored, _, text = (header.get("__metadata__") or {})["convcore"].partition(" ")
        metadata = json.loads(text)
    except KeyError as error:
        if str(error) != "'convcore'":
            raise ValueError(f"{what}: {path} holds numbers of a kind that convcore does not write ({error})") from None
        raise ValueError(f"{what}: {path} is a safetensors file, but not one that convcore wrote") from None
    except Exception as error:  # safetensors raises an Exception class of its own, JSON and Unicode theirs
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise ValueError(f"{what}: {path} is damaged or no safetensors file ({reason})") from None
    if not isinstance(metadata, dict):
        raise ValueError(f"{what}: {path} holds metadata that convcore did not write")
    if stored != checksum(arrays, text):
        raise ValueError(f"{what}: {path} is damaged, its checksum does not match")
    return arrays, metadata


def checksum(arrays, text):
    """Return a CRC-32 over a text and over names, dtypes, shapes and values of arrays, in hexadecimal."""
    total = zlib.crc32(text.encode())
    for name in sorted(arrays):
        array = np.ascontiguousarray(arrays[name])
        total = zlib.crc32(f"{name} {array.dtype} {array.shape}".encode(), total)
        total = zlib.crc32(array.reshape(-1).view(np.uint8), total)
    return f"{total:08x}"
