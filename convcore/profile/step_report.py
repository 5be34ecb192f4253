"""A profiled training step in words, as a trace for a browser, and as a picture."""

import json

import numpy as np

from convcore.files import write_atomic
from convcore.isa import module_suffix
from convcore.train.picture import FAINT, INK, check_format, figure_class, save

COLORS = {"forward": "#1f6fb4", "backward": "#d9541e", "update": "#3b8f4a", "Python": "#b9bec6"}
BAR = 0.2  # inches


def lines(document):
    """Return a profile as lines of text: a table of the calls of a step, what they add up to, and why these kernels."""
    step, rows = document["step_seconds"], document["rows"]
    threads = f"{document['n_threads']} thread{'s' if document['n_threads'] > 1 else ''}"
    head = [
        f"A step of {document['batch_size']} observations on {threads}: {1e3 * step:.3f} ms "
        f"({document['batch_size'] / step:,.0f} observations/s), median of {document['steps']}",
        f"This machine: {document['peak_gflops']:.0f} GFLOP/s of multiply-adds, {document['bandwidth_gbs']:.0f} GB/s "
        "from memory; what lies in caches, or makes fewer products than the definition, can exceed this limit",
        "",
    ]
    columns = [
        ("layer", 0, lambda r: r["layer"]), ("pass", 0, lambda r: r["pass"]),
        ("kernel", 0, lambda r: f"{r['op']} {r['direction']}"), ("problem", 0, lambda r: r["problem"]),
        ("variant", 0, lambda r: r["variant"]), ("threads", 1, lambda r: f"{r['n_threads']}"),
        ("µs", 1, lambda r: f"{1e6 * r['seconds']:.1f}"),
        ("of step", 1, lambda r: f"{100 * r['seconds'] / step:.1f} %"),
        ("GFLOP/s", 1, lambda r: f"{r['gflops']:.1f}"), ("of limit", 1, lambda r: f"{100 * r['of_limit']:.0f} %"),
        ("kB", 1, lambda r: f"{r['bytes'] / 1e3:,.0f}"),
    ]  # fmt: skip
    cells = [[title for title, _, _ in columns], *([show(row) for _, _, show in columns] for row in rows)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    sides = [str.rjust if right else str.ljust for _, right, _ in columns]
    table = ["  ".join(side(cell, width) for side, cell, width in zip(sides, line, widths, strict=True)).rstrip()
             for line in cells]  # fmt: skip
    return [*head, *table, "", *_sums(document), "", *_reasons(rows)]


def _sums(document):
    """Return what the calls add up to, by pass, and what is left for Python."""
    step, rows = document["step_seconds"], document["rows"]
    sums = {way: sum(row["seconds"] for row in rows if row["pass"] == way) for way in ("forward", "backward", "update")}
    sums["Python"] = document["other_seconds"]
    operations = sum(row["operations"] for row in rows)
    found = [f"{way:9} {1e6 * seconds:8.1f} µs  {100 * seconds / step:5.1f} %" for way, seconds in sums.items()]
    speed = operations / step / 1e9
    overhead = document["watched_seconds"] / step - 1
    return [
        *found, f"{'step':9} {1e6 * step:8.1f} µs, {operations / 1e6:.1f} MFLOP: {speed:.1f} GFLOP/s, "
        f"{100 * speed / document['peak_gflops']:.0f} % of the multiply-adds of this machine",
        f"Watching made a step {100 * overhead:.1f} % longer; it costs nothing when nobody watches.",
    ]  # fmt: skip


def _reasons(rows):
    """Return for each convolution which kernel computes it, and why not those before it."""
    found = ["Why these kernels:"]
    for row in rows:
        if row["why"] is None or row["direction"] == "backward_bias":  # a plain sum, which one of them has
            continue
        before = []
        for line in row["why"].splitlines()[1:]:
            name, answer = line.split(maxsplit=1)
            if name == row["variant"]:
                break
            before.append(f"{name} ({answer.removeprefix('no: ')})")
        reason = f", not {'; '.join(before)}" if before else ", the first"
        level = module_suffix(row["level"])
        found.append(f"- {row['layer']} {row['direction']}: {row['variant']} ({level}){reason}")
    return found if len(found) > 1 else []


def write_trace(document, path):
    """Write the calls of some steps for chrome://tracing or ui.perfetto.dev: one lane per thread of a kernel."""
    lanes = max((event["n_threads"] for event in document["events"]), default=1)
    events = [{"ph": "M", "pid": 1, "tid": lane, "name": "thread_name", "args": {"name": f"thread {lane}"}}
              for lane in range(lanes)]  # fmt: skip
    for event in document["events"]:
        shown = {key: event[key] for key in ("op", "direction", "problem", "variant", "n_threads")}
        for lane in range(event["n_threads"]):
            events.append({
                "ph": "X", "pid": 1, "tid": lane, "name": f"{event['layer']} {event['direction']}",
                "cat": event["pass"], "ts": 1e6 * event["start"], "dur": 1e6 * event["seconds"],
                "args": shown,
            })  # fmt: skip
    write_atomic(path, json.dumps({"traceEvents": events, "displayTimeUnit": "ms"}, indent=1))


def check_picture(path):
    """Raise what `draw` would raise for want of a format or of matplotlib."""
    check_format(path, "profile")
    figure_class("profile: the picture")


def draw(document, path):
    """Draw the calls of a step as bars, in their order, with what is left for Python below."""
    Figure = figure_class("profile: the picture")
    rows = document["rows"]
    names = [*(f"{row['layer']}  {row['op']} {row['direction']}" for row in rows), "Python"]
    times = np.array([*(row["seconds"] for row in rows), document["other_seconds"]]) * 1e6
    ways = [*(row["pass"] for row in rows), "Python"]
    figure = Figure(figsize=(9.5, BAR * len(names) + 1.3), dpi=130, layout="constrained", facecolor="white")
    panel = figure.subplots()
    places = np.arange(len(names))
    panel.barh(places, times, color=[COLORS[way] for way in ways], height=0.72)
    for place, (seconds, row) in enumerate(zip(times, [*rows, None], strict=True)):
        speed = "" if row is None or row["gflops"] < 1 else f"  {row['gflops']:.0f} GFLOP/s, {row['variant']}"
        panel.text(seconds, place, f" {seconds:.0f}{speed}", va="center", color=INK, fontsize=7.5)
    panel.set_yticks(places, names, fontsize=8, color=INK)
    panel.set(ylim=(len(names) - 0.4, -0.6), xlim=(0, 1.3 * max(times)))
    panel.set_xlabel("µs", color=INK)
    panel.tick_params(colors=FAINT, labelcolor=INK, length=0)
    for side in ("top", "right", "left"):
        panel.spines[side].set_visible(False)
    panel.spines["bottom"].set_color(FAINT)
    from matplotlib.patches import Patch

    shown = [Patch(color=COLORS[way], label=way) for way in COLORS if way in ways]
    panel.legend(handles=shown, frameon=False, loc="lower right", bbox_to_anchor=(1, 1), ncols=len(shown),
                 labelcolor=INK, fontsize=9)  # fmt: skip
    step, threads = document["step_seconds"], document["n_threads"]
    title = (f"A step of {document['batch_size']} observations: {1e3 * step:.2f} ms, "
             f"{threads} thread{'s' if threads > 1 else ''}, {document['machine']['processor']}")  # fmt: skip
    figure.suptitle(title, x=0.01, ha="left", color=INK, fontsize=11)
    save(figure, path)
