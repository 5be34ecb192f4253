import sys

import pytest

from convcore.user_code import blamed_on, can_be_imported, imported


@pytest.fixture(autouse=True)
def unchanged(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    yield
    for name in ("users_code", "neighbour"):
        sys.modules.pop(name, None)


def test_a_file_is_run_and_finds_its_neighbours(tmp_path):
    (tmp_path / "neighbour.py").write_text("number = 3")
    (tmp_path / "users_code.py").write_text("from neighbour import number")
    module = imported("users_code.py")
    assert (module.number, module.__name__) == (3, "users_code")
    assert sys.modules["users_code"] is module


def test_no_module_is_replaced(tmp_path):
    (tmp_path / "json.py").write_text("mine = True")
    import json

    assert imported(tmp_path / "json.py").mine
    assert sys.modules["json"] is json


def test_blame(capsys):
    def fail():
        print("not a result")
        raise KeyError("a")

    text = r"^model: its function fails with KeyError: 'a' \(--debug shows where\)$"
    with pytest.raises(ValueError, match=text), blamed_on("model", "its function"):
        fail()
    assert capsys.readouterr() == ("", "not a result\n")


def test_a_file_that_wants_to_leave():
    with pytest.raises(ValueError, match=r"^model: mine\.py fails with SystemExit: 0 "), blamed_on("model", "mine.py"):
        sys.exit(0)


def test_names():
    assert can_be_imported("a.py")
    assert not any(map(can_be_imported, ("a.pyx", "a.txt", "a")))
