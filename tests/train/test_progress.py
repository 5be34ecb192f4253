import io
import re
import sys

import pytest

from convcore.train import train


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.fixture
def make_terminal(monkeypatch):
    def make(columns=120):  # called by the test itself: between set-up and test, pytest puts its own stderr back
        monkeypatch.setenv("TERM", "xterm")
        monkeypatch.setenv("COLUMNS", str(columns))
        monkeypatch.setattr(sys, "stderr", Terminal())
        return sys.stderr

    return make


LINE = re.compile(
    r"epoch \d/3  iteration \d+/12  \d:\d\d:\d\d  loss \d\.\d{4}  accuracy \d+\.\d %  "
    r"(validation loss \d\.\d{4}  validation accuracy \d+\.\d %  )?learn rate 0\.0001  [\d,]+ images/s"
)


def test_lines_where_there_is_no_terminal(make_net, data, validation_data, quiet, capsys):
    options = quiet(verbose=True, verbose_frequency=3, validation_data=validation_data, validation_frequency=5,
                    initial_learn_rate=0.0001)  # fmt: skip
    history = train(make_net(), data, options=options)
    captured = capsys.readouterr()
    lines = captured.err.splitlines()
    assert captured.out == ""
    assert all(LINE.fullmatch(line) for line in lines), lines
    shown = [int(re.search(r"iteration (\d+)", line)[1]) for line in lines]
    # The first, every third, those validated, the last of each epoch.
    assert shown == [1, 3, 4, 5, 6, 8, 9, 10, 12]
    assert [int(re.search(r"iteration (\d+)", line)[1]) for line in lines if "validation" in line] == [5, 10, 12]
    assert [row["iteration"] for row in history.reported()] == shown


def test_nothing_if_not_wanted(make_net, data, quiet, capsys, make_terminal):
    terminal = make_terminal()
    train(make_net(), data, options=quiet(verbose=False))
    assert capsys.readouterr() == ("", "")
    assert terminal.getvalue() == ""


@pytest.mark.parametrize("columns", [80, 100, 160])
def test_a_bar_on_a_terminal(columns, make_net, data, validation_data, quiet, capsys, make_terminal):
    terminal = make_terminal(columns)
    options = quiet(verbose=True, validation_data=validation_data, validation_frequency=6)
    history = train(make_net(), data, options=options)
    text = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", terminal.getvalue())
    last = [line for line in re.split(r"[\r\n]+", text) if line.strip()][-1]
    final = history.final
    assert last.startswith("epoch 3/3")
    assert "100%" in last
    assert f"loss {final['loss']:.4f} accuracy {100 * final['accuracy']:.1f} %" in last
    assert (f" validation {100 * final['validation_accuracy']:.1f} % " in last) == (columns >= 100)
    assert re.search(r" [\d,]+ images/s 00:00 left$", last.rstrip())
    assert len(last.rstrip()) <= columns
    assert capsys.readouterr().out == ""


def test_a_bar_without_rich_becomes_lines(make_net, data, quiet, monkeypatch, make_terminal):
    terminal = make_terminal()
    monkeypatch.setitem(sys.modules, "rich.console", None)
    monkeypatch.setitem(sys.modules, "rich.progress", None)
    train(make_net(), data, options=quiet(verbose=True))
    lines = terminal.getvalue().splitlines()
    assert lines[0] == "the progress bar needs rich: pip install rich"
    assert lines[1].startswith("epoch 1/3  iteration 1/12")


def test_a_regression_has_no_accuracy(data, quiet, capsys):
    from convcore.layers import FullyConnected, ImageInput
    from convcore.network import Network

    net = Network([ImageInput((1, 8, 8), normalization="none"), FullyConnected(1)])
    train(net, (data[0], data[1][:, None]), "mse", quiet(verbose=True, max_epochs=1, initial_learn_rate=1e-9))
    error = capsys.readouterr().err
    assert "loss" in error
    assert "accuracy" not in error
