"""The layer that says that a network classifies."""

from convcore.layers.layer import Layer
from convcore.layers.spec_values import spec_value


class ClassificationOutput(Layer):
    """Mark the end of a classifier, behind a Softmax; it changes nothing.

    Training minimises the cross-entropy, which is computed from what enters the Softmax.

    Parameters
    ----------
    classes : sequence of str, optional
        What the outputs stand for; the network's `class_names`.
    name : str

    Raises
    ------
    TypeError, ValueError
        Classes that are no strings, none at all, or twice the same.

    References
    ----------
    "Layers of a ConvNet", classification layer (specification).

    Examples
    --------
    >>> ClassificationOutput(["cat", "dog"])
    ClassificationOutput(classes=('cat', 'dog'))
    """

    properties = {"classes": None}
    short = "classoutput"
    kind = "Classification Output"
    spec_title = "ClassificationOutputLayer"
    layout = "channels"
    is_output = True

    def __init__(self, classes=None, *, name=""):
        super().__init__(name)
        self.classes = None if classes is None else _names(classes)

    def output_shape(self, input_shape):
        """Return the shape of the input."""
        if self.classes is not None and input_shape[0] != len(self.classes):
            raise ValueError(f"{self.name or 'ClassificationOutput'}: expects {len(self.classes)} classes, "
                             f"got {input_shape[0]} (inputs {tuple(input_shape)})")  # fmt: skip
        return input_shape

    def apply(self, x, training, rng):
        """Return x."""
        return x

    def forward(self, x, training, rng):
        """Return x."""
        return x

    def spec_rows(self):
        """Return the name, the classes and their number, and the loss."""
        names, size = (spec_value("auto"),) * 2
        if self.classes is not None:
            names, size = f"[{'    '.join(self.classes)}]", len(self.classes)
        loss = ("LossFunction", spec_value(self.description()))
        return [*super().spec_rows(), ("Classes", names), ("OutputSize", size), "Hyperparameters", loss]

    def description(self):
        """Return the specification's words: "crossentropyex"."""
        return "crossentropyex"


def _names(classes):
    if isinstance(classes, str) or not hasattr(classes, "__iter__"):
        raise TypeError(f"ClassificationOutput: classes must be a sequence of str, got {classes!r}")
    names = tuple(classes)
    for name in names:
        if not isinstance(name, str):
            raise TypeError(f"ClassificationOutput: classes must be a sequence of str, it holds {name!r}")
    if not names:
        raise ValueError("ClassificationOutput: classes must hold at least 1 name, got 0")
    if len(set(names)) < len(names):
        raise ValueError(f"ClassificationOutput: classes must differ, got {list(names)}")
    return tuple(str(name) for name in names)
