import gzip
import hashlib
import math
import pathlib
import random
import re
import struct
import tempfile
import tracemalloc
import zlib

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from convcore.data import read_idx, write_idx

DTYPES = {"uint8": 0x08, "int8": 0x09, "int16": 0x0B, "int32": 0x0C, "float32": 0x0D, "float64": 0x0E}
RAMP = bytes([0, 0, 0x08, 2, 0, 0, 0, 2, 0, 0, 0, 3, 0, 1, 2, 3, 4, 5])


def header(code, *shape):
    return struct.pack(f">BBBB{len(shape)}I", 0, 0, code, len(shape), *shape)


def read_bytes(content):
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder, "file")
        path.write_bytes(content)
        return read_idx(path)


def stored_gzip(content):
    """Gzip without compression, so that a cut leaves a known number of bytes."""
    return gzip.compress(content, compresslevel=0, mtime=0)


# What is read


@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_reads_a_file_written_by_hand(pack):
    array = read_bytes(pack(RAMP))
    np.testing.assert_array_equal(array, [[0, 1, 2], [3, 4, 5]])
    assert array.dtype == np.uint8
    assert array.flags.writeable


@pytest.mark.parametrize(
    ("code", "payload", "expected"),
    [
        (0x08, "ff", np.uint8(255)),
        (0x09, "ff", np.int8(-1)),
        (0x0B, "fffe", np.int16(-2)),
        (0x0C, "00010000", np.int32(65536)),
        (0x0D, "3fc00000", np.float32(1.5)),
        (0x0E, "bff8000000000000", np.float64(-1.5)),
    ],
)
def test_every_dtype_is_big_endian_in_the_file_and_native_in_memory(code, payload, expected):
    array = read_bytes(header(code, 1) + bytes.fromhex(payload))
    assert array[0] == expected
    assert array.dtype == expected.dtype
    assert array.dtype.isnative


@pytest.mark.parametrize("shape", [(), (0,), (0, 28, 28), (3, 0), (1,) * 32])
def test_no_dimension_and_no_value(shape):
    array = read_bytes(header(0x0B, *shape) + bytes(2 * math.prod(shape)))
    assert (array.shape, array.dtype) == (shape, np.int16)


@given(
    array=st.sampled_from(sorted(DTYPES)).flatmap(
        lambda name: hnp.arrays(name, hnp.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=5))
    ),
    suffix=st.sampled_from(["", ".gz"]),
    order=st.sampled_from("<>"),
)
@example(array=np.array([np.nan, -0.0, np.inf]), suffix=".gz", order=">")
def test_round_trip(array, suffix, order):
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder, "file" + suffix)
        write_idx(path, array.astype(array.dtype.newbyteorder(order)))
        content = path.read_bytes()
        again = read_idx(str(path))
    assert (content[:2] == b"\x1f\x8b") == (suffix == ".gz")
    assert (again.dtype, again.shape) == (array.dtype, array.shape)
    assert again.tobytes() == array.tobytes()


def test_writes_what_is_read_by_hand_and_the_same_bytes_each_time(tmp_path):
    array = np.arange(6, dtype=np.uint8).reshape(2, 3)
    for name in ("plain", "one.gz", "two.gz"):
        write_idx(tmp_path / name, array[:, ::-1][:, ::-1])
    assert (tmp_path / "plain").read_bytes() == RAMP
    assert (tmp_path / "one.gz").read_bytes() == (tmp_path / "two.gz").read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["one.gz", "plain", "two.gz"]


# What is refused

MAGIC = "starts with bytes {}, an IDX file with 00 00{}"
DAMAGE = {
    "empty": (b"", " ends within its header, after 0 of at least 4 bytes"),
    "magic cut": (b"\0\0\x08", " ends within its header, after 3 of at least 4 bytes"),
    "sizes cut": (RAMP[:9], " ends within its header, after 9 of 12 bytes"),
    "HTML": (b"\n<!DOCTYPE html>", " " + MAGIC.format("0a 3c", " (it looks like a web page)")),
    "XML with a mark": (b"\xef\xbb\xbf<?xml", " " + MAGIC.format("ef bb", " (it looks like a web page)")),
    "zip": (b"PK\x03\x04....", " " + MAGIC.format("50 4b", " (it looks like a zip archive)")),
    "npy": (b"\x93NUMPY\x01\0", " " + MAGIC.format("93 4e", " (it looks like a NumPy .npy file)")),
    "git-lfs": (
        b"version https://git-lfs.github.com/spec/v1\n",
        " " + MAGIC.format("76 65", " (it looks like a Git LFS pointer)"),
    ),
    "double gzip": (
        gzip.compress(gzip.compress(RAMP)),
        " " + MAGIC.format("1f 8b", " (it looks like gzip inside gzip)"),
    ),
    "other magic": (b"\0\x01\x08\x01", " " + MAGIC.format("00 01", "")),
    "one byte": (b"\x07", " " + MAGIC.format("07", "")),
    "type code": (
        header(0x0A, 1),
        " has type code 0x0a, expected one of 0x08, 0x09, 0x0b, 0x0c, 0x0d, 0x0e",
    ),
    "dimensions": (header(0x08, *[1] * 33), " has 33 dimensions, expected at most 32"),
    "short": (RAMP[:-1], " holds 5 values, its header promises 6 (2, 3)"),
    "short within a value": (header(0x0E, 2) + bytes(15), " holds 1 values, its header promises 2 (2,)"),
    "short, large": (
        header(0x08, 1500, 28) + bytes(41_999),
        " holds 41,999 values, its header promises 42,000 (1500, 28)",
    ),
    "long": (RAMP + b"\n", " holds more than the 6 values its header promises (2, 3)"),
    "long, no value": (header(0x08, 0) + b"\0", " holds more than the 0 values its header promises (0,)"),
    "overflowing": (
        header(0x08, 0, 2**32 - 1, 2**32 - 1),
        ": its header promises (0, 4294967295, 4294967295), larger than any array",
    ),
    "gzip of short": (gzip.compress(RAMP[:-2]), " holds 4 values, its header promises 6 (2, 3)"),
    "gzip of long": (gzip.compress(RAMP + RAMP), " holds more than the 6 values its header promises (2, 3)"),
    "gzip of two parts": (gzip.compress(RAMP) * 2, " holds more than the 6 values its header promises (2, 3)"),
    "gzip of nothing": (gzip.compress(b""), " ends within its header, after 0 of at least 4 bytes"),
    "gzip cut in the magic": (stored_gzip(RAMP)[:17], ": its gzip stream breaks off within the header"),
    "gzip cut in the sizes": (stored_gzip(RAMP)[:22], ": its gzip stream breaks off within the header"),
    "gzip cut in the values": (
        stored_gzip(RAMP)[:-10],
        ": its gzip stream breaks off after 4 of the 6 values its header promises (2, 3)",
    ),
    "gzip cut in the checksum": (
        stored_gzip(RAMP)[:-5],
        ": its gzip stream breaks off after 6 of the 6 values its header promises (2, 3)",
    ),
    "gzip, two bytes": (b"\x1f\x8b", ": its gzip stream breaks off within the header"),
    "gzip of another method": (
        b"\x1f\x8b\x07" + bytes(20),
        ": its gzip stream is damaged (Unknown compression method) within the header",
    ),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_each_damage_is_named_in_one_line(damage, tmp_path):
    content, text = DAMAGE[damage]
    path = tmp_path / "file"
    path.write_bytes(content)
    with pytest.raises(ValueError, match="^" + re.escape(f"idx: {path}{text}") + "$"):
        read_idx(path)


def test_broken_checksum_of_the_gzip_stream(tmp_path):
    path = tmp_path / "file.gz"
    content = bytearray(stored_gzip(RAMP))
    content[-9] ^= 1  # the last value
    path.write_bytes(content)
    wrong, right = zlib.crc32(RAMP), zlib.crc32(RAMP[:-1] + b"\x04")
    text = (
        f"idx: {path}: its gzip stream is damaged (CRC check failed {hex(wrong)} != {hex(right)}) "
        "after 6 of the 6 values its header promises (2, 3)"
    )
    with pytest.raises(ValueError, match="^" + re.escape(text) + "$"):
        read_idx(path)


def test_missing_file(tmp_path):
    with pytest.raises(FileNotFoundError, match=re.escape(f"idx: there is no file {tmp_path / 'none'}") + "$"):
        read_idx(tmp_path / "none")


@pytest.mark.parametrize("array", [np.zeros(2, np.int64), np.zeros(2, bool), np.zeros(2, np.uint16), np.array(["a"])])
def test_write_refuses_dtypes_without_a_code(array, tmp_path):
    text = f"idx: dtype {array.dtype} has no IDX type code, expected one of uint8, int8, int16, int32, float32, float64"
    with pytest.raises(TypeError, match="^" + re.escape(text) + "$"):
        write_idx(tmp_path / "file", array)


def test_write_refuses_sizes_that_the_header_cannot_hold(tmp_path):
    with pytest.raises(ValueError, match=re.escape("idx: a size is at most 4,294,967,295, got 4,294,967,296 (42949")):
        write_idx(tmp_path / "file", np.broadcast_to(np.uint8(0), (2**32,)))
    if np.lib.NumpyVersion(np.__version__) >= "2.0.0":
        with pytest.raises(ValueError, match=r"^idx: at most 32 dimensions can be read back, the array has 33$"):
            write_idx(tmp_path / "file", np.zeros((1,) * 33, np.uint8))
    assert not list(tmp_path.iterdir())


# Hostile files


@pytest.mark.parametrize("pack", [bytes, gzip.compress])
@pytest.mark.parametrize("sizes", [(2**31,), (2**32 - 1,) * 2, (2**32 - 1,) * 32, (60_000, 28, 28)])
def test_memory_follows_the_file_not_its_header(sizes, pack, tmp_path):
    path = tmp_path / "file"
    path.write_bytes(pack(header(0x0E, *sizes) + bytes(800)))
    tracemalloc.start()
    try:
        with pytest.raises(ValueError, match=re.escape(f"holds 100 values, its header promises {math.prod(sizes):,} ")):
            read_idx(path)
        assert tracemalloc.get_traced_memory()[1] < 4 * 2**20
    finally:
        tracemalloc.stop()


def test_a_gzip_bomb_is_left_after_what_its_header_promises(tmp_path):
    path = tmp_path / "file"
    with gzip.open(path, "wb") as file:
        file.write(RAMP)
        for _ in range(64):
            file.write(bytes(2**20))
    tracemalloc.start()
    try:
        with pytest.raises(ValueError, match=re.escape("holds more than the 6 values its header promises (2, 3)")):
            read_idx(path)
        assert tracemalloc.get_traced_memory()[1] < 4 * 2**20
    finally:
        tracemalloc.stop()


ONE_LINE = r"|idx: .+"  # or nothing; the dot takes no newline


def complaint(content):
    """The text of the ValueError that `content` causes, empty if it is read; any other error passes through."""
    try:
        read_bytes(content)
    except ValueError as error:
        return str(error)
    return ""


@given(content=st.binary(max_size=80), start=st.sampled_from([b"", b"\0\0", b"\0\0\x08\x01\0\0\0", b"\x1f\x8b\x08\0"]))
def test_random_bytes_give_an_array_or_a_value_error(content, start):
    assert re.fullmatch(ONE_LINE, complaint(start + content))


@given(seed=st.integers(0, 2**32), zipped=st.booleans(), level=st.sampled_from([0, 6]))
def test_a_mutated_file_gives_an_array_or_a_value_error(seed, zipped, level):
    rng = random.Random(seed)
    content = header(0x0C, 4, 5) + hashlib.sha512(b"values").digest() + bytes(16)
    content = bytearray(gzip.compress(content, level, mtime=0) if zipped else content)
    for _ in range(rng.randint(1, 3)):
        content[rng.randrange(len(content))] = rng.randrange(256)
    if rng.random() < 0.3:
        del content[rng.randrange(len(content)) :]
    assert re.fullmatch(ONE_LINE, complaint(content))
