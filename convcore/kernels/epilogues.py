"""What follows a kernel that does not apply the ReLU behind it by itself, as `registry.EPILOGUES` says it may."""

from convcore.kernels import registry
from convcore.kernels.matrix_geometry import FlatGeometry


def relu(outputs, level, n_threads):
    """Apply ReLU in place to the first of the outputs; of the maxima of max-pooling the second are the places.

    Where a maximum becomes 0 its place becomes -1, no gradient going anywhere from there; a window that saw only
    padding keeps its -inf.
    """
    y = outputs[0]
    if len(outputs) > 1 and outputs[1].dtype.kind == "i":
        index = outputs[1]
        none = (y <= 0) & (index >= 0)
        y[none], index[none] = 0, -1
    elif y.size:
        registry.load("relu", "direct", level).in_place(FlatGeometry("relu", y.size), y.reshape(-1), n_threads)
