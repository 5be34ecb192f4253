"""The picture: what is drawn, read off the figure."""

import pathlib

import pytest

from convcore.profile import picture

from .test_report import row_of

pytest.importorskip("matplotlib")
ROWS = [row_of(), row_of(1, ratio=0.5), row_of(1, "backward_input", gflops=900.0, effective=True),
        row_of(1, "backward_weight", ratio=None)]  # fmt: skip


def document(rows, peer="PyTorch 2 (ISA=1)"):
    roofs = [{"level": "x86-64-v3", "n_threads": n, "peak_gflops": 200.0, "bandwidth_gbs": 20.0} for n in (1, 2)]
    machine = {"convcore": "1", "processor": "CPU", "date": "2026-01-01T00:00:00"}
    return {"machine": machine, "peer": peer, "roofs": roofs, "rows": rows}


@pytest.fixture
def drawn(monkeypatch):
    """Draw a document; return the panels."""

    def draw(found):
        figures = []
        monkeypatch.setattr(picture, "save", lambda figure, path: figures.append(figure))
        picture.draw(found, "x.png")
        return figures[0].axes

    return draw


def texts(panel):
    return [text.get_text() for text in panel.texts]


def test_a_roof_with_points_and_a_bar_for_each_ratio(drawn):
    roofline, bars = drawn(document(ROWS))
    (roof,) = roofline.lines
    assert roof.get_ydata().tolist()[1:] == [200.0, 200.0]
    assert roof.get_xdata()[1] == 10.0  # the ridge: 200 / 20
    assert roofline.get_title(loc="left") == "auto, x86-64-v3, 2 threads"
    assert {text.get_text() for text in roofline.get_legend().get_texts()} == set(picture.STYLES)
    assert {"200 GFLOP/s of multiply-adds", "20 GB/s", "1", "2"} <= set(texts(roofline))
    assert "effective" in roofline.get_ylabel()
    assert [round(bar.get_x() + bar.get_width(), 2) for bar in bars.patches] == [2.0, 0.5, 2.0]
    assert [label.get_text() for label in bars.get_yticklabels()] == [
        "mb2ic1ih6oc2oh4kh3   1",
        "mb2ic4ih6oc2oh6kh1   2",
    ]
    assert {"2.00", "0.50", "1 to 3 channels", "1×1"} == set(texts(bars))
    assert bars.get_xlabel() == "time of PyTorch 2 over ours"


def test_without_a_peer_bars_are_parts_of_the_limit(drawn):
    _, bars = drawn(document([row_of(ratio=None)], peer=None))
    assert [bar.get_width() for bar in bars.patches] == [0.456]
    assert bars.get_xlabel() == "part of the limit"
    assert "46 %" in texts(bars)


def test_each_level_and_number_of_threads_has_its_panels(drawn):
    panels = drawn(document([row_of(), row_of(n_threads=1)]))
    titles = [panel.get_title(loc="left") for panel in panels[::2]]
    assert titles == ["auto, x86-64-v3, 2 threads", "auto, x86-64-v3, 1 thread"]


def test_variants_stand_beside_each_other(drawn):
    """And the peer, whose part of the limit follows from any ratio to it."""

    def forward(variant, gflops, ratio):
        return row_of(variant=variant, gflops=gflops, fraction_of_limit=gflops / 200, ratio=ratio)

    mine, slow, fast = forward("mine", 50.0, 0.5), forward("slow", 10.0, None), forward("fast", 150.0, 1.5)
    back = row_of(direction="backward_input", variant="slow", gflops=20.0, fraction_of_limit=0.1, ratio=None)
    roofline, dots = drawn(document([mine, slow, fast, back]))
    assert roofline.get_title(loc="left") == "the fastest of 3 variants, x86-64-v3, 2 threads"
    points = sorted(y for drawing in roofline.collections[1:] for _, y in drawing.get_offsets().tolist())
    assert points == [20.0, 150.0]
    assert [text.get_text() for text in dots.get_legend().get_texts()] == ["mine", "slow", "fast", "PyTorch 2"]
    places = [tuple(drawing.get_offsets()[0]) for drawing in dots.collections if len(drawing.get_offsets())]
    assert places == [(0.25, 0.0), (0.05, 0.0), (0.75, 0.0), (0.5, 0.0), (0.1, 1.0)]
    assert texts(dots) == ["1 to 3 channels", "forward", "fast", "backward_input", "slow"]


@pytest.mark.parametrize("suffix", [".png", ".svg", ".pdf"])
def test_files(suffix, tmp_path):
    picture.draw(document(ROWS), tmp_path / f"a{suffix}")
    picture.draw(document(ROWS), pathlib.Path(tmp_path / f"b{suffix}"))
    first = (tmp_path / f"a{suffix}").read_bytes()
    assert len(first) > 5000
    if suffix == ".png":
        assert first == (tmp_path / "b.png").read_bytes()


def test_formats():
    with pytest.raises(ValueError, match=r"^bench: path must end in \.png, \.svg, \.pdf, got 'a\.bmp'$"):
        picture.check("a.bmp")


def test_many_labels_do_not_cover_each_other(drawn):
    rows = [row_of(number % 2, gflops=50.0 + number / 10) for number in range(60)]
    roofline, _ = drawn(document(rows))
    labels = [text for text in roofline.texts if text.get_text() in ("1", "2")]
    assert 2 <= len(labels) < 30
    boxes = [text.get_window_extent() for text in labels]
    hits = [(a, b) for n, a in enumerate(boxes) for b in boxes[:n] if a.shrunk(0.5, 0.5).overlaps(b.shrunk(0.5, 0.5))]
    assert hits == []
