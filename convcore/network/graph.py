"""The plan by which data flows through the layers of a network: who gets what from whom, and in which order."""

import collections
import itertools
from typing import NamedTuple

from convcore.layers import ClassificationOutput, Softmax
from convcore.network.chains import chains, get_fusion
from convcore.ops import fused


class Step(NamedTuple):
    """One layer in the order of execution.

    Attributes
    ----------
    name : str
    layer : Layer
    sources : tuple of int
        Where its inputs lie among the values: first the network's inputs, then each step's output.
    released : tuple of int
        The values that nobody needs after this step.
    """

    name: str
    layer: object
    sources: tuple
    released: tuple


class Graph:
    """The steps of a network, from checked connections.

    Parameters
    ----------
    layers : dict of str to Layer
        By name; of several layers that could come next, the first in the dict does.
    connections : sequence of (str, str)
        From where to where: names of layers, "name/in1" for one input of a layer that has several; a source that is no
        layer is an input of the network.

    Attributes
    ----------
    connections : list of (str, str)
    input_names : tuple of str
        Input layers in the order of the dict, then sources that are no layers in the order of the connections.
    output_names : tuple of str
        The layers whose output no other layer takes, in the order of the dict.
    steps : list of Step

    Raises
    ------
    TypeError, ValueError
        Connections that are no pairs of names, go to a layer or an input that does not exist, come twice, run in a
        circle, or leave a layer without an input; the text names the layers.
    """

    def __init__(self, layers, connections):
        self.connections = _pairs(connections)
        sources = _sources(layers, self.connections)
        used = {source for names in sources.values() for source in names}
        inputs = [name for name, layer in layers.items() if layer.is_input]
        free = [source for source in (_port(source)[0] for source, _ in self.connections) if source not in layers]
        self.input_names = (*inputs, *dict.fromkeys(free))
        for name in inputs:
            sources[name] = [name]
            if name not in used and len(layers) > 1:
                raise ValueError(f"Network: no layer takes the output of the input layer {name!r}")
        order = _order(layers, sources)
        places = {("in", name): place for place, name in enumerate(self.input_names)}
        places |= {("out", name): place for place, name in enumerate(order, len(self.input_names))}

        def place_of(name, source):
            return places["in" if source not in layers or layers[name].is_input else "out", source]

        found = {name: tuple(place_of(name, source) for source in sources[name]) for name in order}
        self.output_names = tuple(name for name in layers if name not in used)
        self._outputs = tuple(places["out", name] for name in self.output_names)
        self.steps = [Step(name, layers[name], found[name], ()) for name in order]
        self._logits, self._skipped = self._before_softmax()
        kept = {*self._outputs, *self._logits}
        self._chains = chains(self.steps, len(self.input_names))
        last = {place: position for position, step in enumerate(self.steps) for place in step.sources}
        self.steps = [
            step._replace(released=tuple(place for place in set(step.sources)
                                         if last[place] == position and place not in kept))
            for position, step in enumerate(self.steps)
        ]  # fmt: skip

    @property
    def is_chain(self):
        """Whether each layer takes the output of the one before it, and nothing else."""
        return len(self.input_names) == 1 and all(step.sources == (i,) for i, step in enumerate(self.steps))

    @property
    def ends_in_softmax(self):
        """Whether the network has one output, and that is what a Softmax gives."""
        return len(self._outputs) == 1 and self._logits != self._outputs

    def source_of(self, step):
        """Return the layer whose output is the first input of a step, or None where that is the network's."""
        place = step.sources[0] - len(self.input_names)
        return None if place < 0 else self.steps[place].layer

    def run(self, inputs, training, rng, logits=False, stop=None):
        """Return the tuple of outputs for a list of input Tensors, or what `stop` returned if that was not None.

        Parameters
        ----------
        inputs : list of Tensor
        training, rng
            As in `Layer.forward`.
        logits : bool
            Leave out a Softmax in front of an output.
        stop : function, optional
            Called as ``stop(layer, y)`` after each layer; then none is computed together with another.
        """
        values = [*inputs, *[None] * len(self.steps)]
        chains, inside = self.chains() if stop is None else {}, set()
        for place, (_, layer, sources, released) in enumerate(self.steps, len(inputs)):
            if place in inside or (logits and place in self._skipped):
                continue
            if place in chains:
                layer, places = chains[place]
                inside.update(places)
                place = places[-1]
            x = values[sources[0]] if layer.num_inputs == 1 else tuple(values[source] for source in sources)
            y = values[place] = layer.apply(x, training, rng)
            if y.name is None and not y.is_leaf:
                y.name = self.steps[place - len(inputs)].name  # by which it is found on the tape
            for source in released:
                values[source] = None
            if stop is not None:
                found = stop(layer, y)
                if found is not None:
                    return found
        return tuple(values[place] for place in (self._logits if logits else self._outputs))

    def chains(self):
        """Return what is computed as one at present, by the place of the first layer: see `fusion.chains`."""
        if get_fusion() == "off" or not fused.available():
            return {}
        return {place: found for place, found in self._chains.items() if found[0].holds}

    def infer(self, forms, dtype):
        """Yield (step, `formats.Inferred`) for inputs of these forms, in the order of execution.

        In place of what was inferred stands the exception if a layer cannot take what it gets, and None where the
        layers before it could not tell.
        """
        values = list(forms)
        for step in self.steps:
            given, found = [values[source] for source in step.sources], None
            if None not in given:
                try:
                    found = step.layer.infer(given, dtype)
                except Exception as error:  # a function of the user's may raise anything
                    found = error
            values.append(getattr(found, "output", None))
            yield step, found

    def inputs(self, of_inputs, of_steps):
        """Return what belongs to the inputs of each step, from what belongs to the network's, and to each output."""
        values = [*of_inputs, *of_steps]
        return [tuple(values[source] for source in step.sources) for step in self.steps]

    def outputs(self, of_steps):
        """Return what belongs to the outputs, from a list with one entry per step."""
        return tuple(of_steps[place - len(self.input_names)] for place in self._outputs)

    def _before_softmax(self):
        """Return the places of the outputs without a Softmax in front, and the steps that nobody needs then."""
        first = len(self.input_names)
        takers = collections.defaultdict(list)
        for place, step in enumerate(self.steps, first):
            for source in step.sources:
                takers[source].append(place)
        logits, skipped = [], set()
        for output in self._outputs:
            tail, place = [], output
            for kind in (ClassificationOutput, Softmax):
                if place >= first and isinstance(self.steps[place - first].layer, kind):
                    tail.append(place)
                    place = self.steps[place - first].sources[0]
            found = bool(tail) and isinstance(self.steps[tail[-1] - first].layer, Softmax)
            logits.append(place if found else output)
            for place in tail if found else ():
                if set(takers[place]) <= skipped:
                    skipped.add(place)
        return tuple(logits), frozenset(skipped)


def chain(layers):
    """Return the connections of layers, a dict by name, of which each takes the output of the one before it."""
    names = list(layers)
    if not layers[names[0]].is_input:
        first = "in"
        while first in layers:
            first += "_"
        names.insert(0, first)
    return list(itertools.pairwise(names))


def check_unique(names):
    """Raise a ValueError where a name occurs twice."""
    twice = [name for name, count in collections.Counter(names).items() if count > 1]
    if twice:
        raise ValueError(f"Network: two layers have the name {twice[0]!r}")


def _pairs(connections):
    if not isinstance(connections, (list, tuple)):
        raise TypeError(f"Network: connections must be a list of (source, destination), got {connections!r}")
    pairs = []
    for position, pair in enumerate(connections):
        if not isinstance(pair, (list, tuple)) or len(pair) != 2 or not all(isinstance(end, str) for end in pair):
            raise TypeError(f"Network: connections[{position}] must be a pair of names, got {pair!r}")
        pairs.append(tuple(pair))
    return pairs


def _port(end):
    """ "add/in1" is the layer add and its input in1."""
    name, slash, port = end.partition("/")
    return name, port if slash else None


def _sources(layers, connections):
    """Return for each layer the names of what its inputs are connected to, in the order of the inputs."""
    ports = {name: {} for name in layers}  # by layer, input -> source
    counted = {name: [] for name in layers}
    for pair in connections:
        source, output = _port(pair[0])
        name, port = _port(pair[1])
        if name not in layers:
            raise ValueError(f"Network: the connection {pair} goes to {name!r}, and there is no such layer")
        layer = layers[name]
        if output is not None and (source not in layers or output not in layers[source].output_names):
            raise ValueError(f"Network: the connection {pair} comes from {pair[0]!r}, and there is no such output")
        if layer.is_input:
            raise ValueError(
                f"Network: {name!r} takes the network's input; nothing can be connected to it, {source!r} is"
            )
        if port is None:
            if source in counted[name]:
                raise ValueError(f"Network: the connection {pair} comes twice")
            counted[name].append(source)
        else:
            if port not in layer.input_names:
                names = ", ".join(layer.input_names)
                raise ValueError(f"Network: {name!r} has no input {port!r}; it has {names}")
            if port in ports[name]:
                both = f"{ports[name][port]!r} and {source!r}"
                raise ValueError(f"Network: the input {pair[1]!r} is connected twice, to {both}")
            ports[name][port] = source
    return {name: _inputs(name, layer, ports[name], counted[name]) for name, layer in layers.items()}


def _inputs(name, layer, by_port, counted):
    """Return the sources of one layer in the order of its inputs."""
    if layer.is_input:
        return []
    if by_port and counted:
        raise ValueError(f"Network: the inputs of {name!r} must be connected either all by name, such as "
                         f"'{name}/{layer.input_names[0]}', or none")  # fmt: skip
    missing = [port for port in layer.input_names if port not in by_port]
    if by_port and missing:
        raise ValueError(f"Network: nothing is connected to '{name}/{missing[0]}'")
    found = [by_port[port] for port in layer.input_names] if by_port else counted
    if not found:
        raise ValueError(f"Network: nothing is connected to {name!r}")
    if len(found) != layer.num_inputs:
        wanted = "1 input" if layer.num_inputs == 1 else f"{layer.num_inputs} inputs"
        raise ValueError(f"Network: {name!r} takes {wanted}, {len(found)} are connected: {', '.join(found)}"
                         .replace("1 are", "1 is"))  # fmt: skip
    return found


def _order(layers, sources):
    """Return the names in the order of execution: each after its sources, otherwise as in the dict."""
    waiting, order, done = list(layers), [], set()
    while waiting:
        ready = next((name for name in waiting if layers[name].is_input
                      or all(source in done or source not in layers for source in sources[name])), None)  # fmt: skip
        if ready is None:
            raise ValueError(f"Network: the connections run in a circle: {' -> '.join(_circle(waiting, sources))}")
        waiting.remove(ready)
        order.append(ready)
        done.add(ready)
    return order


def _circle(waiting, sources):
    """Return the names on a circle among layers of which each waits for another, the first again at the end."""
    path = [waiting[0]]
    while path[-1] not in path[:-1]:
        path.append(next(source for source in sources[path[-1]] if source in waiting))
    return path[path.index(path[-1]) :][::-1]
