"""The command line: ``convcore train``, ``evaluate``, ``predict``, ``summary``, ``bench``, ``explain``, ``doctor``.

Results go to stdout, everything else to stderr. Exit status 0 is success, 2 wrong use, 1 failure; an error is one
line, and ``--debug`` shows its traceback. Here are the commands and what they print; ``flags.py`` says what
they take, ``run.py`` and ``profile`` do the work.
"""

import io
import json
import os
import re
import sys
import traceback
import warnings
from pathlib import Path

import typer

from convcore import flags, isa, kernels, run, threads
from convcore.doctor import report
from convcore.files import check_target, write_atomic
from convcore.profile import command as profile_command
from convcore.profile import step, step_report

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
    group = typer.main.get_command(app)
    try:
        with warnings.catch_warnings():
            warnings.showwarning = _warn
            status = group.main(arguments, prog_name="convcore", standalone_mode=False)
        if status == 130:  # what typer makes of Ctrl-C, depending on its version
            raise KeyboardInterrupt
        print(end="", flush=True)  # a full disk shows here, not in the interpreter's last moments
    except (KeyboardInterrupt, typer.Abort):
        _fail("interrupted", 1)
    except BrokenPipeError:  # `convcore … | head`: nobody wants the rest
        _leave(1)
    except Exception as error:
        if debug:
            traceback.print_exc()
        if hasattr(error, "format_message"):  # all errors of the parser have it
            command = " ".join(["convcore", *(name for name in arguments[:1] if name in group.commands)])
            _fail(_text_of_wrong_use(error, command), 2)
        _fail(_text_of_failure(error), 1)
    _leave(status or 0)


def _fail(text, status):
    """Print an error on one line and leave."""
    print("convcore: " + " ".join(text.split()), file=sys.stderr)
    _leave(status)


def _leave(status):
    """Leave the process; what cannot be printed any more is dropped, or the interpreter would complain of it, too."""
    try:
        print(end="", flush=True)
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    sys.exit(status)


def _warn(message, *where):
    print("convcore: warning: " + " ".join(str(message).split()), file=sys.stderr)


def _text_of_wrong_use(error, command):
    """Return the words of an error of the parser's: of those below as they are, of typer's own with a hint."""
    if isinstance(error, typer.BadParameter) and error.message:
        return error.message
    return f"{error.format_message().rstrip('.')}; see {command} --help"


def _text_of_failure(error):
    """Return the words of an error; the unexpected ones with their type."""
    if isinstance(error, OSError) and error.strerror:
        return ": ".join(str(part) for part in (error.filename, error.strerror) if part)
    if isinstance(error, (ValueError, OSError, ImportError, RuntimeError)) and str(error):
        return str(error)
    return f"{type(error).__name__}: {error} (--debug shows where)"


def _examples(*lines):
    """Return the end of a help text; \\b keeps typer from filling the lines."""
    return "\n".join(
        ["Examples:" if len(lines) > 1 else "Example:", "", "\b", *(f"  convcore {line}" for line in lines)]
    )


def _plural(number, noun):
    return f"{number:.4g} {noun}{'' if number == 1 else 's'}"


def _print(result, as_json, words):
    """Print a result as one JSON object, or in words."""
    print(json.dumps(result) if as_json else words)


# ---------------------------------------------------------------- commands


@app.callback()
def convcore(version: flags.Version = False, debug: flags.Debug = False):
    """Train LeNet-sized networks on a CPU, and look at every number on the way."""


@app.command(
    epilog=_examples(
        "train",
        "train --data mnist --epochs 3 --out runs/first",
        "train --data mnist --epochs 30 --augment --seed 1",
        "train --data mnist --recipe fast",
        "train --solver adam --learn-rate 0.002 --l2 0",
        "train --data mnist --plots training-progress --metrics top-2,top-3",
        "train --resume runs/first",
        "train --resume runs/first --epochs 20",
        "train --model mynet.py:make --json",
    )
)
def train(
    context: typer.Context,
    data: flags.Data = "digits",
    model: flags.FirstModel = "lenet5",
    epochs: flags.Epochs = None,
    batch_size: flags.BatchSize = 64,
    solver: flags.Solver = "sgdm",
    learn_rate: flags.LearnRate = None,
    momentum: flags.Momentum = None,
    l2: flags.L2 = 5e-4,
    seed: flags.Seed = 0,
    threads: flags.Threads = None,
    schedule: flags.Schedule = "cosine",
    augment: flags.Augmented = False,
    plots: flags.Plots = "none",
    metrics: flags.Metrics = None,
    recipe: flags.Recipe = None,
    out: flags.Out = None,
    resume: flags.Resume = None,
    as_json: flags.Json = False,
):
    """Train a network: without options, LeNet-5 on the bundled digits.

    That needs no network connection and takes some seconds. The recipe is SGD with momentum 0.9, mini-batches of
    64 images, a learning rate of 0.05 that falls to 0 along a cosine over the epochs asked for, L2 regularization
    0.0005 on the weights, and a new order of the images in every epoch.

    The folder of the run then holds model.safetensors, history.csv, checkpoint.safetensors, run.json and, with
    matplotlib, training.png. Ctrl-C ends the run with a checkpoint, from which --resume goes on, bit for bit.
    """
    if resume is not None:
        _refuse_with_resume(context)
        result = run.resume(resume, threads, epochs)
    else:
        if (momentum is not None or recipe is not None) and solver != "sgdm":
            flag = "--momentum" if recipe is None else "--recipe"
            raise typer.BadParameter(f"{flag} belongs to --solver sgdm, the solver is {solver}")
        asked = dict(epochs=epochs, batch_size=batch_size, learn_rate=learn_rate, momentum=momentum, schedule=schedule)
        for name, value in run.RECIPES.get(recipe, {}).items():
            if name not in asked or not _is_given(context, name):
                asked[name] = value
        settings = run.Settings(data=data, model=model, l2=l2, seed=seed, augment=augment, solver=solver, plots=plots,
                                metrics=tuple(metrics or ()), **asked)  # fmt: skip
        result = run.train(settings, out, threads)
    accuracy = f"{100 * result['test_accuracy']:.2f} % of {result['test_images']:,} images"
    speed = f"{result['seconds_per_epoch']:.2f} s each, {result['images_per_second']:,.0f} images/s"
    epochs, threads = _plural(result["epochs"], "epoch"), _plural(result["n_threads"], "thread")
    words = f"{result['data']}: test accuracy {accuracy} after {epochs} ({speed}, {threads}, {result['isa']})"
    _print(result, as_json, f"{words}\n{_metric_lines(result)}model: {result['model_path']}")
    if result["stopped"] == "interrupted":
        raise run.Interrupted(Path(result["model_path"]).parent)


def _metric_lines(result):
    """Return one line for each metric that was asked for."""
    found = {name: re.fullmatch("test_top([0-9]+)", name) for name in result}
    return "".join(f"top-{match[1]}: {100 * result[name]:.2f} %\n" for name, match in found.items() if match)


def _is_given(context, name):
    """Return whether an option stands in the command."""
    return context.get_parameter_source(name).name == "COMMANDLINE"


def _refuse_with_resume(context):
    """Refuse options that a resumed run has settled already."""
    for name in context.params:
        if _is_given(context, name) and name not in ("resume", "epochs", "threads", "as_json"):
            flag = "--" + name.replace("_", "-")
            raise typer.BadParameter(f"{flag} cannot be given with --resume: the run goes on with its own settings")


@app.command(
    epilog=_examples(
        "evaluate runs/lenet5-digits-1/model.safetensors --data digits",
        "evaluate runs/lenet5-digits-1 --metrics top-2,top-3",
    )
)
def evaluate(
    model: flags.ModelFile,
    data: flags.DataOfRun = None,
    batch_size: flags.BatchSize = 256,
    metrics: flags.Metrics = None,
    threads: flags.Threads = None,
    as_json: flags.Json = False,
):
    """Measure a model on the test images of a data set."""
    result = run.evaluate(model, data, batch_size, threads, tuple(metrics or ()))
    accuracy = f"{100 * result['test_accuracy']:.2f} % of {result['test_images']:,} images"
    words = f"{result['data']}: test accuracy {accuracy}, loss {result['test_loss']:.4f}"
    table = _table(result["confusion_matrix"], result["class_names"])
    words = f"{words}\n{_metric_lines(result)}"
    _print(result, as_json, f"{words}\nimages of each class (rows), by what they were taken for (columns)\n{table}")


def _table(matrix, names):
    """Return a square table of numbers as text, with a name before each row and above each column."""
    rows = [["", *names], *([name, *(f"{n:,}" for n in row)] for name, row in zip(names, matrix, strict=True))]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join("  ".join(map(str.rjust, row, widths)) for row in rows)


@app.command(
    epilog=_examples(
        "predict model.safetensors seven.png --invert", "predict model.safetensors t10k-images-idx3-ubyte.gz"
    )
)
def predict(
    model: flags.ModelFile, images: flags.Images, invert: flags.Invert = False, as_json: flags.JsonLines = False
):
    """Print the class of each image and its probability.

    Pictures are made grey and scaled to the network's size. Networks for digits expect light strokes on dark ground.
    """
    for row in run.predict(model, images, invert):
        _print(row, as_json, f"{row['image']}: {row['name']} ({100 * row['probability']:.1f} %)")


@app.command(epilog=_examples("summary lenet5", "summary runs/lenet5-digits-1/model.safetensors"))
def summary(model: flags.AnyModel, as_json: flags.Json = False):
    """Print a network's layers, activations, learnables and bytes, and what training saves of one observation."""
    table = run.network_of(model).summary()
    _print({"layers": table.rows, "totals": table.totals, "problems": table.problems}, as_json, str(table))


@app.command(
    epilog=_examples(
        "bench",
        "bench --problems resnet50 --peer torch --threads 1,2 --json new.json --plot bench.png",
        "bench --problems mb64ic1ih28oc6oh28kh5ph2 --variants all --directions forward",
        "bench --problems kinds --isa x86-64-v3 --peer torch --rounds 9 --markdown kinds.md",
        "bench --problems lenet,vgg --compare old.json",
        "bench --problems lenet --plugin my_kernel.py",
    )
)
def bench(
    names: flags.Problems = "lenet",
    variants: flags.Variants = None,
    directions: flags.Directions = flags.EVERY_DIRECTION,
    n_threads: flags.ThreadNumbers = None,
    levels: flags.Levels = None,
    peer: flags.Peer = None,
    rounds: flags.Rounds = 5,
    seconds: flags.Seconds = 0.1,
    json_file: flags.JsonFile = None,
    markdown: flags.MarkdownFile = None,
    plot: flags.PlotFile = None,
    compare: flags.OldFile = None,
    plugin: flags.Plugin = None,
    smoke: flags.Smoke = False,
):
    """Time the convolution kernels, beside each other, a peer, and what the machine can do.

    Each result is checked before it is timed. Times are medians of rounds in which all take their turn; a ratio is
    the peer's time over ours. The limit of a problem is what multiply-adds from registers reach, or what memory
    delivers where each array is moved once, both measured first. Arrays in the caches may exceed the second; a figure
    above the first is refused as an error, but for kernels that multiply less than the definition, which are marked.
    """
    if smoke:
        names, variants, rounds, seconds = "smoke", variants or ("auto", "all", "reference"), 1, 0.0
    profile_command.run(
        names, variants=variants, directions=directions, threads=n_threads or (threads.get_num_threads(),),
        levels=levels or (isa.DEFAULT,), peer=peer, rounds=rounds, seconds=seconds, json=json_file, markdown=markdown,
        plot=plot, compare=compare, plugin=plugin,
    )  # fmt: skip


@app.command(
    epilog=_examples(
        "profile lenet5",
        "profile lenet5 --data mnist --batch-size 128 --threads 1 --trace trace.json --plot step.png",
        "profile runs/lenet5-digits-1/model.safetensors --json step.json",
    )
)
def profile(
    model: flags.AnyModel,
    data: flags.Data = "digits",
    batch_size: flags.BatchSize = 64,
    steps: flags.Steps = 100,
    threads: flags.Threads = None,
    trace: flags.TraceFile = None,
    plot: flags.StepPlotFile = None,
    json_file: flags.JsonFile = None,
):
    """Show where the time of a training step goes: every kernel, its speed, and why it was chosen.

    The network is trained for some steps and thrown away. Times are medians; half of the steps run unwatched, to tell
    what watching costs. The limit of a kernel is as for bench.
    """
    for path in filter(None, (trace, plot, json_file)):
        check_target(path.absolute(), "profile")
    if plot is not None:
        step_report.check_picture(plot)
    network, dataset = run.network_and_data(model, data)
    document = step.profile(network, dataset.train, batch_size=batch_size, steps=steps, n_threads=threads)
    print("\n".join(step_report.lines(document)))
    if json_file is not None:
        write_atomic(json_file, json.dumps(document, indent=1))
    if trace is not None:
        step_report.write_trace(document, trace)
    if plot is not None:
        step_report.draw(document, plot)


@app.command(epilog=_examples("explain mb64ic1ih28oc6oh28kh5ph2", "explain g32ic32ih112oc32kh3ph1 --isa x86-64-v3"))
def explain(problem: flags.Problem, directions: flags.Directions = flags.EVERY_DIRECTION, level: flags.Level = None):
    """Print which kernel computes a convolution, and why the others are passed over."""
    geometry = kernels.ConvGeometry.parse(problem)
    print("\n".join(kernels.explain(geometry.op, geometry, direction, level=level) for direction in directions))


@app.command(epilog=_examples("doctor"))
def doctor(as_json: flags.Json = False):
    """Print what convcore found on this machine, and why.

    That is: the instruction-set level, the threads, the OpenMP runtime, denormal numbers, the folders of data.
    """
    found = report()
    lines = [[section, *(f"  {name:18} {words}" for name, words in rows.items())] for section, rows in found.items()]
    _print(found, as_json, "\n".join(line for section in lines for line in section))
