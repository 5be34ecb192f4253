"""What the layers with weights and a bias share: how these are given, drawn, scaled in training, and printed."""

from convcore.layers import initializers
from convcore.layers.layer import Layer, given_array
from convcore.layers.parameter import Parameter, factor


class LearnableLayer(Layer):
    """A layer with weights and a bias.

    A subclass says in `sizes` how large these are for an input, and calls `learnable` from its constructor.
    """

    learnable_properties = {
        "weights_initializer": "glorot",
        "bias_initializer": "zeros",
        "weight_learn_rate_factor": 1.0,
        "bias_learn_rate_factor": 1.0,
        "weight_l2_factor": 1.0,
        "bias_l2_factor": 0.0,
    }

    def learnable(self, outputs, weights_initializer, bias_initializer, weights, bias, weight_learn_rate_factor,
                  bias_learn_rate_factor, weight_l2_factor, bias_l2_factor):  # fmt: skip
        """Check and keep what the user said about weights and bias, which has one value for each of the outputs."""
        op = type(self).__name__
        self.weights_initializer = initializers.check(weights_initializer, f"{op}: weights_initializer")
        self.bias_initializer = initializers.check(bias_initializer, f"{op}: bias_initializer")
        self._factors = {
            "weights": [factor(weight_learn_rate_factor, f"{op}: weight_learn_rate_factor"),
                        factor(weight_l2_factor, f"{op}: weight_l2_factor")],
            "bias": [factor(bias_learn_rate_factor, f"{op}: bias_learn_rate_factor"),
                     factor(bias_l2_factor, f"{op}: bias_l2_factor")],
        }  # fmt: skip
        self._given = {"weights": given_array(weights, f"{op}: weights"), "bias": given_array(bias, f"{op}: bias")}
        if bias is not None and self._given["bias"].shape != (outputs,):
            raise ValueError(f"{op}: bias must have shape ({outputs},), got {self._given['bias'].shape}")

    def sizes(self, input_shape):
        """Return (weights' size, bias' size, num_in, num_out) for an input of this shape."""
        raise TypeError(f"{type(self).__name__} does not define sizes")

    @property
    def initialized(self):
        """Whether weights and bias exist."""
        return bool(self.learnables)

    def initialize(self, input_shape, rng, dtype):
        """Make weights and bias: as given, else drawn by the initializer.

        Raises
        ------
        ValueError
            Given arrays whose shape does not fit the input; numbers too large for the dtype.
        """
        weights_size, bias_size, num_in, num_out = self.sizes(input_shape)
        for role, size in (("weights", weights_size), ("bias", bias_size)):
            values, what = self._given[role], f"{self.name or type(self).__name__}: {role}"
            if values is None:
                initializer = getattr(self, f"{role}_initializer")
                values = initializers.draw(initializer, size, num_in, num_out, rng, dtype, what)
            elif values.shape != size:
                raise ValueError(f"{what} must have shape {size} for inputs {input_shape}, got {values.shape}")
            self._learn(role, initializers.cast(values, dtype, what))

    def _learn(self, role, values):
        rate, l2 = self._factors[role]
        self.learnables[role] = Parameter(values, rate, l2, f"{self.name}.{role}")

    def array_shapes(self, input_shape):
        """Return the shapes of weights and bias for inputs of this shape."""
        weights, bias, _, _ = self.sizes(input_shape)
        return {"weights": weights, "bias": bias}

    def load(self, arrays, dtype):
        """Take weights and bias from arrays of the right shapes: into the parameters, or as their first values."""
        for role, values in arrays.items():
            if role in self.learnables:
                self.learnables[role].assign(values)
            else:
                self._learn(role, values.astype(dtype))

    @property
    def weights(self):
        """The weights Parameter; before `initialize` the array that was given, or None."""
        return self.learnables.get("weights", self._given["weights"])

    @property
    def bias(self):
        """The bias Parameter; before `initialize` the array that was given, or None."""
        return self.learnables.get("bias", self._given["bias"])


def _factor_property(role, position, what):
    """Return a property that reads and writes one factor, of the parameter too once that exists."""
    attribute = ("learn_rate_factor", "l2_factor")[position]
    name = f"{'weight' if role == 'weights' else 'bias'}_{attribute}"

    def read(self):
        return getattr(self.learnables[role], attribute) if role in self.learnables else self._factors[role][position]

    def write(self, value):
        self._factors[role][position] = factor(value, f"{type(self).__name__}: {name}")
        if role in self.learnables:
            setattr(self.learnables[role], attribute, value)

    setattr(LearnableLayer, name, property(read, write, doc=f"Times the global {what} is that of the {role}."))


for _role in ("weights", "bias"):
    _factor_property(_role, 0, "learning rate")
    _factor_property(_role, 1, "L2 regularization")
