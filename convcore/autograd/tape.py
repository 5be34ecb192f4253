"""The tape: a list of records in the order of execution, walked in reverse by backward.

An op computes with NumPy or a kernel and hands its result to `record`. Going backward needs no search for an order:
a value exists before it is used, so when the walk reaches the record that made a value, every use of the value has
already added its share to the value's gradient.
"""

import contextlib
import weakref
from contextvars import ContextVar

import numpy as np

from convcore.arrays import as_float_array, is_scalar, lasting_ones, same_dtype
from convcore.autograd.tensor import NOT_RECORDED, Tensor, wrap

_active = ContextVar("convcore_tape", default=None)  # one per thread and task; the innermost tape


class Record:
    """One executed op: what went in, what came out, and what its backward wants to know.

    Attributes
    ----------
    op : str
        The op's name, for example ``"conv2d"``.
    inputs : tuple of Tensor or None
        In the order of the op's arguments; None for an optional one that was not given.
    output : Tensor
    saved : dict of str to ndarray
        Arrays kept for backward. They are not copied.
    geometry : object
        The shape arithmetic of a convolution or pooling, else None.
    variant : str or None
        The kernel variant asked for; None is automatic.
    attributes : dict
        The op's plain parameters, for example ``{"axis": 1}``.
    backward : function
        ``backward(record, grad_y, needs)`` returns one gradient per input.
    needs : tuple of bool
        Which inputs require a gradient.
    versions : tuple of int or None
        The `Tensor.version` of each input, then of the output, when the record was made.
    """

    __slots__ = "op inputs output saved geometry variant attributes backward needs versions".split()

    def __init__(self, op, inputs, output, saved, geometry, variant, attributes, backward, needs):
        self.op = op
        self.inputs = inputs
        self.output = output
        self.saved = {} if saved is None else saved
        self.geometry = geometry
        self.variant = variant
        self.attributes = {} if attributes is None else attributes
        self.backward = backward
        self.needs = needs
        self.versions = tuple([None if tensor is None else tensor.version for tensor in inputs] + [output.version])

    def gradients(self, grad_y):
        """Return `backward`'s gradient per input, after checking that the record still holds and the result fits."""
        for position, (tensor, version) in enumerate(zip((*self.inputs, self.output), self.versions, strict=True)):
            if tensor is not None and tensor.version != version:
                what = tensor.name or ("output" if tensor is self.output else f"input {position}")
                raise RuntimeError(
                    f"{self.op}: {what} changed between forward and backward "
                    f"(version {tensor.version}, recorded at {version}); run the forward pass again"
                )
        grad_inputs = self.backward(self, grad_y, self.needs)
        if not isinstance(grad_inputs, tuple) or len(grad_inputs) != len(self.inputs):
            raise TypeError(f"{self.op}: backward must return a tuple of {len(self.inputs)} gradients, one per input")
        checked = enumerate(zip(grad_inputs, self.needs, strict=True))
        return tuple([self._checked(position, grad) if needed else None for position, (grad, needed) in checked])

    def _checked(self, position, grad):
        """Return the gradient of one input as an array (NumPy turns 0-d results into scalars)."""
        data = self.inputs[position].data
        if grad is None or grad.shape != data.shape or grad.dtype != data.dtype:
            got = "None" if grad is None else f"{grad.dtype} {grad.shape}"
            wanted = f"{data.dtype} {data.shape}"
            raise ValueError(f"{self.op}: backward must return the gradient of input {position} as {wanted}, got {got}")
        return np.asarray(grad)

    def __repr__(self):
        return f"<Record {self.op} -> {self.output.shape}>"


def record(op, y, *, inputs, backward, saved=None, geometry=None, variant=None, attributes=None):
    """Return the result of an op as a Tensor, and write a `Record` on the active tape if an input requires a gradient.

    Every differentiable function ends with this call.

    Parameters
    ----------
    op : str
        The function's name.
    y : ndarray
        The result.
    inputs : tuple of Tensor or None
        The function's tensors, in the order of its arguments.
    backward : function
        ``backward(record, grad_y, needs)``, at module level, right under the function. `grad_y` has the shape and
        dtype of `y`, may be read-only and non-contiguous, and must not be written to. `needs` holds one bool per
        input. It returns a tuple with one gradient per input, of that input's shape and dtype, or None where none is
        needed. A gradient is a new array, or `grad_y` or a view of it; never a saved array.
    saved : dict of str to ndarray, optional
        What backward wants to see again.
    geometry, variant, attributes : optional
        See `Record`.

    Returns
    -------
    Tensor
        It requires a gradient if it was recorded. Without a tape nothing is kept.

    Examples
    --------
    >>> def double(x):
    ...     return record("double", 2 * x.data, inputs=(x,), backward=double_backward)
    >>> def double_backward(record, grad_y, needs):
    ...     return (2 * grad_y,)
    >>> x = Tensor([1.0, 2.0], requires_grad=True)
    >>> with Tape() as tape:
    ...     y = double(double(x))
    >>> tape.backward(y, grad=[1.0, 10.0])
    >>> x.grad
    array([ 4., 40.])
    """
    output = wrap(y)
    tape = _active.get()
    if tape is not None:
        output._tape = tape._ref
        needs = tuple([tensor is not None and tensor.requires_grad for tensor in inputs])
        if True in needs:
            output.requires_grad = True
            tape.records.append(Record(op, inputs, output, saved, geometry, variant, attributes, backward, needs))
    return output


def last_recorded(tensor):
    """Return the op that made a tensor if that was the last one on the open tape, else None.

    Examples
    --------
    >>> from convcore.ops.elementwise import exp
    >>> with Tape():
    ...     last_recorded(exp(Tensor(1.0, requires_grad=True)))
    'exp'
    """
    tape = _active.get()
    if tape is None or not tape.records or tape.records[-1].output is not tensor:
        return None
    return tape.records[-1].op


@contextlib.contextmanager
def paused():
    """Record nothing inside the ``with`` block, though a tape is open: for computing without a way back.

    Examples
    --------
    >>> from convcore.ops.elementwise import exp
    >>> with Tape() as tape:
    ...     with paused():
    ...         y = exp(Tensor(1.0, requires_grad=True))
    >>> len(tape)
    0
    """
    token = _active.set(None)
    try:
        yield
    finally:
        _active.reset(token)


def recording():
    """Whether a tape is open that notes what is computed now.

    Examples
    --------
    >>> with Tape():
    ...     recording()
    True
    >>> recording()
    False
    """
    return _active.get() is not None


class Step:
    """One record on the way back, with the gradients that flow through it.

    Attributes
    ----------
    op, output, variant, saved, geometry, attributes
        As in `Record`.
    inputs : tuple of Tensor
        The record's inputs without the None ones.
    grad_output : ndarray
        The gradient of the target with respect to `output`, complete.
    grad_inputs : tuple of ndarray or None
        What this record adds to the gradient of each of `inputs`; None where none is needed.
    output_name : str
    input_names : tuple of str
        The tensors' names; one without a name is called after the op that made it, ``"relu output 2"`` being the
        second relu of the tape, or ``"input 0"`` after its place.
    """

    __slots__ = (
        "op inputs output variant saved geometry attributes grad_output grad_inputs output_name input_names"
    ).split()

    def __init__(self, record, grad_output, grad_inputs, names):
        given = [position for position, tensor in enumerate(record.inputs) if tensor is not None]
        self.op = record.op
        self.inputs = tuple(record.inputs[position] for position in given)
        self.output = record.output
        self.saved = record.saved
        self.geometry = record.geometry
        self.variant = record.variant
        self.attributes = record.attributes
        self.grad_output = grad_output
        self.grad_inputs = tuple(grad_inputs[position] for position in given)
        self.output_name = names[record.output]
        self.input_names = tuple(
            names.get(record.inputs[position]) or record.inputs[position].name or f"input {position}"
            for position in given
        )

    def __repr__(self):
        named = zip(self.input_names, self.grad_inputs, strict=True)
        parts = [f"grad of {name} {grad.shape}" for name, grad in named if grad is not None]
        return f"{self.op}: grad of {self.output_name} {self.grad_output.shape} -> {', '.join(parts)}"


class Tape:
    """Record the ops executed inside ``with Tape() as tape:``, then walk them backward.

    The innermost open tape records. A tape may be walked again, and entered again to record more, until `clear`.
    Each thread has its own active tape.

    Attributes
    ----------
    records : list of Record
        In the order of execution.

    Examples
    --------
    >>> from convcore.ops.elementwise import multiply
    >>> x = Tensor(3.0, requires_grad=True, name="x")
    >>> with Tape() as tape:
    ...     y = multiply(x, x)
    >>> for step in tape.steps(y):
    ...     print(step)
    multiply: grad of multiply output () -> grad of x (), grad of x ()
    >>> tape.backward(y)
    >>> x.grad
    array(6.)
    """

    __slots__ = "records _ref _tokens __weakref__".split()
    add = None  # attached: how gradients are added up where a tensor was used more than once; both may be shared

    def __init__(self):
        self.records = []
        self._ref = weakref.ref(self)  # what the recorded tensors hold of this tape
        self._tokens = []

    def __enter__(self):
        self._tokens.append(_active.set(self))
        return self

    def __exit__(self, *exception):
        _active.reset(self._tokens.pop())

    def __len__(self):
        return len(self.records)

    def __bool__(self):
        return True  # an empty tape is a tape

    def __repr__(self):
        return f"<Tape of {len(self.records)} records>"

    def clear(self):
        """Forget all records, and with them the saved arrays."""
        self.records.clear()

    def backward(self, target, grad=None, keep=None):
        """Fill the gradients of the leaves `target` was computed from, adding to what is there.

        A leaf is a tensor that requires a gradient and was not made on this tape: a parameter, usually. Nothing is
        written if the walk fails.

        Parameters
        ----------
        target : Tensor
            Recorded on this tape.
        grad : array_like, shape and dtype of `target`, optional
            The gradient to start from; ones for a target with one element.
        keep : None or "all"
            "all" also sets `grad` of every tensor between the leaves and the target, and of the target. These are
            replaced, not added to: they belong to this walk.

        Raises
        ------
        RuntimeError
            The target was not recorded here, the tape was cleared, nothing requires a gradient, or a tensor changed
            between forward and backward.
        ValueError
            No `grad` for a target with several elements; a `grad` of another shape; an unknown `keep`.
        TypeError
            A `grad` of another dtype; a target that is no Tensor.
        """
        if keep is not None and keep != "all":
            raise ValueError(f'backward: keep must be None or "all", got {keep!r}')
        leaves, between = self.gradients(target, grad, keep)
        for tensor, gradient in leaves.items():
            tensor.grad = gradient if tensor.grad is None else Tape.add(tensor.grad, gradient)
        for tensor, gradient in between.items():
            tensor.grad = gradient

    def steps(self, target, grad=None):
        """Yield the records between `target` and the leaves as `Step` objects, last to first, writing no `.grad`.

        Parameters and errors are those of `backward`.
        """
        records, seed = self._start(target, grad)
        names, counts = {}, {}
        for entry in self.records:
            count = counts[entry.op] = counts.get(entry.op, 0) + 1
            names[entry.output] = entry.output.name or f"{entry.op} output" + (f" {count}" if count > 1 else "")
        return (Step(*visit, names) for visit in _walk(records, {target: seed}))

    def gradients(self, target, grad=None, keep=None):
        """Return what `backward` would add or set, writing no `.grad`. Parameters and errors are those of `backward`.

        Returns
        -------
        leaves, between : dict of Tensor to ndarray
            The gradients of the leaves and, if `keep` is "all", of the tensors between them and the target. Each
            array is C-contiguous, writable and shared with nothing.
        """
        records, seed = self._start(target, grad)
        grads, between = {target: seed}, {}
        for entry, grad_y, _ in _walk(records, grads):
            if keep is not None:
                between[entry.output] = grad_y.copy()
        taken = {_owner(seed)}
        for leaf, gradient in grads.items():  # what no record made is a leaf
            # y = a + b has one gradient for both, and a sum's is a broadcast view: copy what is not an array of its own
            owner, flags = _owner(gradient), gradient.flags
            if owner in taken or not (flags.c_contiguous and flags.writeable):
                grads[leaf] = gradient.copy()
            taken.add(owner)
        return grads, between

    def _start(self, target, grad):
        """Check the arguments of a walk; return the records to visit, last to first, and the gradient to start from."""
        if not isinstance(target, Tensor):
            raise TypeError(f"backward: target must be a Tensor, got {type(target).__name__}")
        if target._tape is None:
            raise RuntimeError(NOT_RECORDED)
        if target._tape is not self._ref:
            raise RuntimeError("backward: this tensor was recorded on another tape")
        if not target.requires_grad:
            raise RuntimeError(
                "backward: this tensor does not require grad; "
                "make what it is computed from with requires_grad=True before computing it"
            )
        for length in range(len(self.records), 0, -1):
            if self.records[length - 1].output is target:
                return self.records[length - 1 :: -1], _seed(target, grad)
        raise RuntimeError("backward: the tape was cleared since it recorded this tensor; run the forward pass again")


def _walk(records, grads):
    """Visit `records`, last to first, yielding (record, grad_output, grad_inputs); what is left in `grads` are leaves.

    `grads` maps a tensor to the gradient gathered so far and starts with the target's. A record whose output has no
    gradient does not lead to the target.
    """
    for entry in records:
        grad_y = grads.pop(entry.output, None)
        if grad_y is None:
            continue
        grad_inputs = entry.gradients(grad_y)
        for tensor, needed, gradient in zip(entry.inputs, entry.needs, grad_inputs, strict=True):
            if needed:
                earlier = grads.get(tensor)
                grads[tensor] = gradient if earlier is None else Tape.add(earlier, gradient)
        yield entry, grad_y, grad_inputs


def _owner(array):
    """Return the identity of the object whose memory an array uses."""
    return id(array if array.base is None else array.base)


def _seed(target, grad):
    """Return the gradient a walk starts from: `grad`, checked, or ones for a target with one element."""
    shape, dtype = target.shape, target.dtype
    if grad is None:
        if target.size != 1:
            raise ValueError(
                f"backward: a target of {target.size} elements needs the gradient to start from, "
                f"backward(target, grad), only one of 1 element does not (target {shape})"
            )
        return lasting_ones(shape, dtype)
    grad = np.asarray(grad, dtype) if is_scalar(grad) else as_float_array(grad, "backward: grad")
    if grad.shape != shape:
        raise ValueError(f"backward: grad must have the target's shape (grad {grad.shape}, target {shape})")
    same_dtype("backward", grad=grad, target=target.data)
    return grad


def value_and_gradient(f, argnums=0):
    """Return a function that computes f's value and its gradients, both as arrays; see `gradient`."""
    positions = (argnums,) if isinstance(argnums, (int, np.integer)) else tuple(argnums)

    def value_and_gradients(*arguments, **keywords):
        arguments = list(arguments)
        for position in positions:
            if not 0 <= position < len(arguments):
                raise ValueError(f"gradient: argnums has {position}, f was given {len(arguments)} arguments")
            value = arguments[position]
            name = value.name if isinstance(value, Tensor) else None
            arguments[position] = Tensor(as_float_array(value, f"gradient: argument {position}"), True, name)
        with Tape() as tape:
            y = f(*arguments, **keywords)
        if not isinstance(y, Tensor) or y.size != 1:
            got = f"shape {y.shape}" if isinstance(y, Tensor) else type(y).__name__
            raise TypeError(f"gradient: f must return a Tensor with one element, got {got}")
        if not y.requires_grad:
            raise RuntimeError("gradient: f's result does not depend on the arguments through recorded operations")
        leaves, _ = tape.gradients(y)
        wanted = [arguments[position] for position in positions]
        # An argument that y does not depend on has the gradient zero.
        grads = tuple(leaves[x] if x in leaves else np.zeros(x.shape, x.dtype) for x in wanted)
        return y.data, grads[0] if positions == (argnums,) else grads

    return value_and_gradients


def gradient(f, argnums=0):
    """Return a function that computes the gradient of `f` with respect to some of its arguments.

    Parameters
    ----------
    f : function
        Takes Tensors for the arguments named by `argnums` (the others are passed as they are) and returns a Tensor
        with one element.
    argnums : int or tuple of int
        Positions of the arguments, from 0.

    Returns
    -------
    function
        Of f's arguments, given as arrays. It returns one array for an int, a tuple of arrays for a tuple, and writes
        no tensor's `.grad`.

    Raises
    ------
    TypeError
        f does not return a Tensor with one element.
    ValueError
        A position that was not given.
    RuntimeError
        f's result does not depend on the arguments through recorded ops.

    Examples
    --------
    >>> from convcore.ops.elementwise import multiply
    >>> gradient(multiply)(3.0, 4.0)
    array(4.)
    >>> gradient(multiply, argnums=(0, 1))(3.0, 4.0)
    (array(4.), array(3.))
    """
    both = value_and_gradient(f, argnums)

    def gradients(*arguments, **keywords):
        return both(*arguments, **keywords)[1]

    return gradients
