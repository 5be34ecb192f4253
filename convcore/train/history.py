"""What was measured during a training run: as rows, as a table, as a CSV file, as a picture."""

import csv
import io
import math
from array import array

import numpy as np

from convcore.files import write_atomic

# One value per iteration, kept as machine numbers: 56 bytes a row, as Python objects they would take 200 and more.
COLUMNS = {
    "epoch": "q", "iteration": "q", "images": "q",
    "seconds": "d", "loss": "d", "accuracy": "d", "learn_rate": "d",
}  # fmt: skip
# Measured now and then: dicts of the row's number to the value. Metrics and callbacks add columns of their own.
NOTES = ("regularization", "validation_loss", "validation_accuracy")
# The order of a row, which is that of the CSV file, too.
ROW = (
    "epoch", "iteration", "seconds", "loss", "accuracy", "learn_rate",
    "regularization", "validation_loss", "validation_accuracy", "images",
)  # fmt: skip


class History:
    """The course of a training run, one row per iteration.

    Attributes
    ----------
    stopped : str or None
        Why training ended: "finished", "patience", "interrupted" or "callback".
    network : Network or None
        The trained network.
    confusion_matrix : ndarray or None
        Of the last validation, shape (K, K): at row i and column j, how many observations (or time steps, or pixels)
        of class i were classified as j. None where nothing was validated, or there are no classes.

    Notes
    -----
    A row is a dict: ``epoch`` and ``iteration`` (from 1), ``seconds`` since the start (those of the runs that were
    resumed add up), ``loss`` and ``accuracy`` (0 to 1) of the mini-batch before its update, ``learn_rate``,
    ``regularization`` (λ · Σ l2_factor · ½‖w‖² after the update), ``validation_loss`` and ``validation_accuracy``
    (after the update), ``images`` in the mini-batch; then what `TrainingOptions.metrics` asked for, for example
    ``validation_top3``, and what callbacks have logged. What was not measured is None. The loss is that of the data,
    without the regularization term.

    Examples
    --------
    >>> history = History()
    >>> history.append(epoch=1, iteration=1, images=64, seconds=0.5, loss=2.25, accuracy=0.125, learn_rate=0.01)
    >>> history.note("validation_loss", 2.0)
    >>> history.rows[0]["loss"], history.rows[0]["validation_loss"], history.rows[0]["validation_accuracy"]
    (2.25, 2.0, None)
    """

    def __init__(self):
        self.stopped = None
        self.network = None
        self.confusion_matrix = None
        self._columns = {name: array(code) for name, code in COLUMNS.items()}
        self._notes = {name: {} for name in NOTES}

    def __len__(self):
        return len(self._columns["iteration"])

    def __repr__(self):
        reason = f", {self.stopped}" if self.stopped else ""
        return f"<History of {len(self):,} iterations{reason}>"

    def append(self, epoch, iteration, images, seconds, loss, accuracy, learn_rate):
        """Add the row of an iteration; an accuracy of None is one that was not measured."""
        columns = self._columns
        columns["epoch"].append(epoch)
        columns["iteration"].append(iteration)
        columns["images"].append(images)
        columns["seconds"].append(seconds)
        columns["loss"].append(loss)
        columns["accuracy"].append(math.nan if accuracy is None else accuracy)
        columns["learn_rate"].append(learn_rate)

    def note(self, name, value):
        """Add a measurement to the last row; a name that is new makes a column; None is none."""
        if value is not None:
            self._notes.setdefault(name, {})[len(self) - 1] = value

    def row(self, number):
        """Return a row as a dict; -1 is the last.

        Raises
        ------
        IndexError
            There are fewer rows.
        """
        number = range(len(self))[number]
        values = {name: column[number] for name, column in self._columns.items()}
        if math.isnan(values["accuracy"]):
            values["accuracy"] = None
        values.update((name, notes.get(number)) for name, notes in self._notes.items())
        return {name: values[name] for name in self.names}

    @property
    def names(self):
        """The names of a row's values, in their order: those that all histories have, then those of this one."""
        return (*ROW, *(name for name in self._notes if name not in ROW))

    @property
    def rows(self):
        """All rows as a list of dicts, made anew at each call."""
        return [self.row(number) for number in range(len(self))]

    @property
    def final(self):
        """The last row, with the newest of each measurement, and the means over the last epoch.

        These are ``epoch_loss`` and ``epoch_accuracy``, weighted by the images in the mini-batches, and
        ``images_per_second`` over the whole run. Empty before the first iteration.
        """
        if not len(self):
            return {}
        final = self.row(-1)
        for name, notes in self._notes.items():
            final[name] = notes[max(notes)] if notes else None
        last = self.column("epoch") == final["epoch"]
        images = self.column("images")
        final["epoch_loss"] = float(np.average(self.column("loss")[last], weights=images[last]))
        accuracy = float(np.average(self.column("accuracy")[last], weights=images[last]))
        final["epoch_accuracy"] = None if math.isnan(accuracy) else accuracy
        final["images_per_second"] = float(images.sum() / final["seconds"]) if final["seconds"] else None
        return final

    def column(self, name):
        """Return one value of each row as an ndarray, shape (rows,); NaN where it was not measured.

        Examples
        --------
        >>> History().column("loss")
        array([], dtype=float64)
        """
        if name in self._notes:
            column = np.full(len(self), math.nan)
            notes = self._notes[name]
            column[np.fromiter(notes, np.intp, len(notes))] = np.fromiter(notes.values(), np.float64, len(notes))
            return column
        return np.array(self._columns[name], np.int64 if COLUMNS[name] == "q" else np.float64)

    def reported(self):
        """Return the rows in which something beyond the mini-batch was measured: those that progress lines show."""
        numbers = sorted(set().union(*self._notes.values()))
        return [self.row(number) for number in numbers]

    def table(self):
        """Return the reported rows as a text table.

        Examples
        --------
        >>> history = History()
        >>> history.append(epoch=1, iteration=1, images=64, seconds=0.5, loss=2.25, accuracy=0.125, learn_rate=0.01)
        >>> history.note("validation_loss", 2.0)
        >>> print(history.table())
        epoch  iteration     time    loss  accuracy  validation loss  learn rate
        -----  ---------  -------  ------  --------  ---------------  ----------
            1          1  0:00:00  2.2500    12.5 %           2.0000        0.01
        """
        own = self.names[len(ROW) :]
        lines = [
            (
                "epoch",
                "iteration",
                "time",
                "loss",
                "accuracy",
                "validation loss",
                "validation accuracy",
                "learn rate",
                *(name.replace("_", " ") for name in own),
            )
        ]
        for row in self.reported():
            lines.append((
                str(row["epoch"]), f"{row['iteration']:,}", duration(row["seconds"]),
                f"{row['loss']:.4f}", percent(row["accuracy"]),
                "" if row["validation_loss"] is None else f"{row['validation_loss']:.4f}",
                percent(row["validation_accuracy"]), f"{row['learn_rate']:.4g}",
                *("" if row[name] is None else f"{row[name]:.4g}" for name in own),
            ))  # fmt: skip
        columns = [column for column in zip(*lines, strict=True) if any(column[1:]) or len(lines) == 1]
        widths = [max(map(len, column)) for column in columns]
        lines = list(zip(*columns, strict=True))  # without the columns in which nothing was measured
        lines.insert(1, tuple("-" * width for width in widths))
        return "\n".join("  ".join(map(str.rjust, line, widths)).rstrip() for line in lines)

    def to_csv(self, path):
        """Write all rows to a CSV file, which is replaced as a whole or not at all.

        The first line holds the names of a row's values; what was not measured is empty. Numbers are written with as
        many digits as it takes to read the same number again.

        Parameters
        ----------
        path : str or path-like
            In a folder that exists.
        """
        text = io.StringIO()
        writer = csv.DictWriter(text, self.names, lineterminator="\n")
        writer.writeheader()
        writer.writerows(self.row(number) for number in range(len(self)))
        write_atomic(path, text.getvalue(), "to_csv")

    def plot(self, path):
        """Draw the loss and, for classification, the accuracy; needs matplotlib.

        Each mini-batch is a thin line, their moving average a thick one; validations are dots; epochs are shaded
        alternately.

        Parameters
        ----------
        path : str or path-like
            Ends in .png, .svg or .pdf, which is the format of the file.

        Raises
        ------
        ImportError
            matplotlib is not installed.
        ValueError
            Another ending; nothing to draw.
        """
        from convcore.train.picture import draw  # here, so that training does not load what only pictures need

        draw(self, path)

    def to_arrays(self):
        """Return everything that was measured as arrays by name, for a checkpoint."""
        arrays = {name: self.column(name) for name in COLUMNS}
        for name, notes in self._notes.items():
            arrays[f"{name}.row"] = np.fromiter(notes, np.int64, len(notes))
            arrays[f"{name}.value"] = np.fromiter(notes.values(), np.float64, len(notes))
        return arrays

    @classmethod
    def from_arrays(cls, arrays):
        """Return the history that `to_arrays` described.

        Raises
        ------
        ValueError
            Arrays that are missing, or do not fit each other.
        """
        history = cls()
        own = [name.removesuffix(".row") for name in arrays if name.endswith(".row")]  # of metrics and callbacks, too
        notes = (*NOTES, *(name for name in own if name not in NOTES))
        wanted = {*COLUMNS, *(f"{name}.{part}" for name in notes for part in ("row", "value"))}
        if set(arrays) != wanted:
            raise ValueError(f"history: {sorted(wanted ^ set(arrays))[0]!r} is missing or unknown")
        length = len(arrays["iteration"])
        for name, code in COLUMNS.items():
            if arrays[name].shape != (length,) or arrays[name].dtype != np.dtype(code):
                raise ValueError(f"history: {name} must be {np.dtype(code)} of shape ({length},)")
            history._columns[name] = array(code, arrays[name].tobytes())
        if not np.array_equal(arrays["iteration"], np.arange(1, length + 1)):
            raise ValueError(f"history: the iterations must be 1 to {length}")
        for name in notes:
            rows, values = arrays[f"{name}.row"], arrays[f"{name}.value"]
            if rows.shape != values.shape or rows.ndim != 1 or not all(0 <= row < length for row in rows.tolist()):
                raise ValueError(f"history: {name} does not fit the {length} iterations")
            history._notes[name] = dict(zip(rows.tolist(), values.tolist(), strict=True))
        return history


def percent(share):
    """Return a share from 0 to 1 as text with one decimal; nothing for None.

    Examples
    --------
    >>> percent(0.987)
    '98.7 %'
    """
    return "" if share is None else f"{100 * share:.1f} %"


def duration(seconds):
    """Return seconds as hours, minutes and seconds.

    Examples
    --------
    >>> duration(3723.4)
    '1:02:03'
    """
    minutes, seconds = divmod(int(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02}:{seconds:02}"
