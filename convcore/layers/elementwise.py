"""What the layers share that apply a function to each value by itself."""

from convcore.layers.layer import Layer
from convcore.layers.spec_values import spec_number


class ElementwiseLayer(Layer):
    """A layer that keeps the shape and learns nothing; its hyperparameters are its `required` and `properties`."""

    layout = "elementwise"

    def spec_rows(self):
        """Return the name, and the hyperparameters if there are any."""
        names = (*self.required, *self.properties)
        hyperparameters = [(name.title(), spec_number(getattr(self, name))) for name in names]
        return [*super().spec_rows(), *(["Hyperparameters", *hyperparameters] if names else [])]
