"""Instruction-set levels: which were built, which is chosen, and that no module holds wider instructions."""

import importlib
import importlib.util
import pathlib
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


@pytest.mark.parametrize("stem", [stem for stem in SOURCES if stem != "cpu"])
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


# The instructions themselves

TOO_WIDE = {
    # no AVX at all: no wide register, no instruction of the VEX kind (they begin with v)
    "x86-64-v2": r"%[yz]mm|%k[0-7]\b|\tv(?!err|erw|m)[a-z]+",
    # no AVX-512: no register of 64 bytes, no mask, none of the upper sixteen registers
    "x86-64-v3": r"%zmm|%k[0-7]\b|%[xy]mm(1[6-9]|2\d|3[01])",
}


@pytest.mark.skipif(not shutil.which("objdump"), reason="no objdump here")
@pytest.mark.parametrize("level", [level for level in cpu.levels_built() if level in TOO_WIDE])
@pytest.mark.parametrize("stem", [stem for stem in SOURCES if stem != "cpu"])
def test_no_module_holds_wider_instructions(stem, level):
    """A wider instruction in a module would be a crash on the processors that it is for."""
    listing = disassembled(f"{stem}__{isa.module_suffix(level)}")
    assert len(listing) > 1000
    wrong = [line for line in listing if re.search(TOO_WIDE[level], line)]
    assert wrong == []


@pytest.mark.skipif(not shutil.which("objdump") or "x86-64-v2" not in cpu.levels_built(), reason="nothing to look at")
def test_the_module_that_asks_the_processor_runs_anywhere():
    wrong = [line for line in disassembled("cpu") if re.search(TOO_WIDE["x86-64-v2"], line)]
    assert wrong == []


@pytest.mark.skipif(not shutil.which("objdump") or "x86-64-v4" not in cpu.levels_built(), reason="nothing to look at")
def test_the_wide_modules_are_wide():
    """Also that the search above finds what it looks for."""
    for level, register in (("x86-64-v3", "%ymm"), ("x86-64-v4", "%zmm")):
        listing = disassembled(f"conv_im2col__{isa.module_suffix(level)}")
        assert sum(register in line for line in listing) > 1000
        assert any("vfmadd" in line for line in listing)
    assert any(re.search(TOO_WIDE["x86-64-v3"], line) for line in disassembled("conv_im2col__v4"))
    assert any(re.search(TOO_WIDE["x86-64-v2"], line) for line in disassembled("conv_im2col__v3"))


def disassembled(name):
    path = importlib.util.find_spec(f"convcore._compiled.{name}").origin
    return subprocess.run(
        ["objdump", "-d", "--no-show-raw-insn", path], capture_output=True, text=True, check=True
    ).stdout.splitlines()
