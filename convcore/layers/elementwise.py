"""What the layers share that apply a function to each value by itself."""

from convcore.layers.layer import Layer, spec_block
from convcore.layers.spec_values import spec_number


class ElementwiseLayer(Layer):
    """A layer that keeps the shape and learns nothing; its hyperparameters are its `required` and `properties`."""

    layout = "elementwise"
    spec_title = ""  # how the specification calls the class: "LeakyReLULayer"

    def spec_text(self):
        """Return the properties as the specification prints them."""
        names = (*self.required, *self.properties)
        hyperparameters = [(name.title(), spec_number(getattr(self, name))) for name in names]
        rows = [("Name", f"'{self.name}'"), *(["Hyperparameters", *hyperparameters] if names else [])]
        return spec_block(self.spec_title, rows)
