"""The rules of the house: who may import whom, one stem per op, docstrings, no assertions."""

import ast
import pathlib
import re
import sys

import pytest
from strategies import DIRECTIONS

from convcore import isa
from convcore.kernels import registry

PACKAGE = pathlib.Path(__file__).parent.parent / "convcore"
MODULES = sorted(PACKAGE.rglob("*.py"))
SOURCES = sorted(PACKAGE.rglob("*.py*x*"))  # .pyx .pxd .pxi and templates

# Who may import whom; a part may always import from itself, and everybody from the leaves.
LEAVES = {"arrays", "checks", "files", "settings", "user_code"}
BELOW = {"train", "data", "models", "network", "layers", "ops", "autograd", "kernels"}
MAY_IMPORT = {
    "cli": {*BELOW, "interop", "teach", "profile", "optim", "isa", "threads", "_compiled"},
    "interop": {*BELOW, "optim", "isa", "threads"},
    "teach": BELOW,
    "profile": {*BELOW, "isa", "threads", "_compiled"},
    # The last ones: a checkpoint stores the level and the variants, which the bits depend on; a step that repeats
    # itself is made of kernels again, as is a prediction.
    "train": {
        "network",
        "optim",
        "layers",
        "ops",
        "autograd",
        "data",
        "threads",
        "isa",
        "kernels.registry",
        "kernels.program",
    },
    "models": {"layers", "network"},
    "optim": {"layers.parameter", "kernels"},
    "network": {"layers", "ops", "autograd", "kernels.program"},
    # The last three: a layer infers sizes, without running a kernel.
    "layers": {"ops", "autograd", "kernels.windows", "kernels.ConvGeometry", "kernels.PoolGeometry"},
    "ops": {"autograd", "kernels"},
    "data": {"kernels"},
    "kernels": {"isa", "threads", "_compiled"},
    "isa": {"_compiled"},
    "threads": {"_compiled"},
    "autograd": set(),
    "arrays": set(),
    "checks": set(),
    "files": set(),
    "settings": set(),
    "user_code": set(),
    "_compiled": set(),
}
# Single files that are a part of something.
COUNTS_AS = {
    "summary": "network",
    "functional": "ops",
    "doctor": "cli",
    "run": "cli",
    "flags": "cli",
    "__main__": "cli",
}


def name_of(path):
    return str(path.relative_to(PACKAGE))


def part_of(path):
    first = path.relative_to(PACKAGE).parts[0].removesuffix(".py")
    return COUNTS_AS.get(first, first)


def tree_of(path):
    return ast.parse(path.read_text(encoding="utf-8"), name_of(path))


def imported(nodes):
    """The dotted names that import statements bring in, with what `from a import b` may mean: a and a.b."""
    for node in nodes:
        if isinstance(node, ast.Import):
            yield from ((alias.name,) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            yield from ((node.module, f"{node.module}.{alias.name}") for alias in node.names)


def at_import_time(tree):
    """The nodes that run when a module is imported: what stands in a function does not."""
    for node in ast.iter_child_nodes(tree):
        if not isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)):
            yield node
            yield from at_import_time(node)


def allowed(part, names):
    """Whether a part may import this: one of the names that the statement may mean is on its list."""
    for name in names:
        inside = name.removeprefix("convcore").removeprefix(".")
        first = COUNTS_AS.get(inside.split(".")[0], inside.split(".")[0])
        for right in {part, *LEAVES, *MAY_IMPORT[part]}:
            if first == right or f"{inside}.".startswith(f"{right}."):
                return True
    return False


@pytest.mark.parametrize("path", [path for path in MODULES if path.parent != PACKAGE or path.name != "__init__.py"],
                         ids=name_of)  # fmt: skip
def test_who_imports_whom(path):
    part = part_of(path)
    assert part in MAY_IMPORT, f"{part} has no line in the table"
    for names in imported(ast.walk(tree_of(path))):
        if names[0].split(".")[0] == "convcore":
            assert allowed(part, names), f"{name_of(path)} imports {names[-1]}; {part} may not"


def test_the_rule_finds_what_it_forbids():
    assert not allowed("autograd", ("convcore.kernels", "convcore.kernels.run"))
    assert not allowed("kernels", ("convcore.autograd",))
    assert not allowed("optim", ("convcore.layers", "convcore.layers.Parameter"))
    assert not allowed("layers", ("convcore.kernels", "convcore.kernels.run"))
    assert not allowed("train", ("convcore.kernels", "convcore.kernels.run"))
    assert not allowed("ops", ("convcore", "convcore.network"))
    assert allowed("optim", ("convcore.layers.parameter", "convcore.layers.parameter.Parameter"))
    assert allowed("kernels", ("convcore", "convcore.threads"))


@pytest.mark.parametrize("path", [path for path in MODULES if path.name not in ("cli.py", "flags.py")], ids=name_of)
def test_third_party_packages_are_imported_where_they_are_used(path):
    """Only the command line, which `import convcore` does not load, is made of one."""
    for names in imported(at_import_time(tree_of(path))):
        top = names[0].split(".")[0]
        assert top in ("convcore", "numpy") or top in sys.stdlib_module_names, f"{name_of(path)} imports {names[0]}"


@pytest.mark.parametrize("path", SOURCES, ids=name_of)
def test_kernels_import_kernels_only(path):
    for match in re.finditer(r"^\s*(?:from|import|cimport) +([\w.]+)", path.read_text(encoding="utf-8"), re.MULTILINE):
        top = match[1].split(".")[0]
        ours = re.match(r"convcore\.(kernels\b|isa$|_compiled\.cpu$)", match[1])
        others = top in ("cython", "libc", "numpy") or top in sys.stdlib_module_names
        assert ours or others, f"{name_of(path)}: {match[0]}"


# One stem per op


@pytest.mark.parametrize("op", registry.VARIANTS)
def test_each_op_has_its_definition_and_its_tests(op):
    stems = {op, registry.family(op)}
    assert any((PACKAGE / "kernels" / f"{stem}_reference.py").is_file() for stem in stems)
    assert any((PACKAGE.parent / "tests" / "kernels" / f"test_{stem}.py").is_file() for stem in stems)


def test_each_variant_is_a_file_and_each_file_a_variant():
    files = {
        path.stem for path in (PACKAGE / "kernels").iterdir() if re.fullmatch(r".*\.pyx|.*_reference\.py", path.name)
    }
    listed = set()
    for op, names in registry.VARIANTS.items():
        for variant in names:
            stems = {f"{op}_{variant}", f"{registry.family(op)}_{variant}"} & files
            assert stems, f"{op} has no file for {variant}"
            listed |= stems
    assert listed == files - {"cpu", "peak", "routine"}  # what the processor can do, how fast; what is around a kernel


# Docstrings


def without_docstring(tree, prefix=""):
    for node in tree.body:
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)) and not node.name.startswith("_"):
            if not ast.get_docstring(node):
                yield prefix + node.name
            if isinstance(node, ast.ClassDef):
                yield from without_docstring(node, f"{node.name}.")


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_whatever_is_public_has_a_docstring(path):
    tree = tree_of(path)
    assert ast.get_docstring(tree)
    setters = {f"{c.name}.{f.name}" for c in tree.body if isinstance(c, ast.ClassDef) for f in c.body
               if isinstance(f, ast.FunctionDef) and any(isinstance(d, ast.Attribute) and d.attr == "setter"
                                                         for d in f.decorator_list)}  # fmt: skip
    assert [name for name in without_docstring(tree) if name not in setters] == []


@pytest.mark.parametrize("op", registry.VARIANTS)
def test_kernels_have_docstrings_too(op):
    for variant in registry.VARIANTS[op]:
        module = registry.load(op, variant, isa.DEFAULT)
        assert module.__doc__
        for direction in (*DIRECTIONS, *registry.EPILOGUES, "supports"):
            if hasattr(module, direction):
                assert getattr(module, direction).__doc__, f"{op}_{variant}.{direction}"


# What must not occur


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_no_assertions_for_what_a_user_can_cause(path):
    lines = [node.lineno for node in ast.walk(tree_of(path)) if isinstance(node, ast.Assert)]
    assert lines == []


@pytest.mark.parametrize("path", SOURCES, ids=name_of)
def test_kernels_do_without_assertions_numpys_c_api_and_print(path):
    text = path.read_text(encoding="utf-8")
    assert not re.search(r"^\s*(assert\b|cimport numpy|from numpy cimport|print\()", text, re.MULTILINE)


@pytest.mark.parametrize("path", [path for path in SOURCES if path.suffix in (".pyx", ".pxi")], ids=name_of)
def test_loops_promise_noexcept_and_nogil(path):
    """A C function that returns nothing and could raise would take the GIL at every call."""
    text = path.read_text(encoding="utf-8")
    for match in re.finditer(r"^cdef (?:inline )?void \w+\([^)]*\)([^:]*):", text, re.MULTILINE):
        assert match[1].strip() == "noexcept nogil", match[0]
