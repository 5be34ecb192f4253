import os
import signal
import threading

import pytest

from convcore.train import load_checkpoint, train
from convcore.train.interrupt import Interruption


@pytest.fixture(autouse=True)
def former_handler():
    """Each test starts from a handler of its own, and must find it again."""
    outer = signal.getsignal(signal.SIGINT)

    def mine(number, frame):
        raise KeyboardInterrupt("mine")

    signal.signal(signal.SIGINT, mine)
    yield mine
    assert signal.getsignal(signal.SIGINT) is mine
    signal.signal(signal.SIGINT, outer)


def press(at, times=1):
    def callback(info):
        if info.iteration == at:
            for _ in range(times):
                os.kill(os.getpid(), signal.SIGINT)

    return callback


@pytest.mark.parametrize("at", [1, 5, 8, 11, 12])
def test_ctrl_c_leaves_a_checkpoint_that_goes_on_bit_for_bit(
    at, make_net, data, validation_data, quiet, bits, tmp_path, capsys
):
    given = {"validation_data": validation_data, "validation_frequency": 5, "shuffle": "every-epoch"}
    expected = bits(train(make_net(), data, options=quiet(**given)))
    net = make_net()
    history = train(net, data, options=quiet(**given, checkpoint_path=tmp_path, callbacks=[press(at)]))
    assert (history.stopped, len(history)) == ("interrupted", at)
    epoch = -(-at // 4)
    assert capsys.readouterr().err == f"interrupted after iteration {at} (epoch {epoch}); resume from {tmp_path}\n"
    checkpoint = load_checkpoint(tmp_path)
    assert (checkpoint.iteration, checkpoint.epoch) == (at, epoch)
    resumed = train(None, data, options=quiet(**given), resume=tmp_path)
    assert resumed.stopped == "finished"
    assert bits(resumed) == expected


def test_without_a_checkpoint_path_nothing_is_saved_and_the_line_says_so(make_net, data, quiet, capsys):
    history = train(make_net(), data, options=quiet(callbacks=[press(6)]))
    assert (history.stopped, len(history)) == ("interrupted", 6)
    expected = "interrupted after iteration 6 (epoch 2); no checkpoint_path was given, so nothing was saved\n"
    assert capsys.readouterr().err == expected


def test_the_second_ctrl_c_stops_at_once(make_net, data, quiet):
    seen = []
    with pytest.raises(KeyboardInterrupt):
        train(make_net(), data, options=quiet(callbacks=[press(6, times=2), lambda info: seen.append(info.iteration)]))
    assert seen == [1, 2, 3, 4, 5]  # not even the other callbacks are called


def test_an_interrupted_run_is_not_validated_once_more(make_net, data, validation_data, quiet):
    options = quiet(callbacks=[press(6)], validation_data=validation_data, validation_frequency=5)
    history = train(make_net(), data, options=options)
    assert [row["iteration"] for row in history.rows if row["validation_loss"] is not None] == [5]


def test_ctrl_c_during_the_very_last_work_is_not_swallowed(make_net, data, quiet, monkeypatch, tmp_path):
    from convcore.train import trainer

    def save(*arguments):
        if arguments[1].iteration == 12:
            os.kill(os.getpid(), signal.SIGINT)
        return tmp_path

    monkeypatch.setattr(trainer, "save_checkpoint", save)
    history = train(make_net(), data, options=quiet(checkpoint_path=tmp_path))
    assert (history.stopped, len(history)) == ("interrupted", 12)


def test_the_former_handler_comes_back_after_an_error(make_net, data, quiet):
    with pytest.raises(ZeroDivisionError):
        train(make_net(), data, options=quiet(callbacks=[lambda info: 1 // 0]))


def test_other_threads_install_nothing(make_net, data, quiet, former_handler):
    results = []

    def run():
        options = quiet(callbacks=[lambda info: results.append(signal.getsignal(signal.SIGINT))])
        results.append(train(make_net(), data, options=options).stopped)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    assert results == [former_handler] * 12 + ["finished"]


def test_where_ctrl_c_is_ignored_it_stays_ignored(former_handler):
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with Interruption() as interruption:
        assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
        os.kill(os.getpid(), signal.SIGINT)
        assert not interruption.requested
    signal.signal(signal.SIGINT, former_handler)
