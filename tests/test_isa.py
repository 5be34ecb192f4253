"""Instruction-set levels: which were built, which is chosen, and that no module holds wider instructions."""

import functools
import importlib
import importlib.util
import pathlib
import platform
import re
import shutil
import subprocess
from types import SimpleNamespace

import pytest

import convcore
from convcore import isa, kernels
from convcore._compiled import cpu
from convcore.kernels import registry

SOURCES = sorted(path.stem for path in pathlib.Path(convcore.__file__).parent.glob("kernels/*.pyx"))


def module(stem, level):
    return importlib.import_module(f"convcore._compiled.{stem}__{isa.module_suffix(level)}")


@pytest.fixture
def machine(monkeypatch):
    """Pretend that these levels were built, and that this processor supports those."""

    def pretend(built, supported):
        fake = SimpleNamespace(levels_built=lambda: built, levels_supported=lambda: supported)
        monkeypatch.setattr(isa, "cpu", fake)

    return pretend


def test_levels_built():
    assert set(cpu.levels_built()) <= set(isa.LEVELS)
    assert cpu.levels_built() in (("generic",), ("x86-64-v2", "x86-64-v3", "x86-64-v4"))
    assert isa.DEFAULT in isa.built_and_supported()


def test_levels_supported_are_nested():
    assert cpu.levels_supported() == isa.LEVELS[: len(cpu.levels_supported())]


@pytest.mark.parametrize("stem", [stem for stem in SOURCES if stem not in ("cpu", "routine")])
@pytest.mark.parametrize("level", cpu.levels_built())
def test_there_is_a_module_per_source_and_level(stem, level):
    path = pathlib.Path(importlib.util.find_spec(f"convcore._compiled.{stem}__{isa.module_suffix(level)}").origin)
    assert path.suffix in (".so", ".pyd")


@pytest.mark.parametrize("op", registry.VARIANTS)
def test_a_level_runs_its_own_module(op):
    for variant in kernels.variants(op):
        for level in kernels.levels_of(op, variant):
            loaded = registry.load(op, variant, level)
            compiled = {f"{op}_{variant}", f"{registry.family(op)}_{variant}"} & set(SOURCES)
            if compiled:
                assert loaded is module(*compiled, level)
            else:
                assert loaded.__name__.startswith("convcore.kernels.")
        assert kernels.levels_of(op, variant) == (isa.built_and_supported() if compiled else (isa.DEFAULT,))


# CONVCORE_ISA and level=


@pytest.mark.parametrize("level", isa.built_and_supported())
def test_environment_chooses(python, level):
    program = "from convcore import isa, kernels; import numpy as np; print(isa.DEFAULT); "
    program += "print(kernels.explain('conv2d', 'ic1ih4oc1kh3').split('yes: ')[1].split()[0]); "
    program += "print(kernels.registry.load('conv2d', 'direct', isa.DEFAULT).__name__)"
    assert python(program, CONVCORE_ISA=level).split() == [
        level, f"{level},", f"convcore._compiled.conv_direct__{isa.module_suffix(level)}"
    ]  # fmt: skip


@pytest.mark.parametrize("value", [None, ""])
def test_without_it_the_widest_is_chosen(python, value):
    assert python("from convcore import isa; print(isa.DEFAULT)", CONVCORE_ISA=value) == isa.built_and_supported()[-1]


@pytest.mark.parametrize("value", ["v3", "x86-64-v9", "X86-64-V3", "native", " x86-64-v2"])
def test_an_unknown_level_stops_the_import(python, value):
    with pytest.raises(RuntimeError) as error:
        python("import convcore", CONVCORE_ISA=value)
    assert str(error.value) == (
        f"ValueError: CONVCORE_ISA must be one of generic, x86-64-v2, x86-64-v3, x86-64-v4, got {value!r}"
    )


def test_a_level_that_was_not_built_stops_the_import(python):
    missing = next(level for level in isa.LEVELS if level not in cpu.levels_built())
    with pytest.raises(RuntimeError) as error:
        python("import convcore", CONVCORE_ISA=missing)
    assert str(error.value) == (
        f"ValueError: CONVCORE_ISA {missing} was not built; built: {', '.join(cpu.levels_built())}"
    )


def test_check(machine):
    machine(("x86-64-v2", "x86-64-v3", "x86-64-v4"), ("generic", "x86-64-v2", "x86-64-v3"))
    assert isa.built_and_supported() == ("x86-64-v2", "x86-64-v3")
    assert isa.check("x86-64-v3") == "x86-64-v3"
    for level, source, message in [
        ("x86-64-v4", "CONVCORE_ISA",
         "CONVCORE_ISA x86-64-v4 is not supported by this processor; it has x86-64-v2, x86-64-v3"),
        ("generic", "level", "level generic was not built; built: x86-64-v2, x86-64-v3, x86-64-v4"),
        ("avx2", "level", "level must be one of generic, x86-64-v2, x86-64-v3, x86-64-v4, got 'avx2'"),
        (None, "level", "level must be one of generic, x86-64-v2, x86-64-v3, x86-64-v4, got None"),
    ]:  # fmt: skip
        with pytest.raises(ValueError) as error:
            isa.check(level, source)
        assert str(error.value) == message


@pytest.mark.parametrize(
    ("supported", "chosen"), [(isa.LEVELS, "x86-64-v4"), (isa.LEVELS[:3], "x86-64-v3"), (isa.LEVELS[:2], "x86-64-v2")]
)
def test_the_widest_that_the_processor_has(machine, monkeypatch, supported, chosen):
    monkeypatch.delenv("CONVCORE_ISA", raising=False)
    machine(("x86-64-v2", "x86-64-v3", "x86-64-v4"), supported)
    assert isa._choose() == chosen


def test_module_suffix():
    assert [isa.module_suffix(level) for level in isa.LEVELS] == ["generic", "v2", "v3", "v4"]


# The instructions themselves: told by their first byte, which in 64-bit code nothing else begins with. Registers in the
# text would miss AVX-512 on narrow registers (vpternlogd %xmm0), names would have to be listed one by one.

PREFIXES = r":\t(?:(?:26|2e|36|3e|64|65|67) )*"  # of segments and addresses, which may stand before VEX and EVEX
VEX = PREFIXES + "c[45] "  # AVX, AVX2, FMA, F16C, BMI
EVEX = PREFIXES + "62 "  # AVX-512
TOO_WIDE = {
    "x86-64-v2": re.compile(rf"{VEX}|{EVEX}|\t(?:lzcnt|movbe)\b"),  # and the two of v3 that are older in form
    "x86-64-v3": re.compile(rf"{EVEX}|%k[0-7]\b"),  # and what handles AVX-512's masks, which is VEX
}  # fmt: skip


@functools.cache
def no_disassembler():
    """Return why there is nothing to look at here, or None."""
    if platform.machine().lower() not in ("x86_64", "amd64") or "x86-64-v2" not in cpu.levels_built():
        return "no modules per x86-64 level were built"
    if not shutil.which("objdump"):
        return "no objdump here"
    version = subprocess.run(["objdump", "--version"], capture_output=True, text=True, check=True).stdout
    return None if version.startswith("GNU") else "objdump is not that of GNU binutils"


needs_disassembler = pytest.mark.skipif(no_disassembler() is not None, reason=str(no_disassembler()))


def instructions(name):
    """Disassemble a compiled module: one line per instruction, its place, bytes and text between tabulators."""
    path = importlib.util.find_spec(f"convcore._compiled.{name}").origin
    command = ["objdump", "-d", "--insn-width=15", path]  # 15 bytes: no instruction is longer, each stays on one line
    lines = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    return [line for line in lines if ":\t" in line]


def too_wide(name, level):
    """Return the instructions of a module that processors of this level do not have."""
    return [line for line in instructions(name) if TOO_WIDE[level].search(line)]


@needs_disassembler
@pytest.mark.parametrize("level", [level for level in cpu.levels_built() if level in TOO_WIDE])
@pytest.mark.parametrize("stem", [stem for stem in SOURCES if stem not in ("cpu", "routine")])
def test_no_module_holds_wider_instructions(stem, level):
    """A wider instruction in a module would be a crash on the processors that it is for."""
    name = f"{stem}__{isa.module_suffix(level)}"
    wrong = too_wide(name, level)
    assert not wrong, f"{name}: {len(wrong)} instructions that {level} lacks: " + "\n".join(wrong[:10])


@needs_disassembler
@pytest.mark.parametrize("name", ["cpu", "_cyutility"])
def test_what_every_processor_runs_is_baseline_code(name):
    assert too_wide(name, "x86-64-v2") == []


@needs_disassembler
def test_the_module_that_asks_the_processor_runs_anywhere():
    assert too_wide("cpu", "x86-64-v2") == []


@needs_disassembler
@pytest.mark.parametrize(
    ("level", "narrower", "register"), [("x86-64-v3", "x86-64-v2", "%ymm"), ("x86-64-v4", "x86-64-v3", "%zmm")]
)
def test_wide_modules_are_wide_and_the_search_sees_it(level, narrower, register):
    found = too_wide(f"conv_im2col__{isa.module_suffix(level)}", narrower)
    assert sum(register in line for line in found) > 1000
    assert any("vfmadd" in line and register in line for line in found)


@pytest.mark.parametrize(
    ("line", "levels"),
    [
        ("   0:\tc5 f8 28 c1          \tvmovaps %xmm1,%xmm0", {"x86-64-v2"}),
        ("   0:\t64 c5 f8 28 08       \tvmovaps %fs:(%rax),%xmm1", {"x86-64-v2"}),
        ("   0:\tc5 f8 77             \tvzeroupper", {"x86-64-v2"}),
        ("   0:\tc4 e2 68 f2 c1       \tandn   %ecx,%edx,%eax", {"x86-64-v2"}),
        ("   0:\tf3 0f bd c1          \tlzcnt  %ecx,%eax", {"x86-64-v2"}),
        ("   0:\t0f 38 f0 01          \tmovbe  (%rcx),%eax", {"x86-64-v2"}),
        ("   0:\t62 f1 7c 48 28 c1    \tvmovaps %zmm1,%zmm0", {"x86-64-v2", "x86-64-v3"}),
        ("   0:\t62 b1 74 28 58 c1    \tvaddps %ymm17,%ymm1,%ymm0", {"x86-64-v2", "x86-64-v3"}),
        ("   0:\t62 f3 6d 08 25 c1 01 \tvpternlogd $0x1,%xmm1,%xmm2,%xmm0", {"x86-64-v2", "x86-64-v3"}),
        ("   0:\tc5 f8 92 c8          \tkmovw  %eax,%k1", {"x86-64-v2", "x86-64-v3"}),
        ("   0:\t0f 28 c1             \tmovaps %xmm1,%xmm0", set()),
        ("   0:\tb8 62 c5 c4 00       \tmov    $0xc4c562,%eax", set()),
        ("   0:\te8 00 62 00 00       \tcall   6205 <vaddps_zmm_k1@plt>", set()),
    ],
)
def test_what_the_search_takes_for_wide(line, levels):
    assert {level for level, pattern in TOO_WIDE.items() if pattern.search(line)} == levels
