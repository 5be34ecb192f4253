"""The registry: a user's own variant, who is chosen and why, and how to force another."""

import threading

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from strategies import DIRECTIONS

from convcore import isa, kernels
from convcore.kernels import ConvGeometry, MatrixGeometry, registry

PROBLEM = "mb2ic1ih6oc2kh3"
GEOMETRY = ConvGeometry.parse(PROBLEM)
X, WEIGHT = np.ones((2, 1, 6, 6)), np.ones((2, 1, 3, 3))
VARIANTS = ", ".join(kernels.variants("conv2d"))
WIDTH = max(len(name) for name in kernels.variants("conv2d"))
OPS = ", ".join(sorted(registry.VARIANTS))


class Ours:
    """A variant as a plain object: forward only, for images up to 8 × 8."""

    calls = 0

    def supports(self, direction, geometry, dtype, level):
        return None if geometry.in_size[0] <= 8 else f"image is {geometry.in_size[0]} high, wants 8 at most"

    def forward(self, geometry, x, weight, bias, y, n_threads):
        self.calls += 1
        y.fill(42)


@pytest.fixture
def ours():
    variant = Ours()
    kernels.register("conv2d", variant, name="ours")
    yield variant
    if "ours" in kernels.variants("conv2d"):
        kernels.unregister("conv2d", "ours")


def refusal_of(name, problem, direction="forward"):
    return kernels.refusal("conv2d", name, direction, ConvGeometry.parse(problem), np.dtype("f8"), isa.DEFAULT)


def test_best_first_and_the_definition_last():
    for op in registry.VARIANTS:
        names = kernels.variants(op)
        assert names[-1] == "reference"
        assert len(set(names)) == len(names)
        assert not hasattr(registry.load(op, "reference", None), "supports")  # it refuses nothing


def test_changing_the_answer_changes_nothing():
    assert isinstance(kernels.variants("conv2d"), tuple)


def test_a_variant_of_ones_own_wins(ours):
    assert kernels.variants("conv2d")[0] == "ours"
    assert_array_equal(kernels.conv2d_forward(X, WEIGHT), np.full((2, 2, 4, 4), 42))
    assert_array_equal(kernels.conv2d_forward(X, WEIGHT, variant="direct"), np.full((2, 2, 4, 4), 9))
    assert ours.calls == 1


def test_it_is_passed_over_where_another_is_faster(ours, monkeypatch):
    monkeypatch.setattr(Ours, "suits", lambda *_: "slow on Saturdays", raising=False)
    kernels.conv2d_forward(X, WEIGHT)
    assert ours.calls == 0
    assert f"  {'ours':{WIDTH}}   no: slow on Saturdays" in kernels.explain("conv2d", PROBLEM).splitlines()
    kernels.conv2d_forward(X, WEIGHT, variant="ours")
    assert ours.calls == 1


def test_it_is_passed_over_where_it_refuses(ours):
    large = np.ones((1, 1, 9, 9))
    assert_array_equal(kernels.conv2d_forward(large, WEIGHT), np.full((1, 2, 7, 7), 9))
    kernels.conv2d_backward_weight(np.ones((2, 2, 4, 4)), X, WEIGHT.shape)  # a direction that it lacks
    assert ours.calls == 0
    assert refusal_of("ours", "ic1ih9oc2kh3") == "image is 9 high, wants 8 at most"
    assert refusal_of("ours", PROBLEM, "backward_weight") == "has no backward_weight"
    assert refusal_of("ours", PROBLEM) is None
    with pytest.raises(ValueError) as error:
        kernels.conv2d_forward(large, WEIGHT, variant="ours")
    assert str(error.value) == (
        "conv2d: variant ours cannot do forward of mb1ic1ih9oc2oh7kh3: image is 9 high, wants 8 at most"
    )


def test_explain_shows_who_was_passed_over_and_why(ours):
    yes = f"yes: {isa.DEFAULT}, 1 thread"
    rows = kernels.explain("conv2d", PROBLEM).splitlines()
    assert rows[:2] == ["conv2d forward mb2ic1ih6oc2oh4kh3 float32", f"  {'ours':{WIDTH}}   {yes}"]
    assert [row.split()[0] for row in rows[1:]] == list(kernels.variants("conv2d"))
    assert rows[-1] == f"  {'reference':{WIDTH}}   no: stands later"
    rows = kernels.explain("conv2d", "ic1ih9oc2kh3", dtype="float64", level=isa.DEFAULT).splitlines()
    assert rows[0] == "conv2d forward mb1ic1ih9oc2oh7kh3 float64"
    assert rows[1] == f"  {'ours':{WIDTH}}   no: image is 9 high, wants 8 at most"
    assert f"  {'shifted':{WIDTH}}   no: computes in float32 only" in rows
    assert rows[-3:] == [
        f"  {'im2col':{WIDTH}}   {yes}",
        f"  {'direct':{WIDTH}}   no: stands later",
        f"  {'reference':{WIDTH}}   no: stands later",
    ]
    with kernels.use_variant("conv2d", "reference"):
        for row in kernels.explain("conv2d", GEOMETRY).splitlines()[1:-1]:
            assert row.endswith(" no: another was asked for") or ("no: " in row and not row.endswith("stands later"))
    assert kernels.explain("gemm", MatrixGeometry("gemm", 1, 2, 3)).splitlines()[1:] == [
        f"  blocked     {yes}",
        "  reference   no: stands later",
    ]
    assert f"{'ours':{WIDTH}}   no: has no backward_input" in kernels.explain("conv2d", GEOMETRY, "backward_input")


def test_a_second_one_replaces_it_and_unregister_takes_it_away(ours):
    kernels.conv2d_forward(X, WEIGHT)
    second = Ours()
    kernels.register("conv2d", second, name="ours")
    kernels.conv2d_forward(X, WEIGHT)
    assert (ours.calls, second.calls) == (1, 1)
    assert kernels.variants("conv2d").count("ours") == 1
    kernels.unregister("conv2d", "ours")
    assert_array_equal(kernels.conv2d_forward(X, WEIGHT), np.full((2, 2, 4, 4), 9))
    with pytest.raises(ValueError, match=f"^conv2d: variant must be one of {VARIANTS}, got 'ours'$"):
        kernels.conv2d_forward(X, WEIGHT, variant="ours")


def test_a_numpy_module_and_an_empty_container_are_variants_too(ours):
    class Empty(list):
        forward = Ours.forward
        calls = 0

    empty = Empty()  # false as a truth value
    kernels.register("conv2d", empty, name="ours")
    kernels.conv2d_forward(X, WEIGHT)
    assert empty.calls == 1
    module = registry.load("conv2d", "reference", None)
    kernels.register("conv2d", module, name="ours")
    assert_array_equal(kernels.conv2d_forward(X, WEIGHT), np.full((2, 2, 4, 4), 9))
    assert kernels.levels_of("conv2d", "ours") == (isa.DEFAULT,)


@pytest.mark.parametrize(
    ("arguments", "kind", "message"),
    [
        (("conv9d", Ours(), "ours"), ValueError, f"kernels: no op 'conv9d'; there are {OPS}"),
        (("conv2d", Ours(), "direct"), ValueError, "register: conv2d has a built-in variant 'direct'"),
        (("conv2d", Ours(), "two words"), ValueError, "register: name must be an identifier, got 'two words'"),
        (("conv2d", Ours(), ""), ValueError, "register: name must be an identifier, got ''"),
        (("conv2d", Ours(), None), ValueError, "register: name must be an identifier, got None"),
        (("conv2d", 5, "ours"), TypeError, f"register: 5 has none of {', '.join(DIRECTIONS)} as a callable"),
        (("conv2d", type("T", (), {"forward": 3}), "ours"), TypeError,
         f"register: <class 'test_registry.T'> has none of {', '.join(DIRECTIONS)} as a callable"),
    ],
    ids=lambda value: str(value)[:40],
)  # fmt: skip
def test_errors_of_register(arguments, kind, message):
    before = {op: list(names) for op, names in registry.VARIANTS.items()}
    with pytest.raises(kind) as error:
        kernels.register(*arguments)
    assert str(error.value).replace(f"{__name__}.", "test_registry.") == message
    assert before == registry.VARIANTS


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: kernels.unregister("conv2d", "direct"), "unregister: conv2d has no registered variant 'direct'"),
        (lambda: kernels.unregister("conv9d", "x"), "unregister: conv9d has no registered variant 'x'"),
        (lambda: kernels.variants("conv9d"), f"kernels: no op 'conv9d'; there are {OPS}"),
        (lambda: kernels.levels_of("conv2d", "fast"),
         f"conv2d: variant must be one of {VARIANTS}, got 'fast'"),
        (lambda: refusal_of("fast", PROBLEM), f"conv2d: variant must be one of {VARIANTS}, got 'fast'"),
        (lambda: kernels.use_variant("conv2d", "fast").__enter__(),
         f"conv2d: variant must be one of {VARIANTS}, got 'fast'"),
        (lambda: kernels.use_variant("conv9d", "direct").__enter__(), f"kernels: no op 'conv9d'; there are {OPS}"),
        (lambda: kernels.explain("conv9d", GEOMETRY), f"kernels: no op 'conv9d'; there are {OPS}"),
        (lambda: kernels.explain("conv2d", "ic1"), "geometry: 'ic1' lacks ih, oc, kh"),
        (lambda: kernels.explain("conv2d", GEOMETRY, "sideways"), "conv2d: direction must be one of forward, "
         "forward_relu, forward_pool, backward_input, backward_weight, backward_bias, backward_weight_bias, "
         "backward_weight_bias_pool, backward_weight_bias_relu, got 'sideways'"),
        (lambda: kernels.explain("conv2d", GEOMETRY, level="v5"),
         f"conv2d: level must be one of {', '.join(isa.LEVELS)}, got 'v5'"),
    ],
)  # fmt: skip
def test_errors_of_the_others(call, message):
    with pytest.raises(ValueError) as error:
        call()
    assert str(error.value) == message


def test_errors_of_explain_about_kinds():
    for arguments, message in [
        (("conv2d", 5), "conv2d: the geometry must be a ConvGeometry or another geometry, got 5"),
        (("conv2d", GEOMETRY, "forward", "float16"), "conv2d: dtype must be float32 or float64, got float16"),
    ]:
        with pytest.raises(TypeError) as error:
            kernels.explain(*arguments)
        assert str(error.value) == message


# Forcing one


class Names:
    """Stands in for a variant and remembers that it was called."""

    def __init__(self, log, name):
        self.log, self.name = log, name

    def forward(self, geometry, x, weight, bias, y, n_threads):
        self.log.append(self.name)


@pytest.fixture
def log():
    calls = []
    for name in ("a", "b", "c"):
        kernels.register("conv2d", Names(calls, name), name)  # in line: c, b, a
    yield calls
    for name in ("a", "b", "c"):
        kernels.unregister("conv2d", name)


def call():
    kernels.conv2d_forward(X, WEIGHT)


def test_use_variant_nests_and_ends(log):
    with kernels.use_variant("conv2d", "a"):
        call()
        with kernels.use_variant("conv2d", "b"), kernels.use_variant("gemm", "reference"):
            call()
            kernels.conv2d_forward(X, WEIGHT, variant="c")  # the argument comes first
        call()
        with pytest.raises(KeyError), kernels.use_variant("conv2d", "b"):
            raise KeyError
        call()
    call()
    assert log == ["a", "b", "c", "a", "a", "c"]


def test_use_variant_holds_in_its_own_thread_only(log):
    with kernels.use_variant("conv2d", "a"):
        other = threading.Thread(target=call)
        other.start()
        other.join()
        call()
    assert log == ["c", "a"]


def test_environment_variable(log, variable):
    variable("CONVCORE_CONV2D_VARIANT", "a")
    call()
    with kernels.use_variant("conv2d", "b"):
        call()
    kernels.conv2d_forward(X, WEIGHT, variant="c")
    variable("CONVCORE_CONV2D_VARIANT", "")
    call()
    assert log == ["a", "b", "c", "c"]
    variable("CONVCORE_CONV2D_VARIANT", "fast")
    with pytest.raises(ValueError) as error:
        call()
    assert str(error.value) == f"conv2d: variant must be one of c, b, a, {VARIANTS}, got 'fast'"


def test_forcing_one_that_lacks_a_direction(monkeypatch):
    """It is an error, and nothing else is chosen in silence; only the bias gradient comes from whoever has it."""
    with kernels.use_variant("gemm", "reference"), kernels.use_variant("conv2d", "im2col"):
        kernels.conv2d_backward_bias(np.ones((1, 2, 3, 3)))
    kernels.register("conv2d", Ours(), "ours")
    try:
        with kernels.use_variant("conv2d", "ours"), pytest.raises(ValueError) as error:
            kernels.conv2d_backward_weight(np.ones((2, 2, 4, 4)), X, WEIGHT.shape)
    finally:
        kernels.unregister("conv2d", "ours")
    assert str(error.value) == (
        "conv2d: variant ours cannot do backward_weight of mb2ic1ih6oc2oh4kh3: has no backward_weight"
    )


@pytest.mark.parametrize("n_threads", [1, 2, 3, 8])
def test_the_choice_does_not_depend_on_threads(n_threads):
    """Neither through the argument nor through the default: supports is not even told."""
    asked = []

    class Watching(Ours):
        def supports(self, *arguments):
            asked.append(arguments)
            return "wants to watch only"

    kernels.register("conv2d", Watching(), "watching")
    try:
        kernels.conv2d_forward(X, WEIGHT, n_threads=n_threads)
    finally:
        kernels.unregister("conv2d", "watching")
    assert asked == [("forward", GEOMETRY, np.dtype("f8"), isa.DEFAULT)]
