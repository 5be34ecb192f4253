"""Kernels × instruction-set levels -> extension modules, and nothing else.

Every kernel source `convcore/kernels/<stem>.pyx` becomes one module `convcore._compiled.<stem>__<level>` per level;
`convcore/isa.py` chooses among them at import. Micro-kernels that must be written out accumulator by accumulator
come from Tempita templates (`*.pxi.tp`), expanded once per level with that level's vector width and block shape.

CONVCORE_BUILD=debug    one level ("generic") with every check that Cython has
CONVCORE_BUILD=profile  symbols and frame pointers kept, for perf
CONVCORE_OPENMP=0       build without OpenMP (found out by itself where the compiler lacks it)
"""

import os
import pathlib
import platform
import subprocess
import sys
import tempfile

from Cython import Tempita
from Cython.Build import cythonize
from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext

KERNELS = pathlib.Path("convcore/kernels")
BUILD = os.environ.get("CONVCORE_BUILD", "release")
if BUILD not in ("release", "debug", "profile"):
    sys.exit(f"CONVCORE_BUILD must be release, debug or profile, got {BUILD!r}")

# Per level: compiler flags, bytes in a vector register, vector registers; register blocks follow from these numbers.
LEVELS = {
    "x86-64-v2": dict(flags=["-march=x86-64-v2"], vector_bytes=16, registers=16),
    "x86-64-v3": dict(flags=["-march=x86-64-v3"], vector_bytes=32, registers=16),
    # Without the last flag GCC works in halves of the 64-byte registers that the source asks for.
    "x86-64-v4": dict(flags=["-march=x86-64-v4", "-mprefer-vector-width=512"],
                      vector_bytes=64, registers=32),
    "generic": dict(flags=[], vector_bytes=16, registers=16),
}  # fmt: skip
ON_X86 = platform.machine().lower() in ("x86_64", "amd64") and sys.platform != "win32"
if BUILD == "debug" or not ON_X86:
    LEVELS = {"generic": LEVELS["generic"]}
else:
    del LEVELS["generic"]

if sys.platform == "win32":
    FLAGS = ["/O2"]
elif BUILD == "debug":
    FLAGS = ["-O1", "-g"]
else:
    # No kernel looks at errno or at the floating-point exception flags; promising them keeps `sqrt` from being an
    # instruction and comparisons from being vectorised. Results are the same to the bit.
    FLAGS = ["-O3", "-fno-math-errno", "-fno-trapping-math"]
    FLAGS += ["-g", "-fno-omit-frame-pointer"] if BUILD == "profile" else ["-g0"]

BASELINE = ("cpu", "routine")  # what asks the processor what it can do, and what is around a kernel
SHARED = "convcore._compiled._cyutility"  # what Cython's modules have in common: half of the compile time if in each
CHECKED = BUILD == "debug"
DIRECTIVES = dict(language_level=3, cdivision=True, boundscheck=CHECKED, wraparound=False,
                  initializedcheck=CHECKED, nonecheck=CHECKED)  # fmt: skip


def expand_templates(folder, level):
    """Write every `*.pxi.tp` with the level's numbers filled in to `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    for template in KERNELS.glob("*.pxi.tp"):
        text = Tempita.Template(template.read_text(encoding="utf-8"), name=str(template)).substitute(LEVELS[level])
        target = folder / template.name.removesuffix(".tp")
        if not target.exists() or target.read_text(encoding="utf-8") != text:  # keep time stamps: no needless rebuild
            target.write_text(text, encoding="utf-8")


def level_modules(level):
    """The extension modules of one level."""
    suffix = level.removeprefix("x86-64-")
    build = pathlib.Path("build", f"cython-{BUILD}", suffix)
    expand_templates(build / "templates", level)
    extensions = [
        Extension(f"convcore._compiled.{source.stem}__{suffix}", [str(source)],
                  extra_compile_args=FLAGS + LEVELS[level]["flags"])
        for source in sorted(KERNELS.glob("*.pyx")) if source.stem not in BASELINE
    ]  # fmt: skip
    return cythonize(extensions, build_dir=str(build), include_path=[str(build / "templates"), "."],
                     compiler_directives=DIRECTIVES, shared_utility_qualified_name=SHARED,
                     nthreads=os.cpu_count() if sys.platform == "linux" else 0)  # fmt: skip


def shared_module():
    """The module of what they have in common, memoryviews above all: baseline code, so that it runs anywhere."""
    source = pathlib.Path("build", f"cython-{BUILD}", "_cyutility.c")
    source.parent.mkdir(parents=True, exist_ok=True)
    subprocess.run([sys.executable, "-m", "cython", "generate-shared", str(source)], check=True)
    return Extension(SHARED, [str(source)], extra_compile_args=FLAGS)


def baseline_modules():
    """The modules that there are once: baseline code, so that they run anywhere."""
    extensions = [
        Extension(f"convcore._compiled.{stem}", [str(KERNELS / f"{stem}.pyx")], extra_compile_args=FLAGS,
                  define_macros=[("CONVCORE_LEVELS", '"' + " ".join(LEVELS) + '"')])
        for stem in BASELINE
    ]  # fmt: skip
    return cythonize(extensions, build_dir=f"build/cython-{BUILD}/baseline", compiler_directives=DIRECTIVES)


class build_kernels(build_ext):
    """Compile in parallel, and with OpenMP only where the compiler has it."""

    def finalize_options(self):
        super().finalize_options()
        self.parallel = self.parallel or os.cpu_count()

    def build_extensions(self):
        flags = self.openmp_flags()
        for extension in self.extensions:
            extension.extra_compile_args = extension.extra_compile_args + flags
            extension.extra_link_args = extension.extra_link_args + flags
            if BUILD == "release" and sys.platform == "linux":
                extension.extra_link_args.append("-s")  # no symbol table: a third of the size
        super().build_extensions()

    def openmp_flags(self):
        if os.environ.get("CONVCORE_OPENMP", "1") == "0":
            return []
        flags = ["/openmp"] if self.compiler.compiler_type == "msvc" else ["-fopenmp"]
        with tempfile.TemporaryDirectory() as folder:
            source = pathlib.Path(folder, "probe.c")
            source.write_text("#include <omp.h>\nint main(void) { return omp_get_max_threads() < 1; }\n")
            try:
                objects = self.compiler.compile([str(source)], output_dir=folder, extra_postargs=flags)
                self.compiler.link_executable(objects, str(pathlib.Path(folder, "probe")), extra_postargs=flags)
            except Exception as error:  # whatever a compiler without OpenMP raises: build for one thread
                print(f"convcore: no OpenMP ({error}); the kernels will run on one thread")
                return []
        return flags


setup(
    # The levels first: Cython keeps the include path of its first call for the scan of dependencies.
    ext_modules=[module for level in LEVELS for module in level_modules(level)]
    + [*baseline_modules(), shared_module()],
    cmdclass={"build_ext": build_kernels},
)
