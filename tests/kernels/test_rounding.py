"""How much rounding the automatic choice may take: "fast" or "strict"."""

import threading

import numpy as np
import pytest

import convcore as cc
from convcore import kernels
from convcore.kernels import ConvGeometry, dispatch, registry, rounding
from convcore.train import fingerprint

GEOMETRY = ConvGeometry.parse("mb4ic32ih28oc32kh3ph1")
F4 = np.dtype(np.float32)
CHOICES = "must be one of fast, strict, got"


@pytest.fixture(autouse=True)
def _nothing_is_asked_for(variable):
    for name in ("CONVCORE_PRECISION", "CONVCORE_CONV2D_VARIANT"):
        variable(name, None)


def chosen(variant=None):
    return dispatch.selected("conv2d", "forward", GEOMETRY, F4, variant)[0]


def coarse(name):
    return registry.rounding_factor("conv2d", name) > 1


def test_strict_rules_out_what_rounds_more():
    assert coarse(chosen())
    with cc.precision("strict"):
        assert not coarse(chosen())
        assert coarse(chosen("winograd"))  # asked for by name
        with cc.use_variant("conv2d", "winograd"):
            assert coarse(chosen())
    assert coarse(chosen())


def test_the_numbers_are_those_of_direct_summation():
    """Whole numbers, whose sums are exact in every order but not through the transforms."""
    rng = np.random.default_rng(0)
    x, weight = (rng.integers(-3, 4, GEOMETRY.shapes[name]).astype(F4) for name in ("x", "weight"))
    expected = kernels.conv2d_forward(x, weight, padding=1, variant="im2col")
    assert (kernels.conv2d_forward(x, weight, padding=1) != expected).any()
    with cc.precision("strict"):
        np.testing.assert_array_equal(kernels.conv2d_forward(x, weight, padding=1), expected)


def test_explain_says_so():

    def answers(**options):
        rows = kernels.explain("conv2d", GEOMETRY, **options).splitlines()[1:]
        return {row.split()[0]: row.split(maxsplit=1)[1] for row in rows}

    assert answers()["winograd"].startswith("yes:")
    with cc.precision("strict"):
        found = answers()
        assert found.pop("winograd") == "no: precision is strict"
        assert not any("strict" in answer for answer in found.values())
        assert answers(dtype="float64")["winograd"] == "no: computes in float32 only"  # what it cannot do comes first


def test_it_nests_and_ends():
    assert cc.get_precision() == "fast"
    with cc.precision("strict"):
        with cc.precision("fast"):
            assert cc.get_precision() == "fast"
        assert cc.get_precision() == "strict"
        with pytest.raises(KeyError), cc.precision("fast"):
            raise KeyError
        assert cc.get_precision() == "strict"
    assert cc.get_precision() == "fast"


def test_it_holds_in_its_own_thread_only():
    found = []
    with cc.precision("strict"):
        other = threading.Thread(target=lambda: found.append(cc.get_precision()))
        other.start()
        other.join()
    assert found == ["fast"]


def test_for_the_whole_process(monkeypatch, variable):
    """The setter holds in every thread; the environment only where nothing else was said."""
    variable("CONVCORE_PRECISION", "strict")
    assert cc.get_precision() == "strict"
    monkeypatch.setattr(rounding.PRECISION, "of_process", None)  # put back at the end
    cc.set_precision("fast")
    assert cc.get_precision() == "fast"
    cc.set_precision("strict")
    variable("CONVCORE_PRECISION", None)
    found = []
    other = threading.Thread(target=lambda: found.append(cc.get_precision()))
    other.start()
    other.join()
    assert found == ["strict"]
    with cc.precision("fast"):
        assert cc.get_precision() == "fast"


def test_a_checkpoint_remembers_it():
    """The bits depend on it: it is part of what a run was made with."""
    assert "winograd" in fingerprint.of_program()["variants"]["conv2d"]
    with cc.precision("strict"):
        variants = fingerprint.of_program()["variants"]
        assert not any(coarse(name) for name in variants["conv2d"])
        assert variants["conv1d"] == list(kernels.variants("conv1d"))
        with cc.use_variant("conv2d", "winograd"):
            assert fingerprint.of_program()["variants"]["conv2d"] == ["winograd"]


@pytest.mark.parametrize(
    ("value", "kind", "message"),
    [
        ("exact", ValueError, f"{CHOICES} 'exact'"),
        ("", ValueError, f"{CHOICES} ''"),
        ("Strict", ValueError, f"{CHOICES} 'Strict'"),
        (None, TypeError, f"{CHOICES} NoneType"),
        (1, TypeError, f"{CHOICES} int"),
        (["strict"], TypeError, f"{CHOICES} list"),
    ],
)
def test_errors(value, kind, message):
    with pytest.raises(kind) as error:
        cc.set_precision(value)
    assert str(error.value) == f"set_precision: kind {message}"
    with pytest.raises(kind) as error, cc.precision(value):
        pass
    assert str(error.value) == f"precision: kind {message}"
    assert cc.get_precision() == "fast"


def test_an_error_in_the_environment(variable):
    variable("CONVCORE_PRECISION", "exact")
    with pytest.raises(ValueError) as error:
        chosen()
    assert str(error.value) == f"CONVCORE_PRECISION {CHOICES} 'exact'"
    variable("CONVCORE_PRECISION", "")
    assert cc.get_precision() == "fast"
