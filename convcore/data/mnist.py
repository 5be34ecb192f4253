"""MNIST and Fashion-MNIST: where they are published, how they are fetched, checked and kept."""

import os
import pathlib
from dataclasses import dataclass
from typing import NamedTuple

from convcore.data.idx import read_idx
from convcore.data.idx_folder import IdxFiles, find_files, read_files

TIMEOUT = 15  # seconds without a byte until the next mirror is tried


class PublishedFile(NamedTuple):
    """One file of a data set: its name, the MD5 of its published gzip form, the shape of the array in it."""

    name: str
    md5: str
    shape: tuple


@dataclass(frozen=True)
class PublishedSet:
    """A data set of four IDX files on the web; `base_urls` are its mirrors, in the order in which they are tried."""

    name: str
    base_urls: tuple
    files: tuple  # of PublishedFile, in the order of IdxFiles
    class_names: tuple


MNIST = PublishedSet(
    "mnist",
    ("https://ossci-datasets.s3.amazonaws.com/mnist/", "https://storage.googleapis.com/cvdf-datasets/mnist/"),
    (
        PublishedFile("train-images-idx3-ubyte.gz", "f68b3c2dcbeaaa9fbdd348bbdeb94873", (60_000, 28, 28)),
        PublishedFile("train-labels-idx1-ubyte.gz", "d53e105ee54ea40749a09fcbcd1e9432", (60_000,)),
        PublishedFile("t10k-images-idx3-ubyte.gz", "9fb629c4189551a2d022fa330f9573f3", (10_000, 28, 28)),
        PublishedFile("t10k-labels-idx1-ubyte.gz", "ec29112dd5afa0611ce80d1b7f02629c", (10_000,)),
    ),
    tuple("0123456789"),
)

FASHION_MNIST = PublishedSet(
    "fashion-mnist",
    ("http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",),
    (
        PublishedFile("train-images-idx3-ubyte.gz", "8d4fb7e6c68d591d4c3dfef9ec88bf0d", (60_000, 28, 28)),
        PublishedFile("train-labels-idx1-ubyte.gz", "25c81989df183df01b3e8a0aad5dffbe", (60_000,)),
        PublishedFile("t10k-images-idx3-ubyte.gz", "bef4ecab320f06d8554ea6380940ec79", (10_000, 28, 28)),
        PublishedFile("t10k-labels-idx1-ubyte.gz", "bb300cfdad3c16e7a12a480ee83cd310", (10_000,)),
    ),
    ("T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot"),
)


def load_mnist(published=MNIST, *, base_urls=None, cache=None):
    """Load MNIST or Fashion-MNIST, from a folder of one's own, from the cache, or from the web.

    1. Where the environment variable ``CONVCORE_DATA_DIR`` is set and holds a folder of the set's name (``mnist``,
       ``fashion-mnist``), its four files are used, plain or ``.gz``, and no network. They may be compressed anew:
       their structure and counts are checked, not their checksums.
    2. Otherwise the files come from the user's cache folder; what is missing there, or has another checksum than
       the published one, is fetched (11 to 31 MB together) from the first mirror that has it, by the package pooch.

    Parameters
    ----------
    published : PublishedSet
        `MNIST` or `FASHION_MNIST`.
    base_urls : str or sequence of str, optional
        Mirrors to use instead of the known ones; the file names are appended to them.
    cache : path-like, optional
        Folder that keeps what was fetched, in a folder per set; by default ``pooch.os_cache("convcore")``.

    Returns
    -------
    Dataset, 60,000 training and 10,000 test images (1, 28, 28), uint8; 10 classes

    Raises
    ------
    FileNotFoundError
        ``CONVCORE_DATA_DIR`` is set to what is no folder, or the folder in it lacks a file.
    ValueError
        A file that is damaged or of the wrong shape, a label beyond the classes.
    OSError
        No mirror gave the file with the published checksum.
    ImportError
        pooch is needed and not installed.

    Notes
    -----
    The machine on which this was developed had no network: none of the addresses, neither MNIST's two mirrors nor
    Fashion-MNIST's one, could be tried from there. Fetching was tested against a local server.

    References
    ----------
    Y. LeCun, L. Bottou, Y. Bengio and P. Haffner, "Gradient-based learning applied to document recognition", 1998;
    H. Xiao, K. Rasul and R. Vollgraf, "Fashion-MNIST", arXiv:1708.07747.

    Examples
    --------
    >>> load_mnist()  # doctest: +SKIP
    Dataset 'mnist': 60,000 training and 10,000 test images (1, 28, 28), 10 classes
    """
    name = published.name
    base_urls = (base_urls,) if isinstance(base_urls, str) else base_urls or published.base_urls
    folder = _own_folder(name)
    if folder:
        try:
            files = find_files(folder, name)
        except FileNotFoundError as error:
            raise FileNotFoundError(f"{error}; it is published at {base_urls[0]}") from None
    else:
        files = IdxFiles(*(_fetch(name, file, base_urls, cache) for file in published.files))
    shapes = dict(zip(files, (file.shape for file in published.files), strict=True))

    def read(path):
        """Read one file and hold it against what is published; the error says what to do about it."""
        try:
            array = read_idx(path)
            if array.shape != shapes[path]:
                raise ValueError(f"idx: {path} holds an array {array.shape}, expected {shapes[path]}")
        except ValueError as error:
            damage = str(error).removeprefix("idx: ")
            raise ValueError(f"{name}: {damage}; delete it and let it be fetched again") from error
        return array

    return read_files(files, name, name, published.class_names, read)


def _own_folder(name):
    """Return the folder of a data set inside ``CONVCORE_DATA_DIR``, or None if that is not set or lacks the set.

    A variable that points nowhere is a mistake, not a wish for the network: FileNotFoundError.
    """
    root = os.environ.get("CONVCORE_DATA_DIR")
    if not root:
        return None
    if not os.path.isdir(root):
        raise FileNotFoundError(f"CONVCORE_DATA_DIR: there is no folder {root}")
    folder = pathlib.Path(root, name)
    return folder if folder.is_dir() else None


def _fetch(name, file, base_urls, cache):
    """Return the path of one file in the cache, fetched from the first mirror that gives what is published.

    pooch writes to a temporary name and renames after it has compared the checksum.
    """
    place = os.path.join(os.environ.get("CONVCORE_DATA_DIR") or "$CONVCORE_DATA_DIR", name)
    by_hand = f"put the four files by hand into {place}"
    try:
        import pooch
        from requests import RequestException
    except ImportError as error:
        raise ImportError(f"{name}: fetching it needs the package pooch; install it, or {by_hand}") from error
    # Not "gzip": a server must send the file as it is, not unpacked on the way, or the checksum cannot match.
    downloader = pooch.HTTPDownloader(timeout=TIMEOUT, headers={"Accept-Encoding": "identity"})
    folder = pathlib.Path(cache or pooch.os_cache("convcore"), name)
    failures = []
    for base_url in base_urls:
        url = f"{base_url.rstrip('/')}/{file.name}"
        try:
            return pathlib.Path(pooch.retrieve(url, f"md5:{file.md5}", file.name, folder, downloader=downloader))
        except RequestException as error:
            answer = error.response
            reason = type(error).__name__ if answer is None else f"{answer.status_code} {answer.reason}"
            failures.append(f"{url}: {reason}")
        except ValueError:  # pooch's word for another checksum; it has deleted the file
            failures.append(f"{url}: its MD5 is not {file.md5}")
    raise OSError(f"{name}: cannot fetch {file.name} ({'; '.join(failures)}); {by_hand}")
