"""The layer that takes images in and normalizes them."""

import operator

import numpy as np

from convcore.arrays import as_numbers, way_to_batch
from convcore.autograd import Tensor
from convcore.layers.layer import Layer, positive_int
from convcore.layers.spec_values import spec_channels, spec_function, spec_list, spec_value
from convcore.ops.channel_scale import channel_scale
from convcore.ops.incoming import Incoming

NORMALIZATIONS = ("zerocenter", "zscore", "rescale-zero-one", "rescale-symmetric", "none")
PIECE = 4096  # images looked at together when statistics are computed: bounded memory for any size of data


class ImageInput(Layer):
    """Take images in and normalize them with statistics of the training data, per channel.

    Parameters
    ----------
    input_size : (int, int, int)
        Channels, height, width.
    normalization : str or function
        "zerocenter": minus the mean; "zscore": minus the mean, over the standard deviation; "rescale-zero-one" and
        "rescale-symmetric": the range of the training data becomes [0, 1] or [-1, 1]; "none"; or a function of the
        batch (a Tensor) that returns a Tensor. A channel without spread is only shifted.
    name : str

    Attributes
    ----------
    remembered : dict of str to ndarray, shape (channels, 1, 1), float64
        "mean" and "std", or "min" and "max"; computed at the first training, saved with the network.

    Raises
    ------
    TypeError, ValueError
        Arguments of another kind or outside their range; the text names the argument.

    References
    ----------
    "Layers of a ConvNet", image input layer (specification).

    Examples
    --------
    >>> ImageInput((1, 28, 28), normalization="rescale-zero-one")
    ImageInput((1, 28, 28), normalization='rescale-zero-one')
    """

    properties = {"normalization": "zerocenter"}
    required = ("input_size",)
    short = "imageinput"
    kind = "Image Input"
    spec_title = "ImageInputLayer"
    layout, rank = "windows", 2
    is_input = True
    STATISTICS = {
        "zerocenter": ("mean",), "zscore": ("mean", "std"), "rescale-zero-one": ("min", "max"),
        "rescale-symmetric": ("min", "max"),
    }  # fmt: skip

    def __init__(self, input_size, *, normalization="zerocenter", name=""):
        super().__init__(name)
        if not isinstance(input_size, (tuple, list)) or len(input_size) != 3:
            raise TypeError(f"ImageInput: input_size must be (channels, height, width), got {input_size!r}")
        self.input_size = tuple(positive_int(n, f"ImageInput: input_size[{i}]") for i, n in enumerate(input_size))
        if isinstance(normalization, str):
            if normalization not in NORMALIZATIONS:
                names = ", ".join(NORMALIZATIONS)
                raise ValueError(
                    f"ImageInput: normalization must be one of {names} or a function, got {normalization!r}"
                )
        elif not callable(normalization):
            raise TypeError(f"ImageInput: normalization must be a name or a function, got {normalization!r}")
        self.normalization = normalization
        self._made_of, self._scaling = (), None  # the statistics that scale and shift were computed from

    @property
    def data_shape(self):
        """(channels, height, width)."""
        return self.input_size

    @property
    def wanted_statistics(self):
        """The names of the statistics that the normalization needs."""
        return self.STATISTICS.get(self.normalization, ()) if isinstance(self.normalization, str) else ()

    def fit(self, images):
        """Compute the statistics from training images (N, channels, height, width), in pieces.

        Raises
        ------
        TypeError, ValueError
            No array of numbers; images of another size, or none.
        """
        images = as_numbers(images, "ImageInput: images")
        self.check(images.shape)
        if len(images) == 0:
            raise ValueError("ImageInput: normalization needs at least 1 image, got 0")
        if not self.wanted_statistics:
            return
        axes, shape = (0, 2, 3), (-1, 1, 1)
        pieces = [images[i : i + PIECE] for i in range(0, len(images), PIECE)]
        if "min" in self.wanted_statistics:
            low = np.min([piece.min(axis=axes) for piece in pieces], axis=0)
            high = np.max([piece.max(axis=axes) for piece in pieces], axis=0)
            found = {"min": low, "max": high}
        else:
            count = len(images) * images.shape[2] * images.shape[3]
            mean = sum(piece.sum(axis=axes, dtype=np.float64) for piece in pieces) / count
            found = {"mean": mean}
            if "std" in self.wanted_statistics:
                squares = sum(np.square(piece - mean.reshape(shape)).sum(axis=axes) for piece in pieces)
                found["std"] = np.sqrt(squares / count)
        self.remembered = {name: np.asarray(found[name], np.float64).reshape(shape) for name in self.wanted_statistics}

    def array_shapes(self, input_shape):
        """Return the shapes of the statistics, if there are any yet."""
        return {name: array.shape for name, array in self.remembered.items()}

    def load(self, arrays, dtype):
        """Take the statistics from arrays."""
        self.remembered = {name: np.array(arrays[name], np.float64) for name in self.wanted_statistics if arrays}

    def check(self, shape):
        """Raise a ValueError unless `shape` is a batch of images of this layer's size."""
        if len(shape) != 4 or tuple(shape[1:]) != self.input_size:
            wanted = ", ".join(str(n) for n in self.input_size)
            raise ValueError(
                f"{self.name or 'ImageInput'}: expects images (N, {wanted}), got {tuple(shape)}"
                f"{way_to_batch(shape, self.input_size)}"
            )

    def advice(self):
        """Return how an error about sizes behind this layer may end: where channels seem to come last, with a question.

        Examples
        --------
        >>> ImageInput((28, 28, 1)).advice()
        '; input_size is (channels, height, width): is (1, 28, 28) meant?'
        """
        *sides, last = self.input_size
        meant = f"; input_size is (channels, height, width): is {(last, *sides)} meant?"
        return meant if last in (1, 3, 4) and last < min(sides) else ""

    def output_shape(self, input_shape):
        """Return (channels, height, width)."""
        self.check((1, *input_shape))
        return input_shape

    @property
    def scales(self):
        """Whether the layer does nothing but scale and shift each channel."""
        return isinstance(self.normalization, str) and bool(self.remembered)

    def forward(self, x, training, rng):
        """Return the normalized images; without statistics, before any training, the images as they are.

        Where the layer `scales`, x may be an `Incoming`.
        """
        self.check(x.shape)
        if not isinstance(self.normalization, str):
            y = self.normalization(x)
            if not isinstance(y, Tensor) or y.shape != x.shape or y.dtype != x.dtype:
                raise ValueError(f"{self.name or 'ImageInput'}: the normalization must return a Tensor like its input, "
                                 f"{x.dtype} {x.shape}")  # fmt: skip
            return y
        if not self.remembered:
            return x
        scaling = self._scale_and_shift(x.dtype)
        return x.scaled(*scaling) if isinstance(x, Incoming) else channel_scale(x, *scaling)

    def _scale_and_shift(self, dtype):
        """Every normalization is x · scale + shift per channel; the same two arrays as long as the statistics last."""
        known = tuple(self.remembered.values())
        same = len(known) == len(self._made_of) and all(map(operator.is_, known, self._made_of))
        if not same or self._scaling[0].dtype != dtype:
            self._made_of, self._scaling = known, self._scaling_of(self.remembered, dtype)
        return self._scaling

    def _scaling_of(self, known, dtype):
        if "mean" in known:
            spread = np.where(known["std"] > 0, known["std"], 1) if "std" in known else np.ones_like(known["mean"])
            scale, shift = 1 / spread, -known["mean"] / spread
        else:
            low, width = (0, 1) if self.normalization == "rescale-zero-one" else (-1, 2)
            scale = width / np.where(known["max"] > known["min"], known["max"] - known["min"], width)
            shift = low - known["min"] * scale
        return scale.astype(dtype).reshape(-1), shift.astype(dtype).reshape(-1)

    def spec_rows(self):
        """Return the name, the size, the normalization and its statistics, "[]" before any training."""
        channels, *size = self.input_size
        named = isinstance(self.normalization, str)
        statistics = {"mean": "Mean", "std": "StandardDeviation", "min": "Min", "max": "Max"}
        return [
            *super().spec_rows(),
            ("InputSize", spec_list((*size, channels))),
            "Hyperparameters",
            ("Normalization", (spec_value if named else spec_function)(self.normalization)),
            *[(statistics[key], spec_channels(self.remembered.get(key))) for key in self.wanted_statistics],
        ]

    def description(self):
        """Return the specification's words: "28x28x1 images with 'zerocenter' normalization"."""
        channels, height, width = self.input_size
        name = self.normalization if isinstance(self.normalization, str) else "custom"
        return f"{height}x{width}x{channels} images with '{name}' normalization"
