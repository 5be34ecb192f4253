"""Compare the gradients of a function with finite differences, and tell a wrong gradient from a kink."""

import math

import numpy as np

from convcore.arrays import as_float_array
from convcore.autograd.tape import Tape
from convcore.autograd.tensor import Tensor

EVERY_ELEMENT = 32  # inputs of at most this size are checked element by element, too
SHRINK = (1, 1 / 16, 1 / 256)  # steps tried, in units of eps: a shorter one stops before a kink nearby
SETTLED = 1e-4  # how far two step sizes may disagree, relatively: an error of 0.1 % must show
GOOD, WRONG, KINK, ROUGH = "good", "wrong", "kink", "rough"  # what a comparison can find


class GradientError(ValueError):
    """A gradient disagrees with finite differences.

    A ValueError, not an AssertionError: values are wrong, and it must not look as if a test's own assert had failed.
    """


def gradcheck(f, inputs, *, directions=3, eps=1e-4, rtol=1e-7, atol=1e-9, seed=0):
    """Check the gradients that the tape computes for `f` against central differences.

    For a unit direction u, the slope (F(x + t·u) − F(x − t·u)) / 2t must equal gradient · u, where F is the sum of
    f's outputs, each times a fixed random weight. If it does not, halving u again and again leads to the element to
    blame in log₂(size) rounds. At a kink the slopes to the left and to the right differ, however small t is.

    Parameters
    ----------
    f : function
        Takes a Tensor per input and returns one Tensor of any shape. It must be deterministic.
    inputs : sequence of array_like, float64, of order 1
        Every one is checked. One array or Tensor alone is one input.
    directions : int
        Random directions per input. Inputs of up to 32 elements are checked element by element, too.
    eps : float
        The largest step, in units of the inputs.
    rtol, atol : float
        The slopes may differ by ``atol + rtol * max(|slopes|)`` and by the error of the differences themselves, which
        is estimated from two step sizes and from the rounding of f.
    seed : int or numpy.random.Generator
        Draws weights and directions.

    Returns
    -------
    bool
        True.

    Raises
    ------
    GradientError
        A gradient is wrong, or the point lies on a kink (ReLU at 0, a tie in max): the text says which, and names op,
        input, index and both numbers; where f has several outputs, these are slopes of F, not of any one output. Also
        if f is not deterministic, not finite, or too rough to tell.
    TypeError
        An input that is not float64; an f that does not return a Tensor.

    References
    ----------
    Random directions: HIPS autograd's ``check_grads``. Kinks: chainer's ``gradient_check``.

    Examples
    --------
    >>> from convcore.ops.elementwise import multiply
    >>> gradcheck(multiply, ([1.0, 2.0], [3.0, 4.0]))
    True
    """
    if not directions >= 1:
        raise ValueError(f"gradcheck: directions must be at least 1, got {directions}")
    if not eps > 0:
        raise ValueError(f"gradcheck: eps must be greater than 0, got {eps}")
    rng = np.random.default_rng(seed)
    objective = _Objective(f, _float64_inputs(inputs), rng)
    for position, array in enumerate(objective.inputs):
        for direction in _directions(array.shape, directions, rng):
            found = objective.compare(position, direction, eps, rtol, atol)
            if found.verdict != GOOD:
                index = objective.blame(position, direction, found.step)
                single = objective.compare(position, _unit(array.shape, index), eps, rtol, atol)
                raise GradientError(objective.describe(position, index, found, single))
    return True


class _Objective:
    """F = Σ weights · f(inputs): its gradients by the tape, and its slopes by differences."""

    def __init__(self, f, inputs, rng):
        self.f = f
        self.inputs = inputs
        tensors = [Tensor(array, requires_grad=True) for array in inputs]
        with Tape() as tape:
            y = f(*tensors)
        if not isinstance(y, Tensor):
            raise TypeError(f"gradcheck: f must return a Tensor, got {type(y).__name__}")
        last = [record.op for record in tape.records if record.output is y]
        self.op = last[0] if last else "f"
        self.value = y.data
        if not np.isfinite(self.value).all():
            raise GradientError(f"gradcheck: {self.op}: the output is not finite at the inputs given")
        if not np.array_equal(self.value, self.output(inputs)):
            raise GradientError(f"gradcheck: {self.op}: f gave two outputs for the same inputs; fix what it draws")
        self.weights = np.ones(y.shape)  # of a scalar, so that the numbers reported are its gradient
        if y.size > 1:  # away from 0, so that no output is hidden
            self.weights = rng.uniform(0.5, 1.5, y.shape) * rng.choice([-1.0, 1.0], y.shape)
        # An output that was not recorded does not know its inputs: gradient 0, which the differences confirm or not.
        leaves = tape.gradients(y, self.weights)[0] if last else {y: self.weights}
        self.grads = [leaves.get(tensor, np.zeros(tensor.shape)) for tensor in tensors]
        self.rounding = 16 * np.finfo(np.float64).eps * np.abs(self.weights * self.value).sum()

    def output(self, inputs):
        """Return f's values."""
        with Tape():  # so that an open tape does not record the parameters f may close over
            return self.f(*[Tensor(array) for array in inputs]).data

    def slopes(self, position, direction, step):
        """Return the slopes of F over one step to the left and one to the right, along `direction` of one input."""

        def change(t):
            moved = list(self.inputs)
            moved[position] = moved[position] + t * direction
            return (self.weights * (self.output(moved) - self.value)).sum()  # differences first: fewer digits lost

        return -change(-step) / step, change(step) / step

    def compare(self, position, direction, eps, rtol, atol):
        """Compare the gradient along `direction` with the slopes at the step that estimates them best."""
        gradient = float(np.vdot(self.grads[position], direction))
        best = None
        jumps = []
        for shrink in SHRINK:
            step = eps * shrink
            wide = self.slopes(position, direction, step)
            near = self.slopes(position, direction, step / 2)
            rounding = self.rounding / step
            found = _Comparison(gradient, *near, step, spread=abs(sum(wide) - sum(near)) / 2, rounding=rounding)
            jumps.append(max(abs(found.right - found.left) - 4 * rounding, 0.0))
            if best is None or found.spread + found.rounding < best.spread + best.rounding:
                best = found
            tolerance = atol + rtol * max(abs(gradient), abs(best.slope))
            if best.spread <= tolerance and best.mismatch <= tolerance + best.spread + best.rounding:
                best.verdict = GOOD
                return best
        # The two slopes of a smooth function meet as the step shrinks (here by 1/256), those at a kink keep their
        # distance, and those of a rough function part.
        first, last = jumps[0], jumps[-1]
        settled = best.spread <= tolerance + 4 * best.rounding + SETTLED * max(abs(gradient), abs(best.slope))
        if settled and best.mismatch <= tolerance + best.spread + best.rounding:
            best.verdict = GOOD
        elif not settled or (last >= best.mismatch / 2 and last > first / 16):
            best.verdict = ROUGH if last > 4 * first else KINK
        return best

    def blame(self, position, direction, step):
        """Return the index with the largest share of the mismatch along `direction`, by bisection."""
        elements = np.arange(direction.size)
        while elements.size > 1:
            halves = np.array_split(elements, 2)
            mismatches = []
            for half in halves:
                part = np.zeros(direction.size)
                part[half] = direction.flat[half]
                part = part.reshape(direction.shape)
                slope = sum(self.slopes(position, part, step)) / 2
                mismatches.append(abs(slope - np.vdot(self.grads[position], part)))
            elements = halves[int(np.argmax(mismatches))]
        return tuple(int(i) for i in np.unravel_index(elements[0], direction.shape))

    def describe(self, position, index, along, single):
        """Return the error's text, about the element if it disagrees by itself, else about the whole direction."""
        array = self.inputs[position]
        found, where = single, f"index {index}"
        if single.verdict == GOOD:
            found, where = along, f"a random direction, most at index {index}"
        where = f"input {position} at {where} (shape {array.shape}, value {array[index]:.10g})"
        if found.verdict == KINK:
            return (
                f"gradcheck: {self.op} has a kink in {where}: the slope is {found.left:.10g} to the left and "
                f"{found.right:.10g} to the right, the gradient {found.gradient:.10g}; move the input away from it"
            )
        if found.verdict == ROUGH:
            return (
                f"gradcheck: {self.op} is too rough in {where}: gradient {found.gradient:.10g}, finite differences "
                f"{found.slope:.10g} give or take {found.spread:.2g}; compute it in float64 throughout"
            )
        return (
            f"gradcheck: {self.op} has a wrong gradient for {where}: gradient {found.gradient:.10g}, "
            f"finite differences {found.slope:.10g}"
        )


class _Comparison:
    """A gradient beside the slopes along the same direction; `spread` is how far two step sizes disagree."""

    def __init__(self, gradient, left, right, step, spread, rounding):
        self.gradient = gradient
        self.left = left
        self.right = right
        self.slope = (left + right) / 2
        self.step = step
        self.spread = spread
        self.rounding = rounding
        self.mismatch = abs(gradient - self.slope)
        self.verdict = WRONG


def _float64_inputs(inputs):
    """Return the inputs as a list of float64 arrays that nobody else writes to."""
    inputs = (inputs,) if isinstance(inputs, (Tensor, np.ndarray)) else inputs
    arrays = [as_float_array(value, f"gradcheck: input {position}") for position, value in enumerate(inputs)]
    for position, array in enumerate(arrays):
        if array.dtype != np.float64:
            raise TypeError(f"gradcheck: input {position} is {array.dtype}; finite differences need float64")
    return [array.copy() for array in arrays]


def _directions(shape, count, rng):
    """Yield random unit vectors, then for small inputs every axis."""
    size = math.prod(shape)
    for _ in range(count if size else 0):
        direction = rng.standard_normal(shape)
        yield direction / np.linalg.norm(direction)
    if size <= EVERY_ELEMENT:
        for index in np.ndindex(shape):
            yield _unit(shape, index)


def _unit(shape, index):
    """Return the unit vector along one element."""
    unit = np.zeros(shape)
    unit[index] = 1.0
    return unit
