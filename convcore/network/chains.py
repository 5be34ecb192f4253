"""Layers that follow each other and are computed by one function, and the word that switches this off."""

import collections
import functools

from convcore.layers import BatchNorm, FullyConnected, ImageInput, MaxPool1D, MaxPool2D, MaxPool3D, ReLU, formats
from convcore.layers.convolution import Convolution
from convcore.ops import conv1d, conv2d, conv3d, fused
from convcore.settings import Setting

FUSION = Setting("fusion", ("on", "off"))


def set_fusion(kind):
    """Set for the whole process whether networks compute layers that follow each other as one.

    Parameters
    ----------
    kind : str
        "on", the default, or "off": every layer by itself, so that a tape shows what goes in and out of each.

    Raises
    ------
    TypeError, ValueError
        Anything else.

    Examples
    --------
    >>> before = get_fusion()
    >>> set_fusion("off"); get_fusion()
    'off'
    >>> set_fusion(before)
    """
    FUSION.set(kind)


def get_fusion():
    """Return "on" or "off": what `fusion`, `set_fusion` or CONVCORE_FUSION asks for, in this order."""
    return FUSION.get()


def fusion(kind):
    """Let networks compute layers that follow each other as one ("on") or one by one ("off"), in this thread only.

    A convolution, a batch normalization or a fully connected layer and the ReLU behind it, and the max-pooling behind
    that, are one function where nobody else takes what lies between; an ImageInput normalizes bytes as it makes numbers
    of them. The bits are the same; a tape then holds one record in place of several.

    Parameters
    ----------
    kind : str
        "on" or "off", as in `set_fusion`.

    Raises
    ------
    TypeError, ValueError
        Anything else.

    Examples
    --------
    >>> import numpy as np
    >>> from convcore.autograd import Tape
    >>> from convcore.layers import FullyConnected
    >>> from convcore.network import Network
    >>> net = Network([FullyConnected(3), ReLU()])
    >>> for kind in ("on", "off"):
    ...     with fusion(kind), Tape() as tape:
    ...         y = net(np.ones((1, 2)))
    ...     print([record.op for record in tape.records])
    ['fully_connected_relu']
    ['fully_connected', 'relu']
    """
    return FUSION.inside(kind)


# ---------------------------------------------------------------- which layers, and by which function


def _conv_relu(x, training, conv, relu):
    function = functools.partial(fused.conv_relu, conv.op.__name__)
    return conv.convolve(x, conv.weights, conv.bias, function)


def _conv_relu_max_pool(x, training, conv, relu, pool):
    function = functools.partial(fused.conv_relu_max_pool, conv.op.__name__, window=_window(pool))
    return conv.convolve(x, conv.weights, conv.bias, function)


def _relu_max_pool(x, training, relu, pool):
    return fused.relu_max_pool(x, pool.rank, _window(pool))


def _fully_connected_relu(x, training, layer, relu):
    return fused.fully_connected_relu(x, layer.weights, layer.bias)


def _batch_norm_relu(x, training, layer, relu):
    return layer.normalize(x, training, fused.batch_norm_relu)


def _batch_norm_relu_max_pool(x, training, layer, relu, pool):
    function = functools.partial(fused.batch_norm_relu_max_pool, rank=pool.rank, window=_window(pool))
    return layer.normalize(x, training, function)


def _window(pool):
    return pool.pool_size, pool.stride, pool.padding


# What computes layers of these kinds, and which of them says on what order of axes; of two that fit, the first.
FUNCTIONS = {
    ("convolution", "relu", "max_pool"): (_conv_relu_max_pool, 0),
    ("convolution", "relu"): (_conv_relu, 0),
    ("fully_connected", "relu"): (_fully_connected_relu, 0),
    ("batch_norm", "relu", "max_pool"): (_batch_norm_relu_max_pool, 2),
    ("batch_norm", "relu"): (_batch_norm_relu, 0),
    ("relu", "max_pool"): (_relu_max_pool, 1),
}
# The methods of each kind that the functions stand for: what a layer with others computes may be anything.
KINDS = [
    (kind, layer, {name: getattr(layer, name) for name in ("apply", "forward", *others)})
    for kind, layer, others in (
        ("relu", ReLU, ()),
        ("fully_connected", FullyConnected, ()),
        ("convolution", Convolution, ("convolve",)),
        ("batch_norm", BatchNorm, ("normalize", "learn")),
        *[("max_pool", pool, ()) for pool in (MaxPool1D, MaxPool2D, MaxPool3D)],
    )
]

OF_IMAGE_INPUT = {name: getattr(ImageInput, name) for name in ("apply", "forward")}


def _kind(layer):
    """Return what a layer computes, as FUNCTIONS calls it, and by which methods; None where it is something else."""
    for kind, layer_class, methods in KINDS:
        if isinstance(layer, layer_class) and _has(layer, methods):
            known = kind != "convolution" or layer.op in (conv1d, conv2d, conv3d)
            return (kind, methods) if known else (None, {})
    return None, {}


def _has(layer, methods):
    """Whether these are the methods of a layer, its own attributes included."""
    kind, own = type(layer), vars(layer)
    return all(getattr(kind, name) is method and name not in own for name, method in methods.items())


def casts(layer):
    """Whether an input layer (or None) makes numbers of bytes as it normalizes them, in one pass."""
    return get_fusion() == "on" and isinstance(layer, ImageInput) and layer.scales and _has(layer, OF_IMAGE_INPUT)


class Chain:
    """Layers that follow each other and that one function computes.

    Parameters
    ----------
    layers : sequence of Layer
        Their kinds are a key of FUNCTIONS.
    """

    num_inputs = 1

    def __init__(self, layers):
        self.layers = tuple(layers)
        kinds, self._methods = zip(*map(_kind, layers), strict=True)
        self._function, leading = FUNCTIONS[kinds]
        self._leading = self.layers[leading]

    @property
    def holds(self):
        """Whether the layers are still what they were: a method that was replaced wants to be called."""
        return all(map(_has, self.layers, self._methods))

    def apply(self, x, training, rng):
        """Return the output of the last layer for what enters the first; see `Layer.apply`."""
        if x.format is None and x.ndim != 5:
            return self._forward(x, training, rng)
        return formats.apply(self._leading, x, training, rng, self._forward)

    def _forward(self, x, training, rng):
        return self._function(x, training, *self.layers)


def chains(steps, first):
    """Return what can be computed as one.

    Parameters
    ----------
    steps : list of `graph.Step`
    first : int
        The place of the first step's output among the values.

    Returns
    -------
    dict of int to (Chain, list of int)
        By the place of a chain's first layer, with the places of all.
    """
    takers = collections.defaultdict(list)
    for place, step in enumerate(steps, first):
        for source in step.sources:
            takers[source].append(place)
    found, taken = {}, set()
    for place in range(first, first + len(steps)):
        run = [place]  # each takes the output of the one before it, which nobody else does, and which is no output
        while len(takers[run[-1]]) == 1:
            run.append(takers[run[-1]][0])
        layers = [steps[p - first].layer for p in run]
        fitting = (layers[: len(kinds)] for kinds in FUNCTIONS if _are(layers[: len(kinds)], kinds))
        together = next(fitting, None)
        if together and place not in taken:
            found[place] = Chain(together), run[: len(together)]
            taken.update(run[: len(together)])
    return found


def _are(layers, kinds):
    """Whether layers are of these kinds, and their windows all slide over the same number of axes."""
    ranks = {layer.rank for layer in layers if layer.layout == "windows"}
    return tuple(_kind(layer)[0] for layer in layers) == kinds and len(ranks) < 2
