"""The table that says what a network is made of, and what is wrong with it before any training."""

import io
import math

from convcore.layers import ClassificationOutput, RegressionOutput, Softmax

COUNTS = ("learnables", "state", "multiply_adds", "bytes", "conversion_bytes")


class Summary:
    """A table of a network's layers; ``str(summary)`` or ``print(summary)`` shows it.

    Attributes
    ----------
    rows : list of dict
        Per layer: name, type, activations (shape without the batch axis), learnables (count), state (count of what is
        saved but not learned, the statistics of the data in ImageInput left out), multiply_adds (per observation),
        bytes (activations of one observation, learnables and state), conversion_bytes (what is copied for one
        observation to bring axes into the layer's order and back).
    problems : list of str
        What would keep the network from working, or from being trained as a classifier.

    Notes
    -----
    Of a SequenceInput that has seen no data the smallest length is counted. What training keeps for the way back
    depends on the kernels, and is not counted.
    """

    def __init__(self, network):
        self.rows, self.problems = [], []
        known = network.input_forms()
        forms = [None] * len(known) if None in known else known
        for step, found in network.inferred(forms):
            self.rows.append(_row(step, found, network.dtype.itemsize))
            if isinstance(found, Exception):
                text, name = str(found), f"{step.name}: "
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

    @property
    def totals(self):
        """The sums over all layers: learnables, state, multiply_adds, bytes, conversion_bytes."""
        return {key: sum(row[key] for row in self.rows) for key in COUNTS}

    def __str__(self):
        from rich import box
        from rich.console import Console
        from rich.table import Table

        totals = self.totals
        shown = [key for key in COUNTS if key not in ("state", "conversion_bytes") or totals[key]]
        heads = {"multiply_adds": "multiply-adds", "conversion_bytes": "conversions"}
        table = Table(box=box.SIMPLE_HEAD, show_footer=True, pad_edge=False)
        table.add_column("name", "total")
        table.add_column("type")
        table.add_column("activations")
        for key in shown:
            table.add_column(heads.get(key, key), f"{totals[key]:,}", justify="right")
        for row in self.rows:
            activations = "?" if row["activations"] is None else " × ".join(str(n) for n in row["activations"])
            table.add_row(row["name"], row["type"], activations, *[f"{row[key]:,}" for key in shown])
        text = io.StringIO()
        Console(file=text, width=160, color_system=None).print(table)
        lines = [line.rstrip() for line in text.getvalue().strip().splitlines()]
        return "\n".join(lines + [f"problem: {problem}" for problem in self.problems])

    __repr__ = __str__


def _row(step, found, itemsize):
    """Return the row of one layer, with zeros where its sizes could not be inferred."""
    row = {"name": step.name, "type": type(step.layer).__name__, "activations": None, **dict.fromkeys(COUNTS, 0)}
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
