"""What a network takes in: its inputs by name, the sizes and formats that are known of them, and data for them."""

import bisect

import numpy as np

from convcore.arrays import as_numbers
from convcore.autograd import Tensor
from convcore.autograd.tensor import check_format
from convcore.layers import ImageInput, formats
from convcore.layers.formats import Form
from convcore.network.chains import casts
from convcore.ops.incoming import Incoming

LONGEST = 2**16  # time steps: the longest sequence that `Inputs.advice` thinks of


class Inputs:
    """The inputs of a network.

    Parameters
    ----------
    names : tuple of str
    layers : dict of str to Layer
        All layers of the network; an input that is none of them is a free one.

    Attributes
    ----------
    layers : dict of str to Layer
        The input layers.
    forms : tuple of `formats.Form` or None
        What is known of each input: from its layer, from the first data, or from the user.
    """

    def __init__(self, names, layers):
        self.names = names
        self.layers = {name: layers[name] for name in names if name in layers}
        fixed = {name: layer for name, layer in self.layers.items() if not layer.variable_length}
        self.forms = tuple(_form_of(fixed.get(name)) for name in names)

    def parts(self, x, what):
        """Return what was given for the inputs as a list with one entry per input."""
        names = self.names
        if isinstance(x, dict):
            if set(x) != set(names):
                raise ValueError(f"{what} must have the keys {', '.join(names)}, got {', '.join(map(str, x))}")
            return [x[name] for name in names]
        if len(names) == 1:
            return [x]
        if not isinstance(x, (tuple, list)):
            raise TypeError(f"{what} must be a tuple, list or dict for the inputs {', '.join(names)}, "
                            f"got {type(x).__name__}")  # fmt: skip
        if len(x) != len(names):
            raise ValueError(f"{what} must hold {len(names)} inputs ({', '.join(names)}), got {len(x)}")
        return list(x)

    def by_name(self, values):
        """Return values, one per input, as the only one or as a dict by name."""
        return values[0] if len(values) == 1 else dict(zip(self.names, values, strict=True))

    def expected(self):
        """Return the form of each input or None; of sequences before any data that of the smallest length."""
        named = zip(self.names, self.forms, strict=True)
        return tuple(form or _form_of(self.layers.get(name)) for name, form in named)

    def known(self):
        """Return the forms of the inputs, all of them."""
        forms = self.expected()
        if None in forms:
            raise ValueError("Network: the size of the input is not known; call initialize(input_shape) first")
        return forms

    def given(self, input_shape, format=None):
        """Return the forms of the inputs from shapes without the batch axis, and formats with it."""
        return tuple(_form(shape, letters) for shape, letters in self._pairs(input_shape, format))

    def _pairs(self, input_shape, format):
        """Return (shape, format) of each input."""
        shapes = self.parts(input_shape, "Network: input_shape")
        return list(zip(shapes, [None] * len(shapes) if format is None else self.parts(format, "Network: format"),
                        strict=True))  # fmt: skip

    def compare(self, forms):
        """Raise a ValueError where the shape of an input is known already, and another one."""
        for name, known, form in zip(self.names, self._holding(forms), forms, strict=True):
            if known is not None and known.observation != form.observation:
                owner = type(self.layers[name]).__name__ if name in self.layers else "network"
                raise ValueError(f"Network: input_shape {form.observation} is not the {owner}'s {known.observation}")

    def _holding(self, forms):
        """Return what is known of each input and holds for data of these forms, too, else None.

        Sequences may have any length, and sequences of images may come where images are known.
        """
        inputs = zip(self.names, self.forms, forms, strict=True)
        return [
            None if known is None or getattr(self.layers.get(name), "variable_length", False)
            or (form.format is not None and len(form.shape) != len(known.shape)) else known
            for name, known, form in inputs
        ]  # fmt: skip

    def advice(self, forms, fits):
        """Return how an error about forms may end: with what would avoid it, or with nothing.

        Parameters
        ----------
        forms : sequence of `formats.Form` or None
        fits : function or None
            Whether the network takes inputs of a list of forms; None where that cannot be tried.
        """
        of_images = [layer.advice() for layer in self.layers.values() if isinstance(layer, ImageInput)]
        return next(filter(None, of_images), "") or (self._longer(forms, fits) if fits else "")

    def _longer(self, forms, fits):
        """Return with which `min_length` sequences would fit, or nothing."""
        given = list(zip(self.names, forms, strict=True))
        shortest = {name: layer for name, layer in self.layers.items() if layer.variable_length
                    and (name, _form_of(layer)) in given}  # fmt: skip

        def with_length(count):
            return [_lengthened(form, count) if name in shortest else form for name, form in given]

        if not shortest or None in forms or not fits(with_length(LONGEST)):
            return ""
        least = bisect.bisect_left(range(LONGEST), True, key=lambda count: fits(with_length(count)))
        found = [f"{name} with min_length={least} instead of {layer.min_length}" for name, layer in shortest.items()
                 if layer.min_length < least]  # fmt: skip
        return f"; longer sequences fit: {', '.join(found)}"

    def learn(self, input_shape, format):
        """Take over what a file says of the inputs, as far as it says anything."""
        told = zip(self.forms, self._pairs(input_shape, format), strict=True)
        self.forms = tuple(form if pair[0] is None else _form(*pair) for form, pair in told)

    def of_data(self, tensors):
        """Return the forms that the sizes of parameters come from, where these are the first data."""
        forms = [_form(tensor.shape[1:], tensor.format) for tensor in tensors]
        return tuple(known or form for known, form in zip(self._holding(forms), forms, strict=True))

    def cast(self, x, dtype):
        """Return the inputs as Tensors of a dtype, axes in the order that the package computes in.

        Returns
        -------
        tensors : list of Tensor
            Or `Incoming`, for input layers that make numbers of bytes as they normalize them.
        given : str or None
            The first format that was given: outputs are brought into its order.
        """
        named = zip(self.parts(x, "Network: x"), self.names, strict=True)
        tensors = [_cast(part, dtype, self.layers.get(name)) for part, name in named]
        given = next((tensor.format for tensor in tensors if tensor.format is not None), None)
        if given is not None:
            tensors = [tensor if tensor.format is None else formats.reordered(tensor, formats.canonical(tensor.format))
                       for tensor in tensors]  # fmt: skip
        return tensors, given


def _cast(x, dtype, layer):
    """Return one input as a Tensor of a dtype, with the format that it has; or as an Incoming, if its layer casts."""
    if isinstance(x, Tensor):
        if x.dtype != dtype:
            if x.requires_grad:
                raise TypeError(f"Network: x requires grad and is {x.dtype}, the network is {dtype}")
            x = Tensor(x.data.astype(dtype), format=x.format)
        check_batch(x, x.format, "Network: x")
        return x
    if not isinstance(x, Incoming):
        x = Incoming(as_numbers(x, "Network: x"), dtype)
    check_batch(x, None, "Network: x")
    return x if casts(layer) else x.tensor()


def _form(shape, format):
    """Return the form of one input, its axes in the order that the package computes in."""
    if not isinstance(shape, (tuple, list)) or not all(type(n) is int or isinstance(n, np.integer) for n in shape):
        raise TypeError(f"Network: input_shape must be a tuple of ints, got {shape!r}")
    if not shape or min(shape) < 1:
        raise ValueError(f"Network: input_shape must hold sizes of at least 1, got {tuple(shape)}")
    shape = tuple(int(n) for n in shape)
    if format is None:
        return Form.of_observation(shape)
    if not isinstance(format, str):
        raise TypeError(f"Network: format must be a str, got {format!r}")
    if format.count("B") != 1:
        raise ValueError(f'Network: format must hold the batch axis B once, got "{format}"')
    check_format(format.replace("B", ""), shape, "Network", "input_shape")
    form = Form.of_observation(shape, format)
    wanted = formats.canonical(format)
    order = formats.permutation(format, wanted) or range(len(wanted))
    return Form(tuple(form.shape[axis] for axis in order), wanted)


def _form_of(layer):
    """Return the form that an input layer says its data has; None without one, or where it does not say."""
    if layer is None or layer.data_shape is None:
        return None
    return Form.of_observation(layer.data_shape, layer.data_format)


def _lengthened(form, count):
    """Return the form of a sequence with at least so many time steps."""
    axis = form.format.index("T")
    return form._replace(shape=(*form.shape[:axis], max(form.shape[axis], count), *form.shape[axis + 1 :]))


def check_batch(x, format, what):
    """Raise a ValueError unless a Tensor or array has a batch axis and one more."""
    if x.ndim < 2:
        raise ValueError(f"{what} must have a batch axis and at least one more, got {x.shape}")
    if format is not None and "B" not in format:
        raise ValueError(
            f'{what} has the format "{format}" without a batch axis B; one observation is a batch of size 1'
        )
