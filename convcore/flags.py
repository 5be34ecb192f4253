"""The flags and arguments of the command line: what each takes, what is wrong use of it, and its line of help.

Parsers raise what is wrong as one line that names the flag; `cli.py` holds the commands that take them.
"""

import importlib.metadata
import re
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from convcore import checks, isa, models, run
from convcore.optim.schedules import SCHEDULES
from convcore.profile import problems
from convcore.profile.bench import DIRECTIONS
from convcore.threads import check as check_threads
from convcore.train.options import PLOTS


def _number(flag, kind, check, help):
    """Return the option for a number, int or float, that `check(number, flag)` accepts; others are wrong use."""

    def parse(text):
        try:
            number = kind(text)
        except ValueError:
            what = "a whole number" if kind is int else "a number"
            raise typer.BadParameter(f"{flag} must be {what}, got {text!r}") from None
        try:
            return check(number, flag)
        except ValueError as error:
            raise typer.BadParameter(str(error)) from None

    return typer.Option(flag, parser=parse, metavar="N" if kind is int else "F", help=help)


def _checked(flag, check, metavar, help):
    """Return the option for what `check(text, flag)` makes of a text; what it raises is wrong use."""

    def parse(text):
        try:
            return check(text, flag)
        except ValueError as error:
            raise typer.BadParameter(str(error)) from None

    return typer.Option(flag, parser=parse, metavar=metavar, help=help)


def _path(flag, kind, help):
    """Return the option for a file or a folder."""

    def check(text, flag):
        if not str(text):  # "$OUT", where OUT is not set: Path("") would be the present folder
            raise ValueError(f"{flag} must be a {kind}, got ''")
        return Path(text)

    return _checked(flag, check, {"file": "FILE", "folder": "DIR"}[kind], help)


def _one_of(flag, choices, help):
    """Return the option for one of some names."""
    return _checked(flag, partial(checks.one_of, choices=choices), "NAME", help)


def _several(flag, check, metavar, help):
    """Return the option for values with commas between them, each checked by `check(text, flag)`."""

    def check_each(text, flag):
        return tuple(dict.fromkeys(check(part.strip(), flag) for part in text.split(",")))

    return _checked(flag, check_each, metavar, help)


def _number_of_threads(text, flag):
    if not text.isdecimal():
        raise ValueError(f"{flag} must be whole numbers with commas between them, got {text!r}")
    return check_threads(int(text), flag)


def _variant(text, flag):
    if not text.isidentifier():
        raise ValueError(f"{flag} must be names with commas between them, got {text!r}")
    return text


def _metrics(text):
    names = text.split(",")
    if len(set(names)) < len(names) or not all(re.fullmatch("top-[1-9][0-9]*", name) for name in names):
        raise typer.BadParameter(f"--metrics must be names such as top-2,top-5, each once, got {text!r}")
    return names


def _schedule(text):
    first, comma, other = text.partition(",")
    if first not in SCHEDULES or (comma and (first != "warmup" or other not in SCHEDULES or other == "warmup")):
        names = ", ".join(SCHEDULES)
        raise typer.BadParameter(f'--schedule must be one of {names}, or "warmup," and another, got {text!r}')
    return text


def _print_version(wanted):
    if wanted:
        print(f"convcore {importlib.metadata.version('convcore')}")
        raise typer.Exit


EVERY_DIRECTION = ",".join(DIRECTIONS)
at_least_0, at_least_1 = partial(checks.integer, low=0), partial(checks.integer, low=1)
from_0, from_0_to_1 = partial(checks.number_from, low=0), partial(checks.number_within, low=0, high=1)

ModelFile = Annotated[
    Path, typer.Argument(parser=Path, metavar="MODEL", help="A model.safetensors, or the folder of a run.")
]
Images = Annotated[list[Path], typer.Argument(parser=Path, metavar="IMAGE", help="PNG, JPEG, IDX or .npy files.")]
AnyModel = Annotated[
    str, typer.Argument(metavar="MODEL", help="A model.safetensors, a name such as lenet5, or FILE.py:FUNCTION.")
]
Data = Annotated[str, typer.Option(metavar="NAME|DIR", help="digits, mnist, fashion-mnist, or a folder of IDX files.")]
DataOfRun = Annotated[
    str | None,
    typer.Option("--data", metavar="NAME|DIR", help="As for train; without it what the run was trained on, or digits."),
]
FirstModel = Annotated[
    str,
    typer.Option(
        metavar="NAME|FILE",
        help=f"{', '.join(models.NAMED)}, FILE.py:FUNCTION, which returns a Network, or a model.safetensors to start "
        "from.",
    ),
]
Epochs = Annotated[int | None, _number("--epochs", int, at_least_1, "Default: 30 for digits, else 10.")]
BatchSize = Annotated[int, _number("--batch-size", int, at_least_1, "Images at a time.")]
Solver = Annotated[str, _one_of("--solver", tuple(run.LEARN_RATES), "sgdm (SGD with momentum), adam or rmsprop.")]
LearnRate = Annotated[
    float | None,
    _number("--learn-rate", float, checks.positive_number, "In the first iteration. Default: "
            + ", ".join(f"{rate:g} for {solver}" for solver, rate in run.LEARN_RATES.items()) + "."),
]  # fmt: skip
Momentum = Annotated[float | None, _number("--momentum", float, from_0_to_1, "Of sgdm, from 0 to 1. Default: 0.9.")]
L2 = Annotated[float, _number("--l2", float, from_0, "L2 regularization of the weights, with every solver.")]
Seed = Annotated[int, _number("--seed", int, at_least_0, "For the first weights, and order and changes of the images.")]
Threads = Annotated[int | None, _number("--threads", int, check_threads, "Default: what the machine allows.")]
Schedule = Annotated[
    str,
    typer.Option(
        parser=_schedule,
        metavar="NAME",
        help="cosine, polynomial (a straight line to 0), piecewise (a tenth every 10 epochs), none; "
        "warmup (one epoch), also before another: warmup,cosine.",
    ),
]
Augmented = Annotated[
    bool,
    typer.Option(
        "--augment",
        help=f"Change the training images at random: shift by {run.AUGMENT.shift:g} pixels, turn by "
        f"{run.AUGMENT.rotation:g} degrees, scale by {100 * run.AUGMENT.scale:g} %, at most.",
    ),
]
Plots = Annotated[
    str,
    _one_of("--plots", PLOTS, "training-progress: a page with a picture, kept up to date in the folder of the run."),
]
Metrics = Annotated[
    list | None,
    typer.Option("--metrics", parser=_metrics, metavar="NAMES", help="Besides the accuracy: top-2, top-3, ...; "
                 "several with commas between them."),
]  # fmt: skip
Recipe = Annotated[
    str | None,
    _one_of("--recipe", tuple(run.RECIPES), "Settings in place of those that are not given: fast reaches 99 % of MNIST "
            "in the fewest seconds that we have found."),
]  # fmt: skip
Out = Annotated[Path | None, _path("--out", "folder", "A new folder. Default: runs/NAME-N.")]
Resume = Annotated[
    Path | None,
    _path("--resume", "folder", "Go on with the run in this folder, with --epochs to another number of epochs in all."),
]
Invert = Annotated[bool, typer.Option("--invert", help="For dark strokes on light paper.")]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object instead of text.")]
JsonLines = Annotated[bool, typer.Option("--json", help="Print one JSON object per image instead of text.")]
Problem = Annotated[str, typer.Argument(metavar="PROBLEM", help="In its text form: mb64ic1ih28oc6oh28kh5ph2.")]
Problems = Annotated[
    str,
    typer.Option(
        "--problems",
        metavar="NAMES",
        help=f"One or more, with commas between them, of the lists {', '.join(problems.names())}, of files with a "
        "problem per line, and of problems such as mb64ic1ih28oc6oh28kh5ph2.",
    ),
]
Variants = Annotated[
    tuple | None,
    _several("--variants", _variant, "NAMES", "auto (what a user gets), names of variants, all (but the reference). "
             "Default: auto; all with a plug-in."),
]  # fmt: skip
Directions = Annotated[
    tuple, _several("--directions", partial(checks.one_of, choices=DIRECTIONS), "NAMES", "One or more.")
]
ThreadNumbers = Annotated[
    tuple | None, _several("--threads", _number_of_threads, "N,N", "Default: what the machine allows.")
]
Levels = Annotated[
    tuple | None,
    _several("--isa", isa.check, "NAMES", "Instruction-set levels, such as x86-64-v3. Default: the one in use."),
]
Level = Annotated[str | None, _checked("--isa", isa.check, "NAME", "Instruction-set level. Default: the one in use.")]
Peer = Annotated[str | None, typer.Option(metavar="NAME|FILE", help="torch, or a FILE.py: measured in turn with ours.")]
Rounds = Annotated[int, _number("--rounds", int, at_least_1, "Of which the median is taken.")]
Seconds = Annotated[float, _number("--seconds", float, from_0, "For each variant in each round.")]
JsonFile = Annotated[Path | None, _path("--json", "file", "Write all figures to this file.")]
MarkdownFile = Annotated[Path | None, _path("--markdown", "file", "Write what is printed to this file.")]
PlotFile = Annotated[Path | None, _path("--plot", "file", "Draw a roofline and bars into this .png, .svg or .pdf.")]
OldFile = Annotated[Path | None, _path("--compare", "file", "A file of --json: changes beyond the spread are marked.")]
Plugin = Annotated[
    Path | None,
    _path("--plugin", "file", "A kernel of yours (.py, or a compiled module): checked, then ranked beside ours."),
]
Steps = Annotated[int, _number("--steps", int, at_least_1, "Of which the medians are taken.")]
TraceFile = Annotated[Path | None, _path("--trace", "file", "Write a trace for chrome://tracing or ui.perfetto.dev.")]
StepPlotFile = Annotated[Path | None, _path("--plot", "file", "Draw the step as bars into this .png, .svg or .pdf.")]
Smoke = Annotated[bool, typer.Option("--smoke", help="Tiny problems, one round: does everything run?")]
Version = Annotated[
    bool, typer.Option("--version", is_eager=True, callback=_print_version, help="Show the version and exit.")
]
Debug = Annotated[bool, typer.Option("--debug", help="Show the traceback of an error; for all commands.")]
