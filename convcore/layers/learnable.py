"""What the layers that learn share: how their arrays are given, drawn, scaled in training, and read."""

from convcore.checks import number_from
from convcore.layers import initializers
from convcore.layers.layer import Layer, given_array
from convcore.layers.parameter import Parameter


class ParameterLayer(Layer):
    """A layer with learned arrays, whose names its class lists in `roles`.

    A subclass says in `sizes` how large these are for an input, and calls `declare` for each from its constructor.
    Each role gets properties: the array itself, and its two factors (``weight_learn_rate_factor`` and so on).
    """

    roles = {}  # the arrays in the order of the layer's parameters, and what the names of their factors begin with

    def __init_subclass__(cls, **keywords):
        super().__init_subclass__(**keywords)
        cls.learned = tuple(cls.roles)
        for role, prefix in cls.__dict__.get("roles", {}).items():
            made = {role: _array_property(role)}
            for position, (attribute, what) in enumerate(FACTORS.items()):
                made[f"{prefix}_{attribute}"] = _factor_property(role, position, attribute, prefix, what)
            for name, accessor in made.items():
                setattr(cls, name, accessor)
                accessor.__set_name__(cls, name)  # for Python's error about what cannot be assigned to

    def __init__(self, name=""):
        super().__init__(name)
        self._factors, self._given = {}, {}

    def declare(self, role, values, initializer, learn_rate_factor, l2_factor, names=initializers.NAMED):
        """Check and keep what the user said about one array; `names` are the initializers that it may have."""
        op, prefix = type(self).__name__, self.roles[role]
        setattr(self, f"{role}_initializer", initializers.check(initializer, f"{op}: {role}_initializer", names))
        self._factors[role] = [number_from(learn_rate_factor, f"{op}: {prefix}_learn_rate_factor", 0),
                               number_from(l2_factor, f"{op}: {prefix}_l2_factor", 0)]  # fmt: skip
        self._given[role] = given_array(values, f"{op}: {role}")

    def check_given(self, role, shape):
        """Raise a ValueError unless an array, if it was given, has this shape."""
        values = self._given[role]
        if values is not None and values.shape != shape:
            raise ValueError(f"{type(self).__name__}: {role} must have shape {shape}, got {values.shape}")

    def sizes(self, input_shape):
        """Return (size, num_in, num_out) of each array, in the order of `roles`, for an input of this shape."""
        raise TypeError(f"{type(self).__name__} does not define sizes")

    @property
    def initialized(self):
        """Whether the arrays exist."""
        return bool(self.learnables)

    def initialize(self, input_shape, rng, dtype):
        """Make the arrays: as given, else drawn by the initializer.

        Raises
        ------
        ValueError
            Given arrays whose shape does not fit the input; numbers too large for the dtype.
        """
        arrays = {}  # kept only if all can be made: a layer is never half initialized
        for role, (size, num_in, num_out) in zip(self.roles, self.sizes(input_shape), strict=True):
            values, what = self._given[role], f"{self.name or type(self).__name__}: {role}"
            if values is None:
                initializer = getattr(self, f"{role}_initializer")
                values = initializers.draw(initializer, size, num_in, num_out, rng, dtype, what)
            elif values.shape != size:
                raise ValueError(f"{what} must have shape {size} for inputs {input_shape}, got {values.shape}")
            arrays[role] = initializers.cast(values, dtype, what)
        for role, values in arrays.items():
            self._learn(role, values)

    def _learn(self, role, values):
        rate, l2 = self._factors[role]
        self.learnables[role] = Parameter(values, rate, l2, f"{self.name}.{role}")

    def array_shapes(self, input_shape):
        """Return the shapes of the arrays for inputs of this shape."""
        return {role: size for role, (size, _, _) in zip(self.roles, self.sizes(input_shape), strict=True)}

    def load(self, arrays, dtype):
        """Take arrays of the right shapes: into the parameters, or as their first values."""
        for role in self.roles:  # in this order, whatever that of a file is
            if role in self.learnables:
                self.learnables[role].assign(arrays[role])
            else:
                self._learn(role, arrays[role].astype(dtype))


FACTORS = {"learn_rate_factor": "learning rate", "l2_factor": "L2 regularization"}


def _array_property(role):
    """Return a property that reads one array."""

    def read(self):
        return self.learnables.get(role, self._given[role])

    return property(read, doc=f"The {role} Parameter; before `initialize` the array that was given, or None.")


def _factor_property(role, position, attribute, prefix, what):
    """Return a property that reads and writes one factor, of the parameter too once that exists."""

    def read(self):
        return getattr(self.learnables[role], attribute) if role in self.learnables else self._factors[role][position]

    def write(self, value):
        self._factors[role][position] = number_from(value, f"{type(self).__name__}: {prefix}_{attribute}", 0)
        if role in self.learnables:
            setattr(self.learnables[role], attribute, value)

    return property(read, write, doc=f"Times the global {what} is that of the {role}.")


class LearnableLayer(ParameterLayer):
    """A layer with weights and a bias.

    A subclass says in `sizes` how large these are for an input, and calls `learnable` from its constructor.
    """

    roles = {"weights": "weight", "bias": "bias"}
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
        """Check and keep what the user said about weights and bias, which has one value for each of the outputs.

        None where the number of outputs is not known yet.
        """
        self.declare("weights", weights, weights_initializer, weight_learn_rate_factor, weight_l2_factor)
        self.declare("bias", bias, bias_initializer, bias_learn_rate_factor, bias_l2_factor, initializers.OF_BIASES)
        if outputs is not None:
            self.check_given("bias", (outputs,))
