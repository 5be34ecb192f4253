"""What a training run minimises: the loss, the targets that it takes, and the accuracy that goes with it."""

import numpy as np

from convcore.arrays import FLOATS, as_numbers
from convcore.autograd import Tensor
from convcore.data.batches import check_lengths, count_of
from convcore.ops.activation import softmax
from convcore.ops.loss import cross_entropy, half_mse, huber, mae, mse

# On targets of the shape of the network's output; a new one is one entry here.
ELEMENTWISE = {"mse": mse, "half_mse": half_mse, "mae": mae, "huber": huber}
LOSSES = ("crossentropy", *ELEMENTWISE)


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
        None: the loss of the network's last layer, for example `RegressionOutput`; otherwise "crossentropy".
    source : str
        The public function that errors speak of.

    Attributes
    ----------
    name : str
        How checkpoints call the loss: its name, "function", or the class of the last layer.
    logits : bool
        Whether the loss is computed from the logits.

    Raises
    ------
    TypeError, ValueError
        A loss that is neither; "crossentropy" on a network that does not end in probabilities.
    """

    def __init__(self, net, loss, source):
        last = net.layers[-1]
        if loss is None:
            own = None if net.ends_in_softmax else getattr(last, "loss", None)
            self.name = type(last).__name__ if callable(own) else "crossentropy"
            self._function = own if callable(own) else cross_entropy
        elif callable(loss):
            self.name, self._function = "function", loss
        elif not isinstance(loss, str):
            raise TypeError(f"{source}: loss must be a str or a function, got {loss!r}")
        elif loss not in LOSSES:
            raise ValueError(f"{source}: loss must be one of {', '.join(LOSSES)} or a function, got {loss!r}")
        else:
            self.name, self._function = loss, ELEMENTWISE.get(loss, cross_entropy)
        self.logits = self.name == "crossentropy"
        if self.logits and not net.ends_in_softmax:
            raise ValueError(
                f"{source}: crossentropy needs a network that ends in Softmax or ClassificationOutput, "
                f"this one ends in {type(last).__name__} {last.name!r}"
            )
        self.net = net
        self.source = source

    def pair(self, data, what):
        """Return (x, y) ready to be cut into batches: checked, labels as int64, the images as they are.

        Parameters
        ----------
        data : pair (x, y)
            Images or other observations, shape (N, ...), and targets, shape (N,) or (N, ...); tuples of such arrays
            for several inputs or outputs.
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
        if shapes_of(x) != self.net.input_shape:
            wanted, given = (_batches_of(shapes) for shapes in (self.net.input_shape, shapes_of(x)))
            got = x.shape if isinstance(x, np.ndarray) else given
            raise ValueError(f"{what}: x must have shape {wanted}, as the network's input, got {got}")
        if isinstance(y, tuple) and self.name != "function":
            raise TypeError(f"{what}: several targets need a loss that is a function of outputs and targets")
        if self.logits or (self.name == "function" and not isinstance(y, tuple) and _labels(y)):
            return x, self._classes(y, what)
        if self.name != "function" and y.shape[1:] != self.net.output_shape:
            wanted = (len(y), *self.net.output_shape)
            raise ValueError(
                f"{what}: {self.name} needs targets of shape {wanted}, as the network's output, got {y.shape}"
            )
        return x, y

    def _classes(self, y, what):
        """Return labels as int64, or probabilities as they are, after comparing them with the network's output."""
        shape = self.net.output_shape
        if _labels(y):
            y = y.astype(np.int64, copy=False)
            if len(shape) == 1 and not (0 <= y.min() and y.max() < shape[0]):
                wrong = int(y.max() if y.max() >= shape[0] else y.min())
                count = shape[0]
                raise ValueError(
                    f"{what}: label {wrong} is no class of the network, which has {count} (0 to {count - 1})"
                )
        elif self.logits and (y.dtype not in FLOATS or y.shape[1:] != shape):
            raise TypeError(
                f"{what}: crossentropy needs integer labels of shape ({len(y)},) or probabilities of shape "
                f"{(len(y), *shape)}, got {y.dtype} of shape {y.shape}"
            )
        return y

    def has_classes(self, target):
        """Whether outputs and targets (as `pair` returns them) are those of a classification."""
        shape = self.net.output_shape
        if isinstance(target, tuple) or len(shape) != 1 or isinstance(shape[0], tuple):
            return False
        return self.logits or (target.ndim == 1 and target.dtype.kind == "i")

    def forward(self, x, target, training=False, rng=None):
        """Return the loss and the output of the network (the logits for crossentropy), Tensors or a tuple of them."""
        y = self.net.forward(x, training=training, rng=rng, logits=self.logits)
        target = tuple(map(self._cast, target)) if isinstance(target, tuple) else self._cast(target)
        loss = self._function(y, target)
        if not isinstance(loss, Tensor) or loss.size != 1:
            got = f"shape {loss.shape}" if isinstance(loss, Tensor) else type(loss).__name__
            raise TypeError(f"{self.source}: loss must return a Tensor with one element, got {got}")
        return loss, y

    def _cast(self, target):
        """Return a target in the network's dtype; labels as they are."""
        return target.astype(self.net.dtype) if target.dtype in FLOATS and target.dtype != self.net.dtype else target

    def num_correct(self, y, target):
        """Return how many rows of `y` have their largest value at the target's class; None where there are no classes.

        Parameters
        ----------
        y : Tensor, shape (N, K)
            Probabilities or logits.
        target : ndarray, shape (N,), int64, or (N, K)
        """
        if not self.has_classes(target):
            return None
        return int(np.count_nonzero(y.data.argmax(1) == (target if target.ndim == 1 else target.argmax(1))))

    def scores_and_outputs(self, y):
        """Return what `forward` gave as arrays: the scores of the classes, and the network's outputs.

        They differ for "crossentropy": the first are the logits, which never round to the same 0 or 1, the second the
        probabilities.
        """
        if isinstance(y, tuple):
            outputs = tuple(part.data for part in y)
            return outputs, outputs
        return y.data, softmax(y).data if self.logits else y.data


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


def _labels(y):
    return y.ndim == 1 and y.dtype.kind in "iub"
