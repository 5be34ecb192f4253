"""The shapes of the problems that do not slide a window: matrix products, rows of logits, flat arrays."""

import functools
import itertools
from dataclasses import dataclass

import numpy as np

from convcore.kernels.geometry import ConvGeometry
from convcore.kernels.problem import Problem


@dataclass(frozen=True, eq=False)
class MatrixGeometry(Problem):
    """A product of matrices: (M, K) · (K, N), or the fully connected layer with N inputs of K values and M outputs.

    Examples
    --------
    >>> str(MatrixGeometry("gemm", 64, 120, 400))
    'm64n120k400'
    """

    op: str
    M: int
    N: int
    K: int
    transpose_a: bool = False
    transpose_b: bool = False

    @functools.cached_property
    def shapes(self):
        """The shape of each array of the problem, by name."""
        if self.op == "gemm":
            a = (self.K, self.M) if self.transpose_a else (self.M, self.K)
            b = (self.N, self.K) if self.transpose_b else (self.K, self.N)
            return {"a": a, "b": b, "c": (self.M, self.N)}
        x, weight, bias, y = (self.M, self.K), (self.N, self.K), (self.N,), (self.M, self.N)
        return {"x": x, "weight": weight, "bias": bias, "y": y,
                "grad_x": x, "grad_weight": weight, "grad_bias": bias, "grad_y": y}  # fmt: skip

    @property
    def SIGNATURES(self):
        """What each direction takes and returns."""
        return {"forward": (("a", "b"), "c")} if self.op == "gemm" else ConvGeometry.SIGNATURES

    OPTIONAL = ("bias",)

    def operations(self, direction):
        """Return the floating-point operations of a direction."""
        return self.M * self.N if direction == "backward_bias" else 2 * self.M * self.N * self.K

    def __str__(self):
        transposed = ("ta" if self.transpose_a else "") + ("tb" if self.transpose_b else "")
        return f"m{self.M}n{self.N}k{self.K}{transposed}"


@dataclass(frozen=True, eq=False)
class RowsGeometry(Problem):
    """N rows of K logits, one row per observation, and the index of the right class of each row.

    Examples
    --------
    >>> str(RowsGeometry(64, 10))
    'mb64k10'
    """

    N: int
    K: int
    op = "cross_entropy"

    @functools.cached_property
    def shapes(self):
        """The shape of each array of the problem, by name."""
        rows, table = (self.N,), (self.N, self.K)
        return {"logits": table, "target": rows, "loss": (1,), "probabilities": table, "hits": (1,),
                "grad_loss": (1,), "grad_logits": table}  # fmt: skip

    SIGNATURES = {
        "forward": (("logits", "target"), ("loss", "probabilities")),
        "count_hits": (("logits", "target"), "hits"),
        "backward_input": (("probabilities", "target", "grad_loss"), "grad_logits"),
    }
    OPTIONAL = ()
    DTYPES = {"target": np.int64, "hits": np.int64}

    def operations(self, direction):
        """Return a rough count of operations: an exponential is worth twenty."""
        return self.N * self.K * (25 if direction == "forward" else 2)

    def __str__(self):
        return f"mb{self.N}k{self.K}"


@dataclass(frozen=True, eq=False)
class SoftmaxGeometry(Problem):
    """N rows of K numbers, each of which becomes a row of probabilities.

    Examples
    --------
    >>> str(SoftmaxGeometry(64, 10))
    'mb64k10'
    """

    N: int
    K: int
    op = "softmax"

    @functools.cached_property
    def shapes(self):
        """The shape of each array of the problem, by name."""
        return dict.fromkeys(("x", "y", "grad_x", "grad_y"), (self.N, self.K))

    SIGNATURES = {"forward": (("x",), "y"), "backward_input": (("grad_y", "y"), "grad_x")}
    OPTIONAL = ()

    def operations(self, direction):
        """Return a rough count of operations: an exponential is worth twenty."""
        return self.N * self.K * (25 if direction == "forward" else 4)

    def __str__(self):
        return f"mb{self.N}k{self.K}"


@dataclass(frozen=True, eq=False)
class RegressionGeometry(Problem):
    """`size` outputs and as many targets; the loss is `factor` times the sum of an error of each difference.

    Examples
    --------
    >>> str(RegressionGeometry("squared_error", 640, 0.5 / 64))
    'n640'
    """

    op: str
    size: int
    factor: float

    @functools.cached_property
    def shapes(self):
        """The shape of each array of the problem, by name."""
        return {**dict.fromkeys(("y", "target", "difference", "grad_y"), (self.size,)), "loss": (1,), "grad_loss": (1,)}

    SIGNATURES = {
        "forward": (("y", "target"), ("loss", "difference")),
        "backward_input": (("difference", "grad_loss"), "grad_y"),
    }
    OPTIONAL = ()

    def operations(self, direction):
        """Return the operations: about three for each number."""
        return 3 * self.size

    def __str__(self):
        return f"n{self.size}"


FROM_INPUT = ("leaky_relu", "clipped_relu", "elu", "swish", "gelu")  # their gradients are; others' from the output


@dataclass(frozen=True, eq=False)
class FlatGeometry(Problem):
    """`size` numbers, in whatever shape: what is computed element by element, with a number of the function's own.

    That is the slope of leaky_relu, the ceiling of clipped_relu, the alpha of elu and the probability of dropout.

    Examples
    --------
    >>> str(FlatGeometry("relu", 4704)), str(FlatGeometry("leaky_relu", 4704, 0.01))
    ('n4704', 'n4704p0.01')
    """

    op: str
    size: int
    parameter: float = 0.0

    @functools.cached_property
    def shapes(self):
        """The shape of each array of the problem, by name."""
        return dict.fromkeys(("x", "other", "y", "grad_x", "grad_y", "draws"), (self.size,))

    @property
    def SIGNATURES(self):
        """What each direction takes and returns."""
        if self.op == "add":  # its gradient is that of each side
            return {"forward": (("x", "other"), "y")}
        if self.op == "dropout":  # with numbers drawn from [0, 1)
            return {"forward": (("x", "draws"), "y"), "backward_input": (("grad_y", "draws"), "grad_x")}
        seen = "x" if self.op in FROM_INPUT else "y"
        return {"forward": (("x",), "y"), "backward_input": (("grad_y", seen), "grad_x")}

    OPTIONAL = ()

    def operations(self, direction):
        """Return the operations: one per element; an exponential is worth twenty, an error function fifty."""
        dear = ("elu", "swish", "tanh", "sigmoid") if direction == "forward" else ("elu", "swish")
        return self.size * (50 if self.op == "gelu" else 20 if self.op in dear else 1)

    def __str__(self):
        return f"n{self.size}" + (f"p{self.parameter:g}" if self.parameter else "")


# What each optimizer's update changes in place, besides the weights.
STATES = {
    "sgd": ("velocity",),
    "adam": ("gradient_average", "squared_gradient_average"),
    "rmsprop": ("squared_gradient_average",),
}


@dataclass(frozen=True, eq=False)
class PartsGeometry(Problem):
    """The numbers of several parameters, one after the other, that an optimizer updates at once.

    Each begins at a multiple of `step`: with the numbers of a cache line, few of its vectors straddle two lines.

    Examples
    --------
    >>> geometry = PartsGeometry("sgd", (150, 6, 2400))
    >>> str(geometry), geometry.size
    ('n2556', 2556)
    >>> [part for _, part in geometry.parts((True, False, True))]
    [slice(0, 150, None), slice(156, 2556, None)]
    >>> PartsGeometry("sgd", (150, 6, 2400), step=16).starts
    (0, 160, 176)
    """

    op: str
    sizes: tuple
    step: int = 1

    @functools.cached_property
    def starts(self):
        """Where each part begins."""
        return tuple(itertools.accumulate([-(-size // self.step) * self.step for size in self.sizes[:-1]], initial=0))

    @functools.cached_property
    def size(self):
        """The numbers in all, with those between the parts."""
        return self.starts[-1] + self.sizes[-1]

    def parts(self, moving):
        """Return (number, where it lies) of each part that moves."""
        places = zip(moving, self.starts, self.sizes, strict=True)
        return [(i, slice(start, start + size)) for i, (moves, start, size) in enumerate(places) if moves]

    @functools.cached_property
    def table(self):
        """(start, size) of each part, shape (parts, 2), for kernels."""
        return np.array(list(zip(self.starts, self.sizes, strict=True)), np.intp).reshape(-1, 2)

    @functools.cached_property
    def shapes(self):
        """The shape of each array of the problem, by name."""
        return dict.fromkeys(("gradient", *self.IN_PLACE), (self.size,))

    @property
    def SIGNATURES(self):
        """An update returns nothing and writes weights and state."""
        return {"update": (("weights", *STATES[self.op], "gradient"), None)}

    OPTIONAL = ()
    IN_PLACE = ("weights", "velocity", "gradient_average", "squared_gradient_average")

    def operations(self, direction):
        """Return the operations per element, of which roots and divisions are dear."""
        return sum(self.sizes) * {"sgd": 6, "adam": 26, "rmsprop": 26}[self.op]

    def __str__(self):
        return f"n{sum(self.sizes)}"
