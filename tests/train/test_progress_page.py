import re
import sys
import webbrowser

import numpy as np
import pytest
from PIL import Image

from convcore.train import History, progress_page, train
from convcore.train.progress_page import ProgressPage, has_browser


@pytest.fixture(autouse=True)
def no_browser(monkeypatch):
    """No test opens one."""
    opened = []
    monkeypatch.setattr(webbrowser, "open", opened.append)
    return opened


def history_of(length):
    history = History()
    for i in range(1, length + 1):
        history.append(1, i, 8, i / 10, 1 / i, 1 - 1 / i, 0.01)
    return history


def test_a_run_leaves_a_picture_and_a_page_that_no_longer_reloads(make_net, data, quiet, tmp_path, capsys, no_browser):
    train(make_net(), data, options=quiet(plots="training-progress", checkpoint_path=tmp_path / "run"))
    with Image.open(tmp_path / "run" / "training-progress.png") as image:
        assert image.format == "PNG"
    page = (tmp_path / "run" / "training-progress.html").read_text()
    assert '<img src="training-progress.png?12"' in page
    assert "convcore: 12 iterations, finished" in page
    assert "refresh" not in page
    assert capsys.readouterr().err == f"training progress: {tmp_path / 'run' / 'training-progress.html'}\n"
    assert no_browser == []


def test_without_a_folder_it_goes_where_temporary_files_go(make_net, data, quiet, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    train(make_net(), data, options=quiet(plots="training-progress"))
    (folder,) = tmp_path.iterdir()
    assert {path.name for path in folder.iterdir()} == {"training-progress.html", "training-progress.png"}
    assert capsys.readouterr().err == f"training progress: {folder / 'training-progress.html'}\n"


def test_the_page_reloads_while_training_goes_on(tmp_path):
    page = ProgressPage(tmp_path)
    first = (tmp_path / "training-progress.html").read_text()
    assert re.search('<meta http-equiv="refresh" content="3">', first)
    assert "training starts" in first
    assert "<img" not in first
    page.update(history_of(1))
    assert "convcore: 1 iteration</title>" in (tmp_path / "training-progress.html").read_text()
    assert "refresh" in (tmp_path / "training-progress.html").read_text()


def test_it_is_drawn_every_few_seconds_at_most(tmp_path, monkeypatch):
    clock, drawn = [100.0], []

    def draw(history, path):
        drawn.append(len(history))
        clock[0] += 0.5  # a picture takes half a second

    monkeypatch.setattr(progress_page.time, "perf_counter", lambda: clock[0])
    monkeypatch.setattr(progress_page, "draw", draw)
    page = ProgressPage(tmp_path)
    page.update(History())  # nothing to draw yet
    for length, moment in ((1, 100), (2, 101), (3, 105.4), (4, 105.6), (5, 105.7)):
        clock[0] = moment
        page.update(history_of(length))
    assert drawn == [1, 4]  # half a second, a tenth of the time: every five seconds
    page.update(history_of(6), "patience")
    assert drawn == [1, 4, 6]  # the end is always drawn


def test_training_goes_on_without_a_disk(tmp_path, monkeypatch):
    page = ProgressPage(tmp_path)

    def full(history, path):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(progress_page, "draw", full)
    with pytest.warns(RuntimeWarning, match="^training progress: no more pictures: .*No space left on device"):
        page.update(history_of(1))
    page.update(history_of(2), "finished")  # in silence


def test_the_bits_are_the_same_with_and_without(make_net, data, quiet, bits, tmp_path):
    shown = train(make_net(), data, options=quiet(plots="training-progress", checkpoint_path=tmp_path))
    assert bits(shown) == bits(train(make_net(), data, options=quiet()))


def test_without_matplotlib_it_says_so_before_training(make_net, data, quiet, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    net = make_net()
    net.initialize()
    before = net.parameters()["fc.weights"].data.copy()
    with pytest.raises(ImportError) as caught:
        train(net, data, options=quiet(plots="training-progress"))
    assert str(caught.value) == "history.plot needs matplotlib: pip install convcore[plot]"
    np.testing.assert_array_equal(net.parameters()["fc.weights"].data, before)


@pytest.mark.parametrize(
    ("platform", "terminal", "environment", "expected"),
    [
        ("linux", True, {"DISPLAY": ":0"}, True),
        ("linux", True, {"WAYLAND_DISPLAY": "wayland-0"}, True),
        ("darwin", True, {}, True),
        ("linux", True, {}, False),
        ("linux", False, {"DISPLAY": ":0"}, False),
        ("linux", True, {"DISPLAY": ":0", "CI": "true"}, False),
    ],
)
def test_a_browser_is_opened_for_somebody_who_can_see_it(
    platform, terminal, environment, expected, tmp_path, monkeypatch, no_browser
):
    for name in ("DISPLAY", "WAYLAND_DISPLAY", "CI"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(sys, "platform", platform)
    monkeypatch.setattr(sys.stderr, "isatty", lambda: terminal, raising=False)
    assert has_browser() is expected
    ProgressPage(tmp_path)
    assert no_browser == ([(tmp_path / "training-progress.html").as_uri()] if expected else [])
