import re
from pathlib import Path

import pytest

from convcore.data import load


def test_the_default_data_set_by_name():
    dataset = load("digits")
    assert (dataset.name, dataset.num_classes, dataset.input_shape) == ("digits", 10, (1, 28, 28))


def test_a_name_goes_before_a_folder_and_a_path_is_a_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("digits").mkdir()
    assert load("digits").name == "digits"
    for folder in ("./digits", Path("digits")):
        with pytest.raises(FileNotFoundError, match=r"^data: digits holds no train-images-idx3-ubyte"):
            load(folder)


@pytest.mark.parametrize("data", ["minst", "MNIST", "", Path("minst")])
def test_unknown_name(data, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    text = f"data: {str(data)!r} is neither digits, mnist, fashion-mnist nor a folder"
    with pytest.raises(ValueError, match="^" + re.escape(text) + "$"):
        load(data)


def test_a_file_is_no_folder(tmp_path):
    path = tmp_path / "train-images-idx3-ubyte"
    path.touch()
    text = f"data: {str(path)!r} is neither digits, mnist, fashion-mnist nor a folder"
    with pytest.raises(ValueError, match="^" + re.escape(text) + "$"):
        load(path)


@pytest.mark.parametrize(
    ("data", "kind"), [(None, "NoneType"), (3, "int"), (("x", "y"), "tuple"), (b"digits", "bytes")]
)
def test_neither_name_nor_path(data, kind):
    with pytest.raises(TypeError, match=f"^data: expected a name or a folder, got {kind}$"):
        load(data)
