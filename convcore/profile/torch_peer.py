"""PyTorch as a peer: the same problems in its own words, on its own tensors, as its users call it."""

import os

from convcore import isa

NAME = "PyTorch"
# What keeps oneDNN and PyTorch's own kernels from wider registers than ours at a level; read when torch is imported.
LIMITS = {
    "generic": {"ONEDNN_MAX_CPU_ISA": "SSE41", "ATEN_CPU_CAPABILITY": "default"},
    "x86-64-v2": {"ONEDNN_MAX_CPU_ISA": "SSE41", "ATEN_CPU_CAPABILITY": "default"},
    "x86-64-v3": {"ONEDNN_MAX_CPU_ISA": "AVX2", "ATEN_CPU_CAPABILITY": "avx2"},
}


def prepare(levels):
    """Limit PyTorch to the instruction-set level that ours runs at, if that is not the widest here, and import it.

    Parameters
    ----------
    levels : sequence of str

    Returns
    -------
    str
        Name, version and limits in words.

    Raises
    ------
    ImportError
        PyTorch is not installed.
    ValueError
        Several levels, which one process cannot give PyTorch; or PyTorch is there already, with other limits.
    """
    import sys

    wanted = {level: LIMITS.get(level, {}) if level != isa.built_and_supported()[-1] else {} for level in levels}
    limits = wanted[levels[0]]
    if any(other != limits for other in wanted.values()):
        raise ValueError(f"peer torch: one run can limit PyTorch to one of the levels {', '.join(levels)}, not to each")
    if "torch" in sys.modules and any(os.environ.get(name) != value for name, value in limits.items()):
        raise ValueError(f"peer torch: PyTorch is imported already, it can no longer be limited to {levels[0]}")
    os.environ.update(limits)
    try:
        import torch
    except ImportError:
        raise ImportError("peer torch needs PyTorch: pip install convcore[bench]") from None
    said = {name: os.environ[name] for name in ("ONEDNN_MAX_CPU_ISA", "ATEN_CPU_CAPABILITY") if name in os.environ}
    words = " ".join(f"{name}={value}" for name, value in said.items())
    return f"{NAME} {torch.__version__}" + (f" ({words})" if words else "")


def use_threads(n):
    """Let PyTorch use `n` threads."""
    import torch

    torch.set_num_threads(n)


def convolution(direction, geometry, arrays):
    """Return a function of no arguments that computes one direction of a problem; or the reason why there is none.

    Parameters
    ----------
    direction : str
    geometry : ConvGeometry
    arrays : dict of ndarray
        x, weight, bias and grad_y, float32.

    Returns
    -------
    callable or str
        What the callable returns can be made an array by numpy.asarray.
    """
    import torch
    import torch.nn.functional

    before, after = zip(*geometry.padding, strict=True)
    if before != after or geometry.padding_value != 0:
        return "needs a padded copy of the images there, which is no part of a convolution"
    rank = len(geometry.in_size)
    x, weight, grad_y, bias = (torch.from_numpy(arrays[name]) for name in ("x", "weight", "grad_y", "bias"))
    options = (list(geometry.stride), list(before), list(geometry.dilation))
    if direction == "forward":
        function = getattr(torch.nn.functional, f"conv{rank}d")

        def forward():
            with torch.no_grad():
                return function(x, weight, bias, *options, geometry.groups)

        return forward
    which = 0 if direction == "backward_input" else 1
    mask = [which == 0, which == 1, False]
    backward = torch.ops.aten.convolution_backward
    return lambda: backward(
        grad_y, x, weight, None, *options, False, [0] * rank, geometry.groups, mask
    )[which]  # fmt: skip
