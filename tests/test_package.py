"""What is installed: one version, every package, the sources that people come to read, the licence."""

import fnmatch
import importlib.metadata
import pathlib
import re
import zlib

import pytest

import convcore as cc
from convcore import kernels
from convcore._compiled import cpu

ROOT = pathlib.Path(__file__).parent.parent
PACKAGE = ROOT / "convcore"


@pytest.fixture(scope="module")
def project():
    return pytest.importorskip("tomllib").loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


def test_version_in_one_place(project):
    version = project["project"]["version"]
    assert importlib.metadata.version("convcore") == version == cc.__version__
    for path in [ROOT / "setup.py", *PACKAGE.rglob("*.py"), *PACKAGE.rglob("*.pyx")]:
        text = path.read_text(encoding="utf-8")
        assert not re.search(rf"[\"']{re.escape(version)}[\"']|__version__ *=", text), f"{path} repeats the version"


def test_a_name_that_is_almost_right():
    """Python suggests the right one, for which it needs to know the name, and of what."""
    with pytest.raises(AttributeError, match=r"^module 'convcore' has no attribute 'Conv2d'$") as error:
        cc.Conv2d  # noqa: B018  PyTorch's spelling
    assert (error.value.name, error.value.obj) == ("Conv2d", cc)


def test_every_package_is_listed(project):
    folders = {".".join(path.parent.relative_to(ROOT).parts) for path in PACKAGE.rglob("__init__.py")}
    assert set(project["tool"]["setuptools"]["packages"]) == folders


def test_every_source_and_data_file_is_shipped(project):
    patterns = project["tool"]["setuptools"]["package-data"]
    for path in PACKAGE.rglob("*"):
        if path.is_dir() or path.suffix in (".py", ".pyc", ".so", ".pyd", ".c", ".html"):
            continue
        package = ".".join(path.parent.relative_to(ROOT).parts)
        shipped = [pattern for pattern in patterns.get(package, []) if fnmatch.fnmatch(path.name, pattern)]
        assert shipped, f"{path.relative_to(ROOT)} is in no pattern of package-data"


def test_what_is_installed_by_default_and_what_on_demand(project):
    def names(requirements):
        return {re.match(r"[\w-]+", requirement)[0] for requirement in requirements}

    assert names(project["project"]["dependencies"]) == {"numpy", "typer", "safetensors", "pooch", "pillow"}
    extras = {name: names(requirements) for name, requirements in project["project"]["optional-dependencies"].items()}
    assert extras == {
        "plot": {"matplotlib"},
        "test": {"pytest", "pytest-xdist", "hypothesis", "convcore", "onnx", "numba", "cython", "setuptools"},
        "bench": {"torch", "threadpoolctl"},
        "dev": {"ruff"},
    }
    assert names(project["build-system"]["requires"]) == {"setuptools", "cython"}


def test_licence_and_type_marker(project):
    assert project["project"]["license"] == "BSD-3-Clause"
    assert "Redistribution and use in source and binary forms" in (ROOT / "LICENSE").read_text(encoding="utf-8")
    assert (PACKAGE / "py.typed").is_file()


def test_no_flag_that_changes_results_or_ties_to_one_machine():
    text = (ROOT / "setup.py").read_text(encoding="utf-8")
    for flag in ("fast-math", "march=native", "mtune=native", "Ofast", "funsafe-math", "fassociative-math"):
        assert flag not in text


def test_no_compiled_code_or_run_in_the_repository():
    ignored = (ROOT / ".gitignore").read_text(encoding="utf-8").split()
    assert {"__pycache__/", "*.so", "/build/", "/dist/", "/runs/"} <= set(ignored)


@pytest.mark.skipif("generic" in cpu.levels_built(), reason="one level only, or the checked build")
def test_the_wheel_stays_small():
    """Compressed as a wheel compresses; the rest of the package is less than 1 MB."""
    modules = pathlib.Path(cpu.__file__).parent.glob("*.so")
    assert sum(len(zlib.compress(path.read_bytes())) for path in modules) < 14e6


def test_the_readme_lists_the_kernels_in_their_order():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert re.findall(r"^\| `(\w+)` \| .+ \|$", text, re.MULTILINE) == list(kernels.variants("conv2d"))


def blocks_of_the_readme():
    """Each Python block that imports convcore, with what the README says it prints, or None."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    found = re.findall(r"```python\n(.*?)```\n(?:\n```\n(.*?)```\n)?", text, re.DOTALL)
    return [(code, printed or None) for code, printed in found if "import convcore" in code]


@pytest.mark.parametrize(("code", "printed"), blocks_of_the_readme(), ids=lambda text: None)
def test_the_readme_does_what_it_says(code, printed, capsys, tmp_path, monkeypatch):
    """Numbers that depend on how sums round are not printed there."""
    monkeypatch.chdir(tmp_path)
    exec(compile(code, "README.md", "exec"), {})
    out = capsys.readouterr().out
    for part in (printed or "").split("...\n"):
        assert part in out
    assert printed is None or out.startswith(printed.split("...\n")[0])
