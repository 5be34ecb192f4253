import importlib.metadata
import json
import platform
import sys

import numpy as np
import pytest

from convcore import doctor, isa
from convcore._compiled import cpu
from convcore.doctor import report


def test_the_sections_are_words_and_json():
    found = report()
    assert list(found) == ["version", "instruction set", "threads", "floating point", "data", "libraries"]
    assert all(isinstance(word, str) and word for rows in found.values() for word in rows.values())
    assert json.loads(json.dumps(found)) == found


def test_versions():
    found = report()["version"]
    assert found["convcore"] == importlib.metadata.version("convcore")
    assert found["python"].startswith(platform.python_version())
    assert found["numpy"] == np.__version__


def test_instruction_set(monkeypatch):
    monkeypatch.delenv("CONVCORE_ISA", raising=False)
    found = report()["instruction set"]
    assert found["chosen"] == isa.DEFAULT
    assert found["because"] == "the widest that is built and supported"
    assert found["chosen"] in found["built"].split(", ")
    assert found["chosen"] in found["supported here"].split(", ")
    monkeypatch.setenv("CONVCORE_ISA", isa.DEFAULT)
    assert report()["instruction set"]["because"] == "CONVCORE_ISA"


def test_threads_and_why(monkeypatch):
    monkeypatch.setenv("CONVCORE_NUM_THREADS", "3")
    assert report()["threads"]["number"] == "3"
    assert report()["threads"]["because"] == "CONVCORE_NUM_THREADS"
    monkeypatch.delenv("CONVCORE_NUM_THREADS")
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    assert report()["threads"]["number"] == "2"
    assert report()["threads"]["because"] == "OMP_NUM_THREADS"


def test_a_wrong_number_of_threads_is_named(monkeypatch):
    monkeypatch.setenv("CONVCORE_NUM_THREADS", "many")
    with pytest.raises(ValueError, match=r"^CONVCORE_NUM_THREADS must be a whole number, got 'many'$"):
        report()


def test_openmp(monkeypatch):
    class Processor:
        def __init__(self, date):
            self.openmp_date = lambda: date

    words = doctor.openmp()
    assert words.startswith("specification of 20") if cpu.openmp_date() else words == "built without it: one thread"
    monkeypatch.setattr(doctor, "cpu", Processor(0))
    assert doctor.openmp() == "built without it: one thread"
    monkeypatch.setattr(doctor, "cpu", Processor(201511))
    monkeypatch.setattr(doctor, "openmp_libraries", lambda: ["libgomp.so.1", "libiomp5.so"])
    assert doctor.openmp() == "specification of 2015-11, runtime libgomp.so.1, libiomp5.so"
    monkeypatch.setattr(doctor, "openmp_libraries", list)
    assert doctor.openmp() == "specification of 2015-11, runtime statically linked or not listed by this system"


@pytest.mark.parametrize(("flushes", "words"), [(True, "flushed to zero"), (False, "kept, as IEEE 754 says")])
def test_denormals(flushes, words, monkeypatch):
    monkeypatch.setattr(doctor.cpu, "flushes_denormals", lambda: flushes, raising=False)
    assert report()["floating point"]["denormals"] == words


def test_folders(monkeypatch, tmp_path):
    monkeypatch.delenv("CONVCORE_DATA_DIR", raising=False)
    assert report()["data"]["CONVCORE_DATA_DIR"] == "not set"
    assert "convcore" in report()["data"]["download cache"]
    monkeypatch.setenv("CONVCORE_DATA_DIR", str(tmp_path))
    assert report()["data"]["CONVCORE_DATA_DIR"] == str(tmp_path)
    monkeypatch.setenv("CONVCORE_DATA_DIR", str(tmp_path / "nosuch"))
    assert report()["data"]["CONVCORE_DATA_DIR"] == f"{tmp_path / 'nosuch'} (no such folder)"


def test_libraries(monkeypatch):
    found = report()["libraries"]
    assert found["typer"] == importlib.metadata.version("typer")
    assert doctor.installed_version("no-such-package-as-this") == "missing"
    monkeypatch.setitem(sys.modules, "pooch", None)
    assert report()["data"]["download cache"] == "none: pooch is missing"
