"""What a training run minimises: the loss, the targets that it takes, and the accuracy that goes with it."""

import math

import numpy as np

from convcore.arrays import FLOATS, as_numbers, way_to_batch
from convcore.autograd import Tensor
from convcore.data.batches import check_lengths, count_of
from convcore.layers import ClassificationOutput, RegressionOutput
from convcore.ops import softmax, transpose
from convcore.ops.loss import count_hits, cross_entropy, half_mse, huber, mae, mse

# On targets of the shape of the network's output; a new one is one entry here.
ELEMENTWISE = {"mse": mse, "half_mse": half_mse, "mae": mae, "huber": huber}
LOSSES = ("crossentropy", *ELEMENTWISE)
OF_NUMBERS = (*ELEMENTWISE, RegressionOutput.__name__)  # whole ones as targets are numbers, not classes


class Objective:
    """A loss on the output of a network, with the checks of the data made once, before the first batch.

    Parameters
    ----------
    net : Network
        Initialized.
    loss : {"crossentropy", "mse", "half_mse", "mae", "huber"}, function or None
        "crossentropy" is computed from the logits in front of the final Softmax; the others as the functions of these
        names. A function is called as ``loss(y, t)`` with the network's output, a Tensor, and the targets of the
        batch, an array (tuples of them where the network has several outputs), and returns a Tensor with one element.
        None: the loss of the network's output layer, for example `RegressionOutput`; otherwise "crossentropy".
    source : str
        The public function that errors speak of.

    Attributes
    ----------
    name : str
        How checkpoints call the loss: its name, "function", or the class of the output layer.
    logits : bool
        Whether the loss is computed from the logits.
    num_classes : int or None
        The size of the output's channels, on which classes lie; None where it has none, or there are several outputs.

    Raises
    ------
    TypeError, ValueError
        A loss that is neither; "crossentropy" on a network that does not end in probabilities; a loss other than a
        function for several outputs.
    """

    def __init__(self, net, loss, source):
        own = None if net.ends_in_softmax else getattr(net.output_layer, "loss", None)
        if loss is None and callable(own):
            self.name, self._function = type(net.output_layer).__name__, own
        elif callable(loss):
            self.name, self._function = "function", loss
        elif loss is not None and not isinstance(loss, str):
            raise TypeError(f"{source}: loss must be a str or a function, got {loss!r}")
        elif loss not in (None, *LOSSES):
            raise ValueError(f"{source}: loss must be one of {', '.join(LOSSES)} or a function, got {loss!r}")
        else:
            self.name, self._function = loss or "crossentropy", ELEMENTWISE.get(loss, self._cross_entropy)
        self.logits = self.name == "crossentropy"
        self.net = net
        self.source = source
        if len(net.output_names) > 1 and self.name != "function":
            raise ValueError(
                f"{source}: the network has {len(net.output_names)} outputs ({', '.join(net.output_names)}), the loss "
                "must be a function of them and of the targets"
            )
        if self.logits and isinstance(net.output_layer, ClassificationOutput) and not net.ends_in_softmax:
            raise ValueError(f"{source}: crossentropy needs a Softmax in front of {net.output_layer.name!r}")
        if self.logits and not net.ends_in_softmax:
            raise ValueError(
                f"{source}: crossentropy needs a network that ends in Softmax or ClassificationOutput, "
                f"this one ends in {type(net.output_layer).__name__} {net.output_layer.name!r}"
            )
        form = net.output_forms()[0]
        letters = form.format or "BC"  # without a format, channels come second
        self._class_axis = letters.find("C")
        self._num_axes = len(form.shape)
        one = len(net.output_names) == 1 and 0 <= self._class_axis < self._num_axes
        self.num_classes = form.shape[self._class_axis] if one else None

    def pair(self, data, what):
        """Return (x, y) ready to be cut into batches: checked, labels (N,) as int64, the images as they are.

        Labels of time steps and pixels may be many: they keep their integer dtype, truth values become uint8.

        Parameters
        ----------
        data : pair (x, y)
            Images or other observations, shape (N, ...), and targets, shape (N, ...); tuples of such arrays for
            several inputs or outputs.
        what : str
            The argument's name in errors.

        Raises
        ------
        TypeError, ValueError
            Not numbers; of different length; empty; labels that are no integers or no class of the network; targets
            of another shape than the network's output.
        """
        what = f"{self.source}: {what}"
        x, y = observations(data, what)
        check_inputs(self.net, x, what)
        if isinstance(y, tuple):
            if self.name != "function":
                raise TypeError(f"{what}: several targets need a loss that is a function of outputs and targets")
            return x, y
        shape = self.output_shape(x)
        if self.logits or (self.name == "function" and self._are_labels(y, shape)):
            return x, self._classes(y, shape, what)
        if self.name != "function" and y.shape[1:] != shape:
            raise ValueError(
                f"{what}: {self.name} needs targets of shape {(len(y), *shape)}, as the network's output, got {y.shape}"
            )
        return x, y

    def output_shape(self, x):
        """Return the shape of one observation's output, for observations like these; a tuple of them for several."""
        return self.net.shapes(shapes_of(x))[-1]

    def _shape_of_labels(self, shape):
        """Return the shape of one observation's labels, for an output of this shape: one for each step or pixel."""
        axis = self._class_axis - 1
        return shape[:axis] + shape[axis + 1 :]

    def _are_labels(self, y, shape):
        """Whether targets are class indices, for an output of this shape."""
        if isinstance(y, tuple) or self.num_classes is None or y.dtype.kind not in "iub":
            return False
        # To a function of the user's, whole numbers for a single output are numbers.
        return y.shape[1:] == self._shape_of_labels(shape) and (self.logits or self.num_classes > 1)

    def _classes(self, y, shape, what):
        """Return labels as integers, or probabilities as they are, after comparing them with the network's output."""
        if self._are_labels(y, shape):
            if y.ndim == 1:
                y = y.astype(np.int64, copy=False)
            elif y.dtype == bool:
                y = y.view(np.uint8)
            if not (0 <= y.min() and y.max() < self.num_classes):
                wrong = int(y.max() if y.max() >= self.num_classes else y.min())
                count = self.num_classes
                raise ValueError(
                    f"{what}: label {wrong} is no class of the network, which has {count} (0 to {count - 1})"
                )
        elif y.dtype not in FLOATS or y.shape[1:] != shape:
            raise TypeError(
                f"{what}: crossentropy needs integer labels of shape {(len(y), *self._shape_of_labels(shape))} or "
                f"probabilities of shape {(len(y), *shape)}, got {y.dtype} of shape {y.shape}"
            )
        return y

    def has_classes(self, x, target):
        """Whether observations and targets (as `pair` returns them) are those of a classification."""
        return self.logits or self._are_labels(target, self.output_shape(x))

    def forward(self, x, target, training=False, rng=None):
        """Return the loss and the output of the network (the logits for crossentropy), Tensors or a tuple of them."""
        y = self.net.forward(x, training=training, rng=rng, logits=self.logits)
        loss = self._function(y, tuple(map(self.cast, target)) if isinstance(target, tuple) else self.cast(target))
        if not isinstance(loss, Tensor) or loss.size != 1:
            got = f"shape {loss.shape}" if isinstance(loss, Tensor) else type(loss).__name__
            raise TypeError(f"{self.source}: loss must return a Tensor with one element, got {got}")
        return loss, y

    def cast(self, target):
        """Return a target in the network's dtype; labels, and whole numbers for a function, as they are."""
        numbers = target.dtype in FLOATS or self.name in OF_NUMBERS
        return target.astype(self.net.dtype) if numbers and target.dtype != self.net.dtype else target

    def _cross_entropy(self, y, target):
        """Return the cross-entropy of logits with classes on any axis: the last, for example, in (N, T, K)."""
        if self._class_axis != 1:
            order = (0, self._class_axis, *(axis for axis in range(1, y.ndim) if axis != self._class_axis))
            target = target.transpose(order) if target.ndim == y.ndim else target
            y = transpose(y, order)
        return cross_entropy(y, target)

    def rows(self, scores):
        """Return an array of outputs (N, K, ...) as (M, K): one row for each time step or pixel of each observation."""
        return rows_of(scores, self._class_axis)

    def labels(self, target):
        """Return the class of each of the `rows`, shape (M,), int64, from targets as `pair` returns them."""
        return (
            (target if target.ndim < self._num_axes else target.argmax(self._class_axis))
            .reshape(-1)
            .astype(np.int64, copy=False)
        )

    def share(self, hits, target):
        """Return a number of hits as a share of the `rows` of a target, NaN where there are none."""
        rows = target.size if target.ndim < self._num_axes else target.size // self.num_classes
        return hits / rows if rows else math.nan

    def hits(self, y, target):
        """Return how many `rows` of a Tensor have their largest value at the target's class, shape (1,), int64.

        None without classes.
        """
        if not self.logits and (self.num_classes is None or not self._are_labels(target, y.shape[1:])):
            return None
        return count_hits(self.rows(y.data), self.labels(target))

    def scores_and_outputs(self, y):
        """Return what `forward` gave as arrays: the scores of the classes, and the network's outputs.

        They differ for "crossentropy": the first are the logits, which never round to the same 0 or 1, the second the
        probabilities.
        """
        if isinstance(y, tuple):
            outputs = tuple(part.data for part in y)
            return outputs, outputs
        return y.data, softmax(y, self._class_axis).data if self.logits else y.data


def observations(data, what):
    """Return (x, y) as arrays of one length, without a copy where they are arrays already.

    Either may be a tuple of arrays, for networks with several inputs or outputs; then so is what is returned.

    Raises
    ------
    TypeError, ValueError
        No pair; not numbers; no observations; different lengths.
    """
    if not isinstance(data, (tuple, list)) or len(data) != 2:
        raise TypeError(f"{what} must be a pair (x, y), got {type(data).__name__}")
    x, y = (_arrays(value, f"{what}: {name}") for name, value in zip("xy", data, strict=True))
    shapes = check_lengths(x, y, what, "observations")
    if count_of(x) == 0:
        raise ValueError(f"{what}: there are no observations {shapes}")
    return x, y


def initialize(net, data, what):
    """Make the parameters of a network for the observations in `data`, unless it has them; errors name `what`."""
    x, _ = observations(data, what)
    check_inputs(net, x, what)
    net.initialize(shapes_of(x))


def check_inputs(net, x, what):
    """Raise a ValueError unless a network takes such observations."""
    shapes = shapes_of(x)
    try:
        net.output_forms(shapes)
    except (TypeError, ValueError) as error:
        known = net.input_shape
        wanted = tuple(known.values()) if isinstance(known, dict) else known
        free = wanted is None or None in wanted or any(layer.variable_length for layer in net.layers)
        if free or shapes == wanted:  # then it is not the size, or the layer's words say more
            raise ValueError(f"{what}: {error}") from None
        got = _batches_of(shapes) if isinstance(x, tuple) else x.shape
        way = "" if isinstance(x, tuple) else way_to_batch(x.shape, wanted)
        raise ValueError(
            f"{what}: x must have shape {_batches_of(wanted)}, as the network's input, got {got}{way}"
        ) from None


def _arrays(value, what):
    """Return an array, or a tuple of arrays as a tuple of arrays."""
    if isinstance(value, tuple) and value and all(isinstance(part, np.ndarray) for part in value):
        return tuple(as_numbers(part, f"{what}[{i}]") for i, part in enumerate(value))
    return as_numbers(value, what)


def shapes_of(values):
    """Return the shape of one observation in an array, or those in a tuple of arrays."""
    return tuple(array.shape[1:] for array in values) if isinstance(values, tuple) else values.shape[1:]


def _batches_of(shapes):
    """Return shapes of observations as the text of the shapes of batches."""
    several = bool(shapes) and isinstance(shapes[0], tuple)
    texts = [f"(N, {', '.join(map(str, shape))})" for shape in (shapes if several else (shapes,))]
    return " and ".join(texts)


def rows_of(scores, axis=1):
    """Return an array with classes on an axis as (M, K): the classes last, all other axes in a row.

    Examples
    --------
    >>> rows_of(np.array([[[1, 2, 3], [4, 5, 6]]]))
    array([[1, 4],
           [2, 5],
           [3, 6]])
    """
    return np.moveaxis(scores, axis, -1).reshape(-1, scores.shape[axis])
