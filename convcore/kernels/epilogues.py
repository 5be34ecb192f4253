"""What a kernel may do with its outputs while they are at hand: directions that are others with something behind them.

A variant that has no such direction is given what follows here, so that every variant serves, with the same bits; the
choice among variants is that of the direction itself.
"""

from convcore.kernels import registry
from convcore.kernels.matrix_geometry import FlatGeometry

DIRECTIONS = {"forward_relu": "forward"}


def without(direction):
    """Return the direction that is left if the epilogue is taken away.

    Examples
    --------
    >>> without("forward_relu"), without("backward_input")
    ('forward', 'backward_input')
    """
    return DIRECTIONS.get(direction, direction)


def relu(outputs, level, n_threads):
    """Apply ReLU in place to (y,), or to the maxima and places (y, index) of max-pooling.

    Where a maximum becomes 0 its place becomes -1, no gradient going anywhere from there; a window that saw only
    padding keeps its -inf.
    """
    y = outputs[0]
    if len(outputs) > 1:
        index = outputs[1]
        none = (y <= 0) & (index >= 0)
        y[none], index[none] = 0, -1
    elif y.size:
        registry.load("relu", "direct", level).in_place(FlatGeometry("relu", y.size), y.reshape(-1), n_threads)
