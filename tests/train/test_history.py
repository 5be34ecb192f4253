import csv
import math

import numpy as np
import pytest

from convcore.train import History
from convcore.train.history import ROW, duration


def filled(rows=5, classes=True):
    history = History()
    for i in range(1, rows + 1):
        history.append(
            epoch=(i + 1) // 2, iteration=i, images=4 if i % 2 else 2, seconds=i / 4, loss=1 / i,
            accuracy=i / 8 if classes else None, learn_rate=0.1,
        )  # fmt: skip
        if i % 2 == 0:
            history.note("validation_loss", 2 / i)
            history.note("regularization", 0.5)
    return history


def test_rows_are_dicts_with_none_where_nothing_was_measured():
    rows = filled(3).rows
    assert [list(row) for row in rows] == [list(ROW)] * 3
    assert rows[1] == {
        "epoch": 1, "iteration": 2, "seconds": 0.5, "loss": 0.5, "accuracy": 0.25, "learn_rate": 0.1,
        "regularization": 0.5, "validation_loss": 1.0, "validation_accuracy": None, "images": 2,
    }  # fmt: skip
    assert rows[2]["validation_loss"] is None
    assert type(rows[0]["epoch"]) is int
    assert filled(2, classes=False).rows[0]["accuracy"] is None
    assert filled(3).row(-1) == rows[2]
    with pytest.raises(IndexError):
        History().row(-1)


def test_final_has_the_newest_of_everything_and_the_means_of_the_last_epoch():
    final = filled(6).final
    assert (final["epoch"], final["iteration"], final["loss"]) == (3, 6, 1 / 6)
    assert (final["validation_loss"], final["validation_accuracy"]) == (2 / 6, None)
    assert final["epoch_loss"] == pytest.approx((4 * 1 / 5 + 2 * 1 / 6) / 6, rel=1e-15)
    assert final["epoch_accuracy"] == pytest.approx((4 * 5 / 8 + 2 * 6 / 8) / 6, rel=1e-15)
    assert final["images_per_second"] == 18 / 1.5
    assert filled(5).final["validation_loss"] == 0.5
    assert filled(5, classes=False).final["epoch_accuracy"] is None
    assert History().final == {}


def test_columns():
    history = filled(3)
    np.testing.assert_array_equal(history.column("iteration"), [1, 2, 3], strict=True)
    np.testing.assert_array_equal(history.column("validation_loss"), [math.nan, 1.0, math.nan], strict=True)
    assert history.column("validation_accuracy").shape == (3,)
    history.append(epoch=2, iteration=4, images=1, seconds=1, loss=1, accuracy=1, learn_rate=1)  # no view locks it
    assert len(history) == 4


def test_csv_reads_back_to_the_same_numbers(tmp_path):
    history = filled()
    history.to_csv(tmp_path / "history.csv")
    with open(tmp_path / "history.csv", newline="") as file:
        read = list(csv.DictReader(file))
    assert list(read[0]) == list(ROW)
    for text, row in zip(read, history.rows, strict=True):
        assert {name: float(value) if value else None for name, value in text.items()} == row
    assert [path.name for path in tmp_path.iterdir()] == ["history.csv"]


def test_csv_of_nothing_is_its_first_line(tmp_path):
    History().to_csv(tmp_path / "history.csv")
    assert (tmp_path / "history.csv").read_text() == ",".join(ROW) + "\n"


def test_the_table_shows_the_reported_rows():
    assert filled().table().splitlines() == [
        "epoch  iteration     time    loss  accuracy  validation loss  learn rate",
        "-----  ---------  -------  ------  --------  ---------------  ----------",
        "    1          2  0:00:00  0.5000    25.0 %           1.0000         0.1",
        "    2          4  0:00:01  0.2500    50.0 %           0.5000         0.1",
    ]
    assert len(History().table().splitlines()) == 2


@pytest.mark.parametrize("classes", [True, False])
def test_arrays_round_trip(classes):
    history = filled(classes=classes)
    history.note("validation_accuracy", 0.5)
    again = History.from_arrays(history.to_arrays())
    assert again.rows == history.rows
    again.append(epoch=3, iteration=6, images=4, seconds=2, loss=1, accuracy=0.5, learn_rate=0.1)
    assert len(again) == 6
    assert History.from_arrays(History().to_arrays()).rows == []


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"loss": None}, "history: 'loss' is missing or unknown"),
        ({"more": np.zeros(5)}, "history: 'more' is missing or unknown"),
        ({"loss": np.zeros(4)}, "history: loss must be float64 of shape (5,)"),
        ({"epoch": np.zeros(5)}, "history: epoch must be int64 of shape (5,)"),
        ({"iteration": np.arange(5)}, "history: the iterations must be 1 to 5"),
        ({"validation_loss.row": np.array([1, 5])}, "history: validation_loss does not fit the 5 iterations"),
        ({"validation_loss.row": np.array([1])}, "history: validation_loss does not fit the 5 iterations"),
    ],
)
def test_arrays_that_do_not_fit(change, text):
    arrays = {name: array for name, array in {**filled().to_arrays(), **change}.items() if array is not None}
    with pytest.raises(ValueError) as caught:
        History.from_arrays(arrays)
    assert str(caught.value) == text


def test_repr():
    history = filled()
    assert repr(history) == "<History of 5 iterations>"
    history.stopped = "patience"
    assert repr(history) == "<History of 5 iterations, patience>"


def test_duration():
    assert [duration(s) for s in (0, 59.99, 60, 3599)] == ["0:00:00", "0:00:59", "0:01:00", "0:59:59"]
    assert duration(36000) == "10:00:00"
