import dataclasses
import gzip
import hashlib
import http.server
import os
import re
import socket
import struct
import subprocess
import sys
import threading

import numpy as np
import pytest

from convcore.data import FASHION_MNIST, MNIST, load, load_mnist, write_idx
from convcore.data.mnist import PublishedFile

# A tiny set of the same four files, and what a web server has to know of it.


def tiny_arrays(height=28):
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (8, height, 28), dtype=np.uint8)
    labels = rng.integers(0, 10, 8, dtype=np.uint8)
    return [images[:5], labels[:5], images[5:], labels[5:]]


@pytest.fixture
def tiny(tmp_path):
    """The tiny set as published, and its files by name."""
    folder = tmp_path / "origin"
    folder.mkdir()
    contents, files = {}, []
    for file, array in zip(MNIST.files, tiny_arrays(), strict=True):
        write_idx(folder / file.name, array)
        contents[file.name] = (folder / file.name).read_bytes()
        files.append(PublishedFile(file.name, hashlib.md5(contents[file.name]).hexdigest(), array.shape))
    return dataclasses.replace(MNIST, base_urls=(), files=tuple(files)), contents


class Server(http.server.ThreadingHTTPServer):
    """Serves ``/mirror/file`` from dictionaries: bytes, or (bytes, promised length); the rest is not found."""

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.mirrors, self.asked = {}, []

    def url(self, mirror):
        return f"http://127.0.0.1:{self.server_port}/{mirror}/"


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.server.asked.append(self.path)
        _, mirror, name = self.path.split("/")
        answer = self.server.mirrors.get(mirror, {}).get(name)
        if answer is None:
            self.send_error(404)
            return
        content, length = answer if isinstance(answer, tuple) else (answer, len(answer))
        self.send_response(200)
        self.send_header("Content-Length", str(length))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_):
        pass


@pytest.fixture
def server(monkeypatch):
    monkeypatch.delenv("CONVCORE_DATA_DIR", raising=False)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with Server() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def same(dataset):
    """Whether a data set holds the tiny arrays."""
    train_images, train_labels, test_images, test_labels = tiny_arrays()
    np.testing.assert_array_equal(dataset.train.x, train_images[:, None])
    np.testing.assert_array_equal(dataset.train.y, train_labels)
    np.testing.assert_array_equal(dataset.test.x, test_images[:, None])
    np.testing.assert_array_equal(dataset.test.y, test_labels)
    return (dataset.name, dataset.class_names, dataset.train.y.dtype) == ("mnist", tuple("0123456789"), np.int64)


# Fetching


def test_fetches_once_and_then_reads_the_cache(tiny, server, tmp_path):
    published, contents = tiny
    server.mirrors["a"] = contents
    cache = tmp_path / "cache"
    assert same(load_mnist(published, base_urls=server.url("a"), cache=cache))
    assert server.asked == [f"/a/{name}" for name in contents]
    assert same(load_mnist(published, base_urls=[server.url("a")], cache=cache))
    assert len(server.asked) == 4
    assert sorted(path.name for path in (cache / "mnist").iterdir()) == sorted(contents)


def test_the_mirrors_of_the_published_set_are_tried_in_turn(tiny, server, tmp_path):
    published, contents = tiny
    server.mirrors = {"empty": {}, "false": dict.fromkeys(contents, b"<html>log in</html>"), "good": contents}
    mirrors = tuple(server.url(mirror) for mirror in ("empty", "false", "good"))
    assert same(load_mnist(dataclasses.replace(published, base_urls=mirrors), cache=tmp_path))
    assert server.asked[:3] == [f"/{mirror}/train-images-idx3-ubyte.gz" for mirror in server.mirrors]
    assert sorted(path.name for path in (tmp_path / "mnist").iterdir()) == sorted(contents)


def test_a_damaged_file_in_the_cache_is_fetched_again(tiny, server, tmp_path):
    published, contents = tiny
    server.mirrors["a"] = contents
    load_mnist(published, base_urls=server.url("a"), cache=tmp_path)
    path = tmp_path / "mnist" / "t10k-labels-idx1-ubyte.gz"
    path.write_bytes(path.read_bytes()[:-3])
    assert same(load_mnist(published, base_urls=server.url("a"), cache=tmp_path))
    assert server.asked[4:] == ["/a/t10k-labels-idx1-ubyte.gz"]


def half(content):
    """The first half of a file, under a header that promises all of it."""
    return content[: len(content) // 2], len(content)


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (lambda content: None, "404 Not Found"),
        (lambda content: content[:-1], "its MD5 is not {md5}"),
        (lambda content: b"<html>", "its MD5 is not {md5}"),
        (half, "(ChunkedEncodingError|ConnectionError|its MD5 is not {md5})"),  # which of them, urllib3 decides
    ],
    ids=["missing", "cut before", "HTML", "cut on the way"],
)
def test_what_cannot_be_fetched_is_told_in_one_line_and_leaves_no_file(answer, reason, tiny, server, tmp_path):
    published, contents = tiny
    name, md5, _ = published.files[2]
    server.mirrors["a"] = {**contents, name: answer(contents[name])}
    url = re.escape(server.url("a") + name)
    by_hand = re.escape(f"put the four files by hand into {os.path.join('$CONVCORE_DATA_DIR', 'mnist')}")
    text = rf"mnist: cannot fetch {re.escape(name)} \({url}: {reason.format(md5=md5)}\); {by_hand}"
    with pytest.raises(OSError, match=f"^{text}$"):
        load_mnist(published, base_urls=server.url("a"), cache=tmp_path)
    assert sorted(path.name for path in (tmp_path / "mnist").iterdir()) == sorted(list(contents)[:2])


def test_every_mirror_that_failed_is_named(tiny, tmp_path, monkeypatch):
    published, _ = tiny
    name = published.files[0].name
    monkeypatch.setenv("CONVCORE_DATA_DIR", str(tmp_path))  # holds no folder mnist: as if not set
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with socket.socket() as deaf:
        deaf.bind(("127.0.0.1", 0))  # taken, but not listening: connections are refused
        first, second = (f"http://127.0.0.1:{deaf.getsockname()[1]}/{mirror}/" for mirror in "ab")
        text = (
            f"mnist: cannot fetch {name} ({first}{name}: ConnectionError; {second}{name}: ConnectionError); "
            f"put the four files by hand into {tmp_path / 'mnist'}"
        )
        with pytest.raises(OSError, match="^" + re.escape(text) + "$"):
            load_mnist(published, base_urls=[first, second], cache=tmp_path / "cache")


def test_without_pooch_the_error_says_what_to_do(tiny, tmp_path, monkeypatch):
    monkeypatch.delenv("CONVCORE_DATA_DIR", raising=False)
    monkeypatch.setitem(sys.modules, "pooch", None)
    text = (
        "mnist: fetching it needs the package pooch; install it, or put the four files by hand into $CONVCORE_DATA_DIR"
    )
    with pytest.raises(ImportError, match="^" + re.escape(text)):
        load_mnist(tiny[0], cache=tmp_path)


def test_importing_the_package_imports_neither_pooch_nor_requests():
    code = "import sys, convcore.data; sys.exit(any(name in sys.modules for name in ('pooch', 'requests', 'PIL')))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


# A folder of one's own


@pytest.fixture
def own(tiny, tmp_path, monkeypatch):
    """A folder mnist in CONVCORE_DATA_DIR, compressed anew, and a set whose mirrors would fail."""
    published, contents = tiny
    folder = tmp_path / "data" / "mnist"
    folder.mkdir(parents=True)
    for name, content in contents.items():
        (folder / name).write_bytes(gzip.compress(gzip.decompress(content), compresslevel=1))
    monkeypatch.setenv("CONVCORE_DATA_DIR", str(tmp_path / "data"))
    return dataclasses.replace(published, base_urls=("http://127.0.0.1:9/none/",)), folder


def test_the_own_folder_needs_no_network_and_may_be_compressed_anew(own):
    published, folder = own
    assert same(load_mnist(published))
    for path in list(folder.iterdir()):
        path.with_suffix("").write_bytes(gzip.decompress(path.read_bytes()))
        path.unlink()
    assert same(load_mnist(published))


def test_missing_file_in_the_own_folder(own):
    published, folder = own
    (folder / "t10k-images-idx3-ubyte.gz").unlink()
    text = (
        f"mnist: {folder} holds no t10k-images-idx3-ubyte, neither plain nor .gz; "
        "it is published at http://127.0.0.1:9/none/"
    )
    with pytest.raises(FileNotFoundError, match="^" + re.escape(text) + "$"):
        load_mnist(published)


def test_variable_that_points_nowhere(own, tmp_path, monkeypatch):
    monkeypatch.setenv("CONVCORE_DATA_DIR", str(tmp_path / "typo"))
    text = f"CONVCORE_DATA_DIR: there is no folder {tmp_path / 'typo'}"
    with pytest.raises(FileNotFoundError, match="^" + re.escape(text) + "$"):
        load_mnist(own[0])


@pytest.mark.parametrize(
    ("name", "array", "text"),
    [
        (
            "train-images-idx3-ubyte.gz",
            np.zeros((4, 28, 28), np.uint8),
            "{} holds an array (4, 28, 28), expected (5, 28, 28); delete it and let it be fetched again",
        ),
        (
            "t10k-labels-idx1-ubyte.gz",
            np.zeros(4, np.uint8),
            "{} holds an array (4,), expected (3,); delete it and let it be fetched again",
        ),
        (
            "train-labels-idx1-ubyte.gz",
            np.array([3, 10, 1, 0, 9], np.uint8),
            "{} holds the label 10, labels go from 0 to 9",
        ),
        ("train-labels-idx1-ubyte.gz", np.zeros(5, np.float32), "{} holds float32, labels are integers"),
    ],
)
def test_files_that_are_not_the_published_set(name, array, text, own):
    published, folder = own
    write_idx(folder / name, array)
    with pytest.raises(ValueError, match="^" + re.escape("mnist: " + text.format(folder / name)) + "$"):
        load_mnist(published)


def test_a_damaged_file_in_the_own_folder(own):
    published, folder = own
    path = folder / "train-images-idx3-ubyte.gz"
    path.write_bytes(gzip.compress(gzip.decompress(path.read_bytes())[:-5]))
    text = (
        f"mnist: {path} holds 3,915 values, its header promises 3,920 (5, 28, 28); "
        "delete it and let it be fetched again"
    )
    with pytest.raises(ValueError, match="^" + re.escape(text) + "$"):
        load_mnist(published)


# The real sets


@pytest.mark.parametrize("published", [MNIST, FASHION_MNIST])
def test_what_is_published(published):
    assert [file.shape for file in published.files] == [(60000, 28, 28), (60000,), (10000, 28, 28), (10000,)]
    assert all(re.fullmatch("[0-9a-f]{32}", file.md5) for file in published.files)
    assert len(published.class_names) == 10


def own_set(name):
    """Load a real set from CONVCORE_DATA_DIR, or skip: tests use no network."""
    root = os.environ.get("CONVCORE_DATA_DIR")
    if not root or not os.path.isdir(os.path.join(root, name)):
        pytest.skip(f"CONVCORE_DATA_DIR holds no folder {name}")
    return load(name)


def test_real_mnist():
    dataset = own_set("mnist")
    digests = []
    for x, y in (dataset.train, dataset.test):
        images = struct.pack(">BBBBIII", 0, 0, 8, 3, len(x), 28, 28) + x.tobytes()
        labels = struct.pack(">BBBBI", 0, 0, 8, 1, len(y)) + y.astype(np.uint8).tobytes()
        digests += [hashlib.md5(images).hexdigest(), hashlib.md5(labels).hexdigest()]
    assert digests == [
        "6bbc9ace898e44ae57da46a324031adb",
        "a25bea736e30d166cdddb491f175f624",
        "2646ac647ad5339dbf082846283269ea",
        "27ae3e4e09519cfbb04c329615203637",
    ]
    assert dataset.train.x.shape == (60000, 1, 28, 28)
    assert dataset.test.x.shape == (10000, 1, 28, 28)
    np.testing.assert_array_equal(dataset.train.y[:5], [5, 0, 4, 1, 9])
    np.testing.assert_array_equal(dataset.test.y[:5], [7, 2, 1, 0, 4])


def test_real_fashion_mnist():
    dataset = own_set("fashion-mnist")
    assert dataset.train.x.shape == (60000, 1, 28, 28)
    np.testing.assert_array_equal(np.bincount(dataset.train.y), [6000] * 10)
    np.testing.assert_array_equal(np.bincount(dataset.test.y), [1000] * 10)
