"""The kernel variants of each op, best first; the last is the definition and refuses nothing.

A variant is a module `<op>_<variant>`, or `<family>_<variant>` where one module serves several ops: all activations, or
an op in every number of dimensions (`conv_direct` is the variant "direct" of conv1d, conv2d and conv3d). It has any of
the op's directions as functions ``direction(geometry, *inputs, *outputs, n_threads)``, inputs and outputs as the
geometry's SIGNATURES list them, and optionally two functions ``(direction, geometry, dtype, level)`` that return None
or the reason why not: ``supports``, whether it can compute a problem at all, and ``suits``, whether it is the one to
take where the choice is free (rules found with the bench; they look at the problem, never at the number of threads). A
module that says ``VOLUMETRIC`` is given every problem as one in three dimensions: `geometry.volumetric` and arrays to
match. One whose bound on the rounding error is larger than that of direct summation says by how much, as
``ROUNDING_FACTOR``, or as a function ``rounding_factor(direction, geometry, dtype, level)`` where that depends on the
problem.

``forward_relu`` is a direction that a variant may have for the sake of speed: ReLU applied to what it has just written,
which is still at hand. It stands for the same problems as ``forward``, and is chosen by the same rules; where a variant
has none, ReLU follows its ``forward`` (epilogues.py), so that every variant serves and the bits are the same.
``forward_pool`` is another: the maxima of ReLU, of convolutions in windows of 2×2 side by side. Variants that have it
are asked for it where they are chosen for ``forward`` (`dispatch.pooling`). So is ``backward_weight_bias``, both
gradients in one pass, where they are chosen for ``backward_weight`` (`dispatch.weight_and_bias`), with ``_relu`` or
``_pool`` behind it the same from the gradient of ReLU or of such maxima (`dispatch.weight_and_bias_behind`); and what
goes back through ReLU or max-pooling and a normalization at once (`dispatch.doing_more`).
"""

import contextlib
import contextvars
import functools
import importlib
import re

from convcore import isa
from convcore.kernels import rounding
from convcore.settings import environment

ACTIVATIONS = ("leaky_relu", "clipped_relu", "elu", "swish", "gelu", "tanh", "sigmoid")
REGRESSION = ("squared_error", "absolute_error", "huber")
FAMILIES = {**dict.fromkeys(ACTIVATIONS, "activation"), **dict.fromkeys(REGRESSION, "regression")}  # of one module each
VARIANTS = {
    "conv1d": ["padded", "depthwise", "pointwise", "images", "filters", "shifted", "im2col", "direct", "reference"],
    "conv2d": ["padded", "phases", "depthwise", "winograd", "pointwise", "images", "filters", "shifted", "im2col",
               "direct", "reference"],
    "conv3d": ["padded", "depthwise", "pointwise", "images", "filters", "shifted", "im2col", "direct", "reference"],
    "max_pool1d": ["direct", "reference"],
    "max_pool2d": ["direct", "reference"],
    "max_pool3d": ["direct", "reference"],
    "avg_pool1d": ["direct", "reference"],
    "avg_pool2d": ["direct", "reference"],
    "avg_pool3d": ["direct", "reference"],
    "global_avg_pool": ["direct", "reference"],
    "global_max_pool": ["direct", "reference"],
    "fully_connected": ["gemm", "reference"],
    "gemm": ["blocked", "reference"],
    "relu": ["direct", "reference"],
    **{op: ["direct", "reference"] for op in FAMILIES},
    "dropout": ["direct", "reference"],
    "add": ["direct", "reference"],
    "concatenate": ["direct", "reference"],
    "batch_norm": ["direct", "reference"],
    "channel_scale": ["direct", "reference"],
    "cross_channel_norm": ["direct", "reference"],
    "softmax": ["direct", "reference"],
    "cross_entropy": ["direct", "reference"],
    "sgd": ["direct", "reference"],
    "adam": ["direct", "reference"],
    "rmsprop": ["direct", "reference"],
    "affine2d": ["direct", "reference"],
}  # fmt: skip
# Directions that are others with something behind them.
EPILOGUES = {"forward_relu": "forward", "forward_training_relu": "forward_training"}
_VARIABLES = {op: f"CONVCORE_{op.upper()}_VARIANT" for op in VARIANTS}
_users_own = {}  # (op, variant) -> the module or object that register was given
_version = 0  # counts what was registered and unregistered: choices that were remembered end with it
_forced = contextvars.ContextVar("convcore_forced_variants", default=())  # pairs of an op and a variant


def variants(op):
    """Return the names of an op's variants, best first.

    Raises
    ------
    ValueError
        An op that has no kernels.

    Examples
    --------
    >>> variants("conv2d")[-1]
    'reference'
    """
    if op not in VARIANTS:
        raise ValueError(f"kernels: no op {op!r}; there are {', '.join(sorted(VARIANTS))}")
    return tuple(VARIANTS[op])


def check_variant(op, variant):
    """Raise a ValueError if the op has no such variant."""
    if variant not in variants(op):
        raise ValueError(f"{op}: variant must be one of {', '.join(variants(op))}, got {variant!r}")


@contextlib.contextmanager
def use_variant(op, variant):
    """Use one variant of an op inside the ``with`` block, in this Python thread only.

    Where the variant lacks a direction or refuses a problem, the call raises; nothing else is chosen in silence.

    Examples
    --------
    >>> with use_variant("conv2d", "reference"):
    ...     forced_variant("conv2d")
    'reference'
    """
    check_variant(op, variant)
    token = _forced.set(tuple({**dict(_forced.get()), op: variant}.items()))
    try:
        yield
    finally:
        _forced.reset(token)


def forced_variant(op):
    """Return the variant that `use_variant` or CONVCORE_<OP>_VARIANT asks for, or None where the choice is free."""
    return dict(_forced.get()).get(op) or environment(_VARIABLES.get(op, "")) or None


def register(op, module, name):
    """Add a variant of your own, first in line for "auto" where it supports the problem.

    Parameters
    ----------
    op : str
        An op that has kernels, for example "conv2d".
    module : module or object
        Has any of the op's directions as callables ``direction(geometry, *inputs, *outputs, n_threads)``, which write
        the outputs, C-contiguous arrays; optionally ``supports`` and ``suits(direction, geometry, dtype, level)``,
        which return None or the reason why it cannot compute a problem, or why another is to be preferred.
    name : str
        A name that the op does not have yet, or that was registered before: then the new one replaces it.

    Raises
    ------
    TypeError, ValueError
        No callable direction; an op without kernels; the name of a built-in variant.
    """
    if not isinstance(name, str) or not name.isidentifier():
        raise ValueError(f"register: name must be an identifier, got {name!r}")
    if name in variants(op) and (op, name) not in _users_own:
        raise ValueError(f"register: {op} has a built-in variant {name!r}")
    directions = ("forward", "forward_training", "gather", "backward", "backward_input", "backward_weight",
                  "backward_bias", "update")  # fmt: skip
    if not any(callable(getattr(module, direction, None)) for direction in directions):
        raise TypeError(f"register: {module!r} has none of {', '.join(directions)} as a callable")
    global _version
    if (op, name) not in _users_own:
        VARIANTS[op].insert(0, name)
    _users_own[op, name] = module
    _version += 1


def unregister(op, name):
    """Remove a variant that `register` added."""
    if _users_own.pop((op, name), None) is None:
        raise ValueError(f"unregister: {op} has no registered variant {name!r}")
    global _version
    VARIANTS[op].remove(name)
    _version += 1


def registered():
    """Return what `register` was given, by (op, name), the first one first."""
    return dict(_users_own)


def family(op):
    """Return what an op is called whatever its number of dimensions, or what it is one of.

    Examples
    --------
    >>> family("conv2d"), family("relu"), family("tanh")
    ('conv', 'relu', 'activation')
    """
    return FAMILIES.get(op) or re.sub(r"[123]d$", "", op)


def load(op, variant, level):
    """Return the module of a variant: compiled for `level`, written in Python, or the user's own."""
    return _users_own[op, variant] if (op, variant) in _users_own else _load_built_in(op, variant, level)


@functools.cache
def _load_built_in(op, variant, level):
    check_variant(op, variant)
    for stem in dict.fromkeys((f"{op}_{variant}", f"{family(op)}_{variant}")):
        compiled = [f"convcore._compiled.{stem}__{isa.module_suffix(level)}"] if level else []
        for module in (*compiled, f"convcore.kernels.{stem}"):  # the latter exist once, in Python
            with contextlib.suppress(ModuleNotFoundError):
                return importlib.import_module(module)
    raise ImportError(f"{op}: variant {variant!r} is not built")


def refusal(op, variant, direction, geometry, dtype, level=None):
    """Return None if the variant computes this direction of this problem, else the reason why not."""
    level, direction = level or isa.DEFAULT, EPILOGUES.get(direction, direction)
    module = load(op, variant, level)
    if not hasattr(module, direction):
        return f"has no {direction}"
    supports = getattr(module, "supports", None)
    return supports(direction, geometry, dtype, level) if supports else None


def rounding_factor(op, variant, level=None, problem=None):
    """Return how many times larger a variant's bound on the rounding error is than that of direct summation.

    Parameters
    ----------
    op, variant, level : str
    problem : (direction, geometry, dtype), optional
        Asked of a variant that leaves it to others how it rounds; without one it counts as rounding no more itself.

    Examples
    --------
    >>> rounding_factor("conv2d", "reference")
    1.0
    """
    level = level or isa.DEFAULT
    module = load(op, variant, level)
    if problem and hasattr(module, "rounding_factor"):
        return module.rounding_factor(*problem, level)
    return getattr(module, "ROUNDING_FACTOR", 1.0)


def is_left_alone(op):
    """Return whether the built-in variants of an op are chosen among: none was registered, none is asked for.

    Examples
    --------
    >>> with use_variant("relu", "reference"):
    ...     is_left_alone("relu"), is_left_alone("max_pool2d")
    (False, True)
    """
    return (op, variants(op)[0]) not in _users_own and forced_variant(op) is None


def circumstances():
    """Return all that choices depend on besides the problems; with other ones they may be others.

    Examples
    --------
    >>> before = circumstances()
    >>> with use_variant("relu", "reference"):
    ...     circumstances() == before
    False
    """
    return _version, _forced.get(), rounding.get_precision()


def candidates(op):
    """Return the variants that are chosen among: the one that is forced, or all that the precision allows."""
    forced = forced_variant(op)
    if forced:
        return (forced,)
    strict = rounding.get_precision() == "strict"
    return tuple(name for name in variants(op) if not strict or rounding_factor(op, name) <= 1)


def passed_over(op, variant, direction, geometry, dtype, level=None):
    """Return None if a free choice takes the variant where it comes first, else the reason why not."""
    level, direction = level or isa.DEFAULT, EPILOGUES.get(direction, direction)
    reason = refusal(op, variant, direction, geometry, dtype, level)
    if reason is None and rounding_factor(op, variant, level) > 1 and rounding.get_precision() == "strict":
        reason = "precision is strict"
    suits = getattr(load(op, variant, level), "suits", None)
    return reason if reason or not suits else suits(direction, geometry, dtype, level)


def levels_of(op, variant):
    """Return the levels at which a variant exists here: all usable ones if compiled, else just the default."""
    module = load(op, variant, isa.DEFAULT)
    compiled = module.__name__.startswith("convcore._compiled") if hasattr(module, "__name__") else False
    return isa.built_and_supported() if compiled else (isa.DEFAULT,)
