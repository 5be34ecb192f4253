"""The words of a run, from rows made by hand."""

import pytest

from convcore.profile import problems, report
from convcore.profile.bench import Plan

PROBLEMS = problems.read("mb2ic1ih6oc2kh3,mb2ic4ih6oc2kh1")


def row_of(number=0, direction="forward", **more):
    geometry = PROBLEMS[number]
    return {
        "problem": str(geometry), "kind": problems.kind_of(geometry), "direction": direction, "variant": "auto",
        "computed_by": "direct", "level": "x86-64-v3", "n_threads": 2, "seconds": 0.00123456, "spread": 0.042,
        "gflops": 123.456, "bytes": 1.5e6, "intensity": 12.34, "effective": False, "fraction_of_limit": 0.456,
        "limited_by": "memory", "peer_seconds": 0.0025, "ratio": 2.0, "ratio_spread": 0.1, **more,
    }  # fmt: skip


def cells(line):
    return [cell.strip() for cell in line.strip("|").split("|")]


def test_a_row_as_a_line():
    table = report.Table(Plan(PROBLEMS), "torch", compared=True)
    head, rule = table.head()
    line = table.line(row_of(change={"factor": 0.5, "beyond_spread": True}))
    assert len(head) == len(rule) == len(line)
    assert set(rule) == set("|-: ")
    assert dict(zip(cells(head), cells(line), strict=True)) == {
        "problem": "mb2ic1ih6oc2oh4kh3", "direction": "forward", "variant": "auto: direct", "isa": "v3",
        "threads": "2", "ms": "1.235", "±": "10 %", "GFLOP/s": "123.5", "MB": "1.5", "FLOP/byte": "12.3",
        "of limit": "46 %", "limited by": "memory", "torch ms": "2.5", "ratio": "2.00", "change": "**2.00 × slower**",
    }  # fmt: skip
    assert len(cells(head)) == 16  # ± twice


def test_columns_without_peer_and_without_what_came_before():
    table = report.Table(Plan(PROBLEMS))
    assert cells(table.head()[0])[-1] == "limited by"
    assert cells(table.line(row_of(variant="direct", effective=True)))[2:8:5] == ["direct", "123.5*"]


def test_a_row_that_the_peer_does_not_have():
    table = report.Table(Plan(PROBLEMS), "torch")
    assert cells(table.line(row_of(ratio=None, ratio_spread=None, peer_seconds=None)))[-3:] == ["", "", ""]


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (None, "new"),
        ({"factor": 1.25, "beyond_spread": True}, "**1.25 × faster**"),
        ({"factor": 0.8, "beyond_spread": True}, "**1.25 × slower**"),
        ({"factor": 0.99, "beyond_spread": False}, "1.01 × slower"),
    ],
)
def test_changes_are_marked_beyond_the_spread(change, text):
    table = report.Table(Plan(PROBLEMS), compared=True)
    assert cells(table.line(row_of(change=change)))[-1] == text


def test_the_summary_counts_and_finds_the_worst_of_each_kind():
    rows = [row_of(ratio=4.0), row_of(1, ratio=0.9), row_of(1, "backward_input", ratio=0.7), row_of(1, ratio=None),
            row_of(ratio=1.0, variant="direct", n_threads=1)]  # fmt: skip
    first, second = report.summary(rows)
    assert (first["variant"], first["level"], first["n_threads"], first["measure"]) == ("auto", "x86-64-v3", 2, "ratio")
    assert first["passes"] == 3
    assert first["geometric_mean"] == pytest.approx((4 * 0.9 * 0.7) ** (1 / 3))
    assert first["below"] == {"0.95": 2, "0.8": 1}
    assert (first["worst"], first["worst_case"]) == (0.7, "backward_input mb2ic4ih6oc2oh6kh1")
    assert list(first["kinds"]) == ["1 to 3 channels", "1×1"]
    assert set(first["kinds"]["1×1"]) == {"forward", "backward_input"}
    assert first["kinds"]["1×1"]["forward"]["worst"] == 0.9
    assert (second["variant"], second["passes"], second["n_threads"]) == ("direct", 1, 1)
    assert report.summary_lines([first, second], "torch") == [
        "", "**auto, x86-64-v3, 2 threads: torch's time over ours**", "",
        "geometric mean 1.36 over 3 passes, 2 below 0.95, 1 below 0.8; the worst 0.70: backward_input "
        "mb2ic4ih6oc2oh6kh1, at 46 % of its limit", "",
        "| kind: geometric mean, worst | forward    | backward_input |",
        "| --------------------------- | ---------- | -------------- |",
        "| 1 to 3 channels             | 4.00, 4.00 |                |",
        "| 1×1                         | 0.90, 0.90 | 0.70, 0.70     |",
        "", "**direct, x86-64-v3, 1 thread: torch's time over ours**", "",
        "geometric mean 1.00 over 1 pass, 0 below 0.95, 0 below 0.8; the worst 1.00: forward mb2ic1ih6oc2oh4kh3, at "
        "46 % of its limit",
    ]  # fmt: skip


def test_without_a_peer_the_summary_is_of_the_limit():
    (found,) = report.summary([row_of(ratio=None), row_of(ratio=None, fraction_of_limit=0.9)])
    assert (found["measure"], found["below"], found["worst"]) == ("fraction_of_limit", None, 0.456)
    assert report.summary_lines([found], None)[1] == (
        "**auto, x86-64-v3, 2 threads: part of the limit that is reached**"
    )


def test_variants_are_ranked_where_they_were_beside_each_other():
    assert report.ranking_lines([row_of(), row_of(1)]) == []
    rows = [row_of(variant="a", seconds=1.0), row_of(variant="b", seconds=2.0), row_of(1, variant="a", seconds=4.0),
            row_of(1, variant="b", seconds=1.0), row_of(1, "backward_input", variant="b")]  # fmt: skip
    assert report.ranking_lines(rows)[3:] == [
        "| variant | passes | fastest in | speed, of the fastest's |",
        "| ------- | ------ | ---------- | ----------------------- |",
        "| b       | 2      | 1          | 71 %                    |",
        "| a       | 2      | 1          | 50 %                    |",
    ]


def test_what_has_changed_in_words():
    changes = [{"factor": 2.0, "beyond_spread": True}, {"factor": 0.9, "beyond_spread": True},
               {"factor": 0.9, "beyond_spread": False}, None]  # fmt: skip
    old = {"machine": {"date": "2026-01-01", "processor": "CPU"}}
    assert report.comparison_lines([{"change": change} for change in changes], old, "old.json") == [
        "", "Since old.json (2026-01-01, CPU): 1 faster and 1 slower by more than the spread, 1 within it, 1 new."
    ]  # fmt: skip
