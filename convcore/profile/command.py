"""One run of ``convcore bench``: what was asked for, measured, printed as it comes, and kept."""

import pathlib

from convcore import isa
from convcore.files import check_target, write_atomic
from convcore.profile import bench, machine, picture, plugins, problems, report, results, roofline


def run(
    text,
    *,
    variants=None,
    peer=None,
    plugin=None,
    compare=None,
    json=None,
    markdown=None,
    plot=None,
    show=print,
    **plan,
):
    """Measure problems and report on them.

    Parameters
    ----------
    text : str
        The problems, as `problems.read` takes them.
    variants : sequence of str, optional
        See `bench.Plan`; otherwise "auto", or with a plug-in "all", so that it is ranked beside ours.
    peer, plugin : str, optional
        As `plugins.peer` and `plugins.kernel` take them.
    compare : path-like, optional
        The JSON file of an older run.
    json, markdown, plot : path-like, optional
        Files to write.
    show : callable
        Takes each line of the report, as soon as it is known; print, or what has its arguments.
    **plan
        Further fields of `bench.Plan`.

    Returns
    -------
    dict
        The document, see `results`.

    Raises
    ------
    ValueError, OSError, ImportError
        Files that cannot be read or written, found before anything is measured; a peer or a plug-in that is none.
    RuntimeError
        At the end, if figures were refused.
    """
    _check_targets(json, markdown, plot)
    old = results.read(compare) if compare else None
    geometries = problems.read(text)
    peer_module = plugins.peer(peer) if peer else None
    own = plugins.kernel(plugin, plan.get("levels", (isa.DEFAULT,))[0], geometries) if plugin else ()
    plan = bench.Plan(geometries, tuple(variants or (["all"] if plugin else ["auto"])), **plan)
    peer_words = peer_module.prepare(plan.levels) if peer else None
    lines = []

    def say(*new):
        for line in new:
            lines.append(line)
            show(line, flush=True)

    found = machine.describe()
    say(*report.head(found, peer_words, plan))
    say(*(f"- {name} of {plugin}, a variant of {op}: passed all of {count} checks" for op, name, count in own))
    roofs = roofline.Roofs()
    for level in plan.levels:
        for n_threads in plan.threads:
            say(report.roof_line(level, n_threads, roofs.of(level, n_threads)))
    table = report.Table(plan, peer, bool(old))
    say("", *table.head())
    rows, refused = [], []
    before = {results.case_of(row): row for row in old["rows"]} if old else {}
    for row in bench.rows_of(plan, peer_module, roofs):
        if "refused" in row:
            refused.append(row)
            continue
        if old:
            row["change"] = results.change(row, before)
        rows.append(row)
        say(table.line(row))
    if any(row["effective"] for row in rows):
        say("", "\\* effective: the operations of the definition, which this method gets by with fewer of")
    summary = report.summary(rows)
    say(*report.summary_lines(summary, peer), *report.ranking_lines(rows))
    if old:
        say(*report.comparison_lines(rows, old, compare))
    document = {
        "schema": results.SCHEMA, "machine": found, "peer": peer_words, "plan": plan.as_json(),
        "roofs": [{"level": level, "n_threads": n, "peak_gflops": roof.peak, "bandwidth_gbs": roof.bandwidth,
                   "array_bytes": roof.array_bytes} for (level, n), roof in roofs.known.items()],
        "rows": rows, "refused": refused, "summary": summary,
    }  # fmt: skip
    if json:
        results.write(json, document)
    if markdown:
        write_atomic(markdown, "\n".join(lines) + "\n")
    if plot and rows:
        picture.draw(document, plot)
    if refused:
        first = refused[0]
        case = f"{first['variant']} {first['direction']} of {first['problem']}"
        raise RuntimeError(f"bench: {len(refused)} of {len(rows) + len(refused)} figures refused, first {case}: "
                           f"{first['refused']}")  # fmt: skip
    if not rows:
        raise ValueError(f"bench: no variant of {', '.join(plan.variants)} computes any of these problems")
    return document


def _check_targets(json, markdown, plot):
    """Raise now what writing would raise after everything has been measured."""
    for path in filter(None, (json, markdown, plot)):
        check_target(pathlib.Path(path).absolute(), "bench")
    if plot:
        picture.check(plot)
