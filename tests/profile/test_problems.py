"""The lists of problems, and what a text may stand for."""

import math
import pathlib
import re

import pytest

from convcore.kernels import ConvGeometry
from convcore.profile import problems, roofline

ROOT = pathlib.Path(__file__).parent.parent.parent
NETWORKS = ["specification", "lenet", "alexnet", "vgg", "resnet50", "mobilenet", "1d", "3d"]
LISTS = ", ".join(problems.names())


def test_the_lists_that_there_are():
    assert {*NETWORKS, "kinds", "smoke", "exactness"} <= set(problems.names())
    assert (ROOT / "bench" / "problems").resolve() == problems.FOLDER  # one home, found from both


@pytest.mark.parametrize("name", problems.names())
def test_each_list_is_read_and_begins_with_what_it_is(name):
    found = problems.read(name)
    assert len(set(found)) == len(found) > 0
    assert (problems.FOLDER / f"{name}.txt").read_text("utf-8").startswith("# ")


def test_each_kind_has_problems_of_several_sizes_some_odd():
    found = problems.read("kinds")
    for kind in problems.KINDS[: problems.KINDS.index("1-D")]:
        mine = [g for g in found if problems.kind_of(g) == kind]
        assert len(mine) >= 5, kind
        assert any(g.in_size[0] % 2 or g.in_channels % 8 or g.out_channels % 8 for g in mine), kind


@pytest.mark.parametrize("problem", problems.read("kinds"), ids=str)
def test_a_call_of_each_kind_takes_long_enough_and_not_too_long(problem):
    """At the limit of two cores of the machine that the lists were made on: 1 to 50 ms."""
    limit, _ = roofline.Roof(230.0, 36.0, 0).limit(
        problem.operations("forward") / roofline.bytes_moved(problem, "forward")
    )
    assert 0.001 <= problem.operations("forward") / limit / 1e9 <= 0.05
    assert max(math.prod(shape) for shape in problem.shapes.values()) * 4 < 110e6


@pytest.mark.parametrize(
    ("problem", "kind"),
    [
        ("mb8ic3ih32oc64kh3ph1", "1 to 3 channels"),
        ("mb8ic1ih28oc6kh5", "1 to 3 channels"),
        ("mb8ic6ih14oc16kh5", "5×5, few channels"),
        ("mb8ic16ih14oc32kh3", "3×3, 16 to 64 channels"),
        ("mb8ic64ih28oc64kh3", "3×3, 16 to 64 channels"),
        ("mb8ic64ih56oc64kh3", "3×3, 64 to 512 channels"),
        ("mb8ic64ih28oc128kh3", "3×3, 64 to 512 channels"),
        ("mb8ic64ih28oc128kh1sh2", "1×1"),
        ("g8mb8ic8ih28oc16kh3sh2", "depthwise"),
        ("g2mb8ic8ih28oc16kh3", "strided, grouped, dilated"),
        ("mb8ic8ih28oc16kh3dil2", "strided, grouped, dilated"),
        ("mb8ic8ih28oc16kh3sh2", "strided, grouped, dilated"),
        ("mb8ic3ih28oc16kh3sh2", "strided, grouped, dilated"),
        ("mb8ic3ih28oc16kh7sh2", "first layers, strided"),
        ("mb8ic3iw28oc16kw7", "1-D"),
        ("mb8ic3id28oc16kd3", "3-D"),
        ("mb8ic64ih27oc192kh5", "other"),
        ("mb8ic8ih27oc16kh3", "other"),
        ("mb8ic32ih27oc32kh3kw1", "other"),
    ],
)
def test_kinds(problem, kind):
    assert problems.kind_of(ConvGeometry.parse(problem)) == kind
    assert kind in problems.KINDS


def test_a_file_with_comments_a_problem_and_several_at_once(tmp_path):
    path = tmp_path / "mine.txt"
    path.write_text("# two\nic1ih5oc2kh3   # the first\n\n  ic2ih6oc2kh3\n")
    assert list(map(str, problems.read(str(path)))) == ["mb1ic1ih5oc2oh3kh3", "mb1ic2ih6oc2oh4kh3"]
    assert list(map(str, problems.read("ic3ih7oc2kh3"))) == ["mb1ic3ih7oc2oh5kh3"]
    assert len(problems.read(f"ic1ih5oc2kh3, {path},ic3ih7oc2kh3")) == 3  # each once


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (
            "lenet6",
            f"'lenet6' is no list ({LISTS}), no file and no problem (geometry: cannot read 'lenet6' in 'lenet6')",
        ),
        ("", f"'' is no list ({LISTS}), no file and no problem (geometry: cannot read '' in '')"),
        ("empty.txt", "empty.txt holds none"),
        ("wrong.txt", "line 2 of wrong.txt: geometry: 'ic1ih5' lacks oc, kh"),
    ],
)
def test_texts_that_stand_for_nothing(text, reason, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty.txt").write_text("# nothing\n")
    (tmp_path / "wrong.txt").write_text("ic1ih5oc1kh3\nic1ih5\n")
    with pytest.raises(ValueError, match=rf"^{re.escape('problems: ' + reason)}$"):
        problems.read(text)
