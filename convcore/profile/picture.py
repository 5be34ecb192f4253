"""The picture of a run of the bench: its problems under the roofline, and how they compare to the peer."""

import numpy as np

from convcore.train.picture import FAINT, INK, check_format, figure_class, save

STYLES = {  # color and marker of each direction
    "forward": ("#1f6fb4", "o"),
    "backward_input": ("#d9541e", "s"),
    "backward_weight": ("#3b8f4a", "^"),
}
# Of variants beside each other; the first, which may be the user's own, has a mark that stands out.
MARKS = [("#1d1d1f", "D"), *((color, marker) for marker in "osv^" for color in
         ("#1f6fb4", "#d9541e", "#3b8f4a", "#8a56c2", "#c79a12", "#d24d8f", "#2aa5a0"))]  # fmt: skip
ROW = 0.14  # inches per bar
DOTS_ROW = 0.2  # inches per pass with a dot for each variant
LABEL_OFFSETS = ((5, 0), (-5, 0), (0, 6), (0, -7), (5, 6), (-5, 6), (5, -7), (-5, -7))  # points, from the marker


def check(path):
    """Raise what `draw` would raise for want of a format or of matplotlib."""
    check_format(path, "bench")
    figure_class("bench: the picture")


def draw(document, path):
    """Draw a document (see `results`) into a file.

    For each level and number of threads there is a roofline with a point for each pass, labelled with the number of
    its problem. Under it is a bar for each pass: the ratio to the peer, or the part of the limit. Of several variants
    the roofline shows the fastest of each pass, and under it each pass has a dot for every variant, and for the peer.
    """
    Figure = figure_class("bench: the picture")
    numbers = {problem: n for n, problem in enumerate(dict.fromkeys(row["problem"] for row in document["rows"]), 1)}
    groups = {}
    for row in document["rows"]:
        groups.setdefault((row["level"], row["n_threads"]), []).append(row)
    heights = []
    for rows in groups.values():
        heights += [
            6.2,
            0.9 + ROW * (_end(rows) + 1) if _is_alone(rows) else 1.8 + DOTS_ROW * (_end(_fastest(rows)) + 1),
        ]
    figure = Figure(figsize=(10.5, sum(heights) + 0.5), dpi=130, layout="constrained", facecolor="white")
    machine = document["machine"]
    title = f"convcore {machine['convcore']} on {machine['processor']}, {machine['date'][:10]}"
    figure.suptitle(title, x=0.01, ha="left", color=INK, fontsize=12)
    parts = np.atleast_1d(figure.subfigures(len(heights), 1, height_ratios=heights))
    labels = []
    for number, (group, rows) in enumerate(groups.items()):
        above, below = parts[2 * number].subplots(), parts[2 * number + 1].subplots()
        roof = next(roof for roof in document["roofs"] if (roof["level"], roof["n_threads"]) == group)
        shown = rows if _is_alone(rows) else _fastest(rows)
        labels.append((above, _roofline(above, shown, numbers, roof, _title(rows))))
        (_bars if _is_alone(rows) else _dots)(below, rows, numbers, document["peer"])
    figure.canvas.draw()  # places the panels: where labels collide is known only then
    for panel, points in labels:
        _label(panel, points)
    save(figure, path)


def _variants(rows):
    return list(dict.fromkeys(row["variant"] for row in rows))


def _is_alone(rows):
    return len(_variants(rows)) == 1


def _fastest(rows):
    """Return the row of the fastest variant in each pass."""
    found = {}
    for row in rows:
        key = row["problem"], row["direction"]
        found[key] = max(found.get(key, row), row, key=lambda one: one["gflops"])
    return list(found.values())


def _title(rows):
    variants, threads = _variants(rows), rows[0]["n_threads"]
    who = variants[0] if _is_alone(rows) else f"the fastest of {len(variants)} variants"
    return f"{who}, {rows[0]['level']}, {threads} thread{'s' if threads > 1 else ''}"


def _roofline(panel, rows, numbers, roof, title):
    """Draw intensity and GFLOP/s of each pass, on logarithmic scales, under what the machine can do; return labels."""
    peak, bandwidth = roof["peak_gflops"], roof["bandwidth_gbs"]
    x, y = np.array([row["intensity"] for row in rows]), np.array([row["gflops"] for row in rows])
    low, high = min(x.min(), peak / bandwidth) / 1.6, max(x.max(), peak / bandwidth) * 1.8
    edge = np.array([low, peak / bandwidth, high])
    top = np.minimum(peak, bandwidth * edge)
    bottom = min(y.min(), peak / 30) / 1.5
    panel.set(xscale="log", yscale="log", xlim=(low, high), ylim=(bottom, max(peak, y.max()) * 1.7))
    panel.fill_between(edge, bottom, top, color="#f3f4f6", linewidth=0, zorder=0)
    panel.plot(edge, top, color=INK, linewidth=1.6, zorder=2)
    panel.annotate(f"{peak:.0f} GFLOP/s of multiply-adds", (high, peak), xytext=(-4, 5), ha="right",
                   textcoords="offset points", color=INK, fontsize=9)  # fmt: skip
    start = 1.06 * low
    panel.text(start, 1.1 * start * bandwidth, f"{bandwidth:.0f} GB/s", color=INK, fontsize=9, rotation_mode="anchor",
               rotation=np.degrees(np.arctan(bandwidth)), transform_rotates_text=True)  # fmt: skip
    for direction, (color, marker) in STYLES.items():
        mine = [i for i, row in enumerate(rows) if row["direction"] == direction]
        if mine:
            panel.scatter(x[mine], y[mine], s=30, color=color, marker=marker, linewidth=0.6, edgecolor="white",
                          zorder=4, label=direction)  # fmt: skip
    panel.legend(frameon=False, loc="lower right", labelcolor=INK, fontsize=9)
    panel.set_title(title, loc="left", color=INK, fontsize=10.5)
    panel.set_xlabel("arithmetic intensity, FLOP/byte (each array moved once)", color=INK)
    panel.set_ylabel("GFLOP/s" + (" (effective above the roof)" if (y > peak).any() else ""), color=INK)
    for axis in (panel.xaxis, panel.yaxis):
        axis.set_major_formatter(lambda value, _: f"{value:g}")
        axis.set_minor_formatter(lambda value, _: "")
    _dress(panel, "both")
    return [(row["intensity"], row["gflops"], str(numbers[row["problem"]]), STYLES[row["direction"]][0])
            for row in rows]  # fmt: skip


def _label(panel, points):
    """Write each point's number beside it, where no other stands; a number that finds no place is left out."""
    taken = []
    scale = panel.figure.dpi / 72
    places = panel.transData.transform([point[:2] for point in points])
    marks = [(px - 4 * scale, py - 4 * scale, px + 4 * scale, py + 4 * scale) for px, py in places]
    for (x, y, text, color), (px, py) in zip(points, places, strict=True):
        width, height = 4.6 * len(text) * scale, 7 * scale
        for dx, dy in LABEL_OFFSETS:
            left = px + dx * scale - (0 if dx > 0 else width if dx < 0 else width / 2)
            box = (left, py + dy * scale - height / 2, left + width, py + dy * scale + height / 2)
            if not any(_overlap(box, other) for other in (*taken, *marks) if other != _mark_of(px, py, scale)):
                taken.append(box)
                align = "left" if dx > 0 else "right" if dx < 0 else "center"
                panel.annotate(text, (x, y), xytext=(dx, dy), textcoords="offset points", ha=align, va="center",
                               color=color, fontsize=7.5, zorder=5)  # fmt: skip
                break


def _mark_of(px, py, scale):
    return (px - 4 * scale, py - 4 * scale, px + 4 * scale, py + 4 * scale)


def _overlap(a, b):
    return a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]


def _bars(panel, rows, numbers, peer):
    """Draw a bar for each pass: the ratio to the peer, or the part of the limit where there was none."""
    beside = any(row["ratio"] is not None for row in rows)
    values = {id(row): row["ratio"] if beside else row["fraction_of_limit"] for row in rows}
    known = [value for value in values.values() if value is not None]
    for place, row in _named_rows(panel, rows, numbers):
        value = values[id(row)]
        if value is not None:
            left = 1 if beside else 0
            panel.barh(place, value - left, left=left, height=0.86, color=STYLES[row["direction"]][0], linewidth=0,
                       zorder=3)  # fmt: skip
            panel.annotate(f"{value:.2f}" if beside else f"{100 * value:.0f} %", (value, place), va="center",
                           xytext=(-3 if value < left else 3, 0), textcoords="offset points",
                           ha="right" if value < left else "left", fontsize=6.5, color=INK)  # fmt: skip
    if beside:
        panel.set_xscale("log", base=2)
        panel.set_xlim(min(0.8, 0.85 * min(known)), max(1.25, 1.2 * max(known)))
        panel.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
        panel.set_xlabel(f"time of {_short(peer)} over ours", color=INK)
    else:
        panel.set_xlim(0, max(1.05, 1.08 * max(known)))
        panel.xaxis.set_major_formatter(lambda value, _: f"{100 * value:.0f} %")
        panel.set_xlabel("part of the limit", color=INK)
    panel.axvline(1, color=INK, linewidth=1.1, zorder=4)
    _dress_rows(panel)


def _dots(panel, rows, numbers, peer):
    """Draw the part of the limit that each variant and the peer reach in each pass; at its end stands the fastest."""
    reached = _reached(rows, peer)
    marks = dict(zip(dict.fromkeys(name for parts in reached.values() for name in parts), MARKS * 2, strict=False))
    for place, row in _named_rows(panel, _fastest(rows), numbers):
        parts = reached[row["problem"], row["direction"]]
        ends = ((0, row["direction"], STYLES[row["direction"]][0]), (1, max(parts, key=parts.get), INK))
        for end, text, color in ends:
            panel.annotate(text, (end, place), xycoords=("axes fraction", "data"), xytext=(3, 0), va="center",
                           textcoords="offset points", fontsize=6.5, color=color)  # fmt: skip
        for name, part in parts.items():
            color, marker = marks[name]
            panel.scatter(part, place, s=22, color=color, marker=marker, linewidth=0.5, edgecolor="white",
                          zorder=5 if (color, marker) == MARKS[0] else 4)  # fmt: skip
    for name, (color, marker) in marks.items():
        panel.scatter([], [], s=22, color=color, marker=marker, label=name)
    panel.legend(frameon=False, loc="lower center", bbox_to_anchor=(0.5, 1), borderaxespad=2.2, ncols=9, fontsize=8.5,
                 labelcolor=INK, handletextpad=0.1, columnspacing=1.2)  # fmt: skip
    panel.set_xscale("log")
    known = [part for parts in reached.values() for part in parts.values()]
    panel.set_xlim(min(known) / 2.2, max(1.05, 1.15 * max(known)))
    panel.xaxis.set_major_formatter(lambda value, _: f"{100 * value:g} %")
    panel.xaxis.set_minor_formatter(lambda value, _: "")
    panel.set_xlabel("part of the limit, each variant; at the end the fastest", color=INK)
    panel.axvline(1, color=INK, linewidth=1.1, zorder=2)
    _dress_rows(panel)


def _reached(rows, peer):
    """Return, for each (problem, direction), the part of the limit by the name of the variant, or of the peer."""
    reached = {}
    for row in rows:
        parts = reached.setdefault((row["problem"], row["direction"]), {})
        parts[row["variant"]] = row["fraction_of_limit"]
    for row in rows:
        if row["ratio"] is not None:
            parts = reached[row["problem"], row["direction"]]
            parts.setdefault(_short(peer), row["fraction_of_limit"] / row["ratio"])
    return reached


def _short(peer):
    """Return the name of a peer without what stands behind it in brackets."""
    return peer.split(" (")[0]


def _named_rows(panel, rows, numbers):
    """Write problems and their kinds at the left of a panel; yield (place, row) of each pass."""
    ticks, labels = [], []
    for problem, kind, start, mine in _bar_places(rows):
        if kind:
            panel.annotate(kind, (0, start - 0.9), xycoords=("axes fraction", "data"), xytext=(-4, 0), ha="right",
                           textcoords="offset points", va="center", fontsize=8, color=FAINT)  # fmt: skip
        ticks.append(start + (len(mine) - 1) / 2)
        labels.append(f"{problem}   {numbers[problem]}")
        yield from zip(start + np.arange(len(mine)), mine, strict=True)
    panel.set_yticks(ticks, labels)
    panel.set_ylim(_end(rows), -1.6)


def _dress_rows(panel):
    """As `_dress`, for a row per pass."""
    _dress(panel, "x")
    panel.tick_params(axis="x", labeltop=True)
    panel.tick_params(axis="y", length=0, labelsize=7.5)
    panel.spines["left"].set_visible(False)


def _bar_places(rows):
    """Yield (problem, its kind where a new one begins, place of the first bar, rows) of each problem."""
    place, before = 0.0, None
    for problem in dict.fromkeys(row["problem"] for row in rows):
        mine = [row for row in rows if row["problem"] == problem]
        kind = mine[0]["kind"]
        place += 1.4 if kind != before and before else 0
        yield problem, kind if kind != before else None, place, mine
        place, before = place + len(mine) + 0.8, kind


def _end(rows):
    """Return the place after the last bar."""
    *_, (_, _, start, mine) = _bar_places(rows)
    return start + len(mine)


def _dress(panel, grid):
    """Keep axes and grid in the background."""
    panel.grid(axis=grid, color="#dddddd", linewidth=0.6, zorder=1)
    panel.set_axisbelow(True)
    panel.tick_params(which="both", colors=FAINT, labelcolor=INK, labelsize=9)
    for side, spine in panel.spines.items():
        spine.set_visible(side in ("left", "bottom"))
        spine.set_color(FAINT)
