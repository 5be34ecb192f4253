"""kernels.run: what it accepts, where it writes, and the exact text of every error."""

import contextlib
import threading

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_array_equal
from strategies import assert_agrees, integers, refused, takes, widest

from convcore import isa, kernels
from convcore.kernels import (
    ConvGeometry,
    FlatGeometry,
    MatrixGeometry,
    PartsGeometry,
    PoolGeometry,
    RowsGeometry,
    calls,
    registry,
    run,
)

GEOMETRY = ConvGeometry.parse("mb2ic3ih6iw5oc4kh3ph1")
X, WEIGHT, BIAS = (integers(GEOMETRY.shapes[name], "f8", 0) for name in ("x", "weight", "bias"))
Y = run("conv2d", "forward", GEOMETRY, X, WEIGHT, BIAS)
MAX = PoolGeometry.of("max_pool2d", (1, 1, 4, 4), 2)
VARIANTS = ", ".join(kernels.variants("conv2d"))
PLANE = np.arange(16.0).reshape(1, 1, 4, 4)


def conv(x=X, weight=WEIGHT, bias=BIAS, **options):
    return run("conv2d", "forward", GEOMETRY, x, weight, bias, **options)


def fortran(array):
    return np.asfortranarray(array)


def strided(array):
    wide = np.full((*array.shape[:-1], 2 * array.shape[-1]), np.nan, array.dtype)
    wide[..., ::2] = array
    return wide[..., ::2]


def backwards(array):
    return np.ascontiguousarray(array[::-1])[::-1]


def frozen(array):
    copy = array.copy()
    copy.flags.writeable = False
    return copy


def unaligned(array):
    raw = np.zeros(array.nbytes + 1, np.uint8)
    view = raw[1:].view(array.dtype).reshape(array.shape)
    view[...] = array
    return view


@pytest.mark.parametrize("kind", [fortran, strided, backwards, frozen])
@pytest.mark.parametrize("variant", kernels.variants("conv2d"))
def test_arrays_in_any_order(variant, kind):
    if not takes(variant, GEOMETRY, widest("conv2d", variant), ("forward", "backward_input")):
        pytest.skip(f"{variant} refuses it")
    arrays = [kind(array.astype(widest("conv2d", variant))) for array in (X, WEIGHT, BIAS)]
    before = [array.copy() for array in arrays]
    assert_array_equal(conv(*arrays, variant=variant), Y)
    for array, old in zip(arrays, before, strict=True):
        assert_array_equal(array, old)
    g = kind(Y.astype(arrays[0].dtype))
    expected = run("conv2d", "backward_input", GEOMETRY, Y, WEIGHT, variant="reference")
    assert_array_equal(run("conv2d", "backward_input", GEOMETRY, g, arrays[1], variant=variant), expected)


def test_results_are_fresh_and_do_not_share_memory():
    """Memory of results is used again, but never while somebody holds the array, or a view of it."""
    kept, geometry = [], ConvGeometry.parse("mb4ic1ih64oc4kh1")  # 256 KiB
    for i in range(6):
        y = run("conv2d", "forward", geometry, np.full((4, 1, 64, 64), float(i)), np.ones((4, 1, 1, 1)), None)
        assert y.flags.c_contiguous
        assert y.flags.writeable
        kept.append(y if i % 2 else y[1:, ::2, 3])  # of some only a view lives on
    for i, array in enumerate(kept):
        assert_array_equal(array, np.full(array.shape, float(i)))
    assert not any(np.shares_memory(a, b) for a in kept for b in kept if a is not b)


# out


def test_out_is_written_and_returned():
    out = np.full(Y.shape, np.nan)
    assert conv(out=out) is out
    assert_array_equal(out, Y)
    middle = np.full((4, *Y.shape[1:]), np.nan)
    conv(out=middle[1:3])  # a contiguous part of something larger; nothing else is touched
    assert_array_equal(middle[1:3], Y)
    assert np.isnan(middle[[0, 3]]).all()


def test_out_of_two_arrays():
    y, index = np.empty((1, 1, 2, 2)), np.empty((1, 1, 2, 2), np.int32)
    for out in ((y, index), [y, index]):
        got = run("max_pool2d", "forward", MAX, PLANE, out=out)
        assert got[0] is y
        assert got[1] is index
        assert_array_equal(index, [[[[5, 7], [13, 15]]]])


def test_out_of_an_empty_batch_and_of_gradients():
    empty = ConvGeometry.of((0, 3, 6, 5), WEIGHT.shape)
    out = np.full(WEIGHT.shape, np.nan)
    x, g = np.ones(empty.shapes["x"]), np.ones(empty.shapes["y"])
    assert run("conv2d", "backward_weight", empty, g, x, out=out) is out
    assert_array_equal(out, np.zeros(WEIGHT.shape))


def test_an_input_may_overlap_an_input():
    square = MatrixGeometry("gemm", 3, 3, 3)
    a = integers((3, 3), "f8", 0)
    assert_array_equal(run("gemm", "forward", square, a, a), a @ a)


def test_out_may_lie_right_beside_an_input():
    memory = np.concatenate([X.ravel(), np.zeros(Y.size)])
    x, out = memory[: X.size].reshape(X.shape), memory[X.size :].reshape(Y.shape)
    assert_array_equal(conv(x, out=out), Y)
    assert_array_equal(x, X)


def raises(kind, message, *arguments, **options):
    with pytest.raises(kind) as error:
        run(*arguments, **options)
    assert str(error.value) == message


@pytest.mark.parametrize(
    ("out", "kind", "message"),
    [
        (np.empty((2, 4, 6, 4)), ValueError,
         "conv2d: out for y must be float64 of shape (2, 4, 6, 5), got float64 of (2, 4, 6, 4)"),
        (np.empty((2, 4, 6, 5), "f4"), ValueError,
         "conv2d: out for y must be float64 of shape (2, 4, 6, 5), got float32 of (2, 4, 6, 5)"),
        (np.empty((2, 4, 6, 5), ">f8"), ValueError,
         "conv2d: out for y must be float64 of shape (2, 4, 6, 5), got >f8 of (2, 4, 6, 5)"),
        (np.empty((2, 4, 5, 6)).swapaxes(2, 3), ValueError, "conv2d: out for y must be C-contiguous and writeable"),
        (strided(Y), ValueError, "conv2d: out for y must be C-contiguous and writeable"),
        (frozen(Y), ValueError, "conv2d: out for y must be C-contiguous and writeable"),
        (np.broadcast_to(1.0, Y.shape), ValueError, "conv2d: out for y must be C-contiguous and writeable"),
        (Y.tolist(), TypeError, "conv2d: out must be a NumPy array, got list"),
        ((Y,), TypeError, "conv2d: out must be a NumPy array, got tuple"),
        ("out", TypeError, "conv2d: out must be a NumPy array, got str"),
    ],
)  # fmt: skip
def test_errors_of_out(out, kind, message):
    raises(kind, message, "conv2d", "forward", GEOMETRY, X, WEIGHT, BIAS, out=out)


def test_errors_of_out_that_overlaps():
    same = MatrixGeometry("gemm", 3, 3, 3)
    memory = np.ones((4, 3))
    for a, b in ((memory[:3], np.eye(3)), (np.eye(3), memory[:3])):
        for out in (memory[:3], memory[1:]):
            raises(ValueError, "gemm: out overlaps an input", "gemm", "forward", same, a, b, out=out)
    assert_array_equal(memory, np.ones((4, 3)))
    x = np.ones(5)
    raises(ValueError, "relu: out overlaps an input", "relu", "forward", FlatGeometry("relu", 5), x, out=x)
    raw = np.zeros(64, np.uint8)
    y, index = raw[:32].view("f8").reshape(1, 1, 2, 2), raw[16:32].view("i4").reshape(1, 1, 2, 2)
    raises(ValueError, "max_pool2d: the arrays of out overlap each other", "max_pool2d", "forward", MAX, PLANE,
           out=(y, index))  # fmt: skip


@pytest.mark.parametrize(
    ("out", "kind", "message"),
    [
        (5, TypeError, "max_pool2d: out must be 2 arrays (y, index), got int"),
        (np.empty((2, 1, 1, 2, 2)), TypeError, "max_pool2d: out must be 2 arrays (y, index), got ndarray"),
        ((), ValueError, "max_pool2d: out must be 2 arrays (y, index), got 0"),
        ((np.empty((1, 1, 2, 2)), None), TypeError, "max_pool2d: out must be a NumPy array, got NoneType"),
        ((np.empty((1, 1, 2, 2)),) * 2, ValueError,
         "max_pool2d: out for index must be int32 of shape (1, 1, 2, 2), got float64 of (1, 1, 2, 2)"),
    ],
)  # fmt: skip
def test_errors_of_two_outs(out, kind, message):
    raises(kind, message, "max_pool2d", "forward", MAX, PLANE, out=out)


def test_an_update_takes_no_out():
    arrays = [np.ones(2) for _ in range(3)]
    raises(TypeError, "sgd: takes no out, it changes its arrays in place", "sgd", "update", PartsGeometry("sgd", (2,)),
           *arrays, out=np.ones(2), rate=1.0, momentum=0.0, l2=0.0, velocity_form=True)  # fmt: skip


# What is refused

CONV = ("conv2d", "forward", GEOMETRY)
ROWS = RowsGeometry(2, 3)


@pytest.mark.parametrize(
    ("arguments", "options", "kind", "message"),
    [
        (("conv9d", "forward", GEOMETRY, X, WEIGHT, BIAS), {}, ValueError,
         f"kernels: no op 'conv9d'; there are {', '.join(sorted(registry.VARIANTS))}"),
        (("conv2d", "sideways", GEOMETRY, X, WEIGHT, BIAS), {}, ValueError,
         "conv2d: direction must be one of forward, forward_relu, forward_pool, backward_input, backward_weight, "
         "backward_bias, backward_weight_bias, backward_weight_bias_pool, backward_weight_bias_relu, got 'sideways'"),
        (("conv2d", "forward", "mb2ic3ih6iw5oc4kh3", X, WEIGHT, BIAS), {}, TypeError,
         "conv2d: the geometry must be a ConvGeometry or another geometry, got 'mb2ic3ih6iw5oc4kh3'"),
        (("conv2d", "forward", None, X, WEIGHT, BIAS), {}, TypeError,
         "conv2d: the geometry must be a ConvGeometry or another geometry, got None"),
        (("conv3d", "forward", GEOMETRY, X, WEIGHT, BIAS), {}, ValueError,
         f"conv3d: {GEOMETRY} is a problem of conv2d"),
        (("gemm", "forward", GEOMETRY, X, WEIGHT), {}, ValueError, f"gemm: {GEOMETRY} is a problem of conv2d"),
        ((*CONV, X, WEIGHT), {}, TypeError, "conv2d: forward takes 3 arrays (x, weight, bias), got 2"),
        ((*CONV, X, WEIGHT, BIAS, X), {}, TypeError, "conv2d: forward takes 3 arrays (x, weight, bias), got 4"),
        ((*CONV, X.tolist(), WEIGHT, BIAS), {}, TypeError, "conv2d: x must be a NumPy array, got list"),
        ((*CONV, X, None, BIAS), {}, TypeError, "conv2d: weight must be a NumPy array, got NoneType"),
        ((*CONV, X[:1], WEIGHT, BIAS), {}, ValueError,
         "conv2d: x must have shape (2, 3, 6, 5), got (1, 3, 6, 5) (mb2ic3ih6iw5oc4oh6ow5kh3ph1)"),
        ((*CONV, X, WEIGHT, BIAS[:3]), {}, ValueError,
         "conv2d: bias must have shape (4,), got (3,) (mb2ic3ih6iw5oc4oh6ow5kh3ph1)"),
        ((*CONV, X, WEIGHT, BIAS.astype("f4")), {}, TypeError,
         "conv2d: arrays must share one dtype: x is float64, bias is float32"),
        ((*CONV, X.astype("f4"), WEIGHT, None), {}, TypeError,
         "conv2d: arrays must share one dtype: x is float32, weight is float64"),
        *[((*CONV, X.astype(dtype), WEIGHT, BIAS), {}, TypeError,
           f"conv2d: x must be float32 or float64, got {np.dtype(dtype)}")
          for dtype in ("f2", "i8", "?", "c16", ">f8", "O", "g", "U5")],
        ((*CONV, X, WEIGHT, BIAS), {"n_threads": 0}, ValueError,
         "conv2d: the number of threads must lie in [1, 1024], got 0"),
        ((*CONV, X, WEIGHT, BIAS), {"n_threads": 1025}, ValueError,
         "conv2d: the number of threads must lie in [1, 1024], got 1025"),
        ((*CONV, X, WEIGHT, BIAS), {"n_threads": -(2**70)}, ValueError,
         f"conv2d: the number of threads must lie in [1, 1024], got {-2**70}"),
        ((*CONV, X, WEIGHT, BIAS), {"n_threads": True}, TypeError,
         "conv2d: the number of threads must be an int, got bool"),
        ((*CONV, X, WEIGHT, BIAS), {"n_threads": 2.0}, TypeError,
         "conv2d: the number of threads must be an int, got float"),
        ((*CONV, X, WEIGHT, BIAS), {"variant": "fast"}, ValueError,
         f"conv2d: variant must be one of {VARIANTS}, got 'fast'"),
        ((*CONV, X, WEIGHT, BIAS), {"variant": 3}, ValueError,
         f"conv2d: variant must be one of {VARIANTS}, got 3"),
        ((*CONV, X, WEIGHT, BIAS), {"level": "x86-64-v9"}, ValueError,
         f"conv2d: level must be one of {', '.join(isa.LEVELS)}, got 'x86-64-v9'"),
        ((*CONV, X, WEIGHT, BIAS), {"level": 3}, ValueError,
         f"conv2d: level must be one of {', '.join(isa.LEVELS)}, got 3"),
        (("conv2d", "backward_bias", GEOMETRY, Y), {"variant": "im2col"}, ValueError,
         "conv2d: variant im2col cannot do backward_bias of mb2ic3ih6iw5oc4oh6ow5kh3ph1: has no backward_bias"),
        (("max_pool2d", "backward_input", MAX, np.ones((1, 1, 2, 2)), np.ones((1, 1, 2, 2), np.int64)), {}, TypeError,
         "max_pool2d: index must be int32, got int64"),
        (("cross_entropy", "forward", ROWS, np.ones((2, 3)), np.zeros(2, np.int32)), {}, TypeError,
         "cross_entropy: target must be int64, got int32"),
        (("cross_entropy", "forward", ROWS, np.ones((3, 2)), np.zeros(2, np.int64)), {}, ValueError,
         "cross_entropy: logits must have shape (2, 3), got (3, 2) (mb2k3)"),
        (("gemm", "forward", MatrixGeometry("gemm", 2, 3, 4), np.ones((2, 4)), np.ones((3, 4))), {}, ValueError,
         "gemm: b must have shape (4, 3), got (3, 4) (m2n3k4)"),
        (("fully_connected", "forward", MatrixGeometry("fully_connected", 2, 3, 4), np.ones((2, 4)), np.ones((4, 3)),
          None), {}, ValueError, "fully_connected: weight must have shape (3, 4), got (4, 3) (m2n3k4)"),
        (("relu", "forward", FlatGeometry("relu", 4), np.ones((2, 2))), {}, ValueError,
         "relu: x must have shape (4,), got (2, 2) (n4)"),
        (("avg_pool2d", "forward", PoolGeometry.of("avg_pool2d", (1, 1, 4, 4), 2), np.ones((1, 4, 4))), {}, ValueError,
         "avg_pool2d: x must have shape (1, 1, 4, 4), got (1, 4, 4) (mb1ic1ih4oh2kh2sh2)"),
    ],
    ids=lambda value: str(value)[-60:] if isinstance(value, str) else "",
)  # fmt: skip
def test_errors_of_run(arguments, options, kind, message):
    out = np.full(Y.shape, 7.0)
    if arguments[1] == "forward" and arguments[0] == "conv2d":
        options = {**options, "out": out}
    raises(kind, message, *arguments, **options)
    assert_array_equal(out, np.full(Y.shape, 7.0))  # nothing was written before


def test_a_level_that_was_not_built():
    missing = [level for level in isa.LEVELS if level not in isa.built_and_supported()]
    for level in missing:
        with pytest.raises(ValueError, match=f"^conv2d: level {level} (was not built; built: |is not supported by )"):
            conv(level=level)


def test_unaligned_arrays_are_read():
    assert_array_equal(conv(*(unaligned(array) for array in (X, WEIGHT, BIAS))), Y)


# Problems that were computed before


AGAIN = ConvGeometry.parse("mb2ic3ih5oc4kh2")
ARRAYS = [integers(AGAIN.shapes[name], "f4", 1) for name in ("x", "weight", "bias")]


def again(*arrays, **options):
    return run("conv2d", "forward", AGAIN, *(arrays or ARRAYS), **options)


@pytest.mark.parametrize(
    ("place", "array", "kind", "message"),
    [
        (0, ARRAYS[0][:1], ValueError, "conv2d: x must have shape (2, 3, 5, 5), got (1, 3, 5, 5) (mb2ic3ih5oc4oh4kh2)"),
        (1, ARRAYS[1].tolist(), TypeError, "conv2d: weight must be a NumPy array, got list"),
        (1, ARRAYS[1].astype("f8"), TypeError,
         "conv2d: arrays must share one dtype: x is float32, weight is float64"),
        (2, ARRAYS[2].astype(">f4"), TypeError, "conv2d: arrays must share one dtype: x is float32, bias is >f4"),
        (0, None, TypeError, "conv2d: x must be a NumPy array, got NoneType"),
    ],
)  # fmt: skip
def test_arrays_are_looked_at_each_time(place, array, kind, message):
    again()
    given = [*ARRAYS]
    given[place] = array
    raises(kind, message, "conv2d", "forward", AGAIN, *given)
    raises(TypeError, "conv2d: forward takes 3 arrays (x, weight, bias), got 2", "conv2d", "forward", AGAIN, *given[:2])


def test_arrays_of_another_kind_are_taken_each_time():
    expected = again()
    x, weight, bias = ARRAYS
    for _ in range(2):
        assert again(*(a.astype("f8") for a in ARRAYS)).dtype == np.float64
        assert_array_equal(again(x, weight, None), expected - bias.reshape(-1, 1, 1))
        assert_array_equal(again(fortran(x), strided(weight), bias), expected)
        assert_array_equal(again(x.view(np.recarray), weight, bias), expected)
        assert_array_equal(again(), expected)
        out = np.full_like(expected, np.nan)
        assert again(out=out) is out
        assert_array_equal(out, expected)


def test_outs_are_looked_at_each_time():
    square = MatrixGeometry("gemm", 3, 3, 3)
    a, b, out = np.ones((3, 3)), np.eye(3), np.empty((3, 3))
    for _ in range(2):
        assert run("gemm", "forward", square, a, b, out=out) is out
        for wrong, kind, message in (
            (a, ValueError, "gemm: out overlaps an input"),
            (a[:], ValueError, "gemm: out overlaps an input"),
            (frozen(out), ValueError, "gemm: out for c must be C-contiguous and writeable"),
            (out[:2], ValueError, "gemm: out for c must be float64 of shape (3, 3), got float64 of (2, 3)"),
            ([out], TypeError, "gemm: out must be a NumPy array, got list"),
        ):
            raises(kind, message, "gemm", "forward", square, a, b, out=wrong)
        assert_array_equal(a, np.ones((3, 3)))


def test_choices_are_made_anew_where_they_may_be_others():
    """Threads, variants and watchers: what a block asks for holds in it, and no longer."""
    found = []
    for wanted in (None, "reference", None, "direct", None):
        with contextlib.ExitStack() as stack:
            if wanted:
                stack.enter_context(kernels.use_variant("conv2d", wanted))
            again()  # not watched: what is remembered of it must not be taken for another
            with calls.observing(found.append):
                again()
    names = [made.call.variant for made in found]
    assert names[1:4:2] == ["reference", "direct"]
    assert names[::2] == [names[0]] * 3 != ["reference"] * 3
    kernels.register("conv2d", Loud, "loud")
    try:
        assert_array_equal(again(), np.full(AGAIN.shapes["y"], 7))
    finally:
        kernels.unregister("conv2d", "loud")
    assert not (again() == 7).all()


class Loud:
    """A user's variant that is easily told."""

    @staticmethod
    def forward(geometry, x, weight, bias, y, n_threads):
        y[...] = 7


# Several Python threads at once


@pytest.mark.parametrize("variant", [v for v in kernels.variants("conv2d") if v != "reference"])
def test_two_python_threads_at_once(variant):
    """Each call has working memory of its own: two threads, many calls, always the right numbers."""
    geometry = ConvGeometry.parse("mb4ic3ih12oc5kh3ph1")
    problems = []
    for seed in range(2):
        x, weight, bias = (integers(geometry.shapes[name], "f4", [seed, 7]) for name in ("x", "weight", "bias"))
        g = integers(geometry.shapes["y"], "f4", [seed, 8])
        calls = ("forward", (x, weight, bias)), ("backward_input", (g, weight)), ("backward_weight", (g, x))
        problems.append([call for call in calls if not refused("conv2d", variant, None, call[0], geometry, "f4")])
    expected = [[run("conv2d", d, geometry, *arrays, variant=variant) for d, arrays in p] for p in problems]
    for calls, results in zip(problems, expected, strict=True):
        for (direction, arrays), result in zip(calls, results, strict=True):
            reference = run("conv2d", direction, geometry, *arrays, variant="reference")
            assert_agrees(result, reference, variant, None, direction, geometry, arrays)
    start, wrong = threading.Barrier(2), []

    def work(mine):
        start.wait()
        for _ in range(60):
            for (direction, arrays), result in zip(problems[mine], expected[mine], strict=True):
                got = run("conv2d", direction, geometry, *arrays, variant=variant, n_threads=2)
                if not np.array_equal(got, result):
                    wrong.append(direction)

    workers = [threading.Thread(target=work, args=(mine,)) for mine in range(2)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert wrong == []


# Hostile input

JUNK = st.sampled_from([None, 5, "x", [], {}, (), 1j, np.nan, object(), np.ones(()), np.ones(3, "f2"), np.ones(0)])
GEOMETRIES = [GEOMETRY, MAX, ROWS, MatrixGeometry("gemm", 2, 3, 4), MatrixGeometry("fully_connected", 2, 3, 4),
              FlatGeometry("relu", 4), PartsGeometry("sgd", (4,)),
              PoolGeometry.of("avg_pool2d", (1, 1, 4, 4), 2)]  # fmt: skip


@given(
    op=st.sampled_from([*kernels.registry.VARIANTS, "nothing"]),
    geometry=st.one_of(st.sampled_from(GEOMETRIES), JUNK),
    direction=st.sampled_from(["forward", "backward_input", "backward_weight", "backward_bias", "update", "x", None]),
    arrays=st.lists(
        st.one_of(JUNK, *(st.builds(np.ones, st.just(shape)) for g in GEOMETRIES for shape in set(g.shapes.values()))),
        max_size=4,
    ),
    variant=st.sampled_from([None, "direct", "reference", "im2col", "gemm", "blocked"]),
)
@settings(max_examples=300)
def test_anything_at_all_gives_a_result_or_an_error(op, geometry, direction, arrays, variant):
    """Ops with geometries of other ops included: never a crash, and no kind of error but these."""
    try:
        run(op, direction, geometry, *arrays, variant=variant)
    except (ValueError, TypeError):
        pass
