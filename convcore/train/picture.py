"""The picture of a training run."""

import io
import math
import pathlib

import numpy as np

from convcore.files import write_atomic
from convcore.train.history import duration, percent

FORMATS = (".png", ".svg", ".pdf")
COLORS = {"accuracy": "#1f6fb4", "loss": "#d9541e"}
INK, FAINT = "#333333", "#8a8a8a"  # texts and validation; axes


def draw(history, path):
    """Draw a history into a file, see `History.plot`."""
    check_format(path, "history.plot")
    if not len(history):
        raise ValueError("history.plot: there is nothing to draw, the history is empty")
    Figure = figure_class()
    from matplotlib.ticker import MaxNLocator

    classes = not np.isnan(history.column("accuracy")).all()
    figure = Figure(figsize=(9, 6.4 if classes else 4), dpi=150, layout="constrained", facecolor="white")
    panels = figure.subplots(2 if classes else 1, 1, sharex=True, squeeze=False)[:, 0]
    if classes:
        _accuracy(panels[0], history)
    _loss(panels[-1], history)
    for panel in panels:
        _dress(panel, history)
    panels[-1].set_xlabel("iteration", color=INK)
    panels[-1].xaxis.set_major_locator(MaxNLocator(integer=True))
    panels[-1].xaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
    figure.align_ylabels()
    _epoch_numbers(panels[0], history)
    figure.suptitle(_headline(history), x=0.01, ha="left", color=INK, fontsize=11.5)
    save(figure, path)


def check_format(path, what):
    """Raise a ValueError, in the name of `what`, if a picture cannot have this path."""
    path = pathlib.Path(path)
    if path.suffix.lower() not in FORMATS:
        raise ValueError(f"{what}: path must end in {', '.join(FORMATS)}, got {path.name!r}")


def save(figure, path):
    """Write a figure to a file, whose name says in which of FORMATS."""
    kind = pathlib.Path(path).suffix.lower()
    content = io.BytesIO()
    # Without the date, the same picture gives the same file.
    dates = {".svg": {"Date": None}, ".pdf": {"CreationDate": None}}.get(kind)
    figure.savefig(content, format=kind[1:], metadata=dates)
    write_atomic(path, content.getvalue())


def figure_class(what="history.plot"):
    """Return matplotlib's Figure: never pyplot, so no window, no global state, safe in any thread.

    Raises
    ------
    ImportError
        matplotlib is not installed.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError:
        raise ImportError(f"{what} needs matplotlib: pip install convcore[plot]") from None
    return Figure


def smoothed(values, width):
    """Return the moving average of `values` over `width` neighbours, the nearer ones counting more (a triangle).

    Near the ends it is the average of those that there are, so the curve neither bends away nor ends early.

    Examples
    --------
    >>> smoothed(np.array([0.0, 0.0, 4.0, 0.0, 0.0]), width=3)
    array([0., 1., 2., 1., 0.])
    """
    reach = min(width, len(values)) // 2 + 1
    triangle = np.concatenate([np.arange(1, reach + 1), np.arange(reach - 1, 0, -1)])[: 2 * len(values) - 1]
    weights = np.convolve(np.ones(len(values)), triangle)[reach - 1 : reach - 1 + len(values)]
    return np.convolve(values, triangle)[reach - 1 : reach - 1 + len(values)] / weights


def _accuracy(panel, history):
    curve = 100 * history.column("accuracy")
    low = _curves(panel, history, curve, 100 * history.column("validation_accuracy"), "accuracy")
    panel.set_ylabel("accuracy, %", color=INK)
    # What matters happens near the top: the first few iterations may start below the picture.
    bottom = max(0.0, math.floor(low / 10) * 10 - 5)
    panel.set_ylim(bottom, 100 + 0.04 * (100 - bottom))


def _loss(panel, history):
    loss = history.column("loss")
    _curves(panel, history, loss, history.column("validation_loss"), "loss")
    panel.set_ylabel("loss", color=INK)
    positive = loss[loss > 0]
    smooth = smoothed(loss, _width(history))
    if len(positive) == len(loss) and smooth.max() > 20 * smooth.min():
        # From 2.3 to 0.02: on a linear scale, all but the first epoch would lie on the axis. Single mini-batches
        # may be right almost by chance, and would stretch the scale far below what the average shows.
        panel.set_yscale("log")
        panel.set_ylim(bottom=max(loss.min(), smooth.min() / 30) * 0.8)
        panel.yaxis.set_major_formatter(lambda value, _: f"{value:g}")
    else:
        panel.set_ylim(bottom=min(0.0, loss.min()))


def _curves(panel, history, values, validation, name):
    """Draw the mini-batches, their average and the validations; return a low, but not extreme value of the average."""
    iterations, color = history.column("iteration"), COLORS[name]
    smooth = smoothed(values, _width(history))
    if len(values) > 1:
        panel.plot(iterations, values, color=color, alpha=0.28, linewidth=0.7, zorder=2)
    marker = "o" if len(values) == 1 else None
    panel.plot(iterations, smooth, color=color, linewidth=2.2, marker=marker, zorder=3, label="training",
               solid_capstyle="round")  # fmt: skip
    known = ~np.isnan(validation)
    if known.any():
        panel.plot(iterations[known], validation[known], color=INK, linewidth=1.1, linestyle=(0, (4, 2)), zorder=4,
                   marker="o", markersize=4.5, markerfacecolor="white", markeredgewidth=1.1,
                   label="validation")  # fmt: skip
        panel.legend(frameon=False, loc="lower right" if name == "accuracy" else "upper right", labelcolor=INK)
    return min([np.quantile(smooth, 0.02), *validation[known]])


def _width(history):
    """Return over how many iterations to average: a fiftieth of the run, 5 at least."""
    return max(5, len(history) // 50)


def _dress(panel, history):
    """Shade every other epoch, and keep axes and grid in the background."""
    iterations = history.column("iteration")
    for start, stop, _ in _bands(history)[1::2]:
        panel.axvspan(iterations[start] - 0.5, iterations[stop - 1] + 0.5, color="#f3f4f6", linewidth=0, zorder=0)
    panel.set_xlim(0.5, iterations[-1] + 0.5 + 0.005 * len(iterations))
    panel.grid(axis="y", color="#dddddd", linewidth=0.6, zorder=1)
    panel.set_axisbelow(True)
    panel.tick_params(which="both", colors=FAINT, labelcolor=INK, labelsize=9)
    for side, spine in panel.spines.items():
        spine.set_visible(side in ("left", "bottom"))
        spine.set_color(FAINT)


def _epoch_numbers(panel, history):
    """Write the epochs' numbers over the uppermost panel."""
    for number, (start, stop, text) in enumerate(_bands(history)):
        word = "epoch " if number == 0 and (stop - start) * 10 > len(history) else ""
        panel.annotate(word + text, ((start + stop) / 2 + 0.5, 1), xycoords=("data", "axes fraction"), xytext=(0, 3),
                       textcoords="offset points", ha="center", color=FAINT, fontsize=8.5)  # fmt: skip


def _bands(history):
    """Return (first row, row after the last, text) of each epoch; of several epochs together if there are many."""
    epochs = history.column("epoch")
    starts = np.flatnonzero(np.diff(epochs, prepend=-1))[:: -(-(int(epochs[-1]) - int(epochs[0]) + 1) // 15)]
    stops = [*starts[1:].tolist(), len(epochs)]
    bands = []
    for start, stop in zip(starts.tolist(), stops, strict=True):
        first, last = int(epochs[start]), int(epochs[stop - 1])
        bands.append((start, stop, f"{first}" if first == last else f"{first}–{last}"))
    return bands


def _headline(history):
    """Return the run in one line."""
    final = history.final
    seconds = final["seconds"]
    time = f"{seconds:.1f} s" if seconds < 60 else duration(seconds)
    parts = [f"{final['iteration']:,} iteration{'s' if final['iteration'] > 1 else ''} in {time}"]
    if final["validation_accuracy"] is not None:
        parts.append(f"validation accuracy {percent(final['validation_accuracy'])}")
    elif final["epoch_accuracy"] is not None:
        parts.append(f"accuracy {percent(final['epoch_accuracy'])} in the last epoch")
    elif final["validation_loss"] is not None:
        parts.append(f"validation loss {final['validation_loss']:.4g}")
    return ", ".join(parts)
