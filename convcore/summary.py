"""The table that says what a network is made of, and what is wrong with it before any training."""

import io
import math


class Summary:
    """A table of a network's layers; ``str(summary)`` or ``print(summary)`` shows it.

    Attributes
    ----------
    rows : list of dict
        Per layer: name, type, activations (shape without the batch axis), learnables (count), multiply_adds (per
        observation), bytes (activations of one observation and learnables).
    problems : list of str
        What would keep the network from working, or from being trained as a classifier.
    """

    def __init__(self, network):
        self.rows, self.problems = [], []
        itemsize = network.dtype.itemsize
        shape = network.input_shape
        for layer in network.layers:
            row = {"name": layer.name, "type": type(layer).__name__, "activations": None, "learnables": 0,
                   "multiply_adds": 0, "bytes": 0}  # fmt: skip
            self.rows.append(row)
            if shape is None:
                continue
            try:
                output = tuple(layer.output_shape(shape))
                row["learnables"] = sum(math.prod(size) for role, size in layer.array_shapes(shape).items()
                                        if role in getattr(layer, "roles", ()))  # fmt: skip
                row["multiply_adds"] = layer.multiply_adds(shape)
            except ValueError as error:
                text, name = str(error), f"{layer.name}: "
                self.problems.append(text if text.startswith(name) else name + text)
                shape = None
                continue
            row["activations"] = output
            row["bytes"] = (math.prod(output) + row["learnables"]) * itemsize
            shape = output
        if network.input_shape is None:
            self.problems.append("the size of the input is not known: begin with ImageInput, or call initialize")
        if not network.ends_in_softmax:
            self.problems.append(f"{network.layers[-1].name}: a classifier must end in Softmax")

    @property
    def totals(self):
        """The sums over all layers: learnables, multiply_adds, bytes."""
        return {key: sum(row[key] for row in self.rows) for key in ("learnables", "multiply_adds", "bytes")}

    def __str__(self):
        from rich import box
        from rich.console import Console
        from rich.table import Table

        totals = self.totals
        table = Table(box=box.SIMPLE_HEAD, show_footer=True, pad_edge=False)
        table.add_column("name", "total")
        table.add_column("type")
        table.add_column("activations")
        table.add_column("learnables", f"{totals['learnables']:,}", justify="right")
        table.add_column("multiply-adds", f"{totals['multiply_adds']:,}", justify="right")
        table.add_column("bytes", f"{totals['bytes']:,}", justify="right")
        for row in self.rows:
            activations = "?" if row["activations"] is None else " × ".join(str(n) for n in row["activations"])
            table.add_row(row["name"], row["type"], activations, f"{row['learnables']:,}", f"{row['multiply_adds']:,}",
                          f"{row['bytes']:,}")  # fmt: skip
        text = io.StringIO()
        Console(file=text, width=100, color_system=None).print(table)
        lines = [line.rstrip() for line in text.getvalue().strip().splitlines()]
        return "\n".join(lines + [f"problem: {problem}" for problem in self.problems])

    __repr__ = __str__
