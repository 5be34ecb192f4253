"""The shape of a pooling problem: its shape arithmetic and validation, done once, for every direction."""

import functools
import math
from dataclasses import dataclass, replace

import numpy as np

from convcore.kernels.problem import Problem
from convcore.kernels.windows import (
    AXES,
    check_shape,
    number,
    out_size,
    padding_pairs,
    per_axis,
    read_fields,
    remembered,
    spatial_text,
)

POOLS = tuple(f"{kind}_pool{rank}d" for kind in ("max", "avg") for rank in AXES)


@dataclass(frozen=True, eq=False)
class PoolGeometry(Problem):
    """A pooling problem: a window that slides over each channel by itself.

    Parameters
    ----------
    op : str
        "max_pool1d" to "max_pool3d", "avg_pool1d" to "avg_pool3d".
    batch, channels : int
    in_size, pool_size, stride, dilation : tuple of int
        One per spatial dimension, depth before height before width.
    padding : tuple of (before, after)
        One pair per spatial dimension.
    padding_value : None, float or "mean"
        None for max-pooling (padded cells never win); for average-pooling a number, or "mean" (padded cells do not
        count).
    ceil_mode : bool
        Whether the output's size is rounded up. A last window that this adds begins in the input or in the padding
        before it; its cells beyond the padding never win, and never count.

    Examples
    --------
    >>> geometry = PoolGeometry.of("max_pool2d", (64, 6, 28, 28), 2)
    >>> str(geometry), geometry.out_size
    ('mb64ic6ih28oh14kh2sh2', (14, 14))
    >>> PoolGeometry.parse("max_pool2d", "mb64ic6ih28oh14kh2sh2") == geometry
    True
    """

    op: str
    batch: int
    channels: int
    in_size: tuple
    pool_size: tuple
    stride: tuple
    padding: tuple
    dilation: tuple
    padding_value: object = None
    ceil_mode: bool = False

    @staticmethod
    def of(op, x_shape, pool_size, stride=None, padding=0, dilation=1, padding_value=None, ceil_mode=False):
        """Return the geometry for this shape and these options, given as a user gives them.

        Stride None is the pool size; for average-pooling, padding_value None is 0. Where rounding up adds no window,
        the geometry is that without `ceil_mode`.

        Raises
        ------
        TypeError, ValueError
            Shapes and options that do not make a pooling; the text names the op and both numbers.
        """
        if not isinstance(ceil_mode, (bool, np.bool_)):
            raise TypeError(f"{op}: ceil_mode must be True or False, got {ceil_mode!r}")
        return _pool_geometry(op, x_shape, pool_size, stride, padding, dilation, padding_value,
                              "ceil" if ceil_mode else "floor")  # fmt: skip

    @functools.cached_property
    def out_size(self):
        """Output size per spatial dimension."""
        extent = tuple((p - 1) * d + 1 for p, d in zip(self.pool_size, self.dilation, strict=True))
        return out_size(self.in_size, self.padding, extent, self.stride, f"{self.op}: the window", self.ceil_mode)

    @functools.cached_property
    def shapes(self):
        """The shape of each array of the problem, by name; `index` is the flat position of each maximum."""
        x = (self.batch, self.channels, *self.in_size)
        y = (self.batch, self.channels, *self.out_size)
        return {"x": x, "y": y, "index": y, "grad_x": x, "grad_y": y}

    @functools.cached_property
    def in_3d(self):
        """The same problem in three dimensions, those that it lacks being of size 1.

        Sizes of input and output, pool size, stride, dilation, padding: each with three entries.
        """
        lacking = 3 - len(self.in_size)
        sizes = (self.in_size, self.out_size, self.pool_size, self.stride, self.dilation)
        return (*((1,) * lacking + size for size in sizes), ((0, 0),) * lacking + self.padding)

    @property
    def SIGNATURES(self):
        """What each direction takes and returns."""
        if self.op.startswith("max"):
            forward = ("x",), ("y", "index")
            return {"forward": forward, "forward_relu": forward, "backward_input": (("grad_y", "index"), "grad_x")}
        return {"forward": (("x",), "y"), "backward_input": (("grad_y",), "grad_x")}

    OPTIONAL = ()
    DTYPES = {"index": np.int32}

    def operations(self, direction):
        """Return a rough count of operations: four for each cell of a window that is looked at, or that won."""
        planes, outputs = self.batch * self.channels, math.prod(self.out_size)
        if direction == "backward_input":
            return planes * (4 * outputs + math.prod(self.in_size))
        return planes * outputs * 4 * math.prod(self.pool_size)

    def __str__(self):
        before, after = zip(*self.padding, strict=True)
        text = f"mb{self.batch}ic{self.channels}" + spatial_text("i", self.in_size, -1)
        text += (
            spatial_text("o", self.out_size, -1)
            + spatial_text("k", self.pool_size, -1)
            + spatial_text("s", self.stride, 1)
            + spatial_text("p", before, 0)
        )
        if after != before:
            text += spatial_text("e", after, -1)
        if any(d != 1 for d in self.dilation):
            alike = len(set(self.dilation)) == 1
            text += "dil" + "x".join(str(d) for d in (self.dilation[:1] if alike else self.dilation))
        if self.padding_value not in (None, 0):
            text += f"pv{self.padding_value}"
        return text + ("ceil1" if self.ceil_mode else "")

    @staticmethod
    def parse(op, text):
        """Return the geometry of an op that a text form stands for.

        ``mb64ic6ih28oh14kh2sh2``: batch 64, 6 channels of 28×28, windows of 2×2 with stride 2. A problem in 3-D has
        ``id``, ``kd``, ... before these, one in 1-D ``iw``, ``kw``, ... only; a dimension that is not given is like the
        one before it. ``s`` stride (1 where there is none), ``p`` padding before, ``e`` after where it differs,
        ``dil2`` or ``dil2x3`` dilation, ``pv`` padding value, ``ceil1`` ceil mode; ``mb`` may be left out, and the
        output's size, which is checked where it is given.

        Raises
        ------
        TypeError, ValueError
            What is missing, unknown or contradicts itself.
        """
        if op not in POOLS:
            raise ValueError(f"PoolGeometry: op must be one of {', '.join(POOLS)}, got {op!r}")
        axes = AXES[int(op[-2])]
        value = r"-?(?:\d+\.?\d*|\.\d+)(?:e[+-]?\d+)?|-?inf|nan|mean"
        pattern = rf"(dil)(\d+(?:x\d+)*)|(pv)({value})|(ceil)([01])|(mb|ic|[iokspe][{''.join(axes)}])(\d+)"
        fields = read_fields(text, pattern)
        missing = [key for key in ("ic", f"i{axes[0]}", f"k{axes[0]}") if key not in fields]
        if missing:
            raise ValueError(f"geometry: {text!r} lacks {', '.join(missing)}")

        def sizes(letter, default):
            """One size per dimension; `default` are those of the dimensions before the first that is given."""
            found = []
            for axis, otherwise in zip(axes, default, strict=True):
                given = fields.get(f"{letter}{axis}")
                found.append(int(given) if given else found[-1] if f"{letter}{axes[0]}" in fields else otherwise)
            return tuple(found)

        rank = len(axes)
        before = sizes("p", (0,) * rank)
        padding = sum(zip(before, sizes("e", before), strict=True), ())
        dilation = tuple(int(d) for d in fields.get("dil", "1").split("x"))
        padding_value = fields.get("pv")
        if padding_value not in (None, "mean"):
            padding_value = float(padding_value)
        geometry = PoolGeometry.of(
            op, (int(fields.get("mb", 1)), int(fields["ic"]), *sizes("i", (0,) * rank)), sizes("k", (0,) * rank),
            sizes("s", (1,) * rank), padding, dilation[0] if len(dilation) == 1 else dilation, padding_value,
            fields.get("ceil") == "1",
        )  # fmt: skip
        said = sizes("o", geometry.out_size)
        if said != geometry.out_size:
            raise ValueError(f"geometry: {text!r} says output {said}, the numbers give {geometry.out_size}")
        return geometry


@remembered
def _pool_geometry(op, x_shape, pool_size, stride, padding, dilation, padding_value, rounding):
    """The validation behind PoolGeometry.of."""
    if op not in POOLS:
        raise ValueError(f"PoolGeometry: op must be one of {', '.join(POOLS)}, got {op!r}")
    check_shape(x_shape, "PoolGeometry: x_shape")
    rank = int(op[-2])
    if len(x_shape) != rank + 2:
        raise ValueError(f"{op}: x must have {rank + 2} axes, got {len(x_shape)} (x {x_shape})")
    if x_shape[0] < 0:
        raise ValueError(f"{op}: x has a batch of {x_shape[0]} (x {x_shape})")
    if min(x_shape[1:]) < 1:
        raise ValueError(f"{op}: x has an axis of size 0 (x {x_shape})")
    pool_size = per_axis(pool_size, rank, f"{op}: pool_size", 1)
    stride = pool_size if stride is None else per_axis(stride, rank, f"{op}: stride", 1)
    dilation = per_axis(dilation, rank, f"{op}: dilation", 1)
    if op.startswith("max"):
        if padding_value is not None:
            raise ValueError(f"{op}: padded cells never win, padding_value must be None, got {padding_value!r}")
    elif padding_value is None:
        padding_value = 0.0
    elif isinstance(padding_value, str):
        if padding_value != "mean":
            raise ValueError(f'{op}: padding_value must be a number or "mean", got {padding_value!r}')
    else:
        padding_value = number(padding_value, f"{op}: padding_value", 'a number or "mean"')
    in_size = tuple(x_shape[2:])
    if math.prod(in_size) >= 2**31:
        raise ValueError(f"{op}: a plane must have fewer than 2**31 cells, x has {math.prod(in_size)} (x {x_shape})")
    pairs = padding_pairs(padding, in_size, pool_size, stride, dilation, f"{op}: padding")
    geometry = PoolGeometry(op, x_shape[0], x_shape[1], in_size, pool_size, stride, pairs, dilation, padding_value,
                            rounding == "ceil")  # fmt: skip
    last = [
        (o - 1) * s + (p - 1) * d < before + i + after  # whether the last window ends in the padded input
        for o, s, p, d, i, (before, after) in zip(geometry.out_size, stride, pool_size, dilation, in_size, pairs,
                                                  strict=True)
    ]  # fmt: skip
    return replace(geometry, ceil_mode=False) if all(last) else geometry


@dataclass(frozen=True, eq=False)
class GlobalPoolGeometry(Problem):
    """`planes` planes of `cells` numbers, of each of which one number remains.

    Examples
    --------
    >>> str(GlobalPoolGeometry("global_avg_pool", 64 * 128, 49))
    'p8192n49'
    """

    op: str
    planes: int
    cells: int

    @functools.cached_property
    def shapes(self):
        """The shape of each array of the problem, by name."""
        planes, whole = (self.planes,), (self.planes, self.cells)
        return {"x": whole, "y": planes, "index": planes, "grad_x": whole, "grad_y": planes}

    @property
    def SIGNATURES(self):
        """What each direction takes and returns: the places of the largest numbers show gradients the way."""
        if self.op == "global_max_pool":
            return {"forward": (("x",), ("y", "index")), "backward_input": (("grad_y", "index"), "grad_x")}
        return {"forward": (("x",), "y"), "backward_input": (("grad_y",), "grad_x")}

    OPTIONAL = ()
    DTYPES = {"index": np.int64}

    def operations(self, direction):
        """Return the operations: one for each number."""
        return self.planes * self.cells

    def __str__(self):
        return f"p{self.planes}n{self.cells}"
