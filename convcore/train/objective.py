"""What a training run minimises: the loss, the targets that it takes, and the accuracy that goes with it."""

import numpy as np

from convcore.arrays import FLOATS, as_numbers
from convcore.autograd import Tensor
from convcore.ops.loss import cross_entropy, mse

LOSSES = ("crossentropy", "mse")


class Objective:
    """A loss on the output of a network, with the checks of the data made once, before the first batch.

    Parameters
    ----------
    net : Network
        Initialized.
    loss : {"crossentropy", "mse"} or function
        "crossentropy" is computed from the logits in front of the final Softmax. "mse" is the mean over all elements.
        A function is called as ``loss(y, t)`` with the network's output, a Tensor, and the targets of the batch, an
        array, and returns a Tensor with one element.
    source : str
        The public function that errors speak of.

    Raises
    ------
    TypeError, ValueError
        A loss that is neither; "crossentropy" on a network that does not end in probabilities.
    """

    def __init__(self, net, loss, source):
        if not callable(loss) and not isinstance(loss, str):
            raise TypeError(f"{source}: loss must be a str or a function, got {loss!r}")
        if not callable(loss) and loss not in LOSSES:
            raise ValueError(f"{source}: loss must be one of {', '.join(LOSSES)} or a function, got {loss!r}")
        if loss == "crossentropy" and not net.ends_in_softmax:
            last = type(net.layers[-1]).__name__
            raise ValueError(
                f"{source}: crossentropy needs a network that ends in Softmax or ClassificationOutput, "
                f"this one ends in {last} {net.layers[-1].name!r}"
            )
        self.net = net
        self.source = source
        self.name = "function" if callable(loss) else loss
        self.logits = loss == "crossentropy"
        self._function = {"crossentropy": cross_entropy, "mse": mse}.get(loss) if isinstance(loss, str) else loss

    def pair(self, data, what):
        """Return (x, y) ready to be cut into batches: checked, labels as int64, the images as they are.

        Parameters
        ----------
        data : pair (x, y)
            Images or other observations, shape (N, ...), and targets, shape (N,) or (N, ...).
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
        if x.shape[1:] != self.net.input_shape:
            wanted = ", ".join(str(n) for n in self.net.input_shape)
            raise ValueError(f"{what}: x must have shape (N, {wanted}), as the network's input, got {x.shape}")
        if self.logits or (self.name == "function" and y.ndim == 1 and y.dtype.kind in "iub"):
            return x, self._classes(y, what)
        if self.name == "mse" and y.shape[1:] != self.net.output_shape:
            wanted = (len(y), *self.net.output_shape)
            raise ValueError(f"{what}: mse needs targets of shape {wanted}, as the network's output, got {y.shape}")
        return x, y

    def _classes(self, y, what):
        """Return labels as int64, or probabilities as they are, after comparing them with the network's output."""
        shape = self.net.output_shape
        if y.ndim == 1 and y.dtype.kind in "iub":
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

    def forward(self, x, target, training=False, rng=None):
        """Return the loss and the output of the network (the logits for crossentropy), both Tensors."""
        y = self.net.forward(x, training=training, rng=rng, logits=self.logits)
        if target.dtype != self.net.dtype and target.dtype in FLOATS:
            target = target.astype(self.net.dtype)
        loss = self._function(y, target)
        if not isinstance(loss, Tensor) or loss.size != 1:
            got = f"shape {loss.shape}" if isinstance(loss, Tensor) else type(loss).__name__
            raise TypeError(f"{self.source}: loss must return a Tensor with one element, got {got}")
        return loss, y

    def num_correct(self, y, target):
        """Return how many rows of `y` have their largest value at the target's class; None where there are no classes.

        Parameters
        ----------
        y : Tensor, shape (N, K)
            Probabilities or logits.
        target : ndarray, shape (N,), int64, or (N, K)
        """
        if y.ndim != 2:
            return None
        if target.dtype.kind != "i" or target.ndim != 1:
            if not self.logits:
                return None
            target = target.argmax(1)
        return int(np.count_nonzero(y.data.argmax(1) == target))


def observations(data, what):
    """Return (x, y) as arrays of one length, without a copy where they are arrays already.

    Raises
    ------
    TypeError, ValueError
        No pair; not numbers; no observations; different lengths.
    """
    if not isinstance(data, (tuple, list)) or len(data) != 2:
        raise TypeError(f"{what} must be a pair (x, y), got {type(data).__name__}")
    x, y = (as_numbers(array, f"{what}: {name}") for name, array in zip("xy", data, strict=True))
    if x.ndim == 0 or y.ndim == 0:
        raise ValueError(f"{what}: x and y need a batch axis (x {x.shape}, y {y.shape})")
    if len(x) != len(y):
        raise ValueError(f"{what}: x holds {len(x):,} observations, y {len(y):,} targets (x {x.shape}, y {y.shape})")
    if len(x) == 0:
        raise ValueError(f"{what}: there are no observations (x {x.shape}, y {y.shape})")
    return x, y
