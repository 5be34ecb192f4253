import sys

import numpy as np
import pytest
from PIL import Image

from convcore.train import History
from convcore.train.picture import smoothed


def run(epochs, per_epoch, classes=True, validated=True, low=0.01):
    rng = np.random.default_rng(0)
    history, total = History(), epochs * per_epoch
    for i in range(1, total + 1):
        loss = 2.3 * np.exp(-5 * i / total) * rng.uniform(0.5, 1.5) + low
        accuracy = min(1.0, max(0.0, 1 - loss / 2)) if classes else None
        history.append(-(-i // per_epoch), i, 64, i / 1000, loss, accuracy, 0.01)
        if validated and i % max(1, total // 8) == 0:
            history.note("validation_loss", loss)
            history.note("validation_accuracy", accuracy)
    return history


@pytest.mark.parametrize(
    "history",
    [
        pytest.param(run(3, 40), id="classes"),
        pytest.param(run(20, 3, validated=False), id="many short epochs"),
        pytest.param(run(2, 30, classes=False), id="no classes"),
        pytest.param(run(1, 1), id="one iteration"),
        pytest.param(run(1, 2, low=5.0), id="linear"),
        pytest.param(run(1, 7, classes=False, low=-9.0), id="negative loss"),
    ],
)
def test_every_kind_of_run_gives_a_picture(history, tmp_path):
    history.plot(tmp_path / "training.png")
    with Image.open(tmp_path / "training.png") as image:
        assert image.format == "PNG"
        assert image.width == 1350
        assert image.height == (960 if history.row(0)["accuracy"] is not None else 600)
        colors = {color for _, color in image.convert("RGB").getcolors(1 << 24)}
    assert len(colors) > 50  # something is drawn on it


@pytest.mark.parametrize("suffix", ["svg", "pdf", "PNG"])
def test_the_ending_is_the_format_and_the_same_history_gives_the_same_file(suffix, tmp_path):
    starts = {"svg": b"<?xml", "pdf": b"%PDF", "PNG": b"\x89PNG"}
    history = run(2, 10)
    for name in ("a", "b"):
        history.plot(str(tmp_path / f"{name}.{suffix}"))
    content = (tmp_path / f"a.{suffix}").read_bytes()
    assert content.startswith(starts[suffix])
    if suffix != "svg":  # matplotlib numbers an SVG's elements at random
        assert content == (tmp_path / f"b.{suffix}").read_bytes()
    assert {path.name for path in tmp_path.iterdir()} == {f"a.{suffix}", f"b.{suffix}"}


def test_pyplot_is_left_alone(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.pyplot", None)  # importing it would fail
    run(1, 3).plot(tmp_path / "training.png")


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("training.bmp", "history.plot: path must end in .png, .svg, .pdf, got 'training.bmp'"),
        ("training", "history.plot: path must end in .png, .svg, .pdf, got 'training'"),
    ],
)
def test_other_endings(name, text, tmp_path):
    with pytest.raises(ValueError) as caught:
        run(1, 3).plot(tmp_path / name)
    assert str(caught.value) == text


def test_an_empty_history(tmp_path):
    with pytest.raises(ValueError) as caught:
        History().plot(tmp_path / "training.png")
    assert str(caught.value) == "history.plot: there is nothing to draw, the history is empty"


def test_without_matplotlib(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(ImportError) as caught:
        run(1, 3).plot(tmp_path / "training.png")
    assert str(caught.value) == "history.plot needs matplotlib: pip install convcore[plot]"


@pytest.mark.parametrize("length", [1, 2, 3, 10, 100])
@pytest.mark.parametrize("width", [1, 2, 5, 50])
def test_smoothing_keeps_constants_and_lies_between_the_extremes(length, width):
    np.testing.assert_allclose(smoothed(np.full(length, 3.5), width), 3.5, rtol=1e-14)
    values = np.random.default_rng(0).random(length)
    smooth = smoothed(values, width)
    assert smooth.shape == values.shape
    assert smooth.min() >= values.min() - 1e-12
    assert smooth.max() <= values.max() + 1e-12


def test_smoothing_is_a_weighted_mean_of_the_neighbours():
    values = np.array([1.0, 2.0, 4.0, 8.0])
    np.testing.assert_allclose(smoothed(values, 2), [4 / 3, 9 / 4, 18 / 4, 20 / 3], rtol=1e-14)
