"""Kernels and peers from files: the examples, files that are none, and kernels that must not be timed."""

import pathlib
import shutil
import subprocess
import sys

import pytest

from convcore import isa, kernels
from convcore.kernels import ConvGeometry, registry
from convcore.profile import exactness, plugins, problems
from convcore.profile.exactness import Inexact

ROOT = pathlib.Path(__file__).parent.parent.parent
EXAMPLES = ROOT / "examples" / "kernels"
SMOKE = problems.read("smoke")

RIGHT = """
from convcore.kernels.conv_reference import backward_weight, forward as definition

def forward(geometry, x, weight, bias, y, n_threads):
    definition(geometry, x, weight, bias, y, n_threads)
"""


@pytest.fixture(autouse=True)
def clean(monkeypatch, tmp_path):
    """Each test in a folder of its own; what it registers and imports is gone afterwards."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    modules, before = set(sys.modules), registry.registered()
    yield
    for op, name in registry.registered():
        if (op, name) not in before:
            kernels.unregister(op, name)
    for name in set(sys.modules) - modules:
        if getattr(sys.modules[name], "__file__", None) and str(tmp_path) in str(sys.modules[name].__file__):
            del sys.modules[name]


@pytest.fixture
def few(monkeypatch):
    """A grid of two problems: what is checked is tested elsewhere."""
    read = problems.read
    monkeypatch.setattr(plugins.problems, "read", lambda name: read("smoke"))


def loaded(text, name="mine.py", geometries=()):
    pathlib.Path(name).write_text(text)
    return plugins.kernel(name, isa.DEFAULT, geometries)


def test_a_file_that_is_a_variant(few):
    assert loaded(RIGHT) == [("conv2d", "mine", 2 * 2 * (2 * 3 + 1))]
    assert kernels.variants("conv2d")[0] == "mine"


def test_it_may_say_of_which_op_it_is_and_what_it_is_called(few):
    loaded(RIGHT + "OP, NAME = 'conv3d', 'slow'", geometries=[ConvGeometry.parse("mb9ic1id3oc1kd2")])
    assert kernels.variants("conv3d")[0] == "slow"


def test_a_file_that_registers_several(few):
    text = RIGHT + "import sys, types, convcore as cc\n"
    text += "one = types.SimpleNamespace(forward=forward)\n"
    text += "cc.kernels.register('conv2d', one, name='one')\ncc.kernels.register('conv2d', one, name='other')\n"
    assert [pair[:2] for pair in loaded(text)] == [("conv2d", "one"), ("conv2d", "other")]
    assert [pair[:2] for pair in loaded(text)] == [("conv2d", "one"), ("conv2d", "other")]  # anew: it may have changed


def test_the_problems_that_are_asked_for_are_checked_too(few):
    text = RIGHT + "def supports(d, geometry, *_): return None if geometry.in_channels == 5 else 'wants 5 channels'"
    with pytest.raises(Inexact, match=r"^conv2d: variant mine refuses every problem that it could be checked on$"):
        loaded(text)
    assert loaded(text, "mine5.py", [ConvGeometry.parse("mb64ic5ih9oc2kh3")]) == [("conv2d", "mine5", 2 * (2 * 3 + 1))]


def test_a_wrong_kernel_is_refused_by_name_with_the_first_difference():
    with pytest.raises(Inexact) as error:
        loaded(RIGHT + "    y[..., -1:, -1] += geometry.in_size[0] > 20\n")
    assert str(error.value).startswith(
        "conv2d: variant mine differs from the definition in forward of mb2ic1ih28oc6oh28kh5ph2 "
        f"(float32, {isa.DEFAULT}, 1 thread), first at [0, 0, 27, 27]: "
    )


@pytest.mark.parametrize(
    ("name", "text", "error"),
    [
        ("mine.txt", "", "plugin: mine.txt is neither a Python file nor a compiled module for this Python"),
        ("mine.py", "1 / 0", "plugin: mine.py fails with ZeroDivisionError: division by zero (--debug shows where)"),
        ("mine.py", "x = 1", "plugin: mine.py neither registers a variant nor has one of forward, backward_input, "
         "backward_weight"),
        ("mine.py", RIGHT + "NAME = 'direct'", "plugin: mine.py fails with ValueError: register: conv2d has a built-in "
         "variant 'direct' (--debug shows where)"),
        ("mine.py", RIGHT + "OP = 'relu'", "plugin: mine.py brings a variant of relu, the bench measures convolutions"),
    ],
)  # fmt: skip
def test_files_that_are_no_kernels(name, text, error):
    with pytest.raises(ValueError) as found:
        loaded(text, name)
    assert str(found.value) == error


def test_a_file_that_is_not_there():
    with pytest.raises(FileNotFoundError, match=r"^plugin: there is no file nosuch.py$"):
        plugins.kernel("nosuch.py", isa.DEFAULT, ())


def test_peers(tmp_path):
    assert plugins.peer("torch").__name__ == "convcore.profile.torch_peer"
    with pytest.raises(ValueError, match=r"^peer: 'jax' is neither torch nor a FILE.py$"):
        plugins.peer("jax")
    pathlib.Path("ours.py").write_text("def prepare(levels): return 'ours'\ndef use_threads(n): pass\n")
    with pytest.raises(ValueError, match=r"^peer: ours.py has no function convolution$"):
        plugins.peer("ours.py")
    with open("ours.py", "a") as file:
        file.write("def convolution(direction, geometry, arrays): return 'cannot'\n")
    assert plugins.peer("ours.py").prepare(()) == "ours"


# The examples that docs/write-your-own-kernel.md walks through


def exact(path, name):
    """Everything that the bench asks of a kernel; both LeNet layers are in the grid."""
    ((op, found, count),) = plugins.kernel(path, isa.DEFAULT, SMOKE)
    assert (op, found) == ("conv2d", name)
    assert count >= 50


def test_the_example_in_numpy():
    exact(EXAMPLES / "numpy_taps.py", "numpy_taps")


def test_the_example_in_numba():
    pytest.importorskip("numba")
    exact(EXAMPLES / "numba_rows.py", "numba_rows")


def test_the_example_in_cython(tmp_path):
    """Built as the document says, by the compiler that builds the package."""
    pytest.importorskip("Cython")
    pytest.importorskip("setuptools")
    shutil.copy(EXAMPLES / "cython_rows.pyx", tmp_path)
    command = [sys.executable, "-m", "Cython.Build.Cythonize", "-i", "-q", "cython_rows.pyx"]
    built = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)
    assert built.returncode == 0, built.stderr
    (module,) = [path for path in tmp_path.glob("cython_rows.*") if path.suffix in (".so", ".pyd")]
    exact(module, "cython_rows")


@pytest.mark.parametrize("path", sorted(EXAMPLES.iterdir()), ids=lambda path: path.name)
def test_the_document_shows_each_example_as_it_is(path):
    document = (ROOT / "docs" / "write-your-own-kernel.md").read_text("utf-8")
    assert path.read_text("utf-8").rstrip() in document


def test_the_document_tells_the_checks_that_there_are():
    document = (ROOT / "docs" / "write-your-own-kernel.md").read_text("utf-8")
    for name in ("equals_definition", "same_bits", "rounds_within_bound", "adjoint_identity"):
        assert callable(getattr(exactness, name))
        assert f"`{name}`" in document
