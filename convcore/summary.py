"""The table that says what a network is made of, and what is wrong with it before any training."""

import functools
import io
import math
import textwrap

from convcore.layers import ClassificationOutput, RegressionOutput, Softmax
from convcore.network.saved import saved_bytes

COUNTS = ("learnables", "state", "multiply_adds", "bytes", "saved_bytes", "conversion_bytes")


class Summary:
    """A table of a network's layers; ``str(summary)`` or ``print(summary)`` shows it.

    Attributes
    ----------
    rows : list of dict
        Made when they are first asked for. Per layer: name, type, activations (shape without the batch axis),
        learnables (count), state (count of what is saved but not learned, the statistics of the data in ImageInput left
        out), multiply_adds (per observation), bytes (activations of one observation, learnables and state), saved_bytes
        (the arrays that training saves of one observation for the way back; None where that could not be found out),
        conversion_bytes (what is copied for one observation to bring axes into the layer's order and back).
    problems : list of str
        What would keep the network from working, or from being trained as a classifier.

    Notes
    -----
    Of a SequenceInput that has seen no data the smallest length is counted.

    What training saves for the way back is read off the records of a tape, on which zeros go through copies of the
    layers: that costs the forward pass of one observation. Of layers that are computed as one (see `convcore.fusion`)
    the last has what they save. An array that several records save counts once, for the
    layer that made it, and is in bytes, too, if it is that layer's output; parameters, being learnables, do not count
    again. The loss is left out: cross-entropy saves probabilities in place of the Softmax, which does so here. While
    the tape lives, outputs that nobody saved are held, too, by its records.
    """

    def __init__(self, network):
        self.problems = []
        known = network.input_forms()
        self._forms = [None] * len(known) if None in known else known
        self._dtype = network.dtype
        self._inferred = list(network.inferred(self._forms))
        self._chains = network.chains()
        for step, found in self._inferred:
            if isinstance(found, Exception):
                text, name = _text(found), f"{step.name}: "
                self.problems.append(text if text.startswith(name) else name + text)
        if None in known:
            self.problems.append("the size of the input is not known: begin with ImageInput, or call initialize")
        self._check_ends(network)

    def _check_ends(self, network):
        """Add what is wrong with the layers that mark the end of a network."""
        for layer, before in network.predecessors():
            if layer.is_output and layer.name not in network.output_names:
                self.problems.append(f"{layer.name}: {type(layer).__name__} must be the last layer")
            if isinstance(layer, ClassificationOutput) and not isinstance(before, Softmax):
                what = "the network's input" if before is None else before.name
                self.problems.append(f"{layer.name}: ClassificationOutput must follow a Softmax, it follows {what}")
        last = network.output_layer
        if last is not None and not isinstance(last, (ClassificationOutput, RegressionOutput, Softmax)):
            self.problems.append(f"{last.name}: a classifier must end in Softmax")

    @functools.cached_property
    def rows(self):
        """The layers, one dict each; see the class."""
        saved = saved_bytes(self._inferred, self._forms, self._dtype, self._chains)
        return [_row(*pair, self._dtype.itemsize, count) for pair, count in zip(self._inferred, saved, strict=True)]

    @property
    def totals(self):
        """The sums over all layers: learnables, state, multiply_adds, bytes, saved_bytes, conversion_bytes.

        That of saved_bytes is None where it is of a layer.
        """
        columns = {key: [row[key] for row in self.rows] for key in COUNTS}
        return {key: None if None in counts else sum(counts) for key, counts in columns.items()}

    def __str__(self):
        from rich import box
        from rich.console import Console
        from rich.table import Table

        totals = self.totals
        shown = [key for key in COUNTS if key not in ("state", "conversion_bytes") or totals[key]]
        heads = {"multiply_adds": "multiply-adds", "saved_bytes": "saved bytes", "conversion_bytes": "conversions"}
        table = Table(box=box.SIMPLE_HEAD, show_footer=True, pad_edge=False)
        table.add_column("name", "total")
        table.add_column("type")
        table.add_column("activations")
        for key in shown:
            table.add_column(heads.get(key, key), _shown(totals[key]), justify="right")
        for row in self.rows:
            activations = "?" if row["activations"] is None else " × ".join(str(n) for n in row["activations"])
            table.add_row(row["name"], row["type"], activations, *[_shown(row[key]) for key in shown])
        text = io.StringIO()
        Console(file=text, width=160, color_system=None).print(table)
        lines = [line.rstrip() for line in textwrap.dedent(text.getvalue()).strip("\n").splitlines()]
        return "\n".join(lines + [f"problem: {problem}" for problem in self.problems])

    __repr__ = __str__


def _shown(count):
    """Return a count as the table shows it."""
    return "?" if count is None else f"{count:,}"


def _text(error):
    """Return what an error says; one of a user's function may say little without its kind."""
    return str(error) if isinstance(error, (TypeError, ValueError)) else f"{type(error).__name__}: {error}"


def _row(step, found, itemsize, saved):
    """Return the row of one layer, with zeros where its sizes could not be inferred."""
    row = {"name": step.name, "type": type(step.layer).__name__, "activations": None, **dict.fromkeys(COUNTS, 0)}
    row["saved_bytes"] = saved
    if found is None or isinstance(found, Exception):
        return row
    counts = {role: math.prod(shape) for role, shape in step.layer.array_shapes(found.input_shape).items()}
    row["activations"] = found.output.observation
    row["learnables"] = sum(count for role, count in counts.items() if role in step.layer.learned)
    if not step.layer.is_input:
        row["state"] = sum(count for role, count in counts.items() if role not in step.layer.learned)
    row["multiply_adds"] = found.repeats * step.layer.multiply_adds(found.input_shape)
    row["bytes"] = (math.prod(found.output.shape) + row["learnables"] + row["state"]) * itemsize
    row["conversion_bytes"] = found.moved * itemsize
    return row
