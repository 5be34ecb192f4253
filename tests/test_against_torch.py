"""Convolutions and transposed convolutions as PyTorch computes them: values and all gradients, on random problems.

The same problems in every run; another thousand with ``CONVCORE_TEST_SEED=1`` and so on.
"""

import os

import numpy as np
import pytest

import convcore as cc
from convcore import isa, kernels
from convcore.kernels.windows import PADDING_MODES

torch = pytest.importorskip("torch")

SEED = int(os.environ.get("CONVCORE_TEST_SEED", "0"))
PROBLEMS = 32  # in a chunk: one test, so that a failure is found in its list of problems
CHUNKS = {"conv": 8, "conv_transpose": 3}  # per number of dimensions: 3 · 32 · (8 + 3) = 1056 problems
LARGEST = {1: 40, 2: 12, 3: 6}
TOLERANCE = {"rtol": 1e-9, "atol": 1e-9}  # of sums of at most some thousand products of numbers up to 1
RANKS = pytest.mark.parametrize("rank", [1, 2, 3])


@pytest.fixture(autouse=True)
def one_torch_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def chunks(family):
    return pytest.mark.parametrize("chunk", range(CHUNKS[family]))


def draw(rng, rank, highest, lowest=1):
    """One whole number per dimension."""
    return tuple(int(n) for n in rng.integers(lowest, highest + 1, rank))


def channels(rng):
    """(groups, channels per group, filters per group): dense, grouped, depthwise."""
    kind = rng.choice(["dense", "grouped", "depthwise"], p=[0.5, 0.3, 0.2])
    if kind == "dense":
        return (1, *draw(rng, 2, 6))
    return (*draw(rng, 1, 4, 2), *(draw(rng, 2, 3) if kind == "grouped" else (1, 1)))


def arrays(rng, *shapes):
    return [rng.uniform(-1, 1, shape) for shape in shapes]


def conv_problem(rng, rank):
    """The shapes of x, weight and bias, and the options; a pattern may be repeated several times on each side."""
    filter_size, stride, dilation = draw(rng, rank, 4), draw(rng, rank, 4), draw(rng, rank, 3)
    groups, group_channels, group_filters = channels(rng)
    value = rng.choice(["zero", "number", *list(PADDING_MODES)[1:]])
    value = {"zero": 0, "number": float(rng.uniform(-1, 1))}.get(value, str(value))
    size, padding = [], []
    for f, d in zip(filter_size, dilation, strict=True):
        wide = rng.random() < 0.2
        ends = draw(rng, 2, 15 if wide else 3, 0)
        size.append(max(1, (f - 1) * d + 1 - sum(ends)) + int(rng.integers(0, 3 if wide else LARGEST[rank])))
        padding += ends
    shapes = ((int(rng.integers(1, 4)), groups * group_channels, *size),
              (groups * group_filters, group_channels, *filter_size), (groups * group_filters,))  # fmt: skip
    return shapes, {"stride": stride, "padding": tuple(padding), "padding_value": value, "dilation": dilation,
                    "groups": groups}  # fmt: skip


def torch_padded(x, padding, value):
    """x with its border: by PyTorch's own modes where they reach, else by the cells that NumPy's patterns name."""
    pairs = list(zip(padding[::2], padding[1::2], strict=True))
    ends = [end for pair in reversed(pairs) for end in pair]  # the last dimension first
    if not isinstance(value, str):
        return torch.nn.functional.pad(x, ends, value=value)
    mode = {"symmetric-exclude-edge": "reflect", "replicate": "replicate", "circular": "circular"}.get(value)
    reach = [n - (mode == "reflect") for n in x.shape[2:]]
    if mode == "replicate" or (mode and all(max(pair) <= r for pair, r in zip(pairs, reach, strict=True))):
        return torch.nn.functional.pad(x, ends, mode=mode)
    for axis, pair in enumerate(pairs, 2):
        cells = np.pad(np.arange(x.shape[axis]), pair, mode=PADDING_MODES[value])
        x = torch.index_select(x, axis, torch.from_numpy(cells))
    return x


def torch_conv(rank, x, weight, bias, options):
    x = torch_padded(x, options["padding"], options["padding_value"])
    conv = getattr(torch.nn.functional, f"conv{rank}d")
    return conv(x, weight, bias, **{name: options[name] for name in ("stride", "dilation", "groups")})


def transposed_problem(rng, rank):
    """The shapes of x, weight and bias, and the options; each end is cropped by itself."""
    size, filter_size, stride, dilation = (draw(rng, rank, highest) for highest in (LARGEST[rank] // 2, 4, 4, 3))
    extra = tuple(int(rng.integers(0, s)) for s in stride)
    groups, group_channels, group_filters = channels(rng)
    cropping = []
    for i, f, s, d, e in zip(size, filter_size, stride, dilation, extra, strict=True):
        whole = (i - 1) * s + (f - 1) * d + 1 + e
        before = int(rng.integers(0, min(4, whole)))
        cropping += [before, int(rng.integers(0, min(4, whole - before)))]
    shapes = ((int(rng.integers(1, 4)), groups * group_channels, *size),
              (groups * group_channels, group_filters, *filter_size), (groups * group_filters,))  # fmt: skip
    return shapes, {"stride": stride, "cropping": "same" if rng.random() < 0.3 else tuple(cropping),
                    "output_padding": extra, "dilation": dilation, "groups": groups}  # fmt: skip


def torch_conv_transpose(rank, x, weight, bias, options):
    """PyTorch crops both ends alike, the rest is cut off; "same" may want more cells than there are."""
    cropping, stride = options["cropping"], options["stride"]
    sizes = zip(x.shape[2:], weight.shape[2:], stride, options["dilation"], options["output_padding"], strict=True)
    wanted = [i * s for i, s in zip(x.shape[2:], stride, strict=True)]
    if cropping == "same":
        surplus = [(i - 1) * s + (f - 1) * d + 1 + e - w for (i, f, s, d, e), w in zip(sizes, wanted, strict=True)]
        pairs = [(n // 2, n - n // 2) if n > 0 else (0, n) for n in surplus]
    else:
        pairs = list(zip(cropping[::2], cropping[1::2], strict=True))
    both = tuple(max(0, min(pair)) for pair in pairs)
    rest = {name: options[name] for name in ("stride", "output_padding", "groups", "dilation")}
    # A bias given to PyTorch would not reach the cells that only "same" asks for.
    y = getattr(torch.nn.functional, f"conv_transpose{rank}d")(x, weight, padding=both, **rest)
    ends = [end - p for pair, p in zip(reversed(pairs), reversed(both), strict=True) for end in pair]
    return torch.nn.functional.pad(y, [-end for end in ends]) + bias.reshape(-1, *(1,) * rank)


def ours(op, inputs, grad_y, options, variant):
    """The value of an op and the gradients of its inputs."""
    tensors = [cc.Tensor(array, requires_grad=True) for array in inputs]
    with cc.Tape() as tape:
        y = getattr(cc, op)(*tensors, variant=variant, **options)
    tape.backward(y, grad_y)
    return [y.numpy(), *(tensor.grad for tensor in tensors)]


def theirs(function, rank, inputs, options, rng):
    """The value and the gradients of PyTorch, and the gradient of the value that they belong to."""
    tensors = [torch.from_numpy(array).requires_grad_() for array in inputs]
    y = function(rank, *tensors, options)
    grad_y = rng.uniform(-1, 1, tuple(y.shape))
    found = [y, *torch.autograd.grad(y, tensors, torch.from_numpy(grad_y))]
    return [tensor.detach().numpy() for tensor in found], grad_y


def variants_for(rank, geometry):
    """The automatic choice and every built-in variant that does all directions; the definition has tests of its own."""
    op = f"conv{rank}d"
    directions = ("forward", "backward_input", "backward_weight")
    f8 = np.dtype("f8")
    refused = lambda v: any(kernels.refusal(op, v, d, geometry, f8, isa.DEFAULT) for d in directions)  # noqa: E731
    fit = [variant for variant in kernels.variants(op) if variant != "reference" and not refused(variant)]
    return [None, *fit]


def compare(family, rank, chunk, problem_of, theirs_of, geometry_of):
    rng = np.random.default_rng([SEED, rank, chunk, len(family)])
    for index in range(PROBLEMS):
        shapes, options = problem_of(rng, rank)
        inputs = arrays(rng, *shapes)
        expected, grad_y = theirs(theirs_of, rank, inputs, options, rng)
        for variant in variants_for(rank, geometry_of(*shapes[:2], **options)):
            found = ours(f"{family}{rank}d", inputs, grad_y, options, variant)
            for name, a, b in zip(("y", "grad_x", "grad_weight", "grad_bias"), found, expected, strict=True):
                what = f"{name} of problem {index}: {variant}, x and weight {shapes[:2]}, {options}"
                assert a.shape == b.shape, what
                np.testing.assert_allclose(a, b, **TOLERANCE, err_msg=what)


@RANKS
@chunks("conv")
def test_convolutions(rank, chunk):
    compare("conv", rank, chunk, conv_problem, torch_conv, kernels.ConvGeometry.of)


@RANKS
@chunks("conv_transpose")
def test_transposed_convolutions(rank, chunk):
    compare("conv_transpose", rank, chunk, transposed_problem, torch_conv_transpose, kernels.ConvGeometry.transposed)


def test_the_problems_reach_every_kind():
    """Every padding value, patterns wider than the image, groups, steps beyond the filter."""
    rng = np.random.default_rng(SEED)
    drawn = [conv_problem(rng, rank) for rank in (1, 2, 3) for _ in range(100)]
    values = [options["padding_value"] for _, options in drawn]
    assert {value for value in values if isinstance(value, str)} == set(PADDING_MODES) - {"constant"}
    assert 0 in values
    wide = [max(o["padding"]) > max(x[2:]) and isinstance(o["padding_value"], str) for (x, _, _), o in drawn]
    steps = [s > f for (_, weight, _), o in drawn for s, f in zip(o["stride"], weight[2:], strict=True)]
    grouped = [o["groups"] > 1 and weight[1] > 1 for (_, weight, _), o in drawn]
    depthwise = [o["groups"] > 1 and weight[1] == 1 for (_, weight, _), o in drawn]
    for kind in (wide, steps, grouped, depthwise):
        assert sum(kind) > 10
