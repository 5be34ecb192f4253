"""The command line: ``convcore train``, ``evaluate``, ``predict``, ``summary``, ``doctor``.

Results go to stdout, everything else to stderr. Exit status 0 is success, 2 wrong use, 1 failure; an error is one
line, and ``--debug`` shows its traceback. Here is only what parses and prints: the work is done in ``run.py``.
"""

import importlib.metadata
import io
import json
import os
import pathlib
import sys
import warnings
from typing import Annotated

import typer

from convcore.optim import checks
from convcore.optim.schedules import SCHEDULES
from convcore.threads import check as check_threads

app = typer.Typer(
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def main(arguments=None):
    """Run the command line and leave the process with its exit status."""
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    debug = "--debug" in arguments
    arguments = [argument for argument in arguments if argument != "--debug"] or ["--help"]
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # a terminal without × shows ?
    try:
        with warnings.catch_warnings():
            warnings.showwarning = _warn
            status = typer.main.get_command(app).main(arguments, prog_name="convcore", standalone_mode=False)
        if status == 130:  # what typer makes of Ctrl-C, depending on its version
            raise KeyboardInterrupt
        sys.stdout.flush()  # a full disk shows here, not in the interpreter's last moments
    except (KeyboardInterrupt, typer.Abort):
        _fail("interrupted", 1)
    except BrokenPipeError:  # `convcore … | head`: nobody wants the rest
        _leave(1)
    except Exception as error:
        if debug:
            raise
        wrong_use = hasattr(error, "format_message")  # all errors of the parser have it
        _fail(_text_of_wrong_use(error) if wrong_use else _text_of_failure(error), 2 if wrong_use else 1)
    _leave(status if isinstance(status, int) else 0)


def _fail(text, status):
    """Print an error on one line and leave."""
    print("convcore: " + " ".join(text.split()), file=sys.stderr)
    _leave(status)


def _leave(status):
    """Leave the process; what cannot be printed any more is dropped, or the interpreter would complain of it, too."""
    try:
        sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    sys.exit(status)


def _warn(message, *where):
    print("convcore: warning: " + " ".join(str(message).split()), file=sys.stderr)


def _text_of_wrong_use(error):
    """Return the words of an error of the parser's: of those below as they are, of typer's with a hint."""
    if isinstance(error, typer.BadParameter) and error.message:
        return error.message
    context = getattr(error, "ctx", None)
    command = context.command_path if context else "convcore"
    return f"{error.format_message().rstrip('.')}; see {command} --help"


def _text_of_failure(error):
    """Return the words of an error; the unexpected ones with their type."""
    if isinstance(error, OSError) and error.strerror:
        return ": ".join(str(part) for part in (error.filename, error.strerror) if part)
    if isinstance(error, (ValueError, OSError, ImportError, RuntimeError)) and str(error):
        return str(error)
    return f"{type(error).__name__}: {error} (--debug shows where)"


# ---------------------------------------------------------------- flags


def _number(flag, kind, check, help="", **limits):  # noqa: A002
    """Return the option for a number that `check`, one of convcore.optim.checks, accepts; others are wrong use."""

    def parse(text):
        try:
            number = kind(text)
        except ValueError:
            words = "a whole number" if kind is int else "a number"
            raise typer.BadParameter(f"{flag} must be {words}, got {text!r}") from None
        try:
            return check(number, flag, **limits)
        except ValueError as error:
            raise typer.BadParameter(str(error)) from None

    return typer.Option(flag, parser=parse, metavar="N" if kind is int else "F", help=help)


def _schedule(text):
    if text not in SCHEDULES:
        raise typer.BadParameter(f"--schedule must be one of {', '.join(SCHEDULES)}, got {text!r}")
    return text


def _folder(flag, help):  # noqa: A002
    def parse(text):
        if not str(text):  # "$OUT", and OUT is not set
            raise typer.BadParameter(f"{flag} must be a folder, got ''")
        return pathlib.Path(text)

    return typer.Option(flag, parser=parse, metavar="DIR", help=help)


def _print_version(wanted):
    if wanted:
        print(f"convcore {importlib.metadata.version('convcore')}")
        raise typer.Exit


Model = Annotated[pathlib.Path, typer.Argument(metavar="MODEL", help="A model.safetensors, or the folder of a run.")]
Data = Annotated[str, typer.Option(metavar="NAME|DIR", help="digits, mnist, fashion-mnist, or a folder of IDX files.")]
Threads = Annotated[
    int | None,
    _number("--threads", int, check_threads, help="Default: what the machine allows."),
]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object instead of text.")]


# ---------------------------------------------------------------- commands


@app.callback()
def convcore(
    version: Annotated[
        bool, typer.Option("--version", is_eager=True, callback=_print_version, help="Show the version and exit.")
    ] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error; for all commands.")] = False,
):
    """Train LeNet-sized networks on a CPU, and look at every number on the way."""


@app.command(
    epilog="Examples:\n\n\b\n"
    "  convcore train\n"
    "  convcore train --data mnist --epochs 3 --out runs/first\n"
    "  convcore train --resume runs/first\n"
    "  convcore train --model mynet.py:make --json"
)
def train(
    context: typer.Context,
    data: Data = "digits",
    model: Annotated[
        str,
        typer.Option(
            metavar="NAME|FILE",
            help="lenet5, a model.safetensors to go on from, or FILE.py:FUNCTION, which returns a Network.",
        ),
    ] = "lenet5",
    epochs: Annotated[
        int | None, _number("--epochs", int, checks.integer, low=1, help="Default: 30 for digits, else 10.")
    ] = None,
    batch_size: Annotated[int, _number("--batch-size", int, checks.integer, low=1, help="Images per update.")] = 64,
    learn_rate: Annotated[
        float, _number("--learn-rate", float, checks.positive_number, help="At the start; the schedule lets it fall.")
    ] = 0.05,
    momentum: Annotated[float, _number("--momentum", float, checks.number_within, low=0, high=1, help="0 to 1.")] = 0.9,
    l2: Annotated[
        float, _number("--l2", float, checks.number_from, low=0, help="L2 regularization of the weights.")
    ] = 5e-4,
    seed: Annotated[
        int, _number("--seed", int, checks.integer, low=0, help="For first weights and the order of the images.")
    ] = 0,
    threads: Threads = None,
    schedule: Annotated[
        str,
        typer.Option(parser=_schedule, metavar="NAME", help="cosine, piecewise (a tenth every 10 epochs) or none."),
    ] = "cosine",
    out: Annotated[pathlib.Path | None, _folder("--out", "A new folder. Default: runs/NAME-N.")] = None,
    resume: Annotated[pathlib.Path | None, _folder("--resume", "Go on with the run in this folder.")] = None,
    as_json: Json = False,
):
    """Train a network: without options, LeNet-5 on the bundled digits.

    That needs no network connection and takes some seconds. The recipe is SGD with momentum 0.9, mini-batches of
    64 images, a learning rate of 0.05 that falls to 0 along a cosine over the epochs asked for, L2 regularization
    0.0005 on the weights, and a new order of the images in every epoch.

    The folder of the run then holds model.safetensors, history.csv, checkpoint.safetensors, run.json and, with
    matplotlib, training.png. Ctrl-C ends the run with a checkpoint, from which --resume goes on, bit for bit.
    """
    from convcore import run

    if resume is not None:
        _refuse_with_resume(context)
        result = run.resume(resume, n_threads=threads)
    else:
        settings = run.Settings(data, model, epochs, batch_size, learn_rate, momentum, l2, seed, schedule)
        result = run.train(settings, out=out, n_threads=threads)
    if as_json:
        print(json.dumps(result))
    else:
        print(f"{result['data']}: test accuracy {100 * result['test_accuracy']:.2f} % of {result['test_images']:,} "
              f"images after {result['epochs']:.4g} epochs ({result['seconds_per_epoch']:.2f} s each, "
              f"{result['images_per_second']:,.0f} images/s, {result['n_threads']} threads, {result['isa']})")  # fmt: skip
        print(f"model: {result['model_path']}")
    if result["stopped"] == "interrupted":
        raise run.Interrupted(pathlib.Path(result["model_path"]).parent)


def _refuse_with_resume(context):
    """Refuse options that a resumed run has settled already."""
    for name in context.params:
        given = context.get_parameter_source(name).name == "COMMANDLINE"
        if given and name not in ("resume", "threads", "as_json"):
            flag = "--" + name.replace("_", "-")
            raise typer.BadParameter(f"{flag} cannot be given with --resume: the run goes on with its own settings")


@app.command(epilog="Example:\n\n\b\n  convcore evaluate runs/lenet5-digits-1/model.safetensors --data digits")
def evaluate(
    model: Model,
    data: Data = "digits",
    batch_size: Annotated[int, _number("--batch-size", int, checks.integer, low=1, help="Images at a time.")] = 256,
    threads: Threads = None,
    as_json: Json = False,
):
    """Measure a model on the test images of a data set."""
    from convcore import run

    result = run.evaluate(model, data, batch_size, threads)
    if as_json:
        print(json.dumps(result))
    else:
        print(f"{result['data']}: test accuracy {100 * result['test_accuracy']:.2f} % of {result['test_images']:,} "
              f"images, loss {result['test_loss']:.4f}")  # fmt: skip


@app.command(
    epilog="Examples:\n\n\b\n"
    "  convcore predict model.safetensors seven.png --invert\n"
    "  convcore predict model.safetensors t10k-images-idx3-ubyte.gz"
)
def predict(
    model: Model,
    images: Annotated[list[pathlib.Path], typer.Argument(metavar="IMAGE...", help="PNG, JPEG, IDX or .npy files.")],
    invert: Annotated[bool, typer.Option("--invert", help="For dark strokes on light paper.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object per image instead of text.")] = False,
):
    """Print the class of each image and its probability.

    Pictures are made grey and scaled to the network's size. Networks for digits expect light strokes on dark ground.
    """
    from convcore import run

    for row in run.predict(model, images, invert):
        print(json.dumps(row) if as_json else f"{row['image']}: {row['name']} ({100 * row['probability']:.1f} %)")


@app.command(
    epilog="Examples:\n\n\b\n  convcore summary lenet5\n  convcore summary runs/lenet5-digits-1/model.safetensors"
)
def summary(
    model: Annotated[
        str, typer.Argument(metavar="MODEL", help="A model.safetensors, a name such as lenet5, or FILE.py:FUNCTION.")
    ],
    as_json: Json = False,
):
    """Print a network's layers, activations and learnables."""
    from convcore import run

    table = run.network_of(model).summary()
    if as_json:
        print(json.dumps({"layers": table.rows, "totals": table.totals, "problems": table.problems}))
    else:
        print(table)


@app.command(epilog="Example:\n\n\b\n  convcore doctor")
def doctor(as_json: Json = False):
    """Print what convcore found on this machine, and why.

    That is: the instruction-set level, the threads, the OpenMP runtime, denormal numbers, the folders of data.
    """
    from convcore.doctor import report

    found = report()
    if as_json:
        print(json.dumps(found))
        return
    for section, rows in found.items():
        print(section)
        for name, words in rows.items():
            print(f"  {name:18} {words}")
