"""A sequence of kernel calls that is made again: the same bits, in less memory; and what cannot be made again."""

import dataclasses

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from strategies import parts_options

from convcore.kernels import ConvGeometry, FlatGeometry, MatrixGeometry, PartsGeometry, run
from convcore.kernels.program import NotRepeatable, Planned, Program, observing
from convcore.threads import num_threads

CONV = ConvGeometry.parse("mb3ic2ih8oc4kh3ph1")
FLAT = FlatGeometry("relu", 3 * 4 * 8 * 8)
MATRIX = MatrixGeometry("fully_connected", 3, 5, 4 * 8 * 8)
rng = np.random.default_rng(0)
WEIGHT, BIAS, MATRIX_WEIGHT = (rng.standard_normal(n).astype("f4") for n in ((4, 2, 3, 3), 4, (5, 256)))


def images():
    return rng.standard_normal(CONV.shapes["x"]).astype("f4")


def forward(x):
    """A convolution, ReLU and a matrix, with a gradient of the convolution's weights from the middle."""
    y = run("conv2d", "forward", CONV, x, WEIGHT, BIAS)
    positive = run("relu", "forward", FLAT, y.reshape(-1))
    z = run("fully_connected", "forward_relu", MATRIX, positive.reshape(3, -1), MATRIX_WEIGHT, None)
    return z, run("conv2d", "backward_weight", CONV, positive.reshape(y.shape), x)


def observed(work, *inputs):
    calls = []
    with observing(calls.append):
        results = work(*inputs)
    return calls, results


def program(work, make_inputs):
    inputs = [make_inputs() for _ in range(2)]
    observations = [observed(work, *given) for given in inputs]
    return Program(observations[0][0], observations[1][0], inputs, observations[1][1])


def test_it_computes_the_same_again():
    made = program(forward, lambda: [images()])
    for _ in range(3):
        x = images()
        made.run([x])
        for result, expected in zip(made.results, forward(x), strict=True):
            assert_array_equal(result, expected, strict=True)


@pytest.mark.parametrize(("numbers", "threads"), [(50_000, 1), (80_000, 2)])
def test_small_calls_are_not_shared(numbers, threads):
    """Of several calls that make up a step; one by itself is."""
    geometry = FlatGeometry("relu", numbers)

    def work(x):
        y = run("relu", "forward", geometry, x)
        return (run("relu", "backward_input", geometry, x, y),)

    with num_threads(2):
        calls, _ = observed(work, np.ones(numbers, "f4"))
        made = program(work, lambda: [rng.standard_normal(numbers).astype("f4")])
    assert [call.n_threads for call in calls] == [2, 2]
    assert made.n_threads == threads
    assert [call.n_threads for call in made.calls] == [threads] * 2


def test_inputs_are_cast_and_left_alone():
    made = program(forward, lambda: [images()])
    x = rng.integers(0, 255, CONV.shapes["x"], np.uint8)
    made.run([x])
    assert_array_equal(made.results[0], forward(x.astype("f4"))[0])


def test_arrays_that_stay_are_read_where_they_are():
    """The weights' values may change, as an optimizer changes them."""
    weight = WEIGHT.copy()
    made = program(lambda x: [run("conv2d", "forward", CONV, x, weight, BIAS)], lambda: [images()])
    weight *= 2
    x = images()
    made.run([x])
    assert_array_equal(made.results[0], run("conv2d", "forward", CONV, x, weight, BIAS))


def test_memory_is_used_again():
    """Of ten results one after the other, each needed by the next alone, two are needed at a time."""

    def work(x):
        for _ in range(10):
            x = run("relu", "forward", FLAT, x)
        return [x]

    made = program(work, lambda: [rng.standard_normal(FLAT.size)])
    assert made.bytes == 2 * FLAT.size * 8
    x = rng.standard_normal(FLAT.size)
    made.run([x])
    assert_array_equal(made.results[0], np.maximum(x, 0))


def test_what_is_wanted_and_what_is_read_late_is_not_overwritten():
    def work(x):
        first = run("relu", "forward", FLAT, x)
        second = run("relu", "forward", FLAT, first)
        third = run("relu", "backward_input", FLAT, second, second)
        return first, third, run("relu", "backward_input", FLAT, first, third)

    made = program(work, lambda: [rng.standard_normal(FLAT.size)])
    x = rng.standard_normal(FLAT.size)
    made.run([x])
    for result, expected in zip(made.results, work(x), strict=True):
        assert_array_equal(result, expected)


def test_a_watcher_sees_every_call():
    made, found = program(forward, lambda: [images()]), []
    with observing(found.append):
        made.run([images()])
    assert [(call.op, call.direction) for call in found] == [
        ("conv2d", "forward"), ("relu", "forward"), ("fully_connected", "forward_relu"), ("conv2d", "backward_weight")
    ]  # fmt: skip
    assert all(call.seconds > 0 for call in found)


def test_comparing_with_an_observation():
    made = program(forward, lambda: [images()])
    x = images()
    calls, results = observed(forward, x)
    made.check(calls, [x], list(results))
    other = calls[1].outputs[0].copy()
    other[7] += 1
    wrong = [calls[0], calls[1]._replace(outputs=(other,)), *calls[2:]]
    with pytest.raises(NotRepeatable, match="forward of relu gives other bits"):
        made.check(wrong, [x], list(results))
    with pytest.raises(NotRepeatable, match="forward of conv2d gives other bits"):
        made.check(calls, [images()], list(results))
    with pytest.raises(NotRepeatable, match="what is wanted is not what a kernel wrote"):
        made.check(calls, [x], [results[0] + 1, results[1]])
    with pytest.raises(NotRepeatable, match="one run made 4 calls, the next 3"):
        made.check(calls[:3], [x], list(results))


@pytest.mark.parametrize("time", [1, 2, 3, 4])
@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_work_that_fails_is_planned_from_the_beginning(time, error):
    plan, count = Planned(), [0]

    def work():
        count[0] += 1
        if count[0] == time:
            raise error
        return run("relu", "forward", FLAT, x)

    for _ in range(9):
        x = rng.standard_normal(FLAT.size).astype("f4")
        if plan.ready:
            break
        try:
            plan.watch([x], work, lambda y, calls: ([y], []))
        except error:
            assert plan.program is None
    assert count[0] == (4 if time == 1 else time + 4)


@pytest.mark.parametrize(
    ("work", "message"),
    [
        (lambda x: [run("relu", "forward", FLAT, 2 * x)], "forward of relu takes an array that no kernel made"),
        (lambda x: [run("relu", "forward", FLAT, x) + 1], "a result is not made by a kernel"),
        (lambda x: [run("relu", "forward", FLAT, x), np.ones(3)], "a result is not made by a kernel"),
        (lambda x: [run("relu", "backward_input", FLAT, x, np.ones(FLAT.size))],
         "backward_input of relu takes an array that no kernel made"),
        (lambda x: [run("relu", "backward_input", FlatGeometry("relu", 1), np.ones(1), x[:1])],
         "backward_input of relu takes an array that no kernel made"),
        (lambda x: [run("sgd", "update", PartsGeometry("sgd", (FLAT.size,)), x, x.copy(), x.copy(), velocity_form=True,
                        momentum=0.9, **parts_options(1))], "sgd changes its arrays in place"),
        (lambda x: [run("relu", "forward", FlatGeometry("relu", 0), x[:0])], "relu takes an empty array"),
    ],
)  # fmt: skip
def test_what_cannot_be_repeated(work, message):
    with pytest.raises(NotRepeatable) as error:
        program(work, lambda: [rng.standard_normal(FLAT.size)])
    assert str(error.value) == message


def test_runs_that_differ():
    x = images()
    one, results = observed(forward, x)
    other, _ = observed(lambda x: run("conv2d", "forward", CONV, x, WEIGHT, None), x)
    with pytest.raises(NotRepeatable, match=r"^one run made 4 calls, the next 1$"):
        Program(one, other, ([x], [x]), results)
    turned = dataclasses.replace(CONV, padding_value=1.0)
    other = [one[0]._replace(geometry=turned), *one[1:]]
    with pytest.raises(NotRepeatable, match=r"^one run made forward of conv2d, the next forward of conv2d$"):
        Program(one, other, ([x], [x]), results)


def test_results_that_lie_together():
    """In the order in which they are named, whatever their sizes; another may be one of them, a part may not."""
    weights = [rng.standard_normal((n, 2, 3, 3)).astype("f4") for n in (3, 1, 2)]
    geometries = [ConvGeometry.parse(f"mb3ic2ih8oc{n}kh3ph1") for n in (3, 1, 2)]

    def work(x):
        results = []
        for geometry, weight in zip(geometries, weights, strict=True):
            y = run("conv2d", "forward", geometry, x, weight, None)
            results.append(run("conv2d", "backward_weight", geometry, y, x))
        return results

    inputs = [[images()] for _ in range(2)]
    (first, _), (second, results) = (observed(work, *given) for given in inputs)
    order = [results[i] for i in (2, 0, 1)]
    made = Program(first, second, inputs, results, together=order)
    x = images()
    made.run([x])
    for result, expected in zip(made.results, work(x), strict=True):
        assert_array_equal(result, expected)
    addresses = [made.results[i].ctypes.data for i in (2, 0, 1)]
    assert np.diff(addresses).tolist() == [192, 256]  # 144 and 216 bytes, each on cache lines of its own
    assert addresses[0] % 64 == 0
    with pytest.raises(NotRepeatable, match=r"^what shall lie together is not each an array of its own$"):
        Program(first, second, inputs, results, together=[results[0][:2]])


def test_what_a_kernel_calls_itself_belongs_to_it():
    """`padded` has another variant compute: one call for whoever watches, and one to be made again."""
    geometry = dataclasses.replace(CONV, padding_value="circular")

    def work(g):
        return [run("conv2d", "backward_input", geometry, g, WEIGHT, variant="padded")]

    def make():
        return [rng.standard_normal(geometry.shapes["y"]).astype("f4")]

    made, found = program(work, make), []
    assert [call.call.variant for call in made.calls] == ["padded"]
    (g,) = make()
    with observing(found.append):
        made.run([g])
    assert [call.call.variant for call in found] == ["padded"]
    assert_array_equal(made.results[0], work(g)[0])
