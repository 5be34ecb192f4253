"""Rearranging elements: shapes, axes, parts, joining and padding. Every gradient here only moves numbers back."""

import functools
import math
import operator

import numpy as np

from convcore.arrays import is_scalar, same_dtype
from convcore.autograd.tape import record
from convcore.autograd.tensor import as_tensor
from convcore.kernels import JoiningGeometry, run

_joining = functools.lru_cache(maxsize=1024)(JoiningGeometry)  # to make one takes a microsecond


def normalize_axes(op, axis, shape, what="x", new=0):
    """Return `axis`, an int, a tuple of them or None for all, as a tuple of axes counted from 0.

    Parameters
    ----------
    op, what : str
        Name the function and the array of this `shape` in the error.
    axis : int, tuple of int or None
        Negative ones count from the end.
    shape : tuple of int
    new : int
        How many axes the result has more than `shape`.

    Raises
    ------
    ValueError
        An axis that does not exist or comes twice.
    TypeError
        An axis that is no int.

    Examples
    --------
    >>> normalize_axes("sum", -1, (2, 3))
    (1,)
    """
    ndim = len(shape) + new
    if axis is None:
        return tuple(range(ndim))
    axes = []
    for value in axis if isinstance(axis, (tuple, list)) else (axis,):
        try:
            value = operator.index(value)
        except TypeError:
            raise TypeError(f"{op}: an axis must be an int, got {type(value).__name__}") from None
        if not -ndim <= value < ndim:
            raise ValueError(f"{op}: axis {value} does not exist, there are {ndim} axes ({what} {shape})")
        axes.append(value % ndim)
    if len(set(axes)) < len(axes):
        raise ValueError(f"{op}: axes {axis} name an axis twice ({what} {shape})")
    return tuple(axes)


def reshape(x, *shape):
    """Give the elements, in row order, another shape.

    Parameters
    ----------
    x : Tensor or array_like
    shape : ints or one tuple of ints
        One of them may be -1: what is left.

    Returns
    -------
    Tensor
        A view of x's array where possible.

    Raises
    ------
    ValueError
        A shape with another number of elements.
    TypeError
        A size that is no int.

    Examples
    --------
    >>> reshape([1, 2, 3, 4], (2, -1)).numpy()
    array([[1., 2.],
           [3., 4.]])
    """
    x = as_tensor(x, "reshape: x")
    shape = _unpack(shape)
    try:
        y = x.data.reshape(shape)
    except ValueError:
        raise ValueError(f"reshape: {x.size} elements do not fit the shape {shape} (x {x.shape})") from None
    except TypeError:
        raise TypeError(f"reshape: a shape must be made of ints, got {shape}") from None
    return record("reshape", y, inputs=(x,), backward=reshape_backward)


def reshape_backward(record, grad_y, needs):
    """Give the gradient x's shape."""
    return (grad_y.reshape(record.inputs[0].shape),)


def flatten(x):
    """Make each sample one row: (N, ...) becomes (N, -1).

    Raises
    ------
    ValueError
        x has no axis.

    Examples
    --------
    >>> flatten(np.zeros((2, 3, 4))).shape
    (2, 12)
    """
    x = as_tensor(x, "flatten: x")
    if x.ndim == 0:
        raise ValueError(f"flatten: x needs a batch axis, it has 0 axes (x {x.shape})")
    y = x.data.reshape(x.shape[0], math.prod(x.shape[1:]))  # (N, everything else); -1 would fail for N = 0
    return record("flatten", y, inputs=(x,), backward=reshape_backward)


def transpose(x, *axes):
    """Permute the axes: axis i of the result is axis axes[i] of x.

    Parameters
    ----------
    x : Tensor or array_like
    axes : ints or one tuple of ints, optional
        A permutation, negative axes from the end; without it the axes are reversed.

    Returns
    -------
    Tensor
        A view of x's array.

    Raises
    ------
    ValueError
        Not a permutation of x's axes.
    TypeError
        An axis that is no int.

    Examples
    --------
    >>> transpose(np.zeros((2, 3, 4)), (0, 2, 1)).shape
    (2, 4, 3)
    """
    x = as_tensor(x, "transpose: x")
    axes = _unpack(axes)
    axes = tuple(range(x.ndim))[::-1] if axes in ((), None) else normalize_axes("transpose", axes, x.shape)
    if len(axes) != x.ndim:
        raise ValueError(f"transpose: {len(axes)} axes given, x has {x.ndim} (x {x.shape})")
    y = x.data.transpose(axes)
    return record("transpose", y, inputs=(x,), attributes={"axes": axes}, backward=transpose_backward)


def transpose_backward(record, grad_y, needs):
    """Permute back."""
    return (grad_y.transpose(np.argsort(record.attributes["axes"])),)


def getitem(x, index):
    """Select a part: y = x[index], by NumPy's rules.

    Parameters
    ----------
    x : Tensor or array_like
    index : int, slice, ..., None, integer array, boolean mask, or a tuple of them

    Returns
    -------
    Tensor
        A view for ints and slices, a copy for arrays.

    Raises
    ------
    IndexError
        Out of range, or no index at all.

    Notes
    -----
    An element selected several times gets the sum of the gradients.

    Examples
    --------
    >>> getitem([[1, 2], [3, 4]], (slice(None), 0)).numpy()
    array([1., 3.])
    """
    x = as_tensor(x, "getitem: x")
    try:
        y = x.data[index]
    except IndexError as error:
        raise IndexError(f"getitem: {error} (x {x.shape})") from None
    return record("getitem", y, inputs=(x,), attributes={"index": index}, backward=getitem_backward)


def getitem_backward(record, grad_y, needs):
    """Put the gradient back where the elements were read, adding up where one was read more than once."""
    index = record.attributes["index"]
    grad_x = np.zeros(record.inputs[0].shape, grad_y.dtype)
    parts = index if isinstance(index, tuple) else (index,)
    if all(part is None or part is Ellipsis or type(part) in (int, slice) for part in parts):
        grad_x[index] = grad_y  # ints and slices read nothing twice
    else:
        np.add.at(grad_x, index, grad_y)
    return (grad_x,)


def concatenate(tensors, axis=0):
    """Join tensors along an axis they have.

    Parameters
    ----------
    tensors : sequence of Tensor or array_like, one dtype, shapes equal except along `axis`
    axis : int

    Returns
    -------
    Tensor

    Raises
    ------
    ValueError
        No tensors; shapes that differ elsewhere; an axis that does not exist.
    TypeError
        float32 and float64 together.

    Examples
    --------
    >>> concatenate([[1, 2], [3]]).numpy()
    array([1., 2., 3.])
    """
    tensors = _list("concatenate", tensors)
    first = tensors[0].shape
    (axis,) = normalize_axes("concatenate", (axis,), first, "tensors[0]")
    for i, tensor in enumerate(tensors):
        other = tensor.shape
        if len(other) != len(first):
            text = f"concatenate: tensors[{i}] has {len(other)} axes, tensors[0] has {len(first)}"
            raise ValueError(f"{text} (tensors[0] {first}, tensors[{i}] {other})")
        for k, (m, n) in enumerate(zip(first, other, strict=True)):
            if k != axis and m != n:
                text = f"concatenate: axis {k} has {n} elements in tensors[{i}], {m} in tensors[0]"
                raise ValueError(f"{text} (tensors[0] {first}, tensors[{i}] {other})")
    shape = (*first[:axis], sum(tensor.shape[axis] for tensor in tensors), *first[axis + 1 :])
    geometry = _joining(math.prod(first[:axis]), tuple(math.prod(tensor.shape[axis:]) for tensor in tensors))
    if 0 in (geometry.rows, *geometry.sizes):
        y = np.concatenate([tensor.data for tensor in tensors], axis)
    else:
        parts = [tensor.data.reshape(geometry.rows, -1) for tensor in tensors]
        y = run("concatenate", "forward", geometry, *parts).reshape(shape)
    return record("concatenate", y, inputs=tensors, geometry=geometry, attributes={"axis": axis},
                  backward=concatenate_backward)  # fmt: skip


def concatenate_backward(record, grad_y, needs):
    """Cut the gradient into the parts it was joined from."""
    geometry, shapes = record.geometry, [tensor.shape for tensor in record.inputs]
    if 0 in (geometry.rows, *geometry.sizes):
        axis = record.attributes["axis"]
        return tuple(np.split(grad_y, np.cumsum([shape[axis] for shape in shapes])[:-1], axis))
    if len(shapes) == 1:
        return (grad_y,)
    parts = run("concatenate", "backward_input", geometry, grad_y.reshape(geometry.rows, -1))
    return tuple(part.reshape(shape) for part, shape in zip(parts, shapes, strict=True))


def stack(tensors, axis=0):
    """Join tensors of one shape along a new axis.

    Parameters
    ----------
    tensors : sequence of Tensor or array_like, one shape, one dtype
    axis : int
        The new axis, in the result.

    Returns
    -------
    Tensor

    Raises
    ------
    ValueError
        No tensors; shapes that differ; an axis that does not exist.
    TypeError
        float32 and float64 together.

    Examples
    --------
    >>> stack([[1, 2], [3, 4]], axis=1).numpy()
    array([[1., 3.],
           [2., 4.]])
    """
    tensors = _list("stack", tensors)
    first = tensors[0].shape
    for i, tensor in enumerate(tensors):
        if tensor.shape != first:
            text = f"stack: tensors[{i}] must have the shape of tensors[0]"
            raise ValueError(f"{text} (tensors[0] {first}, tensors[{i}] {tensor.shape})")
    (axis,) = normalize_axes("stack", (axis,), first, "tensors[0]", new=1)
    y = np.stack([tensor.data for tensor in tensors], axis)
    return record("stack", y, inputs=tensors, attributes={"axis": axis}, backward=stack_backward)


def stack_backward(record, grad_y, needs):
    """Each tensor gets its slice."""
    return tuple(np.moveaxis(grad_y, record.attributes["axis"], 0))


def pad(x, pad_width, value=0):
    """Put constant cells around x.

    Parameters
    ----------
    x : Tensor or array_like
    pad_width : int, (int, int) or one (int, int) per axis, in cells
        How many before and after, as in `numpy.pad`.
    value : float
        What the new cells hold.

    Returns
    -------
    Tensor

    Raises
    ------
    ValueError
        A negative width; pairs for another number of axes.
    TypeError
        A width that is no int; a value that is no number.

    Examples
    --------
    >>> pad([1, 2], (1, 2)).numpy()
    array([0., 1., 2., 0., 0.])
    """
    x = as_tensor(x, "pad: x")
    if not is_scalar(value):
        raise TypeError(f"pad: value must be a number, got {type(value).__name__}")
    try:
        widths = np.asarray(pad_width)
    except ValueError:  # ragged
        widths = np.zeros(0, int)
    if widths.dtype.kind not in "iu":
        raise TypeError(f"pad: pad_width must be made of ints, got {pad_width!r}")
    if widths.shape not in ((), (2,), (1, 2), (x.ndim, 2)):
        text = f"pad: pad_width must be an int, a pair or {x.ndim} pairs, got {pad_width!r}"
        raise ValueError(f"{text} (x {x.shape})")
    if (widths < 0).any():
        raise ValueError(f"pad: pad_width must be at least 0, got {widths.min()} (x {x.shape})")
    widths = np.broadcast_to(widths, (x.ndim, 2)).tolist()
    sizes = list(zip(x.shape, widths, strict=True))
    y = np.full([before + size + after for size, (before, after) in sizes], value, x.dtype)
    inside = tuple(slice(before, before + size) for size, (before, _) in sizes)
    y[inside] = x.data
    return record("pad", y, inputs=(x,), attributes={"inside": inside}, backward=pad_backward)


def pad_backward(record, grad_y, needs):
    """Cut the border off; the constant takes no gradient."""
    return (grad_y[record.attributes["inside"]],)


def _unpack(arguments):
    """Return what was given as f(x, 2, 3), f(x, (2, 3)) or f(x, None) as the tuple (2, 3), or None."""
    single = len(arguments) == 1 and (arguments[0] is None or isinstance(arguments[0], (tuple, list)))
    return arguments if not single else None if arguments[0] is None else tuple(arguments[0])


def _list(op, tensors):
    """Return a sequence of array_likes as a tuple of Tensors of one dtype."""
    tensors = tuple(as_tensor(value, f"{op}: tensors[{i}]") for i, value in enumerate(tensors))
    if not tensors:
        raise ValueError(f"{op}: at least 1 tensor is needed, got 0")
    same_dtype(op, **{f"tensors[{i}]": tensor.data for i, tensor in enumerate(tensors)})
    return tensors
