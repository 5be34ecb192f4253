"""Two convolutions with batch normalization, the network that "Layers of a ConvNet" begins with."""

from convcore.layers import (
    BatchNorm,
    ClassificationOutput,
    Conv2D,
    FullyConnected,
    ImageInput,
    MaxPool2D,
    ReLU,
    Softmax,
)
from convcore.network import Network


def batchnorm(num_classes=10, *, channels=1, seed=0, dtype="float32"):
    """Return the network of two blocks of convolution, batch normalization and ReLU, for 28×28 images.

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
    "Layers of a ConvNet" (specification), whose input layer subtracts the mean; Ioffe and Szegedy, arXiv:1502.03167.

    Examples
    --------
    >>> sum(p.size for p in batchnorm().parameters().values())
    67626
    """
    return Network([
        ImageInput((channels, 28, 28), normalization="rescale-zero-one"),
        Conv2D(3, 16, padding=1, name="conv1"), BatchNorm(name="norm1"), ReLU(name="relu1"), MaxPool2D(2, name="pool1"),
        Conv2D(3, 32, padding=1, name="conv2"), BatchNorm(name="norm2"), ReLU(name="relu2"),
        FullyConnected(num_classes, name="fc"), Softmax(), ClassificationOutput(),
    ], seed=seed, dtype=dtype)  # fmt: skip
