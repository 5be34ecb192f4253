"""What all tests share: hypothesis draws the same examples in every run, and helpers stand beside the tests."""

import pathlib
import subprocess
import sys

import pytest
from hypothesis import settings

from convcore.kernels import dispatch
from convcore.settings import Setting, environment

sys.path.insert(0, str(pathlib.Path(__file__).parent))  # `import strategies`: importlib mode adds no folder by itself

settings.register_profile("repeatable", deadline=None, derandomize=True)
settings.load_profile("repeatable")


def pytest_configure(config):
    """In the checked build a loop that leaves its arrays cannot raise, only print: make that a failure."""
    config.addinivalue_line("filterwarnings", "error::pytest.PytestUnraisableExceptionWarning")


@pytest.fixture
def python(monkeypatch):
    """Run a program in a fresh interpreter, with variables set (or, by None, unset); return its stdout.

    A program that fails raises a RuntimeError with the last line that it wrote to stderr.
    """

    def run(program, timeout=120, **environment):
        for name, value in environment.items():
            monkeypatch.delenv(name, raising=False) if value is None else monkeypatch.setenv(name, value)
        done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=timeout)
        if done.returncode:
            raise RuntimeError(done.stderr.strip().splitlines()[-1] if done.stderr.strip() else done.returncode)
        return done.stdout.strip()

    return run


@pytest.fixture
def variable(monkeypatch):
    """Set (or, by None, unset) a variable of the environment that convcore otherwise looks at once."""

    def put(name, value):
        monkeypatch.delenv(name, raising=False) if value is None else monkeypatch.setenv(name, value)
        forget()

    def forget():
        for found in (environment, Setting.of_environment, dispatch._call, dispatch._chosen, dispatch._doing_more):
            found.cache_clear()
        dispatch._routines.clear()

    yield put
    monkeypatch.undo()
    forget()
