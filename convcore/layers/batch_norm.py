"""The batch normalization layer."""

import math

from convcore.checks import number_within, positive_number
from convcore.layers import initializers
from convcore.layers.layer import given_array, positive_int
from convcore.layers.learnable import ParameterLayer
from convcore.layers.spec_values import spec_channels, spec_number, spec_value
from convcore.ops.batch_norm import moving, normalize

# What draws from numbers of connections makes no sense for one value per channel.
INITIALIZERS = {name: initializers.NAMED[name] for name in ("narrow-normal", "zeros", "ones")}


class BatchNorm(ParameterLayer):
    """Normalize each channel to mean 0 and variance 1, then scale and shift it.

    In training with the statistics of the mini-batch, in prediction with statistics of the training data: running
    values, or, after `begin_population_statistics` and `end_population_statistics`, those of all batches in between.

    Parameters
    ----------
    epsilon : float, greater than 0
        Added to the variance, so that the root of it is not 0.
    mean_decay, variance_decay : float in [0, 1]
        The share of the batch in the running values: s = decay · s_batch + (1 − decay) · s.
    offset_initializer, scale_initializer : str or function
        "zeros", "ones", "narrow-normal", or a function of the size that returns an array.
    offset, scale : array, shape (channels,), optional
        First values; they switch the initializer off.
    trained_mean, trained_variance : array, shape (channels,), optional
        First statistics for prediction; otherwise 0 and 1.
    num_channels : "auto" or int
        Channels of the input; "auto" takes them from the first input.
    offset_learn_rate_factor, scale_learn_rate_factor : float, at least 0
        Times the global learning rate is that of the offset and of the scale.
    offset_l2_factor, scale_l2_factor : float, at least 0
        Times the global L2 regularization is that of the offset and of the scale.
    name : str

    Attributes
    ----------
    remembered : dict of str to ndarray, shape (channels,), dtype of the network
        "trained_mean" and "trained_variance" (biased), saved with the network.

    Raises
    ------
    TypeError, ValueError
        Arguments of another kind or outside their range; the text names the argument.

    References
    ----------
    "Layers of a ConvNet", batch normalization layer (specification); Ioffe and Szegedy, ICML 2015.

    Examples
    --------
    >>> layer = BatchNorm(epsilon=1e-3)
    >>> layer.output_shape((16, 28, 28))
    (16, 28, 28)
    """

    roles = {"scale": "scale", "offset": "offset"}
    properties = {
        "epsilon": 1e-5,
        "mean_decay": 0.1,
        "variance_decay": 0.1,
        "offset_initializer": "zeros",
        "scale_initializer": "ones",
        "num_channels": "auto",
        "offset_learn_rate_factor": 1.0,
        "scale_learn_rate_factor": 1.0,
        "offset_l2_factor": 1.0,
        "scale_l2_factor": 1.0,
    }
    layout = "channels"
    short = "batchnorm"
    kind = "Batch Normalization"
    spec_title = "BatchNormalizationLayer"
    STATISTICS = {"trained_mean": "zeros", "trained_variance": "ones"}  # what they are before any training

    def __init__(self, *, epsilon=1e-5, mean_decay=0.1, variance_decay=0.1, offset_initializer="zeros",
                 scale_initializer="ones", offset=None, scale=None, trained_mean=None, trained_variance=None,
                 num_channels="auto", offset_learn_rate_factor=1, scale_learn_rate_factor=1, offset_l2_factor=1,
                 scale_l2_factor=1, name=""):  # fmt: skip
        super().__init__(name)
        self.epsilon = positive_number(epsilon, "BatchNorm: epsilon")
        self.mean_decay = number_within(mean_decay, "BatchNorm: mean_decay", 0, 1)
        self.variance_decay = number_within(variance_decay, "BatchNorm: variance_decay", 0, 1)
        automatic = isinstance(num_channels, str) and num_channels == "auto"
        self.num_channels = num_channels if automatic else positive_int(num_channels, "BatchNorm: num_channels")
        self.declare("scale", scale, scale_initializer, scale_learn_rate_factor, scale_l2_factor, INITIALIZERS)
        self.declare("offset", offset, offset_initializer, offset_learn_rate_factor, offset_l2_factor, INITIALIZERS)
        for role, values in (("trained_mean", trained_mean), ("trained_variance", trained_variance)):
            self._given[role] = given_array(values, f"BatchNorm: {role}")
        for role, values in self._given.items():
            self._check_given(role, values)
        self._population = None

    def _check_given(self, role, values):
        """Given arrays must have one value per channel, and tell the number of channels."""
        if values is None:
            return
        if values.ndim != 1 or values.size == 0:
            raise ValueError(f"BatchNorm: {role} must have shape (channels,), got {values.shape}")
        if self.num_channels not in ("auto", len(values)):
            raise ValueError(f"BatchNorm: {role} is for {len(values)} channels, others are for {self.num_channels}")
        if role == "trained_variance" and values.min() < 0:
            raise ValueError(f"BatchNorm: trained_variance must be at least 0, got {values.min():g}")
        self.num_channels = len(values)

    @property
    def trained_mean(self):
        """The mean of each channel for prediction; before `initialize` the array that was given, or None."""
        return self.remembered.get("trained_mean", self._given["trained_mean"])

    @property
    def trained_variance(self):
        """The biased variance of each channel for prediction; before `initialize` what was given, or None."""
        return self.remembered.get("trained_variance", self._given["trained_variance"])

    def sizes(self, input_shape):
        """Return the size of scale and offset, with 1 connection per value in and out."""
        channels = self.output_shape(input_shape)[:1]
        return (channels, 1, 1), (channels, 1, 1)

    def initialize(self, input_shape, rng, dtype):
        """Make scale, offset and statistics for inputs of this shape (channels, ...)."""
        super().initialize(input_shape, rng, dtype)
        self.num_channels = input_shape[0]
        for role, initial in self.STATISTICS.items():
            given, what = self._given[role], f"{self.name or 'BatchNorm'}: {role}"
            values = INITIALIZERS[initial]((self.num_channels,), 1, 1, rng) if given is None else given
            self.remembered[role] = initializers.cast(values, dtype, what)

    def array_shapes(self, input_shape):
        """Return the shapes of scale, offset and statistics for inputs of this shape."""
        return {**super().array_shapes(input_shape), **dict.fromkeys(self.STATISTICS, tuple(input_shape[:1]))}

    def load(self, arrays, dtype):
        """Take scale, offset and statistics from arrays, and the number of channels."""
        super().load(arrays, dtype)
        self.remembered.update({role: arrays[role].astype(dtype) for role in self.STATISTICS})
        self.num_channels = len(self.scale)

    def output_shape(self, input_shape):
        """Return the input's shape, (channels, ...)."""
        what = self.name or "BatchNorm"
        if not input_shape:
            raise ValueError(f"{what}: expects (channels, ...), got {input_shape}")
        if self.num_channels not in ("auto", input_shape[0]):
            raise ValueError(
                f"{what}: expects {self.num_channels} channels, got {input_shape[0]} (inputs {input_shape})"
            )
        return input_shape

    def forward(self, x, training, rng):
        """Return the normalized values (N, channels, ...); in training, learn from the batch's statistics."""
        return self.normalize(x, training, normalize)

    def normalize(self, x, training, function):
        """Return what a function makes of x: `ops.batch_norm.normalize`, or one that does more; in training, learn."""
        statistics = None if training else (self.trained_mean, self.trained_variance)
        y, mean, variance = function(x, self.scale, self.offset, statistics, self.epsilon)
        if training and x.size and self._population is not None:
            self._population.add(x.size // len(mean), mean, variance)
        elif training and x.size:
            self.learn(mean, variance)
        return y

    def learn(self, mean, variance):
        """Take the statistics of a batch into the running ones, which are new arrays: the old may have been kept."""
        self.remembered["trained_mean"] = moving(self.trained_mean, mean, self.mean_decay)
        self.remembered["trained_variance"] = moving(self.trained_variance, variance, self.variance_decay)

    # ---------------------------------------------------------------- statistics of the whole training set

    def begin_population_statistics(self):
        """From now on gather, in `forward` with training=True, the statistics of all batches together.

        Running values stay as they are in between. What an earlier call has gathered is thrown away.
        """
        self._population = _Population()

    def end_population_statistics(self):
        """Replace the trained statistics by those of all values seen since `begin_population_statistics`.

        Raises
        ------
        RuntimeError
            Nothing was begun, or no values were seen. The trained statistics stay as they are.

        Examples
        --------
        >>> import numpy as np
        >>> from convcore.autograd import Tensor
        >>> layer = BatchNorm()
        >>> layer.initialize((1,), np.random.default_rng(0), np.dtype(np.float64))
        >>> layer.begin_population_statistics()
        >>> for batch in ([[1.0], [2.0]], [[6.0]]):
        ...     y = layer.forward(Tensor(batch), True, None)
        >>> layer.end_population_statistics()
        >>> layer.trained_mean
        array([3.])
        """
        what, population = self.name or "BatchNorm", self._population
        if population is None:
            raise RuntimeError(f"{what}: end_population_statistics without begin_population_statistics")
        self._population = None
        if population.count == 0:
            raise RuntimeError(f"{what}: no values between begin_population_statistics and end_population_statistics")
        dtype = self.scale.dtype
        self.remembered["trained_mean"] = population.mean.astype(dtype)
        self.remembered["trained_variance"] = (population.squares / population.count).astype(dtype)

    def cancel_population_statistics(self):
        """Throw away what was gathered since `begin_population_statistics`: running values move again."""
        self._population = None

    # ---------------------------------------------------------------- printed forms

    def multiply_adds(self, input_shape):
        """Return the multiply-adds of one observation: one per value."""
        return math.prod(input_shape)

    def spec_rows(self):
        """Return name, number of channels, hyperparameters, parameters and statistics.

        Examples
        --------
        >>> print(BatchNorm().spec_text().splitlines()[6].strip())
        MeanDecay: 0.1000
        """
        return [
            *super().spec_rows(),
            ("NumChannels", spec_value(self.num_channels)),
            "Hyperparameters",
            ("MeanDecay", spec_number(self.mean_decay)),
            ("VarianceDecay", spec_number(self.variance_decay)),
            ("Epsilon", spec_number(self.epsilon)),
            "Learnable Parameters",
            ("Offset", spec_channels(self.offset)),
            ("Scale", spec_channels(self.scale)),
            "State Parameters",
            ("TrainedMean", spec_channels(self.trained_mean)),
            ("TrainedVariance", spec_channels(self.trained_variance)),
        ]

    def description(self):
        """Return the specification's words: "Batch normalization with 16 channels"."""
        if self.num_channels == "auto":
            return "Batch normalization"
        return f"Batch normalization with {self.num_channels} channel{'s' if self.num_channels > 1 else ''}"


class _Population:
    """Count, mean and sum of squared deviations of all batches, merged one by one in double precision.

    T. F. Chan, G. H. Golub and R. J. LeVeque, "Algorithms for computing the sample variance", The American
    Statistician 37 (1983).
    """

    def __init__(self):
        self.count = 0
        self.mean = self.squares = 0.0

    def add(self, count, mean, variance):
        total = self.count + count
        difference = mean - self.mean
        self.mean = self.mean + difference * (count / total)
        self.squares = self.squares + variance * count + difference**2 * (self.count * count / total)
        self.count = total
