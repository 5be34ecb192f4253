"""The one choke point: every kernel call is validated, given its variant, level and threads, and made here."""

import itertools

import numpy as np

from convcore import isa, threads
from convcore.arrays import FLOATS
from convcore.kernels import buffers, epilogues, registry
from convcore.kernels.geometry import ConvGeometry
from convcore.kernels.pool_geometry import POOLS, PoolGeometry


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
    for name in registry.variants(op):
        if registry.passed_over(op, name, direction, geometry, dtype, level) is None:
            return name
    raise ValueError(f"{op}: no variant does {direction}")


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
        Plain numbers that a kernel takes besides arrays.

    Returns
    -------
    ndarray or tuple of ndarray, as the geometry's SIGNATURES say.

    Raises
    ------
    TypeError, ValueError
        Arrays that do not fit the geometry; a variant or level that cannot be used. Nothing is written before.
    """
    names, out_names = _signature(op, direction, geometry)
    shapes, dtypes = geometry.shapes, getattr(geometry, "DTYPES", {})
    in_place = getattr(geometry, "IN_PLACE", ())
    dtype = None
    arrays = []
    if len(inputs) != len(names):
        raise TypeError(f"{op}: {direction} takes {len(names)} arrays ({', '.join(names)}), got {len(inputs)}")
    for name, array in zip(names, inputs, strict=True):
        if array is None and name in geometry.OPTIONAL:
            arrays.append(None)
            continue
        if not isinstance(array, np.ndarray):
            raise TypeError(f"{op}: {name} must be a NumPy array, got {type(array).__name__}")
        if array.shape != shapes[name]:
            raise ValueError(f"{op}: {name} must have shape {shapes[name]}, got {array.shape} ({geometry})")
        if name in dtypes:
            if array.dtype != dtypes[name]:
                raise TypeError(f"{op}: {name} must be {np.dtype(dtypes[name])}, got {array.dtype}")
        else:
            if dtype is None:
                dtype = array.dtype
                if dtype not in FLOATS:
                    raise TypeError(f"{op}: {name} must be float32 or float64, got {dtype}")
            elif array.dtype != dtype:
                raise TypeError(f"{op}: arrays must share one dtype: {names[0]} is {dtype}, {name} is {array.dtype}")
        if name in in_place and not (array.flags.c_contiguous and array.flags.writeable):
            raise ValueError(f"{op}: {name} is changed in place, it must be C-contiguous and writeable")
        arrays.append(array if array.flags.c_contiguous else np.ascontiguousarray(array))
    if n_threads is not None:
        threads.check(n_threads, op)
    name, level = selected(op, direction, geometry, dtype, variant, level)
    outputs = _outputs(op, geometry, out_names, dtype, out)
    if out is not None and any(np.may_share_memory(a, o) for a in arrays if a is not None for o in outputs):
        raise ValueError(f"{op}: out overlaps an input")
    module = registry.load(op, name, level)
    n = threads.for_work(geometry.operations(direction), n_threads)
    empty = any(array is not None and array.size == 0 for array in arrays)
    plain = direction if hasattr(module, direction) and not empty else registry.EPILOGUES.get(direction, direction)
    if empty:
        for output in outputs:  # no observations, or no inputs: nothing to add up
            output.fill(0)
        bias = dict(zip(names, arrays, strict=True)).get("bias")
        if bias is not None:
            outputs[0][...] = bias.reshape(-1, *[1] * (outputs[0].ndim - 2))  # along axis 1
    else:
        written = outputs
        if hasattr(module, "VOLUMETRIC"):
            geometry = geometry.volumetric
            arrays, written = _lifted(geometry, names, arrays), _lifted(geometry, out_names, outputs)
        getattr(module, plain)(geometry, *arrays, *written, n, **parameters)
    if plain != direction:
        epilogues.relu(outputs, level, n)
    return outputs[0] if len(outputs) == 1 else outputs or None


def _lifted(geometry, names, arrays):
    """Return contiguous arrays in the shapes of another geometry with as many cells; nothing is copied."""
    names = (names,) if isinstance(names, str) else names
    shapes = [geometry.shapes[name] for name in names]
    return [a if a is None or a.shape == shape else a.reshape(shape) for a, shape in zip(arrays, shapes, strict=True)]


def _signature(op, direction, geometry):
    """Return the names of the arrays that a direction takes and returns."""
    signatures = getattr(geometry, "SIGNATURES", None)
    if signatures is None:
        raise TypeError(f"{op}: the geometry must be a ConvGeometry or another geometry, got {geometry!r}")
    if direction not in signatures:
        raise ValueError(f"{op}: direction must be one of {', '.join(signatures)}, got {direction!r}")
    return signatures[direction]


def _outputs(op, geometry, names, dtype, out):
    """Return the arrays to write: fresh ones, or the user's after a check."""
    if names is None:
        if out is not None:
            raise TypeError(f"{op}: takes no out, it changes its arrays in place")
        return ()
    single = isinstance(names, str)
    names = (names,) if single else names
    dtypes = getattr(geometry, "DTYPES", {})
    wanted = [(name, geometry.shapes[name], np.dtype(dtypes.get(name, dtype))) for name in names]
    if out is None:
        return tuple(buffers.empty(shape, kind) for _, shape, kind in wanted)
    given = (out,) if single else out
    if not isinstance(given, (tuple, list)):
        raise TypeError(f"{op}: out must be {len(names)} arrays ({', '.join(names)}), got {type(out).__name__}")
    if len(given) != len(names):
        raise ValueError(f"{op}: out must be {len(names)} arrays ({', '.join(names)}), got {len(given)}")
    for (name, shape, kind), array in zip(wanted, given, strict=True):
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
    registry.variants(op)  # an unknown op first
    _signature(op, direction, geometry)
    chosen, level = selected(op, direction, geometry, dtype, level=level)
    rows = [f"{op} {direction} {geometry} {dtype}"]
    width = max(len(name) for name in registry.variants(op))
    passed = False
    for name in registry.variants(op):
        reason = registry.passed_over(op, name, direction, geometry, dtype, level)
        if name == chosen:
            n = threads.for_work(geometry.operations(direction))
            rows.append(f"  {name:{width}}   yes: {level}, {n} thread{'s' if n > 1 else ''}")
            passed = True
        else:
            rows.append(f"  {name:{width}}   no: {reason or ('stands later' if passed else 'another was asked for')}")
    return "\n".join(rows)
