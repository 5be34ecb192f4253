"""The layer that takes sequences in."""

from convcore.layers import formats
from convcore.layers.layer import Layer, positive_int
from convcore.layers.spec_values import spec_value

FORMATS = {1: "BCT", 2: "BTCS", 3: "BTCSS"}  # by the number of sizes of one time step


class SequenceInput(Layer):
    """Take sequences of vectors or of images in, of any length, and tell the layers behind it which axis is time.

    Parameters
    ----------
    input_size : int, (int,), (int, int) or (int, int, int)
        Of one time step: channels; channels and width; or channels, height and width.
    min_length : int
        Time steps; shorter sequences are an error. Sizes that are inferred before there is data are those of sequences
        of this length.
    name : str

    Raises
    ------
    TypeError, ValueError
        Arguments of another kind or outside their range; the text names the argument.

    Notes
    -----
    Arrays are taken for (N, C, T), format "BCT"; for sequences of images for (N, T, C, W), "BTCS", or (N, T, C, H, W),
    "BTCSS". A Tensor with a format may have its axes in any order. The layer changes no values. Parameters do not
    depend on the length, which may be another one in each batch.

    References
    ----------
    "convolution1dLayer" (specification), examples.

    Examples
    --------
    >>> SequenceInput(12).description()
    'Sequence input with 12 dimensions'
    >>> SequenceInput((3, 28, 28)).data_format
    'BTCSS'
    """

    properties = {"min_length": 1}
    required = ("input_size",)
    short = "sequenceinput"
    kind = "Sequence Input"
    spec_title = "SequenceInputLayer"
    is_input = variable_length = True

    def __init__(self, input_size, *, min_length=1, name=""):
        super().__init__(name)
        sizes = tuple(input_size) if isinstance(input_size, (tuple, list)) else (input_size,)
        if not 1 <= len(sizes) <= 3:
            raise TypeError("SequenceInput: input_size must be channels, (channels, width) or (channels, height, "
                            f"width), got {input_size!r}")  # fmt: skip
        sizes = tuple(positive_int(n, f"SequenceInput: input_size[{i}]") for i, n in enumerate(sizes))
        self.input_size = sizes if len(sizes) > 1 else sizes[0]
        self.min_length = positive_int(min_length, "SequenceInput: min_length")
        self._sizes = sizes

    @property
    def data_format(self):
        """What arrays are taken for: "BCT", "BTCS" or "BTCSS"."""
        return FORMATS[len(self._sizes)]

    @property
    def data_shape(self):
        """The shape of a sequence of `min_length` steps, without the batch axis."""
        steps = (self.min_length,)
        return self._sizes + steps if len(self._sizes) == 1 else steps + self._sizes

    def check(self, shape, format):
        """Raise a ValueError unless data of this shape and format are sequences of this layer's size."""
        what, wanted = self.name or "SequenceInput", self.data_format
        if format is not None and sorted(format) != sorted(wanted):
            raise ValueError(f'{what}: SequenceInput takes formats with the letters of "{wanted}", got "{format}"')
        sizes = dict(zip(formats.marks(format or wanted), shape, strict=False))
        steps = tuple(sizes.get(mark) for mark in formats.marks(wanted) if mark not in ("B", "T"))
        if len(shape) != len(wanted) or steps != self._sizes:
            text = "N, " + ", ".join("T" if mark == "T" else str(size) for mark, size in self._expected())
            raise ValueError(f"{what}: expects sequences ({text}), got {tuple(shape)}"
                             + ("" if format is None else f" {format}"))  # fmt: skip
        if sizes["T"] < self.min_length:
            raise ValueError(f"{what}: expects at least {self.min_length} time steps, got {sizes['T']}")

    def _expected(self):
        """The axes of an observation as (letter, size) in the order that arrays have."""
        return zip(self.data_format[1:], self.data_shape, strict=True)

    def output_shape(self, input_shape):
        """Return the shape of the input."""
        self.check((1, *input_shape), None)
        return input_shape

    def infer(self, forms, dtype):
        """Return the input's form, with a format if it had none."""
        (form,) = forms
        self.check(form.shape, form.format)
        output = formats.Form(form.shape, form.format or self.data_format)
        return formats.Inferred(output.observation, output)

    def apply(self, x, training, rng):
        """Return the sequences, with a format if they had none."""
        self.check(x.shape, x.format)
        return x if x.format is not None else formats.labelled(x, self.data_format)

    def forward(self, x, training, rng):
        """Return the sequences (N, C, T), (N, T, C, W) or (N, T, C, H, W) with their format."""
        return self.apply(x, training, rng)

    def spec_rows(self):
        """Return the name, the size of a time step, channels last, and the least length."""
        size = (*self._sizes[1:], self._sizes[0])
        shown = spec_value(size if len(size) > 1 else size[0])
        return [*super().spec_rows(), ("InputSize", shown), ("MinLength", self.min_length)]

    def description(self):
        """Return the specification's words: "Sequence input with 12 dimensions"."""
        sizes = "x".join(str(n) for n in (*self._sizes[1:], self._sizes[0]))
        return f"Sequence input with {sizes} dimensions"
