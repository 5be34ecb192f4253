"""One convolution, the first network of the specification."""

from convcore.layers import ClassificationOutput, Conv2D, FullyConnected, ImageInput, MaxPool2D, ReLU, Softmax
from convcore.network import Network


def shallow(num_classes=10, *, channels=1, seed=0, dtype="float32"):
    """Return the network of one convolution, 20 filters of 5×5, for 28×28 images.

    Parameters
    ----------
    num_classes : int
    channels : int
        1 for grey images.
    seed : int
    dtype : "float32" or "float64"

    Returns
    -------
    Network
        For images of (channels, 28, 28) with any range of values: the range of the training data is scaled to 0..1.

    References
    ----------
    "2-D convolutional layer", "Create Convolutional Layer" (specification), whose input layer subtracts the mean.

    Examples
    --------
    >>> sum(p.size for p in shallow().parameters().values())
    29330
    """
    return Network([
        ImageInput((channels, 28, 28), normalization="rescale-zero-one"),
        Conv2D(5, 20, name="conv"), ReLU(name="relu"), MaxPool2D(2, name="pool"),
        FullyConnected(num_classes, name="fc"), Softmax(), ClassificationOutput(),
    ], seed=seed, dtype=dtype)  # fmt: skip
