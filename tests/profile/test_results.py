"""The JSON file: its schema, files that are none, and what counts as a change."""

import json

import pytest

from convcore.profile import results

ROW = {"problem": "p", "direction": "forward", "variant": "auto", "level": "x", "n_threads": 1, "seconds": 1.0,
       "spread": 0.01, "gflops": 1.0, "ratio": None, "ratio_spread": None, "fraction_of_limit": 0.5}  # fmt: skip
DOCUMENT = {"schema": 1, "machine": {}, "peer": None, "plan": {}, "roofs": [], "rows": [ROW], "refused": [],
            "summary": []}  # fmt: skip


def test_written_and_read_again(tmp_path):
    results.write(tmp_path / "a.json", DOCUMENT)
    assert results.read(tmp_path / "a.json") == DOCUMENT
    with pytest.raises(ValueError, match="not JSON compliant"):
        results.write(tmp_path / "b.json", {**DOCUMENT, "rows": [{**ROW, "ratio": float("nan")}]})


@pytest.mark.parametrize(
    ("content", "text"),
    [
        ("{", "is no JSON (Expecting property name enclosed in double quotes: line 1 column 2 (char 1))"),
        ("[1]", "holds no results of this bench"),
        ("{}", "holds no results of this bench"),
        (json.dumps({**DOCUMENT, "schema": 2}), "is of schema 2, this version reads 1"),
        (json.dumps({**DOCUMENT, "rows": {}}), "is damaged: 'rows' is missing or of another kind"),
        (json.dumps({**DOCUMENT, "rows": [{"problem": "p"}]}), "is damaged: a row lacks direction, variant, level, "
         "n_threads, seconds, spread, gflops, ratio, ratio_spread, fraction_of_limit"),
    ],
)  # fmt: skip
def test_files_that_cannot_be_compared_with(content, text, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "old.json").write_text(content)
    with pytest.raises(ValueError) as error:
        results.read("old.json")
    assert str(error.value) == f"compare: old.json {text}"
    with pytest.raises(FileNotFoundError, match=r"^compare: there is no file nosuch.json$"):
        results.read("nosuch.json")


def change(now, before):
    return results.change({**ROW, **now}, {results.case_of(ROW): {**ROW, **before}})


def test_what_was_not_measured_before_is_no_change():
    assert results.change({**ROW, "n_threads": 2}, {results.case_of(ROW): ROW}) is None


@pytest.mark.parametrize(
    ("now", "factor", "beyond"),
    [
        ({"seconds": 0.5}, 2.0, True),
        ({"seconds": 2.0}, 0.5, True),
        ({"seconds": 1.019}, 1 / 1.019, False),  # two runs differ by so much
        ({"seconds": 1.03}, 1 / 1.03, True),
        ({"seconds": 1.09, "spread": 0.09}, 1 / 1.09, False),  # the spreads are 0.1 together
        ({"seconds": 1.11, "spread": 0.09}, 1 / 1.11, True),
    ],
)
def test_changes_of_time_beyond_the_spread(now, factor, beyond):
    found = change(now, {})
    assert found == {"factor": pytest.approx(factor), "of": "time", "spread": now.get("spread", 0.01) + 0.01,
                     "beyond_spread": beyond}  # fmt: skip


def test_beside_a_peer_ratios_are_compared():
    found = change({"ratio": 2.0, "ratio_spread": 0.1, "seconds": 9.0}, {"ratio": 1.0, "ratio_spread": 0.2})
    assert found == {"factor": 2.0, "of": "ratio", "spread": pytest.approx(0.3), "beyond_spread": True}
    assert change({"ratio": 2.0, "ratio_spread": 0.1, "seconds": 9.0}, {})["of"] == "time"
