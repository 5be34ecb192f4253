"""The IDX format, in which MNIST is published: a header of sizes, then the numbers, big-endian, often gzipped."""

import gzip
import math
import pathlib
import struct
import zlib

import numpy as np

from convcore.files import write_atomic

TYPE_CODES = {0x08: ">u1", 0x09: ">i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}
MAX_DIMENSIONS = 32  # of a NumPy 1 array; the format itself goes up to 255
LARGEST_SIZE = 2**32 - 1
PIECE = 1 << 20  # bytes asked for at once, whatever the header promises

# What people mistake for an IDX file, by its first bytes.
IMPOSTORS = {
    b"<": "a web page",
    b"PK\x03\x04": "a zip archive",
    b"\x1f\x8b": "gzip inside gzip",
    b"\xfd7zXZ": "an xz file",
    b"BZh": "a bzip2 file",
    b"\x89PNG": "a PNG image",
    b"\x93NUMPY": "a NumPy .npy file",
    b"version https://git-lfs": "a Git LFS pointer",
}


def read_idx(path):
    """Read an array from an IDX file, plain or gzipped (told apart by content, not by name).

    The header is not trusted: memory grows with what the file holds, in pieces, and reading stops one byte after
    what the header promises.

    Parameters
    ----------
    path : str or path-like

    Returns
    -------
    ndarray, writable, native byte order; uint8, int8, int16, int32, float32 or float64, shaped as the header says

    Raises
    ------
    FileNotFoundError
        No such file.
    ValueError
        Another kind of file, an unknown type code, a header cut short, fewer or more values than the header
        promises, a broken gzip stream.

    References
    ----------
    Y. LeCun, C. Cortes and C. J. C. Burges, "The MNIST database of handwritten digits", section "File formats".

    Examples
    --------
    >>> import pathlib, tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = pathlib.Path(folder) / "labels-idx1-ubyte"
    ...     _ = path.write_bytes(bytes([0, 0, 0x08, 1, 0, 0, 0, 3]) + bytes([5, 0, 4]))
    ...     read_idx(path)
    array([5, 0, 4], dtype=uint8)
    """
    path = pathlib.Path(path)
    try:
        file = open(path, "rb")
    except FileNotFoundError:
        raise FileNotFoundError(f"idx: there is no file {path}") from None
    with file:
        stream = gzip.GzipFile(fileobj=file) if file.peek(2)[:2] == b"\x1f\x8b" else file
        dtype, shape = _read_header(stream, path)
        count = math.prod(shape)
        promise = f"{count:,} values its header promises {shape}"
        content, damage = _read_up_to(stream, count * dtype.itemsize + 1)
    held = len(content) // dtype.itemsize
    if damage:
        raise ValueError(f"idx: {path}: its gzip stream {damage} after {min(held, count):,} of the {promise}")
    if held < count:
        raise ValueError(f"idx: {path} holds {held:,} values, its header promises {count:,} {shape}")
    if len(content) > count * dtype.itemsize:
        raise ValueError(f"idx: {path} holds more than the {promise}")
    try:
        array = np.ndarray(shape, dtype, buffer=content)
    except ValueError:  # no values, and yet sizes whose product overflows: NumPy refuses (0, 2**32 - 1, 2**32 - 1)
        raise ValueError(f"idx: {path}: its header promises {shape}, larger than any array") from None
    return array.astype(dtype.newbyteorder("="), copy=False)


def write_idx(path, array):
    """Write an array as an IDX file, gzipped if the name ends in ``.gz``; a crash never leaves half a file.

    Parameters
    ----------
    path : str or path-like
        Its folder must exist.
    array : array_like; uint8, int8, int16, int32, float32 or float64, of any byte order

    Raises
    ------
    TypeError
        A dtype the format has no code for.
    ValueError
        More than 32 dimensions, or a size of 2**32 or more.

    Examples
    --------
    >>> import os, tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = os.path.join(folder, "ramp.gz")
    ...     write_idx(path, np.arange(3, dtype=np.int16))
    ...     read_idx(path)
    array([0, 1, 2], dtype=int16)
    """
    path, array = pathlib.Path(path), np.asarray(array)
    dtype = array.dtype.newbyteorder(">")
    code = next((code for code, name in TYPE_CODES.items() if dtype == np.dtype(name)), None)
    if code is None:
        names = ", ".join(np.dtype(name).name for name in TYPE_CODES.values())
        raise TypeError(f"idx: dtype {array.dtype} has no IDX type code, expected one of {names}")
    if array.ndim > MAX_DIMENSIONS:
        raise ValueError(f"idx: at most {MAX_DIMENSIONS} dimensions can be read back, the array has {array.ndim}")
    if max(array.shape, default=0) > LARGEST_SIZE:
        raise ValueError(f"idx: a size is at most {LARGEST_SIZE:,}, got {max(array.shape):,} {array.shape}")
    header = struct.pack(f">BBBB{array.ndim}I", 0, 0, code, array.ndim, *array.shape)
    content = header + array.astype(dtype, copy=False).tobytes()
    write_atomic(path, gzip.compress(content, mtime=0) if path.suffix == ".gz" else content)


def _read_header(stream, path):
    """Return the (big-endian) dtype and the shape, or raise the ValueError that says what stands there instead."""
    start, damage = _read_up_to(stream, 4)
    if any(start[:2]):
        rest, _ = _read_up_to(stream, 60)
        opening = bytes(start + rest).removeprefix(b"\xef\xbb\xbf").lstrip()
        looks_like = next((what for magic, what in IMPOSTORS.items() if opening.startswith(magic)), None)
        note = f" (it looks like {looks_like})" if looks_like else ""
        raise ValueError(f"idx: {path} starts with bytes {start[:2].hex(' ')}, an IDX file with 00 00{note}")
    if damage:
        raise ValueError(f"idx: {path}: its gzip stream {damage} within the header")
    if len(start) < 4:
        raise ValueError(f"idx: {path} ends within its header, after {len(start)} of at least 4 bytes")
    code, ndim = start[2:]
    if code not in TYPE_CODES:
        known = ", ".join(f"0x{known:02x}" for known in TYPE_CODES)
        raise ValueError(f"idx: {path} has type code 0x{code:02x}, expected one of {known}")
    if ndim > MAX_DIMENSIONS:
        raise ValueError(f"idx: {path} has {ndim} dimensions, expected at most {MAX_DIMENSIONS}")
    sizes, damage = _read_up_to(stream, 4 * ndim)
    if damage:
        raise ValueError(f"idx: {path}: its gzip stream {damage} within the header")
    if len(sizes) < 4 * ndim:
        raise ValueError(f"idx: {path} ends within its header, after {4 + len(sizes)} of {4 + 4 * ndim} bytes")
    return np.dtype(TYPE_CODES[code]), struct.unpack(f">{ndim}I", sizes)


def _read_up_to(stream, size):
    """Return at most `size` bytes as a bytearray, and how the gzip stream fails before them (text), or None.

    read1 hands out what was unpacked before the failure, which read would throw away.
    """
    content = bytearray()
    try:
        while len(content) < size and (piece := stream.read1(min(PIECE, size - len(content)))):
            content += piece
    except EOFError:
        return content, "breaks off"
    except (gzip.BadGzipFile, zlib.error) as error:
        return content, f"is damaged ({error})"
    return content, None
