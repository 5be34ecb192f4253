"""What the axes of an activation are, and how a layer gets them in the order that it computes in.

A format has one letter per axis, in the array's own order: S spatial, C channel, B batch, T time. A layer says in its
`layout` what it works on, and computes on one order of axes only: observations first, then channels, then the rest.
`arrangement` is the only place that knows how the one becomes the other and back; data and sizes both go through it.
"""

import functools
import math
from typing import NamedTuple

from convcore.autograd import Tensor
from convcore.ops import reshape, transpose

# What each layout needs, as errors say it.
WANTED = {
    "channels": 'B and C, such as "BCSS"',
    "features": 'B and C, such as "BCSS" or "BCT"',
    "flatten": 'B and C, such as "BCSS" or "BCT"',
    "global": 'B, C and S or T, such as "BCSS" or "BCT"',
    "windows1": 'B, C and one S or T, such as "BCS" or "BCT"',
    "windows2": 'B, C and two S, or one S and T, such as "BCSS" or "BCST"',
    "windows3": 'B, C and three S, or two S and T, such as "BCSSS" or "BCSST"',
}


class Form(NamedTuple):
    """What is known of an activation before there is one.

    Attributes
    ----------
    shape : tuple of int
        With the batch axis, whose size is that of one observation, 1.
    format : str or None
    """

    shape: tuple
    format: str | None

    @classmethod
    def of_observation(cls, shape, format=None):
        """Return the form of one observation, from its shape without the batch axis.

        Examples
        --------
        >>> Form.of_observation((28, 28, 3), "SSCB")
        Form(shape=(28, 28, 3, 1), format='SSCB')
        """
        position = 0 if format is None else format.index("B")
        return cls((*shape[:position], 1, *shape[position:]), format)

    @property
    def observation(self):
        """The shape without the batch axis."""
        position = 0 if self.format is None else self.format.index("B")
        return self.shape[:position] + self.shape[position + 1 :]


class Arrangement(NamedTuple):
    """How an input becomes what a layer computes on, and how its output goes back.

    Attributes
    ----------
    order : tuple of int or None
        The permutation of the input's axes; None where they stand so already.
    folded : int
        How many axes then become one batch axis: 1, or 2 where each time step counts as an observation.
    dropped : int
        How many axes of size 1 at the end the output loses.
    back : tuple of int or None
        The permutation of the output's axes, unfolded; None where they stand so already.
    format : str
        The output's, in the axis order of the input.
    """

    order: tuple | None
    folded: int
    dropped: int
    back: tuple | None
    format: str

    def take(self, x):
        """Return a Tensor as the layer computes on it; no copy and nothing recorded where it is so already."""
        if self.order is not None:
            x = transpose(x, self.order)
        return reshape(x, _fold(x.shape)) if self.folded == 2 else x

    def give(self, y, x_shape):
        """Return the layer's output for an input of this shape in the input's axis order, with its format."""
        unfolded = self._unfold(y.shape, x_shape)
        if unfolded != y.shape:
            y = reshape(y, unfolded)
        if self.back is not None:
            y = transpose(y, self.back)
        y.format = self.format
        return y

    def take_shape(self, shape):
        """Return what `take` makes of a shape."""
        shape = _permute(shape, self.order)
        return _fold(shape) if self.folded == 2 else shape

    def give_shape(self, y_shape, x_shape):
        """Return what `give` makes of a shape."""
        return _permute(self._unfold(y_shape, x_shape), self.back)

    def _unfold(self, y_shape, x_shape):
        kept = len(y_shape) - self.dropped
        if self.folded == 1:
            return tuple(y_shape[:kept])
        return (*_permute(x_shape, self.order)[:2], *y_shape[1:kept])


class Inferred(NamedTuple):
    """What a layer makes of its inputs, as far as sizes go.

    Attributes
    ----------
    input_shape : tuple of int, or a tuple of these for a layer with several inputs
        What the layer computes on, without the batch axis.
    output : Form
    repeats : int
        How often it computes for one observation: the number of time steps where it takes these one by one.
    moved : int
        The elements of one observation that are copied to bring axes into order.
    """

    input_shape: tuple
    output: Form
    repeats: int = 1
    moved: int = 0


def canonical(format):
    """Return the letters of a format in the order that the package computes in.

    Examples
    --------
    >>> [canonical(format) for format in ("SSCB", "CBT", "SSCBT", "SCTB")]
    ['BCSS', 'BCT', 'BTCSS', 'BTCS']
    """
    return "".join(sorted(format, key=("BTCS" if "S" in format else "BCT").index))


def permutation(format, wanted):
    """Return the axes of `format` in the order of `wanted`, letters that both hold; None where nothing is to do.

    The first S of the one is the first S of the other.

    Examples
    --------
    >>> permutation("SSCB", "BCSS")
    (3, 2, 0, 1)
    """
    axes = marks(format)
    return _order(tuple(axes.index(mark) for mark in marks(wanted)))


def reordered(x, wanted):
    """Return a Tensor with a format in another order of its axes; x itself where it is so already."""
    order = permutation(x.format, wanted)
    if order is not None:
        x = transpose(x, order)
        x.format = wanted
    return x


def in_order_of(format, given):
    """Return the letters of `format` in the order in which they stand in `given`; others come last.

    Examples
    --------
    >>> in_order_of("BC", "SSCB"), in_order_of("BTC", "CBT")
    ('CB', 'CBT')
    """
    places = {mark: place for place, mark in enumerate(marks(given))}
    return "".join(mark[0] for mark in sorted(marks(format), key=lambda mark: places.get(mark, len(given))))


def labelled(x, format):
    """Return a Tensor with the values of x and this format; x itself is not changed.

    Examples
    --------
    >>> labelled(Tensor([[1.0, 2.0]]), "BC").format
    'BC'
    """
    y = reshape(x, x.shape) if x.requires_grad else Tensor(x.data)
    y.format = format
    return y


def assumed(layer, ndim):
    """Return the format that a layer takes an input without one for, or None where its own order of axes is meant."""
    return "BTCSS" if layer.layout == "windows" and layer.rank == 2 and ndim == 5 else None


def arrangement(layer, format):
    """Return the Arrangement of inputs of this format for a layer.

    Raises
    ------
    ValueError
        A format that the layer cannot take; the text names the layer and says what it takes.
    """
    kind = layer.layout + (str(layer.rank) if layer.layout == "windows" else "")
    found = _arrangement(kind, format)
    if found is None:
        name, batch = type(layer).__name__, "" if "B" in format else "; it has no batch axis B"
        raise ValueError(f'{layer.name or name}: {name} takes formats with {WANTED[kind]}, got "{format}"{batch}')
    return found


@functools.cache
def _arrangement(kind, format):
    """Return the Arrangement for a kind of layer, or None where it does not take the format."""
    if kind == "elementwise":
        return Arrangement(None, 1, 0, None, format)
    if not {"B", "C"} <= set(format):
        return None
    axes = marks(format)
    spatial = [mark for mark in axes if mark[0] == "S"]
    time = [mark for mark in axes if mark == "T"]
    if kind == "channels":
        steps, cells = [], [mark for mark in axes if mark not in ("B", "C")]
    elif kind in ("features", "flatten"):
        steps, cells = time, spatial
    elif kind == "global":
        steps, cells = (time, spatial) if spatial else ([], time)
        if not cells:
            return None
    else:
        rank = int(kind.removeprefix("windows"))
        steps, cells = (time, spatial) if len(spatial) == rank else ([], spatial + time)
        if len(cells) != rank:
            return None
    first = sorted(["B", *steps], key=axes.index)  # in the input's order: nothing to move where they stand together
    entering = [*first, "C", *cells]
    if kind in ("features", "flatten"):
        leaving = [*first, "C"]
    else:
        leaving = [mark for mark in entering if kind != "global" or mark in steps or mark != "T"]
    output = sorted(leaving, key=axes.index)
    return Arrangement(
        order=_order(tuple(axes.index(mark) for mark in entering)),
        folded=len(first),
        dropped=1 if kind == "global" and len(leaving) < len(entering) else 0,
        back=_order(tuple(leaving.index(mark) for mark in output)),
        format="".join(mark[0] for mark in output),
    )


def apply(layer, x, training, rng, forward=None):
    """Return a layer's output for an input Tensor, or a tuple of them, of any format that it takes.

    What computes it is the layer's `forward`, or another function that does more on the same order of axes.
    """
    forward = forward or layer.forward
    several = isinstance(x, tuple)
    inputs = _alike(layer, x) if several else (x,)
    format = inputs[0].format or assumed(layer, inputs[0].ndim)
    if format is None:
        return forward(x, training, rng)
    plan = arrangement(layer, format)
    arranged = tuple(plan.take(tensor) for tensor in inputs)
    y = forward(arranged if several else arranged[0], training, rng)
    _check_axes(layer, plan, arranged[0].ndim, y.shape)
    return plan.give(y, inputs[0].shape)


def infer(layer, forms):
    """Return what a layer makes of inputs of these forms, as `Inferred`.

    Raises
    ------
    ValueError
        Sizes or formats that the layer cannot take.
    """
    several = layer.num_inputs > 1
    format = forms[0].format or assumed(layer, len(forms[0].shape))
    if several:
        forms = _alike_forms(layer, forms)
    if format is None:
        shapes = tuple(form.shape[1:] for form in forms)
        shape = shapes if several else shapes[0]
        return Inferred(shape, Form((1, *layer.output_shape(shape)), None))
    plan = arrangement(layer, format)
    shapes = tuple(plan.take_shape(form.shape) for form in forms)
    shape = tuple(s[1:] for s in shapes) if several else shapes[0][1:]
    y_shape = (shapes[0][0], *layer.output_shape(shape))
    _check_axes(layer, plan, len(shapes[0]), y_shape)
    output = Form(plan.give_shape(y_shape, forms[0].shape), plan.format)
    moved = sum(map(math.prod, shapes)) if plan.order is not None else 0
    moved += math.prod(y_shape) if plan.back is not None else 0
    return Inferred(shape, output, shapes[0][0] if plan.folded == 2 else 1, moved)


def _alike(layer, tensors):
    """Return the inputs of a layer with several in the axis order of the first."""
    formats = [tensor.format for tensor in tensors]
    _check_alike(layer, formats)
    return tensors if formats[0] is None else tuple(reordered(tensor, formats[0]) for tensor in tensors)


def _alike_forms(layer, forms):
    formats = [form.format for form in forms]
    _check_alike(layer, formats)
    if formats[0] is None:
        return forms
    return [Form(_permute(form.shape, permutation(form.format, formats[0])), formats[0]) for form in forms]


def _check_alike(layer, formats):
    if len({None if format is None else "".join(sorted(format)) for format in formats}) > 1:
        texts = " and ".join("none" if format is None else f'"{format}"' for format in dict.fromkeys(formats))
        name = type(layer).__name__
        raise ValueError(f"{layer.name or name}: the inputs of {name} must have formats of the same letters, "
                         f"got {texts}")  # fmt: skip


def _check_axes(layer, plan, entering, y_shape):
    """A layer that keeps to its layout gives the axes that the arrangement puts back."""
    wanted = len(plan.format) + plan.dropped - plan.folded + 1
    if len(y_shape) != wanted:
        name = type(layer).__name__
        raise ValueError(
            f'{layer.name or name}: the layout "{layer.layout}" makes {wanted} axes of {entering}, {name} made '
            f"{len(y_shape)}; declare the layout that it has"
        )


def marks(format):
    """Return the letters with the S numbered.

    Examples
    --------
    >>> marks("SSC")
    ('S0', 'S1', 'C')
    """
    return tuple(f"S{format[:i].count('S')}" if letter == "S" else letter for i, letter in enumerate(format))


def _order(axes):
    """Return a permutation, or None where it changes nothing."""
    return None if axes == tuple(range(len(axes))) else axes


def _permute(shape, order):
    return tuple(shape) if order is None else tuple(shape[axis] for axis in order)


def _fold(shape):
    """(B, T, ...) becomes (B·T, ...)."""
    return (shape[0] * shape[1], *shape[2:])
