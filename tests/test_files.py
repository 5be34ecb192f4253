"""Files that are never torn, and the safetensors format: every kind of damage has its own one-line error."""

import json
import os
import pathlib
import stat

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.testing import assert_array_equal

from convcore.files import read_tensors, write_atomic, write_tensors

# write_atomic


def names(folder):
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize("content", [b"\x00\xff", b"", "Zürich\n", "", bytearray(b"abc"), memoryview(b"abc")])
def test_content_arrives_byte_by_byte(tmp_path, content):
    path = tmp_path / "file"
    for target in (path, str(path)):  # new, then over the old one
        write_atomic(target, content)
        assert path.read_bytes() == (content.encode("utf-8") if isinstance(content, str) else bytes(content))
    assert names(tmp_path) == ["file"]


class Interrupted(BaseException):
    """As KeyboardInterrupt is: no Exception."""


@pytest.mark.parametrize("moment", ["fdopen", "fsync", "chmod", "replace"])
@pytest.mark.parametrize("kind", [OSError, Interrupted])
def test_the_old_file_stays_when_writing_fails(tmp_path, monkeypatch, moment, kind):
    path = tmp_path / "file"
    path.write_text("old")

    def fail(*arguments):
        raise kind("no space left")

    monkeypatch.setattr(os, moment, fail)
    with pytest.raises(kind):
        write_atomic(path, "new")
    monkeypatch.undo()
    assert path.read_text() == "old"
    assert names(tmp_path) == ["file"]


def test_content_of_a_wrong_kind_leaves_nothing_behind(tmp_path):
    for content in (5, None, ["a"]):
        with pytest.raises(TypeError):
            write_atomic(tmp_path / "file", content)
    assert names(tmp_path) == []


def test_no_file_can_be_written_there(tmp_path, monkeypatch):
    folder = tmp_path / "folder"
    folder.mkdir()
    for path, error, text in [
        (tmp_path / "missing" / "file", FileNotFoundError, f"there is no folder {tmp_path / 'missing'}"),
        (folder, IsADirectoryError, f"{folder} is a folder"),
    ]:
        with pytest.raises(error) as caught:
            write_atomic(path, "x")
        assert str(caught.value) == f"write: {text}"
    monkeypatch.setattr(os, "access", lambda *_: False)
    with pytest.raises(PermissionError) as caught:
        write_atomic(tmp_path / "file", "x")
    assert str(caught.value) == f"write: nothing may be written in {tmp_path}"
    assert names(tmp_path) == ["folder"]


@pytest.mark.skipif(os.name == "nt", reason="no umask here")
@pytest.mark.parametrize(("mask", "mode"), [(0o022, 0o644), (0o077, 0o600), (0o000, 0o666), (0o027, 0o640)])
def test_permissions_follow_the_umask(tmp_path, mask, mode):
    path = tmp_path / "file"
    before = os.umask(mask)
    try:
        write_atomic(path, "x")
        assert stat.S_IMODE(path.stat().st_mode) == mode
        path.chmod(0o400)
        write_atomic(path, "y")
        assert stat.S_IMODE(path.stat().st_mode) == mode
        assert os.umask(mask) == mask
    finally:
        os.umask(before)


def test_a_link_is_replaced_not_followed_into_halves(tmp_path):
    (tmp_path / "real").write_text("old")
    (tmp_path / "link").symlink_to(tmp_path / "real")
    write_atomic(tmp_path / "link", "new")
    assert (tmp_path / "link").read_text() == "new"
    assert (tmp_path / "real").read_text() == "old"


# write_tensors and read_tensors

ARRAYS = {
    "conv.weights": np.arange(24, dtype="f4").reshape(2, 3, 4),
    "double": np.array([np.pi, np.nan, -np.inf]),
    "scalar": np.array(2.5),
    "empty": np.zeros((0, 3), "f4"),
    "transposed": np.arange(6.0).reshape(2, 3).T,
    "strided": np.arange(10, dtype="i8")[::3],
    "big-endian": np.arange(3, dtype=">f4"),
    "flags": np.array([True, False]),
    "bytes": np.arange(5, dtype="u1"),
    "": np.ones(1),
    "Übung": np.ones(1),
}
METADATA = {"version": 1, "layers": [{"name": "é", "factor": 0.1}], "none": None, "nested": {"a": [1, [2]]}}


def test_round_trip(tmp_path):
    path = tmp_path / "file.safetensors"
    write_tensors(path, ARRAYS, METADATA)
    arrays, metadata = read_tensors(path, "test")
    assert metadata == METADATA
    assert set(arrays) == set(ARRAYS)
    for name, array in ARRAYS.items():
        assert arrays[name].dtype == array.dtype.newbyteorder("=")
        assert_array_equal(arrays[name], array.astype(array.dtype.newbyteorder("=")), strict=True)
        assert arrays[name].flags.writeable
    assert names(tmp_path) == ["file.safetensors"]


def test_nothing_at_all(tmp_path):
    write_tensors(tmp_path / "file", {}, {})
    assert read_tensors(str(tmp_path / "file"), "test") == ({}, {})


@pytest.mark.parametrize(
    ("arrays", "metadata"),
    [({}, {"x": float("nan")}), ({}, {"x": {1, 2}}), ({}, {"x": np.ones(2)}), ({"x": np.array(["text"])}, {}),
     ({"x": np.array([None])}, {})],
)  # fmt: skip
def test_what_cannot_be_written_leaves_the_old_file(tmp_path, arrays, metadata):
    path = tmp_path / "file"
    write_tensors(path, ARRAYS, METADATA)
    before = path.read_bytes()
    with pytest.raises(Exception, match=r"range|serializable|dtype|data-type"):
        write_tensors(path, arrays, metadata)
    assert path.read_bytes() == before
    assert names(tmp_path) == ["file"]


def header(fields, data=b"", length=None):
    """The bytes of a safetensors file."""
    text = fields if isinstance(fields, bytes) else json.dumps(fields).encode()
    return (len(text) if length is None else length).to_bytes(8, "little") + text + data


def tensor(dtype, shape, *offsets):
    return {"dtype": dtype, "shape": shape, "data_offsets": list(offsets)}


OURS = {"__metadata__": {"convcore": "0 {}"}}
FOREIGN = "test: {path} is a safetensors file, but not one that convcore wrote"
DAMAGED = "test: {path} is damaged or no safetensors file ("
KIND = "test: {path} holds numbers of a kind that convcore does not write"
UNTRUE = "test: {path} is damaged, its checksum does not match"
METADATA_ODD = "test: {path} holds metadata that convcore did not write"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", DAMAGED),
        (b"abc", DAMAGED),
        (b"PK\x03\x04" + bytes(100), DAMAGED),  # an .npz
        (b"\x93NUMPY\x01\x00" + bytes(100), DAMAGED),
        (b"\x89PNG\r\n\x1a\n" + bytes(100), DAMAGED),
        (header({}, length=2**63), DAMAGED),
        (header({}, length=2**40), DAMAGED),
        (header({}, length=3), DAMAGED),
        (header(b"{" * 5000), DAMAGED),
        (header(b'{"a": 1}'), DAMAGED),
        (header(b"[]"), DAMAGED),
        (header(b"\xff\xfe"), DAMAGED),
        (header({**OURS, "a": tensor("F32", [2], 0, 8)}, b"1234"), DAMAGED),
        (header({**OURS, "a": tensor("F32", [2], 0, 8)}, b"123456789"), DAMAGED),
        (header({**OURS, "a": tensor("F32", [3], 0, 8)}, b"12345678"), DAMAGED),
        (header({**OURS, "a": tensor("F32", [-2], 0, 8)}, b"12345678"), DAMAGED),
        (header({**OURS, "a": tensor("F32", [2**62, 8], 0, 8)}, b"12345678"), DAMAGED),
        (header({**OURS, "a": tensor("F32", [0, 2**62], 0, 0)}), DAMAGED),
        (header({**OURS, "a": tensor("F32", [2], 8, 0)}, b"12345678"), DAMAGED),
        (header({**OURS, "a": tensor("NONE", [2], 0, 8)}, b"12345678"), DAMAGED),
        (header({"__metadata__": {"convcore": "0 {"}}), DAMAGED),
        (header({"__metadata__": {"convcore": ""}}), DAMAGED),
        (header({"__metadata__": {"convcore": "0 " + "[" * 100_000}}), DAMAGED),
        (header({"__metadata__": {"convcore": "0 [1]"}}), METADATA_ODD),
        (header({"__metadata__": {"convcore": "0 null"}}), METADATA_ODD),
        (header({"__metadata__": {"format": "pt"}, "a": tensor("F32", [2], 0, 8)}, b"12345678"), FOREIGN),
        (header({"a": tensor("F32", [2], 0, 8)}, b"12345678"), FOREIGN),
        (header({"__metadata__": None}), FOREIGN),
        (header({}), FOREIGN),
        (header({"__metadata__": {"convcore": "12345678 {}"}}), UNTRUE),
        (header(OURS), UNTRUE),
        (header({**OURS, "a": tensor("BF16", [4], 0, 8)}, b"12345678"), KIND),
        (header({**OURS, "a": tensor("F8_E5M2", [8], 0, 8)}, b"12345678"), KIND),
    ],
)
def test_each_kind_of_damage_has_its_error(tmp_path, content, message):
    path = tmp_path / "file.safetensors"
    path.write_bytes(content)
    with pytest.raises(ValueError) as error:
        read_tensors(path, "test")
    text = str(error.value)
    wanted = message.format(path=path)
    assert text.startswith(wanted)
    assert "\n" not in text
    assert len(text) < len(wanted) + 500
    if message in (FOREIGN, METADATA_ODD, UNTRUE):
        assert text == wanted


def test_missing_files(tmp_path):
    for path in (tmp_path / "missing", tmp_path, tmp_path / "no" / "folder"):
        with pytest.raises(FileNotFoundError) as error:
            read_tensors(path, "load")
        assert str(error.value) == f"load: there is no file {path}"


@pytest.fixture(scope="module")
def good(tmp_path_factory):
    path = tmp_path_factory.mktemp("files") / "good"
    write_tensors(path, {"w": np.arange(12.0).reshape(3, 4), "b": np.ones(3, "f4")}, {"layers": [1, 2]})
    return path.read_bytes()


def attempt(folder, content):
    """What damaged content is read as, if it is; anything but a ValueError gets through and fails the test."""
    path = folder / "damaged"
    path.write_bytes(content)
    try:
        arrays, metadata = read_tensors(path, "test")
    except ValueError:
        return None
    return {name: (a.dtype, a.shape, a.tobytes()) for name, a in arrays.items()}, metadata


def test_no_truncated_file_is_read(tmp_path, good):
    assert attempt(tmp_path, good)
    assert not any(attempt(tmp_path, good[:length]) for length in range(len(good)))
    assert not attempt(tmp_path, good + b"\0")


@given(data=st.data())
@settings(max_examples=400, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_flipped_bits_are_noticed(tmp_path, good, data):
    """The checksum covers text, names, dtypes, shapes and values; between them lies only what means nothing."""
    content = bytearray(good)
    for place in data.draw(st.lists(st.integers(0, 8 * len(good) - 1), min_size=1, max_size=4, unique=True)):
        content[place // 8] ^= 1 << place % 8
    assert attempt(tmp_path, bytes(content)) in (None, attempt(tmp_path, good))


def test_no_single_flipped_bit_is_read(tmp_path, good):
    for place in range(len(good)):
        content = bytearray(good)
        content[place] ^= 1 << place % 8
        assert not attempt(tmp_path, bytes(content))


@given(content=st.binary(max_size=200))
@settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_bytes_are_a_value_error(tmp_path, content):
    assert not attempt(tmp_path, content)
    assert not attempt(tmp_path, header(content))


def test_nothing_but_safetensors_and_json_is_ever_loaded():
    """No file of the package unpickles, evaluates or imports what a file says."""
    package = pathlib.Path(write_tensors.__code__.co_filename).parent
    for path in package.rglob("*.py"):
        text = path.read_text(encoding="utf-8")
        for word in ("pickle", "eval(", "exec(", "marshal", "shelve", "joblib"):
            allowed = word == "pickle" and "allow_pickle=False" in text
            assert word not in text.replace(".eval(", "") or allowed, f"{path} says {word}"
