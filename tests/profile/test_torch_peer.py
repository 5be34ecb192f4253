"""PyTorch as a peer: limited before it is imported, and computing the same."""

import re

import numpy as np
import pytest

from convcore import isa, kernels
from convcore.profile import accuracy, problems, torch_peer

from .conftest import DIRECTIONS

WIDEST = isa.built_and_supported()[-1]

LIMITED = """
import os, sys
from convcore.profile import torch_peer
print(torch_peer.prepare({levels!r}))
print(os.environ.get("ONEDNN_MAX_CPU_ISA"), os.environ.get("ATEN_CPU_CAPABILITY"))
import torch
print(torch.backends.cpu.get_cpu_capability())
"""


@pytest.fixture
def torch():
    return pytest.importorskip("torch")


def test_the_widest_level_is_left_as_it_is(torch, monkeypatch):
    for name in ("ONEDNN_MAX_CPU_ISA", "ATEN_CPU_CAPABILITY"):
        monkeypatch.delenv(name, raising=False)
    assert torch_peer.prepare((WIDEST,)) == f"PyTorch {torch.__version__}"


@pytest.mark.skipif("x86-64-v4" not in isa.built_and_supported(), reason="there is nothing to limit")
def test_a_narrower_level_limits_it_before_it_is_imported(torch, python):
    unset = {"ONEDNN_MAX_CPU_ISA": None, "ATEN_CPU_CAPABILITY": None}
    words, variables, capability = python(LIMITED.format(levels=("x86-64-v3",)), **unset).splitlines()
    assert words == f"PyTorch {torch.__version__} (ONEDNN_MAX_CPU_ISA=AVX2 ATEN_CPU_CAPABILITY=avx2)"
    assert (variables, capability) == ("AVX2 avx2", "AVX2")
    with pytest.raises(RuntimeError, match=r"^ValueError: peer torch: one run can limit PyTorch to one of the levels "
                       "x86-64-v3, x86-64-v4, not to each$"):  # fmt: skip
        python(LIMITED.format(levels=("x86-64-v3", "x86-64-v4")), **unset)
    with pytest.raises(RuntimeError, match=r"^ValueError: peer torch: PyTorch is imported already, it can no longer be "
                       "limited to x86-64-v3$"):  # fmt: skip
        python("import torch\n" + LIMITED.format(levels=("x86-64-v3",)), **unset)


def test_without_it(python):
    program = "import sys; sys.modules['torch'] = None\n" + LIMITED.format(levels=(WIDEST,))
    with pytest.raises(
        RuntimeError, match=re.escape("ImportError: peer torch needs PyTorch: pip install convcore[bench]")
    ):
        python(program)


def test_threads(torch):
    before = torch.get_num_threads()
    torch_peer.use_threads(1)
    assert torch.get_num_threads() == 1
    torch_peer.use_threads(before)


@pytest.mark.parametrize("direction", DIRECTIONS)
@pytest.mark.parametrize("problem", ["g2mb2ic4ih9oc6kh3sh2ph1dil2", "mb2ic3iw12oc4kw5pw2", "mb1ic2id5oc3kd3sd2pd1"])
def test_it_computes_the_same_problem(torch, problem, direction):
    (geometry,) = problems.read(problem)
    arrays = accuracy.arrays_of(geometry)
    inputs = [arrays[name] for name in geometry.SIGNATURES[direction][0]]
    theirs = np.asarray(torch_peer.convolution(direction, geometry, arrays)())
    ours = kernels.run(geometry.op, direction, geometry, *inputs)
    assert theirs.dtype == np.float32
    np.testing.assert_allclose(theirs, ours, rtol=1e-5, atol=1e-4)


@pytest.mark.parametrize("problem", ["mb1ic1ih5oc1kh3ph1eh0", "mb1ic1ih5oc1kh3ph1pv1", "mb1ic1ih5oc1kh3ph1pvcircular"])
def test_what_needs_a_padded_copy_is_no_comparison(torch, problem):
    (geometry,) = problems.read(problem)
    found = torch_peer.convolution("forward", geometry, accuracy.arrays_of(geometry))
    assert found == "needs a padded copy of the images there, which is no part of a convolution"
