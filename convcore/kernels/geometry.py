"""The shape of a problem: all shape arithmetic and its validation, done once, for every direction.

A geometry knows what arrays each direction takes and returns, how many operations that costs, and its one-line text
form (benchdnn's notation), which is registry key, test id, bench input and part of error texts.
"""

import dataclasses
import functools
import math
import numbers
import re
from dataclasses import dataclass

import numpy as np

from convcore.kernels.problem import Problem
from convcore.kernels.windows import (
    AXES,
    AXIS_WORDS,
    PADDING_MODES,
    check_shape,
    out_size,
    padding_pairs,
    padding_value_of,
    per_axis,
    remembered,
    spatial_text,
)


@dataclass(frozen=True, eq=False)
class ConvGeometry(Problem):
    """A convolution problem.

    Parameters
    ----------
    batch : int
        N, at least 0.
    in_channels, out_channels : int
        IC and OC (the number of filters), multiples of `groups`.
    in_size, filter_size, stride, dilation : tuple of int
        One per spatial dimension, height first.
    padding : tuple of (before, after)
        One pair per spatial dimension.
    groups : int
    padding_value : float or str
        What the cells around the image hold: a number, or a pattern of the image's own cells ("replicate", ...).

    Examples
    --------
    >>> geometry = ConvGeometry.of((64, 1, 28, 28), (6, 1, 5, 5), padding=2)
    >>> str(geometry), geometry.out_size
    ('mb64ic1ih28oc6oh28kh5ph2', (28, 28))
    >>> ConvGeometry.parse("mb64ic1ih28oc6oh28kh5ph2") == geometry
    True
    """

    batch: int
    in_channels: int
    in_size: tuple
    out_channels: int
    filter_size: tuple
    stride: tuple
    padding: tuple
    dilation: tuple
    groups: int = 1
    padding_value: object = 0.0

    @staticmethod
    def of(x_shape, weight_shape, stride=1, padding=0, padding_value=0, dilation=1, groups=1):
        """Return the geometry for these shapes and options, given as a user gives them.

        Raises
        ------
        TypeError, ValueError
            Shapes and options that do not make a convolution; the text names the op, both numbers and the shapes.
        """
        return _conv_geometry(x_shape, weight_shape, stride, padding, padding_value, dilation, groups)

    @staticmethod
    def transposed(x_shape, weight_shape, stride=1, cropping=0, output_padding=0, dilation=1, groups=1):
        """Return the geometry of the convolution whose input gradient is this transposed convolution.

        What is x here is the y of that convolution, what is y here its x, so that ``backward_input`` of the geometry
        computes the transposed convolution, ``forward`` the gradient of its input, and ``backward_weight`` that of
        its weight.

        Examples
        --------
        >>> geometry = ConvGeometry.transposed((1, 8, 7, 7), (8, 3, 4, 4), stride=2, cropping=1)
        >>> geometry.shapes["x"], geometry.shapes["y"]
        ((1, 3, 14, 14), (1, 8, 7, 7))

        Raises
        ------
        TypeError, ValueError
            Shapes and options that do not make a transposed convolution.
        """
        return _transposed_geometry(x_shape, weight_shape, stride, cropping, output_padding, dilation, groups)

    @functools.cached_property
    def out_size(self):
        """Output size per spatial dimension."""
        extent = tuple((f - 1) * d + 1 for f, d in zip(self.filter_size, self.dilation, strict=True))
        return out_size(self.in_size, self.padding, extent, self.stride, f"{self.op}: the filter")

    @functools.cached_property
    def volumetric(self):
        """The same problem in three dimensions: dimensions of size 1 in front of those that there are."""
        missing = 3 - len(self.in_size)
        ones, none = (1,) * missing, ((0, 0),) * missing
        return dataclasses.replace(
            self, in_size=ones + self.in_size, filter_size=ones + self.filter_size, stride=ones + self.stride,
            padding=none + self.padding, dilation=ones + self.dilation,
        ) if missing else self  # fmt: skip

    @property
    def padding_mode(self):
        """Which of PADDING_MODES, counted from 0: "constant"."""
        return list(PADDING_MODES).index(self.padding_value) if isinstance(self.padding_value, str) else 0

    @property
    def op(self):
        """The op that this is a problem of."""
        return f"conv{len(self.in_size)}d"

    @functools.cached_property
    def shapes(self):
        """The shape of each array of the problem, by name."""
        x = (self.batch, self.in_channels, *self.in_size)
        weight = (self.out_channels, self.in_channels // self.groups, *self.filter_size)
        y = (self.batch, self.out_channels, *self.out_size)
        bias = (self.out_channels,)
        pooled = (*y[:-2], *(size // 2 for size in y[-2:]))  # by windows of 2 × 2 side by side
        return {"x": x, "weight": weight, "bias": bias, "y": y, "pooled": pooled, "index": pooled,
                "grad_pooled": pooled, "grad_x": x, "grad_weight": weight, "grad_bias": bias, "grad_y": y}  # fmt: skip

    SIGNATURES = {
        "forward": (("x", "weight", "bias"), "y"),
        "forward_relu": (("x", "weight", "bias"), "y"),
        "forward_pool": (("x", "weight", "bias"), ("pooled", "index")),
        "backward_input": (("grad_y", "weight"), "grad_x"),
        "backward_weight": (("grad_y", "x"), "grad_weight"),
        "backward_bias": (("grad_y",), "grad_bias"),
        "backward_weight_bias": (("grad_y", "x"), ("grad_weight", "grad_bias")),
        "backward_weight_bias_pool": (("grad_pooled", "index", "x"), ("grad_weight", "grad_bias")),
        "backward_weight_bias_relu": (("grad_y", "y", "x"), ("grad_weight", "grad_bias")),
    }
    OPTIONAL = ("bias",)
    DTYPES = {"index": np.int32}

    def operations(self, direction):
        """Return the floating-point operations of a direction: two per multiply-add of the nominal problem."""
        pixels = self.batch * self.out_channels * math.prod(self.out_size)
        if direction == "backward_bias":
            return pixels
        return 2 * pixels * (self.in_channels // self.groups) * math.prod(self.filter_size)

    def __str__(self):
        rank = len(self.in_size)
        axis = AXES[rank][0] if len(set(self.in_size)) == len(set(self.out_size)) == 1 else None
        sizes = [(letter, size) for letter, size in (("i", self.in_size), ("o", self.out_size))]
        text = f"g{self.groups}" if self.groups > 1 else ""
        text += f"mb{self.batch}ic{self.in_channels}"
        spatial = [
            f"{letter}{axis}{size[0]}"
            if axis
            else "".join(f"{letter}{a}{n}" for a, n in zip(AXES[rank], size, strict=True))
            for letter, size in sizes
        ]
        before, after = zip(*self.padding, strict=True)
        text += f"{spatial[0]}oc{self.out_channels}{spatial[1]}{spatial_text('k', self.filter_size, 0)}"
        text += spatial_text("s", self.stride, 1) + spatial_text("p", before, 0)
        if after != before:
            text += spatial_text("e", after, -1)  # end padding: bottom and right
        if any(d != 1 for d in self.dilation):
            text += "dil" + "x".join(
                str(d) for d in (self.dilation[:1] if len(set(self.dilation)) == 1 else self.dilation)
            )
        if self.padding_value != 0:
            text += f"pv{self.padding_value}"
        return text

    @staticmethod
    def parse(text):
        """Return the geometry that a text form stands for.

        ``mb64ic1ih28oc6oh28kh5ph2``: batch 64, 1 channel of 28×28, 6 filters of 5×5, padding 2. A problem with ``id``
        is three-dimensional, one with ``iw`` alone one-dimensional (``mb8ic12iw100oc96kw11``); height is the depth and
        width the height where they are not given. ``g`` groups, ``sh sw`` strides, ``ph pw`` padding at the top and the
        left, ``eh ew`` at the bottom and the right where it differs, ``dil2`` or ``dil2x3`` dilation (1 is none),
        ``pv`` padding value, a number or a word; ``oh`` and ``ow`` may be left out and are checked where they are
        given.

        Raises
        ------
        ValueError
            What is missing, unknown or contradicts itself.
        """
        if not isinstance(text, str):
            raise TypeError(f"geometry: the text form must be a str, got {type(text).__name__}")
        number = r"-?(?:\d+\.?\d*|\.\d+)(?:e[+-]?\d+)?|-?inf|nan"
        words = "|".join(mode for mode in PADDING_MODES if mode != "constant")
        pattern = rf"(dil)(\d+(?:x\d+)*)|(pv)({words}|{number})|(mb|ic|oc|[iokspe][dhw]|g)(\d+)"
        fields, end = {}, 0
        for match in re.finditer(pattern, text):
            key, value = (part for part in match.groups() if part is not None)
            if match.start() != end or key in fields:
                break
            fields[key], end = value, match.end()
        if end != len(text) or not text:
            raise ValueError(f"geometry: cannot read {text[end:]!r} in {text!r}")
        rank = 3 if "id" in fields else 1 if "iw" in fields and "ih" not in fields else 2
        axes = AXES[rank]
        missing = [key for key in ("ic", f"i{axes[0]}", "oc", f"k{axes[0]}") if key not in fields]
        if missing:
            raise ValueError(f"geometry: {text!r} lacks {', '.join(missing)}")
        surplus = [key for key in fields if key[0] in "iokspe" and key[1:] in AXES[3] and key[1] not in axes]
        if surplus:
            raise ValueError(f"geometry: {text!r} has {rank} dimension{'s' * (rank > 1)}, but {', '.join(surplus)}")

        def per_axis(letter, defaults):
            """One number per dimension; where it is not given, that of the dimension before, if there is one."""
            values = []
            for axis, default in zip(axes, defaults, strict=True):
                before = values[-1] if any(f"{letter}{a}" in fields for a in axes[: len(values)]) else default
                values.append(int(fields.get(f"{letter}{axis}", before)))
            return tuple(values)

        groups = int(fields.get("g", 1))
        in_channels, out_channels = int(fields["ic"]), int(fields["oc"])
        if groups < 1 or in_channels % groups:
            raise ValueError(f"geometry: {in_channels} channels cannot be split into {groups} groups ({text!r})")
        before = per_axis("p", (0,) * rank)
        after = per_axis("e", before)
        dilation = tuple(int(d) for d in fields.get("dil", "1").split("x"))
        value = fields.get("pv", "0")
        geometry = ConvGeometry.of(
            (int(fields.get("mb", 1)), in_channels, *per_axis("i", (0,) * rank)),
            (out_channels, in_channels // groups, *per_axis("k", (0,) * rank)),
            per_axis("s", (1,) * rank), sum(zip(before, after, strict=True), ()),
            value if value in PADDING_MODES else float(value),
            dilation[0] if len(dilation) == 1 else dilation, groups,
        )  # fmt: skip
        said = per_axis("o", geometry.out_size)
        if said != geometry.out_size:
            raise ValueError(f"geometry: {text!r} says output {said}, the numbers give {geometry.out_size}")
        return geometry


@remembered
def _conv_geometry(x_shape, weight_shape, stride, padding, padding_value, dilation, groups):
    """The validation behind ConvGeometry.of."""
    rank, shapes = _checked_shapes("conv", x_shape, weight_shape, groups)
    op = f"conv{rank}d"
    batch, in_channels, *in_size = x_shape
    out_channels, group_channels, *filter_size = weight_shape
    if group_channels * groups != in_channels:
        in_groups = f" in {groups} groups" if groups > 1 else ""
        raise ValueError(
            f"{op}: weight expects {group_channels * groups} input channels{in_groups}, x has {in_channels} {shapes}"
        )
    if out_channels % groups:
        raise ValueError(f"{op}: {out_channels} filters cannot be split into {groups} groups {shapes}")
    padding_value = padding_value_of(padding_value, f"{op}: padding_value")
    stride = per_axis(stride, rank, f"{op}: stride", 1)
    dilation = per_axis(dilation, rank, f"{op}: dilation", 1)
    pairs = padding_pairs(padding, in_size, filter_size, stride, dilation, f"{op}: padding")
    geometry = ConvGeometry(batch, in_channels, tuple(in_size), out_channels, tuple(filter_size), stride, pairs,
                            dilation, int(groups), padding_value)  # fmt: skip
    geometry.out_size  # noqa: B018  raises where the filter does not fit
    return geometry


@remembered
def _transposed_geometry(x_shape, weight_shape, stride, cropping, output_padding, dilation, groups):
    """The validation behind ConvGeometry.transposed."""
    rank, shapes = _checked_shapes("conv_transpose", x_shape, weight_shape, groups)
    op = f"conv_transpose{rank}d"
    batch, channels, *in_size = x_shape
    weight_channels, group_filters, *filter_size = weight_shape
    if weight_channels != channels:
        raise ValueError(f"{op}: weight expects {weight_channels} input channels, x has {channels} {shapes}")
    if channels % groups:
        raise ValueError(f"{op}: {channels} channels cannot be split into {groups} groups {shapes}")
    stride = per_axis(stride, rank, f"{op}: stride", 1)
    dilation = per_axis(dilation, rank, f"{op}: dilation", 1)
    extra = per_axis(output_padding, rank, f"{op}: output_padding", 0)
    if any(e >= s for e, s in zip(extra, stride, strict=True)):
        raise ValueError(f"{op}: output_padding must be smaller than stride {stride}, got {output_padding!r}")
    whole = [
        (i - 1) * s + (f - 1) * d + 1 + e
        for i, s, f, d, e in zip(in_size, stride, filter_size, dilation, extra, strict=True)
    ]
    if isinstance(cropping, str):
        if cropping != "same":
            raise ValueError(f'{op}: cropping must be "same" or numbers, got {cropping!r}')
        wanted = [i * s for i, s in zip(in_size, stride, strict=True)]
        cuts = [max(0, have - want) for have, want in zip(whole, wanted, strict=True)]
        pairs, out = tuple((cut // 2, cut - cut // 2) for cut in cuts), tuple(wanted)
    else:
        pairs = padding_pairs(cropping, in_size, filter_size, stride, dilation, f"{op}: cropping")
        out = tuple(have - before - after for have, (before, after) in zip(whole, pairs, strict=True))
    for axis, size, have, pair in zip(AXES[rank], out, whole, pairs, strict=True):
        if size < 1:
            cut = f"the output has {have} cells in {AXIS_WORDS[axis]}, cropping takes {sum(pair)}"
            raise ValueError(f"{op}: {cut} {shapes}")
    return ConvGeometry(batch, group_filters * groups, out, channels, tuple(filter_size), stride, pairs, dilation,
                        int(groups))  # fmt: skip


def _checked_shapes(family, x_shape, weight_shape, groups):
    """Return the number of spatial dimensions, and the shapes as errors show them, of a convolution of any kind."""
    check_shape(x_shape, "ConvGeometry: x_shape")
    check_shape(weight_shape, "ConvGeometry: weight_shape")
    rank = len(weight_shape) - 2 if len(weight_shape) in (3, 4, 5) else len(x_shape) - 2
    op = f"{family}{rank}d"
    shapes = f"(x {x_shape}, weight {weight_shape})"
    if len(x_shape) != rank + 2 or len(weight_shape) != rank + 2:
        raise ValueError(
            f"{op}: x and weight must have {rank + 2} axes, got {len(x_shape)} and {len(weight_shape)} {shapes}"
        )
    if rank not in AXES:
        raise ValueError(f"{op}: x and weight must have 3, 4 or 5 axes, got {rank + 2} {shapes}")
    if isinstance(groups, bool) or not isinstance(groups, numbers.Integral):
        raise TypeError(f"{op}: groups must be an int, got {groups!r}")
    if groups < 1:
        raise ValueError(f"{op}: groups must be at least 1, got {groups}")
    if x_shape[0] < 0:
        raise ValueError(f"{op}: x has a batch of {x_shape[0]} {shapes}")
    for name, size in (("x", x_shape[1:]), ("weight", weight_shape)):
        if min(size) < 1:
            raise ValueError(f"{op}: {name} has an axis of size 0 {shapes}")
    if max(*x_shape, *weight_shape) > 2**62:
        raise ValueError(f"{op}: no axis may be longer than 2**62 {shapes}")
    return rank, shapes
