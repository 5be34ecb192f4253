"""The shape of a problem: all shape arithmetic and its validation, done once, for every direction.

A geometry knows what arrays each direction takes and returns, how many operations that costs, and its one-line text
form (benchdnn's notation), which is registry key, test id, bench input and part of error texts.
"""

import functools
import math
import numbers
import re
from dataclasses import dataclass

from convcore.kernels.windows import (
    AXES,
    check_shape,
    number,
    out_size,
    padding_pairs,
    per_axis,
    remembered,
    spatial_text,
)


@dataclass(frozen=True)
class ConvGeometry:
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
    padding_value : float

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
    padding_value: float = 0.0

    @staticmethod
    def of(x_shape, weight_shape, stride=1, padding=0, padding_value=0, dilation=1, groups=1):
        """Return the geometry for these shapes and options, given as a user gives them.

        Raises
        ------
        TypeError, ValueError
            Shapes and options that do not make a convolution; the text names the op, both numbers and the shapes.
        """
        return _conv_geometry(x_shape, weight_shape, stride, padding, padding_value, dilation, groups)

    @functools.cached_property
    def out_size(self):
        """Output size per spatial dimension."""
        extent = tuple((f - 1) * d + 1 for f, d in zip(self.filter_size, self.dilation, strict=True))
        return out_size(self.in_size, self.padding, extent, self.stride, f"{self.op}: the filter")

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
        return {"x": x, "weight": weight, "bias": bias, "y": y,
                "grad_x": x, "grad_weight": weight, "grad_bias": bias, "grad_y": y}  # fmt: skip

    SIGNATURES = {
        "forward": (("x", "weight", "bias"), "y"),
        "backward_input": (("grad_y", "weight"), "grad_x"),
        "backward_weight": (("grad_y", "x"), "grad_weight"),
        "backward_bias": (("grad_y",), "grad_bias"),
    }
    OPTIONAL = ("bias",)

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
            text += f"pv{self.padding_value!r}"
        return text

    @staticmethod
    def parse(text):
        """Return the geometry that a text form stands for.

        ``mb64ic1ih28oc6oh28kh5ph2``: batch 64, 1 channel of 28×28, 6 filters of 5×5, padding 2. Width is the height
        where it is not given. ``g`` groups, ``sh sw`` strides, ``ph pw`` padding at the top and the left, ``eh ew`` at
        the bottom and the right where it differs, ``dil2`` or ``dil2x3`` dilation (1 is none), ``pv`` padding value;
        ``oh`` and ``ow`` may be left out and are checked where they are given.

        Raises
        ------
        ValueError
            What is missing, unknown or contradicts itself.
        """
        if not isinstance(text, str):
            raise TypeError(f"geometry: the text form must be a str, got {type(text).__name__}")
        number = r"-?(?:\d+\.?\d*|\.\d+)(?:e[+-]?\d+)?|-?inf|nan"
        pattern = rf"(dil)(\d+(?:x\d+)*)|(pv)({number})|(mb|ic|oc|[iokspe][hw]|g)(\d+)"
        fields, end = {}, 0
        for match in re.finditer(pattern, text):
            key, value = (part for part in match.groups() if part is not None)
            if match.start() != end or key in fields:
                break
            fields[key], end = value, match.end()
        if end != len(text) or not text:
            raise ValueError(f"geometry: cannot read {text[end:]!r} in {text!r}")
        missing = [key for key in ("ic", "ih", "oc", "kh") if key not in fields]
        if missing:
            raise ValueError(f"geometry: {text!r} lacks {', '.join(missing)}")

        def pair(letter, default):
            height = int(fields.get(f"{letter}h", default))
            return height, int(fields.get(f"{letter}w", height))

        groups = int(fields.get("g", 1))
        in_channels, out_channels = int(fields["ic"]), int(fields["oc"])
        if groups < 1 or in_channels % groups:
            raise ValueError(f"geometry: {in_channels} channels cannot be split into {groups} groups ({text!r})")
        top, left = pair("p", 0)
        bottom, right = int(fields.get("eh", top)), int(fields.get("ew", fields.get("eh", left)))
        dilation = tuple(int(d) for d in fields.get("dil", "1").split("x"))
        geometry = ConvGeometry.of(
            (int(fields.get("mb", 1)), in_channels, *pair("i", 0)),
            (out_channels, in_channels // groups, *pair("k", 0)),
            pair("s", 1), (top, bottom, left, right), float(fields.get("pv", 0)),
            dilation[0] if len(dilation) == 1 else dilation, groups,
        )  # fmt: skip
        OH, OW = geometry.out_size
        said = int(fields.get("oh", OH)), int(fields.get("ow", fields.get("oh", OW)))
        if said != geometry.out_size:
            raise ValueError(f"geometry: {text!r} says output {said}, the numbers give {geometry.out_size}")
        return geometry


@remembered
def _conv_geometry(x_shape, weight_shape, stride, padding, padding_value, dilation, groups):
    """The validation behind ConvGeometry.of."""
    check_shape(x_shape, "ConvGeometry: x_shape")
    check_shape(weight_shape, "ConvGeometry: weight_shape")
    rank = len(weight_shape) - 2 if len(weight_shape) in (3, 4, 5) else len(x_shape) - 2
    op = f"conv{rank}d"
    shapes = f"(x {x_shape}, weight {weight_shape})"
    if len(x_shape) != rank + 2 or len(weight_shape) != rank + 2:
        raise ValueError(
            f"{op}: x and weight must have {rank + 2} axes, got {len(x_shape)} and {len(weight_shape)} {shapes}"
        )
    if isinstance(groups, bool) or not isinstance(groups, numbers.Integral):
        raise TypeError(f"{op}: groups must be an int, got {groups!r}")
    batch, in_channels, *in_size = x_shape
    out_channels, group_channels, *filter_size = weight_shape
    if groups < 1:
        raise ValueError(f"{op}: groups must be at least 1, got {groups}")
    if batch < 0:
        raise ValueError(f"{op}: x has a batch of {batch} {shapes}")
    for name, size in (("x", x_shape[1:]), ("weight", weight_shape)):
        if min(size) < 1:
            raise ValueError(f"{op}: {name} has an axis of size 0 {shapes}")
    if group_channels * groups != in_channels:
        in_groups = f" in {groups} groups" if groups > 1 else ""
        raise ValueError(
            f"{op}: weight expects {group_channels * groups} input channels{in_groups}, x has {in_channels} {shapes}"
        )
    if out_channels % groups:
        raise ValueError(f"{op}: {out_channels} filters cannot be split into {groups} groups {shapes}")
    padding_value = number(padding_value, f"{op}: padding_value must be a number")
    stride = per_axis(stride, rank, f"{op}: stride", 1)
    dilation = per_axis(dilation, rank, f"{op}: dilation", 1)
    pairs = padding_pairs(padding, in_size, filter_size, stride, dilation, f"{op}: padding")
    geometry = ConvGeometry(batch, in_channels, tuple(in_size), out_channels, tuple(filter_size), stride, pairs,
                            dilation, int(groups), padding_value)  # fmt: skip
    geometry.out_size  # noqa: B018  raises where the filter does not fit
    return geometry
