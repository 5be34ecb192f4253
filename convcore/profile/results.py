"""What a run of the bench leaves behind, as JSON; and what has changed since an older one."""

import json
import pathlib

from convcore.files import write_atomic

SCHEMA = 1  # raised when a program that reads these files would misunderstand a new one
PARTS = {"schema": int, "machine": dict, "peer": (str, type(None)), "plan": dict, "roofs": list, "rows": list,
         "refused": list, "summary": list}  # fmt: skip
CASE = ("problem", "direction", "variant", "level", "n_threads")  # what a row is found again by
FIGURES = ("seconds", "spread", "gflops", "ratio", "ratio_spread", "fraction_of_limit")
SMALLEST_CHANGE = 0.02  # what is called one, however small the spread: two runs differ by as much


def write(path, document):
    """Write a document to a file."""
    write_atomic(path, json.dumps(document, indent=1, allow_nan=False) + "\n")


def read(path):
    """Return the document in a file that `write` wrote.

    Raises
    ------
    ValueError, OSError
        No such file; one that holds something else; a schema that this version does not know.
    """
    path = pathlib.Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"compare: there is no file {path}")
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"compare: {path} is no JSON ({error})") from None
    if not isinstance(document, dict) or "schema" not in document:
        raise ValueError(f"compare: {path} holds no results of this bench")
    if document["schema"] != SCHEMA:
        raise ValueError(f"compare: {path} is of schema {document['schema']}, this version reads {SCHEMA}")
    for name, kind in PARTS.items():
        if not isinstance(document.get(name), kind):
            raise ValueError(f"compare: {path} is damaged: {name!r} is missing or of another kind")
    for row in document["rows"]:
        missing = [key for key in (*CASE, *FIGURES) if key not in row]
        if missing:
            raise ValueError(f"compare: {path} is damaged: a row lacks {', '.join(missing)}")
    return document


def case_of(row):
    """Return what a row measures."""
    return tuple(row[key] for key in CASE)


def change(row, old):
    """Return how a row differs from the one that measured the same before; None if there is none.

    Where both were measured beside a peer, the ratios to it are compared, which the state of the machine hardly
    touches; otherwise the times.

    Parameters
    ----------
    row : dict
    old : dict
        The older rows, by `case_of`.

    Returns
    -------
    dict or None
        "factor", above 1 if faster; "of", what was compared; "spread", of both; "beyond_spread".
    """
    before = old.get(case_of(row))
    if before is None:
        return None
    if row["ratio"] and before["ratio"]:
        factor, spread, of = row["ratio"] / before["ratio"], row["ratio_spread"] + before["ratio_spread"], "ratio"
    else:
        factor, spread, of = before["seconds"] / row["seconds"], row["spread"] + before["spread"], "time"
    beyond = max(factor, 1 / factor) - 1 > max(spread, SMALLEST_CHANGE)
    return {"factor": factor, "of": of, "spread": spread, "beyond_spread": beyond}
