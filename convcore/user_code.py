"""Python files of the user's, run as modules: models for the trainer, kernels and peers for the bench."""

import contextlib
import importlib.machinery
import importlib.util
import pathlib
import sys


def imported(path):
    """Run a Python file, or load a compiled module, as a module; its neighbours can be imported by it."""
    path = pathlib.Path(path)
    name = path.name.split(".")[0]  # of "mine.cpython-311-x86_64-linux-gnu.so", too
    spec = importlib.util.spec_from_file_location(name, path)
    module = importlib.util.module_from_spec(spec)
    sys.modules.setdefault(name, module)  # never in the place of a module of the same name
    sys.path.append(str(path.absolute().parent))
    spec.loader.exec_module(module)
    return module


@contextlib.contextmanager
def blamed_on(subject, what):
    """Say whose code failed, in an error that begins with `subject`, and keep its prints out of the results."""
    try:
        with contextlib.redirect_stdout(sys.stderr):
            yield
    except (Exception, SystemExit) as error:  # its own idea of an end is none of ours
        text = f"{subject}: {what} fails with {type(error).__name__}: {error} (--debug shows where)"
        raise ValueError(text) from error


def can_be_imported(path):
    """Return whether a file's name ends as those of Python files and of compiled modules do.

    Examples
    --------
    >>> can_be_imported("mine.py"), can_be_imported("mine.pyx")
    (True, False)
    """
    return str(path).endswith((*importlib.machinery.SOURCE_SUFFIXES, *importlib.machinery.EXTENSION_SUFFIXES))
