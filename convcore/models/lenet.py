"""LeNet-5, the network that read the digits on cheques."""

from convcore.layers import Conv2D, FullyConnected, ImageInput, MaxPool2D, ReLU, Softmax
from convcore.network import Network


def lenet5(num_classes=10, *, channels=1, seed=0, dtype="float32"):
    """Return LeNet-5 for 28×28 images, in the form that is usual today: ReLU and max-pooling, softmax at the end.

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
    LeCun, Bottou, Bengio and Haffner, "Gradient-based learning applied to document recognition", Proceedings of the
    IEEE 86 (1998).

    Examples
    --------
    >>> sum(p.size for p in lenet5().parameters().values())
    61706
    """
    return Network([
        ImageInput((channels, 28, 28), normalization="rescale-zero-one"),
        Conv2D(5, 6, padding=2, weights_initializer="he", name="conv1"), ReLU(name="relu1"), MaxPool2D(2, name="pool1"),
        Conv2D(5, 16, weights_initializer="he", name="conv2"), ReLU(name="relu2"), MaxPool2D(2, name="pool2"),
        FullyConnected(120, weights_initializer="he", name="fc1"), ReLU(name="relu3"),
        FullyConnected(84, weights_initializer="he", name="fc2"), ReLU(name="relu4"),
        FullyConnected(num_classes, name="fc3"), Softmax(),
    ], seed=seed, dtype=dtype)  # fmt: skip
