"""What training keeps of one observation for the way back, found by recording one."""

import copy
import dataclasses

import numpy as np

from convcore.autograd import Tape, Tensor
from convcore.layers import Layer
from convcore.network.chains import Chain


def saved_bytes(inferred, forms, dtype, chains=None):
    """Return the bytes that the records of a training step save of one observation, by layer.

    Zeros go through copies of the layers as in training: nothing is drawn from, or changed in, the layers themselves.
    However many records save an array or views of it, its memory counts once, for the layer that it is the output of,
    or else for the first that saves it. Parameters and states do not count.

    Parameters
    ----------
    inferred : list of (`graph.Step`, `formats.Inferred` or any other thing)
        The layers in the order of execution and what each makes of the forms, as `Network.inferred` yields them.
    forms : sequence of `formats.Form` or None
        Of the network's inputs.
    dtype : numpy.dtype
        Of the inputs, and of the zeros that stand in for parameters that do not exist yet.
    chains : dict of int to (Chain, list of int), optional
        The layers that one function computes, as `Graph.chains` returns them. What that saves is of the last of them.

    Returns
    -------
    list of int or None
        None for a layer that cannot compute with zeros, and for those behind it.

    Examples
    --------
    >>> from convcore.layers import FullyConnected, ImageInput, ReLU
    >>> from convcore.network import Network
    >>> net = Network([ImageInput((1, 2, 2)), FullyConnected(3), ReLU()])
    >>> forms = net.input_forms()
    >>> saved_bytes(list(net.inferred(forms)), forms, net.dtype)  # the 4 inputs and the 3 outputs
    [16, 0, 12]
    """
    first = len(forms)
    values = [None if form is None else Tensor(np.zeros(form.shape, dtype), format=form.format) for form in forms]
    values += [None] * len(inferred)
    memories = {}  # by the id of the array that owns each
    for place, (step, _) in enumerate(inferred, first):
        given = [values[source] for source in step.sources]
        if values[place] is not None or any(x is None for x in given):  # computed with another layer, or not at all
            continue
        chain, places = (chains or {}).get(place, (None, [place]))
        if any(isinstance(inferred[p - first][1], Exception) for p in places):
            chain, places = None, [place]
        try:
            layers = [_copy(inferred[p - first][0].layer, inferred[p - first][1].input_shape, dtype) for p in places]
            y, saved = _recorded(layers[0] if chain is None else Chain(layers), layers, given)
        except Exception:  # of a layer or a function of the user's: whatever it raises, zeros are not for it
            continue
        for array in saved:
            _look_up(memories, array, places[-1]).saved = True
        _look_up(memories, y.data, places[-1])
        for p in places:
            values[p] = y
    counts = [None if y is None else 0 for y in values[first:]]
    for memory in memories.values():
        if memory.saved:
            counts[memory.place - first] += memory.size
    return counts


@dataclasses.dataclass(slots=True)
class _Memory:
    """What an array and the views of it share: its owner (no other array gets the same id) and the layer it is of."""

    owner: np.ndarray
    place: int
    size: int = 0  # of the largest array seen in it: an owner may be larger, for the sake of alignment
    saved: bool = False


def _look_up(memories, array, place):
    """Return the memory of an array; one that was not seen before is of the layer at this place."""
    owner = _owner(array)
    memory = memories.setdefault(id(owner), _Memory(owner, place))
    memory.size = max(memory.size, min(array.nbytes, owner.nbytes))  # an array that repeats itself holds less
    return memory


def _copy(layer, input_shape, dtype):
    """Return a copy of a layer that shares its parameters, and has zeros for them where there are none yet."""
    copied = copy.deepcopy(layer, {id(parameter): parameter for parameter in layer.learnables.values()})
    if copied.learnables:
        return copied
    if type(copied).load is Layer.load:  # a layer of the user's that cannot take arrays
        copied.initialize(input_shape, np.random.default_rng(0), dtype)
    else:
        shapes = copied.array_shapes(input_shape)
        copied.load({role: np.zeros(shape, dtype) for role, shape in shapes.items()}, dtype)
    return copied


def _recorded(layer, parts, given):
    """Return a layer's output in training, and the arrays that its records save beside parameters and states.

    The layer may be a chain, with the layers that it is made of as `parts`.
    """
    with Tape() as tape, np.errstate(all="ignore"):  # what zeros divided by zeros are does not matter
        y = layer.apply(given[0] if layer.num_inputs == 1 else tuple(given), True, np.random.default_rng(0))
    if not isinstance(y, Tensor):
        raise TypeError(f"{parts[-1].name}: forward must return a Tensor, got {type(y).__name__}")
    parameters = [parameter.data for part in parts for parameter in part.learnables.values()]
    own = {id(_owner(array)) for array in (*parameters, *(a for part in parts for a in part.remembered.values()))}
    saved = [array for entry in tape.records for array in entry.saved.values()]
    return y, [array for array in saved if id(_owner(array)) not in own]


def _owner(array):
    """Return the array that owns the memory of a view."""
    base = array.base
    while base is not None:  # not each is an array: as_strided puts something of its own in between
        array = base if isinstance(base, np.ndarray) else array
        base = getattr(base, "base", None)
    return array
