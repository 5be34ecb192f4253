"""Where a training step goes: every call is there, in order, with the layer that it belongs to."""

import json

import numpy as np
import pytest

import convcore as cc
from convcore.profile import roofline, step, step_report

X = np.random.default_rng(0).integers(0, 255, (40, 1, 12, 12), np.uint8)
Y = np.random.default_rng(1).integers(0, 4, 40)


@pytest.fixture(autouse=True)
def _roof(monkeypatch):
    monkeypatch.setattr(roofline, "measured_roof", lambda level, n: roofline.Roof(100.0 * n, 20.0, 2**20))


def network(*more):
    return cc.Network([cc.ImageInput((1, 12, 12)), cc.Conv2D(3, 5, name="first"), cc.ReLU(), cc.MaxPool2D(2, stride=2),
                       cc.FullyConnected(6, name="second"), *more, cc.FullyConnected(4, name="third"), cc.Softmax()],
                      seed=0)  # fmt: skip


CALLS = [
    ("input", "forward", "channel_scale", "gather"),
    ("first", "forward", "conv2d", "forward_pool"),
    ("second", "forward", "fully_connected", "forward_relu"),
    ("third", "forward", "fully_connected", "forward"),
    ("cross_entropy", "forward", "cross_entropy", "forward"),
    ("cross_entropy", "forward", "cross_entropy", "count_hits"),
    ("cross_entropy", "backward", "cross_entropy", "backward_input"),
    ("third", "backward", "fully_connected", "backward_input"),
    ("third", "backward", "fully_connected", "backward_weight_bias"),
    ("second", "backward", "relu", "backward_input"),
    ("second", "backward", "fully_connected", "backward_input"),
    ("second", "backward", "fully_connected", "backward_weight_bias"),
    ("first", "backward", "conv2d", "backward_weight_bias_pool"),
    ("parameters", "update", "sgd", "update"),
]


@pytest.fixture(scope="module")
def document():
    measured = roofline.measured_roof
    roofline.measured_roof = lambda level, n: roofline.Roof(100.0 * n, 20.0, 2**20)
    try:
        return step.profile(network(cc.ReLU()), (X, Y), batch_size=8, steps=7, n_threads=1)
    finally:
        roofline.measured_roof = measured


def test_every_call_is_there(document):
    assert [(row["layer"], row["pass"], row["op"], row["direction"]) for row in document["rows"]] == CALLS
    assert document["rows"][0]["bytes"] == X[:8].nbytes + 8 * 8 + 4 * (2 + X[:8].size)  # rows, index, scaling, numbers
    conv = document["rows"][1]
    assert conv["problem"] == "mb8ic1ih12oc5oh10kh3"
    assert conv["operations"] == 2 * 8 * 5 * 100 * 9
    assert conv["bytes"] == 4 * (8 * 144 + 5 * 9 + 5 + 2 * 8 * 5 * 25)  # the maxima and their places
    assert conv["gflops"] == pytest.approx(conv["operations"] / conv["seconds"] / 1e9)
    limit = min(100.0, 20.0 * conv["operations"] / conv["bytes"])
    assert conv["of_limit"] == pytest.approx(conv["gflops"] / limit)
    assert conv["why"].startswith("conv2d forward mb8ic1ih12oc5oh10kh3 float32")


def test_times_add_up(document):
    assert all(row["seconds"] > 0 for row in document["rows"])
    assert document["kernel_seconds"] == pytest.approx(sum(row["seconds"] for row in document["rows"]))
    assert document["other_seconds"] == pytest.approx(document["step_seconds"] - document["kernel_seconds"])
    assert document["steps"] == 7
    assert (document["batch_size"], document["n_threads"]) == (8, 1)
    json.dumps(document)


def test_what_has_tapes_is_profiled_too():
    """Dropout draws random numbers: its steps do not repeat themselves; NumPy's share counts as Python's."""
    found = step.profile(network(cc.Dropout(0.5)), (X, Y), batch_size=8, steps=5, n_threads=1)
    layers = [row["layer"] for row in found["rows"]]
    assert layers[:2] == ["input", "first"]
    assert layers[-1] == "parameters"
    assert {"second", "third"} <= set(layers)


def test_events_follow_each_other(document):
    events = document["events"]
    assert len(events) == 5 * len(CALLS)
    ends = [event["start"] + event["seconds"] for event in events]
    assert events[0]["start"] == 0
    assert all(after["start"] >= end for end, after in zip(ends, events[1:], strict=False))


def test_words(document):
    lines = step_report.lines(document)
    text = "\n".join(lines)
    assert lines[0].startswith("A step of 8 observations on 1 thread: ")
    assert lines[3].split() == ["layer", "pass", "kernel", "problem", "variant", "threads", "µs", "of", "step",
                                "GFLOP/s", "of", "limit", "kB"]  # fmt: skip
    assert [line.split()[0] for line in lines[4 : 4 + len(CALLS)]] == [layer for layer, *_ in CALLS]
    for way in ("forward ", "backward ", "update ", "Python ", "step "):
        assert f"\n{way}" in text
    assert "Watching made a step" in text
    assert "- first forward_pool: " in text


def test_trace(document, tmp_path):
    path = tmp_path / "trace.json"
    two = {**document, "events": [{**event, "n_threads": 2} for event in document["events"]]}
    step_report.write_trace(two, path)
    events = json.loads(path.read_text())["traceEvents"]
    names = [event["args"]["name"] for event in events if event["ph"] == "M"]
    assert names == ["thread 0", "thread 1"]
    calls = [event for event in events if event["ph"] == "X"]
    assert len(calls) == 2 * len(document["events"])
    assert {call["tid"] for call in calls} == {0, 1}
    assert {call["cat"] for call in calls} == {"forward", "backward", "update"}
    assert calls[2]["name"] == "first forward_pool"
    assert calls[2]["args"]["problem"] == "mb8ic1ih12oc5oh10kh3"


def test_picture(document, tmp_path):
    pytest.importorskip("matplotlib")
    path = tmp_path / "step.png"
    step_report.draw(document, path)
    assert path.read_bytes().startswith(b"\x89PNG")
    with pytest.raises(ValueError, match=r"^profile: path must end in .png, .svg, .pdf, got 'step.txt'$"):
        step_report.check_picture(tmp_path / "step.txt")


def test_too_few_observations():
    with pytest.raises(ValueError, match=r"^profile: a batch of 64 takes as many observations, there are 40$"):
        step.profile(network(), (X, Y))
