"""What a problem can reach: counted on paper, and measured."""

import numpy as np
import pytest

from convcore import isa
from convcore.kernels import ConvGeometry
from convcore.profile import roofline
from convcore.profile.roofline import Roof, Roofs, bytes_moved, fewest_operations

PARSE = ConvGeometry.parse


def test_limits_by_hand():
    roof = Roof(peak=100.0, bandwidth=20.0, array_bytes=0)
    assert roof.limit(4.9) == (98.0, "memory")
    assert roof.limit(5.0) == (100.0, "compute")


def test_each_array_is_moved_once():
    geometry = PARSE("mb2ic1ih6oc3kh3")  # x 2·36, weight 27, bias 3, y 2·3·16
    assert bytes_moved(geometry, "forward") == 4 * (72 + 27 + 3 + 96)
    assert bytes_moved(geometry, "backward_input") == 4 * (96 + 27 + 72)
    assert bytes_moved(geometry, "backward_weight", itemsize=8) == 8 * (96 + 72 + 27)


@pytest.mark.parametrize(
    "problem",
    ["mb2ic3ih7iw9oc4kh3ph1", "mb1ic2ih5oc2kh2sh5ph4", "mb1ic1ih6oc1kh3ph3dil2", "mb1ic1iw9oc1kw4sw2pw3ew1",
     "mb1ic1id3oc1kd3pd1", "g2mb3ic4ih5oc6kh5ph2"],
)  # fmt: skip
def test_products_with_the_zeros_around_the_image_are_not_needed(problem):
    """Counted by convolving ones: each output is the number of cells that its window sees of the image."""
    from convcore import kernels

    geometry = PARSE(problem)
    x, weight = np.ones(geometry.shapes["x"]), np.ones(geometry.shapes["weight"])
    seen = kernels.run(geometry.op, "forward", geometry, x, weight, None)
    for direction in ("forward", "backward_input", "backward_weight"):
        assert fewest_operations(geometry, direction) == 2 * int(seen.sum())


def test_patterns_around_the_image_are_products_like_others():
    geometry = PARSE("mb2ic3ih7oc4kh3ph1pvreplicate")
    assert fewest_operations(geometry, "forward") == geometry.operations("forward")


@pytest.mark.parametrize("level", isa.built_and_supported())
def test_a_measured_roof(level, monkeypatch):
    monkeypatch.setattr(roofline, "LARGEST_ARRAY", 2**22)
    monkeypatch.setattr(roofline, "PATIENCE", 0.0)
    for n_threads in (1, 2):
        roof = roofline.measured_roof(level, n_threads)
        assert 0.1 < roof.peak < 1e5
        assert 0.1 < roof.bandwidth < 1e4
        assert roof.array_bytes == min(4 * roofline.largest_cache(), 2**22)


@pytest.mark.parametrize("level", isa.built_and_supported())
def test_the_loops_do_what_they_say(level):
    import importlib

    loops = importlib.import_module(f"convcore._compiled.peak__{isa.module_suffix(level)}")
    sums = np.zeros(3, np.float32)
    operations = loops.multiply_adds(sums, 100, 3)
    lanes = operations // (2 * 3 * 100 * 12)
    assert operations == 2 * 3 * 100 * 12 * lanes > 0
    np.testing.assert_array_equal(sums, 12 * lanes * 2)  # 100 halvings on, every number is 2
    assert loops.multiply_adds(sums, 0, 1) == 0
    assert sums[0] == lanes * sum(range(12))
    x, y = np.arange(40000, dtype=np.float32), np.zeros(40000, np.float32)
    loops.scale(x, y, 0.5, 2)
    np.testing.assert_array_equal(y, x / 2)


def test_a_roof_by_hand(monkeypatch):
    """Each call takes a second: all threads' operations, and every array once read and once written."""

    def timed(function, *arguments):
        return (1.0, function(*arguments))

    monkeypatch.setattr(roofline, "LARGEST_ARRAY", 2**20)
    monkeypatch.setattr(roofline, "PATIENCE", 0.0)
    monkeypatch.setattr(roofline, "_timed", timed)
    one, three = roofline.measured_roof(isa.DEFAULT, 1), roofline.measured_roof(isa.DEFAULT, 3)
    assert one.bandwidth == three.bandwidth == 2 * 2**20 / 1e9
    assert three.peak == pytest.approx(3 * one.peak)


def test_each_roof_is_measured_once():
    asked = []
    roofs = Roofs(lambda *which: asked.append(which) or Roof(100.0, 10.0, 0))
    assert roofs.of("x", 1) is roofs.of("x", 1)
    roofs.of("x", 2)
    assert asked == [("x", 1), ("x", 2)]


def test_above_the_peak_is_believed_only_after_a_second_look():
    peaks = iter([100.0, 90.0, 150.0])
    roofs = Roofs(lambda *which: Roof(next(peaks), 10.0, 0))
    assert not roofs.exceeded("x", 1, 104.9)
    assert roofs.exceeded("x", 1, 106.0)  # 90 the second time: still above
    assert not roofs.exceeded("x", 1, 157.0)  # 150 the third time
    assert roofs.of("x", 1) == Roof(150.0, 10.0, 0)


def test_the_largest_cache(tmp_path):
    for index, size in enumerate(("32K\n", "1024K\n", "32M\n", "")):
        (tmp_path / f"index{index}").mkdir()
        (tmp_path / f"index{index}" / "size").write_text(size)
    assert roofline.largest_cache(tmp_path) == 2**25
    assert roofline.largest_cache(tmp_path / "none") == roofline.LARGEST_CACHE
