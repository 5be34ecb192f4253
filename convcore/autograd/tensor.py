"""An array that remembers: the values, their gradient, and where they came from."""

import numpy as np

from convcore.arrays import as_float_array


class Tensor:
    """A NumPy array with a gradient beside it.

    Operations on tensors are recorded while a `Tape` is open and an input requires a gradient; outside a tape
    nothing is kept. Arithmetic (``+ - * / @ **``, indexing, ``sum`` ...) is attached by `convcore.ops.operators`.

    Parameters
    ----------
    data : array_like of float32 or float64
        Float arrays are shared, not copied; lists, integers and booleans become float64. Given a Tensor, the new
        one shares its array and forgets its history.
    requires_grad : bool
        Whether `Tape.backward` shall fill `grad`.
    name : str, optional
        What steps and errors call this tensor, for example ``"conv1.weights"``.
    format : str, optional
        What the axes are, one letter each in the array's own order, for example ``"SSCB"``: S spatial (up to three),
        C channel, B batch, T time. Layers read it; functions ignore it, and their results have none.

    Attributes
    ----------
    data : ndarray
        The values.
    grad : ndarray or None
        The gradient, of the shape and dtype of `data`; C-contiguous, writable, shared with no other array.
    version : int
        How often the values were changed. Whoever writes into `data` in place must add one, as `assign` does.

    Raises
    ------
    TypeError
        Complex numbers, objects, strings, other float widths; a name or format that is no str.
    ValueError
        A format with other letters, with a letter too often, or for another number of axes.

    Notes
    -----
    ``==`` compares identity, so that tensors can be keys of a dict. Compare values through ``.data``.

    Examples
    --------
    >>> Tensor([1, 2, 3], requires_grad=True, name="w")
    Tensor([1., 2., 3.], requires_grad=True, name='w')
    """

    # _tape is a weak reference to the tape that recorded this tensor: a tape holds its tensors, never the reverse,
    # so a training step is freed by reference counting alone.
    __slots__ = "data grad requires_grad name format version _tape __weakref__".split()

    # Both make NumPy hand `ndarray + Tensor` over to Tensor.__radd__; np.exp(tensor) is a TypeError, not a silent
    # loss of the gradient.
    __array_ufunc__ = None
    __array_priority__ = 1000.0

    def __init__(self, data, requires_grad=False, name=None, format=None):
        if not isinstance(requires_grad, (bool, np.bool_)):
            raise TypeError(f"Tensor: requires_grad must be True or False, got {requires_grad!r}")
        for what, text in (("name", name), ("format", format)):
            if text is not None and not isinstance(text, str):
                raise TypeError(f"Tensor: {what} must be a str or None, got {type(text).__name__}")
        self.data = as_float_array(data, "Tensor: data")
        if format is not None:
            check_format(format, self.data.shape, "Tensor", "data")
        self.grad = None
        self.requires_grad = bool(requires_grad)
        self.name = name
        self.format = format
        self.version = 0
        self._tape = None

    @property
    def shape(self):
        """The size of each axis, a tuple of ints."""
        return self.data.shape

    @property
    def dtype(self):
        """float32 or float64, as a NumPy dtype."""
        return self.data.dtype

    @property
    def ndim(self):
        """The number of axes."""
        return self.data.ndim

    @property
    def size(self):
        """The number of elements."""
        return self.data.size

    @property
    def is_leaf(self):
        """Whether it was not computed on a tape: as parameters are, and inputs."""
        return self._tape is None

    def numpy(self):
        """Return the values as the ndarray itself, not a copy."""
        return self.data

    def item(self):
        """Return the only element as a Python float.

        Raises
        ------
        ValueError
            Not exactly one element.
        """
        if self.data.size != 1:
            raise ValueError(f"item: wants 1 element, the tensor has {self.data.size} (tensor {self.data.shape})")
        return self.data.item()

    def assign(self, value):
        """Give the tensor new values, and count the change in `version`.

        The values go into a new array of this tensor's dtype: an array that somebody else holds (the one the tensor
        was made from, one saved for backward, a view) is never written to.

        Parameters
        ----------
        value : array_like of this tensor's shape

        Raises
        ------
        ValueError
            Another shape.

        Examples
        --------
        >>> x = Tensor([1.0, 2.0])
        >>> x.assign([3, 4])
        >>> x.data, x.version
        (array([3., 4.]), 1)
        """
        value = as_float_array(value, "assign: value")
        if value.shape != self.data.shape:
            raise ValueError(f"assign: value must have the tensor's shape (value {value.shape}, tensor {self.shape})")
        self.data = np.array(value, dtype=self.data.dtype, order="C")
        self.version += 1

    def backward(self, grad=None, keep=None):
        """Fill the gradients of everything this tensor was computed from; see `Tape.backward`.

        Raises
        ------
        RuntimeError
            The tensor was computed outside a tape, or its tape is gone.
        """
        tape = None
        if self._tape is not None:
            tape = self._tape()
            if tape is None:
                raise RuntimeError(
                    'backward: the tape that recorded this tensor is gone; keep it: "with convcore.Tape() as tape"'
                )
        if tape is None:
            raise RuntimeError(NOT_RECORDED)
        tape.backward(self, grad, keep)

    def __len__(self):
        return len(self.data)

    def __bool__(self):
        return bool(self.data)  # without this, Python would ask __len__

    def __float__(self):
        return self.item()

    def __array__(self, dtype=None, copy=None):
        return np.array(self.data, dtype=dtype, copy=copy)

    def __dlpack__(self, **options):
        return self.data.__dlpack__(**options)

    def __dlpack_device__(self):
        return self.data.__dlpack_device__()

    def __repr__(self):
        kind = type(self).__name__
        text = kind + "(" + np.array2string(self.data, separator=", ", prefix=kind + "(")
        text += "" if self.dtype == np.float64 else f", dtype={self.dtype}"
        text += ", requires_grad=True" if self.requires_grad else ""
        text += "" if self.name is None else f", name={self.name!r}"
        text += "" if self.format is None else f", format={self.format!r}"
        return text + ")"


FORMAT_LETTERS = {"S": 3, "C": 1, "B": 1, "T": 1}  # how often each may occur


def check_format(format, shape, op, what):
    """Raise a ValueError unless `format` can say what the axes of a shape are; `op` and `what` name the two.

    Examples
    --------
    >>> check_format("SSCB", (28, 28, 1, 64), "demo", "x")
    """
    if "U" in format:
        raise ValueError(f'{op}: the letter U (unspecified) is not supported yet; S, C, B and T are, got "{format}"')
    if not set(format) <= set(FORMAT_LETTERS):
        raise ValueError(
            f'{op}: format must be made of the letters S (spatial), C (channel), B (batch) and T (time), got "{format}"'
        )
    for letter, most in FORMAT_LETTERS.items():
        if format.count(letter) > most:
            often = "once" if most == 1 else f"{most} times"
            raise ValueError(f'{op}: format must hold {letter} at most {often}, got "{format}"')
    if len(format) != len(shape):
        raise ValueError(f'{op}: format "{format}" is for {len(format)} axes, {what} has {len(shape)} ({what} {shape})')


NOT_RECORDED = 'backward: this tensor was not recorded; compute it inside "with convcore.Tape()"'


def wrap(array):
    """Return `array`, the result of an op, as a Tensor: `Tensor(array)` without the checks, for it is float already."""
    tensor = Tensor.__new__(Tensor)
    # NumPy turns 0-d results into scalars.
    tensor.data = array if type(array) is np.ndarray else np.asarray(array)
    tensor.grad = tensor.name = tensor.format = tensor._tape = None
    tensor.requires_grad = False
    tensor.version = 0
    return tensor


def as_tensor(value, what):
    """Return a Tensor as it is, and anything else as a constant Tensor; `what` names it in the error.

    Raises
    ------
    TypeError
        `value` is no array of float32, float64, integers or booleans.

    Examples
    --------
    >>> as_tensor([[1, 2]], "conv2d: x").shape
    (1, 2)
    """
    return value if isinstance(value, Tensor) else wrap(as_float_array(value, what))
