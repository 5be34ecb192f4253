"""A run of the bench in words: Markdown that is also read well as it stands, row by row while it runs."""

import math

from convcore.isa import module_suffix
from convcore.profile.problems import KINDS

POOR, BAD = 0.95, 0.8  # ratios to the peer that are counted


# ---------------------------------------------------------------- head


def head(machine, peer, plan):
    """Return the lines that say what was measured on what."""
    versions = f"convcore {machine['convcore']}, Python {machine['python']}, NumPy {machine['numpy']}"
    lines = [
        f"- {versions}; {machine['date']}",
        f"- {machine['processor']}, {_plural(machine['processors'], 'processor')} to run on, {machine['platform']}",
        f"- float32; medians of {_plural(plan.rounds, 'round')} of {plan.seconds:g} s each, all in turn; ±: how far "
        "apart the middle half of the rounds lies",
    ]
    if peer:
        lines.append(f"- beside {peer}; ratio: its time over ours, the median of the rounds")
    return lines


def roof_line(level, n_threads, roof):
    """Return the line that says what was measured as the limits."""
    return (
        f"- {level}, {_plural(n_threads, 'thread')}: {roof.peak:.0f} GFLOP/s of multiply-adds from registers, "
        f"{roof.bandwidth:.0f} GB/s read and written by scaling {roof.array_bytes / 2**20:.0f} MB"
    )


# ---------------------------------------------------------------- table


class Table:
    """The rows of a run as lines of a Markdown table, with the columns that it needs.

    Parameters
    ----------
    plan : bench.Plan
    peer : str or None
        Its name.
    compared : bool
        Whether rows have a "change".
    """

    def __init__(self, plan, peer=None, compared=False):
        widest = max(len(str(geometry)) for geometry in plan.problems)
        self.columns = [  # title, width (negative: to the right), what it shows
            ("problem", widest, lambda row: row["problem"]),
            ("direction", 15, lambda row: row["direction"]),
            ("variant", 16, _variant),
            ("isa", 3, lambda row: module_suffix(row["level"])),
            ("threads", -7, lambda row: f"{row['n_threads']}"),
            ("ms", -8, lambda row: f"{1e3 * row['seconds']:.4g}"),
            ("±", -5, lambda row: _percent(row["spread"])),
            ("GFLOP/s", -8, lambda row: f"{row['gflops']:.1f}{'*' if row['effective'] else ''}"),
            ("MB", -7, lambda row: f"{row['bytes'] / 1e6:.3g}"),
            ("FLOP/byte", -9, lambda row: f"{row['intensity']:.1f}"),
            ("of limit", -8, lambda row: _percent(row["fraction_of_limit"])),
            ("limited by", 10, lambda row: row["limited_by"]),
        ]
        if peer:
            self.columns += [
                (f"{peer} ms", -max(8, len(peer) + 3), lambda row: _number(row["peer_seconds"], 1e3)),
                ("ratio", -6, lambda row: "" if row["ratio"] is None else f"{row['ratio']:.2f}"),
                ("±", -5, lambda row: "" if row["ratio"] is None else _percent(row["ratio_spread"])),
            ]
        if compared:
            self.columns.append(("change", 20, _change))

    def head(self):
        """Return the first two lines."""
        titles = [_cell(title, width) for title, width, _ in self.columns]
        rules = ["-" * (abs(width) - 1) + (":" if width < 0 else "-") for _, width, _ in self.columns]
        return [f"| {' | '.join(titles)} |", f"| {' | '.join(rules)} |"]

    def line(self, row):
        """Return the line of a row."""
        return f"| {' | '.join(_cell(show(row), width) for _, width, show in self.columns)} |"


def _cell(text, width):
    return text.rjust(-width) if width < 0 else text.ljust(width)


def _variant(row):
    return row["variant"] if row["variant"] == row["computed_by"] else f"{row['variant']}: {row['computed_by']}"


def _percent(fraction):
    return f"{100 * fraction:.0f} %"


def _number(value, scale):
    return "" if value is None else f"{scale * value:.4g}"


def _change(row):
    """Return a change in words: marked, if it is larger than the spread of both measurements."""
    found = row.get("change")
    if found is None:
        return "new"
    factor = found["factor"]
    text = f"{max(factor, 1 / factor):.2f} × {'faster' if factor >= 1 else 'slower'}"
    return f"**{text}**" if found["beyond_spread"] else text


# ---------------------------------------------------------------- summary


def summary(rows):
    """Return what the rows come to, one JSON-able dict for each variant, level and number of threads.

    "measure" is "ratio" where there was a peer, else "fraction_of_limit"; over all passes of the group and for each
    kind of problem there are the number of passes, the geometric mean and the worst. Ratios below `POOR` and `BAD` are
    counted.
    """
    measure = "ratio" if any(row["ratio"] is not None for row in rows) else "fraction_of_limit"
    groups = {}
    for row in rows:
        if row[measure] is not None:
            groups.setdefault((row["variant"], row["level"], row["n_threads"]), []).append(row)
    return [
        {
            "variant": variant, "level": level, "n_threads": n_threads, "measure": measure,
            **_together(group, measure),
            "below": {str(bound): sum(row["ratio"] < bound for row in group) for bound in (POOR, BAD)}
            if measure == "ratio" else None,
            "kinds": {kind: _by_direction(group, kind, measure) for kind in KINDS
                      if any(row["kind"] == kind for row in group)},
        }
        for (variant, level, n_threads), group in groups.items()
    ]  # fmt: skip


def _together(rows, measure):
    """Return number, geometric mean and the worst of some rows."""
    worst = min(rows, key=lambda row: row[measure])
    mean = math.exp(sum(math.log(row[measure]) for row in rows) / len(rows))
    return {"passes": len(rows), "geometric_mean": mean, "worst": worst[measure],
            "worst_case": f"{worst['direction']} {worst['problem']}",
            "worst_fraction_of_limit": worst["fraction_of_limit"]}  # fmt: skip


def _by_direction(rows, kind, measure):
    """Return `_together` for each direction of one kind."""
    rows = [row for row in rows if row["kind"] == kind]
    directions = dict.fromkeys(row["direction"] for row in rows)
    return {
        direction: _together([row for row in rows if row["direction"] == direction], measure)
        for direction in directions
    }


def summary_lines(found, peer):
    """Return a summary as Markdown, with a table of the kinds for the variant that was asked for first."""
    lines = []
    for group in found:
        beside = f"{peer}'s time over ours" if group["measure"] == "ratio" else "part of the limit that is reached"
        show = _ratio if group["measure"] == "ratio" else _percent
        title = f"{group['variant']}, {group['level']}, {_plural(group['n_threads'], 'thread')}: {beside}"
        words = f"geometric mean {show(group['geometric_mean'])} over {_plural(group['passes'], 'pass')}"
        if group["below"]:
            words += "".join(f", {count} below {bound}" for bound, count in group["below"].items())
        words += f"; the worst {show(group['worst'])}: {group['worst_case']}"
        if group["measure"] == "ratio":
            words += f", at {_percent(group['worst_fraction_of_limit'])} of its limit"
        lines += ["", f"**{title}**", "", words]
        if group["variant"] == found[0]["variant"]:
            lines += ["", *_kinds_table(group["kinds"], show)]
    return lines


def _kinds_table(kinds, show):
    """Return the table of a group: for each kind and direction geometric mean and worst."""
    directions = list(dict.fromkeys(direction for found in kinds.values() for direction in found))
    rows = [["kind: geometric mean, worst", *directions]]
    for kind, found in kinds.items():
        rows.append([kind, *(f"{show(found[d]['geometric_mean'])}, {show(found[d]['worst'])}" if d in found else ""
                             for d in directions)])  # fmt: skip
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = [f"| {' | '.join(map(str.ljust, row, widths))} |" for row in rows]
    return [lines[0], f"| {' | '.join('-' * width for width in widths)} |", *lines[1:]]


def ranking_lines(rows):
    """Return, as Markdown, how variants that were measured beside each other rank; nothing if none were."""
    passes = {}
    for row in rows:
        passes.setdefault((row["problem"], row["direction"], row["level"], row["n_threads"]), []).append(row)
    passes = [found for found in passes.values() if len(found) > 1]
    if not passes:
        return []
    speeds, first = {}, {}
    for found in passes:
        best = min(row["seconds"] for row in found)
        for row in found:
            speeds.setdefault(row["variant"], []).append(best / row["seconds"])
            first[row["variant"]] = first.get(row["variant"], 0) + (row["seconds"] == best)
    order = sorted(speeds, key=lambda name: -_mean(speeds[name]))
    table = [["variant", "passes", "fastest in", "speed, of the fastest's"]]
    table += [[name, str(len(speeds[name])), str(first[name]), _percent(_mean(speeds[name]))] for name in order]
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    lines = [f"| {' | '.join(map(str.ljust, row, widths))} |" for row in table]
    return [
        "",
        "**Variants beside each other**",
        "",
        lines[0],
        f"| {' | '.join('-' * w for w in widths)} |",
        *lines[1:],
    ]


def comparison_lines(rows, old, path):
    """Return in words what has changed since an older document."""
    changes = [row["change"] for row in rows if row["change"]]
    marked = [change["factor"] for change in changes if change["beyond_spread"]]
    faster, slower = sum(factor > 1 for factor in marked), sum(factor < 1 for factor in marked)
    words = f"{faster} faster and {slower} slower by more than the spread, {len(changes) - len(marked)} within it"
    return ["", f"Since {path} ({old['machine']['date']}, {old['machine']['processor']}): {words}, "
                f"{len(rows) - len(changes)} new."]  # fmt: skip


def _mean(values):
    return math.exp(sum(map(math.log, values)) / len(values))


def _ratio(value):
    return f"{value:.2f}"


def _plural(number, noun):
    return f"{number} {noun}{'' if number == 1 else 'es' if noun.endswith('s') else 's'}"
