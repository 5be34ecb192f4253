"""The one choke point: every kernel call is validated, given its variant, level and threads, and made here."""

import collections
import functools
import itertools
import math

import numpy as np

from convcore import isa, threads
from convcore._compiled.routine import Routine
from convcore.arrays import FLOATS
from convcore.kernels import buffers, registry
from convcore.kernels.calls import Call, Made, observer
from convcore.kernels.geometry import ConvGeometry
from convcore.kernels.pool_geometry import POOLS, PoolGeometry

REMEMBERED = 4096  # problems
OPERATIONS_OF_NUMBER = 7  # that it takes as long to move


def selected(op, direction, geometry, dtype, variant=None, level=None):
    """Return (variant, level) for a problem: the one asked for, or the first that supports and suits it.

    The choice looks at the problem, the dtype and the level alone, never at the number of threads, so that results do
    not depend on it.

    Raises
    ------
    ValueError
        An unknown variant or level, or a variant that refuses the problem; the text gives its reason.
    """
    level = isa.DEFAULT if level is None else isa.check(level, f"{op}: level")
    if variant is None:
        # The bias gradient is a plain sum that only some variants bother to have: forcing one does not take it away.
        variant = None if direction == "backward_bias" else registry.forced_variant(op)
    if variant is not None:
        registry.check_variant(op, variant)
        reason = registry.refusal(op, variant, direction, geometry, dtype, level)
        if reason is not None:
            raise ValueError(f"{op}: variant {variant} cannot do {direction} of {geometry}: {reason}")
        return variant, level
    return chosen(op, direction, geometry, dtype, level), level


def chosen(op, direction, geometry, dtype, level):
    """Return the variant of a free choice: the first that supports and suits the problem."""
    return _chosen(op, direction, geometry, dtype, level, registry.circumstances())


@functools.lru_cache(maxsize=REMEMBERED)
def _chosen(op, direction, geometry, dtype, level, circumstances):
    for name in registry.variants(op):
        if registry.passed_over(op, name, direction, geometry, dtype, level) is None:
            return name
    raise ValueError(f"{op}: no variant does {direction}")


def pooling(op, geometry, dtype):
    """Return the variant that computes ``forward`` and also pools what it computes; None where pooling is to follow it.

    Pooling of the user's own, or a variant of it that is asked for, wants to run.

    Examples
    --------
    >>> pooling("conv2d", ConvGeometry.parse("mb64ic6ih14oc16kh5"), np.dtype(np.float32))
    'images'
    """
    return doing_more(op, "forward", "forward_pool", "max_pool2d", geometry, dtype)


def weight_and_bias(op, geometry, dtype):
    """Return the variant that computes ``backward_weight`` and ``backward_bias`` in one pass; None: each by itself.

    Examples
    --------
    >>> weight_and_bias("conv2d", ConvGeometry.parse("mb64ic6ih14oc16kh5"), np.dtype(np.float32))
    'images'
    """
    return doing_more(op, "backward_weight", "backward_weight_bias", op, geometry, dtype)


def weight_and_bias_behind(other, more, op, geometry, dtype):
    """Return the variant that computes both from the gradient of what `other` makes of the outputs; None: apart.

    `other` is "relu", or "max_pool2d" for the maxima that `pooling` computes, `more` the direction that does it.

    Examples
    --------
    >>> lenet = ConvGeometry.parse("mb64ic1ih28oc6kh5ph2")
    >>> weight_and_bias_behind("relu", "backward_weight_bias_relu", "conv2d", lenet, np.dtype(np.float32))
    'depthwise'
    """
    if weight_and_bias(op, geometry, dtype) is None:
        return None
    return doing_more(op, "backward_weight", more, other, geometry, dtype)


def doing_more(op, direction, more, other, geometry, dtype):
    """Return the variant that computes a direction, if it does `more`, too, and nobody wants another `other`; or None.

    Examples
    --------
    >>> from convcore.kernels import BatchNormGeometry
    >>> geometry = BatchNormGeometry(64, 16, 784)
    >>> doing_more("batch_norm", "backward", "backward_relu", "relu", geometry, np.dtype(np.float32))
    'direct'
    """
    return _doing_more(op, direction, more, other, geometry, dtype, registry.circumstances())


@functools.lru_cache(maxsize=REMEMBERED)
def _doing_more(op, direction, more, other, geometry, dtype, circumstances):
    if not registry.is_left_alone(other):
        return None
    name, level = selected(op, direction, geometry, dtype)
    return name if registry.refusal(op, name, more, geometry, dtype, level) is None else None


def run(op, direction, geometry, *inputs, variant=None, level=None, n_threads=None, out=None, **parameters):
    """Compute one direction of an op.

    Parameters
    ----------
    op, direction : str
        For example "conv2d" and "backward_weight".
    geometry : ConvGeometry or another geometry
        The problem; its SIGNATURES name the arrays, its shapes their shapes, its DTYPES the dtypes
        of those that do not share the others'.
    *inputs : ndarray
        The others share one dtype, float32 or float64; in any memory order.
    variant, level : str, optional
        Otherwise chosen by `selected`.
    n_threads : int, optional
        Otherwise by the amount of work. The bits of the result do not depend on it.
    out : ndarray or tuple of ndarray, optional
        Where to write, C-contiguous, of the right shape and dtype; otherwise fresh arrays.
    **parameters
        Numbers, and arrays of some, that a kernel takes besides what SIGNATURES name.

    Returns
    -------
    ndarray or tuple of ndarray, as the geometry's SIGNATURES say.

    Raises
    ------
    TypeError, ValueError
        Arrays that do not fit the geometry; a variant or level that cannot be used. Nothing is written before.
    """
    problem, repeatable = (op, direction, geometry, variant, level), n_threads is None and not parameters
    if repeatable and observer() is None:
        routine = _routines.get(problem)
        if routine is not None and routine.conditions == conditions():
            outputs = routine(inputs, out)
            if outputs is not None:
                return outputs
    made = prepared(op, direction, geometry, inputs, variant, level, n_threads, out, parameters)
    made.compute()
    if repeatable and Routine.can_repeat(made):
        if len(_routines) >= REMEMBERED:
            _routines.clear()
        _routines[problem] = Routine(made, conditions())
    outputs = made.outputs
    return outputs[0] if len(outputs) == 1 else outputs or None


_routines = {}  # by (op, direction, geometry, variant, level)


def prepared(op, direction, geometry, inputs, variant=None, level=None, n_threads=None, out=None, parameters=None):
    """Return the call that `run` makes, after all checks; `compute` makes it.

    Examples
    --------
    >>> from convcore.kernels import FlatGeometry
    >>> x = np.array([-1.0, 1.0])
    >>> made = prepared("relu", "forward", FlatGeometry("relu", 2), [x])
    >>> x[1] = 5
    >>> made.compute()
    >>> made.outputs
    (array([0., 5.]),)
    """
    takes, gives = _arrays_of(op, direction, geometry)
    if len(inputs) != len(takes):
        names = ", ".join(wanted.name for wanted in takes)
        raise TypeError(f"{op}: {direction} takes {len(takes)} arrays ({names}), got {len(inputs)}")
    arrays, dtype = list(inputs), None
    for place, ((name, shape, own_dtype, optional, in_place), array) in enumerate(zip(takes, inputs, strict=True)):
        if array is None and optional:
            continue
        if not isinstance(array, np.ndarray):
            raise TypeError(f"{op}: {name} must be a NumPy array, got {type(array).__name__}")
        if array.shape != shape:
            raise ValueError(f"{op}: {name} must have shape {shape}, got {array.shape} ({geometry})")
        if own_dtype is not None:
            if array.dtype != own_dtype:
                raise TypeError(f"{op}: {name} must be {own_dtype}, got {array.dtype}")
        elif dtype is None:
            dtype = array.dtype
            if dtype not in FLOATS:
                raise TypeError(f"{op}: {name} must be float32 or float64, got {dtype}")
        elif array.dtype != dtype:
            first = next(wanted.name for wanted in takes if wanted.own_dtype is None)
            raise TypeError(f"{op}: arrays must share one dtype: {first} is {dtype}, {name} is {array.dtype}")
        flags = array.flags
        if in_place and not (flags.c_contiguous and flags.writeable):
            raise ValueError(f"{op}: {name} is changed in place, it must be C-contiguous and writeable")
        if not flags.c_contiguous:
            arrays[place] = np.ascontiguousarray(array)
    call = _call(op, direction, geometry, dtype, variant, level, conditions())
    if n_threads is None:
        n_threads = call.n_threads
    else:
        n_threads = threads.for_work(call.work, threads.check(n_threads, op))
    if out is None:
        outputs = tuple([buffers.empty(wanted.shape, wanted.own_dtype or dtype) for wanted in gives])
    else:
        outputs = _checked_out(op, gives, dtype, out)
        if any(np.may_share_memory(a, o) for a in arrays if a is not None for o in outputs):
            raise ValueError(f"{op}: out overlaps an input")
    return tuple.__new__(Made, (op, direction, geometry, call, arrays, outputs, n_threads, parameters or {}, 0.0, 0.0))


_Array = collections.namedtuple("_Array", "name shape own_dtype optional in_place")


@functools.lru_cache(maxsize=REMEMBERED)
def _arrays_of(op, direction, geometry):
    """Return the arrays that a direction takes, and those that it returns: all that is to be checked of them."""
    names, out_names = _signature(op, direction, geometry)
    dtypes, optional = getattr(geometry, "DTYPES", {}), getattr(geometry, "OPTIONAL", ())
    in_place = getattr(geometry, "IN_PLACE", ())

    def array(name):
        own_dtype = np.dtype(dtypes[name]) if name in dtypes else None
        return _Array(name, geometry.shapes[name], own_dtype, name in optional, name in in_place)

    return tuple(map(array, names)), tuple(map(array, (out_names,) if isinstance(out_names, str) else out_names or ()))


@functools.lru_cache(maxsize=REMEMBERED)
def _call(op, direction, geometry, dtype, variant, level, conditions):
    """Return what computes a problem and how it is called; what was chosen once is chosen again."""
    name, level = selected(op, direction, geometry, dtype, variant, level)
    module = registry.load(op, name, level)
    plain = direction if hasattr(module, direction) else registry.EPILOGUES.get(direction, direction)
    handed, lifted = geometry, None
    if hasattr(module, "VOLUMETRIC"):
        handed = geometry.volumetric
        lifted = tuple(handed.shapes[wanted.name] for part in _arrays_of(op, direction, geometry) for wanted in part)
    takes = _arrays_of(op, direction, geometry)[0]
    names = [wanted.name for wanted in takes]
    bias = names.index("bias") if "bias" in names else None
    work = _work(op, direction, geometry)
    function = _specialized(getattr(module, plain), dtype)
    empty = any(0 in wanted.shape for wanted in takes)
    return Call(name, level, function, handed, lifted, plain != direction, bias, empty, work, threads.for_work(work))


def _specialized(function, dtype):
    """Return what a function that Cython wrote for several dtypes is for one, which then is not asked at each call."""
    name = "float" if dtype == np.float32 else "double"
    return function[name] if name in getattr(function, "__signatures__", ()) else function


def _work(op, direction, geometry):
    """Return what a direction is worth in operations: to read or to write a number is worth a few of them."""
    picked = ("x",) if direction == "gather" else ()  # read here and there, and no more of it than is written
    arrays = [wanted for part in _arrays_of(op, direction, geometry) for wanted in part if wanted.name not in picked]
    moved = sum(math.prod(wanted.shape) for wanted in arrays)
    return max(geometry.operations(direction), OPERATIONS_OF_NUMBER * moved)


def _signature(op, direction, geometry):
    """Return the names of the arrays that a direction takes and returns."""
    signatures = getattr(geometry, "SIGNATURES", None)
    if signatures is None:
        raise TypeError(f"{op}: the geometry must be a ConvGeometry or another geometry, got {geometry!r}")
    registry.variants(op)  # an unknown op first
    if geometry.op != op:
        raise ValueError(f"{op}: {geometry} is a problem of {geometry.op}")
    if direction not in signatures:
        raise ValueError(f"{op}: direction must be one of {', '.join(signatures)}, got {direction!r}")
    return signatures[direction]


def _checked_out(op, gives, dtype, out):
    """Return the user's arrays to write, after a check."""
    if not gives:
        raise TypeError(f"{op}: takes no out, it changes its arrays in place")
    given = (out,) if len(gives) == 1 else out
    names = ", ".join(wanted.name for wanted in gives)
    if not isinstance(given, (tuple, list)):
        raise TypeError(f"{op}: out must be {len(gives)} arrays ({names}), got {type(out).__name__}")
    if len(given) != len(gives):
        raise ValueError(f"{op}: out must be {len(gives)} arrays ({names}), got {len(given)}")
    for (name, shape, own_dtype, _, _), array in zip(gives, given, strict=True):
        kind = own_dtype or dtype
        if not isinstance(array, np.ndarray):
            raise TypeError(f"{op}: out must be a NumPy array, got {type(array).__name__}")
        if array.shape != shape or array.dtype != kind:
            raise ValueError(
                f"{op}: out for {name} must be {kind} of shape {shape}, got {array.dtype} of {array.shape}"
            )
        if not (array.flags.c_contiguous and array.flags.writeable):
            raise ValueError(f"{op}: out for {name} must be C-contiguous and writeable")
    if any(np.may_share_memory(a, b) for a, b in itertools.combinations(given, 2)):
        raise ValueError(f"{op}: the arrays of out overlap each other")
    return tuple(given)


def conditions():
    """Return all that a prepared call depends on besides its problem and its arrays; with other ones, prepare anew.

    Examples
    --------
    >>> before = conditions()
    >>> with threads.num_threads(3):
    ...     conditions() == before
    False
    """
    return registry.circumstances(), threads.get_num_threads()


def explain(op, geometry, direction="forward", dtype=np.float32, level=None):
    """Return, line by line, which variant of an op computes a problem, and why the others were passed over.

    Parameters
    ----------
    op : str
    geometry : ConvGeometry or another geometry, or str
        A problem, or the text form of a convolution or a pooling.

    Examples
    --------
    >>> print(explain("conv2d", "mb1ic1ih8oc2kh3").splitlines()[0])
    conv2d forward mb1ic1ih8oc2oh6kh3 float32
    """
    if isinstance(geometry, str):
        geometry = PoolGeometry.parse(op, geometry) if op in POOLS else ConvGeometry.parse(geometry)
    dtype = np.dtype(dtype)
    if dtype not in FLOATS:
        raise TypeError(f"{op}: dtype must be float32 or float64, got {dtype}")
    _signature(op, direction, geometry)
    chosen, level = selected(op, direction, geometry, dtype, level=level)
    rows = [f"{op} {direction} {geometry} {dtype}"]
    width = max(len(name) for name in registry.variants(op))
    passed = False
    for name in registry.variants(op):
        reason = registry.passed_over(op, name, direction, geometry, dtype, level)
        if name == chosen:
            n = threads.for_work(_work(op, direction, geometry))
            rows.append(f"  {name:{width}}   yes: {level}, {n} thread{'s' if n > 1 else ''}")
            passed = True
        else:
            rows.append(f"  {name:{width}}   no: {reason or ('stands later' if passed else 'another was asked for')}")
    return "\n".join(rows)
