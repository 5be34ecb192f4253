"""What a person sees of a training run: a bar on a terminal, lines elsewhere, nothing if not wanted; all on stderr."""

import re
import sys
import time

from convcore.train.history import ROW, duration, percent

REFRESH_SECONDS = 0.1  # a bar is drawn at most so often: between two drawings an update costs one comparison


def reporter(options, num_epochs, num_iterations, done=0):
    """Return the object that shows the progress, to be used in a ``with`` block.

    Its ``update(row, images, report)`` is called once per iteration: with a function that returns the row, so that
    the dict is made only if it is shown, with the size of the mini-batch, and with whether this row is to be reported.

    Parameters
    ----------
    options : TrainingOptions
    num_epochs, num_iterations : int
        Of the whole run.
    done : int, iterations
        Made before the run was resumed.
    """
    if not options.verbose:
        return Silence()
    if sys.stderr.isatty():
        try:
            return Bar(num_epochs, num_iterations, done)
        except ImportError:
            print("the progress bar needs rich: pip install rich", file=sys.stderr)
    return Lines(num_epochs, num_iterations, done)


class Silence:
    """Shows nothing."""

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        pass

    def update(self, row, images, report):
        """Do nothing."""


class Lines(Silence):
    """One line per reported row, for log files and pipes."""

    def __init__(self, num_epochs, num_iterations, done):
        self._num_epochs, self._num_iterations = num_epochs, num_iterations
        self._speed = Speed(num_iterations, done)

    def update(self, row, images, report):
        """Count the iteration; print a line if it is to be reported."""
        self._speed.count(images)
        if not report:
            return
        row = row()
        parts = [
            f"epoch {row['epoch']}/{self._num_epochs}",
            f"iteration {row['iteration']:,}/{self._num_iterations:,}",
            duration(row["seconds"]),
            *measurements(row),
            f"learn rate {row['learn_rate']:.4g}",
            f"{self._speed.images_per_second():,.0f} images/s",
        ]
        print("  ".join(parts), file=sys.stderr, flush=True)


class Bar(Silence):
    """A bar with loss, accuracy, images per second and the time left."""

    def __init__(self, num_epochs, num_iterations, done):
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn
        from rich.table import Column

        self._num_epochs = num_epochs
        self._speed = Speed(num_iterations, done)
        self._next = 0.0
        self._validation = []
        self._console = Console(stderr=True)
        self._progress = Progress(
            TextColumn("epoch {task.fields[epoch]}", table_column=Column(no_wrap=True)),
            BarColumn(bar_width=None),
            TaskProgressColumn(),
            TextColumn("{task.fields[text]}", table_column=Column(no_wrap=True)),
            console=self._console,
            expand=True,  # the bar takes what the texts leave of the line
            auto_refresh=False,  # no thread of its own: it would take turns with training
        )
        self._task = self._progress.add_task("", total=num_iterations, completed=done, epoch=f"1/{num_epochs}", text="")

    def __enter__(self):
        self._progress.start()
        return self

    def __exit__(self, *exception):
        self._progress.stop()

    def update(self, row, images, report):
        """Count the iteration; draw the bar if the last drawing is old enough, or if this is the last iteration."""
        self._speed.count(images)
        now = time.perf_counter()
        if now < self._next and not report:
            return
        row = row()
        if row["validation_loss"] is not None:
            known = [part for part in measurements(row) if part.startswith(("validation loss", "validation accuracy"))]
            self._validation = [f"validation {part.split(' ', 2)[2]}" for part in known[-1:]]
        if now < self._next and self._speed.left:
            return
        self._next = now + REFRESH_SECONDS
        parts = [part for part in measurements(row) if not part.startswith("validation")]
        parts += self._validation if self._console.width >= 100 else []
        parts += [f"{self._speed.images_per_second():,.0f} images/s"]
        parts += [f"{duration(self._speed.seconds_left()).removeprefix('0:')} left"]
        epoch = f"{row['epoch']}/{self._num_epochs}"
        self._progress.update(self._task, completed=row["iteration"], epoch=epoch, text=" ".join(parts), refresh=True)


class Speed:
    """Images per second and the time left, as the mean over this session."""

    def __init__(self, num_iterations, done):
        self.left = num_iterations - done
        self._start = time.perf_counter()
        self._images = self._iterations = 0

    def count(self, images):
        """Count one iteration of so many images."""
        self._images += images
        self._iterations += 1
        self.left -= 1

    def images_per_second(self):
        """Return the mean so far."""
        return self._images / max(time.perf_counter() - self._start, 1e-9)

    def seconds_left(self):
        """Return the time that the remaining iterations take at the mean speed so far."""
        return self.left * (time.perf_counter() - self._start) / max(self._iterations, 1)


def measurements(row):
    """Return the losses and accuracies of a row as texts, then whatever metrics and callbacks have added.

    Examples
    --------
    >>> measurements({"loss": 0.25, "accuracy": 0.9, "validation_loss": 0.5, "validation_accuracy": None})
    ['loss 0.2500', 'accuracy 90.0 %', 'validation loss 0.5000']
    >>> measurements({"loss": None, "accuracy": None, "validation_loss": None, "validation_accuracy": None,
    ...               "validation_top3": 0.5, "validation_rmse": 2.0})
    ['validation top-3 50.0 %', 'validation rmse 2']
    """
    parts = []
    for prefix in ("", "validation "):
        loss, share = (row[f"{prefix}{name}".replace(" ", "_")] for name in ("loss", "accuracy"))
        parts += [] if loss is None else [f"{prefix}loss {loss:.4f}"]
        parts += [] if share is None else [f"{prefix}accuracy {percent(share)}"]
    return parts + [_of_metric(name, value) for name, value in row.items() if name not in ROW and value is not None]


def _of_metric(name, value):
    """Return a metric as text: of the k largest outputs in percent, as the accuracy."""
    words = name.replace("_", " ")
    top = re.fullmatch("(.* )?top([0-9]+)", words)
    return f"{top[1] or ''}top-{top[2]} {percent(value)}" if top else f"{words} {value:.4g}"
